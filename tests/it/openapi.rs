//! The OpenAPI document, as both ports serve it: whole, valid, and true of what the gateway answers.

use crate::support::{
    desk::Desk,
    gateway::{TestGateway, event},
};
use http::{Method, StatusCode, header};
use onechannel::{
    domain::facts::{Stage, Stay, Welfare},
    message::problem::ProblemKind,
    schema::Schemas,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const METHODS: [(&str, Method); 2] = [("get", Method::GET), ("post", Method::POST)];

/// The document and what it says of each route.
pub(crate) struct Document(pub(crate) Value);

/// One route of the document.
pub(crate) struct Operation<'d> {
    pub(crate) method: Method,
    pub(crate) path: &'d str,
    /// Of the address that its path states, or the document.
    pub(crate) servers: Vec<&'d str>,
    pub(crate) what: &'d Value,
}

impl Document {
    /// As the channel port serves it.
    pub(crate) async fn of(gateway: &TestGateway) -> Self {
        let my = gateway.system("my-gateway");
        let answer = my.http.get(format!("{}/openapi.json", my.base)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        Self(answer.json().await.unwrap())
    }

    pub(crate) fn operations(&self) -> Vec<Operation<'_>> {
        let mut found = Vec::new();
        for (path, item) in self.0["paths"].as_object().unwrap() {
            let servers = item.get("servers").unwrap_or(&self.0["servers"]).as_array().unwrap();
            let servers = || servers.iter().map(|server| server["url"].as_str().unwrap()).collect();
            let methods = METHODS.iter().filter_map(|(name, method)| Some((method.clone(), item.get(*name)?)));
            found.extend(methods.map(|(method, what)| Operation { method, path, servers: servers(), what }));
        }
        found
    }

    /// Follows a reference, if it is one.
    fn followed<'d>(&'d self, value: &'d Value) -> &'d Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.0.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => value,
        }
    }

    /// What a value breaks of a schema that stands in the document.
    fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let Some(schema) = schema.as_object() else { return Vec::new() };
        let mut whole = schema.clone();
        whole.insert("components".into(), self.0["components"].clone());
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        let validator = options.should_ignore_unknown_formats(true).build(&Value::Object(whole)).unwrap();
        validator.iter_errors(value).map(|fault| format!("{} {fault}", fault.instance_path().as_str())).collect()
    }

    /// The schema of an answer.
    fn answer(&self, (method, path): (&str, &str), status: StatusCode, media_type: &str) -> &Value {
        let responses = &self.0["paths"][path][method]["responses"];
        let response = responses.get(status.as_str()).unwrap_or(&responses["default"]);
        let content = &self.followed(response)["content"];
        content
            .get(media_type)
            .map(|one| &one["schema"])
            .unwrap_or_else(|| panic!("{method} {path} {status} {media_type}"))
    }
}

fn walk<'v>(value: &'v Value, see: &mut dyn FnMut(&'v Value)) {
    see(value);
    match value {
        Value::Object(members) => members.values().for_each(|member| walk(member, see)),
        Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
        _ => {}
    }
}

/// Without what a name loses on its way into a programming language.
fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[tokio::test]
async fn both_ports_serve_one_document_under_a_strong_entity_tag() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    let desk = Desk::of(&gateway, &[]);
    let (of_channel, of_ministry) = (format!("{}/openapi.json", my.base), format!("{}/openapi.json", desk.base));
    let mut bodies = Vec::new();
    for (http, uri) in [(&my.http, &of_channel), (&desk.http, &of_ministry)] {
        let answer = http.get(uri).send().await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["content-type"]),
            (StatusCode::OK, &"application/json".parse().unwrap())
        );
        let tag = answer.headers()[header::ETAG].clone();
        assert!(tag.to_str().unwrap().starts_with('"'), "{tag:?}");
        let again = http.get(uri).header(header::IF_NONE_MATCH, &tag).send().await.unwrap();
        assert_eq!((again.status(), &again.headers()[header::ETAG]), (StatusCode::NOT_MODIFIED, &tag));
        let other = http.get(uri).header(header::IF_NONE_MATCH, "\"other\"").send().await.unwrap();
        assert_eq!(other.status(), StatusCode::OK);
        bodies.push(answer.bytes().await.unwrap());
    }
    assert_eq!(bodies[0], bodies[1]);
    let document: Value = serde_json::from_slice(&bodies[0]).unwrap();
    assert_eq!(document["servers"][0]["url"], json!(my.base));
    let token_url = "/components/securitySchemes/boundToken/flows/clientCredentials/tokenUrl";
    assert_eq!(document.pointer(token_url), Some(&json!(format!("{}/oauth2/token", my.base))));
    assert!(!document.to_string().contains("//channel.example"));
    assert_eq!(gateway.stop_and_verify().await, 0);
}

fn served() -> Document {
    Document(Schemas::load("schemas".as_ref()).unwrap().openapi("https://gateway.test"))
}

#[test]
fn the_document_is_valid_openapi_and_its_schemas_are_valid_json_schema() {
    let document = served();
    let text = std::fs::read("tests/data/openapi/schema.json").unwrap();
    let meta: Value = serde_json::from_slice(&text).unwrap();
    let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&meta).unwrap();
    let faults: Vec<String> =
        validator.iter_errors(&document.0).map(|fault| format!("{} {fault}", fault.instance_path().as_str())).collect();
    assert!(faults.is_empty(), "{faults:?}");
    for (name, schema) in document.0["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{name}");
    }
    let mut broken = document.0.clone();
    broken["paths"]["/v1/messages"]["post"]["responses"]["201"].as_object_mut().unwrap().shift_remove("description");
    assert!(!validator.is_valid(&broken));
}

#[test]
fn every_reference_resolves_inside_and_every_name_stays_its_own_in_any_language() {
    let document = served();
    let mut references = 0;
    walk(&document.0, &mut |value| {
        assert!(value.get("$id").is_none(), "a base of its own would turn the references below it away: {value}");
        if let Some(Value::String(reference)) = value.get("$ref") {
            let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads outside"));
            assert!(document.0.pointer(pointer).is_some(), "{reference}");
            // What makers of clients do not follow, or name twice.
            assert!(pointer.split('/').count() == 4, "{reference} leads into the middle of something");
            references += 1;
        }
    });
    assert!(references > 500, "{references}");
    let aliases = document.0["components"]["schemas"].as_object().unwrap().iter();
    let aliases: Vec<_> = aliases.filter(|(_, schema)| schema.get("$ref").is_some()).map(|(name, _)| name).collect();
    assert!(aliases.is_empty(), "{aliases:?}: a second name of the same type");
    walk(&document.0, &mut |value| assert!(!value.get("schema").is_some_and(Value::is_boolean), "{value}"));
    let names = document.0["components"]["schemas"].as_object().unwrap().keys();
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for name in names {
        let other = seen.insert(folded(name), name);
        assert_eq!(other, None, "{name}");
    }
    let mut ids: Vec<&str> =
        document.operations().iter().map(|one| one.what["operationId"].as_str().unwrap()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "{ids:?}");
}

#[test]
fn every_type_of_the_catalogue_stands_in_it_by_its_own_schema() {
    let document = served();
    let schemas = Schemas::load("schemas".as_ref()).unwrap();
    let components = &document.0["components"]["schemas"];
    let mapping = components["Event"]["discriminator"]["mapping"].as_object().unwrap();
    for message in schemas.messages() {
        let file: Value =
            serde_json::from_slice(&std::fs::read(format!("schemas/{}", message.schema)).unwrap()).unwrap();
        let own = &components[&message.name];
        assert_eq!(own["x-schema-id"], file["$id"]);
        let members =
            |schema: &Value| schema["properties"].as_object().map(|all| all.keys().cloned().collect::<Vec<_>>());
        assert_eq!(members(own), members(&file), "{}", message.name);
        assert_eq!(mapping.contains_key(&message.name), !message.senders.is_empty(), "{}", message.name);
        let example = format!("schemas/examples/valid/{}.json", message.name);
        let example: Value = serde_json::from_slice(&std::fs::read(example).unwrap()).unwrap();
        let wanted = json!({"$ref": format!("#/components/schemas/event.{}", message.name)});
        assert_eq!(document.faults(&wanted, &example), [""; 0], "{}", message.name);
    }
    let arrived = event("movement.arrived.v1", "P-IMM", |_| ());
    let another = json!({"$ref": "#/components/schemas/event.movement.departed.v1"});
    assert!(!document.faults(&another, &arrived).is_empty(), "a type has one event");
    // The file itself repeats no schema: it refers to the envelope, and names no field of a message outside its examples.
    let file = std::fs::read_to_string("schemas/openapi.json").unwrap();
    assert!(
        file.contains("\"common/envelope.schema.json\"") && !file.contains("x-owner\":") && !file.contains("$id\"")
    );
}

#[test]
fn words_that_are_closed_lists_are_those_of_the_gateway() {
    let document = served();
    let schemas = &document.0["components"]["schemas"];
    let words = |name: &str| -> Vec<&str> {
        schemas[name]["enum"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
    };
    assert_eq!(words("Stage"), Stage::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>());
    assert_eq!(words("Stay"), Stay::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>());
    assert_eq!(words("WelfareState"), Welfare::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>());
    let purposes = document.0.pointer("/components/parameters/Purpose/schema/enum").unwrap().as_array().unwrap();
    let known = Schemas::load("schemas".as_ref()).unwrap();
    assert_eq!(purposes.len(), known.purposes.len());
}

#[test]
fn every_kind_of_problem_is_named_and_every_named_kind_exists() {
    let document = served();
    let all: BTreeSet<String> =
        ProblemKind::ALL.iter().map(|kind| format!("urn:onechannel:problem:{}", kind.slug())).collect();
    let listed = document.0["components"]["schemas"]["Problem"]["properties"]["type"]["enum"].as_array().unwrap();
    let listed: BTreeSet<String> = listed.iter().map(|one| one.as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, all);
    let mut answered = BTreeSet::new();
    for one in document.operations() {
        for (status, response) in one.what["responses"].as_object().unwrap() {
            let kinds = document.followed(response).get("x-problems").and_then(Value::as_array);
            for kind in kinds.into_iter().flatten() {
                let kind = ProblemKind::ALL.iter().find(|known| kind == known.slug()).unwrap();
                assert!(status == "default" || *status == kind.status().to_string(), "{} {status} {kind:?}", one.path);
                answered.insert(format!("urn:onechannel:problem:{}", kind.slug()));
            }
        }
    }
    assert_eq!(answered, all, "each kind is an answer of some route");
}

#[test]
fn every_example_is_valid_by_the_schema_it_stands_for() {
    let document = served();
    let schemas = Schemas::load("schemas".as_ref()).unwrap();
    let mut examples = 0;
    walk(&document.0, &mut |value| {
        let Some(schema) = value.get("schema").filter(|_| value.get("in").is_none()) else { return };
        let several = value.get("examples").and_then(Value::as_object);
        let several = several.into_iter().flatten().map(|(_, example)| &example["value"]);
        for example in value.get("example").into_iter().chain(several) {
            assert_eq!(document.faults(schema, example), [""; 0], "{example}");
            examples += 1;
        }
    });
    assert!(examples > 40, "{examples}");
    let bodies = &document.0["paths"]["/v1/messages"]["post"]["requestBody"]["content"];
    let event = &bodies["application/cloudevents+json"]["example"];
    assert_eq!(schemas.check_envelope(event), []);
    assert_eq!(schemas.check_data(event["type"].as_str().unwrap(), &event["data"]), []);
    for one in document.operations() {
        for (media_type, body) in one.what["requestBody"]["content"].as_object().into_iter().flatten() {
            assert!(body.get("example").is_some() || one.path == "/v1/inbox/{route}", "{} {media_type}", one.path);
        }
    }
}

/// What a real gateway answers, held against what the document says that it answers.
#[tokio::test]
async fn what_the_gateway_answers_is_what_the_document_says() {
    let mut gateway = TestGateway::start().await;
    let document = Document::of(&gateway).await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    let holds = |(method, path): (&str, &str), status: StatusCode, media_type: &str, body: &Value| {
        let schema = document.answer((method, path), status, media_type);
        assert_eq!(document.faults(schema, body), [""; 0], "{method} {path} {status} {body}");
    };
    let problem = "application/problem+json";
    let arrived = event("movement.arrived.v1", "P-IMM", |_| ());
    let stored = my.send(&arrived).await.unwrap();
    assert_eq!(stored.status, StatusCode::CREATED, "{}", stored.body);
    holds(("post", "/v1/messages"), stored.status, "application/json", &stored.body);
    let repeat = my.send(&arrived).await.unwrap();
    holds(("post", "/v1/messages"), repeat.status, "application/json", &repeat.body);
    let wrong = event("movement.arrived.v1", "P-IMM", |e| e["data"]["movement"]["result"] = json!("MAYBE"));
    let refused = my.send(&wrong).await.unwrap();
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    holds(("post", "/v1/messages"), refused.status, problem, &refused.body);
    let batch = json!([event("permit.issued.v1", "P-IMM", |_| ()), wrong, arrived]).to_string().into_bytes();
    let results = my.call(Method::POST, "/v1/messages", "application/cloudevents-batch+json", batch).await.unwrap();
    assert_eq!(results.body.as_array().map(Vec::len), Some(3), "{}", results.body);
    holds(("post", "/v1/messages"), results.status, "application/json", &results.body);
    let nominated = kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    assert_eq!(nominated.status, StatusCode::CREATED, "{}", nominated.body);

    let message = stored.body["message"].as_str().unwrap();
    let own = my.call(Method::GET, "/v1/placements", "", vec![]).await.unwrap();
    let placement = own.body["placements"][0]["id"].as_str().unwrap();
    let mailbox = my.call(Method::GET, "/v1/messages?after=0", "", vec![]).await.unwrap();
    assert!(mailbox.body["messages"][0]["event"].is_object(), "{}", mailbox.body);
    for (template, path) in [
        ("/v1/messages", "/v1/messages?after=0".to_owned()),
        ("/v1/messages/{id}", format!("/v1/messages/{message}")),
        ("/v1/messages/{id}/receipt", format!("/v1/messages/{message}/receipt")),
        ("/v1/placements", "/v1/placements".to_owned()),
        ("/v1/placements/{id}", format!("/v1/placements/{placement}")),
        ("/v1/placements/{id}/timeline", format!("/v1/placements/{placement}/timeline")),
    ] {
        let reply = my.call(Method::GET, &path, "", vec![]).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK, "{path} {}", reply.body);
        holds(("get", template), reply.status, "application/json", &reply.body);
    }
    let ack = json!({"cursor": mailbox.body["next"]}).to_string().into_bytes();
    let done = my.call(Method::POST, "/v1/messages/ack", "application/json", ack).await.unwrap();
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    holds(("post", "/v1/messages/ack"), done.status, "application/json", &done.body);
    let nothing = my.call(Method::POST, "/v1/messages/ack", "application/json", b"{\"cursor\": \"99999\"}".to_vec());
    let nothing = nothing.await.unwrap();
    holds(("post", "/v1/messages/ack"), nothing.status, problem, &nothing.body);
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/jwks.json"] {
        let answer = my.http.get(format!("{}{path}", my.base)).send().await.unwrap();
        holds(("get", path), answer.status(), "application/json", &answer.json().await.unwrap());
    }
    for form in ["grant_type=client_credentials", "grant_type=password"] {
        let request =
            my.http.post(format!("{}/oauth2/token", my.base)).body(format!("{form}&client_id={}", my.client_id));
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap();
        holds(("post", "/oauth2/token"), answer.status(), "application/json", &answer.json().await.unwrap());
    }

    let desk = Desk::of(&gateway, &["MISSION"]);
    let (_, listed) = desk.get("/api/v1/placements", "PROTECTION_CASE").await;
    let id = listed["placements"][0]["id"].as_str().unwrap();
    for (template, path) in [
        ("/placements", "/placements?limit=1".to_owned()),
        ("/placements/{id}", format!("/placements/{id}")),
        ("/placements/{id}", format!("/placements/{id}?as_known_at=2026-01-01T00:00:00Z")),
        ("/placements/{id}/timeline", format!("/placements/{id}/timeline")),
        ("/stats", "/stats".to_owned()),
        ("/changes", "/changes".to_owned()),
        ("/held", "/held".to_owned()),
        ("/exceptions", "/exceptions".to_owned()),
        ("/placements", "/placements?stage=NOWHERE".to_owned()),
        ("/placements/{id}", "/placements/none".to_owned()),
    ] {
        let (status, body) = desk.get(&format!("/api/v1{path}"), "PROTECTION_CASE").await;
        let media_type = if status == StatusCode::OK { "application/json" } else { problem };
        holds(("get", &format!("/api/v1{template}")), status, media_type, &body);
    }
    let (status, found) = desk.search(json!({"passport": "E7654321"}), "PROTECTION_CASE").await;
    assert_eq!(status, StatusCode::OK, "{found}");
    holds(("post", "/api/v1/placements/search"), status, "application/json", &found);
    let (status, undecided) = desk.decide(&stored.body["message"], "ACCEPTED", "seen").await;
    holds(("post", "/api/v1/decisions"), status, problem, &undecided);
    gateway.stop_and_verify().await;
}
