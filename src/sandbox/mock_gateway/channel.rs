//! The channel port's routes: token, messages, inbox, mailbox, receipts, discovery. Each request is noted with what came of it.

use super::{
    MockGateway, Peer,
    book::{Arrival, Entered, Kept, Stored},
    caller::Caller,
};
use crate::{
    exchange::{
        inbox, intake,
        judgement::{Court, Judgement},
        tokens::{self, LIFE_S},
    },
    http::token::{self, FormFault},
    message::{
        event,
        problem::{Fault, Problem, ProblemKind},
        strict_json,
    },
    partner::{Party, body::Format, formats::Reading},
    trust::{
        digest,
        httpsig::{self, RequestBinding, RequestParts, ResponseParts},
        keys,
    },
};
use axum::{
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, request::Parts};
use serde_json::{Value, json};
use std::sync::Arc;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

const SCOPES: [&str; 2] = ["messages:write", "messages:read"];
const BATCH: &str = "application/cloudevents-batch+json";

type Answer = (StatusCode, Value);
type Answered = Result<Answer, Box<Problem>>;

/// One request, its body read.
struct Call<'a> {
    gateway: &'a MockGateway,
    peer: &'a Peer,
    parts: &'a Parts,
    uri: String,
    body: Bytes,
}

pub(super) async fn answer(
    State(gateway): State<Arc<MockGateway>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let steps: Vec<&str> = path.split('/').skip(1).collect();
    let is_signed = steps.first() == Some(&"v1");
    let uri = gateway.target_uri(&parts.uri, &parts.headers);
    let limit = if media_type(&parts.headers) == BATCH { event::BATCH_MAX } else { event::SINGLE_MAX };
    let call = axum::body::to_bytes(body, limit).await.map(|body| Call {
        gateway: &gateway,
        peer: &peer,
        parts: &parts,
        uri: uri.clone().unwrap_or_default(),
        body,
    });
    let (what, answered) = match &call {
        Err(_) => ("a body", Err(Box::new(gateway.problem(ProblemKind::PayloadTooLarge)))),
        Ok(_) if uri.is_none() => {
            ("a request", Err(Box::new(gateway.problem(ProblemKind::MalformedRequest).because("host-unknown"))))
        }
        Ok(call) => call.route(&steps).await,
    };
    let (status, value) = answered.unwrap_or_else(|problem| (status_of(&problem), problem.to_json()));
    let client = gateway.client_of(&peer).ok().map(|(client, _)| client.id.clone());
    gateway.note_answer(what, client.as_deref(), status, &value);
    gateway.respond(&parts, &uri.unwrap_or_default(), is_signed, status, &value)
}

fn status_of(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.kind.status()).unwrap_or_default()
}

fn media_type(headers: &HeaderMap) -> &str {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

impl Call<'_> {
    /// The route's name and its answer.
    async fn route(&self, steps: &[&str]) -> (&'static str, Answered) {
        match (self.parts.method.as_str(), steps) {
            ("GET", [".well-known", "oauth-authorization-server"]) => ("GET metadata", Ok(self.metadata())),
            ("GET", [".well-known", "jwks.json"]) => {
                ("GET jwks", Ok((StatusCode::OK, keys::jwks([self.gateway.signing.verifying_key()]))))
            }
            ("POST", ["oauth2", "token"]) => ("POST /oauth2/token", Ok(self.token())),
            ("POST", ["v1", "messages"]) => ("POST /v1/messages", self.messages().await),
            ("POST", ["v1", "messages", "ack"]) => ("POST /v1/messages/ack", self.acknowledge()),
            ("GET", ["v1", "messages"]) => ("GET /v1/messages", self.mailbox()),
            ("GET", ["v1", "messages", id]) => ("GET /v1/messages/{id}", self.status(id)),
            ("GET", ["v1", "messages", id, "receipt"]) => ("GET /v1/messages/{id}/receipt", self.receipt(id)),
            ("POST", ["v1", "inbox", route]) => ("POST /v1/inbox/{route}", self.inbox(route).await),
            _ => ("a route that is none", Err(self.problem(ProblemKind::NotFound, "no-such-route"))),
        }
    }

    fn problem(&self, kind: ProblemKind, reason: &str) -> Box<Problem> {
        Box::new(self.gateway.problem(kind).because(reason))
    }

    fn caller(&self, scope: &str) -> Result<Caller, Box<Problem>> {
        let parts = RequestParts {
            method: &self.parts.method,
            target_uri: &self.uri,
            headers: &self.parts.headers,
            has_body: !self.body.is_empty(),
        };
        let caller = self.gateway.caller(self.peer, &parts, &self.body)?;
        if !caller.may(scope) {
            return Err(Box::new(
                self.gateway.problem(ProblemKind::Forbidden).because("scope-missing").extra("scope", scope),
            ));
        }
        Ok(caller)
    }

    fn metadata(&self) -> Answer {
        let issuer = &self.gateway.name;
        let value = json!({"issuer": issuer, "token_endpoint": format!("{issuer}/oauth2/token"),
            "jwks_uri": format!("{issuer}/.well-known/jwks.json"), "grant_types_supported": ["client_credentials"],
            "response_types_supported": [], "scopes_supported": SCOPES,
            "token_endpoint_auth_methods_supported": ["tls_client_auth", "private_key_jwt"], "tls_client_certificate_bound_access_tokens": true});
        (StatusCode::OK, value)
    }

    /// RFC 6749 §4.4 by RFC 8705 §2.1 or RFC 7523.
    fn token(&self) -> Answer {
        let fault = |error: &'static str, text: &'static str| {
            let fault = FormFault { error, text };
            (fault.status(), json!({"error": error, "error_description": text}))
        };
        let grant = match token::read(Some(media_type(&self.parts.headers)), &self.body, &SCOPES) {
            Ok(grant) => grant,
            Err(FormFault { error, text }) => return fault(error, text),
        };
        let Ok((client, peer)) = self.gateway.client_of(self.peer) else {
            return fault("invalid_client", "the certificate names no registered client");
        };
        match tokens::prove(&self.gateway.name, &client, &grant, self.gateway.now()) {
            Ok(Some(proof)) if !self.gateway.book().spend(&format!("assertion:{}", client.id), &proof.jti) => {
                return fault("invalid_client", tokens::USED);
            }
            Ok(_) => {}
            Err(why) => return fault("invalid_client", why),
        }
        let scope = grant.scope;
        let (jti, now) = (self.gateway.id().to_string(), self.gateway.now());
        match self.gateway.issuer.issue(&client.id, &scope, &peer.thumbprint_sha256, &jti, LIFE_S.into(), now) {
            Ok(token) => (
                StatusCode::OK,
                json!({"access_token": token, "token_type": "Bearer", "expires_in": LIFE_S, "scope": scope}),
            ),
            Err(_) => fault("server_error", "no token could be signed"),
        }
    }

    async fn messages(&self) -> Answered {
        let caller = self.caller("messages:write")?;
        let unreadable = |fault: strict_json::JsonFault| {
            let problem = self.gateway.problem(ProblemKind::InvalidJson).because(fault.reason());
            Box::new(problem.extra("position", fault.to_string()))
        };
        match media_type(&self.parts.headers) {
            "application/cloudevents+json" => {
                let event = strict_json::parse(&self.body).map_err(unreadable)?;
                self.gateway.take(&caller, &self.body, event, None).await
            }
            BATCH => {
                let items = strict_json::split_array(&self.body).map_err(unreadable)?;
                if items.len() > event::BATCH_ITEMS_MAX {
                    return Err(self.problem(ProblemKind::PayloadTooLarge, "too-many-items"));
                }
                let parsed = items.iter().map(|bytes| Ok((*bytes, strict_json::parse(bytes).map_err(unreadable)?)));
                let mut results = Vec::new();
                for (bytes, event) in parsed.collect::<Result<Vec<_>, Box<Problem>>>()? {
                    results.push(match self.gateway.take(&caller, bytes, event, None).await {
                        Ok((status, mut value)) => {
                            value["status"] = status.as_u16().into();
                            value
                        }
                        Err(problem) => problem.to_json(),
                    });
                }
                Ok((StatusCode::OK, Value::Array(results)))
            }
            _ => Err(self.problem(ProblemKind::UnsupportedMediaType, "content-type")),
        }
    }

    async fn inbox(&self, route: &str) -> Answered {
        let caller = self.caller("messages:write")?;
        let party = caller.client.party.code();
        let format = self.gateway.formats.get(party).and_then(|formats| formats.inbound(route));
        let format = format.ok_or_else(|| self.problem(ProblemKind::NotFound, "no-such-inbox"))?;
        if !format.format.is_media_type(media_type(&self.parts.headers)) {
            return Err(self.problem(ProblemKind::UnsupportedMediaType, "content-type"));
        }
        let record = format.parse(&self.body).map_err(|fault| {
            let is_json = format.format == Format::Json;
            let kind = if is_json { ProblemKind::InvalidJson } else { ProblemKind::MalformedRequest };
            Box::new(self.gateway.problem(kind).because(fault.reason).extra("position", fault.position))
        })?;
        let (event, reading) = format.read(&record, &inbox::source(party), &caller.client.authorities);
        self.gateway.take(&caller, &self.body, event, Some(&reading)).await
    }

    fn parameter<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        let query = self.parts.uri.query().unwrap_or_default();
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    }

    fn mailbox(&self) -> Answered {
        let caller = self.caller("messages:read")?;
        let book = self.gateway.book();
        let after = self.parameter("after").unwrap_or_else(|| book.acknowledged(&caller.client.id));
        let limit = self.parameter("limit").unwrap_or(100_usize).clamp(1, 1_000);
        let letters = book.letters(caller.client.party.code(), &|name| self.gateway.sees(&caller, name));
        let page: Vec<_> = letters.into_iter().filter(|letter| letter.cursor > after).take(limit).collect();
        let next = page.last().map_or(after, |letter| letter.cursor);
        let messages: Vec<Value> =
            page.into_iter().map(|one| json!({"cursor": one.cursor.to_string(), "event": one.event})).collect();
        Ok((StatusCode::OK, json!({"messages": messages, "next": next.to_string()})))
    }

    fn acknowledge(&self) -> Answered {
        let caller = self.caller("messages:read")?;
        let body = strict_json::parse(&self.body).ok();
        let cursor: Option<i64> = body.as_ref().and_then(|body| body.get("cursor")?.as_str()?.parse().ok());
        let cursor = cursor.ok_or_else(|| self.problem(ProblemKind::MalformedRequest, "cursor"))?;
        let mut book = self.gateway.book();
        let letters = book.letters(caller.client.party.code(), &|name| self.gateway.sees(&caller, name));
        if !letters.iter().any(|letter| letter.cursor == cursor) {
            return Err(self.problem(ProblemKind::NothingToAcknowledge, "cursor"));
        }
        let before = book.acknowledged(&caller.client.id);
        book.acknowledge(&caller.client.id, cursor);
        let delivered = letters.iter().filter(|letter| letter.cursor > before && letter.cursor <= cursor).count();
        Ok((StatusCode::OK, json!({"acknowledged": cursor.to_string(), "delivered": delivered})))
    }

    fn kept(&self, id: &str) -> Result<Kept, Box<Problem>> {
        let caller = self.caller("messages:read")?;
        let id: Option<Uuid> = id.parse().ok();
        let book = self.gateway.book();
        let kept = id.and_then(|id| book.kept(id, caller.client.party.code()).cloned());
        kept.ok_or_else(|| self.problem(ProblemKind::NotFound, "no-such-message"))
    }

    fn status(&self, id: &str) -> Answered {
        let kept = self.kept(id)?;
        let value = json!({"message": kept.receipt.message, "type": kept.type_name, "corridor": kept.receipt.corridor,
            "outcome": kept.outcome, "received_at": kept.received_at.format(&Rfc3339).unwrap_or_default(), "deliveries": [],
            "violations": kept.faults.iter().map(Fault::to_json).collect::<Vec<_>>()});
        Ok((StatusCode::OK, value))
    }

    fn receipt(&self, id: &str) -> Answered {
        let kept = self.kept(id)?;
        Ok((StatusCode::OK, serde_json::to_value(&kept.receipt).unwrap_or_default()))
    }
}

impl MockGateway {
    /// The absolute URI that the caller addressed, if it is one of ours.
    fn target_uri(&self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let host = uri.authority().map(|authority| authority.as_str());
        let host = host.or_else(|| headers.get(header::HOST)?.to_str().ok())?;
        let is_ours = self.authorities.iter().any(|ours| ours.eq_ignore_ascii_case(host));
        is_ours.then(|| format!("https://{host}{}", uri.path_and_query().map_or("/", |path| path.as_str())))
    }

    fn sees(&self, caller: &Caller, type_name: &str) -> bool {
        self.schemas.message(type_name).is_some_and(|message| message.seen_by(&caller.client.authorities))
    }

    /// Judges and stores one message, and tells the other side.
    async fn take(&self, caller: &Caller, bytes: &[u8], event: Value, reading: Option<&Reading<'_>>) -> Answered {
        let court = Court { schemas: &self.schemas, parties: &self.parties, now: self.now() };
        let Judgement { outcome, faults, corridor, .. } = court.judge(&caller.client, &event, reading);
        let outcome = outcome.as_str();
        let party = caller.client.party.clone();
        let corridor = corridor.or_else(|| (!caller.is_home()).then(|| party.code().to_owned()));
        let Some(corridor) = corridor else {
            // The gateway would keep it in its domestic log, of which the mock has none.
            return Err(Box::new(intake::refusal(faults, self.id())));
        };
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        // A record that could not be read whole has no id that counts.
        let nameless = text("id").is_empty() || reading.is_some_and(|reading| !reading.faults.is_empty());
        let id = if nameless { hex::encode(crate::vault::sha256(bytes)) } else { text("id") };
        let source = text("source");
        let type_name = text("type");
        let partner: &Arc<Party> = &self.parties.partners[&corridor];
        let (random, schemas) = (self.random(), self.schemas.digest);
        let entered = |key: (String, String, String), outcome: &str, faults: Vec<Fault>| {
            let assurance = partner.profile.assurance.as_str();
            let entered = Entered {
                id: self.id(),
                key,
                type_name: &type_name,
                outcome,
                faults,
                bytes,
                corridor: &corridor,
                assurance,
                policy: schemas,
                now: self.now(),
            };
            self.book().enter(entered, random).ok_or_else(|| Box::new(self.problem(ProblemKind::InternalError)))
        };
        let key = (party.code().to_owned(), source, id);
        let mut stored = entered(key.clone(), outcome, faults.clone())?;
        if matches!(stored, Stored::Conflict) && party.profile.same_id_corrects {
            let key = (key.0, key.1, format!("{} {}", key.2, hex::encode(crate::vault::sha256(bytes))));
            let outcome = if outcome == "applied" { "held" } else { outcome };
            stored = entered(key, outcome, vec![intake::correction(reading)])?;
        }
        match stored {
            Stored::Conflict => Err(Box::new(self.problem(ProblemKind::DuplicateIdOtherBytes))),
            Stored::Repeat(kept) => Ok(item(StatusCode::OK, &kept)),
            Stored::New(kept) => {
                if kept.outcome == "applied" {
                    let told = if caller.is_home() { partner } else { &self.parties.home };
                    // What the other side's endpoint makes of it is no matter of the sender's.
                    drop(self.tell(told, party.code(), &event).await);
                }
                Ok(item(StatusCode::CREATED, &kept))
            }
        }
    }

    fn note_answer(&self, what: &str, client: Option<&str>, status: StatusCode, value: &Value) {
        let problem = value["type"].as_str().and_then(|kind| kind.strip_prefix("urn:onechannel:problem:"));
        let outcome = problem.or(value["outcome"].as_str()).or(value["error"].as_str());
        let reason = value["reason"].as_str().or(value["error_description"].as_str());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let violations = value["violations"].as_array().into_iter().flatten();
        let violations = violations.map(|one| (text(&one["pointer"]), text(&one["rule"]), text(&one["message"]["en"])));
        self.note(Arrival::of(what, client, status.as_u16(), outcome, reason, violations.collect()));
    }

    fn respond(&self, parts: &Parts, uri: &str, is_signed: bool, status: StatusCode, value: &Value) -> Response {
        let body = value.to_string();
        let mut headers = HeaderMap::new();
        let is_problem = value["type"].as_str().is_some_and(|kind| kind.starts_with("urn:onechannel:problem:"));
        let kind = if is_problem && status != StatusCode::OK { "application/problem+json" } else { "application/json" };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(value) = HeaderValue::from_str(&digest::content_digest(body.as_bytes())) {
            headers.insert(HeaderName::from_static(digest::CONTENT_DIGEST), value);
        }
        if is_signed {
            let binding = RequestBinding::presented(&RequestParts {
                method: &parts.method,
                target_uri: uri,
                headers: &parts.headers,
                has_body: parts.headers.contains_key(digest::CONTENT_DIGEST),
            });
            let own = ResponseParts { status, headers: &headers, has_body: true };
            if let Ok(fields) = httpsig::sign_response(&self.signing, &own, &binding, self.now()) {
                fields.insert_into(&mut headers);
            }
        }
        let mut answer = Response::new(Body::from(body));
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        answer
    }
}

/// 201 stored, 200 a repeat, 422 refused: with the receipt each.
fn item(status: StatusCode, kept: &Kept) -> Answer {
    let receipt = serde_json::to_value(&kept.receipt).unwrap_or_default();
    if kept.outcome == "refused" {
        let problem = intake::refusal(kept.faults.clone(), kept.receipt.message).extra("receipt", receipt);
        return (StatusCode::UNPROCESSABLE_ENTITY, problem.to_json());
    }
    let mut value = json!({"outcome": kept.outcome, "message": kept.receipt.message, "receipt": receipt});
    if !kept.faults.is_empty() {
        value["violations"] = kept.faults.iter().map(Fault::to_json).collect();
    }
    (status, value)
}
