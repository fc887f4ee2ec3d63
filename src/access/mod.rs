//! Officers: who they are by their issuer's token, and which purposes they may state. Verifies only; the record of what they
//! saw is made in [`crate::exchange`].

use crate::{
    schema::catalogue::Purpose,
    trust::{jws, keys::VerifyingKey},
};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use time::OffsetDateTime;

/// An authenticated officer.
#[derive(Debug, Clone)]
pub struct Officer {
    /// Subject of the token.
    pub name: String,
    roles: Vec<String>,
}

/// Whose tokens are believed.
#[derive(Debug)]
pub struct Issuer {
    /// `iss`.
    pub name: String,
    /// `aud`.
    pub audience: String,
    /// Its public keys.
    pub keys: Vec<Arc<VerifyingKey>>,
    /// Whether the role `*` stands for every role: in a test environment only.
    pub any_role: bool,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    aud: Value,
    sub: String,
    exp: i64,
    #[serde(default)]
    iat: Option<i64>,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    roles: Vec<String>,
}

impl Issuer {
    /// Verifies a bearer token.
    ///
    /// # Errors
    /// A stable word.
    pub fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Officer, &'static str> {
        let (_, _, claims): (_, _, Claims) = jws::verify(token, &self.keys).map_err(|_| "token-not-valid")?;
        let audience = match &claims.aud {
            Value::String(one) => *one == self.audience,
            Value::Array(many) => many.iter().any(|one| one.as_str() == Some(&self.audience)),
            _ => false,
        };
        if claims.iss != self.name || !audience {
            return Err("token-for-another");
        }
        if claims.exp <= now.unix_timestamp() {
            return Err("token-expired");
        }
        if jws::too_far_ahead(claims.iat, now) || jws::too_far_ahead(claims.nbf, now) || claims.sub.is_empty() {
            return Err("token-not-valid");
        }
        let known = |role: &String| role != "*" || self.any_role;
        Ok(Officer { name: claims.sub, roles: claims.roles.into_iter().filter(known).collect() })
    }
}

impl Officer {
    /// Whether the officer has a role.
    pub fn has(&self, role: &str) -> bool {
        self.roles.iter().any(|one| one == "*" || one == role)
    }

    /// Whether one of the officer's roles may state this purpose.
    pub fn may_state(&self, purpose: &Purpose) -> bool {
        purpose.roles.iter().any(|role| self.has(role))
    }
}
