//! `partner check`: every fault of a party's folder at once, each with file and line, without a database, a network or keys.
//!
//! It judges the files alone: whether the mappings say what the contract says is for [`super::certify`], which runs them.

mod lines;

use super::contract::{Interaction, Journeys, Way};
use crate::{
    partner::{
        mapping::{Mapping, codec::Codec},
        profile::{Profile, Side},
        release::Release,
    },
    schema::{Schemas, wire::WireSchema},
};
use lines::{line_of, toml_faults};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use time::{UtcOffset, macros::format_description};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// The folder cannot be used so.
    Fault,
    /// It can, but somebody should know.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Which file.
    pub file: PathBuf,
    /// Which line of it, from 1.
    pub line: Option<usize>,
    /// How much it weighs.
    pub weight: Weight,
    /// A sentence.
    pub text: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let warning = if self.weight == Weight::Warning { "warning: " } else { "" };
        match self.line {
            Some(line) => write!(f, "{}:{line}: {warning}{}", self.file.display(), self.text),
            None => write!(f, "{}: {warning}{}", self.file.display(), self.text),
        }
    }
}

/// What the inspection of one folder brought.
#[derive(Debug, Default, Serialize)]
pub struct Inspection {
    /// Everything found, in order of file and line.
    pub findings: Vec<Finding>,
    /// Fields that do not survive the way out and back: mapping file and canonical pointer.
    pub lossy: Vec<(PathBuf, String)>,
}

impl Inspection {
    /// Whether there is no fault.
    pub fn holds(&self) -> bool {
        self.findings.iter().all(|finding| finding.weight != Weight::Fault)
    }
}

/// Inspects a party's folder.
pub fn inspect(folder: &Path, schemas: &Schemas) -> Inspection {
    let mut inspector = Inspector {
        folder,
        schemas,
        zone: UtcOffset::UTC,
        done: Inspection::default(),
        mappings: BTreeMap::new(),
        wires: BTreeMap::new(),
    };
    inspector.all();
    let mut done = inspector.done;
    done.findings.sort();
    done.findings.dedup();
    done
}

struct Inspector<'a> {
    folder: &'a Path,
    schemas: &'a Schemas,
    zone: UtcOffset,
    done: Inspection,
    /// Usable mappings, by name.
    mappings: BTreeMap<String, Mapping>,
    /// Usable wire schemas, by name.
    wires: BTreeMap<String, WireSchema>,
}

/// Files of a folder with an ending, in order of their names.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    found
}

fn stem(file: &Path, ending: &str) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(ending).unwrap_or(&name).to_owned()
}

/// The line on which a text stands first.
fn line_with(text: &str, wanted: &str) -> Option<usize> {
    text.lines().position(|line| line.contains(wanted)).map(|n| n + 1)
}

impl Inspector<'_> {
    fn find(&mut self, file: &Path, line: Option<usize>, weight: Weight, text: impl Into<String>) {
        self.done.findings.push(Finding { file: file.to_owned(), line, weight, text: text.into() });
    }

    fn fault(&mut self, file: &Path, line: Option<usize>, text: impl Into<String>) {
        self.find(file, line, Weight::Fault, text);
    }

    fn text(&mut self, file: &Path) -> Option<String> {
        match fs::read_to_string(file) {
            Ok(text) => Some(text),
            Err(fault) => {
                self.fault(file, None, fault.to_string());
                None
            }
        }
    }

    fn toml<T>(&mut self, file: &Path, text: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let (value, faults) = toml_faults(text, read);
        faults.into_iter().for_each(|(line, sentence)| self.fault(file, line, sentence));
        value
    }

    fn all(&mut self) {
        let file = self.folder.join("party.toml");
        let text = self.text(&file).unwrap_or_default();
        let profile: Option<Profile> =
            self.toml(&file, &text, |text| toml::from_str(text).map_err(|fault| fault.to_string()));
        if let Some(profile) = &profile {
            self.profile(&file, &text, profile);
        }
        self.release();
        self.mappings();
        self.wires();
        if let Some(profile) = &profile {
            self.routes(&file, &text, profile);
        }
        let names = self.contract(profile.as_ref());
        self.journeys(&names);
    }

    fn profile(&mut self, file: &Path, text: &str, profile: &Profile) {
        if self.folder.file_name().is_none_or(|name| name != profile.code.as_str()) {
            let line = line_with(text, "code");
            self.fault(file, line, format!("the folder's name is not the party's code {}", profile.code));
        }
        match UtcOffset::parse(&profile.zone, format_description!("[offset_hour sign:mandatory]:[offset_minute]")) {
            Ok(zone) => self.zone = zone,
            Err(_) => self.fault(file, line_with(text, "zone"), "zone: an offset of the form +08:00 is expected"),
        }
        for client in &profile.client {
            for unknown in client.authorities.iter().filter(|c| !profile.authority.iter().any(|a| a.code == **c)) {
                let line = line_with(text, &format!("\"{unknown}\""));
                self.fault(file, line, format!("client {}: there is no authority {unknown}", client.id));
            }
            if client.key.is_empty() {
                let line = line_with(text, &format!("\"{}\"", client.id));
                self.fault(file, line, format!("client {} has no signing key: it can send nothing", client.id));
            }
        }
        let outbound = profile.outbound.iter();
        let keys = profile.client.iter().flat_map(|client| &client.key);
        let keys = keys.chain(outbound.clone().flat_map(|outbound| &outbound.answer_key)).map(|key| &key.file);
        let trust = profile.trust.roots.iter().chain(&profile.trust.crls);
        let trust: BTreeSet<&String> = trust.chain(outbound.flat_map(|o| &o.roots)).chain(keys).collect();
        let weight = if profile.environment == "test" { Weight::Warning } else { Weight::Fault };
        for missing in trust.into_iter().filter(|missing| !self.folder.join(missing.as_str()).is_file()) {
            let hint = "is not there (a sandbox makes throw-away ones)";
            self.find(file, line_with(text, missing), weight, format!("{missing} {hint}"));
        }
    }

    fn release(&mut self) {
        let file = self.folder.join("release.toml");
        let Some(text) = self.text(&file) else { return };
        let release: Option<Release> =
            self.toml(&file, &text, |text| toml::from_str(text).map_err(|fault| fault.to_string()));
        for pointer in release.iter().flat_map(|release| &release.withhold) {
            if self.schemas.field(pointer).is_none() {
                self.fault(&file, line_with(&text, pointer), format!("{pointer} is not a field of the messages"));
            }
        }
    }

    fn mappings(&mut self) {
        for file in files(&self.folder.join("mapping"), ".toml") {
            let Some(text) = self.text(&file) else { continue };
            let zone = self.zone;
            let Some(mapping) = self.toml(&file, &text, |text| parse(text, zone)) else { continue };
            if self.schemas.message(&mapping.type_name).is_none() {
                let text = format!("{} is not in the catalogue", mapping.type_name);
                self.fault(&file, Some(1), text);
            }
            let known = |pointer: &str| {
                let Some(field) = pointer.strip_prefix("/data").filter(|field| !field.is_empty()) else { return true };
                let below = format!("{field}/");
                self.schemas.fields().keys().any(|one| one == field || one.starts_with(&below))
            };
            let unknown: Vec<String> =
                mapping.canonical().map(|named| named.pointer).filter(|one| !known(one)).map(str::to_owned).collect();
            for pointer in unknown {
                let line = line_with(&text, &format!("\"{pointer}\""));
                self.fault(&file, line, format!("{pointer} is not a field of the messages"));
            }
            self.done.lossy.extend(mapping.lossy().map(|pointer| (file.clone(), pointer.to_owned())));
            self.mappings.insert(stem(&file, ".toml"), mapping);
        }
    }

    fn wires(&mut self) {
        for file in files(&self.folder.join("wire"), ".schema.json") {
            let Some(text) = self.text(&file) else { continue };
            let schema: Value = match serde_json::from_str(&text) {
                Ok(schema) => schema,
                Err(fault) => {
                    self.fault(&file, Some(fault.line()), fault.to_string());
                    continue;
                }
            };
            let validator = jsonschema::draft202012::meta::validator();
            let broken: Vec<(usize, String)> = validator
                .iter_errors(&schema)
                .map(|error| {
                    let pointer = error.instance_path().as_str().to_owned();
                    (line_of(&text, &pointer), format!("{pointer}: {error}"))
                })
                .collect();
            if broken.is_empty() {
                match WireSchema::load(&file) {
                    Ok(wire) => drop(self.wires.insert(stem(&file, ".schema.json"), wire)),
                    Err(fault) => self.fault(&file, None, fault),
                }
            }
            broken.into_iter().for_each(|(line, text)| self.fault(&file, Some(line), text));
        }
    }

    /// Routes without mapping or wire schema, twice or for nothing; mappings and schemas without a route.
    fn routes(&mut self, file: &Path, text: &str, profile: &Profile) {
        let inbound = profile.inbound.iter().map(|one| (&one.route, &one.mapping, "inbound"));
        let outbound = profile.outbound.iter().flat_map(|outbound| &outbound.route);
        let outbound = outbound.map(|one| (&one.path, &one.mapping, "outbound"));
        let (mut routes, mut used) = (BTreeSet::new(), BTreeSet::new());
        for (route, mapping, way) in inbound.chain(outbound) {
            let line = line_with(text, &format!("mapping = \"{mapping}\""));
            if !routes.insert((way, route)) {
                self.fault(file, line, format!("the {way} route {route} stands here twice"));
            }
            used.insert(mapping.clone());
            for (at, what) in [("mapping", "toml"), ("wire", "schema.json")] {
                let name = format!("{at}/{mapping}.{what}");
                if !self.folder.join(&name).is_file() {
                    self.fault(file, line, format!("the {way} route {route} has no {name}"));
                }
            }
        }
        for (at, ending) in [("mapping", ".toml"), ("wire", ".schema.json")] {
            for lonely in files(&self.folder.join(at), ending) {
                if !used.contains(&stem(&lonely, ending)) {
                    self.fault(&lonely, Some(1), "no route of party.toml names it");
                }
            }
        }
    }

    /// Reads the contract; gives the names of its interactions.
    fn contract(&mut self, profile: Option<&Profile>) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let (mut inbound, mut outbound) = (BTreeSet::new(), BTreeSet::new());
        for file in files(&self.folder.join("contract"), ".json") {
            names.insert(stem(&file, ".json"));
            let Some(text) = self.text(&file) else { continue };
            let Some(one) = self.interaction(&file, &text) else { continue };
            inbound.extend(one.route.clone());
            outbound.extend(one.path.clone());
            self.variables(&file, &text, &one);
            if let Some(profile) = profile {
                self.judge(&file, &text, &one, profile);
            }
        }
        let Some(profile) = profile else { return names };
        let file = self.folder.join("party.toml");
        let text = fs::read_to_string(&file).unwrap_or_default();
        for route in profile.inbound.iter().map(|one| &one.route).filter(|route| !inbound.contains(*route)) {
            let line = line_with(&text, &format!("route = \"{route}\""));
            self.fault(&file, line, format!("no interaction in contract/ goes in by the route {route}"));
        }
        for path in profile.outbound.iter().flat_map(|o| &o.route).map(|r| &r.path).filter(|p| !outbound.contains(*p)) {
            let line = line_with(&text, &format!("\"{path}\""));
            self.fault(&file, line, format!("no interaction in contract/ goes out to {path}"));
        }
        names
    }

    fn interaction(&mut self, file: &Path, text: &str) -> Option<Interaction> {
        let mut value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(fault) => {
                self.fault(file, Some(fault.line()), fault.to_string());
                return None;
            }
        };
        loop {
            match serde_json::from_value(value.clone()) {
                Ok(one) => return Some(one),
                Err(fault) => {
                    let sentence = fault.to_string();
                    let key = sentence.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
                    let key = key.map(|(key, _)| key.to_owned());
                    let line = key.as_ref().map(|key| line_of(text, &format!("/{key}")));
                    self.fault(file, line, sentence);
                    // Without the key it is read again, for the next fault.
                    key.and_then(|key| value.as_object_mut()?.shift_remove(&key))?;
                }
            }
        }
    }

    /// Variables without a value and forms that do not exist.
    fn variables(&mut self, file: &Path, text: &str, one: &Interaction) {
        for (n, line) in text.lines().enumerate() {
            if line.contains("\"about\"") {
                continue;
            }
            for piece in line.split("${").skip(1) {
                let Some((whole, _)) = piece.split_once('}') else {
                    self.fault(file, Some(n + 1), "a variable is not closed");
                    continue;
                };
                let (name, form) = whole.split_once('|').unwrap_or((whole, ""));
                // The corridor is known only where a home system's event is sent.
                let given = one.variables.contains_key(name) || (name == "corridor" && one.direction == Way::Home);
                if !given {
                    self.fault(file, Some(n + 1), format!("variable {name} has no value in variables"));
                }
                if !form.is_empty()
                    && let Err(fault) = Codec::plain(form, self.zone)
                {
                    self.fault(file, Some(n + 1), fault);
                }
            }
        }
    }

    /// Whether record and event satisfy the schemas that they must.
    fn judge(&mut self, file: &Path, text: &str, one: &Interaction, profile: &Profile) {
        let contract = super::contract::Contract::of(self.zone);
        let corridor = BTreeMap::from([("corridor".to_owned(), "xx".to_owned())]);
        let filled = |template: &Option<Value>| contract.fill(one, template.as_ref()?, &corridor).ok();
        let lacking_record = (one.record.is_none() && one.body.is_none()).then_some("record");
        let (mapping, lacking) = match one.direction {
            Way::Home if profile.side != Side::Home => {
                self.fault(file, Some(line_of(text, "/direction")), "only the home party has home interactions");
                return;
            }
            Way::Home => (None, one.event.is_none().then_some("event")),
            Way::In => {
                let found = profile.inbound.iter().find(|inbound| Some(&inbound.route) == one.route.as_ref());
                if found.is_none() {
                    self.fault(file, Some(line_of(text, "/route")), "party.toml has no such inbound route");
                }
                (found.map(|found| &found.mapping), lacking_record)
            }
            Way::Out => {
                let routes = profile.outbound.iter().flat_map(|outbound| &outbound.route);
                let found = routes.into_iter().find(|route| Some(&route.path) == one.path.as_ref());
                if found.is_none() {
                    self.fault(file, Some(line_of(text, "/path")), "party.toml has no such outbound path");
                }
                let lacking = lacking_record.or(one.event.is_none().then_some("event"));
                (found.map(|found| &found.mapping), lacking)
            }
        };
        if let Some(lacking) = lacking {
            self.fault(file, Some(1), format!("{lacking} is missing"));
        }
        // A record that the contract wants refused or held may break what it likes.
        let is_good = one.direction != Way::In || one.answer["outcome"] == "applied";
        if !is_good {
            return;
        }
        if let (Some(wire), Some(record)) = (mapping.and_then(|name| self.wires.get(name)), filled(&one.record)) {
            for broken in wire.check(&record) {
                let line = line_of(text, &format!("/record{}", broken.pointer));
                let expected: Vec<&str> = broken.params.iter().map(|(_, value)| value.as_str()).collect();
                let sentence = format!(
                    "record{}: {} ({}): it breaks its wire schema",
                    broken.pointer,
                    broken.rule,
                    expected.join(", ")
                );
                self.fault(file, Some(line), sentence);
            }
        }
        for (at, event) in [("/event", filled(&one.event)), ("/canonical", filled(&one.canonical))] {
            let Some(event) = event else { continue };
            let type_name = event["type"].as_str().unwrap_or_default().to_owned();
            if self.schemas.message(&type_name).is_none() {
                let line = line_of(text, &format!("{at}/type"));
                self.fault(file, Some(line), format!("{type_name} is not in the catalogue"));
            }
            let mapped = mapping.and_then(|name| self.mappings.get(name)).map(|mapping| mapping.type_name.clone());
            if let Some(mapped) = mapped.filter(|mapped| *mapped != type_name) {
                let line = line_of(text, &format!("{at}/type"));
                self.fault(file, Some(line), format!("the route's mapping is of {mapped}"));
            }
            for broken in self.schemas.check_data(&type_name, &event["data"]) {
                let line = line_of(text, &format!("{at}{}", broken.pointer));
                self.fault(file, Some(line), format!("{at}{}: {}", broken.pointer, broken.rule));
            }
        }
    }

    fn journeys(&mut self, names: &BTreeSet<String>) {
        let file = self.folder.join("journeys.toml");
        let Ok(text) = fs::read_to_string(&file) else { return };
        let journeys: Option<Journeys> =
            self.toml(&file, &text, |text| toml::from_str(text).map_err(|fault| fault.to_string()));
        let Some(journeys) = journeys else { return };
        let total: u32 = journeys.journey.iter().map(|journey| journey.share).sum();
        if total != 100 {
            self.fault(&file, line_with(&text, "share = "), format!("the shares make {total}, not 100"));
        }
        let home = self.home_interactions();
        let mut seen = BTreeSet::new();
        for step in journeys.journey.iter().flat_map(|journey| &journey.steps).filter(|step| seen.insert(*step)) {
            let (name, _) = step.split_once(':').unwrap_or((step, ""));
            let known = match name.strip_prefix("home/") {
                Some(name) => home.is_empty() || home.contains(name),
                None => names.contains(name),
            };
            if !known {
                self.fault(&file, line_with(&text, &format!("\"{step}\"")), format!("there is no interaction {name}"));
            }
        }
    }

    /// Names of the home party's interactions, if its folder lies beside this one.
    fn home_interactions(&self) -> BTreeSet<String> {
        let Some(beside) = self.folder.parent() else { return BTreeSet::new() };
        let home = super::scaffold::home_folder(beside);
        home.map(|home| files(&home.join("contract"), ".json").iter().map(|file| stem(file, ".json")).collect())
            .unwrap_or_default()
    }
}

/// A mapping, or its first fault in a sentence that names the line.
fn parse(text: &str, zone: time::UtcOffset) -> Result<Mapping, String> {
    Mapping::parse(text, zone).map_err(|faults| {
        let first = faults.into_iter().next().unwrap_or_default();
        first.0.map_or(first.1.clone(), |line| format!("line {line}: {}", first.1))
    })
}
