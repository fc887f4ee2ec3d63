//! The admin port of a mock partner, plain HTTP on loopback: faults, what it was told, pushing and publishing.
//!
//! `GET`/`PUT /admin/faults`, `GET /admin/told`, `POST /admin/push`, `POST /admin/publish`. Who may call it is
//! [`admin_port`]'s.

use super::{Mock, faults::Faults, push::Selection};
use crate::sandbox::{
    admin_port::{self, refused},
    system::System,
};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
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
    admin_port::serve(routes, listener, stop);
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
        return conflict("this mock knows no gateway: start it with --gateway and --credentials");
    };
    match admin.mock.push(gateway, &selection).await {
        Ok(pushed) => Json(json!({"pushed": pushed})).into_response(),
        Err(text) => conflict(&text),
    }
}

async fn publish(State(admin): Shared, Json(selection): Json<Selection>) -> Response {
    match admin.mock.publish_all(&selection) {
        Ok(names) => Json(json!({"published": names})).into_response(),
        Err(text) => conflict(&text),
    }
}

fn conflict(text: &str) -> Response {
    refused(StatusCode::CONFLICT, text)
}
