//! What the schemas, the catalogue and the sender's registration say of one message: the gateway's judgement without its store.

use super::{MockGateway, caller::Caller};
use crate::{
    message::{event::Attributes, problem::Fault},
    schema::catalogue::{Direction, Level},
};
use serde_json::Value;

/// The judgement of one message.
pub(super) struct Judged {
    pub(super) outcome: &'static str,
    pub(super) faults: Vec<Fault>,
    pub(super) corridor: Option<String>,
}

impl MockGateway {
    /// Judges an event; `unread` is what its mapping found wrong.
    pub(super) fn judge(&self, caller: &Caller, event: &Value, unread: Vec<Fault>) -> Judged {
        let type_name = event.get("type").and_then(Value::as_str).unwrap_or_default();
        let message = self.schemas.message(type_name);
        let corridor = self.corridor(caller, event);
        let was_read = unread.is_empty();
        let mut faults = unread;
        if was_read {
            faults.extend(self.schemas.check_envelope(event));
        }
        if faults.is_empty() {
            faults.extend(self.admission(caller, event, corridor.as_deref()));
        }
        let data = event.get("data").unwrap_or(&Value::Null);
        if was_read && message.is_some() {
            faults.extend(self.schemas.check_data(type_name, data));
        }
        let mut outcome = if faults.is_empty() { "applied" } else { "refused" };
        for (level, fault) in self.schemas.check_identifiers(data) {
            outcome = match (outcome, level) {
                ("refused", _) | (_, Level::Hard) => "refused",
                ("held", _) | (_, Level::Firm) => "held",
                _ => outcome,
            };
            faults.push(fault);
        }
        let is_barred = faults.iter().any(|fault| fault.rule.starts_with("authority"));
        if outcome == "refused" && !is_barred && message.is_some_and(|message| message.safety) {
            outcome = "held";
        }
        Judged { outcome, faults, corridor }
    }

    fn admission(&self, caller: &Caller, event: &Value, corridor: Option<&str>) -> Option<Fault> {
        let text = |name| event.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some(message) = self.schemas.message(text("type")) else {
            let rule = if self.schemas.knows_object(text("type")) { "unknown-version" } else { "unknown-type" };
            return Some(Fault::new("/type", rule));
        };
        let authority = text("authority");
        if !caller.client.authorities.iter().any(|one| one == authority) {
            return Some(Fault::new("/authority", "authority-unknown"));
        }
        let asserted_at = Attributes::of(event).map_or_else(|| self.now(), |attributes| attributes.time);
        if !caller.client.party.mandated(authority, asserted_at) {
            return Some(Fault::new("/authority", "authority-mandate"));
        }
        let direction_fits = match message.direction {
            Direction::Both => true,
            Direction::HomeToPartner | Direction::Domestic => caller.is_home(),
            Direction::PartnerToHome => !caller.is_home(),
        };
        if !direction_fits || !message.sent_by(authority) {
            return Some(Fault::new("/authority", "authority-type").param("expected", message.senders.join(", ")));
        }
        corridor.is_none().then(|| Fault::new("/corridor", "corridor"))
    }

    fn corridor(&self, caller: &Caller, event: &Value) -> Option<String> {
        let stated = event.get("corridor").and_then(Value::as_str);
        let own = caller.client.party.code();
        match (caller.is_home(), stated) {
            (false, None) => Some(own.to_owned()),
            (false, Some(stated)) => (stated == own).then(|| own.to_owned()),
            (true, stated) => stated.filter(|code| self.parties.partners.contains_key(*code)).map(str::to_owned),
        }
    }
}
