//! Writing what a batch changed: dossiers, subjects, where messages belong, clocks, cases and exceptions. What did not change is
//! not written.

use super::{Subject, Subjects};
use crate::{
    domain::{facts::FactKind, fold::State},
    store::StoreFault,
};
use sqlx::PgConnection;
use std::{collections::BTreeMap, sync::Arc};
use time::OffsetDateTime;
use uuid::Uuid;

impl Subjects {
    pub(in super::super) async fn write(
        &self,
        connection: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<(), StoreFault> {
        self.write_dossiers(connection).await?;
        self.write_mentions(connection).await?;
        let changed: Vec<(&Subject, Uuid)> = self
            .by_id
            .values()
            .flat_map(|dossier| dossier.subjects.iter().map(|subject| (subject, dossier.id)))
            .filter(|(subject, _)| subject.is_changed)
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        self.write_subjects(connection, &changed, now).await?;
        self.move_messages(connection).await?;
        let folded: Vec<(&Subject, &Arc<State>)> =
            changed.iter().filter_map(|(subject, _)| Some((*subject, subject.state.as_ref()?))).collect();
        write_clocks(connection, &changed).await?;
        write_cases(connection, &folded, now).await?;
        write_exceptions(connection, &folded, now).await
    }

    async fn write_dossiers(&self, connection: &mut PgConnection) -> Result<(), StoreFault> {
        let touched: Vec<_> = self
            .by_id
            .values()
            .filter(|one| one.is_touched && (one.is_new || one.is_new_kind || one.merged_into.is_some()))
            .collect();
        let ids: Vec<Uuid> = touched.iter().map(|one| one.id).collect();
        let kinds: Vec<String> = touched.iter().map(|one| one.kind.dossier().to_owned()).collect();
        let merged: Vec<Option<Uuid>> = touched.iter().map(|one| one.merged_into).collect();
        let opened: Vec<OffsetDateTime> = touched.iter().map(|one| one.opened_at).collect();
        let mut links = self.new_tokens.clone();
        links.sort_unstable();
        let tokens: Vec<Vec<u8>> = links.iter().map(|(token, _)| token.to_vec()).collect();
        let linked: Vec<Uuid> = links.iter().map(|(_, dossier)| *dossier).collect();
        if ids.is_empty() && tokens.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "with linked as (
               insert into link_keys (token, dossier) select * from unnest($5::bytea[], $6::uuid[])
             )
             insert into dossiers (id, kind, merged_into, opened_at)
             select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[])
             on conflict (id) do update set merged_into = excluded.merged_into, kind = excluded.kind",
            &ids,
            &kinds,
            &merged as &[Option<Uuid>],
            &opened,
            &tokens,
            &linked
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    /// The last that each authority said of something that is not the subject of its messages.
    async fn write_mentions(&self, connection: &mut PgConnection) -> Result<(), StoreFault> {
        if self.new_mentions.is_empty() {
            return Ok(());
        }
        // In the order of their keys, so that two instances do not wait for each other.
        let tokens: Vec<Vec<u8>> = self.new_mentions.keys().map(|(token, ..)| token.to_vec()).collect();
        let kinds: Vec<String> = self.new_mentions.keys().map(|(_, kind, _)| kind.to_string()).collect();
        let authorities: Vec<String> = self.new_mentions.values().map(|one| one.authority.clone()).collect();
        let values: Vec<String> = self.new_mentions.values().map(|one| one.value.clone()).collect();
        let at: Vec<OffsetDateTime> = self.new_mentions.values().map(|one| one.at).collect();
        sqlx::query!(
            "insert into mentions (token, kind, authority, value, at)
             select * from unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
             on conflict (token, kind, authority) do update set value = excluded.value, at = excluded.at
               where (mentions.at, mentions.value collate \"C\") < (excluded.at, excluded.value collate \"C\")",
            &tokens,
            &kinds,
            &authorities,
            &values,
            &at
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn write_subjects(
        &self,
        connection: &mut PgConnection,
        changed: &[(&Subject, Uuid)],
        now: OffsetDateTime,
    ) -> Result<(), StoreFault> {
        let texts =
            |text: &dyn Fn(&Subject) -> String| changed.iter().map(|(one, _)| text(one)).collect::<Vec<String>>();
        let of = |one: &Subject, text: &dyn Fn(&State) -> String| {
            one.state.as_ref().map_or_else(|| "NONE".to_owned(), |s| text(s))
        };
        let times = |time: &dyn Fn(&State) -> Option<OffsetDateTime>| -> Vec<Option<OffsetDateTime>> {
            changed.iter().map(|(one, _)| one.state.as_ref().and_then(|state| time(state))).collect()
        };
        let ids: Vec<Uuid> = changed.iter().map(|(one, _)| one.id).collect();
        let dossiers: Vec<Uuid> = changed.iter().map(|(_, dossier)| *dossier).collect();
        let merged: Vec<Option<Uuid>> = changed.iter().map(|(one, _)| one.merged_into).collect();
        let workers: Vec<Option<Uuid>> = changed.iter().map(|(one, _)| one.worker).collect();
        let anchors: Vec<Vec<u8>> = changed.iter().map(|(one, _)| one.anchor.to_vec()).collect();
        let provisional: Vec<bool> = changed.iter().map(|(one, _)| one.provisional).collect();
        let opened: Vec<OffsetDateTime> = changed.iter().map(|(one, _)| one.opened_at).collect();
        let shielded: Vec<bool> =
            changed.iter().map(|(one, _)| one.state.as_ref().is_some_and(|state| state.shielded)).collect();
        let exceptions = |state: &State| state.exceptions.iter().map(|e| e.as_str()).collect::<Vec<_>>().join(",");
        let substituted = |state: &State| state.substituted.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        let plain =
            |one: &Subject, text: &dyn Fn(&State) -> String| one.state.as_ref().map_or_else(String::new, |s| text(s));
        let endorsed = |state: &State| {
            state.facts.get(&FactKind::Endorsement).filter(|fact| fact.value == "ENDORSED").map(|fact| fact.at)
        };
        let new = changed.iter().filter(|(one, _)| one.is_new);
        let rows: Vec<(String, String, Uuid)> = new
            .flat_map(|(one, _)| one.pairwise.iter().map(|(party, id)| (party.clone(), id.clone(), one.id)))
            .collect();
        let parties: Vec<String> = rows.iter().map(|row| row.0.clone()).collect();
        let pairwise: Vec<String> = rows.iter().map(|row| row.1.clone()).collect();
        let known_as: Vec<Uuid> = rows.iter().map(|row| row.2).collect();
        sqlx::query!(
            "with named as (
               insert into pairwise_ids (party, id, subject) select * from unnest($18::text[], $19::text[], $20::uuid[])
             )
             insert into subjects (id, kind, corridor, dossier, merged_into, worker, anchor, provisional, stage, stay, welfare,
               exceptions, substituted, opened_at, permit_until, heard_at, endorsed_at, shielded, updated_at)
             select id, kind, corridor, dossier, merged_into, worker, anchor, provisional, stage, stay, welfare,
               string_to_array(exceptions, ','), string_to_array(substituted, ',')::smallint[], opened_at, permit_until, heard_at,
               endorsed_at, shielded, $17
             from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[], $7::bytea[], $8::bool[], $9::text[],
               $10::text[], $11::text[], $12::text[], $13::text[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[],
               $21::timestamptz[], $22::bool[])
               as t (id, kind, corridor, dossier, merged_into, worker, anchor, provisional, stage, stay, welfare, exceptions,
                 substituted, opened_at, permit_until, heard_at, endorsed_at, shielded)
             on conflict (id) do update set dossier = excluded.dossier, merged_into = excluded.merged_into, worker = excluded.worker,
               anchor = excluded.anchor, provisional = excluded.provisional, stage = excluded.stage, stay = excluded.stay,
               welfare = excluded.welfare, exceptions = excluded.exceptions, substituted = excluded.substituted,
               permit_until = excluded.permit_until, heard_at = excluded.heard_at, endorsed_at = excluded.endorsed_at,
               shielded = excluded.shielded, updated_at = excluded.updated_at, change = null",
            &ids,
            &texts(&|one| one.kind.to_owned()),
            &texts(&|one| one.corridor.clone()),
            &dossiers,
            &merged as &[Option<Uuid>],
            &workers as &[Option<Uuid>],
            &anchors,
            &provisional,
            &texts(&|one| of(one, &|state| state.stage.to_string())),
            &texts(&|one| of(one, &|state| state.stay.to_string())),
            &texts(&|one| of(one, &|state| state.welfare.to_string())),
            &texts(&|one| plain(one, &exceptions)),
            &texts(&|one| plain(one, &substituted)),
            &opened,
            &times(&State::permit_until) as &[Option<OffsetDateTime>],
            &times(&|state| state.heard_at) as &[Option<OffsetDateTime>],
            now,
            &parties,
            &pairwise,
            &known_as,
            &times(&endorsed) as &[Option<OffsetDateTime>],
            &shielded
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Messages from before that turned out to belong elsewhere, with their search terms.
    async fn move_messages(&self, connection: &mut PgConnection) -> Result<(), StoreFault> {
        let moved = self.by_id.values().flat_map(|dossier| {
            let settled = dossier.is_touched.then_some(dossier.said.iter().zip(&dossier.filed));
            let moved =
                settled.into_iter().flatten().filter(|(_, filed)| !filed.is_new && filed.subject != filed.before);
            moved.map(|(one, filed)| (one.message, filed.subject))
        });
        let (messages, subjects): (Vec<Uuid>, Vec<Option<Uuid>>) = moved.unzip();
        if messages.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "with found as (
               update search_terms s set subject = t.subject from unnest($1::uuid[], $2::uuid[]) as t (message, subject)
               where s.message = t.message and t.subject is not null
             )
             update messages m set subject = t.subject from unnest($1::uuid[], $2::uuid[]) as t (message, subject) where m.id = t.message",
            &messages,
            &subjects as &[Option<Uuid>]
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// The clocks that run of each subject; others of it have stopped and go.
async fn write_clocks(connection: &mut PgConnection, changed: &[(&Subject, Uuid)]) -> Result<(), StoreFault> {
    let rows: Vec<_> = changed.iter().flat_map(|(one, _)| one.clocks.iter().map(|clock| (one.id, clock))).collect();
    let tag = |case: Option<[u8; 16]>| case.map(|tag| tag.to_vec()).unwrap_or_default();
    let subjects: Vec<Uuid> = rows.iter().map(|(subject, _)| *subject).collect();
    let names: Vec<String> = rows.iter().map(|(_, clock)| clock.name.clone()).collect();
    let tags: Vec<Vec<u8>> = rows.iter().map(|(_, clock)| tag(clock.case)).collect();
    let authorities: Vec<String> = rows.iter().map(|(_, clock)| clock.authority.clone()).collect();
    let old: Vec<Uuid> = changed.iter().filter(|(one, _)| !one.is_new).map(|(one, _)| one.id).collect();
    if !old.is_empty() {
        sqlx::query!(
            "delete from clocks c where subject = any($1) and not exists (
               select from unnest($2::uuid[], $3::text[], $4::bytea[], $5::text[]) as t (subject, name, case_tag, authority)
               where (t.subject, t.name, t.case_tag, t.authority) = (c.subject, c.name, c.case_tag, c.authority))",
            &old,
            &subjects,
            &names,
            &tags,
            &authorities
        )
        .execute(&mut *connection)
        .await?;
    }
    if rows.is_empty() {
        return Ok(());
    }
    let messages: Vec<Uuid> = rows.iter().map(|(_, clock)| clock.message).collect();
    let started: Vec<OffsetDateTime> = rows.iter().map(|(_, clock)| clock.started_at).collect();
    let due: Vec<OffsetDateTime> = rows.iter().map(|(_, clock)| clock.due_at).collect();
    let alarm: Vec<OffsetDateTime> = rows.iter().map(|(_, clock)| clock.alarm_at).collect();
    sqlx::query!(
        "insert into clocks (subject, name, case_tag, message, authority, started_at, due_at, alarm_at)
         select * from unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::text[], $6::timestamptz[], $7::timestamptz[],
           $8::timestamptz[])
         on conflict (subject, name, case_tag, authority) do update set message = excluded.message,
           started_at = excluded.started_at, due_at = excluded.due_at, alarm_at = excluded.alarm_at,
           reminded_at = case when clocks.message = excluded.message then clocks.reminded_at end
           where (clocks.message, clocks.started_at, clocks.due_at, clocks.alarm_at)
             is distinct from (excluded.message, excluded.started_at, excluded.due_at, excluded.alarm_at)",
        &subjects,
        &names,
        &tags,
        &messages,
        &authorities,
        &started,
        &due,
        &alarm
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_cases(
    connection: &mut PgConnection,
    folded: &[(&Subject, &Arc<State>)],
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    // One about several people stands with the first of them.
    let mut cases: BTreeMap<&[u8; 16], (Uuid, String)> = BTreeMap::new();
    for (one, state) in folded {
        for (tag, status) in state.cases.keys().filter_map(|tag| Some((tag, state.case_status(tag)?))) {
            let stands = (one.id, status.to_string());
            cases.entry(tag).and_modify(|known| *known = known.clone().min(stands.clone())).or_insert(stands);
        }
    }
    let rows: Vec<(Vec<u8>, Uuid, String)> =
        cases.into_iter().map(|(tag, (subject, status))| (tag.to_vec(), subject, status)).collect();
    let tags: Vec<Vec<u8>> = rows.iter().map(|row| row.0.clone()).collect();
    let old: Vec<Uuid> = folded.iter().filter(|(one, _)| !one.is_new).map(|(one, _)| one.id).collect();
    if !old.is_empty() {
        // One of which nothing is said any more, because all of it was withdrawn.
        sqlx::query!("delete from cases where subject = any($1) and tag <> all($2)", &old, &tags)
            .execute(&mut *connection)
            .await?;
    }
    if rows.is_empty() {
        return Ok(());
    }
    let subjects: Vec<Uuid> = rows.iter().map(|row| row.1).collect();
    let statuses: Vec<String> = rows.into_iter().map(|row| row.2).collect();
    sqlx::query!(
        "insert into cases (tag, subject, status, opened_at, updated_at)
         select tag, subject, status, $4, $4 from unnest($1::bytea[], $2::uuid[], $3::text[]) as t (tag, subject, status)
         on conflict (tag) do update set subject = excluded.subject, status = excluded.status, updated_at = excluded.updated_at
           where (cases.subject, cases.status) is distinct from (excluded.subject, excluded.status)",
        &tags,
        &subjects,
        &statuses,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Work items: their age counts from when they opened; one that opens again is new.
async fn write_exceptions(
    connection: &mut PgConnection,
    folded: &[(&Subject, &Arc<State>)],
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    let open = |state: &State| state.exceptions.iter().map(|one| one.as_str().to_owned()).collect::<Vec<String>>();
    let opened = folded.iter().flat_map(|(one, state)| {
        open(state).into_iter().filter(|kind| !one.exceptions.contains(kind)).map(|kind| (one.id, kind))
    });
    let (subjects, kinds): (Vec<Uuid>, Vec<String>) = opened.unzip();
    if !subjects.is_empty() {
        sqlx::query!(
            "insert into exceptions (subject, kind, opened_at) select subject, kind, $3 from unnest($1::uuid[], $2::text[]) as t (subject, kind)
             on conflict (subject, kind) do update set opened_at = excluded.opened_at, closed_at = null",
            &subjects,
            &kinds,
            now
        )
        .execute(&mut *connection)
        .await?;
    }
    let closed = folded.iter().flat_map(|(one, state)| {
        let still = open(state);
        one.exceptions.iter().filter(move |kind| !still.contains(kind)).map(|kind| (one.id, kind.clone()))
    });
    let (subjects, kinds): (Vec<Uuid>, Vec<String>) = closed.unzip();
    if !subjects.is_empty() {
        sqlx::query!(
            "update exceptions e set closed_at = $3 from unnest($1::uuid[], $2::text[]) as t (subject, kind)
             where e.subject = t.subject and e.kind = t.kind and e.closed_at is null",
            &subjects,
            &kinds,
            now
        )
        .execute(connection)
        .await?;
    }
    Ok(())
}
