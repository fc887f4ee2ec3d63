//! Rows at work: one value, one name over several fields, one list of objects.

use super::{
    Named, WireFault,
    codec::{self, Codec},
    file::{Field, OnMissing},
    jq::Program,
};
use serde_json::{Map, Value};

/// How a row gets its value.
#[derive(Debug)]
pub(super) enum How {
    /// Both ways.
    Codec(Codec),
    /// On reading only.
    Jq(Program),
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: usize,
    pub(super) field: Field,
    pub(super) how: How,
}

/// A list of objects on both sides, each read and written by rows of its own.
#[derive(Debug)]
pub(super) struct List {
    pub(super) line: usize,
    pub(super) canonical: String,
    pub(super) wire: String,
    pub(super) required: bool,
    pub(super) rows: Vec<Row>,
}

pub(super) fn read_all(rows: &[Row], wire: &Value, target: &mut Value, faults: &mut Vec<WireFault>) {
    for row in rows {
        match row.read(wire) {
            Ok(Some(value)) => set(target, &row.field.canonical, value),
            Ok(None) if row.field.required => faults.push(row.fault("required")),
            Ok(None) => {}
            Err(rule) => faults.push(row.fault(rule)),
        }
    }
}

pub(super) fn write_all(rows: &[Row], event: &Value, wire: &mut Value, faults: &mut Vec<WireFault>) {
    for row in rows {
        match row.write(event, wire) {
            Ok(true) => {}
            Ok(false) if row.field.required => faults.push(row.fault("required")),
            Ok(false) => row.missing(wire),
            Err(rule) => faults.push(row.fault(rule)),
        }
    }
}

impl Row {
    pub(super) fn named<'m>(&'m self, pointer: &'m str) -> Named<'m> {
        let lossy = self.field.lossy || matches!(self.how, How::Jq(_));
        Named { line: self.line, pointer, lossy }
    }

    /// Wire pointers that it reads and writes.
    pub(super) fn wires(&self) -> impl Iterator<Item = &str> {
        let whole = (self.field.parts.is_empty() && matches!(self.how, How::Codec(_))).then_some(&self.field.wire);
        whole.into_iter().chain(&self.field.parts).map(String::as_str)
    }

    /// The wire pointer by which it is named in faults; empty for one that is computed.
    pub(super) fn first_wire(&self) -> &str {
        self.field.parts.first().unwrap_or(&self.field.wire)
    }

    fn read(&self, wire: &Value) -> Result<Option<Value>, &'static str> {
        let codec = match &self.how {
            How::Jq(program) => return program.run(wire),
            How::Codec(codec) => codec,
        };
        let given = |pointer: &str| wire.pointer(pointer).filter(|value| !codec::is_missing(value));
        if self.field.parts.is_empty() {
            return given(&self.field.wire).map(|value| codec.read(value)).transpose();
        }
        let mut words = Vec::new();
        for part in &self.field.parts {
            match given(part).map(|value| codec.read(value)) {
                None => {}
                Some(Ok(Value::String(word))) => words.push(word),
                Some(Ok(_)) => return Err("text"),
                Some(Err(rule)) => return Err(rule),
            }
        }
        Ok((!words.is_empty()).then(|| words.join(" ").into()))
    }

    /// Whether there was anything to write.
    fn write(&self, event: &Value, wire: &mut Value) -> Result<bool, &'static str> {
        let How::Codec(codec) = &self.how else { return Ok(true) };
        let Some(value) = event.pointer(&self.field.canonical).filter(|value| !value.is_null()) else {
            return Ok(false);
        };
        let written = codec.write(value)?;
        if self.field.parts.is_empty() {
            set(wire, &self.field.wire, written);
            return Ok(true);
        }
        // First word, words between, last word: reading joins them again in this order.
        let text = written.as_str().unwrap_or_default().to_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        for (n, part) in self.field.parts.iter().enumerate() {
            let last = n + 1 == self.field.parts.len();
            let piece = if last {
                words.get(n..).unwrap_or_default().join(" ")
            } else {
                words.get(n).map_or(String::new(), |w| (*w).to_owned())
            };
            if piece.is_empty() {
                // A part that is absent is said as it is said in this party's names, by a dash unless the row knows better.
                if let Some(absent) = self.field.on_missing.unwrap_or(OnMissing::Dash).value() {
                    set(wire, part, absent);
                }
            } else {
                set(wire, part, piece.into());
            }
        }
        Ok(true)
    }

    fn missing(&self, wire: &mut Value) {
        let Some(absent) = self.field.on_missing.and_then(OnMissing::value) else { return };
        for pointer in self.wires() {
            // Another row may have written here.
            if wire.pointer(pointer).is_none() {
                set(wire, pointer, absent.clone());
            }
        }
    }

    fn fault(&self, rule: &'static str) -> WireFault {
        let wire = self.first_wire().to_owned();
        WireFault { line: self.line, canonical: self.field.canonical.clone(), wire, rule }
    }
}

impl List {
    pub(super) fn read(&self, wire: &Value, event: &mut Value, faults: &mut Vec<WireFault>) {
        let items = match wire.pointer(&self.wire) {
            Some(Value::Array(items)) => items,
            Some(value) if !codec::is_missing(value) => return faults.push(self.fault("list")),
            _ if self.required => return faults.push(self.fault("required")),
            _ => return,
        };
        let read = items.iter().enumerate().map(|(n, item)| {
            let (mut target, mut found) = (Value::Object(Map::new()), Vec::new());
            read_all(&self.rows, item, &mut target, &mut found);
            faults.extend(found.into_iter().map(|fault| self.at(n, fault)));
            target
        });
        let read: Vec<Value> = read.collect();
        set(event, &self.canonical, read.into());
    }

    pub(super) fn write(&self, event: &Value, wire: &mut Value, faults: &mut Vec<WireFault>) {
        let items = match event.pointer(&self.canonical) {
            Some(Value::Array(items)) => items,
            Some(value) if !value.is_null() => return faults.push(self.fault("list")),
            _ if self.required => return faults.push(self.fault("required")),
            _ => return,
        };
        let written = items.iter().enumerate().map(|(n, item)| {
            let (mut target, mut found) = (Value::Object(Map::new()), Vec::new());
            write_all(&self.rows, item, &mut target, &mut found);
            faults.extend(found.into_iter().map(|fault| self.at(n, fault)));
            target
        });
        let written: Vec<Value> = written.collect();
        set(wire, &self.wire, written.into());
    }

    fn at(&self, n: usize, fault: WireFault) -> WireFault {
        let canonical = format!("{}/{n}{}", self.canonical, fault.canonical);
        WireFault { canonical, wire: format!("{}/{n}{}", self.wire, fault.wire), ..fault }
    }

    fn fault(&self, rule: &'static str) -> WireFault {
        WireFault { line: self.line, canonical: self.canonical.clone(), wire: self.wire.clone(), rule }
    }
}

/// Sets a value by its pointer, making the objects on the way.
pub(super) fn set(target: &mut Value, pointer: &str, value: Value) {
    let mut here = target;
    for name in pointer.split('/').skip(1) {
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        let Value::Object(members) = here else { return };
        here = members.entry(name.to_owned()).or_insert(Value::Null);
    }
    *here = value;
}
