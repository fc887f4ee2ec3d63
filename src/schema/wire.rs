//! The schema of one wire record of a party: its own folder's, checked by the same validator and told in the same words.

use super::violations;
use crate::message::{problem::Fault, strict_json};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// A compiled wire schema.
#[derive(Debug)]
pub struct WireSchema(jsonschema::Validator);

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
        options.build(&schema).map(Self).map_err(|fault| fault.to_string())
    }

    /// Violations, with pointers into the record.
    pub fn check(&self, record: &Value) -> Vec<Fault> {
        if self.0.is_valid(record) {
            return Vec::new();
        }
        violations::all(&self.0, record, "", &BTreeMap::new())
    }
}
