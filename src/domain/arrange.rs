//! Who and which placement a set of messages is about, as a pure function of the set: any order of arrival gives the same
//! people and the same placements.
//!
//! A message names references of one placement, identifiers of a worker, or an identifier that a person has for life.
//! Messages that share a placement's reference belong together. Such groups are one worker where they share an identifier,
//! unless they state two different lifelong identifiers: two people who claim one passport stay two, and what names only that
//! passport belongs to neither until a person decides. Among a worker's groups those that are registered are placements; what
//! names only the worker goes to the placement that was running when it was asserted. Nothing here compares names or dates of
//! birth: twins are never made one.

use super::{
    facts::{Assertion, Effect, FactKind, Link, Reach},
    standing::Standing,
};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

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
    /// Whether something was withdrawn by which a death is hers, and waits for a second officer.
    pub awaits_second_officer: bool,
}

/// A placement's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Positions in the set, in its order.
    pub members: Vec<usize>,
    /// The registration that makes it certain, if there is one.
    pub registration: Option<usize>,
    over: Option<OffsetDateTime>,
}

/// Messages that share references of one placement.
struct Group {
    members: Vec<usize>,
    /// The registration that was asserted first.
    registration: Option<usize>,
    /// When it was first spoken of.
    since: OffsetDateTime,
    worker: BTreeSet<Token>,
    person: Option<Token>,
    cases: BTreeSet<Token>,
    /// Whether it names nobody: nothing but a case, or nothing at all.
    anonymous: bool,
}

/// Arranges a set of messages, each of another tag, whose standing is known.
///
/// What was withdrawn or replaced links nothing any more, unless a death would thereby come to lie elsewhere: then it goes on to
/// link until two officers stand by that.
pub fn arrange(said: &[Assertion], standing: &Standing<'_>) -> Arranged {
    let arranged = arrange_by(said, |one| standing.in_force(one));
    let dies = |one: &Assertion| standing.in_force(one) && one.asserts(FactKind::Death);
    if !said.iter().any(|one| standing.is_unconfirmed(one)) || !said.iter().any(dies) {
        return arranged;
    }
    let mut kept = arrange_by(said, |one| standing.in_force(one) || standing.is_unconfirmed(one));
    let beside = |arranged: &Arranged, death: usize| {
        let place = arranged.placements().find(|one| one.members.contains(&death));
        let others = place.into_iter().flat_map(|one| &one.members).copied();
        others.filter(|n| standing.in_force(&said[*n])).collect::<BTreeSet<usize>>()
    };
    let deaths = (0..said.len()).filter(|n| dies(&said[*n]));
    let moved: BTreeSet<usize> = deaths.filter(|n| beside(&arranged, *n) != beside(&kept, *n)).collect();
    if moved.is_empty() {
        return arranged;
    }
    for worker in &mut kept.workers {
        worker.awaits_second_officer =
            worker.placements.iter().any(|one| one.members.iter().any(|n| moved.contains(n)));
    }
    kept
}

impl Arranged {
    fn placements(&self) -> impl Iterator<Item = &Placement> {
        self.workers.iter().flat_map(|worker| &worker.placements)
    }
}

fn arrange_by(said: &[Assertion], speaks: impl Fn(&Assertion) -> bool) -> Arranged {
    let all = || (0..said.len()).filter(|n| about(&said[*n]).is_none());
    let (speaking, silent): (Vec<usize>, Vec<usize>) = all().partition(|n| speaks(&said[*n]));
    let mut arranged = Arranged { workers: workers(said, &speaking), loose: Vec::new() };
    // What was withdrawn or waits for a person links nothing; it is shown where it leads.
    let mut withdrawn = Vec::new();
    for (n, place) in silent.into_iter().map(|n| (n, leads_to(said, &arranged.workers, n))).collect::<Vec<_>>() {
        match place {
            Some((worker, placement)) => arranged.workers[worker].placements[placement].members.push(n),
            None if said[n].held => arranged.loose.push(n),
            None => withdrawn.push(n),
        }
    }
    arranged.workers.extend(workers(said, &withdrawn));
    let by_tag: BTreeMap<&Token, usize> = said.iter().enumerate().map(|(n, one)| (&one.tag, n)).collect();
    // A word about a message goes where that goes, also a word about a word.
    for n in (0..said.len()).filter(|n| about(&said[*n]).is_some()) {
        let mut target = about(&said[n]);
        for _ in 0..said.len() {
            target = match target.and_then(|tag| by_tag.get(tag)).and_then(|at| about(&said[*at])) {
                Some(further) => Some(further),
                None => break,
            };
        }
        let target = target.and_then(|tag| by_tag.get(tag));
        let mut placements = arranged.workers.iter_mut().flat_map(|worker| &mut worker.placements);
        match placements.find(|one| target.is_some_and(|target| one.members.contains(target))) {
            Some(placement) => placement.members.push(n),
            None => arranged.loose.push(n),
        }
    }
    arranged.loose.sort_unstable();
    for worker in &mut arranged.workers {
        worker.placements.iter_mut().for_each(|one| one.members.sort_unstable());
    }
    arranged
}

/// The one placement to which a message's identifiers lead.
fn leads_to(said: &[Assertion], workers: &[Worker], n: usize) -> Option<(usize, usize)> {
    let shares = |placement: &Placement, reach: fn(Reach) -> bool| {
        let own = said[n].links.iter().filter(|link| reach(link.reach));
        let members = || placement.members.iter().filter(|m| !said[**m].held).flat_map(|m| &said[*m].links);
        own.into_iter().any(|link| members().any(|other| other == link))
    };
    let places = || workers.iter().enumerate().flat_map(|(w, one)| (0..one.placements.len()).map(move |p| (w, p)));
    let exact: Vec<_> =
        places().filter(|(w, p)| shares(&workers[*w].placements[*p], |reach| reach == Reach::Placement)).collect();
    if let [one] = exact.as_slice() {
        return Some(*one);
    }
    let near = |worker: &Worker| worker.placements.iter().any(|one| shares(one, |reach| reach != Reach::Placement));
    let mut found = workers.iter().enumerate().filter(|(_, worker)| near(worker));
    let (w, worker) = found.next()?;
    if found.next().is_some() {
        return None;
    }
    let spans: Vec<_> =
        worker.placements.iter().map(|one| (one.registration.map(|n| said[n].asserted_at), one.over)).collect();
    Some((w, place_of(&spans, said[n].asserted_at)))
}

fn workers(said: &[Assertion], of: &[usize]) -> Vec<Worker> {
    let groups = groups(said, of);
    let people = people(&groups).into_iter();
    let mut workers: Vec<Worker> = people.map(|(own, contested)| worker(said, &groups, &own, contested)).collect();
    workers.sort_by_key(|worker| worker.placements.iter().flat_map(|one| one.members.iter().copied()).min());
    workers
}

/// Disjoint sets over the positions of a list; the smallest position stands for its set.
struct Sets(Vec<usize>);

impl Sets {
    fn new(size: usize) -> Self {
        Self((0..size).collect())
    }

    fn find(&self, mut one: usize) -> usize {
        while self.0[one] != one {
            one = self.0[one];
        }
        one
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }

    /// Makes one set of all that share a token.
    fn join_by<'t>(&mut self, named: impl Iterator<Item = (usize, &'t Token)>) {
        let mut first: BTreeMap<&Token, usize> = BTreeMap::new();
        for (one, token) in named {
            let known = *first.entry(token).or_insert(one);
            self.join(known, one);
        }
    }

    fn lists(&self) -> Vec<Vec<usize>> {
        let mut lists: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for one in 0..self.0.len() {
            lists.entry(self.find(one)).or_default().push(one);
        }
        lists.into_values().collect()
    }
}

/// The message that another is about: its withdrawal or an officer's word on it goes where it goes.
fn about(one: &Assertion) -> Option<&Token> {
    one.effects.iter().find_map(|effect| match effect {
        Effect::Invalidate { target } | Effect::Approve { target, .. } => Some(target),
        Effect::Status { .. } | Effect::Field { .. } | Effect::Correct { .. } => None,
    })
}

fn groups(said: &[Assertion], of: &[usize]) -> Vec<Group> {
    let mut sets = Sets::new(of.len());
    let references = |n: usize| said[n].links.iter().filter(|link| link.reach == Reach::Placement);
    // A placement is also named by the tag of the message that stands for it: so an id that a party was given is told. Where that
    // message was withdrawn since, what it named is meant.
    let by_tag: BTreeMap<&Token, usize> = said.iter().enumerate().map(|(n, one)| (&one.tag, n)).collect();
    let silent = |link: &Link| by_tag.get(&link.token).copied().filter(|m| !of.contains(m));
    let named = of.iter().enumerate().flat_map(|(at, n)| {
        let meant = references(*n).filter_map(silent).flat_map(references);
        references(*n).chain(meant).map(|link| &link.token).chain([&said[*n].tag]).map(move |token| (at, token))
    });
    sets.join_by(named);
    sets.lists().into_iter().map(|list| group(said, list.into_iter().map(|at| of[at]).collect())).collect()
}

fn group(said: &[Assertion], members: Vec<usize>) -> Group {
    let registers = members.iter().copied().filter(|n| said[*n].registers);
    let registration = registers.min_by_key(|n| (said[*n].asserted_at, &said[*n].digest));
    let links = || members.iter().flat_map(|n| said[*n].links.iter().map(move |link| (*n, link)));
    let person = links().filter(|(_, link)| link.reach == Reach::Person);
    let person = person.max_by_key(|(n, link)| (said[*n].rank(), link.token)).map(|(_, link)| link.token);
    let since = members.iter().map(|n| said[*n].asserted_at).min().unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let worker = links().filter(|(_, link)| link.reach == Reach::Worker).map(|(_, link)| link.token).collect();
    let cases = links().filter(|(_, link)| link.reach == Reach::Case).map(|(_, link)| link.token).collect();
    let anonymous = links().all(|(_, link)| link.reach == Reach::Case);
    Group { registration, since, worker, person, cases, anonymous, members }
}

/// Groups by worker, and whether the worker's identifiers are claimed by another.
fn people(groups: &[Group]) -> Vec<(Vec<usize>, bool)> {
    let mut claimants: BTreeMap<&Token, BTreeSet<&Token>> = BTreeMap::new();
    for group in groups {
        for token in &group.worker {
            claimants.entry(token).or_default().extend(&group.person);
        }
    }
    let contested = |token: &Token| claimants[token].len() > 1;
    let own = |n: usize| groups[n].worker.iter().filter(|token| !contested(token));
    let mut of: Vec<Option<&Token>> = groups.iter().map(|group| group.person.as_ref()).collect();
    // Who states no lifelong identifier is whoever alone shares an identifier with them, near ones first: round by round, each
    // looking only at the neighbours of those that the round before found.
    let mut holders: BTreeMap<&Token, Vec<usize>> = BTreeMap::new();
    for n in 0..groups.len() {
        own(n).for_each(|token| holders.entry(token).or_default().push(n));
    }
    let mut near: BTreeMap<&Token, BTreeSet<&Token>> = BTreeMap::new();
    let mut fresh: Vec<usize> = (0..groups.len()).filter(|n| of[*n].is_some()).collect();
    while !fresh.is_empty() {
        let mut beside: BTreeSet<usize> = BTreeSet::new();
        for n in fresh {
            for token in own(n) {
                // A token is walked along once for each person who comes to hold it, and that is at most two who matter.
                let people = near.entry(token).or_default();
                if people.len() < 2 && of[n].is_some_and(|person| people.insert(person)) {
                    beside.extend(holders[token].iter().filter(|m| of[**m].is_none()));
                }
            }
        }
        let found: Vec<(usize, &Token)> = beside
            .into_iter()
            .filter_map(|n| {
                let people: BTreeSet<&Token> = own(n).filter_map(|token| near.get(token)).flatten().copied().collect();
                people.first().filter(|_| people.len() == 1).map(|person| (n, *person))
            })
            .collect();
        fresh = found.iter().map(|(n, _)| *n).collect();
        found.into_iter().for_each(|(n, person)| of[n] = Some(person));
    }
    // Whoever is still nobody joins only such as are nobody too.
    let mut sets = Sets::new(groups.len());
    sets.join_by(of.iter().enumerate().filter_map(|(n, person)| Some((n, (*person)?))));
    let nobody = |n: &usize| of[*n].is_none();
    sets.join_by((0..groups.len()).filter(nobody).flat_map(|n| own(n).map(move |token| (n, token))));
    // What names a case alone belongs together, and to the one person whom the case is about; to nobody where it is about several.
    let cases = |n: usize| groups[n].cases.iter().map(move |case| (n, case));
    sets.join_by((0..groups.len()).filter(|n| groups[*n].anonymous).flat_map(cases));
    for list in sets.lists().into_iter().filter(|list| list.iter().all(|n| groups[*n].anonymous)) {
        let about: BTreeSet<&Token> = list.iter().flat_map(|n| &groups[*n].cases).collect();
        let named = (0..groups.len())
            .filter(|m| !groups[*m].anonymous && groups[*m].cases.iter().any(|case| about.contains(case)));
        let people: BTreeSet<usize> = named.map(|m| sets.find(m)).collect();
        if let Some(one) = people.first().filter(|_| people.len() == 1) {
            sets.join(*one, list[0]);
        }
    }
    let mut known: BTreeSet<&Token> = BTreeSet::new();
    for n in (0..groups.len()).filter(|n| of[*n].is_some()) {
        known.extend(own(n));
    }
    let between = |n: usize| of[n].is_none() && groups[n].worker.iter().any(|token| known.contains(token));
    let is_contested = |list: &Vec<usize>| list.iter().any(|n| groups[*n].worker.iter().any(contested) || between(*n));
    sets.lists()
        .into_iter()
        .map(|list| (is_contested(&list), list))
        .map(|(contested, list)| (list, contested))
        .collect()
}

fn worker(said: &[Assertion], groups: &[Group], own: &[usize], contested: bool) -> Worker {
    let (mut certain, mut loose): (Vec<&Group>, Vec<&Group>) =
        own.iter().map(|n| &groups[*n]).partition(|group| group.registration.is_some());
    let registered = |group: &Group| group.registration.map(|n| (said[n].asserted_at, said[n].digest));
    certain.sort_by_key(|group| registered(group));
    let first = |group: &Group| group.members.iter().map(|n| said[*n].digest).min();
    loose.sort_by_key(|group| (group.since, first(group)));
    let place = |group: &Group| Placement {
        members: group.members.clone(),
        registration: group.registration,
        over: over(said, &group.members),
    };
    let mut placements: Vec<Placement> = certain.into_iter().map(place).collect();
    for group in loose {
        if placements.is_empty() {
            placements.push(Placement { members: Vec::new(), registration: None, over: None });
        }
        let spans: Vec<_> =
            placements.iter().map(|one| (one.registration.map(|n| said[n].asserted_at), one.over)).collect();
        let at = place_of(&spans, group.since);
        placements[at].over = placements[at].over.max(over(said, &group.members));
        placements[at].members.extend(&group.members);
    }
    Worker { placements, contested, awaits_second_officer: false }
}

/// The placement that ran at an instant: registered last before it and not over; else the next to be registered; else the
/// last. Spans are in the order of their registrations.
fn place_of(spans: &[(Option<OffsetDateTime>, Option<OffsetDateTime>)], at: OffsetDateTime) -> usize {
    let ran = |(from, over): &(Option<OffsetDateTime>, Option<OffsetDateTime>)| {
        from.is_none_or(|from| from <= at) && over.is_none_or(|over| over >= at)
    };
    let next = || spans.iter().position(|(from, _)| from.is_some_and(|from| from > at));
    spans.iter().rposition(ran).or_else(next).unwrap_or(spans.len().saturating_sub(1))
}

fn over(said: &[Assertion], members: &[usize]) -> Option<OffsetDateTime> {
    members.iter().filter_map(|n| ended(&said[*n])).max()
}

/// When a message says that its placement is over.
fn ended(one: &Assertion) -> Option<OffsetDateTime> {
    one.effects.iter().find_map(|effect| match effect {
        Effect::Status { kind, value, at, .. } => {
            let over = match kind {
                FactKind::Closed | FactKind::FinalExit | FactKind::Cancelled => value != "REOPENED",
                FactKind::Return => value != "LEAVE",
                _ => false,
            };
            over.then(|| at.unwrap_or(one.asserted_at).max(one.asserted_at))
        }
        _ => None,
    })
}

#[cfg(test)]
#[path = "arrange_tests.rs"]
mod tests;
