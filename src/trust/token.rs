//! Access tokens by RFC 9068, bound to the client's certificate (RFC 8705 §3): issued, verified, and remembered by hash.
//!
//! Whether a token was revoked or its party suspended is not known here; the caller looks at both on every request.

use super::{
    jws::{self, JwsFault, LONGEST_LIFE_S},
    keys::{KeyFault, SigningKey, VerifyingKey},
};
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as B64URL};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};
use time::OffsetDateTime;

faults! {
    /// Why a token is refused; the answer is `invalid_token` with 401 for all (RFC 6750 §3.1).
    TokenFault {
        Malformed = "token-malformed", "the access token is not a JWT with the claims of RFC 9068";
        Type = "typ-wrong", "the token's typ is not at+jwt";
        Critical = "crit-unknown", "the token has a crit header";
        UnknownKey = "unknown-key", "the token's key is not one of this issuer";
        Algorithm = "alg-wrong", "the token's alg is not that of the issuer's key";
        Signature = "token-signature-invalid", "the token's signature does not verify";
        Issuer = "iss-wrong", "the token's iss is not this issuer";
        Audience = "aud-wrong", "the token's aud is not this resource and nothing else";
        Subject = "sub-wrong", "the token's sub is not its client_id";
        Expired = "token-expired", "the token is expired";
        TooLong = "token-too-long", "the token is valid for more than 5 minutes";
        Future = "issued-in-future", "the token's iat or nbf is more than 10 s in the future";
        JtiMissing = "jti-missing", "the token has no jti";
        CnfMissing = "cnf-missing", "the token is not bound to a certificate";
        CnfMismatch = "cnf-mismatch", "the token is bound to another certificate than this connection's";
    }
}

impl From<JwsFault> for TokenFault {
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

/// What a verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenClaims {
    /// The client, equal to `sub`.
    pub client_id: String,
    /// Scopes as issued, separated by one space.
    pub scope: String,
    /// For the caller's revocation set.
    pub jti: String,
    /// Unix seconds.
    pub issued_at: i64,
    /// Unix seconds; the token is refused from this second on.
    pub expires_at: i64,
    /// SHA-256 of the DER certificate that the token is bound to.
    pub certificate: [u8; 32],
}

impl TokenClaims {
    /// Whether `scope` is among the scopes.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|one| one == scope)
    }
}

/// Issues tokens under our key.
#[derive(Debug)]
pub struct TokenIssuer {
    key: Arc<SigningKey>,
    issuer: String,
    audience: String,
}

impl TokenIssuer {
    /// `audience` is the resource, usually the issuer itself.
    pub fn new(key: Arc<SigningKey>, issuer: &str, audience: &str) -> Self {
        Self { key, issuer: issuer.to_owned(), audience: audience.to_owned() }
    }

    /// A token for `client_id`, valid for `life_s` seconds (300 at most), bound to the certificate with this SHA-256.
    ///
    /// # Errors
    /// [`KeyFault::Signing`].
    pub fn issue(
        &self,
        client_id: &str,
        scope: &str,
        certificate: &[u8; 32],
        jti: &str,
        life_s: i64,
        now: OffsetDateTime,
    ) -> Result<String, KeyFault> {
        let at = now.unix_timestamp();
        let claims = json!({
            "iss": self.issuer, "aud": self.audience, "sub": client_id, "client_id": client_id, "scope": scope,
            "iat": at, "exp": at + life_s.clamp(1, LONGEST_LIFE_S), "jti": jti, "cnf": {"x5t#S256": B64URL.encode(certificate)},
        });
        jws::sign(&self.key, "at+jwt", &claims)
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Value,
    sub: String,
    client_id: String,
    #[serde(default)]
    scope: String,
    iat: i64,
    nbf: Option<i64>,
    exp: i64,
    jti: Option<String>,
    cnf: Option<Confirmation>,
}

#[derive(Deserialize)]
struct Confirmation {
    #[serde(rename = "x5t#S256")]
    x5t: Option<String>,
}

/// Verified tokens by the SHA-256 of their text, until they expire. Bounded; holds no token.
#[derive(Debug)]
pub struct TokenCache {
    known: RwLock<HashMap<[u8; 32], Arc<TokenClaims>>>,
    capacity: usize,
}

impl TokenCache {
    /// Remembers `capacity` tokens at most.
    pub fn new(capacity: usize) -> Self {
        Self { known: RwLock::default(), capacity: capacity.max(1) }
    }

    fn find(&self, hash: &[u8; 32]) -> Option<Arc<TokenClaims>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    fn insert(&self, hash: [u8; 32], claims: &Arc<TokenClaims>, now: i64) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.capacity {
            known.retain(|_, claims| claims.expires_at > now);
        }
        // All alive and still full: forgetting costs one signature check each, growing would cost memory.
        if known.len() >= self.capacity {
            known.clear();
        }
        known.insert(hash, Arc::clone(claims));
    }

    /// Forgets all: after our signing key was withdrawn.
    pub fn clear(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Verifies tokens of one issuer for one audience.
#[derive(Debug)]
pub struct TokenVerifier {
    keys: Vec<Arc<VerifyingKey>>,
    issuer: String,
    audience: String,
    cache: TokenCache,
}

impl TokenVerifier {
    /// `keys`: the issuer's keys, all that may still have signed a living token.
    pub fn new(keys: Vec<Arc<VerifyingKey>>, issuer: &str, audience: &str, cache: TokenCache) -> Self {
        Self { keys, issuer: issuer.to_owned(), audience: audience.to_owned(), cache }
    }

    /// Verifies `token` as it came over a connection whose client certificate has the SHA-256 `certificate`.
    /// A token seen before costs one hash; its expiry and its certificate are compared each time all the same.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub fn verify(
        &self,
        token: &str,
        certificate: &[u8; 32],
        now: OffsetDateTime,
    ) -> Result<Arc<TokenClaims>, TokenFault> {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let at = now.unix_timestamp();
        let known = self.cache.find(&hash);
        let claims = match &known {
            Some(claims) => Arc::clone(claims),
            None => Arc::new(self.verify_text(token, now)?),
        };
        if claims.expires_at <= at {
            return Err(TokenFault::Expired);
        }
        if claims.certificate != *certificate {
            return Err(TokenFault::CnfMismatch);
        }
        if known.is_none() {
            self.cache.insert(hash, &claims, at);
        }
        Ok(claims)
    }

    fn verify_text(&self, token: &str, now: OffsetDateTime) -> Result<TokenClaims, TokenFault> {
        let (_, header, claims): (_, _, Claims) = jws::verify(token, &self.keys)?;
        if !header.is_type("at+jwt") {
            return Err(TokenFault::Type);
        }
        if claims.iss != self.issuer {
            return Err(TokenFault::Issuer);
        }
        if claims.aud.as_str() != Some(&self.audience) {
            return Err(TokenFault::Audience);
        }
        if claims.sub != claims.client_id || claims.sub.is_empty() {
            return Err(TokenFault::Subject);
        }
        if jws::too_far_ahead(Some(claims.iat), now) || jws::too_far_ahead(claims.nbf, now) {
            return Err(TokenFault::Future);
        }
        if claims.exp <= now.unix_timestamp() {
            return Err(TokenFault::Expired);
        }
        if claims.exp.saturating_sub(claims.iat) > LONGEST_LIFE_S {
            return Err(TokenFault::TooLong);
        }
        let jti = claims.jti.filter(|jti| !jti.is_empty()).ok_or(TokenFault::JtiMissing)?;
        let bound = claims.cnf.and_then(|cnf| cnf.x5t).ok_or(TokenFault::CnfMissing)?;
        let certificate = B64URL.decode(bound).ok().and_then(|b| b.try_into().ok()).ok_or(TokenFault::CnfMismatch)?;
        Ok(TokenClaims {
            client_id: claims.client_id,
            scope: claims.scope,
            jti,
            issued_at: claims.iat,
            expires_at: claims.exp,
            certificate,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        jws::tests::forge,
        keys::{Algorithm, tests::fresh},
    };
    use super::*;
    use time::{Duration, macros::datetime};

    const NOW: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);
    const ISSUER: &str = "https://gateway.example";
    const CERTIFICATE: [u8; 32] = [7; 32];

    fn room(algorithm: Algorithm) -> (Arc<SigningKey>, TokenVerifier) {
        let (signer, public) = fresh(algorithm, "ours");
        (Arc::new(signer), TokenVerifier::new(vec![public], ISSUER, ISSUER, TokenCache::new(2)))
    }

    fn good() -> Value {
        let at = NOW.unix_timestamp();
        json!({"iss": ISSUER, "aud": ISSUER, "sub": "c1", "client_id": "c1", "scope": "a b", "iat": at, "exp": at + 300,
            "jti": "j1", "cnf": {"x5t#S256": B64URL.encode(CERTIFICATE)}})
    }

    #[test]
    fn what_we_issue_we_accept_with_each_key() {
        for algorithm in [Algorithm::Ed25519, Algorithm::Es256, Algorithm::Ps256] {
            let (key, verifier) = room(algorithm);
            let token =
                TokenIssuer::new(key, ISSUER, ISSUER).issue("c1", "a b", &CERTIFICATE, "j1", 9999, NOW).unwrap();
            let claims = verifier.verify(&token, &CERTIFICATE, NOW).unwrap();
            assert_eq!((claims.client_id.as_str(), claims.jti.as_str()), ("c1", "j1"));
            assert_eq!(claims.expires_at, NOW.unix_timestamp() + 300);
            assert!(claims.has_scope("b") && !claims.has_scope("a b"));
        }
    }

    #[test]
    fn another_jose_library_reads_what_we_issue() {
        use jsonwebtoken::{DecodingKey, Validation, decode};
        let (key, _) = room(Algorithm::Ed25519);
        let raw = B64URL.decode(key.verifying_key().jwk()["x"].as_str().unwrap()).unwrap();
        let token = TokenIssuer::new(key, ISSUER, ISSUER).issue("c1", "a", &CERTIFICATE, "j1", 300, NOW).unwrap();
        let mut rules = Validation::new(jsonwebtoken::Algorithm::EdDSA);
        rules.validate_exp = false;
        rules.set_audience(&[ISSUER]);
        let read = decode::<Value>(&token, &DecodingKey::from_ed_der(&raw), &rules).unwrap();
        assert_eq!(read.claims["client_id"], "c1");
        assert_eq!(read.header.typ.as_deref(), Some("at+jwt"));
    }

    #[test]
    fn every_wrong_claim_is_named() {
        let (key, verifier) = room(Algorithm::Ed25519);
        let at = NOW.unix_timestamp();
        let cases = [
            ("iss", json!("https://other.example"), TokenFault::Issuer),
            ("aud", json!("https://other.example"), TokenFault::Audience),
            ("aud", json!([ISSUER, "https://other.example"]), TokenFault::Audience),
            ("sub", json!("c2"), TokenFault::Subject),
            ("exp", json!(at), TokenFault::Expired),
            ("exp", json!(at + 301), TokenFault::TooLong),
            ("iat", json!(at + 11), TokenFault::Future),
            ("nbf", json!(at + 11), TokenFault::Future),
            ("jti", Value::Null, TokenFault::JtiMissing),
            ("cnf", Value::Null, TokenFault::CnfMissing),
            ("cnf", json!({"jkt": "x"}), TokenFault::CnfMissing),
            ("cnf", json!({"x5t#S256": "short"}), TokenFault::CnfMismatch),
            ("cnf", json!({"x5t#S256": B64URL.encode([8; 32])}), TokenFault::CnfMismatch),
            ("exp", Value::Null, TokenFault::Malformed),
        ];
        for (name, value, fault) in cases {
            let mut claims = good();
            claims[name] = value;
            let token = forge(&key, json!({"alg": "EdDSA", "typ": "at+jwt"}), claims.clone());
            assert_eq!(verifier.verify(&token, &CERTIFICATE, NOW).unwrap_err(), fault, "{claims}");
        }
    }

    #[test]
    fn every_wrong_header_is_named() {
        let (key, verifier) = room(Algorithm::Ed25519);
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            let token =
                forge(&key, json!({"alg": "Ed25519", "typ": typ, "jku": "https://evil.example", "x5u": "x"}), good());
            assert!(verifier.verify(&token, &CERTIFICATE, NOW).is_ok(), "{typ}");
        }
        let cases = [
            (json!({"alg": "EdDSA"}), TokenFault::Type),
            (json!({"alg": "EdDSA", "typ": "JWT"}), TokenFault::Type),
            (json!({"alg": "none", "typ": "at+jwt"}), TokenFault::Algorithm),
            (json!({"alg": "RS256", "typ": "at+jwt"}), TokenFault::Algorithm),
            (json!({"alg": "HS256", "typ": "at+jwt"}), TokenFault::Algorithm),
            (json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "else"}), TokenFault::UnknownKey),
            (json!({"alg": "EdDSA", "typ": "at+jwt", "crit": ["b64"], "b64": false}), TokenFault::Critical),
        ];
        for (header, fault) in cases {
            assert_eq!(
                verifier.verify(&forge(&key, header.clone(), good()), &CERTIFICATE, NOW).unwrap_err(),
                fault,
                "{header}"
            );
        }
        let (stranger, brought) = fresh(Algorithm::Ed25519, "ours");
        let forged = forge(&stranger, json!({"alg": "EdDSA", "typ": "at+jwt", "jwk": brought.jwk()}), good());
        assert_eq!(verifier.verify(&forged, &CERTIFICATE, NOW).unwrap_err(), TokenFault::Signature);
        assert_eq!(verifier.verify("", &CERTIFICATE, NOW).unwrap_err(), TokenFault::Malformed);
        assert_eq!(verifier.verify(&"a".repeat(9000), &CERTIFICATE, NOW).unwrap_err(), TokenFault::Malformed);
    }

    #[test]
    fn a_remembered_token_still_expires_and_stays_bound() {
        let (key, verifier) = room(Algorithm::Ed25519);
        let issuer = TokenIssuer::new(key, ISSUER, ISSUER);
        let token = issuer.issue("c1", "a", &CERTIFICATE, "j1", 300, NOW).unwrap();
        let first = verifier.verify(&token, &CERTIFICATE, NOW).unwrap();
        assert!(Arc::ptr_eq(&first, &verifier.verify(&token, &CERTIFICATE, NOW).unwrap()));
        assert_eq!(verifier.verify(&token, &[8; 32], NOW).unwrap_err(), TokenFault::CnfMismatch);
        assert_eq!(
            verifier.verify(&token, &CERTIFICATE, NOW + Duration::seconds(300)).unwrap_err(),
            TokenFault::Expired
        );
        for n in 0..10 {
            let other = issuer.issue("c1", "a", &CERTIFICATE, &format!("k{n}"), 300, NOW).unwrap();
            verifier.verify(&other, &CERTIFICATE, NOW).unwrap();
        }
        assert!(verifier.cache.known.read().unwrap().len() <= 2, "bounded");
        verifier.cache.clear();
        assert!(!Arc::ptr_eq(&first, &verifier.verify(&token, &CERTIFICATE, NOW).unwrap()));
    }
}
