//! `onechannel check`: every fault of configuration, parties, schemas and certificates in one go, without serving.

use super::{CommandFault, Holds};
use crate::{
    app::{config::Config, gateway},
    exchange::erase,
    partner::formats,
};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: onechannel check --config gateway.toml")]
pub(super) struct Arguments {
    /// Configuration file
    #[arg(long, default_value = "gateway.toml")]
    config: PathBuf,
}

impl Arguments {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        let config = Config::read(&self.config).map_err(CommandFault::Start)?;
        match gateway::assemble(&config).await {
            Ok(gateway) => {
                println!("{} message types, parties:", gateway.schemas.messages().count());
                for party in gateway.parties.all() {
                    let clients = gateway.parties.clients.values().filter(|client| client.party.code() == party.code());
                    println!("  {} ({}), {} clients", party.code(), party.profile.name, clients.count());
                }
                let wrong = gateway.parties.all().flat_map(|party| formats::faults(party, &gateway.schemas));
                let wrong = wrong.map(|fault| println!("{fault}")).count();
                let unlisted = erase::faults_of_list(&gateway).await?;
                unlisted.iter().for_each(|fault| println!("{fault}"));
                Ok(wrong == 0 && unlisted.is_empty())
            }
            Err(faults) => {
                faults.0.iter().for_each(|fault| println!("{fault}"));
                Ok(false)
            }
        }
    }
}
