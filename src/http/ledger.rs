//! `GET /v1/ledger/checkpoint`, `/v1/ledger/tile/…`: the log of the caller's own corridor as C2SP tlog-tiles. They need the
//! certificate only: the note carries its own signature, and tiles lead to the root in it.

use super::{Peer, Shared, answer::Refusal};
use crate::{exchange::evidence, message::problem::ProblemKind, trust::anchors::PeerCertificate};
use axum::{
    extract::{Query, Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use std::sync::Arc;

/// Where tiles stand; what follows is [`crate::ledger::tile::Resource`]'s to read.
const TILES: &str = "/v1/ledger/tile/";
/// A note changes with every message.
const CHANGING: &str = "private, no-cache";
/// A tile never changes. Private: under the same URL another caller reads another log.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

#[derive(Debug, Deserialize)]
struct Parameters {
    corridor: Option<String>,
}

pub(super) async fn checkpoint(State(port): Shared, request: Request) -> Result<Response, Refusal> {
    let (peer, corridor) = asked(&port, &request)?;
    let note = evidence::checkpoint(&port.gateway, &peer, corridor.as_deref()).await?;
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, CHANGING)];
    Ok((headers, note).into_response())
}

pub(super) async fn tile(State(port): Shared, request: Request) -> Result<Response, Refusal> {
    let (peer, corridor) = asked(&port, &request)?;
    // As sent, not decoded: a tile has one spelling.
    let path = request.uri().path().strip_prefix(TILES).unwrap_or_default();
    let bytes = evidence::tile(&port.gateway, &peer, corridor.as_deref(), path).await?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, IMMUTABLE)];
    Ok((headers, bytes).into_response())
}

/// Who asks, and for which corridor.
fn asked(port: &super::Port, request: &Request) -> Result<(Arc<PeerCertificate>, Option<String>), Refusal> {
    let peer = request.extensions().get::<Peer>().cloned();
    let Peer(peer) = peer.ok_or_else(|| port.refusal(ProblemKind::InternalError, "no-peer"))?;
    let parameters = Query::<Parameters>::try_from_uri(request.uri());
    let Query(parameters) = parameters.map_err(|_| port.refusal(ProblemKind::MalformedRequest, "parameters"))?;
    Ok((peer, parameters.corridor))
}
