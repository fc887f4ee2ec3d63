//! Whether a client may say something: a known type, one of its authorities with its mandate, the right direction, a corridor.
//! Judged from the message and the registration alone.

use crate::{
    message::{event::Attributes, problem::Fault},
    partner::{Client, Parties, profile::Side},
    schema::{
        Schemas,
        catalogue::{Direction, MessageType},
    },
};
use serde_json::Value;
use time::OffsetDateTime;

/// What a client says, and where.
pub struct Claim<'a> {
    /// The canonical event.
    pub event: &'a Value,
    /// Its type, if the catalogue has it.
    pub message: Option<&'a MessageType>,
    /// Its corridor ([`corridor`]).
    pub corridor: Option<&'a str>,
}

/// Why a client may not say it.
pub fn fault(schemas: &Schemas, client: &Client, claim: &Claim<'_>, now: OffsetDateTime) -> Option<Fault> {
    let text = |name| claim.event.get(name).and_then(Value::as_str).unwrap_or_default();
    let Some(message) = claim.message else {
        let rule = if schemas.knows_object(text("type")) { "unknown-version" } else { "unknown-type" };
        return Some(Fault::new("/type", rule));
    };
    let authority = text("authority");
    if !client.authorities.iter().any(|one| one == authority) {
        return Some(Fault::new("/authority", "authority-unknown"));
    }
    let asserted_at = Attributes::of(claim.event).map_or(now, |attributes| attributes.time);
    if !client.party.mandated(authority, asserted_at) {
        return Some(Fault::new("/authority", "authority-mandate"));
    }
    let direction_fits = match message.direction {
        Direction::Both => true,
        Direction::HomeToPartner | Direction::Domestic => is_home(client),
        Direction::PartnerToHome => !is_home(client),
    };
    if !direction_fits || !message.sent_by(authority) {
        return Some(Fault::new("/authority", "authority-type").param("expected", message.senders.join(", ")));
    }
    claim.corridor.is_none().then(|| Fault::new("/corridor", "corridor"))
}

/// A partner writes on its own corridor; a home system names one.
pub fn corridor(parties: &Parties, client: &Client, event: &Value) -> Option<String> {
    let stated = event.get("corridor").and_then(Value::as_str);
    let own = client.party.code();
    match (is_home(client), stated) {
        (false, None) => Some(own.to_owned()),
        (false, Some(stated)) => (stated == own).then(|| own.to_owned()),
        (true, stated) => stated.filter(|code| parties.partners.contains_key(*code)).map(str::to_owned),
    }
}

fn is_home(client: &Client) -> bool {
    client.party.profile.side == Side::Home
}
