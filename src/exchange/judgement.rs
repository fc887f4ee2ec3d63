//! What the schemas, the catalogue, the rule packs and the sender's registration say of one message, by itself: a pure function of
//! the message, its sender and the folders.
//!
//! The mock of the gateway judges by it too, so that it cannot say otherwise than the gateway. What a message does to what is known
//! of a placement is not known here.

use super::admission;
use crate::{
    message::{event::Attributes, problem::Fault},
    partner::{Client, Parties, formats::Reading},
    schema::{
        Schemas,
        catalogue::{Level, MessageType},
    },
    store::journal::Outcome,
};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

/// How far ahead of its receipt a message may be asserted, so that one from a wrong clock does not win for years.
const AHEAD_MAX: Duration = Duration::days(90);

/// By what it is judged.
#[derive(Clone, Copy)]
pub struct Court<'a> {
    /// What messages look like.
    pub schemas: &'a Schemas,
    /// Who the parties are.
    pub parties: &'a Parties,
    /// When it came.
    pub now: OffsetDateTime,
}

/// The judgement of one message.
#[derive(Debug)]
pub struct Judgement<'a> {
    /// Its type, if the catalogue has it.
    pub message: Option<&'a MessageType>,
    /// Its corridor, if it has one.
    pub corridor: Option<String>,
    /// How it is judged.
    pub outcome: Outcome,
    /// Broken rules, each with its level; pointers are into the message as sent.
    pub faults: Vec<Fault>,
}

impl<'a> Court<'a> {
    /// Judges an event of `client`; `reading` is how it was read from a record in the party's own format. Of a record that cannot be
    /// read as a whole the rest is judged too, and what only follows from that is not named.
    pub fn judge(&self, client: &Client, event: &Value, reading: Option<&Reading<'_>>) -> Judgement<'a> {
        let Self { schemas, parties, now } = *self;
        let type_name = event.get("type").and_then(Value::as_str).unwrap_or_default();
        let message = schemas.message(type_name);
        let corridor = admission::corridor(parties, client, event);
        let mut faults = reading.map(|reading| reading.faults.clone()).unwrap_or_default();
        let stands = |fault: &Fault| reading.is_none_or(|reading| !reading.explains(fault));
        let placed =
            |fault: Fault| reading.map_or_else(|| fault.clone(), |reading| reading.record.placed(fault.clone()));
        let mut broken: Vec<Fault> = schemas.check_envelope(event);
        let attributes = Attributes::of(event);
        if !broken.iter().any(stands) {
            let claim = admission::Claim { event, message, corridor: corridor.as_deref() };
            // Without its time nobody knows who had the mandate then.
            let knows = |fault: &Fault| attributes.is_some() || fault.rule != "authority-mandate";
            broken.extend(admission::fault(schemas, client, &claim, now).filter(knows));
        }
        let data = event.get("data").unwrap_or(&Value::Null);
        broken.extend(schemas.check_data(type_name, data));
        faults.extend(broken.into_iter().filter(stands).map(placed));
        let mut outcome = if faults.is_empty() { Outcome::Applied } else { Outcome::Refused };
        let mut judged = schemas.check_identifiers(data);
        if let Some(corridor) = corridor.as_deref().filter(|_| outcome == Outcome::Applied) {
            let asserted_at = attributes.as_ref().map_or(now, |attributes| attributes.time);
            judged.extend(parties.judge(corridor, type_name, data, asserted_at));
        }
        for (level, fault) in judged.into_iter().filter(|(_, fault)| stands(fault)) {
            outcome = match (outcome, level) {
                (Outcome::Refused, _) | (_, Level::Hard) => Outcome::Refused,
                (Outcome::Held, _) | (_, Level::Firm) => Outcome::Held,
                (Outcome::Applied, Level::Soft) => Outcome::Applied,
            };
            faults.push(named(level, placed(fault)));
        }
        // What breaks a rule before any level is looked at is refused.
        faults = faults.into_iter().map(|fault| named(Level::Hard, fault)).collect();
        if attributes.is_some_and(|attributes| attributes.time > now + AHEAD_MAX) {
            // A message from the future would win over all that is said until then: it waits for a person.
            faults.push(named(Level::Firm, placed(Fault::new("/time", "time-ahead"))));
            outcome = if outcome == Outcome::Refused { outcome } else { Outcome::Held };
        }
        let is_barred = faults.iter().any(|fault| fault.rule.starts_with("authority"));
        if outcome == Outcome::Refused && !is_barred && message.is_some_and(|message| message.safety) {
            outcome = Outcome::Held;
        }
        Judgement { message, corridor, outcome, faults }
    }
}

/// A fault with its level, unless it says it already.
fn named(level: Level, fault: Fault) -> Fault {
    let says = fault.params.iter().any(|(name, _)| name == "level");
    if says { fault } else { fault.param("level", level.as_str()) }
}
