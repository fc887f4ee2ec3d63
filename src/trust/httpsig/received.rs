//! What arrived: one signature picked out of both fields, and the signature base rebuilt from what it says it covers.
//!
//! Which components the profile wants covered is decided in [`super`].

use super::{Kept, Refusal, RequestBinding, RequestParts, ResponseParts, SIGNATURE, SIGNATURE_INPUT, SignatureFault};
use crate::trust::{
    digest::{CONTENT_DIGEST, content_digest},
    keys::{Usage, VerifyingKey},
};
use base64::{Engine, prelude::BASE64_STANDARD as B64};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use sfv::{BareItem, Dictionary, InnerList, Item, ItemSerializer, List, ListEntry, ListSerializer, Parser};
use std::{borrow::Cow, sync::Arc};
use time::OffsetDateTime;

/// How long after `created` a signature is taken, in seconds.
const CREATED_AGE_S: i64 = 60;
/// How far `created` may lie ahead, in seconds.
const CREATED_AHEAD_S: i64 = 10;
const MOST_COMPONENTS: usize = 32;
/// Values that no fault may repeat: the redacted base shows their SHA-256 instead.
const SECRET_FIELDS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

/// One signature picked out of both fields.
pub(super) struct Found {
    pub(super) label: String,
    pub(super) list: InnerList,
    pub(super) signature: Vec<u8>,
}

fn joined<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Cow<'h, [u8]>> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    if lines.next().is_none() {
        return Some(Cow::Borrowed(first.as_bytes()));
    }
    Some(Cow::Owned(headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..])))
}

/// See [`super::kept_field`].
pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    String::from_utf8(joined(headers, name)?.into_owned()).ok()
}

/// Finds the one signature with `tag`; others are ignored, whatever they cover.
pub(super) fn tagged(headers: &HeaderMap, tag: &str) -> Result<Found, Refusal> {
    let dictionary = |name| {
        let text = joined(headers, &name).ok_or(Refusal::Missing)?;
        Parser::new(&text).parse::<Dictionary>().map_err(|_| Refusal::Malformed)
    };
    let mut ours = dictionary(SIGNATURE_INPUT)?.into_iter().filter_map(|(label, entry)| match entry {
        ListEntry::InnerList(list) if text_of(&list, "tag") == Some(tag) => Some((label, list)),
        _ => None,
    });
    let (label, list) = ours.next().ok_or(Refusal::Missing)?;
    if ours.next().is_some() {
        return Err(Refusal::TwoSignatures);
    }
    let mut signatures = dictionary(SIGNATURE)?;
    let Some(ListEntry::Item(Item { bare_item: BareItem::ByteSequence(signature), params })) =
        signatures.swap_remove(&label)
    else {
        return Err(Refusal::Malformed);
    };
    // Parameters here would be covered by an answer's `"signature";req` and by nothing else: nobody needs them.
    if !params.is_empty() || list.items.len() > MOST_COMPONENTS {
        return Err(Refusal::Malformed);
    }
    Ok(Found { label: label.as_str().to_owned(), list, signature })
}

fn text_of<'l>(list: &'l InnerList, name: &str) -> Option<&'l str> {
    list.params.get(name)?.as_string().map(|text| text.as_str())
}

impl Found {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        text_of(&self.list, name)
    }

    fn integer(&self, name: &str) -> Option<i64> {
        self.list.params.get(name)?.as_integer().map(i64::from)
    }

    pub(super) fn timely(&self, now: OffsetDateTime) -> Result<i64, Refusal> {
        let now = now.unix_timestamp();
        let created = self.integer("created").ok_or(Refusal::CreatedMissing)?;
        if created > now + CREATED_AHEAD_S {
            return Err(Refusal::CreatedInFuture);
        }
        if created < now - CREATED_AGE_S {
            return Err(Refusal::CreatedTooOld);
        }
        match self.list.params.get("expires").map(|_| self.integer("expires")) {
            None => Ok(created),
            Some(Some(expires)) if expires > now => Ok(created),
            Some(_) => Err(Refusal::Expired),
        }
    }

    pub(super) fn covers(&self, req: bool, names: &[&'static str]) -> Result<(), Refusal> {
        let covered = |name: &str| self.list.items.iter().any(|item| component(item) == Ok((name, req, None)));
        names.iter().find(|name| !covered(name)).map_or(Ok(()), |name| Err(Refusal::NotCovered(name)))
    }

    /// The key id and the base, if the registered key verifies it.
    pub(super) fn verified(
        &self,
        source: &Source<'_>,
        key: impl FnOnce(&str) -> Option<Arc<VerifyingKey>>,
    ) -> Result<(String, String), SignatureFault> {
        let keyid = self.text("keyid").ok_or(Refusal::UnknownKey)?;
        let key = key(keyid).ok_or(Refusal::UnknownKey)?;
        if self.list.params.contains_key("alg") && self.text("alg") != Some(key.algorithm().http()) {
            return Err(Refusal::AlgMismatch.into());
        }
        let base = source.base(&self.list, false)?;
        if !key.verifies(Usage::Http, base.as_bytes(), &self.signature) {
            let shown = source.base(&self.list, true)?;
            return Err(SignatureFault { refusal: Refusal::Invalid, base: Some(shown.into_boxed_str()) });
        }
        Ok((keyid.to_owned(), base))
    }
}

pub(super) fn verify_kept(
    base: &str,
    signature: &str,
    key: impl FnOnce(&str) -> Option<Arc<VerifyingKey>>,
) -> Result<Kept, Refusal> {
    let (components, params) = base.rsplit_once('\n').ok_or(Refusal::Malformed)?;
    let params = params.strip_prefix("\"@signature-params\": ").ok_or(Refusal::Malformed)?;
    let list: List = Parser::new(params).parse().map_err(|_| Refusal::Malformed)?;
    let [ListEntry::InnerList(list)] = list.as_slice() else { return Err(Refusal::Malformed) };
    let keyid = text_of(list, "keyid").ok_or(Refusal::UnknownKey)?;
    let key = key(keyid).ok_or(Refusal::UnknownKey)?;
    // The label was not part of what was signed: one of the values must be it.
    let signatures: Dictionary = Parser::new(signature).parse().map_err(|_| Refusal::Malformed)?;
    let verifies = |entry: &ListEntry| match entry {
        ListEntry::Item(Item { bare_item: BareItem::ByteSequence(value), .. }) => {
            key.verifies(Usage::Http, base.as_bytes(), value)
        }
        _ => false,
    };
    if !signatures.values().any(verifies) {
        return Err(Refusal::Invalid);
    }
    let created = list.params.get("created").and_then(|value| value.as_integer()).map(i64::from);
    let value = |name: &str| components.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    Ok(Kept {
        keyid: keyid.to_owned(),
        created: created.ok_or(Refusal::CreatedMissing)?,
        content_digest: value("\"content-digest\": "),
        target: value("\"@target-uri\": ").or_else(|| value("\"@target-uri\";req: ")),
        request_digest: value("\"content-digest\";req: "),
        tag: text_of(list, "tag").map(str::to_owned),
    })
}

/// Name, `req`, `key`: the parameters that we build; any other is refused rather than guessed (RFC 9421 §2.1, §2.4).
pub(super) fn component(item: &Item) -> Result<(&str, bool, Option<&str>), Refusal> {
    let name = item.bare_item.as_string().ok_or(Refusal::Unsupported)?.as_str();
    let (mut req, mut key) = (false, None);
    for (parameter, value) in &item.params {
        match (parameter.as_str(), value) {
            ("req", BareItem::Boolean(true)) => req = true,
            ("key", BareItem::String(member)) => key = Some(member.as_str()),
            _ => return Err(Refusal::Unsupported),
        }
    }
    Ok((name, req, key))
}

/// Appends a field's value by RFC 9421 §2.1: lines trimmed and joined. False if it is absent or not visible ASCII.
pub(super) fn push_field(headers: &HeaderMap, name: &str, out: &mut String) -> bool {
    let mut lines = 0;
    for line in headers.get_all(name) {
        let Ok(text) = line.to_str() else {
            return false;
        };
        if lines > 0 {
            out.push_str(", ");
        }
        out.push_str(text.trim_matches([' ', '\t']));
        lines += 1;
    }
    lines > 0
}

/// Where the values of covered components come from.
pub(super) enum Source<'a> {
    Request(&'a RequestParts<'a>),
    Response(&'a ResponseParts<'a>, &'a RequestBinding),
}

impl Source<'_> {
    /// The signature base (RFC 9421 §2.5), for the evidence or, redacted, for the peer.
    pub(super) fn base(&self, list: &InnerList, redacted: bool) -> Result<String, Refusal> {
        let mut base = String::with_capacity(1536);
        for (index, item) in list.items.iter().enumerate() {
            if list.items[..index].contains(item) {
                return Err(Refusal::Unsupported);
            }
            let (name, req, key) = component(item)?;
            let _: &mut String =
                ItemSerializer::with_buffer(&mut base).bare_item(&item.bare_item).parameters(&item.params).finish();
            base.push_str(": ");
            let start = base.len();
            if !self.push_value(name, req, key, &mut base)? {
                return Err(Refusal::Absent(name.chars().take(64).collect()));
            }
            if redacted && SECRET_FIELDS.contains(&name) {
                let shown = content_digest(&base.as_bytes()[start..]);
                base.truncate(start);
                base.push_str(&shown);
            }
            base.push('\n');
        }
        base.push_str("\"@signature-params\": ");
        let mut line = ListSerializer::with_buffer(&mut base);
        let mut inner = line.inner_list();
        inner.items(&list.items);
        inner.finish().parameters(&list.params);
        Ok(base)
    }

    /// False if the message has no such component.
    fn push_value(&self, name: &str, req: bool, key: Option<&str>, out: &mut String) -> Result<bool, Refusal> {
        match (self, req, key) {
            (Self::Request(parts), false, None) => match name {
                "@method" => out.push_str(parts.method.as_str()),
                "@target-uri" => out.push_str(parts.target_uri),
                "@authority" | "@scheme" | "@path" | "@query" => push_uri_part(parts.target_uri, name, out)?,
                _ => return Self::push_named(parts.headers, name, out),
            },
            (Self::Response(parts, _), false, None) => match name {
                "@status" => out.push_str(parts.status.as_str()),
                _ => return Self::push_named(parts.headers, name, out),
            },
            (Self::Response(_, request), true, None) => match (name, &request.content_digest) {
                ("@method", _) => out.push_str(request.method.as_str()),
                ("@target-uri", _) => out.push_str(&request.target_uri),
                (CONTENT_DIGEST, Some(digest)) => out.push_str(digest),
                (CONTENT_DIGEST, None) => return Ok(false),
                _ => return Err(Refusal::Unsupported),
            },
            (Self::Response(_, request), true, Some(wanted)) if name == "signature" => match &request.signature {
                Some((label, signature)) if label == wanted => {
                    out.push(':');
                    B64.encode_string(signature, out);
                    out.push(':');
                }
                _ => return Ok(false),
            },
            _ => return Err(Refusal::Unsupported),
        }
        Ok(true)
    }

    fn push_named(headers: &HeaderMap, name: &str, out: &mut String) -> Result<bool, Refusal> {
        // Names in a base are lower case (RFC 9421 §2.1); the map would find others too.
        if name.starts_with('@') || name.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(Refusal::Unsupported);
        }
        Ok(push_field(headers, name, out))
    }
}

/// Derived parts of the target URI (RFC 9421 §2.2.3 to §2.2.7).
fn push_uri_part(target_uri: &str, name: &str, out: &mut String) -> Result<(), Refusal> {
    let uri: Uri = target_uri.parse().map_err(|_| Refusal::Unsupported)?;
    match name {
        "@authority" => {
            let authority = uri.authority().ok_or(Refusal::Unsupported)?.as_str().to_ascii_lowercase();
            out.push_str(authority.strip_suffix(":443").unwrap_or(&authority));
        }
        "@scheme" => out.push_str(uri.scheme_str().ok_or(Refusal::Unsupported)?),
        "@path" => out.push_str(uri.path()),
        _ => {
            out.push('?');
            out.push_str(uri.query().unwrap_or(""));
        }
    }
    Ok(())
}
