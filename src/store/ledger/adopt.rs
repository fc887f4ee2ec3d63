//! Bringing a log forward from a copy that somebody else kept, after the restore of an old backup: entries are taken over under a
//! checkpoint that we signed once, and only where they lead from the tree that is here to exactly its root. Nothing is signed anew.

use super::{StoreFault, read_frontier};
use crate::ledger::{
    entry::{Entry, EntryKind},
    note::Signed,
    tile::{Tile, WIDTH},
    tree::{Frontier, leaf_hash},
};
use sqlx::PgPool;
use std::collections::HashMap;
use time::OffsetDateTime;

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub enum AdoptFault<E> {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The copy cannot be read.
    #[error("{0}")]
    Copy(E),
    /// The copy ends before the log does, or with it.
    #[error("the copy is of {copy} entries and the log here has {here}: there is nothing to take over")]
    NothingNew {
        /// Entries of the copy.
        copy: u64,
        /// Entries here.
        here: u64,
    },
    /// The copy lacks something.
    #[error("the copy has no entry {index}, or none that is an entry")]
    NoEntry {
        /// Its index.
        index: u64,
    },
    /// The copy's entries after ours do not lead to its checkpoint.
    #[error(
        "the copy does not continue the log that is here: its {copy} entries have another history than the {here} here"
    )]
    OtherHistory {
        /// Entries of the copy.
        copy: u64,
        /// Entries here.
        here: u64,
    },
}

/// What was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// Entries before.
    pub from: u64,
    /// Entries now.
    pub to: u64,
    /// How many of each kind.
    pub kinds: HashMap<EntryKind, u64>,
}

/// Takes over what `signed`, a checkpoint of ours whose signature was verified, has after the log that is here; `read` gives the entries
/// of a bundle. All or nothing, whether or not the log is halted: a witness decides afterwards whether it may go on.
///
/// # Errors
/// [`AdoptFault`].
pub async fn adopt<E>(
    pool: &PgPool,
    signed: &Signed,
    now: OffsetDateTime,
    read: &mut (dyn FnMut(Tile) -> Result<Vec<Vec<u8>>, E> + Send),
) -> Result<Adopted, AdoptFault<E>> {
    let checkpoint = &signed.checkpoint;
    let log = checkpoint.origin.as_str();
    let mut transaction = pool.begin().await.map_err(StoreFault::from)?;
    sqlx::query!(
        "insert into heads (log, size, root, frontier) values ($1, 0, $2, '') on conflict do nothing",
        log,
        &Frontier::default().root()[..]
    )
    .execute(&mut *transaction)
    .await
    .map_err(StoreFault::from)?;
    let head = sqlx::query!("select size, frontier from heads where log = $1 for update", log);
    let head = head.fetch_one(&mut *transaction).await.map_err(StoreFault::from)?;
    let before = read_frontier(head.size, &head.frontier, "heads", log)?;
    let (here, copy) = (before.size(), checkpoint.size);
    if copy <= here {
        return Err(AdoptFault::NothingNew { copy, here });
    }
    let (mut tree, mut kinds) = (before.clone(), HashMap::new());
    for index in here / WIDTH.. {
        let Some(tile) = Tile::of(0, index, copy) else { break };
        let known = tree.size() - index * WIDTH;
        let lines = read(tile).map_err(AdoptFault::Copy)?;
        let first = tree.size();
        let mut entries = Vec::with_capacity(lines.len());
        for line in lines.into_iter().skip(usize::try_from(known).unwrap_or(usize::MAX)) {
            let index = tree.size();
            let line = String::from_utf8(line).map_err(|_| AdoptFault::NoEntry { index })?;
            let entry = Entry::decode(&line).map_err(|_| AdoptFault::NoEntry { index })?;
            *kinds.entry(entry.kind).or_default() += 1;
            tree.append(leaf_hash(line.as_bytes()));
            entries.push(line);
        }
        if tree.size() != index * WIDTH + u64::from(tile.width) {
            return Err(AdoptFault::NoEntry { index: tree.size() });
        }
        sqlx::query!(
            "insert into entries (log, idx, entry)
             select $1, $2 + n - 1, entry from unnest($3::text[]) with ordinality as t (entry, n)",
            log,
            first as i64,
            &entries
        )
        .execute(&mut *transaction)
        .await
        .map_err(StoreFault::from)?;
    }
    if tree.root() != checkpoint.root {
        return Err(AdoptFault::OtherHistory { copy, here });
    }
    sqlx::query!(
        "with head as (update heads set size = $2, root = $5, frontier = $8 where log = $1)
         insert into commits (log, size, size_before, frontier_before, root, note, at) values ($1, $2, $3, $4, $5, $6, $7)",
        log,
        copy as i64,
        here as i64,
        before.to_bytes(),
        &checkpoint.root[..],
        signed.note,
        now,
        tree.to_bytes()
    )
    .execute(&mut *transaction)
    .await
    .map_err(StoreFault::from)?;
    transaction.commit().await.map_err(StoreFault::from)?;
    Ok(Adopted { from: here, to: copy, kinds })
}
