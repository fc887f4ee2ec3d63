//! A two-way table between one wire record of a party and one canonical event: `mapping/<name>.toml`.
//!
//! Each row names a canonical pointer, a wire pointer and a [`codec`]; reading and writing use the same row, so that one
//! table serves both directions. What a row cannot carry back is declared `lossy`. Whether the result satisfies a schema is
//! for [`crate::schema`]; wire fields that no row names are ignored.

pub(crate) mod codec;

use super::PartyFault;
use codec::Codec;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::Path};
use time::UtcOffset;

/// What a wire record or an event breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireFault {
    /// Line of the mapping file.
    pub line: usize,
    /// Pointer into the canonical event.
    pub canonical: String,
    /// Pointer into the wire record.
    pub wire: String,
    /// What the codec expected.
    pub rule: &'static str,
}

/// A compiled mapping file.
#[derive(Debug)]
pub struct Mapping {
    /// Catalogue type.
    pub type_name: String,
    /// In whose name inbound records speak.
    pub authority: Option<String>,
    rows: Vec<Row>,
    constants: Vec<Constant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    r#type: String,
    authority: Option<String>,
    #[serde(default)]
    field: Vec<toml::Spanned<Field>>,
    #[serde(default)]
    constant: Vec<Constant>,
    #[serde(default)]
    tables: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    canonical: String,
    #[serde(default)]
    wire: String,
    codec: String,
    table: Option<String>,
    prefix: Option<String>,
    #[serde(default)]
    parts: Vec<String>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    on_missing: OnMissing,
    #[serde(default)]
    lossy: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnMissing {
    #[default]
    Omit,
    Null,
    Dash,
}

/// A value that one side always has and the other never sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Constant {
    canonical: Option<String>,
    wire: Option<String>,
    value: Value,
    /// Only where the other side has something at this pointer.
    when: Option<String>,
}

#[derive(Debug)]
struct Row {
    line: usize,
    field: Field,
    codec: Codec,
}

impl Mapping {
    /// Reads a file of a party whose local times have `zone`.
    ///
    /// # Errors
    /// [`PartyFault`] naming the line.
    pub fn load(file: &Path, zone: UtcOffset) -> Result<Self, PartyFault> {
        let text = std::fs::read_to_string(file).map_err(|fault| PartyFault::of(file, fault))?;
        Self::parse(&text, zone).map_err(|fault| PartyFault::of(file, fault))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// A sentence naming the line.
    pub(crate) fn parse(text: &str, zone: UtcOffset) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|fault| fault.to_string())?;
        let rows = file.field.into_iter().map(|spanned| {
            let line = text[..spanned.span().start].matches('\n').count() + 1;
            let field = spanned.into_inner();
            let table = field.table.as_ref().map(|name| {
                file.tables.get(name).cloned().ok_or_else(|| format!("line {line}: there is no [tables.{name}]"))
            });
            let codec = Codec::new(&field.codec, zone, table.transpose()?, field.prefix.clone());
            let codec = codec.map_err(|fault| format!("line {line}: {fault}"))?;
            Ok(Row { line, field, codec })
        });
        Ok(Self {
            type_name: file.r#type,
            authority: file.authority,
            rows: rows.collect::<Result<_, String>>()?,
            constants: file.constant,
        })
    }

    /// Reads a wire record as a canonical event (without `source`, which the caller knows).
    ///
    /// # Errors
    /// Every row that cannot be read; no values are repeated.
    pub fn to_canonical(&self, wire: &Value) -> Result<Value, Vec<WireFault>> {
        let mut event =
            serde_json::json!({"specversion": "1.0", "type": self.type_name, "datacontenttype": "application/json"});
        if let Some(authority) = &self.authority {
            event["authority"] = authority.clone().into();
        }
        event["data"] = Value::Object(Map::new());
        let mut faults = Vec::new();
        for row in &self.rows {
            match row.read(wire) {
                Ok(Some(value)) => set(&mut event, &row.field.canonical, value),
                Ok(None) if row.field.required => faults.push(row.fault("required")),
                Ok(None) => {}
                Err(rule) => faults.push(row.fault(rule)),
            }
        }
        for constant in &self.constants {
            let Some(pointer) = &constant.canonical else { continue };
            let given = |at: &String| wire.pointer(at).is_some_and(|value| !codec::is_missing(value));
            if constant.when.as_ref().is_none_or(given) {
                set(&mut event, pointer, constant.value.clone());
            }
        }
        if faults.is_empty() { Ok(event) } else { Err(faults) }
    }

    /// Writes a canonical event as a wire record.
    ///
    /// # Errors
    /// Every row whose value has no wire form.
    pub fn to_wire(&self, event: &Value) -> Result<Value, Vec<WireFault>> {
        let mut wire = Value::Object(Map::new());
        let mut faults = Vec::new();
        for constant in &self.constants {
            let Some(pointer) = &constant.wire else { continue };
            if constant.when.as_ref().is_none_or(|at| event.pointer(at).is_some()) {
                set(&mut wire, pointer, constant.value.clone());
            }
        }
        for row in &self.rows {
            match row.write(event, &mut wire) {
                Ok(true) => {}
                Ok(false) if row.field.required => faults.push(row.fault("required")),
                Ok(false) => row.missing(&mut wire),
                Err(rule) => faults.push(row.fault(rule)),
            }
        }
        if faults.is_empty() { Ok(wire) } else { Err(faults) }
    }

    /// Canonical pointers that do not survive the way out and back.
    pub fn lossy(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().filter(|row| row.field.lossy).map(|row| row.field.canonical.as_str())
    }

    /// Canonical pointers of all rows.
    pub fn pointers(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|row| row.field.canonical.as_str())
    }
}

impl Row {
    fn read(&self, wire: &Value) -> Result<Option<Value>, &'static str> {
        if self.field.parts.is_empty() {
            let value = wire.pointer(&self.field.wire).filter(|value| !codec::is_missing(value));
            return value.map(|value| self.codec.read(value)).transpose();
        }
        let mut words = Vec::new();
        for part in &self.field.parts {
            match wire.pointer(part).filter(|value| !codec::is_missing(value)).map(|value| self.codec.read(value)) {
                None => {}
                Some(Ok(Value::String(word))) => words.push(word),
                Some(Ok(_)) => return Err("text"),
                Some(Err(rule)) => return Err(rule),
            }
        }
        Ok((!words.is_empty()).then(|| words.join(" ").into()))
    }

    /// Whether there was anything to write.
    fn write(&self, event: &Value, wire: &mut Value) -> Result<bool, &'static str> {
        let Some(value) = event.pointer(&self.field.canonical).filter(|value| !value.is_null()) else {
            return Ok(false);
        };
        let written = self.codec.write(value)?;
        if self.field.parts.is_empty() {
            set(wire, &self.field.wire, written);
            return Ok(true);
        }
        // First word, words between, last word: reading joins them again in this order.
        let text = written.as_str().unwrap_or_default().to_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        for (n, part) in self.field.parts.iter().enumerate() {
            let last = n + 1 == self.field.parts.len();
            let piece = if last {
                words.get(n..).unwrap_or_default().join(" ")
            } else {
                words.get(n).map_or(String::new(), |w| (*w).to_owned())
            };
            set(wire, part, if piece.is_empty() { "-".into() } else { piece.into() });
        }
        Ok(true)
    }

    fn missing(&self, wire: &mut Value) {
        let value = match self.field.on_missing {
            OnMissing::Omit => return,
            OnMissing::Null => Value::Null,
            OnMissing::Dash => "-".into(),
        };
        set(wire, &self.field.wire, value);
    }

    fn fault(&self, rule: &'static str) -> WireFault {
        let wire = self.field.parts.first().unwrap_or(&self.field.wire).clone();
        WireFault { line: self.line, canonical: self.field.canonical.clone(), wire, rule }
    }
}

/// Sets a value by its pointer, making the objects on the way.
fn set(target: &mut Value, pointer: &str, value: Value) {
    let mut here = target;
    for name in pointer.split('/').skip(1) {
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        let Value::Object(members) = here else { return };
        here = members.entry(name.to_owned()).or_insert(Value::Null);
    }
    *here = value;
}

#[cfg(test)]
mod tests;
