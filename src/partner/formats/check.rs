//! Everything that is wrong with a party's mappings and wire schemas, all files at once, each with file and line: what
//! `Formats::load` would stop at, and what would only show when a record comes.

use super::super::{
    Party, PartyFault,
    body::Format,
    mapping::{Authority, Mapping, Named, Source},
    profile::Profile,
};
use crate::schema::{
    Schemas,
    catalogue::{Direction, MessageType},
    wire,
    wire::WireSchema,
};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use time::UtcOffset;

/// Every fault of a party's routes, mappings and wire schemas; empty for a folder that can be used.
pub fn faults(party: &Party, schemas: &Schemas) -> Vec<PartyFault> {
    Folder { folder: &party.folder, profile: &party.profile, zone: party.zone, schemas }.faults()
}

/// What is checked: a folder, its `party.toml` as far as it could be read, and the messages.
#[derive(Clone, Copy)]
pub struct Folder<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// Its `party.toml`.
    pub profile: &'a Profile,
    /// Offset of its local times.
    pub zone: UtcOffset,
    /// The messages.
    pub schemas: &'a Schemas,
}

impl Folder<'_> {
    /// As [`faults`].
    pub fn faults(self) -> Vec<PartyFault> {
        let mut faults = Vec::new();
        let file = self.folder.join("party.toml");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let here = |wanted: String, fault: String| PartyFault {
            line: line_with(&text, &wanted),
            ..PartyFault::of(&file, fault)
        };
        let inbound = self.profile.inbound.iter().map(|one| ("inbound", &one.route, &one.mapping, one.format));
        let outbound = self.profile.outbound.iter().flat_map(|outbound| {
            let format = outbound.format;
            outbound.route.iter().map(move |one| ("outbound", &one.path, &one.mapping, one.format.unwrap_or(format)))
        });
        let (mut routes, mut formats) = (BTreeSet::new(), BTreeMap::new());
        for (way, route, mapping, format) in inbound.chain(outbound) {
            let at = || format!("mapping = \"{mapping}\"");
            if !routes.insert((way, route)) {
                faults.push(here(at(), format!("the {way} route {route} stands here twice")));
            }
            if way == "inbound" && self.profile.poll.is_some() && format != Format::Json {
                faults.push(here(at(), format!("route {route}: records of a party that is polled are JSON")));
            }
            for name in [format!("mapping/{mapping}.toml"), format!("wire/{mapping}.schema.json")] {
                if !self.folder.join(&name).is_file() {
                    faults.push(here(at(), format!("the {way} route {route} has no {name}")));
                }
            }
            formats.insert(mapping.as_str(), format);
        }
        for (at, ending) in [("mapping", ".toml"), ("wire", ".schema.json")] {
            let written = files(&self.folder.join(at), ending);
            for name in written.iter().filter(|name| !formats.contains_key(name.as_str())) {
                let lonely = self.folder.join(format!("{at}/{name}{ending}"));
                faults.push(self::at(&lonely, 1, "no route of party.toml names it".to_owned()));
            }
        }
        for (name, format) in formats {
            self.record(name, format, &mut faults);
        }
        faults
    }

    fn record(self, name: &str, format: Format, faults: &mut Vec<PartyFault>) {
        let file = self.folder.join(format!("mapping/{name}.toml"));
        let schema_file = self.folder.join(format!("wire/{name}.schema.json"));
        let mut keep = |fault| faults.push(fault);
        let schema = schema_file.is_file().then(|| WireSchema::load(&schema_file));
        let schema = schema.and_then(|read| read.map_err(|fault| keep(PartyFault::of(&schema_file, fault))).ok());
        if !file.is_file() {
            return;
        }
        let mapping = match Mapping::load(&file, self.zone) {
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
        let first = mapping.type_line;
        let Some(message) = self.schemas.message(&mapping.type_name) else {
            return faults.push(at(&file, first, format!("{} is not in the catalogue", mapping.type_name)));
        };
        faults.extend(unknown_fields(&mapping, self.schemas, &file));
        if self.profile.inbound.iter().any(|one| one.mapping == name) {
            faults.extend(ungiven(&mapping, self.schemas, &file));
            faults.extend(speakers(self.profile, &mapping, message, &file));
        } else if let Some(schema) = &schema {
            faults.extend(unwritten(&mapping, schema, &file));
        }
    }
}

/// The line on which a text stands first.
fn line_with(text: &str, wanted: &str) -> Option<usize> {
    text.lines().position(|line| line.contains(wanted)).map(|n| n + 1)
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
    let fault = |named: Named<'_>| {
        at(file, named.line, format!("{} is not a field of the messages: schemas/README.md lists them", named.pointer))
    };
    mapping.canonical().filter(unknown).map(fault).collect()
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
    for (line, pointer) in mapping.looked_at().filter(|(_, pointer)| !schema.has(pointer)) {
        found.push(at(file, line, format!("{pointer} is not in the wire schema")));
    }
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
    let mut event =
        json!({"specversion": "1.0", "type": mapping.type_name, "source": "urn:x", "authority": "x", "data": {}});
    if mapping.makes_id() {
        event["id"] = "x".into();
    }
    for named in mapping.canonical() {
        fill(&mut event, named.pointer);
    }
    let found =
        schemas.check_envelope(&event).into_iter().chain(schemas.check_data(&mapping.type_name, &event["data"]));
    let fault = |fault| {
        let fault = format!("{} requires {}, but no row gives it", mapping.type_name, super::missing(&fault));
        at(file, mapping.type_line, fault)
    };
    found.filter(|fault| fault.rule == "required").map(fault).collect()
}

/// In whose name inbound records speak: authorities of the party that may send the type, and never one for another.
fn speakers(profile: &Profile, mapping: &Mapping, message: &MessageType, file: &Path) -> Vec<PartyFault> {
    const TABLE: &str = "a table [authority] with wire and codes says where the record names it";
    let own = profile.authority.iter().map(|one| one.code.as_str());
    let may: Vec<&str> = own.clone().filter(|code| message.sent_by(code)).collect();
    let name = &mapping.type_name;
    let Some(Authority { line, source }) = &mapping.authority else {
        let several = profile.client.iter().filter_map(|client| {
            let may = client.authorities.iter().filter(|code| message.sent_by(code)).map(String::as_str);
            let may = may.collect::<Vec<_>>().join(" and ");
            may.contains(" and ").then(|| format!("client {} may send {name} for {may}: {TABLE}", client.id))
        });
        let nobody = may.is_empty().then(|| format!("no authority of party.toml may send {name}"));
        return several.chain(nobody).map(|fault| at(file, mapping.type_line, fault)).collect();
    };
    let mut faults = Vec::new();
    for code in source.authorities() {
        if !own.clone().any(|one| one == code) {
            faults.push(format!("{code} is no authority of party.toml"));
        } else if !may.contains(&code) {
            faults.push(format!("{code} may not send {name}; who may: {}", message.senders.join(", ")));
        }
    }
    if matches!(source, Source::Fixed(_)) && message.direction == Direction::Both && may.len() > 1 {
        faults.push(format!("{name} may come from {}: {TABLE}", may.join(" and ")));
    }
    faults.into_iter().map(|fault| at(file, *line, fault)).collect()
}

/// Members that the wire schema requires and that neither a row nor a constant writes.
fn unwritten(mapping: &Mapping, schema: &WireSchema, file: &Path) -> Vec<PartyFault> {
    let mut record = Value::Object(Map::new());
    for named in mapping.wire() {
        fill(&mut record, named.pointer);
    }
    let found = schema.check(&record).into_iter().filter(|fault| fault.rule == "required");
    let fault = |fault| {
        let fault = format!("the wire schema requires {}, but no row writes it", super::missing(&fault));
        at(file, mapping.type_line, fault)
    };
    found.map(fault).collect()
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
            "/mapping/permit.toml:4: permit.issued.v1 requires /data/permit/kind, but no row gives it",
            "/pintuKeluar is written by line",
            "/mapping/berlepas.toml:4: the wire schema requires /masaBerlepas, but no row writes it",
            "/wire/kematian.schema.json: ",
            "the inbound route kontrak has no mapping/kontrak-baru.toml",
            "/mapping/kontrak.toml:1: no route of party.toml names it",
        ] {
            assert!(found.iter().any(|fault| fault.contains(expected)), "{expected} in\n{}", found.join("\n"));
        }
        let lined = found.iter().find(|fault| fault.contains("/namaPenuh")).unwrap();
        assert!(lined.starts_with("/mapping/kemasukan.toml:"), "{lined}");
    }
}
