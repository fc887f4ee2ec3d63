//! Bodies in which several messages came, whole as their sender signed them. What becomes of one when somebody in it is erased is in
//! [`super::journal::erasing`].

use super::{
    StoreFault,
    journal::Journal,
    vault_keys::{self, KeyOwner},
};
use crate::{
    domain::clock::uuid_v7,
    vault::{KeyEncryption, Place},
};
use sqlx::PgPool;
use uuid::Uuid;

const SEALED: &str = "requests.sealed";

/// A body and what came in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Our id of it.
    pub id: Uuid,
    /// The exact bytes.
    pub body: Vec<u8>,
    /// Every message that came in it.
    pub messages: Vec<Uuid>,
}

/// Keeps a body in which some messages came, of which `stored` were stored then; gives whether it is new. Not where somebody in it was
/// erased: a repeat may not bring her back.
///
/// # Errors
/// [`StoreFault`]: it is not known to be kept.
pub async fn keep(
    journal: &Journal,
    party: &str,
    client: &str,
    body: &[u8],
    (messages, stored): (&[Uuid], &[Uuid]),
) -> Result<bool, StoreFault> {
    let tag = journal.tokens.digest("request", &[party.as_bytes(), body]);
    let id = uuid_v7(&*journal.clock, &*journal.random);
    let owner = KeyOwner::new(vec![id], "request");
    let owners = std::slice::from_ref(&owner);
    let keys =
        vault_keys::ensure(&journal.vault, &journal.kek, owners, |_| true, &*journal.clock, &*journal.random).await?;
    let key = &keys[&owner];
    let sealed = key.seal(Place { column: SEALED, row: id, key: key.id }, body, &*journal.random);
    // Before an erasure, or behind it.
    let mut transaction = journal.writing.begin_with("begin; select pg_advisory_xact_lock_shared(7)").await?;
    let kept = sqlx::query!(
        "insert into requests (id, party, client, received_at, key_id, sealed, body_tag, messages, stored)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9 where not exists (select from messages where id = any($8) and erased)
         on conflict on constraint requests_once do nothing",
        id,
        party,
        client,
        journal.clock.now(),
        key.id,
        sealed,
        &tag[..],
        messages,
        stored
    );
    let kept = kept.execute(&mut *transaction).await?.rows_affected() == 1;
    transaction.commit().await?;
    Ok(kept)
}

/// The bodies in which some messages were stored: the message, and the id of the body.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn of(channel: &PgPool, messages: &[Uuid]) -> Result<Vec<(Uuid, Uuid)>, StoreFault> {
    let rows = sqlx::query!(
        r#"select t.id as "message!", r.id as "request!" from requests r, unnest(r.stored) as t (id)
           where r.messages && $1 and t.id = any($1) and r.sealed <> '' order by r.received_at, r.id"#,
        messages
    );
    Ok(rows.fetch_all(channel).await?.into_iter().map(|row| (row.message, row.request)).collect())
}

/// Some bodies; one whose key is destroyed is simply absent.
///
/// # Errors
/// [`StoreFault`]; [`StoreFault::BadRow`] where one does not open under its key.
pub async fn open(
    channel: &PgPool,
    vault: &PgPool,
    kek: &KeyEncryption,
    ids: &[Uuid],
) -> Result<Vec<Whole>, StoreFault> {
    let rows = sqlx::query!("select id, key_id, sealed, messages from requests where id = any($1) order by id", ids);
    let rows = rows.fetch_all(channel).await?;
    let keys = vault_keys::find(vault, kek, &rows.iter().map(|row| row.key_id).collect::<Vec<_>>()).await?;
    let opened = rows.into_iter().filter_map(|row| {
        let key = keys.get(&row.key_id)?;
        let bad = |_| StoreFault::BadRow { table: "requests", column: "sealed", row: row.id.to_string() };
        let body = key.open(Place { column: SEALED, row: row.id, key: key.id }, &row.sealed).map_err(bad);
        Some(body.map(|body| Whole { id: row.id, body, messages: row.messages }))
    });
    opened.collect()
}
