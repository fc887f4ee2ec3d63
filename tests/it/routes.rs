//! Every route that the sources name is in the README and in the OpenAPI document and refuses a stranger, but for those that are
//! open; and every route of the document is one of the sources and is answered.

use crate::{
    openapi::Document,
    support::{desk::Desk, gateway::TestGateway},
};
use http::{Method, StatusCode};
use std::collections::BTreeSet;

/// Routes that ask for a certificate only.
const OPEN: [&str; 7] = [
    "/v1/ledger/checkpoint",
    "/v1/ledger/add-checkpoint",
    "/v1/ledger/tile/{*tile}",
    "/oauth2/token",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
    "/openapi.json",
];
/// Routes of the ministry's file that are on the operations port.
const OPERATIONS: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// (method, path) of every `.route(…)` of a file.
fn routes(file: &str) -> Vec<(Method, String)> {
    let text = std::fs::read_to_string(file).unwrap();
    let of_line = |line: &str| {
        let path = line.strip_prefix(".route(\"")?.split('"').next()?.to_owned();
        let methods = [("get(", Method::GET), ("post(", Method::POST)].into_iter();
        Some(
            methods
                .filter(|(call, _)| line.contains(call))
                .map(|(_, method)| (method, path.clone()))
                .collect::<Vec<_>>(),
        )
    };
    text.lines().filter_map(|line| of_line(line.trim())).flatten().collect()
}

fn filled(path: &str) -> String {
    path.replace("{id}", "00000000-0000-7000-8000-000000000000").replace("{route}", "entry").replace("{tile}", "0/000")
}

#[tokio::test]
async fn every_route_stands_in_the_readme_and_refuses_who_has_no_token() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    let readme = std::fs::read_to_string("README.md").unwrap();
    let channel = routes("src/http/mod.rs");
    let ministry: Vec<(Method, String)> =
        routes("src/http/ministry.rs").into_iter().filter(|(_, path)| path.starts_with("/api/")).collect();
    assert!(channel.len() >= 13 && ministry.len() >= 9, "{channel:?} {ministry:?}");
    for (method, path) in &channel {
        let named = path.split("{*").next().unwrap();
        assert!(readme.contains(named), "{path} is not in the README");
        if OPEN.contains(&path.as_str()) {
            continue;
        }
        let answer = my.http.request(method.clone(), format!("{}{}", my.base, filled(path))).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{method} {path}");
    }
    let desk = Desk::of(&gateway, &["NOBODY"]);
    for (method, path) in &ministry {
        assert!(readme.contains(path.trim_start_matches("/api/v1")), "{path} is not in the README");
        let uri = format!("{}{}", desk.base, filled(path));
        let answer = desk.http.request(method.clone(), &uri).header("x-purpose", "STATISTICS").send().await.unwrap();
        assert_eq!(answer.status(), 401, "{method} {path}");
        // A token of somebody without a role that counts states no purpose.
        let known = desk.http.request(method.clone(), &uri).bearer_auth(&desk.token).header("x-purpose", "STATISTICS");
        let body = r#"{"message": "00000000-0000-7000-8000-000000000000", "verdict": "ACCEPTED", "reason": "x"}"#;
        let known = if method == Method::POST { known.body(body) } else { known };
        assert_eq!(known.send().await.unwrap().status(), 403, "{method} {path}");
    }
    assert_eq!(gateway.stop_and_verify().await, 0);
}

#[tokio::test]
async fn every_route_stands_in_the_openapi_document_and_every_route_of_it_is_answered() {
    let mut gateway = TestGateway::start().await;
    let document = Document::of(&gateway).await;
    let (my, desk) = (gateway.system("my-gateway"), Desk::of(&gateway, &[]));
    let routed = |file: &str| -> BTreeSet<(String, String)> {
        let found = routes(file).into_iter().filter(|(_, path)| !OPERATIONS.contains(&path.as_str()));
        found.map(|(method, path)| (method.to_string(), path.replace("{*", "{"))).collect()
    };
    // The first server of a path says whose it is; the second, that the other port has it too.
    let is_channel = |server: &str| server == my.base;
    let stands_on = |channel: bool| -> BTreeSet<(String, String)> {
        let operations = document.operations();
        let found = operations.iter().filter(|one| one.servers.iter().any(|server| is_channel(server) == channel));
        found.map(|one| (one.method.to_string(), one.path.to_owned())).collect()
    };
    assert_eq!(stands_on(true), routed("src/http/mod.rs"));
    assert_eq!(stands_on(false), routed("src/http/ministry.rs"));
    for one in document.operations() {
        for server in &one.servers {
            let (http, base) = if is_channel(server) { (&my.http, &my.base) } else { (&desk.http, &desk.base) };
            let uri = format!("{base}{}", filled(one.path));
            let answer = http.request(one.method.clone(), &uri).send().await.unwrap().status();
            // The log of a corridor that never had a message is none, and says so as a problem of its own.
            let is_answered = ![StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&answer);
            assert!(
                is_answered || ["/v1/ledger/checkpoint", "/v1/ledger/tile/{tile}"].contains(&one.path),
                "{} {uri} {answer}",
                one.method
            );
            // What the document says of who may call is what holds.
            let security = one.what["security"].as_array().unwrap();
            let asks = |scheme: &str| security.iter().all(|way| way.get(scheme).is_some());
            let refused = answer == StatusCode::UNAUTHORIZED;
            assert_eq!(asks("boundToken") || asks("officerToken"), refused, "{uri}");
        }
    }
    assert_eq!(gateway.stop_and_verify().await, 0);
}
