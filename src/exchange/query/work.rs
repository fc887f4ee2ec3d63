//! What is awaited for a placement, and everything that a person must look at.

use super::{Inquiry, Outcome, rfc3339};
use crate::{
    schema::catalogue::ANY,
    store::{
        clocks::{self, ClockRow, WorkItem},
        query::PlacementRow,
    },
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

impl Inquiry<'_> {
    /// Clocks that run, or ran at an instant of the past, with who is waited for.
    pub(super) async fn deadlines(&self, row: &PlacementRow, past: Option<OffsetDateTime>) -> Outcome<Value> {
        let clocks = clocks::clocks(&self.gateway.journal.channel, row.id).await.map_err(|fault| self.away(&fault))?;
        Ok(clocks.iter().filter_map(|clock| self.clock(clock, past)).collect())
    }

    fn clock(&self, clock: &ClockRow, past: Option<OffsetDateTime>) -> Option<Value> {
        let schemas = &self.gateway.schemas;
        let entry = schemas.clocks.iter().find(|one| one.name == clock.name)?;
        let types = schemas.messages().filter(|one| one.code == entry.waits_for);
        let awaited = entry.waits_on.side(self.gateway.side_of(&clock.authority));
        let answers = |one: &&str| *one == ANY || self.gateway.side_of(one) == awaited;
        let mut senders: Vec<&str> = types.flat_map(|one| &one.senders).map(String::as_str).filter(answers).collect();
        senders.sort_unstable();
        senders.dedup();
        // One that starts at a day ahead is awaited today; what was awaited in the past had begun.
        if !self.sees_clock(entry) || past.is_some_and(|past| clock.started_at > past) {
            return None;
        }
        let until = past.unwrap_or_else(|| self.gateway.now());
        Some(
            json!({"clock": clock.name, "waits_for": entry.waits_for, "from": senders, "since": rfc3339(clock.started_at),
            "due_at": rfc3339(clock.due_at), "alarm_at": rfc3339(clock.alarm_at), "overdue": clock.due_at < until,
            "exception": (clock.alarm_at <= until).then_some(&entry.exception)}),
        )
    }

    /// Open work items, oldest first: which exception, whose work, since when. One about a message that nobody acknowledged names
    /// the message.
    ///
    /// # Errors
    /// `purpose-missing`; `service-unavailable`.
    pub async fn work_items(&self, corridor: Option<&str>, kind: Option<&str>, limit: i64) -> Outcome<Vec<Value>> {
        self.persons()?;
        self.bulk()?;
        if let Some(kind) = kind {
            self.may_ask_for(kind)?;
        }
        let now = self.gateway.now();
        let pool = &self.gateway.journal.channel;
        let messages = self.gateway.schemas.messages();
        let terms = messages.filter_map(|one| Some((one.name.clone(), i32::try_from(one.told_within_h?).ok()?)));
        let terms: Vec<(String, i32)> = terms.collect();
        let items = clocks::work_items(pool, corridor, kind, &self.reading(), &terms, limit).await;
        let items = items.map_err(|fault| self.away(&fault))?;
        let schemas = &self.gateway.schemas;
        let one = |item: &WorkItem| {
            let clock = item.clock.as_ref().and_then(|name| schemas.clocks.iter().find(|clock| clock.name == *name));
            let entry = schemas.exceptions.iter().find(|entry| entry.kind == item.kind);
            let started_by = item.authority.as_deref().unwrap_or_default();
            let owner = clock.map(|clock| clock.owner.of(clock.waits_on.side(self.gateway.side_of(started_by))));
            json!({"placement": item.subject, "message": item.message, "corridor": item.corridor, "exception": item.kind, "clock": item.clock,
                "owner": owner.or(entry.map(|entry| &*entry.owner)),
                "opened_at": rfc3339(item.opened_at), "age_s": (now - item.opened_at).whole_seconds().max(0)})
        };
        let listed: Vec<Value> = items.iter().map(one).collect();
        let about: Vec<Uuid> = items.iter().filter_map(|item| item.subject).collect();
        self.disclose(&about, &["exceptions"]).await?;
        Ok(listed)
    }
}
