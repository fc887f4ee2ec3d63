//! Who is calling: certificate, token bound to it, digest and signature, as the gateway verifies them; the nonce is used up here.

use super::{MockGateway, Peer};
use crate::{
    message::problem::{Problem, ProblemKind},
    partner::{Client, profile::Side},
    trust::{
        anchors::PeerCertificate,
        digest,
        httpsig::{self, Refusal, RequestParts},
    },
};
use http::header::AUTHORIZATION;
use std::sync::Arc;

/// A verified client.
pub(super) struct Caller {
    pub(super) client: Arc<Client>,
    scope: String,
}

impl Caller {
    pub(super) fn is_home(&self) -> bool {
        self.client.party.profile.side == Side::Home
    }

    pub(super) fn may(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|one| one == scope)
    }
}

impl MockGateway {
    /// The registered client of a connection's certificate.
    pub(super) fn client_of(&self, peer: &Peer) -> Result<(Arc<Client>, PeerCertificate), Box<Problem>> {
        let problem = |kind, reason: &str| Box::new(self.problem(kind).because(reason));
        let peer = PeerCertificate::from_chain(&self.trust, &peer.0, self.now())
            .map_err(|fault| problem(ProblemKind::CertificateMismatch, fault.reason()))?;
        let client = self.parties.client_of(&peer.party, &peer.dns_sans).cloned();
        let client = client.ok_or_else(|| problem(ProblemKind::CertificateMismatch, "certificate-names-no-client"))?;
        Ok((client, peer))
    }

    /// Verifies one request.
    pub(super) fn caller(&self, peer: &Peer, parts: &RequestParts<'_>, body: &[u8]) -> Result<Caller, Box<Problem>> {
        let problem = |kind, reason: &str| Box::new(self.problem(kind).because(reason));
        let (client, peer) = self.client_of(peer)?;
        let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = authorization
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| problem(ProblemKind::TokenInvalid, "token-missing"))?;
        let claims = self.verifier.verify(token, &peer.thumbprint_sha256, self.now()).map_err(|fault| {
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
        let verified = httpsig::verify_request(parts, |kid| client.key(kid), self.now()).map_err(|fault| {
            let kind = match fault.refusal {
                Refusal::CreatedTooOld | Refusal::CreatedInFuture | Refusal::Expired => ProblemKind::RequestTooOld,
                _ => ProblemKind::SignatureInvalid,
            };
            let problem = self.problem(kind).because(fault.refusal.reason());
            let problem = problem.extra("signature", fault.refusal.to_string());
            Box::new(match fault.base {
                Some(base) => problem.extra("signature_base", String::from(base)),
                None => problem,
            })
        })?;
        if !self.book().spend(&format!("{}/{}", client.id, verified.keyid), &verified.nonce) {
            return Err(Box::new(self.problem(ProblemKind::ReplayedNonce)));
        }
        Ok(Caller { scope: claims.scope.clone(), client })
    }
}
