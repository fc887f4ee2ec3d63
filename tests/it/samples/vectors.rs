//! The test vectors, made by the gateway's own code from keys that are public: SHA-256 of a sentence each.

use aws_lc_rs::{hmac, signature::Ed25519KeyPair};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD as B64, BASE64_URL_SAFE_NO_PAD as B64URL},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use onechannel::{
    ledger::{
        entry::{Entry, EntryKind},
        note::{Checkpoint, NoteSigner},
        receipt::{Receipt, ReceiptFault},
        tree::{Commit, Frontier, Hash, leaf_hash},
    },
    trust::{
        digest,
        httpsig::{self, RequestParts, ResponseParts},
        keys::{SigningKey, Usage, VerifyingKey},
    },
    vault::sha256,
};
use serde_json::{Value, json};
use std::sync::Arc;
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

const NOW: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);
const URI: &str = "https://gateway.example/v1/messages";
const TYPE: &str = "application/cloudevents+json";
const TOKEN: &str = "Bearer not.a.token";
const NONCE: &str = "AAECAwQFBgcICQoLDA0ODw";
const LOG: &str = "gateway.example/test/xa";
const BODY: &str = "{\"specversion\":\"1.0\",\"id\":\"vector-1\",\"source\":\"urn:example:vectors\",\"type\":\"movement.arrived.v1\",\"data\":{\"note\":\"d\u{e9}part \u{645}\"}}";

/// A key that everybody knows.
fn seed(of: &str) -> [u8; 32] {
    sha256(format!("onechannel public test key: {of}").as_bytes())
}

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", B64.encode(der))
}

fn pkcs8(kid: &str, header: &str, secret: &[u8]) -> SigningKey {
    let der = [hex::decode(header).unwrap(), secret.to_vec()].concat();
    SigningKey::from_pkcs8_pem(Some(kid), pem("PRIVATE KEY", &der).as_bytes()).unwrap()
}

struct Keys {
    client: SigningKey,
    gateway: SigningKey,
    log: NoteSigner,
}

impl Keys {
    fn new() -> Self {
        let p256 = "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420";
        let log = Ed25519KeyPair::from_seed_unchecked(&seed("log")).unwrap();
        Self {
            client: pkcs8("test-client-1", p256, &seed("client")),
            gateway: pkcs8("test-gateway-1", "302e020100300506032b657004220420", &seed("gateway")),
            log: NoteSigner::new(LOG, log),
        }
    }

    fn to_json(&self) -> Value {
        let member = |jwk: &Value, name: &str| B64URL.decode(jwk[name].as_str().unwrap()).unwrap();
        let ec = self.client.verifying_key().jwk();
        let point = [member(&ec, "x"), member(&ec, "y")].concat();
        let ec_spki = [hex::decode("3059301306072a8648ce3d020106082a8648ce3d03010703420004").unwrap(), point].concat();
        let ed = self.gateway.verifying_key().jwk();
        let ed_spki = [hex::decode("302a300506032b6570032100").unwrap(), member(&ed, "x")].concat();
        json!({
            "client": {"use": "PUBLIC TEST KEY", "kid": self.client.kid(), "kty": "EC", "crv": "P-256", "x": ec["x"],
                "y": ec["y"], "d": B64URL.encode(seed("client")), "spki": B64.encode(ec_spki)},
            "gateway": {"use": "PUBLIC TEST KEY", "kid": self.gateway.kid(), "kty": "OKP", "crv": "Ed25519", "x": ed["x"],
                "d": B64URL.encode(seed("gateway")), "spki": B64.encode(ed_spki)},
            "log": {"use": "PUBLIC TEST KEY", "seed": hex::encode(seed("log")), "verifier": self.log.verifier().to_string()},
        })
    }
}

/// The vectors. An ES256 signature is another each time: that of `old` is kept as long as it verifies.
pub(super) fn make(old: &Value) -> Value {
    let keys = Keys::new();
    let mut fields = HeaderMap::new();
    fields.insert(header::AUTHORIZATION, HeaderValue::from_static(TOKEN));
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(TYPE));
    fields.insert(HeaderName::from_static(digest::CONTENT_DIGEST), content_digest(BODY.as_bytes()));
    let (base, input, signature) = request(&keys, &mut fields, old);
    let flipped = |at: usize| {
        let mut other = signature.clone();
        other[at] ^= 1;
        B64.encode(other)
    };
    let digests = [BODY, "", "\u{e9}\u{4e2d}\u{1f600}\n"]
        .map(|body| json!({"body": body, "contentDigest": digest::content_digest(body.as_bytes())}));
    json!({
        "about": [
            "Test vectors for an integrator, made by the gateway's own code (the test it::samples recomputes them).",
            "Every key here is public: SHA-256 of 'onechannel public test key: NAME'. Never trust or use one of them.",
            "Texts are UTF-8; signatures, digests and proofs are base64; an ES256 signature is r || s in 64 bytes."
        ],
        "keys": keys.to_json(),
        "digests": digests,
        "request": {"method": "POST", "targetUri": URI, "body": BODY, "created": NOW.unix_timestamp(),
            "keyid": keys.client.kid(), "nonce": NONCE, "signatureInput": input, "base": base,
            "headers": shown(&fields, &["authorization", "content-type", digest::CONTENT_DIGEST])},
        "signatures": [
            {"about": "as signed", "signature": B64.encode(&signature), "holds": true},
            {"about": "one bit of s is another", "signature": flipped(63), "holds": false},
            {"about": "one bit of r is another", "signature": flipped(0), "holds": false},
            {"about": "the same signature in DER, as many libraries give it", "signature": B64.encode(der(&signature)), "holds": false}
        ],
        "answers": answers(&keys, &fields),
        "openings": openings(),
        "receipts": receipts(&keys)
    })
}

fn content_digest(body: &[u8]) -> HeaderValue {
    HeaderValue::try_from(digest::content_digest(body)).unwrap()
}

fn shown(headers: &HeaderMap, names: &[&'static str]) -> Value {
    names.iter().map(|&name| (name.to_owned(), json!(text(&headers[name])))).collect::<serde_json::Map<_, _>>().into()
}

fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap()
}

/// Signs the request (`fields` get both fields): its base, `Signature-Input` and the bytes of the signature.
fn request(keys: &Keys, fields: &mut HeaderMap, old: &Value) -> (String, String, Vec<u8>) {
    let parts = RequestParts { method: &Method::POST, target_uri: URI, headers: fields, has_body: true };
    let (fresh, _) = httpsig::sign_request(&keys.client, &parts, NONCE, NOW).unwrap();
    fresh.insert_into(fields);
    let verified = |fields: &HeaderMap| {
        let parts = RequestParts { method: &Method::POST, target_uri: URI, headers: fields, has_body: true };
        let key = Arc::new(keys.client.verifying_key().clone());
        httpsig::verify_request(&parts, |kid| (kid == key.kid()).then_some(key.clone()), NOW).map(|found| found.base)
    };
    let kept = old["signatures"][0]["signature"].as_str().unwrap_or_default();
    let mut with_old = fields.clone();
    with_old.insert(httpsig::SIGNATURE, HeaderValue::try_from(format!("sig=:{kept}:")).unwrap());
    if verified(&with_old).is_ok() {
        *fields = with_old;
    }
    let signature = text(&fields[httpsig::SIGNATURE]).trim_start_matches("sig=:").trim_end_matches(':');
    let bytes = B64.decode(signature).unwrap();
    (verified(fields).unwrap(), text(&fields[httpsig::SIGNATURE_INPUT]).to_owned(), bytes)
}

/// `SEQUENCE { INTEGER r, INTEGER s }` of r || s.
fn der(signature: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|&byte| byte != 0).unwrap();
        let mut bytes = bytes[start..].to_vec();
        if bytes[0] >= 0x80 {
            bytes.insert(0, 0);
        }
        [vec![2, bytes.len() as u8], bytes].concat()
    };
    let (r, s) = signature.split_at(32);
    let both = [integer(r), integer(s)].concat();
    [vec![0x30, both.len() as u8], both].concat()
}

/// An answer to the request whose fields are given, and what must not be taken for it.
fn answers(keys: &Keys, request_fields: &HeaderMap) -> Value {
    let body = r#"{"outcome":"applied"}"#;
    let parts = RequestParts { method: &Method::POST, target_uri: URI, headers: request_fields, has_body: true };
    let binding = httpsig::RequestBinding::presented(&parts);
    let mut fields = HeaderMap::new();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(HeaderName::from_static(digest::CONTENT_DIGEST), content_digest(body.as_bytes()));
    let sign = |binding: &httpsig::RequestBinding, now| {
        let answer = ResponseParts { status: StatusCode::CREATED, headers: &fields, has_body: true };
        let mut signed = fields.clone();
        httpsig::sign_response(&keys.gateway, &answer, binding, now).unwrap().insert_into(&mut signed);
        signed
    };
    let verified = |signed: &HeaderMap, status, binding| {
        let answer = ResponseParts { status, headers: signed, has_body: true };
        let key = Arc::new(keys.gateway.verifying_key().clone());
        httpsig::verify_response(&answer, binding, |kid| (kid == key.kid()).then_some(key.clone()), NOW)
    };
    let answer = |about: &str, fails: Option<&str>, signed: &HeaderMap, status: u16, body: &str| {
        let headers = shown(signed, &["content-type", digest::CONTENT_DIGEST, "signature-input", "signature"]);
        json!({"about": about, "fails": fails, "now": NOW.unix_timestamp(), "status": status, "headers": headers, "body": body})
    };
    let good = sign(&binding, NOW);
    let mut whole = answer("as signed", None, &good, 201, body);
    whole["base"] = json!(verified(&good, StatusCode::CREATED, &binding).unwrap().base);

    let other_body = answer("another body", Some("digest"), &good, 201, &body.replace("applied", "refused"));
    assert!(verified(&good, StatusCode::OK, &binding).is_err());
    let other_status = answer("another status", Some("signature"), &good, 200, body);
    let other_uri = RequestParts { target_uri: "https://gateway.example/v1/other", ..parts };
    let elsewhere = sign(&httpsig::RequestBinding::presented(&other_uri), NOW);
    assert!(verified(&elsewhere, StatusCode::CREATED, &binding).is_err());
    let elsewhere = answer("an answer to a request for another address", Some("signature"), &elsewhere, 201, body);
    let nothing = HeaderMap::new();
    let unsigned = RequestParts { method: &Method::POST, target_uri: URI, headers: &nothing, has_body: false };
    let unbound = sign(&httpsig::RequestBinding::presented(&unsigned), NOW);
    assert!(verified(&unbound, StatusCode::CREATED, &binding).is_err());
    let unbound = answer("signed, but bound to no signature", Some("signature"), &unbound, 201, body);
    let stale = sign(&binding, NOW - time::Duration::hours(1));
    assert!(verified(&stale, StatusCode::CREATED, &binding).is_err());
    let stale = answer("an hour old", Some("signature"), &stale, 201, body);
    json!([whole, other_body, other_status, elsewhere, unbound, stale])
}

fn hmac_sha256(key: &[u8], bytes: &[u8]) -> Hash {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes).as_ref().try_into().unwrap()
}

fn openings() -> Value {
    let opening = seed("opening");
    let commitment = B64URL.encode(hmac_sha256(&opening, BODY.as_bytes()));
    let opening = B64URL.encode(opening);
    json!([
        {"about": "the bytes sent", "body": BODY, "opening": opening, "commitment": commitment, "holds": true},
        {"about": "other bytes", "body": format!("{BODY} "), "opening": opening, "commitment": commitment, "holds": false}
    ])
}

fn receipts(keys: &Keys) -> Value {
    let opening = seed("opening");
    let entry = Entry {
        kind: EntryKind::Received,
        time: NOW,
        id: Uuid::from_u128(7),
        outcome: "applied".into(),
        policy: [1; 32],
        assurance: "answer-signed".into(),
        commitment: hmac_sha256(&opening, BODY.as_bytes()),
    };
    // Leaf `index` of `size`: what lies around it is made up.
    let receipt = |index: u64, size: u64, signer: &NoteSigner| {
        let leaf = |n: u64| if n == index { entry.leaf() } else { leaf_hash(&n.to_be_bytes()) };
        let leaves: Vec<Hash> = (0..size).map(leaf).collect();
        let path = Commit::new(&Frontier::default(), &leaves).inclusion(index).unwrap();
        let mut tree = Frontier::default();
        leaves.iter().for_each(|leaf| tree.append(*leaf));
        let note = signer.sign(&Checkpoint { origin: LOG.into(), size, root: tree.root() }.to_text());
        Receipt::new(Uuid::from_u128(8), "xa", &entry, (index, &path), &note, Some(opening))
    };
    let verifiers = [keys.log.verifier().clone()];
    let part = |receipt: &Receipt, body: &str| match receipt.verify(&verifiers, Some(body.as_bytes())) {
        Ok(verified) if verified.bytes_match == Some(true) => None,
        Ok(_) | Err(ReceiptFault::NoOpening) => Some("opening"),
        Err(ReceiptFault::Format) => Some("format"),
        Err(ReceiptFault::Entry) => Some("entry"),
        Err(ReceiptFault::Checkpoint(_)) => Some("checkpoint"),
        Err(ReceiptFault::OtherLog) => Some("log"),
        Err(ReceiptFault::Proof) => Some("proof"),
    };
    let shown = |about: &str, fails: Option<&str>, receipt: Receipt, body: &str| {
        assert_eq!(part(&receipt, body), fails, "{about}");
        json!({"about": about, "fails": fails, "body": body, "receipt": receipt})
    };
    let changed = |about: &str, fails: &str, change: &dyn Fn(&mut Receipt)| {
        let mut receipt = receipt(9, 11, &keys.log);
        change(&mut receipt);
        shown(about, Some(fails), receipt, BODY)
    };
    let stranger = NoteSigner::new(LOG, Ed25519KeyPair::from_seed_unchecked(&seed("stranger")).unwrap());
    json!([
        shown("leaf 9 of 11", None, receipt(9, 11, &keys.log), BODY),
        shown("the last leaf", None, receipt(10, 11, &keys.log), BODY),
        shown("the only leaf", None, receipt(0, 1, &keys.log), BODY),
        changed("another format", "format", &|r| r.receipt = "onechannel/2".into()),
        changed("another outcome than the entry's", "entry", &|r| r.outcome = "held".into()),
        changed("another size in the checkpoint", "checkpoint", &|r| r.checkpoint =
            r.checkpoint.replace("\n11\n", "\n12\n")),
        shown("signed by a stranger", Some("checkpoint"), receipt(9, 11, &stranger), BODY),
        changed("the log of another corridor", "log", &|r| r.corridor = "xb".into()),
        changed("another entry", "proof", &|r| r.entry = r.entry.replace("2027-01-01", "2027-01-02")),
        changed("two nodes of the proof change places", "proof", &|r| r.proof.swap(0, 1)),
        changed("a proof cut short", "proof", &|r| drop(r.proof.pop())),
        changed("another index", "proof", &|r| r.index = 8),
        shown("another body", Some("opening"), receipt(9, 11, &keys.log), &format!("{BODY}\n")),
        changed("no opening", "opening", &|r| r.opening = None)
    ])
}

/// The vectors with every verdict turned round and false texts to compare with, and how each line about them must begin.
pub(super) fn falsified(vectors: &Value) -> (Value, Vec<String>) {
    let mut changed = vectors.clone();
    let mut told: Vec<String> =
        ["digest 2", "base request", "base answer"].map(|part| format!("FAILED: {part}: ")).into();
    changed["digests"][2]["body"] = json!("?");
    changed["request"]["base"] = json!("\"@method\": GET");
    changed["answers"][0]["base"] = json!("\"@status\": 201");
    let lists = [("signature", "signatures"), ("answer", "answers"), ("opening", "openings"), ("receipt", "receipts")];
    for (part, list) in lists {
        for (n, one) in changed[list].as_array_mut().unwrap().iter_mut().enumerate() {
            match one.get("holds").cloned() {
                Some(holds) => one["holds"] = json!(holds != true),
                None if one["fails"].is_null() => one["fails"] = json!("signature"),
                None => one["fails"] = Value::Null,
            }
            told.push(format!("FAILED: {part} {n}: "));
        }
    }
    (changed, told)
}

/// That a signature of the file is one by the key of the file, whatever made it.
#[test]
fn the_signature_is_by_the_public_key_in_the_file() {
    let vectors: Value = serde_json::from_slice(&std::fs::read("partners/samples/vectors.json").unwrap()).unwrap();
    let spki = B64.decode(vectors["keys"]["client"]["spki"].as_str().unwrap()).unwrap();
    let key = VerifyingKey::from_spki_pem("k", pem("PUBLIC KEY", &spki).as_bytes()).unwrap();
    let base = vectors["request"]["base"].as_str().unwrap();
    for one in vectors["signatures"].as_array().unwrap() {
        let signature = B64.decode(one["signature"].as_str().unwrap()).unwrap();
        assert_eq!(key.verifies(Usage::Http, base.as_bytes(), &signature), one["holds"] == true, "{}", one["about"]);
    }
}
