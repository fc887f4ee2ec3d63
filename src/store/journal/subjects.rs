//! The subjects of one journal transaction: found by what the messages name, locked, united where two turn out to be one,
//! folded and written. Whether two that are both certain are the same is for a person.

use super::{Intent, Journal, Links, Outcome, plan::Plan};
use crate::{
    domain::{
        clock::uuid_v7,
        facts::Assertion,
        fold::{State, fold},
        identifiers::pairwise_id,
    },
    store::{StoreFault, effects},
};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use time::OffsetDateTime;
use uuid::Uuid;

/// A subject as this transaction sees and changes it.
struct Subject {
    id: Uuid,
    kind: String,
    corridor: String,
    provisional: bool,
    merged_into: Option<Uuid>,
    opened_at: OffsetDateTime,
    is_new: bool,
    assertions: Vec<Assertion>,
    pairwise: BTreeMap<String, String>,
}

/// The subjects that a batch may touch, locked, with their facts.
pub(super) struct Subjects {
    by_id: BTreeMap<Uuid, Subject>,
    by_token: HashMap<[u8; 16], Uuid>,
    by_pairwise: HashMap<(String, String), Uuid>,
    new_tokens: Vec<([u8; 16], Uuid)>,
    touched: BTreeSet<Uuid>,
}

impl Subjects {
    /// Whether a subject was there before this transaction.
    pub(super) fn is_old(&self, subject: Uuid) -> bool {
        self.by_id.get(&subject).is_some_and(|subject| !subject.is_new)
    }

    /// The id by which `party` knows a subject of this transaction.
    pub(super) fn pairwise_of(&self, subject: Uuid, party: &str) -> Option<String> {
        self.by_id.get(&subject)?.pairwise.get(party).cloned()
    }

    pub(super) async fn load(connection: &mut PgConnection, intents: &[Intent]) -> Result<Self, StoreFault> {
        let links = || intents.iter().filter_map(|intent| intent.links.as_ref().map(|links| (intent, links)));
        let tokens: Vec<Vec<u8>> = links().flat_map(|(_, links)| &links.tokens).map(|token| token.to_vec()).collect();
        let named: Vec<(String, String)> =
            links().filter_map(|(intent, links)| Some((intent.party.clone(), links.pairwise.clone()?))).collect();
        let (parties, ids): (Vec<String>, Vec<String>) = named.into_iter().unzip();
        let by_token = sqlx::query!("select token, subject from link_keys where token = any($1)", &tokens)
            .fetch_all(&mut *connection)
            .await?;
        let by_pairwise = if ids.is_empty() { Vec::new() } else { pairwise(connection, &parties, &ids).await? };
        let mut found = Self {
            by_id: BTreeMap::new(),
            by_token: by_token.into_iter().filter_map(|row| Some((row.token.try_into().ok()?, row.subject))).collect(),
            by_pairwise: by_pairwise.into_iter().collect(),
            new_tokens: Vec::new(),
            touched: BTreeSet::new(),
        };
        found.lock(connection).await?;
        Ok(found)
    }

    /// Locks every subject found, those they were merged into and all that were merged into these, in the order of their ids;
    /// reads their facts.
    async fn lock(&mut self, connection: &mut PgConnection) -> Result<(), StoreFault> {
        let mut wanted: BTreeSet<Uuid> = self.by_token.values().chain(self.by_pairwise.values()).copied().collect();
        let mut locked = BTreeSet::new();
        while wanted.len() > locked.len() {
            let ids: Vec<Uuid> = wanted.difference(&locked).copied().collect();
            let rows = sqlx::query!(
                "select id, kind, corridor, provisional, merged_into, opened_at from subjects where id = any($1) or merged_into = any($1)
                 order by id for update",
                &ids
            )
            .fetch_all(&mut *connection)
            .await?;
            for row in rows {
                wanted.extend(row.merged_into);
                let subject = Subject {
                    id: row.id,
                    kind: row.kind,
                    corridor: row.corridor,
                    provisional: row.provisional,
                    merged_into: row.merged_into,
                    opened_at: row.opened_at,
                    is_new: false,
                    assertions: Vec::new(),
                    pairwise: BTreeMap::new(),
                };
                self.by_id.insert(row.id, subject);
            }
            locked.extend(ids);
        }
        self.read_facts(connection).await
    }

    async fn read_facts(&mut self, connection: &mut PgConnection) -> Result<(), StoreFault> {
        let ids: Vec<Uuid> = self.by_id.keys().copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        // A plain look-up by index: a join with subjects would be planned as a scan of all messages.
        let rows = sqlx::query!(
            r#"select subject as "subject!", id, tag, body_tag, authority, asserted_at, revision, effects
               from messages where outcome = 'applied' and subject = any($1)"#,
            &ids
        )
        .fetch_all(&mut *connection)
        .await?;
        for row in rows {
            let bad = || StoreFault::BadRow { table: "messages", column: "effects", row: row.id.to_string() };
            let assertion = Assertion {
                message: row.id,
                tag: row.tag.as_slice().try_into().map_err(|_| bad())?,
                authority: row.authority.clone(),
                asserted_at: row.asserted_at,
                revision: row.revision,
                digest: row.body_tag.as_slice().try_into().map_err(|_| bad())?,
                effects: effects::unpack(&row.effects).ok_or_else(bad)?,
            };
            let stands_for = self.canonical(row.subject);
            if let Some(subject) = self.by_id.get_mut(&stands_for) {
                subject.assertions.push(assertion);
            }
        }
        let rows = sqlx::query!("select subject, party, id from pairwise_ids where subject = any($1)", &ids)
            .fetch_all(connection)
            .await?;
        for row in rows {
            if let Some(subject) = self.by_id.get_mut(&row.subject) {
                subject.pairwise.insert(row.party, row.id);
            }
        }
        Ok(())
    }

    fn canonical(&self, id: Uuid) -> Uuid {
        self.by_id.get(&id).and_then(|subject| subject.merged_into).unwrap_or(id)
    }

    /// Finds or makes the subject of a message and adds its facts.
    pub(super) fn place(&mut self, journal: &Journal, intent: &Intent, now: OffsetDateTime) -> Plan {
        let plain = |outcome| Plan::Store { subject: None, outcome, problem: intent.problem.clone() };
        let Some(links) = intent.links.as_ref().filter(|_| intent.outcome != Outcome::Refused) else {
            return plain(intent.outcome);
        };
        let mut found = BTreeSet::new();
        if let Some(id) = &links.pairwise {
            match self.by_pairwise.get(&(intent.party.clone(), id.clone())) {
                Some(subject) if self.by_id[subject].corridor == intent.corridor => {
                    found.insert(self.canonical(*subject));
                }
                _ => return Self::unknown_id(intent),
            }
        }
        let by_token: Vec<Uuid> =
            links.tokens.iter().filter_map(|token| self.by_token.get(token)).map(|id| self.canonical(*id)).collect();
        found.extend(by_token);
        if intent.outcome == Outcome::Held {
            // It waits for a person: it is shown with the subject it leads to, and neither opens, links nor unites any.
            let subject = found.first().copied().filter(|_| found.len() == 1);
            return Plan::Store { subject, outcome: Outcome::Held, problem: intent.problem.clone() };
        }
        let Some(subject) = self.unite(found, links, intent, journal, now) else {
            let problem = intent.problem.clone().or(Some(r#"[{"pointer":"","rule":"unclear-identity"}]"#.to_owned()));
            return Plan::Store { subject: None, outcome: Outcome::Held, problem };
        };
        for token in &links.tokens {
            if !self.by_token.contains_key(token) {
                self.by_token.insert(*token, subject);
                self.new_tokens.push((*token, subject));
            }
        }
        self.touched.insert(subject);
        if let Some(subject) = self.by_id.get_mut(&subject) {
            subject.provisional &= !links.identifies;
            subject.assertions.push(Assertion {
                message: intent.id,
                tag: intent.tag,
                authority: intent.authority.clone(),
                asserted_at: intent.asserted_at,
                revision: intent.revision,
                digest: intent.body_tag,
                effects: intent.effects.clone(),
            });
        }
        Plan::Store { subject: Some(subject), outcome: intent.outcome, problem: intent.problem.clone() }
    }

    /// A pairwise id that this party was never given: a safety message waits for a person, anything else is refused.
    fn unknown_id(intent: &Intent) -> Plan {
        let outcome = if intent.urgency == 0 { Outcome::Held } else { Outcome::Refused };
        let problem = Some(r#"[{"pointer":"/data/placement/id","rule":"unknown-id"}]"#.to_owned());
        Plan::Store { subject: None, outcome, problem }
    }

    /// One subject from all that the links lead to: none makes a new one, a provisional one joins the one it turned out to
    /// be, two that are both certain stay apart and a person decides (`None`).
    fn unite(
        &mut self,
        found: BTreeSet<Uuid>,
        links: &Links,
        intent: &Intent,
        journal: &Journal,
        now: OffsetDateTime,
    ) -> Option<Uuid> {
        let certain: Vec<Uuid> = found.iter().copied().filter(|id| !self.by_id[id].provisional).collect();
        let target = match (certain.as_slice(), found.first()) {
            ([], None) => return Some(self.open(links, intent, journal, now)),
            ([], Some(oldest)) => *oldest,
            ([one], _) => *one,
            _ => return None,
        };
        for id in found.into_iter().filter(|id| *id != target) {
            let assertions = std::mem::take(&mut self.by_id.get_mut(&id)?.assertions);
            self.by_id.get_mut(&target)?.assertions.extend(assertions);
            // What was merged into it before goes along: every reader looks one step far.
            let joined = self.by_id.values_mut().filter(|one| one.id == id || one.merged_into == Some(id));
            for one in joined {
                one.merged_into = Some(target);
                self.touched.insert(one.id);
            }
        }
        Some(target)
    }

    fn open(&mut self, links: &Links, intent: &Intent, journal: &Journal, now: OffsetDateTime) -> Uuid {
        let id = uuid_v7(&*journal.clock, &*journal.random);
        let mut pairwise = BTreeMap::new();
        for party in &intent.parties {
            let own = pairwise_id(&*journal.random);
            self.by_pairwise.insert((party.clone(), own.clone()), id);
            pairwise.insert(party.clone(), own);
        }
        let subject = Subject {
            id,
            kind: links.kind.as_str().to_owned(),
            corridor: intent.corridor.clone(),
            provisional: !links.identifies,
            merged_into: None,
            opened_at: now,
            is_new: true,
            assertions: Vec::new(),
            pairwise,
        };
        self.by_id.insert(id, subject);
        id
    }

    /// Writes what changed: states, the ids by which parties know new subjects, and what leads to them.
    pub(super) async fn write(&self, connection: &mut PgConnection, now: OffsetDateTime) -> Result<(), StoreFault> {
        if self.touched.is_empty() {
            return Ok(());
        }
        let touched: Vec<(&Subject, State)> =
            self.touched.iter().map(|id| &self.by_id[id]).map(|subject| (subject, fold(&subject.assertions))).collect();
        let column = |text: fn(&(&Subject, State)) -> String| touched.iter().map(text).collect::<Vec<String>>();
        let ids: Vec<Uuid> = touched.iter().map(|(subject, _)| subject.id).collect();
        let merged: Vec<Option<Uuid>> = touched.iter().map(|(subject, _)| subject.merged_into).collect();
        let provisional: Vec<bool> = touched.iter().map(|(subject, _)| subject.provisional).collect();
        let opened: Vec<OffsetDateTime> = touched.iter().map(|(subject, _)| subject.opened_at).collect();
        let exceptions =
            |(_, state): &(&Subject, State)| state.exceptions.iter().map(|e| e.as_str()).collect::<Vec<_>>().join(",");
        let new = self.touched.iter().map(|id| &self.by_id[id]).filter(|subject| subject.is_new);
        let rows: Vec<(String, String, Uuid)> =
            new.flat_map(|s| s.pairwise.iter().map(|(party, id)| (party.clone(), id.clone(), s.id))).collect();
        let parties: Vec<String> = rows.iter().map(|row| row.0.clone()).collect();
        let pairwise: Vec<String> = rows.iter().map(|row| row.1.clone()).collect();
        let known_as: Vec<Uuid> = rows.iter().map(|row| row.2).collect();
        let mut links = self.new_tokens.clone();
        links.sort_unstable();
        let tokens: Vec<Vec<u8>> = links.iter().map(|(token, _)| token.to_vec()).collect();
        let linked: Vec<Uuid> = links.iter().map(|(_, subject)| *subject).collect();
        sqlx::query!(
            "with named as (
               insert into pairwise_ids (party, id, subject) select * from unnest($12::text[], $13::text[], $14::uuid[])
             ), linked as (
               insert into link_keys (token, subject) select * from unnest($15::bytea[], $16::uuid[])
             )
             insert into subjects (id, kind, corridor, merged_into, provisional, stage, stay, welfare, exceptions, opened_at, updated_at, change)
             select id, kind, corridor, merged_into, provisional, stage, stay, welfare, string_to_array(exceptions, ','), opened_at, $11,
               nextval('subject_changes')
             from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::bool[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[])
               as t (id, kind, corridor, merged_into, provisional, stage, stay, welfare, exceptions, opened_at)
             on conflict (id) do update set merged_into = excluded.merged_into, provisional = excluded.provisional,
               stage = excluded.stage, stay = excluded.stay, welfare = excluded.welfare, exceptions = excluded.exceptions,
               updated_at = excluded.updated_at, change = excluded.change",
            &ids,
            &column(|(subject, _)| subject.kind.clone()),
            &column(|(subject, _)| subject.corridor.clone()),
            &merged as &[Option<Uuid>],
            &provisional,
            &column(|(_, state)| state.stage.to_string()),
            &column(|(_, state)| state.stay.to_string()),
            &column(|(_, state)| state.welfare.to_string()),
            &touched.iter().map(exceptions).collect::<Vec<String>>(),
            &opened,
            now,
            &parties,
            &pairwise,
            &known_as,
            &tokens,
            &linked
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// The subjects that parties know by these ids.
async fn pairwise(
    connection: &mut PgConnection,
    parties: &[String],
    ids: &[String],
) -> Result<Vec<((String, String), Uuid)>, StoreFault> {
    let rows = sqlx::query!(
        "select p.party, p.id, p.subject from pairwise_ids p
         join unnest($1::text[], $2::text[]) as wanted (party, id) on p.party = wanted.party and p.id = wanted.id",
        parties,
        ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.party, row.id), row.subject)).collect())
}
