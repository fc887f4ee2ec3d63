//! Bad input at the channel port: each has its own clear problem, and nothing of it is stored.

use crate::support::{
    Databases,
    gateway::{TestGateway, event},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as B64URL};
use http::{HeaderMap, HeaderValue, Method};
use onechannel::{
    app::system::{SystemClock, SystemRandom},
    domain::clock::Clock,
    sandbox::{pki::ClientFiles, system::System},
    trust::{
        assertion, digest,
        httpsig::{self, RequestParts},
        keys::{SigningKey, Usage},
        tls,
    },
};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use std::sync::Arc;
use time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SINGLE: &str = "application/cloudevents+json";

async fn post(system: &System, headers: HeaderMap, body: Vec<u8>) -> (u16, String, Value) {
    let uri = format!("{}/v1/messages", system.base);
    let answer = system.http.post(uri).headers(headers).body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    let word = body["type"].as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default().to_owned();
    assert!(body["instance"].is_string() || status < 300, "an error id: {body}");
    (status, word, body)
}

fn sign(system: &System, token: &str, body: &[u8]) -> HeaderMap {
    system.sign(&Method::POST, &format!("{}/v1/messages", system.base), token, SINGLE, body).unwrap().0
}

fn bytes() -> Vec<u8> {
    event("movement.arrived.v1", "P-IMM", |_| ()).to_string().into_bytes()
}

async fn stored(databases: &Databases) -> i64 {
    sqlx::query_scalar("select count(*) from messages").fetch_one(&databases.owner).await.unwrap()
}

#[tokio::test]
async fn signature_digest_and_nonce_faults_are_told_apart_and_store_nothing() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    let token = my.fresh_token().await.unwrap();
    let uri = format!("{}/v1/messages", my.base);
    let body = bytes();
    let case = async |headers: HeaderMap, body: &[u8]| {
        let (status, word, body) = post(&my, headers, body.to_vec()).await;
        (status, word, body["reason"].as_str().unwrap_or_default().to_owned(), body)
    };
    let told = |found: &(u16, String, String, Value)| (found.0, found.1.clone(), found.2.clone());
    let is = |status: u16, word: &str, reason: &str| (status, word.to_owned(), reason.to_owned());

    let mut unsigned = sign(&my, &token, &body);
    unsigned.remove("signature");
    unsigned.remove("signature-input");
    assert_eq!(told(&case(unsigned, &body).await), is(401, "signature-invalid", "signature-missing"));

    let mut changed = body.clone();
    let at = changed.iter().position(|byte| *byte == b'K').unwrap();
    changed[at] = b'J';
    assert_eq!(told(&case(sign(&my, &token, &body), &changed).await), is(400, "digest-mismatch", "digest-mismatch"));

    let mut other_digest = sign(&my, &token, &body);
    other_digest.insert("content-digest", HeaderValue::from_str(&digest::content_digest(&changed)).unwrap());
    let found = case(other_digest, &changed).await;
    assert_eq!(told(&found), is(401, "signature-invalid", "signature-invalid"));
    let base = found.3["signature_base"].as_str().unwrap();
    assert!(base.contains("\"@method\": POST") && !base.contains(&token), "the base helps and holds no token: {base}");

    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    headers.insert("content-type", HeaderValue::from_static(SINGLE));
    headers.insert("content-digest", HeaderValue::from_str(&digest::content_digest(&body)).unwrap());
    for (shift, reason) in [(-120, "created-too-old"), (120, "created-in-future")] {
        let parts = RequestParts { method: &Method::POST, target_uri: &uri, headers: &headers, has_body: true };
        let when = SystemClock.now() + Duration::seconds(shift);
        let (fields, _) =
            httpsig::sign_request(&my.signing, &parts, &httpsig::fresh_nonce(&SystemRandom), when).unwrap();
        let mut shifted = headers.clone();
        fields.insert_into(&mut shifted);
        assert_eq!(told(&case(shifted, &body).await), is(401, "request-too-old", reason));
    }

    let mut twice = sign(&my, &token, &body);
    let second = sign(&my, &token, &body);
    for name in ["signature", "signature-input"] {
        let value = second[name].to_str().unwrap().replacen("sig1", "sig2", 1).replacen("sig=", "sig2=", 1);
        twice.append(name, HeaderValue::from_str(&value).unwrap());
    }
    assert_eq!(told(&case(twice, &body).await), is(401, "signature-invalid", "two-signatures"));
    assert_eq!(stored(&gateway.databases).await, 0);

    let once = sign(&my, &token, &body);
    assert_eq!(case(once.clone(), &body).await.0, 201);
    assert_eq!(told(&case(once.clone(), &body).await), is(401, "replayed-nonce", ""));
    assert_eq!(gateway.stop_and_verify().await, 1);
}

fn forged(key: &SigningKey, header: Value, claims: Value) -> String {
    let text = format!("{}.{}", B64URL.encode(header.to_string()), B64URL.encode(claims.to_string()));
    let signature = key.sign(Usage::Jose, text.as_bytes()).unwrap();
    format!("{text}.{}", B64URL.encode(signature))
}

#[tokio::test]
async fn a_token_that_is_not_ours_not_bound_or_not_theirs_opens_nothing() {
    let mut gateway = TestGateway::start().await;
    let (my, sa) = (gateway.system("my-gateway"), gateway.system("sa-gateway"));
    let pem = std::fs::read(&gateway.stand.pki.signing).unwrap();
    let key = SigningKey::from_pkcs8_pem(Some("gateway-sign-1"), &pem).unwrap();
    let good = my.fresh_token().await.unwrap();
    let claims: Value = serde_json::from_slice(&B64URL.decode(good.split('.').nth(1).unwrap()).unwrap()).unwrap();
    let header = json!({"alg": "EdDSA", "kid": "gateway-sign-1", "typ": "at+jwt"});
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        if claims[name].is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
        forged(&key, header.clone(), claims)
    };
    let alg = |name: &str| forged(&key, json!({"alg": name, "kid": "gateway-sign-1", "typ": "at+jwt"}), claims.clone());
    let now = SystemClock.now().unix_timestamp();
    let cases = [
        (with("cnf", Value::Null), 401, "token-invalid", "cnf-missing"),
        (with("exp", json!(now - 10)), 401, "token-expired", "token-expired"),
        (with("aud", json!("https://elsewhere.example")), 401, "token-invalid", "aud-wrong"),
        (with("iss", json!("https://elsewhere.example")), 401, "token-invalid", "iss-wrong"),
        (alg("none"), 401, "token-invalid", "alg-wrong"),
        (alg("RS256"), 401, "token-invalid", "alg-wrong"),
        (alg("HS256"), 401, "token-invalid", "alg-wrong"),
        (
            forged(&key, json!({"alg": "EdDSA", "kid": "gateway-sign-1", "typ": "JWT"}), claims.clone()),
            401,
            "token-invalid",
            "typ-wrong",
        ),
        (sa.fresh_token().await.unwrap(), 401, "certificate-mismatch", "cnf-mismatch"),
        ("nonsense".to_owned(), 401, "token-invalid", "token-malformed"),
    ];
    for (token, status, word, reason) in cases {
        let body = bytes();
        let found = post(&my, sign(&my, &token, &body), body).await;
        assert_eq!((found.0, found.1.as_str(), found.2["reason"].as_str().unwrap()), (status, word, reason));
    }
    let wrong_form =
        my.http.post(format!("{}/oauth2/token", my.base)).header("content-type", "application/x-www-form-urlencoded");
    let answer = wrong_form.body("grant_type=client_credentials&client_id=sa-gateway").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.json::<Value>().await.unwrap()["error"], "invalid_client");
    assert_eq!(stored(&gateway.databases).await, 0);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_suspended_client_and_a_revoked_token_are_refused_at_once() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    let pool = &running.journal.channel;
    let token = my.fresh_token().await.unwrap();
    let send = async |token: &str| {
        let body = bytes();
        let found = post(&my, sign(&my, token, &body), body).await;
        (found.0, found.1)
    };
    assert_eq!(send(&token).await.0, 201);
    let claims: Value = serde_json::from_slice(&B64URL.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
    let until = running.now() + Duration::minutes(5);
    onechannel::store::access::revoke_token(pool, claims["jti"].as_str().unwrap(), until).await.unwrap();
    assert_eq!(send(&token).await, (401, "token-invalid".to_owned()));
    let fresh = my.fresh_token().await.unwrap();
    onechannel::store::access::suspend(pool, "my", true, "test", running.now()).await.unwrap();
    assert_eq!(send(&fresh).await, (403, "client-suspended".to_owned()));
    assert!(my.fresh_token().await.is_err());
    onechannel::store::access::suspend(pool, "my", false, "test", running.now()).await.unwrap();
    assert_eq!(send(&fresh).await.0, 201);
    assert_eq!(gateway.stop_and_verify().await, 2);
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_whole() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    let good = String::from_utf8(bytes()).unwrap();
    let cases: [(Vec<u8>, u16, &str, &str); 7] = [
        (good.replacen("\"id\"", "\"id\":\"x\",\"id\"", 1).into(), 400, "invalid-json", "duplicate-name"),
        ([b"\xEF\xBB\xBF", good.as_bytes()].concat(), 400, "invalid-json", "byte-order-mark"),
        ([&good.as_bytes()[..20], b"\xC3\x28"].concat(), 400, "invalid-json", "not-utf8"),
        ("[".repeat(100_000).into(), 400, "invalid-json", "too-deep"),
        (good.as_bytes()[..good.len() - 5].into(), 400, "invalid-json", "syntax"),
        (b"{\"a\":9007199254740993}".to_vec(), 400, "invalid-json", "number-too-large"),
        (vec![b' '; 2 << 20], 413, "payload-too-large", "body"),
    ];
    for (body, status, word, reason) in cases {
        let token = my.fresh_token().await.unwrap();
        let found = post(&my, sign(&my, &token, &body), body).await;
        assert_eq!((found.0, found.1.as_str(), found.2["reason"].as_str().unwrap()), (status, word, reason));
    }
    let token = my.fresh_token().await.unwrap();
    let mut zipped = sign(&my, &token, good.as_bytes());
    zipped.insert("content-encoding", HeaderValue::from_static("gzip"));
    assert_eq!(post(&my, zipped, good.clone().into()).await.1, "encoding-unsupported");
    let mut other = sign(&my, &token, good.as_bytes());
    other.insert("content-type", HeaderValue::from_static("text/xml"));
    assert_eq!(post(&my, other, good.into()).await.0, 401, "the content type is signed");
    let text = my.call(Method::POST, "/v1/messages", "text/xml", b"<a/>".to_vec()).await.unwrap();
    assert_eq!(text.status, 415);
    for (method, path, status) in [(Method::DELETE, "/v1/messages", 405), (Method::GET, "/v1/nowhere", 404)] {
        let answer = my.http.request(method, format!("{}{path}", my.base)).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    assert_eq!(stored(&gateway.databases).await, 0);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_body_that_stops_coming_ends_the_request() {
    let mut gateway = TestGateway::prepare(Databases::fresh().await).await;
    gateway.config.limits.body_s = 1;
    gateway.serve().await;
    let files = &gateway.stand.pki.clients["my-gateway"];
    let root = CertificateDer::from_pem_file(&gateway.stand.pki.ca).unwrap();
    let chain = vec![CertificateDer::from_pem_file(&files.client_cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&files.client_key).unwrap();
    let mut config =
        tls::client_config(&[root], chain, key, Arc::new(SystemClock), tls::KeyExchange::PreferHybrid).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = tokio::net::TcpStream::connect(gateway.config.channel_listen).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let host = gateway.config.external.trim_start_matches("https://");
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: {host}\r\ncontent-type: {SINGLE}\r\ncontent-length: 1000\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request-timeout"), "{answer}");
    assert_eq!(stored(&gateway.databases).await, 0);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_handshake_that_fails_is_on_record_with_its_cause() {
    let mut gateway = TestGateway::start().await;
    let files = gateway.stand.pki.clients["my-gateway"].clone();
    let root = CertificateDer::from_pem_file(&gateway.stand.pki.ca).unwrap();
    let public = gateway.folder.join("pki/gateway-sign.pub.pem");
    let own = |name: &str, change: fn(&mut CertificateParams)| {
        let mut params = CertificateParams::new(vec!["gateway.my.example".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let [cert, secret] = ["pem", "key"].map(|end| gateway.folder.join(format!("{name}.{end}")));
        std::fs::write(&cert, certificate.pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        ClientFiles { client_cert: cert, client_key: secret, ..files.clone() }
    };
    let stranger = own("stranger", |_| ());
    let system =
        System::new(&gateway.config.external, &gateway.stand.pki.ca, &stranger, &public, "gateway-sign-1").unwrap();
    assert!(system.fresh_token().await.is_err());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let nobody =
        rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    let nobody = nobody.unwrap().with_root_certificates(roots).with_no_client_auth();
    let http = onechannel::sandbox::system::client(nobody).unwrap();
    assert!(http.get(format!("{}/.well-known/jwks.json", gateway.config.external)).send().await.is_err());
    gateway.running.take().unwrap().stop().await;
    // The counts are written beside the connections: they are there soon, or this test fails.
    for _ in 0..2_000 {
        let causes: Vec<String> = sqlx::query_scalar("select cause from rejected_handshakes order by cause")
            .fetch_all(&gateway.databases.owner)
            .await
            .unwrap();
        if causes == ["certificate-missing", "certificate-unknown-issuer"] {
            return;
        }
    }
    panic!("the causes are not on record");
}

#[tokio::test]
async fn another_corridors_ledger_is_not_shown() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    my.send(&event("movement.arrived.v1", "P-IMM", |_| ())).await.unwrap();
    let read = async |query: &str| {
        let answer = my.http.get(format!("{}/v1/ledger/checkpoint{query}", my.base)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, note) = read("").await;
    assert!(status == 200 && note.starts_with("gateway.onechannel.example/test/my\n1\n"), "{note}");
    assert_eq!(read("?corridor=sa").await.0, 403);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn anothers_field_is_kept_as_a_claim_and_a_person_is_told() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    let worker = json!({"name": {"full": "Dewi Ayu RATNASARI"}, "birthDate": {"value": "1996-02-29", "precision": "DAY"},
        "sex": "F", "nationality": "IDN"});
    let echo = event("movement.arrived.v1", "P-IMM", |e| e["data"]["worker"] = worker.clone());
    my.send(&echo).await.unwrap();
    let exceptions = async |gateway: &TestGateway| -> Vec<String> {
        sqlx::query_scalar("select unnest(exceptions) from subjects order by 1")
            .fetch_all(&gateway.databases.owner)
            .await
            .unwrap()
    };
    assert_eq!(exceptions(&gateway).await, ["GHOST_ARRIVAL"], "an echo is ignored");
    let other = event("movement.arrived.v1", "P-IMM", |e| {
        e["data"]["worker"] = worker.clone();
        e["data"]["worker"]["birthDate"]["value"] = json!("1998-02-28");
    });
    assert_eq!(my.send(&other).await.unwrap().body["outcome"], "applied");
    assert_eq!(exceptions(&gateway).await, ["DISAGREEMENT", "GHOST_ARRIVAL"]);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_signed_assertion_gives_a_token_once() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    let ask = async |audience: &str, jti: &str| {
        let jwt = assertion::issue(&my.signing, audience, "my-gateway", jti, SystemClock.now()).unwrap();
        let form = format!(
            "grant_type=client_credentials&client_assertion_type={}&client_assertion={jwt}",
            assertion::ASSERTION_TYPE.replace(':', "%3A")
        );
        let request = my.http.post(format!("{}/oauth2/token", my.base));
        let answer =
            request.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, issued) = ask(&my.base, "j-1").await;
    assert_eq!(status, 200, "{issued}");
    let token = issued["access_token"].as_str().unwrap().to_owned();
    let body = bytes();
    assert_eq!(post(&my, sign(&my, &token, &body), body).await.0, 201);
    assert_eq!(ask(&my.base, "j-1").await.1["error_description"], "the assertion's jti was used before");
    assert_eq!(ask("https://elsewhere.example", "j-2").await.1["error_description"], "aud-wrong");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_to_wait() {
    let mut gateway = TestGateway::prepare(Databases::fresh().await).await;
    gateway.config.limits.requests_per_s = std::num::NonZeroU32::new(2).unwrap();
    gateway.serve().await;
    let my = gateway.system("my-gateway");
    let token = my.fresh_token().await.unwrap();
    let mut last = (0, String::new());
    for _ in 0..8 {
        let body = bytes();
        let answer = my.http.post(format!("{}/v1/messages", my.base)).headers(sign(&my, &token, &body)).body(body);
        let answer = answer.send().await.unwrap();
        let after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        last = (answer.status().as_u16(), after.unwrap_or_default());
        if last.0 == 429 {
            break;
        }
    }
    assert_eq!(last, (429, "1".to_owned()));
    gateway.stop_and_verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_names_a_person_stands_in_the_log() {
    let mut gateway = TestGateway::prepare(Databases::fresh().await).await;
    let log = gateway.folder.join("log");
    let mut serve = std::process::Command::new(env!("CARGO_BIN_EXE_onechannel"));
    serve.args(["serve", "--config"]).arg(&gateway.stand.config).env("RUST_LOG", "trace");
    let mut process =
        serve.stdout(std::process::Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let kp2mi = gateway.system("kp2mi-system");
    let nominated = event("placement.nominated.v1", "KP2MI", |e| e["data"]["worker"]["sex"] = json!("Q"));
    let refused = loop {
        if let Ok(reply) = kp2mi.send(&nominated).await {
            break reply;
        }
    };
    assert_eq!(refused.status, 422);
    let taken = kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    let token = kp2mi.fresh_token().await.unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    let error_id = refused.body["instance"].as_str().unwrap().trim_start_matches("urn:uuid:").to_owned();
    assert!(taken.status == 201 && text.len() > 1_000 && text.contains(&error_id), "the log has the error id");
    for secret in
        ["RATNASARI", "E7654321", "3201016902960001", "+628120000001", "OCS-00017", &token[token.len() - 40..]]
    {
        assert!(!text.contains(secret), "{secret}");
    }
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn an_authority_speaks_only_while_it_has_its_mandate() {
    let mut gateway = TestGateway::start().await;
    let kp2mi = gateway.system("kp2mi-system");
    // It took over on 2024-11-05, which began in its zone seven hours before it did in UTC.
    for (n, (time, outcome)) in
        [("2024-11-04T16:59:59Z", "refused"), ("2024-11-04T17:00:00Z", "applied")].into_iter().enumerate()
    {
        let nominated = event("placement.nominated.v1", "KP2MI", |e| {
            e["id"] = format!("mandate-{n}").into();
            e["time"] = time.into();
        });
        let answer = kp2mi.send(&nominated).await.unwrap();
        let rule = answer.body["violations"][0]["rule"].as_str();
        assert_eq!(answer.body["receipt"]["outcome"], outcome, "{}", answer.body);
        assert_eq!(rule == Some("authority-mandate"), outcome == "refused", "{}", answer.body);
    }
    gateway.stop_and_verify().await;
}
