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
        httpsig::{self, Refusal, RequestParts, SignatureFault, VerifiedRequest},
        request::{self, Presented, Proof, RequestFault},
        token::TokenFault,
    },
};
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
        let (client, revocation) = client_of(gateway, peer)?;
        let presented = Presented { certificate: &peer.thumbprint_sha256, client_id: &client.id, keys: &client.keys };
        let proof = request::verify(&gateway.verifier, &presented, parts, body, now)
            .map_err(|fault| Box::new(refused(fault, |kind| gateway.problem(kind))))?;
        let Proof { claims, signature: verified } = proof;
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

/// The problem of a request whose proofs do not hold; `problem` makes one of a kind.
pub fn refused(fault: RequestFault, problem: impl Fn(ProblemKind) -> Problem) -> Problem {
    match fault {
        RequestFault::NoToken => problem(ProblemKind::TokenInvalid).because("token-missing"),
        RequestFault::Token(fault) => {
            let kind = match fault {
                TokenFault::Expired => ProblemKind::TokenExpired,
                TokenFault::CnfMismatch => ProblemKind::CertificateMismatch,
                _ => ProblemKind::TokenInvalid,
            };
            problem(kind).because(fault.reason())
        }
        RequestFault::OtherClient => problem(ProblemKind::CertificateMismatch).because("token-of-another-client"),
        RequestFault::Digest(fault) => problem(ProblemKind::DigestMismatch).because(fault.reason()),
        RequestFault::Signature(SignatureFault { refusal, base }) => {
            let kind = match refusal {
                Refusal::CreatedTooOld | Refusal::CreatedInFuture | Refusal::Expired => ProblemKind::RequestTooOld,
                _ => ProblemKind::SignatureInvalid,
            };
            let problem = problem(kind).because(refusal.reason()).extra("signature", refusal.to_string());
            match base {
                Some(base) => problem.extra("signature_base", String::from(base)),
                None => problem,
            }
        }
    }
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
    let header = |name: &http::HeaderName| httpsig::kept_field(parts.headers, name);
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
