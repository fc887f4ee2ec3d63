//! Messages that wait for a person, and what an officer decides about them.

use super::{Inquiry, Outcome, rfc3339};
use crate::{
    exchange::decide::{self, Decided, Verdict},
    message::problem::Fault,
    schema::catalogue::Class,
    store::{messages, query},
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Most messages that wait for a person shown at once.
const HELD: i64 = 100;

impl Inquiry<'_> {
    /// Messages that wait for a person, newest first: held ones and withdrawals of a death, with the rules they break and what the
    /// purpose shows of their content.
    ///
    /// # Errors
    /// `purpose-missing`; `service-unavailable`.
    pub async fn held(&self) -> Outcome<Vec<Value>> {
        self.persons()?;
        self.bulk()?;
        let journal = &self.gateway.journal;
        let withdrawals = self.gateway.schemas.messages().filter(|message| message.invalidates.is_some());
        let withdrawals: Vec<String> = withdrawals.map(|message| message.name.clone()).collect();
        // Messages about protection are for those who may see the class of their fields.
        let safety = self.gateway.schemas.messages().filter(|one| one.safety && self.purpose.class < Class::S3);
        let hidden: Vec<String> = safety.map(|message| message.name.clone()).collect();
        let rows = query::waiting_for_a_person(&journal.channel, &withdrawals, &hidden, HELD).await;
        let rows = rows.map_err(|fault| self.away(&fault))?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let stored = messages::open(&journal.channel, &journal.vault, &journal.kek, &ids).await;
        let stored = stored.map_err(|fault| self.away(&fault))?;
        let event = |id: Uuid| {
            let one = stored.iter().find(|one| one.id == id)?;
            serde_json::from_slice::<Value>(one.event.as_deref()?).ok()
        };
        let mut shown: Vec<String> = vec!["held".to_owned()];
        let mut listed = Vec::new();
        for row in &rows {
            let faults = Fault::read_all(row.problem.as_deref());
            let mut fields = Map::new();
            for (pointer, field, value) in event(row.id).iter().flat_map(|e| self.gateway.schemas.fields_in(&e["data"]))
            {
                if field.class <= self.purpose.class || self.purpose.fields.iter().any(|one| one == pointer) {
                    fields.insert(pointer.to_owned(), value.clone());
                }
            }
            shown.extend(fields.keys().cloned());
            listed.push(
                json!({"message": row.id, "corridor": row.corridor, "type": row.type_name, "placement": row.subject,
                "party": row.party, "authority": row.authority, "asserted_at": rfc3339(row.asserted_at),
                "received_at": rfc3339(row.received_at), "fields": fields,
                "violations": faults.iter().map(|fault| fault.to_json()).collect::<Vec<_>>()}),
            );
        }
        shown.sort_unstable();
        shown.dedup();
        let about: Vec<Uuid> = rows.iter().filter_map(|row| row.subject).collect();
        self.disclose(&about, &shown.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        Ok(listed)
    }

    /// The officer's decision about a message that waits.
    ///
    /// # Errors
    /// As [`decide::decide`].
    pub async fn decide(&self, verdict: &Verdict) -> Outcome<Decided> {
        decide::decide(self.gateway, &self.officer, self.purpose, verdict).await
    }
}
