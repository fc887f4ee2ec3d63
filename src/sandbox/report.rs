//! What a run of the population must have come to, counted on every side: the gateway's states and deliveries, what each mock
//! partner was told, every log from its first leaf.

use super::population::{Corridor, Population, Traveller};
use crate::{
    exchange::{self, Gateway, intake},
    ledger::note::VerifierKey,
    store::{
        StoreFault, deliveries,
        ledger::{self, cosign},
        query,
    },
};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The report of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether every number agrees.
    pub agreed: bool,
    /// Placements moved.
    pub placements: usize,
    /// Seconds until everything was delivered.
    pub seconds: f64,
    /// Messages sent or published.
    pub sent: u64,
    /// Messages stored and applied.
    pub applied: i64,
    /// Messages stored and held.
    pub held: i64,
    /// Messages refused with a receipt.
    pub refused: i64,
    /// Refusals of pushed messages by reason.
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Repeats that got their first receipt again.
    pub repeats: u64,
    /// Messages delivered to each party.
    pub delivered: BTreeMap<String, i64>,
    /// Messages that each party refused, or that are parked or wait.
    pub not_delivered: BTreeMap<String, i64>,
    /// Each corridor, on both sides.
    pub corridors: BTreeMap<String, Sides>,
    /// Each log.
    pub logs: BTreeMap<String, Log>,
    /// What is not as it should be (the first of them).
    pub surprises: Vec<String>,
}

/// One corridor, on both sides.
#[derive(Debug, Default, Serialize)]
pub struct Sides {
    /// Placements of the population.
    pub placements: u64,
    /// Of these, in the gateway in the state their journey ends in.
    pub gateway_agrees: u64,
    /// Of these, known to the partner with everything it was to be told, each once or more, and nothing else.
    pub partner_agrees: u64,
    /// Placements by the gateway's stage.
    pub stages: BTreeMap<String, u64>,
}

/// One log.
#[derive(Debug, Serialize)]
pub struct Log {
    /// Leaves.
    pub leaves: u64,
    /// Leaves that are cosigned by the partner's witness; `None` where it has none.
    pub cosigned: Option<u64>,
    /// Whether it holds from its first leaf.
    pub holds: bool,
}

/// Whether the corridor's partner has a witness.
fn is_cosigned(corridor: &Corridor) -> bool {
    corridor.mock.witness.is_some()
}

/// Messages that must be stored and are not, plus deliveries that wait and entries that no witness has cosigned yet: 0 when a run has
/// come to rest.
///
/// # Errors
/// [`StoreFault`].
pub async fn unfinished(gateway: &Gateway, population: &Population) -> Result<i64, StoreFault> {
    let pool = &gateway.journal.channel;
    let stored: i64 = query::message_counts(pool).await?.iter().map(|row| row.3).sum();
    let expected: u64 = population.tally.lock().expect("no holder of this lock can panic").stored.values().sum();
    let waiting: i64 =
        deliveries::counts(pool).await?.iter().filter(|(_, state, _)| state == "waiting").map(|row| row.2).sum();
    let mut ahead = 0;
    for corridor in population.corridors.iter().filter(|corridor| is_cosigned(corridor)) {
        let state = cosign::state(pool, &gateway.journal.log(&corridor.code)).await?;
        ahead += state.size.saturating_sub(state.cosigned) as i64;
    }
    Ok((expected as i64 - stored).max(0) + waiting + ahead)
}

/// Counts everything.
///
/// # Errors
/// [`StoreFault`].
pub async fn make(
    gateway: &Gateway,
    population: &Population,
    travellers: &[Traveller],
    keys: &[VerifierKey],
    seconds: f64,
) -> Result<Report, StoreFault> {
    let pool = &gateway.journal.channel;
    let tally = population.tally.lock().expect("no holder of this lock can panic").clone();
    let mut surprises = tally.surprises.clone();
    let mut stored: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (corridor, _, outcome, count) in query::message_counts(pool).await? {
        *stored.entry((corridor, outcome)).or_default() += count as u64;
    }
    if stored != tally.stored {
        surprises.push(format!("stored {stored:?}, expected {:?}", tally.stored));
    }
    let of = |outcome: &str| stored.iter().filter(|((_, o), _)| o == outcome).map(|(_, n)| *n as i64).sum::<i64>();
    let (mut delivered, mut not_delivered) = (BTreeMap::new(), BTreeMap::new());
    for (party, state, count) in deliveries::counts(pool).await? {
        let side = if state == "delivered" { &mut delivered } else { &mut not_delivered };
        *side.entry(party).or_default() += count;
    }
    let mut corridors = BTreeMap::new();
    for corridor in &population.corridors {
        let own: Vec<&Traveller> = travellers.iter().filter(|one| one.corridor == corridor.code).collect();
        let mut sides = both_sides(gateway, corridor, &own, &mut surprises).await?;
        sides.placements = own.len() as u64;
        corridors.insert(corridor.code.clone(), sides);
    }
    let (mut logs, mut witnessed) = (BTreeMap::new(), 0);
    for log in ledger::logs(pool).await? {
        let checked = ledger::check(pool, &log, keys).await?;
        surprises.extend(checked.faults.iter().take(3).map(|fault| format!("{log}: {fault}")));
        witnessed += cosign::witnessed(pool, &log, checked.size).await?;
        let has_witness =
            population.corridors.iter().any(|one| is_cosigned(one) && log.rsplit('/').next() == Some(&one.code));
        let cosigned = if has_witness { Some(cosign::state(pool, &log).await?.cosigned) } else { None };
        logs.insert(log, Log { leaves: checked.size, cosigned, holds: checked.faults.is_empty() });
    }
    let agree = |sides: &Sides| sides.gateway_agrees == sides.placements && sides.partner_agrees == sides.placements;
    let problem = |(kind, _): &(&String, &u64)| !matches!(kind.as_str(), "applied" | "held");
    let received: u64 = stored.values().sum();
    let settled: i64 = delivered.values().sum();
    let leaves: u64 = logs.iter().filter(|(log, _)| !log.ends_with("/domestic")).map(|(_, log)| log.leaves).sum();
    if leaves != received + settled as u64 + witnessed {
        surprises.push(format!(
            "{leaves} leaves for {received} messages, {settled} deliveries and {witnessed} checkpoints of partners"
        ));
    }
    Ok(Report {
        agreed: surprises.is_empty()
            && not_delivered.is_empty()
            && corridors.values().all(agree)
            && logs.values().all(|log| log.holds),
        placements: travellers.len(),
        seconds,
        sent: tally.sent,
        applied: of("applied"),
        held: of("held"),
        refused: of("refused"),
        refused_by_reason: tally.answers.iter().filter(problem).map(|(k, n)| (k.clone(), *n)).collect(),
        repeats: tally.repeats,
        delivered,
        not_delivered,
        corridors,
        logs,
        surprises: surprises.into_iter().take(10).collect(),
    })
}

async fn both_sides(
    gateway: &Gateway,
    corridor: &Corridor,
    travellers: &[&Traveller],
    surprises: &mut Vec<String>,
) -> Result<Sides, StoreFault> {
    let mut sides = Sides::default();
    let told = told_by_mark(corridor);
    let none = HashSet::new();
    let reading = exchange::query::reading(gateway);
    for one in travellers {
        let term = gateway.journal.tokens.term("passport", &intake::normal(&one.passport));
        let filter = query::Filter { term: Some(term), ..query::Filter::default() };
        let found = query::list(&gateway.journal.channel, gateway.parties.home.code(), &filter, &reading, 3).await?;
        match found.as_slice() {
            [row] => {
                *sides.stages.entry(row.stage.clone()).or_default() += 1;
                if row.stage == one.stage && row.stay == one.stay && row.exceptions.is_empty() {
                    sides.gateway_agrees += 1;
                } else {
                    let (stage, stay) = (&row.stage, &row.stay);
                    surprises.push(format!(
                        "{}, \"{}\": {stage}/{stay} {:?}, not {}/{}",
                        one.corridor, one.journey, row.exceptions, one.stage, one.stay
                    ));
                }
            }
            other => surprises.push(format!("{}, \"{}\": {} placements", one.corridor, one.journey, other.len())),
        }
        let mut known: HashSet<&String> = HashSet::new();
        for mark in [&one.passport, &one.passport_later, &one.order] {
            known.extend(told.get(mark).unwrap_or(&none));
        }
        if known == one.told.iter().collect() {
            sides.partner_agrees += 1;
        } else {
            surprises.push(format!(
                "{}, \"{}\": the partner knows {known:?}, not {:?}",
                one.corridor, one.journey, one.told
            ));
        }
    }
    Ok(sides)
}

/// Paths under which the partner was told, by every text in the records: a passport or job order is found by its value,
/// without knowing the partner's format.
fn told_by_mark(corridor: &Corridor) -> HashMap<String, HashSet<String>> {
    fn texts(value: &serde_json::Value, into: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => into.push(text.clone()),
            serde_json::Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
            serde_json::Value::Object(members) => members.values().for_each(|inner| texts(inner, into)),
            _ => {}
        }
    }
    let mut told: HashMap<String, HashSet<String>> = HashMap::new();
    for (path, record) in corridor.mock.told() {
        let mut marks = Vec::new();
        texts(&record, &mut marks);
        for mark in marks {
            told.entry(mark).or_default().insert(path.clone());
        }
    }
    told
}
