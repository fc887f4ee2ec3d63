//! `identifiers.toml` compiled: each kind's rules with their levels, and what two fields say together.
//!
//! Only names of checks, comparisons, tables and fields meet here; no kind of identifier is known. Nothing is changed and nothing
//! is derived: a rule is kept or broken, and a broken one names its level, the field and the part, never the value.

mod rules;
mod tables;

use super::{SchemaFault, catalogue::Level, fields::Field};
use crate::{
    domain::{
        calendars::HijriDate,
        identifiers,
        money::{Money, MoneyFault},
    },
    message::problem::Fault,
};
use rules::{Kind, KindRow};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentifierFile {
    identifier: Vec<KindRow>,
    #[serde(default)]
    kinded: Vec<Kinded>,
    #[serde(default)]
    pair: Vec<Pair>,
    #[serde(default)]
    money: Vec<Amount>,
}

/// A field whose kind of identifier stands in another field.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kinded {
    kind: String,
    value: String,
}

/// One day written in two calendars.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    hijri: String,
    gregorian: String,
    one_day: Level,
    more: Level,
}

/// An amount of money in three fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Amount {
    amount: String,
    currency: String,
    period: String,
    level: Level,
}

/// All rules about identifiers, pairs of dates and amounts.
#[derive(Debug)]
pub(super) struct IdentifierRules {
    kinds: HashMap<String, Kind>,
    kinded: Vec<Kinded>,
    pairs: Vec<Pair>,
    amounts: Vec<Amount>,
}

impl IdentifierRules {
    /// Reads the file and the tables it names; `fields` are those that its pointers may name.
    ///
    /// # Errors
    /// Every fault found.
    pub(super) fn load(folder: &Path, fields: &BTreeMap<String, Field>) -> Result<Self, Vec<SchemaFault>> {
        let file = folder.join("identifiers.toml");
        let IdentifierFile { identifier, kinded, pair: pairs, money: amounts } =
            super::read_toml(&file).map_err(|fault| vec![fault])?;
        let mut faults = Vec::new();
        let mut kinds = HashMap::new();
        for row in identifier {
            let code = row.kind.clone();
            match Kind::compile(row, folder, fields) {
                Ok(kind) => {
                    if kinds.insert(code.clone(), kind).is_some() {
                        faults.push(format!("{code} stands twice"));
                    }
                }
                Err(found) => faults.extend(found.into_iter().map(|fault| format!("{code}: {fault}"))),
            }
        }
        let pointers = kinded.iter().flat_map(|both| [&both.kind, &both.value]);
        let pointers = pointers.chain(pairs.iter().flat_map(|pair| [&pair.hijri, &pair.gregorian]));
        let pointers = pointers.chain(amounts.iter().flat_map(|one| [&one.amount, &one.currency, &one.period]));
        let lost = pointers.filter(|pointer| !fields.contains_key(*pointer));
        faults.extend(lost.map(|pointer| format!("{pointer} is no field")));
        let of_fields = fields.iter().filter_map(|(pointer, field)| Some((pointer, field.identifier.as_ref()?)));
        let unknown = of_fields.filter(|(_, kind)| !kinds.contains_key(*kind));
        faults.extend(unknown.map(|(pointer, kind)| format!("{kind}, the x-identifier of {pointer}, is missing")));
        if faults.is_empty() {
            return Ok(Self { kinds, kinded, pairs, amounts });
        }
        Err(faults.into_iter().map(|fault| SchemaFault::of(&file, fault)).collect())
    }

    /// Broken rules of `data` with their levels; `present` are the fields that it has.
    pub(super) fn judge(&self, data: &Value, present: &[(&str, &Field, &Value)]) -> Vec<(Level, Fault)> {
        let mut broken = Vec::new();
        for (pointer, field, value) in present {
            if let (Some(kind), Some(text)) = (&field.identifier, value.as_str()) {
                self.judge_one(kind, pointer, text, data, &mut broken);
            }
        }
        for both in &self.kinded {
            let (kind, value) = (data.pointer(&both.kind).and_then(Value::as_str), data.pointer(&both.value));
            match (kind, value) {
                // The schema says of a field with x-identifier what this says of one whose kind stands beside it.
                (_, Some(Value::Number(_))) => {
                    let fault = Fault::new(format!("/data{}", both.value), "identifier-not-text");
                    broken.push((Level::Hard, fault));
                }
                (Some(kind), Some(Value::String(text))) => self.judge_one(kind, &both.value, text, data, &mut broken),
                _ => {}
            }
        }
        broken.extend(self.pairs.iter().filter_map(|pair| pair.judge(data)));
        broken.extend(self.amounts.iter().filter_map(|amount| amount.judge(data)));
        broken.into_iter().map(|(level, fault)| (level, fault.param("level", level.as_str()))).collect()
    }

    fn judge_one(&self, kind: &str, pointer: &str, text: &str, data: &Value, broken: &mut Vec<(Level, Fault)>) {
        if let Some(kind) = self.kinds.get(kind) {
            kind.judge(pointer, text, data, broken);
        }
    }
}

impl Pair {
    fn judge(&self, data: &Value) -> Option<(Level, Fault)> {
        let text = |pointer: &str| data.pointer(pointer)?.as_str().map(identifiers::ascii_digits);
        let hijri = HijriDate::parse(&text(&self.hijri)?)?;
        let format = time::macros::format_description!("[year]-[month]-[day]");
        let gregorian = time::Date::parse(&text(&self.gregorian)?, format).ok()?;
        let (level, rule) = match hijri.days_from(gregorian)? {
            0 => return None,
            1 => (self.one_day, "calendars-one-day"),
            _ => (self.more, "calendars-differ"),
        };
        Some((level, Fault::new(format!("/data{}", self.hijri), rule).param("field", &*self.gregorian)))
    }
}

impl Amount {
    fn judge(&self, data: &Value) -> Option<(Level, Fault)> {
        let text = |pointer: &str| data.pointer(pointer)?.as_str();
        let read = Money::parse(text(&self.amount)?, text(&self.currency)?, text(&self.period)?);
        let fault = match read.err()? {
            MoneyFault::Currency => Fault::new(format!("/data{}", self.currency), "money-currency"),
            MoneyFault::Places(places) => {
                Fault::new(format!("/data{}", self.amount), "money-places").param("expected", places.to_string())
            }
            // Their schema says so already.
            MoneyFault::Amount | MoneyFault::Period => return None,
        };
        Some((self.level, fault))
    }
}

#[cfg(test)]
mod tests;
