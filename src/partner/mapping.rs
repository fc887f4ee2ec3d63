//! A two-way table between one wire record of a party and one canonical event: `mapping/<name>.toml`.
//!
//! Each row names a canonical pointer, a wire pointer and a [`codec`]; reading and writing use the same row, so that one
//! table serves both directions. What a row cannot carry back is declared `lossy`; a row with [`jq`] in place of a codec computes
//! a value on reading only. Whether the result satisfies a schema is for [`crate::schema`], which bytes it is for
//! [`super::body`]; wire fields that no row names are ignored.

pub mod answer;
mod authority;
mod calendar;
pub(crate) mod codec;
mod file;
mod jq;
mod row;

use super::PartyFault;
use crate::vault::sha256;
use answer::AnswerTable;
pub use authority::{Authority, Source};
use file::{Constant, Id};
use row::{List, Row};
use serde_json::{Map, Value, json};
use std::{fs, path::Path};
use time::UtcOffset;

/// What a wire record or an event breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireFault {
    /// Line of the mapping file.
    pub line: usize,
    /// Pointer into the canonical event.
    pub canonical: String,
    /// Pointer into the wire record.
    pub wire: String,
    /// What the codec expected.
    pub rule: &'static str,
}

/// A pointer that a mapping names, with its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'m> {
    /// Line of the mapping file.
    pub line: usize,
    /// The pointer.
    pub pointer: &'m str,
    /// Whether its row is declared lossy.
    pub lossy: bool,
}

/// A compiled mapping file.
#[derive(Debug)]
pub struct Mapping {
    /// Catalogue type.
    pub type_name: String,
    /// Line of the mapping file that names it.
    pub type_line: usize,
    /// In whose name inbound records speak, where it is not left to the client's registration.
    pub authority: Option<Authority>,
    /// How the sender is answered, where not by receipt or problem.
    pub answer: Option<AnswerTable>,
    id: Option<Id>,
    rows: Vec<Row>,
    lists: Vec<List>,
    constants: Vec<Constant>,
}

impl Mapping {
    /// Reads a file of a party whose local times have `zone`.
    ///
    /// # Errors
    /// Every fault found, each with its line.
    pub fn load(file: &Path, zone: UtcOffset) -> Result<Self, Vec<PartyFault>> {
        let text = fs::read_to_string(file).map_err(|fault| vec![PartyFault::of(file, fault)])?;
        Self::parse(&text, zone).map_err(|faults| {
            faults.into_iter().map(|(line, fault)| PartyFault { line, ..PartyFault::of(file, fault) }).collect()
        })
    }

    /// Reads a wire record as a canonical event (without `source`, which the caller knows): all of it that can be read, and every
    /// row that cannot; no values are repeated. `speakers` are the authorities for which its sender may send the type.
    pub fn read(&self, wire: &Value, speakers: &[&str]) -> (Value, Vec<WireFault>) {
        let mut event = json!({"specversion": "1.0", "type": self.type_name, "datacontenttype": "application/json"});
        let mut faults = Vec::new();
        match authority::speaks(self.authority.as_ref(), wire, speakers) {
            Ok(authority) => event["authority"] = authority.into(),
            Err(fault) => faults.push(fault),
        }
        event["data"] = Value::Object(Map::new());
        row::read_all(&self.rows, wire, &mut event, &mut faults);
        for list in &self.lists {
            list.read(wire, &mut event, &mut faults);
        }
        if let Some(id) = &self.id {
            match id.of(wire) {
                Some(id) => event["id"] = id.into(),
                None => faults.push(WireFault {
                    line: id.line,
                    canonical: "/id".to_owned(),
                    wire: id.from.first().cloned().unwrap_or_default(),
                    rule: "required",
                }),
            }
        }
        for constant in &self.constants {
            let Some(pointer) = &constant.canonical else { continue };
            let given = |at: &String| wire.pointer(at).is_some_and(|value| !codec::is_missing(value));
            if constant.when.as_ref().is_none_or(given) {
                row::set(&mut event, pointer, constant.value.clone());
            }
        }
        (event, faults)
    }

    /// The event of a record that can be read as a whole, sent by who may speak for one authority only.
    #[cfg(test)]
    fn to_canonical(&self, wire: &Value) -> Result<Value, Vec<WireFault>> {
        let (event, faults) = self.read(wire, &["P-LAB"]);
        if faults.is_empty() { Ok(event) } else { Err(faults) }
    }

    /// Where what stands at a canonical pointer comes from: the line of its row and the pointer into the wire record. A pointer into
    /// what one row makes leads to that row, one to an object to the first row of it; there is none for what no row makes from a place
    /// in the record.
    pub fn place(&self, canonical: &str) -> Option<(usize, String)> {
        if let Some((list, rest)) = self.lists.iter().find_map(|list| Some((list, below(canonical, &list.canonical)?)))
        {
            let (n, inner) = rest.strip_prefix('/').map_or((None, ""), |rest| match rest.find('/') {
                Some(end) => (Some(&rest[..end]), &rest[end..]),
                None => (Some(rest), ""),
            });
            let item = n.map_or_else(|| list.wire.clone(), |n| format!("{}/{n}", list.wire));
            let row = list.rows.iter().find(|row| row.field.canonical == inner);
            return Some(
                row.map_or((list.line, item.clone()), |row| (row.line, format!("{item}{}", row.first_wire()))),
            );
        }
        if let Some(Authority { line, source: Source::Stated { wire, .. } }) = &self.authority
            && canonical == authority::CANONICAL
        {
            return Some((*line, wire.clone()));
        }
        if let Some(id) = self.id.as_ref().filter(|_| canonical == "/id") {
            return Some((id.line, id.from.first().cloned().unwrap_or_default()));
        }
        let rows = || self.rows.iter().filter(|row| !row.first_wire().is_empty());
        let own = rows().filter(|row| below(canonical, &row.field.canonical).is_some());
        let row = own.max_by_key(|row| row.field.canonical.len());
        let row = row.or_else(|| rows().find(|row| below(&row.field.canonical, canonical).is_some()));
        row.map(|row| (row.line, row.first_wire().to_owned()))
    }

    /// Writes a canonical event as a wire record.
    ///
    /// # Errors
    /// Every row whose value has no wire form.
    pub fn to_wire(&self, event: &Value) -> Result<Value, Vec<WireFault>> {
        let mut wire = Value::Object(Map::new());
        let mut faults = Vec::new();
        for constant in &self.constants {
            let Some(pointer) = &constant.wire else { continue };
            if constant.when.as_ref().is_none_or(|at| event.pointer(at).is_some()) {
                row::set(&mut wire, pointer, constant.value.clone());
            }
        }
        row::write_all(&self.rows, event, &mut wire, &mut faults);
        for list in &self.lists {
            list.write(event, &mut wire, &mut faults);
        }
        if faults.is_empty() { Ok(wire) } else { Err(faults) }
    }

    /// Canonical pointers that do not survive the way out and back.
    pub fn lossy(&self) -> impl Iterator<Item = &str> {
        self.canonical().filter(|named| named.lossy).map(|named| named.pointer)
    }

    /// Canonical pointers of all rows, lists and constants, in the order of the file's kinds.
    pub fn canonical(&self) -> impl Iterator<Item = Named<'_>> {
        let rows = self.rows.iter().map(|row| row.named(&row.field.canonical));
        let lists = self.lists.iter().map(|list| Named { line: list.line, pointer: &list.canonical, lossy: false });
        let constants = self.constants.iter().filter_map(|constant| {
            Some(Named { line: constant.line, pointer: constant.canonical.as_ref()?, lossy: false })
        });
        rows.chain(lists).chain(constants)
    }

    /// Wire pointers of all rows (each part), lists, constants and of what the id is made from.
    pub fn wire(&self) -> impl Iterator<Item = Named<'_>> {
        let rows = self.rows.iter().flat_map(|row| row.wires().map(|wire| row.named(wire)));
        let lists = self.lists.iter().flat_map(|list| {
            let whole = Named { line: list.line, pointer: &list.wire, lossy: false };
            std::iter::once(whole)
        });
        let constants = self.constants.iter().flat_map(|constant| {
            constant.wire.iter().map(|pointer| Named { line: constant.line, pointer, lossy: false })
        });
        let id =
            self.id.iter().flat_map(|id| id.from.iter().map(|pointer| Named { line: id.line, pointer, lossy: true }));
        let authority = self.authority.iter().filter_map(|authority| match &authority.source {
            Source::Stated { wire, .. } => Some(Named { line: authority.line, pointer: wire, lossy: true }),
            Source::Fixed(_) => None,
        });
        rows.chain(lists).chain(constants).chain(id).chain(authority)
    }

    /// Wire pointers that are only looked at: of the rows of lists (`-` is any item), and of constants that hold where a record has
    /// something.
    pub fn looked_at(&self) -> impl Iterator<Item = (usize, String)> {
        let items = self.lists.iter().flat_map(|list| {
            let wires = list.rows.iter().flat_map(|row| row.wires().map(|wire| (row.line, wire)));
            wires.map(|(line, wire)| (line, format!("{}/-{wire}", list.wire)))
        });
        let of_constants = self.constants.iter().filter(|constant| constant.canonical.is_some());
        items.chain(of_constants.filter_map(|constant| Some((constant.line, constant.when.clone()?))))
    }

    /// Canonical pointers of what is read from a place in the wire record, from above it or from within it.
    pub fn read_from(&self, place: &str) -> Vec<String> {
        let touches = |wire: &str| below(wire, place).is_some() || below(place, wire).is_some();
        let of_rows = |rows: &[Row], touches: &dyn Fn(&str) -> bool| -> Vec<String> {
            rows.iter().filter(|row| row.wires().any(touches)).map(|row| row.field.canonical.clone()).collect()
        };
        let mut found = of_rows(&self.rows, &touches);
        for list in &self.lists {
            match below(place, &list.wire).and_then(|rest| rest.strip_prefix('/')) {
                // Within one item, whose other values stand.
                Some(rest) => {
                    let (n, inner) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                    let touches = |wire: &str| below(wire, inner).is_some() || below(inner, wire).is_some();
                    let lost = of_rows(&list.rows, &touches).into_iter();
                    found.extend(lost.map(|canonical| format!("{}/{n}{canonical}", list.canonical)));
                }
                None if touches(&list.wire) => found.push(list.canonical.clone()),
                None => {}
            }
        }
        if self.id.as_ref().is_some_and(|id| id.from.iter().any(|wire| touches(wire))) {
            found.push("/id".to_owned());
        }
        if let Some(Authority { source: Source::Stated { wire, .. }, .. }) = &self.authority
            && touches(wire)
        {
            found.push(authority::CANONICAL.to_owned());
        }
        found
    }

    /// Whether the event's id is made from the record's content.
    pub fn makes_id(&self) -> bool {
        self.id.is_some()
    }
}

/// What follows `above` in a pointer to it or to something in it.
pub(super) fn below<'p>(pointer: &'p str, above: &str) -> Option<&'p str> {
    pointer.strip_prefix(above).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Id {
    /// The same for the same values, wherever the record stood; `None` where the record has none of them.
    fn of(&self, wire: &Value) -> Option<String> {
        let values = self.from.iter().map(|pointer| wire.pointer(pointer).filter(|value| !codec::is_missing(value)));
        let values: Vec<Option<&Value>> = values.collect();
        values.iter().any(Option::is_some).then(|| hex::encode(&sha256(json!(values).to_string().as_bytes())[..16]))
    }
}

#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;
