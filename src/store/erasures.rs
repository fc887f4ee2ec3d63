//! What erasing a person does to rows: search terms and links go, the record of the erasure stays. Keys are the vault's.

use super::StoreFault;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// A subject and everything that was merged into it.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn subjects_of(pool: &PgPool, subject: Uuid) -> Result<Vec<Uuid>, StoreFault> {
    let own = sqlx::query_scalar!("select id from subjects where id = $1 or merged_into = $1", subject);
    Ok(own.fetch_all(pool).await?)
}

/// A link token as a search term: by these alone a held message that leads to no subject is found.
pub(super) fn term(token: &[u8; 16]) -> i64 {
    let mut term = [0; 8];
    term.copy_from_slice(&token[..8]);
    i64::from_be_bytes(term)
}

/// Held messages that lead to no subject but name an identifier of these subjects; each is its own key's owner.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn held_about(pool: &PgPool, subjects: &[Uuid]) -> Result<Vec<Uuid>, StoreFault> {
    let tokens = sqlx::query_scalar!("select token from link_keys where subject = any($1)", subjects);
    let tokens = tokens.fetch_all(pool).await?;
    let terms: Vec<i64> = tokens.iter().filter_map(|token| Some(term(token.as_slice().try_into().ok()?))).collect();
    let held = sqlx::query_scalar!(
        "select message from search_terms where subject = message and terms && $1::bigint[]",
        &terms
    );
    Ok(held.fetch_all(pool).await?)
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

/// Removes links and search terms of the subjects and records the erasure, in one transaction.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn record(pool: &PgPool, erasure: &Erasure, forget: &[Uuid], now: OffsetDateTime) -> Result<(), StoreFault> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("delete from link_keys where subject = any($1)", forget).execute(&mut *transaction).await?;
    sqlx::query!("delete from search_terms where subject = any($1)", forget).execute(&mut *transaction).await?;
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
