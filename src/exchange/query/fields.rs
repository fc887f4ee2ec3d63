//! The fields of a placement that the purpose shows.

use super::{Inquiry, Outcome};
use crate::{
    exchange::known::{self, Content, Known},
    message::event::Attributes,
    store::messages,
};
use serde_json::Value;

impl Inquiry<'_> {
    /// Fields by pointer, and the pointers.
    pub(super) async fn fields(&self, known: &Known<'_>) -> Outcome<(Value, Vec<String>)> {
        let journal = &self.gateway.journal;
        let stored = messages::open(&journal.channel, &journal.vault, &journal.kek, &known.in_force).await;
        let stored = stored.map_err(|fault| self.away(&fault))?;
        let content = |one: &messages::Stored| {
            let event: Value = serde_json::from_slice(one.event.as_ref()?).ok()?;
            Some(Content {
                message: one.id,
                type_name: one.type_name.clone(),
                authority: one.authority.clone(),
                asserted_at: one.asserted_at,
                data: Attributes::of(&event)?.data.clone(),
            })
        };
        let contents = stored.iter().filter_map(content).collect();
        let fields = known::fields(&self.gateway.schemas, contents, &known.state, |pointer, field| {
            field.class <= self.purpose.class || self.purpose.fields.iter().any(|one| one == pointer)
        });
        let shown = fields.keys().cloned().collect();
        Ok((Value::Object(fields.into_iter().collect()), shown))
    }
}
