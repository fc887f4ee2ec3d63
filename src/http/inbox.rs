//! `POST /v1/inbox/{route}`: a record in the party's own wire format, read by its mapping; for a route of CSV files a batch, one
//! record a row.
//!
//! Refuses: 404 a route that the party does not have, 415 another content type than the route's format, 400 a body that cannot
//! be read, 422 a record that its mapping or the schema refuses; else as `POST /v1/messages`. A route whose mapping has an
//! `answer` table answers in the party's style what became of a record.

use super::{
    Port, Shared,
    answer::{Refusal, json},
    messages::{answer, item_answer},
    signed::{Signed, media_type},
};
use crate::{
    exchange::{inbox, intake::Taken, whole},
    message::problem::{Problem, ProblemKind},
    partner::{
        body::{BodyFault, Format},
        formats::Record,
    },
};
use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::Value;
use std::sync::Arc;

pub(super) async fn submit(
    State(port): Shared,
    Path(route): Path<String>,
    request: Signed,
) -> Result<Response, Refusal> {
    let gateway = &port.gateway;
    request.caller.needs(gateway, "messages:write")?;
    let record = inbox::record(gateway, &request.caller, &route)?;
    if !media_type(&request.headers).is_some_and(|stated| record.format.is_media_type(stated)) {
        return Err(port.refusal(ProblemKind::UnsupportedMediaType, "content-type"));
    }
    if record.format == Format::Csv {
        return file(&port, &request, record).await;
    }
    let wire = record.parse(&request.body).map_err(|fault| unreadable(&port, record, &fault))?;
    let spends = vec![request.caller.nonce().clone()];
    let taken = inbox::take(gateway, &request.caller, record, request.body.to_vec(), Ok(&wire), spends).await;
    let Some(style) = &record.mapping.answer else {
        let (status, value) = item_answer(taken)?;
        return Ok(answer(status, &value));
    };
    let (status, value) = settled(taken);
    let bytes = style.bytes(&style.value(status.as_u16(), &value)).map_err(|fault| {
        tracing::error!(%fault, route, "an answer has no form in the party's style");
        port.refusal(ProblemKind::InternalError, fault.reason)
    })?;
    let mut answer = Response::new(Body::from(bytes));
    *answer.status_mut() = StatusCode::from_u16(style.status(status.as_u16())).unwrap_or(status);
    let content_type = HeaderValue::from_static(style.format().content_type());
    answer.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(answer)
}

/// Not atomic: one result a row, in order, each with its line. Only a file that cannot be read refuses the whole.
async fn file(port: &Arc<Port>, request: &Signed, record: &Record) -> Result<Response, Refusal> {
    let rows = record.rows(&request.body).map_err(|fault| unreadable(port, record, &fault))?;
    request.caller.admit(&port.gateway).await?;
    let lines: Vec<u64> = rows.iter().map(|row| row.line).collect();
    let taking = rows.into_iter().map(|row| {
        let wire = row.record.ok_or_else(|| vec![record.misshapen()]);
        async move {
            let wire = wire.as_ref().map_err(Clone::clone);
            inbox::take(&port.gateway, &request.caller, record, row.bytes, wire, Vec::new()).await
        }
    });
    let taken = futures_util::future::join_all(taking).await;
    whole::keep(&port.gateway, &request.caller, &request.body, &taken).await;
    let results = lines.into_iter().zip(taken).map(|(line, taken)| {
        let (status, mut value) = settled(taken);
        value["line"] = line.into();
        value["status"] = status.as_u16().into();
        match &record.mapping.answer {
            Some(style) => style.value(status.as_u16(), &value),
            None => value,
        }
    });
    Ok(json(StatusCode::OK, &Value::Array(results.collect())))
}

/// What became of a record, refusals included.
fn settled(taken: Result<Taken, Box<Problem>>) -> (StatusCode, Value) {
    item_answer(taken).unwrap_or_else(|problem| {
        tracing::info!(error_id = %problem.id, kind = problem.kind.slug(), reason = problem.reason, "a record was not stored");
        (StatusCode::from_u16(problem.kind.status()).unwrap_or_default(), problem.to_json())
    })
}

fn unreadable(port: &Port, record: &Record, fault: &BodyFault) -> Refusal {
    let kind = match (record.format, fault.reason) {
        (_, "too-many-items") => ProblemKind::PayloadTooLarge,
        (Format::Json, _) => ProblemKind::InvalidJson,
        _ => ProblemKind::MalformedRequest,
    };
    port.gateway.problem(kind).because(fault.reason).extra("position", fault.position.clone()).into()
}
