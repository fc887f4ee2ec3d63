//! In whose name an inbound record speaks: always one authority's, the one that the record names, or the only one for which its
//! sender may send the type.
//!
//! Whether the sender may speak for the authority is judged with the message, not here.

use super::{WireFault, codec};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where the authority stands in an event.
pub(super) const CANONICAL: &str = "/authority";

/// What a mapping says of it.
#[derive(Debug)]
pub struct Authority {
    /// Line of the mapping file.
    pub line: usize,
    /// Where it comes from.
    pub source: Source,
}

/// Where the authority comes from.
#[derive(Debug)]
pub enum Source {
    /// Every record is this authority's.
    Fixed(String),
    /// The record names it.
    Stated {
        /// Pointer into the wire record.
        wire: String,
        /// The party's code → authority.
        codes: BTreeMap<String, String>,
    },
}

impl Source {
    /// From a wire pointer and a list of codes.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn stated(wire: String, codes: BTreeMap<String, String>) -> Result<Self, String> {
        if !wire.starts_with('/') {
            return Err(format!("{wire} is not a JSON Pointer: it must begin with /"));
        }
        if codes.is_empty() {
            return Err("codes says which code of the record means which authority".to_owned());
        }
        Ok(Self::Stated { wire, codes })
    }

    /// Every authority in whose name records may speak.
    pub fn authorities(&self) -> impl Iterator<Item = &str> {
        let (fixed, codes) = match self {
            Self::Fixed(code) => (Some(code), None),
            Self::Stated { codes, .. } => (None, Some(codes)),
        };
        fixed.into_iter().chain(codes.into_iter().flat_map(BTreeMap::values)).map(String::as_str)
    }
}

/// The authority of a record whose sender may speak as `speakers`.
pub(super) fn speaks(authority: Option<&Authority>, wire: &Value, speakers: &[&str]) -> Result<String, WireFault> {
    let fault =
        |line, wire: &str, rule| WireFault { line, canonical: CANONICAL.to_owned(), wire: wire.to_owned(), rule };
    let only = |line, at: &str| match speakers {
        [only] => Ok((*only).to_owned()),
        _ => Err(fault(line, at, "the authority that speaks: its sender may speak for several, or for none")),
    };
    match authority {
        None => only(1, ""),
        Some(Authority { source: Source::Fixed(code), .. }) => Ok(code.clone()),
        Some(Authority { line, source: Source::Stated { wire: at, codes } }) => {
            let Some(value) = wire.pointer(at).filter(|value| !codec::is_missing(value)) else {
                return only(*line, at);
            };
            let code = value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
            codes.get(&code).cloned().ok_or_else(|| fault(*line, at, "code of an authority"))
        }
    }
}
