//! Reading and locking the dossiers that a batch may touch.

use super::{Dossier, Filed, Subject, Subjects, WORKER, corrected, targets};
use crate::{
    domain::{deadlines::Mention, facts::Assertion},
    store::{
        StoreFault, effects,
        journal::{Intent, Journal, SubjectKind},
    },
};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use time::OffsetDateTime;
use uuid::Uuid;

impl Subjects {
    pub(in super::super) async fn load(connection: &mut PgConnection, intents: &[Intent]) -> Result<Self, StoreFault> {
        let links = || intents.iter().filter_map(|intent| intent.links.as_ref().map(|links| (intent, links)));
        let tokens: Vec<Vec<u8>> = links()
            .flat_map(|(intent, links)| {
                let named = links.links.iter().map(|link| &link.token).chain(&intent.mentions);
                named.chain([&intent.tag]).chain(targets(intent))
            })
            .map(|token| token.to_vec())
            .collect();
        let named = links().flat_map(|(intent, links)| {
            [&links.pairwise, &links.worker].into_iter().flatten().map(|id| (intent.party.clone(), id.clone()))
        });
        let (parties, ids): (Vec<String>, Vec<String>) = named.unzip();
        let by_token = sqlx::query!("select token, dossier from link_keys where token = any($1)", &tokens)
            .fetch_all(&mut *connection);
        let by_token = by_token.await?.into_iter().filter_map(|row| Some((row.token.try_into().ok()?, row.dossier)));
        let mut found = Self { by_token: by_token.collect(), ..Self::default() };
        if !ids.is_empty() {
            found.read_pairwise(connection, &parties, &ids).await?;
        }
        let wanted: Vec<Vec<u8>> = intents
            .iter()
            .flat_map(|intent| targets(intent).chain(corrected(intent)))
            .map(|tag| tag.to_vec())
            .collect();
        if !wanted.is_empty() {
            let rows = sqlx::query!(
                r#"select tag, dossier as "dossier!" from messages where tag = any($1) and dossier is not null"#,
                &wanted
            );
            for row in rows.fetch_all(&mut *connection).await? {
                found.by_tag.extend(row.tag.try_into().ok().map(|tag| (tag, row.dossier)));
            }
        }
        let by_pairwise = found.by_pairwise.values().map(|(dossier, ..)| dossier);
        let wanted = found.by_token.values().chain(found.by_tag.values()).chain(by_pairwise).copied().collect();
        found.lock(connection, wanted).await?;
        found.read_mentions(connection, intents).await?;
        Ok(found)
    }

    /// Folds what is left of some dossiers anew after messages were taken out of them. `parties` get ids for subjects that open by it.
    pub(in super::super) async fn refold(
        journal: &Journal,
        connection: &mut PgConnection,
        dossiers: &[Uuid],
        parties: &[String],
        now: OffsetDateTime,
    ) -> Result<(), StoreFault> {
        let mut found = Self::default();
        found.lock(connection, dossiers.iter().copied().collect()).await?;
        found.read_mentions(connection, &[]).await?;
        for dossier in found.by_id.values_mut() {
            (dossier.is_touched, dossier.is_changed) = (true, true);
            dossier.parties = parties.to_vec();
        }
        found.settle(journal, now);
        found.write(connection, now).await
    }

    /// Reads what was mentioned of the subjects of this batch. Placements are mentioned by nothing.
    async fn read_mentions(&mut self, connection: &mut PgConnection, intents: &[Intent]) -> Result<(), StoreFault> {
        let mentionable = |kind: SubjectKind| kind != SubjectKind::Placement;
        let known = self.by_id.values().filter(|one| mentionable(one.kind)).flat_map(|one| &one.said);
        let known = known.flat_map(|one| &one.links).map(|link| &link.token);
        let new = intents.iter().filter_map(|intent| intent.links.as_ref()).filter(|links| mentionable(links.kind));
        let new = new.flat_map(|links| &links.links).map(|link| &link.token);
        let named = intents.iter().flat_map(|intent| &intent.mentions);
        let tokens: BTreeSet<&[u8; 16]> = known.chain(new).chain(named).collect();
        if tokens.is_empty() {
            return Ok(());
        }
        let tokens: Vec<Vec<u8>> = tokens.into_iter().map(|token| token.to_vec()).collect();
        let rows =
            sqlx::query!("select token, kind, authority, value, at from mentions where token = any($1)", &tokens);
        for row in rows.fetch_all(connection).await? {
            let bad = |column| StoreFault::BadRow { table: "mentions", column, row: row.authority.clone() };
            let kind = row.kind.parse().map_err(|_| bad("kind"))?;
            let token = row.token.as_slice().try_into().map_err(|_| bad("token"))?;
            let one = Mention { kind, value: row.value, at: row.at, authority: row.authority.clone() };
            self.mentions.insert((token, kind, row.authority), one);
        }
        Ok(())
    }

    /// Locks every dossier found, those they were merged into and all that were merged into these, in the order of their ids;
    /// reads what is in them.
    async fn lock(&mut self, connection: &mut PgConnection, mut wanted: BTreeSet<Uuid>) -> Result<(), StoreFault> {
        // What was merged into one of them while this waited for its lock is seen by the next look only.
        while !wanted.is_empty() {
            let locked = self.by_id.len();
            let ids: Vec<Uuid> = wanted.iter().copied().collect();
            let rows = sqlx::query!(
                "select id, kind, merged_into, opened_at from dossiers where id = any($1) or merged_into = any($1)
                 order by id for update",
                &ids
            )
            .fetch_all(&mut *connection)
            .await?;
            for row in rows {
                wanted.extend(row.merged_into);
                let bad = || StoreFault::BadRow { table: "dossiers", column: "kind", row: row.id.to_string() };
                let dossier = Dossier {
                    id: row.id,
                    kind: SubjectKind::of_dossier(&row.kind).ok_or_else(bad)?,
                    merged_into: row.merged_into,
                    opened_at: row.opened_at,
                    is_new: false,
                    is_new_kind: false,
                    is_touched: false,
                    corridor: String::new(),
                    parties: Vec::new(),
                    said: Vec::new(),
                    filed: Vec::new(),
                    subjects: Vec::new(),
                    mentions: Vec::new(),
                    is_changed: false,
                };
                self.by_id.insert(row.id, dossier);
            }
            if self.by_id.len() == locked && wanted.iter().all(|id| ids.contains(id)) {
                break;
            }
        }
        let ids: Vec<Uuid> = self.by_id.keys().copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        self.read_subjects(connection, &ids).await?;
        self.read_messages(connection, &ids).await
    }

    async fn read_messages(&mut self, connection: &mut PgConnection, ids: &[Uuid]) -> Result<(), StoreFault> {
        // A plain look-up by index: a join would be planned as a scan of all messages.
        let rows = sqlx::query!(
            r#"select dossier as "dossier!", corridor, subject, id, tag, body_tag, authority, asserted_at, revision, effects, links,
                 registers, outcome
               from messages where dossier = any($1)"#,
            ids
        )
        .fetch_all(&mut *connection)
        .await?;
        for row in rows {
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
            let stands_in = self.canonical(row.dossier);
            self.by_tag.insert(assertion.tag, stands_in);
            if let Some(dossier) = self.by_id.get_mut(&stands_in) {
                let at = |one: &&mut super::Subject| Some(one.id) == row.subject;
                if let Some(subject) = dossier.subjects.iter_mut().find(at) {
                    subject.members += 1;
                }
                dossier.corridor = row.corridor;
                dossier.said.push(assertion);
                dossier.filed.push(Filed { before: row.subject, subject: None, is_new: false });
            }
        }
        Ok(())
    }

    async fn read_subjects(&mut self, connection: &mut PgConnection, ids: &[Uuid]) -> Result<(), StoreFault> {
        let rows = sqlx::query!(
            r#"select id, dossier as "dossier!", kind, corridor, worker, anchor, provisional, merged_into, opened_at, exceptions, stage, stay,
                 welfare
               from subjects where dossier = any($1)"#,
            ids
        )
        .fetch_all(&mut *connection)
        .await?;
        let mut pairwise: HashMap<Uuid, BTreeMap<String, String>> = HashMap::new();
        let own: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let known = sqlx::query!("select subject, party, id from pairwise_ids where subject = any($1)", &own);
        for row in known.fetch_all(connection).await? {
            pairwise.entry(row.subject).or_default().insert(row.party, row.id);
        }
        for row in rows {
            let bad = |column| StoreFault::BadRow { table: "subjects", column, row: row.id.to_string() };
            let subject = Subject {
                id: row.id,
                kind: SubjectKind::parse(&row.kind)
                    .map(SubjectKind::as_str)
                    .or((row.kind == WORKER).then_some(WORKER))
                    .ok_or_else(|| bad("kind"))?,
                corridor: row.corridor.clone(),
                worker: row.worker,
                anchor: row.anchor.unwrap_or_default().try_into().map_err(|_| bad("anchor"))?,
                provisional: row.provisional,
                merged_into: row.merged_into,
                opened_at: row.opened_at,
                is_new: false,
                is_changed: false,
                exceptions: row.exceptions.into_iter().collect(),
                axes: [row.stage, row.stay, row.welfare],
                members: 0,
                pairwise: pairwise.remove(&row.id).unwrap_or_default(),
                state: None,
                clocks: Vec::new(),
            };
            let stands_in = self.canonical(row.dossier);
            if let Some(dossier) = self.by_id.get_mut(&stands_in) {
                dossier.corridor = row.corridor;
                dossier.subjects.push(subject);
            }
        }
        Ok(())
    }

    /// What parties know by these ids.
    async fn read_pairwise(
        &mut self,
        connection: &mut PgConnection,
        parties: &[String],
        ids: &[String],
    ) -> Result<(), StoreFault> {
        let rows = sqlx::query!(
            r#"select p.party, p.id, p.subject, s.dossier, s.anchor, s.kind, s.erased_at is not null as "erased!"
               from pairwise_ids p
               join unnest($1::text[], $2::text[]) as wanted (party, id) on p.party = wanted.party and p.id = wanted.id
               join subjects s on s.id = p.subject"#,
            parties,
            ids
        );
        for row in rows.fetch_all(connection).await? {
            let known = row.anchor.and_then(|anchor| Some((row.dossier?, anchor.try_into().ok()?, row.kind == WORKER)));
            if row.erased {
                self.erased.insert((row.party, row.id), row.subject);
            } else if let Some(known) = known {
                self.by_pairwise.insert((row.party, row.id), known);
            }
        }
        Ok(())
    }
}
