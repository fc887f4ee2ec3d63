//! The rules of one kind of identifier: read, compiled, and held against a value.

use super::{
    super::{catalogue::Level, fields::Field},
    tables::Table,
};
use crate::{domain::identifiers, message::problem::Fault, words};
use regex::{Captures, Regex};
use serde::Deserialize;
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap, path::Path};

/// A kind of identifier as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KindRow {
    pub(super) kind: String,
    /// What people call it.
    name: String,
    /// Where its rules come from; for readers.
    #[serde(rename = "source")]
    _source: String,
    #[serde(default)]
    ignores: String,
    rules: Vec<RuleRow>,
}

/// A rule as it stands in the file: one of shape, check, table and compare.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleRow {
    level: Level,
    shape: Option<String>,
    check: Option<String>,
    table: Option<String>,
    #[serde(default)]
    length: bool,
    compare: Option<String>,
    with: Option<String>,
    precision: Option<String>,
    #[serde(default)]
    of: Vec<String>,
    part: Option<String>,
    fault: Option<String>,
}

/// A kind of identifier.
#[derive(Debug)]
pub(super) struct Kind {
    name: String,
    ignores: String,
    /// The first shape, whose groups are the parts.
    parts: Option<Regex>,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    level: Level,
    asks: Asks,
    /// Groups that are judged, joined; none for the whole value.
    of: Vec<String>,
    part: Option<String>,
    fault: String,
}

/// What a rule asks.
#[derive(Debug)]
enum Asks {
    Shape(Regex),
    Check(String),
    Table { table: Table, length: bool },
    Compare { how: String, with: String, precision: Option<String> },
}

impl Kind {
    /// Compiles the rules; `fields` are those that comparisons may name.
    ///
    /// # Errors
    /// Every fault, as a sentence.
    pub(super) fn compile(row: KindRow, folder: &Path, fields: &BTreeMap<String, Field>) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let mut kind = Self { name: row.name, ignores: row.ignores, parts: None, rules: Vec::new() };
        for rule in row.rules {
            match Rule::compile(rule, folder, fields, kind.parts.as_ref()) {
                Ok(rule) => {
                    if let (Asks::Shape(shape), None) = (&rule.asks, &kind.parts) {
                        kind.parts = Some(shape.clone());
                    }
                    kind.rules.push(rule);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(kind) } else { Err(faults) }
    }

    /// Adds the rules that `text`, which stands at `pointer` of `data`, breaks.
    pub(super) fn judge(&self, pointer: &str, text: &str, data: &Value, broken: &mut Vec<(Level, Fault)>) {
        let mut text = identifiers::ascii_digits(text);
        text.retain(|c| !self.ignores.contains(c));
        let parts = self.rules.iter().any(|rule| !rule.of.is_empty());
        let parts = self.parts.as_ref().filter(|_| parts).and_then(|shape| shape.captures(&text));
        for rule in &self.rules {
            let Some(usual) = rule.breach(&text, parts.as_ref(), data) else { continue };
            let mut fault = Fault::new(format!("/data{pointer}"), usual).param("expected", &*self.name);
            if let Some(part) = rule.part.as_ref().or(rule.of.first()) {
                fault = fault.param("part", part);
            }
            match &rule.asks {
                Asks::Table { table, .. } => fault = fault.param("list", &*table.title),
                Asks::Compare { with, .. } => fault = fault.param("field", with),
                Asks::Shape(_) | Asks::Check(_) => {}
            }
            broken.push((rule.level, fault));
            if matches!(rule.asks, Asks::Shape(_)) {
                return;
            }
        }
    }
}

impl Rule {
    fn compile(
        row: RuleRow,
        folder: &Path,
        fields: &BTreeMap<String, Field>,
        parts: Option<&Regex>,
    ) -> Result<Self, String> {
        let known = |pointer: &String| {
            if fields.contains_key(pointer) { Ok(()) } else { Err(format!("{pointer} is no field")) }
        };
        let (asks, usual) = match (row.shape, row.check, row.table, row.compare) {
            (Some(shape), None, None, None) => {
                let shape = Regex::new(&shape).map_err(|fault| fault.to_string())?;
                (Asks::Shape(shape), "identifier-shape")
            }
            (None, Some(check), None, None) => {
                identifiers::check(&check, "").ok_or_else(|| format!("there is no check {check}"))?;
                (Asks::Check(check), "identifier-check")
            }
            (None, None, Some(file), None) => {
                let table = Table::load(&folder.join(file), row.length)?;
                (Asks::Table { table, length: row.length }, "identifier-table")
            }
            (None, None, None, Some(how)) => {
                identifiers::compare(&how, "", "").ok_or_else(|| format!("there is no comparison {how}"))?;
                let with = row.with.ok_or_else(|| format!("{how} compares with nothing"))?;
                known(&with)?;
                row.precision.iter().try_for_each(known)?;
                (Asks::Compare { how, with, precision: row.precision }, "identifier-differs")
            }
            _ => return Err("a rule is one of shape, check, table and compare".to_owned()),
        };
        let is_part = |name: &&String| parts.is_some_and(|shape| shape.capture_names().flatten().any(|n| n == *name));
        if let Some(lost) = row.of.iter().find(|name| !is_part(name)) {
            return Err(format!("no shape before this rule has a part {lost}"));
        }
        let fault = row.fault.unwrap_or_else(|| usual.to_owned());
        if words::all(&format!("rule.{fault}"), &[]).is_empty() {
            return Err(format!("there is no sentence for {fault}"));
        }
        Ok(Self { level: row.level, asks, of: row.of, part: row.part, fault })
    }

    /// The word of the rule if `text` breaks it; `parts` are those of the kind's first shape.
    fn breach(&self, text: &str, parts: Option<&Captures<'_>>, data: &Value) -> Option<&str> {
        let judged: Cow<'_, str> = match (self.of.as_slice(), parts) {
            ([], _) => text.into(),
            (of, Some(parts)) => of.iter().filter_map(|name| parts.name(name)).map(|part| part.as_str()).collect(),
            // Without the shape there are no parts.
            (_, None) => return None,
        };
        let kept = match &self.asks {
            Asks::Shape(shape) => shape.is_match(&judged),
            Asks::Check(name) => identifiers::check(name, &judged).unwrap_or(true),
            Asks::Table { table, length } if *length && table.has(&judged) => {
                let fits = table.length(&judged) == Some(text.chars().count());
                return (!fits).then_some("identifier-shape");
            }
            Asks::Table { table, .. } => table.has(&judged),
            Asks::Compare { how, with, precision } => match stated(data, with, precision.as_deref()) {
                Some(other) => identifiers::compare(how, &judged, &other).unwrap_or(true),
                None => true,
            },
        };
        (!kept).then_some(&self.fault)
    }
}

/// The text at `pointer`; of a date only as much as its precision says is known.
fn stated(data: &Value, pointer: &str, precision: Option<&str>) -> Option<String> {
    let text = identifiers::ascii_digits(data.pointer(pointer)?.as_str()?);
    let known = match precision.and_then(|pointer| data.pointer(pointer)?.as_str()) {
        Some("UNKNOWN") => return None,
        Some("YEAR") => "yyyy".len(),
        Some("MONTH") => "yyyy-MM".len(),
        _ => return Some(text),
    };
    Some(text.chars().take(known).collect())
}
