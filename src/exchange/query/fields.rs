//! The fields of a placement: for each its value in force, who says so and since when, and what others claim instead.

use super::{Inquiry, Outcome, rfc3339};
use crate::{
    domain::fold::State,
    message::event::Attributes,
    store::{messages, query::Step},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

impl Inquiry<'_> {
    /// Every field the purpose shows: its value in force, who says so and when; differing values of others as claims.
    pub(super) async fn fields(&self, steps: &[&Step], state: &State) -> Outcome<(Value, Vec<String>)> {
        let journal = &self.gateway.journal;
        let schemas = &self.gateway.schemas;
        let ids: Vec<Uuid> = steps.iter().filter(|step| step.outcome == "applied").map(|step| step.message).collect();
        let stored = messages::open(&journal.channel, &journal.vault, &journal.kek, &ids).await;
        let mut stored = stored.map_err(|fault| self.away(&fault))?;
        stored.sort_by_key(|one| (one.asserted_at, one.id));
        let mut fields: BTreeMap<String, Value> = BTreeMap::new();
        for one in &stored {
            let Some(event) = one.event.as_ref().and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok()) else {
                continue;
            };
            let Some(attributes) = Attributes::of(&event) else { continue };
            // Reminders and decisions are the gateway's own: they say nothing of the worker.
            if schemas.message(&one.type_name).is_some_and(|message| message.gateway.is_some()) {
                continue;
            }
            for (pointer, field) in schemas.fields() {
                let Some(value) = attributes.data.pointer(pointer) else { continue };
                if pointer.starts_with("/placement/")
                    || !(field.class <= self.purpose.class || self.purpose.fields.contains(pointer))
                {
                    continue;
                }
                let said = json!({"value": value, "authority": one.authority, "asserted_at": rfc3339(one.asserted_at)});
                let folded = field.number.and_then(|number| state.fields.get(&number));
                let in_force = folded.and_then(|folded| folded.owned.as_ref()).map(|source| source.message);
                let owner_spoke = in_force.is_some();
                let claims = folded.is_some_and(|folded| folded.claims.iter().any(|claim| claim.message == one.id));
                let entry = fields.entry(pointer.clone()).or_insert_with(|| json!({}));
                if in_force == Some(one.id)
                    || (!owner_spoke && (field.owned_by(&one.authority) || entry.get("value").is_none()))
                {
                    let claims = entry.get("claims").cloned();
                    *entry = said;
                    if let Some(claims) = claims {
                        entry["claims"] = claims;
                    }
                } else if claims {
                    match entry.get_mut("claims").and_then(Value::as_array_mut) {
                        Some(list) => list.push(said),
                        None => entry["claims"] = json!([said]),
                    }
                }
            }
        }
        fields.retain(|_, value| value.get("value").is_some() || value.get("claims").is_some());
        let shown = fields.keys().cloned().collect();
        Ok((Value::Object(fields.into_iter().collect()), shown))
    }
}
