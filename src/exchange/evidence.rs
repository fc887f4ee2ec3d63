//! What a party may read of the ledger: its own corridor, nothing else. And the tiles of every log, built beside what is recorded.

use super::{Gateway, caller};
use crate::{
    ledger::tile::Resource,
    message::problem::{Problem, ProblemKind},
    partner::profile::Side,
    store::{access, ledger},
    trust::anchors::PeerCertificate,
};

/// The newest checkpoint of the caller's corridor that a witness cosigned, or the newest at all of one that has none; a home system
/// names the corridor.
///
/// # Errors
/// `forbidden` for another party's corridor, `not-found` for a log that is still empty.
pub async fn checkpoint(
    gateway: &Gateway,
    peer: &PeerCertificate,
    corridor: Option<&str>,
) -> Result<String, Box<Problem>> {
    let log = log_of(gateway, peer, corridor)?;
    let pool = &gateway.journal.channel;
    let away = |fault| Box::new(gateway.unavailable(&fault));
    let note = match ledger::cosign::newest(pool, &log).await.map_err(away)? {
        Some(cosigned) => Some(cosigned.note),
        None => ledger::checkpoint(pool, &log).await.map_err(away)?,
    };
    note.ok_or_else(|| Box::new(gateway.problem(ProblemKind::NotFound).because("the-log-is-empty")))
}

/// A tile of hashes or a bundle of entries of the same log, as its path below `tile/` names it.
///
/// # Errors
/// As [`checkpoint`]; `not-found` too for a path that names no tile, and for one that the newest checkpoint does not cover.
pub async fn tile(
    gateway: &Gateway,
    peer: &PeerCertificate,
    corridor: Option<&str>,
    path: &str,
) -> Result<Vec<u8>, Box<Problem>> {
    let log = log_of(gateway, peer, corridor)?;
    let not_found = |reason| Box::new(gateway.problem(ProblemKind::NotFound).because(reason));
    let resource = Resource::parse(path).ok_or_else(|| not_found("no-tiles-name"))?;
    let bytes = ledger::read(&gateway.journal.channel, &log, resource).await;
    let bytes = bytes.map_err(|fault| Box::new(gateway.unavailable(&fault)))?;
    bytes.ok_or_else(|| not_found("beyond-the-newest-checkpoint"))
}

/// The log that the caller may read.
fn log_of(gateway: &Gateway, peer: &PeerCertificate, corridor: Option<&str>) -> Result<String, Box<Problem>> {
    let (client, _) = caller::client_of(gateway, peer)?;
    let own = client.party.code();
    let corridor = match (client.party.profile.side, corridor) {
        (Side::Home, Some(corridor)) if gateway.parties.partners.contains_key(corridor) => corridor,
        (Side::Partner, None) => own,
        (Side::Partner, Some(corridor)) if corridor == own => own,
        _ => return Err(Box::new(gateway.problem(ProblemKind::Forbidden).because("another-corridor"))),
    };
    Ok(gateway.journal.log(corridor))
}

/// Builds some of the tiles that are not stored yet, of every log; gives how many. A log of which none can be built, because its
/// entries are not whole, holds up no other.
pub async fn build_tiles(gateway: &Gateway) -> u64 {
    let mut built = 0;
    for corridor in gateway.journal.signers.keys() {
        let log = gateway.journal.log(corridor);
        match ledger::build(&gateway.journal.channel, &log).await {
            Ok(count) => built += count,
            Err(fault) => tracing::error!(log, %fault, "tiles could not be built"),
        }
    }
    built
}

/// Records failed handshakes of one peer address.
pub async fn rejected(gateway: &Gateway, cause: &str, peer: &str, count: i64) {
    tracing::warn!(cause, count, "a handshake failed");
    if let Err(fault) = access::count_rejected(&gateway.journal.channel, cause, peer, count, gateway.now()).await {
        tracing::error!(%fault, "a failed handshake was not recorded");
    }
}
