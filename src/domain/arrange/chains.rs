//! Whom a death may be about: chains of messages that share an identifier, from the death to whoever they lead to.
//!
//! What a chain goes through depends only on what each message names by itself and on which lifelong numbers were stated by the
//! time of the death, so that no other message that comes cuts it. Every identifier is walked along once, however many deaths name
//! it.

use super::{
    Token, about,
    deaths::Filed,
    groups::{References, numbers},
    sets::Sets,
    steps,
};
use crate::domain::{
    facts::{Assertion, Reach},
    standing::Standing,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};
use time::OffsetDateTime;

/// What a message names, each identifier as a number of its own.
#[derive(Default)]
struct Names {
    /// Of placements, its own tag among them.
    references: Vec<usize>,
    worker: Vec<usize>,
    cases: Vec<usize>,
    /// Lifelong.
    people: Vec<Token>,
    /// Whether it names nothing but cases.
    anonymous: bool,
}

impl Names {
    fn all(&self) -> impl Iterator<Item = usize> {
        self.references.iter().chain(&self.worker).copied()
    }
}

/// What messages name that lead to somebody: those that count, and those that were withdrawn or replaced, until two officers stand
/// by that.
pub(super) struct Links<'a> {
    said: &'a [Assertion],
    names: Vec<Names>,
    /// Messages by what they name.
    holders: Vec<Vec<usize>>,
    /// Registrations by the references that they name.
    registrations: Vec<Vec<usize>>,
    /// Messages that state a lifelong number by the references that they name.
    stated: Vec<Vec<usize>>,
    /// Messages by the lifelong number that they state.
    stating: BTreeMap<Token, Vec<usize>>,
    /// All lifelong numbers that were ever stated of the placement of a message that states one, by its position.
    fellows: BTreeMap<usize, Rc<BTreeSet<Token>>>,
    /// Those that state one and count, in the order of their times.
    entries: Vec<usize>,
}

impl<'a> Links<'a> {
    pub(super) fn of(said: &'a [Assertion], standing: &Standing<'_>) -> Self {
        let leads = |n: &usize| {
            about(&said[*n]).is_none() && (standing.in_force(&said[*n]) || standing.is_unconfirmed(&said[*n]))
        };
        let leading: Vec<usize> = (0..said.len()).filter(leads).collect();
        let references = References::of(said, &leading);
        let mut known: BTreeMap<&Token, usize> = BTreeMap::new();
        let mut names: Vec<Names> = said.iter().map(|_| Names::default()).collect();
        for n in leading.iter().copied() {
            let mut id = |token: &'a Token| {
                let next = known.len();
                *known.entry(token).or_insert(next)
            };
            let links = &said[n].links;
            let of = |reach| links.iter().filter(move |link| link.reach == reach).map(|link| &link.token);
            names[n] = Names {
                references: references.named(n).into_iter().map(&mut id).collect(),
                worker: of(Reach::Worker).map(&mut id).collect(),
                cases: of(Reach::Case).map(&mut id).collect(),
                people: numbers(&said[n]).copied().collect(),
                anonymous: links.iter().all(|link| link.reach == Reach::Case),
            };
        }
        let mut links = Self {
            said,
            holders: vec![Vec::new(); known.len()],
            registrations: vec![Vec::new(); known.len()],
            stated: vec![Vec::new(); known.len()],
            stating: BTreeMap::new(),
            fellows: BTreeMap::new(),
            entries: Vec::new(),
            names,
        };
        for n in leading {
            links.hear(n, standing.in_force(&said[n]));
        }
        links.entries.sort_by_key(|n| said[*n].asserted_at);
        links.find_fellows();
        links
    }

    fn hear(&mut self, n: usize, counts: bool) {
        let names = &self.names[n];
        names.all().chain(names.cases.iter().copied()).for_each(|token| self.holders[token].push(n));
        if self.said[n].registers {
            names.references.iter().for_each(|token| self.registrations[*token].push(n));
        }
        if !names.people.is_empty() {
            names.references.iter().for_each(|token| self.stated[*token].push(n));
        }
        names.people.iter().for_each(|person| self.stating.entry(*person).or_default().push(n));
        if counts && !names.people.is_empty() {
            self.entries.push(n);
        }
    }

    fn find_fellows(&mut self) {
        let mut sets = Sets::new(self.holders.len());
        let stating: BTreeSet<usize> = self.stating.values().flatten().copied().collect();
        stating.iter().for_each(|n| sets.join_all(self.names[*n].references.iter().copied()));
        let mut people: BTreeMap<usize, BTreeSet<Token>> = BTreeMap::new();
        for n in &stating {
            people.entry(sets.find(self.names[*n].references[0])).or_default().extend(&self.names[*n].people);
        }
        let people: BTreeMap<usize, Rc<BTreeSet<Token>>> =
            people.into_iter().map(|(root, people)| (root, Rc::new(people))).collect();
        let of = |n: usize| (n, Rc::clone(&people[&sets.find(self.names[n].references[0])]));
        self.fellows = stating.into_iter().map(of).collect();
    }

    /// How many entries of a register there were at an instant.
    pub(super) fn entries_by(&self, at: OffsetDateTime) -> usize {
        self.entries.partition_point(|n| self.said[*n].asserted_at <= at)
    }

    /// The tag of a message among its references: the last.
    fn row_of(&self, n: usize) -> Option<usize> {
        self.names[n].references.last().copied()
    }

    /// Registrations with a reference that a message names.
    pub(super) fn registrations(&self, n: usize) -> impl Iterator<Item = usize> {
        self.names[n].references.iter().flat_map(|token| &self.registrations[*token]).copied()
    }
}

/// Where a death counts: with these workers, and at these placements of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) whole: BTreeSet<usize>,
    /// Workers who are nobody for certain and are registered nowhere.
    pub(super) bare: BTreeSet<usize>,
    pub(super) part: BTreeSet<(usize, usize)>,
}

impl Rows {
    fn extend(&mut self, other: &Self) {
        self.whole.extend(&other.whole);
        self.bare.extend(&other.bare);
        self.part.extend(&other.part);
    }

    /// A row that is nobody's may be hers as a whole. Of somebody else's a placement may, that was hers before.
    fn add(&mut self, links: &Links<'_>, filed: &Filed, n: usize) {
        steps::count();
        match filed.of[n] {
            Some((worker, _)) if filed.is_bare[worker] => self.bare.insert(worker),
            Some((worker, _)) if filed.person[worker].is_none() => self.whole.insert(worker),
            Some(row) if links.said[n].registers => self.part.insert(row),
            _ => false,
        };
    }
}

/// Whose a message is by itself, as far as was known when a death was told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// It states a lifelong number: no chain goes through it.
    Stated,
    /// That of an entry whose reference it names.
    Entry(usize),
    /// Nobody's for certain.
    Open,
}

/// What shares an identifier with the messages of a chain, or with an entry.
#[derive(Default)]
struct Leads {
    rows: Rows,
    people: BTreeSet<Token>,
    entries: BTreeSet<usize>,
    chains: BTreeSet<usize>,
}

/// Whom a death may be about.
pub(super) struct Whom {
    pub(super) rows: Rows,
    /// The one person whom it is about for certain.
    pub(super) certain: Option<Token>,
}

/// Where a search begins: lifelong numbers, entries of registers, and chains.
pub(super) type Start = (BTreeSet<Token>, BTreeSet<usize>, BTreeSet<usize>);

/// The chains that there were when a death was told. A chain and an entry are known by one of the identifiers in them.
pub(super) struct Chains<'l, 'a> {
    links: &'l Links<'a>,
    filed: &'l Filed,
    whose: Vec<Whose>,
    chain_of: Vec<usize>,
    in_chain: BTreeMap<usize, Vec<usize>>,
    in_entry: BTreeMap<usize, Vec<usize>>,
    entry_of: Vec<Option<usize>>,
    /// Identifiers of the person of an entry.
    hers: BTreeSet<(usize, usize)>,
    of_chain: BTreeMap<usize, Rc<Leads>>,
    of_entry: BTreeMap<usize, Rc<Leads>>,
    /// Rows of what is open in a chain.
    open_in: BTreeMap<usize, Rc<Rows>>,
    /// Chains and rows that share an identifier with a person.
    beside: BTreeMap<Token, Rc<Leads>>,
}

impl<'l, 'a> Chains<'l, 'a> {
    pub(super) fn of(links: &'l Links<'a>, filed: &'l Filed, told: OffsetDateTime) -> Self {
        let count = links.holders.len();
        let entries = &links.entries[..links.entries_by(told)];
        let mut sets = Sets::new(count);
        entries.iter().for_each(|n| sets.join_all(links.names[*n].references.iter().copied()));
        let mut entry_of = vec![None; count];
        let mut hers = BTreeSet::new();
        for names in entries.iter().map(|n| &links.names[*n]) {
            let entry = sets.find(names.references[0]);
            names.references.iter().for_each(|token| entry_of[*token] = Some(entry));
            hers.extend(names.worker.iter().map(|token| (entry, *token)));
        }
        let whose = |names: &Names| {
            let of: BTreeSet<usize> = names.references.iter().filter_map(|token| entry_of[*token]).collect();
            match of.first() {
                _ if !names.people.is_empty() => Whose::Stated,
                Some(entry) if of.len() == 1 => Whose::Entry(*entry),
                _ => Whose::Open,
            }
        };
        let whose: Vec<Whose> = links.names.iter().map(whose).collect();
        let mut sets = Sets::new(count);
        for names in links.names.iter().zip(&whose).filter(|(_, whose)| **whose == Whose::Open).map(|(names, _)| names)
        {
            sets.join_all(names.all());
            if names.anonymous {
                sets.join_all(names.cases.iter().copied());
            }
        }
        let chain_of: Vec<usize> = (0..count).map(|token| sets.find(token)).collect();
        let by = |of: &dyn Fn(usize) -> Option<usize>| {
            let mut lists: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            (0..count).filter_map(|token| Some((of(token)?, token))).for_each(|(of, token)| {
                lists.entry(of).or_default().push(token);
            });
            lists
        };
        let (in_chain, in_entry) = (by(&|token| Some(chain_of[token])), by(&|token| entry_of[token]));
        Self {
            links,
            filed,
            whose,
            chain_of,
            in_chain,
            in_entry,
            entry_of,
            hers,
            of_chain: BTreeMap::new(),
            of_entry: BTreeMap::new(),
            open_in: BTreeMap::new(),
            beside: BTreeMap::new(),
        }
    }

    /// Where the search begins: of deaths with the same beginning one is enough.
    pub(super) fn start(&self, death: usize) -> Start {
        let names = &self.links.names[death];
        let chains = |tokens: &mut dyn Iterator<Item = usize>| tokens.map(|token| self.chain_of[token]).collect();
        // Its own row does not say whose it is, whatever a register says of that row.
        let named = names.references.iter().filter(|token| self.links.row_of(death) != Some(**token));
        let entries: BTreeSet<usize> = named.filter_map(|token| self.entry_of[*token]).collect();
        match self.whose[death] {
            Whose::Stated => ((*self.links.fellows[&death]).clone(), BTreeSet::new(), BTreeSet::new()),
            // An identifier of somebody else beside her reference may be the true one, and so may what a register says since.
            _ if entries.len() == 1 => {
                let stated = names.references.iter().flat_map(|token| &self.links.stated[*token]);
                let people = stated.flat_map(|n| self.links.fellows[n].iter().copied()).collect();
                let is_hers = |token: &usize| entries.iter().any(|entry| self.hers.contains(&(*entry, *token)));
                let others = names.worker.iter().copied().filter(|token| !is_hers(token));
                let chains = chains(&mut others.into_iter());
                (people, entries, chains)
            }
            _ => {
                let cases = names.cases.iter().copied().filter(|_| names.anonymous);
                (BTreeSet::new(), entries, chains(&mut names.all().chain(cases)))
            }
        }
    }

    /// Whom a death may be about.
    pub(super) fn whom(&mut self, (stated, entries, chains): &Start) -> Whom {
        let mut people = stated.clone();
        let mut rows = Rows::default();
        let (mut entries, mut seen) = (entries.clone(), BTreeSet::new());
        let is_certain = chains.is_empty();
        let mut next: Vec<usize> = chains.iter().copied().collect();
        while let Some(chain) = next.pop() {
            if seen.insert(chain) {
                let leads = self.leads_of_chain(chain);
                rows.extend(&leads.rows);
                people.extend(&leads.people);
                entries.extend(&leads.entries);
                next.extend(&leads.chains);
            }
        }
        for entry in entries {
            let leads = self.leads_of_entry(entry);
            rows.extend(&leads.rows);
            people.extend(&leads.people);
        }
        let certain = people.first().copied().filter(|_| is_certain && people.len() == 1);
        // Everything of these people, and whoever is nobody for certain and shares an identifier with them.
        let mut beside: BTreeSet<usize> = BTreeSet::new();
        for person in people {
            rows.whole.extend(self.filed.by_person.get(&person).into_iter().flatten());
            let leads = self.leads_of_person(person);
            rows.extend(&leads.rows);
            beside.extend(&leads.chains);
        }
        for chain in beside {
            rows.extend(&self.open_in(chain));
        }
        Whom { rows, certain }
    }

    /// Messages that name any of these identifiers.
    fn holders(&self, tokens: &[usize]) -> Vec<usize> {
        let all = tokens.iter().flat_map(|token| self.links.holders[*token].iter().copied());
        all.inspect(|_| steps::count()).collect()
    }

    fn leads_of_chain(&mut self, chain: usize) -> Rc<Leads> {
        if let Some(known) = self.of_chain.get(&chain) {
            return Rc::clone(known);
        }
        let mut leads = Leads::default();
        for n in self.holders(&self.in_chain[&chain]) {
            leads.rows.add(self.links, self.filed, n);
            match self.whose[n] {
                Whose::Stated => leads.people.extend(self.links.fellows[&n].iter()),
                Whose::Entry(entry) => drop(leads.entries.insert(entry)),
                // Another than this where it names a case: the case leads to it, and it to no other of that case.
                Whose::Open => drop(leads.chains.insert(self.chain_of[self.links.names[n].references[0]])),
            }
        }
        let leads = Rc::new(leads);
        self.of_chain.insert(chain, Rc::clone(&leads));
        leads
    }

    fn leads_of_entry(&mut self, entry: usize) -> Rc<Leads> {
        if let Some(known) = self.of_entry.get(&entry) {
            return Rc::clone(known);
        }
        let mut leads = Leads::default();
        for n in self.holders(&self.in_entry[&entry]) {
            leads.rows.add(self.links, self.filed, n);
            leads.people.extend(self.links.fellows.get(&n).into_iter().flat_map(|people| people.iter()));
        }
        let leads = Rc::new(leads);
        self.of_entry.insert(entry, Rc::clone(&leads));
        leads
    }

    /// What is a person's for certain, and the chains of all identifiers in it.
    fn leads_of_person(&mut self, person: Token) -> Rc<Leads> {
        if let Some(known) = self.beside.get(&person) {
            return Rc::clone(known);
        }
        let mut leads = Leads::default();
        let stating = self.links.stating.get(&person).cloned().unwrap_or_default();
        let references = stating.iter().flat_map(|n| &self.links.names[*n].references);
        let entries: BTreeSet<usize> = references.filter_map(|token| self.entry_of[*token]).collect();
        let tokens: Vec<usize> = entries.iter().flat_map(|entry| &self.in_entry[entry]).copied().collect();
        let of_entries = |n: &usize| matches!(self.whose[*n], Whose::Entry(of) if entries.contains(&of));
        for n in self.holders(&tokens).into_iter().filter(of_entries).chain(stating.iter().copied()) {
            leads.rows.add(self.links, self.filed, n);
            leads.chains.extend(self.links.names[n].all().map(|token| self.chain_of[token]));
        }
        let leads = Rc::new(leads);
        self.beside.insert(person, Rc::clone(&leads));
        leads
    }

    fn open_in(&mut self, chain: usize) -> Rc<Rows> {
        if let Some(known) = self.open_in.get(&chain) {
            return Rc::clone(known);
        }
        let mut rows = Rows::default();
        for n in self.holders(&self.in_chain[&chain]).into_iter().filter(|n| self.whose[*n] == Whose::Open) {
            rows.add(self.links, self.filed, n);
        }
        let rows = Rc::new(rows);
        self.open_in.insert(chain, Rc::clone(&rows));
        rows
    }
}
