//! An officer at the ministry port.

use super::gateway::TestGateway;
use http::StatusCode;
use onechannel::sandbox::officer;
use serde_json::{Value, json};

pub(crate) struct Desk {
    pub(crate) base: String,
    pub(crate) token: String,
    pub(crate) http: reqwest::Client,
}

impl Desk {
    pub(crate) fn of(gateway: &TestGateway, roles: &[&str]) -> Self {
        Self::named(gateway, "officer-7", roles)
    }

    pub(crate) fn named(gateway: &TestGateway, officer: &str, roles: &[&str]) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        #[expect(clippy::disallowed_methods, reason = "an officer's client, not the gateway's")]
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let token = officer::token(&gateway.stand.officer_key, officer, roles, 600).unwrap();
        Self { base: format!("http://{}", gateway.config.ministry_listen), token, http }
    }

    pub(crate) async fn get(&self, path: &str, purpose: &str) -> (StatusCode, Value) {
        let request =
            self.http.get(format!("{}{path}", self.base)).bearer_auth(&self.token).header("x-purpose", purpose);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub(crate) async fn post(&self, path: &str, body: Value, purpose: &str) -> (StatusCode, Value) {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.token);
        let answer = request.header("x-purpose", purpose).body(body.to_string()).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub(crate) async fn search(&self, body: Value, purpose: &str) -> (StatusCode, Value) {
        self.post("/api/v1/placements/search", body, purpose).await
    }

    /// Decides about a message, for the purpose of protection.
    pub(crate) async fn decide(&self, message: &Value, verdict: &str, reason: &str) -> (StatusCode, Value) {
        let body = json!({"message": message, "verdict": verdict, "reason": reason});
        self.post("/api/v1/decisions", body, "PROTECTION_CASE").await
    }

    /// The one placement that a passport leads to.
    pub(crate) async fn placement(&self, passport: &str) -> Value {
        let (_, found) = self.search(json!({"passport": passport}), "PROTECTION_CASE").await;
        let placements = found["placements"].as_array().unwrap();
        assert_eq!(placements.len(), 1, "{found}");
        let path = format!("/api/v1/placements/{}", placements[0]["id"].as_str().unwrap());
        self.get(&path, "PROTECTION_CASE").await.1
    }
}
