//! The admin port of the mock gateway, plain HTTP on loopback: a page of what arrived, the same as JSON, and triggers.
//!
//! `GET /`, `GET /admin/arrivals`, `POST /admin/trigger/{code}?party=CODE` with an optional JSON body: the event's data in place of
//! the catalogue's example. Who may call it is [`admin_port`]'s.

use super::{MockGateway, book::Arrival, page};
use crate::sandbox::admin_port::{self, refused};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use std::sync::Arc;
use tokio::{net::TcpListener, sync::watch};

type Shared = State<Arc<MockGateway>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Addressee {
    party: String,
}

/// Serves the admin port until `stop` changes.
pub fn serve(gateway: Arc<MockGateway>, listener: TcpListener, stop: watch::Receiver<bool>) {
    let routes = Router::new()
        .route("/", get(shown))
        .route("/admin/arrivals", get(arrivals))
        .route("/admin/trigger/{code}", post(trigger))
        .with_state(gateway);
    admin_port::serve(routes, listener, stop);
}

async fn shown(State(gateway): Shared) -> Response {
    let arrivals = gateway.book().arrivals();
    let mut answer = Html(page::arrivals(gateway.name(), &arrivals)).into_response();
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    answer
}

async fn arrivals(State(gateway): Shared) -> Json<Vec<Arrival>> {
    Json(gateway.book().arrivals())
}

async fn trigger(
    State(gateway): Shared,
    Path(code): Path<String>,
    Query(to): Query<Addressee>,
    body: Bytes,
) -> Response {
    let data = match body.as_ref() {
        [] => None,
        bytes => match serde_json::from_slice(bytes) {
            Ok(data) => Some(data),
            Err(_) => return refused(StatusCode::BAD_REQUEST, "the body is not JSON"),
        },
    };
    match gateway.trigger(&code, &to.party, data).await {
        Ok(triggered) => Json(triggered).into_response(),
        Err(text) => refused(StatusCode::CONFLICT, &text),
    }
}
