//! Wrapped sealing keys in the vault database. A key is committed here before anything is sealed under it: an orphan
//! key is harmless, a sealed value without a key is lost.

use super::StoreFault;
use crate::domain::clock::{Clock, Random, uuid_v7};
use crate::vault::{KeyEncryption, SealingKey};
use sqlx::PgPool;
use std::collections::HashMap;
use uuid::Uuid;

/// Whose data a key seals, and for how long they are kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyOwner {
    /// One subject, or all whom the bytes concern; sorted.
    pub subjects: Vec<Uuid>,
    /// Retention class of the catalogue.
    pub retention: String,
}

impl KeyOwner {
    /// An owner with its subjects in order and once each.
    pub fn new(mut subjects: Vec<Uuid>, retention: &str) -> Self {
        subjects.sort_unstable();
        subjects.dedup();
        Self { subjects, retention: retention.to_owned() }
    }
}

/// Gives each owner's key, making those that do not exist yet. Two instances that make the same key at once end with one.
///
/// # Errors
/// [`StoreFault::Database`]; [`StoreFault::BadRow`] where a row is wrapped under an epoch that `kek` is not.
pub async fn ensure(
    pool: &PgPool,
    kek: &KeyEncryption,
    owners: &[KeyOwner],
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<HashMap<KeyOwner, SealingKey>, StoreFault> {
    let mut found = HashMap::with_capacity(owners.len());
    let mut connection = pool.acquire().await?;
    for owner in owners {
        if found.contains_key(owner) {
            continue;
        }
        let fresh = SealingKey::generate(uuid_v7(clock, random), random);

        let row = sqlx::query!(
            "insert into keys (id, subjects, retention, epoch, wrapped, created_at) values ($1, $2, $3, $4, $5, $6)
             on conflict on constraint keys_one do nothing returning id",
            fresh.id,
            &owner.subjects,
            owner.retention,
            kek.epoch,
            kek.wrap(&fresh, random),
            clock.now(),
        )
        .fetch_optional(&mut *connection)
        .await?;
        let key = match row {
            Some(_) => fresh,
            None => {
                let row = sqlx::query!(
                    "select id, wrapped from keys where subjects = $1 and retention = $2",
                    &owner.subjects,
                    owner.retention
                )
                .fetch_one(&mut *connection)
                .await?;
                open(kek, row.id, &row.wrapped)?
            }
        };
        found.insert(owner.clone(), key);
    }
    Ok(found)
}

/// The keys that still exist among `ids`; one that was destroyed is simply absent.
///
/// # Errors
/// As [`ensure`].
pub async fn find(pool: &PgPool, kek: &KeyEncryption, ids: &[Uuid]) -> Result<HashMap<Uuid, SealingKey>, StoreFault> {
    let rows = sqlx::query!("select id, wrapped from keys where id = any($1)", ids).fetch_all(pool).await?;
    rows.into_iter().map(|row| Ok((row.id, open(kek, row.id, &row.wrapped)?))).collect()
}

/// Destroys every key that seals data of `subject`; gives their number.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn destroy(pool: &PgPool, subject: Uuid) -> Result<u64, StoreFault> {
    Ok(sqlx::query!("delete from keys where subjects @> array[$1::uuid]", subject).execute(pool).await?.rows_affected())
}

fn open(kek: &KeyEncryption, id: Uuid, wrapped: &[u8]) -> Result<SealingKey, StoreFault> {
    kek.unwrap_key(id, wrapped).map_err(|_| StoreFault::BadRow {
        table: "keys",
        column: "wrapped",
        row: id.to_string(),
    })
}
