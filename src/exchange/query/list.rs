//! Lists of placements: by filters, by what somebody knows of a person, by what changed.

use super::{Filter, Inquiry, Outcome, rfc3339};
use crate::{
    domain::names,
    exchange::intake,
    message::problem::ProblemKind,
    schema::catalogue::{How, Search},
    store::query::{self, PlacementRow},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Most candidates that a search ranks.
const CANDIDATES: i64 = 500;

impl Inquiry<'_> {
    /// A page of placements, and the cursor of the next.
    ///
    /// # Errors
    /// `purpose-missing` where the purpose allows no lists; `service-unavailable`.
    pub async fn list(&self, filter: Filter, limit: i64) -> Outcome<(Vec<Value>, Option<Uuid>)> {
        self.persons()?;
        self.bulk()?;
        self.may_filter_by(&filter)?;
        let home = self.gateway.parties.home.code();
        let rows = query::list(&self.gateway.journal.channel, home, &filter, &self.reading(), limit + 1).await;
        let mut rows = rows.map_err(|fault| self.away(&fault))?;
        let more = rows.len() as i64 > limit;
        rows.truncate(limit as usize);
        self.disclose_rows(&rows).await?;
        let next = rows.last().filter(|_| more).map(|row| row.id);
        Ok((rows.iter().map(|row| self.summary(row)).collect(), next))
    }

    /// Placements that a search leads to, best first, of those that the filter lets through.
    ///
    /// # Errors
    /// `malformed-request` for a body that searches for nothing; `purpose-missing`; `service-unavailable`.
    pub async fn search(&self, body: &Value, filter: Filter) -> Outcome<Vec<Value>> {
        self.persons()?;
        self.may_filter_by(&filter)?;
        let malformed = |reason: &str| {
            let mut kinds: Vec<&str> = self.gateway.schemas.searches.iter().map(|search| &*search.kind).collect();
            kinds.extend(["query"]);
            kinds.sort_unstable();
            kinds.dedup();
            let problem = self.gateway.problem(ProblemKind::MalformedRequest).because(reason);
            Box::new(problem.extra("expected", kinds.join(", ")))
        };
        let members = body.as_object().ok_or_else(|| malformed("object-expected"))?;
        let mut terms: Vec<i64> = Vec::new();
        let mut needed = 0;
        for (kind, value) in members {
            let text =
                value.as_str().filter(|text| !text.trim().is_empty()).ok_or_else(|| malformed("text-expected"))?;
            let searches = &self.gateway.schemas.searches;
            let fits = |search: &&Search| *kind == search.kind || kind == "query";
            let mut found: Vec<(String, How)> = searches.iter().filter(fits).map(|s| (s.kind.clone(), s.how)).collect();
            found.dedup();
            if found.is_empty() {
                return Err(malformed("unknown-search-kind"));
            }
            for (kind, how) in found {
                let values = intake::term_values(how, &kind, text);
                needed = needed.max(if how == How::Name { names::words(text).len() as i64 } else { 1 });
                terms.extend(values.iter().map(|(kind, value)| self.gateway.journal.tokens.term(kind, value)));
            }
        }
        if members.contains_key("query") {
            needed = 1;
        }
        if terms.is_empty() {
            return Err(malformed("nothing-to-search"));
        }
        let pool = &self.gateway.journal.channel;
        let hits = query::by_terms(pool, &terms, CANDIDATES).await.map_err(|fault| self.away(&fault))?;
        let ids: Vec<Uuid> = hits.iter().filter(|(_, hits)| *hits >= needed).map(|(id, _)| *id).collect();
        let filter = Filter { ids: Some(ids.clone()), ..filter };
        let rows = query::list(pool, self.gateway.parties.home.code(), &filter, &self.reading(), CANDIDATES).await;
        let mut rows = rows.map_err(|fault| self.away(&fault))?;
        rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id));
        // One person may have been placed more than once.
        let persons: BTreeSet<Uuid> = rows.iter().map(|row| row.worker.unwrap_or(row.id)).collect();
        if !self.purpose.bulk && persons.len() > 1 {
            return Err(self.refuse("more-than-one-person"));
        }
        self.disclose_rows(&rows).await?;
        Ok(rows.iter().map(|row| self.summary(row)).collect())
    }

    /// Placements whose state changed after a cursor, and the next cursor.
    ///
    /// # Errors
    /// `purpose-missing`; `service-unavailable`.
    pub async fn changes(&self, after: i64, limit: i64) -> Outcome<(Vec<Value>, i64)> {
        self.persons()?;
        self.bulk()?;
        let home = self.gateway.parties.home.code();
        let pool = &self.gateway.journal.channel;
        let changed = query::changes(pool, after, limit).await.map_err(|fault| self.away(&fault))?;
        let next = changed.last().map_or(after, |(change, _)| *change);
        let ids: Vec<Uuid> = changed.into_iter().map(|(_, id)| id).collect();
        let filter = Filter { ids: Some(ids.clone()), ..Filter::default() };
        let rows = query::list(pool, home, &filter, &self.reading(), limit).await;
        let mut rows = rows.map_err(|fault| self.away(&fault))?;
        rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id));
        self.disclose_rows(&rows).await?;
        Ok((rows.iter().map(|row| self.summary(row)).collect(), next))
    }

    async fn disclose_rows(&self, rows: &[PlacementRow]) -> Outcome<()> {
        let about: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        self.disclose(&about, &["stage", "stay"]).await
    }

    /// The placement as its row has it.
    pub(super) fn summary(&self, row: &PlacementRow) -> Value {
        let mut value = json!({"id": row.id, "home_id": row.pairwise, "corridor": row.corridor, "stage": row.stage,
            "stay": row.stay, "provisional": row.provisional, "exceptions": row.exceptions, "worker": row.worker,
            "first_heard_of": rfc3339(row.opened_at), "last_heard_of": row.heard_at.map(rfc3339), "updated_at": rfc3339(row.updated_at)});
        if self.purpose.welfare {
            value["welfare"] = row.welfare.clone().into();
        }
        if let Some(members) = value.as_object_mut().filter(|_| !self.sees_stay()) {
            members.remove("stay");
        }
        if let Some(members) = value.as_object_mut().filter(|_| self.purpose.facts.is_some()) {
            for hidden in ["stage", "stay", "exceptions"] {
                members.remove(hidden);
            }
        }
        value
    }
}
