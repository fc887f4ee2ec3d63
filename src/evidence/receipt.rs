//! What one receipt shows, and what it does not.

use super::account::{Account, Sentence};
use crate::ledger::{
    entry::EntryKind,
    note::{NoteFault, VerifierKey},
    receipt::{Receipt, ReceiptFault, Verified},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The account of a receipt that was verified by `keys`, for a reader.
pub fn account(receipt: &Receipt, result: &Result<Verified, ReceiptFault>, keys: &[VerifierKey]) -> Account {
    let holds = result.as_ref().is_ok_and(|verified| verified.bytes_match != Some(false));
    let mut account = Account {
        title: Sentence::of("receipt.title"),
        verdict: Sentence::of(if holds { "receipt.holds" } else { "receipt.fails" }),
        faults: Vec::new(),
        proven: Vec::new(),
        // No entry names a message: whoever holds a receipt could write another id here.
        stated: vec![Sentence::of("receipt.message").with("message", receipt.message)],
        not_proven: Vec::new(),
        keys: Vec::new(),
        by_hand: Vec::new(),
        appendix: vec![
            ("entry".to_owned(), receipt.entry.clone()),
            ("index".to_owned(), receipt.index.to_string()),
            ("proof".to_owned(), receipt.proof.join("\n")),
            ("checkpoint".to_owned(), receipt.checkpoint.clone()),
        ],
    };
    match result {
        Err(fault) => account.faults.push(of_fault(fault)),
        Ok(verified) => explain(receipt, verified, keys, &mut account),
    }
    account
}

/// What does not hold, as a sentence.
pub fn of_fault(fault: &ReceiptFault) -> Sentence {
    Sentence::of(match fault {
        ReceiptFault::Format => "receipt.fault-format",
        ReceiptFault::Entry => "receipt.fault-entry",
        ReceiptFault::Proof => "receipt.fault-proof",
        ReceiptFault::OtherLog => "receipt.fault-other-log",
        ReceiptFault::NoOpening => "receipt.fault-no-opening",
        ReceiptFault::Checkpoint(NoteFault::NotANote | NoteFault::BadVerifierKey) => "receipt.fault-not-a-note",
        ReceiptFault::Checkpoint(NoteFault::UnknownSigner) => "receipt.fault-unknown-signer",
        ReceiptFault::Checkpoint(NoteFault::BadSignature) => "receipt.fault-bad-signature",
        ReceiptFault::Checkpoint(NoteFault::NotACheckpoint) => "receipt.fault-not-a-checkpoint",
    })
}

/// What the log itself says by this entry.
pub(super) fn of_entry(receipt: &Receipt, verified: &Verified) -> Sentence {
    let (entry, log) = (&verified.entry, &verified.checkpoint.origin);
    let key = match (entry.kind, entry.outcome.as_str()) {
        (EntryKind::Received, "applied") => "receipt.applied",
        (EntryKind::Received, "held") => "receipt.held",
        (EntryKind::Received, "refused") => "receipt.refused",
        _ => "receipt.other",
    };
    let kind = serde_json::to_value(entry.kind).unwrap_or_default();
    Sentence::of(key)
        .with("index", receipt.index)
        .with("log", log)
        .with("kind", kind.as_str().unwrap_or_default())
        .with("outcome", &entry.outcome)
}

/// Who vouches for the entry: the log, and witnesses.
pub(super) fn signed(verified: &Verified) -> Vec<Sentence> {
    let checkpoint = &verified.checkpoint;
    let own = Sentence::of("receipt.signed").with("size", checkpoint.size).with("log", &checkpoint.origin);
    let witnessed = verified.witnesses.iter().map(|(witness, at)| {
        let at = i64::try_from(*at).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
        Sentence::of("receipt.witnessed").with("witness", witness).with("time", at.map(rfc3339).unwrap_or_default())
    });
    [own].into_iter().chain(witnessed).collect()
}

pub(super) fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

fn explain(receipt: &Receipt, verified: &Verified, keys: &[VerifierKey], account: &mut Account) {
    let Verified { entry, checkpoint, witnesses, bytes_match } = verified;
    account.proven.push(of_entry(receipt, verified));
    account.proven.extend(signed(verified));
    match bytes_match {
        Some(true) => account.proven.push(Sentence::of("receipt.match")),
        Some(false) => account.faults.push(Sentence::of("receipt.differs")),
        None => account.not_proven.push(Sentence::of("receipt.no-message")),
    }
    account.stated.push(Sentence::of("receipt.clock").with("time", rfc3339(entry.time)));
    account.stated.push(Sentence::of("receipt.assurance").with("assurance", &entry.assurance));
    if witnesses.is_empty() {
        account.not_proven.push(Sentence::of("receipt.no-witness"));
    }
    account.not_proven.extend(["receipt.sender", "receipt.truth", "receipt.owner"].map(Sentence::of));
    let signed =
        |key: &&VerifierKey| key.name == checkpoint.origin || witnesses.iter().any(|(witness, _)| *witness == key.name);
    account.keys = keys.iter().filter(signed).map(ToString::to_string).collect();
    account.by_hand = vec![
        Sentence::of("receipt.hand-leaf").with("index", receipt.index),
        Sentence::of("receipt.hand-root"),
        Sentence::of("receipt.hand-note"),
        Sentence::of("receipt.hand-opening"),
    ];
}
