//! What the time-stamp of a checkpoint shows of a message: that its entry existed before a time which neither side could choose. Proven
//! only under roots of time-stamp authorities that the reader brings: those of the gateway are the gateway's choice.

use super::{account::Sentence, archive::Record, findings::Findings, receipt::rfc3339};
use crate::{
    ledger::receipt::{Receipt, Verified},
    trust::time_stamp::Token,
};

/// The stamped note, the token (DER) and the receipt of the entry under that note.
pub const NOTE: &str = "not-after.note";
/// See [`NOTE`].
pub const TOKEN: &str = "not-after.tst";
/// See [`NOTE`].
pub const RECEIPT: &str = "not-after.receipt.json";

/// Says what the time-stamp in the folder of a message shows; gives whether it proves a latest time.
pub(super) fn check(
    findings: &mut Findings<'_>,
    record: &Record,
    folder: &str,
    (receipt, verified): (&Receipt, &Verified),
) -> bool {
    let name = |file: &str| format!("{folder}/{file}");
    let archive = findings.archive;
    let member = |file: &str| archive.members.get(&name(file));
    let (note, token) = match (member(NOTE), member(TOKEN), member(RECEIPT)) {
        (None, None, None) => return false,
        (Some(note), Some(token), Some(_)) => (note, token),
        _ => {
            let missing = [NOTE, TOKEN, RECEIPT].into_iter().filter(|file| member(file).is_none());
            missing.for_each(|file| findings.fault("missing", &name(file)));
            return false;
        }
    };
    // The same entry at the same place of the same log, under the checkpoint that was stamped.
    let Some((under, stamped)) = findings.receipt(&name(RECEIPT), None) else { return false };
    let same = under.entry == receipt.entry
        && under.index == receipt.index
        && stamped.checkpoint.origin == verified.checkpoint.origin;
    if !same || under.checkpoint.as_bytes() != note.as_slice() {
        findings.fault("other", &name(RECEIPT));
        return false;
    }
    let Some(token) = Token::read(token).ok().filter(|token| token.is_of(note)) else {
        findings.fault("time-stamp", &name(TOKEN));
        return false;
    };
    let claim = |key: &str| Sentence::of(key).with("time", rfc3339(token.time())).with("authority", token.authority());
    match findings.time_stamps {
        None => findings.not_proven.of(record, claim("evidence.time-stamp-no-anchors")),
        Some(roots) if token.vouched(roots).is_ok() => {
            findings.proven.of(record, claim("evidence.time-stamped"));
            return true;
        }
        Some(_) => findings.not_proven.of(record, claim("evidence.time-stamp-unknown")),
    }
    false
}
