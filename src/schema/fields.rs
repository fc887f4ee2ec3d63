//! The field table: what stands beside each field in its schema (`x-field`, `x-owner`, `x-class`, …), by its pointer.
//!
//! `data` has one layout in all message types, so a pointer names a field whatever the type.

use super::catalogue::{ANY, Class};
use crate::domain::names;
use serde_json::Value;
use std::collections::BTreeMap;

/// How two values of a field are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// As they stand.
    Exact,
    /// By [`names::key`].
    Name,
    /// As decimal numbers.
    Decimal,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its number in stored facts; fields without one (ids, times, reasons) assert nothing.
    pub number: Option<u16>,
    /// Authorities whose value counts.
    pub owners: Vec<String>,
    /// How well it is protected.
    pub class: Class,
    /// Kind of identifier.
    pub identifier: Option<String>,
    /// Whether it may be sent to a partner at all.
    pub releasable: bool,
    /// How values are compared.
    pub compare: Compare,
    /// What its schema asks of a value, for people: `text of 1 to 40`, `date`, one of a few words.
    pub shape: String,
}

impl Field {
    /// Whether `authority`'s value counts.
    pub fn owned_by(&self, authority: &str) -> bool {
        self.owners.iter().any(|owner| owner == authority || owner == ANY)
    }

    /// The text that two equal values share.
    pub fn comparable(&self, value: &Value) -> String {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match self.compare {
            Compare::Exact => text,
            Compare::Name => names::key(&text),
            Compare::Decimal => match text.split_once('.') {
                Some((whole, part)) if part.bytes().all(|b| b == b'0') => whole.to_owned(),
                Some((whole, part)) => format!("{whole}.{}", part.trim_end_matches('0')),
                None => text,
            },
        }
    }
}

/// Finds the fields below `value`, which stands at `pointer`. No field's name needs escaping in a pointer (RFC 6901 §3): a member
/// whose name would is none.
pub(super) fn walk<'a>(
    table: &'a BTreeMap<String, Field>,
    value: &'a Value,
    pointer: &mut String,
    found: &mut Vec<(&'a str, &'a Field, &'a Value)>,
) {
    if let Some((known, field)) = table.get_key_value(pointer.as_str()) {
        found.push((known, field, value));
    } else if let Value::Object(members) = value {
        for (name, inner) in members.iter().filter(|(name, _)| !name.contains(['~', '/'])) {
            let length = pointer.len();
            pointer.push('/');
            pointer.push_str(name);
            walk(table, inner, pointer, found);
            pointer.truncate(length);
        }
    }
}

/// Collects the leaves of a message schema into `table`; `resolve` finds the schema of a `$ref`.
///
/// # Errors
/// A sentence that names the field whose annotations are missing or not understood.
pub(super) fn collect(
    schema: &Value,
    pointer: &str,
    resolve: &dyn Fn(&str) -> Option<Value>,
    table: &mut BTreeMap<String, Field>,
) -> Result<(), String> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target =
            resolve(reference).ok_or_else(|| format!("{pointer}: {reference} is not a schema of this folder"))?;
        return collect(&target, pointer, resolve, table);
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        return parts
            .iter()
            .filter(|part| part.get("$ref").is_some())
            .try_for_each(|part| collect(part, pointer, resolve, table));
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        return properties
            .iter()
            .try_for_each(|(name, inner)| collect(inner, &format!("{pointer}/{name}"), resolve, table));
    }
    let field = read(schema).map_err(|lack| format!("{pointer}: {lack}"))?;
    match table.insert(pointer.to_owned(), field.clone()) {
        Some(other) if other != field => Err(format!("{pointer}: described in two ways")),
        _ => Ok(()),
    }
}

fn read(schema: &Value) -> Result<Field, &'static str> {
    let owners = schema.get("x-owner").and_then(Value::as_array).ok_or("x-owner is missing")?;
    let class = schema.get("x-class").ok_or("x-class is missing")?;
    let number = match schema.get("x-field") {
        None => None,
        Some(number) => {
            Some(number.as_u64().and_then(|n| u16::try_from(n).ok()).ok_or("x-field is not a small number")?)
        }
    };
    let compare = match schema.get("x-compare").and_then(Value::as_str) {
        None => Compare::Exact,
        Some("name") => Compare::Name,
        Some("decimal") => Compare::Decimal,
        Some(_) => return Err("x-compare is none of name, decimal"),
    };
    Ok(Field {
        number,
        owners: owners.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        class: serde_json::from_value(class.clone()).map_err(|_| "x-class is none of S0 to S4")?,
        identifier: schema.get("x-identifier").and_then(Value::as_str).map(str::to_owned),
        releasable: schema.get("x-release").and_then(Value::as_str) != Some("never"),
        compare,
        shape: shape(schema),
    })
}

/// What a schema asks of a value, in a few words.
fn shape(schema: &Value) -> String {
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words
            .iter()
            .map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(only) = schema.get("const") {
        return only.to_string();
    }
    if let Some(pattern) = text("pattern") {
        return format!("text like {pattern}");
    }
    let bound = |least: &str, most: &str| match (schema.get(least), schema.get(most)) {
        (Some(least), Some(most)) => format!(" of {least} to {most}"),
        (None, Some(most)) => format!(" of up to {most}"),
        (Some(least), None) => format!(" from {least}"),
        (None, None) => String::new(),
    };
    match (text("format"), text("type")) {
        (Some("date-time"), _) => "instant".to_owned(),
        (Some("hijri-date"), _) => "Hijri date".to_owned(),
        (Some(format), _) => format.to_owned(),
        (None, Some("string")) => format!("text{}", bound("minLength", "maxLength")),
        (None, Some("integer")) => format!("whole number{}", bound("minimum", "maximum")),
        (None, Some("number")) => format!("number{}", bound("minimum", "maximum")),
        (None, Some("boolean")) => "true or false".to_owned(),
        (None, Some("array")) => format!("list{}", bound("minItems", "maxItems")),
        (None, other) => other.unwrap_or("any").to_owned(),
    }
}
