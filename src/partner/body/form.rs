//! `application/x-www-form-urlencoded`: a flat object of texts. A name that comes twice is refused, as is an escape that is not
//! UTF-8: peers would read it differently.

use super::{BodyFault, scalar, utf8};
use serde_json::{Map, Value};

pub(super) fn read(bytes: &[u8]) -> Result<Value, BodyFault> {
    let text = utf8(bytes)?;
    let mut members = Map::new();
    let mut offset = 0;
    for pair in text.split('&') {
        if !pair.is_empty() {
            let (name, value) = pair.split_once('=').ok_or_else(|| BodyFault::at("form-syntax", offset))?;
            let [name, value] =
                [name, value].map(|part| decode(part).ok_or_else(|| BodyFault::at("form-escape", offset)));
            if members.insert(name?, Value::String(value?)).is_some() {
                return Err(BodyFault::at("duplicate-name", offset));
            }
        }
        offset += pair.len() + 1;
    }
    Ok(Value::Object(members))
}

pub(super) fn write(record: &Value) -> Result<Vec<u8>, BodyFault> {
    let members = record.as_object().ok_or_else(|| BodyFault::unwritten("form-not-flat"))?;
    let mut body = form_urlencoded::Serializer::new(String::new());
    for (name, value) in members {
        body.append_pair(name, &scalar(value).ok_or_else(|| BodyFault::unwritten("form-not-flat"))?);
    }
    Ok(body.finish().into_bytes())
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let [high, low] = [rest.next()?, rest.next()?].map(|digit| char::from(digit).to_digit(16));
                u8::try_from(high? * 16 + low?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}
