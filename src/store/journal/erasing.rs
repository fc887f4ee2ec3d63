//! Taking one person out of the rows. What is about her is emptied and stands apart; what is about others and is sealed under one of her
//! keys is sealed anew, with the openings of its entries, before these keys go; what is left of her dossier is folded anew.
//!
//! The order, and what a crash after each step would mean:
//! 1. her keys are retired in the vault: nothing new is sealed under them. Nothing else has changed.
//! 2. one transaction in the channel database empties, seals anew, folds and records. The keys still exist. What cannot be done shows
//!    here, and nothing has changed then.
//! 3. before it commits she stands on the list, in the vault and outside of it. From here on she is erased: the next start does the
//!    rest, and no hold is heeded any more.
//! 4. the keys are destroyed. Nobody reads her any more, from whichever backup of the channel database.
//! 5. it is recorded that they are gone, and the acts get their leaves.

use super::{Journal, acts::Act, subjects::Subjects};
use crate::{
    domain::facts::{Effect, Link},
    ledger::entry::Entry,
    store::{
        StoreFault, effects,
        erasures::{self, Erasure, Listed},
        vault_keys::{self, KeyOwner, Retired},
    },
    vault::{Place, SealingKey},
};
use sqlx::PgConnection;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io,
    sync::Arc,
    time::Duration,
};
use time::OffsetDateTime;
use uuid::Uuid;

/// What is to be erased.
#[derive(Debug, Clone)]
pub struct Order {
    /// What was asked for.
    pub erasure: Erasure,
    /// The line of the list, where she stands on it already: it is done by that and no hold is heeded.
    pub listed: Option<Listed>,
    /// Blind terms of her identifiers: what was refused and names one of them is hers too.
    pub terms: Vec<i64>,
    /// What is recorded of it.
    pub acts: Vec<Act>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Erasing {
    /// It is done; this many keys are destroyed.
    Done(u64),
    /// A hold on this basis forbids it; nothing was changed.
    Held(String),
}

/// Appends a line to the list outside of the databases, and returns when it is durable.
pub type Listing = Arc<dyn Fn(&str) -> io::Result<()> + Send + Sync>;

/// How long it may take: nobody stores a message meanwhile.
const LIST_WITHIN: Duration = Duration::from_secs(10);

/// Lists outside of the databases, on a thread where it may wait.
async fn outside(list: &Listing, line: String) -> Result<(), StoreFault> {
    let list = list.clone();
    let listing = tokio::task::spawn_blocking(move || list(&line));
    match tokio::time::timeout(LIST_WITHIN, listing).await {
        Ok(Ok(done)) => done.map_err(StoreFault::List),
        Ok(Err(_)) | Err(_) => Err(StoreFault::List(io::ErrorKind::TimedOut.into())),
    }
}

impl Journal {
    /// Erases a person.
    ///
    /// # Errors
    /// [`StoreFault`]: where she stands on the list by then, the next start finishes it.
    pub async fn erase(&self, order: &Order, list: Listing) -> Result<Erasing, StoreFault> {
        let mut tried = 1;
        let mut listed = order.listed.clone();
        let listed = loop {
            match self.take_out(order, &mut listed, &list).await {
                Err(StoreFault::Database(fault)) if tried < super::TRIES && super::disturbed(&fault) => tried += 1,
                Err(fault) => return Err(fault),
                Ok(Err(basis)) => return Ok(Erasing::Held(basis)),
                Ok(Ok(listed)) => break listed,
            }
        };
        let destroyed = vault_keys::destroy(&self.vault, &listed.keys, &listed.subjects).await?;
        erasures::keys_gone(&self.channel, order.erasure.id, destroyed, self.clock.now()).await?;
        Ok(Erasing::Done(destroyed.keys))
    }

    /// One try. `on_list` is the line of the list, where she stands on it before or since this try.
    async fn take_out(
        &self,
        order: &Order,
        on_list: &mut Option<Listed>,
        list: &Listing,
    ) -> Result<Result<Listed, String>, StoreFault> {
        // No message is stored meanwhile: none is sealed under a key that goes, none is filed by what is forgotten here.
        let mut transaction = self.writing.begin_with("begin; select pg_advisory_xact_lock(7)").await?;
        let connection = &mut *transaction;
        let now = self.clock.now();
        if let Some(listed) = &*on_list
            && erasures::is_done(&mut *connection, listed.erasure).await?
        {
            // Another instance did it while this one waited.
            return Ok(Ok(listed.clone()));
        }
        let subjects = match &*on_list {
            Some(listed) => listed.subjects.clone(),
            None => erasures::subjects_of(&mut *connection, order.erasure.subject).await?,
        };
        let dossiers = erasures::dossiers_of(&mut *connection, &subjects).await?;
        if on_list.is_none()
            && let Some(basis) = hold(connection, &dossiers, &subjects).await?
        {
            return Ok(Err(basis));
        }
        let rows = read(connection, &dossiers).await?;
        let mut hers = match &*on_list {
            Some(listed) => listed.messages.iter().copied().collect(),
            None => hers(&rows, &subjects),
        };
        let (own, others): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| hers.contains(&row.id));
        hers.extend(refused(connection, order, &others).await?);
        let tokens = only_hers(&own, &others);
        let messages: Vec<Uuid> = hers.into_iter().collect();
        lock_deliveries(connection, rows.iter().map(|row| row.id).chain(messages.iter().copied())).await?;
        let keys = keys_of(connection, &messages).await?;
        let known = on_list.iter().flat_map(|listed| &listed.keys).copied();
        let keys: BTreeSet<Uuid> = keys.into_iter().chain(known).collect();
        let keys: Vec<Uuid> = keys.into_iter().collect();
        let retired = vault_keys::retire(&self.vault, &keys, &subjects).await?;
        let keys: BTreeSet<Uuid> = keys.into_iter().chain(retired.keys().copied()).collect();
        let is_listed = on_list.as_ref().is_some_and(|listed| keys.iter().all(|key| listed.keys.contains(key)));
        let listed = line(&order.erasure, &subjects, &messages, keys);
        let resealed = self.seal_anew(connection, &others, &subjects, &retired).await?;
        empty(connection, &messages, now).await?;
        forget(connection, &subjects, &messages, &tokens, now).await?;
        let epoch = retired.values().map(|key| key.epoch).max();
        record(connection, &order.erasure, &listed, resealed, epoch).await?;
        for act in &order.acts {
            act.insert(connection, now).await?;
        }
        let parties = sqlx::query_scalar!("select distinct party from pairwise_ids where subject = any($1)", &subjects);
        let parties = parties.fetch_all(&mut *connection).await?;
        Subjects::refold(self, connection, &dossiers, &parties, now).await?;
        // Again where a key came to it since.
        if !is_listed {
            erasures::list(&self.vault, listed.erasure, &listed.line()).await?;
            outside(list, listed.line()).await?;
            // From here on she is erased: if we die, the next start does the rest.
            *on_list = Some(listed.clone());
        }
        transaction.commit().await?;
        // Durable from here, and nothing of others depends on her keys any more.
        Ok(Ok(listed))
    }

    /// Seals what is about others and under one of these keys anew, under keys of their own; gives the number of messages.
    async fn seal_anew(
        &self,
        connection: &mut PgConnection,
        others: &[&Row],
        subjects: &[Uuid],
        retired: &HashMap<Uuid, Retired>,
    ) -> Result<usize, StoreFault> {
        let shared: HashMap<Uuid, &Row> =
            others.iter().filter(|row| retired.contains_key(&row.key)).map(|row| (row.id, *row)).collect();
        let ids: Vec<Uuid> = shared.keys().copied().collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let old = vault_keys::find(&self.vault, &self.kek, &retired.keys().copied().collect::<Vec<_>>()).await?;
        // In a backup from before people were told apart another's message may stand with her: its key must not go with hers.
        let subject = |row: &Row| row.subject.filter(|subject| !subjects.contains(subject)).unwrap_or(row.id);
        let owner = |row: &Row| KeyOwner::new(vec![subject(row)], &retired[&row.key].class);
        let owners: Vec<KeyOwner> = shared.values().map(|row| owner(row)).collect();
        let new = vault_keys::ensure(&self.vault, &self.kek, &owners, |_| false, &*self.clock, &*self.random).await?;
        let rows = sqlx::query!(
            r#"select m.id as "id!", m.sealed as "sealed!", m.canonical, m.opening, e.entry as "entry?"
               from messages m left join entries e on e.log = m.log and e.idx = m.leaf where m.id = any($1)"#,
            &ids
        );
        let mut columns = Resealed::default();
        for row in rows.fetch_all(&mut *connection).await? {
            let from = shared[&row.id];
            let new = &new[&owner(from)];
            let bad = |column| StoreFault::BadRow { table: "messages", column, row: row.id.to_string() };
            let moving =
                Moving { old: old.get(&from.key).ok_or_else(|| bad("key_id"))?, new, row: row.id, journal: self };
            let entry = row.entry.as_deref().ok_or_else(|| bad("leaf"))?;
            let opening =
                moving.opening("messages.opening", row.opening.as_deref(), entry).ok_or_else(|| bad("opening"))?;
            let sealed = moving.content("messages.sealed", &row.sealed).ok_or_else(|| bad("sealed"))?;
            let canonical =
                row.canonical.map(|one| moving.content("messages.canonical", &one).ok_or_else(|| bad("canonical")));
            columns.ids.push(row.id);
            columns.keys.push(new.id);
            columns.sealed.push(sealed);
            columns.canonical.push(canonical.transpose()?);
            columns.openings.push(opening);
        }
        sqlx::query!(
            "update messages m set key_id = t.key, sealed = t.sealed, canonical = t.canonical, opening = t.opening
             from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[], $5::bytea[]) as t (id, key, sealed, canonical, opening)
             where m.id = t.id",
            &columns.ids,
            &columns.keys,
            &columns.sealed,
            &columns.canonical as &[Option<Vec<u8>>],
            &columns.openings
        )
        .execute(&mut *connection)
        .await?;
        let rows = sqlx::query!(
            r#"select d.party as "party!", d.seq as "seq!", d.message as "message!", d.key_id as "key!", d.answer, d.opening, e.entry as "entry?"
               from deliveries d left join entries e on e.log = d.log and e.idx = d.leaf
               where d.message = any($1) and d.key_id = any($2)"#,
            &ids,
            &retired.keys().copied().collect::<Vec<_>>()
        );
        for row in rows.fetch_all(&mut *connection).await? {
            let new = &new[&owner(shared[&row.message])];
            let bad = |column| StoreFault::BadRow { table: "deliveries", column, row: row.message.to_string() };
            let old = old.get(&row.key).ok_or_else(|| bad("key_id"))?;
            let moving = Moving { old, new, row: row.message, journal: self };
            let entry = row.entry.as_deref().ok_or_else(|| bad("leaf"))?;
            let opening =
                moving.opening("deliveries.opening", row.opening.as_deref(), entry).ok_or_else(|| bad("opening"))?;
            let answer = row.answer.map(|one| moving.content("deliveries.answer", &one).ok_or_else(|| bad("answer")));
            sqlx::query!(
                "update deliveries set key_id = $3, answer = $4, opening = $5 where party = $1 and seq = $2",
                row.party,
                row.seq,
                new.id,
                answer.transpose()?,
                opening
            )
            .execute(&mut *connection)
            .await?;
        }
        Ok(columns.ids.len())
    }
}

#[derive(Default)]
struct Resealed {
    ids: Vec<Uuid>,
    keys: Vec<Uuid>,
    sealed: Vec<Vec<u8>>,
    canonical: Vec<Option<Vec<u8>>>,
    openings: Vec<Vec<u8>>,
}

/// A row's sealed columns on their way from one key to another.
struct Moving<'a> {
    old: &'a SealingKey,
    new: &'a SealingKey,
    row: Uuid,
    journal: &'a Journal,
}

impl Moving<'_> {
    fn content(&self, column: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let place = |key: &SealingKey| Place { column, row: self.row, key: key.id };
        let plain = self.old.open(place(self.old), sealed).ok()?;
        Some(self.new.seal(place(self.new), &plain, &*self.journal.random))
    }

    /// The opening of an entry, which the new key cannot give: as it was kept, or as the old key gives it.
    fn opening(&self, column: &str, kept: Option<&[u8]>, entry: &str) -> Option<Vec<u8>> {
        if let Some(kept) = kept {
            return self.content(column, kept);
        }
        let opening = self.old.opening(Entry::decode(entry).ok()?.id);
        let place = Place { column, row: self.row, key: self.new.id };
        Some(self.new.seal(place, &opening, &*self.journal.random))
    }
}

/// A message of her dossiers.
struct Row {
    id: Uuid,
    subject: Option<Uuid>,
    key: Uuid,
    tag: [u8; 16],
    links: Vec<Link>,
    effects: Vec<Effect>,
}

impl Row {
    /// Messages that it is about.
    fn targets(&self) -> impl Iterator<Item = &[u8; 16]> {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::Invalidate { target } | Effect::Approve { target, .. } | Effect::Correct { target } => Some(target),
            Effect::Status { .. } | Effect::Field { .. } => None,
        })
    }

    fn names(&self) -> impl Iterator<Item = &[u8; 16]> {
        self.links.iter().map(|link| &link.token)
    }
}

/// A hold that stands on one of the subjects. Whoever places one waits for the end of this transaction.
async fn hold(
    connection: &mut PgConnection,
    dossiers: &[Uuid],
    subjects: &[Uuid],
) -> Result<Option<String>, StoreFault> {
    sqlx::query!("select id from dossiers where id = any($1) order by id for update", dossiers)
        .fetch_all(&mut *connection)
        .await?;
    let basis = sqlx::query_scalar!(
        "select basis from holds where subject = any($1) and lifted_at is null order by placed_at limit 1",
        subjects
    );
    Ok(basis.fetch_optional(connection).await?)
}

async fn read(connection: &mut PgConnection, dossiers: &[Uuid]) -> Result<Vec<Row>, StoreFault> {
    let rows =
        sqlx::query!("select id, subject, key_id, tag, links, effects from messages where dossier = any($1)", dossiers);
    let rows = rows.fetch_all(connection).await?.into_iter().map(|row| {
        let bad = |column| StoreFault::BadRow { table: "messages", column, row: row.id.to_string() };
        Ok(Row {
            id: row.id,
            subject: row.subject,
            key: row.key_id,
            tag: row.tag.as_slice().try_into().map_err(|_| bad("tag"))?,
            links: effects::unpack_links(&row.links).ok_or_else(|| bad("links"))?,
            effects: effects::unpack(&row.effects).ok_or_else(|| bad("effects"))?,
        })
    });
    rows.collect()
}

/// Messages about her: those filed with her, and of those filed with nobody what names her alone or is about one of hers. What names
/// only what somebody else is named by too stays: it may be about him.
fn hers(rows: &[Row], subjects: &[Uuid]) -> BTreeSet<Uuid> {
    let own = |row: &&Row| row.subject.is_some_and(|subject| subjects.contains(&subject));
    let anothers: HashSet<&[u8; 16]> =
        rows.iter().filter(|row| row.subject.is_some() && !own(row)).flat_map(Row::names).collect();
    let mut hers: BTreeSet<Uuid> = rows.iter().filter(own).map(|row| row.id).collect();
    let named: HashSet<&[u8; 16]> =
        rows.iter().filter(own).flat_map(Row::names).filter(|token| !anothers.contains(token)).collect();
    loop {
        let tags: HashSet<&[u8; 16]> = rows.iter().filter(|row| hers.contains(&row.id)).map(|row| &row.tag).collect();
        let leads_to_her = |row: &&Row| {
            row.names().any(|token| named.contains(token) || tags.contains(token))
                || row.targets().any(|tag| tags.contains(tag))
        };
        let loose = rows.iter().filter(|row| row.subject.is_none() && !hers.contains(&row.id));
        let more: Vec<Uuid> = loose.filter(leads_to_her).map(|row| row.id).collect();
        if more.is_empty() {
            return hers;
        }
        hers.extend(more);
    }
}

/// Tokens by which nobody but her is found.
fn only_hers(own: &[&Row], others: &[&Row]) -> Vec<Vec<u8>> {
    let anothers: HashSet<&[u8; 16]> =
        others.iter().flat_map(|row| row.names().chain([&row.tag]).chain(row.targets())).collect();
    let named = own.iter().flat_map(|row| row.names().chain([&row.tag]).chain(row.targets()));
    let tokens: BTreeSet<&[u8; 16]> = named.filter(|token| !anothers.contains(token)).collect();
    tokens.into_iter().map(|token| token.to_vec()).collect()
}

/// Refused messages that name an identifier of hers, which nobody else's message of the dossier names: of her corridor, and those that
/// named none.
async fn refused(connection: &mut PgConnection, order: &Order, others: &[&Row]) -> Result<Vec<Uuid>, StoreFault> {
    if order.terms.is_empty() {
        return Ok(Vec::new());
    }
    let others: Vec<Uuid> = others.iter().map(|row| row.id).collect();
    let found = sqlx::query_scalar!(
        "with alone as (
           select term from unnest($1::bigint[]) as t (term)
           where not exists (select from search_terms s where s.message = any($2) and t.term = any(s.terms))
         )
         select t.message from search_terms t join messages m on m.id = t.message
         where t.terms && (select coalesce(array_agg(term), '{}') from alone) and m.outcome = 'refused' and not m.erased
           and (m.corridor = $4 or m.corridor in (select corridor from subjects where id = $3))",
        &order.terms,
        &others,
        order.erasure.subject,
        super::DOMESTIC
    );
    Ok(found.fetch_all(connection).await?)
}

/// Lets nobody settle a delivery of these messages meanwhile: its answer would be sealed under a key that goes.
async fn lock_deliveries(
    connection: &mut PgConnection,
    messages: impl Iterator<Item = Uuid>,
) -> Result<(), StoreFault> {
    let messages: Vec<Uuid> = messages.collect();
    sqlx::query!("select seq from deliveries where message = any($1) order by party, seq for update", &messages)
        .fetch_all(connection)
        .await?;
    Ok(())
}

/// The keys under which something of these messages is sealed.
async fn keys_of(connection: &mut PgConnection, messages: &[Uuid]) -> Result<Vec<Uuid>, StoreFault> {
    Ok(sqlx::query_scalar!(
        r#"select key_id as "key!" from messages where id = any($1)
           union select key_id from deliveries where message = any($1) and key_id is not null
           union select key_id from requests where messages && $1"#,
        messages
    )
    .fetch_all(connection)
    .await?)
}

fn line(erasure: &Erasure, subjects: &[Uuid], messages: &[Uuid], keys: BTreeSet<Uuid>) -> Listed {
    Listed {
        erasure: erasure.id,
        at: erasure.at.unix_timestamp(),
        subject: erasure.subject,
        basis: erasure.basis.clone(),
        officers: erasure.officers.clone(),
        subjects: subjects.to_vec(),
        messages: messages.to_vec(),
        keys: keys.into_iter().collect(),
    }
}

/// Empties what is sealed and asserted, and ends what was on its way.
async fn empty(connection: &mut PgConnection, messages: &[Uuid], now: OffsetDateTime) -> Result<(), StoreFault> {
    sqlx::query!(
        "update messages set erased = true, dossier = null, sealed = '', canonical = null, opening = null, effects = '', links = ''
         where id = any($1)",
        messages
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update deliveries set answer = null, opening = null, lease_token = null, settled_at = coalesce(settled_at, $2),
           reason = case when state in ('waiting', 'parked') then 'content-erased' else reason end,
           state = case when state in ('waiting', 'parked') then 'erased' else state end
         where message = any($1)",
        messages,
        now
    )
    .execute(&mut *connection)
    .await?;
    // What came with hers keeps its own bytes and loses the proof of who signed the whole.
    sqlx::query!("update requests set sealed = '', body_tag = uuid_send(id) where messages && $1", messages)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets what leads to her and what was awaited about her.
async fn forget(
    connection: &mut PgConnection,
    subjects: &[Uuid],
    messages: &[Uuid],
    tokens: &[Vec<u8>],
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    sqlx::query!("delete from link_keys where token = any($1)", tokens).execute(&mut *connection).await?;
    sqlx::query!("delete from search_terms where subject = any($1) or message = any($2)", subjects, messages)
        .execute(&mut *connection)
        .await?;
    sqlx::query!("delete from clocks where subject = any($1)", subjects).execute(&mut *connection).await?;
    sqlx::query!("delete from cases where subject = any($1)", subjects).execute(&mut *connection).await?;
    sqlx::query!("update exceptions set closed_at = $2 where subject = any($1) and closed_at is null", subjects, now)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "update subjects set erased_at = $2, dossier = null, anchor = null, stay = 'NONE', welfare = 'UNCONFIRMED', exceptions = '{}',
           substituted = '{}', permit_until = null, heard_at = null, shielded = false, updated_at = $2, change = null
         where id = any($1)",
        subjects,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn record(
    connection: &mut PgConnection,
    erasure: &Erasure,
    listed: &Listed,
    resealed: usize,
    epoch: Option<i32>,
) -> Result<(), StoreFault> {
    sqlx::query!(
        "insert into erasures (id, subject, basis, first_officer, second_officer, outcome, keys_destroyed, at, subjects, messages, resealed,
           epoch)
         values ($1, $2, $3, $4, $5, 'erased', 0, $6, $7, $8, $9, $10)",
        erasure.id,
        erasure.subject,
        erasure.basis,
        erasure.officers[0],
        erasure.officers[1],
        erasure.at,
        &listed.subjects,
        listed.messages.len() as i32,
        resealed as i32,
        epoch
    )
    .execute(connection)
    .await?;
    Ok(())
}
