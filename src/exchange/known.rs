//! What a set of messages says of one placement: its state, and the value of each field with who says so. The same set gives the
//! same answer, whoever asks; who may know of which message, and which field is shown, is the asker's to say.

use crate::{
    domain::{
        facts::Assertion,
        fold::{FoldRules, State, fold_among, with_deaths},
        standing::Standing,
    },
    schema::{Schemas, fields::Field},
    store::query::Step,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// A placement as some of the messages around it tell it.
pub(super) struct Known<'s> {
    /// Its state.
    pub(super) state: State,
    /// The messages that belong to it.
    pub(super) members: Vec<&'s Step>,
    /// Those of them that count: neither withdrawn nor waiting for a person.
    pub(super) in_force: Vec<Uuid>,
}

impl<'s> Known<'s> {
    /// `said` is what each of `steps` asserts, with its standing, `members` the positions of those that belong to the placement, and
    /// `deaths` of those that stand elsewhere and count here. The others may withdraw one of them or stand by it.
    pub(super) fn of(
        steps: &[&'s Step],
        (said, standing): (&[Assertion], &Standing<'_>),
        (members, deaths): (&[usize], &[usize]),
        rules: &FoldRules,
    ) -> Self {
        let counts = |n: &&usize| standing.in_force(&said[**n]);
        Self {
            state: with_deaths(
                fold_among(standing, members.iter().map(|n| &said[*n]), rules),
                standing,
                members.iter().map(|n| &said[*n]),
                deaths.iter().map(|n| &said[*n]),
                rules,
            ),
            members: members.iter().map(|n| steps[*n]).collect(),
            in_force: members.iter().filter(counts).map(|n| steps[*n].message).collect(),
        }
    }
}

/// The content of a message.
pub(super) struct Content {
    pub(super) message: Uuid,
    pub(super) type_name: String,
    pub(super) authority: String,
    pub(super) asserted_at: OffsetDateTime,
    pub(super) data: Value,
}

/// Every field that is shown: its value in force, who says so and when; differing values of others as claims.
pub(super) fn fields(
    schemas: &Schemas,
    mut contents: Vec<Content>,
    state: &State,
    shows: impl Fn(&str, &Field) -> bool,
) -> BTreeMap<String, Value> {
    // Reminders and decisions are the gateway's own: they say nothing of the worker.
    contents.retain(|one| schemas.message(&one.type_name).is_none_or(|message| message.gateway.is_none()));
    contents.sort_by_key(|one| (one.asserted_at, one.message));
    let mut fields: BTreeMap<String, Value> = BTreeMap::new();
    for one in &contents {
        for (pointer, field) in schemas.fields() {
            let Some(value) = one.data.pointer(pointer) else { continue };
            if pointer.starts_with("/placement/") || !shows(pointer, field) {
                continue;
            }
            let said = json!({"value": value, "authority": one.authority, "asserted_at": rfc3339(one.asserted_at)});
            let folded = field.number.and_then(|number| state.fields.get(&number));
            let in_force = folded.and_then(|folded| folded.owned.as_ref()).map(|source| source.message);
            let owner_spoke = in_force.is_some();
            let claims = folded.is_some_and(|folded| folded.claims.iter().any(|claim| claim.message == one.message));
            let entry = fields.entry(pointer.clone()).or_insert_with(|| json!({}));
            if in_force == Some(one.message)
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
    fields
}

/// An instant in an answer.
pub(super) fn rfc3339(time: OffsetDateTime) -> Value {
    time.format(&Rfc3339).unwrap_or_default().into()
}
