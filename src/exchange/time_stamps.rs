//! Our checkpoints time-stamped (RFC 3161) by an authority that is neither side's: the newest of each log once its oldest unstamped one
//! has waited for a period, so that one token bounds all that was recorded in it; and at once where an entry is of a type that the
//! catalogue says so of.
//!
//! What is stamped is the note of the checkpoint, our signature in it: the token also tells until when that key was used for it at the
//! latest, should it be lost one day. Stops nothing: while the authority is away, or answers what does not hold, there is an alarm and
//! it is asked again, less and less often. Each look starts from the rows, so nothing is forgotten by a crash. Two instances that look
//! at the same moment may both ask; the first token is kept.

use super::Gateway;
use crate::{
    client::TimeStampClient,
    store::{StoreFault, ledger::time_stamps},
    trust::time_stamp::{Policy, Request, Roots, Token},
};
use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::Notify;

/// How often it is looked what is to be stamped: also what another instance took.
const LOOK: Duration = Duration::from_secs(1);
/// Longest pause after a fault.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A time-stamp authority, and how it is used.
pub struct Authority {
    /// Reaches it.
    pub client: TimeStampClient,
    /// Who must vouch for it.
    pub roots: Roots,
    /// Under which of its policies; its own default where none is named.
    pub policy: Option<Policy>,
    /// The period of a batch.
    pub every: time::Duration,
}

/// How we stand towards the authority, as this instance last saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Whether there is one.
    pub configured: bool,
    /// A stable word for what its last answer lacked.
    pub fault: Option<&'static str>,
    /// Faults since it last gave what was asked for.
    pub faults: u32,
}

impl Standing {
    /// Until the next look.
    pub fn pause(&self) -> Duration {
        LOOK.saturating_mul(1 << self.faults.min(8)).min(PAUSE_MAX)
    }
}

/// The standing, of which all use cases may know, and the bell by which they say that something is to be stamped at once.
#[derive(Debug, Default)]
pub struct Stamping {
    standing: RwLock<Standing>,
    bell: Notify,
}

impl Stamping {
    /// As last seen.
    pub fn standing(&self) -> Standing {
        *self.standing.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is an authority: from now on figures tell of it.
    pub fn begin(&self) {
        self.standing.write().unwrap_or_else(PoisonError::into_inner).configured = true;
    }

    /// Something is to be stamped at once. Only a hint to look sooner: that it is to be stamped is a row.
    pub fn wake(&self) {
        self.bell.notify_one();
    }

    /// Waits for the next look: its time, or sooner where somebody rang, the authority is not known to be at fault and nothing was
    /// stamped just now, so that it is asked once a second at most however often somebody rings.
    pub async fn next_look(&self, stamped: bool) {
        let standing = self.standing();
        let time = tokio::time::sleep(standing.pause());
        tokio::select! {
            () = time => {}
            () = self.bell.notified(), if standing.fault.is_none() && !stamped => {}
        }
    }

    /// Notes what came of asking; an alarm for a standing that became worse.
    fn note(&self, fault: Option<&'static str>) {
        let mut standing = self.standing.write().unwrap_or_else(PoisonError::into_inner);
        let old = *standing;
        let faults = if fault.is_some() { old.faults.saturating_add(1) } else { 0 };
        *standing = Standing { fault, faults, ..old };
        drop(standing);
        match fault {
            Some(fault) if old.fault != Some(fault) => tracing::error!(
                fault,
                "checkpoints are not time-stamped: everything goes on, and what waits is stamped once the authority gives what it should"
            ),
            None if old.fault.is_some() => tracing::info!("checkpoints are time-stamped again"),
            _ => {}
        }
    }
}

/// Stamps what is due of every log; gives how many checkpoints. After a fault of the authority it is asked for no other log.
///
/// # Errors
/// [`StoreFault`]; the next round does it again.
pub async fn round(gateway: &Gateway, authority: &Authority) -> Result<u32, StoreFault> {
    let pool = &gateway.journal.channel;
    let mut logs: Vec<String> = gateway.journal.signers.keys().map(|corridor| gateway.journal.log(corridor)).collect();
    logs.sort();
    let mut stamped = 0;
    for log in logs {
        let Some(due) = time_stamps::due(pool, &log, gateway.now() - authority.every).await? else { continue };
        match ask(gateway, authority, &due.note).await {
            Ok(token) => {
                time_stamps::keep(pool, &log, due.size, &token, gateway.now()).await?;
                // Durable from here. If we die before it, the same checkpoint, or a later one, is stamped again.
                stamped += 1;
                gateway.stamping.note(None);
            }
            Err(fault) => {
                gateway.stamping.note(Some(fault));
                break;
            }
        }
    }
    Ok(stamped)
}

/// A token of `note` that holds in every way.
async fn ask(gateway: &Gateway, authority: &Authority, note: &str) -> Result<Token, &'static str> {
    let request = Request::new(note.as_bytes(), authority.policy, gateway.random());
    let answer = authority.client.ask(request.to_der()).await?;
    let token = request.open(&answer, gateway.now()).map_err(|fault| fault.reason())?;
    token.vouched(&authority.roots).map_err(|fault| fault.reason())?;
    Ok(token)
}
