//! C2SP signed-note and tlog-checkpoint: a short text with lines of signatures, here Ed25519 (algorithm byte 0x01).

use super::tree::Hash;
use aws_lc_rs::{
    digest,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::fmt;

const ED25519_BYTE: u8 = 1;
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

/// Who signed, and the public key to check it with. Text form `name+hash+base64(0x01 || key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    /// Key name: a schema-less URL without spaces or plus signs.
    pub name: String,
    public: [u8; 32],
}

impl VerifierKey {
    /// From a name and the raw Ed25519 public key.
    pub fn new(name: &str, public: [u8; 32]) -> Self {
        Self { name: name.to_owned(), public }
    }

    /// `SHA-256(name || 0x0A || 0x01 || key)[..4]` (C2SP signed-note).
    pub fn id(&self) -> [u8; 4] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(self.name.as_bytes());
        context.update(&[b'\n', ED25519_BYTE]);
        context.update(&self.public);
        *context.finish().as_ref().first_chunk().expect("SHA-256 is longer than four bytes")
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
            let public = key.strip_prefix(&[ED25519_BYTE])?.try_into().ok()?;
            let verifier = Self::new(name, public);
            (is_name(name) && hex::encode(verifier.id()) == id).then_some(verifier)
        };
        read().ok_or(NoteFault::BadVerifierKey)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519_BYTE];
        key.extend_from_slice(&self.public);
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), BASE64_STANDARD.encode(key))
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace())
}

/// Signs notes under one name.
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
    /// A signer of notes under `name`.
    pub fn new(name: &str, key: Ed25519KeyPair) -> Self {
        let public = key.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes");
        Self { key, verifier: VerifierKey::new(name, public) }
    }

    /// The key by which others verify.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// `text` (ending in a newline) with our signature line.
    pub fn sign(&self, text: &str) -> String {
        let mut line = self.verifier.id().to_vec();
        line.extend_from_slice(self.key.sign(text.as_bytes()).as_ref());
        format!("{text}\n\u{2014} {} {}\n", self.verifier.name, BASE64_STANDARD.encode(line))
    }
}

/// Checks that at least one of `keys` signed the note and that none of their lines is false; gives the text.
///
/// # Errors
/// [`NoteFault`].
pub fn open<'n>(note: &'n str, keys: &[VerifierKey]) -> Result<&'n str, NoteFault> {
    if note.len() > NOTE_MAX || note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(NoteFault::NotANote);
    }
    let split = note.rfind("\n\n").ok_or(NoteFault::NotANote)?;
    let (text, lines) = (&note[..=split], &note[split + 2..]);
    let lines = lines.strip_suffix('\n').filter(|lines| !lines.is_empty()).ok_or(NoteFault::NotANote)?;
    let mut known = false;
    for line in lines.split('\n') {
        let (name, signature) =
            line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or(NoteFault::NotANote)?;
        let bytes = BASE64_STANDARD.decode(signature).map_err(|_| NoteFault::NotANote)?;
        let (id, signature) = bytes.split_first_chunk::<4>().ok_or(NoteFault::NotANote)?;
        let Some(key) = keys.iter().find(|key| key.name == name && key.id() == *id) else { continue };
        UnparsedPublicKey::new(&ED25519, key.public)
            .verify(text.as_bytes(), signature)
            .map_err(|_| NoteFault::BadSignature)?;
        known = true;
    }
    if known { Ok(text) } else { Err(NoteFault::UnknownSigner) }
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
        assert!(open(note, &[key]).unwrap().ends_with("problem is.\n"));
    }

    #[test]
    fn a_checkpoint_opens_under_its_key_and_no_other() {
        let signer = signer();
        let checkpoint = Checkpoint { origin: "gateway.example/test/xa".into(), size: 7, root: [5; 32] };
        let note = signer.sign(&checkpoint.to_text());
        let keys = [signer.verifier().clone()];
        assert_eq!(Checkpoint::parse(open(&note, &keys).unwrap()), Ok(checkpoint));
        assert_eq!(open(&note.replace("\n7\n", "\n8\n"), &keys), Err(NoteFault::BadSignature));
        assert_eq!(open(&note, &[VerifierKey::new("gateway.example/test/xa", [4; 32])]), Err(NoteFault::UnknownSigner));
        assert_eq!(open("no note", &keys), Err(NoteFault::NotANote));
        assert_eq!(open(&note.replace('\n', "\r\n"), &keys), Err(NoteFault::NotANote));
        for text in ["o\n07\nAAAA\n", "\n7\n\n", "o\n-1\n\n", "o\n7\n"] {
            assert_eq!(Checkpoint::parse(text), Err(NoteFault::NotACheckpoint));
        }
    }
}
