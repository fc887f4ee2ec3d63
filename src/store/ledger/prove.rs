//! Proofs: a receipt's own, rebuilt from its commit; any other from the few tiles that it needs.

use super::{StoreFault, read_frontier, size, tiles};
use crate::ledger::{
    tile::{self, Path},
    tree::{Commit, Hash, leaf_hash},
};
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

/// The proof that entry `index` is in the tree of the first `size` entries; `None` where the log has no such tree.
///
/// # Errors
/// [`StoreFault`].
pub async fn inclusion(pool: &PgPool, log: &str, index: u64, size: u64) -> Result<Option<Vec<Hash>>, StoreFault> {
    path(pool, log, tile::inclusion(index, size), size).await
}

/// The proof that the tree of the first `new` entries extends that of the first `old`; `None` where the log has no such trees.
///
/// # Errors
/// [`StoreFault`].
pub async fn consistency(pool: &PgPool, log: &str, old: u64, new: u64) -> Result<Option<Vec<Hash>>, StoreFault> {
    path(pool, log, tile::consistency(old, new), new).await
}

/// A path's hashes at a size that the newest checkpoint covers.
async fn path(pool: &PgPool, log: &str, path: Option<Path>, at: u64) -> Result<Option<Vec<Hash>>, StoreFault> {
    let newest = size(pool, log).await?;
    let Some(path) = path.filter(|_| newest.is_some_and(|newest| at <= newest)) else { return Ok(None) };
    let held = tiles::hashes_of(pool, log, &tile::needs(&path, at)).await?;
    let bad = || StoreFault::BadRow { table: "tiles", column: "hashes", row: format!("{log} {at}") };
    tile::hashes(&path, at, &held).map(Some).ok_or_else(bad)
}
