//! `onechannel deliveries`: what parties have been told, what waits, what is parked; and sending parked messages again.

use super::{CommandFault, Holds};
use crate::{
    app::{config::Config, system::SystemClock},
    domain::clock::Clock,
    store::{self, deliveries},
};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples: onechannel deliveries --config gateway.toml\n          onechannel deliveries --release xa --config gateway.toml"
)]
pub(super) struct Arguments {
    /// Make this party's parked messages due again
    #[arg(long)]
    release: Option<String>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Configuration file
    #[arg(long, default_value = "gateway.toml")]
    config: PathBuf,
}

impl Arguments {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        let config = Config::read(&self.config).map_err(CommandFault::Start)?;
        if let Some(party) =
            self.release.as_ref().filter(|party| !config.partners.join(party).join("party.toml").is_file())
        {
            let partners = config.partners.display();
            return Err(CommandFault::Start(format!("there is no party {party} in {partners}")));
        }
        let pool = store::pool(&config.database.channel, 1)?;
        if let Some(party) = &self.release {
            let released = deliveries::release(&pool, party, SystemClock.now()).await?;
            println!("{released} parked messages are due again");
        }
        let counts = deliveries::counts(&pool).await?;
        if self.json {
            let rows =
                counts.iter().map(|(party, state, n)| serde_json::json!({"party": party, "state": state, "count": n}));
            println!("{}", serde_json::Value::from_iter(rows));
        } else {
            counts.iter().for_each(|(party, state, n)| println!("{party:<8} {state:<10} {n}"));
        }
        Ok(counts.iter().all(|(_, state, _)| state != "parked"))
    }
}
