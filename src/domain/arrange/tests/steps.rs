//! How much work it is: counted in steps, not in time.

use super::*;
use crate::domain::arrange::steps::COUNTED;

/// Adds messages, each under another tag.
fn many(said: &mut Vec<Assertion>, count: u32, one: impl Fn(u32) -> Assertion) {
    for n in 0..count {
        let mut one = one(n);
        let at = u32::try_from(said.len()).unwrap_or_default();
        (one.tag, one.digest) = ([9; 16], [9; 32]);
        one.tag[..4].copy_from_slice(&at.to_be_bytes());
        one.digest[..4].copy_from_slice(&at.to_be_bytes());
        said.push(one);
    }
}

fn numbered(reach: Reach, n: u32) -> Link {
    let mut link = link(reach, 0);
    link.token[4..8].copy_from_slice(&n.to_be_bytes());
    link
}

fn steps(said: &[Assertion]) -> usize {
    COUNTED.set(0);
    let arranged = arranged(said);
    assert!(!arranged.workers.is_empty());
    COUNTED.get()
}

/// Fills a set with so many of each kind.
type Fill = fn(&mut Vec<Assertion>, u32);

/// How many steps a set of this size takes, for each of its messages.
fn each(count: u32, fill: Fill) -> usize {
    let mut said = Vec::new();
    fill(&mut said, count);
    steps(&said) / said.len()
}

#[test]
fn many_words_of_one_death_are_looked_at_once() {
    let sets: [(&str, Fill); 4] = [
        ("one passport of two", |said, count| {
            said.push(registers(1, 0, &[reference(1), passport(1), nik(1)]));
            said.push(registers(2, 0, &[reference(2), passport(1), nik(2)]));
            many(said, count, |n| says(0, i64::from(n % 500), FactKind::Death, "DECEASED", &[passport(1)]));
        }),
        ("each another passport of hers", |said, count| {
            said.push(registers(1, 0, &[reference(1), passport(1), nik(1)]));
            many(said, count, |n| says(0, 1, FactKind::Permit, "ISSUED", &[reference(1), numbered(Reach::Worker, n)]));
            many(said, count, |n| {
                says(0, i64::from(n % 500), FactKind::Death, "DECEASED", &[numbered(Reach::Worker, n)])
            });
        }),
        ("a chain", |said, count| {
            said.push(registers(1, 0, &[reference(1), numbered(Reach::Worker, 0), nik(1)]));
            many(said, count, |n| {
                let links = [numbered(Reach::Worker, n), numbered(Reach::Worker, n + 1)];
                says(0, i64::from(n % 500), FactKind::Death, "DECEASED", &links)
            });
        }),
        ("placements of nobody", |said, count| {
            many(said, count, |n| {
                let links = [numbered(Reach::Placement, n), passport(1)];
                says(0, i64::from(n % 500), FactKind::Death, "DECEASED", &links)
            });
        }),
    ];
    for (name, fill) in sets {
        let (few, more) = (each(200, fill), each(4_000, fill));
        assert!(more <= 40 && more <= 2 * few + 2, "{name}: {few} steps a message, and {more} of twenty times as many");
    }
}
