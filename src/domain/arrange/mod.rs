//! Who and which placement a set of messages is about, as a pure function of the set: any order of arrival gives the same
//! people and the same placements.
//!
//! A message names references of one placement, identifiers of a worker, an identifier that a person has for life, or a case.
//! Messages that share a placement's reference belong together, and placements are one worker where they share an identifier,
//! unless they state two different lifelong numbers: two people who claim one passport, or one number of a permit, stay two, and
//! what names only that belongs to neither until a person decides ([`groups`]). Among a worker's groups those that are registered
//! are placements; what names only the worker goes to the placement that was running when it was asserted ([`spans`]). Nothing here
//! compares names or dates of birth: twins are never made one.
//!
//! A death counts with everybody whom it may be about, so that no mistake of another gives a dead worker back her life
//! ([`deaths`], with the limits of that rule).

mod chains;
mod deaths;
mod groups;
mod sets;
mod spans;
mod steps;

use self::{
    groups::workers,
    spans::{Endings, Span, place_of},
};
use super::{
    facts::{Assertion, Effect, Reach},
    standing::Standing,
};
use std::collections::{BTreeMap, BTreeSet};

type Token = [u8; 16];

/// What a set of messages tells of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arranged {
    /// The workers.
    pub workers: Vec<Worker>,
    /// Messages that belong to no placement: held ones that lead to none or to several, and words about messages that have
    /// not come.
    pub loose: Vec<usize>,
}

/// A worker and the placements that the messages tell of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Placements, in the order of their registration.
    pub placements: Vec<Placement>,
    /// Whether another person claims one of the same identifiers.
    pub contested: bool,
    /// Whether a death that may be hers may be another's, or lie elsewhere, and two officers have not settled it.
    pub awaits_second_officer: bool,
    person: Option<Token>,
}

/// A placement's messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placement {
    /// Positions in the set, in its order.
    pub members: Vec<usize>,
    /// Deaths that stand elsewhere and count here too.
    pub deaths: Vec<usize>,
    /// The registration that makes it certain, if there is one.
    pub registration: Option<usize>,
    endings: Endings,
}

impl Placement {
    fn span(&self, said: &[Assertion]) -> Span {
        Span { from: self.registration.map(|n| said[n].asserted_at), over: self.endings.over() }
    }
}

/// Arranges a set of messages, each of another tag, whose standing is known.
///
/// What was withdrawn or replaced links nothing any more; whose a death is, it says until two officers stand by its end.
pub fn arrange(said: &[Assertion], standing: &Standing<'_>) -> Arranged {
    let all = || (0..said.len()).filter(|n| about(&said[*n]).is_none());
    let (speaking, silent): (Vec<usize>, Vec<usize>) = all().partition(|n| standing.in_force(&said[*n]));
    let mut arranged = Arranged { workers: workers(said, &speaking), loose: Vec::new() };
    // What was withdrawn or waits for a person links nothing; it is shown where it leads.
    let mut withdrawn = Vec::new();
    let ways = Ways::of(said, &arranged.workers);
    let places: Vec<_> = silent.into_iter().map(|n| (n, ways.place_of(said, &arranged.workers, n))).collect();
    for (n, place) in places {
        match place {
            Some((worker, placement)) => arranged.workers[worker].placements[placement].members.push(n),
            None if said[n].held => arranged.loose.push(n),
            None => withdrawn.push(n),
        }
    }
    arranged.workers.extend(workers(said, &withdrawn));
    place_words(said, &mut arranged);
    arranged.loose.sort_unstable();
    for worker in &mut arranged.workers {
        worker.placements.iter_mut().for_each(|one| one.members.sort_unstable());
    }
    deaths::share(said, standing, &mut arranged);
    arranged
}

/// The message that another is about: its withdrawal or an officer's word on it goes where it goes.
fn about(one: &Assertion) -> Option<&Token> {
    one.effects.iter().find_map(|effect| match effect {
        Effect::Invalidate { target } | Effect::Approve { target, .. } => Some(target),
        Effect::Status { .. } | Effect::Field { .. } | Effect::Correct { .. } => None,
    })
}

/// A word about a message goes where that goes, also a word about a word.
fn place_words(said: &[Assertion], arranged: &mut Arranged) {
    let by_tag: BTreeMap<&Token, usize> = said.iter().enumerate().map(|(n, one)| (&one.tag, n)).collect();
    let mut placed: Vec<Option<(usize, usize)>> = vec![None; said.len()];
    for (w, worker) in arranged.workers.iter().enumerate() {
        for (p, placement) in worker.placements.iter().enumerate() {
            placement.members.iter().for_each(|n| placed[*n] = Some((w, p)));
        }
    }
    let mut seen = vec![false; said.len()];
    for n in (0..said.len()).filter(|n| about(&said[*n]).is_some()) {
        // Along the words until one that was placed, or that leads nowhere: one of a circle, or about what has not come.
        let mut way = Vec::new();
        let mut next = Some(n);
        while let Some(n) = next.filter(|n| about(&said[*n]).is_some() && !std::mem::replace(&mut seen[*n], true)) {
            way.push(n);
            next = about(&said[n]).and_then(|tag| by_tag.get(tag)).copied();
        }
        let place = next.and_then(|n| placed[n]);
        way.into_iter().for_each(|n| placed[n] = place);
        match placed[n] {
            Some((worker, placement)) => arranged.workers[worker].placements[placement].members.push(n),
            None => arranged.loose.push(n),
        }
    }
}

/// To what the identifiers of messages that wait for nobody lead.
struct Ways<'a> {
    placements: BTreeMap<&'a Token, BTreeSet<(usize, usize)>>,
    workers: BTreeMap<&'a Token, BTreeSet<usize>>,
}

impl<'a> Ways<'a> {
    fn of(said: &'a [Assertion], workers: &[Worker]) -> Self {
        let mut ways = Self { placements: BTreeMap::new(), workers: BTreeMap::new() };
        for (w, worker) in workers.iter().enumerate() {
            for (p, placement) in worker.placements.iter().enumerate() {
                for link in placement.members.iter().filter(|n| !said[**n].held).flat_map(|n| &said[*n].links) {
                    match link.reach {
                        Reach::Placement => drop(ways.placements.entry(&link.token).or_default().insert((w, p))),
                        _ => drop(ways.workers.entry(&link.token).or_default().insert(w)),
                    }
                }
            }
        }
        ways
    }

    /// The one placement to which a message's identifiers lead.
    fn place_of(&self, said: &[Assertion], workers: &[Worker], n: usize) -> Option<(usize, usize)> {
        let named = |exact: bool| {
            said[n].links.iter().filter(move |link| (link.reach == Reach::Placement) == exact).map(|link| &link.token)
        };
        let exact: BTreeSet<_> = named(true).filter_map(|token| self.placements.get(token)).flatten().collect();
        if let Some(one) = exact.first().filter(|_| exact.len() == 1) {
            return Some(**one);
        }
        let near: BTreeSet<_> = named(false).filter_map(|token| self.workers.get(token)).flatten().copied().collect();
        let worker = near.first().copied().filter(|_| near.len() == 1)?;
        let spans: Vec<Span> = workers[worker].placements.iter().map(|one| one.span(said)).collect();
        Some((worker, place_of(&spans, said[n].asserted_at)))
    }
}

#[cfg(test)]
mod tests;
