//! `GET /v1/placements?after=CURSOR`, `/v1/placements/{id}` and `/v1/placements/{id}/timeline`: what this party may see, by its
//! own ids. A strong entity tag, the digest of the body (RFC 9110 §8.8.3); `If-None-Match` with it is answered 304.
//!
//! Refuses: 400 an unknown parameter or cursor, 403 a token without `placements:read`, 404 an id that is unknown or another's.

use super::{
    Shared,
    answer::{Refusal, entity_tag, tagged},
    signed::Signed,
};
use crate::{
    exchange::{
        Gateway,
        view::{PURPOSE, View},
    },
    message::problem::ProblemKind,
};
use axum::{
    body::Bytes,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use serde::Deserialize;
use serde_json::{Value, json as object};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    after: Option<String>,
    limit: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn list(
    State(port): Shared,
    parameters: Result<Query<Page>, QueryRejection>,
    request: Signed,
) -> Result<Response, Refusal> {
    let gateway = &port.gateway;
    let view = view(gateway, &request).await?;
    let Query(page) = parameters.map_err(|_| malformed(gateway, "after=CURSOR, limit=NUMBER"))?;
    let limit = page.limit.unwrap_or(100).clamp(1, 100);
    let after = page.after.as_deref().filter(|text| !text.is_empty());
    let (placements, next) = view.list(after, limit).await?;
    let mut answer = revalidated(&request.headers, &object!({"placements": placements, "next": next}));
    let link = next.and_then(|next| {
        HeaderValue::from_str(&format!("</v1/placements?limit={limit}&after={next}>; rel=\"next\"")).ok()
    });
    if let Some(link) = link {
        answer.headers_mut().insert(header::LINK, link);
    }
    Ok(answer)
}

pub(super) async fn one(
    State(port): Shared,
    Path(id): Path<String>,
    parameters: Result<Query<Nothing>, QueryRejection>,
    request: Signed,
) -> Result<Response, Refusal> {
    let view = view(&port.gateway, &request).await?;
    parameters.map_err(|_| malformed(&port.gateway, "no parameter"))?;
    Ok(revalidated(&request.headers, &view.placement(&id).await?))
}

pub(super) async fn timeline(
    State(port): Shared,
    Path(id): Path<String>,
    parameters: Result<Query<Nothing>, QueryRejection>,
    request: Signed,
) -> Result<Response, Refusal> {
    let view = view(&port.gateway, &request).await?;
    parameters.map_err(|_| malformed(&port.gateway, "no parameter"))?;
    Ok(revalidated(&request.headers, &view.timeline(&id).await?))
}

async fn view<'g>(gateway: &'g Gateway, request: &Signed) -> Result<View<'g>, Refusal> {
    request.caller.needs(gateway, PURPOSE)?;
    request.caller.admit(gateway).await?;
    Ok(View::of(gateway, &request.caller))
}

fn malformed(gateway: &Gateway, expected: &str) -> Refusal {
    gateway.problem(ProblemKind::MalformedRequest).because("parameters").extra("expected", expected).into()
}

/// Never kept without asking: what a party may see changes.
fn revalidated(asked: &HeaderMap, body: &Value) -> Response {
    let body = Bytes::from(body.to_string());
    let tag = entity_tag(&body);
    tagged(asked, body, &tag, "private, no-cache")
}
