//! What may usually be said next about a placement or case: advice in answers. Nothing is refused for coming at another moment.

use super::Gateway;
use crate::{
    domain::fold::State,
    schema::catalogue::{Direction, MessageType},
};
use serde::Serialize;

/// A message that is usual now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Action {
    /// Code of the agreements.
    pub code: String,
    /// CloudEvents type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Authorities of the caller that may send it.
    pub authorities: Vec<String>,
}

/// Messages that a system which speaks for `authorities` may usually send in a state, by code.
pub fn usual(gateway: &Gateway, state: &State, authorities: &[String], is_home: bool) -> Vec<Action> {
    let mut actions: Vec<Action> = gateway
        .schemas
        .messages()
        .filter(|message| match message.direction {
            Direction::Both => true,
            Direction::HomeToPartner | Direction::Domestic => is_home,
            Direction::PartnerToHome => !is_home,
        })
        // A partner is not told by the way what only the home side knows: a case, a dispute that is kept back.
        .filter(|message| is_home || (message.cases.is_none() && message.when.is_empty()))
        .filter(|message| is_usual(message, state))
        .filter_map(|message| {
            let own: Vec<String> = authorities.iter().filter(|one| message.sent_by(one)).cloned().collect();
            let action = Action { code: message.code.clone(), type_name: message.name.clone(), authorities: own };
            (!action.authorities.is_empty()).then_some(action)
        })
        .collect();
    actions.sort_by(|a, b| (&a.code, &a.type_name).cmp(&(&b.code, &b.type_name)));
    actions
}

/// A message without any condition is never listed: it is about nothing that has a state.
fn is_usual(message: &MessageType, state: &State) -> bool {
    let conditional = message.stages.is_some() || message.cases.is_some() || !message.when.is_empty();
    let stage = |stages: &Vec<String>| stages.is_empty() || stages.iter().any(|one| one == state.stage.as_str());
    let case = |cases: &Vec<String>| {
        let statuses = state.cases.keys().filter_map(|case| state.case_status(case));
        statuses.into_iter().any(|status| cases.iter().any(|one| one == status.as_str()))
    };
    let known = |kind| state.facts.contains_key(&kind) || state.cases.values().any(|facts| facts.contains_key(&kind));
    conditional
        && message.stages.as_ref().is_none_or(stage)
        && message.cases.as_ref().is_none_or(case)
        && message.when.iter().all(|kind| known(*kind))
        && !message.unless.iter().any(|kind| known(*kind))
}
