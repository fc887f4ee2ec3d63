//! Counts, with their definition and instant.

use super::{Inquiry, Outcome, rfc3339};
use crate::{schema::catalogue::Class, store::query};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Counts below this are not told for statistics.
const SMALLEST_CELL: i64 = 10;

impl Inquiry<'_> {
    /// Counts by corridor and stage, with their definition and instant.
    ///
    /// # Errors
    /// `purpose-missing`; `service-unavailable`.
    pub async fn stats(&self) -> Outcome<Value> {
        self.bulk()?;
        let counts = query::counts(&self.gateway.journal.channel).await.map_err(|fault| self.away(&fault))?;
        let mut corridors: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        for (corridor, stage, count) in counts {
            let hide = self.purpose.class == Class::S0 && count < SMALLEST_CELL;
            let count = if hide { json!(format!("<{SMALLEST_CELL}")) } else { json!(count) };
            corridors.entry(corridor).or_default().insert(stage, count);
        }
        self.disclose(&[], &["stats"]).await?;
        Ok(json!({"as_of": rfc3339(self.gateway.now()), "corridors": corridors,
            "definition": "placements, provisional ones included, by the stage that follows from the facts received so far"}))
    }
}
