//! A party's own wire format: a record is read by its mapping and taken like any message. What cannot be read is refused with
//! its bytes on record.

use super::{
    Gateway,
    caller::Caller,
    intake::{self, Item, Taken},
};
use crate::{
    message::problem::{Fault, Problem, ProblemKind},
    partner::formats::Record,
    store::access::Spend,
};
use serde_json::Value;

/// The record of a route of the caller's party.
///
/// # Errors
/// `not-found` for a route that the party does not have.
pub fn record<'g>(gateway: &'g Gateway, caller: &Caller, route: &str) -> Result<&'g Record, Box<Problem>> {
    let formats = gateway.formats.get(caller.client().party.code());
    let record = formats.and_then(|formats| formats.inbound(route));
    record.ok_or_else(|| Box::new(gateway.problem(ProblemKind::NotFound).because("no-such-inbox")))
}

/// Takes one record of the caller's party, or the bytes of one that could not be read and why.
///
/// # Errors
/// As [`intake::take`].
pub async fn take(
    gateway: &Gateway,
    caller: &Caller,
    record: &Record,
    bytes: Vec<u8>,
    wire: Result<&Value, Vec<Fault>>,
    spends: Vec<Spend>,
) -> Result<Taken, Box<Problem>> {
    let source = source(caller.client().party.code());
    let (event, reading) = match wire {
        Ok(wire) => record.read(wire, &source, &caller.client().authorities),
        Err(faults) => record.unread(faults),
    };
    let item = Item { bytes, event, reading: Some(reading) };
    intake::take(gateway, caller, item, spends).await
}

/// The `source` of events that came in a party's wire format.
pub fn source(party: &str) -> String {
    format!("urn:onechannel:wire:{party}")
}
