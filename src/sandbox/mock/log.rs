//! The log of a mock partner: a leaf for each record that it took, its checkpoints submitted to the gateway, which is its witness.
//! In memory, and small: proofs are computed from all leaves.

use crate::{
    ledger::{
        note::{Checkpoint, NoteSigner, Role, Signed, VerifierKey},
        tile,
        tree::{Frontier, Hash, leaf_hash},
        witness::Submission,
    },
    sandbox::system::System,
};
use axum::http::StatusCode;
use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// Pause between two submissions.
const BETWEEN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct MockLog {
    signer: NoteSigner,
    /// The file of the gateway's public keys, its witness among them.
    gateway_keys: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    leaves: Vec<Hash>,
    cosigned: u64,
}

impl MockLog {
    pub(super) fn new(signer: NoteSigner, gateway_keys: PathBuf) -> Self {
        Self { signer, gateway_keys, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record that it took.
    pub fn append(&self, entry: &[u8]) {
        self.kept().leaves.push(leaf_hash(entry));
    }

    /// The size that the gateway cosigned last.
    pub fn cosigned(&self) -> u64 {
        self.kept().cosigned
    }

    /// Submits its newest checkpoint to the gateway, unless that is cosigned; gives the size that is cosigned then.
    ///
    /// # Errors
    /// A sentence.
    pub async fn submit(&self, gateway: &System) -> Result<u64, String> {
        // A gateway that knows another size names it, and is asked once more from there.
        for _ in 0..2 {
            let Some((submission, checkpoint)) = self.submission() else { return Ok(self.cosigned()) };
            let url = format!("{}/v1/ledger/add-checkpoint", gateway.base);
            let answer = gateway.http.post(url).body(submission.to_text()).send().await;
            let answer = answer.map_err(|fault| fault.to_string())?;
            let (status, body) = (answer.status(), answer.text().await.map_err(|fault| fault.to_string())?);
            match status {
                StatusCode::OK => {
                    let text = fs::read_to_string(&self.gateway_keys).map_err(|fault| fault.to_string())?;
                    let keys = text.lines().filter_map(|line| VerifierKey::parse(line).ok());
                    let witnesses = keys.filter(|key| key.role == Role::Witness);
                    let keys: Vec<VerifierKey> = witnesses.chain([self.signer.verifier().clone()]).collect();
                    let signed = Signed::open(&(submission.checkpoint + &body), &keys);
                    if !signed.is_ok_and(|signed| !signed.witnesses.is_empty()) {
                        return Err("the gateway's cosignature does not verify".to_owned());
                    }
                    self.kept().cosigned = checkpoint.size;
                    return Ok(checkpoint.size);
                }
                StatusCode::CONFLICT => {
                    let latest = body.trim_end().parse().map_err(|_| "a conflict without a size".to_owned())?;
                    if latest > checkpoint.size {
                        return Err(format!(
                            "the gateway cosigned {latest} entries, and there are {}",
                            checkpoint.size
                        ));
                    }
                    self.kept().cosigned = latest;
                }
                other => return Err(format!("the gateway answered {other}")),
            }
        }
        Err("the gateway names one size after another".to_owned())
    }

    /// The newest checkpoint with its proof from the one cosigned last; `None` when there is nothing new.
    fn submission(&self) -> Option<(Submission, Checkpoint)> {
        let kept = self.kept();
        let size = kept.leaves.len() as u64;
        let path = tile::consistency(kept.cosigned, size).filter(|_| size > kept.cosigned)?;
        let proof = path.into_iter().map(|range| root(&kept.leaves[range.start as usize..range.end as usize]));
        let origin = self.signer.verifier().name.clone();
        let checkpoint = Checkpoint { origin, size, root: root(&kept.leaves) };
        let note = self.signer.sign(&checkpoint.to_text());
        Some((Submission { old: kept.cosigned, proof: proof.collect(), checkpoint: note }, checkpoint))
    }
}

/// Submits a mock's own log to the gateway about once a second, until told to stop; a gateway that is away is asked again.
pub async fn keep_submitting(log: &MockLog, gateway: &System, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(fault) = log.submit(gateway).await {
            tracing::debug!(fault, "a mock's checkpoint was not cosigned");
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(BETWEEN) => {}
        }
    }
}

fn root(leaves: &[Hash]) -> Hash {
    let mut tree = Frontier::default();
    leaves.iter().for_each(|leaf| tree.append(*leaf));
    tree.root()
}
