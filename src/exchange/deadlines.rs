//! Clocks that ran out: the side that is waited for is reminded, once a clock, by a message of the gateway's own in the name of
//! the authority that waits. That a clock has run out is seen wherever placements are read, whether this ran or not.

use super::{Gateway, intake};
use crate::{
    domain::deadlines::Side,
    schema::catalogue::{ClockEntry, MadeFor},
    store::{
        StoreFault,
        journal::{Intent, JournalFault, Links, Outcome, SubjectKind},
        messages,
        query::{self, ClockRow},
    },
};
use serde_json::json;
use time::{UtcOffset, format_description::well_known::Rfc3339};

/// Clocks looked at in one round.
const ROUND: i64 = 200;

/// Reminds of clocks that ran out since the last round; gives their number.
///
/// # Errors
/// [`StoreFault`]; what was not done is taken up by the next round. A reminder that was sent before is found by its tag.
pub async fn round(gateway: &Gateway) -> Result<usize, StoreFault> {
    let now = gateway.now();
    let pool = &gateway.journal.channel;
    let overdue = query::overdue(pool, now, ROUND).await?;
    for clock in &overdue {
        let entry = gateway.schemas.clocks.iter().find(|entry| entry.name == clock.name);
        if let Some(entry) = entry.filter(|entry| entry.remind) {
            let started = messages::to_decide(pool, clock.message).await?;
            let intent = started.and_then(|started| intent(gateway, entry, clock, started.tag));
            match intent {
                Some(intent) => match gateway.queue.submit(intent).await {
                    Ok(_) => {}
                    // Not stored: the next round tries again.
                    Err(JournalFault::Full | JournalFault::Unavailable) => continue,
                },
                None => tracing::warn!(clock = clock.name, message = %clock.message, "nobody can be reminded"),
            }
        }
        query::reminded(pool, clock, now).await?;
    }
    Ok(overdue.len())
}

fn intent(gateway: &Gateway, entry: &ClockEntry, clock: &ClockRow, started: [u8; 16]) -> Option<Intent> {
    let message = gateway.schemas.made_for(MadeFor::Reminder)?;
    let home = gateway.parties.home.code();
    let partner = gateway.parties.partners.get(&clock.corridor)?;
    let told = match entry.waits_on {
        Side::Home => home,
        Side::Partner => partner.code(),
    };
    let tag = gateway.journal.tokens.token("reminder", &[&started, clock.name.as_bytes()]);
    let due = clock.due_at.to_offset(UtcOffset::UTC).replace_nanosecond(0).ok()?.format(&Rfc3339).ok()?;
    // The same bytes whoever makes it and whenever: two instances send one reminder.
    let event = json!({"specversion": "1.0", "id": hex::encode(tag), "source": "urn:onechannel:clock", "type": message.name,
        "time": due, "authority": clock.authority, "corridor": clock.corridor,
        "data": {"reminds": {"id": clock.message, "clock": clock.name, "dueAt": due}}});
    let bytes = event.to_string().into_bytes();
    Some(Intent {
        id: gateway.id(),
        party: home.to_owned(),
        client: "clock".to_owned(),
        corridor: clock.corridor.clone(),
        type_name: message.name.clone(),
        authority: clock.authority.clone(),
        tag,
        body_tag: gateway.journal.tokens.digest("body", &[&bytes]),
        effects: intake::effects(gateway, message, home, &clock.corridor, &event),
        bytes,
        canonical: None,
        evidence: b"{}".to_vec(),
        asserted_at: clock.due_at,
        revision: None,
        links: Some(Links {
            kind: SubjectKind::Placement,
            pairwise: None,
            worker: None,
            follows: Some(started),
            links: Vec::new(),
            identifies: false,
        }),
        retention: message.retention.clone(),
        terms: Vec::new(),
        outcome: Outcome::Applied,
        problem: None,
        policy: gateway.policy(&clock.corridor),
        assurance: partner.profile.assurance.as_str().to_owned(),
        recipients: vec![told.to_owned()],
        parties: vec![home.to_owned(), clock.corridor.clone()],
        urgency: message.urgency,
        spends: Vec::new(),
        token: None,
        decision: None,
    })
}
