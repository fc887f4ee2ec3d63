//! `onechannel receipt verify FILE`: needs neither database nor network. `receipt open`: what a court needs to check one message.

use super::{CommandFault, Holds, read_keys};
use crate::{evidence, exchange::opening, ledger::receipt::Receipt, words::Lang};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Checks a receipt against the log's public key, and against the message where it is given
    #[command(
        after_help = "Examples: onechannel receipt verify receipt.json --keys logs.keys --message sent.json\n          onechannel receipt verify receipt.json --keys logs.keys --language ar --page receipt.html"
    )]
    Verify {
        /// The receipt (JSON)
        file: PathBuf,
        /// File of the logs' public keys, one C2SP verifier key a line
        #[arg(long)]
        keys: PathBuf,
        /// The exact bytes of the message as sent
        #[arg(long)]
        message: Option<PathBuf>,
        /// Language of the explanation; without it, that of the environment, else English
        #[arg(long, value_parser = super::language)]
        language: Option<Lang>,
        /// Write the explanation as one printable page for a case file
        #[arg(long, value_name = "HTML")]
        page: Option<PathBuf>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Writes a message's exact bytes and its receipt with the opening, for a court: the disclosure is recorded
    #[command(
        after_help = "Example: onechannel receipt open 01a20d5b-5b77-74a8-8618-bcd04f475bbf --officer a.sari --basis 'case 4/2026' case-4"
    )]
    Open {
        /// Our id of the message
        message: uuid::Uuid,
        /// A new folder for `receipt.json` and `message`
        folder: PathBuf,
        /// The officer, by name
        #[arg(long)]
        officer: String,
        /// Case or order that it rests on
        #[arg(long)]
        basis: String,
        /// Configuration file
        #[arg(long, default_value = "gateway.toml")]
        config: PathBuf,
    },
}

impl Command {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        let (file, keys, message, language, page, json) = match self {
            Self::Verify { file, keys, message, language, page, json } => (file, keys, message, language, page, json),
            Self::Open { message, folder, officer, basis, config } => {
                // Made first, so that nothing is on record as disclosed that could not be written.
                super::new_folder(&folder).map_err(|fault| CommandFault::Unwritten(folder.clone(), fault))?;
                let (_, gateway) = super::ready(&config).await?;
                let opened = opening::open(&gateway, message, &officer, &basis).await;
                return write(&folder, &opened.map_err(|fault| CommandFault::Start(fault.to_string()))?);
            }
        };
        let receipt: Receipt = serde_json::from_slice(&read(&file)?)
            .map_err(|fault| CommandFault::Content(file.clone(), format!("{NO_RECEIPT}: {fault}")))?;
        let original = message.as_deref().map(read).transpose()?;
        let keys = read_keys(&keys)?.logs;
        let result = receipt.verify(&keys, original.as_deref());
        let holds = result.as_ref().is_ok_and(|verified| verified.bytes_match != Some(false));
        let language = language.unwrap_or_else(super::own_language);
        let account = evidence::receipt::account(&receipt, &result, &keys);
        if let Some(page) = page {
            fs::write(&page, account.html(language)).map_err(|fault| CommandFault::Unwritten(page, fault))?;
        }
        match (result, json) {
            (_, false) => print!("{}", account.text(language)),
            (Ok(verified), true) => println!(
                "{}",
                serde_json::json!({"holds": holds, "outcome": receipt.outcome, "log": verified.checkpoint.origin,
                    "index": receipt.index, "size": verified.checkpoint.size, "messageMatches": verified.bytes_match,
                    "cosignedBy": verified.witnesses.iter().map(|(name, _)| name).collect::<Vec<_>>()})
            ),
            (Err(fault), true) => println!("{}", serde_json::json!({"holds": false, "fault": fault.to_string()})),
        }
        Ok(holds)
    }
}

fn write(folder: &Path, opened: &opening::Opened) -> Result<Holds, CommandFault> {
    let receipt = serde_json::to_vec(&opened.receipt).unwrap_or_default();
    for (name, bytes) in [("receipt.json", &receipt), ("message", &opened.bytes)] {
        let path = folder.join(name);
        let written = super::new_file(&path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
        written.map_err(|fault| CommandFault::Unwritten(path, fault))?;
    }
    println!("{0}/receipt.json opens {0}/message: onechannel receipt verify, with --message", folder.display());
    Ok(true)
}

/// What is said of a file that is something else, such as a whole answer.
const NO_RECEIPT: &str = "not a receipt (in an answer it is the member `receipt`)";

fn read(path: &Path) -> Result<Vec<u8>, CommandFault> {
    fs::read(path).map_err(|e| CommandFault::File(path.into(), e))
}
