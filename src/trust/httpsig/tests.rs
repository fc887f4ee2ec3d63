//! The RFC's own vectors, then our profile's round trip, then one refusal a test line.

use super::super::{
    digest,
    keys::{Algorithm, tests as pems, tests::fresh},
};
use super::*;
use sfv::{InnerList, ListEntry, Parser};
use time::{Duration, macros::datetime};

const NOW: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);
const URI: &str = "https://gateway.example/v1/messages?x=1";
const BODY: &[u8] = br#"{"a":1}"#;
const TOKEN: &str = "Bearer secret.token.text";

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

fn list(text: &str) -> InnerList {
    match Parser::new(text).parse::<sfv::List>().unwrap().remove(0) {
        ListEntry::InnerList(list) => list,
        ListEntry::Item(_) => panic!("not an inner list"),
    }
}

/// RFC 9421 B.2 test-request.
fn rfc_request() -> HeaderMap {
    headers(&[
        ("host", "example.com"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-length", "18"),
    ])
}

#[test]
fn rfc_9421_b_2_6_request_by_ed25519() {
    let key = SigningKey::from_pkcs8_pem(Some("test-key-ed25519"), pems::RFC_ED25519.as_bytes()).unwrap();
    let headers = rfc_request();
    let target_uri = "https://example.com/foo?param=Value&Pet=dog";
    let parts = RequestParts { method: &Method::POST, target_uri, headers: &headers, has_body: true };
    let input = r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#;
    let base = Source::Request(&parts).base(&list(input), false).unwrap();
    let expected = format!(
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\"@authority\": example.com\n\
         \"content-type\": application/json\n\"content-length\": 18\n\"@signature-params\": {input}"
    );
    assert_eq!(base, expected);
    let signature = key.sign(Usage::Http, base.as_bytes()).unwrap();
    assert_eq!(
        B64.encode(&signature),
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    );
    assert!(key.verifying_key().verifies(Usage::Http, base.as_bytes(), &signature));
}

#[test]
fn rfc_9421_b_2_4_response_by_ecdsa_p256() {
    let digest = "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:";
    let fields = headers(&[("content-type", "application/json"), ("content-digest", digest), ("content-length", "23")]);
    digest::verify(&fields, br#"{"message": "good dog"}"#).unwrap();
    let parts = ResponseParts { status: StatusCode::OK, headers: &fields, has_body: true };
    let nothing = HeaderMap::new();
    let request = RequestParts { method: &Method::GET, target_uri: URI, headers: &nothing, has_body: false };
    let input =
        r#"("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256""#;
    let base = Source::Response(&parts, &RequestBinding::presented(&request)).base(&list(input), false).unwrap();
    assert_eq!(
        base,
        format!(
            "\"@status\": 200\n\"content-type\": application/json\n\"content-digest\": {digest}\n\"content-length\": 23\n\"@signature-params\": {input}"
        )
    );
    let key = VerifyingKey::from_spki_pem("test-key-ecc-p256", pems::RFC_P256_PUBLIC.as_bytes()).unwrap();
    let signature =
        B64.decode("wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==").unwrap();
    assert!(key.verifies(Usage::Http, base.as_bytes(), &signature));
}

#[test]
fn fields_of_several_lines_are_trimmed_and_joined() {
    let mut fields = headers(&[("x-list", " a ")]);
    fields.append("x-list", "b".parse().unwrap());
    fields.insert("x-empty", "".parse().unwrap());
    let parts = RequestParts { method: &Method::GET, target_uri: URI, headers: &fields, has_body: false };
    let base = Source::Request(&parts).base(&list(r#"("x-list" "x-empty" "@query")"#), false).unwrap();
    assert!(base.starts_with("\"x-list\": a, b\n\"x-empty\": \n\"@query\": ?x=1\n"), "{base}");
}

fn unsigned() -> HeaderMap {
    headers(&[
        ("authorization", TOKEN),
        ("content-type", "application/cloudevents+json"),
        ("content-digest", &digest::content_digest(BODY)),
    ])
}

fn parts(headers: &HeaderMap) -> RequestParts<'_> {
    RequestParts { method: &Method::POST, target_uri: URI, headers, has_body: true }
}

fn signed(key: &SigningKey) -> (HeaderMap, RequestBinding) {
    let mut headers = unsigned();
    let (fields, binding) = sign_request(key, &parts(&headers), "nonce-1", NOW).unwrap();
    fields.insert_into(&mut headers);
    (headers, binding)
}

fn check(headers: &HeaderMap, key: &Arc<VerifyingKey>, now: OffsetDateTime) -> Result<VerifiedRequest, SignatureFault> {
    verify_request(&parts(headers), |kid| (kid == key.kid()).then(|| Arc::clone(key)), now)
}

/// Signs an input written by hand, as a peer with habits of its own would.
fn by_hand(key: &SigningKey, fields: &HeaderMap, input: &str) -> HeaderMap {
    let mut headers = fields.clone();
    let base = Source::Request(&parts(&headers)).base(&list(input), false);
    let signature = key.sign(Usage::Http, base.unwrap_or_default().as_bytes()).unwrap();
    headers.insert(SIGNATURE_INPUT, format!("any={input}").parse().unwrap());
    headers.insert(SIGNATURE, format!("any=:{}:", B64.encode(signature)).parse().unwrap());
    headers
}

const COVERED: &str = r#"("@method" "@target-uri" "authorization" "content-type" "content-digest")"#;

#[test]
fn a_request_and_its_answer_verify_with_each_algorithm() {
    for algorithm in [Algorithm::Ed25519, Algorithm::Es256, Algorithm::Ps256] {
        let (client, client_public) = fresh(algorithm, "client");
        let (ours, ours_public) = fresh(algorithm, "ours");
        let (headers, sent) = signed(&client);
        let verified = check(&headers, &client_public, NOW).unwrap();
        assert_eq!(
            (verified.nonce.as_str(), verified.keyid.as_str(), verified.created),
            ("nonce-1", "client", NOW.unix_timestamp())
        );
        assert_eq!(verified.binding, sent);
        assert_eq!(RequestBinding::presented(&parts(&headers)), sent);

        let answer = br#"{"receipt":1}"#;
        let mut fields =
            self::headers(&[("content-type", "application/json"), ("content-digest", &digest::content_digest(answer))]);
        let unsigned = ResponseParts { status: StatusCode::CREATED, headers: &fields, has_body: true };
        let signature = sign_response(&ours, &unsigned, &verified.binding, NOW).unwrap();
        signature.insert_into(&mut fields);
        let read = |status, binding: &RequestBinding| {
            let parts = ResponseParts { status, headers: &fields, has_body: true };
            verify_response(&parts, binding, |_| Some(Arc::clone(&ours_public)), NOW)
        };
        assert_eq!(read(StatusCode::CREATED, &sent).unwrap().keyid, "ours");
        assert_eq!(read(StatusCode::OK, &sent).unwrap_err().refusal, Refusal::Invalid);
        let other = RequestBinding { signature: Some(("sig".to_owned(), vec![0; 64])), ..sent.clone() };
        assert_eq!(read(StatusCode::CREATED, &other).unwrap_err().refusal, Refusal::Invalid);
        let other = RequestBinding { target_uri: "https://gateway.example/else".to_owned(), ..sent };
        assert_eq!(read(StatusCode::CREATED, &other).unwrap_err().refusal, Refusal::Invalid);
    }
}

#[test]
fn an_answer_without_body_to_a_request_without_body() {
    let (client, public) = fresh(Algorithm::Ed25519, "client");
    let mut fields = headers(&[("authorization", TOKEN)]);
    let request = RequestParts { method: &Method::GET, target_uri: URI, headers: &fields, has_body: false };
    let (signature, binding) = sign_request(&client, &request, "n", NOW).unwrap();
    signature.insert_into(&mut fields);
    let request = RequestParts { method: &Method::GET, target_uri: URI, headers: &fields, has_body: false };
    assert!(verify_request(&request, |_| Some(Arc::clone(&public)), NOW).is_ok());
    let mut fields = HeaderMap::new();
    let parts = ResponseParts { status: StatusCode::NOT_MODIFIED, headers: &HeaderMap::new(), has_body: false };
    sign_response(&client, &parts, &binding, NOW).unwrap().insert_into(&mut fields);
    let parts = ResponseParts { headers: &fields, ..parts };
    assert!(verify_response(&parts, &binding, |_| Some(Arc::clone(&public)), NOW).is_ok());
}

#[test]
fn an_unbound_answer_is_refused() {
    let (client, public) = fresh(Algorithm::Ed25519, "client");
    let (_, sent) = signed(&client);
    let unbound = RequestBinding { signature: None, ..sent.clone() };
    let mut fields = HeaderMap::new();
    let parts = ResponseParts { status: StatusCode::NO_CONTENT, headers: &HeaderMap::new(), has_body: false };
    sign_response(&client, &parts, &unbound, NOW).unwrap().insert_into(&mut fields);
    let parts = ResponseParts { headers: &fields, ..parts };
    let fault = verify_response(&parts, &sent, |_| Some(Arc::clone(&public)), NOW).unwrap_err();
    assert_eq!(fault.refusal, Refusal::NotCovered("\"signature\";req"));
    let parts = ResponseParts { has_body: true, ..parts };
    let fault = verify_response(&parts, &sent, |_| Some(Arc::clone(&public)), NOW).unwrap_err();
    assert_eq!(fault.refusal, Refusal::NotCovered("content-type"));
}

#[test]
fn created_is_taken_from_60_s_ago_to_10_s_ahead() {
    let (key, public) = fresh(Algorithm::Ed25519, "k");
    let (headers, _) = signed(&key);
    for (seconds, refusal) in
        [(60, None), (61, Some(Refusal::CreatedTooOld)), (-10, None), (-11, Some(Refusal::CreatedInFuture))]
    {
        let result = check(&headers, &public, NOW + Duration::seconds(seconds));
        assert_eq!(result.err().map(|fault| fault.refusal), refusal, "{seconds}");
    }
}

#[test]
fn parameters_that_are_missing_or_wrong_are_named() {
    let (key, public) = fresh(Algorithm::Ed25519, "k");
    let at = NOW.unix_timestamp();
    let long = "n".repeat(65);
    let cases = [
        (r#";keyid="k";nonce="n";tag="fapi-2-request""#.to_owned(), "created-missing"),
        (format!(r#";created={at};keyid="k";tag="fapi-2-request""#), "nonce-missing"),
        (format!(r#";created={at};keyid="k";nonce="";tag="fapi-2-request""#), "nonce-malformed"),
        (format!(r#";created={at};keyid="k";nonce="{long}";tag="fapi-2-request""#), "nonce-malformed"),
        (format!(r#";created={at};nonce="n";tag="fapi-2-request""#), "unknown-key"),
        (format!(r#";created={at};keyid="else";nonce="n";tag="fapi-2-request""#), "unknown-key"),
        (format!(r#";created={at};keyid="k";nonce="n";alg="rsa-v1_5-sha256";tag="fapi-2-request""#), "alg-wrong"),
        (format!(r#";created={at};keyid="k";nonce="n";alg=ed25519;tag="fapi-2-request""#), "alg-wrong"),
        (format!(r#";created={at};expires={at};keyid="k";nonce="n";tag="fapi-2-request""#), "signature-expired"),
        (format!(r#";created={at};keyid="k";nonce="n""#), "signature-missing"),
        (format!(r#";created={at};keyid="k";nonce="n";tag="other""#), "signature-missing"),
        (format!(r#";created={at};expires={};keyid="k";nonce="n";alg="ed25519";tag="fapi-2-request""#, at + 9), "ok"),
    ];
    for (parameters, reason) in cases {
        let headers = by_hand(&key, &unsigned(), &format!("{COVERED}{parameters}"));
        let got = check(&headers, &public, NOW).map_or_else(|fault| fault.refusal.reason(), |_| "ok");
        assert_eq!(got, reason, "{parameters}");
    }
}

#[test]
fn coverage_is_required_and_odd_components_are_refused() {
    let (key, public) = fresh(Algorithm::Ed25519, "k");
    let parameters = format!(r#";created={};keyid="k";nonce="n";tag="fapi-2-request""#, NOW.unix_timestamp());
    let cases = [
        (COVERED.replace(r#" "authorization""#, ""), "component-not-covered"),
        (COVERED.replace(r#" "content-digest""#, ""), "component-not-covered"),
        (COVERED.replace(r#" "content-type""#, ""), "component-not-covered"),
        (COVERED.replace(r#""@method" "#, ""), "component-not-covered"),
        (COVERED.replace("@target-uri", "@path"), "component-not-covered"),
        (COVERED.replace(r#""authorization""#, r#""authorization";req"#), "component-not-covered"),
        (COVERED.replace(')', r#" "@method")"#), "component-unsupported"),
        (COVERED.replace(')', r#" "Content-Type")"#), "component-unsupported"),
        (COVERED.replace(')', r#" "@status")"#), "component-unsupported"),
        (COVERED.replace(')', r#" "content-type";sf)"#), "component-unsupported"),
        (COVERED.replace(')', r#" "x-absent")"#), "component-absent"),
        (COVERED.replace(')', &r#" "x-absent""#.repeat(40)) + ")", "signature-malformed"),
        (COVERED.replace(')', r#" "@authority" "@scheme" "@path" "@query")"#), "ok"),
    ];
    for (covered, reason) in cases {
        let headers = by_hand(&key, &unsigned(), &format!("{covered}{parameters}"));
        let got = check(&headers, &public, NOW).map_or_else(|fault| fault.refusal.reason(), |_| "ok");
        assert_eq!(got, reason, "{covered}");
    }
}

#[test]
fn two_of_ours_are_refused_and_others_ignored() {
    let (key, public) = fresh(Algorithm::Ed25519, "k");
    let (headers, _) = signed(&key);
    let mut beside = headers.clone();
    beside.append(SIGNATURE_INPUT, r#"proxy=("@method";bs);tag="proxy", odd=1"#.parse().unwrap());
    beside.append(SIGNATURE, "proxy=:AAAA:".parse().unwrap());
    assert!(check(&beside, &public, NOW).is_ok());
    let mut two = headers.clone();
    let again = two[SIGNATURE_INPUT].to_str().unwrap().replacen("sig=", "two=", 1);
    two.append(SIGNATURE_INPUT, again.parse().unwrap());
    assert_eq!(check(&two, &public, NOW).unwrap_err().refusal, Refusal::TwoSignatures);
}

#[test]
fn a_changed_message_fails_and_shows_the_base_without_the_token() {
    let (key, public) = fresh(Algorithm::Ed25519, "k");
    let (headers, _) = signed(&key);
    for (name, value) in
        [("content-type", "text/plain"), ("content-digest", "sha-256=:AAAA:"), ("authorization", "Bearer stolen")]
    {
        let mut changed = headers.clone();
        changed.insert(name, value.parse().unwrap());
        let fault = check(&changed, &public, NOW).unwrap_err();
        assert_eq!(fault.refusal, Refusal::Invalid, "{name}");
        let base = fault.base.unwrap();
        assert!(
            base.starts_with(&format!("\"@method\": POST\n\"@target-uri\": {URI}\n\"authorization\": sha-256=:")),
            "{base}"
        );
        assert!(!base.contains("Bearer") && base.contains("\n\"@signature-params\": (\"@method\""), "{base}");
    }
    let other_method = RequestParts { method: &Method::PUT, ..parts(&headers) };
    assert!(verify_request(&other_method, |_| Some(Arc::clone(&public)), NOW).is_err());
    let other_target = RequestParts { target_uri: "https://gateway.example/v1/messages?x=2", ..parts(&headers) };
    assert!(verify_request(&other_target, |_| Some(Arc::clone(&public)), NOW).is_err());
    let (_, stranger) = fresh(Algorithm::Ed25519, "k");
    assert_eq!(check(&headers, &stranger, NOW).unwrap_err().refusal, Refusal::Invalid);
}

#[test]
fn malformed_fields_are_refused() {
    let (key, public) = fresh(Algorithm::Ed25519, "k");
    let (headers, _) = signed(&key);
    for (name, value, reason) in [
        (SIGNATURE_INPUT, "sig=(", "signature-malformed"),
        (SIGNATURE_INPUT, "sig=1", "signature-missing"),
        (SIGNATURE, "else=:AAAA:", "signature-malformed"),
        (SIGNATURE, "sig=\"AAAA\"", "signature-malformed"),
        (SIGNATURE, "sig=:AAAA:;x", "signature-malformed"),
        (SIGNATURE, "sig=:AAAA:", "signature-invalid"),
    ] {
        let mut changed = headers.clone();
        changed.insert(name, value.parse().unwrap());
        assert_eq!(check(&changed, &public, NOW).unwrap_err().refusal.reason(), reason, "{value}");
    }
    for name in [SIGNATURE_INPUT, SIGNATURE] {
        let mut changed = headers.clone();
        changed.remove(name);
        assert_eq!(check(&changed, &public, NOW).unwrap_err().refusal, Refusal::Missing);
    }
}

#[test]
fn signing_needs_its_fields() {
    let (key, _) = fresh(Algorithm::Ed25519, "k");
    let mut fields = unsigned();
    assert!(matches!(sign_request(&key, &parts(&fields), "a\"b", NOW), Err(SignFault::Absent("nonce"))));
    fields.remove("content-digest");
    assert!(matches!(sign_request(&key, &parts(&fields), "n", NOW), Err(SignFault::Absent("content-digest"))));
}
