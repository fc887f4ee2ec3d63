//! Time-stamps of checkpoints as rows: which checkpoint is to be stamped next, and what was kept.
//!
//! What is due follows from rows alone: entries that wait are there after a crash as before it.

use super::StoreFault;
use crate::trust::time_stamp::{Roots, Token};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

/// Stamped checkpoints are read in pieces of this many.
const ROWS: i64 = 256;

/// A checkpoint that is to be stamped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its entries.
    pub size: u64,
    /// The note with our signature alone: what is stamped, byte for byte.
    pub note: String,
}

/// The newest checkpoint of a log, if one that is not covered by a time-stamp was signed before `until`, or an entry that is not covered
/// is to be stamped at once.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn due(pool: &PgPool, log: &str, until: OffsetDateTime) -> Result<Option<Due>, StoreFault> {
    let row = sqlx::query!(
        r#"with stamped as (select coalesce((select size from time_stamps where log = $1 order by size desc limit 1), 0) as size)
           select newest.size as "size!", newest.note as "note!"
           from stamped,
             lateral (select size, note from commits where log = $1 order by size desc limit 1) as newest,
             lateral (select at from commits where log = $1 and size > stamped.size order by size limit 1) as oldest
           where oldest.at <= $2
             or exists (select from time_stamps_due d where d.log = $1 and d.leaf >= stamped.size and d.leaf < newest.size)"#,
        log,
        until
    );
    Ok(row.fetch_optional(pool).await?.map(|row| Due { size: row.size as u64, note: row.note }))
}

/// Keeps a time-stamp of our checkpoint of `size`. Another instance may have been faster: the first one counts.
///
/// # Errors
/// [`StoreFault::Database`]: nothing is known to be kept; the checkpoint is stamped again.
pub async fn keep(pool: &PgPool, log: &str, size: u64, token: &Token, now: OffsetDateTime) -> Result<(), StoreFault> {
    let insert = sqlx::query!(
        "insert into time_stamps (log, size, token, gen_time, authority, at) values ($1, $2, $3, $4, $5, $6)
         on conflict on constraint time_stamps_pk do nothing",
        log,
        size as i64,
        token.to_der(),
        token.time(),
        token.authority(),
        now
    );
    insert.execute(pool).await?;
    Ok(())
}

/// A stamped checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// Its entries.
    pub size: u64,
    /// The note as stamped.
    pub note: String,
    /// The token, DER.
    pub token: Vec<u8>,
}

/// The first stamped checkpoint whose tree holds entry `index`.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn first_over(pool: &PgPool, log: &str, index: u64) -> Result<Option<Stamped>, StoreFault> {
    let row = sqlx::query!(
        "select s.size, s.token, c.note from time_stamps s join commits c on c.log = s.log and c.size = s.size
         where s.log = $1 and s.size > $2 order by s.size limit 1",
        log,
        index as i64
    );
    let row = row.fetch_optional(pool).await?;
    Ok(row.map(|row| Stamped { size: row.size as u64, note: row.note, token: row.token }))
}

/// How far a log is stamped: the largest stamped size, 0 for none, and when the oldest checkpoint beyond it was signed.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn state(pool: &PgPool, log: &str) -> Result<(u64, Option<OffsetDateTime>), StoreFault> {
    let row = sqlx::query!(
        r#"with stamped as (select coalesce((select size from time_stamps where log = $1 order by size desc limit 1), 0) as size)
           select size as "size!",
             (select at from commits where log = $1 and commits.size > stamped.size order by commits.size limit 1) as at
           from stamped"#,
        log
    );
    let row = row.fetch_one(pool).await?;
    Ok((row.size as u64, row.at))
}

/// Some stamped checkpoints of a log beyond `after` entries, in order.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn beyond(pool: &PgPool, log: &str, after: u64) -> Result<Vec<Stamped>, StoreFault> {
    let rows = sqlx::query!(
        "select s.size, s.token, c.note from time_stamps s join commits c on c.log = s.log and c.size = s.size
         where s.log = $1 and s.size > $2 order by s.size limit $3",
        log,
        after as i64,
        ROWS
    );
    let rows = rows.fetch_all(pool).await?.into_iter();
    Ok(rows.map(|row| Stamped { size: row.size as u64, note: row.note, token: row.token }).collect())
}

/// Notes entries whose checkpoint is to be stamped at once, in the transaction that appends them.
pub(in crate::store) async fn at_once(
    connection: &mut PgConnection,
    logs: &[String],
    leaves: &[i64],
) -> Result<(), StoreFault> {
    if leaves.is_empty() {
        return Ok(());
    }
    let insert = sqlx::query!(
        "insert into time_stamps_due (log, leaf) select * from unnest($1::text[], $2::bigint[])",
        logs,
        leaves
    );
    insert.execute(connection).await?;
    Ok(())
}

/// What is wrong with a kept token, beside the checkpoint that it is of and what else its row says.
pub(super) fn wrong(
    note: &str,
    token: &[u8],
    (gen_time, authority): (OffsetDateTime, &str),
    roots: Option<&Roots>,
) -> Option<String> {
    // PostgreSQL keeps microseconds.
    let micros = |time: OffsetDateTime| time.unix_timestamp_nanos() / 1_000;
    match Token::of(note.as_bytes(), token, roots) {
        Err(fault) => Some(fault.to_string()),
        Ok(token) if micros(token.time()) != micros(gen_time) || token.authority() != authority => {
            Some("The row beside it says another time or authority.".to_owned())
        }
        Ok(_) => None,
    }
}
