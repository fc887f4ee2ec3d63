//! What one transaction is to do with each intent.

use super::Outcome;
use crate::store::access::Standing;
use uuid::Uuid;

/// What is to be done with one intent.
pub(super) enum Plan {
    Store { outcome: Outcome, problem: Option<String> },
    Repeat(Uuid),
    RepeatInBatch(usize),
    Conflict,
    Replayed,
    Barred(Standing),
}
