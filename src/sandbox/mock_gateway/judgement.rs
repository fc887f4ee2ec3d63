//! What the schemas, the catalogue and the sender's registration say of one message: the gateway's judgement without its store.

use super::{MockGateway, caller::Caller};
use crate::{
    exchange::admission,
    message::{event::Attributes, problem::Fault},
    schema::catalogue::Level,
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
        let corridor = admission::corridor(&self.parties, &caller.client, event);
        let was_read = unread.is_empty();
        let mut faults = unread;
        if was_read {
            faults.extend(self.schemas.check_envelope(event));
        }
        if faults.is_empty() {
            let claim = admission::Claim { event, message, corridor: corridor.as_deref() };
            faults.extend(admission::fault(&self.schemas, &caller.client, &claim, self.now()));
        }
        let data = event.get("data").unwrap_or(&Value::Null);
        if was_read && message.is_some() {
            faults.extend(self.schemas.check_data(type_name, data));
        }
        let mut outcome = if faults.is_empty() { "applied" } else { "refused" };
        let mut judged = self.schemas.check_identifiers(data);
        if let Some(corridor) = corridor.as_deref().filter(|_| outcome == "applied") {
            let asserted_at = Attributes::of(event).map_or_else(|| self.now(), |attributes| attributes.time);
            judged.extend(self.parties.judge(corridor, type_name, data, asserted_at));
        }
        for (level, fault) in judged {
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
}
