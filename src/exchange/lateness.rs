//! Messages that come later than the catalogue allows: after a moment that they state, or after their sender was told the message
//! that they are about. They count all the same; that they are late is flagged, and may be a fact of its own. What is awaited and
//! has not come is for clocks.

use super::{Gateway, caller::Caller};
use crate::{
    domain::{calendars::instant, workdays::due},
    message::problem::Problem,
    schema::catalogue::{MessageType, Since, Within},
    store::deliveries::{self, Told},
};
use serde_json::Value;
use time::OffsetDateTime;

/// The message that an event is about by its id, if it was ever on its way to the caller's party.
///
/// # Errors
/// `service-unavailable`.
pub(super) async fn told(gateway: &Gateway, caller: &Caller, event: &Value) -> Result<Option<Told>, Box<Problem>> {
    let message = event.get("type").and_then(Value::as_str).and_then(|name| gateway.schemas.message(name));
    let Some(Within { since: Since::Message(pointer), .. }) = message.and_then(|one| one.within.as_ref()) else {
        return Ok(None);
    };
    let id = event.get("data").and_then(|data| data.pointer(pointer)).and_then(Value::as_str);
    let Some(id) = id.and_then(|id| id.parse().ok()) else { return Ok(None) };
    let told = deliveries::told(&gateway.journal.channel, caller.client().party.code(), id).await;
    told.map_err(|fault| Box::new(gateway.unavailable(&fault)))
}

/// Where in an event stands what it came too late after; `None` where it came in time or nothing is known of that.
pub(super) fn late<'m>(
    gateway: &Gateway,
    message: &'m MessageType,
    event: &Value,
    asserted_at: OffsetDateTime,
    told: Option<&Told>,
) -> Option<&'m str> {
    let within = message.within.as_ref()?;
    let (pointer, since, came) = match &within.since {
        // By the sender's own clock on both sides, so that it is late or not whenever it is looked at.
        Since::Moment(pointer) => {
            let text = event.get("data")?.pointer(pointer)?.as_str()?;
            (pointer, instant(text, time::UtcOffset::UTC)?, asserted_at)
        }
        Since::Message(pointer) => (pointer, told?.told_at?, gateway.now()),
    };
    (came > due(within.term, since, &[], time::UtcOffset::UTC)).then_some(pointer)
}
