//! What a party is told by the mock: the catalogue's example of a type, or another party's message, into its mailbox, and to its
//! endpoint where one is known.

use super::{MockGateway, pair};
use crate::{
    app::system::{SystemClock, SystemRandom},
    client::{self, Own, PartyClient, Sent},
    domain::identifiers,
    partner::{Party, profile::Side},
    schema::catalogue::Direction,
    trust::keys::VerifyingKey,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{fs, sync::Arc};
use time::format_description::well_known::Rfc3339;

/// What a trigger did.
#[derive(Debug, Serialize)]
pub struct Triggered {
    /// Type of the message.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its id.
    pub id: String,
    /// Its cursor in the party's mailbox.
    pub cursor: String,
    /// What the endpoint made of it, where it was pushed.
    pub pushed: Option<String>,
}

impl MockGateway {
    /// Sends the party `code` the valid example of the catalogue's message `message`, with `data` in place of the example's.
    ///
    /// # Errors
    /// A sentence.
    pub async fn trigger(&self, message: &str, code: &str, data: Option<Value>) -> Result<Triggered, String> {
        let found = self.schemas.messages().find(|one| one.code.eq_ignore_ascii_case(message) || one.name == message);
        let found = found.ok_or_else(|| format!("the catalogue has no message {message}"))?;
        let party = self.parties.party(code).ok_or_else(|| format!("there is no party {code}"))?.clone();
        let wrong = match party.profile.side {
            Side::Home => Direction::HomeToPartner,
            Side::Partner => Direction::PartnerToHome,
        };
        if found.direction == wrong {
            return Err(format!("{} is what this party sends, not what it is told", found.code));
        }
        let file = self.examples.join(format!("{}.json", found.name));
        let text = fs::read_to_string(&file).map_err(|fault| super::named(&file, &fault))?;
        let mut event: Value = serde_json::from_str(&text).map_err(|fault| super::named(&file, &fault))?;
        if let Some(data) = data {
            event["data"] = data;
        }
        let faults = self.schemas.check_data(&found.name, &event["data"]);
        if !faults.is_empty() {
            let rules: Vec<String> = faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.rule)).collect();
            return Err(format!("the data break the schema: {}", rules.join("; ")));
        }
        event["time"] = self.now().format(&Rfc3339).unwrap_or_default().into();
        let from = if party.profile.side == Side::Home { "partner" } else { "home" };
        self.tell(&party, from, &event).await
    }

    /// Puts an event into a party's mailbox as it may see it, and pushes it to its endpoint.
    pub(super) async fn tell(&self, party: &Arc<Party>, from: &str, event: &Value) -> Result<Triggered, String> {
        let type_name = event["type"].as_str().unwrap_or_default().to_owned();
        let id = self.id().to_string();
        let told = self.released(party, from, &id, event);
        let cursor = self.book().put(party.code(), &type_name, told.clone()).to_string();
        let pushed = match self.endpoints.get(party.code()) {
            Some(base) => Some(self.push(party, base, &told).await),
            None => None,
        };
        Ok(Triggered { type_name, id, cursor, pushed })
    }

    fn released(&self, party: &Party, from: &str, id: &str, event: &Value) -> Value {
        let mut told = event.clone();
        told["id"] = json!(id);
        told["source"] = json!(format!("urn:onechannel:{from}"));
        for own in ["causation", "subject", "sequence"] {
            if let Some(members) = told.as_object_mut() {
                members.shift_remove(own);
            }
        }
        if party.profile.side == Side::Partner {
            told["corridor"] = json!(party.code());
        }
        let is_placed = told["data"].get("placement").is_some();
        if is_placed {
            told["data"]["placement"] = json!({});
        }
        party.release.apply(&self.schemas, &mut told["data"]);
        if is_placed {
            told["data"]["placement"] = json!({"id": identifiers::pairwise_id(self.random())});
        }
        told
    }

    async fn push(&self, party: &Party, base: &str, event: &Value) -> String {
        match self.sent(party, base, event).await {
            Ok(Sent::Acked { .. }) => "taken".to_owned(),
            Ok(Sent::Refused { reason, .. }) => format!("refused: {reason}"),
            Ok(Sent::Retry { reason, .. }) => format!("to be sent again: {reason}"),
            Err(text) => format!("not sent: {text}"),
        }
    }

    async fn sent(&self, party: &Party, base: &str, event: &Value) -> Result<Sent, String> {
        let outbound = party.profile.outbound.as_ref().ok_or("party.toml has no [outbound]")?;
        let type_name = event["type"].as_str().unwrap_or_default();
        let route = self.formats.get(party.code()).and_then(|formats| formats.outbound(type_name));
        let (path, record) = route.ok_or("no outbound route for this type")?;
        let wire = record.write(event).map_err(|faults| {
            let rules: Vec<String> = faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.rule)).collect();
            format!("no wire form: {}", rules.join("; "))
        })?;
        let (chain, key) = pair(&self.own_client)?;
        let own = Own {
            chain,
            key,
            signing: self.signing.clone(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        };
        let roots = client::certificates(&party.folder, &outbound.roots).map_err(|fault| fault.to_string())?;
        let keys = outbound.answer_key.iter().map(|key| {
            let file = party.folder.join(&key.file);
            let pem = fs::read(&file).map_err(|fault| super::named(&file, &fault))?;
            VerifyingKey::from_spki_pem(&key.kid, &pem).map(Arc::new).map_err(|fault| super::named(&file, &fault))
        });
        let client = PartyClient::new(own, outbound, &party.profile, &roots, keys.collect::<Result<_, _>>()?, base)?;
        let bytes = record.bytes(&wire).map_err(|fault| fault.to_string())?;
        Ok(client.send_as(path, record.format, bytes).await)
    }
}
