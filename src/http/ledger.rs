//! `GET /v1/ledger/checkpoint`: the newest signed checkpoint of the caller's own corridor (C2SP signed note). Needs the
//! certificate only: the note carries its own signature.

use super::{Peer, Shared, answer::Refusal};
use crate::{exchange::evidence, message::problem::ProblemKind};
use axum::{
    extract::{Query, Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Parameters {
    corridor: Option<String>,
}

pub(super) async fn checkpoint(State(port): Shared, request: Request) -> Result<Response, Refusal> {
    let peer = request.extensions().get::<Peer>().cloned();
    let Peer(peer) = peer.ok_or_else(|| port.refusal(ProblemKind::InternalError, "no-peer"))?;
    let parameters = Query::<Parameters>::try_from_uri(request.uri());
    let Query(parameters) = parameters.map_err(|_| port.refusal(ProblemKind::MalformedRequest, "parameters"))?;
    let note = evidence::checkpoint(&port.gateway, &peer, parameters.corridor.as_deref()).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response())
}
