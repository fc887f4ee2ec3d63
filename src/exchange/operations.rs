//! For those who operate the gateway: its figures, and whether it can take messages.

use super::Gateway;
use crate::store::{
    StoreFault, deliveries,
    ledger::{cosign, time_stamps as stamped},
    query,
};

/// Figures for the operations port: deliveries by party and state, messages by outcome.
///
/// # Errors
/// [`StoreFault`].
pub async fn figures(gateway: &Gateway) -> Result<String, StoreFault> {
    let pool = &gateway.journal.channel;
    let mut text = String::from("# TYPE onechannel_deliveries gauge\n");
    for (party, state, count) in deliveries::counts(pool).await? {
        text.push_str(&format!("onechannel_deliveries{{party=\"{party}\",state=\"{state}\"}} {count}\n"));
    }
    text.push_str("# TYPE onechannel_messages counter\n");
    for (corridor, type_name, outcome, count) in query::message_counts(pool).await? {
        // A refused message's type is the sender's text: it is told only if the catalogue knows it.
        let type_name = gateway.schemas.message(&type_name).map_or("unknown", |message| &message.name);
        text.push_str(&format!(
            "onechannel_messages{{corridor=\"{corridor}\",type=\"{type_name}\",outcome=\"{outcome}\"}} {count}\n"
        ));
    }
    text.push_str("# TYPE onechannel_crl_age_seconds gauge\n");
    for (party, age) in gateway.trust.crl_ages(gateway.now()) {
        text.push_str(&format!("onechannel_crl_age_seconds{{party=\"{party}\"}} {age}\n"));
    }
    witnesses(gateway, &mut text).await?;
    time_stamps(gateway, &mut text).await?;
    Ok(text)
}

/// How far the partners' witnesses are behind the logs, and what they do not cosign.
async fn witnesses(gateway: &Gateway, text: &mut String) -> Result<(), StoreFault> {
    let (mut sizes, mut cosigned, mut halted) = (String::new(), String::new(), String::new());
    let mut faults = String::new();
    for (corridor, standing) in gateway.standings.all() {
        let state = cosign::state(&gateway.journal.channel, &gateway.journal.log(&corridor)).await?;
        sizes.push_str(&format!("onechannel_log_size{{corridor=\"{corridor}\"}} {}\n", state.size));
        cosigned.push_str(&format!("onechannel_log_cosigned_size{{corridor=\"{corridor}\"}} {}\n", state.cosigned));
        let is_halted = u8::from(state.halted.is_some());
        halted.push_str(&format!("onechannel_log_halted{{corridor=\"{corridor}\"}} {is_halted}\n"));
        if let Some(fault) = standing.fault {
            faults.push_str(&format!("onechannel_witness_fault{{corridor=\"{corridor}\",fault=\"{fault}\"}} 1\n"));
        }
    }
    for (name, lines) in
        [("log_size", sizes), ("log_cosigned_size", cosigned), ("log_halted", halted), ("witness_fault", faults)]
    {
        text.push_str(&format!("# TYPE onechannel_{name} gauge\n{lines}"));
    }
    Ok(())
}

/// How far the logs are time-stamped, how long the oldest checkpoint waits for it, and what the authority's last answer lacked.
async fn time_stamps(gateway: &Gateway, text: &mut String) -> Result<(), StoreFault> {
    let standing = gateway.stamping.standing();
    if !standing.configured {
        return Ok(());
    }
    let (mut sizes, mut waiting) = (String::new(), String::new());
    let mut corridors: Vec<&String> = gateway.journal.signers.keys().collect();
    corridors.sort();
    for corridor in corridors {
        let (size, since) = stamped::state(&gateway.journal.channel, &gateway.journal.log(corridor)).await?;
        let age = since.map_or(0, |since| (gateway.now() - since).whole_seconds().max(0));
        sizes.push_str(&format!("onechannel_log_stamped_size{{corridor=\"{corridor}\"}} {size}\n"));
        waiting.push_str(&format!("onechannel_log_unstamped_seconds{{corridor=\"{corridor}\"}} {age}\n"));
    }
    let fault = standing.fault.map(|fault| format!("onechannel_time_stamp_fault{{fault=\"{fault}\"}} 1\n"));
    for (name, lines) in [
        ("log_stamped_size", sizes),
        ("log_unstamped_seconds", waiting),
        ("time_stamp_fault", fault.unwrap_or_default()),
    ] {
        text.push_str(&format!("# TYPE onechannel_{name} gauge\n{lines}"));
    }
    Ok(())
}

/// Whether the gateway can take messages; gives the corridors that it takes none of, each with why.
///
/// # Errors
/// [`StoreFault`].
pub async fn ready(gateway: &Gateway) -> Result<Vec<(String, &'static str)>, StoreFault> {
    query::ping(&gateway.journal.channel).await?;
    query::ping(&gateway.journal.vault).await?;
    let mut halted = Vec::new();
    for (corridor, _) in gateway.standings.all() {
        let state = cosign::state(&gateway.journal.channel, &gateway.journal.log(&corridor)).await?;
        halted.extend(state.halted.map(|(halt, _)| (corridor, halt.as_str())));
    }
    Ok(halted)
}
