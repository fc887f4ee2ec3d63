//! The witness of a mock partner (C2SP tlog-witness): follows the corridor's log, whose key the gateway's operator gave out, and
//! forgets nothing while it runs. What it judges by is [`crate::ledger::witness`], as a partner may use it.

use crate::{
    app::system::SystemClock,
    domain::clock::Clock,
    ledger::{
        cosignature::Cosigner,
        note::{Checkpoint, Role, VerifierKey},
        tree::Hash,
        witness::{Submission, WitnessFault},
    },
};
use axum::http::StatusCode;
use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// See the module.
#[derive(Debug)]
pub struct MockWitness {
    path: String,
    corridor: String,
    /// The file of the gateway's public keys, read at every submission: it may be written after the mock started.
    log_keys: PathBuf,
    cosigner: Cosigner,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    latest: Option<(u64, Hash)>,
    cosigned: Vec<Checkpoint>,
    answers: Vec<u16>,
    instead: Option<(StatusCode, &'static str, String)>,
}

impl MockWitness {
    pub(super) fn new(prefix: &str, corridor: &str, log_keys: PathBuf, cosigner: Cosigner) -> Self {
        let path = format!("{prefix}/add-checkpoint");
        Self { path, corridor: corridor.to_owned(), log_keys, cosigner, seen: Mutex::default() }
    }

    pub(super) fn is_at(&self, path: &str) -> bool {
        self.path == path
    }

    /// Checkpoints that it cosigned, in order.
    pub fn cosigned(&self) -> Vec<Checkpoint> {
        self.seen().cosigned.clone()
    }

    /// The size that it cosigned last.
    pub fn size(&self) -> u64 {
        self.seen().latest.map_or(0, |(size, _)| size)
    }

    /// The status of every answer, in order.
    pub fn answers(&self) -> Vec<u16> {
        self.seen().answers.clone()
    }

    /// Answers every submission with a status, content type and body, as a witness that is broken or set up wrongly would; `None`
    /// lets it judge again.
    pub fn answer_with(&self, answer: Option<(StatusCode, &'static str, String)>) {
        self.seen().instead = answer;
    }

    /// Loses its state, as one does that was restored from before it followed the log.
    pub fn forget(&self) {
        self.seen().latest = None;
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges a submission and keeps what it cosigns in one step; gives status, content type and body.
    pub(super) fn add_checkpoint(&self, body: &[u8]) -> (StatusCode, &'static str, String) {
        let mut seen = self.seen();
        let answer = match &seen.instead {
            Some(answer) => answer.clone(),
            None => self.judge(&mut seen, body),
        };
        seen.answers.push(answer.0.as_u16());
        answer
    }

    fn judge(&self, seen: &mut Seen, body: &[u8]) -> (StatusCode, &'static str, String) {
        let judged = std::str::from_utf8(body).map_err(|_| WitnessFault::Malformed).and_then(Submission::parse);
        let judged = judged.and_then(|submission| {
            let keys = self.keys(submission.origin()?);
            if keys.is_empty() {
                return Err(WitnessFault::UnknownLog);
            }
            submission.judge(&keys, seen.latest)
        });
        let text = "text/plain; charset=utf-8";
        match judged {
            Ok(signed) => {
                let checkpoint = signed.checkpoint;
                seen.latest = Some((checkpoint.size, checkpoint.root));
                let now = u64::try_from(SystemClock.now().unix_timestamp()).unwrap_or_default();
                let line = self.cosigner.cosign(&checkpoint, now);
                seen.cosigned.push(checkpoint);
                (StatusCode::OK, text, line)
            }
            Err(WitnessFault::Conflict { latest } | WitnessFault::Fork { latest }) => {
                (StatusCode::CONFLICT, "text/x.tlog.size", format!("{latest}\n"))
            }
            Err(fault) => {
                let status = match fault {
                    WitnessFault::UnknownLog => StatusCode::NOT_FOUND,
                    WitnessFault::NotTheLog => StatusCode::FORBIDDEN,
                    WitnessFault::Inconsistent => StatusCode::UNPROCESSABLE_ENTITY,
                    _ => StatusCode::BAD_REQUEST,
                };
                (status, text, format!("{fault}\n"))
            }
        }
    }

    /// The keys of the corridor's log, if that is what `origin` names.
    fn keys(&self, origin: &str) -> Vec<VerifierKey> {
        let text = fs::read_to_string(&self.log_keys).unwrap_or_default();
        let keys = text.lines().filter_map(|line| VerifierKey::parse(line).ok());
        let is_followed = origin.rsplit('/').next() == Some(&self.corridor);
        keys.filter(|key| is_followed && key.role == Role::Log && key.name == origin).collect()
    }
}
