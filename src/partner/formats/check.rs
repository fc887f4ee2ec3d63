//! Everything that is wrong with a party's mappings and wire schemas, all files at once, each with file and line: what
//! `Formats::load` would stop at, and what would only show when a record comes.

use super::super::{
    Party, PartyFault,
    body::Format,
    mapping::{Mapping, Named},
};
use crate::schema::{Schemas, wire, wire::WireSchema};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Every fault of the folder's mappings and wire schemas; empty for a folder that can be used.
pub fn faults(party: &Party, schemas: &Schemas) -> Vec<PartyFault> {
    let mut faults = Vec::new();
    let profile = party.folder.join("party.toml");
    let inbound = party.profile.inbound.iter().map(|one| (one.mapping.as_str(), one.format));
    let mut routes: BTreeMap<&str, Format> = inbound.collect();
    if let Some(outbound) = &party.profile.outbound {
        routes.extend(outbound.route.iter().map(|one| (one.mapping.as_str(), one.format.unwrap_or(outbound.format))));
    }
    let written = files(&party.folder.join("mapping"), ".toml");
    for (name, format) in &routes {
        if written.contains(*name) {
            record(party, schemas, name, *format, &mut faults);
        } else {
            faults.push(PartyFault::of(
                &profile,
                format!("a route names the mapping {name}, but mapping/{name}.toml is not there"),
            ));
        }
    }
    for name in written.iter().filter(|name| !routes.contains_key(name.as_str())) {
        faults.push(PartyFault::of(&profile, format!("mapping/{name}.toml belongs to no route")));
    }
    for name in files(&party.folder.join("wire"), ".schema.json").difference(&written) {
        faults.push(PartyFault::of(&profile, format!("wire/{name}.schema.json belongs to no mapping")));
    }
    let asked = party.profile.poll.is_some();
    for route in party.profile.inbound.iter().filter(|one| asked && one.format != Format::Json) {
        faults.push(PartyFault::of(
            &profile,
            format!("route {}: records of a party that is polled are JSON", route.route),
        ));
    }
    let mut names = BTreeSet::new();
    for route in party.profile.inbound.iter().filter(|one| !names.insert(&one.route)) {
        faults.push(PartyFault::of(&profile, format!("route {} is there twice", route.route)));
    }
    faults
}

/// Canonical pointers into `data` that no message type has.
pub(super) fn unknown_fields(mapping: &Mapping, schemas: &Schemas, file: &Path) -> Vec<PartyFault> {
    let unknown = |named: &Named<'_>| {
        let field = named.pointer.strip_prefix("/data").filter(|field| !field.is_empty());
        let known = |field: &str| {
            let inner = format!("{field}/");
            schemas.fields().keys().any(|known| known == field || known.starts_with(&inner))
        };
        field.is_some_and(|field| !known(field))
    };
    let fault = |named: Named<'_>| at(file, named.line, format!("{} is not a field of the messages", named.pointer));
    mapping.canonical().filter(unknown).map(fault).collect()
}

fn record(party: &Party, schemas: &Schemas, name: &str, format: Format, faults: &mut Vec<PartyFault>) {
    let file = party.folder.join(format!("mapping/{name}.toml"));
    let schema_file = party.folder.join(format!("wire/{name}.schema.json"));
    let schema = WireSchema::load(&schema_file).map_err(|fault| faults.push(PartyFault::of(&schema_file, fault))).ok();
    let mapping = match Mapping::load(&file, party.zone) {
        Ok(mapping) => mapping,
        Err(found) => return faults.extend(found),
    };
    if format == Format::Csv && mapping.answer.as_ref().is_some_and(|answer| answer.format() != Format::Json) {
        faults.push(PartyFault::of(&file, "the rows of a file are answered in JSON"));
    }
    if let Some(schema) = &schema {
        faults.extend(bytes(schema.schema(), format).map(|fault| PartyFault::of(&schema_file, fault)));
        faults.extend(wires(&mapping, schema, &file));
    }
    if schemas.message(&mapping.type_name).is_none() {
        return faults.push(PartyFault::of(&file, format!("{} is not in the catalogue", mapping.type_name)));
    }
    faults.extend(unknown_fields(&mapping, schemas, &file));
    let inbound = party.profile.inbound.iter().any(|one| one.mapping == name);
    if inbound {
        faults.extend(ungiven(&mapping, schemas, &file));
    } else if let Some(schema) = &schema {
        faults.extend(unwritten(&mapping, schema, &file));
    }
}

/// What a schema does not say of bytes that must be said.
fn bytes(schema: &Value, format: Format) -> Option<&'static str> {
    let nested = wire::properties(schema).any(|(_, one)| one.get("properties").is_some() || wire::is_list(one));
    match format {
        Format::Xml if schema.pointer("/xml/name").is_none() => Some("an XML record needs \"xml\": {\"name\": …}"),
        Format::Csv | Format::Form if nested => Some("a form or CSV record is flat"),
        _ => None,
    }
}

/// Wire pointers that the schema does not have, and places that two rows write.
fn wires(mapping: &Mapping, schema: &WireSchema, file: &Path) -> Vec<PartyFault> {
    let mut found = Vec::new();
    let mut first: BTreeMap<&str, Named<'_>> = BTreeMap::new();
    for named in mapping.wire() {
        if !schema.has(named.pointer) {
            found.push(at(file, named.line, format!("{} is not in the wire schema", named.pointer)));
        }
        match first.get(named.pointer) {
            Some(other) if !named.lossy && !other.lossy => found.push(at(
                file,
                named.line,
                format!("{} is written by line {} too: one of them must say lossy = true", named.pointer, other.line),
            )),
            Some(_) => {}
            None => drop(first.insert(named.pointer, named)),
        }
    }
    found
}

/// Fields that the type requires and that neither a row nor a constant gives.
fn ungiven(mapping: &Mapping, schemas: &Schemas, file: &Path) -> Vec<PartyFault> {
    let mut faults = Vec::new();
    let mut event = json!({"specversion": "1.0", "type": mapping.type_name, "source": "urn:x", "data": {}});
    match &mapping.authority {
        Some(authority) => event["authority"] = authority.clone().into(),
        None => faults.push(PartyFault::of(file, "a mapping of an inbound route names the authority that speaks")),
    }
    if mapping.makes_id() {
        event["id"] = "x".into();
    }
    for named in mapping.canonical() {
        fill(&mut event, named.pointer);
    }
    let found =
        schemas.check_envelope(&event).into_iter().chain(schemas.check_data(&mapping.type_name, &event["data"]));
    faults.extend(found.filter(|fault| fault.rule == "required").map(|fault| {
        PartyFault::of(file, format!("{} requires {}, but no row gives it", mapping.type_name, missing(&fault)))
    }));
    faults
}

/// Members that the wire schema requires and that neither a row nor a constant writes.
fn unwritten(mapping: &Mapping, schema: &WireSchema, file: &Path) -> Vec<PartyFault> {
    let mut record = Value::Object(Map::new());
    for named in mapping.wire() {
        fill(&mut record, named.pointer);
    }
    let found = schema.check(&record).into_iter().filter(|fault| fault.rule == "required");
    let fault =
        |fault| PartyFault::of(file, format!("the wire schema requires {}, but no row writes it", missing(&fault)));
    found.map(fault).collect()
}

fn missing(fault: &crate::message::problem::Fault) -> String {
    let field = fault.params.iter().find(|(name, _)| name == "field").map(|(_, field)| field.as_str());
    match field {
        Some(field) if !fault.pointer.ends_with(&format!("/{field}")) => format!("{}/{field}", fault.pointer),
        _ => fault.pointer.clone(),
    }
}

/// Puts something at a pointer, whatever it is.
fn fill(target: &mut Value, pointer: &str) {
    let mut here = target;
    for name in pointer.split('/').skip(1) {
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        let Value::Object(members) = here else { return };
        here = members.entry(name.to_owned()).or_insert_with(|| "x".into());
    }
}

fn at(file: &Path, line: usize, fault: String) -> PartyFault {
    PartyFault { line: Some(line), ..PartyFault::of(file, fault) }
}

/// Names of the files of a folder that end so, without the ending.
fn files(folder: &Path, end: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(end)?.to_owned()));
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn schemas() -> Schemas {
        Schemas::load(Path::new("schemas")).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    #[test]
    fn no_folder_has_a_fault() {
        let schemas = schemas();
        for entry in fs::read_dir("partners").unwrap() {
            let folder = entry.unwrap().path();
            if folder.join("party.toml").is_file() {
                let party = Party::load(&folder).unwrap();
                let found: Vec<String> = faults(&party, &schemas).iter().map(ToString::to_string).collect();
                assert!(found.is_empty(), "{}", found.join("\n"));
            }
        }
    }

    #[test]
    fn what_a_folder_cannot_carry_back_is_listed() {
        let party = Party::load(Path::new("partners/my")).unwrap();
        let lossy = super::super::Formats::load(&party, &schemas()).unwrap().lossy();
        let expected = ["/data/employer/name", "/data/job/source/code", "/data/worker/name/full"];
        assert_eq!(lossy["my/mapping/kontrak.toml"], expected);
        assert!(!lossy.contains_key("my/mapping/permit.toml"));
    }

    /// A copy of a partner's folder that ends with its owner.
    struct Copy(PathBuf);

    impl Copy {
        fn of(code: &str) -> Self {
            let copy = Self(std::env::temp_dir().join(format!("onechannel-check-{}/{code}", std::process::id())));
            for part in ["mapping", "wire", "calendar", "rules"] {
                fs::create_dir_all(copy.0.join(part)).unwrap();
                for file in fs::read_dir(format!("partners/{code}/{part}")).unwrap() {
                    let file = file.unwrap();
                    fs::copy(file.path(), copy.0.join(part).join(file.file_name())).unwrap();
                }
            }
            for file in ["party.toml", "release.toml"] {
                fs::copy(format!("partners/{code}/{file}"), copy.0.join(file)).unwrap();
            }
            copy
        }

        fn change(&self, file: &str, from: &str, to: &str) {
            let path = self.0.join(file);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{file}");
            fs::write(path, text.replacen(from, to, 1)).unwrap();
        }
    }

    impl Drop for Copy {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(self.0.parent().unwrap());
        }
    }

    #[test]
    fn every_fault_of_every_file_comes_at_once_with_its_line() {
        let copy = Copy::of("my");
        copy.change("mapping/visa.toml", "codec = \"text\"", "codec = \"rot13\"");
        copy.change("mapping/visa.toml", "codec = \"datetime-dmy\"", "codec = \"datetime-dmx\"");
        copy.change("mapping/kemasukan.toml", "/data/movement/port", "/data/movement/harbour");
        copy.change("mapping/kemasukan.toml", "wire = \"/nama\"", "wire = \"/namaPenuh\"");
        copy.change("mapping/permit.toml", "canonical = \"/data/permit/kind\"", "canonical = \"/data/permit/number\"");
        copy.change("mapping/berlepas.toml", "wire = \"/masaBerlepas\"", "wire = \"/pintuKeluar\"");
        copy.change("wire/kematian.schema.json", "{", "");
        copy.change("party.toml", "mapping = \"kontrak\"", "mapping = \"kontrak-baru\"");
        let party = Party::load(&copy.0).unwrap();
        let found = faults(&party, &schemas());
        let place = copy.0.to_string_lossy().into_owned();
        let found: Vec<String> = found.iter().map(|fault| fault.to_string().replace(&place, "")).collect();
        for expected in [
            "/mapping/visa.toml:7: there is no codec rot13",
            "/mapping/visa.toml:13: there is no codec datetime-dmx",
            "/data/movement/harbour is not a field of the messages",
            "/namaPenuh is not in the wire schema",
            "/mapping/permit.toml: permit.issued.v1 requires /data/permit/kind, but no row gives it",
            "/pintuKeluar is written by line",
            "/mapping/berlepas.toml: the wire schema requires /masaBerlepas, but no row writes it",
            "/wire/kematian.schema.json: ",
            "/party.toml: a route names the mapping kontrak-baru, but mapping/kontrak-baru.toml is not there",
            "/party.toml: mapping/kontrak.toml belongs to no route",
        ] {
            assert!(found.iter().any(|fault| fault.contains(expected)), "{expected} in\n{}", found.join("\n"));
        }
        let lined = found.iter().find(|fault| fault.contains("/namaPenuh")).unwrap();
        assert!(lined.starts_with("/mapping/kemasukan.toml:"), "{lined}");
    }
}
