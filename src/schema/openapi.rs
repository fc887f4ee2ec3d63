//! The OpenAPI document: `openapi.json` of the folder, with what follows from the rest of the folder put in.
//!
//! The file refers to schemas by their files. Here each of them becomes a component under the end of its `$id` (`placement`,
//! `movement.arrived.v1`), every reference leads into the document, each type of the catalogue gets its event, and purposes are
//! listed. So one download is whole: few makers of clients follow other files, fewer an `$id`; and one inside would turn the
//! references below it away from the document. Which routes there are is not known here: a test holds the file to them.

use super::catalogue::{MessageType, Purpose};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};

/// The address that stands in the file in place of the gateway's own.
const ADDRESS: &str = "https://channel.example";
const COMPONENTS: &str = "#/components/schemas/";

/// What goes into the document.
pub(super) struct Parts<'a> {
    /// The schemas by their file below the folder.
    pub(super) schemas: &'a BTreeMap<String, Value>,
    pub(super) messages: Vec<&'a MessageType>,
    pub(super) purposes: &'a [Purpose],
}

impl Parts<'_> {
    /// The whole document.
    ///
    /// # Errors
    /// A reference that leads nowhere; a place that is not there.
    pub(super) fn put_into(&self, mut document: Value) -> Result<Value, String> {
        let mut names: HashMap<&str, &str> = HashMap::new();
        for (file, schema) in self.schemas {
            let id = schema.get("$id").and_then(Value::as_str).unwrap_or_default();
            names.extend([(file.as_str(), name(id)), (id, name(id))]);
        }
        lead_inside(&mut document, &names, "")?;
        let place = |document: &mut Value, pointer: &str, put: &dyn Fn(&mut Map<String, Value>)| {
            let found = document.pointer_mut(pointer).and_then(Value::as_object_mut);
            found.map(put).ok_or_else(|| format!("{pointer} is not there"))
        };
        let mut components = Map::new();
        for schema in self.schemas.values() {
            let (id, component) = component(schema, &names)?;
            components.insert(id, component);
        }
        let envelope = components.get("envelope").cloned().ok_or("no envelope")?;
        for message in &self.messages {
            components.insert(event_name(message), event(&envelope, message));
        }
        components.insert("Event".into(), self.any_event());
        place(&mut document, "/components/schemas", &|schemas| schemas.extend(components.clone()))?;
        let purposes: Vec<&str> = self.purposes.iter().map(|purpose| purpose.name.as_str()).collect();
        place(&mut document, "/components/parameters/Purpose/schema", &|schema| {
            schema.insert("enum".into(), json!(purposes));
        })?;
        lift_parts(&mut document)?;
        resolve(&document, &document)?;
        Ok(document)
    }

    /// Every event that some authority may send, told apart by its type.
    fn any_event(&self) -> Value {
        let sent: Vec<&&MessageType> = self.messages.iter().filter(|message| !message.senders.is_empty()).collect();
        let reference = |message: &MessageType| format!("{COMPONENTS}{}", event_name(message));
        let mapping: Map<String, Value> =
            sent.iter().map(|message| (message.name.clone(), reference(message).into())).collect();
        json!({"description": "A message: the envelope, and `data` by its type.",
            "oneOf": sent.iter().map(|message| json!({"$ref": reference(message)})).collect::<Vec<_>>(),
            "discriminator": {"propertyName": "type", "mapping": mapping}})
    }
}

/// The document of the gateway at `address`.
pub(super) fn at(document: &Value, address: &str) -> Value {
    let mut own = document.clone();
    each(&mut own, &mut |value| {
        if let Value::String(text) = value
            && let Some(path) = text.strip_prefix(ADDRESS)
        {
            *text = format!("{address}{path}");
        }
        Ok(())
    })
    .unwrap_or_default();
    own
}

fn name(id: &str) -> &str {
    id.rsplit(':').next().unwrap_or_default()
}

fn event_name(message: &MessageType) -> String {
    format!("event.{}", message.name)
}

/// The envelope with this type and its data. Whole rather than put together by `allOf`, of which many makers of clients keep only the
/// envelope's `data`; and a single word is an `enum` of one, which more of them know than `const`.
fn event(envelope: &Value, message: &MessageType) -> Value {
    let list = |authorities: &[String]| match authorities {
        [] => "nobody".to_owned(),
        some => some.join(", "),
    };
    let (code, senders, recipients) = (&message.code, list(&message.senders), list(&message.recipients));
    let mut event = envelope.clone();
    if let Some(members) = event.as_object_mut() {
        members.shift_remove("x-schema-id");
    }
    event["description"] = format!("{code}. From {senders}; to {recipients}.").into();
    event["properties"]["type"] = json!({"type": "string", "enum": [message.name]});
    event["properties"]["data"] = json!({"$ref": format!("{COMPONENTS}{}", message.name)});
    event
}

fn component(schema: &Value, names: &HashMap<&str, &str>) -> Result<(String, Value), String> {
    let id = schema.get("$id").and_then(Value::as_str).unwrap_or_default();
    let mut own = schema.clone();
    lead_inside(&mut own, names, &format!("{COMPONENTS}{}", name(id)))?;
    if let Some(members) = own.as_object_mut() {
        members.shift_remove("$schema");
        members.shift_remove("$id");
        // Some makers of clients name a type by its title rather than by its component.
        members.shift_remove("title");
        members.insert("x-schema-id".into(), id.into());
    }
    Ok((name(id).to_owned(), own))
}

/// Turns references to files and ids into references into the document; `here` is where a schema that refers to itself stands.
fn lead_inside(value: &mut Value, names: &HashMap<&str, &str>, here: &str) -> Result<(), String> {
    each(value, &mut |value| {
        let Some(Value::String(reference)) = value.get_mut("$ref") else { return Ok(()) };
        let (target, inner) = reference.split_once('#').unwrap_or((reference, ""));
        *reference = match (target, names.get(target)) {
            ("", _) if here.is_empty() => format!("#{inner}"),
            ("", _) => format!("{here}{inner}"),
            (_, Some(name)) => format!("{COMPONENTS}{name}{inner}"),
            (_, None) => return Err(format!("{reference}: no schema of this folder")),
        };
        Ok(())
    })
}

/// Makes a component of each part of one that another refers to: few makers of clients follow a reference into the middle.
fn lift_parts(document: &mut Value) -> Result<(), String> {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    each(document, &mut |value| {
        let Some(Value::String(reference)) = value.get_mut("$ref") else { return Ok(()) };
        let inner = reference.strip_prefix(COMPONENTS).and_then(|pointer| pointer.split_once('/'));
        let Some((component, inner)) = inner else { return Ok(()) };
        let part = format!("{component}.{}", inner.rsplit('/').next().unwrap_or(inner));
        let whole = format!("{COMPONENTS}{part}");
        parts.insert(part, std::mem::replace(reference, whole));
        Ok(())
    })?;
    for (name, reference) in parts {
        let place = document.pointer_mut(reference.trim_start_matches('#'));
        let place = place.ok_or_else(|| format!("{reference} leads nowhere"))?;
        let part = std::mem::replace(place, json!({"$ref": format!("{COMPONENTS}{name}")}));
        document["components"]["schemas"][name] = part;
    }
    Ok(())
}

/// Does something to a value and to all that is in it.
fn each(value: &mut Value, what: &mut dyn FnMut(&mut Value) -> Result<(), String>) -> Result<(), String> {
    what(value)?;
    match value {
        Value::Object(members) => members.values_mut().try_for_each(|member| each(member, what)),
        Value::Array(items) => items.iter_mut().try_for_each(|item| each(item, what)),
        _ => Ok(()),
    }
}

/// Every reference in `value` leads to something in `document`.
fn resolve(value: &Value, document: &Value) -> Result<(), String> {
    if let Some(Value::String(reference)) = value.get("$ref") {
        let found = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        found.ok_or_else(|| format!("{reference} leads nowhere"))?;
    }
    match value {
        Value::Object(members) => members.values().try_for_each(|member| resolve(member, document)),
        Value::Array(items) => items.iter().try_for_each(|item| resolve(item, document)),
        _ => Ok(()),
    }
}
