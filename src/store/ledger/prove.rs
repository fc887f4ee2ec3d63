//! Proofs: a receipt's own, rebuilt from its commit.

use super::{StoreFault, read_frontier};
use crate::ledger::tree::{Commit, Hash, leaf_hash};
use sqlx::PgPool;

/// One entry with the proof and checkpoint of the transaction that stored it: the same ones at every call.
#[derive(Debug)]
pub struct Proven {
    /// The exact line.
    pub entry: String,
    /// Inclusion proof at the checkpoint's size.
    pub path: Vec<Hash>,
    /// The signed checkpoint.
    pub note: String,
}

/// Rebuilds the proof of entry `index`; `None` where the log has no such entry.
///
/// # Errors
/// [`StoreFault`]; [`StoreFault::BadRow`] where a stored commit contradicts its entries.
pub async fn prove(pool: &PgPool, log: &str, index: u64) -> Result<Option<Proven>, StoreFault> {
    let row = sqlx::query!(
        "select size, size_before, frontier_before, note from commits where log = $1 and size > $2 order by size limit 1",
        log,
        index as i64
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let before = read_frontier(row.size_before, &row.frontier_before, "commits", log)?;
    let entries = sqlx::query_scalar!(
        "select entry from entries where log = $1 and idx >= $2 and idx < $3 order by idx",
        log,
        row.size_before,
        row.size
    )
    .fetch_all(pool)
    .await?;
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry.as_bytes())).collect();
    let bad = || StoreFault::BadRow { table: "commits", column: "size_before", row: format!("{log} {index}") };
    let path = Commit::new(&before, &leaves).inclusion(index).ok_or_else(bad)?;
    let at = usize::try_from(index - before.size()).map_err(|_| bad())?;
    let entry = entries.into_iter().nth(at).ok_or_else(bad)?;
    Ok(Some(Proven { entry, path, note: row.note }))
}
