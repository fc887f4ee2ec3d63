//! One request's proofs in their order: a token bound to the certificate, of the certificate's own client; the digest of the body;
//! the signature under one of that client's keys.
//!
//! The gateway and its mock verify by this one function. It does not know whether the client is suspended, and the nonce comes
//! back unspent.

use super::{
    digest::{self, DigestFault},
    httpsig::{self, RequestParts, SignatureFault, VerifiedRequest},
    keys::VerifyingKey,
    token::{TokenClaims, TokenFault, TokenVerifier},
};
use http::header::AUTHORIZATION;
use std::sync::Arc;
use time::OffsetDateTime;

/// Who a certificate says is calling.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// SHA-256 of the DER certificate of the connection.
    pub certificate: &'a [u8; 32],
    /// The client that it names.
    pub client_id: &'a str,
    /// The client's registered keys.
    pub keys: &'a [Arc<VerifyingKey>],
}

/// What a request proved.
#[derive(Debug)]
pub struct Proof {
    /// What its token says.
    pub claims: Arc<TokenClaims>,
    /// Its signature; the nonce is unspent.
    pub signature: VerifiedRequest,
}

/// The first proof that fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// No bearer token.
    #[error("the request has no bearer token")]
    NoToken,
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// The token is another client's.
    #[error("the token was given to another client than the certificate's")]
    OtherClient,
    /// The body's digest.
    #[error(transparent)]
    Digest(#[from] DigestFault),
    /// The signature.
    #[error(transparent)]
    Signature(#[from] SignatureFault),
}

/// Verifies one request whose body is `body`.
///
/// # Errors
/// [`RequestFault`].
pub fn verify(
    tokens: &TokenVerifier,
    presented: &Presented<'_>,
    parts: &RequestParts<'_>,
    body: &[u8],
    now: OffsetDateTime,
) -> Result<Proof, RequestFault> {
    let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = authorization
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or(RequestFault::NoToken)?;
    let claims = tokens.verify(token, presented.certificate, now)?;
    if claims.client_id != presented.client_id {
        return Err(RequestFault::OtherClient);
    }
    if parts.has_body || parts.headers.contains_key(digest::CONTENT_DIGEST) {
        digest::verify(parts.headers, body)?;
    }
    let key = |kid: &str| presented.keys.iter().find(|key| key.kid() == kid).cloned();
    let signature = httpsig::verify_request(parts, key, now)?;
    Ok(Proof { claims, signature })
}
