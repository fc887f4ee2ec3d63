//! XML 1.0 as an object of texts: elements are members, repeated ones lists where the schema says so, attributes members whose
//! names begin with `@`, text beside attributes the member `#text`.
//!
//! What makes XML dangerous or ambiguous is refused, not expanded: document types, entities other than the five and character
//! references, processing instructions, prefixes, text between elements, an element that repeats where none may, encodings
//! other than UTF-8. An empty element is the text `""`.

use super::{BodyFault, scalar, utf8};
use crate::{
    message::strict_json::DEPTH_MAX,
    schema::wire::{is_list, items, properties, property},
};
use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};
use serde_json::{Map, Value};

/// Text beside attributes.
const TEXT: &str = "#text";

/// Most attributes of an element: the parser compares each with all before it.
const ATTRIBUTES_MAX: usize = 64;

struct Open<'s> {
    name: String,
    schema: Option<&'s Value>,
    members: Map<String, Value>,
    text: String,
    elements: bool,
}

pub(super) fn read(schema: &Value, bytes: &[u8]) -> Result<Value, BodyFault> {
    let text = utf8(bytes)?;
    if let Some(offset) = text.find(|c| !is_char(c)) {
        return Err(BodyFault::at("xml-character", offset));
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let (mut open, mut whole) = (Vec::<Open<'_>>::new(), None);
    loop {
        let offset = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let fault = |reason| BodyFault::at(reason, offset);
        match reader.read_event().map_err(|_| fault("xml-syntax"))? {
            Event::Start(start) => {
                if whole.is_some() || open.len() == DEPTH_MAX {
                    return Err(fault(if whole.is_some() { "xml-syntax" } else { "too-deep" }));
                }
                let element = begin(schema, open.last_mut(), &start).map_err(fault)?;
                open.push(element);
            }
            Event::Empty(start) => {
                if whole.is_some() {
                    return Err(fault("xml-syntax"));
                }
                let element = begin(schema, open.last_mut(), &start).map_err(fault)?;
                close(element, open.last_mut(), &mut whole).map_err(fault)?;
            }
            Event::End(_) => {
                let element = open.pop().ok_or_else(|| fault("xml-syntax"))?;
                close(element, open.last_mut(), &mut whole).map_err(fault)?;
            }
            Event::Text(piece) => add(open.last_mut(), &piece.xml10_content()).map_err(fault)?,
            Event::CData(piece) => {
                let element = open.last_mut().ok_or_else(|| fault("xml-syntax"))?;
                element.text.push_str(&piece.xml10_content());
            }
            Event::GeneralRef(name) => {
                let character = match (&*name.xml10_content(), name.resolve_char_ref()) {
                    (_, Ok(Some(character))) if is_char(character) => character,
                    ("lt", _) => '<',
                    ("gt", _) => '>',
                    ("amp", _) => '&',
                    ("apos", _) => '\'',
                    ("quot", _) => '"',
                    _ => return Err(fault("xml-entity")),
                };
                open.last_mut().ok_or_else(|| fault("xml-syntax"))?.text.push(character);
            }
            Event::Decl(declaration) => {
                let encoding = declaration.encoding().transpose().map_err(|_| fault("xml-syntax"))?;
                if offset != 0 || encoding.is_some_and(|name| !name.eq_ignore_ascii_case("utf-8")) {
                    return Err(fault("xml-encoding"));
                }
            }
            Event::DocType(_) => return Err(fault("xml-doctype")),
            Event::PI(_) => return Err(fault("xml-instruction")),
            Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    let end = BodyFault::at("xml-syntax", text.len());
    if open.is_empty() { whole.ok_or(end) } else { Err(end) }
}

fn begin<'s>(root: &'s Value, parent: Option<&mut Open<'s>>, start: &BytesStart<'_>) -> Result<Open<'s>, &'static str> {
    let name = start.name().as_ref().to_owned();
    let named = |name: &str| if is_name(name) { Ok(()) } else { Err("xml-name") };
    named(&name)?;
    let is_root = parent.is_none();
    let schema = match parent {
        None if root.pointer("/xml/name").and_then(Value::as_str).is_some_and(|stated| stated != name) => {
            return Err("xml-root");
        }
        None => Some(root),
        Some(parent) => {
            parent.elements = true;
            let member = parent.schema.and_then(|schema| property(schema, &name));
            member.and_then(|member| if is_list(member) { items(member) } else { Some(member) })
        }
    };
    let mut open = Open { name, schema, members: Map::new(), text: String::new(), elements: false };
    let mut namespace = None;
    for (n, attribute) in start.attributes().enumerate() {
        if n == ATTRIBUTES_MAX {
            return Err("xml-attributes");
        }
        let attribute = attribute.map_err(|_| "xml-syntax")?;
        let name = attribute.key.as_ref();
        let text = quick_xml::escape::unescape(&attribute.value).map_err(|_| "xml-entity")?;
        if name == "xmlns" && is_root {
            namespace = Some(text.into_owned());
            continue;
        }
        named(name)?;
        open.members.insert(format!("@{name}"), text.into_owned().into());
    }
    let stated = root.pointer("/xml/namespace").and_then(Value::as_str);
    if is_root && namespace.as_deref() != stated { Err("xml-namespace") } else { Ok(open) }
}

fn add(open: Option<&mut Open<'_>>, piece: &str) -> Result<(), &'static str> {
    match open {
        Some(open) => open.text.push_str(piece),
        None if piece.trim().is_empty() => {}
        None => return Err("xml-syntax"),
    }
    Ok(())
}

fn close(element: Open<'_>, parent: Option<&mut Open<'_>>, whole: &mut Option<Value>) -> Result<(), &'static str> {
    let Open { name, schema, mut members, text, elements } = element;
    let spoken = !text.trim().is_empty();
    if elements && spoken {
        return Err("xml-mixed");
    }
    // An object by its schema is one however little of it is there.
    let object = elements || !members.is_empty() || schema.is_some_and(|schema| schema.get("properties").is_some());
    let value = if object {
        if spoken {
            members.insert(TEXT.to_owned(), text.into());
        }
        Value::Object(members)
    } else {
        Value::String(text)
    };
    let Some(parent) = parent else {
        // A root without elements is an empty record.
        *whole = Some(if value == "" { Value::Object(Map::new()) } else { value });
        return Ok(());
    };
    let list = parent.schema.and_then(|schema| property(schema, &name)).is_some_and(is_list);
    match (parent.members.get_mut(&name), list) {
        (Some(Value::Array(items)), true) => items.push(value),
        (None, true) => drop(parent.members.insert(name, Value::Array(vec![value]))),
        (None, false) => drop(parent.members.insert(name, value)),
        (Some(_), _) => return Err("xml-repeated"),
    }
    Ok(())
}

pub(super) fn write(schema: &Value, record: &Value) -> Result<Vec<u8>, BodyFault> {
    let name = schema.pointer("/xml/name").and_then(Value::as_str).ok_or(BodyFault::unwritten("xml-root"))?;
    let namespace = schema.pointer("/xml/namespace").and_then(Value::as_str);
    let mut body = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    element(&mut body, name, namespace, record, Some(schema), 0).map_err(BodyFault::unwritten)?;
    body.push('\n');
    Ok(body.into_bytes())
}

fn element(
    body: &mut String,
    name: &str,
    namespace: Option<&str>,
    value: &Value,
    schema: Option<&Value>,
    depth: usize,
) -> Result<(), &'static str> {
    if !is_name(name) {
        return Err("xml-name");
    }
    if depth == DEPTH_MAX {
        return Err("too-deep");
    }
    body.push('<');
    body.push_str(name);
    if let Some(namespace) = namespace {
        attribute(body, "xmlns", namespace)?;
    }
    let Value::Object(members) = value else {
        body.push('>');
        text(body, &scalar(value).ok_or("xml-list")?)?;
        close_tag(body, name);
        return Ok(());
    };
    for (name, value) in members {
        let Some(name) = name.strip_prefix('@') else { continue };
        if !is_name(name) {
            return Err("xml-name");
        }
        attribute(body, name, &scalar(value).ok_or("xml-attribute")?)?;
    }
    body.push('>');
    // A sequence has the order of the schema; what it does not name comes after.
    let known: Vec<&String> = schema.into_iter().flat_map(properties).map(|(name, _)| name).collect();
    let place = |name: &String| known.iter().position(|one| *one == name).unwrap_or(usize::MAX);
    let mut elements: Vec<(&String, &Value)> = members.iter().filter(|(name, _)| !name.starts_with('@')).collect();
    elements.sort_by_key(|(name, _)| place(name));
    for (name, value) in elements {
        let member = schema.and_then(|schema| property(schema, name));
        match value {
            value if name == TEXT => text(body, &scalar(value).ok_or("xml-text")?)?,
            Value::Array(all) if member.is_some_and(is_list) => {
                for one in all {
                    element(body, name, None, one, member.and_then(items), depth + 1)?;
                }
            }
            Value::Array(_) => return Err("xml-list"),
            value => element(body, name, None, value, member, depth + 1)?,
        }
    }
    close_tag(body, name);
    Ok(())
}

fn close_tag(body: &mut String, name: &str) {
    body.push_str("</");
    body.push_str(name);
    body.push('>');
}

fn attribute(body: &mut String, name: &str, value: &str) -> Result<(), &'static str> {
    body.push(' ');
    body.push_str(name);
    body.push_str("=\"");
    for c in value.chars() {
        match c {
            // A parser makes a space of each of these unless it is a reference (XML 1.0 §3.3.3).
            '\n' | '\t' | '\r' => body.push_str(&format!("&#{};", u32::from(c))),
            c => escaped(body, c)?,
        }
    }
    body.push('"');
    Ok(())
}

fn text(body: &mut String, value: &str) -> Result<(), &'static str> {
    for c in value.chars() {
        match c {
            // A parser makes a line feed of it unless it is a reference (XML 1.0 §2.11).
            '\r' => body.push_str("&#13;"),
            c => escaped(body, c)?,
        }
    }
    Ok(())
}

fn escaped(body: &mut String, c: char) -> Result<(), &'static str> {
    match c {
        '<' => body.push_str("&lt;"),
        '>' => body.push_str("&gt;"),
        '&' => body.push_str("&amp;"),
        '"' => body.push_str("&quot;"),
        c if is_char(c) => body.push(c),
        _ => return Err("xml-character"),
    }
    Ok(())
}

/// XML 1.0 §2.2.
fn is_char(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}')
}

/// A name without a prefix.
fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && letters.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}
