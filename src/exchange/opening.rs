//! One message is opened for a court: its exact bytes and its receipt with the secret that shows that the entry commits to exactly
//! these. Whoever has the log's public key checks it without us. The disclosure is on record before it leaves, and becomes a leaf.
//!
//! Once its person was erased nothing opens any more. What was given out before goes on to verify: that is its holder's to answer for.

use super::Gateway;
use crate::{
    ledger::receipt::Receipt,
    store::{
        StoreFault, messages,
        query::{self, Lookup},
    },
};
use uuid::Uuid;

/// The purpose in the record of disclosures.
pub const PURPOSE: &str = "COURT_OPENING";

/// What a court gets.
#[derive(Debug)]
pub struct Opened {
    /// The receipt, with the opening of its entry.
    pub receipt: Box<Receipt>,
    /// The exact bytes of the message as received.
    pub bytes: Vec<u8>,
}

/// Why nothing was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpeningFault {
    /// Nobody answers for it, or it rests on nothing.
    #[error("opening a message needs an officer and a basis")]
    NoBasis,
    /// No such message.
    #[error("there is no such message")]
    NotFound,
    /// Its key is destroyed.
    #[error("the person whom this message is about was erased: nothing opens it any more")]
    Erased,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Opens a message; `basis` is the case or order that asks for it.
///
/// # Errors
/// [`OpeningFault`].
pub async fn open(gateway: &Gateway, message: Uuid, officer: &str, basis: &str) -> Result<Opened, OpeningFault> {
    if officer.trim().is_empty() || basis.trim().is_empty() {
        return Err(OpeningFault::NoBasis);
    }
    let journal = &gateway.journal;
    let found = messages::exact(&journal.channel, &journal.vault, &journal.kek, message).await?;
    let (subject, bytes) = found.ok_or(OpeningFault::NotFound)?;
    let bytes = bytes.ok_or(OpeningFault::Erased)?;
    let receipt = journal.receipt(message).await?;
    if receipt.opening.is_none() {
        return Err(OpeningFault::Erased);
    }
    let lookup = Lookup {
        id: gateway.id(),
        officer: officer.to_owned(),
        purpose: PURPOSE.to_owned(),
        case_number: Some(basis.to_owned()),
        fields: vec![format!("message {message}")],
        subjects: subject.into_iter().collect(),
    };
    query::record_lookup(&journal.channel, &lookup, gateway.now()).await?;
    Ok(Opened { receipt, bytes })
}
