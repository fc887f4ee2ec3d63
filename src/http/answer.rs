//! From a problem to an answer: RFC 9457 body, RFC 6750 challenge, `Retry-After`. The only place that does it. And the answers
//! that every route gives alike: JSON, and JSON under an entity tag.

use crate::{
    message::problem::{Problem, ProblemKind},
    trust::digest,
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;

/// A problem on its way out.
#[derive(Debug)]
pub(crate) struct Refusal(Box<Problem>);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<Box<Problem>> for Refusal {
    fn from(problem: Box<Problem>) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = self.0;
        tracing::info!(error_id = %problem.id, kind = problem.kind.slug(), reason = problem.reason, "a request was refused");
        let mut answer = json(StatusCode::from_u16(problem.kind.status()).unwrap_or_default(), &problem.to_json());
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = problem.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        let token = [ProblemKind::TokenInvalid, ProblemKind::TokenExpired, ProblemKind::CertificateMismatch];
        if token.contains(&problem.kind) {
            let missing = problem.reason.as_deref() == Some("token-missing");
            let challenge = if missing { "Bearer" } else { "Bearer error=\"invalid_token\"" };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        answer
    }
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response {
    let mut answer = Response::new(Body::from(value.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The strong entity tag of a body: its digest (RFC 9110 §8.8.3).
pub(crate) fn entity_tag(body: &[u8]) -> String {
    format!("\"{}\"", digest::content_digest(body))
}

/// A JSON answer under its entity tag, or 304 where the caller has it (RFC 9110 §13.1.2).
pub(crate) fn tagged(asked: &HeaderMap, body: Bytes, tag: &str, cached: &'static str) -> Response {
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|list| list.split(',')).map(|one| one.trim().trim_start_matches("W/"));
    let mut answer = match known.any(|one| one == tag || one == "*") {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
    };
    let fields = answer.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(cached));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        fields.insert(header::ETAG, tag);
    }
    answer
}
