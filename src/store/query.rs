//! Reading placements: lists, one placement, its history, counts, and the record of who looked.

use super::{StoreFault, effects};
use crate::domain::facts::Assertion;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// Most changes that get their number in one reading.
const NUMBERED_AT_ONCE: i64 = 1_000;

/// A placement as the projection holds it.
#[derive(Debug, Clone)]
pub struct PlacementRow {
    /// Our id.
    pub id: Uuid,
    /// Whose it is.
    pub worker: Option<Uuid>,
    /// The asking party's id of it.
    pub pairwise: Option<String>,
    /// Tag of the message that stands for it.
    pub anchor: Option<Vec<u8>>,
    /// Corridor.
    pub corridor: String,
    /// Whether it is not registered yet.
    pub provisional: bool,
    /// Stage.
    pub stage: String,
    /// Right to stay, on the day of the reading.
    pub stay: String,
    /// Welfare.
    pub welfare: String,
    /// Open exceptions: those of the facts, of clocks that ran out and of quotas.
    pub exceptions: Vec<String>,
    /// First heard of.
    pub opened_at: OffsetDateTime,
    /// Last word of it.
    pub heard_at: Option<OffsetDateTime>,
    /// Last change of state.
    pub updated_at: OffsetDateTime,
}

/// The day of a reading, and what may be open: the clocks that count, and which exception each opens when it runs out.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Now.
    pub now: OffsetDateTime,
    /// Names of clocks.
    pub clocks: Vec<String>,
    /// The exception of each.
    pub exceptions: Vec<String>,
    /// Exceptions of facts and counts that the reader is not to know of.
    pub hidden: Vec<String>,
}

/// Which placements are wanted; `None` means any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Corridor.
    pub corridor: Option<String>,
    /// Stage.
    pub stage: Option<String>,
    /// Right to stay.
    pub stay: Option<String>,
    /// Welfare.
    pub welfare: Option<String>,
    /// An open exception.
    pub exception: Option<String>,
    /// Changed at or after.
    pub updated_since: Option<OffsetDateTime>,
    /// Abroad, and nothing was said of it since.
    pub silent_since: Option<OffsetDateTime>,
    /// Blind term that one of its messages must carry.
    pub term: Option<i64>,
    /// Only these.
    pub ids: Option<Vec<Uuid>>,
    /// Keyset cursor: ids after this one.
    pub after: Option<Uuid>,
}

/// Lists placements in the order of their ids.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn list(
    pool: &PgPool,
    party: &str,
    filter: &Filter,
    reading: &Reading,
    limit: i64,
) -> Result<Vec<PlacementRow>, StoreFault> {
    Ok(sqlx::query_as!(
        PlacementRow,
        r#"with clock as (select * from unnest($12::text[], $13::text[]) as t (name, exception)),
           placement as (
             select s.*,
               case when s.stay = 'PERMIT_VALID' and s.permit_until < $14 then 'PERMIT_EXPIRED' else s.stay end as stay_now,
               array(select x.kind from unnest(s.exceptions) with ordinality as x (kind, n) where x.kind <> all ($16) order by x.n)
                 || array(select distinct clock.exception from clocks c join clock on clock.name = c.name
                          where c.subject = s.id and c.alarm_at <= $14 order by 1)
                 || array(select e.kind from exceptions e
                          where e.subject = s.id and e.closed_at is null and e.kind <> all (s.exceptions) and e.kind <> all ($16)) as open
             from subjects s where s.kind = 'placement' and s.merged_into is null and s.erased_at is null
           )
           select s.id as "id!", s.worker, s.anchor, p.id as "pairwise?", s.corridor as "corridor!", s.provisional as "provisional!",
             s.stage as "stage!", s.stay_now as "stay!", s.welfare as "welfare!", s.open as "exceptions!",
             s.opened_at as "opened_at!", s.heard_at, s.updated_at as "updated_at!"
           from placement s left join pairwise_ids p on p.subject = s.id and p.party = $1
           where ($2::text is null or s.corridor = $2) and ($3::text is null or s.stage = $3)
             and ($4::text is null or s.stay_now = $4) and ($5::text is null or s.welfare = $5)
             and ($6::text is null or $6 = any(s.open)) and ($7::timestamptz is null or s.updated_at >= $7)
             and ($8::bigint is null or exists (select from search_terms t left join subjects m on m.id = t.subject
                   where t.terms @> array[$8::bigint] and coalesce(m.merged_into, t.subject) = s.id))
             and ($9::uuid[] is null or s.id = any($9)) and ($10::uuid is null or s.id > $10)
             and ($15::timestamptz is null or (s.heard_at < $15
                   and s.stage in ('DEPARTED', 'ARRIVED', 'IN_SERVICE', 'ON_LEAVE', 'TRANSFERRING', 'ENDED', 'EXIT_AUTHORISED')))
           order by s.id limit $11"#,
        party,
        filter.corridor,
        filter.stage,
        filter.stay,
        filter.welfare,
        filter.exception,
        filter.updated_since,
        filter.term,
        filter.ids.as_deref(),
        filter.after,
        limit,
        &reading.clocks,
        &reading.exceptions,
        reading.now,
        filter.silent_since,
        &reading.hidden
    )
    .fetch_all(pool)
    .await?)
}

/// The placement that a placement turned out to be: itself, where it is one.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn through_merges(pool: &PgPool, id: Uuid) -> Result<Option<Uuid>, StoreFault> {
    let found = sqlx::query_scalar!(r#"select coalesce(merged_into, id) as "id!" from subjects where id = $1"#, id);
    Ok(found.fetch_optional(pool).await?)
}

/// Finds the subject that a party knows by an id, through merges.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn by_pairwise(pool: &PgPool, party: &str, id: &str) -> Result<Option<Uuid>, StoreFault> {
    Ok(sqlx::query_scalar!(
        r#"select coalesce(s.merged_into, s.id) as "id!" from pairwise_ids p join subjects s on s.id = p.subject
           where p.party = $1 and p.id = $2"#,
        party,
        id
    )
    .fetch_optional(pool)
    .await?)
}

/// Subjects whose messages carry any of the terms, with how many of them: best first, at most `limit`.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn by_terms(pool: &PgPool, terms: &[i64], limit: i64) -> Result<Vec<(Uuid, i64)>, StoreFault> {
    let rows = sqlx::query!(
        r#"select coalesce(s.merged_into, s.id) as "id!",
             count(distinct x.term) as "hits!"
           from search_terms t join subjects s on s.id = t.subject
             cross join lateral (select unnest(t.terms) as term) x
           where t.terms && $1 and x.term = any($1)
           group by 1 order by 2 desc, 1 limit $2"#,
        terms,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.hits)).collect())
}

/// One step of a placement's history.
#[derive(Debug, Clone)]
pub struct Step {
    /// The placement that was asked for.
    pub placement: Uuid,
    /// The message.
    pub message: Uuid,
    /// Its type.
    pub type_name: String,
    /// Its sender's party.
    pub party: String,
    /// In whose name.
    pub authority: String,
    /// How it was judged.
    pub outcome: String,
    /// When its facts were asserted.
    pub asserted_at: OffsetDateTime,
    /// When it was received.
    pub received_at: OffsetDateTime,
    /// Broken rules (JSON).
    pub problem: Option<String>,
    /// What it asserts.
    pub assertion: Assertion,
    /// Whether it is filed with the placement that was asked for; others share an identifier with it.
    pub here: bool,
}

/// Every message that shares an identifier with one of these placements and was received up to `until`: for each placement, oldest
/// first.
///
/// # Errors
/// [`StoreFault`].
pub async fn history(pool: &PgPool, placements: &[Uuid], until: OffsetDateTime) -> Result<Vec<Step>, StoreFault> {
    let rows = sqlx::query!(
        r#"select asked.id as "placement!", m.id, m.type, m.party, m.authority, m.outcome, m.asserted_at, m.received_at, m.problem,
             m.tag, m.body_tag, m.revision, m.effects, m.links, m.registers,
             (s.id = asked.id or s.merged_into = asked.id) is true as "here!"
           from subjects asked join dossiers own on own.id = asked.dossier
             join dossiers d on d.id = coalesce(own.merged_into, own.id) or d.merged_into = coalesce(own.merged_into, own.id)
             join messages m on m.dossier = d.id left join subjects s on s.id = m.subject
           where asked.id = any($1) and m.received_at <= $2 order by asked.id, m.received_at, m.id"#,
        placements,
        until
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let bad = |column| StoreFault::BadRow { table: "messages", column, row: row.id.to_string() };
            let assertion = Assertion {
                message: row.id,
                tag: row.tag.as_slice().try_into().map_err(|_| bad("tag"))?,
                authority: row.authority.clone(),
                asserted_at: row.asserted_at,
                revision: row.revision,
                digest: row.body_tag.as_slice().try_into().map_err(|_| bad("body_tag"))?,
                effects: effects::unpack(&row.effects).ok_or_else(|| bad("effects"))?,
                links: effects::unpack_links(&row.links).ok_or_else(|| bad("links"))?,
                registers: row.registers,
                held: row.outcome == "held",
            };
            Ok(Step {
                placement: row.placement,
                message: row.id,
                type_name: row.r#type,
                party: row.party,
                authority: row.authority,
                outcome: row.outcome,
                asserted_at: row.asserted_at,
                received_at: row.received_at,
                problem: row.problem,
                assertion,
                here: row.here,
            })
        })
        .collect()
}

/// Placements by corridor and stage.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn counts(pool: &PgPool) -> Result<Vec<(String, String, i64)>, StoreFault> {
    let rows = sqlx::query!(
        r#"select corridor, stage, count(*) as "count!" from subjects where kind = 'placement' and merged_into is null
           group by corridor, stage order by corridor, stage"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.corridor, row.stage, row.count)).collect())
}

/// Messages by corridor, type and outcome.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn message_counts(pool: &PgPool) -> Result<Vec<(String, String, String, i64)>, StoreFault> {
    let rows = sqlx::query!(
        r#"select corridor, type, outcome, count(*) as "count!" from messages group by corridor, type, outcome
           order by corridor, type, outcome"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.corridor, row.r#type, row.outcome, row.count)).collect())
}

/// A message that waits for a person.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Our id.
    pub id: Uuid,
    /// Sender's party.
    pub party: String,
    /// In whose name.
    pub authority: String,
    /// Corridor.
    pub corridor: String,
    /// Catalogue entry.
    pub type_name: String,
    /// The placement it leads to.
    pub subject: Option<Uuid>,
    /// When its facts were asserted.
    pub asserted_at: OffsetDateTime,
    /// When it was received.
    pub received_at: OffsetDateTime,
    /// Broken rules (JSON).
    pub problem: Option<String>,
}

/// Messages that wait for a person, newest first: held ones nobody decided on, and those of `withdrawals` that stand in one dossier
/// with a death which waits for officers; none of a `hidden` type.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn waiting_for_a_person(
    pool: &PgPool,
    withdrawals: &[String],
    hidden: &[String],
    limit: i64,
) -> Result<Vec<Waiting>, StoreFault> {
    Ok(sqlx::query_as!(
        Waiting,
        r#"select m.id, m.party, m.authority, m.corridor, m.type as type_name, m.subject, m.asserted_at, m.received_at, m.problem
           from messages m
           where m.type <> all ($3) and not m.erased
             and ((m.outcome = 'held' and not exists (select from decisions d where d.target = m.id))
               or (m.type = any($1) and m.outcome = 'applied' and (m.subject is null or m.dossier in (
                    select e.id from subjects s join dossiers d on d.id = s.dossier
                      join dossiers e on coalesce(e.merged_into, e.id) = coalesce(d.merged_into, d.id)
                    where 'AWAITS_SECOND_OFFICER' = any(s.exceptions))))
               or (m.outcome = 'held' and m.subject in (select id from subjects where 'AWAITS_SECOND_OFFICER' = any(exceptions))
                    and (select count(*) from decisions d where d.target = m.id and d.verdict = 'ACCEPTED') = 1))
           order by m.received_at desc limit $2"#,
        withdrawals,
        limit,
        hidden
    )
    .fetch_all(pool)
    .await?)
}

/// Finds the subject that one of these parties knows by an id, through merges.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn by_any_pairwise(pool: &PgPool, parties: &[String], id: &str) -> Result<Option<Uuid>, StoreFault> {
    Ok(sqlx::query_scalar!(
        r#"select coalesce(s.merged_into, s.id) as "id!" from pairwise_ids p join subjects s on s.id = p.subject
           where p.party = any($1) and p.id = $2"#,
        parties,
        id
    )
    .fetch_optional(pool)
    .await?)
}

/// Placements changed after a cursor, oldest number first: the number of each change and the placement.
///
/// A change gets its number here, after it was committed, and under one lock for the whole database: a number that anybody has
/// seen is never followed by a smaller one, whichever transaction began first.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn changes(pool: &PgPool, after: i64, limit: i64) -> Result<Vec<(i64, Uuid)>, StoreFault> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("select pg_advisory_xact_lock(hashtext('subject_changes'))").execute(&mut *transaction).await?;
    // A row that the journal is writing at this moment gets its number once that is committed.
    sqlx::query!(
        "with fresh as (
           select id from subjects where change is null and kind = 'placement' and merged_into is null
           order by updated_at, id limit $1 for update skip locked
         )
         update subjects s set change = nextval('subject_changes') from fresh where s.id = fresh.id",
        NUMBERED_AT_ONCE
    )
    .execute(&mut *transaction)
    .await?;
    let rows = sqlx::query!(
        r#"select change as "change!", id from subjects
           where kind = 'placement' and merged_into is null and change > $1 order by change limit $2"#,
        after,
        limit
    )
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(rows.into_iter().map(|row| (row.change, row.id)).collect())
}

/// Who is who: subjects of a worker, of a placement of hers or of what was merged into either.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn worker_of(pool: &PgPool, subject: Uuid) -> Result<Option<Uuid>, StoreFault> {
    let found = sqlx::query_scalar!(
        r#"select coalesce(t.worker, t.id) as "id!" from subjects s join subjects t on t.id = coalesce(s.merged_into, s.id)
           where s.id = $1"#,
        subject
    );
    Ok(found.fetch_optional(pool).await?)
}

/// The placements of a worker, oldest first.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn placements_of(pool: &PgPool, worker: Uuid) -> Result<Vec<Uuid>, StoreFault> {
    let own = sqlx::query_scalar!(
        "select id from subjects where worker = $1 and kind = 'placement' and merged_into is null and erased_at is null order by id",
        worker
    );
    Ok(own.fetch_all(pool).await?)
}

/// A disclosure to an officer.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// Our id of it.
    pub id: Uuid,
    /// Who.
    pub officer: String,
    /// Why.
    pub purpose: String,
    /// Case or request number.
    pub case_number: Option<String>,
    /// Which fields.
    pub fields: Vec<String>,
    /// About whom.
    pub subjects: Vec<Uuid>,
}

/// Records a disclosure; the caller answers only after it.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn record_lookup(pool: &PgPool, lookup: &Lookup, now: OffsetDateTime) -> Result<(), StoreFault> {
    sqlx::query!(
        "insert into lookups (id, officer, purpose, case_number, fields, subjects, at) values ($1, $2, $3, $4, $5, $6, $7)",
        lookup.id,
        lookup.officer,
        lookup.purpose,
        lookup.case_number,
        &lookup.fields,
        &lookup.subjects,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Messages of a subject that `party` had been told by an instant.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn told_until(
    pool: &PgPool,
    party: &str,
    messages: &[Uuid],
    until: OffsetDateTime,
) -> Result<Vec<Uuid>, StoreFault> {
    Ok(sqlx::query_scalar!(
        "select message from deliveries where party = $1 and message = any($2) and state = 'delivered' and settled_at <= $3",
        party,
        messages,
        until
    )
    .fetch_all(pool)
    .await?)
}

/// Whether the database answers.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn ping(pool: &PgPool) -> Result<(), StoreFault> {
    sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(pool).await?;
    Ok(())
}
