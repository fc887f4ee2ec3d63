//! `[answer]`: a route that answers in the party's own style. Each row takes something from our own answer (a receipt's envelope
//! or a problem, see [`crate::message::problem`]) and puts it where the party looks for it.
//!
//! Beside the members of our answer there are `/code` (the outcome, `repeat`, or the last part of the problem's type), `/ok`
//! (whether the record was taken) and, for a row of a file, `/line`. Of several rows for one place the first that has a value
//! wins. The receipt stays available under `/v1/messages/{id}/receipt`.

use super::row::set;
use crate::partner::body::{self, BodyFault, Format};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerFile {
    status: Option<u16>,
    #[serde(default)]
    format: Format,
    root: Option<String>,
    namespace: Option<String>,
    field: Vec<AnswerField>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerField {
    wire: String,
    /// Pointer into our answer; with `each`, of each member of that list.
    from: Option<String>,
    /// What it is called there.
    table: Option<BTreeMap<String, Value>>,
    /// What stands there for a value that the table does not have, or for none.
    default: Option<Value>,
    /// Rows of each member of the list at `from`.
    #[serde(default)]
    each: Vec<AnswerField>,
}

/// How a sender is answered.
#[derive(Debug)]
pub struct AnswerTable {
    file: AnswerFile,
    schema: Value,
}

impl AnswerFile {
    pub(super) fn compile(self) -> Result<AnswerTable, String> {
        match self.format {
            Format::Xml if self.root.is_none() => return Err("an XML answer needs root = \"…\"".to_owned()),
            Format::Csv => return Err("an answer is json, xml or form".to_owned()),
            _ => {}
        }
        let mut xml = Map::new();
        for (name, value) in [("name", &self.root), ("namespace", &self.namespace)] {
            value.as_ref().map(|value| xml.insert(name.to_owned(), value.clone().into()));
        }
        let mut schema = json!({});
        // Elements have the order of the rows.
        for field in &self.field {
            let place: String = field.wire.split('/').skip(1).map(|name| format!("/properties/{name}")).collect();
            if schema.pointer(&place).is_none() {
                set(&mut schema, &place, if field.each.is_empty() { json!({}) } else { json!({"type": "array"}) });
            }
        }
        schema["xml"] = Value::Object(xml);
        Ok(AnswerTable { file: self, schema })
    }
}

impl AnswerTable {
    /// Our answer in the party's style. `status` is ours.
    pub fn value(&self, status: u16, ours: &Value) -> Value {
        let mut ours = ours.clone();
        let problem = ours.get("type").and_then(Value::as_str).and_then(|kind| kind.rsplit(':').next());
        let outcome = if status == 200 { Some("repeat") } else { ours.get("outcome").and_then(Value::as_str) };
        let code = problem.or(outcome).unwrap_or_default().to_owned();
        ours["ok"] = Value::from(if problem.is_none() { "true" } else { "false" });
        ours["code"] = code.into();
        written(&self.file.field, &ours)
    }

    /// The status to answer with where ours would be `status`. "Nothing was stored, send again" stays what it is.
    pub fn status(&self, status: u16) -> u16 {
        self.file.status.filter(|_| status < 500).unwrap_or(status)
    }

    /// How the answer travels.
    pub fn format(&self) -> Format {
        self.file.format
    }

    /// An answer from its bytes, as its receiver reads it.
    ///
    /// # Errors
    /// [`BodyFault`].
    pub fn read(&self, bytes: &[u8]) -> Result<Value, BodyFault> {
        body::read(self.file.format, &self.schema, bytes)
    }

    /// The bytes of an answer.
    ///
    /// # Errors
    /// [`BodyFault`] where the format cannot carry it: ours to mend.
    pub fn bytes(&self, value: &Value) -> Result<Vec<u8>, BodyFault> {
        body::write(self.file.format, &self.schema, value)
    }
}

fn written(fields: &[AnswerField], ours: &Value) -> Value {
    let mut answer = Value::Object(Map::new());
    for field in fields {
        if answer.pointer(&field.wire).is_some() {
            continue;
        }
        let found = field.from.as_ref().and_then(|pointer| ours.pointer(pointer));
        let value = match (&field.each[..], found, &field.table) {
            ([], found, None) => found.cloned(),
            ([], found, Some(table)) => found.and_then(|value| table.get(&key(value)).cloned()),
            (each, found, _) => {
                let items = found.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                Some(items.iter().map(|item| written(each, item)).collect())
            }
        };
        if let Some(value) = value.or_else(|| field.default.clone()) {
            set(&mut answer, &field.wire, value);
        }
    }
    answer
}

fn key(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        status = 200
        format = "xml"
        root = "Reply"
        field = [
            { wire = "/Code", from = "/code", table = { applied = "00", held = "01" }, default = "99" },
            { wire = "/Text", from = "/messages/ms" },
            { wire = "/Text", default = "OK" },
            { wire = "/Ok", from = "/ok" },
            { wire = "/Error", from = "/violations", each = [{ wire = "/@path", from = "/pointer" }] },
        ]"#;

    fn table() -> AnswerTable {
        toml::from_str::<AnswerFile>(TABLE).unwrap().compile().unwrap()
    }

    #[test]
    fn an_answer_is_told_in_the_partys_words() {
        let taken = json!({"outcome": "held", "message": "m", "receipt": {}});
        assert_eq!(table().value(201, &taken), json!({"Code": "01", "Text": "OK", "Ok": "true", "Error": []}));
        let problem = json!({"type": "urn:onechannel:problem:schema-violation", "messages": {"ms": "Salah."},
            "violations": [{"pointer": "/a", "rule": "required"}, {"pointer": "/b", "rule": "required"}]});
        let answer = table().value(422, &problem);
        let bytes = table().bytes(&answer).unwrap();
        let text =
            "<Code>99</Code><Text>Salah.</Text><Ok>false</Ok><Error path=\"/a\"></Error><Error path=\"/b\"></Error>";
        assert!(std::str::from_utf8(&bytes).unwrap().contains(text), "{answer}");
        assert_eq!(table().read(&bytes).unwrap()["Error"][1]["@path"], "/b");
    }

    #[test]
    fn what_was_not_stored_keeps_its_status() {
        assert_eq!((table().status(422), table().status(503)), (200, 503));
        assert!(toml::from_str::<AnswerFile>("format = \"xml\"\nfield = []").unwrap().compile().is_err(), "no root");
    }
}
