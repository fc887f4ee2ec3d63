//! The `onechannel` program. What it does stands in [`onechannel::app::command`].

use clap::Parser;
use onechannel::app::command::Cli;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
