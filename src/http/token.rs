//! `POST /oauth2/token`: client credentials by `tls_client_auth` (RFC 8705 §2.1) or `private_key_jwt` (RFC 7523), over mutual
//! TLS either way; the token is bound to the connection's certificate. Errors by RFC 6749 §5.2.

use super::{Peer, Port, Shared, answer::json, signed};
use crate::{
    exchange::tokens::{self, Grant, GrantFault},
    trust::assertion::ASSERTION_TYPE,
};
use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json as object;
use std::sync::Arc;

pub(super) const SCOPES: [&str; 3] = ["messages:write", "messages:read", "placements:read"];

#[derive(Debug, Deserialize)]
struct Form {
    grant_type: Option<String>,
    client_id: Option<String>,
    scope: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
    client_secret: Option<String>,
}

pub(super) async fn issue(State(port): Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(Peer(peer)) = parts.extensions.get::<Peer>().cloned() else {
        return fault(StatusCode::UNAUTHORIZED, "invalid_client", "no client certificate");
    };
    let body = match signed::read(&port, &parts.headers, body).await {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(),
    };
    match read(signed::media_type(&parts.headers), &body, &SCOPES) {
        Ok(asked) => grant(&port, &peer, asked).await,
        Err(wrong) => fault(wrong.status(), wrong.error, wrong.text),
    }
}

/// Why a form asks for no token (RFC 6749 §5.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct FormFault {
    /// The word of the RFC.
    pub(crate) error: &'static str,
    /// A sentence.
    pub(crate) text: &'static str,
}

impl FormFault {
    /// The status of its answer.
    pub(crate) fn status(self) -> StatusCode {
        if self.error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST }
    }
}

/// Reads a token request for some of `scopes`.
///
/// # Errors
/// [`FormFault`].
pub(crate) fn read(media_type: Option<&str>, body: &[u8], scopes: &[&str]) -> Result<Grant, FormFault> {
    let fault = |error, text| FormFault { error, text };
    if media_type != Some("application/x-www-form-urlencoded") {
        return Err(fault("invalid_request", "the body is application/x-www-form-urlencoded"));
    }
    let form = serde_urlencoded(body)
        .map_err(|()| fault("invalid_request", "the form cannot be read, or a parameter stands twice"))?;
    if form.grant_type.as_deref() != Some("client_credentials") {
        return Err(fault("unsupported_grant_type", "client_credentials only"));
    }
    if form.client_secret.is_some() {
        return Err(fault("invalid_client", "there are no client secrets here"));
    }
    let scope = form.scope.unwrap_or_else(|| scopes.join(" "));
    if !scope.split(' ').all(|one| scopes.contains(&one)) {
        return Err(fault("invalid_scope", "see scopes_supported"));
    }
    let assertion = match (form.client_assertion_type.as_deref(), form.client_assertion) {
        (None, None) => None,
        (Some(ASSERTION_TYPE), Some(assertion)) => Some(assertion),
        _ => return Err(fault("invalid_request", "client_assertion needs its client_assertion_type")),
    };
    Ok(Grant { client_id: form.client_id, scope, assertion })
}

fn serde_urlencoded(body: &[u8]) -> Result<Form, ()> {
    let uri = format!("/?{}", std::str::from_utf8(body).map_err(|_| ())?);
    let uri: axum::http::Uri = uri.parse().map_err(|_| ())?;
    axum::extract::Query::<Form>::try_from_uri(&uri).map(|query| query.0).map_err(|_| ())
}

async fn grant(port: &Arc<Port>, peer: &crate::trust::anchors::PeerCertificate, grant: Grant) -> Response {
    match tokens::issue(&port.gateway, peer, grant).await {
        Ok(issued) => {
            let body = object!({"access_token": issued.token, "token_type": "Bearer", "expires_in": issued.lives_s,
                "scope": issued.scope});
            let mut answer = json(StatusCode::OK, &body);
            answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            answer
        }
        Err(GrantFault::InvalidClient(why)) => fault(StatusCode::UNAUTHORIZED, "invalid_client", why),
        Err(GrantFault::Unavailable) => {
            fault(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "send the request again in a moment")
        }
    }
}

fn fault(status: StatusCode, error: &str, description: &str) -> Response {
    let mut answer = json(status, &object!({"error": error, "error_description": description}));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
