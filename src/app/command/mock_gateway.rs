//! `onechannel mock-gateway`: our side for a party's integrator, without a database.

use super::{
    CommandFault, Holds,
    mock_partner::{bind, credentials},
    serve::end_asked,
};
use crate::sandbox::{
    mock_gateway::{MockGateway, admin},
    pki::{ClientFiles, Pki},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tokio::sync::watch;

/// Stands in the file that tells the samples our address.
const MARK: &str = "onechannel mock-gateway";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples: onechannel mock-gateway --listen 127.0.0.1:8443 --credentials /tmp/onechannel\n          onechannel mock-gateway --partner xa=https://localhost:9443 --credentials /tmp/onechannel\n          curl -X POST 'http://127.0.0.1:PORT/admin/trigger/PL1?party=xa'"
)]
pub(super) struct Arguments {
    /// Where the channel port listens
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the admin port and its page listen: loopback
    #[arg(long, default_value = "127.0.0.1:0")]
    admin: SocketAddr,
    /// The folder of parties
    #[arg(long, default_value = "partners")]
    dir: PathBuf,
    /// The folder of schemas
    #[arg(long, default_value = "schemas")]
    schemas: PathBuf,
    /// Folder of credentials (pki/ and partners/ below it): used if they are there, else made there; throw-away ones by default
    #[arg(long)]
    credentials: Option<PathBuf>,
    /// A partner's endpoint, CODE=URL, to which its messages are pushed
    #[arg(long = "partner", value_parser = endpoint)]
    partners: Vec<(String, String)>,
    /// Print the addresses as JSON
    #[arg(long)]
    json: bool,
}

fn endpoint(text: &str) -> Result<(String, String), String> {
    let found = text.split_once('=').filter(|(code, url)| !code.is_empty() && url.starts_with("https://"));
    found.map(|(code, url)| (code.to_owned(), url.to_owned())).ok_or_else(|| "CODE=https://HOST:PORT".to_owned())
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
        let (stop, stopped) = watch::channel(false);
        let endpoints: BTreeMap<String, String> = self.partners.into_iter().collect();
        let gateway = MockGateway::start(&pki, &self.schemas, endpoints, listener, stopped.clone()).map_err(start)?;
        let keys = folder.path.join("logs.keys");
        let whole = addresses(&gateway, &pki, &keys, &folder.path, &admin_address.to_string());
        write_addresses(&folder.path, &gateway, &whole)?;
        if self.json {
            println!("{whole}");
        } else {
            println!("channel port   {}", gateway.name());
            println!("what arrives   http://{admin_address}/");
            println!("credentials    {}", folder.path.display());
            println!("log keys       {}", keys.display());
        }
        admin::serve(gateway, admin_listener, stopped);
        ended.await;
        stop.send_replace(true);
        Ok(true)
    }
}

/// Addresses and credentials, with the members that `demo.json` has: what the samples read.
fn addresses(gateway: &MockGateway, pki: &Pki, keys: &Path, folder: &Path, admin: &str) -> Value {
    let client = |one: &ClientFiles| {
        json!({"client_id": one.client_id, "party": one.party, "authorities": one.authorities, "ca": pki.ca,
            "client_cert": one.client_cert, "client_key": one.client_key, "signing_key": one.signing_key, "key_id": one.key_id})
    };
    json!({"channel_api": gateway.name(), "admin": format!("http://{admin}"), "credentials": folder, "ca": pki.ca,
        "gateway_signing_key": pki.signing.with_extension("pub.pem"), "gateway_key_id": "gateway-sign-1", "log_keys": keys,
        "clients": pki.clients.values().map(client).collect::<Vec<_>>(), "made_by": MARK})
}

/// Log keys and addresses where the samples look for them; a demo's own files are left alone.
fn write_addresses(folder: &Path, gateway: &MockGateway, whole: &Value) -> Result<(), CommandFault> {
    let file = folder.join("demo.json");
    if fs::read_to_string(&file).is_ok_and(|text| !text.contains(MARK)) {
        return Err(CommandFault::Content(file, "is a demo's: give the mock a folder of its own".to_owned()));
    }
    let keys: String = gateway.log_keys().iter().map(|key| format!("{key}\n")).collect();
    let write = |file: PathBuf, text: &str| fs::write(&file, text).map_err(|fault| CommandFault::File(file, fault));
    write(folder.join("logs.keys"), &keys)?;
    write(file, &format!("{whole:#}\n"))
}
