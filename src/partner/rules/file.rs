//! The form of a pack's file, and everything that can be wrong with it before a message comes.

use super::{
    Quota, reference,
    shape::{Shape, plain},
};
use crate::{
    partner::{
        PartyFault,
        reading::{Day, Reading, texts},
    },
    schema::catalogue::Level,
    vault::TokenKey,
    words,
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use time::Date;

/// A pack.
#[derive(Debug)]
pub(super) struct Pack {
    pub(super) file: PathBuf,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) valid_from: Date,
    pub(super) valid_to: Option<Date>,
    pub(super) dated_by: Option<String>,
    pub(super) stated_by: String,
    pub(super) source: String,
    pub(super) basis: Basis,
    pub(super) rules: Vec<Rule>,
    pub(super) lists: BTreeMap<String, List>,
    pub(super) quotas: Vec<Quota>,
}

/// How well a figure is founded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Basis {
    /// Read in a public source.
    Published,
    /// General knowledge, not confirmed.
    Known,
    /// Decided or invented here.
    Decided,
}

impl Basis {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Known => "known",
            Self::Decided => "decided",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    version: String,
    valid_from: Day,
    valid_to: Option<Day>,
    /// Pointer to the day by which the pack is chosen; without one it is the day of the message.
    dated_by: Option<String>,
    stated_by: String,
    source: String,
    basis: Basis,
}

/// A rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    #[serde(rename = "rule")]
    pub(super) word: String,
    pub(super) pointer: String,
    pub(super) must: Shape,
    /// Message types.
    pub(super) applies: Vec<String>,
    #[serde(default)]
    pub(super) when: Vec<Condition>,
    #[serde(default = "firm")]
    pub(super) level: Level,
    pub(super) stated_by: Option<String>,
    pub(super) source: Option<String>,
    pub(super) basis: Option<Basis>,
}

fn firm() -> Level {
    Level::Firm
}

impl Rule {
    pub(super) fn applies_to(&self, type_name: &str) -> bool {
        self.applies.iter().any(|one| one == type_name)
    }

    /// Every pointer that it names.
    pub(super) fn pointers(&self) -> impl Iterator<Item = &str> {
        let conditions = self.when.iter().map(|condition| condition.pointer.as_str());
        std::iter::once(self.pointer.as_str()).chain(self.must.pointers()).chain(conditions)
    }

    fn lacks(&self, lists: &BTreeMap<String, List>) -> Vec<String> {
        let mut lacks: Vec<String> = self.must.lacks(lists).into_iter().collect();
        if !self.word.starts_with("rule-") || words::all(&format!("rule.{}", self.word), &[]).is_empty() {
            lacks.push(format!("there is no sentence for {}", self.word));
        }
        if self.applies.is_empty() {
            lacks.push("applies names no message type".to_owned());
        }
        let pointers = self.pointers().filter(|pointer| !pointer.starts_with('/'));
        lacks.extend(pointers.map(|pointer| format!("{pointer} is no pointer: it must begin with /")));
        lacks.extend(self.when.iter().filter_map(Condition::lacks));
        lacks
    }
}

/// What must hold of `data` for a rule, a floor or a quota to speak.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Condition {
    pub(super) pointer: String,
    /// The value is one of these.
    #[serde(default)]
    pub(super) is: Vec<String>,
    /// It is none of these; also where there is none.
    #[serde(default)]
    is_not: Vec<String>,
}

impl Condition {
    pub(super) fn holds(&self, data: &Value) -> bool {
        let value = data.pointer(&self.pointer).map(super::shape::text);
        let among = |texts: &[String]| value.as_ref().is_some_and(|value| texts.contains(value));
        (self.is.is_empty() || among(&self.is)) && !among(&self.is_not)
    }

    fn lacks(&self) -> Option<String> {
        let nothing = self.is.is_empty() && self.is_not.is_empty();
        nothing.then(|| format!("the condition on {} says neither is nor is_not", self.pointer))
    }
}

/// A list of licences or identifiers.
#[derive(Debug)]
pub(super) struct List {
    key: Option<TokenKey>,
    entries: BTreeMap<String, Vec<Period>>,
}

/// Days from and to which an entry holds, both included.
#[derive(Debug)]
struct Period {
    from: Option<Day>,
    to: Option<Day>,
}

impl Period {
    fn has(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from.0 <= day) && self.to.is_none_or(|to| day <= to.0)
    }
}

impl List {
    pub(super) fn is_keyed(&self) -> bool {
        self.key.is_some()
    }

    /// Whether it has the value on a day.
    pub(super) fn has(&self, kind: &str, value: &str, day: Date) -> bool {
        let key = self.key.as_ref().map_or_else(|| plain(value), |key| reference(key, kind, value));
        self.entries.get(&key).is_some_and(|periods| periods.iter().any(|period| period.has(day)))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListTable {
    name: String,
    /// File with the list's key as 64 hexadecimal digits, below the party's folder; entries are references then.
    key_file: Option<String>,
    #[serde(default)]
    entry: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// A licence number, as printed.
    value: Option<String>,
    /// A keyed reference, see [`reference`].
    reference: Option<String>,
    valid_from: Option<Day>,
    valid_to: Option<Day>,
    /// Why it is here; for readers.
    #[serde(rename = "note", default)]
    _note: String,
}

impl ListTable {
    fn read(self, folder: &Path) -> Result<(String, List), String> {
        let key = self.key_file.as_ref().map(|file| key(&folder.join(file)));
        let key = key.transpose().map_err(|fault| format!("list {}: {fault}", self.name))?;
        let mut entries: BTreeMap<String, Vec<Period>> = BTreeMap::new();
        for entry in self.entry {
            let text = match (&key, entry.value, entry.reference) {
                (None, Some(value), None) => plain(&value),
                (Some(_), None, Some(text)) if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
                    text.to_ascii_lowercase()
                }
                (None, ..) => return Err(format!("list {}: an entry has a value and no reference", self.name)),
                (Some(_), ..) => {
                    return Err(format!("list {}: an entry has a reference of 32 hexadecimal digits", self.name));
                }
            };
            let period = Period { from: entry.valid_from, to: entry.valid_to };
            if period.to.is_some() && period.from > period.to {
                return Err(format!("list {}: an entry ends before it begins", self.name));
            }
            entries.entry(text).or_default().push(period);
        }
        Ok((self.name, List { key, entries }))
    }
}

fn key(file: &Path) -> Result<TokenKey, String> {
    let name = || file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text = fs::read_to_string(file).map_err(|fault| format!("{}: {fault}", name()))?;
    let mut bytes = [0; 32];
    let read = hex::decode_to_slice(text.trim(), &mut bytes);
    read.map_err(|_| format!("{} is not 64 hexadecimal digits", name())).map(|()| TokenKey::new(&bytes))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaTable {
    name: String,
    from: Day,
    to: Day,
    count: u32,
    #[serde(default)]
    when: Vec<Condition>,
    stated_by: Option<String>,
    source: Option<String>,
    basis: Option<Basis>,
}

/// Reads `rules/` below a party's folder.
pub(super) fn load(folder: &Path) -> Result<BTreeMap<String, Vec<Pack>>, Vec<PartyFault>> {
    read_all(folder, &texts(&folder.join("rules"))?)
}

/// Reads these files of the party in `folder`.
pub(super) fn read_all(
    folder: &Path,
    files: &[(PathBuf, String)],
) -> Result<BTreeMap<String, Vec<Pack>>, Vec<PartyFault>> {
    let (mut faults, mut packs) = (Vec::new(), BTreeMap::<String, Vec<Pack>>::new());
    for (file, text) in files {
        let mut reading = Reading::new(file, text);
        if let Some(pack) = read(&mut reading, folder, file) {
            packs.entry(pack.name.clone()).or_default().push(pack);
        }
        faults.append(&mut reading.faults);
    }
    for versions in packs.values_mut() {
        versions.sort_by_key(|pack| pack.valid_from);
        faults.extend(versions.windows(2).flat_map(|pair| unfit(&pair[0], &pair[1])));
    }
    if faults.is_empty() { Ok(packs) } else { Err(faults) }
}

fn read(reading: &mut Reading<'_>, folder: &Path, file: &Path) -> Option<Pack> {
    let mut tables = reading.tables();
    let head: Option<Head> = reading.one(&mut tables, "pack");
    let rules: Vec<(usize, Rule)> = reading.each(&mut tables, "rule");
    let list_tables: Vec<(usize, ListTable)> = reading.each(&mut tables, "list");
    let quota_tables: Vec<(usize, QuotaTable)> = reading.each(&mut tables, "quota");
    reading.nothing_else(&tables);
    let mut lists = BTreeMap::new();
    for (at, table) in list_tables {
        match table.read(folder) {
            Ok((name, _)) if lists.contains_key(&name) => reading.fault(at, format!("list {name} stands here twice")),
            Ok((name, list)) => drop(lists.insert(name, list)),
            Err(fault) => reading.fault(at, fault),
        }
    }
    for (at, rule) in &rules {
        rule.lacks(&lists).into_iter().for_each(|lack| reading.fault(*at, lack));
    }
    for (at, quota) in &quota_tables {
        for condition in quota.when.iter().filter(|condition| condition.is.is_empty() || !condition.is_not.is_empty()) {
            reading.fault(*at, format!("a quota says what {} is, and nothing else", condition.pointer));
        }
        if quota.from > quota.to {
            reading.fault(*at, format!("quota {} ends before it begins", quota.name));
        }
    }
    let head = head?;
    head.lacks(file).into_iter().for_each(|lack| reading.fault(0, lack));
    let quota = |(_, table): (usize, QuotaTable)| Quota {
        name: table.name,
        pack: head.name.clone(),
        version: head.version.clone(),
        from: table.from.0,
        to: table.to.0,
        count: table.count,
        stated_by: table.stated_by.unwrap_or_else(|| head.stated_by.clone()),
        source: table.source.unwrap_or_else(|| head.source.clone()),
        when: table.when,
        basis: table.basis.unwrap_or(head.basis),
    };
    let quotas = quota_tables.into_iter().map(quota).collect();
    Some(Pack {
        file: file.to_owned(),
        name: head.name,
        version: head.version,
        valid_from: head.valid_from.0,
        valid_to: head.valid_to.map(|day| day.0),
        dated_by: head.dated_by,
        stated_by: head.stated_by,
        source: head.source,
        basis: head.basis,
        rules: rules.into_iter().map(|(_, rule)| rule).collect(),
        lists,
        quotas,
    })
}

impl Head {
    fn lacks(&self, file: &Path) -> Vec<String> {
        let mut lacks = Vec::new();
        let name = format!("{}-{}", self.valid_from.0, self.name);
        if file.file_stem().is_none_or(|stem| stem != name.as_str()) {
            lacks.push(format!("the file must be called {name}.toml, by the pack's first day and name"));
        }
        if self.valid_to.is_some_and(|last| last < self.valid_from) {
            lacks.push("the pack ends before it begins".to_owned());
        }
        lacks.extend(
            self.dated_by
                .as_ref()
                .filter(|at| !at.starts_with('/'))
                .map(|at| format!("{at} is no pointer: it must begin with /")),
        );
        lacks
    }
}

/// What is wrong between two packs that follow each other.
fn unfit(earlier: &Pack, later: &Pack) -> Vec<PartyFault> {
    let mut faults = Vec::new();
    let mut note = |fault: String| faults.push(PartyFault::of(&later.file, fault));
    if earlier.valid_from == later.valid_from {
        note(format!("two packs {} begin on {}", later.name, later.valid_from));
    }
    if earlier.version == later.version {
        note(format!("two packs {} have the version {}", later.name, later.version));
    }
    if earlier.dated_by != later.dated_by {
        note(format!("packs {} are chosen by different days (dated_by)", later.name));
    }
    match earlier.valid_to {
        Some(last) if last >= later.valid_from => note(format!("begins before {} has ended", earlier.version)),
        Some(last) if last.next_day() != Some(later.valid_from) => {
            note(format!("leaves days between {last} and its beginning without a pack"));
        }
        _ => {}
    }
    faults
}
