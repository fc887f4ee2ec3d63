//! Clocks that ran out: the side that is waited for is reminded, once a clock, by a message of the gateway's own in the name of
//! the home authority whose work the clock is. That a clock has run out is seen wherever placements are read, whether this ran or not.

use super::{Gateway, intake, mailbox, own};
use crate::{
    domain::deadlines::Side,
    schema::catalogue::{ClockEntry, MadeFor},
    store::{
        StoreFault,
        clocks::{self, ClockRow},
        journal::{Intent, JournalFault},
        messages,
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
    mailbox::let_go(gateway).await?;
    let overdue = clocks::overdue(pool, now, &gateway.standings.halted(), ROUND).await?;
    for clock in &overdue {
        let entry = gateway.schemas.clocks.iter().find(|entry| entry.name == clock.name);
        if let Some(entry) = entry.filter(|entry| entry.remind) {
            let started = messages::to_decide(pool, clock.message).await?;
            let intent = started.and_then(|started| intent(gateway, entry, clock, started.tag));
            match intent {
                Some(intent) => match gateway.queue.submit(intent).await {
                    Ok(_) => {}
                    // Not stored: the next round tries again.
                    Err(JournalFault::Full | JournalFault::Unavailable | JournalFault::Halted) => continue,
                },
                None => tracing::warn!(clock = clock.name, message = %clock.message, "nobody can be reminded"),
            }
        }
        clocks::reminded(pool, clock, now).await?;
    }
    Ok(overdue.len())
}

fn intent(gateway: &Gateway, entry: &ClockEntry, clock: &ClockRow, started: [u8; 16]) -> Option<Intent> {
    let message = gateway.schemas.made_for(MadeFor::Reminder)?;
    let home = gateway.parties.home.code();
    let partner = gateway.parties.partners.get(&clock.corridor)?;
    let awaited = entry.waits_on.side(gateway.side_of(&clock.authority));
    let owner = entry.owner.of(awaited);
    let told = match awaited {
        Side::Home => home,
        Side::Partner => partner.code(),
    };
    let tag = gateway.journal.tokens.token("reminder", &[&started, clock.name.as_bytes()]);
    let due = clock.due_at.to_offset(UtcOffset::UTC).replace_nanosecond(0).ok()?.format(&Rfc3339).ok()?;
    // The same bytes whoever makes it and whenever: two instances send one reminder.
    let event = json!({"specversion": "1.0", "id": hex::encode(tag), "source": "urn:onechannel:clock", "type": message.name,
        "time": due, "authority": owner, "corridor": clock.corridor,
        "data": {"reminds": {"id": clock.message, "clock": clock.name, "dueAt": due}}});
    let own = own::intent(gateway, message, &clock.corridor, owner, tag, &event);
    Some(Intent {
        effects: intake::effects(gateway, message, home, &clock.corridor, &event, false),
        asserted_at: clock.due_at,
        links: Some(own::beside(Some(started))),
        recipients: vec![told.to_owned()],
        ..own
    })
}
