//! What parties are to be told: leasing rows to send, reading a mailbox, remembering how far a poll came.
//!
//! A row is settled by [`super::journal::Journal::settle`], because a settlement is a leaf of the ledger.

use super::StoreFault;
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// A row that this process may try to deliver until the lease ends.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Its number in the party's mailbox.
    pub seq: i64,
    /// The message.
    pub message: Uuid,
    /// Proof of the lease.
    pub token: Uuid,
    /// Tries, this one included.
    pub attempts: i32,
    /// When the message caused it.
    pub created_at: OffsetDateTime,
}

/// Leases due rows of a party, urgent ones first. A process that dies leaves rows that are due again when the lease ends.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn lease(
    pool: &PgPool,
    party: &str,
    token: Uuid,
    for_: Duration,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<Lease>, StoreFault> {
    let rows = sqlx::query!(
        "update deliveries d set lease_token = $2, due_at = $3, attempts = d.attempts + 1
         from (select party, seq from deliveries where party = $1 and state = 'waiting' and due_at <= $4
               order by urgency, due_at, seq limit $5 for update skip locked) due
         where d.party = due.party and d.seq = due.seq
         returning d.seq, d.message, d.attempts, d.created_at, d.urgency",
        party,
        token,
        now + for_,
        now,
        limit
    )
    .fetch_all(pool)
    .await?;
    let mut leases: Vec<(i16, Lease)> = rows
        .into_iter()
        .map(|row| {
            let (attempts, created_at) = (row.attempts, row.created_at);
            (row.urgency, Lease { seq: row.seq, message: row.message, token, attempts, created_at })
        })
        .collect();
    leases.sort_by_key(|(urgency, lease)| (*urgency, lease.seq));
    Ok(leases.into_iter().map(|(_, lease)| lease).collect())
}

/// A message on its way to a party.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its tag, where it is filed under a subject.
    pub tag: Option<[u8; 16]>,
    /// When the party had it; `None` until it says so.
    pub told_at: Option<OffsetDateTime>,
}

/// A message that was ever to be told to a party.
///
/// # Errors
/// [`StoreFault`].
pub async fn told(pool: &PgPool, party: &str, message: Uuid) -> Result<Option<Told>, StoreFault> {
    let row = sqlx::query!(
        "select m.tag, m.dossier, (select min(d.settled_at) from deliveries d
           where d.message = m.id and d.party = $2 and d.state = 'delivered') as told_at
         from messages m where m.id = $1 and exists (select from deliveries d where d.message = m.id and d.party = $2)",
        message,
        party
    );
    let Some(row) = row.fetch_optional(pool).await? else { return Ok(None) };
    let bad = || StoreFault::BadRow { table: "messages", column: "tag", row: message.to_string() };
    let tag = row.tag.try_into().map_err(|_| bad())?;
    Ok(Some(Told { tag: row.dossier.map(|_| tag), told_at: row.told_at }))
}

/// Gives back a lease: the row is due again at `due_at`.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn put_back(
    pool: &PgPool,
    party: &str,
    lease: &Lease,
    due_at: OffsetDateTime,
    reason: &str,
) -> Result<bool, StoreFault> {
    let done = sqlx::query!(
        "update deliveries set lease_token = null, due_at = $4, reason = $5
         where party = $1 and seq = $2 and lease_token = $3 and state = 'waiting'",
        party,
        lease.seq,
        lease.token,
        due_at,
        reason
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes parked rows of a party due again, but for those that only officers release; gives their number.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn release(pool: &PgPool, party: &str, now: OffsetDateTime) -> Result<u64, StoreFault> {
    let done = sqlx::query!(
        "update deliveries set state = 'waiting', lease_token = null, due_at = $2, attempts = 0, created_at = $2
         where party = $1 and state = 'parked' and reason is distinct from 'do-no-harm'",
        party,
        now
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Messages that are parked for one of these reasons, with the party that they are kept from.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn kept_back(pool: &PgPool, reasons: &[&str]) -> Result<Vec<(String, Uuid)>, StoreFault> {
    let reasons: Vec<String> = reasons.iter().map(|reason| (*reason).to_owned()).collect();
    let found = sqlx::query!(
        "select distinct party, message from deliveries where state = 'parked' and reason = any($1) order by message limit 1000",
        &reasons
    );
    Ok(found.fetch_all(pool).await?.into_iter().map(|row| (row.party, row.message)).collect())
}

/// Puts a message that was kept back into the party's mailbox again, at its end, so that one who polls finds it too.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn renew(pool: &PgPool, message: Uuid, now: OffsetDateTime) -> Result<u64, StoreFault> {
    let done = sqlx::query!(
        "with kept as (
           update deliveries set state = 'refused', reason = 'renewed', lease_token = null, settled_at = coalesce(settled_at, $2)
           where message = $1 and state in ('waiting', 'parked') returning party, urgency
         ), box as (
           update mailboxes m set next_seq = m.next_seq + 1 from kept where m.party = kept.party returning m.party, m.next_seq - 1 as seq
         )
         insert into deliveries (party, seq, message, urgency, state, due_at, created_at)
         select kept.party, box.seq, $1, kept.urgency, 'waiting', $2, $2 from kept join box using (party)",
        message,
        now
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Number of rows of each party and state.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn counts(pool: &PgPool) -> Result<Vec<(String, String, i64)>, StoreFault> {
    let rows = sqlx::query!(
        r#"select party, state, count(*) as "count!" from deliveries group by party, state order by party, state"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.party, row.state, row.count)).collect())
}

/// A row of a mailbox.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The cursor.
    pub seq: i64,
    /// The message.
    pub message: Uuid,
    /// Its type.
    pub type_name: String,
}

/// The rows of a mailbox after a cursor, oldest first, of the given types.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn mailbox(
    pool: &PgPool,
    party: &str,
    types: &[String],
    after: i64,
    limit: i64,
) -> Result<Vec<Letter>, StoreFault> {
    let rows = sqlx::query!(
        "select d.seq, d.message, m.type from deliveries d join messages m on m.id = d.message
         where d.party = $1 and d.seq > $3 and m.type = any($2) and d.reason is distinct from 'renewed'
         order by d.seq limit $4",
        party,
        types,
        after,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| Letter { seq: row.seq, message: row.message, type_name: row.r#type }).collect())
}

/// How far a client has acknowledged.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn acknowledged(pool: &PgPool, client: &str) -> Result<i64, StoreFault> {
    let seq =
        sqlx::query_scalar!("select seq from acknowledgements where client = $1", client).fetch_optional(pool).await?;
    Ok(seq.unwrap_or(0))
}

/// Rows up to `seq` that wait and are of the given types: what an acknowledgement settles.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn waiting_up_to(
    pool: &PgPool,
    party: &str,
    types: &[String],
    seq: i64,
) -> Result<Vec<(i64, Uuid)>, StoreFault> {
    let rows = sqlx::query!(
        "select d.seq, d.message from deliveries d join messages m on m.id = d.message
         where d.party = $1 and d.seq <= $3 and d.state = 'waiting' and m.type = any($2) order by d.seq",
        party,
        types,
        seq
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.seq, row.message)).collect())
}

/// Remembers an acknowledgement; it never goes back.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn acknowledge(pool: &PgPool, client: &str, party: &str, seq: i64) -> Result<(), StoreFault> {
    sqlx::query!(
        "insert into acknowledgements (client, party, seq) values ($1, $2, $3)
         on conflict (client) do update set seq = greatest(acknowledgements.seq, excluded.seq)",
        client,
        party,
        seq
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// How far a party was polled.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn watermark(pool: &PgPool, party: &str) -> Result<Option<String>, StoreFault> {
    Ok(sqlx::query_scalar!("select watermark from poll_marks where party = $1", party).fetch_optional(pool).await?)
}

/// Remembers how far a party was polled.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn set_watermark(pool: &PgPool, party: &str, watermark: &str, now: OffsetDateTime) -> Result<(), StoreFault> {
    sqlx::query!(
        "insert into poll_marks (party, watermark, polled_at) values ($1, $2, $3)
         on conflict (party) do update set watermark = $2, polled_at = $3",
        party,
        watermark,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}
