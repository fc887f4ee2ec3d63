//! A log as a folder (C2SP tlog-tiles: `checkpoint`, `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`): written from the database,
//! checked without one, and read back into one that is behind. Beside the tiles lie the checkpoints that were time-stamped
//! (`time-stamp/<size>.note`) with their tokens (`time-stamp/<size>.tst`, RFC 3161, DER).

use super::CommandFault;
use crate::{
    app::system::SystemClock,
    client::FILE_MAX,
    domain::clock::Clock,
    ledger::{
        audit::{self, Audit, Checked},
        note::{Checkpoint, Signed, VerifierKey},
        tile::{self, Edge, Resource, Tile, WIDTH},
        tree::{Hash, leaf_hash},
    },
    store::{
        self,
        ledger::{AdoptFault, Adopted},
    },
    trust::time_stamp::{Roots, Token},
};
use sqlx::PgPool;
use std::{
    collections::BTreeSet,
    fs,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

/// Where stamped checkpoints lie.
const STAMPS: &str = "time-stamp";

/// Tiles with their hashes.
type Tiles = Vec<(Tile, Vec<Hash>)>;

/// Writes a log up to its newest checkpoint; gives the number of entries. The checkpoint comes last: a folder without one is unfinished.
pub(super) async fn write(
    pool: &PgPool,
    log: &str,
    folder: &Path,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<u64, CommandFault> {
    let absent = || CommandFault::Start(format!("the database has no checkpoint of a log {log}"));
    let newest = store::ledger::checkpoint(pool, log).await?.ok_or_else(absent)?;
    // The newest that a witness cosigned, where there is one: it shows more than the newest.
    let note = store::ledger::cosign::newest(pool, log).await?.map_or(newest, |cosigned| cosigned.note);
    let checkpoint = note.rfind("\n\n").map(|end| Checkpoint::parse(&note[..=end]));
    let Some(Ok(checkpoint)) = checkpoint else {
        return Err(CommandFault::Start(format!("the newest checkpoint of {log} cannot be read")));
    };
    let failed = |fault| CommandFault::File(folder.into(), fault);
    fs::create_dir_all(folder).map_err(failed)?;
    if fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(CommandFault::Content(folder.into(), "the folder is not empty".to_owned()));
    }
    let mut edge = Edge::default();
    let mut done = 0;
    for index in 0.. {
        let Some(under) = Tile::of(0, index, checkpoint.size) else { break };
        let lines = store::ledger::entries(pool, log, done, under.width).await?;
        let long = || CommandFault::Start(format!("an entry after {done} is too long for a bundle"));
        let bundle = tile::bundle(lines.iter().map(String::as_bytes)).ok_or_else(long)?;
        put(folder, Resource::Entries(under), &bundle)?;
        for line in &lines {
            for (tile, hashes) in edge.append(leaf_hash(line.as_bytes())) {
                put(folder, Resource::Hashes(tile), &hashes.concat())?;
            }
        }
        done += u64::from(under.width);
        told(done);
    }
    for (tile, hashes) in edge.partial() {
        put(folder, Resource::Hashes(tile), &hashes.concat())?;
    }
    write_time_stamps(pool, log, folder, checkpoint.size).await?;
    let path = folder.join("checkpoint");
    fs::write(&path, note).map_err(|fault| CommandFault::File(path, fault))?;
    Ok(done)
}

async fn write_time_stamps(pool: &PgPool, log: &str, folder: &Path, size: u64) -> Result<(), CommandFault> {
    let stamps = folder.join(STAMPS);
    let write = |name: String, bytes: &[u8]| {
        let path = stamps.join(name);
        let written = fs::create_dir_all(&stamps).and_then(|()| fs::write(&path, bytes));
        written.map_err(|fault| CommandFault::File(path, fault))
    };
    let mut after = 0;
    loop {
        let found = store::ledger::time_stamps::beyond(pool, log, after).await?;
        let Some(last) = found.last().map(|one| one.size) else { return Ok(()) };
        for one in found.iter().take_while(|one| one.size <= size) {
            write(format!("{}.note", one.size), one.note.as_bytes())?;
            write(format!("{}.tst", one.size), &one.token)?;
        }
        after = last;
    }
}

/// Takes over what a folder has after the log in the database, under the folder's checkpoint.
pub(super) async fn catch_up(
    pool: &PgPool,
    folder: &Path,
    keys: &[VerifierKey],
) -> Result<(String, Adopted), CommandFault> {
    let path = folder.join("checkpoint");
    let note = fs::read_to_string(&path).map_err(|fault| CommandFault::File(path.clone(), fault))?;
    let signed = Signed::open(&note, keys).map_err(|fault| CommandFault::Content(path, fault.to_string()))?;
    let mut read = |tile: Tile| {
        // A copy that went on growing may hold the bundle in a later, wider state only.
        let wider = (tile.width..=WIDTH as u16).map(|width| Resource::Entries(Tile { width, ..tile }));
        for resource in wider {
            if let Some(bytes) = file(folder, resource)? {
                let wrong = || CommandFault::Content(path_of(folder, resource), "is no bundle of entries".to_owned());
                let lines = tile::unbundle(&bytes).ok_or_else(wrong)?;
                return Ok(lines.into_iter().take(tile.width.into()).map(<[u8]>::to_vec).collect());
            }
        }
        Err(CommandFault::Content(path_of(folder, Resource::Entries(tile)), "is not there".to_owned()))
    };
    let adopted = store::ledger::adopt(pool, &signed, SystemClock.now(), &mut read).await;
    match adopted {
        Ok(adopted) => Ok((signed.checkpoint.origin, adopted)),
        Err(AdoptFault::Store(fault)) => Err(fault.into()),
        Err(AdoptFault::Copy(fault)) => Err(fault),
        Err(fault) => Err(CommandFault::Content(folder.into(), fault.to_string())),
    }
}

/// A file below `tile/`; `None` where there is none.
fn file(folder: &Path, resource: Resource) -> Result<Option<Vec<u8>>, CommandFault> {
    read_file(&path_of(folder, resource))
}

/// A file; `None` where there is none.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, CommandFault> {
    let mut bytes = Vec::new();
    // One byte more than any may have: what is longer reads as wrong, however long it is.
    let read = fs::File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(Some(bytes)),
        Err(fault) if fault.kind() == ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(CommandFault::File(path.into(), fault)),
    }
}

fn path_of(folder: &Path, resource: Resource) -> PathBuf {
    folder.join("tile").join(resource.to_string())
}

pub(super) fn put(folder: &Path, resource: Resource, bytes: &[u8]) -> Result<(), CommandFault> {
    let path = path_of(folder, resource);
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, bytes));
    written.map_err(|fault| CommandFault::File(path, fault))
}

/// Recomputes the log from its bundles, and compares with it every tile and the signed checkpoint.
pub(super) fn check(
    folder: &Path,
    keys: &[VerifierKey],
    kept: Option<&Checkpoint>,
    roots: Option<&Roots>,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<Checked, CommandFault> {
    let path = folder.join("checkpoint");
    let note = fs::read_to_string(&path).map_err(|fault| CommandFault::File(path, fault))?;
    let checkpoint = match audit::open(&note, keys) {
        Ok(checkpoint) => checkpoint,
        Err(fault) => {
            let named = note.lines().next().unwrap_or_default();
            let mut audit = Audit::new(named, keys, None);
            audit.fault(format!("the checkpoint: {fault}"));
            return Ok(audit.finish());
        }
    };
    let kept = kept.filter(|kept| kept.origin == checkpoint.origin);
    let mut check =
        Check { folder, audit: Audit::new(&checkpoint.origin, keys, kept), roots, stamped: BTreeSet::new() };
    check.find_time_stamps()?;
    for index in 0.. {
        let Some(under) = Tile::of(0, index, checkpoint.size) else { break };
        let Some(filled) = check.bundle(under)? else { return Ok(check.audit.finish()) };
        for (tile, hashes) in filled {
            check.tile(tile, &hashes)?;
        }
        told(check.audit.size());
    }
    for (tile, hashes) in check.audit.partial() {
        check.tile(tile, &hashes)?;
    }
    check.audit.checkpoint(&note);
    for size in std::mem::take(&mut check.stamped) {
        check.audit.fault(format!("a time-stamp is of checkpoint {size}, of more entries than there are"));
    }
    check.strays(&folder.join("tile"), String::new(), checkpoint.size)?;
    Ok(check.audit.finish())
}

struct Check<'a> {
    folder: &'a Path,
    audit: Audit<'a>,
    roots: Option<&'a Roots>,
    /// Sizes of stamped checkpoints to come.
    stamped: BTreeSet<u64>,
}

impl Check<'_> {
    /// Takes the entries of a bundle, or, where it does not hold them, the hashes beside it; gives the tiles that they fill. `None`
    /// where there is neither.
    fn bundle(&mut self, under: Tile) -> Result<Option<Tiles>, CommandFault> {
        let name = Resource::Entries(under);
        let bytes = file(self.folder, name)?;
        let width = usize::from(under.width);
        let lines = bytes.as_deref().and_then(tile::unbundle).filter(|lines| lines.len() == width);
        if let Some(lines) = lines {
            let mut filled = Vec::new();
            for line in &lines {
                filled.extend(self.audit.entry(line));
                self.time_stamp()?;
            }
            for narrow in self.narrower(name, under)? {
                let beginning = tile::bundle(lines.iter().take(narrow.width.into()).copied());
                if file(self.folder, Resource::Entries(narrow))? != beginning {
                    self.audit.fault(format!("bundle {} is not the beginning of {name}", Resource::Entries(narrow)));
                }
            }
            return Ok(Some(filled));
        }
        let wrong = if bytes.is_some() { "does not hold the entries of its name" } else { "is missing" };
        self.audit.fault(format!("bundle {name} {wrong}"));
        let hashes = file(self.folder, Resource::Hashes(under))?.and_then(|bytes| tile::read(&bytes, under.width));
        if hashes.is_none() {
            self.audit.fault(format!("nothing from entry {} on can be checked", self.audit.size()));
        }
        let Some(hashes) = hashes else { return Ok(None) };
        let mut filled = Vec::new();
        for leaf in hashes {
            filled.extend(self.audit.leaf(leaf));
            self.time_stamp()?;
        }
        Ok(Some(filled))
    }

    /// Which checkpoints are stamped; names what lies beside them.
    fn find_time_stamps(&mut self) -> Result<(), CommandFault> {
        let path = self.folder.join(STAMPS);
        let failed = |fault| CommandFault::File(path.clone(), fault);
        let found = match fs::read_dir(&path) {
            Ok(found) => found,
            Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(()),
            Err(fault) => return Err(failed(fault)),
        };
        for entry in found {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            let size = name.rsplit_once('.').filter(|(_, end)| ["note", "tst"].contains(end));
            let size = size.and_then(|(size, _)| size.parse::<u64>().ok().filter(|read| read.to_string() == size));
            match size.filter(|size| *size > 0) {
                Some(size) => drop(self.stamped.insert(size)),
                None => self.audit.fault(format!("{STAMPS}/{name} is no time-stamp's name")),
            }
        }
        Ok(())
    }

    /// Checks the time-stamp of the checkpoint of the entries so far, if there is one.
    fn time_stamp(&mut self) -> Result<(), CommandFault> {
        let size = self.audit.size();
        if !self.stamped.remove(&size) {
            return Ok(());
        }
        let read = |end: &str| read_file(&self.folder.join(STAMPS).join(format!("{size}.{end}")));
        let (note, token) = (read("note")?, read("tst")?);
        let note = note.unwrap_or_default();
        self.audit.checkpoint(&String::from_utf8_lossy(&note));
        let token = Token::of(&note, &token.unwrap_or_default(), self.roots);
        self.audit.time_stamp(token.err().map(|fault| fault.to_string()));
        Ok(())
    }

    /// Compares a tile's file, and those from when the tile was narrower, with what follows from the entries.
    fn tile(&mut self, tile: Tile, hashes: &[Hash]) -> Result<(), CommandFault> {
        let name = Resource::Hashes(tile);
        match file(self.folder, name)? {
            Some(bytes) => self.audit.tile(tile, &bytes, hashes),
            None => self.audit.fault(format!("tile {name} is missing")),
        }
        for narrow in self.narrower(name, tile)? {
            if let Some(bytes) = file(self.folder, Resource::Hashes(narrow))? {
                self.audit.tile(narrow, &bytes, hashes);
            }
        }
        Ok(())
    }

    /// Which narrower states of a tile lie beside it.
    fn narrower(&self, name: Resource, tile: Tile) -> Result<Vec<Tile>, CommandFault> {
        let full = |tile: Tile| Tile { width: WIDTH as u16, ..tile };
        let whole = match name {
            Resource::Hashes(tile) => Resource::Hashes(full(tile)),
            Resource::Entries(tile) => Resource::Entries(full(tile)),
        };
        let path = self.folder.join("tile").join(format!("{whole}.p"));
        let failed = |fault| CommandFault::File(path.clone(), fault);
        let found = match fs::read_dir(&path) {
            Ok(found) => found,
            Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(fault) => return Err(failed(fault)),
        };
        let mut narrower = Vec::new();
        for entry in found {
            let name = entry.map_err(failed)?.file_name();
            let width =
                name.to_str().and_then(|name| name.parse().ok()).filter(|width| (1..tile.width).contains(width));
            narrower.extend(width.map(|width| Tile { width, ..tile }));
        }
        Ok(narrower)
    }

    /// Names every file below `tile/` that is no tile's, or one of more entries than the checkpoint's.
    fn strays(&mut self, folder: &Path, within: String, size: u64) -> Result<(), CommandFault> {
        let failed = |fault| CommandFault::File(folder.into(), fault);
        let found = match fs::read_dir(folder) {
            Ok(found) => found,
            Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(()),
            Err(fault) => return Err(failed(fault)),
        };
        for entry in found {
            let entry = entry.map_err(failed)?;
            let name = format!("{within}{}", entry.file_name().to_string_lossy());
            if entry.file_type().map_err(failed)?.is_dir() {
                self.strays(&entry.path(), format!("{name}/"), size)?;
                continue;
            }
            match Resource::parse(&name) {
                None => self.audit.fault(format!("{name} is no tile's name")),
                Some(Resource::Hashes(tile) | Resource::Entries(tile)) if tile.end().is_none_or(|end| end > size) => {
                    self.audit.fault(format!("{name} is of more entries than the checkpoint"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
