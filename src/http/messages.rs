//! `POST /v1/messages` (one CloudEvent or a batch), `GET /v1/messages/{id}` and its receipt.
//!
//! Refuses: 400 a body that is not strict JSON, 413 and 415, 409 the same id with other content, 422 a message that is
//! refused (with its receipt: the refusal is on record), 503 where nothing was stored.

use super::{
    Port, Shared,
    answer::{Refusal, json},
    signed::{BATCH, Signed, media_type},
};
use crate::{
    exchange::{
        intake::{self, Item, Outcome, Taken},
        whole,
    },
    message::{
        event,
        problem::{Fault, Problem, ProblemKind},
        strict_json::{self, JsonFault},
    },
};
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde_json::{Value, json as object};
use std::sync::Arc;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

const SINGLE: &str = "application/cloudevents+json";

pub(super) async fn submit(State(port): Shared, request: Signed) -> Result<Response, Refusal> {
    let gateway = &port.gateway;
    request.caller.needs(gateway, "messages:write")?;
    match media_type(&request.headers) {
        Some(SINGLE) => {
            let event = strict_json::parse(&request.body).map_err(|fault| unreadable(&port, &fault, None))?;
            let item = Item::canonical(request.body.to_vec(), event);
            let spends = vec![request.caller.nonce().clone()];
            let (status, value) = item_answer(intake::take(gateway, &request.caller, item, spends).await)?;
            Ok(answer(status, &value))
        }
        Some(BATCH) => batch(port.clone(), request).await,
        _ => Err(port.refusal(ProblemKind::UnsupportedMediaType, "content-type")),
    }
}

/// Not atomic: one result an item, in order. Only a body that cannot be read refuses the whole.
async fn batch(port: Arc<Port>, request: Signed) -> Result<Response, Refusal> {
    let gateway = &port.gateway;
    let items = strict_json::split_array(&request.body).map_err(|fault| unreadable(&port, &fault, None))?;
    if items.len() > event::BATCH_ITEMS_MAX {
        return Err(port.refusal(ProblemKind::PayloadTooLarge, "too-many-items"));
    }
    let mut parsed = Vec::with_capacity(items.len());
    for (n, bytes) in items.iter().enumerate() {
        let event = strict_json::parse(bytes).map_err(|fault| unreadable(&port, &fault, Some(n)))?;
        parsed.push(Item::canonical(bytes.to_vec(), event));
    }
    request.caller.admit(gateway).await?;
    let taking = parsed.into_iter().map(|item| intake::take(gateway, &request.caller, item, Vec::new()));
    let taken = futures_util::future::join_all(taking).await;
    whole::keep(gateway, &request.caller, &request.body, &taken).await;
    let results: Vec<Value> = taken
        .into_iter()
        .map(|taken| match item_answer(taken) {
            Ok((status, mut value)) => {
                value["status"] = status.as_u16().into();
                value
            }
            Err(problem) => problem.to_json(),
        })
        .collect();
    Ok(json(StatusCode::OK, &Value::Array(results)))
}

fn unreadable(port: &Port, fault: &JsonFault, item: Option<usize>) -> Refusal {
    let problem =
        port.gateway.problem(ProblemKind::InvalidJson).because(fault.reason()).extra("position", fault.to_string());
    Refusal::from(match item {
        Some(n) => problem.extra("item", n),
        None => problem,
    })
}

/// 201 stored, 200 a repeat, 422 refused: with the receipt each.
pub(super) fn item_answer(taken: Result<Taken, Box<Problem>>) -> Result<(StatusCode, Value), Box<Problem>> {
    let taken = taken?;
    let receipt = serde_json::to_value(&taken.receipt).unwrap_or_default();
    if taken.outcome == Outcome::Refused {
        let problem = intake::refusal(taken.faults, taken.receipt.message).extra("receipt", receipt);
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, problem.to_json()));
    }
    let mut value = object!({"outcome": taken.outcome.as_str(), "message": taken.receipt.message, "receipt": receipt});
    if let Some(id) = taken.placement {
        value["placement"] = object!({"id": id});
    }
    if !taken.faults.is_empty() {
        value["violations"] = taken.faults.iter().map(|fault| fault.to_json()).collect();
    }
    if !taken.actions.is_empty() {
        value["actions"] = serde_json::to_value(&taken.actions).unwrap_or_default();
    }
    Ok((if taken.repeat { StatusCode::OK } else { StatusCode::CREATED }, value))
}

/// One item's answer as a whole response.
pub(super) fn answer(status: StatusCode, value: &Value) -> Response {
    let mut answer = json(status, value);
    if status.is_client_error() {
        let problem = axum::http::HeaderValue::from_static("application/problem+json");
        answer.headers_mut().insert(axum::http::header::CONTENT_TYPE, problem);
    }
    answer
}

pub(super) async fn status(State(port): Shared, Path(id): Path<String>, request: Signed) -> Result<Response, Refusal> {
    request.caller.admit(&port.gateway).await?;
    let status = intake::status(&port.gateway, &request.caller, message_id(&port, &id)?).await?;
    let deliveries: Vec<Value> = status
        .deliveries
        .into_iter()
        .map(|(party, state, attempts, reason)| object!({"party": party, "state": state, "attempts": attempts, "reason": reason}))
        .collect();
    let faults = Fault::read_all(status.problem.as_deref());
    Ok(json(
        StatusCode::OK,
        &object!({"message": status.id, "type": status.type_name, "corridor": status.corridor, "outcome": status.outcome,
            "received_at": status.received_at.format(&Rfc3339).unwrap_or_default(), "deliveries": deliveries,
            "decided": status.decided.map(|(verdict, at)| object!({"verdict": verdict, "at": at.format(&Rfc3339).unwrap_or_default()})),
            "violations": faults.iter().map(|fault| fault.to_json()).collect::<Vec<_>>()}),
    ))
}

pub(super) async fn receipt(State(port): Shared, Path(id): Path<String>, request: Signed) -> Result<Response, Refusal> {
    request.caller.admit(&port.gateway).await?;
    let receipt = intake::receipt(&port.gateway, &request.caller, message_id(&port, &id)?).await?;
    Ok(json(StatusCode::OK, &serde_json::to_value(receipt).unwrap_or_default()))
}

fn message_id(port: &Port, text: &str) -> Result<Uuid, Refusal> {
    text.parse().map_err(|_| port.refusal(ProblemKind::NotFound, "no-such-message"))
}
