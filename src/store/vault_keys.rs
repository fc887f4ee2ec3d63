//! Wrapped sealing keys in the vault database. A key is committed here before anything is sealed under it: an orphan
//! key is harmless, a sealed value without a key is lost.

use super::StoreFault;
use crate::domain::clock::{Clock, Random, uuid_v7};
use crate::vault::{KeyEncryption, SealingKey};
use sqlx::PgPool;
use std::collections::{BTreeMap, HashMap};
use time::OffsetDateTime;
use uuid::Uuid;

/// Keys that are wrapped anew in one transaction.
const REWRAPPED_AT_ONCE: i64 = 256;

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
/// [`StoreFault::Database`]; [`StoreFault::BadRow`] where a row is wrapped under an epoch that `kek` does not know, and where the
/// epoch in force was retired: somebody else rotated it.
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
         where not exists (select from epochs where epoch = $4 and retired_at is not null)
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
        let found = read(pool, kek, &wanted).await?;
        if found.len() < wanted.len() {
            return Err(StoreFault::BadRow { table: "epochs", column: "retired_at", row: kek.epoch.to_string() });
        }
        return Ok(found);
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
    let rows = sqlx::query!("select id, epoch, owner, wrapped from keys where owner = any($1)", &owners)
        .fetch_all(pool)
        .await?;
    rows.into_iter().map(|row| Ok((wanted[&row.owner].clone(), open(kek, row.epoch, row.id, &row.wrapped)?))).collect()
}

/// Whether the key-encryption keys open what is wrapped: one key of each epoch is tried, so that no gateway serves, and wraps, under
/// another key than the others do.
///
/// # Errors
/// [`StoreFault`]; [`StoreFault::BadRow`] for the first that does not open.
pub async fn probe(pool: &PgPool, kek: &KeyEncryption) -> Result<(), StoreFault> {
    let rows =
        sqlx::query!("select distinct on (epoch) epoch, id, wrapped from keys order by epoch, id").fetch_all(pool);
    rows.await?.into_iter().try_for_each(|row| open(kek, row.epoch, row.id, &row.wrapped).map(drop))
}

/// The keys that still exist among `ids`; one that was destroyed is simply absent.
///
/// # Errors
/// As [`ensure`].
pub async fn find(pool: &PgPool, kek: &KeyEncryption, ids: &[Uuid]) -> Result<HashMap<Uuid, SealingKey>, StoreFault> {
    let rows = sqlx::query!("select id, epoch, wrapped from keys where id = any($1)", ids).fetch_all(pool).await?;
    rows.into_iter().map(|row| Ok((row.id, open(kek, row.epoch, row.id, &row.wrapped)?))).collect()
}

/// A key that is ready to be destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// Retention class.
    pub class: String,
    /// Epoch under which it is wrapped.
    pub epoch: i32,
}

/// Makes keys ready to be destroyed: these, and every key that seals data of one of the subjects. From here on nothing new is sealed
/// under them: who asks for their owners' keys gets others.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn retire(pool: &PgPool, keys: &[Uuid], subjects: &[Uuid]) -> Result<HashMap<Uuid, Retired>, StoreFault> {
    let rows = sqlx::query!(
        r#"update keys set owner = case when owner like 'retired:%' then owner else 'retired:' || id || '/' || split_part(owner, '/', 2) end
           where id = any($1) or subjects && $2::uuid[] returning id, epoch,
             split_part(owner, '/', 2) as "class!""#,
        keys,
        subjects
    );
    let rows = rows.fetch_all(pool).await?.into_iter();
    Ok(rows.map(|row| (row.id, Retired { class: row.class, epoch: row.epoch })).collect())
}

/// What was destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Destroyed {
    /// Keys.
    pub keys: u64,
    /// Greatest epoch under which one of them was wrapped.
    pub epoch: Option<i32>,
}

/// Destroys these keys, and every key that seals data of one of the subjects.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn destroy(pool: &PgPool, keys: &[Uuid], subjects: &[Uuid]) -> Result<Destroyed, StoreFault> {
    let epochs = sqlx::query_scalar!(
        "delete from keys where id = any($1) or subjects && $2::uuid[] returning epoch",
        keys,
        subjects
    );
    let epochs = epochs.fetch_all(pool).await?;
    Ok(Destroyed { keys: epochs.len() as u64, epoch: epochs.into_iter().max() })
}

/// An epoch of the key-encryption key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// Its number.
    pub epoch: i32,
    /// When a gateway first came with it.
    pub opened_at: OffsetDateTime,
    /// When nothing was wrapped under it any more.
    pub retired_at: Option<OffsetDateTime>,
}

/// Records the epoch in force; one that is known stays as it is.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn open_epoch(pool: &PgPool, epoch: i32, now: OffsetDateTime) -> Result<(), StoreFault> {
    sqlx::query!("insert into epochs (epoch, opened_at) values ($1, $2) on conflict do nothing", epoch, now)
        .execute(pool)
        .await?;
    Ok(())
}

/// Every epoch, oldest first.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn epochs(pool: &PgPool) -> Result<Vec<Epoch>, StoreFault> {
    let rows = sqlx::query_as!(Epoch, "select epoch, opened_at, retired_at from epochs order by epoch");
    Ok(rows.fetch_all(pool).await?)
}

/// Wraps some keys of earlier epochs under the one in force, in one transaction; gives how many, 0 when none are left. Whoever is
/// killed in the middle begins where the last transaction ended.
///
/// # Errors
/// [`StoreFault::Database`]; [`StoreFault::BadRow`] where a row is wrapped under an epoch that `kek` does not know.
pub async fn rewrap(pool: &PgPool, kek: &KeyEncryption, random: &dyn Random) -> Result<usize, StoreFault> {
    let mut transaction = pool.begin().await?;
    let rows = sqlx::query!(
        "select id, epoch, wrapped from keys where epoch < $1 order by epoch, id limit $2 for update",
        kek.epoch,
        REWRAPPED_AT_ONCE
    );
    let rows = rows.fetch_all(&mut *transaction).await?;
    let keys: Vec<SealingKey> =
        rows.iter().map(|row| open(kek, row.epoch, row.id, &row.wrapped)).collect::<Result<_, StoreFault>>()?;
    let ids: Vec<Uuid> = keys.iter().map(|key| key.id).collect();
    let wrapped: Vec<Vec<u8>> = keys.iter().map(|key| kek.wrap(key, random)).collect();
    sqlx::query!(
        "update keys k set epoch = $3, wrapped = t.wrapped from unnest($1::uuid[], $2::bytea[]) as t (id, wrapped) where k.id = t.id",
        &ids,
        &wrapped,
        kek.epoch
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(ids.len())
}

/// Retires the epochs before the one in force under which nothing is wrapped; gives them. From here on nothing is wrapped under
/// them again.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn retire_epochs(pool: &PgPool, in_force: i32, now: OffsetDateTime) -> Result<Vec<i32>, StoreFault> {
    let mut transaction = pool.begin().await?;
    // Nobody makes a key between the look and the mark.
    sqlx::query!("lock table keys in share row exclusive mode").execute(&mut *transaction).await?;
    let retired = sqlx::query_scalar!(
        "update epochs e set retired_at = $2
         where e.epoch < $1 and e.retired_at is null and not exists (select from keys k where k.epoch <= e.epoch)
         returning e.epoch",
        in_force,
        now
    );
    let retired = retired.fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(retired)
}

fn open(kek: &KeyEncryption, epoch: i32, id: Uuid, wrapped: &[u8]) -> Result<SealingKey, StoreFault> {
    kek.unwrap_key(epoch, id, wrapped).map_err(|_| StoreFault::BadRow {
        table: "keys",
        column: "wrapped",
        row: id.to_string(),
    })
}
