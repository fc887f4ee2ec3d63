//! Access tokens for clients that prove who they are by their certificate, and by a signed assertion where they send one.

use super::{Gateway, caller};
use crate::{
    partner::Client,
    store::access::{self, Spend, Standing},
    trust::{
        anchors::PeerCertificate,
        assertion::{self, Assertion},
    },
};
use time::OffsetDateTime;

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

/// What is said of an assertion that came before.
pub const USED: &str = "the assertion's jti was used before";

/// Whether a grant asks for a token of the certificate's own client; the assertion, if it has one, is verified and its `jti` unspent.
/// `issuer` is whom an assertion must name.
///
/// # Errors
/// A sentence.
pub fn prove(
    issuer: &str,
    client: &Client,
    grant: &Grant,
    now: OffsetDateTime,
) -> Result<Option<Assertion>, &'static str> {
    let claimed = match &grant.assertion {
        None => grant.client_id.clone().ok_or("client_id is missing")?,
        Some(jwt) => {
            let claimed = assertion::claimed_client(jwt).map_err(|_| "the client assertion cannot be read")?;
            if grant.client_id.as_ref().is_some_and(|id| *id != claimed) {
                return Err("client_id is not the assertion's");
            }
            claimed
        }
    };
    if claimed != client.id {
        return Err("the certificate is another client's");
    }
    let verify = |jwt: &String| assertion::verify(jwt, issuer, &client.id, &client.keys, now);
    grant.assertion.as_ref().map(verify).transpose().map_err(|fault| fault.reason())
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
    if let Some(proof) = prove(&gateway.name, &client, &grant, now).map_err(invalid)? {
        let jti = Spend { scope: format!("assertion:{}", client.id), value: proof.jti, expires_at: proof.expires };
        if !access::spend(pool, &jti).await.map_err(|_| GrantFault::Unavailable)? {
            return Err(invalid(USED));
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
