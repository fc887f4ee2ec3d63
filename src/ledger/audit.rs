//! Recomputing a log from its first entry, wherever its entries lie: what was told of it is compared with what follows from them,
//! and what does not hold is named in plain words. Memory does not grow with the log.
//!
//! Reads nothing itself: a database and a folder each bring their entries, tiles and checkpoints in order.

use super::{
    entry::Entry,
    note::{self, Checkpoint, NoteFault, Opened, Role, Signed, VerifierKey},
    tile::{self, Edge, Resource, Tile},
    tree::{Frontier, Hash, leaf_hash},
};
use std::collections::BTreeSet;

/// Faults that are named; of a log that has more, the first say enough.
const FAULTS_MAX: usize = 200;

/// What a whole-log check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The log's origin.
    pub log: String,
    /// Leaves hashed.
    pub size: u64,
    /// Checkpoints compared.
    pub checkpoints: u64,
    /// Cosignatures verified.
    pub cosignatures: u64,
    /// Time-stamps verified.
    pub time_stamps: u64,
    /// Tiles compared.
    pub tiles: u64,
    /// Every fault, in plain words; empty for a log that holds.
    pub faults: Vec<String>,
}

impl Checked {
    /// Nothing checked yet.
    pub fn new(log: &str) -> Self {
        Self {
            log: log.to_owned(),
            size: 0,
            checkpoints: 0,
            cosignatures: 0,
            time_stamps: 0,
            tiles: 0,
            faults: Vec::new(),
        }
    }
}

/// A checkpoint that the log which it names has signed: the key of another log does not count.
///
/// # Errors
/// [`NoteFault`].
pub fn open(note: &str, keys: &[VerifierKey]) -> Result<Checkpoint, NoteFault> {
    Signed::open(note, keys).map(|signed| signed.checkpoint)
}

/// A log on its way from the first entry to the last.
#[derive(Debug)]
pub struct Audit<'a> {
    checked: Checked,
    keys: &'a [VerifierKey],
    kept: Option<&'a Checkpoint>,
    tree: Frontier,
    edge: Edge,
    /// Witnesses of whom there is no key: each is named once.
    strangers: BTreeSet<String>,
}

impl<'a> Audit<'a> {
    /// An audit of `log`. `kept` is an older checkpoint of it, its signature verified, that the log must extend.
    pub fn new(log: &str, keys: &'a [VerifierKey], kept: Option<&'a Checkpoint>) -> Self {
        let checked = Checked::new(log);
        let (tree, edge) = (Frontier::default(), Edge::default());
        let mut audit = Self { checked, keys, kept, tree, edge, strangers: BTreeSet::new() };
        audit.meet_kept();
        audit
    }

    /// Entries so far.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The tree of the entries so far.
    pub fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// The next entry, of which only the hash is known; gives the tiles that it fills.
    pub fn leaf(&mut self, leaf: Hash) -> Vec<(Tile, Vec<Hash>)> {
        self.tree.append(leaf);
        self.meet_kept();
        self.edge.append(leaf)
    }

    /// The next entry; gives the tiles that it fills.
    pub fn entry(&mut self, line: &[u8]) -> Vec<(Tile, Vec<Hash>)> {
        if !std::str::from_utf8(line).is_ok_and(|line| Entry::decode(line).is_ok()) {
            self.fault(format!("entry {} is not canonical", self.tree.size()));
        }
        self.leaf(leaf_hash(line))
    }

    /// The tiles at the right edge, which no entry has filled yet.
    pub fn partial(&self) -> Vec<(Tile, Vec<Hash>)> {
        self.edge.partial()
    }

    /// Compares a signed checkpoint with the entries so far.
    pub fn checkpoint(&mut self, note: &str) {
        self.checked.checkpoints += 1;
        let told = open(note, self.keys);
        let expected = Checkpoint { origin: self.checked.log.clone(), size: self.tree.size(), root: self.tree.root() };
        if told.as_ref() != Ok(&expected) {
            self.fault(format!("checkpoint {} is not of these entries or not signed by us", expected.size));
        }
    }

    /// Verifies a witness's signature line on a checkpoint that was compared.
    pub fn cosignature(&mut self, note: &str, witness: &str, line: &str) {
        self.checked.cosignatures += 1;
        let size = self.tree.size();
        if !self.keys.iter().any(|key| key.role == Role::Witness && key.name == witness) {
            if !self.strangers.contains(witness) {
                if self.strangers.len() < FAULTS_MAX {
                    self.strangers.insert(witness.to_owned());
                }
                self.fault(format!(
                    "the keys have none of witness {witness}, who cosigned checkpoint {size} first: whether it did is not known without it"
                ));
            }
            return;
        }
        // The line alone: a log that was brought forward from a copy may bear an older one by the same key in its note.
        let text = note.rfind("\n\n").map_or(note, |end| &note[..=end]);
        let alone = format!("{text}\n{line}\n");
        let is_its = |opened: Opened<'_, '_>| matches!(&opened.by[..], [(key, Some(_))] if key.role == Role::Witness && key.name == witness);
        if !note::open(&alone, self.keys).is_ok_and(is_its) {
            self.fault(format!(
                "the cosignature of checkpoint {size} by {witness} does not verify by any key known of it"
            ));
        }
    }

    /// Counts a time-stamp of a checkpoint that was compared, and names what its reader found wrong with it.
    pub fn time_stamp(&mut self, wrong: Option<String>) {
        self.checked.time_stamps += 1;
        if let Some(wrong) = wrong {
            self.fault(format!("the time-stamp of checkpoint {} does not hold: {wrong}", self.tree.size()));
        }
    }

    /// Compares a tile as found with the hashes that follow from the entries; one that is narrower must be their beginning.
    pub fn tile(&mut self, found: Tile, bytes: &[u8], computed: &[Hash]) {
        self.checked.tiles += 1;
        let name = Resource::Hashes(found);
        let Some(hashes) = tile::read(bytes, found.width).filter(|hashes| hashes.len() <= computed.len()) else {
            return self.fault(format!("tile {name} has not the length of its name"));
        };
        if let Some(at) = hashes.iter().zip(computed).position(|(found, computed)| found != computed) {
            let entry = found.leaves(at as u64).map_or(0, |leaves| leaves.start);
            let from = if found.level == 0 { "at entry" } else { "from entry" };
            self.fault(format!("tile {name} is not of these entries: they differ {from} {entry}"));
        }
    }

    /// Something that does not hold.
    pub fn fault(&mut self, fault: String) {
        let faults = &mut self.checked.faults;
        match faults.len() {
            FAULTS_MAX.. => {}
            len if len + 1 == FAULTS_MAX => faults.push("there are more faults than are listed".to_owned()),
            _ => faults.push(fault),
        }
    }

    /// What was found.
    pub fn finish(mut self) -> Checked {
        self.checked.size = self.tree.size();
        if let Some(kept) = self.kept.filter(|kept| kept.size > self.tree.size()) {
            self.fault(format!(
                "the checkpoint that was kept is of {} entries and there are only {}: the log is smaller than it was",
                kept.size,
                self.tree.size()
            ));
        }
        self.checked
    }

    /// Where the log is as long as the checkpoint that was kept, it must be the same.
    fn meet_kept(&mut self) {
        let Some(kept) = self.kept.filter(|kept| kept.size == self.tree.size()) else { return };
        if kept.root != self.tree.root() {
            self.fault(format!(
                "the log is not an extension of the checkpoint that was kept: its first {} entries are others",
                kept.size
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: u8) -> Vec<u8> {
        vec![n]
    }

    #[test]
    fn a_log_that_was_cut_or_rewritten_does_not_extend_what_was_kept() {
        let mut tree = Frontier::default();
        (0..9).for_each(|n| tree.append(leaf_hash(&line(n))));
        let kept = Checkpoint { origin: "o".into(), size: 9, root: tree.root() };
        let faults = |lines: &[u8]| {
            let mut audit = Audit::new("o", &[], Some(&kept));
            lines.iter().for_each(|n| drop(audit.entry(&line(*n))));
            let faults = audit.finish().faults;
            faults.into_iter().filter(|fault| !fault.contains("canonical")).collect::<Vec<_>>()
        };
        assert_eq!(faults(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), Vec::<String>::new());
        assert!(faults(&[0, 1, 2, 3])[0].contains("smaller than it was"));
        assert!(faults(&[0, 1, 2, 3, 5, 4, 6, 7, 8, 9])[0].contains("first 9 entries are others"));
        let empty = Checkpoint { origin: "o".into(), size: 0, root: [0; 32] };
        assert_eq!(Audit::new("o", &[], Some(&empty)).finish().faults.len(), 1);
    }

    #[test]
    fn a_flood_of_faults_is_bounded() {
        let mut audit = Audit::new("o", &[], None);
        (0..10_000).for_each(|n| audit.fault(n.to_string()));
        assert_eq!(audit.finish().faults.len(), FAULTS_MAX);
    }
}
