//! The tree as C2SP tlog-tiles: tiles of 256 hashes, bundles of 256 entries, and any proof from tiles alone.
//!
//! Tile `n` of level `l` holds the roots of the subtrees of `256^l` leaves from `n * 256 * 256^l` on. What is read from where is
//! the caller's: this says which tiles a proof needs and computes it from them. A tile of level 8 would hold roots of 2^64 leaves,
//! more than a size can say; levels end at 7 here, where the specification's end at 63.

use super::tree::{Hash, node_hash};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
};

/// Hashes in a full tile, entries in a full bundle.
pub const WIDTH: u64 = 256;
/// Levels of the tree between a tile's hashes and its root.
const HEIGHT: u32 = 8;
/// Highest level whose tiles a tree of 2^64 leaves has.
const LEVEL_MAX: u8 = 7;

/// A tile of hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// 0 for leaf hashes.
    pub level: u8,
    /// Position within the level.
    pub index: u64,
    /// Number of hashes, 1 to 256.
    pub width: u16,
}

/// What a path below `tile/` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// `<L>/<N>[.p/<W>]`
    Hashes(Tile),
    /// `entries/<N>[.p/<W>]`: the entries under the tile of level 0.
    Entries(Tile),
}

impl Tile {
    /// The tile of a level at an index in a tree of `size` leaves; `None` where it would be empty.
    pub fn of(level: u8, index: u64, size: u64) -> Option<Self> {
        let whole = size.checked_shr(HEIGHT * u32::from(level)).unwrap_or(0);
        let width = whole.checked_sub(index.checked_mul(WIDTH)?)?.min(WIDTH);
        let width = u16::try_from(width).ok().filter(|width| *width > 0)?;
        Some(Self { level, index, width })
    }

    /// Whether it will never change.
    pub fn is_full(self) -> bool {
        u64::from(self.width) == WIDTH
    }

    /// The leaves under one of its hashes; `None` beyond 2^64.
    pub fn leaves(self, at: u64) -> Option<Range<u64>> {
        let span = 1u64.checked_shl(HEIGHT * u32::from(self.level))?;
        let first = self.index.checked_mul(WIDTH)?.checked_add(at)?.checked_mul(span)?;
        Some(first..first.checked_add(span)?)
    }

    /// Leaves that a tree must have for the tile to be in it; `None` from 2^64 on.
    pub fn end(self) -> Option<u64> {
        let (first, width) = (self.index.checked_mul(WIDTH)?, u64::from(self.width));
        first.checked_add(width)?.checked_mul(1u64.checked_shl(HEIGHT * u32::from(self.level))?)
    }
}

/// `x001/x234/067[.p/12]` (C2SP tlog-tiles).
fn position(f: &mut fmt::Formatter<'_>, tile: Tile) -> fmt::Result {
    let mut groups = vec![tile.index % 1_000];
    let mut rest = tile.index / 1_000;
    while rest > 0 {
        groups.push(rest % 1_000);
        rest /= 1_000;
    }
    for group in groups[1..].iter().rev() {
        write!(f, "x{group:03}/")?;
    }
    write!(f, "{:03}", groups[0])?;
    if tile.is_full() { Ok(()) } else { write!(f, ".p/{}", tile.width) }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hashes(tile) => write!(f, "{}/", tile.level)?,
            Self::Entries(_) => write!(f, "entries/")?,
        }
        match self {
            Self::Hashes(tile) | Self::Entries(tile) => position(f, *tile),
        }
    }
}

impl Resource {
    /// Reads a path below `tile/`; `None` for any that [`Resource`] would not write.
    pub fn parse(path: &str) -> Option<Self> {
        let (kind, position) = path.split_once('/')?;
        let (position, width) = match position.split_once(".p/") {
            Some((position, width)) => (position, width.parse().ok()?),
            None => (position, WIDTH as u16),
        };
        let mut index: u64 = 0;
        for group in position.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            index = index.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
        }
        let tile = |level| Tile { level, index, width };
        let read = match kind {
            "entries" => Self::Entries(tile(0)),
            level => Self::Hashes(tile(level.parse().ok().filter(|level| *level <= LEVEL_MAX)?)),
        };
        // One spelling: leading zeroes, a width of 256 or a missing `x` read as nothing.
        ((1..=256).contains(&width) && read.to_string() == path).then_some(read)
    }
}

/// Entries as a bundle: each after its length in two bytes. `None` where one is longer than that can say.
pub fn bundle<'e>(entries: impl IntoIterator<Item = &'e [u8]>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Some(bytes)
}

/// The entries of a bundle; `None` where the bytes do not end with an entry.
pub fn unbundle(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        entries.push(entry);
        bytes = rest;
    }
    Some(entries)
}

/// The hashes of a tile as served; `None` where the bytes are not of that many.
pub fn read(bytes: &[u8], width: u16) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && hashes.len() == usize::from(width)).then(|| hashes.to_vec())
}

/// The root over 2^n hashes of a tile; of a full one it is the hash that stands for it one level up.
pub fn root_of(hashes: &[Hash]) -> Option<Hash> {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        let (pairs, rest) = row.as_chunks::<2>();
        if !rest.is_empty() {
            return None; // not the hashes of a perfect subtree
        }
        row = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    row.first().copied()
}

/// The subtrees whose roots are a proof, bottom up: ranges of leaves.
pub type Path = Vec<Range<u64>>;

/// The largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

/// The inclusion proof of a leaf (RFC 6962 §2.1.1); `None` beyond the tree.
pub fn inclusion(index: u64, size: u64) -> Option<Path> {
    let mut path = Vec::new();
    let (mut first, mut end) = (0, size);
    if index >= size {
        return None;
    }
    while end - first > 1 {
        let middle = first + split(end - first);
        if index < middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(first..middle);
            first = middle;
        }
    }
    path.reverse();
    Some(path)
}

/// The consistency proof between two sizes (RFC 6962 §2.1.2); `None` where the old tree is the larger. Of the empty tree, and of
/// a tree with itself, the proof is empty.
pub fn consistency(old: u64, new: u64) -> Option<Path> {
    if old > new {
        return None;
    }
    let mut path = Vec::new();
    if old == 0 || old == new {
        return Some(path);
    }
    let (mut first, mut end) = (0, new);
    while old != end {
        let middle = first + split(end - first);
        if old <= middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(first..middle);
            first = middle;
        }
    }
    // The old tree's own last subtree, unless it is the old tree as a whole: then the verifier has it.
    if first != 0 {
        path.push(first..end);
    }
    path.reverse();
    Some(path)
}

/// A node of the tree: the root of `2^height` leaves.
#[derive(Clone, Copy)]
struct Node {
    height: u32,
    index: u64,
}

impl Node {
    /// The tile of a tree of `size` leaves in which its hash, or all below it, stands.
    fn tile(self, size: u64) -> Option<(Tile, Range<usize>)> {
        let level = self.height / HEIGHT;
        let within = self.height % HEIGHT;
        let first = self.index << within;
        let tile = Tile::of(u8::try_from(level).ok()?, first / WIDTH, size)?;
        let from = usize::try_from(first % WIDTH).ok()?;
        Some((tile, from..from + (1 << within)))
    }
}

/// The perfect subtrees of a range, from left to right: what its root is folded from.
fn nodes(range: &Range<u64>) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut first = range.start;
    while first < range.end {
        let fits = 63 - (range.end - first).leading_zeros();
        let height = fits.min(first.trailing_zeros());
        nodes.push(Node { height, index: first >> height });
        first += 1 << height;
    }
    nodes
}

/// The tiles of a tree of `size` leaves that a path needs.
pub fn needs(path: &[Range<u64>], size: u64) -> BTreeSet<Tile> {
    path.iter().flat_map(nodes).filter_map(|node| node.tile(size)).map(|(tile, _)| tile).collect()
}

/// A path's hashes from the tiles that it [`needs`]; `None` where one is missing or shorter than its width.
pub fn hashes(path: &[Range<u64>], size: u64, tiles: &BTreeMap<Tile, Vec<Hash>>) -> Option<Vec<Hash>> {
    path.iter()
        .map(|range| {
            let hash = |node: Node| {
                let (tile, within) = node.tile(size)?;
                root_of(tiles.get(&tile)?.get(within)?)
            };
            let roots: Vec<Hash> = nodes(range).into_iter().map(hash).collect::<Option<_>>()?;
            let (last, left) = roots.split_last()?;
            Some(left.iter().rev().fold(*last, |right, left| node_hash(left, &right)))
        })
        .collect()
}

/// The root of the tree of `size` leaves, as a path of one.
pub fn root(size: u64) -> Path {
    if size == 0 { Vec::new() } else { vec![Range { start: 0, end: size }] }
}

/// The right edge of a growing tree: the tile of each level that is not full yet.
#[derive(Debug, Default)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// Appends a leaf hash; gives the tiles that it fills, from the lowest level up.
    pub fn append(&mut self, leaf: Hash) -> Vec<(Tile, Vec<Hash>)> {
        self.size += 1;
        let (mut hash, mut filled) = (leaf, Vec::new());
        for level in 0..=LEVEL_MAX {
            let at = usize::from(level);
            if self.levels.len() == at {
                self.levels.push(Vec::new());
            }
            self.levels[at].push(hash);
            let index = self.size.checked_shr(HEIGHT * (u32::from(level) + 1)).unwrap_or(0);
            if self.levels[at].len() < WIDTH as usize || index == 0 {
                break;
            }
            let hashes = std::mem::take(&mut self.levels[at]);
            hash = root_of(&hashes).expect("256 hashes are those of a perfect subtree");
            filled.push((Tile { level, index: index - 1, width: WIDTH as u16 }, hashes));
        }
        filled
    }

    /// The partial tiles of the tree as it is, from the lowest level up.
    pub fn partial(&self) -> Vec<(Tile, Vec<Hash>)> {
        let tiles = (0u8..).zip(&self.levels).filter(|(_, hashes)| !hashes.is_empty());
        tiles
            .filter_map(|(level, hashes)| {
                let index = self.size.checked_shr(HEIGHT * (u32::from(level) + 1)).unwrap_or(0);
                Some((Tile { level, index, width: u16::try_from(hashes.len()).ok()? }, hashes.clone()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Commit, Frontier, is_consistent, leaf_hash, root_from_inclusion};
    use super::*;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;
    use sha2::Sha256;

    /// All tiles of a tree, as a log would serve them.
    fn tiles(leaves: &[Hash]) -> BTreeMap<Tile, Vec<Hash>> {
        let size = leaves.len() as u64;
        let mut tiles = BTreeMap::new();
        let mut row = leaves.to_vec();
        for level in 0.. {
            if row.is_empty() {
                return tiles;
            }
            for (index, hashes) in row.chunks(WIDTH as usize).enumerate() {
                tiles.insert(Tile::of(level, index as u64, size).unwrap(), hashes.to_vec());
            }
            row = row.as_chunks::<{ WIDTH as usize }>().0.iter().map(|full| root_of(full).unwrap()).collect();
        }
        unreachable!()
    }

    fn leaves(size: u64) -> Vec<Hash> {
        (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    /// The examples of C2SP tlog-tiles.
    #[test]
    fn the_published_paths_and_widths() {
        let full = Tile { level: 0, index: 1_234_067, width: 256 };
        assert_eq!(Resource::Hashes(full).to_string(), "0/x001/x234/067");
        assert_eq!(Resource::parse("0/x001/x234/067"), Some(Resource::Hashes(full)));
        let widths =
            |level, last| (0..=last).map(|n| Tile::of(level, n, 70_000).map(|tile| tile.width)).collect::<Vec<_>>();
        assert_eq!(widths(0, 274)[272..], [Some(256), Some(112), None]);
        assert_eq!(widths(1, 2), [Some(256), Some(17), None]);
        assert_eq!(widths(2, 1), [Some(1), None]);
        assert_eq!(Tile::of(1, 0, 256).map(|tile| tile.width), Some(1));
        assert_eq!(Tile { level: 1, index: 1, width: 17 }.end(), Some(273 * 256));
    }

    #[test]
    fn a_path_has_one_spelling() {
        for path in ["0/000", "7/000.p/1", "entries/x001/000.p/255", "entries/999"] {
            assert_eq!(Resource::parse(path).unwrap().to_string(), path);
        }
        let wrong = [
            "",
            "0",
            "0/",
            "0/0",
            "0/0000",
            "0/00a",
            "0/x000/001",
            "0/001/000",
            "0/x1/000",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/257",
            "0/000.p/01",
            "0/000.p/",
            "0/000.p/1/",
            "0/000.p/1.p/1",
            "8/000",
            "00/000",
            "-1/000",
            "0/000/",
            "/000",
            "entries",
            "0/+01",
            "0/000.p/+1",
            "0/x99999999999999999999/000",
            "0/x018/x446/x744/x073/x709/x551/x616/000",
        ];
        for path in wrong {
            assert_eq!(Resource::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_bundle_reads_back_and_a_cut_one_does_not() {
        let entries: [&[u8]; 3] = [b"a", b"", b"ccc"];
        let bytes = bundle(entries).unwrap();
        assert_eq!(unbundle(&bytes).unwrap(), entries);
        assert_eq!(unbundle(&bytes[..bytes.len() - 1]), None);
        assert_eq!(bundle([vec![0; 65_536].as_slice()]), None);
    }

    #[test]
    fn the_edge_fills_the_same_tiles() {
        for size in [1, 255, 256, 257, 70_000] {
            let leaves = leaves(size);
            let mut edge = Edge::default();
            let mut filled: BTreeMap<Tile, Vec<Hash>> = leaves.iter().flat_map(|leaf| edge.append(*leaf)).collect();
            filled.extend(edge.partial());
            assert_eq!(filled, tiles(&leaves), "{size}");
        }
    }

    #[test]
    fn a_tile_reads_back_and_a_cut_one_does_not() {
        let hashes = leaves(3);
        assert_eq!(read(&hashes.concat(), 3), Some(hashes.clone()));
        assert_eq!(read(&hashes.concat(), 4), None);
        assert_eq!(read(&hashes.concat()[1..], 3), None);
    }

    #[test]
    fn no_index_overflows() {
        let last = Tile { level: 7, index: u64::MAX, width: 256 };
        assert_eq!((last.end(), Tile::of(7, u64::MAX, u64::MAX)), (None, None));
        assert_eq!(Tile::of(8, 0, u64::MAX), None);
        let size = u64::MAX;
        for path in [inclusion(size - 1, size).unwrap(), consistency(size - 1, size).unwrap(), root(size)] {
            let needed = needs(&path, size);
            assert!(needed.len() <= 16 && needed.iter().all(|tile| tile.end().is_some_and(|end| end <= size)));
        }
    }

    #[test]
    fn proofs_beyond_the_tree_are_none() {
        assert_eq!((inclusion(0, 0), inclusion(5, 5), consistency(6, 5)), (None, None, None));
        assert_eq!((consistency(0, 5), consistency(5, 5)), (Some(vec![]), Some(vec![])));
        let held = tiles(&leaves(300));
        let path = inclusion(299, 300).unwrap();
        assert!(hashes(&path, 300, &held).is_some());
        assert_eq!(hashes(&path, 300, &BTreeMap::new()), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn proofs_from_tiles_are_those_of_the_tree(size in 1..70_000u64, a in any::<u64>(), b in any::<u64>()) {
            let (index, old) = (a % size, b % (size + 1));
            let leaves = leaves(size);
            let held = tiles(&leaves);
            let mut tree = Frontier::default();
            let mut before = tree.root();
            for (n, leaf) in (1u64..).zip(&leaves) {
                tree.append(*leaf);
                if n == old {
                    before = tree.root();
                }
            }
            let prove = |path: &Path| {
                let needed: BTreeMap<Tile, Vec<Hash>> =
                    needs(path, size).into_iter().map(|tile| (tile, held[&tile].clone())).collect();
                // Two a level at most: the one on the path, and the one at the right edge.
                assert!(needed.len() <= 6, "{needed:?}");
                hashes(path, size, &needed).unwrap()
            };
            prop_assert_eq!(prove(&root(size)), [tree.root()]);
            let path = prove(&inclusion(index, size).unwrap());
            prop_assert_eq!(root_from_inclusion(index, size, leaves[index as usize], &path), Some(tree.root()));
            let path = prove(&consistency(old, size).unwrap());
            prop_assert!(is_consistent(old, &before, size, &tree.root(), &path));
            if size < 2_000 {
                let commit = Commit::new(&Frontier::default(), &leaves);
                prop_assert_eq!(commit.inclusion(index).unwrap(), prove(&inclusion(index, size).unwrap()));
            }
        }

        /// An independent implementation gives the same root and the same proofs, to the byte.
        #[test]
        fn agrees_with_an_independent_implementation(size in 1..1_500u64, a in any::<u64>(), b in any::<u64>()) {
            let (index, old) = (a % size, 1 + b % size);
            let mut oracle = MemoryBackedTree::<Sha256, Vec<u8>>::new();
            (0..size).for_each(|n| oracle.push(n.to_be_bytes().to_vec()));
            let held = tiles(&leaves(size));
            let prove = |path: &Path| hashes(path, size, &held).unwrap().concat();
            prop_assert_eq!(prove(&root(size)), oracle.root().as_bytes().to_vec());
            let theirs = oracle.prove_inclusion(index as usize);
            prop_assert_eq!(prove(&inclusion(index, size).unwrap()), theirs.as_bytes().to_vec());
            if old < size {
                let theirs = oracle.prove_consistency((size - old) as usize);
                prop_assert_eq!(prove(&consistency(old, size).unwrap()), theirs.as_bytes().to_vec());
            }
        }

        #[test]
        fn no_path_panics(path in ".{0,40}") {
            if let Some(resource) = Resource::parse(&path) {
                prop_assert_eq!(resource.to_string(), path);
            }
        }
    }
}
