//! Fuzz targets: each takes any bytes, says whether its parser accepts them, and panics where what it accepts breaks a rule. One text
//! has one meaning: what is read is written again as it came. Nothing that was not signed opens, and no other proof leads to a root.
//!
//! Driven twice: by `it::fuzz` on stable, from the corpus by mutation, and by libFuzzer (`tests/fuzz/Cargo.toml`).

use onechannel::{
    ledger::{
        entry::Entry,
        note::{self, Checkpoint, Role, Signed, VerifierKey},
        receipt::Receipt,
        tile::{self, Resource, Tile},
        tree::{Frontier, Hash, is_consistent, leaf_hash, root_from_inclusion},
        witness::Submission,
    },
    message::strict_json,
};

/// Takes bytes; gives whether they were accepted.
pub(crate) type Target = fn(&[u8]) -> bool;

/// Every target; its corpus is the folder of the same name.
pub(crate) const TARGETS: [(&str, Target); 11] = [
    ("note", note),
    ("checkpoint", checkpoint),
    ("verifier_key", verifier_key),
    ("tile_path", tile_path),
    ("bundle", bundle),
    ("inclusion", inclusion),
    ("consistency", consistency),
    ("entry", entry),
    ("receipt", receipt),
    ("submission", submission),
    ("strict_json", json),
];

/// The keys that signed what lies in the corpus: the published example's, a log's and a witness's two.
fn keys() -> Vec<VerifierKey> {
    let published = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let texts = [published, LOG_KEY, WITNESS_KEY, ML_DSA_WITNESS_KEY];
    texts.into_iter().map(|text| VerifierKey::parse(text).expect("a key of the corpus reads")).collect()
}

const LOG_KEY: &str = include_str!("corpus/verifier_key/log");
const WITNESS_KEY: &str = include_str!("corpus/verifier_key/witness");
const ML_DSA_WITNESS_KEY: &str = include_str!("corpus/verifier_key/witness_ml_dsa");
/// What the keys signed: nothing else may open.
const SIGNED: [&str; 2] = [include_str!("corpus/note/published"), include_str!("corpus/note/cosigned")];

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn is_signed(text: &str) -> bool {
    SIGNED
        .iter()
        .any(|note| note.split("\n\n\u{2014} ").next().map(|text| format!("{text}\n")).as_deref() == Some(text))
}

fn note(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    let keys = keys();
    let Ok(opened) = note::open(text, &keys) else { return false };
    assert!(is_signed(opened.text), "a text that nobody signed opens");
    assert!(text.starts_with(opened.text) && opened.lines.len() == opened.by.len());
    true
}

fn checkpoint(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    if let Ok(signed) = Signed::open(text, &keys()) {
        assert!(is_signed(&signed.checkpoint.to_text()), "a checkpoint that nobody signed opens");
        assert_eq!(Signed::open(&signed.note, &keys()).as_ref(), Ok(&signed), "written anew it reads the same");
        return true;
    }
    let Ok(read) = Checkpoint::parse(text) else { return false };
    assert_eq!(read.to_text(), text);
    true
}

fn verifier_key(bytes: &[u8]) -> bool {
    let Some(key) = text(bytes).and_then(|text| VerifierKey::parse(text).ok()) else { return false };
    assert_eq!(VerifierKey::parse(&key.to_string()).as_ref(), Ok(&key));
    assert!(matches!(key.role, Role::Log | Role::Witness) && !key.name.contains('+'));
    true
}

fn tile_path(bytes: &[u8]) -> bool {
    let Some((text, read)) = text(bytes).and_then(|text| Some((text, Resource::parse(text)?))) else { return false };
    assert_eq!(read.to_string(), text);
    let (Resource::Hashes(tile) | Resource::Entries(tile)) = read;
    if let Some(end) = tile.end() {
        assert_eq!(Tile::of(tile.level, tile.index, end), Some(tile), "it is the last of the tree that ends with it");
        assert!(tile.leaves(0).is_some_and(|leaves| leaves.end <= end));
    }
    true
}

fn bundle(bytes: &[u8]) -> bool {
    let Some(entries) = tile::unbundle(bytes) else { return false };
    assert_eq!(tile::bundle(entries).as_deref(), Some(bytes));
    true
}

/// Two numbers of eight bytes, then hashes.
fn numbers_and_hashes(bytes: &[u8]) -> Option<(u64, u64, &[Hash])> {
    let (first, rest) = bytes.split_first_chunk()?;
    let (second, rest) = rest.split_first_chunk()?;
    let (hashes, rest) = rest.as_chunks::<32>();
    rest.is_empty().then(|| (u64::from_be_bytes(*first), u64::from_be_bytes(*second), hashes))
}

/// Leaves of the tree against which proofs are held.
const LEAVES: u64 = 40;

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

fn tree(size: u64) -> Frontier {
    let mut tree = Frontier::default();
    (0..size).for_each(|index| tree.append(leaf(index)));
    tree
}

/// The hashes of a path from the leaves of the tree, each subtree by itself.
fn honest(path: Option<tile::Path>) -> Vec<Hash> {
    let root = |range: std::ops::Range<u64>| {
        let mut subtree = Frontier::default();
        range.for_each(|index| subtree.append(leaf(index)));
        subtree.root()
    };
    path.unwrap_or_default().into_iter().map(root).collect()
}

fn inclusion(bytes: &[u8]) -> bool {
    let Some((index, size, path)) = numbers_and_hashes(bytes) else { return false };
    if size > LEAVES {
        // Of trees whose leaves nobody has: no size overflows, and a path has the length that follows from it.
        let length = tile::inclusion(index, size).map(|path| path.len());
        let root = root_from_inclusion(index, size, leaf(0), path);
        assert_eq!(root.is_some(), length == Some(path.len()));
        return root.is_some();
    }
    let proven = root_from_inclusion(index, size, leaf(index), path) == Some(tree(size).root());
    assert_eq!(proven, index < size && path == honest(tile::inclusion(index, size)));
    proven
}

fn consistency(bytes: &[u8]) -> bool {
    let Some((old, new, path)) = numbers_and_hashes(bytes) else { return false };
    if new > LEAVES {
        let path_needed = tile::consistency(old, new);
        let proven = is_consistent(old, &leaf(0), new, &leaf(1), path);
        assert!(!proven || path_needed.is_some_and(|needed| needed.len() == path.len()));
        return proven;
    }
    let old_root = tree(old.min(LEAVES)).root();
    let proven = is_consistent(old, &old_root, new, &tree(new).root(), path);
    assert_eq!(proven, old <= new && path == honest(tile::consistency(old, new)));
    proven
}

fn entry(bytes: &[u8]) -> bool {
    let Some((text, entry)) = text(bytes).and_then(|text| Some((text, Entry::decode(text).ok()?))) else {
        return false;
    };
    assert_eq!(entry.encode(), text);
    assert_eq!(entry.leaf(), leaf_hash(bytes));
    true
}

/// The receipt of the corpus.
const RECEIPT: &[u8] = include_bytes!("corpus/receipt/applied");

fn receipt(bytes: &[u8]) -> bool {
    let Ok(receipt) = serde_json::from_slice::<Receipt>(bytes) else { return false };
    let Ok(verified) = receipt.verify(&keys(), None) else { return false };
    let genuine: Receipt = serde_json::from_slice(RECEIPT).expect("the receipt of the corpus reads");
    assert_eq!((&receipt.entry, receipt.index, &receipt.proof), (&genuine.entry, genuine.index, &genuine.proof));
    assert!(is_signed(&verified.checkpoint.to_text()));
    true
}

fn submission(bytes: &[u8]) -> bool {
    let Some((text, read)) = text(bytes).and_then(|text| Some((text, Submission::parse(text).ok()?))) else {
        return false;
    };
    assert_eq!(read.to_text(), text);
    let _ = read.origin();
    if let Ok(signed) = read.judge(&keys(), None) {
        assert!(read.old == 0 && read.proof.is_empty() && is_signed(&signed.checkpoint.to_text()));
    }
    true
}

fn json(bytes: &[u8]) -> bool {
    let Ok(value) = strict_json::parse(bytes) else { return false };
    assert_eq!(strict_json::parse(value.to_string().as_bytes()).as_ref(), Ok(&value));
    true
}
