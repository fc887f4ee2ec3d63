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
    /// Whether a death that may be hers may be another's, or lie elsewhere, and two officers have not settled it.
    pub awaits_second_officer: bool,
    person: Option<Token>,
}

/// A placement's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Positions in the set, in its order.
    pub members: Vec<usize>,
    /// Deaths that stand elsewhere and count here too.
    pub deaths: Vec<usize>,
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
/// What was withdrawn or replaced links nothing any more; whose a death is, it says until two officers stand by its end.
pub fn arrange(said: &[Assertion], standing: &Standing<'_>) -> Arranged {
    let is_about = |n: &usize| about(&said[*n]).is_none();
    let is_death = |n: &usize| standing.in_force(&said[*n]) && said[*n].asserts(FactKind::Death) && is_about(n);
    let deaths: Vec<usize> = (0..said.len()).filter(is_death).collect();
    let mut arranged = arrange_by(said, |one| standing.in_force(one));
    if deaths.is_empty() {
        return arranged;
    }
    let links = |n: &usize| standing.in_force(&said[*n]) || standing.is_unconfirmed(&said[*n]);
    let linking: Vec<usize> = (0..said.len()).filter(|n| links(n) && is_about(n)).collect();
    let groups = groups(said, &linking);
    let leads = Leads::of(said, &groups);
    for death in deaths {
        share(said, death, &leads.candidates(death), &mut arranged);
    }
    arranged
}

/// Lets a death count for everybody whom it may be about, and at each placement of theirs where it may lie.
fn share(said: &[Assertion], death: usize, candidates: &Candidates, arranged: &mut Arranged) {
    let home = |worker: &Worker| worker.placements.iter().position(|one| one.members.contains(&death));
    let may_be = |worker: &Worker| {
        let mut registered = worker.placements.iter().filter_map(|one| one.registration);
        worker.person.is_some_and(|person| candidates.people.contains(&person))
            || registered.any(|n| candidates.registrations.contains(&n))
    };
    let found: Vec<bool> = arranged.workers.iter().map(|one| home(one).is_some() || may_be(one)).collect();
    let contested = found.iter().filter(|found| **found).count() > 1;
    let told = said[death].asserted_at;
    for (worker, _) in arranged.workers.iter_mut().zip(found).filter(|(_, found)| *found) {
        let spans = spans(said, &worker.placements);
        let placed = home(worker).unwrap_or_else(|| place_of(&spans, told));
        // Where it would lie if no ending counted: one that is told later, of an earlier day, does not take it away.
        let unended: Vec<Span> = spans.iter().map(|(from, _)| (*from, None)).collect();
        let last = place_of(&unended, told);
        let runs = |(from, over): &Span| from.is_some_and(|from| from <= told) && over.is_none();
        let since = spans.iter().any(|(from, _)| from.is_some_and(|from| from > told));
        worker.awaits_second_officer |= contested || since || (last != placed && spans[last].1.is_some());
        for (at, placement) in worker.placements.iter_mut().enumerate() {
            if (at == placed || at == last || runs(&spans[at])) && !placement.members.contains(&death) {
                placement.deaths.push(death);
            }
        }
    }
}

/// Whom a death may be about.
#[derive(Default)]
struct Candidates {
    people: BTreeSet<Token>,
    registrations: BTreeSet<usize>,
}

/// Groups by the identifiers of workers, and of cases, that they name.
struct Leads<'a> {
    said: &'a [Assertion],
    groups: &'a [Group],
    holders: BTreeMap<&'a Token, Vec<usize>>,
}

impl<'a> Leads<'a> {
    fn of(said: &'a [Assertion], groups: &'a [Group]) -> Self {
        let mut holders: BTreeMap<&Token, Vec<usize>> = BTreeMap::new();
        for (n, group) in groups.iter().enumerate() {
            group.worker.iter().chain(&group.cases).for_each(|token| holders.entry(token).or_default().push(n));
        }
        Self { said, groups, holders }
    }

    /// Everybody to whom a death leads by a chain of identifiers, from group to group, each chain up to the first that states a
    /// lifelong number. A death that states one itself is about that person.
    fn candidates(&self, death: usize) -> Candidates {
        let told = &self.said[death];
        let mut found = Candidates::default();
        let names_a_person = told.links.iter().any(|link| link.reach == Reach::Person);
        let own = told.links.iter().filter(|link| link.reach == Reach::Worker && !names_a_person);
        let own = own.filter_map(|link| self.holders.get(&link.token)).flatten().copied();
        let home = (0..self.groups.len()).filter(|n| self.groups[*n].members.contains(&death));
        let mut seen = vec![false; self.groups.len()];
        let mut next: Vec<usize> = home.chain(own).collect();
        while let Some(n) = next.pop() {
            if std::mem::replace(&mut seen[n], true) {
                continue;
            }
            let group = &self.groups[n];
            found.registrations.extend(self.registrations(n));
            // Who it was when the death was told is not undone by another number since.
            let before = group.members.iter().filter(|m| self.said[**m].asserted_at <= told.asserted_at);
            found.people.extend(group.person.into_iter().chain(person_among(self.said, before)));
            if group.person.is_none() && !names_a_person {
                next.extend(self.beside(n));
            }
        }
        // Everything of these people, and whoever states no lifelong number and shares an identifier with them.
        let of_them = |n: &usize| self.groups[*n].person.is_some_and(|person| found.people.contains(&person));
        let mut next: Vec<usize> = (0..self.groups.len()).filter(of_them).collect();
        let mut seen = vec![false; self.groups.len()];
        while let Some(n) = next.pop() {
            if !std::mem::replace(&mut seen[n], true) {
                found.registrations.extend(self.registrations(n));
                next.extend(self.beside(n).filter(|m| self.groups[*m].person.is_none()));
            }
        }
        found
    }

    fn registrations(&self, n: usize) -> impl Iterator<Item = usize> {
        self.groups[n].members.iter().copied().filter(|m| self.said[*m].registers)
    }

    /// Groups that share an identifier with one; a case where one of the two names nothing else.
    fn beside(&self, n: usize) -> impl Iterator<Item = usize> {
        let group = &self.groups[n];
        let by = |token| self.holders[token].iter().copied();
        let by_case = group.cases.iter().flat_map(by).filter(|m| group.anonymous || self.groups[*m].anonymous);
        group.worker.iter().flat_map(by).chain(by_case)
    }
}

/// When a placement was registered and when it was over, as far as either is known.
type Span = (Option<OffsetDateTime>, Option<OffsetDateTime>);

fn spans(said: &[Assertion], placements: &[Placement]) -> Vec<Span> {
    placements.iter().map(|one| (one.registration.map(|n| said[n].asserted_at), one.over)).collect()
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
    Some((w, place_of(&spans(said, &worker.placements), said[n].asserted_at)))
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
    let person = person_among(said, &members);
    let since = members.iter().map(|n| said[*n].asserted_at).min().unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let worker = links().filter(|(_, link)| link.reach == Reach::Worker).map(|(_, link)| link.token).collect();
    let cases = links().filter(|(_, link)| link.reach == Reach::Case).map(|(_, link)| link.token).collect();
    let anonymous = links().all(|(_, link)| link.reach == Reach::Case);
    Group { registration, since, worker, person, cases, anonymous, members }
}

/// The lifelong number that the greatest of these messages states.
fn person_among<'n>(said: &[Assertion], members: impl IntoIterator<Item = &'n usize>) -> Option<Token> {
    let links = members.into_iter().flat_map(|n| said[*n].links.iter().map(|link| (said[*n].rank(), link)));
    let people = links.filter(|(_, link)| link.reach == Reach::Person);
    people.max_by_key(|(rank, link)| (*rank, link.token)).map(|(_, link)| link.token)
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
        deaths: Vec::new(),
        registration: group.registration,
        over: over(said, &group.members),
    };
    let mut placements: Vec<Placement> = certain.into_iter().map(place).collect();
    for group in loose {
        if placements.is_empty() {
            placements.push(Placement { members: Vec::new(), deaths: Vec::new(), registration: None, over: None });
        }
        let at = place_of(&spans(said, &placements), group.since);
        placements[at].over = placements[at].over.max(over(said, &group.members));
        placements[at].members.extend(&group.members);
    }
    let person = own.iter().find_map(|n| groups[*n].person);
    Worker { placements, contested, awaits_second_officer: false, person }
}

/// The placement that ran at an instant: registered last before it and not over; else the next to be registered; else the
/// last. Spans are in the order of their registrations.
fn place_of(spans: &[Span], at: OffsetDateTime) -> usize {
    let ran = |(from, over): &Span| from.is_none_or(|from| from <= at) && over.is_none_or(|over| over >= at);
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
