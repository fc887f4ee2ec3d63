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

    /// The reference inputs and roots of the certificate-transparency test suite, sizes 0, 1 and 8.
    #[test]
    fn published_roots() {
        let inputs =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let entries: Vec<Vec<u8>> = inputs.iter().map(|text| hex::decode(text).unwrap()).collect();
        let root = |n: usize| hex::encode(tree_of(&entries[..n]).root());
        assert_eq!(root(0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(root(1), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(root(8), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
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
