//! `onechannel mock-gateway`: our side for a party's integrator, without a database.

use super::{
    CommandFault, Holds,
    mock_partner::{bind, credentials},
    serve::end_asked,
};
use crate::sandbox::mock_gateway::{MockGateway, admin};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tokio::sync::watch;

/// The first line of the file that tells `tests/first_exchange.sh` our address.
const MARK: &str = "# Written by onechannel mock-gateway: an address, no configuration.";

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
        write_addresses(&folder.path, &gateway)?;
        if self.json {
            let clients: Vec<_> = pki
                .clients
                .values()
                .map(|one| {
                    json!({"client_id": one.client_id, "party": one.party, "authorities": one.authorities,
                        "client_cert": one.client_cert, "client_key": one.client_key, "signing_key": one.signing_key,
                        "key_id": one.key_id})
                })
                .collect();
            println!(
                "{}",
                json!({"channel_api": gateway.name(), "admin": format!("http://{admin_address}"), "credentials": folder.path,
                    "ca": pki.ca, "gateway_signing_key": pki.signing.with_extension("pub.pem"),
                    "gateway_key_id": "gateway-sign-1", "log_keys": keys, "clients": clients})
            );
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

/// Address and log keys where `tests/first_exchange.sh` looks for them; a stand's own files are left alone.
fn write_addresses(folder: &Path, gateway: &MockGateway) -> Result<(), CommandFault> {
    let config = folder.join("gateway.toml");
    if fs::read_to_string(&config).is_ok_and(|text| !text.starts_with(MARK)) {
        return Err(CommandFault::Content(config, "is a gateway's: give the mock a folder of its own".to_owned()));
    }
    let keys: String = gateway.log_keys().iter().map(|key| format!("{key}\n")).collect();
    let write = |file: PathBuf, text: &str| fs::write(&file, text).map_err(|fault| CommandFault::File(file, fault));
    write(folder.join("logs.keys"), &keys)?;
    write(config, &format!("{MARK}\nexternal = \"{}\"\n", gateway.name()))
}
