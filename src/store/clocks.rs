//! What is awaited and what is open: clocks, work items, quotas. Which clock opens which exception is the caller's to know.

use super::{StoreFault, query::Reading};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// A clock that runs for a placement.
#[derive(Debug, Clone)]
pub struct ClockRow {
    /// The placement, job order or crisis.
    pub subject: Uuid,
    /// Corridor.
    pub corridor: String,
    /// Its name.
    pub name: String,
    /// The message that started it.
    pub message: Uuid,
    /// The authority that started it.
    pub authority: String,
    /// When it started.
    pub started_at: OffsetDateTime,
    /// When the answer is overdue.
    pub due_at: OffsetDateTime,
    /// When a person must look.
    pub alarm_at: OffsetDateTime,
}

/// Clocks that run for a subject, by when they are due.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn clocks(pool: &PgPool, subject: Uuid) -> Result<Vec<ClockRow>, StoreFault> {
    Ok(sqlx::query_as!(
        ClockRow,
        "select c.subject, s.corridor, c.name, c.message, c.authority, c.started_at, c.due_at, c.alarm_at
         from clocks c join subjects s on s.id = c.subject where c.subject = $1 order by c.due_at, c.name",
        subject
    )
    .fetch_all(pool)
    .await?)
}

/// Clocks that are overdue and not reminded of yet, oldest first; none of the corridors `but`.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn overdue(
    pool: &PgPool,
    now: OffsetDateTime,
    but: &[String],
    limit: i64,
) -> Result<Vec<ClockRow>, StoreFault> {
    Ok(sqlx::query_as!(
        ClockRow,
        "select c.subject, s.corridor, c.name, c.message, c.authority, c.started_at, c.due_at, c.alarm_at
         from clocks c join subjects s on s.id = c.subject
         where c.reminded_at is null and c.due_at < $1 and s.corridor <> all($3) order by c.due_at limit $2",
        now,
        limit,
        but
    )
    .fetch_all(pool)
    .await?)
}

/// Remembers that a clock was looked at when it was overdue.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn reminded(pool: &PgPool, clock: &ClockRow, now: OffsetDateTime) -> Result<(), StoreFault> {
    sqlx::query!(
        "update clocks set reminded_at = $4 where subject = $1 and name = $2 and message = $3",
        clock.subject,
        clock.name,
        clock.message,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// An open work item.
#[derive(Debug, Clone)]
pub struct WorkItem {
    /// The placement, job order or crisis; none for a message that stands alone.
    pub subject: Option<Uuid>,
    /// The message that was not acknowledged, where that is what it is about.
    pub message: Option<Uuid>,
    /// Corridor.
    pub corridor: String,
    /// Which exception.
    pub kind: String,
    /// The clock that ran out, where one did.
    pub clock: Option<String>,
    /// The authority that started it.
    pub authority: Option<String>,
    /// Since when it is open.
    pub opened_at: OffsetDateTime,
}

/// Open work items, oldest first. `told_within_h` are types of messages with the hours in which they should be acknowledged.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn work_items(
    pool: &PgPool,
    corridor: Option<&str>,
    kind: Option<&str>,
    reading: &Reading,
    told_within_h: &[(String, i32)],
    limit: i64,
) -> Result<Vec<WorkItem>, StoreFault> {
    let (types, hours): (Vec<String>, Vec<i32>) = told_within_h.iter().cloned().unzip();
    Ok(sqlx::query_as!(
        WorkItem,
        r#"select subject, message, corridor as "corridor!", kind as "kind!", clock, authority, opened_at as "opened_at!"
           from (
             select e.subject, null::uuid as message, s.corridor, e.kind, null as clock, null as authority, e.opened_at
             from exceptions e join subjects s on s.id = e.subject where e.closed_at is null and s.merged_into is null
               and e.kind <> all ($7)
             union all
             select c.subject, null, s.corridor, t.exception, c.name, c.authority, c.alarm_at
             from clocks c join subjects s on s.id = c.subject join unnest($3::text[], $4::text[]) as t (name, exception) on t.name = c.name
             where c.alarm_at <= $5 and s.merged_into is null
             union all
             select null, m.id, m.corridor, 'NOT_TOLD', null, null, d.created_at + make_interval(hours => t.hours)
             from deliveries d join messages m on m.id = d.message join unnest($8::text[], $9::int[]) as t (type, hours) on t.type = m.type
             where d.state in ('waiting', 'parked') and d.reason is distinct from 'do-no-harm'
               and d.created_at + make_interval(hours => t.hours) <= $5 and 'NOT_TOLD' <> all ($7)
           ) item
           where ($1::text is null or corridor = $1) and ($2::text is null or kind = $2)
           order by opened_at, subject, message, kind limit $6"#,
        corridor,
        kind,
        &reading.clocks,
        &reading.exceptions,
        reading.now,
        limit,
        &reading.hidden,
        &types,
        &hours
    )
    .fetch_all(pool)
    .await?)
}

/// Placements of a corridor whose contract in force was endorsed in a period, in the order in which they were.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn endorsed(
    pool: &PgPool,
    corridor: &str,
    from: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Vec<(Uuid, OffsetDateTime)>, StoreFault> {
    let rows = sqlx::query!(
        r#"select id, endorsed_at as "endorsed_at!" from subjects
           where kind = 'placement' and merged_into is null and corridor = $1 and endorsed_at >= $2 and endorsed_at < $3
             and stage <> 'CANCELLED'
           order by endorsed_at, id"#,
        corridor,
        from,
        until
    );
    Ok(rows.fetch_all(pool).await?.into_iter().map(|row| (row.id, row.endorsed_at)).collect())
}

/// Applied messages of these types about these placements.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn messages_of(pool: &PgPool, placements: &[Uuid], types: &[String]) -> Result<Vec<Uuid>, StoreFault> {
    let found = sqlx::query_scalar!(
        "select m.id from subjects s join dossiers own on own.id = s.dossier
           join dossiers d on d.id = coalesce(own.merged_into, own.id) or d.merged_into = coalesce(own.merged_into, own.id)
           join messages m on m.dossier = d.id and m.subject = s.id
         where s.id = any($1) and m.type = any($2) and m.outcome = 'applied'",
        placements,
        types
    );
    Ok(found.fetch_all(pool).await?)
}

/// Placements of a corridor whose contract waits for endorsement; they count as of `now`.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn submitted(
    pool: &PgPool,
    corridor: &str,
    now: OffsetDateTime,
) -> Result<Vec<(Uuid, OffsetDateTime)>, StoreFault> {
    let rows = sqlx::query_scalar!(
        "select id from subjects
         where kind = 'placement' and merged_into is null and corridor = $1 and stage = 'CONTRACT_SUBMITTED' order by id",
        corridor
    );
    Ok(rows.fetch_all(pool).await?.into_iter().map(|id| (id, now)).collect())
}

/// Applied messages of a type that stand alone in a corridor, without those that one of `withdrawals` took back.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn notices(
    pool: &PgPool,
    corridor: &str,
    type_name: &str,
    withdrawals: &[String],
) -> Result<Vec<Uuid>, StoreFault> {
    let found = sqlx::query_scalar!(
        "select m.id from messages m
         where m.corridor = $1 and m.type = $2 and m.outcome = 'applied' and not exists (
           select from link_keys k join messages x on x.dossier = k.dossier
           where k.token = m.tag and x.type = any($3) and x.outcome = 'applied')",
        corridor,
        type_name,
        withdrawals
    );
    Ok(found.fetch_all(pool).await?)
}

/// Marks the placements of a corridor that are beyond a limit, and unmarks those that are not any more.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn mark_limit(
    pool: &PgPool,
    corridor: &str,
    exception: &str,
    beyond: &[Uuid],
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    sqlx::query!(
        "with closed as (
           update exceptions e set closed_at = $4 from subjects s
           where s.id = e.subject and s.corridor = $1 and e.kind = $2 and e.closed_at is null and e.subject <> all ($3)
           returning e.subject
         ), opened as (
           insert into exceptions (subject, kind, opened_at) select id, $2, $4 from unnest($3::uuid[]) as t (id)
           on conflict (subject, kind) do update set opened_at = excluded.opened_at, closed_at = null
             where exceptions.closed_at is not null
           returning subject
         )
         update subjects set change = null, updated_at = $4
         where id in (select subject from closed union all select subject from opened)",
        corridor,
        exception,
        beyond,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}
