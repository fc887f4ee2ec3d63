//! Messages of the gateway's own: reminders and decisions. They are stored like any message, under the home party's name.

use super::Gateway;
use crate::{
    schema::catalogue::MessageType,
    store::journal::{Intent, Links, Outcome, SubjectKind},
};
use serde_json::Value;

/// An applied message of a type on a corridor, which tells nobody, asserts nothing and belongs nowhere yet.
pub(super) fn intent(
    gateway: &Gateway,
    message: &MessageType,
    corridor: &str,
    authority: &str,
    tag: [u8; 16],
    event: &Value,
) -> Intent {
    let home = gateway.parties.home.code();
    let bytes = event.to_string().into_bytes();
    Intent {
        id: gateway.id(),
        party: home.to_owned(),
        client: "gateway".to_owned(),
        corridor: corridor.to_owned(),
        type_name: message.name.clone(),
        authority: authority.to_owned(),
        tag,
        body_tag: gateway.journal.tokens.digest("body", &[&bytes]),
        bytes,
        canonical: None,
        evidence: b"{}".to_vec(),
        asserted_at: gateway.now(),
        revision: None,
        effects: Vec::new(),
        links: None,
        mentions: Vec::new(),
        retention: message.retention.clone(),
        terms: Vec::new(),
        outcome: Outcome::Applied,
        problem: None,
        policy: gateway.policy(corridor),
        assurance: gateway.assurance(corridor).unwrap_or("domestic").to_owned(),
        recipients: Vec::new(),
        parties: vec![home.to_owned(), corridor.to_owned()],
        urgency: message.urgency,
        spends: Vec::new(),
        token: None,
        safety: false,
        stamped_at_once: message.time_stamp.is_some(),
        decision: None,
        stands_beside: None,
    }
}

/// Where a message is that follows another, or is about one by its effects.
pub(super) fn beside(follows: Option<[u8; 16]>) -> Links {
    Links { kind: SubjectKind::Placement, pairwise: None, worker: None, follows, links: Vec::new(), identifies: false }
}
