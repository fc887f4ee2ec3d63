//! The folder `schemas/`, compiled: a message goes in, all its violations come out.
//!
//! Formats are asserted, unknown formats refused, references resolved inside the folder only. Nothing here knows a message
//! type, an authority or a kind of identifier: they are data of the folder. What follows from a violation is decided above.

pub mod bundle;
pub mod catalogue;
pub mod fields;
mod identifiers;
mod openapi;
mod violations;
pub mod wire;

use crate::{
    domain::{calendars::HijriDate, facts::FactKind},
    message::{event, problem::Fault, strict_json},
};
use catalogue::{
    About, CatalogueFile, Class, ClockEntry, ExceptionEntry, Level, Link, MadeFor, MessageType, Named, Purpose,
    PurposeFile, Search,
};
use fields::Field;
use identifiers::IdentifierRules;
use jsonschema::{Registry, Validator};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

/// Why the folder cannot be used; all faults come at once.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {fault}")]
pub struct SchemaFault {
    /// Which file.
    pub file: String,
    /// What is wrong with it.
    pub fault: String,
}

impl SchemaFault {
    fn of(file: &Path, fault: impl ToString) -> Self {
        Self { file: file.display().to_string(), fault: fault.to_string() }
    }
}

/// The compiled folder.
#[derive(Debug)]
pub struct Schemas {
    /// Everything by which a message finds what it is about.
    pub links: Vec<Link>,
    /// What messages name besides what they are about.
    pub mentions: Vec<Named>,
    /// Kind of the link that names a case.
    pub case_kind: String,
    /// Numbers of the fields in which a registered contract must not differ from the endorsed one.
    pub contract_fields: BTreeSet<u16>,
    /// What is awaited until when.
    pub clocks: Vec<ClockEntry>,
    /// Whose work an exception is.
    pub exceptions: Vec<ExceptionEntry>,
    /// Everything by which officers may search.
    pub searches: Vec<Search>,
    /// Why officers may look.
    pub purposes: Vec<Purpose>,
    /// SHA-256 over the names and bytes of all files: part of the policy of every entry.
    pub digest: [u8; 32],
    messages: HashMap<String, (MessageType, Validator)>,
    envelope: Validator,
    fields: BTreeMap<String, Field>,
    identifiers: IdentifierRules,
    openapi: Value,
}

impl Schemas {
    /// Reads and compiles the folder.
    ///
    /// # Errors
    /// Every fault found, not the first only.
    pub fn load(folder: &Path) -> Result<Self, Vec<SchemaFault>> {
        let one = |fault| vec![fault];
        let catalogue: CatalogueFile = read_toml(&folder.join("catalogue.toml")).map_err(one)?;
        let purposes: PurposeFile = read_toml(&folder.join("purposes.toml")).map_err(one)?;
        let files = files(folder).map_err(one)?;
        let mut faults = Vec::new();
        let mut by_id: BTreeMap<String, Value> = BTreeMap::new();
        let mut by_file: HashMap<PathBuf, String> = HashMap::new();
        for file in files.iter().filter(|file| file.to_string_lossy().ends_with(".schema.json")) {
            match read_schema(file) {
                Ok((id, schema)) => {
                    by_file.insert(file.clone(), id.clone());
                    by_id.insert(id, schema);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let registry = Registry::new()
            .extend(by_id.iter().map(|(id, schema)| (id.as_str(), schema)))
            .and_then(jsonschema::RegistryBuilder::prepare)
            .map_err(|fault| one(SchemaFault::of(folder, fault)))?;
        let mut fields = BTreeMap::new();
        let mut messages = HashMap::new();
        let resolve = |reference: &str| {
            let (id, inner) = reference.split_once('#').unwrap_or((reference, ""));
            by_id.get(id)?.pointer(inner).cloned()
        };
        for message in catalogue.message {
            let file = folder.join(&message.schema);
            let Some(schema) = by_file.get(&file).and_then(|id| by_id.get(id)) else {
                faults.push(SchemaFault::of(&file, format!("{} names it, but it is not there", message.code)));
                continue;
            };
            if let Err(fault) = fields::collect(schema, "", &resolve, &mut fields) {
                faults.push(SchemaFault::of(&file, fault));
            }
            match compile(&registry, schema) {
                Ok(validator) => drop(messages.insert(message.name.clone(), (message, validator))),
                Err(fault) => faults.push(SchemaFault::of(&file, fault)),
            }
        }
        let mut numbers: Vec<u16> = fields.values().filter_map(|field| field.number).collect();
        numbers.sort_unstable();
        if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
            faults.push(SchemaFault::of(folder, "two fields have the same x-field"));
        }
        let envelope = by_id.get("urn:onechannel:schema:envelope").ok_or_else(|| "no envelope schema".to_owned());
        let envelope =
            envelope.and_then(|schema| compile(&registry, schema)).map_err(|fault| SchemaFault::of(folder, fault));
        let mut contract_fields = BTreeSet::new();
        for pointer in &catalogue.contract.fields {
            match fields.get(pointer).and_then(|field| field.number) {
                Some(number) => drop(contract_fields.insert(number)),
                None => faults.push(SchemaFault::of(folder, format!("[contract] {pointer} is no field with x-field"))),
            }
        }
        let identifiers = IdentifierRules::load(folder, &fields).map_err(|found| faults.extend(found)).ok();
        let kept = bundle::read(folder, bundle::SCHEMAS).map_err(|(file, fault)| one(SchemaFault::of(&file, fault)))?;
        let digest = bundle::digest_of(&kept);
        let parts = openapi::Parts {
            schemas: &by_file
                .iter()
                .filter_map(|(file, id)| {
                    Some((file.strip_prefix(folder).ok()?.to_str()?.to_owned(), by_id.get(id)?.clone()))
                })
                .collect(),
            messages: sorted(messages.values().map(|(message, _)| message)),
            purposes: &purposes.purpose,
        };
        let file = folder.join("openapi.json");
        let openapi = read_json(&file)
            .and_then(|document| parts.put_into(document).map_err(|fault| SchemaFault::of(&file, fault)))
            .map_err(|fault| faults.push(fault))
            .ok();
        match (envelope, identifiers, openapi) {
            (Ok(envelope), Some(identifiers), Some(openapi)) if faults.is_empty() => Ok(Self {
                links: catalogue.link,
                mentions: catalogue.mention,
                case_kind: catalogue.case.kind,
                contract_fields,
                clocks: catalogue.clock,
                exceptions: catalogue.exception,
                searches: catalogue.search,
                purposes: purposes.purpose,
                digest,
                messages,
                envelope,
                fields,
                identifiers,
                openapi,
            }),
            (Ok(_), ..) => Err(faults),
            (Err(fault), ..) => {
                faults.push(fault);
                Err(faults)
            }
        }
    }

    /// How well a clock is protected: as the message that starts it.
    pub fn class_of_clock(&self, clock: &ClockEntry) -> Class {
        let safety = self.messages().any(|message| message.code == clock.code && message.safety);
        if safety { Class::S3 } else { Class::S1 }
    }

    /// How well the value of a fact is protected: as the best protected field it is read from.
    pub fn class_of_fact(&self, kind: FactKind) -> Class {
        let facts = self.messages().flat_map(|message| &message.facts).filter(|fact| fact.kind == kind);
        let classes = facts.filter_map(|fact| Some(self.field(fact.value.as_ref()?)?.class));
        classes.max().unwrap_or(Class::S0)
    }

    /// Whether a type is that of officers' decisions.
    pub fn is_decision(&self, type_name: &str) -> bool {
        self.message(type_name).is_some_and(|message| message.gateway == Some(MadeFor::Decision))
    }

    /// A message type by its CloudEvents name.
    pub fn message(&self, name: &str) -> Option<&MessageType> {
        Some(&self.messages.get(name)?.0)
    }

    /// All message types.
    pub fn messages(&self) -> impl Iterator<Item = &MessageType> {
        self.messages.values().map(|(message, _)| message)
    }

    /// The type of the messages that the gateway makes for a purpose.
    pub fn made_for(&self, purpose: MadeFor) -> Option<&MessageType> {
        self.messages().find(|message| message.gateway == Some(purpose))
    }

    /// Whether some version of this type is known.
    pub fn knows_object(&self, name: &str) -> bool {
        let stem = event::split_version(name).map(|(stem, _)| stem);
        stem.is_some() && self.messages.keys().any(|known| event::split_version(known).map(|(stem, _)| stem) == stem)
    }

    /// A field by its pointer into `data`.
    pub fn field(&self, pointer: &str) -> Option<&Field> {
        self.fields.get(pointer)
    }

    /// The field table, in order of pointers.
    pub fn fields(&self) -> &BTreeMap<String, Field> {
        &self.fields
    }

    /// What `data` carries of the field table: pointer, field and value, in order of pointers.
    pub fn fields_in<'a>(&'a self, data: &'a Value) -> Vec<(&'a str, &'a Field, &'a Value)> {
        let mut found = Vec::new();
        fields::walk(&self.fields, data, &mut String::with_capacity(64), &mut found);
        found.sort_unstable_by_key(|(pointer, ..)| *pointer);
        found
    }

    /// Violations of the envelope.
    pub fn check_envelope(&self, event: &Value) -> Vec<Fault> {
        if self.envelope.is_valid(event) {
            return Vec::new();
        }
        violations::all(&self.envelope, event, "", &BTreeMap::new())
    }

    /// Violations of `data` under its type's schema; empty for a type that is not known.
    pub fn check_data(&self, type_name: &str, data: &Value) -> Vec<Fault> {
        match self.messages.get(type_name) {
            Some((_, validator)) if !validator.is_valid(data) => {
                violations::all(validator, data, "/data", &self.fields)
            }
            _ => Vec::new(),
        }
    }

    /// Broken rules of the identifiers, the pairs of dates and the amounts in `data`, with their level, which each fault also names
    /// in its parameter `level`.
    pub fn check_identifiers(&self, data: &Value) -> Vec<(Level, Fault)> {
        self.identifiers.judge(data, &self.fields_in(data))
    }

    /// The OpenAPI document of the gateway at `address`, with every schema of the folder inside.
    pub fn openapi(&self, address: &str) -> Value {
        openapi::at(&self.openapi, address)
    }

    /// Links of messages about `about`.
    pub fn links_of(&self, about: About) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| link.about == about)
    }
}

fn compile(registry: &Registry<'_>, schema: &Value) -> Result<Validator, String> {
    jsonschema::draft202012::options()
        .with_registry(registry)
        .with_format("hijri-date", is_hijri_date)
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .build(schema)
        .map_err(|fault| fault.to_string())
}

fn is_hijri_date(text: &str) -> bool {
    !text.contains('/') && HijriDate::parse(text).is_some()
}

fn read_toml<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T, SchemaFault> {
    let text = fs::read_to_string(file).map_err(|fault| SchemaFault::of(file, fault))?;
    toml::from_str(&text).map_err(|fault| SchemaFault::of(file, fault))
}

fn read_json(file: &Path) -> Result<Value, SchemaFault> {
    let bytes = fs::read(file).map_err(|fault| SchemaFault::of(file, fault))?;
    strict_json::parse(&bytes).map_err(|fault| SchemaFault::of(file, fault))
}

fn read_schema(file: &Path) -> Result<(String, Value), SchemaFault> {
    let schema = read_json(file)?;
    let id =
        schema.get("$id").and_then(Value::as_str).ok_or_else(|| SchemaFault::of(file, "$id is missing"))?.to_owned();
    Ok((id, schema))
}

/// Message types in the order of their names.
fn sorted<'m>(messages: impl Iterator<Item = &'m MessageType>) -> Vec<&'m MessageType> {
    let mut sorted: Vec<&MessageType> = messages.collect();
    sorted.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    sorted
}

/// All files below a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, SchemaFault> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).map_err(|fault| SchemaFault::of(&next, fault))? {
            let path = entry.map_err(|fault| SchemaFault::of(&next, fault))?.path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemas() -> Schemas {
        Schemas::load(Path::new("schemas")).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    fn examples(folder: &str) -> Vec<(String, Value)> {
        let read = |path: PathBuf| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
        };
        files(Path::new(folder)).unwrap().into_iter().map(read).collect()
    }

    fn violations(schemas: &Schemas, event: &Value) -> Vec<Fault> {
        let mut faults = schemas.check_envelope(event);
        faults.extend(schemas.check_data(event["type"].as_str().unwrap(), &event["data"]));
        faults
    }

    #[test]
    fn every_type_has_valid_and_invalid_examples_and_they_are() {
        let schemas = schemas();
        let (mut valid, mut invalid) = (0, 0);
        for (name, event) in examples("schemas/examples/valid") {
            assert!(schemas.message(&name).is_some(), "{name}");
            assert_eq!(violations(&schemas, &event), [], "{name}");
            assert_eq!(schemas.check_identifiers(&event["data"]), [], "{name}");
            valid += 1;
        }
        for (name, cases) in examples("schemas/examples/invalid") {
            assert!(schemas.message(&name).is_some(), "{name}");
            for case in cases.as_array().unwrap() {
                let found: Vec<(String, String)> =
                    violations(&schemas, &case["event"]).into_iter().map(|f| (f.pointer, f.rule)).collect();
                for wanted in case["violations"].as_array().unwrap() {
                    let wanted =
                        (wanted["pointer"].as_str().unwrap().to_owned(), wanted["rule"].as_str().unwrap().to_owned());
                    assert!(found.contains(&wanted), "{name}: {found:?} lacks {wanted:?}");
                }
            }
            invalid += 1;
        }
        assert_eq!((valid, invalid), (schemas.messages().count(), schemas.messages().count()));
    }

    #[test]
    fn every_rule_has_its_sentence() {
        let rules = [
            "required",
            "one-of-required",
            "unknown-field",
            "type",
            "identifier-not-text",
            "format",
            "pattern",
            "enum",
            "length",
            "range",
            "schema",
            "identifier-shape",
            "identifier-check",
            "hijri-date",
            "identifier-unusual",
            "identifier-part",
            "identifier-table",
            "identifier-date",
            "identifier-differs",
            "calendars-one-day",
            "calendars-differ",
            "money-currency",
            "money-places",
        ];
        for rule in rules {
            assert_eq!(crate::words::all(&format!("rule.{rule}"), &[]).len(), 4, "{rule}");
        }
    }

    #[test]
    fn what_a_notice_limits_is_in_the_schemas() {
        let schemas = schemas();
        let limits: Vec<_> = schemas.messages().filter_map(|message| message.limits.as_ref()).collect();
        assert!(!limits.is_empty());
        for one in limits {
            for pointer in [&one.reference, &one.kind, &one.from, &one.to, &one.count].into_iter().chain(&one.named) {
                assert!(schemas.field(pointer).is_some(), "{pointer}");
            }
            for kind in one.exceptions.values() {
                assert!(schemas.exceptions.iter().any(|exception| exception.kind == *kind), "{kind}");
            }
        }
    }

    #[test]
    fn every_missing_field_is_named() {
        let faults = schemas().check_envelope(&serde_json::json!({}));
        let params = faults.iter().flat_map(|fault| &fault.params);
        let mut missing: Vec<&str> = params.filter(|(key, _)| key == "field").map(|(_, name)| name.as_str()).collect();
        missing.sort_unstable();
        assert_eq!(missing, ["authority", "data", "id", "source", "specversion", "time", "type"]);
    }

    #[test]
    fn an_identifier_as_a_number_is_named_as_such_and_its_value_is_not_repeated() {
        let schemas = schemas();
        let mut event: Value =
            serde_json::from_slice(&fs::read("schemas/examples/valid/placement.nominated.v1.json").unwrap()).unwrap();
        event["data"]["worker"]["nik"] = 3_201_016_902_960_001_u64.into();
        let faults = violations(&schemas, &event);
        assert_eq!(faults, [Fault::new("/data/worker/nik", "identifier-not-text").param("level", "HARD")]);
        assert!(!faults[0].to_json().to_string().contains("320101"));
    }

    #[test]
    fn identifiers_are_judged_by_their_level() {
        let schemas = schemas();
        let data = serde_json::json!({"permit": {"residentNumber": "2100000006"}, "travelDocument": {"number": "e1"},
            "employer": {"identifier": {"kind": "citizen-id", "value": "1000000009"}}});
        let found: Vec<(Level, String)> =
            schemas.check_identifiers(&data).into_iter().map(|(l, f)| (l, f.pointer)).collect();
        assert_eq!(
            found,
            [
                (Level::Firm, "/data/permit/residentNumber".to_owned()),
                (Level::Hard, "/data/travelDocument/number".to_owned()),
                (Level::Firm, "/data/employer/identifier/value".to_owned()),
            ]
        );
        let arabic = serde_json::json!({"permit": {"residentNumber": "٢١٠٠٠٠٠٠٠٥"}});
        assert_eq!(schemas.check_identifiers(&arabic), []);
    }

    #[test]
    fn the_field_table_names_owner_and_class_of_every_field() {
        let schemas = schemas();
        let name = schemas.field("/worker/name/full").unwrap();
        assert!(name.owned_by("KP2MI") && !name.owned_by("P-LAB"));
        assert!(!schemas.field("/worker/nik").unwrap().releasable);
        assert_eq!(schemas.field("/contract/wage/amount").unwrap().comparable(&"1700.00".into()), "1700");
    }
}
