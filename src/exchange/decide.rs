//! An officer decides about a message that waits: a held one, a withdrawal or correction that may undo a death, a death that is told
//! although she was registered again since, word about somebody at risk.
//!
//! A decision is a message of the gateway's own, with its leaf in the corridor's log; its reason is sealed like any other content.
//! What follows from it (how many officers are needed) is for the fold.

use super::{Gateway, mailbox, own};
use crate::{
    access::Officer,
    domain::facts::{Effect, FactKind},
    message::problem::{Problem, ProblemKind},
    schema::catalogue::{MadeFor, Purpose},
    store::{
        StoreFault, deliveries,
        journal::{Answer, Decision, Intent},
        messages::{self, ToDecide},
    },
};
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// What an officer says of a message.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Our id of the message.
    pub message: Uuid,
    /// Whether the officer stands by it.
    pub accepted: bool,
    /// Why; not empty.
    pub reason: String,
}

/// What came of a decision.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Our id of the decision.
    pub id: Uuid,
    /// Whether the officer had decided before: the first decision stands.
    pub repeat: bool,
    /// Whether the message was sent on its way by it.
    pub released: bool,
}

/// Takes a decision.
///
/// # Errors
/// `purpose-missing` where the purpose does not let officers decide; `not-found`; `erased`; `malformed-request` without a reason or for a
/// message about which nothing is to be decided; `decided-before` where a decision stands that counts instead;
/// `service-unavailable`.
pub async fn decide(
    gateway: &Gateway,
    officer: &Officer,
    purpose: &Purpose,
    verdict: &Verdict,
) -> Result<Decided, Box<Problem>> {
    let refuse = |kind, reason: &str| Box::new(gateway.problem(kind).because(reason));
    let away = |fault: StoreFault| Box::new(gateway.unavailable(&fault));
    if !purpose.decides {
        return Err(refuse(ProblemKind::PurposeMissing, "purpose-decides-nothing"));
    }
    if verdict.reason.trim().is_empty() {
        return Err(refuse(ProblemKind::MalformedRequest, "reason-missing"));
    }
    let pool = &gateway.journal.channel;
    let target = messages::to_decide(pool, verdict.message).await.map_err(away)?;
    let target = target.ok_or_else(|| refuse(ProblemKind::NotFound, "no-such-message"))?;
    if target.erased {
        return Err(Box::new(gateway.problem(ProblemKind::Erased)));
    }
    let shielded = !mailbox::shielded(gateway, &[verdict.message]).await.map_err(away)?.is_empty();
    let withdraws = gateway.schemas.message(&target.type_name).is_some_and(|message| message.invalidates.is_some());
    let tells_of_a_death = gateway
        .schemas
        .message(&target.type_name)
        .is_some_and(|message| message.facts.iter().any(|fact| fact.kind == FactKind::Death));
    if !target.filed || !(shielded || withdraws || target.corrects || tells_of_a_death || target.outcome == "held") {
        return Err(refuse(ProblemKind::MalformedRequest, "nothing-to-decide"));
    }
    // For a held message one officer is enough, so the first decision stands; a withdrawal and a correction may undo a death, which
    // needs two.
    let one_is_enough = target.outcome == "held" && !shielded && !withdraws && !target.corrects;
    if one_is_enough && messages::decided_by_another(pool, verdict.message, &officer.name).await.map_err(away)? {
        return Err(Box::new(gateway.problem(ProblemKind::DecidedBefore)));
    }
    let intent = intent(gateway, officer, purpose, verdict, &target)
        .ok_or_else(|| refuse(ProblemKind::PurposeMissing, "no-authority-of-the-home-party"))?;
    let (id, repeat) = match gateway.queue.submit(intent).await {
        Ok(Answer::Stored { receipt, repeat, .. }) => (receipt.message, repeat),
        Ok(Answer::Conflict) => return Err(Box::new(gateway.problem(ProblemKind::DecidedBefore))),
        Ok(Answer::Replayed | Answer::Barred(_)) => return Err(refuse(ProblemKind::Forbidden, "not-now")),
        Err(fault) => return Err(Box::new(gateway.not_stored(fault))),
    };
    let mut released = target.outcome == "held" && verdict.accepted && !repeat;
    if shielded && mailbox::shielded(gateway, &[verdict.message]).await.map_err(away)?.is_empty() {
        // The second officer: what was kept back goes to the end of the mailbox. If we die before this, an operator's
        // `deliveries --release` does the same.
        released = deliveries::renew(pool, verdict.message, gateway.now()).await.map_err(away)? > 0;
        tracing::info!(message = %verdict.message, reason = mailbox::SHIELDED, "two officers released a message");
    }
    Ok(Decided { id, repeat, released })
}

fn intent(
    gateway: &Gateway,
    officer: &Officer,
    purpose: &Purpose,
    verdict: &Verdict,
    target: &ToDecide,
) -> Option<Intent> {
    let message = gateway.schemas.made_for(MadeFor::Decision)?;
    let home = &gateway.parties.home;
    let authority = purpose.roles.iter().find(|role| officer.has(role) && home.mandated(role, gateway.now()))?;
    let tokens = &gateway.journal.tokens;
    let name = officer.name.to_lowercase();
    let tag = tokens.token("decision", &[&target.tag, name.as_bytes()]);
    let outcome = if verdict.accepted { "ACCEPTED" } else { "REJECTED" };
    // Known again by verdict and reason, whenever it is made: the same decision again changes nothing.
    let event = json!({"specversion": "1.0", "id": hex::encode(tag), "source": "urn:onechannel:desk", "type": message.name,
        "time": gateway.now().replace_nanosecond(0).ok()?.format(&Rfc3339).ok()?, "authority": authority,
        "corridor": target.corridor, "data": {"decision": {"message": verdict.message, "verdict": outcome,
            "officer": officer.name, "reason": verdict.reason}}});
    let held = target.outcome == "held";
    let told = if target.party == home.code() { target.corridor.as_str() } else { home.code() };
    let type_of_target = gateway.schemas.message(&target.type_name);
    let is_told = held && verdict.accepted && type_of_target.is_some_and(|message| !message.recipients.is_empty());
    let approve = || Effect::Approve { target: target.tag, officer: tokens.token("officer", &[name.as_bytes()]) };
    Some(Intent {
        body_tag: tokens.digest("decision", &[&tag, outcome.as_bytes(), verdict.reason.as_bytes()]),
        evidence: json!({"officer": officer.name, "purpose": purpose.name}).to_string().into_bytes(),
        effects: if verdict.accepted { vec![approve()] } else { Vec::new() },
        links: verdict.accepted.then(|| own::beside(None)),
        decision: Some(Decision {
            target: verdict.message,
            officer: officer.name.clone(),
            accepted: verdict.accepted,
            tells: if is_told { vec![told.to_owned()] } else { Vec::new() },
            urgency: type_of_target.map_or(9, |message| message.urgency),
        }),
        ..own::intent(gateway, message, &target.corridor, authority, tag, &event)
    })
}
