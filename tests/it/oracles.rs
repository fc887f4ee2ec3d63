//! Other implementations of the same specifications read what we serve, and we read what they write: `signed_note` (C2SP signed-note)
//! and `tlog_tiles` (C2SP tlog-tiles, tlog-checkpoint). They share no code with ours: SHA-256 is `sha2`'s, Ed25519 `ed25519-dalek`'s.
//! `ct_merkle` does the same for trees and proofs beside them (`ledger::tree`, `ledger::tile`), `ml-dsa` for ML-DSA-44.
//!
//! `signed_note` 0.2 knows a log's signatures (0x01) only; a witness's (0x04, 0x06) are `Verifier`s of this file on top of it. `tlog_tiles`
//! 0.2 names tiles as Go's sumdb does, `tile/8/data/000` for `tile/entries/000`, and panics on a level above 63 and on a width of 0,
//! which are not asked here. Its reader of tiles does not compare each of them with its parent (of those that lead to the root twice it
//! leaves the next ones out), so what counts is the proof, checked to the root.

use crate::{
    cosigning::{Stage, cosigned, keys, stored},
    ledger::grow,
    support::gateway::TestGateway,
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, prelude::BASE64_STANDARD};
use ml_dsa::MlDsa44;
use onechannel::{
    ledger::{
        cosignature::Cosigner,
        note::{self, Checkpoint, NoteSigner, VerifierKey},
        tile::{Edge, Resource, Tile},
        tree::leaf_hash,
    },
    sandbox::system::System,
};
use proptest::prelude::*;
use signed_note::{Note, Signer, StandardSigner, StandardVerifier, Verifier, VerifierList};
use std::{cell::RefCell, collections::BTreeSet};
use tlog_tiles::{
    HashReader, TileHashReader, TileReader, check_record, check_tree, prove_record, prove_tree, record_hash,
};

/// Ed25519 cosignatures (C2SP tlog-cosignature) for `signed_note`.
struct CosignatureV1 {
    name: String,
    id: u32,
    ed25519: StandardVerifier,
}

impl CosignatureV1 {
    fn new(vkey: &str) -> Self {
        let [name, id, key] = vkey.splitn(3, '+').collect::<Vec<_>>().try_into().unwrap();
        let mut key = BASE64_STANDARD.decode(key).unwrap();
        assert_eq!(format!("{:08x}", signed_note::key_id(name, &key)), id);
        let id = signed_note::key_id(name, &key);
        assert_eq!(std::mem::replace(&mut key[0], 1), 4);
        let plain = format!("{name}+{:08x}+{}", signed_note::key_id(name, &key), BASE64_STANDARD.encode(&key));
        Self { name: name.to_owned(), id, ed25519: StandardVerifier::new(&plain).unwrap() }
    }
}

impl Verifier for CosignatureV1 {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        let Some((time, signature)) = signature.split_first_chunk() else { return false };
        let time = u64::from_be_bytes(*time);
        let signed = [format!("cosignature/v1\ntime {time}\n").as_bytes(), text].concat();
        self.ed25519.verify(&signed, signature)
    }
}

/// ML-DSA-44 cosignatures (C2SP tlog-cosignature) for `signed_note`, by RustCrypto's `ml-dsa`.
struct SubtreeV1 {
    name: String,
    id: u32,
    key: ml_dsa::VerifyingKey<MlDsa44>,
}

impl SubtreeV1 {
    fn new(vkey: &str) -> Self {
        let [name, id, key] = vkey.splitn(3, '+').collect::<Vec<_>>().try_into().unwrap();
        let key = BASE64_STANDARD.decode(key).unwrap();
        assert_eq!((format!("{:08x}", signed_note::key_id(name, &key)).as_str(), key[0]), (id, 6));
        let encoded = ml_dsa::EncodedVerifyingKey::<MlDsa44>::try_from(&key[1..]).unwrap();
        let id = signed_note::key_id(name, &key);
        Self { name: name.to_owned(), id, key: ml_dsa::VerifyingKey::decode(&encoded) }
    }
}

/// `cosigned_message` of tlog-cosignature, of a whole tree.
fn cosigned_message(cosigner: &str, time: [u8; 8], checkpoint: &tlog_tiles::Checkpoint) -> Vec<u8> {
    let name = |name: &str| [&[name.len() as u8], name.as_bytes()].concat();
    let (cosigner, origin) = (name(cosigner), name(checkpoint.origin()));
    let size = checkpoint.size().to_be_bytes();
    [b"subtree/v1\n\0", &cosigner[..], &time, &origin, &[0; 8], &size, &checkpoint.hash().0].concat()
}

impl Verifier for SubtreeV1 {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        let Some((time, signature)) = signature.split_first_chunk() else { return false };
        let Ok(checkpoint) = tlog_tiles::Checkpoint::from_bytes(text) else { return false };
        let signature = ml_dsa::EncodedSignature::<MlDsa44>::try_from(signature).ok();
        let Some(signature) = signature.and_then(|bytes| ml_dsa::Signature::decode(&bytes)) else { return false };
        self.key.verify_with_context(&cosigned_message(&self.name, *time, &checkpoint), &[], &signature)
    }
}

async fn read(system: &System, path: &str) -> Vec<u8> {
    let answer = system.http.get(format!("{}/v1/ledger/{path}", system.base)).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.bytes().await.unwrap().to_vec()
}

fn vkey(gateway: &TestGateway, signature_type: u8, name: &str) -> String {
    let is_it = |key: &VerifierKey| key.signature_type() == signature_type && key.name.ends_with(name);
    keys(gateway).into_iter().find(is_it).unwrap().to_string()
}

/// The served checkpoint, if both `signed_note` and `tlog_tiles` take it under these keys; and how many of them signed it.
fn opened(bytes: &[u8], known: Vec<Box<dyn Verifier>>) -> Option<(tlog_tiles::Checkpoint, usize)> {
    let note = Note::from_bytes(bytes).ok()?;
    let (verified, _) = note.verify(&VerifierList::new(known)).ok()?;
    Some((tlog_tiles::Checkpoint::from_bytes(note.text()).ok()?, verified.len()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_served_checkpoint_opens_in_another_implementation_by_its_log_and_by_the_witness() {
    let mut stage = Stage::prepare().await;
    let _mock = stage.partner().await;
    let gateway = &mut stage.gateway;
    gateway.serve().await;
    let my = gateway.system("my-gateway");
    for _ in 0..3 {
        stored(&my).await;
    }
    assert_eq!(cosigned(gateway).await, 3);
    let bytes = read(&my, "checkpoint").await;
    let log = vkey(gateway, note::LOG, "/my");
    let by = |signature_type| vkey(gateway, signature_type, "witness.my.example/w1");
    let known = || -> [Box<dyn Verifier>; 3] {
        [
            Box::new(StandardVerifier::new(&log).unwrap()),
            Box::new(CosignatureV1::new(&by(note::WITNESS))),
            Box::new(SubtreeV1::new(&by(note::ML_DSA_WITNESS))),
        ]
    };
    let (checkpoint, signers) = opened(&bytes, known().into()).unwrap();
    assert_eq!((checkpoint.size(), signers), (3, 3));
    assert_eq!(checkpoint.origin(), log.split('+').next().unwrap());
    for one in known() {
        assert_eq!(opened(&bytes, vec![one]).map(|(_, signers)| signers), Some(1), "each by itself");
    }
    // Nothing else opens: another size, another time of the witness, and either with the other's key.
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(opened(text.replace("\n3\n", "\n4\n").as_bytes(), known().into()).is_none());
    for line in text.lines().filter(|line| line.starts_with('\u{2014}')) {
        let (head, signature) = line.rsplit_once(' ').unwrap();
        for at in [4, 11, 12, 60] {
            let mut altered = BASE64_STANDARD.decode(signature).unwrap();
            altered[at] ^= 1;
            let altered = text.replace(line, &format!("{head} {}", BASE64_STANDARD.encode(altered)));
            assert!(opened(altered.as_bytes(), known().into()).is_none(), "byte {at} of {head}");
        }
    }
    gateway.stop_and_verify().await;
}

/// Tiles as the gateway serves them, each read anew; one of them with a bit turned, where wanted.
struct Served<'a> {
    system: &'a System,
    altered: Option<&'a str>,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Served<'a> {
    fn by(system: &'a System, altered: Option<&'a str>) -> Self {
        Self { system, altered, read: RefCell::default() }
    }

    fn get(&self, tile: &tlog_tiles::Tile) -> Vec<u8> {
        let path = tile.path().replacen("tile/8/data/", "tile/entries/", 1).replacen("tile/8/", "tile/", 1);
        let reading = read(self.system, &path);
        let mut bytes = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(reading));
        if self.altered == Some(&path) {
            bytes[5] ^= 1;
        }
        self.read.borrow_mut().insert(path);
        bytes
    }

    /// The entry at an index, from its bundle: each entry stands after its length in two bytes.
    fn entry(&self, index: u64, size: u64) -> Vec<u8> {
        let width = (size - index / 256 * 256).min(256) as u32;
        let bundle = self.get(&tlog_tiles::Tile::new(8, 0, index / 256, width, true));
        let mut rest = &bundle[..];
        for _ in 0..index % 256 {
            let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            rest = &rest[2 + length..];
        }
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        rest[2..2 + length].to_vec()
    }
}

impl TileReader for Served<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        Ok(tiles.iter().map(|tile| self.get(tile)).collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_implementation_proves_entries_and_growth_from_the_tiles_that_are_served() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    let (_, receipt) = stored(&my).await;
    let inner = gateway.running.as_ref().unwrap().gateway.clone();
    let signer = &inner.journal.signers["my"];
    let log = signer.verifier().to_string();
    let checkpoint = async || {
        let bytes = read(&my, "checkpoint").await;
        opened(&bytes, vec![Box::new(StandardVerifier::new(&log).unwrap())]).unwrap().0
    };
    let mut known = vec![checkpoint().await];
    grow(&gateway.databases, signer, 1, 299, 299).await;
    known.push(checkpoint().await);
    let lines = grow(&gateway.databases, signer, 2, 66_000, 6_000).await;
    known.push(checkpoint().await);
    assert_eq!(known.iter().map(tlog_tiles::Checkpoint::size).collect::<Vec<_>>(), [1, 300, 66_300]);

    let newest = known.last().unwrap();
    let (size, root) = (newest.size(), *newest.hash());
    let served = Served::by(&my, None);
    let reader = TileHashReader::new(size, root, &served);
    for index in [0, 1, 255, 256, 300, 65_535, 65_536, size - 1] {
        let entry = served.entry(index, size);
        let proof = prove_record(size, index, &reader).unwrap();
        check_record(&proof, size, root, index, record_hash(&entry)).unwrap();
        if index >= 300 {
            assert_eq!(entry, lines[index as usize - 300].as_bytes());
        }
    }
    assert_eq!(served.entry(0, size), receipt.entry.as_bytes(), "the message's own entry");
    for old in &known {
        let proof = prove_tree(size, old.size(), &reader).unwrap();
        check_tree(&proof, size, root, old.size(), *old.hash()).unwrap();
    }
    // Whatever is not as it was appended is seen by them too: any tile of a proof, the entry, another old root.
    let plain = Served::by(&my, None);
    let proof = prove_record(size, 300, &TileHashReader::new(size, root, &plain)).unwrap();
    let tiles = plain.read.into_inner();
    assert!(tiles.len() >= 4, "{tiles:?}");
    for path in &tiles {
        let altered = Served::by(&my, Some(path));
        let proof = prove_record(size, 300, &TileHashReader::new(size, root, &altered));
        let checked = proof.and_then(|proof| check_record(&proof, size, root, 300, record_hash(lines[0].as_bytes())));
        assert!(checked.is_err(), "{path}");
    }
    assert!(check_record(&proof, size, root, 300, record_hash(lines[1].as_bytes())).is_err());
    let proof = prove_tree(size, 300, &reader).unwrap();
    assert!(check_tree(&proof, size, root, 300, *known[0].hash()).is_err());
    // What was served while the log was smaller is served still, and leads to the checkpoint of then.
    let small = Served::by(&my, None);
    let (size, root) = (known[1].size(), *known[1].hash());
    let proof = prove_record(size, 270, &TileHashReader::new(size, root, &small)).unwrap();
    check_record(&proof, size, root, 270, record_hash(&small.entry(270, size))).unwrap();
    assert!(small.read.into_inner().contains("tile/0/001.p/44"));
    gateway.stop_and_verify().await;
}

fn pair(seed: &[u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).unwrap()
}

fn theirs(name: &str, seed: &[u8; 32]) -> StandardSigner {
    let id = signed_note::key_id(name, &[&[1], pair(seed).public_key().as_ref()].concat());
    let key = BASE64_STANDARD.encode([&[1], &seed[..]].concat());
    StandardSigner::new(&format!("PRIVATE+KEY+{name}+{id:08x}+{key}")).unwrap()
}

/// A witness of theirs, from the seed of ours: the same key, and a signature that opens here.
#[test]
fn a_cosignature_that_another_implementation_makes_opens_here() {
    let name = "witness.example/w1";
    let seed = [9; 32];
    let theirs = ml_dsa::ExpandedSigningKey::<MlDsa44>::from_seed(&seed.into());
    let key = [&[6], &theirs.verifying_key().encode()[..]].concat();
    let id = signed_note::key_id(name, &key);
    let vkey = format!("{name}+{id:08x}+{}", BASE64_STANDARD.encode(&key));
    let ours = Cosigner::new(name, pair(&seed)).with_ml_dsa(&seed).unwrap();
    assert_eq!(ours.verifiers().nth(1).unwrap().to_string(), vkey);
    let text = "log.example/a\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).unwrap();
    let time = 1_679_315_147u64;
    let signature = theirs.sign_deterministic(&cosigned_message(name, time.to_be_bytes(), &checkpoint), &[]).unwrap();
    let line = [&id.to_be_bytes()[..], &time.to_be_bytes(), &signature.encode()].concat();
    let note = format!("{text}\n\u{2014} {name} {}\n", BASE64_STANDARD.encode(line));
    let keys = [VerifierKey::parse(&vkey).unwrap()];
    assert_eq!(note::open(&note, &keys).unwrap().by, [(&keys[0], Some(time))]);
    assert!(note::open(&note.replace("\n7\n", "\n8\n"), &keys).is_err());
    let known: Vec<Box<dyn Verifier>> = vec![Box::new(SubtreeV1::new(&vkey))];
    let own = format!("{text}\n{}", ours.cosign(&Checkpoint::parse(text).unwrap(), time));
    assert_eq!(opened(own.as_bytes(), known).map(|(_, signers)| signers), Some(1));
}

/// A fixed vector: what OpenSSL 4.0 signed by ML-DSA-44 with the seed 0, 1, … 31 (files of the fuzz targets' corpus).
#[test]
fn what_openssl_signed_by_ml_dsa_opens_here_and_its_key_is_ours() {
    let read = |name: &str| std::fs::read_to_string(format!("tests/fuzz/corpus/{name}")).unwrap();
    let (note, vkey) = (read("note/cosigned_twice"), read("verifier_key/witness_ml_dsa"));
    let seed = std::array::from_fn(|n| n as u8);
    let ours = Cosigner::new("witness.example/w1", pair(&[1; 32])).with_ml_dsa(&seed).unwrap();
    assert_eq!(ours.verifiers().nth(1).unwrap().to_string(), vkey);
    let keys = ["log", "witness"].map(|name| VerifierKey::parse(&read(&format!("verifier_key/{name}"))).unwrap());
    let keys = [&keys[..], &[VerifierKey::parse(&vkey).unwrap()]].concat();
    let opened = note::open(&note, &keys).unwrap();
    let types: Vec<u8> = opened.by.iter().map(|(key, _)| key.signature_type()).collect();
    assert_eq!((types, opened.by[2].1), (vec![1, 4, 6], Some(1_764_000_000)));
    assert!(note::open(&note.replace("\n8\n", "\n9\n"), &keys[2..]).is_err());
}

fn their_verdict(note: &str, key: &VerifierKey) -> Option<String> {
    let note = Note::from_bytes(note.as_bytes()).ok()?;
    let known: Box<dyn Verifier> = Box::new(StandardVerifier::new(&key.to_string()).unwrap());
    note.verify(&VerifierList::new(vec![known])).ok()?;
    Some(String::from_utf8(note.text().to_vec()).unwrap())
}

fn our_verdict(note: &str, key: &VerifierKey) -> Option<String> {
    note::open(note, std::slice::from_ref(key)).ok().map(|opened| opened.text.to_owned())
}

/// `text` with a character taken away, put in or replaced.
fn altered(text: &str, at: prop::sample::Index, how: u8, with: char) -> String {
    let mut text: Vec<char> = text.chars().collect();
    let at = at.index(text.len());
    match how {
        0 => drop(text.remove(at)),
        1 => text.insert(at, with),
        _ => text[at] = with,
    }
    text.into_iter().collect()
}

const NAME: &str = "[a-z0-9./-]{1,30}";
/// Below U+0020, spaces, signs of the format, and letters.
const SIGN: &str = "[\n\u{1}\t +=\u{2014}\u{a0}\u{e4}Aa05]";

fn sign() -> impl Strategy<Value = char> {
    prop::string::string_regex(SIGN).unwrap().prop_map(|text| text.chars().next().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_note_that_one_signs_opens_in_the_other(seed: [u8; 32], name in NAME, text in "([ -~\u{e4}\u{20ac}]{0,40}\n){1,5}") {
        let ours = NoteSigner::new(&name, pair(&seed));
        let key = ours.verifier();
        let note = ours.sign(&text);
        prop_assert_eq!(their_verdict(&note, key), Some(text.clone()));
        let theirs = theirs(&name, &seed);
        prop_assert_eq!(format!("{:08x}", theirs.key_id()), hex::encode(key.id()));
        let mut other = Note::new(text.as_bytes(), &[]).unwrap();
        other.add_sigs(&[&theirs]).unwrap();
        let other = String::from_utf8(other.to_bytes()).unwrap();
        prop_assert_eq!(our_verdict(&other, key), Some(text));
        prop_assert_eq!(other, note, "Ed25519 is deterministic, and a note has one spelling");
    }

    #[test]
    fn of_an_altered_note_both_say_the_same(
        seed: [u8; 32], text in "([ -~]{0,9}\n){1,3}", at: prop::sample::Index, how in 0..3u8, with in sign(),
    ) {
        let log = NoteSigner::new("log.example/a", pair(&seed));
        let mut note = log.sign(&text);
        let other = theirs("other.example/b", &[7; 32]);
        let mut second = Note::from_bytes(note.as_bytes()).unwrap();
        second.add_sigs(&[&other]).unwrap();
        note = String::from_utf8(second.to_bytes()).unwrap();
        let note = altered(&note, at, how, with);
        prop_assert_eq!(our_verdict(&note, log.verifier()), their_verdict(&note, log.verifier()), "{:?}", note);
    }

    /// Ours has no extension lines; everything else is taken and refused alike.
    #[test]
    fn of_a_checkpoint_and_of_an_altered_one_both_say_the_same(
        origin in "[!-~\u{e4}]([ -~\u{e4}]{0,20}[!-~])?", size: u64, root: [u8; 32], at: prop::sample::Index, how in 0..3u8, with in sign(),
    ) {
        let ours = Checkpoint { origin: origin.clone(), size, root };
        let theirs = tlog_tiles::Checkpoint::new(&origin, size, tlog_tiles::Hash(root), "").unwrap();
        let text = ours.to_text();
        prop_assert_eq!(text.as_bytes(), theirs.to_bytes());
        for text in [altered(&text, at, how, with), text] {
            let ours = Checkpoint::parse(&text).ok().map(|one| (one.origin, one.size, one.root));
            let theirs = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).ok().filter(|one| one.extension().is_empty());
            let theirs = theirs.map(|one| (one.origin().to_owned(), one.size(), one.hash().0));
            prop_assert_eq!(ours, theirs, "{:?}", text);
        }
    }

    #[test]
    fn a_tile_has_the_same_path_in_both(level in 0..8u8, index: u64, shift in 0..64u32, width in 1..=256u16, entries: bool) {
        let (level, index) = (if entries { 0 } else { level }, index >> shift);
        let tile = Tile { level, index, width };
        let ours = if entries { Resource::Entries(tile) } else { Resource::Hashes(tile) };
        let theirs = tlog_tiles::Tile::new(8, level, index, width.into(), entries);
        prop_assert_eq!(sumdb(&ours.to_string()), theirs.path());
        prop_assert_eq!(tlog_tiles::Tile::from_path(&sumdb(&ours.to_string())).unwrap(), theirs);
    }

    #[test]
    fn of_a_path_both_say_the_same(
        kind in "(entries|[0-7]|0[0-7])", groups in "(x?[0-9]{1,4}/){0,7}x?[0-9]{1,4}", width in "(|\\.p/[1-9][0-9]{0,3}|\\.p/0[1-9]|\\.p)",
    ) {
        let path = format!("{kind}/{groups}{width}");
        let theirs = tlog_tiles::Tile::from_path(&sumdb(&path)).ok();
        let ours = Resource::parse(&path).map(|resource| match resource {
            Resource::Hashes(tile) => tlog_tiles::Tile::new(8, tile.level, tile.index, tile.width.into(), false),
            Resource::Entries(tile) => tlog_tiles::Tile::new(8, 0, tile.index, tile.width.into(), true),
        });
        prop_assert_eq!(ours, theirs, "{}", path);
    }
}

/// Our path in the spelling of Go's sumdb.
fn sumdb(path: &str) -> String {
    format!("tile/8/{}", path.replacen("entries/", "data/", 1))
}

/// All hashes of a tree in one place, for `tlog_tiles` to compute from.
struct Hashes(Vec<tlog_tiles::Hash>);

impl HashReader for Hashes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[*index as usize]).collect())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_tree_of_any_size_has_the_same_tiles_in_both(size in 1..3_000u64) {
        let mut edge = Edge::default();
        let mut ours = Vec::new();
        let mut hashes = Hashes(Vec::new());
        for n in 0..size {
            let entry = n.to_be_bytes();
            ours.extend(edge.append(leaf_hash(&entry)));
            let stored = tlog_tiles::stored_hashes(n, &entry, &hashes).unwrap();
            hashes.0.extend(stored);
        }
        ours.extend(edge.partial());
        let mut ours: Vec<_> = ours.iter().map(|(tile, hashes)| (sumdb(&Resource::Hashes(*tile).to_string()), hashes.concat())).collect();
        ours.sort();
        let theirs = tlog_tiles::Tile::new_tiles(8, 0, size);
        let mut theirs: Vec<_> = theirs.iter().map(|tile| (tile.path(), tile.read_data(&hashes).unwrap())).collect();
        theirs.sort();
        prop_assert_eq!(ours, theirs);
    }
}
