//! For those who operate the gateway: its figures, and whether it can take messages.

use super::Gateway;
use crate::store::{StoreFault, deliveries, query};

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
    Ok(text)
}

/// Whether the gateway can take messages.
///
/// # Errors
/// [`StoreFault`].
pub async fn ready(gateway: &Gateway) -> Result<(), StoreFault> {
    query::ping(&gateway.journal.channel).await?;
    query::ping(&gateway.journal.vault).await
}
