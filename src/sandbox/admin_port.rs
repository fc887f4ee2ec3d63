//! The admin port of a mock, plain HTTP on loopback, and the one rule by which no page in a browser can use it: it answers to loopback
//! names only, and whoever changes something says that it sends JSON, which a page of another site cannot without asking first.

use axum::{
    Json, Router,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

/// Serves `routes` by that rule until `stop` changes.
pub(super) fn serve(routes: Router, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let routes = routes.layer(middleware::from_fn(guard));
    tokio::spawn(async move {
        let ended = async move { drop(stop.wait_for(|stop| *stop).await) };
        tokio::select! {
            _ = axum::serve(listener, routes) => {}
            () = ended => {}
        }
    });
}

async fn guard(request: Request, next: Next) -> Response {
    if !is_loopback(request.headers()) {
        return refused(StatusCode::MISDIRECTED_REQUEST, "this port answers to 127.0.0.1 and localhost only");
    }
    if !request.method().is_safe() && !says_json(request.headers()) {
        let text = "say -H 'Content-Type: application/json', with a body or without";
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
    }
    next.run(request).await
}

/// Whether no name other than loopback's led here (as one of another site's could, by DNS rebinding).
fn is_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

fn says_json(headers: &HeaderMap) -> bool {
    let stated = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = stated.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

/// A refusal in the one form that admin ports have.
pub(super) fn refused(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({"error": text}))).into_response()
}
