//! `rules/`: what the agreements and laws of a corridor ask of a contract, a worker or an employer, as packs with dates.
//!
//! A pack (`rules/<valid-from>-<name>.toml`) names pointers into `data`, a shape of [`shape::Shape`], the limit, who states it and
//! whether the figure was published or decided here. Packs of one name follow each other: each is in force until the next
//! begins. A message is judged by the pack in force on the day that the pack's `dated_by` points to (the signing of a contract),
//! so that a contract signed under an older pack stays valid under it; without such a day, on the day of the message.
//!
//! What follows from a breach is decided above. Counts against quotas are not made here: [`RulePacks::quotas`] gives the limits.

mod file;
mod shape;

use super::{PartyFault, reading::Day};
use crate::{
    message::problem::Fault,
    schema::{Schemas, catalogue::Level},
    vault::TokenKey,
};
use file::{Basis, Condition, Pack, Rule};
use serde_json::Value;
use shape::{Case, Finding};
use std::{collections::BTreeMap, path::Path};
use time::{Date, OffsetDateTime, UtcOffset};

/// All packs of a party.
#[derive(Debug)]
pub struct RulePacks {
    /// Packs by name, each list in the order of their first days.
    packs: BTreeMap<String, Vec<Pack>>,
    zone: UtcOffset,
}

impl RulePacks {
    /// Reads the packs of the party in `folder`, whose days are those of `zone`. A party without the folder `rules/` has none.
    ///
    /// # Errors
    /// Every fault found, with file and line.
    pub fn load(folder: &Path, zone: UtcOffset) -> Result<Self, Vec<PartyFault>> {
        Ok(Self { packs: file::load(folder)?, zone })
    }

    /// Every fault of the packs of the party in `folder`.
    pub fn faults(folder: &Path) -> Vec<PartyFault> {
        file::load(folder).err().unwrap_or_default()
    }

    /// Everything that packs name and `schemas` does not know: such a rule would never speak.
    pub fn strangers(&self, schemas: &Schemas) -> Vec<PartyFault> {
        let strange = |pack: &Pack| {
            let mut words: Vec<String> =
                pack.dated_by.iter().filter(|at| schemas.field(at).is_none()).cloned().collect();
            for rule in &pack.rules {
                words.extend(rule.pointers().filter(|at| schemas.field(at).is_none()).map(str::to_owned));
                words.extend(rule.applies.iter().filter(|name| schemas.message(name).is_none()).cloned());
            }
            let of_quotas = pack.quotas.iter().flat_map(|quota| &quota.when).map(|condition| &condition.pointer);
            words.extend(of_quotas.filter(|at| schemas.field(at).is_none()).cloned());
            words.sort();
            words.dedup();
            words
                .into_iter()
                .map(|word| PartyFault::of(&pack.file, format!("{word} is not in the schemas")))
                .collect::<Vec<_>>()
        };
        self.all().flat_map(strange).collect()
    }

    /// What `data` of a message breaks, in the order of packs and rules. `data` that breaks its schema is judged as far as it
    /// can be read; a value that cannot be read as its rule expects breaks the rule.
    pub fn judge(&self, type_name: &str, data: &Value, asserted_at: OffsetDateTime) -> Vec<(Level, Fault)> {
        let today = asserted_at.checked_to_offset(self.zone).unwrap_or(asserted_at).date();
        let mut found = Vec::new();
        for packs in self.packs.values() {
            let speaks = |pack: &Pack| pack.rules.iter().any(|rule| rule.applies_to(type_name));
            if !packs.iter().any(speaks) {
                continue;
            }
            let dated_by = packs.iter().find_map(|pack| pack.dated_by.as_deref());
            let stated = dated_by.and_then(|at| data.pointer(at)?.as_str()).and_then(Day::parse);
            let day = stated.map_or(today, |day| day.0);
            match in_force(packs, day) {
                Some(pack) => found.extend(pack.judge(type_name, &Case { data, day, today })),
                None => found.extend(none_in_force(packs, dated_by.filter(|_| stated.is_some()))),
            }
        }
        found
    }

    /// Every quota of every pack, whenever it holds.
    pub fn quotas(&self) -> impl Iterator<Item = &Quota> {
        self.all().flat_map(|pack| &pack.quotas)
    }

    fn all(&self) -> impl Iterator<Item = &Pack> {
        self.packs.values().flatten()
    }
}

fn in_force(packs: &[Pack], day: Date) -> Option<&Pack> {
    let pack = packs.iter().rev().find(|pack| pack.valid_from <= day)?;
    pack.valid_to.is_none_or(|last| day <= last).then_some(pack)
}

/// The day is before every pack of the name, or after its last: nobody has said what held then, so a person looks.
fn none_in_force(packs: &[Pack], dated_by: Option<&str>) -> Option<(Level, Fault)> {
    let first = packs.first()?;
    let until = packs.last()?.valid_to.map(|day| day.to_string()).unwrap_or_default();
    let fault = Fault::new(format!("/data{}", dated_by.unwrap_or_default()), "rule-pack-missing")
        .param("expected", format!("{} – {until}", first.valid_from).trim_end_matches(" – "))
        .param("pack", &*first.name)
        .param("version", "–")
        .param("source", &*first.source)
        .param("stated_by", &*first.stated_by);
    Some((Level::Firm, fault))
}

impl Pack {
    fn judge<'a>(&'a self, type_name: &'a str, case: &'a Case<'a>) -> impl Iterator<Item = (Level, Fault)> + 'a {
        let rules = self.rules.iter().filter(move |rule| rule.applies_to(type_name));
        let rules = rules.filter(|rule| rule.when.iter().all(|condition| condition.holds(case.data)));
        rules.filter_map(|rule| {
            let (level, expected) = match rule.must.judge(&rule.pointer, case, &self.lists) {
                Finding::Kept => return None,
                Finding::Broken(expected) => (rule.level, expected),
                // Not known well enough to hold anybody up.
                Finding::Unclear(expected) => (Level::Soft, expected),
            };
            Some((level, self.fault(rule, expected)))
        })
    }

    fn fault(&self, rule: &Rule, expected: String) -> Fault {
        Fault::new(format!("/data{}", rule.pointer), &*rule.word)
            .param("expected", expected)
            .param("pack", &*self.name)
            .param("version", &*self.version)
            .param("source", rule.source.as_deref().unwrap_or(&self.source))
            .param("stated_by", rule.stated_by.as_deref().unwrap_or(&self.stated_by))
            .param("basis", rule.basis.unwrap_or(self.basis).as_str())
    }
}

/// How many workers may be placed in a period.
#[derive(Debug)]
pub struct Quota {
    /// What it is called.
    pub name: String,
    /// Its pack.
    pub pack: String,
    /// The pack's version.
    pub version: String,
    /// First day of the period.
    pub from: Date,
    /// Last day of the period.
    pub to: Date,
    /// How many.
    pub count: u32,
    /// Who sets it.
    pub stated_by: String,
    /// The law or agreement.
    pub source: String,
    when: Vec<Condition>,
    basis: Basis,
}

impl Quota {
    /// Whether a placement with this `data` on this day (of the party's zone) is one that the quota counts.
    pub fn counts(&self, data: &Value, day: Date) -> bool {
        (self.from..=self.to).contains(&day) && self.when.iter().all(|condition| condition.holds(data))
    }

    /// What it asks of `data`: pointers, and the values of which each must have one.
    pub fn asks(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.when.iter().map(|condition| (condition.pointer.as_str(), condition.is.as_slice()))
    }

    /// That it is full, at the place in a message that `pointer` names.
    pub fn fault(&self, pointer: &str) -> Fault {
        Fault::new(pointer, "rule-quota")
            .param("expected", format!("{} ({})", self.count, self.name))
            .param("pack", &*self.pack)
            .param("version", &*self.version)
            .param("source", &*self.source)
            .param("stated_by", &*self.stated_by)
            .param("basis", self.basis.as_str())
    }
}

/// The reference under which a list keeps an identifier without showing it: half of an HMAC-SHA-256 under the list's key.
pub fn reference(key: &TokenKey, kind: &str, value: &str) -> String {
    hex::encode(key.token("list", &[kind.as_bytes(), shape::plain(value).as_bytes()]))
}

#[cfg(test)]
mod tests;
