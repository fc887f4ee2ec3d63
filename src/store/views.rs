//! What one party knows of placements: those it has heard of, and which messages about them it sent or was told.

use super::StoreFault;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// Who reads, and of what they may know.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The party.
    pub party: String,
    /// Whether it is the home party: it reads every corridor, and what is addressed to it before it says that it has it.
    pub is_home: bool,
    /// Authorities whose own messages are read.
    pub authorities: Vec<String>,
    /// Types of messages from others that are read.
    pub types: Vec<String>,
}

/// A placement under the reader's id.
#[derive(Debug, Clone)]
pub struct Place {
    /// Our id.
    pub id: Uuid,
    /// The reader's.
    pub pairwise: String,
    /// Corridor.
    pub corridor: String,
    /// Whether its person was erased.
    pub erased: bool,
}

/// Placements that the reader sent or was told anything about, in the order of the reader's ids.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn page(pool: &PgPool, reader: &Reader, after: Option<&str>, limit: i64) -> Result<Vec<Place>, StoreFault> {
    Ok(sqlx::query_as!(
        Place,
        r#"select s.id, p.id as pairwise, s.corridor, s.erased_at is not null as "erased!"
           from pairwise_ids p join subjects s on s.id = p.subject
           where p.party = $1 and s.kind = 'placement' and s.merged_into is null and ($2 or s.corridor = $1)
             and ($5::text is null or p.id > $5)
             and exists (
               select from dossiers own
                 join dossiers d on d.id = coalesce(own.merged_into, own.id) or d.merged_into = coalesce(own.merged_into, own.id)
                 join messages m on m.dossier = d.id join subjects f on f.id = m.subject
               where own.id = s.dossier and coalesce(f.merged_into, f.id) = s.id and m.outcome <> 'refused'
                 and ((m.party = $1 and m.authority = any($3))
                   or (m.type = any($4) and exists (
                     select from deliveries x where x.message = m.id and x.party = $1 and (x.state = 'delivered' or $2)))))
           order by p.id limit $6"#,
        reader.party,
        reader.is_home,
        &reader.authorities,
        &reader.types,
        after,
        limit
    )
    .fetch_all(pool)
    .await?)
}

/// The placement that the reader knows by an id, through merges.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn find(pool: &PgPool, reader: &Reader, id: &str) -> Result<Option<Place>, StoreFault> {
    Ok(sqlx::query_as!(
        Place,
        r#"select s.id, now.id as pairwise, s.corridor, s.erased_at is not null as "erased!"
           from pairwise_ids p join subjects o on o.id = p.subject join subjects s on s.id = coalesce(o.merged_into, o.id)
             join pairwise_ids now on now.subject = s.id and now.party = p.party
           where p.party = $1 and p.id = $3 and s.kind = 'placement' and ($2 or s.corridor = $1)"#,
        reader.party,
        reader.is_home,
        id
    )
    .fetch_optional(pool)
    .await?)
}

/// A message that the reader knows of.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The message.
    pub message: Uuid,
    /// When the reader knew of it: when it sent it, or had been told.
    pub at: OffsetDateTime,
}

/// Which of these messages the reader sent or was told.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn heard(pool: &PgPool, reader: &Reader, messages: &[Uuid]) -> Result<Vec<Heard>, StoreFault> {
    Ok(sqlx::query_as!(
        Heard,
        r#"select m.id as message, coalesce(case when m.party = $1 then m.received_at end, told.at) as "at!"
           from messages m left join lateral (
             select min(case when $2 then x.created_at else x.settled_at end) as at from deliveries x
             where x.message = m.id and x.party = $1 and (x.state = 'delivered' or $2)) told on true
           where m.id = any($5) and m.outcome <> 'refused'
             and ((m.party = $1 and m.authority = any($3)) or (m.type = any($4) and told.at is not null))"#,
        reader.party,
        reader.is_home,
        &reader.authorities,
        &reader.types,
        messages
    )
    .fetch_all(pool)
    .await?)
}
