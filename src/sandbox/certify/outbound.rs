//! What the party is told: written by its mapping as its contract says, and taken by its endpoint.

use super::{
    Bench, CertifyFault,
    certificate::{Item, Outcome},
    inbound::differences,
};
use crate::{
    client::{PartyClient, Sent},
    sandbox::contract::{Interaction, Way},
};
use std::collections::BTreeMap;

pub(super) async fn all(bench: &Bench) -> Result<Vec<Item>, CertifyFault> {
    let mut items = Vec::new();
    if bench.party().profile.outbound.is_none() {
        return Ok(items);
    }
    let client = bench.client()?;
    for (name, one) in bench.contract.interactions.iter().filter(|(_, one)| one.direction == Way::Out) {
        let faults = match tell(bench, &client, one).await {
            Ok(faults) => faults,
            Err(fault) => vec![fault],
        };
        let item =
            Item::of(&format!("out/{name}"), "it is written as the contract says, and the party takes it", faults);
        items.push(
            item.mend("compare mapping and contract at the pointers named, and the endpoint with its wire schema"),
        );
    }
    if items.is_empty() {
        items.push(Item {
            outcome: Outcome::Failed,
            ..Item::of("out", "the contract has records that go out", Vec::new())
        });
    }
    Ok(items)
}

async fn tell(bench: &Bench, client: &PartyClient, one: &Interaction) -> Result<Vec<String>, String> {
    let none = BTreeMap::new();
    let event = bench.contract.fill(one, one.event.as_ref().ok_or("the interaction has no event")?, &none)?;
    let type_name = event["type"].as_str().unwrap_or_default();
    let route = bench.running.gateway.formats[&bench.code].outbound(type_name);
    let (path, format) = route.ok_or_else(|| format!("no route for {type_name}"))?;
    let mut faults = Vec::new();
    if one.path.as_deref() != Some(path) {
        faults.push(format!("it goes to {path}, not to the contract's path"));
    }
    let record = match format.write(&event) {
        Ok(record) => record,
        Err(broken) => {
            faults.extend(broken.iter().map(|fault| format!("{} {}: it has no wire form", fault.pointer, fault.rule)));
            return Ok(faults);
        }
    };
    let bytes = format.bytes(&record).map_err(|fault| fault.to_string())?;
    let expected = match &one.record {
        Some(record) => bench.contract.fill(one, record, &none)?,
        None => format.parse(&bench.contract.bytes(one, &none)?).map_err(|fault| fault.to_string())?,
    };
    let mut pointers = Vec::new();
    differences(&expected, &record, "", &mut pointers);
    faults.extend(
        pointers.into_iter().map(|pointer| format!("{pointer}: the gateway writes another value than the contract")),
    );
    let sent = word(&client.send_as(path, format.format, bytes).await);
    if sent != "taken" {
        faults.push(format!("the endpoint's answer counts as: {sent}"));
    }
    Ok(faults)
}

/// What became of a message, in a word.
pub(super) fn word(sent: &Sent) -> String {
    match sent {
        Sent::Acked { .. } => "taken".to_owned(),
        Sent::Refused { reason, .. } => format!("refused ({reason})"),
        Sent::Retry { after: Some(after), reason } => format!("again ({reason}) after {} s", after.as_secs()),
        Sent::Retry { after: None, reason } => format!("again ({reason})"),
    }
}
