//! Erasures on record: holds, what was erased, and the list that no backup may forget. Taking a person out of
//! the rows is the journal's ([`super::journal::Journal::erase`]); keys are the vault's ([`super::vault_keys`]).

use super::StoreFault;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

/// A line of the list that no backup may forget: what was asked for and everything that goes by it, by our ids. Written before the keys
/// go, in the vault and in a file outside of both databases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Our id of the erasure.
    pub erasure: Uuid,
    /// When it was asked for, seconds of the Unix era.
    pub at: i64,
    /// The placement that was named.
    pub subject: Uuid,
    /// Why.
    pub basis: String,
    /// Two officers.
    pub officers: [String; 2],
    /// The worker, her placements, what was merged into either.
    pub subjects: Vec<Uuid>,
    /// Messages about her.
    pub messages: Vec<Uuid>,
    /// Keys to be destroyed.
    pub keys: Vec<Uuid>,
}

impl Listed {
    /// Reads a line.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// The line, without its end.
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What was asked for.
    pub fn asked(&self) -> Option<Erasure> {
        let at = OffsetDateTime::from_unix_timestamp(self.at).ok()?;
        let (id, basis, officers) = (self.erasure, self.basis.clone(), self.officers.clone());
        Some(Erasure { id, subject: self.subject, basis, officers, at })
    }
}

/// An erasure that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Our id of it.
    pub id: Uuid,
    /// About whom: the placement that was named.
    pub subject: Uuid,
    /// Why.
    pub basis: String,
    /// Two officers.
    pub officers: [String; 2],
    /// When it was asked for.
    pub at: OffsetDateTime,
}

/// An erasure as it is on record.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// What was asked for.
    pub erasure: Erasure,
    /// Whether it was done; otherwise a hold forbade it.
    pub done: bool,
    /// Everything of the person: worker, placements, what was merged into either.
    pub subjects: Vec<Uuid>,
    /// Keys destroyed.
    pub keys: i32,
    /// Messages about her.
    pub messages: i32,
    /// Messages about others that got keys of their own.
    pub resealed: i32,
    /// Greatest epoch under which one of the keys was wrapped.
    pub epoch: Option<i32>,
    /// When the vault had none of the keys any more.
    pub keys_gone_at: Option<OffsetDateTime>,
}

/// Every erasure on record, oldest first.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn all(pool: &PgPool) -> Result<Vec<Recorded>, StoreFault> {
    let rows = sqlx::query!("select * from erasures order by at, id").fetch_all(pool).await?;
    let recorded = rows.into_iter().map(|row| Recorded {
        erasure: Erasure {
            id: row.id,
            subject: row.subject,
            basis: row.basis,
            officers: [row.first_officer, row.second_officer],
            at: row.at,
        },
        done: row.outcome == "erased",
        subjects: row.subjects,
        keys: row.keys_destroyed,
        messages: row.messages,
        resealed: row.resealed,
        epoch: row.epoch,
        keys_gone_at: row.keys_gone_at,
    });
    Ok(recorded.collect())
}

/// Whether an erasure is done here, whatever became of its keys.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn is_done(executor: impl PgExecutor<'_>, erasure: Uuid) -> Result<bool, StoreFault> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from erasures where id = $1 and outcome = 'erased') as "done!""#,
        erasure
    )
    .fetch_one(executor)
    .await?)
}

/// Records that an erasure was asked for and forbidden by a hold.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn restrict(connection: &mut PgConnection, erasure: &Erasure) -> Result<(), StoreFault> {
    sqlx::query!(
        "insert into erasures (id, subject, basis, first_officer, second_officer, outcome, keys_destroyed, at)
         values ($1, $2, $3, $4, $5, 'restricted', 0, $6)",
        erasure.id,
        erasure.subject,
        erasure.basis,
        erasure.officers[0],
        erasure.officers[1],
        erasure.at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Records that the vault has none of an erasure's keys any more.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn keys_gone(
    pool: &PgPool,
    erasure: Uuid,
    destroyed: super::vault_keys::Destroyed,
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    sqlx::query!(
        "update erasures set keys_gone_at = $4, keys_destroyed = keys_destroyed + $2, epoch = greatest(epoch, $3) where id = $1",
        erasure,
        destroyed.keys as i32,
        destroyed.epoch,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Whether the person of a placement, or of what it was merged into, was erased.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn is_erased(pool: &PgPool, subject: Uuid) -> Result<bool, StoreFault> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from subjects s join subjects t on t.id = coalesce(s.merged_into, s.id)
             where s.id = $1 and t.erased_at is not null) as "erased!""#,
        subject
    )
    .fetch_one(pool)
    .await?)
}

/// A hold.
#[derive(Debug, Clone)]
pub struct Hold {
    /// Our id of it.
    pub id: Uuid,
    /// The placement that was named.
    pub subject: Uuid,
    /// Why.
    pub basis: String,
    /// The officer who placed it.
    pub placed_by: String,
    /// When.
    pub placed_at: OffsetDateTime,
}

/// Places a hold on the person of a placement; `false` where she was erased before.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn place_hold(connection: &mut PgConnection, hold: &Hold) -> Result<bool, StoreFault> {
    // Behind an erasure that is under way, or before it.
    let stands = sqlx::query_scalar!(
        r#"select d.id from dossiers d join subjects s on s.dossier = d.id where s.id = $1 for share of d"#,
        hold.subject
    );
    stands.fetch_optional(&mut *connection).await?;
    let placed = sqlx::query!(
        "insert into holds (id, subject, basis, placed_by, placed_at)
         select $1, id, $3, $4, $5 from subjects where id = $2 and erased_at is null",
        hold.id,
        hold.subject,
        hold.basis,
        hold.placed_by,
        hold.placed_at
    );
    Ok(placed.execute(connection).await?.rows_affected() == 1)
}

/// Lifts every hold on some subjects; gives their number.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn lift_holds(
    connection: &mut PgConnection,
    subjects: &[Uuid],
    officer: &str,
    because: &str,
    now: OffsetDateTime,
) -> Result<u64, StoreFault> {
    let lifted = sqlx::query!(
        "update holds set lifted_by = $2, lifted_because = $3, lifted_at = $4 where subject = any($1) and lifted_at is null",
        subjects,
        officer,
        because,
        now
    );
    Ok(lifted.execute(connection).await?.rows_affected())
}

/// Holds that stand, oldest first.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn holds(pool: &PgPool) -> Result<Vec<Hold>, StoreFault> {
    let rows = sqlx::query_as!(
        Hold,
        "select id, subject, basis, placed_by, placed_at from holds where lifted_at is null order by placed_at, id"
    );
    Ok(rows.fetch_all(pool).await?)
}

/// The subjects of the person of a subject: the worker, her placements, what was merged into either.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn subjects_of(executor: impl PgExecutor<'_>, subject: Uuid) -> Result<Vec<Uuid>, StoreFault> {
    Ok(sqlx::query_scalar!(
        r#"with worker as (
             select coalesce(t.worker, t.id) as id from subjects s join subjects t on t.id = coalesce(s.merged_into, s.id)
             where s.id = $1 and s.kind in ('placement', 'worker')
           ), own as (
             select id from worker union select s.id from worker join subjects s on s.worker = worker.id and s.kind = 'placement'
           )
           select id as "id!" from own union select s.id from own join subjects s on s.merged_into = own.id order by 1"#,
        subject
    )
    .fetch_all(executor)
    .await?)
}

/// The dossiers in which some subjects are, with all that were merged with these.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn dossiers_of(executor: impl PgExecutor<'_>, subjects: &[Uuid]) -> Result<Vec<Uuid>, StoreFault> {
    Ok(sqlx::query_scalar!(
        "select distinct d.id from subjects s join dossiers own on own.id = s.dossier
           join dossiers d on d.id = coalesce(own.merged_into, own.id) or d.merged_into = coalesce(own.merged_into, own.id)
         where s.id = any($1) order by d.id",
        subjects
    )
    .fetch_all(executor)
    .await?)
}

/// A placement of a person and a partner that knows of it.
#[derive(Debug, Clone)]
pub struct KnownTo {
    /// The placement.
    pub placement: Uuid,
    /// The partner.
    pub party: String,
}

/// The partners that sent something about these subjects or were to be told something, with the placement that it stands with.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn known_to(pool: &PgPool, subjects: &[Uuid], partners: &[String]) -> Result<Vec<KnownTo>, StoreFault> {
    let dossiers = dossiers_of(pool, subjects).await?;
    Ok(sqlx::query_as!(
        KnownTo,
        r#"select distinct coalesce(s.merged_into, s.id) as "placement!", p.party as "party!"
           from messages m join subjects s on s.id = m.subject
             join lateral (select m.party union select d.party from deliveries d where d.message = m.id) p on p.party = any($3)
           where m.dossier = any($1) and s.id = any($2) and s.kind = 'placement' order by 1, 2"#,
        &dossiers,
        subjects,
        partners
    )
    .fetch_all(pool)
    .await?)
}

/// The messages that are filed with some subjects.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn messages_of(pool: &PgPool, subjects: &[Uuid]) -> Result<Vec<Uuid>, StoreFault> {
    let dossiers = dossiers_of(pool, subjects).await?;
    let found = sqlx::query_scalar!(
        "select id from messages where dossier = any($1) and subject = any($2)",
        &dossiers,
        subjects
    );
    Ok(found.fetch_all(pool).await?)
}

/// The corridors of some subjects.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn corridors_of(pool: &PgPool, subjects: &[Uuid]) -> Result<Vec<String>, StoreFault> {
    let found = sqlx::query_scalar!("select distinct corridor from subjects where id = any($1) order by 1", subjects);
    Ok(found.fetch_all(pool).await?)
}

/// Records that a backup brought a person back and that this was undone.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn replayed(
    connection: &mut PgConnection,
    erasure: Uuid,
    keys: u64,
    records: bool,
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    sqlx::query!(
        "insert into erasure_replays (erasure, keys, records, at) values ($1, $2, $3, $4)",
        erasure,
        keys as i32,
        records,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The lines of the vault's list, oldest first.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn listed(vault: &PgPool) -> Result<Vec<String>, StoreFault> {
    Ok(sqlx::query_scalar!("select line from erasure_list order by n").fetch_all(vault).await?)
}

/// Adds a line to the vault's list.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn list(vault: &PgPool, erasure: Uuid, line: &str) -> Result<(), StoreFault> {
    sqlx::query!("insert into erasure_list (erasure, line) values ($1, $2)", erasure, line).execute(vault).await?;
    Ok(())
}
