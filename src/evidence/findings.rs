//! What was found in an archive so far: by which keys, what does not hold, what is proven, what is only said, what is not proven.

use super::{
    account::Sentence,
    archive::{self, Archive, Content, Key, Record},
    receipt::of_fault,
};
use crate::{
    ledger::{
        note::{NoteFault, Role, VerifierKey},
        receipt::{Receipt, ReceiptFault, Verified},
        tree::Hash,
    },
    trust::{keys::VerifyingKey, time_stamp::Roots},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use time::OffsetDateTime;
use uuid::Uuid;

/// Keys that the reader brings. Where he brings a list, nothing but what is on it counts; else what is in the archive.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// Whether he brought a list.
    pub brought: bool,
    /// Of logs and witnesses.
    pub logs: Vec<VerifierKey>,
    /// Of parties that sign messages and answers.
    pub signing: Vec<Arc<VerifyingKey>>,
    /// Roots of time-stamp authorities. Without them no time-stamp proves anything.
    pub time_stamps: Option<Roots>,
}

/// What was found so far.
pub(super) struct Findings<'a> {
    pub(super) archive: &'a Archive,
    pub(super) logs: Vec<VerifierKey>,
    /// Whether the keys are the reader's own.
    pub(super) brought: bool,
    signing: Vec<(Key, Arc<VerifyingKey>)>,
    /// Keys of the archive that the reader, who brought others, did not bring.
    left: Vec<Key>,
    /// The origin of all logs but its last part: they are one gateway's.
    gateway: Option<String>,
    pub(super) faults: Vec<Sentence>,
    pub(super) proven: Claims,
    pub(super) stated: Claims,
    pub(super) not_proven: Claims,
    pub(super) used: BTreeSet<String>,
    pub(super) time_stamps: Option<&'a Roots>,
    /// Digests of folders, by their names.
    pub(super) folders: BTreeMap<String, Hash>,
    /// Requests and pages that were read, where they are JSON.
    pub(super) pages: BTreeMap<Uuid, Option<Value>>,
    /// Entries that messages claim.
    pub(super) entries: BTreeSet<(String, u64)>,
}

/// Sentences, each with the messages of which it holds.
#[derive(Default)]
pub(super) struct Claims(Vec<(Sentence, Vec<String>)>);

impl Claims {
    /// Says something of a message.
    pub(super) fn of(&mut self, message: &Record, sentence: Sentence) {
        self.about(message.message.to_string(), sentence);
    }

    fn about(&mut self, message: String, sentence: Sentence) {
        match self.0.iter_mut().find(|(known, _)| *known == sentence) {
            Some((_, messages)) if messages.contains(&message) => {}
            Some((_, messages)) => messages.push(message),
            None => self.0.push((sentence, vec![message])),
        }
    }

    /// Says something of a file.
    fn of_member(&mut self, member: &str, sentence: Sentence) {
        self.about(member.to_owned(), sentence);
    }

    /// Says something of the whole.
    pub(super) fn say(&mut self, sentence: Sentence) {
        self.0.push((sentence, Vec::new()));
    }

    pub(super) fn finish(self) -> Vec<Sentence> {
        let with = |(sentence, messages): (Sentence, Vec<String>)| sentence.with("messages", messages.join(", "));
        self.0.into_iter().map(with).collect()
    }
}

impl<'a> Findings<'a> {
    pub(super) fn new(archive: &'a Archive, given: &'a Keys) -> Self {
        let mut findings = Self {
            archive,
            logs: given.logs.clone(),
            brought: given.brought,
            signing: Vec::new(),
            left: Vec::new(),
            gateway: None,
            faults: Vec::new(),
            proven: Claims::default(),
            stated: Claims::default(),
            not_proven: Claims::default(),
            used: BTreeSet::new(),
            time_stamps: given.time_stamps.as_ref(),
            folders: BTreeMap::new(),
            pages: BTreeMap::new(),
            entries: BTreeSet::new(),
        };
        let Some(archived) = archive.json::<Vec<Key>>(archive::KEYS) else {
            findings.fault("unreadable", archive::KEYS);
            return findings;
        };
        let mut inside = false;
        for key in archived {
            if let Ok(log) = VerifierKey::parse(&key.key) {
                if !given.brought && !findings.logs.contains(&log) {
                    findings.logs.push(log);
                    inside = true;
                }
                continue;
            }
            let jwk = serde_json::from_str(&key.key).ok().and_then(|jwk| VerifyingKey::from_jwk(&jwk).ok());
            let Some(jwk) = jwk else {
                findings.fault("unreadable", archive::KEYS);
                continue;
            };
            let brought = given.signing.iter().any(|one| one.thumbprint() == jwk.thumbprint());
            if brought || !given.brought {
                inside |= !brought;
                findings.signing.push((key, Arc::new(jwk)));
            } else {
                findings.left.push(key);
            }
        }
        if inside {
            findings.not_proven.say(Sentence::of("evidence.keys-inside"));
        }
        findings
    }

    /// Something in a file does not hold.
    pub(super) fn fault(&mut self, what: &str, member: &str) {
        self.fault_with(what, member, None);
    }

    pub(super) fn fault_with(&mut self, what: &str, member: &str, key: Option<&str>) {
        let sentence = Sentence::of(format!("evidence.fault-{what}")).with("member", member);
        let sentence = key.into_iter().fold(sentence, |sentence, key| sentence.with("key", key));
        if !self.faults.contains(&sentence) {
            self.faults.push(sentence);
        }
    }

    /// A receipt in a file, and whether it opens on `original`; names what does not hold. Of a log whose key the reader did not bring
    /// nothing is proven, and nothing is wrong.
    pub(super) fn receipt(&mut self, member: &str, original: Option<(&str, &[u8])>) -> Option<(Receipt, Verified)> {
        let Some(receipt) = self.archive.json::<Receipt>(member) else {
            self.fault(if self.archive.members.contains_key(member) { "unreadable" } else { "missing" }, member);
            return None;
        };
        match receipt.verify(&self.logs, original.map(|(_, bytes)| bytes)) {
            Ok(verified) => {
                if let (Some(false), Some((name, _))) = (verified.bytes_match, original) {
                    self.fault("bytes", name);
                }
                let of = |key: &&VerifierKey| {
                    let witness = verified.witnesses.iter().any(|(witness, _)| *witness == key.name);
                    witness || (key.role == Role::Log && key.name == verified.checkpoint.origin)
                };
                self.used.extend(self.logs.iter().filter(of).map(ToString::to_string));
                let gateway = verified.checkpoint.origin.rsplit_once('/').map_or("", |(gateway, _)| gateway).to_owned();
                if *self.gateway.get_or_insert_with(|| gateway.clone()) != gateway {
                    self.fault("other", member);
                }
                Some((receipt, verified))
            }
            Err(ReceiptFault::Checkpoint(NoteFault::UnknownSigner)) if self.brought => {
                let unknown = Sentence::of("evidence.log-key").with("log", origin(&receipt.checkpoint));
                self.not_proven.of_member(member, unknown);
                None
            }
            Err(fault) => {
                self.faults.push(Sentence::of("evidence.fault-member").with("member", member).then(of_fault(&fault)));
                None
            }
        }
    }

    /// Keys of a party with an id. A system of a party that fetches its messages acknowledges them under the key by which it sends.
    pub(super) fn signing(&self, party: &str, kid: &str) -> Vec<Arc<VerifyingKey>> {
        let of = |(key, _): &&(Key, Arc<VerifyingKey>)| is_of(key, party, kid);
        self.signing.iter().filter(of).map(|(_, key)| key.clone()).collect()
    }

    /// Whether the archive has such a key and the reader, who brought others, did not bring it.
    pub(super) fn was_left(&self, party: &str, kid: &str) -> bool {
        self.left.iter().any(|key| is_of(key, party, kid))
    }

    /// A key that proved something.
    pub(super) fn used(&mut self, key: &VerifyingKey) {
        self.used.insert(key.jwk().to_string());
    }
}

fn is_of(key: &Key, party: &str, kid: &str) -> bool {
    key.party == party && key.kid == kid && ["message", "answer"].contains(&key.purpose.as_str())
}

/// The origin that a note names.
pub(super) fn origin(note: &str) -> &str {
    note.lines().next().unwrap_or_default()
}

/// Whether a message's content should lie in the archive.
pub(super) fn is_shown(record: &Record) -> bool {
    record.content == Content::Shown
}

/// An instant of Unix seconds.
pub(super) fn instant(seconds: u64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()
}
