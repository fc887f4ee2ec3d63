//! `private_key_jwt` client assertions (RFC 7523 §3, FAPI 2.0 §5.3.2.1).
//!
//! Proves that the holder of a registered key asks for a token here and now. Returns `jti` unspent: the caller spends it.

use super::{
    jws::{self, JwsFault, LONGEST_LIFE_S},
    keys::{KeyFault, SigningKey, VerifyingKey},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// The value of `client_assertion_type`.
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

faults! {
    /// Why an assertion is refused; OAuth's answer is `invalid_client` for all.
    AssertionFault {
        Malformed = "assertion-malformed", "the client assertion is not a JWT";
        Critical = "crit-unknown", "the client assertion has a crit header";
        UnknownKey = "unknown-key", "the client assertion's key is not registered for this client";
        Algorithm = "alg-wrong", "the client assertion's alg is not that of the registered key (PS256, ES256, Ed25519)";
        Signature = "signature-invalid", "the client assertion's signature does not verify";
        Audience = "aud-wrong", "aud must be the issuer, as a string, and nothing else";
        Subject = "sub-wrong", "iss and sub must both be the client id";
        Expired = "assertion-expired", "the client assertion has no exp or is expired";
        TooLong = "assertion-too-long", "exp may be 5 minutes ahead at most";
        Future = "issued-in-future", "iat or nbf is more than 10 s in the future";
        JtiMissing = "jti-missing", "jti is required, 1 to 128 characters";
    }
}

impl From<JwsFault> for AssertionFault {
    fn from(fault: JwsFault) -> Self {
        match fault {
            JwsFault::Malformed => Self::Malformed,
            JwsFault::Critical => Self::Critical,
            JwsFault::UnknownKey => Self::UnknownKey,
            JwsFault::Algorithm => Self::Algorithm,
            JwsFault::Signature => Self::Signature,
        }
    }
}

/// A verified assertion, its `jti` still to be spent for this client until `expires`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// The client that was proved.
    pub client_id: String,
    /// The registered key that signed.
    pub kid: String,
    /// Unspent; once per client.
    pub jti: String,
    /// Until when the `jti` must be remembered.
    pub expires: OffsetDateTime,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Value>,
    exp: Option<f64>,
    iat: Option<f64>,
    nbf: Option<f64>,
    jti: Option<String>,
}

/// The client id that an assertion *claims* (its `sub`), to find the keys for [`verify`]. Proves nothing.
pub fn claimed_client(assertion: &str) -> Result<String, AssertionFault> {
    let claims: Claims = jws::unverified(assertion)?;
    claims.sub.ok_or(AssertionFault::Subject)
}

/// Verifies `assertion` of `client_id` under its registered `keys` for this `issuer`.
///
/// # Errors
/// [`AssertionFault`]. A clock up to 10 s ahead is forgiven; it lengthens `exp` by as much as `iat` shows and no more.
pub fn verify(
    assertion: &str,
    issuer: &str,
    client_id: &str,
    keys: &[Arc<VerifyingKey>],
    now: OffsetDateTime,
) -> Result<Assertion, AssertionFault> {
    let (kid, claims): (String, Claims) =
        jws::verify(assertion, keys).map(|(key, _, claims)| (key.kid().to_owned(), claims))?;
    if claims.iss.as_deref() != Some(client_id) || claims.sub.as_deref() != Some(client_id) {
        return Err(AssertionFault::Subject);
    }
    // A list with the issuer as its only member is refused too: FAPI 2.0 asks for a string.
    if claims.aud.as_ref().and_then(Value::as_str) != Some(issuer) {
        return Err(AssertionFault::Audience);
    }
    // NumericDate may have a fraction (RFC 7519 §2); the cast saturates.
    let seconds = |date: f64| date as i64;
    let (iat, nbf) = (claims.iat.map(seconds), claims.nbf.map(seconds));
    if jws::too_far_ahead(iat, now) || jws::too_far_ahead(nbf, now) {
        return Err(AssertionFault::Future);
    }
    let exp = claims.exp.map(seconds).ok_or(AssertionFault::Expired)?;
    if exp <= now.unix_timestamp() {
        return Err(AssertionFault::Expired);
    }
    let from = iat.unwrap_or(0).max(now.unix_timestamp());
    if exp > from + LONGEST_LIFE_S {
        return Err(AssertionFault::TooLong);
    }
    let jti = claims.jti.filter(|jti| !jti.is_empty() && jti.len() <= 128).ok_or(AssertionFault::JtiMissing)?;
    let expires = now + Duration::seconds(exp - now.unix_timestamp());
    Ok(Assertion { client_id: client_id.to_owned(), kid, jti, expires })
}

/// Our own assertion towards a partner's token endpoint, valid for 60 s.
///
/// # Errors
/// [`KeyFault::Signing`].
pub fn issue(
    key: &SigningKey,
    issuer: &str,
    client_id: &str,
    jti: &str,
    now: OffsetDateTime,
) -> Result<String, KeyFault> {
    let at = now.unix_timestamp();
    jws::sign(
        key,
        "JWT",
        &json!({"iss": client_id, "sub": client_id, "aud": issuer, "iat": at, "exp": at + 60, "jti": jti}),
    )
}

#[cfg(test)]
mod tests {
    use super::super::{
        jws::tests::forge,
        keys::{Algorithm, tests::fresh},
    };
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);
    const ISSUER: &str = "https://gateway.example";

    fn good() -> Value {
        let at = NOW.unix_timestamp();
        json!({"iss": "c1", "sub": "c1", "aud": ISSUER, "iat": at, "exp": at + 300, "jti": "j1"})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good();
        claims[name] = value;
        claims
    }

    #[test]
    fn each_algorithm_and_both_labels_of_ed25519() {
        for (algorithm, labels) in [
            (Algorithm::Ed25519, &["EdDSA", "Ed25519"][..]),
            (Algorithm::Es256, &["ES256"]),
            (Algorithm::Ps256, &["PS256"]),
        ] {
            let (signer, public) = fresh(algorithm, "k1");
            for label in labels {
                let token = forge(&signer, json!({"alg": label, "kid": "k1"}), good());
                let proved = verify(&token, ISSUER, "c1", std::slice::from_ref(&public), NOW).unwrap();
                assert_eq!((proved.jti.as_str(), proved.kid.as_str()), ("j1", "k1"));
                assert_eq!(proved.expires, NOW + Duration::seconds(300));
                assert_eq!(claimed_client(&token).unwrap(), "c1");
            }
        }
    }

    #[test]
    fn what_we_issue_we_accept() {
        let (signer, public) = fresh(Algorithm::Es256, "k1");
        let token = issue(&signer, ISSUER, "c1", "j9", NOW).unwrap();
        assert_eq!(verify(&token, ISSUER, "c1", &[public], NOW).unwrap().jti, "j9");
    }

    #[test]
    fn every_wrong_claim_is_named() {
        let (signer, public) = fresh(Algorithm::Ed25519, "k1");
        let at = NOW.unix_timestamp();
        let cases = [
            (with("aud", json!("https://gateway.example/oauth2/token")), AssertionFault::Audience),
            (with("aud", json!([ISSUER])), AssertionFault::Audience),
            (with("aud", json!([ISSUER, "https://other.example"])), AssertionFault::Audience),
            (with("aud", Value::Null), AssertionFault::Audience),
            (with("iss", json!("c2")), AssertionFault::Subject),
            (with("sub", Value::Null), AssertionFault::Subject),
            (with("exp", json!(at)), AssertionFault::Expired),
            (with("exp", Value::Null), AssertionFault::Expired),
            (with("exp", json!(at + 301)), AssertionFault::TooLong),
            (with("exp", json!(1e300)), AssertionFault::TooLong),
            (with("iat", json!(at + 11)), AssertionFault::Future),
            (with("nbf", json!(at + 11)), AssertionFault::Future),
            (with("jti", Value::Null), AssertionFault::JtiMissing),
            (with("jti", json!("")), AssertionFault::JtiMissing),
            (with("jti", json!("j".repeat(129))), AssertionFault::JtiMissing),
            (with("exp", json!("soon")), AssertionFault::Malformed),
        ];
        for (claims, fault) in cases {
            let token = forge(&signer, json!({"alg": "EdDSA"}), claims.clone());
            assert_eq!(
                verify(&token, ISSUER, "c1", std::slice::from_ref(&public), NOW).unwrap_err(),
                fault,
                "{claims}"
            );
        }
        let ahead = json!({"iss": "c1", "sub": "c1", "aud": ISSUER, "iat": at + 10, "nbf": at + 10, "exp": at + 310, "jti": "j"});
        assert!(verify(&forge(&signer, json!({"alg": "EdDSA"}), ahead), ISSUER, "c1", &[public], NOW).is_ok());
    }

    #[test]
    fn every_wrong_header_is_named() {
        let (signer, public) = fresh(Algorithm::Ps256, "k1");
        let (_, second) = fresh(Algorithm::Ed25519, "k2");
        let keys = [public, second];
        let cases = [
            (json!({"alg": "none", "kid": "k1"}), AssertionFault::Algorithm),
            (json!({"alg": "RS256", "kid": "k1"}), AssertionFault::Algorithm),
            (json!({"alg": "HS256", "kid": "k1"}), AssertionFault::Algorithm),
            (json!({"alg": "PS256", "kid": "k2"}), AssertionFault::Algorithm),
            (json!({"alg": "PS256", "kid": "k3"}), AssertionFault::UnknownKey),
            (json!({"alg": "PS256"}), AssertionFault::UnknownKey),
            (json!({"alg": "PS256", "kid": "k1", "crit": ["exp"]}), AssertionFault::Critical),
            (json!({"alg": "PS256", "kid": "k1", "crit": null}), AssertionFault::Critical),
            (json!({"alg": "EdDSA", "kid": "k2"}), AssertionFault::Signature),
            (json!({"kid": "k1"}), AssertionFault::Malformed),
        ];
        for (header, fault) in cases {
            let token = forge(&signer, header.clone(), good());
            assert_eq!(verify(&token, ISSUER, "c1", &keys, NOW).unwrap_err(), fault, "{header}");
        }
        // `alg: none` with an empty signature, and a key that the header brings along.
        let unsigned = forge(&signer, json!({"alg": "none"}), good());
        let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
        assert_eq!(verify(&unsigned, ISSUER, "c1", &keys[..1], NOW).unwrap_err(), AssertionFault::Algorithm);
        let (stranger, brought) = fresh(Algorithm::Ps256, "k1");
        let header = json!({"alg": "PS256", "kid": "k1", "jwk": brought.jwk(), "jku": "https://evil.example/jwks"});
        assert_eq!(
            verify(&forge(&stranger, header, good()), ISSUER, "c1", &keys, NOW).unwrap_err(),
            AssertionFault::Signature
        );
        assert_eq!(verify("a.b", ISSUER, "c1", &keys, NOW).unwrap_err(), AssertionFault::Malformed);
    }
}
