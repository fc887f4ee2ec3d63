//! `POST /v1/ledger/add-checkpoint` (C2SP tlog-witness): we cosign a checkpoint of the caller's own log. Needs the certificate only:
//! the checkpoint carries its log's signature.
//!
//! 200 with our signature lines, 409 with the size that we cosigned last (`text/x.tlog.size`), 400, 403, 404, 422.

use super::{Peer, Shared, answer::Refusal};
use crate::{
    exchange::witness::{self, Answer},
    ledger::note::NOTE_MAX,
    message::problem::ProblemKind,
};
use axum::{
    body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// Longest body: a note and the proof before it.
const BODY_MAX: usize = NOTE_MAX + 8 * 1024;

pub(super) async fn add_checkpoint(State(port): Shared, request: Request) -> Result<Response, Refusal> {
    let peer = request.extensions().get::<Peer>().cloned();
    let Peer(peer) = peer.ok_or_else(|| port.refusal(ProblemKind::InternalError, "no-peer"))?;
    if port.rates.check_key(&peer.party).is_err() {
        return Err(port.refusal(ProblemKind::RateLimited, "add-checkpoint"));
    }
    let bytes = body::to_bytes(request.into_body(), BODY_MAX).await;
    let bytes = bytes.map_err(|_| port.refusal(ProblemKind::PayloadTooLarge, "add-checkpoint"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| port.refusal(ProblemKind::MalformedRequest, "utf-8"))?;
    Ok(match witness::add_checkpoint(&port.gateway, &port.gateway.witness, &peer, text).await? {
        Answer::Cosigned(line) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], line).into_response(),
        Answer::Conflict(size) => {
            (StatusCode::CONFLICT, [(header::CONTENT_TYPE, "text/x.tlog.size")], format!("{size}\n")).into_response()
        }
    })
}
