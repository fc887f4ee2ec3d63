//! The rules of the rooms, held by a test: what may import what, and that no party is named in code.

use std::path::{Path, PathBuf};

/// Rooms from the lowest up; a room may use those before it.
const ROOMS: [&[&str]; 10] = [
    &["domain", "ledger", "words"],
    &["message", "vault"],
    &["schema"],
    &["partner", "trust"],
    &["access", "evidence"],
    &["store"],
    &["client"],
    &["exchange"],
    &["http"],
    &["sandbox", "app"],
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files
}

/// The text before the tests of the file.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

fn row(room: &str) -> usize {
    ROOMS.iter().position(|rooms| rooms.contains(&room)).unwrap_or_else(|| panic!("room {room} is not in the table"))
}

/// Rooms that a `use crate::{…}` or `crate::…` names.
fn used(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for piece in text.split("crate::").skip(1) {
        if let Some(list) = piece.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 && (c.is_alphanumeric() || c == '_') {
                    word.push(c);
                } else {
                    if c == ':' || c == ',' || c == '\n' {
                        rooms.push(word.clone());
                    }
                    word.clear();
                }
            }
        } else {
            rooms.push(piece.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    rooms.retain(|room| ROOMS.iter().any(|rooms| rooms.contains(&room.as_str())));
    rooms
}

#[test]
fn arrows_only_point_up_the_table_of_rooms() {
    let mut faults = Vec::new();
    for path in sources(Path::new("src")) {
        let Some(room) = path.components().nth(1).map(|part| part.as_os_str().to_string_lossy().replace(".rs", ""))
        else {
            continue;
        };
        if room == "lib" || room == "main" || path.to_string_lossy().contains("tests.rs") {
            continue;
        }
        let text: String =
            code(&path).lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for other in used(&text) {
            // Endpoints go through the use cases.
            let past_exchange = room == "http" && ["store", "vault"].contains(&other.as_str());
            if row(&other) > row(&room) || past_exchange {
                faults.push(format!("{} uses {other}", path.display()));
            }
        }
        let sql = text.contains("sqlx::query") && room != "store";
        let outbound = text.contains("reqwest::") && !["client", "sandbox"].contains(&room.as_str());
        let axum = text.contains("axum::") && !["http", "sandbox", "app"].contains(&room.as_str());
        for (is, what) in [(sql, "SQL"), (outbound, "reqwest"), (axum, "axum")] {
            if is {
                faults.push(format!("{} uses {what}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn no_party_is_named_in_code() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir("partners").unwrap() {
        let Ok(text) = std::fs::read_to_string(entry.unwrap().path().join("party.toml")) else { continue };
        let table: toml::Table = text.parse().unwrap();
        names.push(table["name"].as_str().unwrap().to_owned());
        for authority in table["authority"].as_array().unwrap() {
            names.push(format!("\"{}\"", authority["code"].as_str().unwrap()));
        }
    }
    let kinds: toml::Table = std::fs::read_to_string("schemas/identifiers.toml").unwrap().parse().unwrap();
    names.extend(
        kinds["identifier"].as_array().unwrap().iter().map(|kind| format!("\"{}\"", kind["kind"].as_str().unwrap())),
    );
    let example = std::fs::read("schemas/examples/valid/placement.nominated.v1.json").unwrap();
    let example: serde_json::Value = serde_json::from_slice(&example).unwrap();
    names.push(example["data"]["worker"]["nationality"].to_string());
    // What the population fills into templates are names of variables, not of kinds.
    let faults: Vec<String> = sources(Path::new("src"))
        .into_iter()
        .filter(|path| !path.starts_with("src/sandbox") && !path.to_string_lossy().contains("tests.rs"))
        .flat_map(|path| {
            let text: String =
                code(&path).lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            let named: Vec<String> = names.iter().filter(|name| text.contains(name.as_str())).cloned().collect();
            named.into_iter().map(move |name| format!("{} names {name}", path.display()))
        })
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let all: String = ["src", "tests"]
        .iter()
        .flat_map(|folder| sources(Path::new(folder)))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let tables = [("src/trust/mod.rs", 18), ("src/ledger/mod.rs", 14)];
    let threats = tables.map(|(file, _)| std::fs::read_to_string(file).unwrap());
    let rows = |text: &str| -> Vec<String> {
        let rows = text.lines().filter(|line| line.starts_with("//! | ") && line.contains('`'));
        rows.map(str::to_owned).collect()
    };
    for (text, (file, least)) in threats.iter().zip(tables) {
        assert!(rows(text).len() >= least, "{file}");
    }
    let rows: Vec<String> = threats.iter().flat_map(|text| rows(text)).collect();
    let named = rows
        .iter()
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .filter(|word| word.contains('_') && !word.contains(' '));
    let lost: Vec<&str> = named.filter(|name| !all.contains(&format!("fn {name}("))).collect();
    assert!(lost.is_empty(), "{lost:?}");
    // Promises name tests by their beginning, or whole modules of them.
    let promises = std::fs::read_to_string("src/lib.rs").unwrap();
    let promises = promises.split("# Map").next().unwrap();
    let is_there = |name: &str| {
        let last = name.rsplit("::").next().unwrap();
        match last.strip_suffix('…') {
            Some(beginning) => all.contains(&format!("fn {beginning}")),
            None => ["mod {};", "mod {} {", "fn {}("].iter().any(|line| all.contains(&line.replacen("{}", last, 1))),
        }
    };
    let named: Vec<&str> = promises.split('`').skip(1).step_by(2).filter(|word| word.contains("::")).collect();
    assert!(named.len() > 20, "{named:?}");
    let lost: Vec<&str> = named.into_iter().filter(|name| !is_there(name)).collect();
    assert!(lost.is_empty(), "{lost:?}");
}
