//! Signing and verifying keys: Ed25519, ES256 and PS256, from PEM, and as JWK for `jwks.json`.
//!
//! The key decides the algorithm; nothing here takes an algorithm from a message. It does not generate or store keys.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    rsa::PublicKey as RsaPublicKey,
    signature::{
        self as algs, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair, ParsedPublicKey, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA512, RsaKeyPair,
    },
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as B64URL};
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, pem::PemObject};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};

/// What a key signs with. The label differs by standard, see [`Algorithm::jose`] and [`Algorithm::http`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA on P-256 with SHA-256, signature `r || s`.
    Es256,
    /// RSASSA-PSS with a key of at least 2048 bits: SHA-256 in JOSE, SHA-512 in RFC 9421.
    Ps256,
}

impl Algorithm {
    /// The label that we write into a JOSE header (RFC 7518 §3.1, RFC 8037 §3.1).
    pub fn jose(self) -> &'static str {
        match self {
            Self::Ed25519 => "EdDSA",
            Self::Es256 => "ES256",
            Self::Ps256 => "PS256",
        }
    }

    /// Whether a JOSE header's `alg` names this algorithm; `Ed25519` (RFC 9864) is read beside `EdDSA`.
    pub fn is_jose(self, label: &str) -> bool {
        label == self.jose() || (self == Self::Ed25519 && label == "Ed25519")
    }

    /// The label of the HTTP signature algorithms registry (RFC 9421 §6.2.2).
    pub fn http(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Es256 => "ecdsa-p256-sha256",
            Self::Ps256 => "rsa-pss-sha512",
        }
    }
}

/// Which standard a signature belongs to: RSA keys hash by SHA-256 in one and by SHA-512 in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// JWS (RFC 7515).
    Jose,
    /// HTTP message signatures (RFC 9421).
    Http,
}

/// Why a key was not taken, or did not sign. Never holds key bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Not a PEM block of the wanted kind.
    #[error("the key is not PEM of the wanted kind (SPKI \"PUBLIC KEY\" or PKCS#8 \"PRIVATE KEY\")")]
    NotPem,
    /// Another algorithm or curve, or an RSA key under 2048 bits.
    #[error("the key is not Ed25519, P-256 or RSA of 2048 to 8192 bits")]
    Unsupported,
    /// A key id that could not stand in a header.
    #[error("a key id has 1 to 128 visible ASCII characters without quote and backslash")]
    BadKeyId,
    /// The library refused to sign.
    #[error("signing failed")]
    Signing,
}

fn checked_kid(kid: &str) -> Result<String, KeyFault> {
    let plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    if kid.is_empty() || kid.len() > 128 || !kid.bytes().all(plain) {
        return Err(KeyFault::BadKeyId);
    }
    Ok(kid.to_owned())
}

/// A registered public key, parsed once.
#[derive(Debug, Clone)]
pub struct VerifyingKey {
    kid: String,
    algorithm: Algorithm,
    jose: ParsedPublicKey,
    /// For RSA only: the same key under SHA-512.
    http: Option<ParsedPublicKey>,
    jwk: Value,
}

impl VerifyingKey {
    /// Reads a `PUBLIC KEY` PEM (RFC 5280 SPKI). `kid` is the registered key id.
    pub fn from_spki_pem(kid: &str, pem: &[u8]) -> Result<Self, KeyFault> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| KeyFault::NotPem)?;
        let (_, spki) = SubjectPublicKeyInfo::from_der(der.as_ref()).map_err(|_| KeyFault::NotPem)?;
        let algorithm = match spki.algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => Algorithm::Ed25519,
            "1.2.840.10045.2.1" => Algorithm::Es256,
            "1.2.840.113549.1.1.1" => Algorithm::Ps256,
            _ => return Err(KeyFault::Unsupported),
        };
        Self::from_raw(kid, algorithm, &spki.subject_public_key.data)
    }

    /// Reads a public JWK (RFC 7517) with its `kid`, as [`VerifyingKey::jwk`] writes it.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyFault> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str).ok_or(KeyFault::Unsupported);
        let bytes = |name: &str| B64URL.decode(text(name)?).map_err(|_| KeyFault::Unsupported);
        let (algorithm, raw) = match (text("kty")?, jwk.get("crv").and_then(Value::as_str)) {
            ("OKP", Some("Ed25519")) => (Algorithm::Ed25519, bytes("x")?),
            ("EC", Some("P-256")) => (Algorithm::Es256, [vec![4], bytes("x")?, bytes("y")?].concat()),
            ("RSA", None) => (Algorithm::Ps256, pkcs1(&bytes("n")?, &bytes("e")?)),
            _ => return Err(KeyFault::Unsupported),
        };
        Self::from_raw(text("kid")?, algorithm, &raw)
    }

    /// `raw`: 32 bytes, an uncompressed point, or a PKCS#1 `RSAPublicKey`.
    fn from_raw(kid: &str, algorithm: Algorithm, raw: &[u8]) -> Result<Self, KeyFault> {
        let kid = checked_kid(kid)?;
        let parsed = |alg: &'static dyn algs::VerificationAlgorithm| {
            ParsedPublicKey::new(alg, raw).map_err(|_| KeyFault::Unsupported)
        };
        let (jose, http, members) = match algorithm {
            Algorithm::Ed25519 if raw.len() == 32 => {
                (parsed(&ED25519)?, None, json!({"crv": "Ed25519", "kty": "OKP", "x": B64URL.encode(raw)}))
            }
            Algorithm::Es256 if raw.len() == 65 => {
                let (x, y) = raw[1..].split_at(32);
                let members = json!({"crv": "P-256", "kty": "EC", "x": B64URL.encode(x), "y": B64URL.encode(y)});
                (parsed(&ECDSA_P256_SHA256_FIXED)?, None, members)
            }
            Algorithm::Ps256 => {
                let key = RsaPublicKey::from_der(raw).map_err(|_| KeyFault::Unsupported)?;
                // Bits are counted in whole bytes: a 2047-bit modulus passes as 256 bytes only with its top bit clear.
                let modulus = key.modulus().big_endian_without_leading_zero();
                if modulus.len() < 256 || modulus.len() > 1024 || (modulus.len() == 256 && modulus[0] < 0x80) {
                    return Err(KeyFault::Unsupported);
                }
                let e = key.exponent().big_endian_without_leading_zero();
                let members = json!({"e": B64URL.encode(e), "kty": "RSA", "n": B64URL.encode(modulus)});
                (parsed(&RSA_PSS_2048_8192_SHA256)?, Some(parsed(&RSA_PSS_2048_8192_SHA512)?), members)
            }
            _ => return Err(KeyFault::Unsupported),
        };
        Ok(Self { kid, algorithm, jose, http, jwk: members })
    }

    /// The registered key id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The only algorithm that this key verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, usage: Usage, message: &[u8], signature: &[u8]) -> bool {
        let key = match (usage, &self.http) {
            (Usage::Http, Some(key)) => key,
            _ => &self.jose,
        };
        key.verify_sig(message, signature).is_ok()
    }

    /// The public JWK (RFC 7517) with `use`, `alg` and `kid`.
    pub fn jwk(&self) -> Value {
        let mut jwk = self.jwk.clone();
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm.jose());
        jwk["kid"] = json!(self.kid);
        jwk
    }

    /// The RFC 7638 thumbprint, base64url: a key id for who has not chosen one.
    pub fn thumbprint(&self) -> String {
        // The members were written in lexicographic order and serde_json keeps it, which is what RFC 7638 §3.1 hashes.
        B64URL.encode(digest(&SHA256, self.jwk.to_string().as_bytes()))
    }
}

/// `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }` (RFC 8017 A.1.1) in DER.
fn pkcs1(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let value = |tag: u8, content: &[u8]| {
        let length = content.len().to_be_bytes();
        let length = &length[length.iter().take_while(|byte| **byte == 0).count()..];
        let mut out = vec![tag];
        if content.len() >= 0x80 {
            out.push(0x80 | length.len() as u8);
        }
        out.extend_from_slice(length);
        out.extend_from_slice(content);
        out
    };
    let integer = |number: &[u8]| {
        let sign = if number.first().is_some_and(|byte| *byte >= 0x80) { &[0][..] } else { &[] };
        value(2, &[sign, number].concat())
    };
    value(0x30, &[integer(modulus), integer(exponent)].concat())
}

#[derive(Debug)]
enum Pair {
    Ed25519(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Ps256(RsaKeyPair),
}

/// A private key of ours. Signing keys and TLS keys are different keys (security profile).
#[derive(Debug)]
pub struct SigningKey {
    pair: Pair,
    public: VerifyingKey,
}

impl SigningKey {
    /// Reads a `PRIVATE KEY` PEM (PKCS#8). Without `kid` the key id is the RFC 7638 thumbprint.
    pub fn from_pkcs8_pem(kid: Option<&str>, pem: &[u8]) -> Result<Self, KeyFault> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| KeyFault::NotPem)?;
        let der = der.secret_pkcs8_der();
        let (pair, algorithm) = if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            (Pair::Ed25519(pair), Algorithm::Ed25519)
        } else if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            (Pair::Es256(pair), Algorithm::Es256)
        } else if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            (Pair::Ps256(pair), Algorithm::Ps256)
        } else {
            return Err(KeyFault::Unsupported);
        };
        let raw = match &pair {
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
            Pair::Es256(pair) => pair.public_key().as_ref(),
            Pair::Ps256(pair) => pair.public_key().as_ref(),
        };
        let mut public = VerifyingKey::from_raw(kid.unwrap_or("thumbprint"), algorithm, raw)?;
        if kid.is_none() {
            public.kid = public.thumbprint();
        }
        Ok(Self { pair, public })
    }

    /// The public half.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// The key id.
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// Signs `message`: 64 bytes for Ed25519 and ES256, the modulus length for PS256.
    pub fn sign(&self, usage: Usage, message: &[u8]) -> Result<Vec<u8>, KeyFault> {
        // ECDSA and PSS take their randomness inside the library, which ignores this argument: it is no source of ours.
        let library_random = SystemRandom::new();
        match &self.pair {
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Es256(pair) => {
                pair.sign(&library_random, message).map(|s| s.as_ref().to_vec()).map_err(|_| KeyFault::Signing)
            }
            Pair::Ps256(pair) => {
                let padding = match usage {
                    Usage::Jose => &algs::RSA_PSS_SHA256,
                    Usage::Http => &algs::RSA_PSS_SHA512,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &library_random, message, &mut signature).map_err(|_| KeyFault::Signing)?;
                Ok(signature)
            }
        }
    }
}

/// The document of `/.well-known/jwks.json` (RFC 7517 §5).
pub fn jwks<'a>(keys: impl IntoIterator<Item = &'a VerifyingKey>) -> Value {
    json!({ "keys": keys.into_iter().map(VerifyingKey::jwk).collect::<Vec<_>>() })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer as Spki};
    use std::sync::Arc;

    /// The test key that RFC 9421 B.1.4 publishes: it protects nothing.
    pub(crate) const RFC_ED25519: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n";
    /// RFC 9421 B.1.3.
    pub(crate) const RFC_P256_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf\nw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==\n-----END PUBLIC KEY-----\n";

    fn pem(kind: &str, der: &[u8]) -> Vec<u8> {
        let body = base64::prelude::BASE64_STANDARD.encode(der);
        format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n").into_bytes()
    }

    /// A fresh key of each algorithm, with its public half read back from SPKI as a party would register it.
    pub(crate) fn fresh(algorithm: Algorithm, kid: &str) -> (SigningKey, Arc<VerifyingKey>) {
        use aws_lc_rs::{encoding::AsDer, rsa::KeySize};
        let der = match algorithm {
            Algorithm::Ed25519 => Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap().as_ref().to_vec(),
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .unwrap()
                .to_pkcs8v1()
                .unwrap()
                .as_ref()
                .to_vec(),
            Algorithm::Ps256 => RsaKeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap().as_ref().to_vec(),
        };
        let private = PrivateKeyDer::try_from(der).unwrap();
        let signer = SigningKey::from_pkcs8_pem(Some(kid), &pem("PRIVATE KEY", private.secret_der())).unwrap();
        let spki: Spki<'_> = signer.public.jose.as_der().unwrap().as_ref().to_vec().into();
        let public = VerifyingKey::from_spki_pem(kid, &pem("PUBLIC KEY", spki.as_ref())).unwrap();
        (signer, Arc::new(public))
    }

    #[test]
    fn every_algorithm_signs_and_verifies_in_both_usages() {
        for algorithm in [Algorithm::Ed25519, Algorithm::Es256, Algorithm::Ps256] {
            let (signer, public) = fresh(algorithm, "k1");
            for usage in [Usage::Jose, Usage::Http] {
                let signature = signer.sign(usage, b"message").unwrap();
                assert!(public.verifies(usage, b"message", &signature));
                assert!(!public.verifies(usage, b"massage", &signature));
            }
            assert_eq!(public.algorithm(), algorithm);
            assert_eq!(public.jwk(), signer.verifying_key().jwk());
            let read = VerifyingKey::from_jwk(&public.jwk()).unwrap();
            assert_eq!((read.jwk(), read.thumbprint()), (public.jwk(), public.thumbprint()));
            let signature = signer.sign(Usage::Http, b"message").unwrap();
            assert!(read.verifies(Usage::Http, b"message", &signature));
        }
    }

    #[test]
    fn an_rsa_signature_of_one_usage_is_none_of_the_other() {
        let (signer, public) = fresh(Algorithm::Ps256, "k1");
        let signature = signer.sign(Usage::Jose, b"message").unwrap();
        assert!(!public.verifies(Usage::Http, b"message", &signature));
    }

    #[test]
    fn the_jwk_and_thumbprint_are_those_of_rfc_8037() {
        // RFC 8037 A.1 and A.3.
        let pkcs8 = [
            hex::decode("302e020100300506032b657004220420").unwrap(),
            B64URL.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap(),
        ]
        .concat();
        let key = SigningKey::from_pkcs8_pem(None, &pem("PRIVATE KEY", &pkcs8)).unwrap();
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(key.verifying_key().jwk()["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(jwks([key.verifying_key()])["keys"][0]["alg"], "EdDSA");
    }

    #[test]
    fn weak_and_foreign_keys_are_refused() {
        assert_eq!(VerifyingKey::from_spki_pem("k", b"not pem").unwrap_err(), KeyFault::NotPem);
        assert_eq!(VerifyingKey::from_spki_pem("k\"", RFC_P256_PUBLIC.as_bytes()).unwrap_err(), KeyFault::BadKeyId);
        assert_eq!(VerifyingKey::from_spki_pem("k", RFC_ED25519.as_bytes()).unwrap_err(), KeyFault::NotPem);
        // A P-384 key (its SPKI header with a zero point) and a 1024-bit RSA key.
        let p384 = [hex::decode("3076301006072a8648ce3d020106052b8104002203620004").unwrap(), vec![1; 96]].concat();
        assert_eq!(VerifyingKey::from_spki_pem("k", &pem("PUBLIC KEY", &p384)).unwrap_err(), KeyFault::Unsupported);
        let mut rsa = hex::decode("30819f300d06092a864886f70d010101050003818d0030818902818100").unwrap();
        rsa.extend([0xc3; 128]);
        rsa.extend([2, 3, 1, 0, 1]);
        assert_eq!(VerifyingKey::from_spki_pem("k", &pem("PUBLIC KEY", &rsa)).unwrap_err(), KeyFault::Unsupported);
    }
}
