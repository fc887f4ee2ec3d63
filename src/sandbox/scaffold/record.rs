//! One wire record of a new party: its mapping, its schema, its interaction.

use super::leaves::{Kind, Leaf};
use crate::{
    domain::facts::FactKind,
    message::event::split_version,
    schema::catalogue::{Direction, MessageType},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use time::{UtcOffset, format_description::well_known::Rfc3339, macros::datetime};

const ABOUT: &str = "An interaction of the contract: ${name} stands for a variable, ${name|codec} for its wire form. The demo replays \
                     the records with other variables. The wire format is invented.";
/// The field in which a record names who speaks.
const SPEAKER: &str = "authority";
/// A placement id with a good check character.
const PLACEMENT: &str = "ABCDEFGHIJKLMNOPQRSTUVWXY0";
const SENT: &str = "2027-01-01T03:00:00+00:00";
const HAPPENED: time::OffsetDateTime = datetime!(2027-01-01 01:15 UTC);

/// Which value of a message is which variable of the demo's population.
const VARIABLES: [(&str, &str); 12] = [
    ("/placement/id", "placement"),
    ("/placement/reference", "reference"),
    ("/jobOrder/reference", "order"),
    ("/contract/reference", "contract"),
    ("/travelDocument/number", "passport"),
    ("/travelDocument/replaces", "passport2"),
    ("/visa/number", "visa"),
    ("/permit/number", "permit"),
    ("/permit/borderNumber", "border"),
    ("/permit/residentNumber", "resident"),
    ("/worker/name/full", "name"),
    ("/worker/birthDate", "birth"),
];

/// The facts of a placement that goes well, until the worker is in service.
const WAY: [FactKind; 15] = [
    FactKind::JobOrder,
    FactKind::OrderDecision,
    FactKind::Registered,
    FactKind::Agreement,
    FactKind::Answer,
    FactKind::Submission,
    FactKind::Endorsement,
    FactKind::Registration,
    FactKind::RegistrationCheck,
    FactKind::Visa,
    FactKind::Clearance,
    FactKind::Exit,
    FactKind::Entry,
    FactKind::Permit,
    FactKind::PermitExpiry,
];

struct Row {
    leaf: Leaf,
    wire: String,
}

/// One wire record.
pub(super) struct Record {
    /// Name of its mapping, schema and route.
    pub(super) name: String,
    pub(super) type_name: String,
    /// Whether the party is told it, rather than sending it.
    pub(super) is_told: bool,
    pub(super) safety: bool,
    /// Whether it leads a placement on its way into service.
    pub(super) leads_on: bool,
    /// Who of the party may send it; where they are several the record names one.
    senders: Vec<String>,
    rows: Vec<Row>,
    /// (row, canonical template, wire template) of the example's values.
    values: Vec<(usize, Value, Value)>,
    variables: BTreeMap<String, String>,
    corridor: String,
}

impl Record {
    pub(super) fn new(
        message: &MessageType,
        leaves: Vec<Leaf>,
        example: &Value,
        senders: &[&str],
        withheld: &[&str],
        corridor: &str,
        zone: UtcOffset,
    ) -> Self {
        let is_told = senders.is_empty();
        let goes = |leaf: &Leaf| {
            let own = is_told && leaf.pointer == "/placement/reference";
            let kept_back = leaf.stays || own || (is_told && withheld.contains(&leaf.pointer.as_str()));
            !kept_back
        };
        let rows: Vec<Row> = leaves
            .into_iter()
            .filter(goes)
            .map(|mut leaf| {
                // Whom it is told of, a party knows by the id that this gateway gave.
                leaf.required |= is_told && leaf.pointer == "/placement/id";
                Row { wire: flat(&leaf.pointer), leaf }
            })
            .collect();
        let mut record = Self {
            name: name(message, is_told),
            type_name: message.name.clone(),
            is_told,
            safety: message.safety,
            leads_on: !message.facts.is_empty() && message.facts.iter().all(|fact| WAY.contains(&fact.kind)),
            senders: senders.iter().map(|one| (*one).to_owned()).collect(),
            rows,
            values: Vec::new(),
            variables: BTreeMap::from([("id".into(), "m-0001".into()), ("sent".into(), SENT.into())]),
            corridor: corridor.to_owned(),
        };
        record.values = record.take_values(&example["data"], zone);
        record
    }

    fn take_values(&mut self, data: &Value, zone: UtcOffset) -> Vec<(usize, Value, Value)> {
        let mut values = Vec::new();
        for (n, row) in self.rows.iter().enumerate() {
            let placement = json!(PLACEMENT);
            let told_of = self.is_told && row.leaf.pointer == "/placement/id";
            let Some(value) = data.pointer(&row.leaf.pointer).or(told_of.then_some(&placement)) else { continue };
            let variable = VARIABLES.iter().find(|(pointer, _)| *pointer == row.leaf.pointer).map(|(_, name)| *name);
            let (canonical, wire) = match &row.leaf.kind {
                Kind::Instant => {
                    let text = |zone| HAPPENED.to_offset(zone).format(&Rfc3339).unwrap_or_default();
                    self.variables.insert("happened".into(), "2027-01-01T01:15:00+00:00".into());
                    // What is read has the party's offset, however it is written in the variable.
                    let canonical = if self.is_told { json!("${happened}") } else { json!(text(zone)) };
                    (canonical, json!("${happened|datetime-iso-local}"))
                }
                Kind::BirthDate => {
                    let day = value["value"].as_str().unwrap_or_default().to_owned();
                    self.variables.insert("birth".into(), day);
                    (json!({"value": "${birth}", "precision": "DAY"}), json!("${birth}"))
                }
                Kind::Hijri => (value.clone(), json!(value.as_str().unwrap_or_default().replace('-', "/"))),
                _ => match variable {
                    Some(name) => {
                        self.variables.insert(name.into(), value.as_str().unwrap_or_default().to_owned());
                        let template = json!(format!("${{{name}}}"));
                        (template.clone(), template)
                    }
                    None => (value.clone(), value.clone()),
                },
            };
            values.push((n, canonical, wire));
        }
        values
    }

    /// Name of its interaction's file.
    pub(super) fn interaction(&self) -> String {
        if self.is_told { format!("out-{}", self.name) } else { self.name.clone() }
    }

    /// Path under which the party is told it.
    pub(super) fn path(&self) -> String {
        format!("/api/v1/{}", self.name)
    }

    /// `mapping/<name>.toml`.
    pub(super) fn mapping(&self) -> String {
        let mut text = format!(
            "# {}. The wire format is invented; it is no official interface.\n\ntype = \"{}\"\n",
            self.type_name, self.type_name
        );
        match self.senders.as_slice() {
            [] => {}
            [only] => text += &format!("authority = \"{only}\"\n"),
            several => {
                // On the left the party's code, on the right the authority.
                let codes: Vec<String> = several.iter().map(|one| format!("\"{one}\" = \"{one}\"")).collect();
                text += &format!("\n[authority]\nwire = \"/{SPEAKER}\"\ncodes = {{ {} }}\n", codes.join(", "));
            }
        }
        text += &field("/id", "messageId", "text", None, true);
        text += &field("/time", "sentAt", "datetime-iso-local", None, true);
        let mut tables = String::new();
        for Row { leaf, wire } in &self.rows {
            let codec = match &leaf.kind {
                Kind::Text => "text",
                Kind::Word(_) => "table",
                Kind::Date => "date-iso",
                Kind::Hijri => "date-hijri",
                Kind::Instant => "datetime-iso-local",
                Kind::BirthDate => "birth-date-iso",
                Kind::Money => "money-text",
                Kind::Integer => "integer",
                Kind::Number => "number",
                Kind::Boolean => "boolean",
                Kind::Texts => "texts",
            };
            let table = matches!(leaf.kind, Kind::Word(_)).then_some(wire.as_str());
            text += &field(&format!("/data{}", leaf.pointer), wire, codec, table, leaf.required);
            if let Kind::Word(words) = &leaf.kind {
                // On the left the party's code, on the right the channel's word.
                tables += &format!("\n[tables.{wire}]\n");
                words.iter().for_each(|word| tables += &format!("\"{word}\" = \"{word}\"\n"));
            }
        }
        text + &tables
    }

    /// `wire/<name>.schema.json`.
    pub(super) fn schema(&self, code: &str) -> String {
        let mut properties = Map::new();
        properties.insert("messageId".into(), json!({"type": "string"}));
        properties.insert("sentAt".into(), json!({"type": "string"}));
        let mut required = vec!["messageId", "sentAt"];
        if self.senders.len() > 1 {
            properties.insert(SPEAKER.into(), json!({"type": "string"}));
            required.push(SPEAKER);
        }
        for Row { leaf, wire } in &self.rows {
            let kind = match leaf.kind {
                Kind::Integer => "integer",
                Kind::Number => "number",
                Kind::Boolean => "boolean",
                Kind::Texts => "array",
                _ => "string",
            };
            let kind = if leaf.required { json!(kind) } else { json!([kind, "null"]) };
            properties.insert(wire.clone(), json!({"type": kind}));
            if leaf.required {
                required.push(wire);
            }
        }
        pretty(&json!({"$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": format!("urn:onechannel:wire:{code}:{}", self.name), "title": self.name,
            "description": format!("{}. Invented; no official interface. Fields beyond these are allowed and ignored.", self.type_name),
            "type": "object", "properties": properties, "required": required}))
    }

    fn record(&self) -> Map<String, Value> {
        let mut record = Map::new();
        record.insert("messageId".into(), json!("${id}"));
        record.insert("sentAt".into(), json!("${sent|datetime-iso-local}"));
        if let [first, _, ..] = self.senders.as_slice() {
            record.insert(SPEAKER.into(), json!(first));
        }
        record.extend(self.values.iter().map(|(n, _, wire)| (self.rows[*n].wire.clone(), wire.clone())));
        record
    }

    /// `contract/<interaction>.json`.
    pub(super) fn contract(&self) -> String {
        let mut data = json!({});
        for (n, canonical, _) in &self.values {
            set(&mut data, &self.rows[*n].leaf.pointer, canonical.clone());
        }
        let mut event = json!({"specversion": "1.0", "id": "${id}", "type": self.type_name, "time": "${sent}",
            "datacontenttype": "application/json"});
        if self.is_told {
            // Which authority spoke is not told: any will do.
            event["source"] = json!("urn:onechannel:home");
            event["authority"] = json!("X");
            event["corridor"] = json!(self.corridor);
            event["data"] = data;
            return pretty(&json!({"about": ABOUT, "direction": "out", "path": self.path(), "type": self.type_name,
                "variables": self.variables, "event": event, "record": self.record(), "answer": {"status": 200}}));
        }
        event["authority"] = json!(self.senders.first());
        event["data"] = data;
        pretty(&json!({"about": ABOUT, "direction": "in", "route": self.name, "variables": self.variables,
            "record": self.record(), "answer": {"status": 201, "outcome": "applied"}, "canonical": event}))
    }

    /// The interaction whose record lacks something that its schema requires.
    pub(super) fn incomplete(&self) -> String {
        let mut record = self.record();
        let lost = self.rows.iter().rfind(|row| row.leaf.required).map_or("sentAt", |row| row.wire.as_str());
        record.shift_remove(lost);
        pretty(&json!({"about": ABOUT, "direction": "in", "route": self.name, "variables": self.variables,
            "record": record, "answer": {"status": 422, "problem": "schema-violation",
                "violations": [{"pointer": "", "rule": "required"}]}}))
    }
}

/// Of a message that both sides send the party's own has a name of its own.
fn name(message: &MessageType, is_told: bool) -> String {
    let stem = split_version(&message.name).map_or(message.name.as_str(), |(stem, _)| stem).replace('.', "-");
    if is_told || message.direction != Direction::Both { stem } else { format!("own-{stem}") }
}

/// `/travelDocument/number` as `travelDocumentNumber`.
fn flat(pointer: &str) -> String {
    let mut name = String::new();
    for step in pointer.split('/').filter(|step| !step.is_empty()) {
        let (first, rest) = step.split_at(1);
        let first = if name.is_empty() { first.to_owned() } else { first.to_ascii_uppercase() };
        name += &(first + rest);
    }
    name
}

fn field(canonical: &str, wire: &str, codec: &str, table: Option<&str>, required: bool) -> String {
    let mut text = format!("\n[[field]]\ncanonical = \"{canonical}\"\nwire = \"/{wire}\"\ncodec = \"{codec}\"\n");
    if let Some(table) = table {
        text += &format!("table = \"{table}\"\n");
    }
    if required {
        text += "required = true\n";
    }
    text
}

fn set(target: &mut Value, pointer: &str, value: Value) {
    let mut here = target;
    for name in pointer.split('/').skip(1) {
        here = &mut here[name];
    }
    *here = value;
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
