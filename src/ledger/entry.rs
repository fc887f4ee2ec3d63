//! One leaf: a compact JSON line with a fixed order of members, so that its bytes are the same wherever it is written.
//!
//! An entry names nobody: its id is fresh, its commitment opens only with the secret that its sender's receipt carries.

use super::tree::{Hash, leaf_hash};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use uuid::Uuid;

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// What an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// A message was received and decided.
    Received,
    /// A partner's verified answer settled a delivery.
    Delivered,
    /// An answer of ours went out.
    Answered,
    /// The ministry looked something up.
    Lookup,
    /// An officer's act.
    Officer,
    /// A checkpoint of the partner's own log was cosigned: its history is part of ours from here on.
    Witnessed,
}

/// A ledger entry, version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub kind: EntryKind,
    /// When the gateway says it happened, UTC, in microseconds.
    pub time: OffsetDateTime,
    /// Fresh id of this entry alone, so that entries cannot be linked by it.
    pub id: Uuid,
    /// `applied`, `held`, `refused`, `delivered`, `disclosed`…
    pub outcome: String,
    /// SHA-256 of the policy document: the digests of schemas, mappings, rule packs and software that decided.
    pub policy: Hash,
    /// What the corridor's partner can prove: `witnessed`, `answer-signed`, `tls`, `file`; `domestic` for our own acts.
    pub assurance: String,
    /// `HMAC-SHA-256(opening, exact bytes)`.
    pub commitment: Hash,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    v: u8,
    kind: EntryKind,
    time: &'a str,
    entry: Uuid,
    outcome: &'a str,
    policy: &'a str,
    assurance: &'a str,
    commitment: &'a str,
}

/// Text that is not an entry, or not written as this version writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a canonical ledger entry of version 1")]
pub struct EntryFault;

impl Entry {
    /// The canonical line: UTF-8, no white space, no newline.
    pub fn encode(&self) -> String {
        let line = Line {
            v: 1,
            kind: self.kind,
            time: &self.time.format(TIME).expect("a year of four digits formats"),
            entry: self.id,
            outcome: &self.outcome,
            policy: &BASE64_URL_SAFE_NO_PAD.encode(self.policy),
            assurance: &self.assurance,
            commitment: &BASE64_URL_SAFE_NO_PAD.encode(self.commitment),
        };
        serde_json::to_string(&line).expect("an entry has no member that fails to serialise")
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`EntryFault`] for any text that [`Entry::encode`] would not have written.
    pub fn decode(text: &str) -> Result<Self, EntryFault> {
        let line: Line<'_> = serde_json::from_str(text).map_err(|_| EntryFault)?;
        let hash = |text: &str| -> Result<Hash, EntryFault> {
            BASE64_URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(EntryFault)
        };
        let time = time::PrimitiveDateTime::parse(line.time, TIME).map_err(|_| EntryFault)?.assume_utc();
        let entry = Self {
            kind: line.kind,
            time,
            id: line.entry,
            outcome: line.outcome.to_owned(),
            policy: hash(line.policy)?,
            assurance: line.assurance.to_owned(),
            commitment: hash(line.commitment)?,
        };
        if line.v == 1 && entry.encode() == text { Ok(entry) } else { Err(EntryFault) }
    }

    /// The entry's leaf hash.
    pub fn leaf(&self) -> Hash {
        leaf_hash(self.encode().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_line_has_one_spelling() {
        let entry = Entry {
            kind: EntryKind::Received,
            time: datetime!(2026-11-24 07:30:00.123456 UTC),
            id: Uuid::from_u128(5),
            outcome: "held".into(),
            policy: [1; 32],
            assurance: "tls".into(),
            commitment: [2; 32],
        };
        let line = entry.encode();
        assert!(line.starts_with(r#"{"v":1,"kind":"received","time":"2026-11-24T07:30:00.123456Z","entry":"#));
        assert_eq!(Entry::decode(&line).as_ref(), Ok(&entry));
        for changed in [
            line.replace(r#""v":1"#, r#""v":2"#),
            line.replace(',', ", "),
            line.replace(".123456Z", ".12345600Z"),
            line.replace(r#""outcome":"held","#, ""),
            line.replace(r#""v":1,"#, r#""v":1,"x":1,"#),
            format!("{line}\n"),
        ] {
            assert_eq!(Entry::decode(&changed), Err(EntryFault), "{changed}");
        }
    }
}
