//! A receipt: one entry, the proof that it is in the tree, and the signed checkpoint of the transaction that stored it or a later one
//! that a witness cosigned.
//! Whoever holds the file and the log's public key can check it without a database and without a network.

use super::{
    entry::Entry,
    note::{Checkpoint, NoteFault, Signed, VerifierKey},
    tree::{Hash, leaf_hash, root_from_inclusion},
};
use aws_lc_rs::hmac;
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The mark of this format.
pub const FORMAT: &str = "onechannel/1";

/// A receipt as it travels and lies in a file (JSON).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`FORMAT`].
    pub receipt: String,
    /// Our id of the message.
    pub message: Uuid,
    /// `applied`, `held` or `refused`.
    pub outcome: String,
    /// The corridor whose log holds the entry.
    pub corridor: String,
    /// What the corridor's partner can prove.
    pub assurance: String,
    /// The exact entry line.
    pub entry: String,
    /// Its index in the log, from 0.
    pub index: u64,
    /// Inclusion proof, bottom up, base64 (RFC 9162 §2.1.3).
    pub proof: Vec<String>,
    /// Signed checkpoint (C2SP note).
    pub checkpoint: String,
    /// base64url of the secret that opens the entry's commitment; only in the sender's own receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<String>,
}

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The entry.
    pub entry: Entry,
    /// The checkpoint whose tree holds it.
    pub checkpoint: Checkpoint,
    /// Who cosigned that checkpoint, of those whose keys were given, and when by their clocks (seconds of the Unix era).
    pub witnesses: Vec<(String, u64)>,
    /// Whether the given original bytes are those that the entry commits to; `None` where none were given.
    pub bytes_match: Option<bool>,
}

/// Why a receipt proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    /// Another format or version.
    #[error("not a receipt of format {FORMAT}")]
    Format,
    /// The entry line is not canonical, or says another outcome or assurance than the receipt.
    #[error("the entry is malformed or differs from what the receipt says of it")]
    Entry,
    /// The proof does not lead from the entry to the checkpoint's root.
    #[error("the inclusion proof does not lead from this entry to the root of the checkpoint")]
    Proof,
    /// The checkpoint.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] NoteFault),
    /// The checkpoint is of another corridor's log than the receipt claims.
    #[error("the checkpoint belongs to another log")]
    OtherLog,
    /// Original bytes were given, but the receipt carries no opening.
    #[error("the receipt carries no opening: it cannot be held against the original bytes")]
    NoOpening,
}

impl Receipt {
    /// Writes proof and opening in their text form.
    pub fn new(
        message: Uuid,
        corridor: &str,
        entry: &Entry,
        at: (u64, &[Hash]),
        note: &str,
        opening: Option<Hash>,
    ) -> Self {
        Self {
            receipt: FORMAT.to_owned(),
            message,
            outcome: entry.outcome.clone(),
            corridor: corridor.to_owned(),
            assurance: entry.assurance.clone(),
            entry: entry.encode(),
            index: at.0,
            proof: at.1.iter().map(|hash| BASE64_STANDARD.encode(hash)).collect(),
            checkpoint: note.to_owned(),
            opening: opening.map(|opening| BASE64_URL_SAFE_NO_PAD.encode(opening)),
        }
    }

    /// The same entry and index under another checkpoint of its log, with the inclusion proof at that size.
    pub fn under(self, path: &[Hash], note: &str) -> Self {
        let proof = path.iter().map(|hash| BASE64_STANDARD.encode(hash)).collect();
        Self { proof, checkpoint: note.to_owned(), ..self }
    }

    /// Checks the receipt against the public keys of the logs, and against the message's exact bytes where they are given.
    ///
    /// # Errors
    /// [`ReceiptFault`]: the first link that does not hold.
    pub fn verify(&self, keys: &[VerifierKey], original: Option<&[u8]>) -> Result<Verified, ReceiptFault> {
        if self.receipt != FORMAT {
            return Err(ReceiptFault::Format);
        }
        let entry = Entry::decode(&self.entry).map_err(|_| ReceiptFault::Entry)?;
        if entry.outcome != self.outcome || entry.assurance != self.assurance {
            return Err(ReceiptFault::Entry);
        }
        let Signed { checkpoint, witnesses, .. } = Signed::open(&self.checkpoint, keys)?;
        if checkpoint.origin.rsplit('/').next() != Some(self.corridor.as_str()) {
            return Err(ReceiptFault::OtherLog);
        }
        let path: Option<Vec<Hash>> =
            self.proof.iter().map(|text| BASE64_STANDARD.decode(text).ok()?.try_into().ok()).collect();
        let leaf = leaf_hash(self.entry.as_bytes());
        let root = path.and_then(|path| root_from_inclusion(self.index, checkpoint.size, leaf, &path));
        if root != Some(checkpoint.root) {
            return Err(ReceiptFault::Proof);
        }
        let bytes_match = original.map(|bytes| self.opens(&entry, bytes)).transpose()?;
        Ok(Verified { entry, checkpoint, witnesses, bytes_match })
    }

    fn opens(&self, entry: &Entry, bytes: &[u8]) -> Result<bool, ReceiptFault> {
        let opening = self.opening.as_deref().ok_or(ReceiptFault::NoOpening)?;
        let opening = BASE64_URL_SAFE_NO_PAD.decode(opening).map_err(|_| ReceiptFault::NoOpening)?;
        Ok(hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &opening), bytes, &entry.commitment).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        entry::EntryKind,
        note::NoteSigner,
        tree::{Commit, Frontier},
    };
    use super::*;
    use aws_lc_rs::signature::Ed25519KeyPair;
    use time::macros::datetime;

    fn made() -> (Receipt, VerifierKey) {
        let opening = [6; 32];
        let body = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &opening), b"the message");
        let entry = Entry {
            kind: EntryKind::Received,
            time: datetime!(2026-11-24 07:30:00.5 UTC),
            id: Uuid::from_u128(1),
            outcome: "applied".into(),
            policy: [1; 32],
            assurance: "tls".into(),
            commitment: body.as_ref().try_into().unwrap(),
        };
        let mut before = Frontier::default();
        (0..5u8).for_each(|i| before.append(leaf_hash(&[i])));
        let leaves = [leaf_hash(b"a"), entry.leaf(), leaf_hash(b"b")];
        let path = Commit::new(&before, &leaves).inclusion(6).unwrap();
        leaves.iter().for_each(|leaf| before.append(*leaf));
        let signer = NoteSigner::new("g.example/test/xa", Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap());
        let checkpoint = Checkpoint { origin: "g.example/test/xa".into(), size: 8, root: before.root() };
        let note = signer.sign(&checkpoint.to_text());
        let receipt = Receipt::new(Uuid::from_u128(9), "xa", &entry, (6, &path), &note, Some(opening));
        (receipt, signer.verifier().clone())
    }

    #[test]
    fn a_receipt_holds_and_every_change_to_it_is_seen() {
        let (receipt, key) = made();
        let keys = [key];
        let verified = receipt.verify(&keys, Some(b"the message")).unwrap();
        assert_eq!((verified.checkpoint.size, verified.bytes_match), (8, Some(true)));
        assert_eq!(receipt.verify(&keys, Some(b"another")).unwrap().bytes_match, Some(false));
        let fault = |change: &dyn Fn(&mut Receipt)| {
            let mut changed = receipt.clone();
            change(&mut changed);
            changed.verify(&keys, None).unwrap_err()
        };
        assert_eq!(fault(&|r| r.index = 5), ReceiptFault::Proof);
        assert_eq!(fault(&|r| r.proof.swap(0, 1)), ReceiptFault::Proof);
        assert_eq!(fault(&|r| drop(r.proof.pop())), ReceiptFault::Proof);
        assert_eq!(fault(&|r| r.entry = r.entry.replace("07:30", "07:31")), ReceiptFault::Proof);
        assert_eq!(fault(&|r| r.outcome = "refused".into()), ReceiptFault::Entry);
        assert_eq!(fault(&|r| r.corridor = "xb".into()), ReceiptFault::OtherLog);
        assert_eq!(fault(&|r| r.receipt = "onechannel/2".into()), ReceiptFault::Format);
        assert!(matches!(
            fault(&|r| r.checkpoint = r.checkpoint.replace("\n8\n", "\n9\n")),
            ReceiptFault::Checkpoint(_)
        ));
        assert_eq!(
            Receipt { opening: None, ..receipt.clone() }.verify(&keys, Some(b"x")),
            Err(ReceiptFault::NoOpening)
        );
    }

    #[test]
    fn the_file_refuses_members_it_does_not_know() {
        let (receipt, _) = made();
        let text = serde_json::to_string(&receipt).unwrap();
        assert_eq!(serde_json::from_str::<Receipt>(&text).unwrap(), receipt);
        assert!(serde_json::from_str::<Receipt>(&text.replacen('{', r#"{"x":1,"#, 1)).is_err());
    }
}
