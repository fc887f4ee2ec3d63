//! The only outbound HTTP: one mutually authenticated client a party, https only, and one of a time-stamp authority. No redirects, no
//! proxy, no retry of its own.
//!
//! What a party's answer means (taken, refused, come again) is decided here, once, by its profile; what follows from it is
//! not.

mod copy;
mod oauth;
mod time_stamp;
mod witness;

pub use copy::FILE_MAX;
pub use time_stamp::TimeStampClient;
pub use witness::Submitted;

use crate::{
    domain::clock::{Clock, Random},
    partner::{
        PartyFault,
        body::Format,
        profile::{Assurance, Outbound, Profile, Refusal},
    },
    trust::{
        digest,
        exchanged::{self, Head},
        httpsig::{self, RequestParts, ResponseParts},
        keys::{SigningKey, VerifyingKey},
        tls::{self, KeyExchange},
    },
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// An answer must come within this.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Largest answer read.
const ANSWER_MAX: usize = 16 << 20;

/// What became of a message that was sent.
#[derive(Debug)]
pub enum Sent {
    /// The party has it; its verified answer is the evidence.
    Acked {
        /// The exact bytes that were sent and what was answered ([`crate::trust::exchanged`]).
        evidence: Vec<u8>,
    },
    /// The party has it and will not take it.
    Refused {
        /// A stable word.
        reason: String,
        /// The exact bytes that were sent and what was answered ([`crate::trust::exchanged`]).
        evidence: Vec<u8>,
    },
    /// Nothing is known; send again.
    Retry {
        /// As `Retry-After` asks.
        after: Option<Duration>,
        /// A stable word.
        reason: String,
    },
}

/// The client of one party.
pub struct PartyClient {
    http: reqwest::Client,
    base: String,
    signing: Arc<SigningKey>,
    answer_keys: Vec<Arc<VerifyingKey>>,
    answers_signed: bool,
    refusal: Refusal,
    oauth: Option<oauth::Credentials>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// Who we are to a party.
pub struct Own {
    /// Our certificate chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// Our message-signing key.
    pub signing: Arc<SigningKey>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The generator.
    pub random: Arc<dyn Random>,
}

impl PartyClient {
    /// The client of a party: `base` is the profile's address or the one that the operator's configuration names instead.
    ///
    /// # Errors
    /// A sentence, where a certificate or key does not fit.
    pub fn new(
        own: Own,
        outbound: &Outbound,
        profile: &Profile,
        roots: &[CertificateDer<'static>],
        answer_keys: Vec<Arc<VerifyingKey>>,
        base: &str,
    ) -> Result<Self, String> {
        let answers_signed = matches!(profile.assurance, Assurance::AnswerSigned | Assurance::Witnessed);
        if answers_signed && answer_keys.is_empty() {
            return Err("its assurance promises signed answers, but outbound.answer_key is empty".to_owned());
        }
        if let Some(oauth) = outbound.oauth.as_ref().filter(|oauth| oauth.kid != own.signing.kid()) {
            return Err(format!("outbound.oauth.kid is {}, but our key is {}", oauth.kid, own.signing.kid()));
        }
        if !base.starts_with("https://") {
            return Err("its address must begin with https://".to_owned());
        }
        let hybrid_only = profile.trust.hybrid_key_exchange_only;
        let exchange = if hybrid_only { KeyExchange::HybridOnly } else { KeyExchange::PreferHybrid };
        let tls = tls::client_config(roots, own.chain, own.key, own.clock.clone(), exchange);
        let tls = tls.map_err(|fault| fault.to_string())?;
        Ok(Self {
            http: http(tls, ANSWER_WITHIN, |builder| builder.https_only(true))?,
            base: base.trim_end_matches('/').to_owned(),
            signing: own.signing,
            answer_keys,
            answers_signed,
            refusal: outbound.refusal.clone(),
            oauth: outbound.oauth.clone().map(oauth::Credentials::new),
            clock: own.clock,
            random: own.random,
        })
    }

    /// Sends one record as JSON.
    pub async fn send(&self, path: &str, body: Vec<u8>) -> Sent {
        self.send_as(path, Format::Json, body).await
    }

    /// Sends one record whose bytes are of `format`.
    pub async fn send_as(&self, path: &str, format: Format, body: Vec<u8>) -> Sent {
        let answer = match self.exchange(Method::POST, path, format.content_type(), &body).await {
            Ok(answer) => answer,
            Err(reason) => return Sent::Retry { after: None, reason: reason.to_owned() },
        };
        self.judge(answer)
    }

    /// Fetches a page of records.
    ///
    /// # Errors
    /// A stable word; ask again later.
    pub async fn fetch(&self, path_and_query: &str) -> Result<(Value, Vec<u8>), String> {
        let answer = self.exchange(Method::GET, path_and_query, "", &[]).await?;
        if let Err(reason) = &answer.signed {
            return Err((*reason).to_owned());
        }
        if !answer.status.is_success() {
            return Err(format!("status-{}", answer.status.as_u16()));
        }
        let value = crate::message::strict_json::parse(&answer.body).map_err(|_| "answer-not-json".to_owned())?;
        match self.business_code(&value) {
            Some(code) if !self.is_success(code) => Err(format!("code-{code}")),
            _ => Ok((value, answer.evidence())),
        }
    }

    fn judge(&self, answer: Answer) -> Sent {
        let status = answer.status;
        let reason = format!("status-{}", status.as_u16());
        if status.is_server_error() || status.as_u16() == 429 || status.as_u16() == 408 {
            return Sent::Retry { after: answer.retry_after, reason };
        }
        if self.oauth.is_some() && status == http::StatusCode::UNAUTHORIZED {
            // Not even a new token opened the door: that says nothing about the record.
            return Sent::Retry { after: answer.retry_after, reason };
        }
        if let Err(reason) = answer.signed {
            // An answer that does not prove itself proves nothing: neither delivery nor refusal.
            return Sent::Retry { after: None, reason: reason.to_owned() };
        }
        let evidence = answer.evidence();
        match &self.refusal {
            Refusal::Status if status.is_success() => Sent::Acked { evidence },
            Refusal::Status => Sent::Refused { reason, evidence },
            Refusal::Code { again, .. } => {
                let value = serde_json::from_slice::<Value>(&answer.body).ok();
                match value.as_ref().and_then(|value| self.business_code(value)) {
                    None => Sent::Retry { after: None, reason: "answer-without-code".to_owned() },
                    Some(code) if self.is_success(code) => Sent::Acked { evidence },
                    Some(code) if again.contains(&code) => Sent::Retry { after: None, reason: format!("code-{code}") },
                    Some(code) => Sent::Refused { reason: format!("code-{code}"), evidence },
                }
            }
        }
    }

    fn business_code(&self, value: &Value) -> Option<i64> {
        match &self.refusal {
            Refusal::Status => None,
            Refusal::Code { pointer, .. } => value.pointer(pointer)?.as_i64(),
        }
    }

    fn is_success(&self, code: i64) -> bool {
        matches!(&self.refusal, Refusal::Code { success, .. } if *success == code)
    }

    /// Calls with a token, where the party asks for one; a token that it does not take is replaced once.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: &[u8],
    ) -> Result<Answer, &'static str> {
        let Some(oauth) = &self.oauth else { return self.call(method, path, content_type, body, None).await };
        let token = oauth.token(self, None).await?;
        let answer = self.call(method.clone(), path, content_type, body, Some(&token)).await?;
        if answer.status != http::StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let token = oauth.token(self, Some(&token)).await?;
        self.call(method, path, content_type, body, Some(&token)).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: &[u8],
        token: Option<&str>,
    ) -> Result<Answer, &'static str> {
        let uri = format!("{}{path}", self.base);
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| "token")?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        if !body.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            let digest = HeaderValue::from_str(&digest::content_digest(body)).map_err(|_| "digest")?;
            headers.insert(HeaderName::from_static(digest::CONTENT_DIGEST), digest);
        }
        let parts = RequestParts { method: &method, target_uri: &uri, headers: &headers, has_body: !body.is_empty() };
        let nonce = httpsig::fresh_nonce(&*self.random);
        let (fields, binding) =
            httpsig::sign_request(&self.signing, &parts, &nonce, self.clock.now()).map_err(|_| "request-not-signed")?;
        fields.insert_into(&mut headers);
        let request = self.http.request(method, &uri).headers(headers).body(body.to_vec());
        let answer = request.send().await.map_err(|fault| reason(&fault))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = read_body(answer, ANSWER_MAX).await?;
        let parts = ResponseParts { status, headers: &headers, has_body: !bytes.is_empty() };
        let key = |kid: &str| self.answer_keys.iter().find(|key| key.kid() == kid).cloned();
        let signed = if !self.answers_signed {
            Ok(None)
        } else if !bytes.is_empty() && digest::verify(&headers, &bytes).is_err() {
            Err("answer-digest-wrong")
        } else {
            let verified = httpsig::verify_response(&parts, &binding, key, self.clock.now());
            verified.map(|one| Some(one.base)).map_err(|_| "answer-signature-wrong")
        };
        let retry_after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Answer {
            status,
            signature: httpsig::kept_field(&headers, &httpsig::SIGNATURE),
            retry_after: retry_after.map(Duration::from_secs),
            signed,
            sent: body.to_vec(),
            body: bytes,
        })
    }
}

struct Answer {
    status: http::StatusCode,
    signature: Option<String>,
    retry_after: Option<Duration>,
    /// The verified signature base, where the party signs.
    signed: Result<Option<String>, &'static str>,
    /// The body of the request.
    sent: Vec<u8>,
    body: Vec<u8>,
}

impl Answer {
    fn evidence(&self) -> Vec<u8> {
        let base = self.signed.as_ref().ok().cloned().flatten();
        let head = Head {
            status: Some(self.status.as_u16()),
            signature: self.signature.clone(),
            signature_base: base,
            sent: (!self.sent.is_empty()).then_some(self.sent.len()),
        };
        exchanged::write(&head, &self.sent, &self.body)
    }
}

/// A client that does one thing: no redirects, no proxy, no retry.
fn http(
    tls: rustls::ClientConfig,
    within: Duration,
    more: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, String> {
    #[expect(clippy::disallowed_methods, reason = "this room is the one place that makes clients")]
    let builder = reqwest::Client::builder();
    let builder = builder
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never())
        .timeout(within);
    more(builder).build().map_err(|fault| fault.to_string())
}

async fn read_body(mut answer: reqwest::Response, max: usize) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|fault| reason(&fault))? {
        if bytes.len() + chunk.len() > max {
            return Err("answer-too-large");
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn reason(fault: &reqwest::Error) -> &'static str {
    if fault.is_timeout() {
        "timeout"
    } else if fault.is_connect() {
        "not-connected"
    } else {
        "connection-lost"
    }
}

/// Reads the certificates of a party's PEM files.
///
/// # Errors
/// [`PartyFault`].
pub fn certificates(folder: &std::path::Path, files: &[String]) -> Result<Vec<CertificateDer<'static>>, PartyFault> {
    use rustls_pki_types::pem::PemObject;
    let mut all = Vec::new();
    for file in files {
        let path = folder.join(file);
        let found = CertificateDer::pem_file_iter(&path).map_err(|fault| PartyFault::of(&path, fault))?;
        for one in found {
            all.push(one.map_err(|fault| PartyFault::of(&path, fault))?);
        }
    }
    Ok(all)
}
