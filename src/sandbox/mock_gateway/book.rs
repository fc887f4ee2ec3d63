//! What the mock remembers until it ends: what arrived, what was stored, its logs, everybody's mailbox, nonces that were used.

use crate::{
    domain::clock::Random,
    ledger::{
        entry::{Entry, EntryKind},
        note::{Checkpoint, NoteSigner},
        receipt::Receipt,
        tree::{Commit, Frontier},
    },
    message::problem::Fault,
    vault::{commitment, sha256},
};
use serde::Serialize;
use serde_json::Value;
use std::collections::{HashMap, HashSet, VecDeque};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// Arrivals shown.
const SHOWN: usize = 200;

/// One request and what came of it. It holds no value that was sent.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Arrival {
    /// When (RFC 3339).
    pub(super) at: String,
    /// Method and route.
    pub(super) what: String,
    /// The client, once it is known.
    pub(super) client: Option<String>,
    /// Status of the answer; 0 for a connection that failed.
    pub(super) status: u16,
    /// Outcome or problem.
    pub(super) outcome: Option<String>,
    /// Why, in a stable word.
    pub(super) reason: Option<String>,
    /// Pointer, rule and sentence of each broken rule.
    pub(super) violations: Vec<(String, String, String)>,
}

impl Arrival {
    pub(super) fn of(
        what: &str,
        client: Option<&str>,
        status: u16,
        outcome: Option<&str>,
        reason: Option<&str>,
        violations: Vec<(String, String, String)>,
    ) -> Self {
        Self {
            at: String::new(),
            what: what.to_owned(),
            client: client.map(str::to_owned),
            status,
            outcome: outcome.map(str::to_owned),
            reason: reason.map(str::to_owned),
            violations,
        }
    }
}

/// A message for a party.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) cursor: i64,
    pub(super) party: String,
    pub(super) type_name: String,
    pub(super) event: Value,
}

/// A message that was stored.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) party: String,
    pub(super) type_name: String,
    pub(super) outcome: String,
    pub(super) faults: Vec<Fault>,
    pub(super) receipt: Receipt,
    pub(super) received_at: OffsetDateTime,
    body: [u8; 32],
}

/// What is to be stored.
pub(super) struct Entered<'a> {
    pub(super) id: Uuid,
    /// Party, source and id of the message.
    pub(super) key: (String, String, String),
    pub(super) type_name: &'a str,
    pub(super) outcome: &'a str,
    pub(super) faults: Vec<Fault>,
    pub(super) bytes: &'a [u8],
    pub(super) corridor: &'a str,
    pub(super) assurance: &'a str,
    pub(super) policy: [u8; 32],
    pub(super) now: OffsetDateTime,
}

/// What became of it.
pub(super) enum Stored {
    New(Kept),
    Repeat(Kept),
    Conflict,
}

struct Log {
    signer: NoteSigner,
    tree: Frontier,
}

pub(super) struct Book {
    arrivals: VecDeque<Arrival>,
    logs: HashMap<String, Log>,
    kept: HashMap<Uuid, Kept>,
    known: HashMap<(String, String, String), Uuid>,
    letters: Vec<Letter>,
    acknowledged: HashMap<String, i64>,
    nonces: HashSet<(String, String)>,
}

impl Book {
    pub(super) fn new(signers: HashMap<String, NoteSigner>) -> Self {
        let logs = signers.into_iter().map(|(code, signer)| (code, Log { signer, tree: Frontier::default() }));
        Self {
            arrivals: VecDeque::new(),
            logs: logs.collect(),
            kept: HashMap::new(),
            known: HashMap::new(),
            letters: Vec::new(),
            acknowledged: HashMap::new(),
            nonces: HashSet::new(),
        }
    }

    pub(super) fn note(&mut self, mut arrival: Arrival) {
        use crate::{app::system::SystemClock, domain::clock::Clock};
        let now = SystemClock.now();
        arrival.at = now.replace_millisecond(now.millisecond()).unwrap_or(now).format(&Rfc3339).unwrap_or_default();
        self.arrivals.push_front(arrival);
        self.arrivals.truncate(SHOWN);
    }

    /// Newest first.
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.iter().cloned().collect()
    }

    /// Uses up a nonce; `false` where it was used before.
    pub(super) fn spend(&mut self, scope: &str, nonce: &str) -> bool {
        self.nonces.insert((scope.to_owned(), nonce.to_owned()))
    }

    /// Stores a message and appends its leaf.
    pub(super) fn enter(&mut self, entered: Entered<'_>, random: &dyn Random) -> Option<Stored> {
        let body = sha256(entered.bytes);
        if let Some(before) = self.known.get(&entered.key).and_then(|id| self.kept.get(id)) {
            return Some(if before.body == body { Stored::Repeat(before.clone()) } else { Stored::Conflict });
        }
        let log = self.logs.get_mut(entered.corridor)?;
        let mut opening = [0; 32];
        random.fill(&mut opening);
        let entry = Entry {
            kind: EntryKind::Received,
            // A line writes microseconds and no more.
            time: entered.now.replace_microsecond(entered.now.microsecond()).unwrap_or(entered.now),
            id: entered.id,
            outcome: entered.outcome.to_owned(),
            policy: entered.policy,
            assurance: entered.assurance.to_owned(),
            commitment: commitment(&opening, entered.bytes),
        };
        let (index, leaf) = (log.tree.size(), entry.leaf());
        let path = Commit::new(&log.tree, &[leaf]).inclusion(index)?;
        log.tree.append(leaf);
        let origin = log.signer.verifier().name.clone();
        let checkpoint = Checkpoint { origin, size: log.tree.size(), root: log.tree.root() };
        let note = log.signer.sign(&checkpoint.to_text());
        let receipt = Receipt::new(entered.id, entered.corridor, &entry, (index, &path), &note, Some(opening));
        let kept = Kept {
            party: entered.key.0.clone(),
            type_name: entered.type_name.to_owned(),
            outcome: entered.outcome.to_owned(),
            faults: entered.faults,
            receipt,
            received_at: entered.now,
            body,
        };
        self.known.insert(entered.key, entered.id);
        self.kept.insert(entered.id, kept.clone());
        Some(Stored::New(kept))
    }

    pub(super) fn kept(&self, id: Uuid, party: &str) -> Option<&Kept> {
        self.kept.get(&id).filter(|kept| kept.party == party)
    }

    pub(super) fn put(&mut self, party: &str, type_name: &str, event: Value) -> i64 {
        let cursor = self.letters.len() as i64 + 1;
        self.letters.push(Letter { cursor, party: party.to_owned(), type_name: type_name.to_owned(), event });
        cursor
    }

    pub(super) fn letters(&self, party: &str, sees: &dyn Fn(&str) -> bool) -> Vec<Letter> {
        self.letters.iter().filter(|one| one.party == party && sees(&one.type_name)).cloned().collect()
    }

    pub(super) fn acknowledged(&self, client: &str) -> i64 {
        self.acknowledged.get(client).copied().unwrap_or(0)
    }

    pub(super) fn acknowledge(&mut self, client: &str, cursor: i64) {
        let held = self.acknowledged.entry(client.to_owned()).or_default();
        *held = cursor.max(*held);
    }
}
