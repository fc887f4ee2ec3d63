//! Reads a TOML file of a party so that all its faults come at once, each with its line.
//!
//! The `toml` crate stops at the first fault of a file; here each table of the file is read by itself. What the tables mean is for
//! the readers.

use super::PartyFault;
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error};
use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};
use time::{Date, macros::format_description};
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

/// The text of a file and what is wrong with it so far.
#[derive(Debug)]
pub(super) struct Reading<'t> {
    file: &'t Path,
    text: &'t str,
    /// Faults found.
    pub(super) faults: Vec<PartyFault>,
}

impl<'t> Reading<'t> {
    /// Starts with the file's text.
    pub(super) fn new(file: &'t Path, text: &'t str) -> Self {
        Self { file, text, faults: Vec::new() }
    }

    /// Notes a fault at a byte of the text.
    pub(super) fn fault(&mut self, at: usize, fault: impl Display) {
        let line = self.text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        self.faults.push(PartyFault::of(self.file, format!("line {line}: {fault}")));
    }

    /// The tables of the file, by their names.
    pub(super) fn tables(&mut self) -> DeTable<'t> {
        let (table, faults) = DeTable::parse_recoverable(self.text);
        for fault in faults {
            self.fault(fault.span().map_or(0, |span| span.start), fault.message());
        }
        table.into_inner()
    }

    /// Takes `[name]` out of the tables.
    pub(super) fn one<T: DeserializeOwned>(&mut self, tables: &mut DeTable<'t>, name: &str) -> Option<T> {
        let value = tables.remove(name);
        if value.is_none() {
            self.fault(0, format!("[{name}] is missing"));
        }
        self.read(value?)
    }

    /// Takes every `[[name]]` out of the tables, each with its place in the text.
    pub(super) fn each<T: DeserializeOwned>(&mut self, tables: &mut DeTable<'t>, name: &str) -> Vec<(usize, T)> {
        let Some(value) = tables.remove(name) else { return Vec::new() };
        let at = value.span().start;
        let DeValue::Array(items) = value.into_inner() else {
            self.fault(at, format!("{name} is not a list of tables"));
            return Vec::new();
        };
        items.into_iter().filter_map(|item| Some((item.span().start, self.read(item)?))).collect()
    }

    /// Notes what nobody took out of the tables.
    pub(super) fn nothing_else(&mut self, tables: &DeTable<'t>) {
        for name in tables.keys() {
            self.fault(name.span().start, format!("{} is unknown here", name.get_ref()));
        }
    }

    fn read<T: DeserializeOwned>(&mut self, value: Spanned<DeValue<'t>>) -> Option<T> {
        let start = value.span().start;
        let read = T::deserialize(ValueDeserializer::from(value));
        read.map_err(|fault| self.fault(fault.span().map_or(start, |span| span.start), fault.message())).ok()
    }
}

/// The TOML files of a folder in the order of their names, with their text; none where there is no such folder.
pub(super) fn texts(folder: &Path) -> Result<Vec<(PathBuf, String)>, Vec<PartyFault>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).map_err(|fault| vec![PartyFault::of(folder, fault)])?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "toml"));
    files.sort();
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for file in files {
        match fs::read_to_string(&file) {
            Ok(text) => found.push((file, text)),
            Err(fault) => faults.push(PartyFault::of(&file, fault)),
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

/// A date of the form `2024-11-05`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub(super) Date);

impl Day {
    /// Reads it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Date::parse(text, format_description!("[year]-[month]-[day]")).ok().map(Self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        let text = String::deserialize(value)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("{text} is not a date of the form 2024-11-05")))
    }
}
