//! Our logs cosigned by the partners' witnesses (C2SP tlog-witness): the newest checkpoint is submitted as long as the witness has not
//! cosigned it, and once at every start. A witness that knows more than the database holds, or another history, halts the log: after
//! the restore of an old backup nothing is signed that contradicts what was signed before.
//!
//! A witness that is away halts nothing: the log goes on from what was cosigned last, with an alarm, and its entries stop saying
//! `witnessed`.

use super::Gateway;
use crate::{
    client::{PartyClient, Submitted},
    ledger::{
        note::{self, Checkpoint, VerifierKey},
        tree::{Frontier, is_consistent},
        witness::Submission,
    },
    store::{
        StoreFault,
        ledger::{
            self,
            cosign::{self, Halt, Line, State},
        },
    },
};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

/// Submissions in one round: a witness that names another size is asked again from there.
const TRIES: usize = 3;
/// A lease ends after this: longer than all tries of a round take.
const LEASE: time::Duration = time::Duration::seconds(60);
/// How long a start waits for a witness.
const START_WITHIN: Duration = Duration::from_secs(5);

/// A partner's witness and how it is reached.
pub struct Witness {
    /// Whose corridor's log it cosigns.
    pub corridor: String,
    /// Its submission prefix below the partner's address.
    pub prefix: String,
    /// Its keys, each of which must have signed.
    pub keys: Vec<VerifierKey>,
    /// The client of the partner.
    pub client: Arc<PartyClient>,
}

/// How a corridor stands towards its witness, as this instance last saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Whether the witness answered the last submission with its cosignature.
    pub cosigning: bool,
    /// Whether the log is halted.
    pub halted: bool,
    /// A stable word for what the witness's last answer lacked.
    pub fault: Option<&'static str>,
}

/// The standings of all corridors; the default where there is no witness.
#[derive(Debug, Default)]
pub struct Standings(RwLock<HashMap<String, Standing>>);

impl Standings {
    /// How a corridor stands.
    pub fn of(&self, corridor: &str) -> Standing {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(corridor).copied().unwrap_or_default()
    }

    /// The corridors whose logs are halted.
    pub fn halted(&self) -> Vec<String> {
        self.all().into_iter().filter(|(_, standing)| standing.halted).map(|(corridor, _)| corridor).collect()
    }

    /// All that are known.
    pub fn all(&self) -> Vec<(String, Standing)> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = known.iter().map(|(corridor, standing)| (corridor.clone(), *standing)).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// Notes a standing; an alarm for one that became worse.
    fn note(&self, corridor: &str, new: Standing) {
        let old = self.0.write().unwrap_or_else(PoisonError::into_inner).insert(corridor.to_owned(), new);
        let old = old.unwrap_or_default();
        match new.fault {
            Some(fault) if old.fault != new.fault => {
                tracing::error!(
                    corridor,
                    fault,
                    "the partner's witness does not cosign: the log goes on from what it cosigned last, and entries no longer say witnessed"
                );
            }
            None if old.fault.is_some() && new.cosigning => {
                tracing::info!(corridor, "the partner's witness cosigns again")
            }
            _ => {}
        }
    }
}

/// Looks at one log, and submits its newest checkpoint if the witness has not cosigned it; gives whether it was submitted. Any number
/// of instances may do this: one at a time submits.
///
/// # Errors
/// [`StoreFault`]; the next round does it again.
pub async fn round(gateway: &Gateway, witness: &Witness) -> Result<bool, StoreFault> {
    let pool = &gateway.journal.channel;
    let state = cosign::state(pool, &gateway.journal.log(&witness.corridor)).await?;
    let seen = gateway.standings.of(&witness.corridor);
    let halted = state.halted.is_some();
    gateway.standings.note(&witness.corridor, Standing { halted, ..seen });
    if seen.cosigning && !halted && state.size == state.cosigned {
        return Ok(false);
    }
    let token = gateway.id();
    if !cosign::lease(pool, &state.log, token, gateway.now() + LEASE, gateway.now()).await? {
        return Ok(false);
    }
    let done = submit(gateway, witness).await;
    cosign::release(pool, &state.log, token, gateway.now()).await?;
    done.map(|()| true)
}

/// Submits the newest checkpoint again before anything is signed: whether the database is as new as what the witness saw. Waits a few
/// seconds at most; a witness that is away is asked again later.
///
/// # Errors
/// [`StoreFault`].
pub async fn at_start(gateway: &Gateway, witness: &Witness) -> Result<(), StoreFault> {
    match tokio::time::timeout(START_WITHIN, submit(gateway, witness)).await {
        Ok(done) => done,
        Err(_) => {
            let state = cosign::state(&gateway.journal.channel, &gateway.journal.log(&witness.corridor)).await?;
            let standing = Standing { cosigning: false, halted: state.halted.is_some(), fault: Some("witness-away") };
            gateway.standings.note(&witness.corridor, standing);
            Ok(())
        }
    }
}

/// A corridor whose partner has no witness, or has none any more, is halted by none.
///
/// # Errors
/// [`StoreFault`].
pub async fn without_witness(gateway: &Gateway, corridor: &str) -> Result<(), StoreFault> {
    if cosign::lift(&gateway.journal.channel, &gateway.journal.log(corridor)).await? {
        tracing::warn!(corridor, "the log goes on: its partner's folder names no witness any more");
    }
    Ok(())
}

/// Submits the newest checkpoint until the witness cosigned it or something stands against it; notes how the corridor stands then.
///
/// # Errors
/// [`StoreFault`].
pub async fn submit(gateway: &Gateway, witness: &Witness) -> Result<(), StoreFault> {
    let corridor = witness.corridor.as_str();
    let pool = &gateway.journal.channel;
    let log = gateway.journal.log(corridor);
    let fault = match attempt(gateway, witness, &log).await? {
        Attempt::Cosigned { size, lines, by_all } => {
            if cosign::keep(pool, &log, size, &lines, gateway.now()).await? {
                tracing::warn!(corridor, size, "the witness cosigned the log: it is no longer halted");
            }
            // Durable from here. If we die before it, the witness says 409 or cosigns the same again.
            let fault = (!by_all).then_some("cosignature-wrong");
            gateway.standings.note(corridor, Standing { cosigning: by_all, halted: false, fault });
            return Ok(());
        }
        Attempt::Behind { halt, size, latest } => {
            if cosign::halt(pool, &log, halt, latest, gateway.now()).await? {
                alarm(corridor, &log, halt, size, latest);
            }
            None
        }
        Attempt::Failed(fault) => Some(fault),
    };
    let halted = cosign::state(pool, &log).await?.halted.is_some();
    gateway.standings.note(corridor, Standing { cosigning: false, halted, fault });
    Ok(())
}

/// What a halt means and what to do about it, for whoever reads the log.
fn alarm(corridor: &str, log: &str, halt: Halt, ours: u64, theirs: u64) {
    match halt {
        Halt::Rollback => tracing::error!(
            corridor,
            log,
            ours,
            theirs,
            "HALTED: the witness cosigned a larger log than this database holds, which is older than what was signed. No message of \
             this corridor is taken; reading goes on. Restore the newest backup, or fetch the partner's copy of the tiles and run \
             `onechannel ledger catch-up`; the gateway goes on by itself once the witness cosigns"
        ),
        Halt::Fork => tracing::error!(
            corridor,
            log,
            ours,
            theirs,
            "HALTED: the witness cosigned another history of this log. Another gateway signs with the same key, or this database \
             signed anew after the restore of an old backup. No message of this corridor is taken; reading goes on. Keep this database \
             as evidence, compare both with `onechannel ledger verify --against`, and go on with the one that the witness cosigned"
        ),
    }
}

/// What came of submitting.
enum Attempt {
    /// The witness's verified lines, and whether there is one by each of its keys.
    Cosigned { size: u64, lines: Vec<Line>, by_all: bool },
    /// The witness knows of more, or of another history.
    Behind { halt: Halt, size: u64, latest: u64 },
    /// A stable word.
    Failed(&'static str),
}

async fn attempt(gateway: &Gateway, witness: &Witness, log: &str) -> Result<Attempt, StoreFault> {
    let pool = &gateway.journal.channel;
    let mut named = None;
    for _ in 0..TRIES {
        let state = cosign::state(pool, log).await?;
        let (old, size) = (named.unwrap_or(state.cosigned), state.size);
        if old > size {
            return Ok(Attempt::Behind { halt: Halt::Rollback, size, latest: old });
        }
        let submission = match submission(gateway, &state, old).await {
            Err(fault @ StoreFault::BadRow { .. }) => {
                // One damaged log keeps neither the others nor reading from going on.
                tracing::error!(corridor = witness.corridor, %fault, "the log is damaged: onechannel ledger verify names what");
                None
            }
            other => other?,
        };
        let Some((submission, checkpoint)) = submission else { return Ok(Attempt::Failed("log-damaged")) };
        match witness.client.add_checkpoint(&witness.prefix, &submission).await {
            Submitted::Cosigned(lines) => {
                let lines = verified(&checkpoint, &lines, &witness.keys);
                let by_all = lines.len() == witness.keys.len();
                return Ok(match lines.is_empty() {
                    true => Attempt::Failed("cosignature-wrong"),
                    false => Attempt::Cosigned { size, lines, by_all },
                });
            }
            // It named the size that we started from: for the same size it has another root; beyond it, it contradicts itself.
            Submitted::Conflict { latest } if latest == old && old == size => {
                return Ok(Attempt::Behind { halt: Halt::Fork, size, latest });
            }
            Submitted::Conflict { latest } if latest == old => {
                return Ok(Attempt::Failed("witness-contradicts-itself"));
            }
            // Where it is larger than ours, the next look decides: another instance may have been faster.
            Submitted::Conflict { latest } => named = Some(latest),
            Submitted::Inconsistent => return Ok(Attempt::Behind { halt: Halt::Fork, size, latest: old }),
            Submitted::Refused(fault) => return Ok(Attempt::Failed(fault)),
            Submitted::Away(reason) => {
                tracing::debug!(corridor = witness.corridor, reason, "a witness did not answer");
                return Ok(Attempt::Failed("witness-away"));
            }
        }
    }
    Ok(Attempt::Failed("witness-changes-its-size"))
}

/// The newest checkpoint with its proof from `old`; of an empty log the checkpoint of the empty tree. `None` where the proof from a
/// checkpoint of ours does not lead to it: then the log itself is damaged, and the witness is not to blame.
async fn submission(
    gateway: &Gateway,
    state: &State,
    old: u64,
) -> Result<Option<(Submission, Checkpoint)>, StoreFault> {
    let pool = &gateway.journal.channel;
    let bad = |column| StoreFault::BadRow { table: "commits", column, row: format!("{} {}", state.log, state.size) };
    let root = cosign::root(pool, &state.log, state.size).await?.ok_or_else(|| bad("root"))?;
    let checkpoint = Checkpoint { origin: state.log.clone(), size: state.size, root };
    let (note, proof) = match &state.note {
        Some(note) => {
            let proof = ledger::consistency(pool, &state.log, old, state.size).await?.ok_or_else(|| bad("size"))?;
            (note.clone(), proof)
        }
        None => (gateway.journal.signer(&state.log)?.sign(&checkpoint.to_text()), Vec::new()),
    };
    let before = if old == 0 { Some(Frontier::default().root()) } else { cosign::root(pool, &state.log, old).await? };
    let leads = before.is_none_or(|before| is_consistent(old, &before, state.size, &root, &proof));
    Ok(leads.then_some((Submission { old, proof, checkpoint: note }, checkpoint)))
}

/// The lines by `keys` among a witness's answer that say when and verify for the checkpoint that was submitted, each judged by itself:
/// while one of its keys is changed the other goes on to count. Other lines are ignored.
fn verified(checkpoint: &Checkpoint, lines: &str, keys: &[VerifierKey]) -> Vec<Line> {
    let note = format!("{}\n{lines}", checkpoint.to_text());
    let by = |key: &VerifierKey| {
        let opened = note::open(&note, std::slice::from_ref(key)).ok()?;
        let at = opened.by.iter().position(|(by, time)| *by == key && time.is_some())?;
        let line = (*opened.lines.get(at)?).to_owned();
        Some(Line { witness: key.name.clone(), signature_type: key.signature_type(), line })
    };
    keys.iter().filter_map(by).collect()
}
