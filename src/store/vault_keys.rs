//! Wrapped sealing keys in the vault database. A key is committed here before anything is sealed under it: an orphan
//! key is harmless, a sealed value without a key is lost.

use super::StoreFault;
use crate::domain::clock::{Clock, Random, uuid_v7};
use crate::vault::{KeyEncryption, SealingKey};
use sqlx::PgPool;
use std::collections::{BTreeMap, HashMap};
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

    /// `uuid,uuid/class`: the unique text of the row.
    fn text(&self) -> String {
        let subjects: Vec<String> = self.subjects.iter().map(Uuid::to_string).collect();
        format!("{}/{}", subjects.join(","), self.retention)
    }
}

/// Gives each owner's key, making those that do not exist yet. Two instances that make the same key at once end with one.
/// An owner that is `new` as far as the caller knows is not looked for first.
///
/// # Errors
/// [`StoreFault::Database`]; [`StoreFault::BadRow`] where a row is wrapped under an epoch that `kek` is not.
pub async fn ensure(
    pool: &PgPool,
    kek: &KeyEncryption,
    owners: &[KeyOwner],
    new: impl Fn(&KeyOwner) -> bool,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<HashMap<KeyOwner, SealingKey>, StoreFault> {
    let wanted: BTreeMap<String, &KeyOwner> = owners.iter().map(|owner| (owner.text(), owner)).collect();
    let old: BTreeMap<String, &KeyOwner> =
        wanted.iter().filter(|(_, owner)| !new(owner)).map(|(text, owner)| (text.clone(), *owner)).collect();
    let mut found = if old.is_empty() { HashMap::new() } else { read(pool, kek, &old).await? };
    let missing: Vec<String> =
        wanted.iter().filter(|(_, owner)| !found.contains_key(**owner)).map(|(text, _)| text.clone()).collect();
    if missing.is_empty() {
        return Ok(found);
    }
    let fresh: Vec<SealingKey> = missing.iter().map(|_| SealingKey::generate(uuid_v7(clock, random), random)).collect();
    let ids: Vec<Uuid> = fresh.iter().map(|key| key.id).collect();
    let wrapped: Vec<Vec<u8>> = fresh.iter().map(|key| kek.wrap(key, random)).collect();
    let made = sqlx::query_scalar!(
        "insert into keys (id, owner, subjects, epoch, wrapped, created_at)
         select id, owner, string_to_array(split_part(owner, '/', 1), ',')::uuid[], $4, wrapped, $5
         from unnest($1::uuid[], $2::text[], $3::bytea[]) as t (id, owner, wrapped)
         on conflict on constraint keys_one do nothing returning id",
        &ids,
        &missing,
        &wrapped,
        kek.epoch,
        clock.now(),
    )
    .fetch_all(pool)
    .await?;
    if made.len() < missing.len() {
        // Some were there, by another instance or an earlier try: those are the ones that count.
        return read(pool, kek, &wanted).await;
    }
    for (text, key) in missing.iter().zip(fresh) {
        found.insert(wanted[text].clone(), key);
    }
    Ok(found)
}

async fn read(
    pool: &PgPool,
    kek: &KeyEncryption,
    wanted: &BTreeMap<String, &KeyOwner>,
) -> Result<HashMap<KeyOwner, SealingKey>, StoreFault> {
    let owners: Vec<String> = wanted.keys().cloned().collect();
    let rows =
        sqlx::query!("select id, owner, wrapped from keys where owner = any($1)", &owners).fetch_all(pool).await?;
    rows.into_iter().map(|row| Ok((wanted[&row.owner].clone(), open(kek, row.id, &row.wrapped)?))).collect()
}

/// The keys that still exist among `ids`; one that was destroyed is simply absent.
///
/// # Errors
/// As [`ensure`].
pub async fn find(pool: &PgPool, kek: &KeyEncryption, ids: &[Uuid]) -> Result<HashMap<Uuid, SealingKey>, StoreFault> {
    let rows = sqlx::query!("select id, wrapped from keys where id = any($1)", ids).fetch_all(pool).await?;
    rows.into_iter().map(|row| Ok((row.id, open(kek, row.id, &row.wrapped)?))).collect()
}

/// Destroys these keys, and every key that seals data of one of the subjects; gives their number.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn destroy(pool: &PgPool, keys: &[Uuid], subjects: &[Uuid]) -> Result<u64, StoreFault> {
    let done = sqlx::query!("delete from keys where id = any($1) or subjects && $2::uuid[]", keys, subjects);
    Ok(done.execute(pool).await?.rows_affected())
}

fn open(kek: &KeyEncryption, id: Uuid, wrapped: &[u8]) -> Result<SealingKey, StoreFault> {
    kek.unwrap_key(id, wrapped).map_err(|_| StoreFault::BadRow {
        table: "keys",
        column: "wrapped",
        row: id.to_string(),
    })
}
