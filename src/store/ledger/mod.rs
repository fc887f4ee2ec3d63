//! The ledger's rows: appending under the head's lock, rebuilding a receipt's proof, and checking a whole log.
//!
//! What an entry says and what a proof is stands in [`crate::ledger`].

mod append;
mod check;
mod prove;

pub use append::{Appended, append};
pub use check::{Checked, check};
pub use prove::{Proven, prove};

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

/// The origins of all logs, in order.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn logs(pool: &PgPool) -> Result<Vec<String>, StoreFault> {
    Ok(sqlx::query_scalar!("select log from heads order by log").fetch_all(pool).await?)
}

fn read_frontier(size: i64, bytes: &[u8], table: &'static str, log: &str) -> Result<Frontier, StoreFault> {
    Frontier::from_bytes(size as u64, bytes).ok_or_else(|| StoreFault::BadRow {
        table,
        column: "frontier",
        row: log.to_owned(),
    })
}
