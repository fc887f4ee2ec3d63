//! `GET /.well-known/oauth-authorization-server` (RFC 8414) and `/.well-known/jwks.json`.

use super::{Shared, answer::json};
use crate::trust::keys;
use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json as object;

pub(super) async fn metadata(State(port): Shared) -> Response {
    let issuer = &port.gateway.name;
    let algorithms = ["PS256", "ES256", "EdDSA", "Ed25519"];
    json(
        StatusCode::OK,
        &object!({"issuer": issuer, "token_endpoint": format!("{issuer}/oauth2/token"),
            "jwks_uri": format!("{issuer}/.well-known/jwks.json"), "grant_types_supported": ["client_credentials"],
            "response_types_supported": [], "scopes_supported": super::token::SCOPES,
            "token_endpoint_auth_methods_supported": ["tls_client_auth", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": algorithms,
            "tls_client_certificate_bound_access_tokens": true}),
    )
}

pub(super) async fn jwks(State(port): Shared) -> Response {
    json(StatusCode::OK, &keys::jwks([port.gateway.signing.verifying_key()]))
}
