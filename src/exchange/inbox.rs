//! A party's own wire format: a record is read by its mapping and taken like any message. What cannot be read is refused with
//! its bytes on record.

use super::{
    Gateway,
    caller::Caller,
    intake::{self, Item, Taken},
};
use crate::{
    message::problem::{Problem, ProblemKind},
    store::access::Spend,
};
use serde_json::{Value, json};

/// Takes one record of the caller's party.
///
/// # Errors
/// `not-found` for a route that the party does not have; else as [`intake::take`].
pub async fn take(
    gateway: &Gateway,
    caller: &Caller,
    route: &str,
    bytes: Vec<u8>,
    record: &Value,
    spends: Vec<Spend>,
) -> Result<Taken, Box<Problem>> {
    let party = caller.client().party.code();
    let formats = gateway.formats.get(party).and_then(|formats| formats.inbound(route));
    let format = formats.ok_or_else(|| Box::new(gateway.problem(ProblemKind::NotFound).because("no-such-inbox")))?;
    let item = match format.read(record, &source(party)) {
        Ok(event) => Item { bytes, event, mapped: true, faults: Vec::new() },
        Err(faults) => {
            // Enough of an event to file it under: a safety record is held by its type, whatever else is wrong with it.
            let event = json!({"type": format.mapping.type_name, "authority": format.mapping.authority});
            Item { bytes, event, mapped: true, faults }
        }
    };
    intake::take(gateway, caller, item, spends).await
}

/// The `source` of events that came in a party's wire format.
pub fn source(party: &str) -> String {
    format!("urn:onechannel:wire:{party}")
}
