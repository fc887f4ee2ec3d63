//! A synthetic population that moves through the channel: each placement takes one of the corridor's journeys, every step sent
//! by the system that would send it, in its own format, over the real ports.
//!
//! All people and identifiers are made up. Nothing here looks into the gateway: what must come of it is known from the
//! journeys alone.

use super::{
    contract::{Contract, Interaction, Journey, Way},
    mock::Mock,
    system::System,
};
use crate::{
    domain::{
        clock::{Clock, Random, uuid_v7},
        identifiers,
    },
    partner::profile::Profile,
};
use http::StatusCode;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use time::{Duration, format_description::well_known::Rfc3339};

const GIVEN: [&str; 12] =
    ["DEWI", "SITI", "RINA", "AYU", "WATI", "NUR", "LESTARI", "YANTI", "AGUS", "BUDI", "SLAMET", "JOKO"];
const FAMILY: [&str; 10] =
    ["RATNASARI", "AMINAH", "KUSUMA", "HANDAYANI", "WULANDARI", "SUSANTI", "PURNOMO", "SETIAWAN", "HIDAYAT", "SAPUTRI"];

/// One corridor of the population.
pub struct Corridor {
    /// Its code.
    pub code: String,
    /// The partner's contract.
    pub contract: Contract,
    /// The partner's profile.
    pub profile: Profile,
    /// The partner's system, which pushes.
    pub system: System,
    /// The partner's own side.
    pub mock: Arc<Mock>,
}

/// The whole population.
pub struct Population {
    /// Corridors.
    pub corridors: Vec<Corridor>,
    /// The home party's events.
    pub home: Contract,
    /// Home systems with the authorities they speak for.
    pub home_systems: Vec<(Vec<String>, System)>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The generator.
    pub random: Arc<dyn Random>,
    /// What was sent and what came of it.
    pub tally: Mutex<Tally>,
}

/// What was sent and what came of it.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Requests made and records published.
    pub sent: u64,
    /// Messages that must be stored, by (corridor, outcome).
    pub stored: BTreeMap<(String, String), u64>,
    /// Answers to pushes, by outcome or problem.
    pub answers: BTreeMap<String, u64>,
    /// Repeats among them.
    pub repeats: u64,
    /// What did not go as the journey says.
    pub surprises: Vec<String>,
}

/// One placement and where it must end.
#[derive(Debug, Clone)]
pub struct Traveller {
    /// Corridor.
    pub corridor: String,
    /// Its journey.
    pub journey: String,
    /// Passport at the start.
    pub passport: String,
    /// Passport after a renewal.
    pub passport_later: String,
    /// Job order.
    pub order: String,
    /// Stage in which it must end.
    pub stage: String,
    /// Stay in which it must end.
    pub stay: String,
    /// Paths under which the partner must have been told about it.
    pub told: Vec<String>,
}

impl Population {
    /// Moves placement `n` through the journey that its number gives it.
    pub async fn move_one(&self, n: u32) -> Option<Traveller> {
        let corridor = &self.corridors[n as usize % self.corridors.len()];
        let turn = n / self.corridors.len() as u32;
        // 37 is prime to 100: every hundred placements take each journey its share of times, well mixed.
        let journey = pick(&corridor.contract.journeys, turn * 37 % 100)?;
        let variables = self.variables(corridor, n);
        let traveller = Traveller {
            corridor: corridor.code.clone(),
            journey: journey.name.clone(),
            passport: variables["passport"].clone(),
            passport_later: variables["passport2"].clone(),
            order: variables["order"].clone(),
            stage: journey.stage.clone(),
            stay: journey.stay.clone(),
            told: self.told(corridor, journey),
        };
        let mut sent: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (at, step) in journey.steps.iter().enumerate() {
            if let Err(fault) = self.step(corridor, step, &variables, at, &mut sent).await {
                let text = format!("{} {step}: {fault}", corridor.code);
                self.tally.lock().expect("no holder of this lock can panic").surprises.push(text);
            }
        }
        Some(traveller)
    }

    async fn step(
        &self,
        corridor: &Corridor,
        step: &str,
        variables: &BTreeMap<String, String>,
        at: usize,
        sent: &mut BTreeMap<String, Vec<u8>>,
    ) -> Result<(), String> {
        let (name, expected) = step.split_once(':').unwrap_or((step, "applied"));
        let (contract, file) = match name.strip_prefix("home/") {
            Some(file) => (&self.home, file),
            None => (&corridor.contract, name),
        };
        let one = contract.interactions.get(file).ok_or("no such interaction")?;
        let body = match sent.get(name).filter(|_| expected == "repeat") {
            Some(body) => body.clone(),
            None => self.fill(contract, one, variables, at)?,
        };
        sent.insert(name.to_owned(), body.clone());
        if one.direction == Way::In && corridor.profile.poll.is_some() {
            corridor.mock.publish(serde_json::from_slice(&body).map_err(|fault| fault.to_string())?);
            self.count(&corridor.code, expected, None);
            return Ok(());
        }
        let (system, path, content_type) = match one.direction {
            Way::Home => (self.home_system(one)?, "/v1/messages".to_owned(), "application/cloudevents+json"),
            Way::In | Way::Out => {
                let route = one.route.as_ref().ok_or("no route")?;
                let inbound = corridor.profile.inbound.iter().find(|inbound| inbound.route == *route);
                let format = inbound.map(|inbound| inbound.format).unwrap_or_default();
                (&corridor.system, format!("/v1/inbox/{route}"), format.content_type())
            }
        };
        let reply = system.call_until_stored(&path, content_type, body).await.map_err(|fault| fault.to_string())?;
        let problem = reply.body["type"].as_str().and_then(|kind| kind.rsplit(':').next());
        let outcome = problem.or(reply.body["outcome"].as_str()).unwrap_or("no outcome").to_owned();
        let as_expected = match expected {
            "repeat" => reply.status == StatusCode::OK,
            "refused" => reply.status == StatusCode::UNPROCESSABLE_ENTITY,
            other => outcome == other && reply.status.is_success(),
        };
        self.count(&corridor.code, expected, Some(outcome));
        let violations = reply.body["violations"].to_string();
        if as_expected { Ok(()) } else { Err(format!("answered {} {violations}", reply.status)) }
    }

    fn count(&self, corridor: &str, expected: &str, answer: Option<String>) {
        let mut tally = self.tally.lock().expect("no holder of this lock can panic");
        tally.sent += 1;
        if expected == "repeat" {
            tally.repeats += 1;
        } else {
            *tally.stored.entry((corridor.to_owned(), expected.to_owned())).or_default() += 1;
        }
        if let Some(answer) = answer {
            *tally.answers.entry(answer).or_default() += 1;
        }
    }

    fn home_system(&self, one: &Interaction) -> Result<&System, String> {
        let authority = one.event.as_ref().and_then(|event| event["authority"].as_str()).unwrap_or_default();
        let found = self.home_systems.iter().find(|(authorities, _)| authorities.iter().any(|a| a == authority));
        found.map(|(_, system)| system).ok_or_else(|| format!("no system speaks for {authority}"))
    }

    fn fill(
        &self,
        contract: &Contract,
        one: &Interaction,
        variables: &BTreeMap<String, String>,
        at: usize,
    ) -> Result<Vec<u8>, String> {
        let now = self.clock.now();
        let instant = |time: time::OffsetDateTime| {
            time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
        };
        let mut variables = variables.clone();
        variables.insert("id".into(), uuid_v7(&*self.clock, &*self.random).to_string());
        variables.insert("sent".into(), instant(now));
        variables.insert("happened".into(), instant(now - Duration::hours(24) + Duration::hours(at as i64)));
        contract.bytes(one, &variables)
    }

    fn variables(&self, corridor: &Corridor, n: u32) -> BTreeMap<String, String> {
        let code = corridor.code.to_uppercase();
        let given = GIVEN[n as usize % GIVEN.len()];
        let family = FAMILY[(n as usize / GIVEN.len()) % FAMILY.len()];
        let resident = format!("2{n:08}");
        let check = (0..10).find(|digit| identifiers::check("luhn", &format!("{resident}{digit}")) == Some(true));
        [
            ("corridor", corridor.code.clone()),
            ("reference", format!("{code}-OCS-{n:07}")),
            ("order", format!("{code}-JO-{n:07}")),
            ("contract", format!("{code}-K-{n:07}")),
            ("passport", format!("E{n:07}")),
            ("passport2", format!("X{n:07}")),
            ("visa", format!("{:010}", 4_000_000_000_u64 + u64::from(n))),
            ("permit", format!("P-{n:08}")),
            ("border", format!("{:010}", 3_000_000_000_u64 + u64::from(n))),
            ("resident", format!("{resident}{}", check.unwrap_or(0))),
            ("nik", nik(n)),
            ("name", format!("{given} {family}")),
            ("birth", birth(n)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Paths under which the partner must be told by a journey's home steps.
    fn told(&self, corridor: &Corridor, journey: &Journey) -> Vec<String> {
        let path_of = |step: &String| {
            let file = step.strip_prefix("home/").filter(|file| !file.contains(':'))?;
            let type_name = self.home.interactions.get(file)?.event.as_ref()?["type"].as_str()?.to_owned();
            let told = |one: &&Interaction| one.direction == Way::Out && one.type_name.as_ref() == Some(&type_name);
            corridor.contract.interactions.values().find(told)?.path.clone()
        };
        let mut told: Vec<String> = journey.steps.iter().filter_map(path_of).collect();
        told.sort();
        told
    }
}

fn birth(n: u32) -> String {
    format!("19{:02}-{:02}-{:02}", 85 + n % 15, 1 + n % 12, 1 + n % 28)
}

/// The national number of a woman of that birth: 40 is added to the day.
fn nik(n: u32) -> String {
    let (district, serial) = (n / 10_000 % 100, n % 10_000);
    format!("3201{district:02}{:02}{:02}{:02}{serial:04}", 41 + n % 28, 1 + n % 12, 85 + n % 15)
}

/// The journey into whose share `turn` (of 100) falls.
fn pick(journeys: &[Journey], turn: u32) -> Option<&Journey> {
    let mut below = 0;
    journeys.iter().find(|journey| {
        below += journey.share;
        turn < below
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn national_numbers_agree_with_births_and_are_given_once() {
        let numbers: std::collections::BTreeSet<String> = (0..30_000).map(nik).collect();
        assert_eq!(numbers.len(), 30_000);
        for n in 0..1_000 {
            let inscribed = &nik(n)[6..12];
            assert_eq!(identifiers::compare("date-ddmmyy-40", inscribed, &birth(n)), Some(true));
            assert_eq!(identifiers::compare("sex-day-40", inscribed, "F"), Some(true));
        }
    }
}
