//! A party's contract: hand-written interactions below `partners/<code>/contract/`, each a record or event with variables.
//!
//! The same files serve three ends: contract tests replay them with their own variables, the demo's population with a
//! person's, and the mock partner answers by them. They are written without the mapper, so that its faults cannot cancel.

use crate::partner::mapping::codec::Codec;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use time::{UtcOffset, macros::format_description};

/// Which way an interaction goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// The party sends a record in its own format.
    In,
    /// The party is told a record in its own format.
    Out,
    /// A home system sends a canonical event.
    Home,
}

/// One interaction.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interaction {
    /// What it shows.
    pub about: String,
    /// Which way.
    pub direction: Way,
    /// Inbound route or record type.
    pub route: Option<String>,
    /// Path under which the party is told.
    pub path: Option<String>,
    /// Type of the event.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// Values of the variables.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// The wire record.
    pub record: Option<Value>,
    /// Its bytes instead, as lines that CRLF ends: for formats other than JSON written by hand too, so that a fault in how
    /// bytes are read cannot cancel one in how they are written.
    pub body: Option<Vec<String>>,
    /// The canonical event that is sent.
    pub event: Option<Value>,
    /// The canonical event that must result.
    pub canonical: Option<Value>,
    /// The answer that must come.
    #[serde(default)]
    pub answer: Value,
}

/// A run of interactions of the demo's population.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journey {
    /// What happens.
    pub name: String,
    /// Of 100 placements.
    pub share: u32,
    /// Names of interactions, `home/` of the home party; `:repeat`, `:refused`, `:held` say what must come of it.
    pub steps: Vec<String>,
    /// Stage in which it must end.
    pub stage: String,
    /// Stay in which it must end.
    pub stay: String,
}

/// `journeys.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journeys {
    pub(super) journey: Vec<Journey>,
}

/// All interactions of a party, by file name.
#[derive(Debug)]
pub struct Contract {
    /// The interactions.
    pub interactions: BTreeMap<String, Interaction>,
    /// Runs of them.
    pub journeys: Vec<Journey>,
    zone: UtcOffset,
}

impl Contract {
    /// One without interactions, to fill templates of a party whose local times have `zone`.
    pub(super) fn of(zone: UtcOffset) -> Self {
        Self { interactions: BTreeMap::new(), journeys: Vec::new(), zone }
    }

    /// Reads the folder of a party whose local times have `zone` (`+08:00`).
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn load(folder: &Path, zone: &str) -> Result<Self, String> {
        let named = |path: &Path, fault: &dyn std::fmt::Display| format!("{}: {fault}", path.display());
        let zone = UtcOffset::parse(zone, format_description!("[offset_hour sign:mandatory]:[offset_minute]"));
        let zone = zone.map_err(|fault| named(folder, &fault))?;
        let contract = folder.join("contract");
        let mut interactions = BTreeMap::new();
        for entry in fs::read_dir(&contract).map_err(|fault| named(&contract, &fault))? {
            let path: PathBuf = entry.map_err(|fault| named(&contract, &fault))?.path();
            let bytes = fs::read(&path).map_err(|fault| named(&path, &fault))?;
            let one = serde_json::from_slice(&bytes).map_err(|fault| named(&path, &fault))?;
            interactions.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), one);
        }
        let file = folder.join("journeys.toml");
        let journeys = match fs::read_to_string(&file) {
            Ok(text) => toml::from_str::<Journeys>(&text).map_err(|fault| named(&file, &fault))?.journey,
            Err(_) => Vec::new(),
        };
        Ok(Self { interactions, journeys, zone })
    }

    /// The bytes of the record or event that is sent, with its variables filled in as by [`Self::fill`].
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub fn bytes(&self, interaction: &Interaction, variables: &BTreeMap<String, String>) -> Result<Vec<u8>, String> {
        if let Some(lines) = &interaction.body {
            let lines = lines.iter().map(|line| {
                let filled = self.fill(interaction, &Value::from(line.as_str()), variables)?;
                Ok(format!("{}\r\n", filled.as_str().unwrap_or_default()))
            });
            return Ok(lines.collect::<Result<String, String>>()?.into_bytes());
        }
        let template = interaction.record.as_ref().or(interaction.event.as_ref());
        let filled = self.fill(interaction, template.ok_or("neither record nor event")?, variables)?;
        Ok(filled.to_string().into_bytes())
    }

    /// `template` with its variables filled in; those of `variables` come before the interaction's own.
    ///
    /// # Errors
    /// A sentence that names the variable that is missing or has no such form.
    pub fn fill(
        &self,
        interaction: &Interaction,
        template: &Value,
        variables: &BTreeMap<String, String>,
    ) -> Result<Value, String> {
        let find = |name: &str| variables.get(name).or_else(|| interaction.variables.get(name));
        fill(template, &|name| {
            let (name, form) = name.split_once('|').unwrap_or((name, ""));
            let value = find(name).ok_or_else(|| format!("variable {name} has no value"))?;
            if form.is_empty() {
                return Ok(value.clone());
            }
            let codec = Codec::plain(form, self.zone)?;
            let written = codec.write(&Value::from(value.as_str())).map_err(|fault| format!("{name}: {fault}"))?;
            Ok(written.as_str().map_or_else(|| written.to_string(), str::to_owned))
        })
    }
}

/// Whether an answer has all that a contract says of it. What the contract has as null may be anything.
pub fn meets(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (_, Value::Null) => true,
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| found.get(name).is_some_and(|found| meets(found, wanted)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| meets(found, wanted))
        }
        (found, wanted) => found == wanted,
    }
}

fn fill(template: &Value, find: &dyn Fn(&str) -> Result<String, String>) -> Result<Value, String> {
    Ok(match template {
        Value::String(text) => {
            let mut filled = String::new();
            let mut rest = text.as_str();
            while let Some((before, after)) = rest.split_once("${") {
                let (name, after) = after.split_once('}').ok_or_else(|| format!("an open variable in {text}"))?;
                filled.push_str(before);
                filled.push_str(&find(name)?);
                rest = after;
            }
            filled.push_str(rest);
            filled.into()
        }
        Value::Array(items) => items.iter().map(|item| fill(item, find)).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Object(members) => {
            let filled = members.iter().map(|(name, value)| Ok((name.clone(), fill(value, find)?)));
            Value::Object(filled.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}
