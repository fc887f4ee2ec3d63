//! Appending under the head's lock, inside the transaction of what is recorded.

use super::{StoreFault, read_frontier};
use crate::ledger::{
    note::{Checkpoint, NoteSigner},
    tree::{Commit, Frontier, Hash, leaf_hash},
};
use sqlx::PgConnection;
use time::OffsetDateTime;

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

/// Size and frontier of a log, its head locked until the transaction ends; nothing is appended to a halted log.
async fn locked(connection: &mut PgConnection, log: &str) -> Result<Option<(i64, Vec<u8>)>, StoreFault> {
    let row = sqlx::query!("select size, frontier, halted from heads where log = $1 for update", log);
    match row.fetch_optional(connection).await? {
        Some(row) if row.halted.is_some() => Err(StoreFault::Halted { log: log.to_owned() }),
        row => Ok(row.map(|row| (row.size, row.frontier))),
    }
}
