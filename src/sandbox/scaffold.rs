//! `partner new`: a folder for a new party that already passes its check and its contract, made from the catalogue, the schemas and
//! their examples: one flat JSON record in English a message type.
//!
//! What it writes is a beginning to be changed by hand; nothing reads it again. Whoever changes a mapping changes the contract by
//! hand too, so that one proves the other.

mod leaves;
mod record;

use crate::{
    partner::profile::{Profile, Side},
    schema::{
        Schemas,
        catalogue::{Direction, MessageType},
    },
};
use record::Record;
use serde::Deserialize;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use time::{UtcOffset, macros::format_description};

/// How the new party says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// By HTTP status.
    Status,
    /// By a code in a 200.
    Code,
}

/// What is to be made.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Code of the new party: its folder's name.
    pub code: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Offset of its local times, `+08:00`.
    pub zone: &'a str,
    /// How it says no.
    pub style: Style,
    /// The folder of schemas.
    pub schemas: &'a Path,
    /// The folder of parties.
    pub partners: &'a Path,
}

/// Why none was made.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldFault {
    /// A file.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// What is asked for cannot be.
    #[error("{0}")]
    Plan(String),
    /// The schemas cannot be used.
    #[error("schemas: {0}")]
    Schemas(String),
}

/// Fields that are withheld until the parties agree otherwise, if the messages have them.
const WITHHELD: &str = "/worker/phone";

#[derive(Deserialize)]
struct Catalogue {
    message: Vec<MessageType>,
}

/// Writes the folder; gives its path.
///
/// # Errors
/// [`ScaffoldFault`]; what was written by then stays.
pub fn new(plan: &Plan<'_>) -> Result<PathBuf, ScaffoldFault> {
    let zone = zone(plan)?;
    let folder = plan.partners.join(plan.code);
    if folder.exists() {
        return Err(ScaffoldFault::Plan(format!("{} is there already", folder.display())));
    }
    let loaded = Schemas::load(plan.schemas);
    let schemas = loaded.map_err(|faults| {
        ScaffoldFault::Schemas(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    })?;
    let catalogue = read(&plan.schemas.join("catalogue.toml"))?;
    let catalogue: Catalogue = toml::from_str(&catalogue).map_err(|fault| ScaffoldFault::Schemas(fault.to_string()))?;
    let documents = leaves::Documents::read(plan.schemas)?;
    let withheld: Vec<&str> = schemas.field(WITHHELD).iter().map(|_| WITHHELD).collect();
    let mut records = Vec::new();
    for message in &catalogue.message {
        let example = plan.schemas.join(format!("examples/valid/{}.json", message.name));
        let example =
            serde_json::from_str(&read(&example)?).map_err(|fault| ScaffoldFault::Schemas(fault.to_string()))?;
        let leaves = documents.leaves(&message.schema)?;
        let own = partner_authorities(&catalogue.message);
        let senders: Vec<&str> = own.into_iter().filter(|one| message.sent_by(one)).collect();
        let record = |senders| Record::new(message, leaves.clone(), &example, senders, &withheld, plan.code, zone);
        if matches!(message.direction, Direction::HomeToPartner | Direction::Both) {
            records.push(record(&[]));
        }
        if matches!(message.direction, Direction::PartnerToHome | Direction::Both) && !senders.is_empty() {
            records.push(record(&senders));
        }
    }
    let home = home_folder(plan.partners);
    write(&folder.join("party.toml"), &party(plan, &catalogue.message, &records, home.as_deref()))?;
    write(&folder.join("release.toml"), &release(&withheld))?;
    for record in &records {
        write(&folder.join(format!("mapping/{}.toml", record.name)), &record.mapping())?;
        write(&folder.join(format!("wire/{}.schema.json", record.name)), &record.schema(plan.code))?;
        write(&folder.join(format!("contract/{}.json", record.interaction())), &record.contract())?;
    }
    let incomplete = records.iter().rfind(|record| !record.is_told && !record.safety);
    if let Some(record) = incomplete {
        write(&folder.join(format!("contract/{}-incomplete.json", record.interaction())), &record.incomplete())?;
    }
    if let Some(journeys) = home.as_deref().map(|home| journeys(home, &records)).transpose()?.flatten() {
        write(&folder.join("journeys.toml"), &journeys)?;
    }
    write(&folder.join("calendar/week.toml"), &week(plan))?;
    write(&folder.join("README.md"), &readme(plan))?;
    Ok(folder)
}

fn zone(plan: &Plan<'_>) -> Result<UtcOffset, ScaffoldFault> {
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if plan.code.is_empty() || plan.code.len() > 20 || !plan.code.bytes().all(letters) || plan.code.starts_with('-') {
        let text = "a code is 1 to 20 lower-case letters, digits and hyphens: it names a folder, a route and a log";
        return Err(ScaffoldFault::Plan(text.to_owned()));
    }
    if plan.name.is_empty() || plan.name.contains(['"', '\\']) || plan.name.contains(char::is_control) {
        return Err(ScaffoldFault::Plan("a name has no quotes, backslashes or line breaks".to_owned()));
    }
    let zone = UtcOffset::parse(plan.zone, format_description!("[offset_hour sign:mandatory]:[offset_minute]"));
    zone.map_err(|_| ScaffoldFault::Plan("a zone is an offset of the form +08:00".to_owned()))
}

/// The home party's folder below `partners`.
pub(super) fn home_folder(partners: &Path) -> Option<PathBuf> {
    folders(partners).into_iter().find(|folder| side(folder) == Some(Side::Home))
}

fn side(folder: &Path) -> Option<Side> {
    let profile: Profile = crate::partner::read_toml(&folder.join("party.toml")).ok()?;
    Some(profile.side)
}

pub(super) fn folders(partners: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(partners).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<PathBuf> = entries.filter(|path| path.join("party.toml").is_file()).collect();
    found.sort();
    found
}

/// Authorities that send what only a partner sends.
fn partner_authorities(messages: &[MessageType]) -> Vec<&str> {
    let of_partners = messages.iter().filter(|message| message.direction == Direction::PartnerToHome);
    let mut authorities: Vec<&str> = of_partners.flat_map(|message| &message.senders).map(String::as_str).collect();
    authorities.sort_unstable();
    authorities.dedup();
    authorities
}

fn party(plan: &Plan<'_>, messages: &[MessageType], records: &[Record], home: Option<&Path>) -> String {
    let environment = home.and_then(|home| crate::partner::read_toml::<Profile>(&home.join("party.toml")).ok());
    let environment = environment.map_or_else(|| "test".to_owned(), |profile| profile.environment);
    let authorities = partner_authorities(messages);
    let Plan { code, name, zone, style, .. } = plan;
    let mut text = format!(
        "# {name}. Made by `onechannel partner new {code}`: every line is a beginning. The wire format is invented; it is no\n\
         # official interface.\n\ncode = \"{code}\"\nname = \"{name}\"\nside = \"partner\"\nenvironment = \"{environment}\"\n\
         zone = \"{zone}\"\nassurance = \"answer-signed\"\n"
    );
    for authority in &authorities {
        text +=
            &format!("\n[[authority]]\ncode = \"{authority}\"\nname = \"The authority that speaks as {authority}\"\n");
    }
    let quoted: Vec<String> = authorities.iter().map(|one| format!("\"{one}\"")).collect();
    text += &format!(
        "\n[[client]]\nid = \"{code}-gateway\"\nsan = \"gateway.{code}.example\"\nauthorities = [{}]\n\
         key = [{{ kid = \"{code}-gateway-sign-1\", file = \"trust/{code}-gateway-sign-1.pem\" }}]\n\n[trust]\n\
         roots = [\"trust/ca.pem\"]\n",
        quoted.join(", ")
    );
    for record in records.iter().filter(|record| !record.is_told) {
        text += &format!("\n[[inbound]]\nroute = \"{0}\"\nmapping = \"{0}\"\n", record.name);
    }
    let refusal = match style {
        Style::Status => "{ style = \"status\" }",
        Style::Code => "{ style = \"code\", pointer = \"/response/code\", success = 0, again = [900] }",
    };
    text += &format!(
        "\n[outbound]\nbase = \"https://api.{code}.example\"\nroots = [\"trust/ca.pem\"]\n\
         answer_key = [{{ kid = \"{code}-answer-1\", file = \"trust/{code}-answer-1.pem\" }}]\nrefusal = {refusal}\n"
    );
    for record in records.iter().filter(|record| record.is_told) {
        text += &format!("\n[[outbound.route]]\nmapping = \"{}\"\npath = \"{}\"\n", record.name, record.path());
    }
    text
}

fn release(withheld: &[&str]) -> String {
    let list: Vec<String> = withheld.iter().map(|one| format!("\"{one}\"")).collect();
    format!(
        "# What goes out to this party. Class S4 and fields marked x-release: never stay home whatever stands here.\n\
         classes = [\"S0\", \"S1\", \"S2\", \"S3\"]\nwithhold = [{}]\n",
        list.join(", ")
    )
}

/// One journey through every message type that leads a worker into service, in the order of the catalogue; none where
/// the home party's contract lacks a step.
fn journeys(home: &Path, records: &[Record]) -> Result<Option<String>, ScaffoldFault> {
    let contract = super::contract::Contract::load(home, "+00:00").map_err(ScaffoldFault::Plan)?;
    let of = |record: &&Record| {
        let is =
            |one: &super::contract::Interaction| one.event.as_ref().is_some_and(|e| e["type"] == *record.type_name);
        contract.interactions.iter().find(|(_, one)| is(one)).map(|(name, _)| format!("home/{name}"))
    };
    let moving = records.iter().filter(|record| record.leads_on);
    let steps: Option<Vec<String>> = moving
        .map(|record| if record.is_told { of(&record) } else { Some(record.interaction()) })
        .map(|step| step.map(|step| format!("\"{step}\"")))
        .collect();
    let Some(steps) = steps else { return Ok(None) };
    let Some(last) = records.iter().rfind(|record| record.leads_on && !record.is_told).map(Record::interaction) else {
        return Ok(None);
    };
    let journey = |name: &str, share: u32, steps: &[String]| {
        format!(
            "[[journey]]\nname = \"{name}\"\nshare = {share}\nsteps = [{}]\nstage = \"IN_SERVICE\"\nstay = \"PERMIT_VALID\"\n",
            steps.join(", ")
        )
    };
    let mut twice = steps.clone();
    twice.push(format!("\"{last}:repeat\""));
    Ok(Some(format!(
        "# Journeys of the demo's synthetic population: which interactions happen, and where they must end. The shares make 100.\n\
         # \"home/\" means the home party's; \":repeat\" sends the same bytes again.\n\n{}\n{}",
        journey("as it should be", 90, &steps),
        journey("pushed twice", 10, &twice)
    )))
}

/// A working week from Monday to Friday in the party's one zone.
fn week(plan: &Plan<'_>) -> String {
    format!(
        "# Zones, weekends and end of business: deadlines in working days run by them. A beginning; holidays go into <year>.toml.\n\n\
         [business]\ncloses = \"17:00\"\nsource = \"not confirmed\"\n\n[[zone]]\nname = \"local\"\noffset = \"{}\"\n\n\
         [[weekend]]\ndays = [\"saturday\", \"sunday\"]\n",
        plan.zone
    )
}

fn readme(plan: &Plan<'_>) -> String {
    let Plan { code, name, .. } = plan;
    format!(
        "# {name}\n\nMade by `onechannel partner new {code}`. The wire format is invented, flat JSON in English, one record a message \
         type; it is\nno official interface. All people and identifiers are synthetic.\n\nChange first, and after each step run \
         `onechannel partner check {code}` and `onechannel partner certify {code}`:\n\n\
         1. `party.toml`: names of the authorities, the client's certificate name (`san`), `base`, how the party says no, whether it \
         signs\n   its answers (`assurance`).\n\
         2. `wire/` and `mapping/`: rename the wire fields to the party's own; in `[tables.…]` the left column is the party's code. \
         Delete\n   rows and properties that it does not have. `[authority]` says in which field a record names the authority that \
         speaks.\n\
         3. `contract/`: write what the party really sends and wants to be told, by hand. Never copy from the mapping's output: one \
         proves\n   the other.\n\
         4. `release.toml`: what the agreement lets go out.\n\
         5. `calendar/`: weekends and holidays; `rules/`: what the agreement asks of contracts (see another party's folder).\n\
         6. `trust/`: the party's real certificates and public keys, before it is live. None are kept here; tests make throw-away \
         ones.\n"
    )
}

fn read(file: &Path) -> Result<String, ScaffoldFault> {
    fs::read_to_string(file).map_err(|fault| ScaffoldFault::File(file.to_owned(), fault))
}

fn write(file: &Path, text: &str) -> Result<(), ScaffoldFault> {
    let fault = |fault| ScaffoldFault::File(file.to_owned(), fault);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(fault)?;
    }
    fs::write(file, text).map_err(fault)
}
