//! The ministry port, `/api/v1`: officers' questions, with a bearer token and a stated purpose (`X-Purpose`, or `purpose` in
//! the query). No identifier of a person ever stands in a URL: searching is a POST.
//!
//! `/openapi.json` beside it asks for nothing. Refuses: 401 without a good token, 403 without a purpose that is the officer's to state, 404, 400, 503.

use super::{
    answer::{Refusal, json},
    openapi,
};
use crate::{
    access::Issuer,
    domain::facts::{Stage, Stay, Welfare},
    exchange::{
        Gateway, decide, operations,
        query::{Filter, Inquiry},
    },
    message::{problem::ProblemKind, strict_json},
};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequestParts, Path, Query, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json as object};
use std::{collections::HashMap, sync::Arc};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

/// What the routes share.
pub struct Ministry {
    /// The use cases.
    pub gateway: Arc<Gateway>,
    /// Whose tokens are believed.
    pub issuer: Issuer,
}

type Shared = State<Arc<Ministry>>;

/// The routes.
pub fn router(ministry: Arc<Ministry>) -> Router {
    Router::new()
        .route("/api/v1/placements", get(list))
        .route("/api/v1/placements/search", post(search))
        .route("/api/v1/placements/{id}", get(placement))
        .route("/api/v1/placements/{id}/timeline", get(timeline))
        .route("/api/v1/stats", get(stats))
        .route("/api/v1/changes", get(changes))
        .route("/api/v1/held", get(held))
        .route("/api/v1/exceptions", get(exceptions))
        .route("/api/v1/decisions", post(decide_on))
        .route("/openapi.json", get(openapi::read(&ministry.gateway)))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(64 << 10))
        .with_state(ministry)
}

/// The operations port, for loopback: `/livez`, `/readyz`, `/metrics`.
pub fn operations(gateway: Arc<Gateway>) -> Router {
    let ready = |State(gateway): State<Arc<Gateway>>| async move {
        // A halted corridor leaves the others, and all reading: it is said, and does not take the gateway away.
        match operations::ready(&gateway).await {
            Ok(halted) => {
                let halted = halted.iter().map(|(corridor, why)| format!("halted: {corridor} ({why})\n"));
                (StatusCode::OK, std::iter::once("ready\n".to_owned()).chain(halted).collect())
            }
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database is away\n".to_owned()),
        }
    };
    let metrics = |State(gateway): State<Arc<Gateway>>| async move {
        operations::figures(&gateway).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    };
    Router::new()
        .route("/livez", get(|| async { "live\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(gateway)
}

/// An officer's token, purpose and case number, as they came.
struct Asking {
    officer: crate::access::Officer,
    purpose: Option<String>,
    case_number: Option<String>,
    /// As it came, for the link to the next page.
    query: String,
    parameters: Parameters,
}

/// The parameters of a request: what is left of them, and the names for which the route asked.
struct Parameters {
    left: HashMap<String, String>,
    known: Vec<&'static str>,
}

impl FromRequestParts<Arc<Ministry>> for Asking {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, ministry: &Arc<Ministry>) -> Result<Self, Refusal> {
        let gateway = &ministry.gateway;
        let refuse = |kind, reason: &str| Refusal::from(gateway.problem(kind).because(reason));
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let bearer = text("authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        let token = bearer.ok_or_else(|| refuse(ProblemKind::TokenInvalid, "token-missing"))?;
        let officer = ministry.issuer.verify(&token, gateway.now()).map_err(|reason| {
            let expired = reason == "token-expired";
            refuse(if expired { ProblemKind::TokenExpired } else { ProblemKind::TokenInvalid }, reason)
        })?;
        let parameters = Query::<HashMap<String, String>>::try_from_uri(&parts.uri);
        let Query(mut parameters) = parameters.map_err(|_| refuse(ProblemKind::MalformedRequest, "parameters"))?;
        let purpose = text("x-purpose").or(parameters.remove("purpose"));
        let case_number = text("x-case-number").or(parameters.remove("case_number"));
        let query = parts.uri.query().unwrap_or_default().to_owned();
        Ok(Self { officer, purpose, case_number, query, parameters: Parameters::new(parameters) })
    }
}

impl Asking {
    fn inquiry<'g>(&self, gateway: &'g Gateway) -> Result<Inquiry<'g>, Refusal> {
        let purpose = self.purpose.as_deref();
        Ok(Inquiry::open(gateway, self.officer.clone(), purpose, self.case_number.clone())?)
    }
}

impl Parameters {
    fn new(left: HashMap<String, String>) -> Self {
        Self { left, known: Vec::new() }
    }

    /// The members of a JSON object; `None` for anything else.
    fn of(object: &Value) -> Option<Self> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let members = object.as_object()?.iter();
        members.map(|(name, value)| Some((name.clone(), text(value)?))).collect::<Option<_>>().map(Self::new)
    }

    /// Takes a parameter; what is left in the end is unknown and refused.
    fn take<T: std::str::FromStr>(
        &mut self,
        gateway: &Gateway,
        name: &'static str,
        expected: &str,
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| not_so(gateway, "parameter", name, expected))
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.left.remove(name)
    }

    /// A parameter that is one of a few words.
    fn word(&mut self, gateway: &Gateway, name: &'static str, words: &[&str]) -> Result<Option<String>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if words.contains(&text.as_str()) {
            return Ok(Some(text));
        }
        Err(not_so(gateway, "parameter", name, &words.join(", ")))
    }

    fn instant(&mut self, gateway: &Gateway, name: &'static str) -> Result<Option<OffsetDateTime>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // A plus sign that was not escaped arrives as a space.
        let instant = OffsetDateTime::parse(&text.replace(' ', "+"), &Rfc3339);
        instant.map(Some).map_err(|_| not_so(gateway, "instant", name, INSTANT))
    }

    fn done(&self, gateway: &Gateway) -> Result<(), Refusal> {
        match self.left.keys().min() {
            None => Ok(()),
            Some(name) => Err(not_so(gateway, "unknown-parameter", name, &self.known.join(", "))),
        }
    }
}

/// How an instant is written.
const INSTANT: &str = "an instant like 2026-08-17T09:00:00+07:00";
/// How `limit` is written.
const LIMIT: &str = "a whole number of 1 to 1000";
/// How `after` is written.
const NEXT: &str = "next of an earlier answer";

/// A parameter that is not what it should be.
fn not_so(gateway: &Gateway, reason: &str, name: &str, expected: &str) -> Refusal {
    let problem = gateway.problem(ProblemKind::MalformedRequest).because(reason).extra("parameter", name);
    problem.extra("expected", expected).into()
}

fn words<T: Copy>(all: &[T], text: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|one| text(*one)).collect()
}

fn limit(asked: Option<i64>) -> i64 {
    asked.unwrap_or(100).clamp(1, 1_000)
}

/// The filters of a list and of a search. None of them names a person, so that they may stand in a URL.
fn filter(gateway: &Gateway, parameters: &mut Parameters) -> Result<Filter, Refusal> {
    let corridors: Vec<&str> = gateway.parties.partners.keys().map(String::as_str).collect();
    let silent_days = parameters.take::<u16>(gateway, "silent_days", "a whole number of days")?;
    Ok(Filter {
        corridor: parameters.word(gateway, "corridor", &corridors)?,
        stage: parameters.word(gateway, "stage", &words(Stage::ALL, Stage::as_str))?,
        stay: parameters.word(gateway, "stay", &words(Stay::ALL, Stay::as_str))?,
        welfare: parameters.word(gateway, "welfare", &words(Welfare::ALL, Welfare::as_str))?,
        exception: parameters.word(gateway, "exception", &kinds_of_exceptions(gateway))?,
        updated_since: parameters.instant(gateway, "updated_since")?,
        silent_since: silent_days.map(|days| gateway.now() - Duration::days(days.into())),
        ..Filter::default()
    })
}

async fn list(State(ministry): Shared, mut asking: Asking) -> Result<Response, Refusal> {
    let gateway = &ministry.gateway;
    let query = asking.query.clone();
    let parameters = &mut asking.parameters;
    let after = parameters.take(gateway, "after", NEXT)?;
    let filter = Filter { after, ..filter(gateway, parameters)? };
    let limit = limit(parameters.take(gateway, "limit", LIMIT)?);
    parameters.done(gateway)?;
    let (placements, next) = asking.inquiry(gateway)?.list(filter, limit).await?;
    let mut answer = json(StatusCode::OK, &object!({"placements": placements, "next": next}));
    // The same filters, from where this page ended.
    let filters = query.split('&').filter(|part| !part.is_empty() && !part.starts_with("after="));
    let filters: String = filters.map(|part| format!("{part}&")).collect();
    let link = next.and_then(|next| {
        HeaderValue::from_str(&format!("</api/v1/placements?{filters}after={next}>; rel=\"next\"")).ok()
    });
    if let Some(link) = link {
        answer.headers_mut().insert(header::LINK, link);
    }
    Ok(answer)
}

/// What somebody knows of a person or an employer, and `filters` like those of a list.
async fn search(State(ministry): Shared, asking: Asking, body: Bytes) -> Result<Response, Refusal> {
    let gateway = &ministry.gateway;
    let unreadable = |fault: strict_json::JsonFault| gateway.problem(ProblemKind::InvalidJson).because(fault.reason());
    let mut body = strict_json::parse(&body).map_err(unreadable)?;
    let mut asking = asking;
    if let Some(purpose) = body.as_object_mut().and_then(|members| members.remove("purpose")) {
        asking.purpose = asking.purpose.or(purpose.as_str().map(str::to_owned));
    }
    let malformed = || Refusal::from(gateway.problem(ProblemKind::MalformedRequest).because("filters"));
    let filters = body.as_object_mut().and_then(|members| members.remove("filters"));
    let filters = filters.map(|filters| Parameters::of(&filters).ok_or_else(malformed)).transpose()?;
    let mut filters = filters.unwrap_or_else(|| Parameters::new(HashMap::new()));
    let filter = filter(gateway, &mut filters)?;
    filters.done(gateway)?;
    let placements = asking.inquiry(gateway)?.search(&body, filter).await?;
    Ok(json(StatusCode::OK, &object!({"placements": placements})))
}

async fn placement(State(ministry): Shared, Path(id): Path<String>, mut asking: Asking) -> Result<Response, Refusal> {
    let gateway = &ministry.gateway;
    let as_known_at = asking.parameters.instant(gateway, "as_known_at")?;
    if as_known_at.is_some_and(|instant| instant > gateway.now()) {
        return Err(not_so(gateway, "instant", "as_known_at", "an instant that is not to come"));
    }
    asking.parameters.done(gateway)?;
    Ok(json(StatusCode::OK, &asking.inquiry(gateway)?.placement(&id, as_known_at).await?))
}

async fn timeline(State(ministry): Shared, Path(id): Path<String>, asking: Asking) -> Result<Response, Refusal> {
    asking.parameters.done(&ministry.gateway)?;
    Ok(json(StatusCode::OK, &asking.inquiry(&ministry.gateway)?.timeline(&id).await?))
}

async fn stats(State(ministry): Shared, asking: Asking) -> Result<Response, Refusal> {
    asking.parameters.done(&ministry.gateway)?;
    Ok(json(StatusCode::OK, &asking.inquiry(&ministry.gateway)?.stats().await?))
}

async fn changes(State(ministry): Shared, mut asking: Asking) -> Result<Response, Refusal> {
    let gateway = &ministry.gateway;
    let after = asking.parameters.take(gateway, "after", NEXT)?.unwrap_or(0);
    let limit = limit(asking.parameters.take(gateway, "limit", LIMIT)?);
    asking.parameters.done(gateway)?;
    let (changes, next) = asking.inquiry(gateway)?.changes(after, limit).await?;
    Ok(json(StatusCode::OK, &object!({"changes": changes, "next": next.to_string()})))
}

async fn held(State(ministry): Shared, asking: Asking) -> Result<Response, Refusal> {
    asking.parameters.done(&ministry.gateway)?;
    let held = asking.inquiry(&ministry.gateway)?.held().await?;
    Ok(json(StatusCode::OK, &object!({"held": held})))
}

async fn exceptions(State(ministry): Shared, mut asking: Asking) -> Result<Response, Refusal> {
    let gateway = &ministry.gateway;
    let corridors: Vec<&str> = gateway.parties.partners.keys().map(String::as_str).collect();
    let corridor = asking.parameters.word(gateway, "corridor", &corridors)?;
    let kind = asking.parameters.word(gateway, "exception", &kinds_of_exceptions(gateway))?;
    let limit = limit(asking.parameters.take(gateway, "limit", LIMIT)?);
    asking.parameters.done(gateway)?;
    let items = asking.inquiry(gateway)?.work_items(corridor.as_deref(), kind.as_deref(), limit).await?;
    Ok(json(StatusCode::OK, &object!({"exceptions": items})))
}

/// `{"message": "…", "verdict": "ACCEPTED" | "REJECTED", "reason": "…"}`: 201 taken, 200 decided before.
async fn decide_on(State(ministry): Shared, asking: Asking, body: Bytes) -> Result<Response, Refusal> {
    let gateway = &ministry.gateway;
    let unreadable = |fault: strict_json::JsonFault| gateway.problem(ProblemKind::InvalidJson).because(fault.reason());
    let body = strict_json::parse(&body).map_err(unreadable)?;
    let missing = |name: &str| {
        Refusal::from(gateway.problem(ProblemKind::MalformedRequest).because("member").extra("member", name))
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let accepted = match text("verdict") {
        Some("ACCEPTED") => true,
        Some("REJECTED") => false,
        _ => {
            return Err(gateway
                .problem(ProblemKind::MalformedRequest)
                .because("member")
                .extra("member", "verdict")
                .extra("expected", "ACCEPTED, REJECTED")
                .into());
        }
    };
    let message = text("message").and_then(|id| id.parse().ok()).ok_or_else(|| missing("message"))?;
    let reason = text("reason").ok_or_else(|| missing("reason"))?.to_owned();
    asking.parameters.done(gateway)?;
    let inquiry = asking.inquiry(gateway)?;
    let decided = inquiry.decide(&decide::Verdict { message, accepted, reason }).await?;
    let status = if decided.repeat { StatusCode::OK } else { StatusCode::CREATED };
    Ok(json(status, &object!({"decision": decided.id, "released": decided.released})))
}

/// Every exception that can be open: of the facts, of clocks, of counts.
fn kinds_of_exceptions(gateway: &Gateway) -> Vec<&str> {
    let clocks = gateway.schemas.clocks.iter().map(|clock| clock.exception.as_str());
    let mut kinds: Vec<&str> = clocks.chain(gateway.schemas.exceptions.iter().map(|one| one.kind.as_str())).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

async fn not_found(State(ministry): Shared) -> Response {
    Refusal::from(ministry.gateway.problem(ProblemKind::NotFound).because("no-such-route")).into_response()
}

async fn method_not_allowed(State(ministry): Shared) -> Response {
    Refusal::from(ministry.gateway.problem(ProblemKind::MethodNotAllowed).because("method")).into_response()
}
