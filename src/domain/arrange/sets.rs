//! Joining what shares a token, and saying whose each of many is by what they name.

use super::Token;
use std::collections::{BTreeMap, BTreeSet};

/// Disjoint sets over the positions of a list; the smallest position stands for its set.
pub(super) struct Sets(Vec<usize>);

impl Sets {
    pub(super) fn new(size: usize) -> Self {
        Self((0..size).collect())
    }

    pub(super) fn find(&mut self, mut one: usize) -> usize {
        while self.0[one] != one {
            self.0[one] = self.0[self.0[one]];
            one = self.0[one];
        }
        one
    }

    pub(super) fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }

    /// Makes one set of all of these.
    pub(super) fn join_all(&mut self, all: impl IntoIterator<Item = usize>) {
        let mut all = all.into_iter();
        if let Some(first) = all.next() {
            all.for_each(|one| self.join(first, one));
        }
    }

    /// Makes one set of all that share a token, or whatever else is given for one.
    pub(super) fn join_by<K: Ord>(&mut self, named: impl Iterator<Item = (usize, K)>) {
        let mut first: BTreeMap<K, usize> = BTreeMap::new();
        for (one, token) in named {
            let known = *first.entry(token).or_insert(one);
            self.join(known, one);
        }
    }

    pub(super) fn lists(&mut self) -> Vec<Vec<usize>> {
        let mut lists: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for one in 0..self.0.len() {
            lists.entry(self.find(one)).or_default().push(one);
        }
        lists.into_values().collect()
    }
}

/// Whose each of many is.
pub(super) struct Near<'a, O> {
    /// Whose each is; none where nobody's tokens lead there, or those of several.
    pub(super) of: Vec<Option<O>>,
    /// Who is near each token: at most two who matter.
    by: BTreeMap<&'a Token, BTreeSet<O>>,
}

impl<'a, O: Ord + Copy> Near<'a, O> {
    /// Who is nobody is whoever alone shares a token with them, near ones first: round by round, each looking only at the
    /// neighbours of those that the round before found.
    pub(super) fn of(named: &[Vec<&'a Token>], mut of: Vec<Option<O>>) -> Self {
        let mut holders: BTreeMap<&Token, Vec<usize>> = BTreeMap::new();
        for (n, tokens) in named.iter().enumerate() {
            tokens.iter().for_each(|token| holders.entry(token).or_default().push(n));
        }
        let mut by: BTreeMap<&Token, BTreeSet<O>> = BTreeMap::new();
        let mut fresh: Vec<usize> = (0..named.len()).filter(|n| of[*n].is_some()).collect();
        while !fresh.is_empty() {
            let mut beside: BTreeSet<usize> = BTreeSet::new();
            for n in fresh {
                for token in &named[n] {
                    // A token is walked along once for each person who comes to hold it, and that is at most two who matter.
                    let people = by.entry(token).or_default();
                    if people.len() < 2 && of[n].is_some_and(|person| people.insert(person)) {
                        beside.extend(holders[token].iter().filter(|m| of[**m].is_none()));
                    }
                }
            }
            let found: Vec<(usize, O)> = beside
                .into_iter()
                .filter_map(|n| {
                    let people: BTreeSet<O> =
                        named[n].iter().filter_map(|token| by.get(token)).flatten().copied().collect();
                    people.first().filter(|_| people.len() == 1).map(|person| (n, *person))
                })
                .collect();
            fresh = found.iter().map(|(n, _)| *n).collect();
            found.into_iter().for_each(|(n, person)| of[n] = Some(person));
        }
        Self { of, by }
    }

    /// Whether what names these tokens may be several people's.
    pub(super) fn is_between(&self, tokens: &[&Token]) -> bool {
        let people: BTreeSet<&O> = tokens.iter().filter_map(|token| self.by.get(*token)).flatten().collect();
        people.len() > 1
    }
}
