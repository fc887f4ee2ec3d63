//! From the validator's errors to [`Fault`]s: pointer, rule and what would be right; never a value that was sent.

use super::{catalogue::Level, fields::Field};
use crate::message::problem::Fault;
use jsonschema::{ValidationError, error::ValidationErrorKind as Kind};
use serde_json::Value;
use std::collections::BTreeMap;

/// All faults of one value under one validator; `at` is where the value stands in the message.
pub(super) fn all(
    validator: &jsonschema::Validator,
    value: &Value,
    at: &str,
    fields: &BTreeMap<String, Field>,
) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for error in validator.iter_errors(value) {
        for fault in of(&error, at, fields) {
            // What breaks its schema is refused.
            let fault = fault.param("level", Level::Hard.as_str());
            // Several branches of a schema may say the same; two missing members are two faults.
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
    }
    faults
}

fn of(error: &ValidationError<'_>, at: &str, fields: &BTreeMap<String, Field>) -> Vec<Fault> {
    let pointer = format!("{at}{}", error.instance_path().as_str());
    let one = |rule: &str, expected: String| vec![Fault::new(&*pointer, rule).param("expected", expected)];
    match error.kind() {
        Kind::Required { property } => {
            vec![Fault::new(&*pointer, "required").param("field", property.as_str().unwrap_or_default())]
        }
        Kind::AdditionalProperties { unexpected } => {
            unexpected.iter().map(|name| Fault::new(member(&pointer, name), "unknown-field")).collect()
        }
        Kind::Type { kind } => {
            let is_identifier = fields.get(error.instance_path().as_str()).is_some_and(|f| f.identifier.is_some());
            if is_identifier && error.instance().is_number() {
                return vec![Fault::new(pointer, "identifier-not-text")];
            }
            one("type", types(kind))
        }
        Kind::Format { format } => match format.as_str() {
            "hijri-date" => vec![Fault::new(pointer, "hijri-date")],
            other => one("format", other.to_owned()),
        },
        Kind::Pattern { pattern } => one("pattern", pattern.clone()),
        Kind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            one("enum", options.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
        }
        Kind::Constant { expected_value } => one("enum", expected_value.to_string()),
        Kind::MinLength { limit } => one("length", format!("≥ {limit}")),
        Kind::MaxLength { limit } => one("length", format!("≤ {limit}")),
        Kind::Minimum { limit } => one("range", format!("≥ {limit}")),
        Kind::Maximum { limit } => one("range", format!("≤ {limit}")),
        Kind::AnyOf { context } => {
            let wanted = context.iter().flatten().filter_map(|inner| match inner.kind() {
                Kind::Required { property } => property.as_str(),
                _ => None,
            });
            vec![Fault::new(pointer, "one-of-required").param("field", wanted.collect::<Vec<_>>().join(", "))]
        }
        other => one("schema", other.keyword().to_owned()),
    }
}

fn types(kind: &jsonschema::error::TypeKind) -> String {
    match kind {
        jsonschema::error::TypeKind::Single(one) => one.to_string(),
        jsonschema::error::TypeKind::Multiple(several) => {
            several.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
        }
    }
}

/// The pointer of a member, if its name looks like a name and not like content.
fn member(object: &str, name: &str) -> String {
    let plain = name.len() <= 40 && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    if plain { format!("{object}/{name}") } else { object.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_a_schema_allows_is_named_and_no_other() {
        let schema = serde_json::json!({"type": ["string", "null"]});
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let faults = all(&validator, &serde_json::json!(5), "", &BTreeMap::new());
        let expected = faults[0].params.iter().find(|(name, _)| name == "expected").map(|(_, text)| text.as_str());
        assert_eq!(expected, Some("null, string"));
    }
}
