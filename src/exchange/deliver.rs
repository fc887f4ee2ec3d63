//! Telling parties: leased rows are mapped, checked, sent without a transaction open, and settled by the verified answer.
//!
//! Urgent kinds go first; a message that fails waits with growing pauses and holds nothing else back; one that could not be
//! delivered for too long is parked where a person sees it. A process that dies leaves leases that end.

use super::{Gateway, mailbox};
use crate::{
    client::{PartyClient, Sent},
    domain::clock::uuid_v7,
    store::{
        StoreFault,
        deliveries::{self, Lease},
        journal::settlement::{Settlement, Verdict},
    },
};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};
use time::Duration;
use uuid::Uuid;

/// How deliveries are paced.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// A lease ends after this.
    pub lease: Duration,
    /// Longest pause between two tries.
    pub pause_max: Duration,
    /// Parked when it could not be delivered for this long.
    pub park_after: Duration,
    /// Messages under way at the same moment.
    pub parallel: usize,
}

/// Leases what is due to a party, sends it and settles it; gives the number of rows tried.
///
/// # Errors
/// [`StoreFault`]: what was leased is due again when the lease ends.
pub async fn round(gateway: &Gateway, party: &str, client: &PartyClient, pace: Pace) -> Result<usize, StoreFault> {
    if gateway.standings.of(party).halted {
        // What the party would answer could not be recorded.
        return Ok(0);
    }
    let now = gateway.now();
    let token = uuid_v7(gateway.clock(), gateway.random());
    let limit = 4 * pace.parallel as i64;
    let leases = deliveries::lease(&gateway.journal.channel, party, token, pace.lease, limit, now).await?;
    if leases.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Uuid> = leases.iter().map(|lease| lease.message).collect();
    let events: HashMap<Uuid, Value> = mailbox::events_for(gateway, party, &ids).await?.into_iter().collect();
    let kept = mailbox::kept(gateway, party, &ids).await?;
    let (events, kept) = (Arc::new(events), &kept);
    let sending = leases.into_iter().map(|lease| {
        let event = events.get(&lease.message);
        async move {
            let sent = match kept.get(&lease.message) {
                Some(reason) => Err(*reason),
                None => send(gateway, party, client, event).await,
            };
            (lease, sent)
        }
    });
    let results: Vec<(Lease, Result<Sent, &'static str>)> =
        stream::iter(sending).buffer_unordered(pace.parallel).collect().await;
    let tried = results.len();
    let mut settlements = Vec::new();
    for (lease, sent) in results {
        match sent {
            Err(reason) => {
                tracing::error!(party, message = %lease.message, reason, "a message cannot be sent and is parked");
                let reason = Some(reason.to_owned());
                settlements.push(settlement(gateway, party, &lease, Verdict::Parked, reason, Vec::new()));
            }
            Ok(Sent::Acked { evidence }) => {
                settlements.push(settlement(gateway, party, &lease, Verdict::Delivered, None, evidence))
            }
            Ok(Sent::Refused { reason, evidence }) => {
                tracing::warn!(party, message = %lease.message, reason, "a party refused a message");
                settlements.push(settlement(gateway, party, &lease, Verdict::Refused, Some(reason), evidence));
            }
            Ok(Sent::Retry { reason, .. }) if gateway.now() - lease.created_at > pace.park_after => {
                tracing::warn!(party, message = %lease.message, reason, "a message is parked");
                settlements.push(settlement(gateway, party, &lease, Verdict::Parked, Some(reason), Vec::new()));
            }
            Ok(Sent::Retry { after, reason }) => {
                let pause =
                    after.and_then(|after| after.try_into().ok()).unwrap_or_else(|| pause(gateway, &lease, pace));
                deliveries::put_back(&gateway.journal.channel, party, &lease, gateway.now() + pause, &reason).await?;
            }
        }
    }
    if !settlements.is_empty() {
        gateway.journal.settle(&settlements).await?;
    }
    Ok(tried)
}

/// Sends one event in the party's wire format; a word for why it has none is ours to mend.
async fn send(
    gateway: &Gateway,
    party: &str,
    client: &PartyClient,
    event: Option<&Value>,
) -> Result<Sent, &'static str> {
    let event = event.ok_or("content-erased")?;
    let type_name = event.get("type").and_then(Value::as_str).unwrap_or_default();
    let route = gateway.formats.get(party).and_then(|formats| formats.outbound(type_name));
    let (path, record) = route.ok_or("no-route-for-type")?;
    let wire = record.write(event).map_err(|faults| {
        // The pointers say where, the values stay out of the log.
        let rules: Vec<String> = faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.rule)).collect();
        tracing::error!(party, type_name, rules = rules.join(", "), "a message has no wire form");
        "no-wire-form"
    })?;
    let bytes = record.bytes(&wire).map_err(|fault| {
        tracing::error!(party, type_name, %fault, "a record has no bytes in the party's format");
        "no-wire-form"
    })?;
    Ok(client.send_as(path, record.format, bytes).await)
}

/// Full jitter over a doubling range.
fn pause(gateway: &Gateway, lease: &Lease, pace: Pace) -> Duration {
    let range = (Duration::milliseconds(500) * 2i32.pow(lease.attempts.clamp(1, 16) as u32 - 1)).min(pace.pause_max);
    let mut bytes = [0; 4];
    gateway.random().fill(&mut bytes);
    range * f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
}

fn settlement(
    gateway: &Gateway,
    party: &str,
    lease: &Lease,
    verdict: Verdict,
    reason: Option<String>,
    answer: Vec<u8>,
) -> Settlement {
    let assurance = gateway.assurance(party).unwrap_or("tls");
    Settlement {
        party: party.to_owned(),
        seq: lease.seq,
        lease: Some(lease.token),
        verdict,
        reason,
        answer,
        policy: gateway.policy(party),
        assurance: assurance.to_owned(),
    }
}
