//! `onechannel ledger verify`

use super::{CommandFault, Holds, read_keys};
use crate::store;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Recomputes every log from its first leaf: entries, checkpoints, signatures, heads, messages
    #[command(after_help = "Example: onechannel ledger verify --channel postgres://reader@db/channel --keys logs.keys")]
    Verify {
        /// URL of the channel database
        #[arg(long, env = "ONECHANNEL_CHANNEL_URL", hide_env_values = true)]
        channel: String,
        /// File of the logs' public keys, one C2SP verifier key a line
        #[arg(long)]
        keys: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        let Self::Verify { channel, keys, json } = self;
        let keys = read_keys(&keys)?;
        let pool = store::pool(&channel, 1)?;
        let mut results = Vec::new();
        for log in store::ledger::logs(&pool).await? {
            let mut checked = store::ledger::check(&pool, &log, &keys).await?;
            if !keys.iter().any(|key| key.name == log) {
                // Without its key every checkpoint fails: one line says why.
                checked.faults = vec!["the file of keys has no key of this log".to_owned()];
            }
            results.push(checked);
        }
        let holds = results.iter().all(|log| log.faults.is_empty());
        if json {
            let logs: Vec<serde_json::Value> = results
                .iter()
                .map(|log| serde_json::json!({"log": log.log, "size": log.size, "checkpoints": log.checkpoints, "faults": log.faults}))
                .collect();
            println!("{}", serde_json::json!({"holds": holds, "logs": logs}));
            return Ok(holds);
        }
        for log in &results {
            let verdict = if log.faults.is_empty() { "holds" } else { "DOES NOT HOLD" };
            println!("{}: {} entries, {} checkpoints: {verdict}", log.log, log.size, log.checkpoints);
            log.faults.iter().for_each(|fault| println!("  {fault}"));
        }
        if results.is_empty() {
            println!("there are no logs in this database");
        }
        Ok(holds)
    }
}
