//! What a mock partner sends of its own: the records of its contract, pushed to a gateway or published to be polled.

use super::{
    Mock,
    faults::{Fault, Faults},
};
use crate::{
    app::system::{SystemClock, SystemRandom},
    domain::clock::uuid_v7,
    partner::body,
    sandbox::{
        contract::{Contract, Interaction, Way},
        system::System,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is to be sent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Names of interactions; without any, all that are to be applied.
    pub only: Vec<String>,
    /// Values of variables in place of the contract's; `id` is fresh for each record unless it stands here.
    pub variables: BTreeMap<String, String>,
}

/// A record that was sent.
#[derive(Debug, Clone, Serialize)]
pub struct Pushed {
    /// Interaction.
    pub name: String,
    /// Its route.
    pub route: String,
    /// Status of the answer; 0 where there was none that could be trusted.
    pub status: u16,
    /// What became of it: an outcome, a problem, or why there is no answer.
    pub outcome: String,
    /// Id by which the gateway knows it.
    pub message: Option<String>,
}

impl Mock {
    /// Records of the contract, filled.
    ///
    /// # Errors
    /// A sentence: the contract, a name that is not in it, a variable.
    pub fn records(&self, selection: &Selection) -> Result<Vec<(String, String, Value)>, String> {
        let contract = Contract::load(&self.folder, &self.profile.zone)?;
        let wanted = |name: &String, one: &Interaction| match selection.only.as_slice() {
            [] => one.answer["outcome"] == "applied",
            names => names.contains(name),
        };
        let known = |name: &&String| contract.interactions.get(*name).is_none_or(|one| one.direction != Way::In);
        if let Some(unknown) = selection.only.iter().find(known) {
            return Err(format!("the contract has no interaction {unknown} that this party sends"));
        }
        let mut records = Vec::new();
        for (name, one) in
            contract.interactions.iter().filter(|(name, one)| one.direction == Way::In && wanted(name, one))
        {
            let mut variables = selection.variables.clone();
            let id = || format!("{}-{}", self.profile.code, uuid_v7(&SystemClock, &SystemRandom));
            variables.entry("id".to_owned()).or_insert_with(id);
            let Some(route) = &one.route else { continue };
            let bytes = contract.bytes(one, &variables).map_err(|fault| format!("{name}: {fault}"))?;
            let (format, schema) = self.sends.get(route).ok_or_else(|| format!("{name}: no route {route}"))?;
            let record = body::read(*format, schema.schema(), &bytes).map_err(|fault| format!("{name}: {fault}"))?;
            records.push((name.clone(), route.clone(), record));
        }
        Ok(records)
    }

    /// Pushes records to the gateway that `system` calls, with the faults that are on.
    ///
    /// # Errors
    /// As [`Mock::records`].
    pub async fn push(&self, system: &System, selection: &Selection) -> Result<Vec<Pushed>, String> {
        let faults = self.switches.meet();
        let records = self.records(selection)?;
        let broken = |(name, route, record): (String, String, Value)| {
            let record = self.broken(&route, record);
            (name, route, record)
        };
        let mut pushed = Vec::new();
        for (name, route, record) in
            bent_by(records, &faults, &broken, &|(name, route, record)| (name.clone(), route.clone(), changed(record)))
        {
            let path = format!("/v1/inbox/{route}");
            let (content_type, bytes) = self.encode(&route, &record);
            let reply = system.call_until_stored(&path, content_type, bytes).await;
            let (status, outcome, message) = match reply {
                Ok(reply) => {
                    let problem = reply.body["type"].as_str().and_then(|kind| kind.rsplit(':').next());
                    let outcome = problem.or(reply.body["outcome"].as_str()).unwrap_or("no outcome").to_owned();
                    (reply.status.as_u16(), outcome, reply.body["message"].as_str().map(str::to_owned))
                }
                Err(fault) => (0, fault.to_string(), None),
            };
            pushed.push(Pushed { name, route, status, outcome, message });
        }
        Ok(pushed)
    }

    /// Publishes records to be polled; gives their names.
    ///
    /// # Errors
    /// As [`Mock::records`], and for a party that is not polled.
    pub fn publish_all(&self, selection: &Selection) -> Result<Vec<String>, String> {
        if self.profile.poll.is_none() {
            return Err("this party is not polled: it pushes".to_owned());
        }
        let records = self.records(selection)?;
        Ok(records
            .into_iter()
            .map(|(name, _, record)| {
                self.publish(record);
                name
            })
            .collect())
    }

    /// A record as its bytes on the wire; as JSON, where it is so broken that its format cannot carry it.
    fn encode(&self, route: &str, record: &Value) -> (&'static str, Vec<u8>) {
        let Some((format, schema)) = self.sends.get(route) else { return ("application/json", Vec::new()) };
        let bytes = body::write(*format, schema.schema(), record);
        (format.content_type(), bytes.unwrap_or_else(|_| record.to_string().into_bytes()))
    }

    /// A record without something that its wire schema requires.
    fn broken(&self, route: &str, record: Value) -> Value {
        let Some((_, schema)) = self.sends.get(route) else { return record };
        without(&record, &|bent| !schema.check(bent).is_empty()).unwrap_or_else(|| json!([]))
    }

    pub(super) fn published_broken(&self, record: Value) -> Value {
        let pointer = self.profile.poll.as_ref().map(|poll| poll.record_type.as_str());
        let route = pointer.and_then(|pointer| record.pointer(pointer)?.as_str()).unwrap_or_default().to_owned();
        // Without its type nobody would know which schema it breaks.
        let Some((_, schema)) = self.sends.get(&route) else { return record };
        let kept = |bent: &Value| pointer.is_some_and(|p| bent.pointer(p).and_then(Value::as_str) == Some(&route));
        without(&record, &|bent| kept(bent) && !schema.check(bent).is_empty()).unwrap_or(record)
    }
}

/// The first copy of `value` that lacks one member and that `enough` accepts.
fn without(value: &Value, enough: &dyn Fn(&Value) -> bool) -> Option<Value> {
    fn members(value: &Value, at: &str, found: &mut Vec<String>) {
        for (name, inner) in value.as_object().into_iter().flatten() {
            let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            members(inner, &pointer, found);
            found.push(pointer);
        }
    }
    let mut found = Vec::new();
    members(value, "", &mut found);
    found.into_iter().find_map(|pointer| {
        let mut copy = value.clone();
        let (parent, name) = pointer.rsplit_once('/')?;
        let name = name.replace("~1", "/").replace("~0", "~");
        copy.pointer_mut(parent)?.as_object_mut()?.shift_remove(&name);
        enough(&copy).then_some(copy)
    })
}

/// The same record with another body.
fn changed(record: &Value) -> Value {
    let mut copy = record.clone();
    if let Some(members) = copy.as_object_mut() {
        members.insert("changed".to_owned(), true.into());
    }
    copy
}

/// Records of a page with the faults that are on.
pub(super) fn bent(records: Vec<Value>, faults: &Faults, broken: &dyn Fn(Value) -> Value) -> Vec<Value> {
    bent_by(records, faults, broken, &changed)
}

fn bent_by<T: Clone>(
    mut records: Vec<T>,
    faults: &Faults,
    broken: &dyn Fn(T) -> T,
    changed: &dyn Fn(&T) -> T,
) -> Vec<T> {
    if faults.has(Fault::ReorderedPush) {
        records.reverse();
    }
    let mut all = Vec::new();
    for record in records {
        let record = if faults.has(Fault::WrongSchema) { broken(record) } else { record };
        all.push(record.clone());
        if faults.has(Fault::DuplicatePush) {
            all.push(record.clone());
        }
        if faults.has(Fault::ChangedBody) {
            all.push(changed(&record));
        }
    }
    all
}
