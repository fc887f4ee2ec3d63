//! Asking a party that does not push: pages of records since a watermark whose bound is inclusive, so that repeats are normal.
//!
//! The watermark moves only when every record of the page is stored; a crash between means repeats, never a gap.

use super::{Gateway, caller::Caller, inbox, intake::Taken, whole};
use crate::{
    client::PartyClient,
    message::problem::Problem,
    partner::{Client, profile::Poll},
    store::{StoreFault, access::Spend, deliveries},
    trust::exchanged,
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// What one poll brought.
#[derive(Debug, Default, Clone)]
pub struct Polled {
    /// Records read.
    pub records: usize,
    /// How they ended: outcomes, and problem kinds of records that were not stored.
    pub results: BTreeMap<String, usize>,
}

/// Why a poll ended early; it goes on from the last watermark.
#[derive(Debug, thiserror::Error)]
pub enum PollFault {
    /// The party's answer.
    #[error("the party answered: {0}")]
    Party(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// A record could not be stored for now.
    #[error("a record was not stored: {0}")]
    NotStored(&'static str),
}

/// Reads everything since the last watermark.
///
/// # Errors
/// [`PollFault`].
pub async fn round(
    gateway: &Gateway,
    from: &Arc<Client>,
    client: &PartyClient,
    poll: &Poll,
) -> Result<Polled, PollFault> {
    let party = from.party.code();
    let pool = &gateway.journal.channel;
    let mark = deliveries::watermark(pool, party).await?.unwrap_or_default();
    let (mut polled, mut cursor, mut last) = (Polled::default(), None::<String>, mark.clone());
    loop {
        let mut path = format!("{}?{}={}", poll.path, poll.watermark, escape(&mark));
        if let Some(cursor) = &cursor {
            path.push_str(&format!("&{}={}", poll.cursor, escape(cursor)));
        }
        let (page, evidence) = client.fetch(&path).await.map_err(PollFault::Party)?;
        let records = page.pointer(&poll.records).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let nonce = Spend { scope: String::new(), value: String::new(), expires_at: gateway.now() };
        let caller = Caller::polled(from.clone(), nonce, head(&evidence));
        let taking = records.iter().map(|record| take(gateway, &caller, poll, record));
        let taken = futures_util::future::join_all(taking).await;
        whole::keep(gateway, &caller, exchanged::read(&evidence).body, &taken).await;
        for one in taken {
            *polled.results.entry(ended(party, one)?).or_default() += 1;
            polled.records += 1;
        }
        if let Some(mark) = page.pointer(&poll.last).and_then(text) {
            last = mark;
        }
        match page.pointer(&poll.next).and_then(text) {
            Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
            _ => break,
        }
    }
    deliveries::set_watermark(pool, party, &last, gateway.now()).await?;
    Ok(polled)
}

async fn take(gateway: &Gateway, caller: &Caller, poll: &Poll, record: &Value) -> Result<Taken, Box<Problem>> {
    let route = record.pointer(&poll.record_type).and_then(Value::as_str).unwrap_or_default();
    let format = inbox::record(gateway, caller, route)?;
    inbox::take(gateway, caller, format, record.to_string().into_bytes(), Ok(record), Vec::new()).await
}

/// A word for how it ended.
fn ended(party: &str, taken: Result<Taken, Box<Problem>>) -> Result<String, PollFault> {
    match taken {
        Ok(taken) if taken.repeat => Ok("repeat".to_owned()),
        Ok(taken) => Ok(taken.outcome.as_str().to_owned()),
        Err(problem) if problem.kind.status() >= 500 => Err(PollFault::NotStored(problem.kind.slug())),
        Err(problem) => {
            tracing::warn!(party, kind = problem.kind.slug(), "a polled record was not stored");
            Ok(problem.kind.slug().to_owned())
        }
    }
}

/// The first line of an answer's evidence: status and signature, without the records of the others.
fn head(evidence: &[u8]) -> Vec<u8> {
    evidence.split(|byte| *byte == b'\n').next().unwrap_or_default().to_vec()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Percent-encoding of a query value (RFC 3986 §2.3).
fn escape(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    value.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
