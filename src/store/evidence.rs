//! What is kept of messages as evidence: the exact bytes and signatures, who was told and what they answered, certificates, policy
//! documents, and what bounds an entry's time. Opens what can be opened; what was erased is simply not there.

use super::{StoreFault, ledger, messages, vault_keys};
use crate::{
    ledger::{entry::Entry, receipt::Receipt, tree::Hash},
    vault::{KeyEncryption, Place, SealingKey, opening},
};
use sqlx::PgPool;
use std::collections::HashMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// A message with all that is kept about it.
#[derive(Debug)]
pub struct Kept {
    /// Our id.
    pub id: Uuid,
    /// Sender's party.
    pub party: String,
    /// Sender's client.
    pub client: String,
    /// Corridor.
    pub corridor: String,
    /// Catalogue entry.
    pub type_name: String,
    /// In whose name.
    pub authority: String,
    /// `applied`, `held` or `refused`.
    pub outcome: String,
    /// When its facts were asserted.
    pub asserted_at: OffsetDateTime,
    /// When it was received.
    pub received_at: OffsetDateTime,
    /// Broken rules (JSON).
    pub problem: Option<String>,
    /// What it is about.
    pub subject: Option<Uuid>,
    /// Its log.
    pub log: String,
    /// Its entry.
    pub leaf: u64,
    /// `None` once its key is destroyed.
    pub content: Option<Content>,
    /// Whom it was to be told.
    pub deliveries: Vec<Delivery>,
}

/// What was sealed of a message.
#[derive(Debug)]
pub struct Content {
    /// Signature base, signature, certificate and revocation state (JSON).
    pub evidence: Vec<u8>,
    /// The exact bytes.
    pub bytes: Vec<u8>,
    /// The canonical event, where the bytes are in another format.
    pub canonical: Option<Vec<u8>>,
}

/// How a party was told.
#[derive(Debug)]
pub struct Delivery {
    /// The party.
    pub party: String,
    /// Its number in the party's mailbox.
    pub seq: i64,
    /// `waiting`, `delivered`, `refused` or `parked`.
    pub state: String,
    /// A stable word for why.
    pub reason: Option<String>,
    /// When it ended.
    pub settled_at: Option<OffsetDateTime>,
    /// What it answered; `None` also once the key is destroyed.
    pub answer: Option<Vec<u8>>,
    /// The receipt of the entry that settled it.
    pub receipt: Option<Receipt>,
}

/// The messages that are filed with a placement, also erased ones, oldest first.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn of_placement(channel: &PgPool, placement: Uuid) -> Result<Vec<Uuid>, StoreFault> {
    Ok(sqlx::query_scalar!(
        "select m.id from messages m join subjects s on s.id = m.subject where s.id = $1 or s.merged_into = $1
         order by m.received_at, m.id",
        placement
    )
    .fetch_all(channel)
    .await?)
}

/// Messages by their ids, oldest first.
///
/// # Errors
/// [`StoreFault`]; [`StoreFault::BadRow`] where a sealed column does not open under its key, or an entry is not there.
pub async fn kept(
    channel: &PgPool,
    vault: &PgPool,
    kek: &KeyEncryption,
    ids: &[Uuid],
) -> Result<Vec<Kept>, StoreFault> {
    let rows = sqlx::query!(
        "select id, party, client, corridor, type, authority, outcome, asserted_at, received_at, problem, subject, key_id, sealed,
           canonical, log, leaf from messages where id = any($1) order by received_at, id",
        ids
    )
    .fetch_all(channel)
    .await?;
    let key_ids: Vec<Uuid> = rows.iter().map(|row| row.key_id).collect();
    let keys = vault_keys::find(vault, kek, &key_ids).await?;
    let mut told = deliveries(channel, vault, kek, ids).await?;
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        let bad = |column| StoreFault::BadRow { table: "messages", column, row: row.id.to_string() };
        let open = |key: &SealingKey| -> Result<Content, StoreFault> {
            let place = |column| Place { column, row: row.id, key: row.key_id };
            let plain = key.open(place("messages.sealed"), &row.sealed).map_err(|_| bad("sealed"))?;
            let (evidence, bytes) = messages::split(&plain).ok_or_else(|| bad("sealed"))?;
            let canonical = row.canonical.as_ref().map(|sealed| key.open(place("messages.canonical"), sealed));
            let canonical = canonical.transpose().map_err(|_| bad("canonical"))?;
            Ok(Content { evidence: evidence.to_vec(), bytes: bytes.to_vec(), canonical })
        };
        let content = keys.get(&row.key_id).map(open);
        kept.push(Kept {
            id: row.id,
            party: row.party,
            client: row.client,
            corridor: row.corridor,
            type_name: row.r#type,
            authority: row.authority,
            outcome: row.outcome,
            asserted_at: row.asserted_at,
            received_at: row.received_at,
            problem: row.problem,
            subject: row.subject,
            log: row.log,
            leaf: row.leaf as u64,
            content: content.transpose()?,
            deliveries: told.remove(&row.id).unwrap_or_default(),
        });
    }
    Ok(kept)
}

async fn deliveries(
    channel: &PgPool,
    vault: &PgPool,
    kek: &KeyEncryption,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Delivery>>, StoreFault> {
    let rows = sqlx::query!(
        "select party, seq, message, state, reason, settled_at, answer, opening, key_id, log, leaf from deliveries
         where message = any($1) order by message, party, seq",
        ids
    )
    .fetch_all(channel)
    .await?;
    let key_ids: Vec<Uuid> = rows.iter().filter_map(|row| row.key_id).collect();
    let keys = vault_keys::find(vault, kek, &key_ids).await?;
    let mut told: HashMap<Uuid, Vec<Delivery>> = HashMap::new();
    for row in rows {
        let key = row.key_id.and_then(|id| keys.get(&id));
        let bad = |column| StoreFault::BadRow { table: "deliveries", column, row: row.message.to_string() };
        let place = |column, key: &SealingKey| Place { column, row: row.message, key: key.id };
        let answer = key
            .zip(row.answer.as_ref())
            .map(|(key, sealed)| key.open(place("deliveries.answer", key), sealed).map_err(|_| bad("answer")));
        let receipt = match (&row.log, row.leaf) {
            (Some(log), Some(leaf)) => {
                let opens = |entry| {
                    let kept = |key| opening(key, entry, place("deliveries.opening", key), row.opening.as_deref());
                    key.map(kept).transpose().map_err(|_| bad("opening"))
                };
                Some(receipt(channel, row.message, log, leaf as u64, None, opens).await?)
            }
            _ => None,
        };
        told.entry(row.message).or_default().push(Delivery {
            party: row.party,
            seq: row.seq,
            state: row.state,
            reason: row.reason,
            settled_at: row.settled_at,
            answer: answer.transpose()?,
            receipt,
        });
    }
    Ok(told)
}

/// The receipt of any entry: under the checkpoint of its own transaction, or under another one (`at`: its note and size). `opening`
/// gives the secret of an entry id, where there is one.
///
/// # Errors
/// [`StoreFault`]; [`StoreFault::BadRow`] where the log has no such entry.
pub async fn receipt(
    channel: &PgPool,
    message: Uuid,
    log: &str,
    leaf: u64,
    at: Option<(&str, u64)>,
    opening: impl FnOnce(Uuid) -> Result<Option<Hash>, StoreFault>,
) -> Result<Receipt, StoreFault> {
    let bad = || StoreFault::BadRow { table: "entries", column: "idx", row: format!("{log} {leaf}") };
    let mut proven = ledger::prove(channel, log, leaf).await?.ok_or_else(bad)?;
    if let Some((note, size)) = at {
        proven.path = ledger::inclusion(channel, log, leaf, size).await?.ok_or_else(bad)?;
        proven.note = note.to_owned();
    }
    let entry = Entry::decode(&proven.entry).map_err(|_| bad())?;
    let opening = opening(entry.id)?;
    let corridor = log.rsplit('/').next().unwrap_or(log);
    Ok(Receipt::new(message, corridor, &entry, (leaf, &proven.path), &proven.note, opening))
}

/// Ids of the messages that were received in a span of time, oldest first; at most `limit`.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn received_between(
    channel: &PgPool,
    from: OffsetDateTime,
    until: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Uuid>, StoreFault> {
    let ids = sqlx::query_scalar!(
        "select id from messages where received_at >= $1 and received_at < $2 order by received_at, id limit $3",
        from,
        until,
        limit
    );
    Ok(ids.fetch_all(channel).await?)
}

/// The chain of a certificate that was kept, DER, leaf first.
///
/// # Errors
/// [`StoreFault`].
pub async fn certificate(channel: &PgPool, thumbprint: &[u8]) -> Result<Option<Vec<Vec<u8>>>, StoreFault> {
    let chain = sqlx::query_scalar!("select chain from certificates where thumbprint = $1", thumbprint);
    let Some(packed) = chain.fetch_optional(channel).await? else { return Ok(None) };
    let bad = || StoreFault::BadRow { table: "certificates", column: "chain", row: hex::encode(thumbprint) };
    let (mut chain, mut rest) = (Vec::new(), packed.as_slice());
    while !rest.is_empty() {
        let (one, after) = messages::split(rest).ok_or_else(bad)?;
        chain.push(one.to_vec());
        rest = after;
    }
    Ok(Some(chain))
}

/// The document that a policy digest stands for.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn policy(channel: &PgPool, digest: &[u8]) -> Result<Option<String>, StoreFault> {
    let document = sqlx::query_scalar!("select document from policies where digest = $1", digest);
    Ok(document.fetch_optional(channel).await?)
}

/// A checkpoint of a partner's log that an entry of ours commits to.
#[derive(Debug)]
pub struct Embedded {
    /// The partner's note.
    pub note: String,
    /// Opens the entry's commitment to the note.
    pub opening: Hash,
    /// Our entry.
    pub leaf: u64,
}

/// The newest checkpoint of a partner's log that stands before entry `leaf` of `log`.
///
/// # Errors
/// [`StoreFault`].
pub async fn embedded_before(channel: &PgPool, log: &str, leaf: u64) -> Result<Option<Embedded>, StoreFault> {
    let row = sqlx::query!(
        "select note, opening, leaf from witnessed where log = $1 and leaf < $2 order by leaf desc limit 1",
        log,
        leaf as i64
    );
    let Some(row) = row.fetch_optional(channel).await? else { return Ok(None) };
    let bad = |_| StoreFault::BadRow { table: "witnessed", column: "opening", row: format!("{log} {}", row.leaf) };
    Ok(Some(Embedded { opening: row.opening.try_into().map_err(bad)?, note: row.note, leaf: row.leaf as u64 }))
}
