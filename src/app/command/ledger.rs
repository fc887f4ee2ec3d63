//! `onechannel ledger verify`, `ledger export` and `ledger catch-up`

mod copy;
mod folder;

use super::{CommandFault, Holds, read_keys, read_roots};
use crate::{
    ledger::{
        audit::{self, Checked},
        note::{Checkpoint, VerifierKey},
    },
    store,
    trust::time_stamp::Roots,
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
        /// Roots of time-stamp authorities that you trust (PEM). Without them, who vouches for a time-stamp is not looked at
        #[arg(long, value_name = "PEM")]
        anchors: Option<PathBuf>,
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
    /// Brings a halted log forward from the partner's copy of its tiles, after an old backup was restored
    #[command(
        after_help = "Examples: onechannel ledger catch-up --from copy/ --channel postgres://owner@db/channel --keys logs.keys\n          onechannel ledger catch-up --from https://gateway.xa.example/mirror --config gateway.toml \\\n              --channel postgres://owner@db/channel --keys logs.keys\n\nThe copy is what the partner reads from us: `checkpoint` and `tile/entries/…` below one folder. Its entries are taken over only\nwhere they continue the log that is here and lead to the checkpoint that we signed. The gateway need not be stopped: it submits\nthe log to the witness again within seconds and goes on once that cosigns. The messages behind the entries are not in the copy:\nwhat the backup lacks is to be sent again."
    )]
    CatchUp {
        /// Folder of the copy (C2SP tlog-tiles), or where it lies at the partner's address, https://…
        #[arg(long, value_name = "DIR|URL")]
        from: String,
        /// Configuration file, by which a partner is reached
        #[arg(long, default_value = "gateway.toml")]
        config: PathBuf,
        /// URL of the channel database
        #[arg(long, env = "ONECHANNEL_CHANNEL_URL", hide_env_values = true)]
        channel: String,
        /// File of the logs' public keys, one C2SP verifier key a line
        #[arg(long)]
        keys: PathBuf,
    },
}

impl Command {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        match self {
            Self::Verify { channel, tiles, against, anchors, keys, json } => {
                let roots = anchors.map(|file| read_roots(&file)).transpose()?;
                let keys = read_keys(&keys)?.logs;
                let kept = against.map(|file| kept(&file, &keys)).transpose()?;
                let mut results = match (tiles, channel) {
                    (Some(folder), _) => vec![of_folder(&folder, &keys, kept.as_ref(), roots.as_ref())?],
                    (None, channel) => {
                        of_database(&channel.unwrap_or_default(), &keys, kept.as_ref(), roots.as_ref()).await?
                    }
                };
                if let Some(kept) = &kept
                    && results.iter().all(|result| result.log != kept.origin)
                {
                    let fault =
                        format!("the log is not here; the checkpoint that was kept is of {} entries", kept.size);
                    results.push(Checked { faults: vec![fault], ..Checked::new(&kept.origin) });
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
            Self::CatchUp { from, config, channel, keys } => {
                let (pool, keys) = (store::pool(&channel, 1)?, read_keys(&keys)?.logs);
                let fetched = match from.starts_with("https://") {
                    true => Some(copy::fetch(&config, &pool, &from, &keys).await?),
                    false => None,
                };
                let folder = fetched.as_ref().map_or(Path::new(&from), copy::Fetched::folder);
                let (log, adopted) = folder::catch_up(&pool, folder, &keys).await?;
                println!("{log}: {} entries taken over, {} now", adopted.to - adopted.from, adopted.to);
                let mut kinds: Vec<_> = adopted.kinds.iter().map(|(kind, n)| (format!("{kind:?}"), *n)).collect();
                kinds.sort();
                kinds.iter().for_each(|(kind, n)| println!("  {}: {n}", kind.to_lowercase()));
                println!(
                    "  what these messages said is not in the copy: their senders have receipts, and are to send them again"
                );
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
    roots: Option<&Roots>,
) -> Result<Vec<Checked>, CommandFault> {
    let pool = store::pool(channel, 1)?;
    let mut results = Vec::new();
    for log in store::ledger::logs(&pool).await? {
        let bar = progress(&log);
        let kept = kept.filter(|kept| kept.origin == log);
        let mut told = |done| bar.set_position(done);
        let mut checked = store::ledger::check_against(&pool, &log, keys, kept, roots, &mut told).await?;
        bar.finish_and_clear();
        if !keys.iter().any(|key| key.name == log) {
            // Without its key every checkpoint fails: one line says why.
            checked.faults = vec!["the file of keys has no key of this log".to_owned()];
        }
        results.push(checked);
    }
    Ok(results)
}

fn of_folder(
    folder: &Path,
    keys: &[VerifierKey],
    kept: Option<&Checkpoint>,
    roots: Option<&Roots>,
) -> Result<Checked, CommandFault> {
    let bar = progress(&folder.display().to_string());
    let checked = folder::check(folder, keys, kept, roots, &mut |done| bar.set_position(done))?;
    bar.finish_and_clear();
    Ok(checked)
}

/// How far it is, on a terminal; nothing elsewhere.
pub(super) fn progress(of: &str) -> ProgressBar {
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
                serde_json::json!({"log": log.log, "size": log.size, "checkpoints": log.checkpoints,
                    "cosignatures": log.cosignatures, "timeStamps": log.time_stamps, "tiles": log.tiles, "faults": log.faults})
            })
            .collect();
        println!("{}", serde_json::json!({"holds": holds, "logs": logs}));
        return holds;
    }
    for log in results {
        let verdict = if log.faults.is_empty() { "holds" } else { "DOES NOT HOLD" };
        let cosigned =
            if log.cosignatures > 0 { format!(", {} cosignatures", log.cosignatures) } else { String::new() };
        let stamped = if log.time_stamps > 0 { format!(", {} time-stamps", log.time_stamps) } else { String::new() };
        println!(
            "{}: {} entries, {} checkpoints, {} tiles{cosigned}{stamped}: {verdict}",
            log.log, log.size, log.checkpoints, log.tiles
        );
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
