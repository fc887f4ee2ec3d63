//! One leaf: a compact JSON line with a fixed order of members, so that its bytes are the same wherever it is written.
//!
//! An entry names nobody: its id is fresh, its commitment opens only with the secret that its sender's receipt carries.

use super::tree::{Hash, leaf_hash};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Serialize,
    de::{IntoDeserializer, value},
};
use time::{Date, OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
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

#[derive(Serialize)]
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

    /// Reads a line, as strictly as [`Entry::encode`] writes it: a whole log is read by this.
    ///
    /// # Errors
    /// [`EntryFault`] for any text that [`Entry::encode`] would not have written.
    pub fn decode(text: &str) -> Result<Self, EntryFault> {
        let read = || {
            let (kind, rest) = text.strip_prefix(r#"{"v":1,"kind":""#)?.split_once(r#"","time":""#)?;
            let (time, rest) = rest.split_once(r#"","entry":""#)?;
            let (id, rest) = rest.split_once(r#"","outcome":""#)?;
            let (outcome, rest) = rest.split_once(r#"","policy":""#)?;
            let (policy, rest) = rest.split_once(r#"","assurance":""#)?;
            let (assurance, rest) = rest.split_once(r#"","commitment":""#)?;
            let commitment = rest.strip_suffix(r#""}"#)?;
            // What JSON would escape is not in these words.
            let word = |text: &str| {
                let plain = text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
                plain.then(|| text.to_owned())
            };
            let hash = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok();
            let fresh = Uuid::try_parse(id).ok()?;
            let entry = Self {
                kind: EntryKind::deserialize(IntoDeserializer::<value::Error>::into_deserializer(kind)).ok()?,
                time: read_time(time.as_bytes())?,
                id: fresh,
                outcome: word(outcome)?,
                policy: hash(policy)?,
                assurance: word(assurance)?,
                commitment: hash(commitment)?,
            };
            (fresh.hyphenated().encode_lower(&mut [0; 36]) == id).then_some(entry)
        };
        read().ok_or(EntryFault)
    }

    /// The entry's leaf hash.
    pub fn leaf(&self) -> Hash {
        leaf_hash(self.encode().as_bytes())
    }
}

/// Reads a time of [`TIME`].
fn read_time(text: &[u8]) -> Option<OffsetDateTime> {
    const SHAPE: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";
    let text: &[u8; 27] = text.try_into().ok()?;
    let fits = |(shape, byte): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { shape == byte };
    if !SHAPE.iter().zip(text).all(fits) {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].iter().fold(0u32, |n, byte| n * 10 + u32::from(byte - b'0'));
    let small = |from: usize| number(from, from + 2) as u8;
    let date = Date::from_calendar_date(number(0, 4) as i32, small(5).try_into().ok()?, small(8)).ok()?;
    Some(date.with_hms_micro(small(11), small(14), small(17), number(20, 26)).ok()?.assume_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
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
            line.replace("held", "he\\u006cd"),
            line.replace("held", "he\"ld"),
            line.replace("held", "he\tld"),
            line.replace("received", "Received"),
            line.replace("11-24T", "11-31T"),
            line.replace("11-24T", "00-24T"),
            line.replace("07:30:00", "24:30:00"),
            line.replace("07:30:00", "07:30:60"),
            line.replace("2026-", "+2026-"),
            line.replace("000000000005", "00000000000F"),
            line.replace("00000000-0000-0000-0000-", "00000000000000000000"),
            line.replace("QE\"", "QF\""),
            line.replace("\"}", "=\"}"),
        ] {
            assert_ne!(changed, line);
            assert_eq!(Entry::decode(&changed), Err(EntryFault), "{changed}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_reads_back(micros in -62_135_596_800_000_000i64..253_402_300_800_000_000, id: u128,
            outcome in "[a-z \u{7f}é()-]{0,12}", commitment: [u8; 32]) {
            let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).unwrap();
            let (id, assurance) = (Uuid::from_u128(id), outcome.clone());
            let entry = Entry { kind: EntryKind::Witnessed, time, id, outcome, policy: [1; 32], assurance, commitment };
            prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
        }
    }
}
