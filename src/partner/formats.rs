//! A party's wire records, ready for use: which route or record type has which format, mapping and wire schema, in and out.

use super::{
    Party, PartyFault,
    body::{self, BodyFault, Format},
    mapping::{self, Mapping},
};
use crate::{
    message::problem::Fault,
    schema::{Schemas, catalogue::MessageType, wire::WireSchema},
};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

mod check;

pub use check::{Folder, faults};

/// One wire record: its bytes, its schema and its mapping.
#[derive(Debug)]
pub struct Record {
    /// How it travels.
    pub format: Format,
    /// The two-way table.
    pub mapping: Mapping,
    message: MessageType,
    file: String,
    schema: WireSchema,
}

/// A wire record as it was read.
#[derive(Debug)]
pub struct Reading<'r> {
    /// By which record of the party.
    pub record: &'r Record,
    /// What cannot be read, with pointers into the record as sent.
    pub faults: Vec<Fault>,
    /// Pointers of the event for which the record has something that cannot be read.
    lost: Vec<String>,
}

impl Reading<'_> {
    /// Whether a fault of the event only follows from what cannot be read.
    pub fn explains(&self, fault: &Fault) -> bool {
        let at = missing(fault);
        let related = |lost: &String| mapping::below(&at, lost).is_some() || mapping::below(lost, &at).is_some();
        self.lost.iter().any(related)
    }
}

/// Where something is wrong: of a member that is missing its own place, not its object's.
fn missing(fault: &Fault) -> String {
    let field = fault.params.iter().find(|(name, _)| name == "field").map(|(_, field)| field.as_str());
    match field {
        Some(field) if fault.rule == "required" => format!("{}/{field}", fault.pointer),
        _ => fault.pointer.clone(),
    }
}

impl Record {
    /// Reads a wire record as a canonical event from `source`: all of it that can be read, and what cannot. `authorities` are those
    /// for which its sender may speak.
    pub fn read(&self, wire: &Value, source: &str, authorities: &[String]) -> (Value, Reading<'_>) {
        let speakers: Vec<&str> =
            authorities.iter().map(String::as_str).filter(|one| self.message.sent_by(one)).collect();
        let (mut event, unread) = self.mapping.read(wire, &speakers);
        event["source"] = source.into();
        let broken = self.schema.check(wire);
        let places: Vec<String> = broken.iter().map(missing).collect();
        let mut lost: Vec<String> = places.iter().flat_map(|place| self.mapping.read_from(place)).collect();
        // What a row cannot read because the record breaks its schema there is one fault, the schema's.
        let unread: Vec<_> = unread.into_iter().filter(|fault| !lost.contains(&fault.canonical)).collect();
        lost.extend(unread.iter().map(|fault| fault.canonical.clone()));
        (event, Reading { record: self, faults: broken.into_iter().chain(self.named(unread)).collect(), lost })
    }

    /// A record of which nothing can be read.
    pub fn unread(&self, faults: Vec<Fault>) -> (Value, Reading<'_>) {
        let event = serde_json::json!({"type": self.mapping.type_name});
        (event, Reading { record: self, faults, lost: vec![String::new()] })
    }

    /// A fault of an event that was read by this mapping, with its pointer in the record as sent; the pointer in the event and the
    /// line of the mapping stand beside it.
    pub fn placed(&self, fault: Fault) -> Fault {
        let canonical = missing(&fault);
        let place = self.mapping.place(&canonical);
        let Fault { rule, mut params, pointer: at } = fault;
        let fields = params.iter_mut().find(|(name, _)| name == "field").map(|(_, fields)| fields);
        let pointer = match (rule.as_str(), fields, &place) {
            ("required", Some(field), Some((_, wire))) => {
                let (object, name) = wire.rsplit_once('/').unwrap_or(("", wire));
                *field = name.to_owned();
                object.to_owned()
            }
            ("one-of-required", Some(fields), _) => {
                let wires = fields.split(", ").map(|field| {
                    let place = self.mapping.place(&format!("{at}/{field}"));
                    place.map_or_else(|| field.to_owned(), |(_, wire)| wire)
                });
                *fields = wires.collect::<Vec<_>>().join(", ");
                String::new()
            }
            (_, _, place) => place.as_ref().map(|(_, wire)| wire.clone()).unwrap_or_default(),
        };
        let placed = Fault { pointer, rule, params }.param("canonical", canonical);
        match place {
            Some((line, _)) => placed.param("file", &*self.file).param("line", line.to_string()),
            None => placed,
        }
    }

    /// Writes an event as a wire record that satisfies the wire schema.
    ///
    /// # Errors
    /// Broken rules: ours to mend.
    pub fn write(&self, event: &Value) -> Result<Value, Vec<Fault>> {
        let wire = self.mapping.to_wire(event).map_err(|faults| self.named(faults))?;
        let faults = self.schema.check(&wire);
        if faults.is_empty() { Ok(wire) } else { Err(faults) }
    }

    /// Reads the bytes of one record.
    ///
    /// # Errors
    /// [`BodyFault`].
    pub fn parse(&self, bytes: &[u8]) -> Result<Value, BodyFault> {
        body::read(self.format, self.schema.schema(), bytes)
    }

    /// Reads the rows of a batch file.
    ///
    /// # Errors
    /// [`BodyFault`] where the file as a whole cannot be read.
    pub fn rows(&self, bytes: &[u8]) -> Result<Vec<body::Row>, BodyFault> {
        body::Rows::read(self.schema.schema(), bytes).map(|rows| rows.rows)
    }

    /// The bytes of one record.
    ///
    /// # Errors
    /// [`BodyFault`] where the format cannot carry it.
    pub fn bytes(&self, wire: &Value) -> Result<Vec<u8>, BodyFault> {
        body::write(self.format, self.schema.schema(), wire)
    }

    /// What a row breaks that has more or fewer fields than the header of its file.
    pub fn misshapen(&self) -> Fault {
        let fault = super::mapping::WireFault {
            line: 1,
            canonical: String::new(),
            wire: String::new(),
            rule: "as many fields as the header has",
        };
        self.named(vec![fault]).remove(0)
    }

    fn named(&self, faults: Vec<super::mapping::WireFault>) -> Vec<Fault> {
        let named = |fault: super::mapping::WireFault| {
            Fault::new(fault.wire.clone(), "mapping")
                .param("wire", fault.wire)
                .param("expected", fault.rule)
                .param("file", &*self.file)
                .param("line", fault.line.to_string())
                .param("canonical", fault.canonical)
        };
        faults.into_iter().map(named).collect()
    }
}

/// All wire records of one party.
#[derive(Debug, Default)]
pub struct Formats {
    inbound: HashMap<String, Record>,
    outbound: HashMap<String, (String, Record)>,
}

impl Formats {
    /// Reads what the profile names.
    ///
    /// # Errors
    /// Every fault found.
    pub fn load(party: &Party, schemas: &Schemas) -> Result<Self, Vec<PartyFault>> {
        let (mut formats, mut faults) = (Self::default(), Vec::new());
        let mut record =
            |name: &str, format: Format| load(party, schemas, name, format).map_err(|found| faults.extend(found)).ok();
        for inbound in &party.profile.inbound {
            if let Some(record) = record(&inbound.mapping, inbound.format) {
                formats.inbound.insert(inbound.route.clone(), record);
            }
        }
        if let Some(outbound) = &party.profile.outbound {
            for route in &outbound.route {
                if let Some(record) = record(&route.mapping, route.format.unwrap_or(outbound.format)) {
                    formats.outbound.insert(record.mapping.type_name.clone(), (route.path.clone(), record));
                }
            }
        }
        if faults.is_empty() { Ok(formats) } else { Err(faults) }
    }

    /// The record of an inbound route or a polled record type.
    pub fn inbound(&self, route: &str) -> Option<&Record> {
        self.inbound.get(route)
    }

    /// The path and record by which the party is told of a type.
    pub fn outbound(&self, type_name: &str) -> Option<(&str, &Record)> {
        self.outbound.get(type_name).map(|(path, record)| (path.as_str(), record))
    }

    /// What each mapping cannot carry out and back, by mapping file and canonical pointer: for `partner check` and whoever
    /// reads the folder.
    pub fn lossy(&self) -> BTreeMap<String, Vec<String>> {
        let records = self.inbound.values().chain(self.outbound.values().map(|(_, record)| record));
        let lost = records.map(|record| {
            let mut pointers: Vec<String> = record.mapping.lossy().map(str::to_owned).collect();
            pointers.sort();
            pointers.dedup();
            (record.file.clone(), pointers)
        });
        lost.filter(|(_, pointers)| !pointers.is_empty()).collect()
    }
}

fn load(party: &Party, schemas: &Schemas, name: &str, format: Format) -> Result<Record, Vec<PartyFault>> {
    let file = party.folder.join(format!("mapping/{name}.toml"));
    let mapping = Mapping::load(&file, party.zone)?;
    let Some(message) = schemas.message(&mapping.type_name).cloned() else {
        return Err(vec![PartyFault::of(&file, format!("{} is not in the catalogue", mapping.type_name))]);
    };
    let unknown: Vec<PartyFault> = check::unknown_fields(&mapping, schemas, &file);
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let schema_file = party.folder.join(format!("wire/{name}.schema.json"));
    let schema = WireSchema::load(&schema_file).map_err(|fault| vec![PartyFault::of(&schema_file, fault)])?;
    Ok(Record { format, mapping, message, file: format!("{}/mapping/{name}.toml", party.code()), schema })
}
