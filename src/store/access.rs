//! What is remembered about callers: nonces used up, suspensions, revoked tokens, certificates and public keys
//! seen, extensions of CRLs, handshakes that failed.
//! Decides nothing about them.

use super::StoreFault;
use sqlx::{PgConnection, PgPool};
use std::collections::HashMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// A nonce or assertion id that this request uses up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Spend {
    /// `client/key id`, or `assertion:<client>`.
    pub scope: String,
    /// The value.
    pub value: String,
    /// When it may be forgotten.
    pub expires_at: OffsetDateTime,
}

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

/// A public signing key that counts or counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// Whose.
    pub party: String,
    /// `gateway`, `message`, `answer` or `log`.
    pub purpose: &'static str,
    /// Its id.
    pub kid: String,
    /// JWK (RFC 7517); of a log the C2SP verifier key.
    pub key: String,
}

/// Archives public keys; those that are there already stay as they are.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn keep_public_keys(pool: &PgPool, keys: &[PublicKey], now: OffsetDateTime) -> Result<(), StoreFault> {
    let column = |text: fn(&PublicKey) -> String| keys.iter().map(text).collect::<Vec<String>>();
    sqlx::query!(
        "insert into public_keys (party, purpose, kid, key, first_seen_at)
         select party, purpose, kid, key, $5 from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as t (party, purpose, kid, key)
         on conflict do nothing",
        &column(|key| key.party.clone()),
        &column(|key| key.purpose.to_owned()),
        &column(|key| key.kid.clone()),
        &column(|key| key.key.clone()),
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// (party, purpose, key id, key, first seen) of every public key that ever counted.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn public_keys(pool: &PgPool) -> Result<Vec<(String, String, String, String, OffsetDateTime)>, StoreFault> {
    let rows = sqlx::query!(
        "select party, purpose, kid, key, first_seen_at from public_keys order by party, purpose, kid, first_seen_at"
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.party, row.purpose, row.kid, row.key, row.first_seen_at)).collect())
}

/// An extension by two officers of the time for which a party's expired CRLs count.
#[derive(Debug, Clone)]
pub struct CrlGrace {
    /// Our id of it.
    pub id: Uuid,
    /// Whose CRLs.
    pub party: String,
    /// Until when.
    pub until: OffsetDateTime,
    /// Why.
    pub basis: String,
    /// Two officers.
    pub officers: [String; 2],
}

/// Records an extension.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn extend_crl_grace(
    connection: &mut PgConnection,
    grace: &CrlGrace,
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    sqlx::query!(
        "insert into crl_graces (id, party, until, basis, first_officer, second_officer, at) values ($1, $2, $3, $4, $5, $6, $7)",
        grace.id,
        grace.party,
        grace.until,
        grace.basis,
        grace.officers[0],
        grace.officers[1],
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Until when each party's expired CRLs count, where officers extended it.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn crl_graces(pool: &PgPool) -> Result<HashMap<String, OffsetDateTime>, StoreFault> {
    let rows =
        sqlx::query!(r#"select party, max(until) as "until!" from crl_graces group by party"#).fetch_all(pool).await?;
    Ok(rows.into_iter().map(|row| (row.party, row.until)).collect())
}
