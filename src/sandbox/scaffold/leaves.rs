//! The leaves of a message schema: pointer, kind of value, whether the message must have it.

use super::{ScaffoldFault, read};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What stands at a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Word(Vec<String>),
    Date,
    Hijri,
    Instant,
    BirthDate,
    Money,
    Integer,
    Number,
    Boolean,
    Texts,
}

/// A leaf.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// Pointer into `data`.
    pub(super) pointer: String,
    pub(super) kind: Kind,
    /// Whether every valid message has it.
    pub(super) required: bool,
    /// Whether it never leaves home.
    pub(super) stays: bool,
}

/// The schema files, by id and by file.
pub(super) struct Documents {
    by_id: BTreeMap<String, Value>,
    folder: PathBuf,
}

impl Documents {
    pub(super) fn read(folder: &Path) -> Result<Self, ScaffoldFault> {
        let mut by_id = BTreeMap::new();
        let mut open = vec![folder.to_owned()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(&next).map_err(|fault| ScaffoldFault::File(next.clone(), fault))? {
                let path = entry.map_err(|fault| ScaffoldFault::File(next.clone(), fault))?.path();
                if path.is_dir() {
                    open.push(path);
                } else if path.to_string_lossy().ends_with(".schema.json") {
                    let schema = parse(&path)?;
                    let id = schema["$id"].as_str().unwrap_or_default().to_owned();
                    by_id.insert(id, schema);
                }
            }
        }
        Ok(Self { by_id, folder: folder.to_owned() })
    }

    /// The leaves of a message's schema, in its order.
    pub(super) fn leaves(&self, file: &str) -> Result<Vec<Leaf>, ScaffoldFault> {
        let schema = parse(&self.folder.join(file))?;
        let mut leaves = Vec::new();
        self.walk(&schema, "", true, &[], &mut leaves)?;
        Ok(leaves)
    }

    /// The schema that a reference names: a document, or a part of one.
    fn target(&self, reference: &str) -> Result<&Value, ScaffoldFault> {
        let (id, inner) = reference.split_once('#').unwrap_or((reference, ""));
        let found = self.by_id.get(id).and_then(|document| document.pointer(inner));
        found.ok_or_else(|| ScaffoldFault::Schemas(format!("{reference} is not a schema of this folder")))
    }

    /// `also` are members that a schema around this one requires.
    fn walk(
        &self,
        schema: &Value,
        pointer: &str,
        required: bool,
        also: &[&str],
        leaves: &mut Vec<Leaf>,
    ) -> Result<(), ScaffoldFault> {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.walk(self.target(reference)?, pointer, required, also, leaves);
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            let also: Vec<&str> = parts.iter().flat_map(members).chain(also.iter().copied()).collect();
            let mut of = parts.iter().filter(|part| part.get("$ref").is_some());
            return of.try_for_each(|part| self.walk(part, pointer, required, &also, leaves));
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        // A birth date known in part is one value on the wire.
        if properties.is_some_and(|found| found.len() == 2 && found.contains_key("precision")) {
            let pointer = pointer.to_owned();
            leaves.push(Leaf { pointer, kind: Kind::BirthDate, required, stays: false });
            return Ok(());
        }
        if let Some(properties) = properties {
            let here: Vec<&str> = members(schema).chain(also.iter().copied()).collect();
            return properties.iter().try_for_each(|(name, inner)| {
                let required = required && here.contains(&name.as_str());
                self.walk(inner, &format!("{pointer}/{name}"), required, &[], leaves)
            });
        }
        let says = |name: &str, word: &str| schema.get(name).and_then(Value::as_str) == Some(word);
        let stays = says("x-release", "never") || says("x-class", "S4");
        leaves.push(Leaf { pointer: pointer.to_owned(), kind: kind(schema), required, stays });
        Ok(())
    }
}

fn members(schema: &Value) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn kind(schema: &Value) -> Kind {
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Kind::Word(words.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    }
    if schema.get("const").is_some_and(Value::is_boolean) {
        return Kind::Boolean;
    }
    match (text("type"), text("format"), text("x-compare")) {
        (Some("boolean"), ..) => Kind::Boolean,
        (Some("array"), ..) => Kind::Texts,
        (Some("integer"), ..) => Kind::Integer,
        (Some("number"), ..) => Kind::Number,
        (_, Some("date"), _) => Kind::Date,
        (_, Some("hijri-date"), _) => Kind::Hijri,
        (_, Some("date-time"), _) => Kind::Instant,
        (.., Some("decimal")) => Kind::Money,
        _ => Kind::Text,
    }
}

fn parse(file: &Path) -> Result<Value, ScaffoldFault> {
    serde_json::from_str(&read(file)?).map_err(|fault| ScaffoldFault::Schemas(format!("{}: {fault}", file.display())))
}
