//! A message comes in: it is judged by itself ([`super::judgement`]), turned into facts, and handed to the journal.
//!
//! A clash with other records raises an exception later and refuses nothing. A safety message is never refused for its content.

use super::{
    Gateway,
    actions::{self, Action},
    caller::{Caller, barred_problem},
    judgement::{Court, Judgement},
    lateness, own,
    tags::{sender, tag},
    view::View,
};
use crate::{
    domain::{
        calendars::instant,
        facts::{Effect, Link, Reach},
        fold::State,
        identifiers::ascii_digits,
        names,
    },
    ledger::receipt::Receipt,
    message::{
        event::Attributes,
        problem::{Fault, Problem, ProblemKind},
    },
    partner::formats::Reading,
    schema::catalogue::{self, About, How, Level, MessageType, Scope, Search},
    store::{
        access::Spend,
        deliveries::Told,
        journal::{Answer, Intent, JournalFault, Links, SubjectKind},
        messages,
    },
};
use serde_json::{Value, json};
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

pub use crate::store::journal::Outcome;

/// One message as it came.
#[derive(Debug)]
pub struct Item<'r> {
    /// The exact bytes.
    pub bytes: Vec<u8>,
    /// The canonical event.
    pub event: Value,
    /// How it was read, if `bytes` are in another format than the event.
    pub reading: Option<Reading<'r>>,
}

impl Item<'_> {
    /// A canonical event.
    pub fn canonical(bytes: Vec<u8>, event: Value) -> Self {
        Self { bytes, event, reading: None }
    }
}

/// What became of a message that was stored.
#[derive(Debug)]
pub struct Taken {
    /// How it was judged.
    pub outcome: Outcome,
    /// Broken rules; for an applied message those of level SOFT.
    pub faults: Vec<Fault>,
    /// The sender's id of the placement.
    pub placement: Option<String>,
    /// The receipt.
    pub receipt: Box<Receipt>,
    /// Whether it was stored before.
    pub repeat: bool,
    /// What the sender may usually say next.
    pub actions: Vec<Action>,
}

/// Takes one message; `spends` is what this item uses up (the request's nonce, for a single message).
///
/// # Errors
/// A problem where nothing was stored.
pub async fn take(
    gateway: &Gateway,
    caller: &Caller,
    item: Item<'_>,
    spends: Vec<Spend>,
) -> Result<Taken, Box<Problem>> {
    let told = lateness::told(gateway, caller, &item.event).await?;
    let other = correction(item.reading.as_ref());
    let intent = judge(gateway, caller, item, told.as_ref(), spends);
    if gateway.standings.of(&intent.corridor).halted {
        // What was stored before the halt has its receipt.
        let known = messages::by_tags(&gateway.journal.channel, &[intent.tag.to_vec()]).await;
        if known.map_err(|fault| Box::new(gateway.unavailable(&fault)))?.is_empty() {
            return Err(Box::new(gateway.not_stored(JournalFault::Halted)));
        }
    }
    let again = caller.client().party.profile.same_id_corrects.then(|| intent.clone());
    let stamped_at_once = intent.stamped_at_once;
    let mut answer = gateway.queue.submit(intent).await.map_err(|fault| Box::new(gateway.not_stored(fault)))?;
    if let (Answer::Conflict, Some(intent)) = (&answer, again) {
        let intent = as_correction(gateway, intent, other);
        answer = gateway.queue.submit(intent).await.map_err(|fault| Box::new(gateway.not_stored(fault)))?;
    }
    match answer {
        Answer::Stored { receipt, outcome, problem, pairwise, state, shielded, repeat } => {
            if outcome != Outcome::Applied && !repeat {
                // The id of the message is the error id of its answer.
                tracing::info!(error_id = %receipt.message, outcome = outcome.as_str(), "a message was not applied");
            }
            if stamped_at_once && !repeat {
                gateway.stamping.wake();
            }
            let is_kept = shielded && !caller.is_home() && state.is_some();
            let state = if is_kept { known_to(gateway, caller, pairwise.as_deref()).await } else { state };
            let actions = match &state {
                Some(state) => actions::usual(gateway, state, &caller.client().authorities, caller.is_home()),
                None => Vec::new(),
            };
            Ok(Taken {
                outcome,
                faults: Fault::read_all(problem.as_deref()),
                placement: pairwise,
                receipt,
                repeat,
                actions,
            })
        }
        Answer::Conflict => Err(Box::new(gateway.problem(ProblemKind::DuplicateIdOtherBytes))),
        Answer::Replayed => Err(Box::new(gateway.problem(ProblemKind::ReplayedNonce))),
        Answer::Barred(standing) => Err(Box::new(barred_problem(gateway, standing))),
    }
}

/// What a partner knows itself of somebody of whom it is not told: advice from anything else would tell it the rest. Without it
/// there is none.
async fn known_to(gateway: &Gateway, caller: &Caller, id: Option<&str>) -> Option<Arc<State>> {
    View::of(gateway, caller).state(id?).await.ok().map(Arc::new)
}

/// What is said of the id of a message that came with other content before.
pub fn correction(reading: Option<&Reading<'_>>) -> Fault {
    let fault = Fault::new("/id", "correction");
    reading.map_or(fault.clone(), |reading| reading.record.placed(fault))
}

/// The same id with other content, from a party that corrects this way: a message of its own, which waits for a person
/// unless it carries a revision.
fn as_correction(gateway: &Gateway, mut intent: Intent, fault: Fault) -> Intent {
    intent.id = gateway.id();
    intent.effects.push(Effect::Correct { target: intent.tag });
    intent.tag = gateway.journal.tokens.token("correction", &[&intent.tag, &intent.body_tag]);
    intent.spends = Vec::new();
    if intent.outcome == Outcome::Applied && intent.revision.is_none() {
        intent.outcome = Outcome::Held;
        intent.problem = Some(Fault::write_all(&[fault]));
    }
    intent
}

/// Judges a message and makes of it what the journal stores.
fn judge(gateway: &Gateway, caller: &Caller, item: Item<'_>, told: Option<&Told>, spends: Vec<Spend>) -> Intent {
    let court = Court { schemas: &gateway.schemas, parties: &gateway.parties, now: gateway.now() };
    let Item { bytes, event, reading } = item;
    let Judgement { message, corridor, outcome, mut faults } = court.judge(caller.client(), &event, reading.as_ref());
    let asserted_at = Attributes::of(&event).map_or_else(|| gateway.now(), |attributes| attributes.time);
    let late = message.and_then(|message| lateness::late(gateway, message, &event, asserted_at, told));
    if let Some(pointer) = late {
        let fault = Fault::new(format!("/data{pointer}"), "told-late").param("level", Level::Soft.as_str());
        faults.push(reading.as_ref().map_or_else(|| fault.clone(), |reading| reading.record.placed(fault.clone())));
    }
    let late = late.is_some();
    // What is refused is found by nobody, but by who erases the person whom it names.
    let data = event.get("data").unwrap_or(&Value::Null);
    let terms = if outcome == Outcome::Refused { identifier_terms(gateway, data) } else { terms(gateway, data) };
    let event = match &reading {
        // Enough of an event to file it under: a safety record is held by its type, whatever else is wrong with it.
        Some(reading) if !reading.faults.is_empty() => json!({"type": event["type"], "authority": event["authority"]}),
        _ => event,
    };
    let corridor = corridor.unwrap_or_else(|| fallback_corridor(gateway, caller));
    intent(
        gateway,
        caller,
        Judged { item_bytes: bytes, mapped: reading.is_some(), late, event, message, outcome, faults, corridor, terms },
        told,
        spends,
    )
}

struct Judged<'g> {
    item_bytes: Vec<u8>,
    mapped: bool,
    late: bool,
    event: Value,
    message: Option<&'g MessageType>,
    outcome: Outcome,
    faults: Vec<Fault>,
    corridor: String,
    terms: Vec<i64>,
}

/// Where a refused message without a usable corridor is recorded.
fn fallback_corridor(gateway: &Gateway, caller: &Caller) -> String {
    if caller.is_home() {
        crate::store::journal::DOMESTIC.to_owned()
    } else {
        debug_assert!(gateway.parties.partners.contains_key(caller.client().party.code()));
        caller.client().party.code().to_owned()
    }
}

fn intent(gateway: &Gateway, caller: &Caller, judged: Judged<'_>, about: Option<&Told>, spends: Vec<Spend>) -> Intent {
    let tokens = &gateway.journal.tokens;
    let party = caller.client().party.code();
    let Judged { item_bytes, mapped, late, event, message, outcome, faults, corridor, terms } = judged;
    let data = event.get("data").unwrap_or(&Value::Null);
    let text = |name: &str| event.get(name).and_then(Value::as_str).filter(|text| text.len() <= 200);
    let body_tag = tokens.digest("body", &[&item_bytes]);
    let sender = sender(gateway, party, &caller.client().id);
    let tag = match (text("source"), text("id")) {
        (Some(source), Some(id)) => tag(gateway, sender, source, id),
        _ => tokens.token("message without id", &[party.as_bytes(), &body_tag]),
    };
    let attributes = Attributes::of(&event);
    let asserted_at = attributes.map(|a| a.time).filter(|time| sane(*time)).unwrap_or_else(|| gateway.now());
    let home = gateway.parties.home.code();
    let told = if caller.is_home() { corridor.as_str() } else { home };
    let is_told = message.is_none_or(|message| !message.recipients.is_empty());
    let authority = text("authority").unwrap_or_default();
    let counts = outcome != Outcome::Refused;
    Intent {
        id: gateway.id(),
        party: party.to_owned(),
        client: caller.client().id.clone(),
        assurance: gateway.assurance(&corridor).unwrap_or("domestic").to_owned(),
        policy: gateway.policy(&corridor),
        type_name: text("type").unwrap_or_default().to_owned(),
        authority: authority.to_owned(),
        tag,
        body_tag,
        canonical: mapped.then(|| event.to_string().into_bytes()),
        bytes: item_bytes,
        evidence: caller.evidence().to_vec(),
        asserted_at,
        revision: attributes.and_then(|a| a.revision),
        effects: message
            .filter(|_| counts)
            .map(|m| effects(gateway, m, sender, &corridor, &event, late))
            .unwrap_or_default(),
        links: message
            .filter(|_| counts)
            .and_then(|m| links(gateway, m, party, &corridor, authority, data))
            .or_else(|| about.filter(|_| counts)?.tag.map(|tag| own::beside(Some(tag)))),
        mentions: message.filter(|_| counts).map(|m| mentions(gateway, m, &corridor, data)).unwrap_or_default(),
        safety: message.is_some_and(|m| m.safety),
        stamped_at_once: counts && message.is_some_and(|m| m.time_stamp.is_some()),
        decision: None,
        stands_beside: None,
        retention: message.map_or("refused", |m| &m.retention).to_owned(),
        terms,
        problem: (!faults.is_empty()).then(|| Fault::write_all(&faults)),
        outcome,
        recipients: if is_told { vec![told.to_owned()] } else { Vec::new() },
        parties: vec![home.to_owned(), corridor.clone()],
        urgency: message.map_or(9, |m| m.urgency),
        spends,
        token: Some(caller.token().to_owned()).filter(|jti| !jti.is_empty()),
        corridor,
    }
}

/// Times that every database and calendar can hold.
fn sane(time: OffsetDateTime) -> bool {
    (1900..=2200).contains(&time.year())
}

pub(super) fn effects(
    gateway: &Gateway,
    message: &MessageType,
    sender: &str,
    corridor: &str,
    event: &Value,
    late: bool,
) -> Vec<Effect> {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let (authority, source) = (text("authority"), text("source"));
    let data = event.get("data").unwrap_or(&Value::Null);
    let at = |pointer: &String| data.pointer(pointer).and_then(Value::as_str);
    let zone = gateway.parties.party(corridor).map_or(time::UtcOffset::UTC, |party| party.zone);
    let case = gateway.schemas.links_of(message.about).filter(|link| link.kind == gateway.schemas.case_kind);
    let case = case.filter_map(|link| link_token(gateway, link, "", corridor, data)).next();
    let mut effects: Vec<Effect> = message
        .facts
        .iter()
        .filter(|fact| fact.applies(data, late))
        .filter_map(|fact| {
            let value = fact.is.as_deref().or_else(|| fact.value.as_ref().and_then(at))?.to_owned();
            let time = fact.at.iter().find_map(at).and_then(|text| instant(text, zone)).filter(|time| sane(*time));
            if fact.dated && time.is_none() {
                return None;
            }
            let case = if fact.case { case } else { None };
            Some(Effect::Status { kind: fact.kind, value, at: time, owner: fact.owned_by(authority), case })
        })
        .collect();
    for (_, field, value) in gateway.schemas.fields_in(data) {
        let Some(path) = field.number else { continue };
        let value = field.comparable(value);
        let digest = gateway.journal.tokens.token("field", &[&path.to_be_bytes(), value.as_bytes()]);
        effects.push(Effect::Field { path, digest, owner: field.owned_by(authority) });
    }
    if let Some(id) = message.invalidates.as_ref().and_then(at) {
        effects.push(Effect::Invalidate { target: tag(gateway, sender, source, id) });
    }
    effects
}

fn link_token(
    gateway: &Gateway,
    link: &catalogue::Link,
    party: &str,
    corridor: &str,
    data: &Value,
) -> Option<[u8; 16]> {
    let value = data.pointer(&link.pointer)?.as_str()?;
    let scope = match link.scope {
        Scope::Corridor => corridor.to_owned(),
        Scope::Party => format!("{corridor}/{party}"),
    };
    Some(token_of(gateway, &scope, &link.kind, value))
}

fn token_of(gateway: &Gateway, scope: &str, kind: &str, value: &str) -> [u8; 16] {
    gateway.journal.tokens.token("link", &[scope.as_bytes(), kind.as_bytes(), normal(value).as_bytes()])
}

/// What a message names besides what it is about.
fn mentions(gateway: &Gateway, message: &MessageType, corridor: &str, data: &Value) -> Vec<[u8; 16]> {
    let named = gateway.schemas.mentions.iter().filter(|one| one.about == message.about);
    let token = |one: &catalogue::Named| {
        let value = data.pointer(&one.pointer)?.as_str()?;
        let links = gateway.schemas.links_of(one.names).filter(|link| link.scope == Scope::Corridor);
        Some(links.map(|link| token_of(gateway, corridor, &link.kind, value)).collect::<Vec<_>>())
    };
    named.filter_map(token).flatten().collect()
}

pub(super) fn links(
    gateway: &Gateway,
    message: &MessageType,
    party: &str,
    corridor: &str,
    authority: &str,
    data: &Value,
) -> Option<Links> {
    let kind = match message.about {
        About::Placement => SubjectKind::Placement,
        About::JobOrder => SubjectKind::JobOrder,
        About::Crisis => SubjectKind::Crisis,
        About::Books => SubjectKind::Books,
        About::None => return None,
    };
    let id = |pointer| data.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    // What tells people apart, or joins two documents, counts only from who keeps the register.
    let owns = |pointer: &str| gateway.schemas.field(pointer).is_some_and(|field| field.owned_by(authority));
    let counts = |link: &&catalogue::Link| !link.owner_only || owns(&link.pointer);
    let link = |link: &catalogue::Link| {
        Some(Link { token: link_token(gateway, link, party, corridor, data)?, reach: link.reach })
    };
    Some(Links {
        kind,
        pairwise: id("/placement/id"),
        worker: id("/placement/worker"),
        follows: None,
        links: gateway.schemas.links_of(message.about).filter(counts).filter_map(link).collect(),
        identifies: message.identifies,
    })
}

/// An identifier as it is compared: ASCII digits, upper case, no spaces or hyphens.
pub fn normal(identifier: &str) -> String {
    let kept = |c: &char| !c.is_whitespace() && *c != '-';
    ascii_digits(identifier).chars().filter(kept).flat_map(char::to_uppercase).collect()
}

/// Blind search terms of a message.
fn terms(gateway: &Gateway, data: &Value) -> Vec<i64> {
    terms_of(gateway, data, |_| true)
}

/// Of these, the terms of identifiers that one person has: a passport, not a telephone.
pub(super) fn identifier_terms(gateway: &Gateway, data: &Value) -> Vec<i64> {
    let hers = |link: &catalogue::Link| matches!(link.reach, Reach::Worker | Reach::Person);
    let identifiers: Vec<&str> = gateway
        .schemas
        .links_of(About::Placement)
        .filter(|link| hers(link))
        .map(|link| link.pointer.as_str())
        .collect();
    terms_of(gateway, data, |search| search.how == How::Exact && identifiers.contains(&search.pointer.as_str()))
}

fn terms_of(gateway: &Gateway, data: &Value, wanted: impl Fn(&Search) -> bool) -> Vec<i64> {
    let mut terms: Vec<i64> = gateway
        .schemas
        .searches
        .iter()
        .filter(|search| wanted(search))
        .filter_map(|search| Some((search, data.pointer(&search.pointer)?.as_str()?)))
        .flat_map(|(search, value)| term_values(search.how, &search.kind, value))
        .map(|(kind, value)| gateway.journal.tokens.term(&kind, &value))
        .collect();
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// The (kind, text) pairs under which a value is found.
pub fn term_values(how: How, kind: &str, value: &str) -> Vec<(String, String)> {
    match how {
        How::Exact => vec![(kind.to_owned(), normal(value))],
        How::Name => names::words(value)
            .into_iter()
            .flat_map(|word| {
                // One letter in common between two scripts says nothing.
                let crossing = Some(names::crossing(&word)).filter(|letters| letters.len() > 1);
                let crossing = crossing.map(|letters| (format!("{kind} crossing"), letters));
                [(format!("{kind} sound"), names::skeleton(&word)), (kind.to_owned(), word)].into_iter().chain(crossing)
            })
            .collect(),
    }
}

/// The problem of a refused message.
pub fn refusal(faults: Vec<Fault>, message: Uuid) -> Problem {
    let kind = faults.first().map_or(ProblemKind::SchemaViolation, |fault| ProblemKind::of_rule(&fault.rule));
    Problem::new(kind, message).with(faults)
}

/// The status of a message that the caller's party sent.
///
/// # Errors
/// `not-found`, also for a message of another party; `erased`; `service-unavailable`.
pub async fn status(gateway: &Gateway, caller: &Caller, id: Uuid) -> Result<messages::Status, Box<Problem>> {
    let status = sent(gateway, caller, id).await?;
    if status.erased { Err(Box::new(gateway.problem(ProblemKind::Erased))) } else { Ok(status) }
}

async fn sent(gateway: &Gateway, caller: &Caller, id: Uuid) -> Result<messages::Status, Box<Problem>> {
    let found = messages::status(&gateway.journal.channel, id).await;
    let found = found.map_err(|fault| Box::new(gateway.unavailable(&fault)))?;
    let own = found.filter(|status| status.party == caller.client().party.code());
    own.ok_or_else(|| Box::new(gateway.problem(ProblemKind::NotFound).because("no-such-message")))
}

/// The receipt of a message that the caller's party sent: the same entry and index that its sender got, under the first checkpoint at
/// or after it that a witness cosigned, once there is one; without an opening once the person whom it is about was erased.
///
/// # Errors
/// `not-found`, `service-unavailable`.
pub async fn receipt(gateway: &Gateway, caller: &Caller, id: Uuid) -> Result<Box<Receipt>, Box<Problem>> {
    sent(gateway, caller, id).await?;
    gateway.journal.receipt(id).await.map_err(|fault| Box::new(gateway.unavailable(&fault)))
}
