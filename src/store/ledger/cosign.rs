//! What partners' witnesses cosigned of our logs, and the halt of a log of which a witness knows more.

use super::StoreFault;
use crate::ledger::tree::{Frontier, Hash};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// Why a log is halted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// A witness cosigned a larger log than the database holds.
    Rollback,
    /// A witness cosigned another history.
    Fork,
}

impl Halt {
    /// The text form in rows, logs and figures.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Fork => "fork",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Rollback, Self::Fork].into_iter().find(|halt| halt.as_str() == text)
    }
}

/// How a log stands towards its witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its origin.
    pub log: String,
    /// Entries under its newest checkpoint.
    pub size: u64,
    /// The newest checkpoint as signed; `None` of an empty log.
    pub note: Option<String>,
    /// The largest size that a witness cosigned; 0 for none.
    pub cosigned: u64,
    /// Why nothing is appended, and the size that the witness named.
    pub halted: Option<(Halt, u64)>,
}

/// How a log stands.
///
/// # Errors
/// [`StoreFault`].
pub async fn state(pool: &PgPool, log: &str) -> Result<State, StoreFault> {
    let row = sqlx::query!(
        r#"select c.size as "size?", c.note as "note?", h.halted as "halted?", h.witness_size as "witness_size?",
             (select size from cosignatures where log = $1 order by size desc limit 1) as cosigned
           from (select 1) as one
           left join heads h on h.log = $1
           left join lateral (select size, note from commits where log = $1 order by size desc limit 1) as c on true"#,
        log
    );
    let row = row.fetch_one(pool).await?;
    let halted = match (row.halted, row.witness_size) {
        (Some(halted), Some(size)) => {
            let bad = || StoreFault::BadRow { table: "heads", column: "halted", row: log.to_owned() };
            Some((Halt::parse(&halted).ok_or_else(bad)?, size as u64))
        }
        _ => None,
    };
    Ok(State {
        log: log.to_owned(),
        size: row.size.unwrap_or(0) as u64,
        note: row.note,
        cosigned: row.cosigned.unwrap_or(0) as u64,
        halted,
    })
}

/// The root that our checkpoint of a size has; `None` where we signed none of it.
///
/// # Errors
/// [`StoreFault`].
pub async fn root(pool: &PgPool, log: &str, size: u64) -> Result<Option<Hash>, StoreFault> {
    if size == 0 {
        return Ok(Some(Frontier::default().root()));
    }
    let root = sqlx::query_scalar!("select root from commits where log = $1 and size = $2", log, size as i64);
    let bad = |_| StoreFault::BadRow { table: "commits", column: "root", row: format!("{log} {size}") };
    root.fetch_optional(pool).await?.map(|root| Hash::try_from(root).map_err(bad)).transpose()
}

/// Takes the right to submit a log's checkpoints until a moment; `false` while another instance has it.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn lease(
    pool: &PgPool,
    log: &str,
    token: Uuid,
    until: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool, StoreFault> {
    let taken = sqlx::query!(
        "insert into pushes (log, token, until) values ($1, $2, $3)
         on conflict on constraint pushes_pk do update set token = excluded.token, until = excluded.until
           where pushes.until <= $4",
        log,
        token,
        until,
        now
    );
    Ok(taken.execute(pool).await?.rows_affected() == 1)
}

/// Gives the right back.
///
/// # Errors
/// [`StoreFault::Database`], after which it ends by itself.
pub async fn release(pool: &PgPool, log: &str, token: Uuid, now: OffsetDateTime) -> Result<(), StoreFault> {
    let release = sqlx::query!("update pushes set until = $3 where log = $1 and token = $2", log, token, now);
    release.execute(pool).await?;
    Ok(())
}

/// A verified signature line of a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The name of its key.
    pub witness: String,
    /// Its signature type (C2SP signed-note).
    pub signature_type: u8,
    /// The line without its newline.
    pub line: String,
}

/// Keeps verified cosignatures of our checkpoint of `size`, and lets a halted log go on: the witness stands by what is here.
/// Gives whether it was halted.
///
/// # Errors
/// [`StoreFault::Database`]: nothing is known to be kept; the checkpoint is submitted again.
pub async fn keep(
    pool: &PgPool,
    log: &str,
    size: u64,
    lines: &[Line],
    now: OffsetDateTime,
) -> Result<bool, StoreFault> {
    let mut transaction = pool.begin().await?;
    // The empty tree has no checkpoint here; that it was cosigned says that the witness knows nothing more.
    for one in lines.iter().filter(|_| size > 0) {
        sqlx::query!(
            "insert into cosignatures (log, size, witness, signature_type, line, at) values ($1, $2, $3, $4, $5, $6)
             on conflict on constraint cosignatures_pk do nothing",
            log,
            size as i64,
            one.witness,
            i16::from(one.signature_type),
            one.line,
            now
        )
        .execute(&mut *transaction)
        .await?;
    }
    let lifted = sqlx::query!(
        "update heads set halted = null, witness_size = null, halted_at = null where log = $1 and halted is not null",
        log
    );
    let lifted = lifted.execute(&mut *transaction).await?.rows_affected() > 0;
    transaction.commit().await?;
    Ok(lifted)
}

/// Lets a halted log go on whose partner has no witness any more; gives whether it was halted.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn lift(pool: &PgPool, log: &str) -> Result<bool, StoreFault> {
    let lifted = sqlx::query!(
        "update heads set halted = null, witness_size = null, halted_at = null where log = $1 and halted is not null",
        log
    );
    Ok(lifted.execute(pool).await?.rows_affected() > 0)
}

/// Halts a log: after this no instance appends to it. Gives whether it is this call that did; not where a rollback turned out to be
/// another instance that was faster.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn halt(
    pool: &PgPool,
    log: &str,
    why: Halt,
    witness_size: u64,
    now: OffsetDateTime,
) -> Result<bool, StoreFault> {
    let mut transaction = pool.begin().await?;
    sqlx::query!(
        "insert into heads (log, size, root, frontier) values ($1, 0, $2, '') on conflict do nothing",
        log,
        &Frontier::default().root()[..]
    )
    .execute(&mut *transaction)
    .await?;
    let halted = sqlx::query!(
        "update heads set halted = $2, witness_size = $3, halted_at = $4
         where log = $1 and halted is null and ($2 = 'fork' or size < $3)",
        log,
        why.as_str(),
        witness_size as i64,
        now
    );
    let halted = halted.execute(&mut *transaction).await?.rows_affected() > 0;
    transaction.commit().await?;
    Ok(halted)
}

/// A checkpoint with the cosignatures on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// Its entries.
    pub size: u64,
    /// The note: our signature, then the witnesses'.
    pub note: String,
}

/// The first cosigned checkpoint whose tree holds entry `index`.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn first_over(pool: &PgPool, log: &str, index: u64) -> Result<Option<Cosigned>, StoreFault> {
    let row = sqlx::query!(
        "select size from cosignatures where log = $1 and size > $2 order by size limit 1",
        log,
        index as i64
    );
    match row.fetch_optional(pool).await? {
        Some(row) => with_lines(pool, log, row.size).await,
        None => Ok(None),
    }
}

/// The newest cosigned checkpoint.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn newest(pool: &PgPool, log: &str) -> Result<Option<Cosigned>, StoreFault> {
    let row = sqlx::query!("select size from cosignatures where log = $1 order by size desc limit 1", log);
    match row.fetch_optional(pool).await? {
        Some(row) => with_lines(pool, log, row.size).await,
        None => Ok(None),
    }
}

async fn with_lines(pool: &PgPool, log: &str, size: i64) -> Result<Option<Cosigned>, StoreFault> {
    let row = sqlx::query!(
        r#"select c.note, (select string_agg(s.line || e'\n', '' order by s.witness, s.signature_type) from cosignatures s
             where s.log = c.log and s.size = c.size) as lines
           from commits c where c.log = $1 and c.size = $2"#,
        log,
        size
    );
    let row = row.fetch_optional(pool).await?;
    Ok(row.map(|row| Cosigned { size: size as u64, note: row.note + &row.lines.unwrap_or_default() }))
}

/// Leaves among the first `size` of a log that record partners' checkpoints which we cosigned.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn witnessed(pool: &PgPool, log: &str, size: u64) -> Result<u64, StoreFault> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from witnessed where log = $1 and leaf < $2"#,
        log,
        size as i64
    );
    Ok(count.fetch_one(pool).await? as u64)
}
