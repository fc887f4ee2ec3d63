//! A mock partner's copy of the corridor's log (C2SP tlog-tiles, checkpoint and bundles): read from the gateway over the channel, kept only
//! where it leads to the checkpoint, and given to the gateway below `/mirror` when that has lost entries. In memory.

use crate::{
    ledger::{
        note::{Signed, VerifierKey},
        tile::{self, Resource, Tile, WIDTH},
        tree::{Frontier, leaf_hash},
    },
    sandbox::system::System,
};
use axum::http::StatusCode;
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// Where it stands below the mock's address.
pub const PREFIX: &str = "/mirror";
/// Pause between two readings.
const BETWEEN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct MockMirror {
    /// The file of the gateway's public keys, read each time: it may be written after the mock started.
    log_keys: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    tree: Frontier,
    files: BTreeMap<String, Vec<u8>>,
}

impl MockMirror {
    pub(super) fn new(log_keys: PathBuf) -> Self {
        Self { log_keys, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file at a path of the mock; `None` where the path is not of the copy.
    pub(super) fn at(&self, path: &str) -> Option<(StatusCode, Vec<u8>)> {
        let name = path.strip_prefix(PREFIX)?.strip_prefix('/')?;
        let file = self.kept().files.get(name).cloned();
        Some(file.map_or((StatusCode::NOT_FOUND, Vec::new()), |bytes| (StatusCode::OK, bytes)))
    }

    /// Puts another file in a file's place, or takes it away; gives what was there.
    pub fn put(&self, name: &str, bytes: Option<Vec<u8>>) -> Option<Vec<u8>> {
        match bytes {
            Some(bytes) => self.kept().files.insert(name.to_owned(), bytes),
            None => self.kept().files.remove(name),
        }
    }

    /// Reads what is new; gives the number of entries that it holds.
    ///
    /// # Errors
    /// A sentence: nothing new is kept.
    pub async fn read(&self, gateway: &System) -> Result<u64, String> {
        let get = async |path: &str| {
            let answer = gateway.http.get(format!("{}/v1/ledger/{path}", gateway.base)).send().await;
            let answer = answer.and_then(reqwest::Response::error_for_status).map_err(|fault| fault.to_string())?;
            answer.bytes().await.map(|bytes| bytes.to_vec()).map_err(|fault| fault.to_string())
        };
        let note = get("checkpoint").await?;
        let keys = fs::read_to_string(&self.log_keys).map_err(|fault| fault.to_string())?;
        let keys: Vec<VerifierKey> = keys.lines().filter_map(|line| VerifierKey::parse(line).ok()).collect();
        let text = std::str::from_utf8(&note).map_err(|fault| fault.to_string())?;
        let checkpoint = Signed::open(text, &keys).map_err(|fault| fault.to_string())?.checkpoint;
        let mut tree = self.kept().tree.clone();
        let mut files = BTreeMap::new();
        for index in tree.size() / WIDTH.. {
            let Some(tile) = Tile::of(0, index, checkpoint.size) else { break };
            let name = format!("tile/{}", Resource::Entries(tile));
            let bytes = get(&name).await?;
            let known = usize::try_from(tree.size() - index * WIDTH).unwrap_or(usize::MAX);
            let entries = tile::unbundle(&bytes).ok_or_else(|| format!("{name} is no bundle"))?;
            entries.iter().skip(known).for_each(|entry| tree.append(leaf_hash(entry)));
            files.insert(name, bytes);
        }
        if (tree.size(), tree.root()) != (checkpoint.size, checkpoint.root) {
            return Err("the entries do not lead to the checkpoint from those that are kept".to_owned());
        }
        files.insert("checkpoint".to_owned(), note);
        let mut kept = self.kept();
        kept.tree = tree;
        kept.files.extend(files);
        Ok(checkpoint.size)
    }
}

/// Reads what is new about once a second, until told to stop.
pub async fn keep_reading(mirror: &MockMirror, gateway: &System, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(fault) = mirror.read(gateway).await {
            tracing::debug!(fault, "a mock's copy of the log is not up to date");
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(BETWEEN) => {}
        }
    }
}
