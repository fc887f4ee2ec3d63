//! CloudEvents 1.0 in JSON as this channel uses them: the attributes the gateway acts on, read from an already strict value.
//!
//! Whether the event satisfies its schema is for [`crate::schema`]; this only picks out what a valid one says.

use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Largest single message in bytes.
pub const SINGLE_MAX: usize = 1 << 20;
/// Largest batch in bytes.
pub const BATCH_MAX: usize = 16 << 20;
/// Most items in a batch.
pub const BATCH_ITEMS_MAX: usize = 1_000;

/// The attributes of one event, borrowed from it.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'v> {
    /// Sender's id of the message, unique per `source`.
    pub id: &'v str,
    /// The system it came from.
    pub source: &'v str,
    /// Catalogue entry, such as `movement.arrived.v1`.
    pub type_name: &'v str,
    /// Authority in whose name the facts are asserted.
    pub authority: &'v str,
    /// Corridor stated by a home system.
    pub corridor: Option<&'v str>,
    /// When the facts were asserted.
    pub time: OffsetDateTime,
    /// Author's revision of these facts.
    pub revision: Option<i64>,
    /// The message type's own content.
    pub data: &'v Value,
}

impl<'v> Attributes<'v> {
    /// Reads a schema-valid event; `None` where a required attribute is absent or unreadable.
    pub fn of(event: &'v Value) -> Option<Self> {
        let text = |name: &str| event.get(name).and_then(Value::as_str);
        Some(Self {
            id: text("id")?,
            source: text("source")?,
            type_name: text("type")?,
            authority: text("authority")?,
            corridor: text("corridor"),
            time: OffsetDateTime::parse(text("time")?, &Rfc3339).ok()?,
            revision: event.get("revision").and_then(Value::as_i64),
            data: event.get("data")?,
        })
    }
}

/// A type name split into its object path and version: `movement.arrived.v1` → (`movement.arrived`, 1).
pub fn split_version(type_name: &str) -> Option<(&str, u32)> {
    let (stem, version) = type_name.rsplit_once(".v")?;
    Some((stem, version.parse().ok()?))
}
