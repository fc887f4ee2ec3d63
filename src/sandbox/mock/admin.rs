//! The admin port of a mock partner, plain HTTP on loopback: faults, what it was told, pushing and publishing.
//!
//! `GET`/`PUT /admin/faults`, `GET /admin/told`, `POST /admin/push`, `POST /admin/publish`. It takes JSON only and answers only to
//! loopback names, so that no page in a browser can use it.

use super::{Mock, faults::Faults, push::Selection};
use crate::sandbox::system::System;
use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::{net::TcpListener, sync::watch};

struct Admin {
    mock: Arc<Mock>,
    gateway: Option<System>,
}

type Shared = State<Arc<Admin>>;

/// Serves the admin port of `mock`, which pushes as `gateway`, until `stop` changes.
pub fn serve(mock: Arc<Mock>, gateway: Option<System>, listener: TcpListener, stop: watch::Receiver<bool>) {
    let routes = Router::new()
        .route("/admin/faults", get(faults).put(set_faults))
        .route("/admin/told", get(told))
        .route("/admin/push", post(push))
        .route("/admin/publish", post(publish))
        .with_state(Arc::new(Admin { mock, gateway }));
    serve_loopback(routes, listener, stop);
}

/// Serves `routes` to loopback names only, until `stop` changes.
pub(in crate::sandbox) fn serve_loopback(routes: Router, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let routes = routes.layer(middleware::from_fn(loopback_only));
    tokio::spawn(async move {
        let ended = async move { drop(stop.wait_for(|stop| *stop).await) };
        tokio::select! {
            _ = axum::serve(listener, routes) => {}
            () = ended => {}
        }
    });
}

/// Refuses requests that a name other than loopback's led here (a page of another site, by DNS rebinding).
async fn loopback_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if matches!(name, "127.0.0.1" | "localhost" | "[::1]") {
        return next.run(request).await;
    }
    (StatusCode::MISDIRECTED_REQUEST, "this port answers to 127.0.0.1 and localhost only\n").into_response()
}

async fn faults(State(admin): Shared) -> Json<Faults> {
    Json(admin.mock.faults())
}

async fn set_faults(State(admin): Shared, Json(faults): Json<Faults>) -> Json<Faults> {
    admin.mock.set_faults(faults);
    Json(admin.mock.faults())
}

async fn told(State(admin): Shared) -> Json<Value> {
    let told: Vec<Value> =
        admin.mock.told().into_iter().map(|(path, record)| json!({"path": path, "record": record})).collect();
    Json(json!({"told": told, "refused": admin.mock.refused()}))
}

async fn push(State(admin): Shared, Json(selection): Json<Selection>) -> Response {
    let Some(gateway) = &admin.gateway else {
        return fault("this mock knows no gateway: start it with --gateway and --credentials");
    };
    match admin.mock.push(gateway, &selection).await {
        Ok(pushed) => Json(json!({"pushed": pushed})).into_response(),
        Err(text) => fault(&text),
    }
}

async fn publish(State(admin): Shared, Json(selection): Json<Selection>) -> Response {
    match admin.mock.publish_all(&selection) {
        Ok(names) => Json(json!({"published": names})).into_response(),
        Err(text) => fault(&text),
    }
}

fn fault(text: &str) -> Response {
    (StatusCode::CONFLICT, Json(json!({"error": text}))).into_response()
}
