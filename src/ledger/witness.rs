//! C2SP tlog-witness as mathematics: what a log submits (`add-checkpoint`) and what a witness answers. No I/O: that the state is
//! compared and kept in one step is for whoever keeps it.
//!
//! A witness signs its own words: the checkpoint as it read it, never bytes as they came.

use super::{
    note::{NoteFault, Signed, VerifierKey},
    tree::{Hash, is_consistent},
};
use base64::{Engine, prelude::BASE64_STANDARD};

/// Most hashes of a consistency proof.
const PROOF_MAX: usize = 63;

/// The body of an `add-checkpoint` request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Size of the checkpoint that the witness is thought to have cosigned last; 0 for none.
    pub old: u64,
    /// Consistency proof from there (RFC 6962 §2.1.2).
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// Why a checkpoint is not cosigned; each has its status code in the specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessFault {
    /// Not a request of this protocol, or an old size beyond the new: 400.
    #[error("not an add-checkpoint request")]
    Malformed,
    /// A log that this witness does not follow: 404.
    #[error("this witness does not follow the log")]
    UnknownLog,
    /// No signature by a key that the witness trusts for that log: 403.
    #[error("no signature by a key of this log verifies")]
    NotTheLog,
    /// The witness cosigned another size last: 409.
    #[error("the checkpoint cosigned last has size {latest}")]
    Conflict {
        /// Size that the witness cosigned last.
        latest: u64,
    },
    /// The witness cosigned another root of this size: 409. Proof of a log with two histories.
    #[error("another root was cosigned for size {latest}")]
    Fork {
        /// That size.
        latest: u64,
    },
    /// The proof does not lead from the old tree to the new: 422. Proof of a log that rewrote its history, where it signed both.
    #[error("the checkpoint is not an extension of the one cosigned last")]
    Inconsistent,
}

impl Submission {
    /// The body, each line with its newline.
    pub fn to_text(&self) -> String {
        let proof: String = self.proof.iter().map(|hash| BASE64_STANDARD.encode(hash) + "\n").collect();
        format!("old {}\n{proof}\n{}", self.old, self.checkpoint)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`WitnessFault::Malformed`] for anything that [`Submission::to_text`] would write otherwise.
    pub fn parse(text: &str) -> Result<Self, WitnessFault> {
        let read = || {
            let (head, checkpoint) = text.split_once("\n\n")?;
            let mut lines = head.split('\n');
            let old = lines.next()?.strip_prefix("old ")?.parse().ok()?;
            let hash = |line: &str| BASE64_STANDARD.decode(line).ok()?.try_into().ok();
            let proof: Vec<Hash> = lines.map(hash).collect::<Option<_>>()?;
            let submission = Self { old, proof, checkpoint: checkpoint.to_owned() };
            (submission.proof.len() <= PROOF_MAX && submission.to_text() == text).then_some(submission)
        };
        read().ok_or(WitnessFault::Malformed)
    }

    /// Which log it is of, before any signature is looked at: to find the log's keys and what was cosigned last.
    ///
    /// # Errors
    /// [`WitnessFault::Malformed`].
    pub fn origin(&self) -> Result<&str, WitnessFault> {
        self.checkpoint.split('\n').next().filter(|origin| !origin.is_empty()).ok_or(WitnessFault::Malformed)
    }

    /// Judges it by the keys of its log and by what was cosigned last of it (size and root); gives the checkpoint to keep and to
    /// cosign. Checks in the order of the specification.
    ///
    /// # Errors
    /// [`WitnessFault`].
    pub fn judge(&self, keys: &[VerifierKey], latest: Option<(u64, Hash)>) -> Result<Signed, WitnessFault> {
        let signed = Signed::open(&self.checkpoint, keys).map_err(|fault| match fault {
            NoteFault::UnknownSigner | NoteFault::BadSignature => WitnessFault::NotTheLog,
            NoteFault::NotANote | NoteFault::NotACheckpoint | NoteFault::BadVerifierKey => WitnessFault::Malformed,
        })?;
        let checkpoint = &signed.checkpoint;
        if self.old > checkpoint.size {
            return Err(WitnessFault::Malformed);
        }
        let (size, root) = latest.unwrap_or((0, [0; 32]));
        if self.old != size {
            return Err(WitnessFault::Conflict { latest: size });
        }
        if size == checkpoint.size && size > 0 && root != checkpoint.root {
            return Err(WitnessFault::Fork { latest: size });
        }
        if !is_consistent(size, &root, checkpoint.size, &checkpoint.root, &self.proof) {
            return Err(WitnessFault::Inconsistent);
        }
        Ok(signed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        note::{Checkpoint, NoteSigner},
        tree::{Frontier, leaf_hash},
    };
    use super::*;
    use aws_lc_rs::signature::Ed25519KeyPair;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;
    use sha2::Sha256;

    const LOG: &str = "log.example/test/xa";

    fn log() -> NoteSigner {
        NoteSigner::new(LOG, Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap())
    }

    fn entries(size: u64) -> Vec<Vec<u8>> {
        (0..size).map(|n| n.to_be_bytes().to_vec()).collect()
    }

    fn tree(size: u64) -> Frontier {
        let mut tree = Frontier::default();
        entries(size).iter().for_each(|entry| tree.append(leaf_hash(entry)));
        tree
    }

    fn submission(old: u64, new: u64) -> Submission {
        let mut oracle = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        entries(new).into_iter().for_each(|entry| oracle.push(entry));
        let proof = if old == 0 || old >= new {
            Vec::new()
        } else {
            oracle.prove_consistency((new - old) as usize).as_bytes().as_chunks::<32>().0.to_vec()
        };
        let checkpoint = Checkpoint { origin: LOG.into(), size: new, root: tree(new).root() };
        Submission { old, proof, checkpoint: log().sign(&checkpoint.to_text()) }
    }

    fn judge(submission: &Submission, latest: Option<u64>) -> Result<u64, WitnessFault> {
        let keys = [log().verifier().clone()];
        let latest = latest.map(|size| (size, tree(size).root()));
        submission.judge(&keys, latest).map(|signed| signed.checkpoint.size)
    }

    #[test]
    fn each_status_of_the_specification_has_its_cause() {
        assert_eq!(judge(&submission(0, 5), None), Ok(5));
        assert_eq!(judge(&submission(5, 9), Some(5)), Ok(9));
        assert_eq!(judge(&submission(9, 9), Some(9)), Ok(9), "the same again");
        assert_eq!(judge(&submission(5, 9), Some(7)), Err(WitnessFault::Conflict { latest: 7 }));
        assert_eq!(judge(&submission(5, 9), None), Err(WitnessFault::Conflict { latest: 0 }));
        assert_eq!(
            judge(&submission(0, 9), Some(7)),
            Err(WitnessFault::Conflict { latest: 7 }),
            "one that lost its state"
        );
        assert_eq!(judge(&submission(9, 5), Some(9)), Err(WitnessFault::Malformed), "older than what it extends");
        // Another history of the same size.
        let mut other = Frontier::default();
        (0..9u64).for_each(|n| other.append(leaf_hash(&(n + 1).to_be_bytes())));
        let checkpoint = Checkpoint { origin: LOG.into(), size: 9, root: other.root() };
        let fork = |old, proof| Submission { old, proof, checkpoint: log().sign(&checkpoint.to_text()) };
        assert_eq!(judge(&fork(9, vec![]), Some(9)), Err(WitnessFault::Fork { latest: 9 }));
        assert_eq!(judge(&fork(5, submission(5, 9).proof), Some(5)), Err(WitnessFault::Inconsistent));
        assert_eq!(judge(&fork(5, vec![]), Some(5)), Err(WitnessFault::Inconsistent));
        assert_eq!(
            judge(&Submission { proof: vec![[1; 32]], ..submission(0, 5) }, None),
            Err(WitnessFault::Inconsistent)
        );
        let stranger = NoteSigner::new(LOG, Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap());
        let forged = Submission { checkpoint: stranger.sign(&checkpoint.to_text()), ..fork(0, vec![]) };
        assert_eq!(judge(&forged, None), Err(WitnessFault::NotTheLog));
        let garbage = Submission { checkpoint: "no note".into(), ..fork(0, vec![]) };
        assert_eq!(judge(&garbage, None), Err(WitnessFault::Malformed));
    }

    #[test]
    fn a_body_has_one_spelling() {
        let one = submission(5, 9);
        let text = one.to_text();
        assert!(text.starts_with("old 5\n") && one.origin() == Ok(LOG));
        assert_eq!(Submission::parse(&text), Ok(one.clone()));
        let many = Submission { proof: vec![[1; 32]; 64], ..one };
        for wrong in [
            text.replace("old 5", "old 05"),
            text.replace("old 5", "old  5"),
            text.replace("old 5", "Old 5"),
            text.replace("old 5", "old -5"),
            text.replace("old 5\n", ""),
            text.replacen("=\n", "\n", 1),
            text.replace("\n\n", "\n"),
            many.to_text(),
            String::new(),
        ] {
            assert_eq!(Submission::parse(&wrong), Err(WitnessFault::Malformed), "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_extension_is_cosigned_and_no_other_tree(old in 0..60u64, added in 0..60u64, latest in 0..120u64) {
            let new = old + added;
            let verdict = judge(&submission(old, new), Some(latest));
            if latest == old {
                prop_assert_eq!(verdict, Ok(new));
            } else {
                prop_assert_eq!(verdict, Err(WitnessFault::Conflict { latest }));
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,200}", old in "old [0-9]{0,30}\n.{0,60}\n\n.{0,60}") {
            for text in [text, old] {
                if let Ok(submission) = Submission::parse(&text) {
                    prop_assert_eq!(submission.to_text(), text);
                    let _ = submission.judge(&[log().verifier().clone()], None);
                }
            }
        }
    }
}
