//! A mock partner government, built from its folder alone: it is told over mutual TLS, checks our signature and its own wire
//! schema, answers in its style, is polled for what it has published, and pushes the records of its contract. It never uses the
//! mapper. Its [`faults`] are what real systems do on a bad day.

pub mod admin;
pub mod faults;
pub(super) mod listener;
pub mod log;
pub mod mirror;
pub mod push;
pub mod witness;

use super::pki::{self, Pki};
use crate::{
    app::system::SystemClock,
    client,
    domain::clock::Clock,
    ledger::{
        cosignature::Cosigner,
        note::{self, NoteSigner},
    },
    partner::{
        body::{self, Format},
        profile::{Profile, Refusal},
    },
    schema::wire::WireSchema,
    trust::{
        anchors::{PartyAnchors, TrustStore},
        assertion::{self, ASSERTION_TYPE},
        digest,
        httpsig::{self, RequestParts, ResponseParts},
        keys::{SigningKey, VerifyingKey},
        tls,
    },
};
use aws_lc_rs::signature::Ed25519KeyPair;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use faults::{Fault, Faults, Switches};
use listener::Tls;
use log::MockLog;
use mirror::MockMirror;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::TlsAcceptor;
use witness::MockWitness;

/// Records on one page of a poll.
const PAGE: usize = 200;

/// Calls for which a token is good, so that a client must ask again.
const TOKEN_CALLS: u32 = 50;

/// A mock partner and what it knows.
pub struct Mock {
    /// Its profile.
    pub profile: Profile,
    folder: PathBuf,
    base: String,
    /// Of what it is told, by path.
    schemas: HashMap<String, (Format, WireSchema)>,
    /// Of what it sends, by route.
    sends: HashMap<String, (Format, WireSchema)>,
    gateway: Arc<VerifyingKey>,
    signing: SigningKey,
    /// Signs what is forged, under the right key id.
    forger: SigningKey,
    switches: Switches,
    /// Cosigns the corridor's log, where its profile names a witness.
    pub witness: Option<MockWitness>,
    /// Its own log, where its profile names one.
    pub log: Option<MockLog>,
    /// Its copy of the corridor's log.
    pub mirror: MockMirror,
    told: Mutex<Vec<(String, Value)>>,
    published: Mutex<Vec<Value>>,
    /// The token given last, and how many calls it is still good for.
    token: Mutex<(String, u32)>,
    tokens: AtomicU64,
    refused: AtomicU64,
    calls: AtomicU32,
    /// Every n-th call meets a fault; 0 for none.
    trouble_every: AtomicU32,
}

impl Mock {
    /// Starts one on `listener`, with the credentials of `pki`; it ends when `stop` changes.
    ///
    /// # Errors
    /// A sentence.
    pub fn start(
        code: &str,
        pki: &Pki,
        listener: TcpListener,
        stop: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, String> {
        let folder = pki.partners.join(code);
        let text = |fault: &dyn std::fmt::Display| fault.to_string();
        let profile: Profile = crate::partner::read_toml(&folder.join("party.toml")).map_err(|fault| text(&fault))?;
        let outbound = profile.outbound.clone().ok_or("the party is not told anything")?;
        let wire = |name: &str| {
            let file = folder.join(format!("wire/{name}.schema.json"));
            WireSchema::load(&file).map_err(|fault| format!("{}: {fault}", file.display()))
        };
        let schemas = outbound
            .route
            .iter()
            .map(|route| Ok((route.path.clone(), (route.format.unwrap_or(outbound.format), wire(&route.mapping)?))));
        let sends = profile.inbound.iter().map(|one| Ok((one.route.clone(), (one.format, wire(&one.mapping)?))));
        let (schemas, sends) = (schemas.collect::<Result<_, String>>()?, sends.collect::<Result<_, String>>()?);
        let (chain, key, answer_key) = pki.mocks.get(code).ok_or("no credentials for this mock")?;
        let own_kid = outbound.answer_key.first().map(|key| key.kid.as_str());
        let pem = |path: &Path| std::fs::read(path).map_err(|fault| format!("{}: {fault}", path.display()));
        let signing = SigningKey::from_pkcs8_pem(own_kid, &pem(answer_key)?).map_err(|fault| text(&fault))?;
        let public = pki.signing.with_extension("pub.pem");
        let gateway = VerifyingKey::from_spki_pem("gateway-sign-1", &pem(&public)?).map_err(|fault| text(&fault))?;
        let forger = pki::ed25519().map_err(|fault| text(&fault))?.serialize_pem();
        let forger = SigningKey::from_pkcs8_pem(own_kid, forger.as_bytes()).map_err(|fault| text(&fault))?;
        let address = listener.local_addr().map_err(|fault| text(&fault))?;
        let seed = |path: &Path| {
            let seed = crate::app::config::hex_key(path)?;
            Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|fault| text(&fault))
        };
        let witness = match (&profile.witness, pki.witnesses.get(code)) {
            (Some(witness), Some(files)) => {
                let mut cosigner = Cosigner::new(&note_name(&files.public, note::WITNESS)?, seed(&files.seed)?);
                if let Some((seed, _)) = &files.ml_dsa {
                    let seed = crate::app::config::hex_key(seed)?;
                    cosigner = cosigner.with_ml_dsa(&seed).ok_or("the seed makes no ML-DSA-44 key")?;
                }
                Some(MockWitness::new(&witness.prefix, code, pki.log_keys.clone(), cosigner))
            }
            _ => None,
        };
        let log = match pki.logs.get(code) {
            Some((key, public)) => {
                let signer = NoteSigner::new(&note_name(public, note::LOG)?, seed(key)?);
                Some(MockLog::new(signer, pki.log_keys.clone()))
            }
            None => None,
        };
        let mock = Arc::new(Self {
            profile,
            folder,
            base: format!("https://localhost:{}", address.port()),
            schemas,
            sends,
            gateway: Arc::new(gateway),
            signing,
            forger,
            switches: Switches::default(),
            witness,
            log,
            mirror: MockMirror::new(pki.log_keys.clone()),
            told: Mutex::default(),
            published: Mutex::default(),
            token: Mutex::default(),
            tokens: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            calls: AtomicU32::new(0),
            trouble_every: AtomicU32::new(0),
        });
        let roots = client::certificates(Path::new(""), &[pki.ca.to_string_lossy().into_owned()]);
        let anchors = PartyAnchors {
            party: "gateway".into(),
            roots: roots.map_err(|fault| text(&fault))?,
            crls: Vec::new(),
            crl_grace: time::Duration::ZERO,
            crl_grace_until: None,
        };
        let trust = Arc::new(TrustStore::new(&[anchors]).map_err(|fault| text(&fault))?);
        let good = acceptor(&trust, chain, key)?;
        let (chain, key) = pki::expired(chain);
        let expired = if chain.is_file() { Some(acceptor(&trust, &chain, &key)?) } else { None };
        let routes = Router::new().fallback(answer).with_state(mock.clone());
        let shown = mock.clone();
        let pick = move || {
            let is_expired = shown.switches.now().has(Fault::ExpiredCertificate);
            expired.clone().filter(|_| is_expired).unwrap_or_else(|| good.clone())
        };
        let listener = Tls::new(listener, pick, |_| ()).map_err(|fault| text(&fault))?;
        tokio::spawn(async move {
            let mut stop = stop;
            let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
            tokio::select! {
                _ = axum::serve(listener, routes) => {}
                () = stopped => {}
            }
        });
        Ok(mock)
    }

    /// Its address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Publishes a record to be polled.
    pub fn publish(&self, record: Value) {
        self.published.lock().expect("no holder of this lock can panic").push(record);
    }

    /// (path, record) of everything it was told and took, repeats included.
    pub fn told(&self) -> Vec<(String, Value)> {
        self.told.lock().expect("no holder of this lock can panic").clone()
    }

    /// Records that it refused because they break its wire schema or carry no good signature.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// A token for an assertion of the gateway's key (RFC 7523), each valid for as many calls as [`TOKEN_CALLS`].
    fn token(&self, client_id: &str, audience: Option<&str>, body: &[u8]) -> (StatusCode, Value) {
        let form = body::read(Format::Form, &Value::Null, body).unwrap_or_default();
        let assertion = form["client_assertion"].as_str().unwrap_or_default();
        let keys = [self.gateway.clone()];
        let audience = audience.unwrap_or(&self.base);
        let proved = assertion::verify(assertion, audience, client_id, &keys, SystemClock.now());
        let grant = form["grant_type"] == "client_credentials" && form["client_assertion_type"] == ASSERTION_TYPE;
        let Some(proved) = proved.ok().filter(|_| grant) else {
            return (StatusCode::UNAUTHORIZED, json!({"error": "invalid_client"}));
        };
        self.tokens.fetch_add(1, Ordering::Relaxed);
        *self.token.lock().expect("no holder of this lock can panic") = (proved.jti.clone(), TOKEN_CALLS);
        (StatusCode::OK, json!({"access_token": proved.jti, "token_type": "Bearer", "expires_in": 300}))
    }

    /// Access tokens that it has given.
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }

    /// Whether a request carries the token that was given last and is not used up.
    fn admits(&self, headers: &HeaderMap) -> bool {
        let stated = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut token = self.token.lock().expect("no holder of this lock can panic");
        let good = !token.0.is_empty() && stated.strip_prefix("Bearer ") == Some(token.0.as_str()) && token.1 > 0;
        token.1 = token.1.saturating_sub(u32::from(good));
        good
    }

    /// Makes every n-th call meet a fault: maintenance or "try again".
    pub fn trouble_every(&self, n: u32) {
        self.trouble_every.store(n, Ordering::Relaxed);
    }

    /// Which faults are on.
    pub fn faults(&self) -> Faults {
        self.switches.now()
    }

    /// Switches faults.
    pub fn set_faults(&self, faults: Faults) {
        self.switches.set(faults);
    }

    fn in_trouble(&self) -> bool {
        let every = self.trouble_every.load(Ordering::Relaxed);
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        every > 0 && call.is_multiple_of(every)
    }

    fn take(&self, path: &str, headers: &HeaderMap, body: &[u8]) -> (StatusCode, Value) {
        let Some((format, schema)) = self.schemas.get(path) else {
            return self.no(StatusCode::NOT_FOUND, "no such path", "");
        };
        let stated = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let record = match body::read(*format, schema.schema(), body) {
            Ok(record) if format.is_media_type(stated) => record,
            Ok(_) => return self.no(StatusCode::UNSUPPORTED_MEDIA_TYPE, "another content type", ""),
            Err(_) => return self.no(StatusCode::BAD_REQUEST, "not of the agreed format", ""),
        };
        if let Some(fault) = schema.check(&record).first() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return self.no(StatusCode::UNPROCESSABLE_ENTITY, "the record breaks its schema", &fault.pointer);
        }
        if let Some(log) = &self.log {
            log.append(format!("{path} {record}").as_bytes());
        }
        self.told.lock().expect("no holder of this lock can panic").push((path.to_owned(), record));
        match &self.profile.outbound.as_ref().map(|outbound| &outbound.refusal) {
            Some(Refusal::Code { success, .. }) => (StatusCode::OK, self.envelope(*success, json!({}))),
            _ => (StatusCode::OK, json!({"status": "OK"})),
        }
    }

    fn no(&self, status: StatusCode, why: &str, pointer: &str) -> (StatusCode, Value) {
        match &self.profile.outbound.as_ref().map(|outbound| &outbound.refusal) {
            Some(Refusal::Code { .. }) => (StatusCode::OK, self.envelope(400, json!({"error": why, "path": pointer}))),
            _ => {
                (status, json!({"errorCode": status.as_u16(), "error": why, "propertyPath": pointer, "innerError": []}))
            }
        }
    }

    fn envelope(&self, code: i64, body: Value) -> Value {
        let mut whole = json!({"header": {}, "body": body});
        if let Some(Refusal::Code { pointer, .. }) = self.profile.outbound.as_ref().map(|outbound| &outbound.refusal) {
            let mut here = &mut whole;
            for name in pointer.split('/').skip(1) {
                here = &mut here[name];
            }
            *here = code.into();
        }
        whole
    }

    /// Records from the watermark on (inclusive), a page at a time.
    fn page(&self, query: &str, faults: &Faults) -> Option<Value> {
        let poll = self.profile.poll.as_ref()?;
        let parameter = |name: &str| {
            let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            found.and_then(|value| value.parse::<usize>().ok()).unwrap_or(0)
        };
        let published = self.published.lock().expect("no holder of this lock can panic");
        let from = parameter(&poll.watermark).max(1) - 1;
        let start = parameter(&poll.cursor).max(from);
        let page: Vec<Value> = published.iter().skip(start).take(PAGE).cloned().collect();
        let next = (start + page.len() < published.len()).then(|| (start + page.len()).to_string());
        let page = push::bent(page, faults, &|record| self.published_broken(record));
        let mut whole = self.envelope(0, json!({}));
        for (pointer, value) in
            [(&poll.records, json!(page)), (&poll.next, json!(next)), (&poll.last, json!(published.len().to_string()))]
        {
            let mut here = &mut whole;
            for name in pointer.split('/').skip(1) {
                here = &mut here[name];
            }
            *here = value;
        }
        Some(whole)
    }
}

/// The name of a verifier key in a file.
fn note_name(file: &Path, signature_type: u8) -> Result<String, String> {
    let key = crate::partner::note_key(Path::new(""), &file.to_string_lossy(), signature_type);
    key.map(|key| key.name).map_err(|fault| fault.to_string())
}

/// What the port of a mock is served with.
fn acceptor(trust: &Arc<TrustStore>, chain: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let named = |path: &Path, fault: &dyn std::fmt::Display| format!("{}: {fault}", path.display());
    let certificates = CertificateDer::pem_file_iter(chain).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|fault| named(chain, &fault))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|fault| named(key, &fault))?;
    let tls = tls::server_config(trust.clone(), certificates, private, Arc::new(SystemClock));
    tls.map(|tls| TlsAcceptor::from(Arc::new(tls))).map_err(|fault| named(chain, &fault))
}

async fn answer(State(mock): State<Arc<Mock>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    // A witness is a system of its own: no fault of records touches it, and a checkpoint's own signature is enough for it.
    if let Some(witness) = mock.witness.as_ref().filter(|witness| witness.is_at(parts.uri.path())) {
        let (status, kind, text) = witness.add_checkpoint(&body);
        return (status, [(header::CONTENT_TYPE, kind)], text).into_response();
    }
    if let Some((status, bytes)) = mock.mirror.at(parts.uri.path()) {
        return (status, bytes).into_response();
    }
    let oauth = mock.profile.outbound.as_ref().and_then(|outbound| outbound.oauth.as_ref());
    // Faults are of what a record meets; a token is another system's to give.
    let asks_token = oauth.is_some_and(|oauth| oauth.token_path == parts.uri.path());
    let faults = if asks_token { Faults::default() } else { mock.switches.meet() };
    if faults.has(Fault::LateAnswer) {
        tokio::time::sleep(Duration::from_millis(faults.late_ms)).await;
    }
    if let Some(answer) = maintenance(&faults) {
        return answer;
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let uri = format!("{}{path}", mock.base);
    let request =
        RequestParts { method: &parts.method, target_uri: &uri, headers: &parts.headers, has_body: !body.is_empty() };
    let (status, value) = if faults.has(Fault::OkWithError) {
        let (_, value) = mock.no(StatusCode::UNPROCESSABLE_ENTITY, "the record cannot be used", "");
        (StatusCode::OK, value)
    } else {
        judge(&mock, &parts.method, &parts.uri, &request, &body, &faults)
    };
    // A page stays a page: there the records are what breaks.
    let is_garbled = faults.has(Fault::WrongSchema) && parts.method != Method::GET;
    let value = if is_garbled { json!(["not", "what", "was", "agreed"]) } else { value };
    let bytes = Bytes::from(value.to_string());
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(value) = HeaderValue::from_str(&digest::content_digest(&bytes)) {
        headers.insert(HeaderName::from_static(digest::CONTENT_DIGEST), value);
    }
    let binding = httpsig::RequestBinding::presented(&request);
    let own = ResponseParts { status, headers: &headers, has_body: true };
    let key = if faults.has(Fault::ForgedSignature) { &mock.forger } else { &mock.signing };
    if let Ok(fields) = httpsig::sign_response(key, &own, &binding, SystemClock.now()) {
        fields.insert_into(&mut headers);
    }
    let body = if faults.has(Fault::HalfAnswer) { cut(&bytes) } else { Body::from(bytes) };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// Half of the bytes, then the end of the connection.
fn cut(bytes: &Bytes) -> Body {
    let half = bytes.slice(..bytes.len() / 2);
    let pieces = [Ok(half), Err(std::io::Error::other("the connection is cut"))];
    Body::from_stream(futures_util::stream::iter(pieces))
}

/// The answer of a system that is not up to answering.
fn maintenance(faults: &Faults) -> Option<Response> {
    let (status, kind, text) = if faults.has(Fault::Html500) {
        let page = "<!doctype html><title>Maintenance</title><p>We will be back soon.</p>";
        (StatusCode::INTERNAL_SERVER_ERROR, "text/html", page)
    } else if faults.has(Fault::RetryAfter) {
        (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "come again\n")
    } else {
        return None;
    };
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(faults.retry_after_s));
    }
    Some(answer)
}

fn judge(
    mock: &Mock,
    method: &Method,
    uri: &http::Uri,
    request: &RequestParts<'_>,
    body: &[u8],
    faults: &Faults,
) -> (StatusCode, Value) {
    if mock.in_trouble() {
        return match mock.profile.outbound.as_ref().map(|outbound| &outbound.refusal) {
            Some(Refusal::Code { again, .. }) if !again.is_empty() => {
                (StatusCode::OK, mock.envelope(again[0], json!({})))
            }
            _ => (StatusCode::SERVICE_UNAVAILABLE, json!({"error": "maintenance"})),
        };
    }
    if let Some(oauth) = mock.profile.outbound.as_ref().and_then(|outbound| outbound.oauth.as_ref()) {
        if uri.path() == oauth.token_path {
            return mock.token(&oauth.client_id, oauth.audience.as_deref(), body);
        }
        if !mock.admits(request.headers) {
            return mock.no(StatusCode::UNAUTHORIZED, "no valid token", "");
        }
    }
    let key = |kid: &str| (kid == mock.gateway.kid()).then(|| mock.gateway.clone());
    let signed = httpsig::verify_request(request, key, SystemClock.now()).is_ok();
    if !signed || (!body.is_empty() && digest::verify(request.headers, body).is_err()) {
        mock.refused.fetch_add(1, Ordering::Relaxed);
        return mock.no(StatusCode::UNAUTHORIZED, "the request is not signed by the gateway", "");
    }
    if method == Method::GET {
        let page = mock.profile.poll.as_ref().filter(|poll| poll.path == uri.path());
        let page = page.and_then(|_| mock.page(uri.query().unwrap_or_default(), faults));
        return page.map_or_else(|| mock.no(StatusCode::NOT_FOUND, "no such path", ""), |page| (StatusCode::OK, page));
    }
    mock.take(uri.path(), request.headers, body)
}
