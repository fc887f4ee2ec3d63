//! What a party may read of the ledger: its own corridor, nothing else.

use super::{Gateway, caller};
use crate::{
    message::problem::{Problem, ProblemKind},
    partner::profile::Side,
    store::{access, ledger},
    trust::anchors::PeerCertificate,
};

/// The newest checkpoint of the caller's corridor; a home system names one.
///
/// # Errors
/// `forbidden` for another party's corridor, `not-found` for a log that is still empty.
pub async fn checkpoint(
    gateway: &Gateway,
    peer: &PeerCertificate,
    corridor: Option<&str>,
) -> Result<String, Box<Problem>> {
    let (client, _) = caller::client_of(gateway, peer)?;
    let own = client.party.code();
    let corridor = match (client.party.profile.side, corridor) {
        (Side::Home, Some(corridor)) if gateway.parties.partners.contains_key(corridor) => corridor,
        (Side::Partner, None) => own,
        (Side::Partner, Some(corridor)) if corridor == own => own,
        _ => return Err(Box::new(gateway.problem(ProblemKind::Forbidden).because("another-corridor"))),
    };
    let log = gateway.journal.log(corridor);
    let note = ledger::checkpoint(&gateway.journal.channel, &log).await;
    let note = note.map_err(|fault| Box::new(gateway.unavailable(&fault)))?;
    note.ok_or_else(|| Box::new(gateway.problem(ProblemKind::NotFound).because("the-log-is-empty")))
}

/// Records failed handshakes of one peer address.
pub async fn rejected(gateway: &Gateway, cause: &str, peer: &str, count: i64) {
    tracing::warn!(cause, count, "a handshake failed");
    if let Err(fault) = access::count_rejected(&gateway.journal.channel, cause, peer, count, gateway.now()).await {
        tracing::error!(%fault, "a failed handshake was not recorded");
    }
}
