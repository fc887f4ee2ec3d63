//! Our access token at a party that asks for one: client credentials by `private_key_jwt` (RFC 7523 §2.2), kept until shortly
//! before it ends. The assertion is signed with the key that signs our requests.

use super::{ANSWER_MAX, PartyClient, read_body, reason};
use crate::{
    message::strict_json,
    partner::profile::OAuth,
    trust::{assertion, httpsig},
};
use http::header;
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;

/// A token is asked for anew this long before it ends.
const MARGIN: Duration = Duration::seconds(10);
/// For how long one counts whose end is not stated (RFC 6749 §5.1 only recommends to).
const UNSTATED_S: i64 = 60;

pub(super) struct Credentials {
    profile: OAuth,
    token: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    value: String,
    ends: OffsetDateTime,
}

impl Credentials {
    pub(super) fn new(profile: OAuth) -> Self {
        Self { profile, token: Mutex::new(None) }
    }

    /// A token that is valid now; `refused` is one that the party did not take.
    pub(super) async fn token(&self, client: &PartyClient, refused: Option<&str>) -> Result<String, &'static str> {
        // Held while asking: those that wait get the same token.
        let mut kept = self.token.lock().await;
        let now = client.clock.now();
        let good = |token: &&Token| token.ends > now + MARGIN && refused != Some(token.value.as_str());
        if let Some(token) = kept.as_ref().filter(good) {
            return Ok(token.value.clone());
        }
        let token = self.ask(client, now).await?;
        *kept = Some(token.clone());
        Ok(token.value)
    }

    async fn ask(&self, client: &PartyClient, now: OffsetDateTime) -> Result<Token, &'static str> {
        let OAuth { token_path, client_id, audience, .. } = &self.profile;
        let audience = audience.as_ref().unwrap_or(&client.base);
        let jti = httpsig::fresh_nonce(&*client.random);
        let assertion = assertion::issue(&client.signing, audience, client_id, &jti, now);
        let assertion = assertion.map_err(|_| "assertion-not-signed")?;
        let form = self.form(&assertion);
        let request = client.http.post(format!("{}{token_path}", client.base));
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let answer = request.send().await.map_err(|fault| reason(&fault))?;
        if !answer.status().is_success() {
            return Err("token-refused");
        }
        let body = read_body(answer, ANSWER_MAX).await?;
        let body = strict_json::parse(&body).map_err(|_| "token-answer-not-json")?;
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let value = text("access_token").filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
        match (value, text("token_type")) {
            (Some(value), Some(kind)) if !value.is_empty() && kind.eq_ignore_ascii_case("bearer") => {
                let life = body.get("expires_in").and_then(Value::as_i64).unwrap_or(UNSTATED_S).clamp(0, 86_400);
                Ok(Token { value: value.to_owned(), ends: now + Duration::seconds(life) })
            }
            _ => Err("token-answer-without-token"),
        }
    }

    fn form(&self, assertion: &str) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.profile.client_id)
            .append_pair("client_assertion_type", assertion::ASSERTION_TYPE)
            .append_pair("client_assertion", assertion);
        self.profile.scope.as_ref().map(|scope| form.append_pair("scope", scope));
        form.finish()
    }
}
