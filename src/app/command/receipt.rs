//! `onechannel receipt verify FILE`: needs neither database nor network.

use super::{CommandFault, Holds, read_keys};
use crate::ledger::receipt::{Receipt, Verified};
use std::{
    fs,
    path::{Path, PathBuf},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Checks a receipt against the log's public key, and against the message where it is given
    #[command(after_help = "Example: onechannel receipt verify receipt.json --keys logs.keys --message sent.json")]
    Verify {
        /// The receipt (JSON)
        file: PathBuf,
        /// File of the logs' public keys, one C2SP verifier key a line
        #[arg(long)]
        keys: PathBuf,
        /// The exact bytes of the message as sent
        #[arg(long)]
        message: Option<PathBuf>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    pub(super) fn run(self) -> Result<Holds, CommandFault> {
        let Self::Verify { file, keys, message, json } = self;
        let receipt: Receipt = serde_json::from_slice(&read(&file)?)
            .map_err(|fault| CommandFault::Content(file.clone(), format!("{NO_RECEIPT}: {fault}")))?;
        let original = message.as_deref().map(read).transpose()?;
        let result = receipt.verify(&read_keys(&keys)?, original.as_deref());
        let holds = result.as_ref().is_ok_and(|verified| verified.bytes_match != Some(false));
        match (result, json) {
            (Ok(verified), false) => explain(&receipt, &verified),
            (Err(fault), false) => println!("The receipt DOES NOT HOLD: {fault}."),
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

/// What is said of a file that is something else, such as a whole answer.
const NO_RECEIPT: &str = "not a receipt (in an answer it is the member `receipt`)";

fn read(path: &Path) -> Result<Vec<u8>, CommandFault> {
    fs::read(path).map_err(|e| CommandFault::File(path.into(), e))
}

fn explain(receipt: &Receipt, verified: &Verified) {
    let (entry, checkpoint) = (&verified.entry, &verified.checkpoint);
    let time = entry.time.format(&Rfc3339).unwrap_or_default();
    println!("The log {} states, signed by its key:", checkpoint.origin);
    println!("  entry {} of {}: a message was received and {}", receipt.index, checkpoint.size, entry.outcome);
    println!("  at {time} by the gateway's clock, which is not itself proven");
    println!("  the corridor's partner can prove: {}", entry.assurance);
    for (witness, time) in &verified.witnesses {
        let time = i64::try_from(*time).ok().and_then(|time| OffsetDateTime::from_unix_timestamp(time).ok());
        let time = time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
        let size = checkpoint.size;
        println!(
            "Cosigned by {witness}: at {time} by its clock these {size} entries extended all that it had seen of the log."
        );
    }
    match verified.bytes_match {
        Some(true) => println!("The message given is exactly the one that the entry commits to."),
        Some(false) => println!("The message given is NOT the one that the entry commits to."),
        None => println!("No message was given: with --message FILE its exact bytes are compared."),
    }
}
