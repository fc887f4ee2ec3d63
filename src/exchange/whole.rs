//! A request or a page in which several messages came is kept whole beside them: its sender's signature is over the digest of the
//! whole, and without it only the gateway says which message was part of it.

use super::{Gateway, caller::Caller, intake::Taken};
use crate::{message::problem::Problem, store::requests, trust::exchanged};
use uuid::Uuid;

/// Keeps it, if it is signed and everything in it is on record: what is not, nobody could erase. Before the answer leaves. A fault
/// keeps nobody from answering: what is lost is a proof, and it is said.
pub async fn keep(gateway: &Gateway, caller: &Caller, body: &[u8], taken: &[Result<Taken, Box<Problem>>]) {
    let messages: Option<Vec<Uuid>> =
        taken.iter().map(|one| one.as_ref().ok().map(|taken| taken.receipt.message)).collect();
    let head = exchanged::read(caller.evidence()).head;
    let (Some(messages), Some(_)) = (messages, head.and_then(|head| head.signature_base)) else { return };
    if messages.is_empty() {
        return;
    }
    let (party, client) = (caller.client().party.code(), &caller.client().id);
    if let Err(fault) = requests::keep(&gateway.journal, party, client, body, &messages).await {
        tracing::error!(party, messages = messages.len(), %fault, "a request was not kept whole: its sender's signature proves nothing of what came in it");
    }
}
