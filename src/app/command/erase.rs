//! `onechannel erase`: destroys the keys of one person on two officers' word; holds that forbid it; how far erasures are.

use super::{CommandFault, Holds};
use crate::{
    app::{config::Config, gateway},
    exchange::{
        Gateway,
        erase::{self, Erased, Progress},
    },
    store::erasures::{self, Recorded},
};
use std::path::PathBuf;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples: onechannel erase 01a20d5b-5b77-74a8-8618-bcd04f475bbf --officer a.sari --officer b.putra \\\n            --basis 'UU PDP 27/2022 Ps. 8, request 17/2026'\n          onechannel erase status --json"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The placement: its id, or the home party's id of it
    #[arg(required = true)]
    placement: Option<String>,
    /// Two officers, each by name
    #[arg(long = "officer", required = true, num_args = 1)]
    officers: Vec<String>,
    /// Law and request that it rests on
    #[arg(long, required = true)]
    basis: Option<String>,
    /// Configuration file
    #[arg(long, default_value = "gateway.toml")]
    config: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Forbids erasing a person while a case is open
    #[command(
        after_help = "Example: onechannel erase hold 01a20d5b-5b77-74a8-8618-bcd04f475bbf --officer c.dewi --basis 'case 4/2026'"
    )]
    Hold(Held),
    /// Lifts the holds on a person
    #[command(
        after_help = "Example: onechannel erase lift 01a20d5b-5b77-74a8-8618-bcd04f475bbf --officer c.dewi --basis 'case 4/2026 closed'"
    )]
    Lift(Held),
    /// How far each erasure is, and which holds stand
    #[command(after_help = "Example: onechannel erase status --json --config gateway.toml")]
    Status {
        /// Print as JSON
        #[arg(long)]
        json: bool,
        /// Configuration file
        #[arg(long, default_value = "gateway.toml")]
        config: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Held {
    /// The placement: its id, or the home party's id of it
    placement: String,
    /// The officer, by name
    #[arg(long)]
    officer: String,
    /// What it rests on
    #[arg(long)]
    basis: String,
    /// Configuration file
    #[arg(long, default_value = "gateway.toml")]
    config: PathBuf,
}

fn start(fault: impl ToString) -> CommandFault {
    CommandFault::Start(fault.to_string())
}

impl Arguments {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        match self.command {
            Some(Command::Hold(held)) => {
                let (_, gateway) = super::ready(&held.config).await?;
                erase::hold(&gateway, &held.placement, &held.officer, &held.basis).await.map_err(start)?;
                println!("a hold stands: the person is not erased while it does");
                Ok(true)
            }
            Some(Command::Lift(held)) => {
                let (_, gateway) = super::ready(&held.config).await?;
                let lifted = erase::lift(&gateway, &held.placement, &held.officer, &held.basis).await.map_err(start)?;
                println!("{lifted} holds lifted");
                Ok(lifted > 0)
            }
            Some(Command::Status { json, config }) => {
                let config = Config::read(&config).map_err(start)?;
                let gateway = gateway::assemble(&config).await.map_err(start)?;
                status(&gateway, json).await
            }
            None => {
                let officers: [String; 2] =
                    self.officers.try_into().map_err(|_| start("erasing needs exactly two --officer"))?;
                let (placement, basis) = (self.placement.unwrap_or_default(), self.basis.unwrap_or_default());
                let (_, gateway) = super::ready(&self.config).await?;
                tell(erase::erase(&gateway, &placement, officers, &basis).await.map_err(start)?)
            }
        }
    }
}

fn tell(erased: Erased) -> Result<Holds, CommandFault> {
    match erased {
        Erased::Done(keys) => {
            println!("{keys} keys destroyed: nothing sealed about this person can be read again.");
            println!("Complete when no backup and no key-encryption key can bring them back: onechannel erase status");
            Ok(true)
        }
        Erased::Restricted(basis) => {
            println!("nothing was destroyed: a hold stands ({basis}); the request is on record");
            Ok(false)
        }
    }
}

fn text(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

async fn status(gateway: &Gateway, json: bool) -> Result<Holds, CommandFault> {
    let erased = erase::progress(gateway).await?;
    let holds = erasures::holds(&gateway.journal.channel).await?;
    if json {
        let holds = holds.iter().map(|hold| {
            serde_json::json!({"hold": hold.id, "placement": hold.subject, "basis": hold.basis, "officer": hold.placed_by,
                "placed_at": text(hold.placed_at)})
        });
        let erased = erased.iter().map(|(one, progress)| record(one, *progress));
        println!("{}", serde_json::json!({"erasures": erased.collect::<Vec<_>>(), "holds": holds.collect::<Vec<_>>()}));
        return Ok(true);
    }
    for (one, progress) in &erased {
        let how = match progress {
            Progress::Restricted => "restricted: a hold stood; ask again once it is lifted".to_owned(),
            Progress::Unfinished => "not finished: the next start does it".to_owned(),
            Progress::Complete(at) => format!("complete since {}", text(*at)),
            Progress::Destroyed { backups_until, epoch: None } => {
                format!("keys gone; backups of the vault hold them until {}", text(*backups_until))
            }
            Progress::Destroyed { backups_until, epoch: Some(epoch) } => format!(
                "keys gone; backups hold them until {}, and epoch {epoch} of the key-encryption key must go (keys rotate-kek)",
                text(*backups_until)
            ),
        };
        println!("{} of {}, {} {how}", one.erasure.id, one.erasure.subject, text(one.erasure.at));
    }
    holds.iter().for_each(|hold| println!("hold on {} by {}: {}", hold.subject, hold.placed_by, hold.basis));
    Ok(true)
}

fn record(one: &Recorded, progress: Progress) -> serde_json::Value {
    let (state, waits) = match progress {
        Progress::Restricted => ("restricted", serde_json::Value::Null),
        Progress::Unfinished => ("unfinished", serde_json::Value::Null),
        Progress::Destroyed { backups_until, epoch } => {
            ("destroyed", serde_json::json!({"backups_until": text(backups_until), "epoch": epoch}))
        }
        Progress::Complete(at) => ("complete", serde_json::json!({"since": text(at)})),
    };
    serde_json::json!({"erasure": one.erasure.id, "placement": one.erasure.subject, "asked_at": text(one.erasure.at),
        "basis": one.erasure.basis, "officers": one.erasure.officers, "state": state, "waits": waits,
        "keys_destroyed": one.keys, "messages": one.messages, "resealed": one.resealed,
        "keys_gone_at": one.keys_gone_at.map(text)})
}
