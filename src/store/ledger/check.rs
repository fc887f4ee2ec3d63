//! Checking a whole log.

use super::StoreFault;
use crate::ledger::{
    entry::Entry,
    note::{self, Checkpoint, VerifierKey},
    tree::{Frontier, leaf_hash},
};
use sqlx::PgPool;

/// Entries are read in pieces of this many rows when a whole log is checked.
const CHECK_ROWS: i64 = 4_096;

/// What a whole-log check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The log's origin.
    pub log: String,
    /// Leaves hashed.
    pub size: u64,
    /// Checkpoints compared.
    pub checkpoints: u64,
    /// Every fault, in plain words; empty for a log that holds.
    pub faults: Vec<String>,
}

/// Recomputes a log from its first leaf in constant memory: every entry is canonical and in its place, every checkpoint has
/// the recomputed root and a valid signature, the head is the last of them, and every message has its leaf.
///
/// # Errors
/// [`StoreFault::Database`]; what is wrong with the log itself stands in [`Checked::faults`].
pub async fn check(pool: &PgPool, log: &str, keys: &[VerifierKey]) -> Result<Checked, StoreFault> {
    let mut tree = Frontier::default();
    let mut checked = Checked { log: log.to_owned(), size: 0, checkpoints: 0, faults: Vec::new() };
    loop {
        let from = tree.size() as i64;
        let rows = sqlx::query!(
            "select idx, entry from entries where log = $1 and idx >= $2 order by idx limit $3",
            log,
            from,
            CHECK_ROWS
        )
        .fetch_all(pool)
        .await?;
        let Some(last) = rows.last().map(|row| row.idx) else { break };
        let mut commits = sqlx::query!(
            "select size, size_before, frontier_before, root, note from commits where log = $1 and size > $2 and size <= $3 order by size",
            log,
            from,
            last + 1
        )
        .fetch_all(pool)
        .await?
        .into_iter()
        .peekable();
        for row in rows {
            if row.idx != tree.size() as i64 {
                checked.faults.push(format!("entry {} is missing", tree.size()));
                return Ok(checked);
            }
            if Entry::decode(&row.entry).is_err() {
                checked.faults.push(format!("entry {} is not canonical", row.idx));
            }
            tree.append(leaf_hash(row.entry.as_bytes()));
            while let Some(commit) = commits.next_if(|commit| commit.size == tree.size() as i64) {
                checked.checkpoints += 1;
                let checkpoint = note::open(&commit.note, keys).and_then(Checkpoint::parse);
                let expected = Checkpoint { origin: log.to_owned(), size: tree.size(), root: tree.root() };
                if checkpoint.as_ref() != Ok(&expected) || commit.root != tree.root() {
                    checked
                        .faults
                        .push(format!("checkpoint {} is not of these entries or not signed by us", commit.size));
                }
                if Frontier::from_bytes(commit.size_before as u64, &commit.frontier_before).is_none() {
                    checked.faults.push(format!("checkpoint {} starts from a malformed frontier", commit.size));
                }
            }
        }
    }
    checked.size = tree.size();
    let head = sqlx::query!("select size, root from heads where log = $1", log).fetch_optional(pool).await?;
    if head.is_none_or(|head| head.size != tree.size() as i64 || head.root != tree.root()) {
        checked.faults.push(format!("the head is not the tree of the {} entries", tree.size()));
    }
    let astray = sqlx::query_scalar!(
        r#"select count(*) as "count!" from messages m left join entries e on e.log = m.log and e.idx = m.leaf
           where m.log = $1 and (e.idx is null or position('"outcome":"' || m.outcome || '"' in e.entry) = 0)"#,
        log
    )
    .fetch_one(pool)
    .await?;
    if astray > 0 {
        checked.faults.push(format!("{astray} messages have no leaf of their outcome"));
    }
    Ok(checked)
}
