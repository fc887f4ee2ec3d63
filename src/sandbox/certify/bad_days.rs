//! Bad days, one script a fault: the mock is told to have it, the gateway must take it as its promises say, and once it is over
//! everything must go on.
//!
//! A live endpoint has no switches, unless it is a mock partner with its admin port: there only the scripts in which the party is
//! the sender are run.

use super::{
    Bench, CertifyFault,
    certificate::{Item, Outcome},
    outbound::word,
};
use crate::{
    app::system::{SystemClock, SystemRandom},
    domain::clock::uuid_v7,
    partner::profile::{Assurance, Refusal},
    sandbox::{
        contract::Way,
        mock::{
            faults::{Fault, Faults},
            push::{Pushed, Selection},
        },
    },
};
use std::collections::BTreeMap;

pub(super) async fn all(bench: &Bench) -> Result<Vec<Item>, CertifyFault> {
    let mut items = Vec::new();
    for fault in Fault::ALL {
        if let Some((about, due)) = due_when_told(bench, fault) {
            items.push(told(bench, fault, about, &due).await?);
        }
        if let Some(about) = about_pushed(fault) {
            items.push(pushed(bench, fault, about).await?);
        }
    }
    Ok(items)
}

/// What the gateway must make of the party's answer: the beginning of the word for it.
fn due_when_told(bench: &Bench, fault: Fault) -> Option<(&'static str, String)> {
    let outbound = bench.party().profile.outbound.as_ref()?;
    let by_code = matches!(outbound.refusal, Refusal::Code { .. });
    let signs = matches!(bench.party().profile.assurance, Assurance::AnswerSigned | Assurance::Witnessed);
    Some(match fault {
        Fault::LateAnswer => ("a late answer counts", "taken".to_owned()),
        Fault::HalfAnswer => ("an answer that is cut off proves nothing", "again (connection-lost)".to_owned()),
        Fault::WrongSchema if by_code => {
            ("an answer without its code proves nothing", "again (answer-without-code)".to_owned())
        }
        Fault::WrongSchema => ("by status alone, the body of a 200 does not matter", "taken".to_owned()),
        Fault::ExpiredCertificate => ("nothing is sent to an expired certificate", "again (not-connected)".to_owned()),
        Fault::Html500 => ("a page of maintenance means again later", "again (status-500)".to_owned()),
        Fault::OkWithError if by_code => {
            ("a code that is no success refuses, whatever the status", "refused".to_owned())
        }
        Fault::OkWithError => ("by status alone, a 200 takes the message", "taken".to_owned()),
        Fault::ForgedSignature if signs => {
            ("an answer signed by another proves nothing", "again (answer-signature-wrong)".to_owned())
        }
        Fault::ForgedSignature => ("this party's answers prove nothing by a signature", "taken".to_owned()),
        Fault::RetryAfter => ("Retry-After is kept to", "again (status-503) after 1 s".to_owned()),
        Fault::DuplicatePush | Fault::ReorderedPush | Fault::ChangedBody => return None,
    })
}

async fn told(bench: &Bench, fault: Fault, about: &'static str, due: &str) -> Result<Item, CertifyFault> {
    let item = |faults| Item::of(&format!("told/{}", fault.name()), about, faults);
    if !bench.has_switches() {
        return Ok(Item { outcome: Outcome::NotRun, is_required: false, ..item(Vec::new()) });
    }
    let first = bench.contract.interactions.values().find(|one| one.direction == Way::Out);
    let filled = first.and_then(|one| {
        let bytes = bench.contract.bytes(one, &BTreeMap::new()).ok()?;
        let (_, record) = bench.running.gateway.formats[&bench.code].outbound(one.type_name.as_deref()?)?;
        Some((one.path.clone()?, record.format, bytes))
    });
    let Some((path, format, record)) = filled else {
        return Ok(item(vec!["the contract has nothing to tell".to_owned()]));
    };
    let mut faults = Vec::new();
    bench.switch(Faults { late_ms: 300, ..Faults::only(fault) }).await?;
    let found = word(&bench.client()?.send_as(&path, format, record.clone()).await);
    bench.switch(Faults::default()).await?;
    if !found.starts_with(due) {
        faults.push(format!("it counts as `{found}` where `{due}` is due"));
    }
    let after = word(&bench.client()?.send_as(&path, format, record).await);
    if after != "taken" {
        faults.push(format!("once it is over, the same message counts as `{after}`"));
    }
    Ok(item(faults).mend("see [outbound] of party.toml: how the party says no, and whether it signs"))
}

fn about_pushed(fault: Fault) -> Option<&'static str> {
    Some(match fault {
        Fault::WrongSchema => "a record that breaks its schema is refused, or held if it is about safety",
        Fault::DuplicatePush => "a repeat is answered 200 with the first message's id",
        Fault::ReorderedPush => "records in the wrong order are all applied",
        Fault::ChangedBody => "another body under a known id is a conflict, or a correction that waits for a person",
        _ => return None,
    })
}

async fn pushed(bench: &Bench, fault: Fault, about: &'static str) -> Result<Item, CertifyFault> {
    // A reference of its own: other scripts' records are about other placements.
    let word = uuid_v7(&SystemClock, &SystemRandom).simple().to_string().to_uppercase();
    let variables = [("reference", format!("B-{}", &word[12..])), ("order", format!("J-{}", &word[12..]))];
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
    bench.mock.set_faults(Faults::only(fault));
    let pushed = bench.mock.push(&bench.system, &Selection { only: Vec::new(), variables }).await;
    bench.mock.set_faults(Faults::default());
    let mut faults = Vec::new();
    match pushed {
        Err(text) => faults.push(text),
        Ok(pushed) if pushed.is_empty() => faults.push("the contract has nothing that is to be applied".to_owned()),
        Ok(pushed) => {
            let corrects = bench.party().profile.same_id_corrects;
            let wrong = |at: usize, one: &Pushed| !is_due(fault, corrects, at, one, &pushed);
            let found = pushed.iter().enumerate().filter(|(at, one)| wrong(*at, one));
            faults.extend(found.map(|(_, one)| format!("{}: answered {} {}", one.name, one.status, one.outcome)));
        }
    }
    Ok(Item::of(&format!("pushed/{}", fault.name()), about, faults))
}

fn is_due(fault: Fault, corrects: bool, at: usize, one: &Pushed, all: &[Pushed]) -> bool {
    let is_second = at % 2 == 1;
    let (status, outcome) = (one.status, one.outcome.as_str());
    match fault {
        Fault::WrongSchema => (status == 422 && outcome != "applied") || (status == 201 && outcome == "held"),
        Fault::DuplicatePush if is_second => status == 200 && one.message == all[at - 1].message,
        Fault::ChangedBody if is_second && corrects => status == 201 && outcome == "held",
        Fault::ChangedBody if is_second => status == 409,
        _ => status == 201 && outcome == "applied",
    }
}
