//! What the party sends, judged by the gateway as its contract says.

use super::{
    Bench,
    certificate::{Item, Outcome},
};
use crate::{
    app::system::{SystemClock, SystemRandom},
    domain::clock::uuid_v7,
    exchange::inbox,
    ledger::receipt::Receipt,
    sandbox::{
        contract::{self, Interaction, Way},
        system::Reply,
    },
    store::messages,
};
use serde_json::Value;
use std::collections::BTreeMap;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub(super) async fn all(bench: &Bench) -> Vec<Item> {
    let mut items = Vec::new();
    for (name, one) in bench.contract.interactions.iter().filter(|(_, one)| one.direction == Way::In) {
        let faults = match replay(bench, name, one).await {
            Ok(faults) => faults,
            Err(fault) => vec![fault],
        };
        let item = Item::of(&format!("in/{name}"), "it is judged, read and receipted as the contract says", faults);
        items.push(
            item.mend("compare mapping and contract at the pointers named; the contract says what the party means"),
        );
    }
    if items.is_empty() {
        items.push(Item {
            outcome: Outcome::Failed,
            ..Item::of("in", "the contract has records that come in", Vec::new())
        });
    }
    items
}

async fn replay(bench: &Bench, name: &str, one: &Interaction) -> Result<Vec<String>, String> {
    let id = format!("{}-{name}-{}", bench.code, uuid_v7(&SystemClock, &SystemRandom));
    let variables = BTreeMap::from([("id".to_owned(), id)]);
    let record = bench.contract.bytes(one, &variables)?;
    let route = one.route.as_deref().unwrap_or_default();
    let format = bench.running.gateway.formats[&bench.code].inbound(route).ok_or("the party has no such route")?;
    let path = format!("/v1/inbox/{route}");
    let reply = bench.system.call_until_stored(&path, format.format.content_type(), record.clone()).await;
    let reply = reply.map_err(|fault| fault.to_string())?;
    if one.answer.get("style").is_some() || one.answer.get("items").is_some() {
        let found = match (&format.mapping.answer, one.answer.get("items")) {
            (Some(style), None) => style.read(&reply.bytes).unwrap_or_default(),
            _ => reply.body,
        };
        let wanted = one.answer.get("style").or(one.answer.get("items"));
        let as_due =
            one.answer["status"] == reply.status.as_u16() && wanted.is_some_and(|due| contract::meets(&found, due));
        return Ok(if as_due { Vec::new() } else { vec!["the answer is not what the contract says".to_owned()] });
    }
    let mut faults = answer_faults(one, &reply);
    if let Some(receipt) = reply.body.get("receipt") {
        let keys = super::ledger_keys(bench).map_err(|fault| fault.to_string())?;
        let receipt: Receipt = serde_json::from_value(receipt.clone()).map_err(|fault| fault.to_string())?;
        match receipt.verify(&keys, Some(&record)) {
            Ok(verified) if verified.bytes_match == Some(true) => {}
            Ok(_) => faults.push("the receipt is not of the bytes that were sent".to_owned()),
            Err(fault) => faults.push(format!("the receipt does not hold: {fault}")),
        }
    }
    if let (Some(canonical), Some(message)) = (&one.canonical, reply.body["message"].as_str()) {
        let mut expected = bench.contract.fill(one, canonical, &variables)?;
        expected["source"] = inbox::source(&bench.code).into();
        let journal = &bench.running.gateway.journal;
        let id = message.parse().map_err(|_| "the answer names no message")?;
        let stored = messages::open(&journal.channel, &journal.vault, &journal.kek, &[id]).await;
        let stored = stored.map_err(|fault| fault.to_string())?;
        let event = stored.first().and_then(|one| serde_json::from_slice::<Value>(one.event.as_ref()?).ok());
        let event = event.ok_or("the stored message cannot be opened")?;
        let mut pointers = Vec::new();
        differences(&expected, &event, "", &mut pointers);
        faults.extend(
            pointers.into_iter().map(|pointer| format!("{pointer}: the gateway reads another value than the contract")),
        );
    }
    Ok(faults)
}

fn answer_faults(one: &Interaction, reply: &Reply) -> Vec<String> {
    let mut faults = Vec::new();
    let problem = reply.body["type"].as_str().and_then(|kind| kind.rsplit(':').next());
    let found = problem.or(reply.body["outcome"].as_str()).unwrap_or("nothing").to_owned();
    let broken: Vec<String> = reply.body["violations"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|violation| Some(format!("{} {}", violation["pointer"].as_str()?, violation["rule"].as_str()?)))
        .collect();
    let wanted = one.answer["problem"].as_str().or(one.answer["outcome"].as_str()).unwrap_or("nothing");
    if one.answer["status"] != reply.status.as_u16() || wanted != found {
        let also = if broken.is_empty() { String::new() } else { format!(": {}", broken.join("; ")) };
        faults.push(format!(
            "answered {} {found} where {} {wanted} is due{also}",
            reply.status.as_u16(),
            one.answer["status"]
        ));
        return faults;
    }
    for due in one.answer["violations"].as_array().into_iter().flatten() {
        let due =
            format!("{} {}", due["pointer"].as_str().unwrap_or_default(), due["rule"].as_str().unwrap_or_default());
        if !broken.contains(&due) {
            faults.push(format!("the violation `{due}` is not among: {}", broken.join("; ")));
        }
    }
    faults
}

/// Pointers at which two values differ; one instant is the same whatever its offset. Values are not repeated.
pub(super) fn differences(expected: &Value, found: &Value, at: &str, into: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let none = Value::Null;
                let (a, b) = (a.get(name).unwrap_or(&none), b.get(name).unwrap_or(&none));
                differences(a, b, &format!("{at}/{name}"), into);
            }
        }
        (Value::String(a), Value::String(b)) => {
            let instant = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
            if a != b && (instant(a).is_none() || instant(a) != instant(b)) {
                into.push(at.to_owned());
            }
        }
        _ if expected != found => into.push(at.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_are_named_by_pointer_and_offsets_are_none() {
        let expected = json!({"time": "2027-01-01T03:00:00+00:00", "data": {"a": 1, "b": "x", "c": [1]}});
        let found = json!({"time": "2027-01-01T11:00:00+08:00", "data": {"a": 1, "b": "y", "c": [1], "d": true}});
        let mut pointers = Vec::new();
        differences(&expected, &found, "", &mut pointers);
        assert_eq!(pointers, ["/data/b", "/data/d"]);
    }
}
