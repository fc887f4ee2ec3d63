//! Which messages of a set count: held ones that an officer stands by, and of all others those that were neither withdrawn nor
//! replaced by a later version under the same id.
//!
//! Looks at the whole set, whichever placement a message belongs to, and never at the order of arrival. A death falls silent only
//! where two officers stand by what silences it; it stays so whatever later version comes that nobody stood by.

use super::facts::{Assertion, Effect, FactKind};
use std::collections::{BTreeMap, BTreeSet};

/// Officers who must stand by what undoes a death.
pub(super) const OFFICERS_TO_UNDO_A_DEATH: usize = 2;

type Tag = [u8; 16];

/// What holds for a whole set of assertions.
#[derive(Debug, Default)]
pub struct Standing<'a> {
    silent: BTreeSet<&'a Tag>,
    confirmed: BTreeSet<&'a Tag>,
    waiting: BTreeSet<&'a Tag>,
    approvals: BTreeMap<&'a Tag, BTreeSet<&'a Tag>>,
}

impl<'a> Standing<'a> {
    /// Looks through a set of assertions.
    pub fn of(said: &'a [Assertion]) -> Self {
        let mut standing = Self::default();
        for effect in said.iter().flat_map(|one| &one.effects) {
            if let Effect::Approve { target, officer } = effect {
                standing.approvals.entry(target).or_default().insert(officer);
            }
        }
        let mut versions: BTreeMap<&Tag, Vec<&Assertion>> = BTreeMap::new();
        for one in said.iter().filter(|one| standing.counts(one)) {
            versions.entry(one.corrects().unwrap_or(&one.tag)).or_default().push(one);
        }
        for by in said.iter().filter(|by| standing.counts(by)).collect::<Vec<_>>() {
            for effect in &by.effects {
                let Effect::Invalidate { target } = effect else { continue };
                // What was sent under that id after its withdrawal stands.
                let meant = |one: &&&Assertion| one.tag == *target || one.asserted_at <= by.asserted_at;
                for one in versions.get(target).into_iter().flatten().filter(meant) {
                    standing.silence(one, by);
                }
            }
        }
        for all in versions.values().filter(|all| all.len() > 1) {
            let left = all.iter().filter(|one| !standing.silent.contains(&one.tag));
            let last = left.max_by_key(|one| one.rank()).copied();
            // What two officers stand by stays settled, whatever version comes after it.
            let settles = |one: &&&Assertion| standing.approved_by(&one.tag) >= OFFICERS_TO_UNDO_A_DEATH;
            let settled = all.iter().filter(settles).max_by_key(|one| one.rank()).copied();
            for one in all {
                for by in
                    settled.filter(|by| by.rank() > one.rank()).into_iter().chain(last.filter(|by| by.tag != one.tag))
                {
                    standing.silence(one, by);
                }
            }
        }
        standing
    }

    fn silence(&mut self, one: &'a Assertion, by: &Assertion) {
        let confirmed = self.approved_by(&by.tag) >= OFFICERS_TO_UNDO_A_DEATH;
        if confirmed {
            self.confirmed.insert(&one.tag);
        }
        if one.asserts(FactKind::Death) && !confirmed {
            self.waiting.insert(&one.tag);
        } else {
            self.silent.insert(&one.tag);
        }
    }

    /// Officers who stand by a message.
    pub fn approved_by(&self, tag: &Tag) -> usize {
        self.approvals.get(tag).map_or(0, BTreeSet::len)
    }

    fn counts(&self, one: &Assertion) -> bool {
        !one.held || self.approved_by(&one.tag) > 0
    }

    /// Whether a message's facts count.
    pub fn in_force(&self, one: &Assertion) -> bool {
        self.counts(one) && !self.silent.contains(&one.tag)
    }

    /// Whether a message was silenced, but not by what two officers stand by.
    pub(super) fn is_unconfirmed(&self, one: &Assertion) -> bool {
        self.counts(one) && self.silent.contains(&one.tag) && !self.confirmed.contains(&one.tag)
    }

    /// Whether a death counts until a second officer stands by what silences it.
    pub(super) fn is_waiting(&self, one: &Assertion) -> bool {
        self.waiting.contains(&one.tag) && !self.silent.contains(&one.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::{Duration, macros::datetime};
    use uuid::Uuid;

    fn says(n: u8, hour: i64, effects: Vec<Effect>) -> Assertion {
        Assertion {
            message: Uuid::from_u128(n.into()),
            tag: [n; 16],
            authority: "A".into(),
            asserted_at: datetime!(2026-11-24 00:00 UTC) + Duration::hours(hour),
            revision: None,
            digest: [n; 32],
            effects,
            links: Vec::new(),
            registers: false,
            held: false,
        }
    }

    fn status(kind: FactKind) -> Effect {
        Effect::Status { kind, value: "X".into(), at: None, owner: true, case: None }
    }

    fn in_force(said: &[Assertion]) -> Vec<u8> {
        let standing = Standing::of(said);
        said.iter().filter(|one| standing.in_force(one)).map(|one| one.tag[0]).collect()
    }

    fn correction(n: u8, hour: i64, kind: FactKind) -> Assertion {
        says(n, hour, vec![status(kind), Effect::Correct { target: [1; 16] }])
    }

    #[test]
    fn of_the_versions_under_one_id_the_greatest_counts() {
        let first = says(1, 1, vec![status(FactKind::Entry)]);
        let second = correction(2, 2, FactKind::Entry);
        let third = correction(3, 3, FactKind::Entry);
        assert_eq!(in_force(&[third.clone(), first.clone(), second.clone()]), [3]);
        let held = Assertion { held: true, ..third };
        assert_eq!(in_force(&[first, second, held]), [2], "one that waits replaces nothing");
    }

    #[test]
    fn a_withdrawal_takes_every_version_with_it_that_was_sent_before() {
        let first = says(1, 1, vec![status(FactKind::Entry)]);
        let second = correction(2, 2, FactKind::Entry);
        let withdrawal = says(9, 4, vec![Effect::Invalidate { target: [1; 16] }]);
        assert_eq!(in_force(&[withdrawal.clone(), first.clone(), second.clone()]), [9]);
        let again = correction(3, 5, FactKind::Entry);
        assert_eq!(in_force(&[first, second, withdrawal, again]), [9, 3]);
    }

    #[test]
    fn a_correction_undoes_a_death_only_with_two_officers() {
        let death = says(1, 1, vec![status(FactKind::Death)]);
        let corrected = correction(2, 2, FactKind::Entry);
        let approve = |n, officer| says(n, 3, vec![Effect::Approve { target: [2; 16], officer: [officer; 16] }]);
        assert_eq!(in_force(&[death.clone(), corrected.clone(), approve(3, 1)]), [1, 2, 3]);
        assert_eq!(in_force(&[death, corrected, approve(3, 1), approve(4, 2)]), [2, 3, 4]);
    }

    #[test]
    fn what_two_officers_settled_stays_settled_whatever_version_comes_later() {
        let death = || status(FactKind::Death);
        let first = says(1, 1, vec![death()]);
        let corrected = |n, hour| correction(n, hour, FactKind::Death);
        let approve = |n, officer| says(n, 3, vec![Effect::Approve { target: [2; 16], officer: [officer; 16] }]);
        let settled = [first, corrected(2, 2), approve(3, 1), approve(4, 2)];
        assert_eq!(in_force(&settled), [2, 3, 4]);
        let again = [&settled[..], &[corrected(5, 5)]].concat();
        assert_eq!(in_force(&again), [2, 3, 4, 5], "only the second waits for officers now");
        let held = Assertion { held: true, ..corrected(5, 5) };
        let by_one = says(6, 6, vec![Effect::Approve { target: [5; 16], officer: [1; 16] }]);
        assert_eq!(in_force(&[&settled[..], &[held, by_one]].concat()), [2, 3, 4, 5, 6]);
        let withdrawn = says(7, 7, vec![Effect::Invalidate { target: [1; 16] }]);
        assert_eq!(
            in_force(&[&settled[..], &[withdrawn]].concat()),
            [2, 3, 4, 7],
            "nor does a withdrawal bring it back"
        );
        // What has a greater revision was never replaced by it.
        let greater = Assertion { revision: Some(9), ..settled[0].clone() };
        assert_eq!(in_force(&[&[greater][..], &settled[1..]].concat()), [1, 2, 3, 4]);
    }
}
