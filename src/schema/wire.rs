//! The schema of one wire record of a party: its own folder's, checked by the same validator and told in the same words.
//!
//! Beside the validator it keeps the schema itself: which members a record has, which repeat, how its bytes look.

use super::violations;
use crate::message::{problem::Fault, strict_json};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// A compiled wire schema.
#[derive(Debug)]
pub struct WireSchema {
    validator: jsonschema::Validator,
    schema: Value,
}

impl WireSchema {
    /// Reads and compiles a file.
    ///
    /// # Errors
    /// A sentence.
    pub fn load(file: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(file).map_err(|fault| fault.to_string())?;
        let schema = strict_json::parse(&bytes).map_err(|fault| fault.to_string())?;
        let options =
            jsonschema::draft202012::options().should_validate_formats(true).should_ignore_unknown_formats(false);
        let validator = options.build(&schema).map_err(|fault| fault.to_string())?;
        Ok(Self { validator, schema })
    }

    /// The schema.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// Violations, with pointers into the record.
    pub fn check(&self, record: &Value) -> Vec<Fault> {
        if self.validator.is_valid(record) {
            return Vec::new();
        }
        violations::all(&self.validator, record, "", &BTreeMap::new())
    }

    /// Whether a record may have something at this pointer: every member on the way is a property of the schema; `-` is any item
    /// of a list.
    pub fn has(&self, pointer: &str) -> bool {
        let step = |schema, name| if name == "-" { items(schema) } else { property(schema, name) };
        pointer.split('/').skip(1).try_fold(&self.schema, step).is_some()
    }
}

/// The properties of an object schema, in their order in the file.
pub fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// The schema of one property.
pub fn property<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    schema.get("properties")?.get(name)
}

/// Names of the properties that a record must have.
pub fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Whether a schema's value is a list.
pub fn is_list(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == "array",
        Some(Value::Array(several)) => several.iter().any(|one| one == "array"),
        _ => false,
    }
}

/// The schema of a list's items.
pub fn items(schema: &Value) -> Option<&Value> {
    schema.get("items")
}
