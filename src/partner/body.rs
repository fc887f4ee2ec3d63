//! Bodies: bytes in a party's format and the value that its wire schema describes, both ways.
//!
//! A mapping knows values only; here a value becomes JSON, XML, a form or a CSV file and comes back. What XML and CSV leave open
//! stands in the wire schema, in the manner of OpenAPI's `xml` object: `"xml": {"name", "namespace"}` names the root element,
//! `"type": "array"` says which elements repeat, a property whose name begins with `@` is an attribute, `"csv": {"delimiter",
//! "bom"}` says how a file looks. Everything is total: any bytes give a value or a [`BodyFault`]. Whether a value satisfies its
//! schema is for [`crate::schema::wire`].

mod delimited;
mod form;
mod xml;

pub use delimited::{Row, Rows};

use crate::message::strict_json;
use serde::Deserialize;
use serde_json::Value;

/// How a record travels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// RFC 8259, strict.
    #[default]
    Json,
    /// XML 1.0 in UTF-8 without document types, entities, processing instructions or prefixes.
    Xml,
    /// `application/x-www-form-urlencoded`, flat.
    Form,
    /// RFC 4180 with a header line: a batch, one record a row.
    Csv,
}

impl Format {
    /// What we state for a body that we write.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml",
            Self::Form => "application/x-www-form-urlencoded",
            Self::Csv => "text/csv",
        }
    }

    /// Whether a body of this media type (without parameters) may be of this format.
    pub fn is_media_type(self, media_type: &str) -> bool {
        let other = if self == Self::Xml { "text/xml" } else { "" };
        [self.content_type(), other].iter().any(|own| !own.is_empty() && own.eq_ignore_ascii_case(media_type))
    }
}

/// Why a body cannot be read or written. No content is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({position})")]
pub struct BodyFault {
    /// A short stable word for answers and metrics.
    pub reason: &'static str,
    /// Where: a byte offset, or line and column; empty for a value that cannot be written.
    pub position: String,
}

impl BodyFault {
    fn at(reason: &'static str, offset: usize) -> Self {
        Self { reason, position: format!("byte {offset}") }
    }

    fn unwritten(reason: &'static str) -> Self {
        Self { reason, position: String::new() }
    }
}

/// Reads one record; `schema` is the wire schema of the route.
///
/// # Errors
/// [`BodyFault`]. A CSV body is a batch: it is read by [`Rows::read`], and here it must have one row.
pub fn read(format: Format, schema: &Value, bytes: &[u8]) -> Result<Value, BodyFault> {
    match format {
        Format::Json => {
            strict_json::parse(bytes).map_err(|fault| BodyFault { reason: fault.reason(), position: fault.to_string() })
        }
        Format::Xml => xml::read(schema, bytes),
        Format::Form => form::read(bytes),
        Format::Csv => {
            let mut rows = Rows::read(schema, bytes)?.rows;
            match (rows.pop(), rows.is_empty()) {
                (Some(Row { record: Some(record), .. }), true) => Ok(record),
                _ => Err(BodyFault::at("csv-one-row", 0)),
            }
        }
    }
}

/// Writes one record (a CSV file of one row); the inverse of [`read`] for values that the format can carry.
///
/// # Errors
/// [`BodyFault`] for a value that the format cannot carry.
pub fn write(format: Format, schema: &Value, record: &Value) -> Result<Vec<u8>, BodyFault> {
    match format {
        Format::Json => Ok(record.to_string().into_bytes()),
        Format::Xml => xml::write(schema, record),
        Format::Form => form::write(record),
        Format::Csv => delimited::write(schema, std::slice::from_ref(record)),
    }
}

/// A CSV file of several records.
///
/// # Errors
/// As [`write`].
pub fn write_rows(schema: &Value, records: &[Value]) -> Result<Vec<u8>, BodyFault> {
    delimited::write(schema, records)
}

/// The text of a scalar in formats that know only text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, BodyFault> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|fault| BodyFault::at("not-utf8", fault.valid_up_to()))
}

#[cfg(test)]
mod tests;
