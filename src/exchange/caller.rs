//! Who is calling: a certificate, a token bound to it, a signature over this very request, all of one registered client.
//!
//! A [`Caller`] is made here and nowhere else. Its nonce is not spent yet: a message's is used up in the transaction that
//! stores the message, any other request's by [`Caller::admit`].

use super::Gateway;
use crate::{
    message::problem::{Problem, ProblemKind},
    partner::{Client, profile::Side},
    store::access::{self, Spend, Standing},
    trust::{
        anchors::{PeerCertificate, RevocationState},
        digest,
        httpsig::{self, Refusal, RequestParts, VerifiedRequest},
    },
};
use http::header::AUTHORIZATION;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// How long a nonce is kept: longer than its `created` would be accepted.
const NONCE_KEPT: Duration = Duration::minutes(3);

/// An authenticated client and the proof it gave for one request.
#[derive(Debug, Clone)]
pub struct Caller {
    client: Arc<Client>,
    scope: String,
    token: String,
    nonce: Spend,
    evidence: Vec<u8>,
}

impl Caller {
    /// Verifies certificate, token, digest and signature of one request.
    ///
    /// # Errors
    /// A problem that says which of them failed and why.
    pub fn verify(
        gateway: &Gateway,
        peer: &PeerCertificate,
        parts: &RequestParts<'_>,
        body: &[u8],
    ) -> Result<Self, Box<Problem>> {
        let now = gateway.now();
        let problem = |kind, reason: &str| Box::new(gateway.problem(kind).because(reason));
        let (client, revocation) = client_of(gateway, peer)?;
        let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = authorization
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| problem(ProblemKind::TokenInvalid, "token-missing"))?;
        let claims = gateway.verifier.verify(token, &peer.thumbprint_sha256, now).map_err(|fault| {
            let kind = match fault.reason() {
                "token-expired" => ProblemKind::TokenExpired,
                "certificate-mismatch" | "cnf-mismatch" => ProblemKind::CertificateMismatch,
                _ => ProblemKind::TokenInvalid,
            };
            problem(kind, fault.reason())
        })?;
        if claims.client_id != client.id {
            return Err(problem(ProblemKind::CertificateMismatch, "token-of-another-client"));
        }
        if parts.has_body || parts.headers.contains_key(digest::CONTENT_DIGEST) {
            digest::verify(parts.headers, body)
                .map_err(|fault| problem(ProblemKind::DigestMismatch, fault.reason()))?;
        }
        let verified = httpsig::verify_request(parts, |kid| client.key(kid), now).map_err(|fault| {
            let kind = match fault.refusal {
                Refusal::CreatedTooOld | Refusal::CreatedInFuture | Refusal::Expired => ProblemKind::RequestTooOld,
                _ => ProblemKind::SignatureInvalid,
            };
            let problem = gateway.problem(kind).because(fault.refusal.reason());
            let sentence = fault.refusal.to_string();
            let problem = problem.extra("signature", sentence);
            Box::new(match fault.base {
                Some(base) => problem.extra("signature_base", String::from(base)),
                None => problem,
            })
        })?;
        Ok(Self {
            scope: claims.scope.clone(),
            token: claims.jti.clone(),
            nonce: Spend {
                scope: format!("{}/{}", client.id, verified.keyid),
                value: verified.nonce.clone(),
                expires_at: now + NONCE_KEPT,
            },
            evidence: evidence(parts, &verified, peer, revocation, now),
            client,
        })
    }

    /// Uses up the nonce and looks up the standing: for every request that is not a message.
    ///
    /// # Errors
    /// A problem.
    pub async fn admit(&self, gateway: &Gateway) -> Result<(), Box<Problem>> {
        let pool = &gateway.journal.channel;
        let away = |fault| Box::new(gateway.unavailable(&fault));
        let standing = access::standing(pool, &self.client.id, self.client.party.code(), &self.token);
        match standing.await.map_err(away)? {
            Standing::Good => {}
            barred => return Err(Box::new(barred_problem(gateway, barred))),
        }
        if access::spend(pool, &self.nonce).await.map_err(away)? {
            return Ok(());
        }
        Err(Box::new(gateway.problem(ProblemKind::ReplayedNonce)))
    }

    /// Whether the token carries a scope.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn needs(&self, gateway: &Gateway, scope: &str) -> Result<(), Box<Problem>> {
        if self.scope.split(' ').any(|one| one == scope) {
            return Ok(());
        }
        Err(Box::new(gateway.problem(ProblemKind::Forbidden).because("scope-missing").extra("scope", scope)))
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the client is of the home party.
    pub fn is_home(&self) -> bool {
        self.client.party.profile.side == Side::Home
    }

    /// The unspent nonce.
    pub fn nonce(&self) -> &Spend {
        &self.nonce
    }

    /// Id of the token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Signature base, signature, certificate and revocation state (JSON). Holds the token: only ever stored sealed.
    pub fn evidence(&self) -> &[u8] {
        &self.evidence
    }

    /// A caller for records that we fetched from a party ourselves: what proves them is the answer they came in.
    pub(super) fn polled(client: Arc<Client>, nonce: Spend, evidence: Vec<u8>) -> Self {
        Self { client, scope: String::new(), token: String::new(), nonce, evidence }
    }
}

/// The registered client of a peer certificate whose revocation state is looked at again.
///
/// # Errors
/// `client-suspended` for a certificate that is revoked by now, `certificate-mismatch` for one that names no client.
pub fn client_of(gateway: &Gateway, peer: &PeerCertificate) -> Result<(Arc<Client>, RevocationState), Box<Problem>> {
    let revocation = gateway
        .trust
        .recheck(peer, gateway.now())
        .map_err(|fault| Box::new(gateway.problem(ProblemKind::ClientSuspended).because(fault.reason())))?;
    let client = gateway.parties.client_of(&peer.party, &peer.dns_sans).cloned();
    let unknown = || Box::new(gateway.problem(ProblemKind::CertificateMismatch).because("certificate-names-no-client"));
    Ok((client.ok_or_else(unknown)?, revocation))
}

/// Why a barred caller is refused.
pub fn barred_problem(gateway: &Gateway, standing: Standing) -> Problem {
    match standing {
        Standing::TokenRevoked => gateway.problem(ProblemKind::TokenInvalid).because("token-revoked"),
        Standing::Good | Standing::Suspended => gateway.problem(ProblemKind::ClientSuspended).because("suspended"),
    }
}

fn evidence(
    parts: &RequestParts<'_>,
    verified: &VerifiedRequest,
    peer: &PeerCertificate,
    revocation: RevocationState,
    now: OffsetDateTime,
) -> Vec<u8> {
    let header =
        |name: &http::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let revocation = match revocation {
        RevocationState::Good { crl_age_s } => format!("good, CRL of {crl_age_s} s ago"),
        RevocationState::NotChecked => "not checked".to_owned(),
        RevocationState::Grace => "good by a CRL within its grace".to_owned(),
    };
    serde_json::json!({"signature_base": verified.base, "signature_input": header(&httpsig::SIGNATURE_INPUT),
        "signature": header(&httpsig::SIGNATURE), "keyid": verified.keyid,
        "certificate": hex::encode(peer.thumbprint_sha256), "serial": peer.serial, "revocation": revocation,
        "received": now.unix_timestamp()})
    .to_string()
    .into_bytes()
}
