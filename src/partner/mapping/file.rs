//! The text of a mapping file and its compilation: every fault of a file at once, each with its line.

use super::{
    Mapping,
    answer::AnswerFile,
    authority::{Authority, Source},
    codec::{Codec, Options},
    jq::Program,
    row::{How, List, Row},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;
use std::collections::BTreeMap;
use time::UtcOffset;
use toml::Spanned;

type Tables = BTreeMap<String, BTreeMap<String, String>>;
/// Line, where there is one, and what is wrong.
pub(crate) type FileFault = (Option<usize>, String);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    r#type: Spanned<String>,
    authority: Option<Spanned<AuthorityFile>>,
    id: Option<Spanned<IdFile>>,
    #[serde(default)]
    field: Vec<Spanned<Field>>,
    #[serde(default)]
    list: Vec<Spanned<ListFile>>,
    #[serde(default)]
    constant: Vec<Spanned<Constant>>,
    #[serde(default)]
    tables: Tables,
    answer: Option<Spanned<AnswerFile>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    pub(super) canonical: String,
    #[serde(default)]
    pub(super) wire: String,
    pub(super) codec: Option<String>,
    pub(super) jq: Option<String>,
    pub(super) table: Option<String>,
    pub(super) default: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) max: Option<usize>,
    pub(super) calendar: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) digits: Option<String>,
    pub(super) scale: Option<u8>,
    #[serde(default)]
    pub(super) parts: Vec<String>,
    #[serde(default)]
    pub(super) required: bool,
    pub(super) on_missing: Option<OnMissing>,
    #[serde(default)]
    pub(super) lossy: bool,
}

/// What stands on the wire where there is nothing to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnMissing {
    Omit,
    Null,
    Dash,
    Empty,
}

impl OnMissing {
    pub(super) fn value(self) -> Option<Value> {
        match self {
            Self::Omit => None,
            Self::Null => Some(Value::Null),
            Self::Dash => Some("-".into()),
            Self::Empty => Some("".into()),
        }
    }
}

/// In whose name inbound records speak: one authority, or the one that the record names.
#[derive(Debug)]
enum AuthorityFile {
    Fixed(String),
    Stated(StatedFile),
}

/// Told apart by what stands there, so that a fault in the table is named as such.
impl<'de> Deserialize<'de> for AuthorityFile {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = AuthorityFile;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an authority, or a table with wire and codes")
            }

            fn visit_str<E>(self, code: &str) -> Result<AuthorityFile, E> {
                Ok(AuthorityFile::Fixed(code.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<AuthorityFile, A::Error> {
                StatedFile::deserialize(MapAccessDeserializer::new(table)).map(AuthorityFile::Stated)
            }
        }
        value.deserialize_any(Either)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedFile {
    wire: String,
    codes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdFile {
    from: Vec<String>,
}

/// An id made from the record's content.
#[derive(Debug)]
pub(super) struct Id {
    pub(super) line: usize,
    pub(super) from: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListFile {
    canonical: String,
    wire: String,
    #[serde(default)]
    required: bool,
    field: Vec<Spanned<Field>>,
}

/// A value that one side always has and the other never sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Constant {
    #[serde(skip)]
    pub(super) line: usize,
    pub(super) canonical: Option<String>,
    pub(super) wire: Option<String>,
    pub(super) value: Value,
    /// Only where the other side has something at this pointer.
    pub(super) when: Option<String>,
}

impl Mapping {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// Every fault found, with its line where there is one.
    pub(crate) fn parse(text: &str, zone: UtcOffset) -> Result<Self, Vec<FileFault>> {
        let line_at = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let file: File = toml::from_str(text)
            .map_err(|fault| vec![(fault.span().map(|span| line_at(span.start)), fault.message().to_owned())])?;
        let mut faults = Vec::new();
        let mut rows = |fields: Vec<Spanned<Field>>| -> Vec<Row> {
            let compiled = fields.into_iter().filter_map(|spanned| {
                let line = line_at(spanned.span().start);
                let row = row(line, spanned.into_inner(), zone, &file.tables);
                row.map_err(|fault| faults.push((Some(line), fault))).ok()
            });
            compiled.collect()
        };
        let own = rows(file.field);
        let lists = file.list.into_iter().map(|spanned| {
            let line = line_at(spanned.span().start);
            let ListFile { canonical, wire, required, field } = spanned.into_inner();
            List { line, canonical, wire, required, rows: rows(field) }
        });
        let lists = lists.collect();
        let constants = file.constant.into_iter().map(|spanned| {
            let line = line_at(spanned.span().start);
            Constant { line, ..spanned.into_inner() }
        });
        let constants = constants.collect();
        let id = file.id.map(|spanned| Id { line: line_at(spanned.span().start), from: spanned.into_inner().from });
        let authority = file.authority.and_then(|spanned| {
            let line = line_at(spanned.span().start);
            let source = match spanned.into_inner() {
                AuthorityFile::Fixed(code) => Ok(Source::Fixed(code)),
                AuthorityFile::Stated(StatedFile { wire, codes }) => Source::stated(wire, codes),
            };
            source.map(|source| Authority { line, source }).map_err(|fault| faults.push((Some(line), fault))).ok()
        });
        let answer = file.answer.and_then(|spanned| {
            let line = line_at(spanned.span().start);
            spanned.into_inner().compile().map_err(|fault| faults.push((Some(line), fault))).ok()
        });
        if !faults.is_empty() {
            return Err(faults);
        }
        let type_line = line_at(file.r#type.span().start);
        let type_name = file.r#type.into_inner();
        Ok(Self { type_name, type_line, authority, answer, id, rows: own, lists, constants })
    }
}

fn row(line: usize, field: Field, zone: UtcOffset, tables: &Tables) -> Result<Row, String> {
    let pointers = [&field.canonical, &field.wire].into_iter().chain(&field.parts);
    if let Some(bad) = pointers.filter(|pointer| !pointer.is_empty()).find(|pointer| !pointer.starts_with('/')) {
        return Err(format!("{bad} is not a JSON Pointer: it must begin with /"));
    }
    let how = match (&field.codec, &field.jq) {
        (None, Some(program)) => {
            if !field.wire.is_empty() || !field.parts.is_empty() {
                return Err("a row with jq reads the whole record and has neither wire nor parts".to_owned());
            }
            How::Jq(Program::compile(program)?)
        }
        (Some(codec), None) => {
            if field.wire.is_empty() == field.parts.is_empty() {
                return Err("a row has either wire or parts".to_owned());
            }
            let table = field
                .table
                .as_ref()
                .map(|name| tables.get(name).cloned().ok_or_else(|| format!("there is no [tables.{name}]")));
            let options = Options {
                table: table.transpose()?,
                default: field.default.clone(),
                prefix: field.prefix.clone(),
                max: field.max,
                calendar: field.calendar.clone(),
                zone: field.zone.clone(),
                digits: field.digits.clone(),
                scale: field.scale,
            };
            let codec = Codec::new(codec, zone, &options)?;
            if codec.loses() && !field.lossy {
                return Err("what this codec writes may be less than what it was given: say lossy = true".to_owned());
            }
            How::Codec(codec)
        }
        _ => return Err("a row has either codec or jq".to_owned()),
    };
    Ok(Row { line, field, how })
}
