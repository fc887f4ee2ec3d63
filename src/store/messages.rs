//! Reading stored messages: their status, and their content while their key exists.

use super::{StoreFault, effects, vault_keys};
use crate::{
    domain::facts::Effect,
    vault::{KeyEncryption, Place},
};
use sqlx::PgPool;
use std::collections::HashMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// What is known of a message without its key.
#[derive(Debug, Clone)]
pub struct Status {
    /// Our id.
    pub id: Uuid,
    /// Sender's party.
    pub party: String,
    /// Corridor.
    pub corridor: String,
    /// Catalogue entry.
    pub type_name: String,
    /// `applied`, `held` or `refused`.
    pub outcome: String,
    /// When it was received.
    pub received_at: OffsetDateTime,
    /// Broken rules (JSON).
    pub problem: Option<String>,
    /// Whether the person whom it is about was erased.
    pub erased: bool,
    /// What an officer decided about it, and when.
    pub decided: Option<(String, OffsetDateTime)>,
    /// (party, state, attempts, reason) of everyone who is to be told.
    pub deliveries: Vec<(String, String, i32, Option<String>)>,
}

/// Finds a message's status.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn status(pool: &PgPool, id: Uuid) -> Result<Option<Status>, StoreFault> {
    let row = sqlx::query!(
        "select id, party, corridor, type, outcome, received_at, problem, erased from messages where id = $1",
        id
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let deliveries =
        sqlx::query!("select party, state, attempts, reason from deliveries where message = $1 order by party", id)
            .fetch_all(pool)
            .await?;
    let decided = sqlx::query!("select verdict, at from decisions where target = $1 order by at limit 1", id)
        .fetch_optional(pool)
        .await?;
    Ok(Some(Status {
        decided: decided.map(|row| (row.verdict, row.at)),
        id: row.id,
        party: row.party,
        corridor: row.corridor,
        type_name: row.r#type,
        outcome: row.outcome,
        received_at: row.received_at,
        problem: row.problem,
        erased: row.erased,
        deliveries: deliveries.into_iter().map(|one| (one.party, one.state, one.attempts, one.reason)).collect(),
    }))
}

/// A message with its content.
#[derive(Debug, Clone)]
pub struct Stored {
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
    /// When its facts were asserted.
    pub asserted_at: OffsetDateTime,
    /// When it was received.
    pub received_at: OffsetDateTime,
    /// What it is about.
    pub subject: Option<Uuid>,
    /// The canonical event; `None` once its key is destroyed.
    pub event: Option<Vec<u8>>,
}

/// Reads messages by their ids, in no particular order, and opens what can be opened.
///
/// # Errors
/// [`StoreFault`]; [`StoreFault::BadRow`] where a sealed column does not open under its key.
pub async fn open(
    channel: &PgPool,
    vault: &PgPool,
    kek: &KeyEncryption,
    ids: &[Uuid],
) -> Result<Vec<Stored>, StoreFault> {
    let rows = sqlx::query!(
        r#"select m.id as "id!", m.party as "party!", m.client as "client!", m.corridor as "corridor!", m.type as "type!", m.authority as "authority!",
             m.asserted_at as "asserted_at!", m.received_at as "received_at!", m.key_id as "key_id!",
             case when m.canonical is null then m.sealed end as sealed, m.canonical,
             coalesce(s.merged_into, s.id) as "subject?"
           from messages m left join subjects s on s.id = m.subject where m.id = any($1)"#,
        ids
    )
    .fetch_all(channel)
    .await?;
    let key_ids: Vec<Uuid> = rows.iter().map(|row| row.key_id).collect();
    let keys = vault_keys::find(vault, kek, &key_ids).await?;
    rows.into_iter()
        .map(|row| {
            let bad = |column| StoreFault::BadRow { table: "messages", column, row: row.id.to_string() };
            let place = |column| Place { column, row: row.id, key: row.key_id };
            let event = match (keys.get(&row.key_id), &row.canonical, &row.sealed) {
                (None, _, _) => None,
                (Some(key), Some(canonical), _) => {
                    Some(key.open(place("messages.canonical"), canonical).map_err(|_| bad("canonical"))?)
                }
                (Some(key), None, Some(sealed)) => {
                    let plain = key.open(place("messages.sealed"), sealed).map_err(|_| bad("sealed"))?;
                    Some(split(&plain).ok_or_else(|| bad("sealed"))?.1.to_vec())
                }
                (Some(_), None, None) => return Err(bad("sealed")),
            };
            Ok(Stored {
                id: row.id,
                party: row.party,
                client: row.client,
                corridor: row.corridor,
                type_name: row.r#type,
                authority: row.authority,
                asserted_at: row.asserted_at,
                received_at: row.received_at,
                subject: row.subject,
                event,
            })
        })
        .collect()
}

/// The exact bytes of a message and the subject that it is about; no bytes once its key is destroyed.
///
/// # Errors
/// As [`open`].
pub async fn exact(
    channel: &PgPool,
    vault: &PgPool,
    kek: &KeyEncryption,
    id: Uuid,
) -> Result<Option<(Option<Uuid>, Option<Vec<u8>>)>, StoreFault> {
    let row = sqlx::query!("select subject, key_id, sealed from messages where id = $1", id);
    let Some(row) = row.fetch_optional(channel).await? else { return Ok(None) };
    let bad = || StoreFault::BadRow { table: "messages", column: "sealed", row: id.to_string() };
    let keys = vault_keys::find(vault, kek, &[row.key_id]).await?;
    let Some(key) = keys.get(&row.key_id) else { return Ok(Some((row.subject, None))) };
    let place = Place { column: "messages.sealed", row: id, key: row.key_id };
    let plain = key.open(place, &row.sealed).map_err(|_| bad())?;
    Ok(Some((row.subject, Some(split(&plain).ok_or_else(bad)?.1.to_vec()))))
}

/// The evidence, which is preceded by its length, and the exact bytes after it.
pub(super) fn split(plain: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = plain.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// The ids by which a party knows a placement and its worker.
#[derive(Debug, Clone)]
pub struct KnownAs {
    /// Of the placement.
    pub placement: String,
    /// Of the worker.
    pub worker: Option<String>,
}

/// The ids by which each subject is known to `party`.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn pairwise(pool: &PgPool, party: &str, subjects: &[Uuid]) -> Result<HashMap<Uuid, KnownAs>, StoreFault> {
    let rows = sqlx::query!(
        r#"select p.subject, p.id, w.id as "worker?" from pairwise_ids p join subjects s on s.id = p.subject
             left join pairwise_ids w on w.subject = s.worker and w.party = p.party
           where p.party = $1 and p.subject = any($2)"#,
        party,
        subjects
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.subject, KnownAs { placement: row.id, worker: row.worker })).collect())
}

/// Messages about somebody who is shielded, in whichever of her placements, and by which fewer than two officers stand: nothing of
/// them goes out. What is of nobody for sure, and what was withdrawn, may be about anybody who shares an identifier with it.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn shielded(pool: &PgPool, messages: &[Uuid]) -> Result<Vec<Uuid>, StoreFault> {
    let found = sqlx::query_scalar!(
        r#"select m.id as "id!" from messages m
             left join subjects s on s.id = m.subject left join subjects t on t.id = coalesce(s.merged_into, s.id)
           where m.id = any($1)
             and (t.shielded
               or exists (select from subjects o where o.worker = t.worker and o.shielded and o.merged_into is null)
               or ((t.id is null or t.provisional or t.heard_at is null) and exists (
                 select from dossiers own
                   join dossiers d on d.id = coalesce(own.merged_into, own.id) or d.merged_into = coalesce(own.merged_into, own.id)
                   join subjects o on o.dossier = d.id
                 where own.id = m.dossier and o.shielded and o.merged_into is null)))
             and (select count(*) from decisions d where d.target = m.id and d.verdict = 'ACCEPTED') < 2"#,
        messages
    );
    Ok(found.fetch_all(pool).await?)
}

/// Those of some messages that are of one of these types.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn of_types(pool: &PgPool, messages: &[Uuid], types: &[String]) -> Result<Vec<Uuid>, StoreFault> {
    let found = sqlx::query_scalar!("select id from messages where id = any($1) and type = any($2)", messages, types);
    Ok(found.fetch_all(pool).await?)
}

/// What is needed to decide on a message.
#[derive(Debug, Clone)]
pub struct ToDecide {
    /// Its tag.
    pub tag: [u8; 16],
    /// Sender's party.
    pub party: String,
    /// Corridor.
    pub corridor: String,
    /// Catalogue entry.
    pub type_name: String,
    /// `applied`, `held` or `refused`.
    pub outcome: String,
    /// Whether it belongs to a dossier: only such a message can be decided on.
    pub filed: bool,
    /// Whether it corrects another under the same id.
    pub corrects: bool,
    /// Whether the person whom it is about was erased.
    pub erased: bool,
}

/// Whether another officer decided about a message before.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn decided_by_another(pool: &PgPool, target: Uuid, officer: &str) -> Result<bool, StoreFault> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from decisions where target = $1 and lower(officer) <> lower($2)) as "found!""#,
        target,
        officer
    )
    .fetch_one(pool)
    .await?)
}

/// A message that an officer decides on.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn to_decide(pool: &PgPool, id: Uuid) -> Result<Option<ToDecide>, StoreFault> {
    let row = sqlx::query!(
        r#"select tag, party, corridor, type, outcome, effects, erased, dossier is not null as "filed!" from messages where id = $1"#,
        id
    );
    let Some(row) = row.fetch_optional(pool).await? else { return Ok(None) };
    let bad = |column| StoreFault::BadRow { table: "messages", column, row: id.to_string() };
    let effects = effects::unpack(&row.effects).ok_or_else(|| bad("effects"))?;
    Ok(Some(ToDecide {
        corrects: effects.iter().any(|effect| matches!(effect, Effect::Correct { .. })),
        tag: row.tag.try_into().map_err(|_| bad("tag"))?,
        party: row.party,
        corridor: row.corridor,
        type_name: row.r#type,
        outcome: row.outcome,
        filed: row.filed,
        erased: row.erased,
    }))
}

/// Our ids of messages by their tags.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn by_tags(pool: &PgPool, tags: &[Vec<u8>]) -> Result<HashMap<Vec<u8>, Uuid>, StoreFault> {
    let rows = sqlx::query!("select tag, id from messages where tag = any($1)", tags).fetch_all(pool).await?;
    Ok(rows.into_iter().map(|row| (row.tag, row.id)).collect())
}
