//! `onechannel serve`: the gateway, until SIGTERM or Ctrl-C; running requests are let finish.

use super::{CommandFault, Holds};
use crate::app::{config::Config, gateway};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: onechannel serve --config /etc/onechannel/gateway.toml")]
pub(super) struct Arguments {
    /// Configuration file
    #[arg(long, default_value = "gateway.toml")]
    config: PathBuf,
}

impl Arguments {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        super::log("info");
        let config = Config::read(&self.config).map_err(CommandFault::Start)?;
        let running = gateway::start(&config).await.map_err(|faults| CommandFault::Start(faults.to_string()))?;
        tracing::info!(channel = %config.channel_listen, ministry = %config.ministry_listen, ops = %config.ops_listen, "serving");
        end_asked().await;
        tracing::info!("ending; running requests finish");
        running.stop().await;
        Ok(true)
    }
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) fn end_asked() -> impl Future<Output = ()> {
    let term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    async move {
        match term {
            Ok(mut term) => tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
            },
            Err(_) => drop(tokio::signal::ctrl_c().await),
        }
    }
}
