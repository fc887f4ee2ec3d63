//! The ledger's rows: appending under the head's lock, rebuilding a receipt's proof, and checking a whole log.

use super::StoreFault;
use crate::ledger::{
    entry::Entry,
    note::{Checkpoint, NoteSigner, Signed, VerifierKey},
    tree::{Commit, Frontier, Hash, leaf_hash},
};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

/// Entries are read in pieces of this many rows when a whole log is checked.
const CHECK_ROWS: i64 = 4_096;

/// What one transaction appended to one log.
#[derive(Debug)]
pub struct Appended {
    /// Index of the first new leaf.
    pub first: u64,
    /// Proofs of the new leaves.
    pub commit: Commit,
    /// The signed checkpoint.
    pub note: String,
}

/// Appends `entries` to `log` inside the caller's transaction and signs the new checkpoint. Takes the head's lock: the
/// caller takes heads last and in the order of their names.
///
/// # Errors
/// [`StoreFault`]; the transaction must then be rolled back.
pub async fn append(
    connection: &mut PgConnection,
    log: &str,
    entries: &[String],
    signer: &NoteSigner,
    now: OffsetDateTime,
) -> Result<Appended, StoreFault> {
    let (size, frontier) = match locked(connection, log).await? {
        Some(head) => head,
        None => {
            sqlx::query!(
                "insert into heads (log, size, root, frontier) values ($1, 0, $2, '') on conflict do nothing",
                log,
                &Frontier::default().root()[..]
            )
            .execute(&mut *connection)
            .await?;
            locked(connection, log).await?.ok_or(StoreFault::RowCount { statement: "first head", rows: 0 })?
        }
    };
    let before = read_frontier(size, &frontier, "heads", log)?;
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry.as_bytes())).collect();
    let commit = Commit::new(&before, &leaves);
    let mut after = before.clone();
    leaves.iter().for_each(|leaf| after.append(*leaf));
    let root = after.root();
    let note = signer.sign(&Checkpoint { origin: log.to_owned(), size: after.size(), root }.to_text());
    let (first, size) = (before.size() as i64, after.size() as i64);
    sqlx::query!(
        "with leaves as (
           insert into entries (log, idx, entry)
           select $1, $3 + n - 1, entry from unnest($8::text[]) with ordinality as t (entry, n)
         ), head as (
           update heads set size = $2, root = $5, frontier = $9 where log = $1
         )
         insert into commits (log, size, size_before, frontier_before, root, note, at) values ($1, $2, $3, $4, $5, $6, $7)",
        log,
        size,
        first,
        before.to_bytes(),
        &root[..],
        note,
        now,
        entries,
        after.to_bytes()
    )
    .execute(&mut *connection)
    .await?;
    Ok(Appended { first: before.size(), commit, note })
}

/// Size and frontier of a log, its head locked until the transaction ends.
async fn locked(connection: &mut PgConnection, log: &str) -> Result<Option<(i64, Vec<u8>)>, StoreFault> {
    let row = sqlx::query!("select size, frontier from heads where log = $1 for update", log);
    Ok(row.fetch_optional(connection).await?.map(|row| (row.size, row.frontier)))
}

/// The newest signed checkpoint of a log.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn checkpoint(pool: &PgPool, log: &str) -> Result<Option<String>, StoreFault> {
    let note = sqlx::query_scalar!("select note from commits where log = $1 order by size desc limit 1", log);
    Ok(note.fetch_optional(pool).await?)
}

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

/// The origins of all logs, in order.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn logs(pool: &PgPool) -> Result<Vec<String>, StoreFault> {
    Ok(sqlx::query_scalar!("select log from heads order by log").fetch_all(pool).await?)
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
                let checkpoint = Signed::open(&commit.note, keys).map(|signed| signed.checkpoint);
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

fn read_frontier(size: i64, bytes: &[u8], table: &'static str, log: &str) -> Result<Frontier, StoreFault> {
    Frontier::from_bytes(size as u64, bytes).ok_or_else(|| StoreFault::BadRow {
        table,
        column: "frontier",
        row: log.to_owned(),
    })
}
