//! `GET /v1/messages?after=CURSOR` and `POST /v1/messages/ack`: messages for a party that asks for them itself.
//!
//! `after` defaults to what the client has acknowledged; `Prefer: wait=N` waits up to N seconds (30 at most) for the first.

use super::{
    Shared,
    answer::{Refusal, json},
    signed::Signed,
};
use crate::{
    exchange::mailbox::{self, Page},
    message::{problem::ProblemKind, strict_json},
};
use axum::{
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Deserialize;
use serde_json::{Value, json as object};
use std::time::Duration;

/// Longest wait of a long poll.
const WAIT_MAX_S: u64 = 30;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    after: Option<String>,
    limit: Option<i64>,
}

pub(super) async fn read(
    State(port): Shared,
    parameters: Result<Query<Parameters>, axum::extract::rejection::QueryRejection>,
    request: Signed,
) -> Result<Response, Refusal> {
    let gateway = &port.gateway;
    request.caller.needs(gateway, "messages:read")?;
    request.caller.admit(gateway).await?;
    let malformed = |expected: &str| {
        let problem = gateway.problem(ProblemKind::MalformedRequest).because("parameters");
        Refusal::from(problem.extra("expected", expected))
    };
    let Query(parameters) = parameters.map_err(|_| malformed("after=CURSOR, limit=NUMBER"))?;
    let after = parameters.after.filter(|text| !text.is_empty());
    let after =
        after.map(|text| text.parse().map_err(|_| malformed("after: a cursor that was given here"))).transpose()?;
    let wait = Duration::from_secs(preferred_wait(&request.headers).min(WAIT_MAX_S));
    let limit = parameters.limit.unwrap_or(100).clamp(1, 1_000);
    let Page { letters, next } = mailbox::read(gateway, &request.caller, after, limit, wait).await?;
    let messages: Vec<Value> =
        letters.into_iter().map(|(cursor, event)| object!({"cursor": cursor.to_string(), "event": event})).collect();
    let mut answer = json(StatusCode::OK, &object!({"messages": messages, "next": next.to_string()}));
    if let Ok(link) = HeaderValue::from_str(&format!("</v1/messages?after={next}>; rel=\"next\"")) {
        answer.headers_mut().insert(header::LINK, link);
    }
    Ok(answer)
}

/// RFC 7240 §4.3.
fn preferred_wait(headers: &HeaderMap) -> u64 {
    let preferences = headers.get("prefer").and_then(|value| value.to_str().ok()).unwrap_or_default();
    preferences.split([',', ';']).find_map(|one| one.trim().strip_prefix("wait=")?.parse().ok()).unwrap_or(0)
}

pub(super) async fn acknowledge(State(port): Shared, request: Signed) -> Result<Response, Refusal> {
    let gateway = &port.gateway;
    request.caller.needs(gateway, "messages:read")?;
    request.caller.admit(gateway).await?;
    let body = strict_json::parse(&request.body).ok();
    let cursor = body.as_ref().and_then(|body| body.get("cursor")?.as_str()?.parse().ok());
    let cursor = cursor.ok_or_else(|| port.refusal(ProblemKind::MalformedRequest, "cursor"))?;
    let settled = mailbox::acknowledge(gateway, &request.caller, cursor, &request.body).await?;
    Ok(json(StatusCode::OK, &object!({"acknowledged": cursor.to_string(), "delivered": settled})))
}
