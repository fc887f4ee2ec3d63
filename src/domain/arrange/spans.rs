//! When a placement ran, and which of a worker's ran at an instant.

use crate::domain::facts::{Assertion, Effect, FactKind};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// When a placement was registered and when it was over, as far as either is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: Option<OffsetDateTime>,
    pub(super) over: Option<OffsetDateTime>,
}

impl Span {
    /// Whether it was registered by then, or never.
    pub(super) fn began_by(&self, at: OffsetDateTime) -> bool {
        self.from.is_none_or(|from| from <= at)
    }

    pub(super) fn ran_at(&self, at: OffsetDateTime) -> bool {
        self.began_by(at) && self.over.is_none_or(|over| over >= at)
    }
}

/// The placement that ran at an instant: registered last before it and not over; else the next to be registered; else the
/// last. Spans are in the order of their registrations.
pub(super) fn place_of(spans: &[Span], at: OffsetDateTime) -> usize {
    let next = || spans.iter().position(|one| !one.began_by(at));
    spans.iter().rposition(|one| one.ran_at(at)).or_else(next).unwrap_or(spans.len().saturating_sub(1))
}

/// The placement that was registered last before an instant, over or not; else the first.
pub(super) fn last_begun(spans: &[Span], at: OffsetDateTime) -> usize {
    spans.iter().rposition(|one| one.began_by(at)).unwrap_or(0)
}

/// What the owners of the facts that end a placement said last of each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Endings(BTreeMap<FactKind, Ending>);

/// When it was said, with the last tie-break, and when it is over by it.
type Ending = ((OffsetDateTime, [u8; 32]), Option<OffsetDateTime>);

impl Endings {
    pub(super) fn of(said: &[Assertion], members: &[usize]) -> Self {
        let mut endings = Self::default();
        for one in members.iter().map(|n| &said[*n]) {
            one.effects
                .iter()
                .filter_map(|effect| ending(one, effect))
                .for_each(|(kind, said)| endings.hear(kind, said));
        }
        endings
    }

    pub(super) fn join(&mut self, other: Self) {
        other.0.into_iter().for_each(|(kind, said)| self.hear(kind, said));
    }

    fn hear(&mut self, kind: FactKind, said: Ending) {
        let known = self.0.entry(kind).or_insert(said);
        if known.0 < said.0 {
            *known = said;
        }
    }

    /// When the placement is over.
    pub(super) fn over(&self) -> Option<OffsetDateTime> {
        self.0.values().filter_map(|(_, over)| *over).max()
    }
}

/// What is said of the placement's end: that it is over, or that it is open again. It is not over before that is told.
fn ending(one: &Assertion, effect: &Effect) -> Option<(FactKind, Ending)> {
    let Effect::Status { kind, value, at, owner: true, case: None } = effect else { return None };
    let over = match kind {
        FactKind::Closed | FactKind::FinalExit | FactKind::Cancelled => value != "REOPENED",
        FactKind::Return => value != "LEAVE",
        _ => return None,
    };
    let told = one.asserted_at;
    Some((*kind, ((told, one.digest), over.then(|| at.unwrap_or(told).max(told)))))
}
