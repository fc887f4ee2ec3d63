//! C2SP signed-note (v1.0.0) and tlog-checkpoint (v1.0.0): a short text with lines of signatures, each by a log (Ed25519, signature type
//! 0x01) or by a witness that says when (Ed25519, 0x04, or ML-DSA-44, 0x06). What a witness signs is [`super::cosigned`]'s. Other types
//! read as unknown keys.

use super::{cosigned, tree::Hash};
use aws_lc_rs::{
    digest,
    signature::{ED25519, Ed25519KeyPair, KeyPair, ML_DSA_44, UnparsedPublicKey},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::fmt;

/// Signature type of a log's Ed25519 key.
pub const LOG: u8 = 1;
/// Signature type of a witness's Ed25519 key.
pub const WITNESS: u8 = 4;
/// Signature type of a witness's ML-DSA-44 key.
pub const ML_DSA_WITNESS: u8 = 6;
/// Longest note that is read, in bytes.
pub const NOTE_MAX: usize = 64 * 1024;

/// Why a note proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteFault {
    /// Not a note: no signature block, control characters, or too long.
    #[error("the text is not a C2SP signed note")]
    NotANote,
    /// None of the given keys signed it.
    #[error("no signature by a known key")]
    UnknownSigner,
    /// A line by a known key does not verify.
    #[error("a signature by a known key does not verify")]
    BadSignature,
    /// A note, but no checkpoint: origin, size, root.
    #[error("the note is not a checkpoint")]
    NotACheckpoint,
    /// `name+hash+key` is malformed.
    #[error("not a note verifier key")]
    BadVerifierKey,
}

/// What a key's signature says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// "This is my note": of a log, its checkpoint.
    Log,
    /// "At this time this was the largest consistent tree of that log that I had seen" (tlog-cosignature).
    Witness,
}

/// A public key by its signature scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Public {
    Ed25519([u8; 32]),
    MlDsa44(Box<[u8; ML_DSA_44_LENGTH]>),
}

/// Bytes of an ML-DSA-44 public key (FIPS 204 §4).
const ML_DSA_44_LENGTH: usize = 1312;

/// Who signed, and the public key to check it with. Text form `name+hash+base64(signature type || key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    /// Key name: a schema-less URL without spaces or plus signs.
    pub name: String,
    /// What it signs.
    pub role: Role,
    public: Public,
}

impl VerifierKey {
    /// From a name, a role and the raw Ed25519 public key.
    pub fn new(name: &str, role: Role, public: [u8; 32]) -> Self {
        Self { name: name.to_owned(), role, public: Public::Ed25519(public) }
    }

    /// Of a witness by its Ed25519 key.
    pub(super) fn witness(name: &str, key: &Ed25519KeyPair) -> Self {
        Self::of(name, Role::Witness, key)
    }

    /// Of a witness by its raw ML-DSA-44 public key; `None` where that has another length.
    pub(super) fn ml_dsa_witness(name: &str, public: &[u8]) -> Option<Self> {
        let public = Public::MlDsa44(Box::new(public.try_into().ok()?));
        Some(Self { name: name.to_owned(), role: Role::Witness, public })
    }

    fn of(name: &str, role: Role, key: &Ed25519KeyPair) -> Self {
        let public = key.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes");
        Self::new(name, role, public)
    }

    /// The signature type byte (C2SP signed-note) in key ids and verifier keys.
    pub fn signature_type(&self) -> u8 {
        match (self.role, &self.public) {
            (Role::Log, _) => LOG,
            (Role::Witness, Public::Ed25519(_)) => WITNESS,
            (Role::Witness, Public::MlDsa44(_)) => ML_DSA_WITNESS,
        }
    }

    fn public(&self) -> &[u8] {
        match &self.public {
            Public::Ed25519(key) => key,
            Public::MlDsa44(key) => &key[..],
        }
    }

    /// `SHA-256(name || 0x0A || signature type || key)[..4]` (C2SP signed-note).
    pub fn id(&self) -> [u8; 4] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(self.name.as_bytes());
        context.update(&[b'\n', self.signature_type()]);
        context.update(self.public());
        *context.finish().as_ref().first_chunk().expect("SHA-256 is longer than four bytes")
    }

    /// A signature of this key as a line of a note.
    pub(super) fn line(&self, signature: &[u8]) -> String {
        let line = [&self.id(), signature].concat();
        format!("\u{2014} {} {}\n", self.name, BASE64_STANDARD.encode(line))
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`NoteFault::BadVerifierKey`].
    pub fn parse(text: &str) -> Result<Self, NoteFault> {
        let read = || {
            let mut parts = text.trim().splitn(3, '+');
            let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
            let key = BASE64_STANDARD.decode(key).ok()?;
            let verifier = match key.split_first()? {
                (&LOG, public) => Self::new(name, Role::Log, public.try_into().ok()?),
                (&WITNESS, public) => Self::new(name, Role::Witness, public.try_into().ok()?),
                (&ML_DSA_WITNESS, public) => Self::ml_dsa_witness(name, public)?,
                _ => return None,
            };
            (is_name(name) && hex::encode(verifier.id()) == id).then_some(verifier)
        };
        read().ok_or(NoteFault::BadVerifierKey)
    }

    /// What a signature of this key says of a note's text: the time, for a witness that states one. `None` where it does not verify.
    fn verify(&self, text: &str, signature: &[u8]) -> Option<Option<u64>> {
        let timed = || {
            let (time, signature) = signature.split_first_chunk()?;
            Some((u64::from_be_bytes(*time), signature)).filter(|(time, _)| i64::try_from(*time).is_ok())
        };
        match (&self.public, self.role) {
            (Public::Ed25519(key), Role::Log) => {
                UnparsedPublicKey::new(&ED25519, key).verify(text.as_bytes(), signature).ok()?;
                Some(None)
            }
            (Public::Ed25519(key), Role::Witness) => {
                let (time, signature) = timed()?;
                let message = cosigned::of_text(text, time);
                UnparsedPublicKey::new(&ED25519, key).verify(message.as_bytes(), signature).ok()?;
                Some(Some(time))
            }
            (Public::MlDsa44(key), _) => {
                let (time, signature) = timed()?;
                let Checkpoint { origin, size, root } = Checkpoint::parse(text).ok()?;
                let message = cosigned::of_tree(&self.name, time, (&origin, size, &root))?;
                UnparsedPublicKey::new(&ML_DSA_44, &key[..]).verify(&message, signature).ok()?;
                // Without a time it says that the tree is consistent, and not that it was the largest.
                Some(Some(time).filter(|time| *time > 0))
            }
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.signature_type()];
        key.extend_from_slice(self.public());
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), BASE64_STANDARD.encode(key))
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace())
}

/// Signs notes of its own under one name.
pub struct NoteSigner {
    key: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.verifier.name)
    }
}

impl NoteSigner {
    /// A log, or another who signs notes of its own, under `name`.
    pub fn new(name: &str, key: Ed25519KeyPair) -> Self {
        let verifier = VerifierKey::of(name, Role::Log, &key);
        Self { key, verifier }
    }

    /// The key by which others verify.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// `text` (ending in a newline) with our signature line.
    pub fn sign(&self, text: &str) -> String {
        format!("{text}\n{}", self.verifier.line(self.key.sign(text.as_bytes()).as_ref()))
    }
}

/// A note whose signatures by known keys all verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened<'n, 'k> {
    /// The text, its last newline included.
    pub text: &'n str,
    /// Who signed, each once, and when where they say so.
    pub by: Vec<(&'k VerifierKey, Option<u64>)>,
    /// Their signature lines, in the same order.
    pub lines: Vec<&'n str>,
}

/// Checks that at least one of `keys` signed the note and that none of their lines is false.
///
/// # Errors
/// [`NoteFault`].
pub fn open<'n, 'k>(note: &'n str, keys: &'k [VerifierKey]) -> Result<Opened<'n, 'k>, NoteFault> {
    if note.len() > NOTE_MAX || note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(NoteFault::NotANote);
    }
    let split = note.rfind("\n\n").ok_or(NoteFault::NotANote)?;
    let (text, lines) = (&note[..=split], &note[split + 2..]);
    let lines = lines.strip_suffix('\n').filter(|lines| !lines.is_empty()).ok_or(NoteFault::NotANote)?;
    let mut opened = Opened { text, by: Vec::new(), lines: Vec::new() };
    for line in lines.split('\n') {
        let (name, signature) =
            line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or(NoteFault::NotANote)?;
        let bytes = BASE64_STANDARD.decode(signature).map_err(|_| NoteFault::NotANote)?;
        let (id, signature) = bytes.split_first_chunk::<4>().ok_or(NoteFault::NotANote)?;
        if !is_name(name) || signature.is_empty() {
            return Err(NoteFault::NotANote);
        }
        let Some(key) = keys.iter().find(|key| key.name == name && key.id() == *id) else { continue };
        let says = key.verify(text, signature).ok_or(NoteFault::BadSignature)?;
        if !opened.by.iter().any(|(known, _)| *known == key) {
            opened.by.push((key, says));
            opened.lines.push(line);
        }
    }
    if opened.by.is_empty() { Err(NoteFault::UnknownSigner) } else { Ok(opened) }
}

/// A checkpoint that its log signed, and who cosigned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Names of witnesses, each once, by whichever of its keys, with the time that it states.
    pub witnesses: Vec<(String, u64)>,
    /// The note written out anew: the checkpoint with the signature lines that verified, and no other.
    pub note: String,
}

impl Signed {
    /// Reads a checkpoint that the log of its own name signed, by one of `keys`; those of witnesses may stand among them.
    ///
    /// # Errors
    /// [`NoteFault`]; a note that only others signed is [`NoteFault::UnknownSigner`].
    pub fn open(note: &str, keys: &[VerifierKey]) -> Result<Self, NoteFault> {
        let opened = open(note, keys)?;
        let checkpoint = Checkpoint::parse(opened.text)?;
        let is_own = |(key, _): &(&VerifierKey, _)| key.role == Role::Log && key.name == checkpoint.origin;
        if !opened.by.iter().any(is_own) {
            return Err(NoteFault::UnknownSigner);
        }
        let mut witnesses: Vec<(String, u64)> = Vec::new();
        for (key, time) in &opened.by {
            let Some(time) = *time else { continue };
            if !witnesses.iter().any(|(name, _)| *name == key.name) {
                witnesses.push((key.name.clone(), time));
            }
        }
        let lines: String = opened.lines.iter().map(|line| format!("{line}\n")).collect();
        let note = format!("{}\n{lines}", checkpoint.to_text());
        Ok(Self { checkpoint, witnesses, note })
    }
}

/// A log's state (C2SP tlog-checkpoint, without extension lines).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: host, environment and corridor.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Tree head.
    pub root: Hash,
}

impl Checkpoint {
    /// The text to sign.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64_STANDARD.encode(self.root))
    }

    /// Reads a note's text.
    ///
    /// # Errors
    /// [`NoteFault::NotACheckpoint`] for anything that [`Checkpoint::to_text`] would write otherwise.
    pub fn parse(text: &str) -> Result<Self, NoteFault> {
        let read = || {
            let mut lines = text.split('\n');
            let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
            let root = BASE64_STANDARD.decode(root).ok()?.try_into().ok()?;
            let checkpoint = Self { origin: origin.to_owned(), size: size.parse().ok()?, root };
            (!origin.is_empty() && checkpoint.to_text() == text).then_some(checkpoint)
        };
        read().ok_or(NoteFault::NotACheckpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::super::cosignature::Cosigner;
    use super::*;

    fn signer() -> NoteSigner {
        NoteSigner::new("gateway.example/test/xa", Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap())
    }

    /// The example of the C2SP signed-note and Go sumdb documents.
    #[test]
    fn the_published_verifier_key_reads() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key = VerifierKey::parse(text).unwrap();
        assert_eq!(key.to_string(), text);
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert!(open(note, &[key]).unwrap().text.ends_with("problem is.\n"));
    }

    #[test]
    fn a_checkpoint_opens_under_its_key_and_no_other() {
        let signer = signer();
        let checkpoint = Checkpoint { origin: "gateway.example/test/xa".into(), size: 7, root: [5; 32] };
        let note = signer.sign(&checkpoint.to_text());
        let keys = [signer.verifier().clone()];
        assert_eq!(Checkpoint::parse(open(&note, &keys).unwrap().text), Ok(checkpoint));
        assert_eq!(open(&note.replace("\n7\n", "\n8\n"), &keys), Err(NoteFault::BadSignature));
        assert_eq!(
            open(&note, &[VerifierKey::new("gateway.example/test/xa", Role::Log, [4; 32])]),
            Err(NoteFault::UnknownSigner)
        );
        assert_eq!(open("no note", &keys), Err(NoteFault::NotANote));
        assert_eq!(open(&note.replace('\n', "\r\n"), &keys), Err(NoteFault::NotANote));
        for line in
            ["\u{2014} a+b AAAAAAAA", "\u{2014}  AAAAAAAA", "\u{2014} a\u{a0}b AAAAAAAA", "\u{2014} ab AAAAAA=="]
        {
            assert_eq!(open(&format!("{note}{line}\n"), &keys), Err(NoteFault::NotANote), "{line}");
        }
        for text in ["o\n07\nAAAA\n", "\n7\n\n", "o\n-1\n\n", "o\n7\n"] {
            assert_eq!(Checkpoint::parse(text), Err(NoteFault::NotACheckpoint));
        }
    }

    fn witness() -> Cosigner {
        Cosigner::new("witness.example/w1", Ed25519KeyPair::from_seed_unchecked(&[4; 32]).unwrap())
    }

    #[test]
    fn a_cosignature_says_when_and_holds_for_that_checkpoint_only() {
        let (log, witness) = (signer(), witness());
        let checkpoint = Checkpoint { origin: "gateway.example/test/xa".into(), size: 7, root: [5; 32] };
        let note = log.sign(&checkpoint.to_text());
        let both = note.clone() + &witness.cosign(&checkpoint, 1_679_315_147);
        let keys = [log.verifier().clone(), witness.verifiers().next().unwrap().clone()];
        let signed = Signed::open(&both, &keys).unwrap();
        assert_eq!(signed.checkpoint, checkpoint);
        assert_eq!(signed.witnesses, [("witness.example/w1".to_owned(), 1_679_315_147)]);
        assert_eq!(VerifierKey::parse(&keys[1].to_string()), Ok(keys[1].clone()));
        // The same line twice is one witness.
        let twice = Signed::open(&(both.clone() + &witness.cosign(&checkpoint, 1_679_315_147)), &keys).unwrap();
        assert_eq!(twice, signed);
        // Without the witness's key the log's word stands alone; without the log's there is no checkpoint.
        assert_eq!(Signed::open(&both, &keys[..1]).unwrap().witnesses, []);
        assert_eq!(Signed::open(&both, &keys[1..]), Err(NoteFault::UnknownSigner));
        // A line of another checkpoint, or another time, is false.
        let other = Checkpoint { size: 8, ..checkpoint.clone() };
        let forged = note.clone() + &witness.cosign(&other, 1);
        assert_eq!(Signed::open(&forged, &keys), Err(NoteFault::BadSignature));
        let late = note + &witness.cosign(&checkpoint, u64::MAX);
        assert_eq!(Signed::open(&late, &keys), Err(NoteFault::BadSignature), "beyond 2^63 - 1");
    }

    /// A log's key in the name of another log signs nothing of it.
    #[test]
    fn a_checkpoint_is_signed_by_the_log_of_its_own_name() {
        let other = NoteSigner::new("other.example/log", Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap());
        let checkpoint = Checkpoint { origin: "gateway.example/test/xa".into(), size: 7, root: [5; 32] };
        let note = other.sign(&checkpoint.to_text());
        assert_eq!(Signed::open(&note, &[other.verifier().clone()]), Err(NoteFault::UnknownSigner));
    }
}
