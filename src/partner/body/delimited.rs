//! CSV batch files (RFC 4180): UTF-8 with or without a byte order mark, CRLF or LF, quoted fields, a header line.
//!
//! Every row is an item of its own. Its bytes, for evidence and for knowing a repeat, are the header and the row, each ended by
//! CRLF: they stand alone, and do not depend on where the row stood in the file.

use super::{BodyFault, scalar, utf8};
use crate::{
    message::event::{BATCH_ITEMS_MAX, SINGLE_MAX},
    schema::wire::{properties, required},
};
use serde_json::{Map, Value};

/// Longest header line: it stands with every row.
const HEADER_MAX: usize = 16 << 10;

/// Most columns.
const COLUMNS_MAX: usize = 500;

/// A file's rows.
#[derive(Debug)]
pub struct Rows {
    /// One a record, in order.
    pub rows: Vec<Row>,
}

/// One row.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Line of the file on which it begins, from 1.
    pub line: u64,
    /// Header and row, each ended by CRLF.
    pub bytes: Vec<u8>,
    /// Column → text; `None` where the row has more or fewer fields than the header.
    pub record: Option<Value>,
}

impl Rows {
    /// Reads a file of up to [`BATCH_ITEMS_MAX`] rows. The header must have every column that `schema` requires, in any order;
    /// others are kept, whatever their name.
    ///
    /// # Errors
    /// [`BodyFault`] where the file as a whole cannot be read.
    pub fn read(schema: &Value, bytes: &[u8]) -> Result<Self, BodyFault> {
        let text = utf8(bytes)?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter(schema))
            .from_reader(text.as_bytes());
        let (mut header, mut rows) = (None::<(Vec<String>, &str)>, Vec::new());
        let mut record = csv::StringRecord::new();
        loop {
            let start = position(reader.position());
            if !reader.read_record(&mut record).map_err(|_| BodyFault::at("csv-syntax", start))? {
                break;
            }
            let raw = text.get(start..position(reader.position())).unwrap_or_default();
            let fields = record.iter().map(str::to_owned);
            let Some((columns, header)) = &header else {
                let columns: Vec<String> = fields.collect();
                check(schema, &columns)?;
                if raw.len() > HEADER_MAX {
                    return Err(BodyFault::at("csv-header", start));
                }
                header = Some((columns, line_of(raw)));
                continue;
            };
            if rows.len() == BATCH_ITEMS_MAX {
                return Err(BodyFault::at("too-many-items", start));
            }
            if raw.len() > SINGLE_MAX {
                return Err(BodyFault::at("csv-row-too-long", start));
            }
            let record = (record.len() == columns.len())
                .then(|| columns.iter().cloned().zip(fields.map(Value::String)).collect::<Map<_, _>>().into());
            let before = start + (raw.len() - raw.trim_start_matches(['\r', '\n']).len());
            let line = text.get(..before).unwrap_or_default().matches('\n').count() as u64 + 1;
            let bytes = format!("{header}\r\n{}\r\n", line_of(raw)).into_bytes();
            rows.push(Row { line, bytes, record });
        }
        if header.is_none() { Err(BodyFault::at("csv-header", 0)) } else { Ok(Self { rows }) }
    }
}

pub(super) fn write(schema: &Value, records: &[Value]) -> Result<Vec<u8>, BodyFault> {
    let unwritten = || BodyFault::unwritten("csv-not-flat");
    let columns: Vec<&String> = properties(schema).map(|(name, _)| name).collect();
    let bom = schema.pointer("/csv/bom").and_then(Value::as_bool).unwrap_or_default();
    let start = if bom { b"\xEF\xBB\xBF".to_vec() } else { Vec::new() };
    let terminator = csv::Terminator::CRLF;
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter(schema)).terminator(terminator).from_writer(start);
    writer.write_record(&columns).map_err(|_| unwritten())?;
    for record in records {
        let members = record.as_object().filter(|members| members.keys().all(|name| columns.contains(&name)));
        let members = members.ok_or_else(unwritten)?;
        let field = |name: &&String| members.get(*name).map_or(Some(String::new()), scalar).ok_or_else(unwritten);
        let fields = columns.iter().map(field).collect::<Result<Vec<_>, _>>()?;
        writer.write_record(fields).map_err(|_| unwritten())?;
    }
    writer.into_inner().map_err(|_| unwritten())
}

fn check(schema: &Value, columns: &[String]) -> Result<(), BodyFault> {
    if columns.len() > COLUMNS_MAX {
        return Err(BodyFault::at("csv-header", 0));
    }
    let twice = columns.iter().enumerate().any(|(n, name)| name.is_empty() || columns[..n].contains(name));
    let absent = required(schema).any(|name| !columns.iter().any(|column| column == name));
    if twice || absent { Err(BodyFault::at("csv-header", 0)) } else { Ok(()) }
}

/// A row without the line breaks before and after it.
fn line_of(raw: &str) -> &str {
    raw.trim_matches(['\r', '\n'])
}

fn position(position: &csv::Position) -> usize {
    usize::try_from(position.byte()).unwrap_or(usize::MAX)
}

fn delimiter(schema: &Value) -> u8 {
    let stated = schema.pointer("/csv/delimiter").and_then(Value::as_str).unwrap_or_default();
    stated.bytes().next().filter(u8::is_ascii).unwrap_or(b',')
}
