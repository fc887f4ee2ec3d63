//! Compact JWS by our rules: the registered key decides the algorithm, `crit` is refused, key hints are never followed.
//!
//! Written here because a library that maps `alg` to a closed list cannot read the `Ed25519` label (RFC 9864) nor tell
//! `none` from a typing error. It judges no claim; [`super::token`] and [`super::assertion`] do.

use super::keys::{SigningKey, Usage, VerifyingKey};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as B64URL};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::sync::Arc;
use time::OffsetDateTime;

/// How far a sender's clock may be ahead, in seconds (FAPI 2.0 §5.3.2.1).
pub(super) const CLOCK_AHEAD_S: i64 = 10;
/// The longest life of a token or assertion, in seconds.
pub(super) const LONGEST_LIFE_S: i64 = 300;
/// A token of ours has under 1 KiB; more is not worth a signature check.
const LONGEST: usize = 8192;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JwsFault {
    Malformed,
    Critical,
    UnknownKey,
    Algorithm,
    Signature,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Header {
    alg: String,
    pub(super) typ: Option<String>,
    kid: Option<String>,
    #[serde(default, deserialize_with = "even_null")]
    crit: Option<Value>,
}

/// A member that is present counts, whatever stands in it: `"crit": null` is not an absent `crit`.
fn even_null<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(d).map(Some)
}

impl Header {
    /// Compares `typ` without case and without the optional `application/` (RFC 7515 §4.1.9).
    pub(super) fn is_type(&self, wanted: &str) -> bool {
        let Some(typ) = self.typ.as_deref() else {
            return false;
        };
        let short = typ.get(..12).filter(|p| p.eq_ignore_ascii_case("application/")).map_or(typ, |_| &typ[12..]);
        short.eq_ignore_ascii_case(wanted)
    }
}

fn part<T: DeserializeOwned>(encoded: &str) -> Result<T, JwsFault> {
    let bytes = B64URL.decode(encoded).map_err(|_| JwsFault::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| JwsFault::Malformed)
}

/// The claims of a token nobody has verified: only to find whose keys to verify it with.
pub(super) fn unverified<T: DeserializeOwned>(token: &str) -> Result<T, JwsFault> {
    if token.len() > LONGEST {
        return Err(JwsFault::Malformed);
    }
    part(token.split('.').nth(1).ok_or(JwsFault::Malformed)?)
}

/// Verifies `token` under one of `keys`: the one its `kid` names, or the only one if it names none.
pub(crate) fn verify<'k, T: DeserializeOwned>(
    token: &str,
    keys: &'k [Arc<VerifyingKey>],
) -> Result<(&'k VerifyingKey, Header, T), JwsFault> {
    if token.len() > LONGEST {
        return Err(JwsFault::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(JwsFault::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(JwsFault::Malformed)?;
    let header: Header = part(header)?;
    if header.crit.is_some() {
        return Err(JwsFault::Critical);
    }
    let key = match (&header.kid, keys) {
        (Some(kid), _) => keys.iter().find(|key| key.kid() == kid),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let key = key.ok_or(JwsFault::UnknownKey)?;
    if !key.algorithm().is_jose(&header.alg) {
        return Err(JwsFault::Algorithm);
    }
    let signature = B64URL.decode(signature).map_err(|_| JwsFault::Malformed)?;
    if !key.verifies(Usage::Jose, signed.as_bytes(), &signature) {
        return Err(JwsFault::Signature);
    }
    Ok((key, header, part(claims)?))
}

/// Signs `claims` under `typ`.
pub(super) fn sign(key: &SigningKey, typ: &str, claims: &impl Serialize) -> Result<String, super::keys::KeyFault> {
    let header = serde_json::json!({"typ": typ, "alg": key.verifying_key().algorithm().jose(), "kid": key.kid()});
    let claims = serde_json::to_vec(claims).map_err(|_| super::keys::KeyFault::Signing)?;
    let mut token = B64URL.encode(header.to_string());
    token.push('.');
    B64URL.encode_string(claims, &mut token);
    let signature = key.sign(Usage::Jose, token.as_bytes())?;
    token.push('.');
    B64URL.encode_string(signature, &mut token);
    Ok(token)
}

/// Whether an `iat` or `nbf` lies further ahead than a clock may go wrong.
pub(crate) fn too_far_ahead(instant: Option<i64>, now: OffsetDateTime) -> bool {
    instant.is_some_and(|at| at > now.unix_timestamp().saturating_add(CLOCK_AHEAD_S))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A token with any header, signed rightly by `key`.
    pub(in crate::trust) fn forge(key: &SigningKey, header: Value, claims: Value) -> String {
        let signed = format!("{}.{}", B64URL.encode(header.to_string()), B64URL.encode(claims.to_string()));
        let signature = key.sign(Usage::Jose, signed.as_bytes()).unwrap();
        format!("{signed}.{}", B64URL.encode(signature))
    }
}
