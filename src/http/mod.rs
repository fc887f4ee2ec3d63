//! The channel port and the ministry port: TLS acceptor, routes (one file an endpoint), the one mapping from a problem to an answer.
//!
//! A handler that changes or shows anything takes a [`signed::Signed`] request, which only a verified caller can have made.
//! Nothing here reaches the database: it goes through [`crate::exchange`].

mod answer;
mod discovery;
mod inbox;
mod ledger;
pub mod listener;
mod mailbox;
mod messages;
pub mod ministry;
mod openapi;
mod placements;
mod signed;
pub(crate) mod token;
mod witness;

use crate::{exchange::Gateway, message::problem::ProblemKind, trust::anchors::PeerCertificate};
use answer::Refusal;
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware,
    routing::{get, post},
};
use governor::DefaultKeyedRateLimiter;
use std::{num::NonZeroU32, sync::Arc, time::Duration};

/// Bounds of the port.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at the same moment.
    pub connections: usize,
    /// A TLS handshake must end within this.
    pub handshake: Duration,
    /// A body must arrive within this.
    pub body: Duration,
    /// Requests a second of one client.
    pub requests_per_s: NonZeroU32,
}

/// What the routes share.
pub struct Port {
    /// The use cases.
    pub gateway: Arc<Gateway>,
    /// Bounds.
    pub limits: Limits,
    /// Authorities (`host:port`) under which callers may address us; the first is ours.
    pub authorities: Vec<String>,
    rates: DefaultKeyedRateLimiter<String>,
}

impl Port {
    /// A port that answers to `authorities`.
    pub fn new(gateway: Arc<Gateway>, limits: Limits, authorities: Vec<String>) -> Self {
        let rates = governor::RateLimiter::keyed(governor::Quota::per_second(limits.requests_per_s));
        Self { gateway, limits, authorities, rates }
    }

    fn refusal(&self, kind: ProblemKind, reason: &str) -> Refusal {
        Refusal::from(self.gateway.problem(kind).because(reason))
    }
}

/// The peer of a connection, in the extensions of its requests.
#[derive(Debug, Clone)]
struct Peer(Arc<PeerCertificate>);

type Shared = State<Arc<Port>>;

/// The routes.
pub fn router(port: Arc<Port>) -> Router {
    let signed = Router::new()
        .route("/v1/messages", get(mailbox::read).post(messages::submit))
        .route("/v1/messages/ack", post(mailbox::acknowledge))
        .route("/v1/inbox/{route}", post(inbox::submit))
        .route("/v1/messages/{id}", get(messages::status))
        .route("/v1/messages/{id}/receipt", get(messages::receipt))
        .route("/v1/placements", get(placements::list))
        .route("/v1/placements/{id}", get(placements::one))
        .route("/v1/placements/{id}/timeline", get(placements::timeline))
        .route_layer(middleware::from_fn_with_state(port.clone(), signed::sign_answers));
    Router::new()
        .merge(signed)
        .route("/v1/ledger/checkpoint", get(ledger::checkpoint))
        .route("/v1/ledger/add-checkpoint", post(witness::add_checkpoint))
        .route("/v1/ledger/tile/{*tile}", get(ledger::tile))
        .route("/oauth2/token", post(token::issue))
        .route("/.well-known/oauth-authorization-server", get(discovery::metadata))
        .route("/.well-known/jwks.json", get(discovery::jwks))
        .route("/openapi.json", get(openapi::read(&port.gateway)))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::disable())
        .with_state(port)
}

async fn not_found(State(port): Shared, _: Request) -> Refusal {
    port.refusal(ProblemKind::NotFound, "no-such-route")
}

async fn method_not_allowed(State(port): Shared, _: Request) -> Refusal {
    port.refusal(ProblemKind::MethodNotAllowed, "method")
}
