//! What the two mocks have in common as processes: where they listen, whose credentials they use, that they run until they are asked
//! to end, and how they say where they are.

use super::{CommandFault, Holds, serve::end_asked};
use crate::{
    app::system::{SystemClock, SystemRandom},
    domain::clock::{Clock, Random},
    sandbox::pki::{self, Pki},
};
use serde_json::Value;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tokio::{net::TcpListener, sync::watch};

#[derive(Debug, clap::Args)]
pub(super) struct Ports {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where its admin port listens: loopback
    #[arg(long, default_value = "127.0.0.1:0")]
    admin: SocketAddr,
    /// The folder of parties
    #[arg(long, default_value = "partners")]
    dir: PathBuf,
    /// Folder of credentials (pki/ and partners/ below it): used if they are there, else made there; throw-away ones by default
    #[arg(long)]
    credentials: Option<PathBuf>,
    /// Print the addresses as JSON
    #[arg(long)]
    json: bool,
}

/// What a mock starts from.
pub(super) struct Place<'a> {
    /// Folder of the credentials.
    pub(super) folder: &'a Path,
    pub(super) pki: &'a Pki,
    pub(super) listener: TcpListener,
    pub(super) admin_listener: TcpListener,
    /// Address of the admin port.
    pub(super) admin: String,
    /// Changes when the mock is to end.
    pub(super) stopped: watch::Receiver<bool>,
}

/// What a mock says once it runs.
pub(super) struct Started {
    /// For a program.
    pub(super) json: Value,
    /// For a person: what, and where.
    pub(super) lines: Vec<(String, String)>,
}

impl Ports {
    /// Runs what `start` starts until the process is asked to end.
    pub(super) async fn run(
        &self,
        start: impl FnOnce(Place<'_>) -> Result<Started, CommandFault>,
    ) -> Result<Holds, CommandFault> {
        super::log("onechannel=warn");
        // Listening for the signal comes first: whoever reads our addresses may end us at once.
        let ended = end_asked();
        let (folder, pki) = self.credentials()?;
        let (listener, admin_listener) = (bind(self.listen, false).await?, bind(self.admin, true).await?);
        let admin = admin_listener.local_addr().map_err(|fault| CommandFault::Start(fault.to_string()))?;
        let (stop, stopped) = watch::channel(false);
        let admin = format!("http://{admin}");
        let started = start(Place { folder: &folder.path, pki: &pki, listener, admin_listener, admin, stopped })?;
        if self.json {
            println!("{}", started.json);
        } else {
            started.lines.iter().for_each(|(what, place)| println!("{what:<14} {place}"));
        }
        ended.await;
        stop.send_replace(true);
        Ok(true)
    }

    /// The credentials of the folder that was named, or throw-away ones.
    fn credentials(&self) -> Result<(Folder, Pki), CommandFault> {
        if !self.dir.is_dir() {
            let text = "is not there: run from the folder that holds it, or name it with --dir";
            return Err(CommandFault::Content(self.dir.clone(), text.to_owned()));
        }
        let folder = match &self.credentials {
            Some(path) => Folder { path: path.clone(), is_ours: false },
            None => {
                let mut word = [0; 6];
                SystemRandom.fill(&mut word);
                let path = std::env::temp_dir().join(format!("onechannel-mock-{}", hex::encode(word)));
                Folder { path, is_ours: true }
            }
        };
        fs::create_dir_all(&folder.path).map_err(|fault| CommandFault::File(folder.path.clone(), fault))?;
        let pki = pki::open_or_make(&folder.path, &self.dir, SystemClock.now());
        Ok((folder, pki.map_err(|fault| CommandFault::Start(fault.to_string()))?))
    }
}

/// A folder that goes with us, or one that stays.
struct Folder {
    path: PathBuf,
    is_ours: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Binds a port; an admin port only on loopback.
async fn bind(address: SocketAddr, is_admin: bool) -> Result<TcpListener, CommandFault> {
    if is_admin && !address.ip().is_loopback() {
        return Err(CommandFault::Start(format!("{address}: the admin port listens on loopback only")));
    }
    TcpListener::bind(address).await.map_err(|fault| CommandFault::Start(format!("{address}: {fault}")))
}
