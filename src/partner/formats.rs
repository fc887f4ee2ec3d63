//! A party's wire records, ready for use: which route or record type has which format, mapping and wire schema, in and out.

use super::{
    Party, PartyFault,
    body::{self, BodyFault, Format},
    mapping::Mapping,
};
use crate::{
    message::problem::Fault,
    schema::{Schemas, wire::WireSchema},
};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

mod check;

pub use check::faults;

/// One wire record: its bytes, its schema and its mapping.
#[derive(Debug)]
pub struct Record {
    /// How it travels.
    pub format: Format,
    /// The two-way table.
    pub mapping: Mapping,
    file: String,
    schema: WireSchema,
}

impl Record {
    /// Reads a wire record as a canonical event from `source`.
    ///
    /// # Errors
    /// Broken rules, with pointers into the record as sent.
    pub fn read(&self, wire: &Value, source: &str) -> Result<Value, Vec<Fault>> {
        let faults = self.schema.check(wire);
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut event = self.mapping.to_canonical(wire).map_err(|faults| self.named(faults))?;
        event["source"] = source.into();
        Ok(event)
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
    if schemas.message(&mapping.type_name).is_none() {
        return Err(vec![PartyFault::of(&file, format!("{} is not in the catalogue", mapping.type_name))]);
    }
    let unknown: Vec<PartyFault> = check::unknown_fields(&mapping, schemas, &file);
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let schema_file = party.folder.join(format!("wire/{name}.schema.json"));
    let schema = WireSchema::load(&schema_file).map_err(|fault| vec![PartyFault::of(&schema_file, fault)])?;
    Ok(Record { format, mapping, file: format!("{}/mapping/{name}.toml", party.code()), schema })
}
