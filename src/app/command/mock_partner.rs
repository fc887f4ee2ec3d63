//! `onechannel mock-partner`: one party's side as a process of its own, built from its folder alone.

use super::{CommandFault, Holds, serve::end_asked};
use crate::{
    app::system::{SystemClock, SystemRandom},
    domain::clock::{Clock, Random},
    sandbox::{
        mock::{Mock, admin},
        pki::{self, Pki},
        system::System,
    },
};
use serde_json::json;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tokio::{net::TcpListener, sync::watch};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples: onechannel mock-partner xa\n          onechannel mock-partner xa --gateway https://localhost:8443 --credentials /tmp/onechannel\n          curl -X PUT -H 'Content-Type: application/json' -d '{\"on\": [\"html-500\"], \"calls\": 3}' http://127.0.0.1:PORT/admin/faults"
)]
pub(super) struct Arguments {
    /// The party
    code: String,
    /// Where it is told and asked
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where its admin port listens: loopback
    #[arg(long, default_value = "127.0.0.1:0")]
    admin: SocketAddr,
    /// The folder of parties
    #[arg(long, default_value = "partners")]
    dir: PathBuf,
    /// The gateway to which it pushes
    #[arg(long, requires = "credentials")]
    gateway: Option<String>,
    /// Folder of credentials (pki/ and partners/ below it): used if they are there, else made there; throw-away ones by default
    #[arg(long)]
    credentials: Option<PathBuf>,
    /// Print the addresses as JSON
    #[arg(long)]
    json: bool,
}

/// A folder that goes with us, or one that stays.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    is_ours: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The credentials of `given`, or throw-away ones.
pub(super) fn credentials(given: Option<&Path>, partners: &Path) -> Result<(Folder, Pki), CommandFault> {
    if !partners.is_dir() {
        let text = "is not there: run from the folder that holds it, or name it with --dir";
        return Err(CommandFault::Content(partners.to_owned(), text.to_owned()));
    }
    let folder = match given {
        Some(path) => Folder { path: path.to_owned(), is_ours: false },
        None => {
            let mut word = [0; 6];
            SystemRandom.fill(&mut word);
            let path = std::env::temp_dir().join(format!("onechannel-mock-{}", hex::encode(word)));
            Folder { path, is_ours: true }
        }
    };
    fs::create_dir_all(&folder.path).map_err(|fault| CommandFault::File(folder.path.clone(), fault))?;
    let pki = pki::open_or_make(&folder.path, partners, SystemClock.now());
    Ok((folder, pki.map_err(|fault| CommandFault::Start(fault.to_string()))?))
}

/// Binds a port; an admin port only on loopback.
pub(super) async fn bind(address: SocketAddr, is_admin: bool) -> Result<TcpListener, CommandFault> {
    if is_admin && !address.ip().is_loopback() {
        return Err(CommandFault::Start(format!("{address}: the admin port listens on loopback only")));
    }
    TcpListener::bind(address).await.map_err(|fault| CommandFault::Start(format!("{address}: {fault}")))
}

impl Arguments {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        super::log("onechannel=warn");
        let start = CommandFault::Start;
        // Listening for the signal comes first: whoever reads our addresses may end us at once.
        let ended = end_asked();
        let (folder, pki) = credentials(self.credentials.as_deref(), &self.dir)?;
        let (listener, admin_listener) = (bind(self.listen, false).await?, bind(self.admin, true).await?);
        let admin_address = admin_listener.local_addr().map_err(|fault| start(fault.to_string()))?;
        let system = self.gateway.as_deref().map(|gateway| self.system(&pki, gateway)).transpose()?;
        let (stop, stopped) = watch::channel(false);
        let mock = Mock::start(&self.code, &pki, listener, stopped.clone()).map_err(start)?;
        let files = pki.clients.values().find(|files| files.party == self.code);
        if self.json {
            println!(
                "{}",
                json!({"partner": self.code, "base_url": mock.base(), "admin": format!("http://{admin_address}"),
                    "credentials": folder.path, "server_ca": pki.partners.join(&self.code).join("trust/ca.pem"),
                    "client_cert": files.map(|f| &f.client_cert), "client_key": files.map(|f| &f.client_key),
                    "signing_key": files.map(|f| &f.signing_key), "key_id": files.map(|f| &f.key_id)})
            );
        } else {
            println!("partner {}    {}", self.code, mock.base());
            println!("admin         http://{admin_address}");
            println!("credentials   {}", folder.path.display());
        }
        admin::serve(mock, system, admin_listener, stopped);
        ended.await;
        stop.send_replace(true);
        Ok(true)
    }

    fn system(&self, pki: &Pki, gateway: &str) -> Result<System, CommandFault> {
        let files = pki.clients.values().find(|files| files.party == self.code);
        let files = files.ok_or_else(|| CommandFault::Start(format!("{} has no client", self.code)))?;
        let public = pki.signing.with_extension("pub.pem");
        let system = System::new(gateway.trim_end_matches('/'), &pki.ca, files, &public, "gateway-sign-1");
        system.map_err(|fault| CommandFault::Start(fault.to_string()))
    }
}
