//! Messages for a party that asks for them itself: a page after a cursor, and the acknowledgement that settles them.
//!
//! A client sees what is addressed to its authorities. The event it gets is the canonical one with the recipient's own
//! placement id, without the sender's references and without what may not be released to it.

use super::{
    Gateway,
    caller::Caller,
    tags::{sender, tag},
};
use crate::{
    message::problem::{Problem, ProblemKind},
    schema::catalogue::About,
    store::{
        StoreFault, deliveries,
        journal::{
            JournalFault,
            settlement::{Settlement, Verdict},
        },
        messages::{self, KnownAs, Stored},
        query,
    },
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// Why a message about somebody at risk or in a shelter is kept back.
pub const SHIELDED: &str = "do-no-harm";
/// Why the withdrawal of a message that the party was never told is kept back.
pub const NOTHING_TO_WITHDRAW: &str = "nothing-to-withdraw";

/// How often a long poll looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Messages after a cursor.
#[derive(Debug)]
pub struct Page {
    /// (cursor, event), oldest first.
    pub letters: Vec<(i64, Value)>,
    /// Where to go on.
    pub next: i64,
}

/// Reads a page, waiting up to `wait` for the first message.
///
/// # Errors
/// `service-unavailable`.
pub async fn read(
    gateway: &Gateway,
    caller: &Caller,
    after: Option<i64>,
    limit: i64,
    wait: Duration,
) -> Result<Page, Box<Problem>> {
    let away = |fault: StoreFault| Box::new(gateway.unavailable(&fault));
    let pool = &gateway.journal.channel;
    let party = caller.client().party.code();
    let types = types_for(gateway, caller);
    let after = match after {
        Some(after) => after,
        None => deliveries::acknowledged(pool, &caller.client().id).await.map_err(away)?,
    };
    let deadline = tokio::time::Instant::now() + wait;
    let mut from = after;
    let letters = loop {
        let mut letters = deliveries::mailbox(pool, party, &types, from, limit).await.map_err(away)?;
        // The reader's cursor never shows what was kept back: it stays at the last message that was given.
        let passed = letters.last().map(|letter| letter.seq);
        let kept = keep_back(gateway, party, &letters).await.map_err(away)?;
        letters.retain(|letter| !kept.contains_key(&letter.message));
        if !letters.is_empty() {
            break letters;
        }
        match passed {
            Some(seq) => from = seq,
            None if tokio::time::Instant::now() >= deadline => break letters,
            None => tokio::time::sleep(LOOK_AGAIN).await,
        }
    };
    let ids: Vec<_> = letters.iter().map(|letter| letter.message).collect();
    let events = given(gateway, party, &ids).await.map_err(away)?;
    let next = letters.last().map_or(after, |letter| letter.seq);
    let letters = letters.into_iter().filter_map(|letter| {
        let event = events.iter().find(|(id, _)| *id == letter.message)?.1.clone();
        Some((letter.seq, event))
    });
    Ok(Page { letters: letters.collect(), next })
}

/// Parks what may not be given to a partner now, and tells which that is: reading passes over it, and an acknowledgement never
/// settles it. When it may go out it comes again at the end of the mailbox. What the partner has already it may read again: that it
/// vanished would tell why.
async fn keep_back(
    gateway: &Gateway,
    party: &str,
    letters: &[deliveries::Letter],
) -> Result<HashMap<uuid::Uuid, &'static str>, StoreFault> {
    let ids: Vec<uuid::Uuid> = letters.iter().map(|letter| letter.message).collect();
    let mut kept = kept(gateway, party, &ids).await?;
    if !kept.is_empty() {
        let ids: Vec<uuid::Uuid> = kept.keys().copied().collect();
        for told in query::told_until(&gateway.journal.channel, party, &ids, gateway.now()).await? {
            kept.remove(&told);
        }
    }
    let settlement = |letter: &deliveries::Letter, reason: &str| Settlement {
        party: party.to_owned(),
        seq: letter.seq,
        lease: None,
        verdict: Verdict::Parked,
        reason: Some(reason.to_owned()),
        answer: Vec::new(),
        policy: gateway.policy(party),
        assurance: gateway.assurance(party).unwrap_or("tls").to_owned(),
    };
    let parked: Vec<Settlement> =
        letters.iter().filter_map(|one| Some(settlement(one, kept.get(&one.message)?))).collect();
    if !parked.is_empty() {
        gateway.journal.settle(&parked).await?;
    }
    Ok(kept)
}

/// Sends on its way what was kept back and may go out now; gives its number.
///
/// # Errors
/// [`StoreFault`].
pub async fn let_go(gateway: &Gateway) -> Result<usize, StoreFault> {
    let pool = &gateway.journal.channel;
    let mut by_party: BTreeMap<String, Vec<uuid::Uuid>> = BTreeMap::new();
    for (party, message) in deliveries::kept_back(pool, &[SHIELDED, NOTHING_TO_WITHDRAW]).await? {
        by_party.entry(party).or_default().push(message);
    }
    let mut free = 0;
    for (party, messages) in by_party {
        let still = kept(gateway, &party, &messages).await?;
        for message in messages.iter().filter(|message| !still.contains_key(message)) {
            deliveries::renew(pool, *message, gateway.now()).await?;
            free += 1;
        }
    }
    Ok(free)
}

/// Acknowledges everything up to a cursor; gives the number of messages that count as delivered by it. `body` is the signed
/// acknowledgement, kept as evidence.
///
/// # Errors
/// `nothing-to-acknowledge` for a cursor beyond what was ever sent; `ledger-halted` while the partner's log is; `service-unavailable`.
/// What is of a halted corridor waits for the home system's next acknowledgement.
pub async fn acknowledge(gateway: &Gateway, caller: &Caller, cursor: i64, body: &[u8]) -> Result<usize, Box<Problem>> {
    let away = |fault: StoreFault| Box::new(gateway.unavailable(&fault));
    let pool = &gateway.journal.channel;
    let party = &caller.client().party;
    if gateway.standings.of(party.code()).halted {
        // It could not be recorded.
        return Err(Box::new(gateway.not_stored(JournalFault::Halted)));
    }
    let types = types_for(gateway, caller);
    let known = deliveries::mailbox(pool, party.code(), &types, cursor - 1, 1).await.map_err(away)?;
    if cursor < 0 || known.first().is_none_or(|letter| letter.seq != cursor) {
        return Err(Box::new(gateway.problem(ProblemKind::NothingToAcknowledge)));
    }
    let rows = deliveries::waiting_up_to(pool, party.code(), &types, cursor).await.map_err(away)?;
    // What is kept back was not given: the acknowledgement does not cover it.
    let ids: Vec<uuid::Uuid> = rows.iter().map(|(_, message)| *message).collect();
    let kept = kept(gateway, party.code(), &ids).await.map_err(away)?;
    let mut answer = caller.evidence().to_vec();
    answer.push(b'\n');
    answer.extend_from_slice(body);
    let settlements: Vec<Settlement> = rows
        .into_iter()
        .filter(|(_, message)| !kept.contains_key(message))
        .map(|(seq, _)| Settlement {
            party: party.code().to_owned(),
            seq,
            lease: None,
            verdict: Verdict::Delivered,
            reason: None,
            answer: answer.clone(),
            policy: gateway.policy(party.code()),
            assurance: gateway.assurance(party.code()).unwrap_or("tls").to_owned(),
        })
        .collect();
    let settled = if settlements.is_empty() { 0 } else { gateway.journal.settle(&settlements).await.map_err(away)? };
    deliveries::acknowledge(pool, &caller.client().id, party.code(), cursor).await.map_err(away)?;
    Ok(settled)
}

/// Types of messages that are addressed to the client's authorities.
pub(super) fn types_for(gateway: &Gateway, caller: &Caller) -> Vec<String> {
    let seen = gateway.schemas.messages().filter(|message| message.seen_by(&caller.client().authorities));
    seen.map(|message| message.name.clone()).collect()
}

/// The events of messages as `party` may see them now. A message whose key is destroyed has none, nor one that is kept back.
///
/// # Errors
/// [`StoreFault`].
pub async fn events_for(
    gateway: &Gateway,
    party: &str,
    ids: &[uuid::Uuid],
) -> Result<Vec<(uuid::Uuid, Value)>, StoreFault> {
    let kept = kept(gateway, party, ids).await?;
    let free: Vec<uuid::Uuid> = ids.iter().filter(|id| !kept.contains_key(id)).copied().collect();
    given(gateway, party, &free).await
}

/// The events of messages as `party` sees them that it sent or was told already. Nothing is kept back here: who asks for others
/// asks [`events_for`].
///
/// # Errors
/// [`StoreFault`].
pub(super) async fn given(
    gateway: &Gateway,
    party: &str,
    ids: &[uuid::Uuid],
) -> Result<Vec<(uuid::Uuid, Value)>, StoreFault> {
    let journal = &gateway.journal;
    let stored = messages::open(&journal.channel, &journal.vault, &journal.kek, ids).await?;
    let subjects: Vec<_> = stored.iter().filter_map(|one| one.subject).collect();
    let pairwise = messages::pairwise(&journal.channel, party, &subjects).await?;
    let withdrawn: Vec<(uuid::Uuid, Vec<u8>)> = stored.iter().filter_map(|one| withdraws(gateway, one)).collect();
    let tags: Vec<Vec<u8>> = withdrawn.iter().map(|(_, tag)| tag.clone()).collect();
    let known = if tags.is_empty() { HashMap::new() } else { messages::by_tags(&journal.channel, &tags).await? };
    Ok(stored
        .into_iter()
        .filter_map(|one| {
            let placement = one.subject.and_then(|subject| pairwise.get(&subject));
            let target = withdrawn.iter().find(|(id, _)| *id == one.id).and_then(|(_, tag)| known.get(tag));
            Some((one.id, event_for(gateway, party, &one, placement, target)?))
        })
        .collect())
}

/// What may not go to a party now, and why: to a partner nothing about somebody who is shielded, and no withdrawal of what it was
/// never told, which would tell that there was something.
///
/// # Errors
/// [`StoreFault`].
pub async fn kept(
    gateway: &Gateway,
    party: &str,
    ids: &[uuid::Uuid],
) -> Result<HashMap<uuid::Uuid, &'static str>, StoreFault> {
    if !gateway.parties.partners.contains_key(party) {
        return Ok(HashMap::new());
    }
    let journal = &gateway.journal;
    let withdrawals: Vec<String> =
        gateway.schemas.messages().filter(|one| one.invalidates.is_some()).map(|one| one.name.clone()).collect();
    let withdrawals = messages::of_types(&journal.channel, ids, &withdrawals).await?;
    let mut kept = HashMap::new();
    if !withdrawals.is_empty() {
        let stored = messages::open(&journal.channel, &journal.vault, &journal.kek, &withdrawals).await?;
        let targets: Vec<(uuid::Uuid, Vec<u8>)> = stored.iter().filter_map(|one| withdraws(gateway, one)).collect();
        let tags: Vec<Vec<u8>> = targets.iter().map(|(_, tag)| tag.clone()).collect();
        let known = messages::by_tags(&journal.channel, &tags).await?;
        let ids: Vec<uuid::Uuid> = known.values().copied().collect();
        let told = query::told_until(&journal.channel, party, &ids, gateway.now()).await?;
        let is_told = |tag: &Vec<u8>| known.get(tag).is_some_and(|id| told.contains(id));
        let untold = targets.into_iter().filter(|(_, tag)| !is_told(tag));
        kept.extend(untold.map(|(id, _)| (id, NOTHING_TO_WITHDRAW)));
    }
    kept.extend(shielded(gateway, ids).await?.into_iter().map(|id| (id, SHIELDED)));
    Ok(kept)
}

/// Messages about somebody at risk or in a shelter, by which fewer than two officers stand.
///
/// # Errors
/// [`StoreFault`].
pub async fn shielded(gateway: &Gateway, ids: &[uuid::Uuid]) -> Result<Vec<uuid::Uuid>, StoreFault> {
    messages::shielded(&gateway.journal.channel, ids).await
}

/// The tag of the message that this one withdraws.
fn withdraws(gateway: &Gateway, stored: &Stored) -> Option<(uuid::Uuid, Vec<u8>)> {
    let pointer = gateway.schemas.message(&stored.type_name)?.invalidates.as_ref()?;
    let event: Value = serde_json::from_slice(stored.event.as_ref()?).ok()?;
    let id = event.get("data")?.pointer(pointer)?.as_str()?;
    Some((
        stored.id,
        tag(gateway, sender(gateway, &stored.party, &stored.client), event.get("source")?.as_str()?, id).to_vec(),
    ))
}

fn event_for(
    gateway: &Gateway,
    party: &str,
    stored: &Stored,
    known_as: Option<&KnownAs>,
    withdrawn: Option<&uuid::Uuid>,
) -> Option<Value> {
    let mut event: Value = serde_json::from_slice(stored.event.as_ref()?).ok()?;
    let release = &gateway.parties.party(party)?.release;
    let members = event.as_object_mut()?;
    members.insert("id".into(), stored.id.to_string().into());
    members.insert("source".into(), format!("urn:onechannel:{}", stored.party).into());
    members.insert("corridor".into(), stored.corridor.clone().into());
    // The sender's own words for its messages mean nothing to others, and may name a person.
    for own in ["causation", "subject", "sequence"] {
        members.remove(own);
    }
    let data = members.get_mut("data")?;
    if data.get("placement").is_some() {
        data["placement"] = Value::Object(serde_json::Map::new());
    }
    release.apply(&gateway.schemas, data);
    if let Some(pointer) = gateway.schemas.message(&stored.type_name).and_then(|message| message.invalidates.as_ref()) {
        // The recipient knows the withdrawn message by our id of it.
        *data.pointer_mut(pointer)? = withdrawn.map_or_else(|| "not received".into(), |id| id.to_string().into());
    }
    let about = gateway.schemas.message(&stored.type_name).map(|message| message.about);
    if let Some(known_as) = known_as.filter(|_| about == Some(About::Placement)) {
        data["placement"] = serde_json::json!({"id": known_as.placement});
        if let Some(worker) = &known_as.worker {
            data["placement"]["worker"] = worker.clone().into();
        }
    }
    Some(event)
}
