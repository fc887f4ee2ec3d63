//! The journal: messages that wait at the same moment are decided and stored in one transaction, and their receipts are
//! released when it has committed.
//!
//! There is no timer: the next batch goes when the last has ended, so a batch is as large as the load makes it. Any number
//! of instances may do this on one database; the log heads are the fence. The journal knows no party and no schema: what a
//! message asserts, and how it is judged, comes with it as an [`Intent`].

pub mod acts;
pub mod erasing;
mod plan;
pub mod settlement;
mod subjects;
mod transaction;
pub mod witness;

use super::{
    StoreFault,
    access::{Spend, Standing},
    ledger,
};
use crate::{
    domain::{
        clock::{Clock, Random},
        deadlines::{ClockRule, Sides},
        facts::{Effect, Link},
        fold::{FoldRules, State},
    },
    ledger::{note::NoteSigner, receipt::Receipt, tree::Hash},
    vault::{KeyEncryption, TokenKey},
};
use sqlx::PgPool;
use std::{collections::HashMap, sync::Arc};
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Most messages in one transaction.
pub const BATCH_MAX: usize = 256;
/// Messages that may wait; beyond it senders are told to come again.
pub const QUEUE_MAX: usize = 4_096;
/// Last part of the origin of the log of look-ups and officers' acts.
pub const DOMESTIC: &str = "domestic";
/// Batches under way at the same moment: while the database works on one, signatures of the next are verified.
pub const WORKERS: usize = 2;
/// How often a transaction that another instance disturbed is tried.
const TRIES: usize = 4;

/// What was decided of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its facts count.
    Applied,
    /// Kept and receipted; waits for a person.
    Held,
    /// Kept as evidence; its facts do not count.
    Refused,
}

impl Outcome {
    /// The text form in rows, entries and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Held => "held",
            Self::Refused => "refused",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Applied, Self::Held, Self::Refused].into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKind {
    /// A worker's placement.
    Placement,
    /// A job order.
    JobOrder,
    /// A crisis.
    Crisis,
    /// What both sides count of a day.
    Books,
}

impl SubjectKind {
    const ALL: [Self; 4] = [Self::Placement, Self::JobOrder, Self::Crisis, Self::Books];

    fn as_str(self) -> &'static str {
        match self {
            Self::Placement => "placement",
            Self::JobOrder => "job-order",
            Self::Crisis => "crisis",
            Self::Books => "books",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The kind of the dossier that such messages share.
    fn dossier(self) -> &'static str {
        match self {
            Self::Placement => "person",
            Self::JobOrder | Self::Crisis | Self::Books => self.as_str(),
        }
    }

    fn of_dossier(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.dossier() == text)
    }
}

/// How an intent finds its subject.
#[derive(Debug, Clone)]
pub struct Links {
    /// What it is about.
    pub kind: SubjectKind,
    /// The sender's pairwise id of the placement, where it gave one. One that was never issued to the sender is refused.
    pub pairwise: Option<String>,
    /// The sender's pairwise id of the worker.
    pub worker: Option<String>,
    /// Tag of a stored message that it follows: it belongs where that does.
    pub follows: Option<[u8; 16]>,
    /// References and identifiers that it names.
    pub links: Vec<Link>,
    /// Whether the message registers its placement; without a registration a placement is provisional.
    pub identifies: bool,
}

/// The rules by which a corridor's messages are folded, as data.
#[derive(Debug, Clone, Default)]
pub struct CorridorRules {
    /// What the fold needs.
    pub fold: FoldRules,
    /// What is awaited until when.
    pub clocks: Vec<ClockRule>,
    /// Who is on which side, and the days on which both work; without them no clock runs.
    pub sides: Option<Sides>,
}

/// A message, judged by itself and ready to be stored.
#[derive(Debug, Clone)]
pub struct Intent {
    /// Our id for it.
    pub id: Uuid,
    /// Sender's party.
    pub party: String,
    /// Sender's client.
    pub client: String,
    /// Corridor, or the home party's own code for a domestic message.
    pub corridor: String,
    /// Catalogue entry.
    pub type_name: String,
    /// In whose name.
    pub authority: String,
    /// Keyed digest of party, source and sender's id.
    pub tag: [u8; 16],
    /// Keyed digest of the exact bytes.
    pub body_tag: Hash,
    /// The exact bytes of this item as received.
    pub bytes: Vec<u8>,
    /// The canonical event, where the bytes are in another format.
    pub canonical: Option<Vec<u8>>,
    /// Signature base, signature, certificate and revocation state (JSON).
    pub evidence: Vec<u8>,
    /// When its facts were asserted.
    pub asserted_at: OffsetDateTime,
    /// Author's revision.
    pub revision: Option<i64>,
    /// What it asserts.
    pub effects: Vec<Effect>,
    /// How it finds its subject; `None` for a message about none.
    pub links: Option<Links>,
    /// Identifiers of what it speaks of besides its subject: what it asserts counts for their clocks too.
    pub mentions: Vec<[u8; 16]>,
    /// Retention class of its type.
    pub retention: String,
    /// Blind search terms.
    pub terms: Vec<i64>,
    /// How it was judged.
    pub outcome: Outcome,
    /// Broken rules (JSON), of a held or refused message.
    pub problem: Option<String>,
    /// Digest of the policy document that judged it.
    pub policy: Hash,
    /// What the corridor's partner can prove at this moment.
    pub assurance: String,
    /// Parties that are to be told when it is applied.
    pub recipients: Vec<String>,
    /// Parties that get a pairwise id for a new subject.
    pub parties: Vec<String>,
    /// 0 first.
    pub urgency: i16,
    /// Used up with it.
    pub spends: Vec<Spend>,
    /// Id of the token it came under: refused if revoked.
    pub token: Option<String>,
    /// Whether it is never refused for its content.
    pub safety: bool,
    /// Whether the checkpoint of its entry is to be time-stamped at once.
    pub stamped_at_once: bool,
    /// What an officer decides by it about another message.
    pub decision: Option<Decision>,
    /// A subject of which it tells without being filed there: its recipients know the subject by their own ids, its key is its
    /// own and outlives the subject's.
    pub stands_beside: Option<Uuid>,
}

/// An officer's decision about a message.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Our id of the message.
    pub target: Uuid,
    /// Who.
    pub officer: String,
    /// Whether the officer stands by it.
    pub accepted: bool,
    /// Parties that are told of it now: of a held message that counts from here on.
    pub tells: Vec<String>,
    /// Urgency of the message.
    pub urgency: i16,
}

/// What became of an intent. Given only after the commit.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Stored, now or by an earlier request with the same bytes: the same receipt either way.
    Stored {
        /// The receipt, with the opening of the sender's own entry.
        receipt: Box<Receipt>,
        /// How it was judged in the end.
        outcome: Outcome,
        /// Broken rules (JSON).
        problem: Option<String>,
        /// The sender's pairwise id of the subject.
        pairwise: Option<String>,
        /// The subject's state after it; of a repeat the caller reads it.
        state: Option<Arc<State>>,
        /// Whether word of anybody who shares an identifier with it is kept back; also where that was not looked at.
        shielded: bool,
        /// Whether an earlier request stored it.
        repeat: bool,
    },
    /// The same id with other bytes: nothing was stored.
    Conflict,
    /// A nonce or assertion id was used before: nothing was stored.
    Replayed,
    /// The client or its party is suspended, or the token revoked: nothing was stored.
    Barred(Standing),
}

/// Why nothing was stored; the sender may send again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JournalFault {
    /// The database is away or failed.
    #[error("the database did not answer; nothing is known to be stored")]
    Unavailable,
    /// Too many messages wait.
    #[error("too many messages wait")]
    Full,
    /// The corridor's log takes no entries.
    #[error("the ledger of the corridor is halted")]
    Halted,
}

impl JournalFault {
    fn of(fault: &StoreFault) -> Self {
        match fault {
            StoreFault::Halted { .. } => Self::Halted,
            _ => Self::Unavailable,
        }
    }
}

/// What the journal works with.
pub struct Journal {
    /// The channel database, as the gateway's role: for reading.
    pub channel: PgPool,
    /// The channel database, as the gateway's role: for the journal's own transactions ([`super::journal_pool`]).
    pub writing: PgPool,
    /// The vault database.
    pub vault: PgPool,
    /// Wraps sealing keys.
    pub kek: KeyEncryption,
    /// Blind tokens.
    pub tokens: TokenKey,
    /// Log origin without the corridor: `host/environment`.
    pub origin: String,
    /// A signer for each corridor (and the domestic log), by the last part of its origin.
    pub signers: HashMap<String, NoteSigner>,
    /// The rules of each corridor.
    pub rules: HashMap<String, CorridorRules>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The generator.
    pub random: Arc<dyn Random>,
}

/// The rules where a corridor has none.
static NO_RULES: std::sync::LazyLock<CorridorRules> = std::sync::LazyLock::new(CorridorRules::default);

impl Journal {
    /// The rules of a corridor.
    pub fn rules_of(&self, corridor: &str) -> &CorridorRules {
        self.rules.get(corridor).unwrap_or(&NO_RULES)
    }

    /// The log of a corridor.
    pub fn log(&self, corridor: &str) -> String {
        format!("{}/{corridor}", self.origin)
    }

    /// The receipt of a stored message: the one that its sender got, or, once a witness has cosigned a checkpoint at or after it, the
    /// same entry and index under the first such checkpoint. After erasure it carries no opening.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub async fn receipt(&self, id: Uuid) -> Result<Box<Receipt>, StoreFault> {
        let bad = || StoreFault::BadRow { table: "messages", column: "leaf", row: id.to_string() };
        let Answer::Stored { receipt, .. } = transaction::repeat(self, id).await? else { return Err(bad()) };
        let log = self.log(&receipt.corridor);
        let Some(cosigned) = ledger::cosign::first_over(&self.channel, &log, receipt.index).await? else {
            return Ok(receipt);
        };
        let path = ledger::inclusion(&self.channel, &log, receipt.index, cosigned.size).await?.ok_or_else(bad)?;
        Ok(Box::new(receipt.under(&path, &cosigned.note)))
    }

    /// Stores a batch in one transaction; answers in the order of the intents.
    ///
    /// # Errors
    /// [`StoreFault`] after which nothing of the batch is known to be stored, or (a commit whose result was lost) all of it
    /// is: a repeat finds out.
    pub async fn store(&self, intents: &[Intent]) -> Result<Vec<Answer>, StoreFault> {
        let mut tried = 1;
        loop {
            match transaction::run(self, intents).await {
                Err(StoreFault::Database(fault)) if tried < TRIES && disturbed(&fault) => tried += 1,
                other => return other,
            }
        }
    }
}

/// Whether another instance came between: a unique row it wrote first, a deadlock, a serialization failure.
fn disturbed(fault: &sqlx::Error) -> bool {
    let code = fault.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("23505" | "40001" | "40P01"))
}

struct Waiting {
    intent: Intent,
    answer: oneshot::Sender<Result<Answer, JournalFault>>,
}

/// Where requests hand over their intents.
#[derive(Debug, Clone)]
pub struct JournalHandle(mpsc::Sender<Waiting>);

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Journal({})", self.origin)
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Waiting({})", self.intent.id)
    }
}

impl JournalHandle {
    /// Starts the loops; they end when every handle is dropped and what waits is stored.
    pub fn start(journal: Arc<Journal>) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
        for _ in 0..WORKERS {
            tokio::spawn(work(journal.clone(), receiver.clone()));
        }
        Self(sender)
    }

    /// Stores one message and gives its answer after the commit.
    ///
    /// # Errors
    /// [`JournalFault`]: the sender is to send again.
    pub async fn submit(&self, intent: Intent) -> Result<Answer, JournalFault> {
        let (answer, waits) = oneshot::channel();
        self.0.try_send(Waiting { intent, answer }).map_err(|_| JournalFault::Full)?;
        waits.await.unwrap_or(Err(JournalFault::Unavailable))
    }
}

async fn take(queue: &tokio::sync::Mutex<mpsc::Receiver<Waiting>>, waiting: &mut Vec<Waiting>) -> usize {
    queue.lock().await.recv_many(waiting, BATCH_MAX).await
}

async fn work(journal: Arc<Journal>, queue: Arc<tokio::sync::Mutex<mpsc::Receiver<Waiting>>>) {
    let mut waiting = Vec::with_capacity(BATCH_MAX);
    while take(&queue, &mut waiting).await > 0 {
        let (intents, askers): (Vec<Intent>, Vec<_>) = waiting.drain(..).map(|one| (one.intent, one.answer)).unzip();
        match journal.store(&intents).await {
            Ok(answers) => {
                // A sender that has hung up finds its receipt by repeating.
                askers.into_iter().zip(answers).for_each(|(asker, answer)| drop(asker.send(Ok(answer))));
            }
            Err(fault) if intents.len() > 1 && fault.is_of_one_message() => {
                // One of them cannot be stored: the others must not suffer for it.
                tracing::warn!(messages = intents.len(), %fault, "a batch is stored one by one");
                for (intent, asker) in intents.iter().zip(askers) {
                    let answer = journal.store(std::slice::from_ref(intent)).await;
                    let answer = answer.map(|mut answers| answers.remove(0)).map_err(|fault| {
                        tracing::error!(message = %intent.id, %fault, "a message was not stored");
                        JournalFault::of(&fault)
                    });
                    drop(asker.send(answer));
                }
            }
            Err(fault) => {
                tracing::error!(messages = intents.len(), %fault, "a batch was not stored");
                let fault = JournalFault::of(&fault);
                askers.into_iter().for_each(|asker| drop(asker.send(Err(fault))));
            }
        }
    }
}
