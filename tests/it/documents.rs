//! Documents that list what is data stay true: `schemas/README.md` ends with tables made from the folders themselves. With
//! `ONECHANNEL_WRITE_DOCUMENTS=1` the test writes them anew.

use onechannel::{
    partner::{profile::Profile, release::Release},
    schema::{
        Schemas,
        catalogue::{ExceptionEntry, MessageType},
    },
};
use std::{collections::BTreeMap, fs, path::Path};

const README: &str = "schemas/README.md";
const START: &str = "## Messages\n";

/// What may go out to each partner, by its code.
fn releases() -> BTreeMap<String, Release> {
    let mut releases = BTreeMap::new();
    for entry in fs::read_dir("partners").unwrap() {
        let folder = entry.unwrap().path();
        let Ok(text) = fs::read_to_string(folder.join("party.toml")) else { continue };
        let profile: Profile = toml::from_str(&text).unwrap();
        if profile.side == onechannel::partner::profile::Side::Partner {
            let release = fs::read_to_string(folder.join("release.toml")).unwrap();
            releases.insert(profile.code, toml::from_str(&release).unwrap());
        }
    }
    releases
}

fn messages(schemas: &Schemas) -> String {
    let mut all: Vec<&MessageType> = schemas.messages().collect();
    all.sort_by(|a, b| (&a.code, &a.name).cmp(&(&b.code, &b.name)));
    let rows = all.into_iter().map(|one| {
        let (from, to) = (one.senders.join(", "), one.recipients.join(", "));
        let safety = if one.safety { "yes" } else { "" };
        let stamped = if one.time_stamp.is_some() { "at once" } else { "" };
        let replies = one.replies.join(", ");
        let (code, name, retention, basis) = (&one.code, &one.name, &one.retention, &one.legal_basis);
        format!("| {code} | `{name}` | {from} | {to} | {replies} | {safety} | {stamped} | {retention} | {basis} |\n")
    });
    let head = "| code | type | from | to | answered by | safety | time-stamp | retention | legal basis |\n|---|---|---|---|---|---|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
}

/// The catalogue's own words for terms: as they stand in the file.
fn clocks() -> String {
    let file: toml::Table = fs::read_to_string("schemas/catalogue.toml").unwrap().parse().unwrap();
    let text =
        |row: &toml::Value, name: &str| row.get(name).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let rows = file["clock"].as_array().unwrap().iter().map(|clock| {
        let due = clock.get("due").map_or("the corridor's".to_owned(), |_| text(clock, "due"));
        let [name, code, answer, alarm, side, exception] =
            ["name", "code", "waits_for", "alarm", "waits_on", "exception"].map(|name| text(clock, name));
        let owner = match &clock["owner"] {
            toml::Value::Table(sides) => {
                let of = |side: &str| format!("{side}: {}", sides[side].as_str().unwrap_or_default());
                format!("{}, {}", of("home"), of("partner"))
            }
            owner => owner.as_str().unwrap_or_default().to_owned(),
        };
        format!("| {name} | {code} | {answer} | {side} | {due} | {alarm} | {exception} | {owner} |\n")
    });
    let head = "| clock | started by | waits for | of | due | alarm | exception | whose work |\n|---|---|---|---|---|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
}

fn exceptions(schemas: &Schemas) -> String {
    let row = |one: &ExceptionEntry| format!("| {} | {} | {:?} | {} |\n", one.kind, one.owner, one.class, one.meaning);
    "| exception | whose work | class | when |\n|---|---|---|---|\n".to_owned()
        + &schemas.exceptions.iter().map(row).collect::<String>()
}

fn fields(schemas: &Schemas) -> String {
    let releases = releases();
    let rows = schemas.fields().iter().map(|(pointer, field)| {
        let number = field.number.map(|number| number.to_string()).unwrap_or_default();
        let shape = field.shape.replace('|', "\\|");
        let identifier = field.identifier.as_ref().map(|kind| format!("; {kind}")).unwrap_or_default();
        let to: Vec<&str> = releases
            .iter()
            .filter(|(_, release)| release.lets(pointer, field))
            .map(|(code, _)| code.as_str())
            .collect();
        let to = if to.is_empty() { "nobody".to_owned() } else { to.join(", ") };
        let owners = field.owners.join(", ");
        format!("| `{pointer}` | {shape}{identifier} | {number} | {owners} | {:?} | {to} |\n", field.class)
    });
    let head = "| field | type and rule | number | owner | class | may go to |\n|---|---|---|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
}

#[test]
fn the_schemas_readme_lists_every_message_clock_exception_and_field() {
    let schemas = Schemas::load(Path::new("schemas")).unwrap();
    let tables = format!(
        "{START}\n{}\n## Clocks\n\n{}\n## Exceptions\n\n{}\n## Fields\n\n{}",
        messages(&schemas),
        clocks(),
        exceptions(&schemas),
        fields(&schemas)
    );
    let readme = fs::read_to_string(README).unwrap();
    let (before, stands) = readme.split_once(START).unwrap();
    if std::env::var_os("ONECHANNEL_WRITE_DOCUMENTS").is_some() {
        fs::write(README, format!("{before}{tables}")).unwrap();
        return;
    }
    assert_eq!(format!("{START}{stands}"), tables, "ONECHANNEL_WRITE_DOCUMENTS=1 writes it anew");
}
