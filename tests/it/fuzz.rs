//! The fuzz targets of `tests/fuzz`, and one of time-stamps, on stable: every file of their corpus, and what becomes of these by mutation. Long mode
//! (`ONECHANNEL_LONG=1`) goes on for a hundred times as long, from another beginning each time.

#[path = "../fuzz/targets.rs"]
mod targets;

use crate::support::is_long;
use onechannel::{
    app::system::SystemRandom,
    domain::clock::Random,
    trust::time_stamp::{Roots, Token},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::panic::{AssertUnwindSafe, catch_unwind};
use targets::{TARGETS, Target};

/// SplitMix64: the same inputs from the same beginning.
struct Dice(u64);

impl Dice {
    fn draw(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % below.max(1) as u64) as usize
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let (a, b) = (self.draw(length + 1), self.draw(length + 1));
        a.min(b)..a.max(b).min(a.min(b) + 40)
    }
}

/// What parsers trip over.
const PIECES: [&[u8]; 22] = [
    b"\n",
    b"\n\n",
    b"\r\n",
    b"\0",
    b"\xff",
    "\u{2014} ".as_bytes(),
    b" ",
    b"0",
    b"00",
    b"-1",
    b"+",
    b"=",
    b"/",
    b"x000/",
    b".p/",
    b".p/256",
    b"18446744073709551615",
    b"18446744073709551616",
    b"\"",
    b"{",
    b"old ",
    "\u{202e}\u{85}".as_bytes(),
];

fn mutate(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[dice.draw(corpus.len())].clone();
    for _ in 0..=dice.draw(4) {
        let at = dice.draw(bytes.len() + 1);
        match dice.draw(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.draw(8),
            1 if at < bytes.len() => bytes[at] = dice.draw(256) as u8,
            2 => drop(bytes.drain(dice.range(bytes.len()))),
            3 => bytes.truncate(at),
            4 => {
                let piece = bytes[dice.range(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => {
                let other = &corpus[dice.draw(corpus.len())];
                let piece = other[dice.range(other.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => {
                let other = &corpus[dice.draw(corpus.len())];
                bytes.splice(at.., other[at.min(other.len())..].to_vec());
            }
            _ => drop(bytes.splice(at..at, PIECES[dice.draw(PIECES.len())].to_vec())),
        }
    }
    bytes
}

fn feed(name: &str, target: Target, bytes: &[u8]) -> bool {
    let fed = catch_unwind(AssertUnwindSafe(|| target(bytes)));
    fed.unwrap_or_else(|_| panic!("{name} breaks on {:?} (hex {})", String::from_utf8_lossy(bytes), hex::encode(bytes)))
}

/// What the tokens of the corpus are of, and the roots of those who made them.
const STAMPED: &[u8] = include_bytes!("../data/time-stamp/checkpoint");
const STAMP_ROOTS: [&[u8]; 2] =
    [include_bytes!("../data/time-stamp/rsa.root.pem"), include_bytes!("../data/time-stamp/ecdsa.root.pem")];

fn time_stamp(bytes: &[u8]) -> bool {
    let Ok(token) = Token::read(bytes) else { return false };
    assert_eq!(token.to_der(), bytes);
    let roots = STAMP_ROOTS.map(|pem| CertificateDer::from_pem_slice(pem).expect("a root of the corpus reads"));
    let roots = Roots::new(&roots).expect("the roots of the corpus are certificates");
    let day = time::macros::date!(2026 - 11 - 26);
    assert!(
        token.vouched(&roots).is_err() || (token.is_of(STAMPED) && token.time().date() == day),
        "what an authority did not say is vouched for"
    );
    true
}

#[test]
fn no_bytes_break_what_reads_notes_checkpoints_tiles_proofs_entries_and_receipts() {
    let mut begin = [0; 8];
    if is_long() {
        SystemRandom.fill(&mut begin);
    }
    let cases = if is_long() { 300_000 } else { 3_000 };
    for (name, target) in TARGETS.into_iter().chain([("time_stamp", time_stamp as Target)]) {
        let files = std::fs::read_dir(format!("tests/fuzz/corpus/{name}")).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        let corpus: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        for (file, bytes) in files.iter().zip(&corpus) {
            assert!(feed(name, target, bytes), "{} is not accepted", file.display());
        }
        let mut dice = Dice(u64::from_be_bytes(begin));
        let accepted = (0..cases).filter(|_| feed(name, target, &mutate(&mut dice, &corpus))).count();
        println!("{name}: {cases} cases from {begin:02x?}, {accepted} accepted");
        assert!(accepted < cases);
    }
}
