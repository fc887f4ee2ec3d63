//! Access tokens for clients that prove who they are by their certificate, and by a signed assertion where they send one.

use super::{Gateway, caller};
use crate::{
    store::access::{self, Spend, Standing},
    trust::{anchors::PeerCertificate, assertion},
};

/// How long a token lives (FAPI 2.0 asks for minutes).
pub const LIFE_S: u32 = 300;

/// What a client asks for.
#[derive(Debug)]
pub struct Grant {
    /// Its id, as stated.
    pub client_id: Option<String>,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// Its signed assertion.
    pub assertion: Option<String>,
}

/// A fresh token.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// Its scope.
    pub scope: String,
    /// Seconds that it lives.
    pub lives_s: u32,
}

/// Why none is issued.
#[derive(Debug)]
pub enum GrantFault {
    /// RFC 6749 `invalid_client`, with a sentence.
    InvalidClient(&'static str),
    /// The database is away.
    Unavailable,
}

/// Issues a token bound to the peer's certificate.
///
/// # Errors
/// [`GrantFault`].
pub async fn issue(gateway: &Gateway, peer: &PeerCertificate, grant: Grant) -> Result<Issued, GrantFault> {
    let invalid = GrantFault::InvalidClient;
    let (client, _) =
        caller::client_of(gateway, peer).map_err(|_| invalid("the certificate names no registered client"))?;
    let pool = &gateway.journal.channel;
    let now = gateway.now();
    let claimed = match &grant.assertion {
        None => grant.client_id.ok_or(invalid("client_id is missing"))?,
        Some(jwt) => {
            let claimed = assertion::claimed_client(jwt).map_err(|_| invalid("the client assertion cannot be read"))?;
            if grant.client_id.as_ref().is_some_and(|id| *id != claimed) {
                return Err(invalid("client_id is not the assertion's"));
            }
            claimed
        }
    };
    if claimed != client.id {
        return Err(invalid("the certificate is another client's"));
    }
    if let Some(jwt) = &grant.assertion {
        let verified = assertion::verify(jwt, &gateway.name, &client.id, &client.keys, now)
            .map_err(|fault| invalid(fault.reason()))?;
        let jti =
            Spend { scope: format!("assertion:{}", client.id), value: verified.jti, expires_at: verified.expires };
        if !access::spend(pool, &jti).await.map_err(|_| GrantFault::Unavailable)? {
            return Err(invalid("the assertion's jti was used before"));
        }
    }
    match access::standing(pool, &client.id, client.party.code(), "").await.map_err(|_| GrantFault::Unavailable)? {
        Standing::Good => {}
        Standing::Suspended | Standing::TokenRevoked => return Err(invalid("the client is suspended")),
    }
    access::keep_certificate(pool, &peer.thumbprint_sha256, &peer.party, &peer.chain, now)
        .await
        .map_err(|_| GrantFault::Unavailable)?;
    let jti = gateway.id().to_string();
    let token = gateway
        .issuer
        .issue(&client.id, &grant.scope, &peer.thumbprint_sha256, &jti, LIFE_S.into(), now)
        .map_err(|_| GrantFault::Unavailable)?;
    Ok(Issued { token, scope: grant.scope, lives_s: LIFE_S })
}
