//! `onechannel migrate`

use super::{CommandFault, Holds};
use crate::store;

/// Connects as the owner of both databases
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: onechannel migrate --channel postgres://owner@db/channel --vault postgres://owner@db/vault"
)]
pub(super) struct Arguments {
    /// URL of the channel database
    #[arg(long, env = "ONECHANNEL_CHANNEL_URL", hide_env_values = true)]
    channel: String,
    /// URL of the vault database
    #[arg(long, env = "ONECHANNEL_VAULT_URL", hide_env_values = true)]
    vault: String,
}

impl Arguments {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        store::migrate(&store::pool(&self.channel, 1)?, &store::pool(&self.vault, 1)?).await?;
        println!("both databases are up to date");
        Ok(true)
    }
}
