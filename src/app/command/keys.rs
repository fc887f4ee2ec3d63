//! `onechannel keys`: the archive of public keys, what two officers decide about certificates, and another key-encryption key.

use super::{CommandFault, Holds};
use crate::{
    app::config::Config,
    exchange::{crl_grace, rotate_kek},
    store::{self, access},
};
use std::path::{Path, PathBuf};
use time::format_description::well_known::Rfc3339;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Every public key that ever counted, and since when: as --keys of other commands takes them
    #[command(after_help = "Example: onechannel keys list --json --config gateway.toml")]
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
        /// Configuration file
        #[arg(long, default_value = "gateway.toml")]
        config: PathBuf,
    },
    /// Wraps every key of the vault under the epoch in force and retires the others
    #[command(
        after_help = "First put the new key into [keys] as encryption with the next encryption_epoch, the old one into encryption_others,\nand start the gateways again. Stopped in the middle, the next call goes on.\n\nExample: onechannel keys rotate-kek --config gateway.toml"
    )]
    RotateKek {
        /// Configuration file
        #[arg(long, default_value = "gateway.toml")]
        config: PathBuf,
    },
    /// Lets a party's expired CRLs count for a while longer
    #[command(
        after_help = "Example: onechannel keys extend-crl-grace xa --hours 48 --officer a.sari --officer b.putra \\\n           --basis 'CRL host of xa away since Friday, crisis 3/2026'"
    )]
    ExtendCrlGrace {
        /// The party's code
        party: String,
        /// Hours from now, at most 168
        #[arg(long)]
        hours: u32,
        /// Two officers, each by name
        #[arg(long = "officer", required = true, num_args = 1)]
        officers: Vec<String>,
        /// What it rests on
        #[arg(long)]
        basis: String,
        /// Configuration file
        #[arg(long, default_value = "gateway.toml")]
        config: PathBuf,
    },
}

impl Command {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        match self {
            Self::List { json, config } => list(&Config::read(&config).map_err(CommandFault::Start)?, json).await,
            Self::RotateKek { config } => rotate(&config).await,
            Self::ExtendCrlGrace { party, hours, officers, basis, config } => {
                let officers: [String; 2] = officers
                    .try_into()
                    .map_err(|_| CommandFault::Start("extending needs exactly two --officer".to_owned()))?;
                let (_, gateway) = super::ready(&config).await?;
                let until = crl_grace::extend(&gateway, &party, hours, officers, &basis).await;
                let until = until.map_err(|fault| CommandFault::Start(fault.to_string()))?;
                println!("expired CRLs of {party} count until {}", until.format(&Rfc3339).unwrap_or_default());
                Ok(true)
            }
        }
    }
}

async fn rotate(config: &Path) -> Result<Holds, CommandFault> {
    let (_, gateway) = super::ready(config).await?;
    let (mut wrapped, bar) = (0u64, indicatif::ProgressBar::no_length());
    let retired = loop {
        let some = rotate_kek::some(&gateway).await?;
        wrapped += some as u64;
        bar.set_position(wrapped);
        if some == 0 {
            break rotate_kek::retire(&gateway).await?;
        }
    };
    bar.finish_and_clear();
    println!("{wrapped} keys wrapped under epoch {}", gateway.journal.kek.epoch);
    for epoch in retired {
        println!(
            "epoch {epoch} is retired: take a backup of the vault and see that it restores, then take the key of epoch {epoch} out of encryption_others and destroy it wherever it is kept"
        );
    }
    Ok(true)
}

async fn list(config: &Config, as_json: bool) -> Result<Holds, CommandFault> {
    let keys = access::public_keys(&store::pool(&config.database.channel, 1)?).await?;
    let since = |at: &time::OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    if as_json {
        let rows = keys.iter().map(|(party, purpose, kid, key, at)| {
            serde_json::json!({"party": party, "purpose": purpose, "kid": kid, "key": key, "first_seen_at": since(at)})
        });
        println!("{}", serde_json::Value::from_iter(rows));
    } else {
        keys.iter().for_each(|(party, purpose, kid, key, at)| {
            println!("# {purpose} {kid} of {party}, since {}\n{key}", since(at));
        });
    }
    Ok(true)
}
