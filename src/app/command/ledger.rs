//! `onechannel ledger verify` and `ledger export`

mod folder;

use super::{CommandFault, Holds, read_keys};
use crate::{
    ledger::{
        audit::{self, Checked},
        note::{Checkpoint, VerifierKey},
    },
    store,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Recomputes every log from its first leaf: entries, tiles, checkpoints, signatures, heads, messages
    #[command(
        after_help = "Examples: onechannel ledger verify --channel postgres://reader@db/channel --keys logs.keys\n          onechannel ledger verify --channel postgres://reader@db/channel --keys logs.keys --against checkpoint.2026-06\n          onechannel ledger verify --tiles export/ --keys logs.keys"
    )]
    Verify {
        /// URL of the channel database
        #[arg(long, env = "ONECHANNEL_CHANNEL_URL", hide_env_values = true, required_unless_present = "tiles")]
        channel: Option<String>,
        /// A folder of tiles instead (C2SP tlog-tiles: `checkpoint`, `tile/…`), without a database
        #[arg(long, value_name = "DIR")]
        tiles: Option<PathBuf>,
        /// An older checkpoint that somebody kept: the log must extend it
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
        /// File of the logs' public keys, one C2SP verifier key a line
        #[arg(long)]
        keys: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Writes a log as a folder of tiles, which anybody can verify
    #[command(
        after_help = "Example: onechannel ledger export --log gateway.example/live/xa --channel postgres://reader@db/channel export/"
    )]
    Export {
        /// Which log, as its checkpoints name it
        #[arg(long)]
        log: String,
        /// URL of the channel database
        #[arg(long, env = "ONECHANNEL_CHANNEL_URL", hide_env_values = true)]
        channel: String,
        /// A new or empty folder
        folder: PathBuf,
    },
}

impl Command {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        match self {
            Self::Verify { channel, tiles, against, keys, json } => {
                let keys = read_keys(&keys)?;
                let kept = against.map(|file| kept(&file, &keys)).transpose()?;
                let mut results = match (tiles, channel) {
                    (Some(folder), _) => vec![of_folder(&folder, &keys, kept.as_ref())?],
                    (None, channel) => of_database(&channel.unwrap_or_default(), &keys, kept.as_ref()).await?,
                };
                if let Some(kept) = &kept
                    && results.iter().all(|result| result.log != kept.origin)
                {
                    let fault =
                        format!("the log is not here; the checkpoint that was kept is of {} entries", kept.size);
                    let log = kept.origin.clone();
                    results.push(Checked { log, size: 0, checkpoints: 0, tiles: 0, faults: vec![fault] });
                }
                Ok(tell(&results, kept.as_ref(), json))
            }
            Self::Export { log, channel, folder } => {
                let pool = store::pool(&channel, 1)?;
                let bar = progress(&log);
                let size = folder::write(&pool, &log, &folder, &mut |done| bar.set_position(done)).await?;
                bar.finish_and_clear();
                println!("{log}: {size} entries written to {}", folder.display());
                Ok(true)
            }
        }
    }
}

/// The checkpoint that somebody kept.
fn kept(file: &Path, keys: &[VerifierKey]) -> Result<Checkpoint, CommandFault> {
    let note = std::fs::read_to_string(file).map_err(|fault| CommandFault::File(file.into(), fault))?;
    audit::open(&note, keys).map_err(|fault| CommandFault::Content(file.into(), fault.to_string()))
}

async fn of_database(
    channel: &str,
    keys: &[VerifierKey],
    kept: Option<&Checkpoint>,
) -> Result<Vec<Checked>, CommandFault> {
    let pool = store::pool(channel, 1)?;
    let mut results = Vec::new();
    for log in store::ledger::logs(&pool).await? {
        let bar = progress(&log);
        let kept = kept.filter(|kept| kept.origin == log);
        let mut told = |done| bar.set_position(done);
        let mut checked = store::ledger::check_against(&pool, &log, keys, kept, &mut told).await?;
        bar.finish_and_clear();
        if !keys.iter().any(|key| key.name == log) {
            // Without its key every checkpoint fails: one line says why.
            checked.faults = vec!["the file of keys has no key of this log".to_owned()];
        }
        results.push(checked);
    }
    Ok(results)
}

fn of_folder(folder: &Path, keys: &[VerifierKey], kept: Option<&Checkpoint>) -> Result<Checked, CommandFault> {
    let bar = progress(&folder.display().to_string());
    let checked = folder::check(folder, keys, kept, &mut |done| bar.set_position(done))?;
    bar.finish_and_clear();
    Ok(checked)
}

/// How far it is, on a terminal; nothing elsewhere.
fn progress(of: &str) -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{msg}: {human_pos} entries {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(of.to_owned());
    bar
}

fn tell(results: &[Checked], kept: Option<&Checkpoint>, json: bool) -> Holds {
    let holds = results.iter().all(|log| log.faults.is_empty());
    if json {
        let logs: Vec<serde_json::Value> = results
            .iter()
            .map(|log| {
                serde_json::json!({"log": log.log, "size": log.size, "checkpoints": log.checkpoints, "tiles": log.tiles,
                    "faults": log.faults})
            })
            .collect();
        println!("{}", serde_json::json!({"holds": holds, "logs": logs}));
        return holds;
    }
    for log in results {
        let verdict = if log.faults.is_empty() { "holds" } else { "DOES NOT HOLD" };
        println!("{}: {} entries, {} checkpoints, {} tiles: {verdict}", log.log, log.size, log.checkpoints, log.tiles);
        log.faults.iter().for_each(|fault| println!("  {fault}"));
        if let Some(kept) = kept.filter(|kept| kept.origin == log.log && log.faults.is_empty()) {
            println!("  it extends the checkpoint that was kept, of {} entries", kept.size);
        }
    }
    if results.is_empty() {
        println!("there are no logs in this database");
    }
    holds
}
