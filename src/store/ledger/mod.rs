//! The ledger's rows: appending under the head's lock, tiles beside it, proofs, cosignatures, time-stamps, and checking a whole log.
//!
//! What an entry says and what a proof is stands in [`crate::ledger`].

mod adopt;
mod append;
mod check;
pub mod cosign;
mod prove;
mod tiles;
pub mod time_stamps;

pub use adopt::{AdoptFault, Adopted, adopt};
pub use append::{Appended, append};
pub use check::{check, check_against};
pub use prove::{Proven, consistency, inclusion, prove};
pub use tiles::{build, entries, read};

use super::StoreFault;
use crate::ledger::tree::Frontier;
use sqlx::PgPool;

/// The newest signed checkpoint of a log.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn checkpoint(pool: &PgPool, log: &str) -> Result<Option<String>, StoreFault> {
    let note = sqlx::query_scalar!("select note from commits where log = $1 order by size desc limit 1", log);
    Ok(note.fetch_optional(pool).await?)
}

/// Entries under the newest checkpoint; `None` of a log that has none.
async fn size(pool: &PgPool, log: &str) -> Result<Option<u64>, StoreFault> {
    let size = sqlx::query_scalar!("select size from commits where log = $1 order by size desc limit 1", log);
    Ok(size.fetch_optional(pool).await?.map(|size| size as u64))
}

/// The origins of all logs, in order: of every one that a row of the ledger names, so that none is hidden by taking its head away.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn logs(pool: &PgPool) -> Result<Vec<String>, StoreFault> {
    // Each step jumps to the next name by the key: as many steps as there are logs, however many rows they have.
    let logs = sqlx::query_scalar!(
        r#"with recursive
           of_entries (log) as (select min(log) from entries union all
             select (select min(e.log) from entries e where e.log > o.log) from of_entries o where o.log is not null),
           of_commits (log) as (select min(log) from commits union all
             select (select min(c.log) from commits c where c.log > o.log) from of_commits o where o.log is not null),
           of_tiles (log) as (select min(log) from tiles union all
             select (select min(t.log) from tiles t where t.log > o.log) from of_tiles o where o.log is not null),
           of_cosignatures (log) as (select min(log) from cosignatures union all
             select (select min(s.log) from cosignatures s where s.log > o.log) from of_cosignatures o where o.log is not null),
           of_time_stamps (log) as (select min(log) from time_stamps union all
             select (select min(s.log) from time_stamps s where s.log > o.log) from of_time_stamps o where o.log is not null)
           select log as "log!" from (select log from heads union select log from of_entries union select log from of_commits
             union select log from of_tiles union select log from of_cosignatures union select log from of_time_stamps) as named
           where log is not null order by log"#
    );
    Ok(logs.fetch_all(pool).await?)
}

fn read_frontier(size: i64, bytes: &[u8], table: &'static str, log: &str) -> Result<Frontier, StoreFault> {
    Frontier::from_bytes(size as u64, bytes).ok_or_else(|| StoreFault::BadRow {
        table,
        column: "frontier",
        row: log.to_owned(),
    })
}
