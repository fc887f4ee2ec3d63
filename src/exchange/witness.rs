//! The gateway as a witness of the partners' own logs (C2SP tlog-witness): a partner submits its log's checkpoint and gets our
//! cosignature, so that it cannot later show anybody another history. Only a partner's own log is followed.

use super::{Gateway, caller};
use crate::{
    ledger::{
        cosignature::Cosigner,
        witness::{Submission, WitnessFault},
    },
    message::problem::{Problem, ProblemKind},
    store::journal::witness::Witnessing,
    trust::anchors::PeerCertificate,
};

/// What is answered to a submission.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Our signature lines.
    Cosigned(String),
    /// The size that we cosigned last, which the submission does not start from, or for which it has another root.
    Conflict(u64),
}

/// Judges and cosigns a submission.
///
/// # Errors
/// `malformed-request`; `not-found` for a log that is not the caller's; `forbidden` where no key of the log signed it;
/// `checkpoint-inconsistent`; `service-unavailable`, after which nothing was cosigned.
pub async fn add_checkpoint(
    gateway: &Gateway,
    cosigner: &Cosigner,
    peer: &PeerCertificate,
    body: &str,
) -> Result<Answer, Box<Problem>> {
    let (client, _) = caller::client_of(gateway, peer)?;
    let party = &client.party;
    let problem = |fault: &WitnessFault| {
        let (kind, reason) = match fault {
            WitnessFault::Malformed | WitnessFault::Conflict { .. } | WitnessFault::Fork { .. } => {
                (ProblemKind::MalformedRequest, "add-checkpoint")
            }
            WitnessFault::UnknownLog => (ProblemKind::NotFound, "no-log-of-yours"),
            WitnessFault::NotTheLog => (ProblemKind::Forbidden, "not-signed-by-the-log"),
            WitnessFault::Inconsistent => (ProblemKind::CheckpointInconsistent, "inconsistent"),
        };
        Box::new(gateway.problem(kind).because(reason))
    };
    let submission = Submission::parse(body).map_err(|fault| problem(&fault))?;
    let origin = submission.origin().map_err(|fault| problem(&fault))?;
    let keys: Vec<_> = party.logs.iter().filter(|key| key.name == origin).cloned().collect();
    if keys.is_empty() {
        return Err(problem(&WitnessFault::UnknownLog));
    }
    let one = Witnessing {
        party: party.code(),
        keys: &keys,
        submission: &submission,
        policy: gateway.policy(party.code()),
        assurance: gateway.assurance(party.code()).unwrap_or("tls"),
    };
    match gateway.journal.witness(cosigner, &one).await.map_err(|fault| Box::new(gateway.unavailable(&fault)))? {
        Ok(line) => Ok(Answer::Cosigned(line)),
        Err(WitnessFault::Conflict { latest } | WitnessFault::Fork { latest }) => Ok(Answer::Conflict(latest)),
        Err(fault) => Err(problem(&fault)),
    }
}
