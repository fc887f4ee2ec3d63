//! The fold: a placement's state as a pure function of the *set* of its assertions.
//!
//! Duplicates, re-deliveries and any order give the same state. Among facts of one kind by their owner the greatest
//! (revision, asserted-at, digest) wins, never the order of arrival. What another authority says of a kind or field that is
//! not its own is ignored where it agrees and kept as a claim where it differs.

use super::facts::{Assertion, Effect, Exception, FactKind, Stage, Stay, Welfare};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;
use uuid::Uuid;

/// Where a winning or claimed value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The message that says so.
    pub message: Uuid,
    /// In whose name.
    pub authority: String,
    /// When it was asserted.
    pub asserted_at: OffsetDateTime,
}

/// The value of a fact kind in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Winner {
    /// The catalogue's value.
    pub value: String,
    /// When it happened; the time of assertion where the message does not say.
    pub at: OffsetDateTime,
    /// Who says so.
    pub source: Source,
}

/// What is known of one field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldState {
    /// The owner's statement in force.
    pub owned: Option<Source>,
    /// Statements of others that differ from it, or all of them while the owner is silent; newest last.
    pub claims: Vec<Source>,
}

/// The folded state of a placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where the placement is.
    pub stage: Stage,
    /// The right to stay, before expiry is looked at.
    pub stay: Stay,
    /// Whether the worker is safe.
    pub welfare: Welfare,
    /// The fact in force of each kind.
    pub facts: BTreeMap<FactKind, Winner>,
    /// What is known of each field, by its number.
    pub fields: BTreeMap<u16, FieldState>,
    /// What a person must look at.
    pub exceptions: BTreeSet<Exception>,
}

type Rank<'a> = (i64, OffsetDateTime, &'a [u8; 32]);

fn rank(assertion: &Assertion) -> Rank<'_> {
    (assertion.revision.unwrap_or(i64::MIN), assertion.asserted_at, &assertion.digest)
}

fn source(assertion: &Assertion) -> Source {
    Source { message: assertion.message, authority: assertion.authority.clone(), asserted_at: assertion.asserted_at }
}

/// One statement of a kind or field, borrowed from its assertion.
struct Said<'a, V> {
    by: &'a Assertion,
    value: V,
    owner: bool,
}

/// The owner's greatest statement, and the others that differ from it (each value once, its greatest statement).
fn settle<'s, 'a, V: PartialEq + Copy>(said: &'s mut [Said<'a, V>]) -> (Option<&'s Said<'a, V>>, Vec<&'s Said<'a, V>>) {
    said.sort_by(|a, b| rank(a.by).cmp(&rank(b.by)));
    let said = &*said;
    let owned = said.iter().rev().find(|one| one.owner);
    let mut claims: Vec<&Said<'a, V>> = Vec::new();
    for one in said.iter().filter(|one| !one.owner) {
        claims.retain(|known| known.value != one.value);
        if owned.is_none_or(|owned| owned.value != one.value) {
            claims.push(one);
        }
    }
    (owned, claims)
}

/// Folds a set of assertions. The same message given twice counts once.
pub fn fold(assertions: &[Assertion]) -> State {
    let mut seen = BTreeSet::new();
    let withdrawn: BTreeSet<&[u8; 16]> = assertions
        .iter()
        .flat_map(|assertion| &assertion.effects)
        .filter_map(|effect| match effect {
            Effect::Invalidate { target } => Some(target),
            Effect::Status { .. } | Effect::Field { .. } => None,
        })
        .collect();
    let mut kinds: BTreeMap<FactKind, Vec<Said<'_, (&str, OffsetDateTime)>>> = BTreeMap::new();
    let mut paths: BTreeMap<u16, Vec<Said<'_, &[u8; 16]>>> = BTreeMap::new();
    for by in assertions {
        if withdrawn.contains(&by.tag) || !seen.insert((&by.tag, &by.digest)) {
            continue;
        }
        for effect in &by.effects {
            match effect {
                Effect::Status { kind, value, at, owner } => {
                    let value = (value.as_str(), at.unwrap_or(by.asserted_at));
                    kinds.entry(*kind).or_default().push(Said { by, value, owner: *owner });
                }
                Effect::Field { path, digest, owner } => {
                    paths.entry(*path).or_default().push(Said { by, value: digest, owner: *owner });
                }
                Effect::Invalidate { .. } => {}
            }
        }
    }
    let mut exceptions = BTreeSet::new();
    let mut facts = BTreeMap::new();
    for (kind, mut said) in kinds {
        let (owned, claims) = settle(&mut said);
        let Some(owned) = owned else { continue };
        if claims.iter().any(|claim| claim.value.0 != owned.value.0) {
            exceptions.insert(Exception::Disagreement);
        }
        let winner = Winner { value: owned.value.0.to_owned(), at: owned.value.1, source: source(owned.by) };
        facts.insert(kind, winner);
    }
    let mut fields = BTreeMap::new();
    for (path, mut said) in paths {
        let (owned, claims) = settle(&mut said);
        if owned.is_some() && !claims.is_empty() {
            exceptions.insert(Exception::Disagreement);
        }
        let claims = claims.into_iter().map(|claim| source(claim.by)).collect();
        fields.insert(path, FieldState { owned: owned.map(|owned| source(owned.by)), claims });
    }
    let stage = stage(&facts);
    let known = |kind| facts.contains_key(&kind);
    if entered(&facts) && !known(FactKind::Exit) {
        exceptions.insert(Exception::GhostArrival);
    }
    if known(FactKind::Cancelled) && entered(&facts) {
        exceptions.insert(Exception::CancelledButArrived);
    }
    if value(&facts, FactKind::RegistrationCheck) == Some("SUBSTITUTION") {
        exceptions.insert(Exception::Substituted);
    }
    State { stage, stay: stay(&facts), welfare: welfare(&facts), facts, fields, exceptions }
}

type Facts = BTreeMap<FactKind, Winner>;

fn value(facts: &Facts, kind: FactKind) -> Option<&str> {
    facts.get(&kind).map(|winner| winner.value.as_str())
}

fn entered(facts: &Facts) -> bool {
    value(facts, FactKind::Entry) == Some("ARRIVED")
}

/// The furthest point that the facts in force reach. Not a machine with transitions: what is learned too early simply
/// counts when the rest is known.
fn stage(facts: &Facts) -> Stage {
    let known = |kind| facts.contains_key(&kind);
    let at = |kind| facts.get(&kind).map(|winner| winner.at);
    if known(FactKind::Death) {
        return Stage::Deceased;
    }
    if known(FactKind::Closed) {
        return Stage::Closed;
    }
    if known(FactKind::Return) {
        return Stage::ReturnedHome;
    }
    if known(FactKind::FinalExit) {
        return Stage::Exited;
    }
    if known(FactKind::ExitAuthorised) {
        return Stage::ExitAuthorised;
    }
    if known(FactKind::End) {
        return Stage::Ended;
    }
    if known(FactKind::Permit) {
        return match (value(facts, FactKind::Leave), value(facts, FactKind::Transfer)) {
            (_, Some("TRANSFERRING")) => Stage::Transferring,
            (Some("ON_LEAVE"), _) => Stage::OnLeave,
            _ => Stage::InService,
        };
    }
    match value(facts, FactKind::Entry) {
        Some("ARRIVED") => return Stage::Arrived,
        Some(_) => return Stage::EntryRefused,
        None => {}
    }
    if known(FactKind::Cancelled) {
        return Stage::Cancelled;
    }
    if known(FactKind::Exit) {
        return Stage::Departed;
    }
    let visa = value(facts, FactKind::Visa);
    if visa == Some("REFUSED") {
        return Stage::Refused;
    }
    if known(FactKind::Clearance) && visa != Some("REVOKED") {
        return Stage::Cleared;
    }
    match visa {
        Some("ISSUED") => return Stage::VisaIssued,
        Some(_) => return Stage::PartnerApproved,
        None => {}
    }
    let submitted = at(FactKind::Submission);
    match (value(facts, FactKind::Endorsement), at(FactKind::Endorsement)) {
        (Some("ENDORSED"), decided) if decided >= submitted => return Stage::Endorsed,
        (Some("RETURNED"), decided) if decided >= submitted => return Stage::ContractReturned,
        _ => {}
    }
    match (submitted.is_some() || known(FactKind::Endorsement), known(FactKind::Agreement), known(FactKind::Registered))
    {
        (true, _, _) => Stage::ContractSubmitted,
        (false, true, _) => Stage::Matched,
        (false, false, true) => Stage::Registered,
        (false, false, false) => Stage::None,
    }
}

fn stay(facts: &Facts) -> Stay {
    let known = |kind| facts.contains_key(&kind);
    if known(FactKind::Death) {
        Stay::Deceased
    } else if known(FactKind::FinalExit) || known(FactKind::Return) {
        Stay::Left
    } else if value(facts, FactKind::Detention) == Some("DETAINED") {
        Stay::Detained
    } else if known(FactKind::ExitAuthorised) {
        Stay::ExitPermitted
    } else if value(facts, FactKind::Irregular) == Some("IRREGULAR") {
        Stay::Irregular
    } else if value(facts, FactKind::Absence) == Some("ALLEGED") {
        Stay::AbsenceAlleged
    } else if known(FactKind::Permit) {
        Stay::PermitValid
    } else {
        Stay::None
    }
}

fn welfare(facts: &Facts) -> Welfare {
    if facts.contains_key(&FactKind::Death) {
        return Welfare::Deceased;
    }
    value(facts, FactKind::Welfare).and_then(|text| text.parse().ok()).unwrap_or(Welfare::Unconfirmed)
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
