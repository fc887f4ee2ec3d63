//! Who is calling: certificate, token bound to it, digest and signature, as the gateway verifies them; the nonce is used up here.

use super::{MockGateway, Peer};
use crate::{
    exchange::caller::refused,
    message::problem::{Problem, ProblemKind},
    partner::{Client, profile::Side},
    trust::{
        anchors::PeerCertificate,
        httpsig::RequestParts,
        request::{self, Presented, Proof},
    },
};
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
        let (client, peer) = self.client_of(peer)?;
        let presented = Presented { certificate: &peer.thumbprint_sha256, client_id: &client.id, keys: &client.keys };
        let proof = request::verify(&self.verifier, &presented, parts, body, self.now())
            .map_err(|fault| Box::new(refused(fault, |kind| self.problem(kind))))?;
        let Proof { claims, signature } = proof;
        if !self.book().spend(&format!("{}/{}", client.id, signature.keyid), &signature.nonce) {
            return Err(Box::new(self.problem(ProblemKind::ReplayedNonce)));
        }
        Ok(Caller { scope: claims.scope.clone(), client })
    }
}
