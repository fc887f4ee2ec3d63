//! How messages are known again: by who numbered them and the id that they had there, as a keyed digest.

use super::Gateway;

/// Whose ids are one numbering: a partner's systems together, each home authority's system alone, so that none withdraws what
/// another said.
pub(super) fn sender<'s>(gateway: &Gateway, party: &'s str, client: &'s str) -> &'s str {
    if party == gateway.parties.home.code() { client } else { party }
}

/// The keyed digest by which a sender's message is known again.
pub(super) fn tag(gateway: &Gateway, sender: &str, source: &str, id: &str) -> [u8; 16] {
    gateway.journal.tokens.token("message", &[sender.as_bytes(), source.as_bytes(), id.as_bytes()])
}
