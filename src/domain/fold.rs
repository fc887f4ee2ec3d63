//! The fold: a placement's state as a pure function of the *set* of its assertions.
//!
//! Duplicates, re-deliveries and any order give the same state. Among facts of one kind by their owner the greatest
//! (revision, asserted-at, digest) wins, never the order of arrival. What another authority says of a kind or field that is
//! not its own is ignored where it agrees and kept as a claim where it differs. Which assertions count is for
//! [`super::standing`], which belong to which placement for [`super::arrange`], what depends on the day for [`super::deadlines`].

use super::{
    facts::{Assertion, CaseStatus, Effect, Exception, FactKind, Stage, Stay, Welfare},
    standing::Standing,
};
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
    /// What others whose word counts as much said last of the same, newest first: where either side may ask, each waits for its
    /// own answer.
    pub besides: Vec<Winner>,
}

impl Winner {
    /// The last statement of everybody whose word counts, the one in force first.
    pub fn each(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.besides)
    }
}

/// What is known of one field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldState {
    /// The owner's statement in force.
    pub owned: Option<Source>,
    /// Statements of others that differ from it, or all of them while the owner is silent; newest last.
    pub claims: Vec<Source>,
}

/// The facts in force of the placement itself.
pub type Facts = BTreeMap<FactKind, Winner>;

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
    pub facts: Facts,
    /// The facts in force of each case, by its blind token.
    pub cases: BTreeMap<[u8; 16], Facts>,
    /// What is known of each field, by its number.
    pub fields: BTreeMap<u16, FieldState>,
    /// Fields in which the registered contract differs from the endorsed one.
    pub substituted: BTreeSet<u16>,
    /// What a person must look at.
    pub exceptions: BTreeSet<Exception>,
    /// Whether word of the person may put her at risk, whatever else is known of her: nothing then goes out unless two officers
    /// decide.
    pub shielded: bool,
    /// When anything about it was last asserted.
    pub heard_at: Option<OffsetDateTime>,
}

impl State {
    /// Until when the permit in force is valid, where its issuer says so.
    pub fn permit_until(&self) -> Option<OffsetDateTime> {
        self.facts.get(&FactKind::PermitExpiry).map(|expiry| expiry.at)
    }

    /// The right to stay at an instant.
    pub fn stay_at(&self, now: OffsetDateTime) -> Stay {
        match self.stay {
            Stay::PermitValid if self.permit_until().is_some_and(|until| until < now) => Stay::PermitExpired,
            stay => stay,
        }
    }

    /// Where a case is: as its owner last said, and open until then.
    pub fn case_status(&self, case: &[u8; 16]) -> Option<CaseStatus> {
        let facts = self.cases.get(case)?;
        Some(facts.get(&FactKind::Case).and_then(|fact| fact.value.parse().ok()).unwrap_or(CaseStatus::Open))
    }
}

/// What the fold takes from outside the facts; of the corridor, as data.
#[derive(Debug, Clone, Default)]
pub struct FoldRules {
    /// Fields whose difference between endorsed and registered contract is a substitution.
    pub contract_fields: BTreeSet<u16>,
    /// Facts from before open no exceptions: records brought in when the corridor was switched over.
    pub cut_over: Option<OffsetDateTime>,
}

fn source(assertion: &Assertion) -> Source {
    Source { message: assertion.message, authority: assertion.authority.clone(), asserted_at: assertion.asserted_at }
}

fn stated(said: &Said<'_, (&str, OffsetDateTime)>) -> Winner {
    let (value, at) = said.value;
    Winner { value: value.to_owned(), at, source: source(said.by), besides: Vec::new() }
}

/// One statement of a kind or field, borrowed from its assertion.
struct Said<'a, V> {
    by: &'a Assertion,
    value: V,
    owner: bool,
}

/// The owners' greatest statements, the one in force first, and those of others that differ from it (each value once, its greatest
/// statement).
fn settle<'s, 'a, V: PartialEq + Copy>(said: &'s mut [Said<'a, V>]) -> (Vec<&'s Said<'a, V>>, Vec<&'s Said<'a, V>>) {
    said.sort_by(|a, b| a.by.rank().cmp(&b.by.rank()));
    let said = &*said;
    // A revision counts among the statements of its author; between authors the later statement does.
    let mut greatest: BTreeMap<&str, &Said<'a, V>> = BTreeMap::new();
    for one in said.iter().filter(|one| one.owner) {
        greatest.insert(&one.by.authority, one);
    }
    let mut owned: Vec<&Said<'a, V>> = greatest.into_values().collect();
    owned.sort_by_key(|one| std::cmp::Reverse((one.by.asserted_at, &one.by.digest)));
    let mut claims: Vec<&Said<'a, V>> = Vec::new();
    for one in said.iter().filter(|one| !one.owner) {
        claims.retain(|known| known.value != one.value);
        if owned.first().is_none_or(|owned| owned.value != one.value) {
            claims.push(one);
        }
    }
    (owned, claims)
}

/// Folds a set of assertions that stands alone. The same message given twice counts once.
pub fn fold(said: &[Assertion], rules: &FoldRules) -> State {
    fold_among(&Standing::of(said), said, rules)
}

type Statuses<'a> = BTreeMap<(Option<[u8; 16]>, FactKind), Vec<Said<'a, (&'a str, OffsetDateTime)>>>;

/// Folds the assertions of one placement out of a larger set whose standing is known.
pub fn fold_among<'a>(
    standing: &Standing<'_>,
    said: impl IntoIterator<Item = &'a Assertion>,
    rules: &FoldRules,
) -> State {
    let mut seen = BTreeSet::new();
    let mut kinds: Statuses<'a> = BTreeMap::new();
    let mut paths: BTreeMap<u16, Vec<Said<'a, &'a [u8; 16]>>> = BTreeMap::new();
    let mut heard_at = None;
    let mut waits = false;
    for by in said {
        waits |= standing.is_waiting(by);
        if !standing.in_force(by) || !seen.insert((&by.tag, &by.digest)) {
            continue;
        }
        // Our own reminders are no word of the worker.
        if !by.asserts(FactKind::Reminder) {
            heard_at = heard_at.max(Some(by.asserted_at));
        }
        for effect in &by.effects {
            match effect {
                Effect::Status { kind, value, at, owner, case } => {
                    let value = (value.as_str(), at.unwrap_or(by.asserted_at));
                    kinds.entry((*case, *kind)).or_default().push(Said { by, value, owner: *owner });
                }
                Effect::Field { path, digest, owner } => {
                    paths.entry(*path).or_default().push(Said { by, value: digest, owner: *owner });
                }
                Effect::Invalidate { .. } | Effect::Approve { .. } | Effect::Correct { .. } => {}
            }
        }
    }
    let counts_from = |at: OffsetDateTime| rules.cut_over.is_none_or(|cut_over| at >= cut_over);
    let mut exceptions = BTreeSet::new();
    if waits {
        exceptions.insert(Exception::AwaitsSecondOfficer);
    }
    let mut facts = BTreeMap::new();
    let mut cases: BTreeMap<[u8; 16], Facts> = BTreeMap::new();
    for ((case, kind), mut said) in kinds {
        if let Some(case) = case {
            cases.entry(case).or_default();
        }
        let (owned, claims) = settle(&mut said);
        let Some((owned, besides)) = owned.split_first() else { continue };
        let differs = claims.iter().any(|claim| claim.value.0 != owned.value.0 && counts_from(claim.by.asserted_at));
        // Whoever speaks of a case opens it; where it is, is its owner's to say, and no contradiction.
        if differs && kind != FactKind::Case {
            exceptions.insert(Exception::Disagreement);
        }
        let winner = Winner { besides: besides.iter().map(|one| stated(one)).collect(), ..stated(owned) };
        match case {
            Some(case) => cases.entry(case).or_default().insert(kind, winner),
            None => facts.insert(kind, winner),
        };
    }
    let substituted = substituted(&facts, &paths, rules);
    let mut fields = BTreeMap::new();
    for (path, mut said) in paths {
        let (owned, claims) = settle(&mut said);
        let owned = owned.first();
        if owned.is_some() && claims.iter().any(|claim| counts_from(claim.by.asserted_at)) {
            exceptions.insert(Exception::Disagreement);
        }
        let claims = claims.into_iter().map(|claim| source(claim.by)).collect();
        fields.insert(path, FieldState { owned: owned.map(|owned| source(owned.by)), claims });
    }
    let (stage, stay, welfare) = (stage(&facts), stay(&facts), welfare(&facts));
    let shielded = value(&facts, FactKind::Welfare).and_then(|text| text.parse().ok()).is_some_and(Welfare::shielded);
    let mut state = State { stage, stay, welfare, facts, cases, fields, substituted, exceptions, shielded, heard_at };
    let more = exceptions_of(&state).into_iter().filter(|(_, at)| counts_from(*at)).map(|(exception, _)| exception);
    state.exceptions.extend(more);
    state
}

/// The state of a placement with deaths that stand elsewhere and count here: `own` is what its own messages say. One that may be
/// another's is no word of her, so that when she was last heard of stays.
pub fn with_deaths<'a>(
    own: State,
    standing: &Standing<'_>,
    members: impl Iterator<Item = &'a Assertion>,
    deaths: impl ExactSizeIterator<Item = &'a Assertion>,
    rules: &FoldRules,
) -> State {
    if deaths.len() == 0 {
        return own;
    }
    State { heard_at: own.heard_at, ..fold_among(standing, members.chain(deaths), rules) }
}

/// Fields in which the registered contract in force differs from the submitted one in force, among those that both state.
fn substituted(facts: &Facts, paths: &BTreeMap<u16, Vec<Said<'_, &[u8; 16]>>>, rules: &FoldRules) -> BTreeSet<u16> {
    let (Some(submitted), Some(registered)) = (facts.get(&FactKind::Submission), facts.get(&FactKind::Registration))
    else {
        return BTreeSet::new();
    };
    let differs = |path: &&u16| {
        let stated = |message: Uuid| paths[*path].iter().find(|said| said.by.message == message).map(|said| said.value);
        match (stated(submitted.source.message), stated(registered.source.message)) {
            (Some(endorsed), Some(registered)) => endorsed != registered,
            _ => false,
        }
    };
    paths.keys().filter(|path| rules.contract_fields.contains(path)).filter(differs).copied().collect()
}

/// Exceptions that follow from the state, with the moment of the fact that caused each.
fn exceptions_of(state: &State) -> Vec<(Exception, OffsetDateTime)> {
    let facts = &state.facts;
    let mut found = Vec::new();
    if let Some(entry) = facts.get(&FactKind::Entry).filter(|entry| entry.value == "ARRIVED") {
        // Who is found abroad and registered there was never seen to leave.
        if !facts.contains_key(&FactKind::Exit) && value(facts, FactKind::Registered) != Some("REGISTERED_ABROAD") {
            found.push((Exception::GhostArrival, entry.at));
        }
        if value(facts, FactKind::Cancelled) == Some("CANCELLED") {
            found.push((Exception::CancelledButArrived, entry.at));
        }
    }
    let registered = facts.get(&FactKind::Registration);
    let check = facts.get(&FactKind::RegistrationCheck);
    // The mission's finding on this registration decides; until it comes, the comparison does.
    let checked = check.filter(|check| registered.is_none_or(|one| check.at >= one.at));
    match (checked, registered) {
        (Some(check), _) if check.value == "SUBSTITUTION" => found.push((Exception::Substituted, check.at)),
        (None, Some(one)) if !state.substituted.is_empty() => found.push((Exception::Substituted, one.at)),
        _ => {}
    }
    if let Some(absence) = barred_absence(state) {
        found.push((Exception::AbsenceBarred, absence.at));
    }
    found
}

/// An absence alleged although the partner had registered a dispute before: the registration bars it.
fn barred_absence(state: &State) -> Option<&Winner> {
    let absence = state.facts.get(&FactKind::Absence).filter(|absence| absence.value == "ALLEGED")?;
    registration_before(state, absence.at).map(|_| absence)
}

/// The partner's registration of a dispute at or before an instant: what bars an absence alleged then.
pub fn registration_before(state: &State, at: OffsetDateTime) -> Option<&Winner> {
    let all = state.cases.values().chain([&state.facts]);
    let registrations = all.filter_map(|facts| facts.get(&FactKind::DisputeRegistration));
    registrations.filter(|one| one.value == "REGISTERED" && one.at <= at).min_by_key(|one| one.at)
}

fn value(facts: &Facts, kind: FactKind) -> Option<&str> {
    facts.get(&kind).map(|winner| winner.value.as_str())
}

/// The furthest point that the facts in force reach. Not a machine with transitions: what is learned too early simply
/// counts when the rest is known.
fn stage(facts: &Facts) -> Stage {
    let known = |kind| facts.contains_key(&kind);
    let at = |kind| facts.get(&kind).map(|winner| winner.at);
    let is = |kind, wanted: &str| value(facts, kind) == Some(wanted);
    if known(FactKind::Death) {
        return Stage::Deceased;
    }
    if is(FactKind::Closed, "CLOSED") {
        return Stage::Closed;
    }
    // Who comes home on leave is still in service.
    if value(facts, FactKind::Return).is_some_and(|reason| reason != "LEAVE") {
        return Stage::ReturnedHome;
    }
    if known(FactKind::FinalExit) {
        return Stage::Exited;
    }
    if is(FactKind::ExitAuthorised, "AUTHORISED") {
        return Stage::ExitAuthorised;
    }
    if is(FactKind::End, "ENDED") {
        return Stage::Ended;
    }
    if known(FactKind::Permit) {
        return in_service(facts);
    }
    match value(facts, FactKind::Entry) {
        Some("ARRIVED") => return Stage::Arrived,
        Some(_) => return Stage::EntryRefused,
        None => {}
    }
    if is(FactKind::Cancelled, "CANCELLED") {
        return Stage::Cancelled;
    }
    if known(FactKind::Exit) {
        return Stage::Departed;
    }
    let visa = value(facts, FactKind::Visa);
    if visa == Some("REFUSED") {
        return Stage::Refused;
    }
    let lost = matches!(visa, Some("REVOKED" | "LAPSED"));
    if known(FactKind::Clearance) && !lost {
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

/// In service, on leave until back, or between employers until the new contract is endorsed.
fn in_service(facts: &Facts) -> Stage {
    let at = |kind| facts.get(&kind).map(|winner| winner.at);
    let consented = facts.get(&FactKind::Transfer).filter(|transfer| transfer.value == "CONSENTED");
    if consented.is_some_and(|consent| at(FactKind::Endorsement).is_none_or(|endorsed| endorsed < consent.at)) {
        return Stage::Transferring;
    }
    let leave = facts.get(&FactKind::Leave).filter(|leave| leave.value == "ON_LEAVE");
    if leave.is_some_and(|leave| at(FactKind::Entry).is_none_or(|entered| entered <= leave.at)) {
        return Stage::OnLeave;
    }
    Stage::InService
}

fn stay(facts: &Facts) -> Stay {
    let known = |kind| facts.contains_key(&kind);
    let is = |kind, wanted: &str| value(facts, kind) == Some(wanted);
    if known(FactKind::Death) {
        Stay::Deceased
    } else if known(FactKind::FinalExit) || value(facts, FactKind::Return).is_some_and(|reason| reason != "LEAVE") {
        Stay::Left
    } else if is(FactKind::Detention, "DETAINED") {
        Stay::Detained
    } else if is(FactKind::ExitAuthorised, "AUTHORISED") {
        Stay::ExitPermitted
    } else if is(FactKind::Irregular, "IRREGULAR") {
        Stay::Irregular
    } else if is(FactKind::Absence, "ALLEGED") {
        Stay::AbsenceAlleged
    } else if is(FactKind::Absence, "FINAL") {
        Stay::Irregular
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

impl Welfare {
    /// Whether word of the person may put her at risk.
    fn shielded(self) -> bool {
        matches!(self, Self::AtRisk | Self::InShelter)
    }
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
