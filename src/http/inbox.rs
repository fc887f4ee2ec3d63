//! `POST /v1/inbox/{route}`: a record in the party's own wire format, read by its mapping.
//!
//! Refuses: 404 a route that the party does not have, 422 a record that its mapping or the schema refuses; else as
//! `POST /v1/messages`.

use super::{
    Shared,
    answer::Refusal,
    messages::{answer, item_answer, unreadable},
    signed::{Signed, media_type},
};
use crate::{
    exchange::inbox,
    message::{problem::ProblemKind, strict_json},
};
use axum::{
    extract::{Path, State},
    response::Response,
};

pub(super) async fn submit(
    State(port): Shared,
    Path(route): Path<String>,
    request: Signed,
) -> Result<Response, Refusal> {
    let gateway = &port.gateway;
    request.caller.needs(gateway, "messages:write")?;
    if media_type(&request.headers) != Some("application/json") {
        return Err(port.refusal(ProblemKind::UnsupportedMediaType, "content-type"));
    }
    let record = strict_json::parse(&request.body).map_err(|fault| unreadable(&port, &fault, None))?;
    let spends = vec![request.caller.nonce().clone()];
    let taken = inbox::take(gateway, &request.caller, &route, request.body.to_vec(), &record, spends).await;
    let (status, value) = item_answer(taken)?;
    Ok(answer(status, &value))
}
