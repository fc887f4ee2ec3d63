//! Every route that the sources name is in the README and refuses a stranger, but for those that are open.

use crate::support::{desk::Desk, gateway::TestGateway};
use http::Method;

/// Routes that ask for a certificate only.
const OPEN: [&str; 5] = [
    "/v1/ledger/checkpoint",
    "/v1/ledger/tile/{*tile}",
    "/oauth2/token",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
];

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
    path.replace("{id}", "00000000-0000-7000-8000-000000000000").replace("{route}", "entry")
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
