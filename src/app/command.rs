//! The command line: one file a command. Exit code 0 when all is well, 1 when what was checked does not hold, 2 when the
//! command could not do its work.

#[cfg(feature = "sandbox")]
mod bench;
mod check;
mod deliveries;
#[cfg(feature = "sandbox")]
mod demo;
mod erase;
mod evidence;
mod keys;
mod ledger;
mod migrate;
#[cfg(feature = "sandbox")]
mod mock_gateway;
#[cfg(feature = "sandbox")]
mod mock_partner;
#[cfg(feature = "sandbox")]
mod mock_ports;
#[cfg(feature = "sandbox")]
mod partner;
mod receipt;
mod serve;

use crate::{evidence::check::Keys, ledger::note::VerifierKey, trust::keys::VerifyingKey, words::Lang};
use clap::{CommandFactory, Parser, Subcommand};
use std::{process::ExitCode, sync::Arc};

/// A bilateral data-exchange gateway.
#[derive(Debug, Parser)]
#[command(name = "onechannel", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole thing on one machine, nothing to set up
    #[cfg(feature = "sandbox")]
    Demo(Box<demo::Arguments>),
    /// The gateway
    Serve(serve::Arguments),
    /// Finds every fault of configuration, parties and schemas
    Check(check::Arguments),
    /// What parties have been told, and what is parked
    Deliveries(deliveries::Arguments),
    /// Destroys the keys of one person
    Erase(erase::Arguments),
    /// Archives of evidence: writing one, checking one without a database
    #[command(subcommand)]
    Evidence(Box<evidence::Command>),
    /// The archive of public keys; extending the grace of CRLs; another key-encryption key
    #[command(subcommand)]
    Keys(keys::Command),
    /// Brings both databases up to date
    Migrate(migrate::Arguments),
    /// Checks the audit ledger, writes a log as a folder, brings one forward from a copy
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Checks a receipt, without a database; opens an entry for a court
    #[command(subcommand)]
    Receipt(receipt::Command),
    /// For a party's integrator: a new folder, its check, its certificate
    #[cfg(feature = "sandbox")]
    #[command(subcommand)]
    Partner(partner::Command),
    /// A party's side as a process of its own, with fault switches
    #[cfg(feature = "sandbox")]
    MockPartner(mock_partner::Arguments),
    /// Our side for a party's integrator, without a database
    #[cfg(feature = "sandbox")]
    MockGateway(mock_gateway::Arguments),
    /// Measures this machine
    #[cfg(feature = "sandbox")]
    #[command(subcommand)]
    Bench(bench::Command),
    /// Prints completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Why a command could not do its work: a sentence for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum CommandFault {
    /// A file cannot be read.
    #[error("cannot read {0}: {1}")]
    File(std::path::PathBuf, #[source] std::io::Error),
    /// A file cannot be written.
    #[error("cannot write {0}: {1}")]
    Unwritten(std::path::PathBuf, #[source] std::io::Error),
    /// A file is not what it should be.
    #[error("{0}: {1}")]
    Content(std::path::PathBuf, String),
    /// The private server.
    #[cfg(feature = "sandbox")]
    #[error(transparent)]
    Postgres(#[from] crate::sandbox::postgres::PostgresFault),
    /// A measurement could not be taken.
    #[cfg(feature = "sandbox")]
    #[error("bench: {0}")]
    Bench(String),
    /// It does not start.
    #[error("{0}")]
    Start(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::StoreFault),
}

/// Whether what was checked holds.
pub type Holds = bool;

impl Cli {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let done = match self.command {
            #[cfg(feature = "sandbox")]
            Command::Demo(arguments) => arguments.run().await,
            Command::Serve(arguments) => arguments.run().await,
            Command::Check(arguments) => arguments.run().await,
            Command::Deliveries(arguments) => arguments.run().await,
            Command::Erase(arguments) => arguments.run().await,
            Command::Evidence(command) => command.run().await,
            Command::Keys(command) => command.run().await,
            Command::Migrate(arguments) => arguments.run().await,
            Command::Ledger(command) => command.run().await,
            Command::Receipt(command) => command.run().await,
            #[cfg(feature = "sandbox")]
            Command::Partner(command) => command.run().await,
            #[cfg(feature = "sandbox")]
            Command::MockPartner(arguments) => arguments.run().await,
            #[cfg(feature = "sandbox")]
            Command::MockGateway(arguments) => arguments.run().await,
            #[cfg(feature = "sandbox")]
            Command::Bench(command) => command.run().await,
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Self::command(), "onechannel", &mut std::io::stdout());
                Ok(true)
            }
        };
        match done {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(1),
            Err(fault) => {
                eprintln!("onechannel: {fault}");
                ExitCode::from(2)
            }
        }
    }
}

/// The configuration in a file, and the use cases by it, once nobody who was erased is there again.
async fn ready(
    config: &std::path::Path,
) -> Result<(super::config::Config, Arc<crate::exchange::Gateway>), CommandFault> {
    let config = super::config::Config::read(config).map_err(CommandFault::Start)?;
    let gateway = super::gateway::ready(&config).await.map_err(|faults| CommandFault::Start(faults.to_string()))?;
    Ok((config, gateway))
}

/// Keys from a file, one a line, blank lines and `#` comments between: C2SP verifier keys of logs and witnesses, JWKs of parties.
fn read_keys(path: &std::path::Path) -> Result<Keys, CommandFault> {
    let text = std::fs::read_to_string(path).map_err(|fault| CommandFault::File(path.into(), fault))?;
    let mut keys = Keys { brought: true, ..Keys::default() };
    for (n, line) in text.lines().map(str::trim).enumerate() {
        let fault = |fault: String| CommandFault::Content(path.into(), format!("line {}: {fault}", n + 1));
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('{') {
            let jwk = serde_json::from_str(line).map_err(|found| fault(found.to_string()))?;
            keys.signing.push(Arc::new(VerifyingKey::from_jwk(&jwk).map_err(|found| fault(found.to_string()))?));
        } else {
            keys.logs.push(VerifierKey::parse(line).map_err(|found| fault(found.to_string()))?);
        }
    }
    Ok(keys)
}

/// Roots of time-stamp authorities.
fn read_roots(path: &std::path::Path) -> Result<crate::trust::time_stamp::Roots, CommandFault> {
    super::time_stamps::roots(path).map_err(CommandFault::Start)
}

/// A new file for its owner only: it holds what people are said to have done.
fn new_file(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A new folder for its owner only.
fn new_folder(path: &std::path::Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// A language by its code.
fn language(code: &str) -> Result<Lang, String> {
    let known = || Lang::ALL.map(Lang::code).join(", ");
    Lang::ALL.into_iter().find(|lang| lang.code() == code).ok_or_else(|| format!("it is one of {}", known()))
}

/// The reader's language as the environment says it (POSIX: `LC_ALL` before `LC_MESSAGES` before `LANG`), else English.
fn own_language() -> Lang {
    let said = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
    let locale = said.into_iter().find(|locale| !locale.is_empty()).unwrap_or_default();
    language(locale.split(['_', '.', '@']).next().unwrap_or_default()).unwrap_or(Lang::En)
}

/// Starts logging to the error stream; `RUST_LOG` overrides `level`. Lines are JSON unless a person is looking.
fn log(level: &str) {
    use std::io::IsTerminal;
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() { builder.init() } else { builder.json().init() }
}
