//! A request or a page in which several messages came is kept whole beside them: its sender's signature is over the digest of the
//! whole, and without it only the gateway says which message was part of it.

use super::{Gateway, caller::Caller, intake::Taken};
use crate::{message::problem::Problem, store::requests, trust::exchanged};
use uuid::Uuid;

/// Keeps it, if it is signed, something in it is new and everything in it is on record: what is not, nobody could erase. Before the
/// answer leaves. A fault keeps nobody from answering: what is lost is a proof, and it is said.
pub async fn keep(gateway: &Gateway, caller: &Caller, body: &[u8], taken: &[Result<Taken, Box<Problem>>]) {
    let (party, client) = (caller.client().party.code(), &caller.client().id);
    let head = exchanged::read(caller.evidence()).head;
    let is_new = taken.iter().flatten().any(|one| !one.repeat);
    if !is_new || head.and_then(|head| head.signature_base).is_none() {
        return;
    }
    let unproven = "nothing proves that its sender signed what came in it";
    if taken.iter().any(Result::is_err) {
        return tracing::warn!(party, "a request is not kept whole, because not all of it is on record: {unproven}");
    }
    let messages: Vec<Uuid> = taken.iter().flatten().map(|one| one.receipt.message).collect();
    let new = taken.iter().flatten().filter(|one| !one.repeat);
    let stored: Vec<Uuid> = new.map(|one| one.receipt.message).collect();
    if let Err(fault) = requests::keep(&gateway.journal, party, client, body, (&messages, &stored)).await {
        tracing::error!(party, %fault, "a request was not kept whole: {unproven}");
    }
}
