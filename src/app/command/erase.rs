//! `onechannel erase`: destroys the keys of one person, on two officers' word.

use super::{CommandFault, Holds};
use crate::{
    app::{config::Config, gateway},
    exchange::erase::{self, Erased},
};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: onechannel erase 01a20d5b-5b77-74a8-8618-bcd04f475bbf --officer a.sari --officer b.putra \\\n           --basis 'UU PDP 27/2022 Ps. 8, request 17/2026'"
)]
pub(super) struct Arguments {
    /// The placement: its id, or the home party's id of it
    placement: String,
    /// Two officers, each by name
    #[arg(long = "officer", required = true, num_args = 1)]
    officers: Vec<String>,
    /// Law and request that it rests on
    #[arg(long)]
    basis: String,
    /// Configuration file
    #[arg(long, default_value = "gateway.toml")]
    config: PathBuf,
}

impl Arguments {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        let start = |fault: String| CommandFault::Start(fault);
        let officers: [String; 2] =
            self.officers.try_into().map_err(|_| start("erasing needs exactly two --officer".to_owned()))?;
        let config = Config::read(&self.config).map_err(start)?;
        let gateway = gateway::assemble(&config).await.map_err(|faults| start(faults.to_string()))?;
        match erase::erase(&gateway, &self.placement, officers, &self.basis).await {
            Ok(Erased::Done(keys)) => {
                println!(
                    "{keys} keys destroyed: nothing sealed about this person can be read from this database again."
                );
                println!("Complete when the last backup of the vault that holds these keys is gone.");
                Ok(true)
            }
            Ok(Erased::Restricted(basis)) => {
                println!("nothing was destroyed: a hold stands ({basis}); the request is on record");
                Ok(false)
            }
            Err(fault) => Err(start(fault.to_string())),
        }
    }
}
