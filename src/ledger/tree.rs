//! The RFC 6962 Merkle tree (§2.1): hashes, the compact range, inclusion and consistency proofs (RFC 9162 §2.1.3–4).

use aws_lc_rs::digest;

/// A node of the tree.
pub type Hash = [u8; 32];

/// `SHA-256(0x00 || entry)` (RFC 6962 §2.1).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    hash(&[&[0], entry])
}

/// `SHA-256(0x01 || left || right)` (RFC 6962 §2.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// The compact range of a log: its size and the roots of its perfect subtrees, largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash.
    pub fn append(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.roots.pop().expect("one root stands for each set bit of the size");
            node = node_hash(&left, &node);
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// The tree head; of the empty tree `SHA-256("")`.
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(&last) = roots.next() else { return hash(&[]) };
        roots.fold(last, |right, left| node_hash(left, &right))
    }

    /// The roots one after another, as stored beside the size.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.roots.concat()
    }

    /// Reads what [`Frontier::to_bytes`] wrote; `None` where the length does not fit the size.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let (roots, rest) = bytes.as_chunks::<32>();
        (rest.is_empty() && roots.len() == size.count_ones() as usize).then(|| Self { size, roots: roots.to_vec() })
    }
}

/// One committed append: from the frontier before it and its new leaves, the proof of any of them at the new size.
#[derive(Debug)]
pub struct Commit {
    size: u64,
    /// `levels[l]`: known nodes at level `l` whose subtree ends after `before`; the first stands at index `first`.
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    first: u64,
    nodes: Vec<Hash>,
}

impl Level {
    fn node(&self, index: u64) -> Option<&Hash> {
        self.nodes.get(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }
}

impl Commit {
    /// Hashes each new node once.
    pub fn new(before: &Frontier, leaves: &[Hash]) -> Self {
        let size = before.size + leaves.len() as u64;
        let mut left_roots = before.roots.iter().rev();
        let mut levels: Vec<Level> = Vec::new();
        let (mut first, mut carried) = (before.size, leaves.to_vec());
        let mut width = before.size;
        loop {
            // An odd width before the append leaves a lone perfect root here: the left neighbour of the first new node.
            if width & 1 == 1 {
                carried.insert(0, *left_roots.next().expect("one root stands for each set bit of the size"));
                first -= 1;
            }
            let parents = carried.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
            levels.push(Level { first, nodes: carried });
            carried = parents;
            first >>= 1;
            width >>= 1;
            if width == 0 && carried.is_empty() {
                return Self { size, levels };
            }
        }
    }

    /// The inclusion proof of leaf `index`, bottom up. `None` where the leaf is not of this commit.
    pub fn inclusion(&self, index: u64) -> Option<Vec<Hash>> {
        if index >= self.size {
            return None;
        }
        self.levels.first()?.node(index)?;
        let mut path = Vec::new();
        let (mut at, mut level) = (index, 0usize);
        while self.size.div_ceil(1u64.checked_shl(level as u32)?) > 1 {
            if let Some(sibling) = self.subtree(level, at ^ 1) {
                path.push(sibling?);
            }
            at >>= 1;
            level += 1;
        }
        Some(path)
    }

    /// The hash of the subtree at (level, index), which may be ragged at the right edge. Outer `None`: beyond the tree.
    fn subtree(&self, level: usize, index: u64) -> Option<Option<Hash>> {
        let start = index.checked_shl(level as u32)?;
        if start >= self.size {
            return None;
        }
        let whole = self.size >> level;
        if index < whole {
            return Some(self.levels.get(level).and_then(|known| known.node(index)).copied());
        }
        let Some(below) = level.checked_sub(1) else { return Some(None) };
        let left = self.subtree(below, index * 2).flatten();
        Some(match self.subtree(below, index * 2 + 1) {
            None => left,
            Some(right) => left.zip(right).map(|(left, right)| node_hash(&left, &right)),
        })
    }
}

/// Recomputes the root from an inclusion proof (RFC 9162 §2.1.3.2); `None` where index, size and length do not fit.
pub fn root_from_inclusion(index: u64, size: u64, leaf: Hash, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut node) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            node = node_hash(sibling, &node);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            node = node_hash(&node, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(node)
}

/// Whether `path` proves that the tree of `size_new` extends the tree of `size_old` (RFC 9162 §2.1.4.2).
pub fn is_consistent(size_old: u64, root_old: &Hash, size_new: u64, root_new: &Hash, path: &[Hash]) -> bool {
    if size_old > size_new {
        return false;
    }
    if size_old == size_new || size_old == 0 {
        return path.is_empty() && (size_old == 0 || root_old == root_new);
    }
    let mut nodes = path.iter();
    let mut start = *root_old;
    if !size_old.is_power_of_two() {
        let Some(first) = nodes.next() else { return false };
        start = *first;
    }
    let (mut at, mut last) = (size_old - 1, size_new - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut old, mut new) = (start, start);
    for node in nodes {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old = node_hash(node, &old);
            new = node_hash(node, &new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, node);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old == *root_old && new == *root_new
}

#[cfg(test)]
mod tests {
    use super::*;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;
    use sha2::Sha256;

    fn tree_of(entries: &[Vec<u8>]) -> Frontier {
        let mut frontier = Frontier::default();
        entries.iter().for_each(|entry| frontier.append(leaf_hash(entry)));
        frontier
    }

    /// The reference leaves of the certificate-transparency test suite (`merkletree`), and its hashes by their beginning.
    const PUBLISHED: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const PUBLISHED_NODES: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];

    fn published_leaves() -> Vec<Vec<u8>> {
        PUBLISHED.iter().map(|text| hex::decode(text).unwrap()).collect()
    }

    fn published_node(begins: &str) -> Hash {
        let rest = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
        let found = PUBLISHED_NODES.iter().chain([&rest]).find(|node| node.starts_with(begins)).unwrap();
        hex::decode(found).unwrap().try_into().unwrap()
    }

    #[test]
    fn published_roots() {
        let entries = published_leaves();
        let root = |n: usize| hex::encode(tree_of(&entries[..n]).root());
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (size, published) in roots.iter().enumerate() {
            assert_eq!(root(size), *published, "{size}");
        }
    }

    #[test]
    fn published_proofs() {
        let entries = published_leaves();
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let inclusions: [(u64, u64, &[&str]); 5] = [
            (0, 1, &[]),
            (0, 8, &["96a296d2", "5f083f0a", "6b47aaf2"]),
            (5, 8, &["bc1a0643", "ca854ea1", "d37ee418"]),
            (2, 3, &["fac54203"]),
            (1, 5, &["6e340b9c", "5f083f0a", "bc1a0643"]),
        ];
        for (index, size, published) in inclusions {
            let path: Vec<Hash> = published.iter().map(|node| published_node(node)).collect();
            let (leaf, tree) = (leaves[index as usize], tree_of(&entries[..size as usize]));
            assert_eq!(root_from_inclusion(index, size, leaf, &path), Some(tree.root()), "{index} of {size}");
            let commit = Commit::new(&Frontier::default(), &leaves[..size as usize]);
            assert_eq!(commit.inclusion(index), Some(path), "{index} of {size}");
        }
        let consistencies: [(u64, u64, &[&str]); 4] = [
            (1, 1, &[]),
            (1, 8, &["96a296d2", "5f083f0a", "6b47aaf2"]),
            (6, 8, &["0ebc5d34", "ca854ea1", "d37ee418"]),
            (2, 5, &["5f083f0a", "bc1a0643"]),
        ];
        for (old, new, published) in consistencies {
            let path: Vec<Hash> = published.iter().map(|node| published_node(node)).collect();
            let root = |size: u64| tree_of(&entries[..size as usize]).root();
            assert!(is_consistent(old, &root(old), new, &root(new), &path), "{old} to {new}");
        }
    }

    #[test]
    fn a_frontier_survives_its_bytes_and_nothing_else_reads_as_one() {
        let frontier = tree_of(&(0..11u8).map(|i| vec![i]).collect::<Vec<_>>());
        let bytes = frontier.to_bytes();
        assert_eq!(Frontier::from_bytes(11, &bytes), Some(frontier));
        assert_eq!(Frontier::from_bytes(12, &bytes), None);
        assert_eq!(Frontier::from_bytes(11, &bytes[1..]), None);
    }

    proptest! {
        /// An independent implementation gives the same roots and proofs, at every split of every small size.
        #[test]
        fn agrees_with_an_independent_implementation(before in 0usize..70, added in 1usize..70) {
            let entries: Vec<Vec<u8>> = (0..before + added).map(|i| (i as u32).to_be_bytes().to_vec()).collect();
            let mut oracle = MemoryBackedTree::<Sha256, Vec<u8>>::new();
            entries.iter().for_each(|entry| oracle.push(entry.clone()));
            let (old, new) = (tree_of(&entries[..before]), tree_of(&entries));
            prop_assert_eq!(new.root().to_vec(), oracle.root().as_bytes().to_vec());
            let leaves: Vec<Hash> = entries[before..].iter().map(|entry| leaf_hash(entry)).collect();
            let commit = Commit::new(&old, &leaves);
            for index in before..before + added {
                let path = commit.inclusion(index as u64).unwrap();
                prop_assert_eq!(path.concat(), oracle.prove_inclusion(index).as_bytes().to_vec());
                let size = entries.len() as u64;
                prop_assert_eq!(root_from_inclusion(index as u64, size, leaves[index - before], &path), Some(new.root()));
                let other = (index as u64 + 1) % size;
                if size > 1 {
                    prop_assert_ne!(root_from_inclusion(other, size, leaves[index - before], &path), Some(new.root()));
                }
            }
            prop_assert_eq!(commit.inclusion((before + added) as u64), None);
            if before > 0 {
                let proof = oracle.prove_consistency(added);
                let path: Vec<Hash> = proof.as_bytes().as_chunks::<32>().0.to_vec();
                prop_assert!(is_consistent(before as u64, &old.root(), new.size(), &new.root(), &path));
                prop_assert!(!is_consistent(before as u64, &[7; 32], new.size(), &new.root(), &path));
                prop_assert!(!is_consistent(before as u64, &old.root(), new.size(), &[7; 32], &path));
            }
        }
    }
}
