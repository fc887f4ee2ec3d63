//! A stand: databases, keys, certificates and a configuration file in one folder, ready for `serve`.

use super::pki::{self, Pki, PkiFault};
use crate::{
    domain::clock::{Clock, Random},
    store::{self, StoreFault},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Why it could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum StandFault {
    /// A file.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// The PKI.
    #[error(transparent)]
    Pki(#[from] PkiFault),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Addresses of the ports.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Channel port.
    pub channel: u16,
    /// Ministry port.
    pub ministry: u16,
    /// Operations port.
    pub ops: u16,
}

/// What a stand is made from.
pub struct Parts<'a> {
    /// Folder for everything.
    pub folder: &'a Path,
    /// The folder of schemas.
    pub schemas: &'a Path,
    /// The folder of parties.
    pub partners: &'a Path,
    /// `postgres://` of the channel database, as its owner.
    pub channel: &'a str,
    /// `postgres://` of the vault database, as its owner.
    pub vault: &'a str,
    /// Ports of 127.0.0.1.
    pub ports: Ports,
    /// Addresses of mock partners, by code.
    pub endpoints: &'a [(String, String)],
}

/// A stand.
#[derive(Debug, Clone)]
pub struct Stand {
    /// Certificates and keys.
    pub pki: Pki,
    /// The configuration file.
    pub config: PathBuf,
    /// A file with the public keys of the logs, of the gateway's witness and of the partners'.
    pub log_keys: PathBuf,
    /// Key of the issuer of officers' tokens.
    pub officer_key: PathBuf,
}

/// Issuer of officers' tokens of a stand.
pub const OFFICER_ISSUER: &str = "https://officers.id.example";
/// Audience of officers' tokens of a stand.
pub const OFFICER_AUDIENCE: &str = "onechannel-ministry";

/// Sets up a stand; both databases are migrated. A PKI that lies in the folder already is used.
///
/// # Errors
/// [`StandFault`].
pub async fn set_up(parts: &Parts<'_>, clock: &dyn Clock, random: &dyn Random) -> Result<Stand, StandFault> {
    store::migrate(&store::pool(parts.channel, 1)?, &store::pool(parts.vault, 1)?).await?;
    let pki = pki::open_or_make(parts.folder, parts.partners, clock.now())?;
    let keys = parts.folder.join("keys");
    let secret = |name: &str| -> Result<[u8; 32], StandFault> {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        write(&keys.join(name), &hex::encode(bytes))?;
        Ok(bytes)
    };
    secret("encryption.key")?;
    secret("tokens.key")?;
    let mut verifiers = String::new();
    for log in partner_codes(parts.partners)?.iter().map(String::as_str).chain([crate::store::journal::DOMESTIC]) {
        let seed = secret(&format!("logs/{log}.seed"))?;
        let key = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
        let signer = crate::ledger::note::NoteSigner::new(&format!("{LOG_NAME}/test/{log}"), key);
        verifiers.push_str(&format!("{}\n", signer.verifier()));
    }
    let seed = secret("logs/witness.seed")?;
    let key = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
    let witness = crate::ledger::cosignature::Cosigner::new(&format!("{LOG_NAME}/test/witness"), key);
    let witness = witness.with_ml_dsa(&secret("logs/witness-ml-dsa.seed")?).expect("any 32 bytes are a seed");
    witness.verifiers().for_each(|key| verifiers.push_str(&format!("{key}\n")));
    for files in pki.witnesses.values() {
        for public in [&files.public].into_iter().chain(files.ml_dsa.iter().map(|(_, public)| public)) {
            let key = fs::read_to_string(public).map_err(|fault| StandFault::File(public.clone(), fault))?;
            verifiers.push_str(&key);
        }
    }
    let log_keys = pki.log_keys.clone();
    write(&log_keys, &verifiers)?;
    let officer = pki::ed25519().map_err(PkiFault::from)?;
    let officer_key = keys.join("officer-issuer.key");
    write(&officer_key, &officer.serialize_pem())?;
    write(&keys.join("officer-issuer.pub.pem"), &officer.public_key_pem())?;
    let config = parts.folder.join("gateway.toml");
    write(&config, &config_text(parts)?)?;
    Ok(Stand { pki, config, log_keys, officer_key })
}

impl Stand {
    /// Names a time-stamp authority with this root (PEM) in the configuration file.
    ///
    /// # Errors
    /// [`StandFault::File`].
    pub fn stamped_by(&self, url: &str, root: &str, every_s: u32) -> Result<(), StandFault> {
        let file = "pki/time-stamp-ca.pem";
        write(&self.config.with_file_name(file), root)?;
        let text = fs::read_to_string(&self.config).map_err(|fault| StandFault::File(self.config.clone(), fault))?;
        let section = format!("\n[time_stamp]\nurl = \"{url}\"\nroots = \"{file}\"\nevery_s = {every_s}\n");
        write(&self.config, &(text + &section))
    }
}

/// Name of the gateway in the logs of a stand.
pub const LOG_NAME: &str = "gateway.onechannel.example";

fn config_text(parts: &Parts<'_>) -> Result<String, StandFault> {
    let Ports { channel, ministry, ops } = parts.ports;
    let schemas = fs::canonicalize(parts.schemas).map_err(|fault| StandFault::File(parts.schemas.into(), fault))?;
    let endpoints: String = parts.endpoints.iter().map(|(code, base)| format!("{code} = \"{base}\"\n")).collect();
    let as_app = |url: &str| format!("{url}?options[role]=onechannel_app");
    Ok(format!(
        r#"# Written by the sandbox: throw-away keys, for tests and demonstrations only.
external = "https://localhost:{channel}"
also_known_as = ["127.0.0.1:{channel}"]
log_name = "{LOG_NAME}"
channel_listen = "127.0.0.1:{channel}"
ministry_listen = "127.0.0.1:{ministry}"
ops_listen = "127.0.0.1:{ops}"
schemas = "{schemas}"
partners = "partners"

[database]
channel = "{channel_url}"
vault = "{vault_url}"

[tls]
chain = "pki/gateway.pem"
key = "pki/gateway.key"
client_chain = "pki/gateway-client.pem"
client_key = "pki/gateway-client.key"

[keys]
signing = "pki/gateway-sign.key"
signing_kid = "gateway-sign-1"
encryption = "keys/encryption.key"
encryption_epoch = 1
tokens = "keys/tokens.key"
logs = "keys/logs"

[erasure]
list = "erasures.list"
vault_backup_days = 35

[ministry]
issuer = "{OFFICER_ISSUER}"
audience = "{OFFICER_AUDIENCE}"
keys = {{ officer-1 = "keys/officer-issuer.pub.pem" }}

[delivery]
pause_max_s = 5

[endpoints]
{endpoints}"#,
        schemas = schemas.display(),
        channel_url = as_app(parts.channel),
        vault_url = as_app(parts.vault),
    ))
}

fn partner_codes(partners: &Path) -> Result<Vec<String>, StandFault> {
    let fault = |fault| StandFault::File(partners.to_owned(), fault);
    let mut codes = Vec::new();
    for entry in fs::read_dir(partners).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let text = fs::read_to_string(entry.path().join("party.toml")).unwrap_or_default();
        if text.contains("side = \"partner\"") {
            codes.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    codes.sort();
    Ok(codes)
}

fn write(path: &Path, text: &str) -> Result<(), StandFault> {
    let fault = |fault| StandFault::File(path.to_owned(), fault);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(fault)?;
    }
    fs::write(path, text).map_err(fault)
}
