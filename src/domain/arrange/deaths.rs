//! At whose placements a death counts, and where officers are asked whose it is.
//!
//! A death is told of whoever it may be about: everybody to whom its identifiers lead by a chain of messages. It is about the
//! person whose lifelong number it states; about the person in a register whose reference it names; else about everybody who
//! shares an identifier with it, or with what shares one with it, and so on ([`super::chains`]). A chain goes through messages
//! that are nobody's for certain. It ends at one that states a lifelong number, and at one of a placement whose person a register
//! had named when the death was told. What was withdrawn or replaced still leads on, until two officers stand by that. Whoever
//! states no lifelong number and shares an identifier with her whom it may be about may be her. A case leads on only from what
//! names nothing else: it may be about several people.
//!
//! Of her placements it counts at each that ran when it was told, at the one that was registered last before, and at each whose
//! reference it names; if none was registered by then, at all. What is told later, of a later day, takes it from none of these.
//!
//! # Limits
//! - Only the set of messages counts, not when they came. A lifelong number that a register states for a time before the death
//!   says whose it is, also where it comes after the death: that alone takes a death from whom a chain led to, without officers.
//! - Registrations and endings of a day before the death say at which of her placements it lies, whenever they come. She herself
//!   stays dead. One that had ended counts only while no other of hers ran.
//! - A row that is nobody's for certain reads as dead with whom it may belong to, and no longer once it is known to be somebody
//!   else's.
//! - Whoever is registered again after her death, or whose last placement had ended before it while another ran, waits for two
//!   officers: they stand by the death, or by the withdrawal of one of the two.

use super::{
    Arranged, Token, Worker,
    chains::{Chains, Links, Start, Whom},
    spans::{Span, last_begun},
};
use crate::domain::{
    facts::{Assertion, FactKind},
    standing::{OFFICERS_TO_UNDO_A_DEATH, Standing},
};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

/// Lets every death count wherever it may lie.
pub(super) fn share(said: &[Assertion], standing: &Standing<'_>, arranged: &mut Arranged) {
    let is_death = |n: &usize| {
        standing.in_force(&said[*n]) && said[*n].asserts(FactKind::Death) && super::about(&said[*n]).is_none()
    };
    let deaths: Vec<usize> = (0..said.len()).filter(is_death).collect();
    if deaths.is_empty() {
        return;
    }
    let links = Links::of(said, standing);
    let filed = Filed::of(said, arranged);
    // Deaths between the same two entries of a register are looked at with the same eyes.
    let mut together: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for death in deaths {
        together.entry(links.entries_by(said[death].asserted_at)).or_default().push(death);
    }
    for deaths in together.into_values() {
        let mut chains = Chains::of(&links, &filed, said[deaths[0]].asserted_at);
        let mut by_start: BTreeMap<Start, Vec<usize>> = BTreeMap::new();
        for death in deaths {
            by_start.entry(chains.start(death)).or_default().push(death);
        }
        for (start, deaths) in by_start {
            let whom = chains.whom(&start);
            // Where there is nothing but a row without a name, the last word of it is enough.
            let last = deaths.iter().copied().max_by_key(|n| said[*n].rank());
            for death in deaths {
                let home = filed.of[death];
                let one = Death {
                    at: death,
                    told: said[death].asserted_at,
                    is_settled: standing.approved_by(&said[death].tag) >= OFFICERS_TO_UNDO_A_DEATH,
                    home: home.map(|(worker, _)| worker),
                    named: home.into_iter().chain(links.registrations(death).filter_map(|n| filed.of[n])).collect(),
                };
                one.count(said, &whom, last == Some(death), arranged);
            }
        }
    }
    for placement in arranged.workers.iter_mut().flat_map(|worker| &mut worker.placements) {
        placement.deaths.sort_unstable();
    }
}

/// Where each message stands, and whose the workers are.
pub(super) struct Filed {
    /// Worker and placement.
    pub(super) of: Vec<Option<(usize, usize)>>,
    pub(super) person: Vec<Option<Token>>,
    pub(super) by_person: BTreeMap<Token, Vec<usize>>,
    /// Whether a worker is nobody for certain and registered nowhere.
    pub(super) is_bare: Vec<bool>,
}

impl Filed {
    fn of(said: &[Assertion], arranged: &Arranged) -> Self {
        let mut of = vec![None; said.len()];
        let mut by_person: BTreeMap<Token, Vec<usize>> = BTreeMap::new();
        for (w, worker) in arranged.workers.iter().enumerate() {
            for (p, placement) in worker.placements.iter().enumerate() {
                placement.members.iter().for_each(|n| of[*n] = Some((w, p)));
            }
            if let Some(person) = worker.person {
                by_person.entry(person).or_default().push(w);
            }
        }
        let is_registered = |worker: &Worker| worker.placements.iter().any(|one| one.registration.is_some());
        let is_bare = |worker: &Worker| worker.person.is_none() && !is_registered(worker);
        Self {
            of,
            person: arranged.workers.iter().map(|worker| worker.person).collect(),
            by_person,
            is_bare: arranged.workers.iter().map(is_bare).collect(),
        }
    }
}

/// A death that counts at several placements.
struct Death {
    at: usize,
    told: OffsetDateTime,
    /// Whether two officers stand by it.
    is_settled: bool,
    /// The worker with whom it stands.
    home: Option<usize>,
    /// Placements that it names itself.
    named: BTreeSet<(usize, usize)>,
}

impl Death {
    fn count(&self, said: &[Assertion], whom: &Whom, is_last: bool, arranged: &mut Arranged) {
        let rows = &whom.rows;
        let mut hers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        rows.part.iter().for_each(|(worker, placement)| hers.entry(*worker).or_default().push(*placement));
        let bare = rows.bare.iter().filter(|_| is_last);
        for worker in rows.whole.iter().chain(bare).chain(&self.home) {
            hers.insert(*worker, (0..arranged.workers[*worker].placements.len()).collect());
        }
        let is_one_of_several = hers.len() > 1 || rows.bare.iter().any(|worker| !hers.contains_key(worker));
        for (w, own) in hers {
            let worker = &mut arranged.workers[w];
            let spans: Vec<Span> = own.iter().map(|p| worker.placements[*p].span(said)).collect();
            let last = last_begun(&spans, self.told);
            let began = spans[last].began_by(self.told);
            let since = spans.iter().any(|one| !one.began_by(self.told));
            let ran = spans.iter().any(|one| one.ran_at(self.told));
            let elsewhere = ran && !spans[last].ran_at(self.told);
            let is_another = is_one_of_several && (worker.person.is_none() || worker.person != whom.certain);
            worker.awaits_second_officer |= is_another || (!self.is_settled && (since || elsewhere));
            for (at, p) in own.into_iter().enumerate() {
                super::steps::count();
                let counts = !began || at == last || spans[at].ran_at(self.told) || self.named.contains(&(w, p));
                let placement = &mut worker.placements[p];
                if counts && placement.members.binary_search(&self.at).is_err() {
                    placement.deaths.push(self.at);
                }
            }
        }
    }
}
