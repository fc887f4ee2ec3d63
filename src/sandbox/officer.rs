//! Officers' tokens of a stand: what the ministry's OIDC issuer would give.

use crate::{
    app::system::SystemClock,
    domain::clock::Clock,
    trust::keys::{SigningKey, Usage},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as B64URL};
use serde_json::json;
use std::path::Path;

/// A token of the stand's issuer for an officer with `roles` (all of them if empty), living `life_s` seconds.
///
/// # Errors
/// A sentence.
pub fn token(key: &Path, officer: &str, roles: &[&str], life_s: i64) -> Result<String, String> {
    let pem = std::fs::read(key).map_err(|fault| format!("{}: {fault}", key.display()))?;
    let key = SigningKey::from_pkcs8_pem(Some("officer-1"), &pem).map_err(|fault| fault.to_string())?;
    let roles: Vec<&str> = if roles.is_empty() { vec!["*"] } else { roles.to_vec() };
    let now = SystemClock.now().unix_timestamp();
    let header = json!({"alg": key.verifying_key().algorithm().jose(), "kid": "officer-1", "typ": "at+jwt"});
    let claims = json!({"iss": super::stand::OFFICER_ISSUER, "aud": super::stand::OFFICER_AUDIENCE, "sub": officer,
        "roles": roles, "iat": now, "exp": now + life_s});
    let text = format!("{}.{}", B64URL.encode(header.to_string()), B64URL.encode(claims.to_string()));
    let signature = key.sign(Usage::Jose, text.as_bytes()).map_err(|fault| fault.to_string())?;
    Ok(format!("{text}.{}", B64URL.encode(signature)))
}
