//! Checking a whole log: every row of it against the tree that is recomputed from its entries.

use super::{StoreFault, tiles, time_stamps};
use crate::ledger::{
    audit::{Audit, Checked},
    note::{Checkpoint, VerifierKey},
    tile::{self, Resource, Tile, WIDTH},
    tree::{Frontier, Hash},
};
use crate::trust::time_stamp::Roots;
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeMap;

/// Entries are read in pieces of this many rows.
const ROWS: i64 = 4_096;
/// Rows that should not be there are named up to this many of a kind.
const STRAYS: i64 = 20;

/// Recomputes a log from its first leaf in constant memory: every entry is canonical and in its place, every checkpoint has
/// the recomputed root and a valid signature and begins where the one before it ended, every cosignature and time-stamp verifies, every
/// stored tile is of these entries and none is missing before a later one, the head is the last of them, and every message has its
/// leaf.
///
/// # Errors
/// [`StoreFault::Database`]; what is wrong with the log itself stands in [`Checked::faults`].
pub async fn check(pool: &PgPool, log: &str, keys: &[VerifierKey]) -> Result<Checked, StoreFault> {
    check_against(pool, log, keys, None, None, &mut |_| ()).await
}

/// As [`check`], and the log extends a checkpoint that somebody kept, and `roots` vouch for whoever stamped it. Tells `told` how many entries are behind it.
///
/// # Errors
/// As [`check`].
pub async fn check_against(
    pool: &PgPool,
    log: &str,
    keys: &[VerifierKey],
    kept: Option<&Checkpoint>,
    roots: Option<&Roots>,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<Checked, StoreFault> {
    // One snapshot: a log that grows meanwhile is checked as it stood.
    let mut snapshot = pool.begin_with("begin isolation level repeatable read, read only").await?;
    let mut audit = Audit::new(log, keys, kept);
    let due = tiles_due(&mut snapshot, log).await?;
    let mut before = Frontier::default();
    loop {
        let from = audit.size() as i64;
        let rows = sqlx::query!(
            "select idx, entry from entries where log = $1 and idx >= $2 order by idx limit $3",
            log,
            from,
            ROWS
        )
        .fetch_all(&mut *snapshot)
        .await?;
        let Some(last) = rows.last().map(|row| row.idx) else { break };
        let mut commits = sqlx::query!(
            "select size, size_before, frontier_before, root, note from commits
             where log = $1 and size > $2 and size <= $3 order by size",
            log,
            from,
            last + 1
        )
        .fetch_all(&mut *snapshot)
        .await?
        .into_iter()
        .peekable();
        let cosigned = sqlx::query!(
            "select size, witness, line from cosignatures where log = $1 and size > $2 and size <= $3
             order by size, witness, signature_type",
            log,
            from,
            last + 1
        );
        let mut cosigned = cosigned.fetch_all(&mut *snapshot).await?.into_iter().peekable();
        let stamped = sqlx::query!(
            "select size, token, gen_time, authority from time_stamps where log = $1 and size > $2 and size <= $3 order by size",
            log,
            from,
            last + 1
        );
        let mut stamped = stamped.fetch_all(&mut *snapshot).await?.into_iter().peekable();
        let mut filled = Vec::new();
        for row in rows {
            if row.idx != audit.size() as i64 {
                audit.fault(format!("entry {} is missing", audit.size()));
                compare(&mut snapshot, &mut audit, log, &filled, &due).await?;
                return Ok(audit.finish());
            }
            filled.extend(audit.entry(row.entry.as_bytes()));
            while let Some(commit) = commits.next_if(|commit| commit.size == audit.size() as i64) {
                audit.checkpoint(&commit.note);
                if commit.root != audit.tree().root() {
                    audit.fault(format!("the root beside checkpoint {} is not of these entries", commit.size));
                }
                if commit.size_before as u64 != before.size() || commit.frontier_before != before.to_bytes() {
                    audit.fault(format!("checkpoint {} does not begin where the one before it ended", commit.size));
                }
                before = audit.tree().clone();
                while let Some(one) = cosigned.next_if(|one| one.size == commit.size) {
                    audit.cosignature(&commit.note, &one.witness, &one.line);
                }
                if let Some(one) = stamped.next_if(|one| one.size == commit.size) {
                    let beside = (one.gen_time, one.authority.as_str());
                    audit.time_stamp(time_stamps::wrong(&commit.note, &one.token, beside, roots));
                }
            }
            while let Some(one) = cosigned.next_if(|one| one.size == audit.size() as i64) {
                audit.fault(format!("{} cosigned checkpoint {}, which is not here", one.witness, one.size));
            }
            while let Some(one) = stamped.next_if(|one| one.size == audit.size() as i64) {
                audit.fault(format!("{} stamped checkpoint {}, which is not here", one.authority, one.size));
            }
        }
        compare(&mut snapshot, &mut audit, log, &filled, &due).await?;
        told(audit.size());
    }
    strays(&mut snapshot, &mut audit, log, before.size()).await?;
    Ok(audit.finish())
}

/// How many tiles of each level must be stored: as many as the last of the level says, or the last of the level above, which was
/// built from them.
async fn tiles_due(connection: &mut PgConnection, log: &str) -> Result<BTreeMap<u8, u64>, StoreFault> {
    let rows = sqlx::query!(
        r#"select l.level as "level!", (select max(idx) from tiles t where t.log = $1 and t.level = l.level) as idx
           from generate_series(0, 7) as l (level)"#,
        log
    );
    let last: BTreeMap<u8, u64> = rows
        .fetch_all(connection)
        .await?
        .into_iter()
        .filter_map(|row| Some((row.level as u8, row.idx? as u64)))
        .collect();
    let mut due = BTreeMap::new();
    let mut above = 0u64;
    for level in (0..=7).rev() {
        let own = last.get(&level).map_or(0, |last| last.saturating_add(1));
        above = above.saturating_mul(WIDTH).max(own);
        due.insert(level, above);
    }
    Ok(due)
}

/// Compares what is stored of some tiles with what follows from the entries.
async fn compare(
    connection: &mut PgConnection,
    audit: &mut Audit<'_>,
    log: &str,
    filled: &[(Tile, Vec<Hash>)],
    due: &BTreeMap<u8, u64>,
) -> Result<(), StoreFault> {
    let mut stored = tiles::stored(connection, log, filled.iter().map(|(tile, _)| *tile)).await?;
    for (tile, hashes) in filled {
        let name = Resource::Hashes(*tile);
        match stored.remove(&(tile.level, tile.index)) {
            Some(found) => {
                audit.tile(*tile, &found.hashes, hashes);
                if tile::root_of(hashes).is_none_or(|root| found.root != root) {
                    audit.fault(format!("the root beside tile {name} is not of these entries"));
                }
            }
            None if due.get(&tile.level).is_some_and(|due| tile.index < *due) => {
                audit.fault(format!("tile {name} is missing before others that are stored"));
            }
            // Not built yet.
            None => {}
        }
    }
    Ok(())
}

/// What is stored beside the tree of all entries: a head of another, rows beyond it, messages without a leaf.
async fn strays(
    connection: &mut PgConnection,
    audit: &mut Audit<'_>,
    log: &str,
    covered: u64,
) -> Result<(), StoreFault> {
    let size = audit.size();
    let head = sqlx::query!("select size, root, frontier from heads where log = $1", log);
    let head = head.fetch_optional(&mut *connection).await?;
    let tree = audit.tree();
    if head.is_none_or(|head| head.size != size as i64 || head.root != tree.root() || head.frontier != tree.to_bytes())
    {
        audit.fault(format!("the head is not the tree of the {size} entries"));
    }
    if covered != size {
        audit.fault(format!("the newest checkpoint is of {covered} entries and there are {size}"));
    }
    let beyond = sqlx::query_scalar!(
        "(select size from commits where log = $1 and size > $2 order by size limit $3)
         union all (select size from commits where log = $1 and size < 1 order by size limit $3)",
        log,
        size as i64,
        STRAYS
    );
    for size in beyond.fetch_all(&mut *connection).await?.into_iter().flatten() {
        audit.fault(format!("checkpoint {size} is of more entries than there are, or of none"));
    }
    let known = sqlx::query!(
        "select size, witness from cosignatures where log = $1 and size > $2 order by size desc limit 1",
        log,
        size as i64
    );
    if let Some(known) = known.fetch_optional(&mut *connection).await? {
        audit.fault(format!("{} cosigned {} entries and there are only {size}", known.witness, known.size));
    }
    let known = sqlx::query!(
        "select size, authority from time_stamps where log = $1 and size > $2 order by size desc limit 1",
        log,
        size as i64
    );
    if let Some(known) = known.fetch_optional(&mut *connection).await? {
        audit.fault(format!("{} stamped {} entries and there are only {size}", known.authority, known.size));
    }
    let negative =
        sqlx::query_scalar!("select idx from entries where log = $1 and idx < 0 order by idx limit $2", log, STRAYS);
    for place in negative.fetch_all(&mut *connection).await? {
        audit.fault(format!("entry {place} has no place in the log"));
    }
    let foreign = sqlx::query!(
        r#"(select t.level as "level!", t.idx as "idx!" from generate_series(0, 6) as l (level)
            join tiles t on t.log = $1 and t.level = l.level and t.idx >= $2 >> (8 * (l.level + 1)) limit $3)
           union all
           (select level, idx from tiles where log = $1 and (level < 0 or level > 6 or idx < 0) limit $3)"#,
        log,
        size as i64,
        STRAYS
    );
    for tile in foreign.fetch_all(&mut *connection).await? {
        audit.fault(format!("tile {}/{} is of more entries than there are", tile.level, tile.idx));
    }
    let astray = sqlx::query_scalar!(
        r#"select count(*) as "count!" from messages m left join entries e on e.log = m.log and e.idx = m.leaf
           where m.log = $1 and (e.idx is null or position('"outcome":"' || m.outcome || '"' in e.entry) = 0)"#,
        log
    )
    .fetch_one(&mut *connection)
    .await?;
    if astray > 0 {
        audit.fault(format!("{astray} messages have no leaf of their outcome"));
    }
    Ok(())
}
