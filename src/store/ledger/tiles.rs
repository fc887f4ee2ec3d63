//! Tiles: full ones are stored once, after the entries under them were committed; any other is computed when it is asked for.
//!
//! A level is stored from its first tile on without a gap, so building goes on after the last. A gap below it was made by somebody
//! who may more than the gateway: it is bridged for who asks, not filled, so that a check still finds it.

use super::{StoreFault, size};
use crate::ledger::{
    tile::{self, Resource, Tile, WIDTH},
    tree::{Hash, leaf_hash},
};
use futures_util::future::BoxFuture;
use sqlx::{PgConnection, PgPool};
use std::collections::{BTreeMap, BTreeSet};

/// The highest level of which a log of 2^63 leaves has full tiles.
const LEVEL_MAX: u8 = 6;
/// Tiles of one level built by one statement: 128 KiB of hashes.
const BATCH: u64 = 16;

/// Builds some of the full tiles that are not stored yet, lowest level first; gives how many, 0 when there are none left. May run
/// beside itself and beside appends.
///
/// # Errors
/// [`StoreFault`]; what was built before stands.
pub async fn build(pool: &PgPool, log: &str) -> Result<u64, StoreFault> {
    let Some(size) = size(pool, log).await? else { return Ok(0) };
    let (mut built, mut below) = (0, size);
    for level in 0..=LEVEL_MAX {
        let last = sqlx::query_scalar!(
            "select idx from tiles where log = $1 and level = $2 order by idx desc limit 1",
            log,
            i16::from(level)
        );
        let from = last.fetch_optional(pool).await?.map_or(0, |last| last as u64 + 1);
        let until = (below / WIDTH).min(from + BATCH).max(from);
        let (mut places, mut hashes, mut roots) = (Vec::new(), Vec::new(), Vec::new());
        for index in from..until {
            let computed = compute(pool, log, Tile { level, index, width: WIDTH as u16 }).await?;
            places.push(index as i64);
            roots.push(root(&computed, log)?.to_vec());
            hashes.push(computed.concat());
        }
        if !places.is_empty() {
            let insert = sqlx::query!(
                "insert into tiles (log, level, idx, root, hashes)
                 select $1, $2, idx, root, hashes from unnest($3::bigint[], $4::bytea[], $5::bytea[]) as t (idx, root, hashes)
                 on conflict do nothing",
                log,
                i16::from(level),
                &places,
                &roots,
                &hashes
            );
            insert.execute(pool).await?;
        }
        built += until - from;
        below = until;
    }
    Ok(built)
}

/// What a path below `tile/` names, in bytes; `None` where the newest checkpoint does not cover it.
///
/// # Errors
/// [`StoreFault`].
pub async fn read(pool: &PgPool, log: &str, resource: Resource) -> Result<Option<Vec<u8>>, StoreFault> {
    let (Resource::Hashes(tile) | Resource::Entries(tile)) = resource;
    let size = size(pool, log).await?.unwrap_or(0);
    let Some(end) = tile.end().filter(|end| *end <= size) else { return Ok(None) };
    match resource {
        Resource::Hashes(tile) => {
            let mut held = hashes_of(pool, log, &BTreeSet::from([tile])).await?;
            Ok(held.remove(&tile).map(|hashes| hashes.concat()))
        }
        Resource::Entries(tile) => {
            let lines = entries(pool, log, end - u64::from(tile.width), tile.width).await?;
            let bundle = tile::bundle(lines.iter().map(String::as_bytes));
            bundle.map(Some).ok_or_else(|| bad("entries", "entry", log, tile.index * WIDTH))
        }
    }
}

/// `count` entries from `first` on, in order.
///
/// # Errors
/// [`StoreFault`]; [`StoreFault::BadRow`] where one is missing.
pub async fn entries(pool: &PgPool, log: &str, first: u64, count: u16) -> Result<Vec<String>, StoreFault> {
    let lines = sqlx::query_scalar!(
        "select entry from entries where log = $1 and idx >= $2 and idx < $3 order by idx",
        log,
        first as i64,
        first as i64 + i64::from(count)
    );
    let lines = lines.fetch_all(pool).await?;
    if lines.len() == usize::from(count) { Ok(lines) } else { Err(bad("entries", "idx", log, first)) }
}

/// The hashes of tiles that the log covers: from the stored tile where there is one.
pub(super) async fn hashes_of(
    pool: &PgPool,
    log: &str,
    tiles: &BTreeSet<Tile>,
) -> Result<BTreeMap<Tile, Vec<Hash>>, StoreFault> {
    let mut connection = pool.acquire().await?;
    let mut held = stored(&mut connection, log, tiles.iter().copied()).await?;
    // What is computed below takes connections of its own, and there may be only one.
    drop(connection);
    let mut hashes = BTreeMap::new();
    for &tile in tiles {
        let found = match held.remove(&(tile.level, tile.index)) {
            Some(row) => {
                let mut row =
                    tile::read(&row.hashes, WIDTH as u16).ok_or_else(|| bad("tiles", "hashes", log, tile.index))?;
                row.truncate(tile.width.into());
                row
            }
            None => compute(pool, log, tile).await?,
        };
        hashes.insert(tile, found);
    }
    Ok(hashes)
}

/// A full tile as stored.
pub(super) struct Stored {
    pub(super) root: Vec<u8>,
    pub(super) hashes: Vec<u8>,
}

/// Those of some tiles that are stored, by level and index.
pub(super) async fn stored(
    connection: &mut PgConnection,
    log: &str,
    tiles: impl Iterator<Item = Tile>,
) -> Result<BTreeMap<(u8, u64), Stored>, StoreFault> {
    let (levels, places): (Vec<i16>, Vec<i64>) = tiles.map(|tile| (i16::from(tile.level), tile.index as i64)).unzip();
    let rows = sqlx::query!(
        "select t.level, t.idx, t.root, t.hashes from unnest($2::smallint[], $3::bigint[]) as w (level, idx)
         join tiles t on t.log = $1 and t.level = w.level and t.idx = w.idx",
        log,
        &levels,
        &places
    );
    let rows = rows.fetch_all(connection).await?.into_iter();
    Ok(rows.map(|row| ((row.level as u8, row.idx as u64), Stored { root: row.root, hashes: row.hashes })).collect())
}

/// A tile's hashes from the rows below: of level 0 from entries, of any other from the roots of stored tiles.
fn compute<'a>(pool: &'a PgPool, log: &'a str, tile: Tile) -> BoxFuture<'a, Result<Vec<Hash>, StoreFault>> {
    Box::pin(async move {
        let first = tile.index * WIDTH;
        let Some(below) = tile.level.checked_sub(1) else {
            let lines = entries(pool, log, first, tile.width).await?;
            return Ok(lines.iter().map(|line| leaf_hash(line.as_bytes())).collect());
        };
        let rows = sqlx::query!(
            "select idx, root from tiles where log = $1 and level = $2 and idx >= $3 and idx < $4 order by idx",
            log,
            i16::from(below),
            first as i64,
            first as i64 + i64::from(tile.width)
        );
        let mut rows = rows.fetch_all(pool).await?.into_iter().peekable();
        let mut hashes = Vec::with_capacity(tile.width.into());
        for index in first..first + u64::from(tile.width) {
            hashes.push(match rows.next_if(|row| row.idx == index as i64) {
                Some(row) => Hash::try_from(row.root).map_err(|_| bad("tiles", "root", log, index))?,
                None => root(&compute(pool, log, Tile { level: below, index, width: WIDTH as u16 }).await?, log)?,
            });
        }
        Ok(hashes)
    })
}

fn root(hashes: &[Hash], log: &str) -> Result<Hash, StoreFault> {
    tile::root_of(hashes).ok_or_else(|| bad("tiles", "hashes", log, 0))
}

fn bad(table: &'static str, column: &'static str, log: &str, index: u64) -> StoreFault {
    StoreFault::BadRow { table, column, row: format!("{log} {index}") }
}
