//! A mock partner government, built from its folder alone: it is told over mutual TLS, checks our signature and its own wire
//! schema, answers in its style, and is polled for what it has published. It never uses the mapper.

use super::pki::Pki;
use crate::{
    app::system::SystemClock,
    client,
    domain::clock::Clock,
    partner::profile::{Profile, Refusal},
    schema::wire::WireSchema,
    trust::{
        anchors::{PartyAnchors, TrustStore},
        digest,
        httpsig::{self, RequestParts, ResponseParts},
        keys::{SigningKey, VerifyingKey},
        tls,
    },
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Records on one page of a poll.
const PAGE: usize = 200;

/// A mock partner and what it knows.
pub struct Mock {
    /// Its profile.
    pub profile: Profile,
    base: String,
    schemas: HashMap<String, WireSchema>,
    gateway: Arc<VerifyingKey>,
    signing: SigningKey,
    told: Mutex<Vec<(String, Value)>>,
    published: Mutex<Vec<Value>>,
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
        let mut schemas = HashMap::new();
        for route in &outbound.route {
            let file = folder.join(format!("wire/{}.schema.json", route.mapping));
            schemas.insert(route.path.clone(), WireSchema::load(&file)?);
        }
        let (chain, key, answer_key) = pki.mocks.get(code).ok_or("no credentials for this mock")?;
        let own_kid = outbound.answer_key.first().map(|key| key.kid.as_str());
        let pem = |path: &Path| std::fs::read(path).map_err(|fault| format!("{}: {fault}", path.display()));
        let signing = SigningKey::from_pkcs8_pem(own_kid, &pem(answer_key)?).map_err(|fault| text(&fault))?;
        let public = pki.signing.with_extension("pub.pem");
        let gateway = VerifyingKey::from_spki_pem("gateway-sign-1", &pem(&public)?).map_err(|fault| text(&fault))?;
        let address = listener.local_addr().map_err(|fault| text(&fault))?;
        let mock = Arc::new(Self {
            profile,
            base: format!("https://localhost:{}", address.port()),
            schemas,
            gateway: Arc::new(gateway),
            signing,
            told: Mutex::default(),
            published: Mutex::default(),
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
        let trust = TrustStore::new(&[anchors]).map_err(|fault| text(&fault))?;
        let chain = CertificateDer::pem_file_iter(chain).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let key = PrivateKeyDer::from_pem_file(key).map_err(|fault| text(&fault))?;
        let chain = chain.map_err(|fault| text(&fault))?;
        let tls =
            tls::server_config(Arc::new(trust), chain, key, Arc::new(SystemClock)).map_err(|fault| text(&fault))?;
        let routes = Router::new().fallback(answer).with_state(mock.clone());
        let listener = Tls { listener, acceptor: tokio_rustls::TlsAcceptor::from(Arc::new(tls)) };
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

    /// Makes every n-th call meet a fault: maintenance or "try again".
    pub fn trouble_every(&self, n: u32) {
        self.trouble_every.store(n, Ordering::Relaxed);
    }

    fn in_trouble(&self) -> bool {
        let every = self.trouble_every.load(Ordering::Relaxed);
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        every > 0 && call.is_multiple_of(every)
    }

    fn take(&self, path: &str, record: Value) -> (StatusCode, Value) {
        let Some(schema) = self.schemas.get(path) else {
            return self.no(StatusCode::NOT_FOUND, "no such path", "");
        };
        if let Some(fault) = schema.check(&record).first() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return self.no(StatusCode::UNPROCESSABLE_ENTITY, "the record breaks its schema", &fault.pointer);
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
    fn page(&self, query: &str) -> Option<Value> {
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

async fn answer(State(mock): State<Arc<Mock>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let uri = format!("{}{path}", mock.base);
    let request =
        RequestParts { method: &parts.method, target_uri: &uri, headers: &parts.headers, has_body: !body.is_empty() };
    let (status, value) = judge(&mock, &parts.method, &parts.uri, &request, &body);
    let bytes = Bytes::from(value.to_string());
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(value) = HeaderValue::from_str(&digest::content_digest(&bytes)) {
        headers.insert(HeaderName::from_static(digest::CONTENT_DIGEST), value);
    }
    let binding = httpsig::RequestBinding::presented(&request);
    let own = ResponseParts { status, headers: &headers, has_body: true };
    if let Ok(fields) = httpsig::sign_response(&mock.signing, &own, &binding, SystemClock.now()) {
        fields.insert_into(&mut headers);
    }
    let mut answer = Response::new(Body::from(bytes));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

fn judge(
    mock: &Mock,
    method: &Method,
    uri: &http::Uri,
    request: &RequestParts<'_>,
    body: &[u8],
) -> (StatusCode, Value) {
    if mock.in_trouble() {
        return match mock.profile.outbound.as_ref().map(|outbound| &outbound.refusal) {
            Some(Refusal::Code { again, .. }) if !again.is_empty() => {
                (StatusCode::OK, mock.envelope(again[0], json!({})))
            }
            _ => (StatusCode::SERVICE_UNAVAILABLE, json!({"error": "maintenance"})),
        };
    }
    let key = |kid: &str| (kid == mock.gateway.kid()).then(|| mock.gateway.clone());
    let signed = httpsig::verify_request(request, key, SystemClock.now()).is_ok();
    if !signed || (!body.is_empty() && digest::verify(request.headers, body).is_err()) {
        mock.refused.fetch_add(1, Ordering::Relaxed);
        return mock.no(StatusCode::UNAUTHORIZED, "the request is not signed by the gateway", "");
    }
    if method == Method::GET {
        let page = mock.profile.poll.as_ref().filter(|poll| poll.path == uri.path());
        let page = page.and_then(|_| mock.page(uri.query().unwrap_or_default()));
        return page.map_or_else(|| mock.no(StatusCode::NOT_FOUND, "no such path", ""), |page| (StatusCode::OK, page));
    }
    match serde_json::from_slice(body) {
        Ok(record) => mock.take(uri.path(), record),
        Err(_) => mock.no(StatusCode::BAD_REQUEST, "not JSON", ""),
    }
}

struct Tls {
    listener: TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = tokio_rustls::server::TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            if let Ok((stream, address)) = self.listener.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
