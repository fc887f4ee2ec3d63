//! What is remembered about callers: nonces used up, suspensions, revoked tokens, certificates seen, handshakes that failed.
//! Decides nothing about them.

use super::{StoreFault, journal::Spend};
use sqlx::PgPool;
use time::OffsetDateTime;

/// Whether a caller that proved who it is may act at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Good,
    /// Its client or its party is suspended.
    Suspended,
    /// Its token was revoked.
    TokenRevoked,
}

/// Looks up the standing of a client, its party and its token.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn standing(pool: &PgPool, client: &str, party: &str, jti: &str) -> Result<Standing, StoreFault> {
    let row = sqlx::query!(
        r#"select exists(select from client_states where suspended and client in ($1, $2)) as "suspended!",
             exists(select from revoked_tokens where jti = $3) as "revoked!""#,
        client,
        party,
        jti
    )
    .fetch_one(pool)
    .await?;
    Ok(match (row.suspended, row.revoked) {
        (true, _) => Standing::Suspended,
        (_, true) => Standing::TokenRevoked,
        _ => Standing::Good,
    })
}

/// Uses up a nonce or assertion id; `false` if it was used before, by any instance.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn spend(pool: &PgPool, one: &Spend) -> Result<bool, StoreFault> {
    let done = sqlx::query!(
        "insert into spent (scope, value, expires_at) values ($1, $2, $3) on conflict do nothing",
        one.scope,
        one.value,
        one.expires_at
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets what may be forgotten; gives the number of rows.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn prune(pool: &PgPool, now: OffsetDateTime) -> Result<u64, StoreFault> {
    let spent = sqlx::query!("delete from spent where expires_at < $1", now).execute(pool).await?;
    let revoked = sqlx::query!("delete from revoked_tokens where expires_at < $1", now).execute(pool).await?;
    Ok(spent.rows_affected() + revoked.rows_affected())
}

/// Suspends a client or a whole party (by its code), or lets it act again.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn suspend(
    pool: &PgPool,
    client: &str,
    suspended: bool,
    reason: &str,
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    sqlx::query!(
        "insert into client_states (client, suspended, reason, changed_at) values ($1, $2, $3, $4)
         on conflict (client) do update set suspended = $2, reason = $3, changed_at = $4",
        client,
        suspended,
        reason,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Revokes a token by its id until it would expire anyway.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn revoke_token(pool: &PgPool, jti: &str, expires_at: OffsetDateTime) -> Result<(), StoreFault> {
    sqlx::query!(
        "insert into revoked_tokens (jti, expires_at) values ($1, $2) on conflict do nothing",
        jti,
        expires_at
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Keeps a peer's certificate chain as evidence, once.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn keep_certificate(
    pool: &PgPool,
    thumbprint: &[u8],
    party: &str,
    chain: &[Vec<u8>],
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    let lengths = |one: &Vec<u8>| (one.len() as u32).to_be_bytes();
    let chain: Vec<u8> = chain.iter().flat_map(|one| lengths(one).into_iter().chain(one.iter().copied())).collect();
    sqlx::query!(
        "insert into certificates (thumbprint, party, chain, first_seen_at) values ($1, $2, $3, $4) on conflict do nothing",
        thumbprint,
        party,
        chain,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Keeps the document that a policy digest stands for.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn keep_policy(pool: &PgPool, digest: &[u8], document: &str) -> Result<(), StoreFault> {
    sqlx::query!("insert into policies (digest, document) values ($1, $2) on conflict do nothing", digest, document)
        .execute(pool)
        .await?;
    Ok(())
}

/// Counts a failed handshake or authentication in its hour.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn count_rejected(
    pool: &PgPool,
    cause: &str,
    peer: &str,
    count: i64,
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    sqlx::query!(
        "insert into rejected_handshakes (hour, cause, peer, count) values (date_trunc('hour', $1::timestamptz), $2, $3, $4)
         on conflict (hour, cause, peer) do update set count = rejected_handshakes.count + $4",
        now,
        cause,
        peer,
        count
    )
    .execute(pool)
    .await?;
    Ok(())
}
