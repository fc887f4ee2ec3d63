//! `GET /openapi.json`, on both ports: every route of them, with the schemas of `schemas/` inside. Asks for no token: it says
//! nothing of anybody.
//!
//! Made once, when the routes are. A strong entity tag, the digest of the body.

use super::answer::{entity_tag, tagged};
use crate::exchange::Gateway;
use axum::{body::Bytes, http::HeaderMap, response::Response};
use std::future::{Ready, ready};

/// The handler.
pub(super) fn read(gateway: &Gateway) -> impl Fn(HeaderMap) -> Ready<Response> + Clone + Send + Sync + 'static {
    let body = Bytes::from(gateway.schemas.openapi(&gateway.name).to_string());
    let tag = entity_tag(&body);
    move |asked| ready(tagged(&asked, body.clone(), &tag, "private, max-age=300"))
}
