//! A party's system as it calls the channel port: mutual TLS, a token, signed requests, answers checked. What an integrator
//! would write; tests bend single parts of it.

use super::pki::ClientFiles;
use crate::{
    app::system::{SystemClock, SystemRandom},
    domain::clock::Clock,
    trust::{
        digest,
        httpsig::{self, RequestParts, ResponseParts},
        keys::{SigningKey, VerifyingKey},
        tls::{self, KeyExchange},
    },
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::Value;
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

/// How often a message is sent that was not stored.
const TRIES: u32 = 21;
/// Pause between two tries.
const BETWEEN_TRIES: std::time::Duration = std::time::Duration::from_millis(250);

/// Why a call got no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum CallFault {
    /// A credential file.
    #[error("credentials: {0}")]
    Credentials(String),
    /// The connection.
    #[error("not connected: {0}")]
    Connection(#[from] reqwest::Error),
    /// No token.
    #[error("no token: {0}")]
    Token(String),
    /// The answer's signature.
    #[error("the answer is not signed as it should be: {0}")]
    Answer(String),
}

/// An answer whose signature was checked.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Fields.
    pub headers: HeaderMap,
    /// JSON body, or null.
    pub body: Value,
    /// The body as it came.
    pub bytes: Vec<u8>,
}

/// One system.
#[derive(Debug)]
pub struct System {
    /// Client id.
    pub client_id: String,
    /// Address of the gateway.
    pub base: String,
    /// Its HTTP client.
    pub http: reqwest::Client,
    /// Its signing key.
    pub signing: Arc<SigningKey>,
    gateway_key: Arc<VerifyingKey>,
    token: Mutex<Option<(String, time::OffsetDateTime)>>,
}

impl System {
    /// From credential files; `gateway_key` is the public signing key of the gateway.
    ///
    /// # Errors
    /// [`CallFault::Credentials`].
    pub fn new(base: &str, ca: &Path, files: &ClientFiles, gateway_key: &Path, kid: &str) -> Result<Self, CallFault> {
        let bad =
            |path: &Path, fault: &dyn std::fmt::Display| CallFault::Credentials(format!("{}: {fault}", path.display()));
        let chain = CertificateDer::pem_file_iter(&files.client_cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|fault| bad(&files.client_cert, &fault))?;
        let key = PrivateKeyDer::from_pem_file(&files.client_key).map_err(|fault| bad(&files.client_key, &fault))?;
        let root = CertificateDer::from_pem_file(ca).map_err(|fault| bad(ca, &fault))?;
        let read = |path: &Path| std::fs::read(path).map_err(|fault| bad(path, &fault));
        let signing = SigningKey::from_pkcs8_pem(Some(&files.key_id), &read(&files.signing_key)?);
        let gateway = VerifyingKey::from_spki_pem(kid, &read(gateway_key)?);
        let tls = tls::client_config(&[root], chain, key, Arc::new(SystemClock), KeyExchange::PreferHybrid);
        let tls = tls.map_err(|fault| bad(ca, &fault))?;
        Ok(Self {
            client_id: files.client_id.clone(),
            base: base.to_owned(),
            http: client(tls)?,
            signing: Arc::new(signing.map_err(|fault| bad(&files.signing_key, &fault))?),
            gateway_key: Arc::new(gateway.map_err(|fault| bad(gateway_key, &fault))?),
            token: Mutex::new(None),
        })
    }

    /// Asks for a token by its certificate alone.
    ///
    /// # Errors
    /// [`CallFault`].
    pub async fn fresh_token(&self) -> Result<String, CallFault> {
        let form = format!("grant_type=client_credentials&client_id={}", self.client_id);
        let request = self.http.post(format!("{}/oauth2/token", self.base));
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let body: Value = request.send().await?.json().await?;
        body["access_token"].as_str().map(str::to_owned).ok_or_else(|| CallFault::Token(body.to_string()))
    }

    async fn token(&self) -> Result<String, CallFault> {
        let now = SystemClock.now();
        let held = self.token.lock().expect("no holder of this lock can panic").clone();
        if let Some((token, _)) = held.filter(|(_, until)| *until > now) {
            return Ok(token);
        }
        let token = self.fresh_token().await?;
        let until = now + time::Duration::minutes(4);
        *self.token.lock().expect("no holder of this lock can panic") = Some((token.clone(), until));
        Ok(token)
    }

    /// The headers of a signed request.
    ///
    /// # Errors
    /// [`CallFault::Credentials`].
    pub fn sign(
        &self,
        method: &Method,
        uri: &str,
        token: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<(HeaderMap, httpsig::RequestBinding), CallFault> {
        let bad = |what: &dyn std::fmt::Display| CallFault::Credentials(what.to_string());
        let mut headers = HeaderMap::new();
        let value = |text: &str| HeaderValue::from_str(text).map_err(|fault| bad(&fault));
        headers.insert(header::AUTHORIZATION, value(&format!("Bearer {token}"))?);
        if !body.is_empty() {
            headers.insert(header::CONTENT_TYPE, value(content_type)?);
            headers.insert(HeaderName::from_static(digest::CONTENT_DIGEST), value(&digest::content_digest(body))?);
        }
        let parts = RequestParts { method, target_uri: uri, headers: &headers, has_body: !body.is_empty() };
        let nonce = httpsig::fresh_nonce(&SystemRandom);
        let signed = httpsig::sign_request(&self.signing, &parts, &nonce, SystemClock.now());
        let (fields, binding) = signed.map_err(|fault| bad(&fault))?;
        fields.insert_into(&mut headers);
        Ok((headers, binding))
    }

    /// Calls, and checks the answer's digest and signature.
    ///
    /// # Errors
    /// [`CallFault`].
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Reply, CallFault> {
        let token = self.token().await?;
        let uri = format!("{}{path}", self.base);
        let (headers, binding) = self.sign(&method, &uri, &token, content_type, &body)?;
        let answer = self.http.request(method, &uri).headers(headers).body(body).send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.bytes().await?;
        self.check(status, &headers, &bytes, &binding)?;
        Ok(Reply {
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            bytes: bytes.to_vec(),
        })
    }

    /// What a careful integrator does: where nothing was stored (no answer, or 503) the same message is sent again, signed anew.
    ///
    /// # Errors
    /// [`CallFault`] of the last try.
    pub async fn call_until_stored(&self, path: &str, content_type: &str, body: Vec<u8>) -> Result<Reply, CallFault> {
        for _ in 1..TRIES {
            let reply = self.call(Method::POST, path, content_type, body.clone()).await;
            if let Ok(reply) = reply
                && reply.status != StatusCode::SERVICE_UNAVAILABLE
            {
                return Ok(reply);
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        self.call(Method::POST, path, content_type, body).await
    }

    /// Checks an answer's digest and signature.
    ///
    /// # Errors
    /// [`CallFault::Answer`].
    pub fn check(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        binding: &httpsig::RequestBinding,
    ) -> Result<(), CallFault> {
        if !body.is_empty() {
            digest::verify(headers, body).map_err(|fault| CallFault::Answer(fault.to_string()))?;
        }
        let parts = ResponseParts { status, headers, has_body: !body.is_empty() };
        let key = |kid: &str| (kid == self.gateway_key.kid()).then(|| self.gateway_key.clone());
        let verified = httpsig::verify_response(&parts, binding, key, SystemClock.now());
        verified.map(drop).map_err(|fault| CallFault::Answer(fault.to_string()))
    }

    /// Sends one canonical event.
    ///
    /// # Errors
    /// [`CallFault`].
    pub async fn send(&self, event: &Value) -> Result<Reply, CallFault> {
        let body = event.to_string().into_bytes();
        self.call(Method::POST, "/v1/messages", "application/cloudevents+json", body).await
    }

    /// Posts one canonical event as [`System::call_until_stored`] does.
    ///
    /// # Errors
    /// [`CallFault`] of the last try.
    pub async fn send_until_stored(&self, event: &Value) -> Result<Reply, CallFault> {
        let body = event.to_string().into_bytes();
        self.call_until_stored("/v1/messages", "application/cloudevents+json", body).await
    }
}

/// A client over a TLS configuration, with HTTP/1.1: one request at a moment on a connection, as most systems call.
///
/// # Errors
/// [`CallFault::Connection`].
pub fn client(mut tls: rustls::ClientConfig) -> Result<reqwest::Client, CallFault> {
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    #[expect(clippy::disallowed_methods, reason = "a party's own client, not the gateway's")]
    let builder = reqwest::Client::builder();
    Ok(builder
        .tls_backend_preconfigured(tls)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()?)
}
