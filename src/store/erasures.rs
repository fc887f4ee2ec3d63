//! What erasing a person does to rows: search terms and links go, the record of the erasure stays. Keys are the vault's.

use super::{StoreFault, effects};
use sqlx::PgPool;
use std::collections::HashSet;
use time::OffsetDateTime;
use uuid::Uuid;

/// Everything about one person: the worker, her placements, what was merged into either, and what is sealed about them.
#[derive(Debug, Default)]
pub struct Person {
    /// The subjects.
    pub subjects: Vec<Uuid>,
    /// Keys under which their messages are sealed, also of held messages that lead to nobody but name one of the identifiers.
    pub keys: Vec<Uuid>,
    /// Messages of these.
    pub messages: Vec<Uuid>,
    /// Whether one of the keys also seals what is about somebody else: destroying it would take that too.
    pub shares_a_key: bool,
    /// Blind tokens that nobody else's messages name.
    pub tokens: Vec<Vec<u8>>,
}

/// Collects everything about the person of a subject.
///
/// # Errors
/// [`StoreFault`].
pub async fn person_of(pool: &PgPool, subject: Uuid) -> Result<Person, StoreFault> {
    let Some(worker) = super::query::worker_of(pool, subject).await? else { return Ok(Person::default()) };
    let subjects = sqlx::query_scalar!(
        "with own as (select id from subjects where id = $1 or worker = $1)
         select id from subjects where id in (select id from own) or merged_into in (select id from own)",
        worker
    );
    let mut person = Person { subjects: subjects.fetch_all(pool).await?, ..Person::default() };
    let rows = sqlx::query!(
        r#"select id, subject, key_id, links from messages where dossier in (
             select d.id from dossiers d, subjects s join dossiers own on own.id = s.dossier
             where s.id = $1 and (d.id = coalesce(own.merged_into, own.id) or d.merged_into = coalesce(own.merged_into, own.id)))"#,
        worker
    )
    .fetch_all(pool)
    .await?;
    let named = |links: &[u8]| effects::unpack_links(links).unwrap_or_default();
    let own = |subject: Option<Uuid>| subject.is_some_and(|subject| person.subjects.contains(&subject));
    let tokens: HashSet<[u8; 16]> =
        rows.iter().filter(|row| own(row.subject)).flat_map(|row| named(&row.links)).map(|link| link.token).collect();
    // Messages that lead to nobody yet, or are about such a message, but name her.
    let names_her = |links: &[u8]| named(links).iter().any(|link| tokens.contains(&link.token));
    let mut others: HashSet<[u8; 16]> = HashSet::new();
    let (mut keys, mut messages, mut other_keys) = (Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        if own(row.subject) || (row.subject.is_none() && names_her(&row.links)) {
            keys.push(row.key_id);
            messages.push(row.id);
        } else {
            others.extend(named(&row.links).iter().map(|link| link.token));
            other_keys.push(row.key_id);
        }
    }
    person.tokens = tokens.difference(&others).map(|token| token.to_vec()).collect();
    person.shares_a_key = other_keys.iter().any(|key| keys.contains(key));
    (person.keys, person.messages) = (keys, messages);
    Ok(person)
}

/// The basis of a hold that forbids erasing any of these subjects.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn hold(pool: &PgPool, subjects: &[Uuid]) -> Result<Option<String>, StoreFault> {
    let basis = sqlx::query_scalar!("select basis from holds where subject = any($1) limit 1", subjects);
    Ok(basis.fetch_optional(pool).await?)
}

/// Places a hold.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn place_hold(
    pool: &PgPool,
    subject: Uuid,
    basis: &str,
    officer: &str,
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    sqlx::query!(
        "insert into holds (subject, basis, placed_by, placed_at) values ($1, $2, $3, $4) on conflict do nothing",
        subject,
        basis,
        officer,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// An erasure, done or restricted.
#[derive(Debug, Clone)]
pub struct Erasure {
    /// Our id of it.
    pub id: Uuid,
    /// About whom.
    pub subject: Uuid,
    /// Why.
    pub basis: String,
    /// Two officers.
    pub officers: [String; 2],
    /// `erased` or `restricted`.
    pub outcome: &'static str,
    /// Keys destroyed.
    pub keys_destroyed: i32,
}

/// Removes links and search terms of a person and records the erasure, in one transaction.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn record(
    pool: &PgPool,
    erasure: &Erasure,
    forget: Option<&Person>,
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    let mut transaction = pool.begin().await?;
    if let Some(person) = forget {
        sqlx::query!("delete from link_keys where token = any($1)", &person.tokens).execute(&mut *transaction).await?;
        sqlx::query!(
            "delete from search_terms where subject = any($1) or message = any($2)",
            &person.subjects,
            &person.messages
        )
        .execute(&mut *transaction)
        .await?;
    }
    sqlx::query!(
        "insert into erasures (id, subject, basis, first_officer, second_officer, outcome, keys_destroyed, at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        erasure.id,
        erasure.subject,
        erasure.basis,
        erasure.officers[0],
        erasure.officers[1],
        erasure.outcome,
        erasure.keys_destroyed,
        now
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}
