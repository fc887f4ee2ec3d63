//! HTTP message signatures (RFC 9421) in the profile of FAPI 2.0 HTTP Signatures: requests and answers bound to them.
//!
//! Says whose key signed which request. It does not check the body ([`super::digest`] does, and must run too), does not
//! spend the nonce, and does not know whether certificate, token and key belong to one client: the caller hands in only
//! the keys of the client that certificate and token already agree on.

use super::{
    digest::CONTENT_DIGEST,
    keys::{KeyFault, SigningKey, Usage, VerifyingKey},
};
use crate::domain::clock::Random;
use base64::{
    Engine,
    prelude::{BASE64_STANDARD as B64, BASE64_URL_SAFE_NO_PAD as B64URL},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use received::{Source, component, push_field, tagged};
use std::{fmt::Write, sync::Arc};
use time::OffsetDateTime;

/// The tag of a request's signature.
pub const REQUEST_TAG: &str = "fapi-2-request";
/// The tag of an answer's signature.
pub const RESPONSE_TAG: &str = "fapi-2-response";
/// `Signature-Input` (RFC 9421 §4.1).
pub const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
/// `Signature` (RFC 9421 §4.2).
pub const SIGNATURE: HeaderName = HeaderName::from_static("signature");

const LONGEST_NONCE: usize = 64;

/// Why a signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No signature with our tag.
    #[error("there is no signature with the tag of this profile")]
    Missing,
    /// Two or more with our tag.
    #[error("there are two signatures with the tag of this profile")]
    TwoSignatures,
    /// `Signature-Input` or `Signature` does not parse, or a label stands in only one of them.
    #[error("Signature-Input and Signature are not matching dictionaries of RFC 9421")]
    Malformed,
    /// No integer `created`.
    #[error("created is missing")]
    CreatedMissing,
    /// Older than 60 s.
    #[error("created is more than 60 s ago")]
    CreatedTooOld,
    /// More than 10 s ahead.
    #[error("created is more than 10 s in the future")]
    CreatedInFuture,
    /// The signer's own `expires` has passed.
    #[error("expires has passed")]
    Expired,
    /// No `nonce` in a request's signature.
    #[error("nonce is missing")]
    NonceMissing,
    /// Empty or longer than 64 characters.
    #[error("a nonce has 1 to 64 characters")]
    NonceMalformed,
    /// No `keyid`, or one that is not registered for this client.
    #[error("keyid is not a registered key of this client")]
    UnknownKey,
    /// `alg` is not the registered key's.
    #[error("alg is not the algorithm of the registered key")]
    AlgMismatch,
    /// A component that the profile requires is not covered.
    #[error("the signature must cover {0}")]
    NotCovered(&'static str),
    /// A covered component is not in the message.
    #[error("the signature covers {0}, which the message does not have")]
    Absent(String),
    /// A component, or a parameter of one, that we do not build.
    #[error("the signature covers a component that is not supported, or one twice")]
    Unsupported,
    /// It does not verify.
    #[error("the signature does not verify over the signature base that was received")]
    Invalid,
}

impl Refusal {
    /// A stable word for problem details.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "signature-missing",
            Self::TwoSignatures => "two-signatures",
            Self::Malformed => "signature-malformed",
            Self::CreatedMissing => "created-missing",
            Self::CreatedTooOld => "created-too-old",
            Self::CreatedInFuture => "created-in-future",
            Self::Expired => "signature-expired",
            Self::NonceMissing => "nonce-missing",
            Self::NonceMalformed => "nonce-malformed",
            Self::UnknownKey => "unknown-key",
            Self::AlgMismatch => "alg-wrong",
            Self::NotCovered(_) => "component-not-covered",
            Self::Absent(_) => "component-absent",
            Self::Unsupported => "component-unsupported",
            Self::Invalid => "signature-invalid",
        }
    }
}

/// A refusal, and for [`Refusal::Invalid`] the signature base that we built, so that an integrator can lay it beside
/// the one they signed. Credentials in it are replaced by `sha-256=:…:` of their value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{refusal}")]
pub struct SignatureFault {
    /// What is wrong.
    pub refusal: Refusal,
    /// Redacted; safe to answer to the authenticated peer.
    pub base: Option<Box<str>>,
}

impl From<Refusal> for SignatureFault {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, base: None }
    }
}

/// Why we could not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignFault {
    /// The message lacks a field that the profile signs, or one is not visible ASCII.
    #[error("the message to sign has no usable {0}")]
    Absent(&'static str),
    /// The key did not sign.
    #[error(transparent)]
    Key(#[from] KeyFault),
}

/// A request as signed: `target_uri` is the absolute URI that the signer used (a party's declared `external_base_uri`).
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// `@method`.
    pub method: &'a Method,
    /// `@target-uri`, with scheme, authority, path and query.
    pub target_uri: &'a str,
    /// All fields.
    pub headers: &'a HeaderMap,
    /// Whether the body has at least one byte: then content-type and content-digest must be covered.
    pub has_body: bool,
}

/// An answer as signed.
#[derive(Debug, Clone, Copy)]
pub struct ResponseParts<'a> {
    /// `@status`.
    pub status: StatusCode,
    /// All fields.
    pub headers: &'a HeaderMap,
    /// Whether the body has at least one byte.
    pub has_body: bool,
}

/// What an answer's signature takes over from the request (RFC 9421 §2.4), kept by both sides until the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestBinding {
    method: Method,
    target_uri: String,
    content_digest: Option<String>,
    /// Label and value of the request's signature.
    signature: Option<(String, Vec<u8>)>,
}

impl RequestBinding {
    /// The binding of a request *as presented*, verified or not: a refusal is signed too, and bound to what it refuses.
    pub fn presented(parts: &RequestParts<'_>) -> Self {
        let signature = tagged(parts.headers, REQUEST_TAG).ok().map(|found| (found.label, found.signature));
        Self::new(parts, signature)
    }

    fn new(parts: &RequestParts<'_>, signature: Option<(String, Vec<u8>)>) -> Self {
        let mut digest = String::new();
        let content_digest = push_field(parts.headers, CONTENT_DIGEST, &mut digest).then_some(digest);
        Self { method: parts.method.clone(), target_uri: parts.target_uri.to_owned(), content_digest, signature }
    }
}

/// A request whose signature verified. The nonce is unspent.
#[derive(Debug, Clone)]
pub struct VerifiedRequest {
    /// The registered key that signed.
    pub keyid: String,
    /// To be spent once per key, across instances, for as long as `created` would be accepted (70 s).
    pub nonce: String,
    /// Unix seconds.
    pub created: i64,
    /// The exact bytes that were signed, for the evidence. Holds the access token: seal it, never log it.
    pub base: String,
    /// For [`sign_response`].
    pub binding: RequestBinding,
}

/// An answer whose signature verified.
#[derive(Debug, Clone)]
pub struct VerifiedResponse {
    /// The registered key that signed.
    pub keyid: String,
    /// Unix seconds.
    pub created: i64,
    /// The exact bytes that were signed, for the evidence.
    pub base: String,
}

/// The two fields to add to a message.
#[derive(Debug, Clone)]
pub struct SignedFields {
    /// `Signature-Input`.
    pub input: HeaderValue,
    /// `Signature`.
    pub signature: HeaderValue,
}

impl SignedFields {
    /// Sets both fields.
    pub fn insert_into(self, headers: &mut HeaderMap) {
        headers.insert(SIGNATURE_INPUT, self.input);
        headers.insert(SIGNATURE, self.signature);
    }
}

/// A nonce of 128 random bits.
pub fn fresh_nonce(random: &dyn Random) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    B64URL.encode(bytes)
}

/// Verifies the one signature tagged [`REQUEST_TAG`]; an `Authorization` that is there must be covered, whether it must be there
/// is for the caller. `key` finds a registered key of *this client* by its key id.
///
/// # Errors
/// [`SignatureFault`].
pub fn verify_request(
    parts: &RequestParts<'_>,
    key: impl FnOnce(&str) -> Option<Arc<VerifyingKey>>,
    now: OffsetDateTime,
) -> Result<VerifiedRequest, SignatureFault> {
    let found = tagged(parts.headers, REQUEST_TAG)?;
    let created = found.timely(now)?;
    let nonce = found.text("nonce").ok_or(Refusal::NonceMissing)?;
    if nonce.is_empty() || nonce.len() > LONGEST_NONCE {
        return Err(Refusal::NonceMalformed.into());
    }
    let nonce = nonce.to_owned();
    found.covers(false, &["@method", "@target-uri"])?;
    if parts.headers.contains_key(http::header::AUTHORIZATION) {
        found.covers(false, &["authorization"])?;
    }
    if parts.has_body {
        found.covers(false, &["content-type", CONTENT_DIGEST])?;
    }
    let (keyid, base) = found.verified(&Source::Request(parts), key)?;
    let binding = RequestBinding::new(parts, Some((found.label, found.signature)));
    Ok(VerifiedRequest { keyid, nonce, created, base, binding })
}

/// Verifies the one signature tagged [`RESPONSE_TAG`] and that it is bound to the request we sent.
///
/// # Errors
/// [`SignatureFault`].
pub fn verify_response(
    parts: &ResponseParts<'_>,
    request: &RequestBinding,
    key: impl FnOnce(&str) -> Option<Arc<VerifyingKey>>,
    now: OffsetDateTime,
) -> Result<VerifiedResponse, SignatureFault> {
    let found = tagged(parts.headers, RESPONSE_TAG)?;
    let created = found.timely(now)?;
    found.covers(false, &["@status"])?;
    if parts.has_body {
        found.covers(false, &["content-type", CONTENT_DIGEST])?;
    }
    found.covers(true, &["@method", "@target-uri"])?;
    if request.content_digest.is_some() {
        found.covers(true, &[CONTENT_DIGEST])?;
    }
    if let Some((label, _)) = &request.signature
        && !found.list.items.iter().any(|item| component(item) == Ok(("signature", true, Some(label.as_str()))))
    {
        return Err(Refusal::NotCovered("\"signature\";req").into());
    }
    let (keyid, base) = found.verified(&Source::Response(parts, request), key)?;
    Ok(VerifiedResponse { keyid, created, base })
}

/// A field as it is kept for [`verify_kept`]: all its lines.
pub fn kept_field(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    received::text(headers, name)
}

/// What a signature says that verified when it came, read again from what was kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The key that signed.
    pub keyid: String,
    /// Unix seconds, by the signer.
    pub created: i64,
    /// The signed `Content-Digest`.
    pub content_digest: Option<String>,
    /// Of an answer, the signed `Content-Digest` of the request that it answers.
    pub request_digest: Option<String>,
    /// Where the request was sent.
    pub target: Option<String>,
    /// What it was made for: [`REQUEST_TAG`] or [`RESPONSE_TAG`].
    pub tag: Option<String>,
}

/// Verifies a kept signature base against the kept `Signature` field. What the profile wants covered, and how old a signature may be,
/// was decided when it came.
///
/// # Errors
/// [`Refusal`].
pub fn verify_kept(
    base: &str,
    signature: &str,
    key: impl FnOnce(&str) -> Option<Arc<VerifyingKey>>,
) -> Result<Kept, Refusal> {
    received::verify_kept(base, signature, key)
}

/// Signs a request; with a body, `Content-Type` and `Content-Digest` already stand in `headers`. Covers `Authorization` if there.
///
/// # Errors
/// [`SignFault::Absent`] if one of them does not.
pub fn sign_request(
    key: &SigningKey,
    parts: &RequestParts<'_>,
    nonce: &str,
    now: OffsetDateTime,
) -> Result<(SignedFields, RequestBinding), SignFault> {
    let mut draft = Draft::new();
    draft.value("\"@method\"", parts.method.as_str());
    draft.value("\"@target-uri\"", parts.target_uri);
    if parts.headers.contains_key(http::header::AUTHORIZATION) {
        draft.field("\"authorization\"", "authorization", parts.headers)?;
    }
    if parts.has_body {
        draft.field("\"content-type\"", "content-type", parts.headers)?;
        draft.field("\"content-digest\"", CONTENT_DIGEST, parts.headers)?;
    }
    let plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    if nonce.is_empty() || nonce.len() > LONGEST_NONCE || !nonce.bytes().all(plain) {
        return Err(SignFault::Absent("nonce"));
    }
    let (fields, signature) = draft.sign(key, now, Some(nonce), REQUEST_TAG)?;
    Ok((fields, RequestBinding::new(parts, Some((LABEL.to_owned(), signature)))))
}

/// Signs an answer, bound to `request`. With a body, `Content-Type` and `Content-Digest` must stand in `headers`.
///
/// # Errors
/// [`SignFault::Absent`] if one of them does not.
pub fn sign_response(
    key: &SigningKey,
    parts: &ResponseParts<'_>,
    request: &RequestBinding,
    now: OffsetDateTime,
) -> Result<SignedFields, SignFault> {
    let mut draft = Draft::new();
    draft.value("\"@status\"", parts.status.as_str());
    if parts.has_body {
        draft.field("\"content-type\"", "content-type", parts.headers)?;
        draft.field("\"content-digest\"", CONTENT_DIGEST, parts.headers)?;
    }
    draft.value("\"@method\";req", request.method.as_str());
    draft.value("\"@target-uri\";req", &request.target_uri);
    if let Some(digest) = &request.content_digest {
        draft.value("\"content-digest\";req", digest);
    }
    if let Some((label, signature)) = &request.signature {
        // A label is an RFC 9651 key: it has no character that a string would escape.
        draft.value(&format!("\"signature\";req;key=\"{label}\""), &format!(":{}:", B64.encode(signature)));
    }
    Ok(draft.sign(key, now, None, RESPONSE_TAG)?.0)
}

/// Our own label; a peer may use any.
const LABEL: &str = "sig";

/// A base being written from components that we choose: no parsing, two buffers.
struct Draft {
    base: String,
    list: String,
}

impl Draft {
    fn new() -> Self {
        Self { base: String::with_capacity(1536), list: String::with_capacity(384) }
    }

    fn name(&mut self, identifier: &str) {
        self.list.push(if self.list.is_empty() { '(' } else { ' ' });
        self.list.push_str(identifier);
        self.base.push_str(identifier);
        self.base.push_str(": ");
    }

    fn value(&mut self, identifier: &str, value: &str) {
        self.name(identifier);
        self.base.push_str(value);
        self.base.push('\n');
    }

    fn field(&mut self, identifier: &str, name: &'static str, headers: &HeaderMap) -> Result<(), SignFault> {
        self.name(identifier);
        if !push_field(headers, name, &mut self.base) {
            return Err(SignFault::Absent(name));
        }
        self.base.push('\n');
        Ok(())
    }

    fn sign(
        mut self,
        key: &SigningKey,
        now: OffsetDateTime,
        nonce: Option<&str>,
        tag: &str,
    ) -> Result<(SignedFields, Vec<u8>), SignFault> {
        let infallible = "writing into a String cannot fail";
        write!(self.list, ");created={};keyid=\"{}\"", now.unix_timestamp(), key.kid()).expect(infallible);
        if let Some(nonce) = nonce {
            write!(self.list, ";nonce=\"{nonce}\"").expect(infallible);
        }
        write!(self.list, ";tag=\"{tag}\"").expect(infallible);
        self.base.push_str("\"@signature-params\": ");
        self.base.push_str(&self.list);
        let signature = key.sign(Usage::Http, self.base.as_bytes())?;
        let field = |text: String| HeaderValue::try_from(text).map_err(|_| SignFault::Absent("signature label"));
        let input = field(format!("{LABEL}={}", self.list))?;
        let value = field(format!("{LABEL}=:{}:", B64.encode(&signature)))?;
        Ok((SignedFields { input, signature: value }, signature))
    }
}

mod received;
#[cfg(test)]
mod tests;
