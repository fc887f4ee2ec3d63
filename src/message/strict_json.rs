//! The gate before any parser: RFC 8259 text that every peer must read the same way.
//!
//! Refuses a byte order mark, bad UTF-8, duplicate member names (compared after unescaping), nesting deeper than 32,
//! and numbers beyond ±2^53 (RFC 7493, I-JSON). It builds no value itself beyond what `serde_json` gives, and knows no schema.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;

/// Deepest nesting of arrays and objects.
pub const DEPTH_MAX: usize = 32;
/// Largest integer magnitude that every JSON implementation keeps exactly (RFC 7493 §2.2).
pub const INTEGER_MAX: u64 = 1 << 53;

/// Why a body is not acceptable JSON. The position is a byte offset or line and column; no content is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// RFC 8259 §8.1: no byte order mark.
    #[error("the body begins with a byte order mark")]
    ByteOrderMark,
    /// RFC 8259 §8.1: UTF-8 only.
    #[error("the body is not UTF-8 (first bad byte at offset {offset})")]
    NotUtf8 {
        /// Byte offset of the first invalid sequence.
        offset: usize,
    },
    /// RFC 7493 §2.3.
    #[error("an object has the same member name twice (line {line}, column {column})")]
    DuplicateName {
        /// One-based line.
        line: usize,
        /// One-based column.
        column: usize,
    },
    /// Deeper than [`DEPTH_MAX`].
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// Beyond [`INTEGER_MAX`] or not finite.
    #[error("a number is beyond 2^53 and would not be read alike everywhere (line {line}, column {column})")]
    NumberTooLarge {
        /// One-based line.
        line: usize,
        /// One-based column.
        column: usize,
    },
    /// U+0000, which no database text can hold.
    #[error("a text holds the character U+0000 (line {line}, column {column})")]
    ZeroCharacter {
        /// One-based line.
        line: usize,
        /// One-based column.
        column: usize,
    },
    /// Anything else that the grammar forbids, a truncated body among them.
    #[error("not valid JSON (line {line}, column {column})")]
    Syntax {
        /// One-based line.
        line: usize,
        /// One-based column.
        column: usize,
    },
}

impl JsonFault {
    /// A short stable word for answers and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ByteOrderMark => "byte-order-mark",
            Self::NotUtf8 { .. } => "not-utf8",
            Self::DuplicateName { .. } => "duplicate-name",
            Self::TooDeep => "too-deep",
            Self::NumberTooLarge { .. } => "number-too-large",
            Self::ZeroCharacter { .. } => "zero-character",
            Self::Syntax { .. } => "syntax",
        }
    }
}

/// Parses one JSON text strictly.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonFault> {
    let text = decode(bytes)?;
    let fault = Cell::new(None);
    let mut input = serde_json::Deserializer::from_str(text);
    let seed = Strict { depth: 0, fault: &fault };
    let read = seed.deserialize(&mut input).and_then(|value| input.end().map(|()| value));
    read.map_err(|error| classify(&error, fault.get()))
}

/// Splits a JSON array into the exact bytes of its items, each of which the caller parses with [`parse`].
pub fn split_array(bytes: &[u8]) -> Result<Vec<&[u8]>, JsonFault> {
    let text = decode(bytes)?;
    let items: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(text).map_err(|error| classify(&error, None))?;
    Ok(items.into_iter().map(|raw| raw.get().as_bytes()).collect())
}

fn decode(bytes: &[u8]) -> Result<&str, JsonFault> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(JsonFault::ByteOrderMark);
    }
    std::str::from_utf8(bytes).map_err(|error| JsonFault::NotUtf8 { offset: error.valid_up_to() })
}

#[derive(Clone, Copy)]
enum Found {
    Duplicate,
    Deep,
    Number,
    Zero,
}

fn classify(error: &serde_json::Error, found: Option<Found>) -> JsonFault {
    let (line, column) = (error.line(), error.column());
    match found {
        Some(Found::Duplicate) => JsonFault::DuplicateName { line, column },
        Some(Found::Deep) => JsonFault::TooDeep,
        Some(Found::Number) => JsonFault::NumberTooLarge { line, column },
        Some(Found::Zero) => JsonFault::ZeroCharacter { line, column },
        // The parser's own recursion limit (128) is met only by a batch split, which looks no deeper than the items.
        None if error.to_string().starts_with("recursion limit") => JsonFault::TooDeep,
        None => JsonFault::Syntax { line, column },
    }
}

#[derive(Clone, Copy)]
struct Strict<'f> {
    depth: usize,
    fault: &'f Cell<Option<Found>>,
}

impl Strict<'_> {
    fn stop<E: serde::de::Error>(&self, found: Found) -> E {
        self.fault.set(Some(found));
        E::custom("refused")
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(self.stop(Found::Deep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<Value, E> {
        if v.unsigned_abs() > INTEGER_MAX {
            return Err(self.stop(Found::Number));
        }
        Ok(Value::from(v))
    }

    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<Value, E> {
        if v > INTEGER_MAX {
            return Err(self.stop(Found::Number));
        }
        Ok(Value::from(v))
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Value, E> {
        if v.abs() > INTEGER_MAX as f64 {
            return Err(self.stop(Found::Number));
        }
        Number::from_f64(v).map(Value::Number).ok_or_else(|| self.stop(Found::Number))
    }

    fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Value, E> {
        self.visit_string(v.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, v: String) -> Result<Value, E> {
        if v.contains('\0') {
            return Err(self.stop(Found::Zero));
        }
        Ok(Value::String(v))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key_seed(Name)? {
            let value = members.next_value_seed(inner)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom(self.stop::<A::Error>(Found::Duplicate)));
            }
        }
        Ok(Value::Object(object))
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<String, D::Error> {
        String::deserialize(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_ambiguity_has_its_own_reason() {
        let reason = |bytes: &[u8]| parse(bytes).unwrap_err().reason();
        assert_eq!(reason(b"\xEF\xBB\xBF{}"), "byte-order-mark");
        assert_eq!(reason(b"\"\xC3\x28\""), "not-utf8");
        assert_eq!(reason(br#"{"a":1,"\u0061":2}"#), "duplicate-name");
        assert_eq!(reason(br#"[9007199254740993]"#), "number-too-large");
        assert_eq!(reason(br#"[1e400]"#), "syntax");
        assert_eq!(reason(br#"[1e300]"#), "number-too-large");
        assert_eq!(reason(br#"{"a":"#), "syntax");
        assert_eq!(reason(br#"{} {}"#), "syntax");
        assert_eq!(reason("[".repeat(1_000_000).as_bytes()), "too-deep");
    }

    #[test]
    fn depth_ends_at_32() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(parse(nested(DEPTH_MAX + 1).as_bytes()), Err(JsonFault::TooDeep));
    }

    #[test]
    fn accepted_text_reads_as_serde_json_reads_it() {
        let text = br#"{"b":[1,-2,0.5,null,true,"\u0633"],"a":{"x":9007199254740992}}"#;
        assert_eq!(parse(text).unwrap(), serde_json::from_slice::<Value>(text).unwrap());
    }

    proptest! {
        /// To the nearest, as any other reader does: found by fuzzing.
        #[test]
        fn a_fraction_reads_as_everywhere(text in "-?(0|[1-9][0-9]{0,14})\\.[0-9]{1,12}(e-[0-9]{1,2})?") {
            for text in [&text, "98888888888888.88888888"] {
                let read = parse(text.as_bytes()).unwrap();
                prop_assert_eq!(read.as_f64(), text.parse().ok(), "{}", text);
                prop_assert_eq!(parse(read.to_string().as_bytes()), Ok(read));
            }
        }
    }

    #[test]
    fn a_batch_gives_back_the_exact_bytes_of_each_item() {
        let items = split_array(br#"[ {"a" : 1},2 , "x"]"#).unwrap();
        assert_eq!(items, [&br#"{"a" : 1}"#[..], b"2", b"\"x\""]);
        assert!(split_array(b"{}").is_err());
    }
}
