//! C2SP tlog-cosignature: who signs for a witness. What is signed is in [`super::cosigned`]. Two types of signature: Ed25519 (0x04,
//! `cosignature/v1`) and ML-DSA-44 (0x06, `subtree/v1`; FIPS 204, pure, with an empty context). The second is what a quantum computer
//! does not forge; it names the witness and leaves out extension lines, of which our checkpoints have none.
//!
//! Written to the text of C2SP/C2SP commit 01194db11950, which cites signed-note and tlog-checkpoint v1.0.0. Its part on Ed25519 is
//! that of tag v1.0.1. The part on ML-DSA-44 came with tag v1.1.0, whose own text was not at hand to compare. Of the subtrees that it can
//! sign, whole trees are signed here and no others.

use super::{
    cosigned::{of_text, of_tree},
    note::{Checkpoint, VerifierKey},
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, ML_DSA_44_SIGNING, PqdsaKeyPair};
use std::fmt;

/// Cosigns checkpoints of others under one name. Its keys sign nothing else: what Ed25519 signs here does not say the name.
pub struct Cosigner {
    ed25519: (Ed25519KeyPair, VerifierKey),
    ml_dsa: Option<(PqdsaKeyPair, VerifierKey)>,
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({})", self.ed25519.1.name)
    }
}

impl Cosigner {
    /// A witness that signs by Ed25519.
    pub fn new(name: &str, key: Ed25519KeyPair) -> Self {
        let verifier = VerifierKey::witness(name, &key);
        Self { ed25519: (key, verifier), ml_dsa: None }
    }

    /// The same, signing by ML-DSA-44 too. `seed` is the key as FIPS 204 calls it ξ; `None` where the library takes no key from it.
    pub fn with_ml_dsa(self, seed: &[u8; 32]) -> Option<Self> {
        let key = PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, seed).ok()?;
        let verifier = VerifierKey::ml_dsa_witness(&self.ed25519.1.name, key.public_key().as_ref())?;
        Some(Self { ml_dsa: Some((key, verifier)), ..self })
    }

    /// The keys by which others verify.
    pub fn verifiers(&self) -> impl Iterator<Item = &VerifierKey> {
        [&self.ed25519.1].into_iter().chain(self.ml_dsa.iter().map(|(_, verifier)| verifier))
    }

    /// A signature line by each key on a checkpoint, which this writes out itself: "at `time` (seconds of the Unix era) this was the
    /// largest tree of that log that I had seen". An origin of more than 255 bytes has no line by ML-DSA-44.
    pub fn cosign(&self, checkpoint: &Checkpoint, time: u64) -> String {
        let (key, verifier) = &self.ed25519;
        let line = |verifier: &VerifierKey, signature: &[u8]| verifier.line(&[&time.to_be_bytes(), signature].concat());
        let mut lines = line(verifier, key.sign(of_text(&checkpoint.to_text(), time).as_bytes()).as_ref());
        let by_ml_dsa = self.ml_dsa.as_ref().and_then(|(key, verifier)| {
            let message = of_tree(&verifier.name, time, (&checkpoint.origin, checkpoint.size, &checkpoint.root))?;
            let mut signature = vec![0; key.algorithm().signature_len()];
            key.sign(&message, &mut signature).expect("a whole key signs any message into a buffer of its length");
            Some(line(verifier, &signature))
        });
        lines.push_str(&by_ml_dsa.unwrap_or_default());
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        note::{NoteFault, NoteSigner, Signed, open},
        tree::Hash,
    };
    use super::*;

    const NAME: &str = "witness.example.com/w1";
    const AT: u64 = 1_679_315_147;

    fn pair(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }

    fn log() -> NoteSigner {
        NoteSigner::new("example.com/behind-the-sofa", pair(3))
    }

    fn tree(checkpoint: &Checkpoint) -> (&str, u64, &Hash) {
        (&checkpoint.origin, checkpoint.size, &checkpoint.root)
    }

    fn witness() -> Cosigner {
        Cosigner::new(NAME, pair(4)).with_ml_dsa(&[5; 32]).unwrap()
    }

    /// The checkpoint of the specification's example.
    fn checkpoint() -> Checkpoint {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        Checkpoint::parse(text).unwrap()
    }

    /// The specification's own example, of which two public implementations state the same bytes for ML-DSA-44.
    #[test]
    fn the_signed_messages_are_those_of_the_specification() {
        let text = "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        assert_eq!(of_text(&checkpoint().to_text(), AT), text);
        let message = concat!(
            "737562747265652f76310a00",
            "167769746e6573732e6578616d706c652e636f6d2f7731",
            "00000000641850cb",
            "1b6578616d706c652e636f6d2f626568696e642d7468652d736f6661",
            "0000000000000000",
            "00000000013e2dc3",
            "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62",
        );
        assert_eq!(hex::encode(of_tree(NAME, AT, tree(&checkpoint())).unwrap()), message);
        let long = "n".repeat(256);
        assert_eq!(of_tree(&long, AT, tree(&checkpoint())), None);
        assert_eq!(of_tree(NAME, AT, tree(&Checkpoint { origin: long.clone(), ..checkpoint() })), None);
        assert!(of_tree(&long[1..], AT, tree(&checkpoint())).is_some());
        assert_eq!(of_tree("", AT, tree(&checkpoint())), None);
    }

    #[test]
    fn both_signatures_open_each_by_itself_and_one_witness_counts_once() {
        let (log, witness) = (log(), witness());
        let note = log.sign(&checkpoint().to_text()) + &witness.cosign(&checkpoint(), AT);
        let own = log.verifier().clone();
        let both: Vec<VerifierKey> = witness.verifiers().cloned().collect();
        assert_eq!(both.iter().map(VerifierKey::signature_type).collect::<Vec<_>>(), [4, 6]);
        for keys in [&both[..], &both[..1], &both[1..]] {
            let keys = [std::slice::from_ref(&own), keys].concat();
            let signed = Signed::open(&note, &keys).unwrap();
            assert_eq!(signed.witnesses, [(NAME.to_owned(), AT)]);
            assert_eq!(signed.note.lines().filter(|line| line.starts_with('\u{2014}')).count(), keys.len());
        }
        for key in both {
            assert_eq!(VerifierKey::parse(&key.to_string()), Ok(key));
        }
    }

    #[test]
    fn a_cosignature_by_ml_dsa_holds_for_that_name_time_and_tree_only() {
        let witness = witness();
        let keys: Vec<VerifierKey> = witness.verifiers().skip(1).cloned().collect();
        let lines = witness.cosign(&checkpoint(), AT);
        let line = lines.lines().nth(1).unwrap();
        let note = |text: &str, line: &str| format!("{text}\n{line}\n");
        let text = checkpoint().to_text();
        assert_eq!(open(&note(&text, line), &keys).unwrap().by, [(&keys[0], Some(AT))]);
        let other = |change: fn(&mut Checkpoint)| {
            let mut other = checkpoint();
            change(&mut other);
            other.to_text()
        };
        for text in
            [other(|c| c.size += 1), other(|c| c.root[0] ^= 1), other(|c| c.origin.push('2')), "no checkpoint\n".into()]
        {
            assert_eq!(open(&note(&text, line), &keys), Err(NoteFault::BadSignature), "{text}");
        }
        // The same key under another name, and the line with another time in it.
        let renamed = Cosigner::new("other.example/w1", pair(4)).with_ml_dsa(&[5; 32]).unwrap();
        let renamed: Vec<VerifierKey> = renamed.verifiers().skip(1).cloned().collect();
        let bytes = |line: &str| {
            use base64::{Engine, prelude::BASE64_STANDARD};
            BASE64_STANDARD.decode(line.rsplit(' ').next().unwrap()).unwrap()
        };
        let signature = &bytes(line)[4..];
        assert_eq!(signature.len(), 8 + 2_420);
        assert_eq!(open(&note(&text, renamed[0].line(signature).trim_end()), &renamed), Err(NoteFault::BadSignature));
        for at in [0, 7, 8, 2_427] {
            let mut altered = signature.to_vec();
            altered[at] ^= 1;
            assert_eq!(
                open(&note(&text, keys[0].line(&altered).trim_end()), &keys),
                Err(NoteFault::BadSignature),
                "{at}"
            );
        }
        assert_eq!(open(&note(&text, keys[0].line(&signature[..72]).trim_end()), &keys), Err(NoteFault::BadSignature));
    }

    /// Time 0 says that the tree is consistent with what the witness knew, not that it knew none larger.
    #[test]
    fn without_a_time_it_is_no_witness() {
        let (log, witness) = (log(), witness());
        let lines = witness.cosign(&checkpoint(), 0);
        let note = log.sign(&checkpoint().to_text()) + lines.lines().nth(1).unwrap() + "\n";
        let keys: Vec<VerifierKey> = witness.verifiers().chain([log.verifier()]).cloned().collect();
        let signed = Signed::open(&note, &keys).unwrap();
        assert_eq!((signed.witnesses.len(), signed.note), (0, note));
    }
}
