//! Background loops: each does one round, again and again, until it is told to stop. A round carries no state over, so that a
//! restart in the middle of one is nothing special.

use crate::{
    client::PartyClient,
    exchange::{
        Gateway,
        cosigning::{self, Witness},
        deadlines,
        deliver::{self, Pace},
        evidence, limits, poll,
        time_stamps::{self, Authority},
    },
    partner::{Client, profile::Poll},
    store::{access, journal::DOMESTIC},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::watch;

/// Pause of a loop that found nothing to do.
const IDLE: Duration = Duration::from_millis(100);
/// How often trust anchors and CRLs are read again.
const RELOAD: Duration = Duration::from_secs(10);
/// How often clocks are looked at.
const REMIND: Duration = Duration::from_secs(5);
/// How often full tiles are looked for.
const BUILD: Duration = Duration::from_secs(5);
/// How often limits are looked at.
const COUNT: Duration = Duration::from_secs(60);
/// How often a log's newest checkpoint is submitted to its witness, if it is new.
const COSIGN: Duration = Duration::from_secs(1);
/// How often one is submitted again that a witness did not cosign.
const COSIGN_AGAIN: Duration = Duration::from_secs(3);
/// Pause after a fault.
const AFTER_FAULT: Duration = Duration::from_secs(1);

/// Waits; `false` when it is time to stop.
async fn pause(stop: &mut watch::Receiver<bool>, time: Duration) -> bool {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => false,
        () = tokio::time::sleep(time) => true,
    }
}

/// Reminds of clocks that ran out.
pub(super) async fn remind(gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    loop {
        match deadlines::round(&gateway).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "clocks ran out"),
            Err(fault) => tracing::error!(%fault, "clocks could not be looked at"),
        }
        if !pause(&mut stop, REMIND).await {
            return;
        }
    }
}

/// Looks at limits.
pub(super) async fn look_at_limits(gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(fault) = limits::round(&gateway).await {
            tracing::error!(%fault, "limits could not be looked at");
        }
        if !pause(&mut stop, COUNT).await {
            return;
        }
    }
}

/// Builds the tiles of the logs; at the start, all that were not built before.
pub(super) async fn build_tiles(gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    loop {
        let time = if evidence::build_tiles(&gateway).await == 0 { BUILD } else { Duration::ZERO };
        if !pause(&mut stop, time).await {
            return;
        }
    }
}

/// Has one corridor's log cosigned.
pub(super) async fn cosign(gateway: Arc<Gateway>, witness: Witness, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(fault) = cosigning::round(&gateway, &witness).await {
            tracing::error!(corridor = witness.corridor, %fault, "a checkpoint could not be submitted");
        }
        let time = if gateway.standings.of(&witness.corridor).cosigning { COSIGN } else { COSIGN_AGAIN };
        if !pause(&mut stop, time).await {
            return;
        }
    }
}

/// Has checkpoints time-stamped.
pub(super) async fn stamp(gateway: Arc<Gateway>, authority: Authority, mut stop: watch::Receiver<bool>) {
    gateway.stamping.begin();
    loop {
        let stamped = time_stamps::round(&gateway, &authority).await.unwrap_or_else(|fault| {
            tracing::error!(%fault, "it could not be seen which checkpoints are to be time-stamped");
            0
        });
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = gateway.stamping.next_look(stamped > 0) => {}
        }
    }
}

/// Tells one party what is due.
pub(super) async fn deliver(
    gateway: Arc<Gateway>,
    party: String,
    client: Arc<PartyClient>,
    pace: Pace,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let time = match deliver::round(&gateway, &party, &client, pace).await {
            Ok(0) => IDLE,
            Ok(_) => Duration::ZERO,
            Err(fault) => {
                tracing::error!(party, %fault, "a round of deliveries failed");
                AFTER_FAULT
            }
        };
        if !pause(&mut stop, time).await {
            return;
        }
    }
}

/// Asks one party for its records.
pub(super) async fn poll(
    gateway: Arc<Gateway>,
    from: Arc<Client>,
    client: Arc<PartyClient>,
    poll: Poll,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let time = match poll::round(&gateway, &from, &client, &poll).await {
            Ok(polled) => {
                tracing::debug!(party = from.party.code(), records = polled.records, "polled");
                Duration::from_secs(poll.every_s.into())
            }
            Err(fault) => {
                tracing::warn!(party = from.party.code(), %fault, "a poll ended early");
                AFTER_FAULT
            }
        };
        if !pause(&mut stop, time).await {
            return;
        }
    }
}

/// Gives look-ups their leaves and forgets what may be forgotten.
pub(super) async fn housekeeping(gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    let mut rounds = 0u32;
    loop {
        let going_on = pause(&mut stop, Duration::from_millis(500)).await;
        if let Err(fault) = gateway.journal.log_lookups(gateway.policy(DOMESTIC)).await {
            tracing::error!(%fault, "look-ups did not get their leaves");
        }
        if let Err(fault) = gateway.journal.log_acts().await {
            tracing::error!(%fault, "officers' acts did not get their leaves");
        }
        if rounds.is_multiple_of(120)
            && let Err(fault) = access::prune(&gateway.journal.channel, gateway.now()).await
        {
            tracing::error!(%fault, "used-up nonces were not forgotten");
        }
        rounds = rounds.wrapping_add(1);
        if !going_on {
            return;
        }
    }
}

/// Reads trust anchors and CRLs again: a revocation bites without a restart, on open connections too. Files that cannot be used
/// leave the old ones in force and say so.
pub(super) async fn reload_trust(gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    let mut graces = HashMap::new();
    while pause(&mut stop, RELOAD).await {
        match access::crl_graces(&gateway.journal.channel).await {
            Ok(found) => graces = found,
            Err(fault) => tracing::error!(%fault, "extensions of CRLs were not read; those known stay in force"),
        }
        let replaced = super::anchors::all(&gateway.parties, &graces)
            .and_then(|anchors| gateway.trust.replace(&anchors).map_err(|fault| fault.to_string()));
        if let Err(fault) = replaced {
            tracing::error!(fault, "trust anchors and CRLs were not reloaded; the old ones stay in force");
        }
    }
}
