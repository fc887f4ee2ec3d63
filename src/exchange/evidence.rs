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
    let corridor = readable(gateway, peer, corridor)?;
    let log = gateway.journal.log(corridor);
    let pool = &gateway.journal.channel;
    let away = |fault| Box::new(gateway.unavailable(&fault));
    let has_witness = gateway.parties.party(corridor).is_some_and(|party| !party.witness.is_empty());
    let cosigned = if has_witness { ledger::cosign::newest(pool, &log).await.map_err(away)? } else { None };
    let note = match cosigned {
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
    let log = gateway.journal.log(readable(gateway, peer, corridor)?);
    let not_found = |reason| Box::new(gateway.problem(ProblemKind::NotFound).because(reason));
    let resource = Resource::parse(path).ok_or_else(|| not_found("no-tiles-name"))?;
    let bytes = ledger::read(&gateway.journal.channel, &log, resource).await;
    let bytes = bytes.map_err(|fault| Box::new(gateway.unavailable(&fault)))?;
    bytes.ok_or_else(|| not_found("beyond-the-newest-checkpoint"))
}

/// The corridor whose log the caller may read: a partner its own, a home system the one that it names.
fn readable<'g>(gateway: &'g Gateway, peer: &PeerCertificate, corridor: Option<&str>) -> Result<&'g str, Box<Problem>> {
    let (client, _) = caller::client_of(gateway, peer)?;
    let own = client.party.code();
    let corridor = match (client.party.profile.side, corridor) {
        (Side::Home, corridor) => corridor,
        (Side::Partner, corridor) => Some(corridor.unwrap_or(own)).filter(|corridor| *corridor == own),
    };
    let known = corridor.and_then(|corridor| gateway.parties.partners.get_key_value(corridor));
    let (code, _) =
        known.ok_or_else(|| Box::new(gateway.problem(ProblemKind::Forbidden).because("another-corridor")))?;
    Ok(code)
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
