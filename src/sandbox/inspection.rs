//! `partner check`: every fault of a party's folder at once, each with file and line, without a database, a network or keys.
//!
//! It judges the files alone: whether the mappings say what the contract says is for [`super::certify`], which runs them.

mod lines;

use super::contract::{Interaction, Journeys, Way};
use crate::{
    client,
    ledger::note,
    partner::{
        self, PartyFault,
        calendar::WorkCalendar,
        formats,
        mapping::{Mapping, codec::Codec},
        profile::{Profile, Side, Witness},
        release::Release,
    },
    schema::{Schemas, wire::WireSchema},
    trust::keys::VerifyingKey,
};
use lines::{line_of, place, toml_faults};
use rustls_pki_types::{CertificateRevocationListDer, pem::PemObject};
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

fn zone_of(profile: &Profile) -> Option<UtcOffset> {
    UtcOffset::parse(&profile.zone, format_description!("[offset_hour sign:mandatory]:[offset_minute]")).ok()
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
        self.as_the_gateway(profile.as_ref());
        let names = self.contract(profile.as_ref());
        self.journeys(&names);
    }

    fn profile(&mut self, file: &Path, text: &str, profile: &Profile) {
        if self.folder.file_name().is_none_or(|name| name != profile.code.as_str()) {
            let line = line_with(text, "code");
            self.fault(file, line, format!("the folder's name is not the party's code {}", profile.code));
        }
        match zone_of(profile) {
            Some(zone) => self.zone = zone,
            None => self.fault(file, line_with(text, "zone"), "zone: an offset of the form +08:00 is expected"),
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
        for base in outbound.clone().map(|outbound| &outbound.base).filter(|base| !base.starts_with("https://")) {
            self.fault(file, line_with(text, &format!("\"{base}\"")), "outbound.base must begin with https://");
        }
        if let Some(fault) = profile.witness_fault() {
            self.fault(file, line_with(text, "witness"), fault);
        }
        let keys = profile.client.iter().flat_map(|client| &client.key);
        let keys = keys.chain(outbound.clone().flat_map(|outbound| &outbound.answer_key)).map(|key| &key.file);
        let witness = profile.witness.iter().flat_map(Witness::keys).map(|(file, _)| file);
        let keys = keys.chain(profile.log.iter().map(|log| &log.file)).chain(witness);
        let trust = profile.trust.roots.iter().chain(&profile.trust.crls);
        let trust: BTreeSet<&String> = trust.chain(outbound.flat_map(|o| &o.roots)).chain(keys).collect();
        let weight = if profile.environment == "test" { Weight::Warning } else { Weight::Fault };
        for missing in trust.into_iter().filter(|missing| !self.folder.join(missing.as_str()).is_file()) {
            let hint = "is not there (a sandbox makes throw-away ones)";
            self.find(file, line_with(text, missing), weight, format!("{missing} {hint}"));
        }
        self.credentials(profile);
    }

    /// Certificates, revocation lists and keys that are there but cannot be read.
    fn credentials(&mut self, profile: &Profile) {
        let folder = self.folder;
        let there = |name: &&String| folder.join(name.as_str()).is_file();
        let outbound = profile.outbound.iter();
        let roots = profile.trust.roots.iter().chain(outbound.clone().flat_map(|outbound| &outbound.roots));
        let mut wrong: Vec<(PathBuf, String)> = Vec::new();
        for name in roots.filter(there) {
            let read = client::certificates(folder, std::slice::from_ref(name));
            wrong.extend(read.err().map(|fault| (folder.join(name), fault.fault)));
        }
        for name in profile.trust.crls.iter().filter(there) {
            let read = CertificateRevocationListDer::from_pem_file(folder.join(name));
            wrong.extend(read.err().map(|fault| (folder.join(name), fault.to_string())));
        }
        let keys = profile.client.iter().flat_map(|client| &client.key);
        for key in keys.chain(outbound.flat_map(|outbound| &outbound.answer_key)).filter(|key| there(&&key.file)) {
            let pem = fs::read(folder.join(&key.file)).unwrap_or_default();
            let read = VerifyingKey::from_spki_pem(&key.kid, &pem);
            wrong.extend(read.err().map(|fault| (folder.join(&key.file), fault.to_string())));
        }
        let logs = profile.log.iter().map(|log| (&log.file, note::LOG));
        let witness = profile.witness.iter().flat_map(Witness::keys);
        for (name, signature_type) in logs.chain(witness).filter(|(name, _)| there(name)) {
            let read = partner::note_key(folder, name, signature_type);
            wrong.extend(read.err().map(|fault| (folder.join(name), fault.fault)));
        }
        wrong.into_iter().for_each(|(file, fault)| self.fault(&file, None, fault));
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

    /// Reads the mappings; what is wrong with them as tables of two sides is for [`formats::Folder`].
    fn mappings(&mut self) {
        for file in files(&self.folder.join("mapping"), ".toml") {
            let Some(text) = self.text(&file) else { continue };
            let zone = self.zone;
            let Some(mapping) = self.toml(&file, &text, |text| parse(text, zone)) else { continue };
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

    /// What the gateway itself would find wrong with routes, mappings, wire schemas, rule packs and calendar when it starts.
    fn as_the_gateway(&mut self, profile: Option<&Profile>) {
        let zone = profile.and_then(zone_of);
        let (mut found, calendar) = partner::faults_of_rules_and_days(self.folder, zone, self.schemas);
        if let Some(profile) = profile {
            let all = formats::Folder { folder: self.folder, profile, zone: self.zone, schemas: self.schemas };
            found.extend(all.faults());
        }
        for PartyFault { file, line, fault } in found {
            let file = PathBuf::from(file);
            // Some readers name the line in the sentence.
            let (line, text) = if line.is_some() { (line, fault) } else { place(&fault) };
            let is_said = |one: &Finding| one.file == file && one.line.is_some();
            let unreadable = line.is_none() && !self.wires.contains_key(&stem(&file, ".schema.json"));
            if unreadable && file.to_string_lossy().ends_with(".json") && self.done.findings.iter().any(is_said) {
                continue;
            }
            self.fault(&file, line, text);
        }
        if let Some(profile) = profile {
            self.beside(profile, calendar.as_ref());
        }
    }

    /// What does not go together with the other folders that lie beside this one.
    fn beside(&mut self, profile: &Profile, calendar: Option<&WorkCalendar>) {
        let file = self.folder.join("party.toml");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let others = self.folder.parent().map(super::scaffold::folders).unwrap_or_default();
        if profile.side != Side::Home && self.folder.parent().and_then(super::scaffold::home_folder).is_none() {
            let text = "no folder beside this one is the home party's: the gateway and `partner certify` need one";
            self.find(&file, None, Weight::Warning, text);
        }
        for other in others.iter().filter(|other| other.file_name() != self.folder.file_name()) {
            let Ok(its) = partner::read_toml::<Profile>(&other.join("party.toml")) else { continue };
            for client in profile.client.iter().filter(|one| its.client.iter().any(|other| other.id == one.id)) {
                let line = line_with(&text, &format!("\"{}\"", client.id));
                self.fault(&file, line, format!("client {} is registered by {} too", client.id, its.code));
            }
            if its.side != Side::Home {
                continue;
            }
            if profile.side == Side::Home {
                self.fault(&file, line_with(&text, "side"), format!("{} is the home party already", its.code));
            }
            if its.environment != profile.environment {
                let line = line_with(&text, "environment");
                self.fault(&file, line, format!("the home party's environment is {}", its.environment));
            }
            let home = WorkCalendar::load(other).ok();
            if profile.side != Side::Home
                && let (Some(home), Some(calendar)) = (home, calendar)
                && partner::share_no_weekday(&home, calendar)
            {
                self.fault(&self.folder.join("calendar/week.toml"), None, partner::NEVER_TOGETHER);
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
