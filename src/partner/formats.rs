//! A party's wire records, ready for use: which route or record type has which mapping and wire schema, in and out.

use super::{Party, PartyFault, mapping::Mapping};
use crate::{
    message::problem::Fault,
    schema::{self, Schemas, wire::WireSchema},
};
use serde_json::Value;
use std::collections::HashMap;

/// One wire record: its schema and its mapping.
#[derive(Debug)]
pub struct Record {
    /// The two-way table.
    pub mapping: Mapping,
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
        let mut event =
            self.mapping.to_canonical(wire).map_err(|faults| faults.into_iter().map(fault).collect::<Vec<_>>())?;
        event["source"] = source.into();
        Ok(event)
    }

    /// Writes an event as a wire record that satisfies the wire schema.
    ///
    /// # Errors
    /// Broken rules: ours to mend.
    pub fn write(&self, event: &Value) -> Result<Value, Vec<Fault>> {
        let wire = self.mapping.to_wire(event).map_err(|faults| faults.into_iter().map(fault).collect::<Vec<_>>())?;
        let faults = self.schema.check(&wire);
        if faults.is_empty() { Ok(wire) } else { Err(faults) }
    }
}

fn fault(fault: super::mapping::WireFault) -> Fault {
    Fault::new(fault.wire.clone(), "mapping")
        .param("wire", fault.wire)
        .param("expected", fault.rule)
        .param("line", fault.line.to_string())
        .param("canonical", fault.canonical)
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
        let mut record = |name: &str| match load(party, schemas, name) {
            Ok(record) => Some(record),
            Err(fault) => {
                faults.push(fault);
                None
            }
        };
        for inbound in &party.profile.inbound {
            if let Some(record) = record(&inbound.mapping) {
                formats.inbound.insert(inbound.route.clone(), record);
            }
        }
        for route in party.profile.outbound.iter().flat_map(|outbound| &outbound.route) {
            if let Some(record) = record(&route.mapping) {
                formats.outbound.insert(record.mapping.type_name.clone(), (route.path.clone(), record));
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
}

fn load(party: &Party, schemas: &Schemas, name: &str) -> Result<Record, PartyFault> {
    let file = party.folder.join(format!("mapping/{name}.toml"));
    let mapping = Mapping::load(&file, party.zone)?;
    if schemas.message(&mapping.type_name).is_none() {
        return Err(PartyFault::of(&file, format!("{} is not in the catalogue", mapping.type_name)));
    }
    let unknown = |pointer: &&str| {
        let field = pointer.strip_prefix("/data").filter(|field| !field.is_empty());
        field.is_some_and(|field| {
            !schemas.fields().keys().any(|known| known == field || known.starts_with(&format!("{field}/")))
        })
    };
    if let Some(pointer) = mapping.pointers().find(unknown) {
        return Err(PartyFault::of(&file, format!("{pointer} is not a field of the messages")));
    }
    let schema_file = party.folder.join(format!("wire/{name}.schema.json"));
    let schema = schema::wire::WireSchema::load(&schema_file).map_err(|fault| PartyFault::of(&schema_file, fault))?;
    Ok(Record { mapping, schema })
}
