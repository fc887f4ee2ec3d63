//! Which messages are of one placement, and which placements of one person.

use super::{
    Placement, Token, Worker,
    sets::{Near, Sets},
    spans::{Endings, Span, last_begun, place_of},
};
use crate::domain::facts::{Assertion, FactKind, Link, Reach};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

/// Messages that share references of one placement.
struct Group {
    members: Vec<usize>,
    /// The registration that was asserted first.
    registration: Option<usize>,
    /// When it was first spoken of.
    since: OffsetDateTime,
    /// When a death of it was last told.
    died: Option<OffsetDateTime>,
    worker: BTreeSet<Token>,
    person: Option<Token>,
    cases: BTreeSet<Token>,
    /// Whether it names nobody: nothing but a case, or nothing at all.
    anonymous: bool,
    /// Whether it is named by what may be another's.
    disputed: bool,
}

/// The workers of whom these messages tell.
pub(super) fn workers(said: &[Assertion], of: &[usize]) -> Vec<Worker> {
    let groups = groups(said, of);
    let people = people(&groups).into_iter();
    let mut workers: Vec<Worker> = people.map(|(own, contested)| worker(said, &groups, &own, contested)).collect();
    workers.sort_by_key(|worker| worker.placements.iter().flat_map(|one| one.members.iter().copied()).min());
    workers
}

/// By what messages name placements.
pub(super) struct References<'a> {
    said: &'a [Assertion],
    by_tag: BTreeMap<&'a Token, usize>,
    speaks: Vec<bool>,
}

impl<'a> References<'a> {
    /// Of those among a set that speak.
    pub(super) fn of(said: &'a [Assertion], speaking: &[usize]) -> Self {
        let mut speaks = vec![false; said.len()];
        speaking.iter().for_each(|n| speaks[*n] = true);
        Self { said, by_tag: said.iter().enumerate().map(|(n, one)| (&one.tag, n)).collect(), speaks }
    }

    /// The references that a message names. A placement is also named by the tag of the message that stands for it: so an id that a
    /// party was given is told. Where that message was withdrawn since, what it named is meant.
    pub(super) fn named(&self, n: usize) -> Vec<&'a Token> {
        let own = |n: usize| self.said[n].links.iter().filter(|link| link.reach == Reach::Placement);
        let silent = |link: &Link| self.by_tag.get(&link.token).copied().filter(|m| !self.speaks[*m]);
        let meant = own(n).filter_map(silent).flat_map(own);
        own(n).chain(meant).map(|link| &link.token).chain([&self.said[n].tag]).collect()
    }
}

/// The lifelong numbers that a message states.
pub(super) fn numbers(one: &Assertion) -> impl Iterator<Item = &Token> {
    one.links.iter().filter(|link| link.reach == Reach::Person).map(|link| &link.token)
}

/// Whose placement it is: a person's by the lifelong number, or that of a registration without one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Person(Token),
    Registration(usize),
}

/// Messages by placement. Those that state a lifelong number, or register somebody, are one placement only where they share a
/// reference; any other is of the placement of the one person to whom its references lead, near ones first. What leads to several is
/// of neither.
fn groups(said: &[Assertion], of: &[usize]) -> Vec<Group> {
    let references = References::of(said, of);
    let named: Vec<Vec<&Token>> = of.iter().map(|n| references.named(*n)).collect();
    let near = Near::of(&named, owners(said, of, &named));
    let mut disputed: BTreeSet<&Token> = BTreeSet::new();
    for at in (0..of.len()).filter(|at| near.of[*at].is_none() && near.is_between(&named[*at])) {
        disputed.extend(&named[at]);
    }
    disputed.extend(named.iter().flatten().filter(|token| near.is_between(&[**token])));
    let mut sets = Sets::new(of.len());
    let near = &near;
    sets.join_by((0..of.len()).flat_map(|at| named[at].iter().map(move |token| (at, (near.of[at], *token)))));
    let group = |list: Vec<usize>| {
        let disputed = list.iter().any(|at| named[*at].iter().any(|token| disputed.contains(token)));
        let person = match near.of[list[0]] {
            Some(Owner::Person(person)) => Some(person),
            Some(Owner::Registration(_)) | None => None,
        };
        group(said, person, disputed, list.into_iter().map(|at| of[at]).collect())
    };
    sets.lists().into_iter().map(group).collect()
}

/// Whose each message is by what it states itself. Registrations that share a reference are one person's; those without a lifelong
/// number hers whose reference they name.
fn owners(said: &[Assertion], of: &[usize], named: &[Vec<&Token>]) -> Vec<Option<Owner>> {
    let mut owners = vec![None; of.len()];
    let states = |at: &usize| numbers(&said[of[*at]]).next().is_some();
    let (stating, others): (Vec<usize>, Vec<usize>) = (0..of.len()).partition(states);
    let registering: Vec<usize> = others.into_iter().filter(|at| said[of[*at]].registers).collect();
    let mut known: BTreeMap<&Token, Owner> = BTreeMap::new();
    for all in [stating, registering] {
        let mut entries = Sets::new(all.len());
        entries.join_by((0..all.len()).flat_map(|n| named[all[n]].iter().map(move |token| (n, *token))));
        for list in entries.lists() {
            let list: Vec<usize> = list.into_iter().map(|n| all[n]).collect();
            let person = person_among(said, list.iter().map(|at| of[*at])).map(Owner::Person);
            let tokens = || list.iter().flat_map(|at| &named[*at]);
            let hers: BTreeSet<Owner> = tokens().filter_map(|token| known.get(token)).copied().collect();
            let owner = match (person, hers.first()) {
                (Some(person), _) => Some(person),
                (None, None) => Some(Owner::Registration(list[0])),
                (None, Some(one)) => Some(*one).filter(|_| hers.len() == 1),
            };
            for (token, owner) in tokens().filter_map(|token| Some((*token, owner?))).collect::<Vec<_>>() {
                known.entry(token).or_insert(owner);
            }
            list.iter().for_each(|at| owners[*at] = owner);
        }
    }
    owners
}

fn group(said: &[Assertion], person: Option<Token>, disputed: bool, members: Vec<usize>) -> Group {
    let registers = members.iter().copied().filter(|n| said[*n].registers);
    let registration = registers.min_by_key(|n| (said[*n].asserted_at, &said[*n].digest));
    let links = || members.iter().flat_map(|n| &said[*n].links);
    let tokens = |reach: Reach| links().filter(move |link| link.reach == reach).map(|link| link.token).collect();
    let (worker, cases) = (tokens(Reach::Worker), tokens(Reach::Case));
    let anonymous = links().all(|link| link.reach == Reach::Case);
    let since = members.iter().map(|n| said[*n].asserted_at).min().unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let deaths = members.iter().filter(|n| said[**n].asserts(FactKind::Death));
    let died = deaths.map(|n| said[*n].asserted_at).max();
    Group { registration, since, died, worker, person, cases, anonymous, disputed, members }
}

/// The lifelong number that the greatest of these messages states.
fn person_among(said: &[Assertion], members: impl Iterator<Item = usize>) -> Option<Token> {
    let people = members.flat_map(|n| numbers(&said[n]).map(move |number| (said[n].rank(), *number)));
    people.max().map(|(_, number)| number)
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
    let own: Vec<Vec<&Token>> =
        groups.iter().map(|group| group.worker.iter().filter(|token| !contested(token)).collect()).collect();
    // Who states no lifelong identifier is whoever alone shares an identifier with them.
    let of = Near::of(&own, groups.iter().map(|group| group.person).collect()).of;
    // Whoever is still nobody joins only such as are nobody too.
    let mut sets = Sets::new(groups.len());
    sets.join_by(of.iter().enumerate().filter_map(|(n, person)| Some((n, (*person)?))));
    let nobody = |n: &usize| of[*n].is_none();
    sets.join_by((0..groups.len()).filter(nobody).flat_map(|n| own[n].iter().map(move |token| (n, *token))));
    // What names a case alone belongs together, and to the one person whom the case is about; to nobody where it is about several.
    let cases = |n: usize| groups[n].cases.iter().map(move |case| (n, case));
    sets.join_by((0..groups.len()).filter(|n| groups[*n].anonymous).flat_map(cases));
    let mut named: BTreeMap<&Token, Vec<usize>> = BTreeMap::new();
    for (n, case) in (0..groups.len()).filter(|n| !groups[*n].anonymous).flat_map(cases) {
        named.entry(case).or_default().push(n);
    }
    for list in sets.lists().into_iter().filter(|list| list.iter().all(|n| groups[*n].anonymous)) {
        let about: BTreeSet<&Token> = list.iter().flat_map(|n| &groups[*n].cases).collect();
        let named = about.into_iter().filter_map(|case| named.get(case)).flatten();
        let people: BTreeSet<usize> = named.map(|m| sets.find(*m)).collect();
        if let Some(one) = people.first().filter(|_| people.len() == 1) {
            sets.join(*one, list[0]);
        }
    }
    let mut known: BTreeSet<&Token> = BTreeSet::new();
    for n in (0..groups.len()).filter(|n| of[*n].is_some()) {
        known.extend(&own[n]);
    }
    let between = |n: usize| of[n].is_none() && groups[n].worker.iter().any(|token| known.contains(token));
    let is_contested = |n: &usize| groups[*n].disputed || groups[*n].worker.iter().any(contested) || between(*n);
    sets.lists().into_iter().map(|list| (list.iter().any(is_contested), list)).map(|(is, list)| (list, is)).collect()
}

/// A worker of these groups: those that are registered are placements; what names only the worker goes to the one that was running
/// when it was asserted, with a death to the one that was registered last before it.
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
        endings: Endings::of(said, &group.members),
    };
    let mut placements: Vec<Placement> = certain.into_iter().map(place).collect();
    if placements.is_empty() {
        placements.push(Placement::default());
    }
    let mut spans: Vec<Span> = placements.iter().map(|one| one.span(said)).collect();
    for group in loose {
        let at = group.died.map_or_else(|| place_of(&spans, group.since), |died| last_begun(&spans, died));
        placements[at].endings.join(Endings::of(said, &group.members));
        placements[at].members.extend(&group.members);
        spans[at] = placements[at].span(said);
    }
    let person = own.iter().find_map(|n| groups[*n].person);
    Worker { placements, contested, awaits_second_officer: false, person }
}
