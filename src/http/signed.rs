//! A request of the signed part of the port: its body within the limit, its caller verified; and the signature of its answer.

use super::{Peer, Port, answer::Refusal};
use crate::{
    exchange::caller::Caller,
    message::{event, problem::ProblemKind},
    trust::{
        digest,
        httpsig::{self, RequestBinding, RequestParts, ResponseParts},
    },
};
use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::sync::Arc;

/// Media type of a batch of CloudEvents.
pub(super) const BATCH: &str = "application/cloudevents-batch+json";
/// Media type of a file of records in a party's own format.
const CSV: &str = "text/csv";
/// Largest answer that we sign.
const ANSWER_MAX: usize = 64 << 20;

/// A request whose caller is verified. Its nonce is unspent.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) caller: Caller,
    pub(super) body: Bytes,
    pub(super) headers: HeaderMap,
}

impl FromRequest<Arc<Port>> for Signed {
    type Rejection = Refusal;

    async fn from_request(request: Request, port: &Arc<Port>) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<Peer>().cloned();
        let peer = peer.ok_or_else(|| port.refusal(ProblemKind::InternalError, "no-peer"))?;
        let target_uri = target_uri(port, &parts.uri, &parts.headers)?;
        let body = read(port, &parts.headers, body).await?;
        let request = RequestParts {
            method: &parts.method,
            target_uri: &target_uri,
            headers: &parts.headers,
            has_body: !body.is_empty(),
        };
        let caller = Caller::verify(&port.gateway, &peer.0, &request, &body)?;
        if port.rates.check_key(&caller.client().id).is_err() {
            let mut problem = port.gateway.problem(ProblemKind::RateLimited);
            problem.retry_after_s = Some(1);
            return Err(problem.into());
        }
        Ok(Self { caller, body, headers: parts.headers })
    }
}

/// The absolute URI that the caller addressed, which must be one of ours.
fn target_uri(port: &Port, uri: &Uri, headers: &HeaderMap) -> Result<String, Refusal> {
    let host = uri.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| headers.get(header::HOST)?.to_str().ok()).unwrap_or_default();
    if !port.authorities.iter().any(|ours| ours.eq_ignore_ascii_case(host)) {
        return Err(port.refusal(ProblemKind::MalformedRequest, "host-unknown"));
    }
    Ok(format!("https://{host}{}", uri.path_and_query().map_or("/", |path| path.as_str())))
}

/// The body, whole, within its limit and in time.
pub(super) async fn read(port: &Port, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(port.refusal(ProblemKind::EncodingUnsupported, "content-encoding"));
    }
    let is_batch = media_type(headers).is_some_and(|stated| [BATCH, CSV].contains(&stated));
    let limit = if is_batch { event::BATCH_MAX } else { event::SINGLE_MAX };
    let stated = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if stated.is_some_and(|length| length > limit) {
        return Err(port.refusal(ProblemKind::PayloadTooLarge, "body"));
    }
    match tokio::time::timeout(port.limits.body, Limited::new(body, limit).collect()).await {
        Err(_) => Err(port.refusal(ProblemKind::RequestTimeout, "body")),
        Ok(Err(fault)) if fault.is::<LengthLimitError>() => Err(port.refusal(ProblemKind::PayloadTooLarge, "body")),
        Ok(Err(_)) => Err(port.refusal(ProblemKind::MalformedRequest, "body-cut-off")),
        Ok(Ok(body)) => Ok(body.to_bytes()),
    }
}

/// The media type without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()?.split(';').next().map(str::trim)
}

/// Signs every answer of the routes below it, refusals included, bound to the request as it was presented.
pub(super) async fn sign_answers(State(port): State<Arc<Port>>, request: Request, next: Next) -> Response {
    let uri = target_uri(&port, request.uri(), request.headers()).unwrap_or_default();
    let binding = RequestBinding::presented(&RequestParts {
        method: request.method(),
        target_uri: &uri,
        headers: request.headers(),
        has_body: request.headers().contains_key(digest::CONTENT_DIGEST),
    });
    let (mut parts, body) = next.run(request).await.into_parts();
    let Ok(body) = axum::body::to_bytes(body, ANSWER_MAX).await else {
        return port.refusal(ProblemKind::InternalError, "answer-too-large").into_response();
    };
    if !body.is_empty() {
        let digest = HeaderValue::from_str(&digest::content_digest(&body)).ok();
        digest.map(|value| parts.headers.insert(HeaderName::from_static(digest::CONTENT_DIGEST), value));
    }
    let answer = ResponseParts { status: parts.status, headers: &parts.headers, has_body: !body.is_empty() };
    match httpsig::sign_response(&port.gateway.signing, &answer, &binding, port.gateway.now()) {
        Ok(fields) => fields.insert_into(&mut parts.headers),
        Err(fault) => {
            tracing::error!(%fault, "an answer could not be signed");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    }
    Response::from_parts(parts, Body::from(body))
}
