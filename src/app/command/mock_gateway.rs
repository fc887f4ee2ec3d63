//! `onechannel mock-gateway`: our side for a party's integrator, without a database.

use super::{
    CommandFault, Holds,
    mock_ports::{Place, Ports, Started},
};
use crate::sandbox::{
    mock_gateway::{MockGateway, admin},
    pki::{ClientFiles, Pki},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Stands in the file that tells the samples our address.
const MARK: &str = "onechannel mock-gateway";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples: onechannel mock-gateway --listen 127.0.0.1:8443 --credentials /tmp/onechannel\n          onechannel mock-gateway --partner xa=https://localhost:9443 --credentials /tmp/onechannel\n          curl -X POST -H 'Content-Type: application/json' 'http://127.0.0.1:PORT/admin/trigger/PL1?party=xa'"
)]
pub(super) struct Arguments {
    /// The folder of schemas
    #[arg(long, default_value = "schemas")]
    schemas: PathBuf,
    /// A partner's endpoint, CODE=URL, to which its messages are pushed
    #[arg(long = "partner", value_parser = endpoint)]
    partners: Vec<(String, String)>,
    #[command(flatten)]
    ports: Ports,
}

fn endpoint(text: &str) -> Result<(String, String), String> {
    let found = text.split_once('=').filter(|(code, url)| !code.is_empty() && url.starts_with("https://"));
    found.map(|(code, url)| (code.to_owned(), url.to_owned())).ok_or_else(|| "CODE=https://HOST:PORT".to_owned())
}

impl Arguments {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        self.ports.run(|place| self.start(place)).await
    }

    fn start(&self, place: Place<'_>) -> Result<Started, CommandFault> {
        let Place { folder, pki, listener, admin_listener, admin, stopped } = place;
        let endpoints: BTreeMap<String, String> = self.partners.iter().cloned().collect();
        let gateway = MockGateway::start(pki, &self.schemas, endpoints, listener, stopped.clone());
        let gateway = gateway.map_err(CommandFault::Start)?;
        let keys = folder.join("logs.keys");
        let json = addresses(&gateway, pki, &keys, folder, &admin);
        write_addresses(folder, &gateway, &json)?;
        let lines = vec![
            ("channel port".to_owned(), gateway.name().to_owned()),
            ("what arrives".to_owned(), format!("{admin}/")),
            ("credentials".to_owned(), folder.display().to_string()),
            ("log keys".to_owned(), keys.display().to_string()),
        ];
        admin::serve(gateway, admin_listener, stopped);
        Ok(Started { json, lines })
    }
}

/// Addresses and credentials, with the members that `demo.json` has: what the samples read.
fn addresses(gateway: &MockGateway, pki: &Pki, keys: &Path, folder: &Path, admin: &str) -> Value {
    let client = |one: &ClientFiles| {
        json!({"client_id": one.client_id, "party": one.party, "authorities": one.authorities, "ca": pki.ca,
            "client_cert": one.client_cert, "client_key": one.client_key, "signing_key": one.signing_key, "key_id": one.key_id})
    };
    json!({"channel_api": gateway.name(), "admin": admin, "credentials": folder, "ca": pki.ca,
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
