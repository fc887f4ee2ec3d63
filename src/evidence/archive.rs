//! The file of an archive of evidence: a tar (POSIX ustar) of regular files in the order of their names, all of the time at which it was
//! made, so that the same content gives the same bytes; and what stands in its JSON files.
//!
//! | file | holds |
//! |---|---|
//! | `manifest.json` | SHA-256 of every other file but the two below |
//! | `export.statement.json`, `export.receipt.json` | who asked, why, and the SHA-256 of the manifest; the receipt of the officer's act in the domestic log that commits to this statement |
//! | `scope.json` | [`Scope`] |
//! | `page.html`, `page.txt` | what is proven and what is not |
//! | `keys.json` | public keys that ever counted, ours and the partners', and since when |
//! | `messages/ID/record.json`, `receipt.json` | [`Record`]; the receipt of its entry |
//! | `messages/ID/request`, `signature.json`, `event.json` | exact bytes, what is kept of their signature, the canonical event where the bytes are in another format |
//! | `messages/ID/told/PARTY-N.answer`, `PARTY-N.receipt.json` | what a party answered when it was told: a line about its signature, the bytes that it answered, its body ([`crate::trust::exchanged`]); the receipt of the entry that commits to it |
//! | `messages/ID/not-before.note`, `not-before.receipt.json` | a checkpoint of the partner's log; the receipt of the earlier entry that commits to it |
//! | `messages/ID/not-after.note`, `not-after.tst`, `not-after.receipt.json` | a checkpoint of the entry's log, its time-stamp (RFC 3161 TimeStampToken, DER), the receipt of the entry under that checkpoint |
//! | `requests/ID` | the exact body of a request or page in which several messages came, where it was asked for |
//! | `certificates/THUMBPRINT.pem` | chains of connections |
//! | `policies/DIGEST.json` | what decided, by digests |
//! | `schemas/…`, `parties/CODE/…` | the files with those digests, where the running software still has them |
//! | `roots/CODE/…` | roots of a party's certificates, as they are now |

use crate::vault::sha256;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::{self, Read},
};
use time::OffsetDateTime;
use uuid::Uuid;

/// The mark of this format.
pub const FORMAT: &str = "onechannel-evidence/1";
/// Lists every other file.
pub const MANIFEST: &str = "manifest.json";
/// What the domestic log commits to.
pub const STATEMENT: &str = "export.statement.json";
/// The receipt of that act.
pub const ACT: &str = "export.receipt.json";
/// The outcome of its entry.
pub const ACT_OUTCOME: &str = "evidence-exported";
/// The assurance of its entry: an act of the domestic log.
pub const DOMESTIC: &str = "domestic";
/// What was asked.
pub const SCOPE: &str = "scope.json";
/// Public keys.
pub const KEYS: &str = "keys.json";
/// For a person, to print.
pub const PAGE: &str = "page.html";
/// For a person, to read.
pub const TEXT: &str = "page.txt";

/// Largest archive that is read, in bytes.
pub const ARCHIVE_MAX: u64 = 1 << 30;

/// Why a file is no archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFault {
    /// Not a tar of regular files, each name once.
    #[error("not an archive of evidence: {0}")]
    NotAnArchive(String),
    /// A file that does not fit into a tar.
    #[error("the archive cannot be written: {0}")]
    Unwritten(#[from] io::Error),
}

/// What was asked for, by whom and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// [`FORMAT`].
    pub evidence: String,
    /// `message`, `placement` or `day`.
    pub kind: String,
    /// Its id, or the day.
    pub of: String,
    /// Who.
    pub officer: String,
    /// Why.
    pub purpose: String,
    /// Case or request number.
    pub case: Option<String>,
    /// When, by the gateway's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub made: OffsetDateTime,
    /// Language of its page.
    pub language: String,
    /// Messages that are not named here, because the purpose does not show that there are any such.
    #[serde(default)]
    pub left_out: usize,
}

/// What the domestic log commits to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// SHA-256 of the manifest, hex.
    pub manifest: String,
    /// As in the archive.
    pub scope: Scope,
}

/// The list of contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// SHA-256 of each file, hex.
    pub members: BTreeMap<String, String>,
}

/// A public key that counts or counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Whose.
    pub party: String,
    /// `gateway`, `message`, `answer`, `log` or `witness`.
    pub purpose: String,
    /// Its id.
    pub kid: String,
    /// JWK (RFC 7517) as text; of a log or witness the C2SP verifier key.
    pub key: String,
    /// Since when the gateway knows it.
    pub first_seen_at: String,
    /// SHA-256 of `key`, hex.
    pub fingerprint: String,
}

/// Whether a message's content is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// It is.
    Shown,
    /// It was erased.
    Erased,
    /// The purpose does not show it.
    Withheld,
}

/// What the gateway says of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Our id.
    pub message: Uuid,
    /// Catalogue entry.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Sender's party.
    pub party: String,
    /// Sender's client.
    pub client: String,
    /// In whose name.
    pub authority: String,
    /// Corridor.
    pub corridor: String,
    /// `applied`, `held` or `refused`.
    pub outcome: String,
    /// When its facts were asserted, by its sender.
    #[serde(with = "time::serde::rfc3339")]
    pub asserted_at: OffsetDateTime,
    /// When it was received, by the gateway's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    /// Broken rules.
    pub problem: Option<serde_json::Value>,
    /// Whether its content is here.
    pub content: Content,
    /// Our id of the request or page in which it came among others, if that is kept whole.
    #[serde(default)]
    pub part_of: Option<Uuid>,
    /// Whom it was to be told.
    pub told: Vec<Told>,
}

/// How a party was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// The party.
    pub party: String,
    /// Its number in the party's mailbox.
    pub seq: i64,
    /// How it stood when the archive was made: `waiting`, `delivered`, `refused`, `parked` or `erased`.
    pub state: String,
    /// A stable word for why.
    pub reason: Option<String>,
    /// When it ended, by the gateway's clock.
    #[serde(with = "time::serde::rfc3339::option")]
    pub settled_at: Option<OffsetDateTime>,
}

/// Files by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archive {
    /// The files.
    pub members: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    /// Adds a file.
    pub fn put(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.members.insert(name.into(), bytes.into());
    }

    /// Adds a file of JSON.
    pub fn put_json(&mut self, name: impl Into<String>, value: &impl Serialize) {
        self.put(name, serde_json::to_vec_pretty(value).expect("these values have only keys of text"));
    }

    /// A file of JSON; `None` where it is not there or not of this shape.
    pub fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(self.members.get(name)?).ok()
    }

    /// The list of contents of what is there.
    pub fn manifest(&self) -> Manifest {
        let listed = self.members.iter().filter(|(name, _)| ![MANIFEST, STATEMENT, ACT].contains(&name.as_str()));
        Manifest { members: listed.map(|(name, bytes)| (name.clone(), hex::encode(sha256(bytes)))).collect() }
    }

    /// Its bytes at most, packed: a tar adds a header and less than a block to each file, and two blocks at its end.
    pub fn size(&self) -> u64 {
        self.members.values().map(|bytes| bytes.len() as u64 + 1_024).sum::<u64>() + 10_240
    }

    /// The bytes of the file. `made` stands as time beside each name.
    ///
    /// # Errors
    /// [`ArchiveFault::Unwritten`] for a name that is too long for a tar.
    pub fn write(&self, made: OffsetDateTime) -> Result<Vec<u8>, ArchiveFault> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in &self.members {
            let mut header = tar::Header::new_ustar();
            header.set_path(name)?;
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(u64::try_from(made.unix_timestamp()).unwrap_or_default());
            header.set_cksum();
            tar.append(&header, bytes.as_slice())?;
        }
        Ok(tar.into_inner()?)
    }

    /// Reads a file that [`Archive::write`] wrote.
    ///
    /// # Errors
    /// [`ArchiveFault::NotAnArchive`].
    pub fn read(bytes: &[u8]) -> Result<Self, ArchiveFault> {
        let not = |fault: &dyn std::fmt::Display| ArchiveFault::NotAnArchive(fault.to_string());
        let mut archive = Self::default();
        for entry in tar::Archive::new(bytes).entries().map_err(|fault| not(&fault))? {
            let mut entry = entry.map_err(|fault| not(&fault))?;
            let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(|fault| not(&fault))?;
            if entry.header().entry_type() != tar::EntryType::Regular {
                return Err(not(&format!("{name:?} is not a regular file")));
            }
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(|fault| not(&fault))?;
            if archive.members.insert(name.clone(), content).is_some() {
                return Err(not(&format!("{name:?} stands in it twice")));
            }
        }
        Ok(archive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const MADE: OffsetDateTime = datetime!(2026-11-25 00:00 UTC);

    #[test]
    fn the_same_content_gives_the_same_bytes_and_reads_back() {
        let mut archive = Archive::default();
        archive.put("b", "two");
        archive.put("messages/0190a7c0-0000-7000-8000-000000000000/told/xa-1.answer", vec![0; 1_000]);
        archive.put("a", "");
        let bytes = archive.write(MADE).unwrap();
        assert_eq!(Archive::read(&bytes).unwrap(), archive);
        assert_eq!(Archive::read(&bytes).unwrap().write(MADE).unwrap(), bytes);
        assert_eq!(archive.manifest().members["b"], hex::encode(sha256(b"two")));
        assert!(Archive::read(b"not a tar").is_err());
        // The two files' names made one: each name stands once.
        let mut twice = tar::Builder::new(Vec::new());
        for _ in 0..2 {
            let mut header = tar::Header::new_ustar();
            header.set_path("a").unwrap();
            header.set_size(0);
            header.set_cksum();
            twice.append(&header, &[][..]).unwrap();
        }
        assert!(Archive::read(&twice.into_inner().unwrap()).unwrap_err().to_string().contains("twice"));
    }
}
