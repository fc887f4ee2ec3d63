//! The partner's copy of a log, fetched over the channel as a partner into a folder that goes with it. Nothing is judged here but the
//! signature of its checkpoint: [`super::folder`] takes over only what leads to that.

use super::{super::CommandFault, folder};
use crate::{
    app::{config::Config, gateway},
    client::PartyClient,
    exchange::Gateway,
    ledger::{
        note::{Signed, VerifierKey},
        tile::{Resource, Tile, WIDTH},
    },
    store::ledger::cosign,
};
use sqlx::PgPool;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A folder of the system's for temporary files, taken away at the end.
pub(super) struct Fetched(PathBuf);

impl Fetched {
    pub(super) fn folder(&self) -> &Path {
        &self.0
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Fetches the checkpoint and the bundles from where the log in the database ends. What the partner does not have is left out:
/// whoever reads the folder misses it.
pub(super) async fn fetch(
    config: &Path,
    pool: &PgPool,
    url: &str,
    keys: &[VerifierKey],
) -> Result<Fetched, CommandFault> {
    let config = Config::read(config).map_err(CommandFault::Start)?;
    let gateway = gateway::assemble(&config).await.map_err(|faults| CommandFault::Start(faults.to_string()))?;
    let url = url.trim_end_matches('/');
    let (client, prefix) = partner_at(&config, &gateway, url)?;
    let read = async |name: &str| {
        let read = client.read_copy(&format!("{prefix}/{name}")).await;
        read.map_err(|reason| CommandFault::Start(format!("{url}/{name}: {reason}")))
    };
    let wrong = |what: String| CommandFault::Start(format!("{url}/checkpoint: {what}"));
    let note = read("checkpoint").await?.ok_or_else(|| wrong("is not there".to_owned()))?;
    let note = String::from_utf8(note).map_err(|_| wrong("is not text".to_owned()))?;
    let checkpoint = Signed::open(&note, keys).map_err(|fault| wrong(fault.to_string()))?.checkpoint;
    let path = std::env::temp_dir().join(format!("onechannel-copy-{}", gateway.id()));
    fs::create_dir(&path).map_err(|fault| CommandFault::Unwritten(path.clone(), fault))?;
    let fetched = Fetched(path);
    let here = cosign::state(pool, &checkpoint.origin).await?.size;
    'bundles: for index in here / WIDTH.. {
        let Some(tile) = Tile::of(0, index, checkpoint.size) else { break };
        // A partial bundle may be gone once there is the full one (tlog-tiles).
        for width in [tile.width, WIDTH as u16] {
            let bundle = Resource::Entries(Tile { width, ..tile });
            if let Some(bytes) = read(&format!("tile/{bundle}")).await? {
                folder::put(fetched.folder(), bundle, &bytes)?;
                continue 'bundles;
            }
        }
        break;
    }
    let path = fetched.folder().join("checkpoint");
    fs::write(&path, note).map_err(|fault| CommandFault::Unwritten(path, fault))?;
    Ok(fetched)
}

/// The client of the partner at whose address a URL lies, and the path there: our certificate is shown to nobody else.
fn partner_at<'u>(
    config: &Config,
    gateway: &Gateway,
    url: &'u str,
) -> Result<(Arc<PartyClient>, &'u str), CommandFault> {
    for code in gateway.parties.partners.keys() {
        let client = gateway::party_client(config, gateway, code, None);
        let Some(client) = client.map_err(|faults| CommandFault::Start(faults.to_string()))? else { continue };
        if let Some(path) = client.path_of(url) {
            return Ok((client, path));
        }
    }
    Err(CommandFault::Start(format!("{url} lies at no partner's address")))
}
