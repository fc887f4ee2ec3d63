//! The configuration file of `onechannel serve`: TOML, unknown keys refused, units in names, secrets by path.

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fmt::Display,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The whole file. Relative paths are relative to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Our address as callers write it, `https://host:port`: issuer and audience of tokens.
    pub external: String,
    /// Other `host:port` under which callers may address us.
    #[serde(default)]
    pub also_known_as: Vec<String>,
    /// Name of the gateway in log origins.
    pub log_name: String,
    /// Where the channel port listens.
    pub channel_listen: SocketAddr,
    /// Where the ministry port listens.
    pub ministry_listen: SocketAddr,
    /// Where the operations port listens: loopback.
    pub ops_listen: SocketAddr,
    /// The folder of schemas.
    pub schemas: PathBuf,
    /// The folder of parties.
    pub partners: PathBuf,
    /// Databases.
    pub database: Database,
    /// Certificates.
    pub tls: Tls,
    /// Keys.
    pub keys: Keys,
    /// Addresses of partners' systems that differ from their profiles.
    #[serde(default)]
    pub endpoints: BTreeMap<String, String>,
    /// Erasing people.
    pub erasure: Erasure,
    /// Officers.
    pub ministry: Ministry,
    /// Delivery.
    #[serde(default)]
    pub delivery: Delivery,
    /// Bounds of the channel port.
    #[serde(default)]
    pub limits: Limits,
    /// Who time-stamps checkpoints; nobody where absent.
    pub time_stamp: Option<TimeStamp>,
}

/// Bounds of the channel port.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at the same moment.
    pub connections: usize,
    /// A TLS handshake must end within this.
    pub handshake_s: u32,
    /// A body must arrive within this.
    pub body_s: u32,
    /// Requests a second of one client.
    pub requests_per_s: std::num::NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        let requests_per_s = std::num::NonZeroU32::new(50_000).expect("it is not zero");
        Self { connections: 2_048, handshake_s: 10, body_s: 20, requests_per_s }
    }
}

/// Databases.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `postgres://` of the channel database, as a member of `onechannel_app`.
    pub channel: String,
    /// `postgres://` of the vault database.
    pub vault: String,
    /// Connections to each.
    #[serde(default = "connections")]
    pub connections: u32,
}

fn connections() -> u32 {
    8
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Database(..)")
    }
}

/// Certificates, PEM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Server certificate chain.
    pub chain: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Client certificate chain for calls to partners.
    pub client_chain: PathBuf,
    /// Its key.
    pub client_key: PathBuf,
}

/// Keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Message-signing key, PKCS#8 PEM.
    pub signing: PathBuf,
    /// Its key id.
    pub signing_kid: String,
    /// Key-encryption key of the vault: 64 hex digits.
    pub encryption: PathBuf,
    /// Its epoch.
    pub encryption_epoch: i32,
    /// Key-encryption keys of other epochs, by number, while a key of the vault is wrapped under them.
    #[serde(default)]
    pub encryption_others: BTreeMap<String, PathBuf>,
    /// Key of blind tokens: 64 hex digits.
    pub tokens: PathBuf,
    /// A folder with one Ed25519 seed for each log, `<corridor>.seed`, and `witness.seed` for cosignatures: 64 hex digits.
    /// Beside them may lie `witness-ml-dsa.seed`, 64 hex digits too: then the gateway cosigns by ML-DSA-44 as well.
    pub logs: PathBuf,
}

impl Keys {
    /// Where the seed of our ML-DSA-44 key lies, if there is one.
    pub fn ml_dsa_seed(&self) -> PathBuf {
        self.logs.join("witness-ml-dsa.seed")
    }
}

/// Erasing people.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// The list of erasures: a file outside of both databases and of their backups, which no restore takes back.
    pub list: PathBuf,
    /// Days for which a backup of the vault is kept: for so long it could bring a destroyed key back.
    pub vault_backup_days: u32,
}

/// Officers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ministry {
    /// Issuer of officers' tokens.
    pub issuer: String,
    /// Audience that they must carry.
    pub audience: String,
    /// The issuer's public keys, PEM by key id.
    pub keys: BTreeMap<String, PathBuf>,
}

/// Delivery to partners.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Delivery {
    /// A lease ends after this.
    pub lease_s: u32,
    /// Longest pause between two tries.
    pub pause_max_s: u32,
    /// A message is parked when it could not be delivered for this long.
    pub park_after_s: u32,
    /// Messages under way to one party at the same moment.
    pub parallel: u32,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { lease_s: 60, pause_max_s: 300, park_after_s: 3 * 24 * 3_600, parallel: 16 }
    }
}

/// A time-stamp authority (RFC 3161).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeStamp {
    /// Where it is asked: `http://` or `https://`.
    pub url: String,
    /// Roots, PEM, of which one must vouch for whoever signs its tokens.
    pub roots: PathBuf,
    /// Roots, PEM, of which one must vouch for its server; `roots` where absent.
    pub tls_roots: Option<PathBuf>,
    /// Object identifier of the policy that is asked for; the authority's own default where absent.
    pub policy: Option<String>,
    /// A checkpoint waits for its time-stamp no longer than this: one token covers all of a log in it.
    #[serde(default = "batch")]
    pub every_s: u32,
}

fn batch() -> u32 {
    600
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// A sentence that names file, line and key.
    pub fn read(file: &Path) -> Result<Self, String> {
        let unread = |fault| format!("cannot read {}: {fault} (--config names the file)", file.display());
        let text = fs::read_to_string(file).map_err(unread)?;
        let mut config: Self = toml::from_str(&text).map_err(|fault| format!("{}: {fault}", file.display()))?;
        let base = file.parent().unwrap_or(Path::new(".")).to_owned();
        let Tls { chain, key, client_chain, client_key } = &mut config.tls;
        let Keys { signing, encryption, encryption_others, tokens, logs, .. } = &mut config.keys;
        let paths = [&mut config.schemas, &mut config.partners, chain, key, client_chain, client_key, signing];
        let paths = paths.into_iter().chain([encryption, tokens, logs]).chain(config.ministry.keys.values_mut());
        let paths = paths.chain(encryption_others.values_mut()).chain([&mut config.erasure.list]);
        let stamping =
            config.time_stamp.iter_mut().flat_map(|one| [&mut one.roots].into_iter().chain(&mut one.tls_roots));
        let paths = paths.chain(stamping);
        paths.for_each(|path| *path = base.join(&*path));
        Ok(config)
    }
}

/// A certificate chain and its key.
///
/// # Errors
/// A sentence that names the file.
pub fn pair(chain: &Path, key: &Path) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let named = |path: &Path, fault: &dyn Display| format!("{}: {fault}", path.display());
    let certificates = CertificateDer::pem_file_iter(chain).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|fault| named(chain, &fault))?;
    Ok((certificates, PrivateKeyDer::from_pem_file(key).map_err(|fault| named(key, &fault))?))
}

/// A key of 32 bytes from a file of 64 hex digits.
///
/// # Errors
/// A sentence that names the file, never its content.
pub fn hex_key(path: &Path) -> Result<[u8; 32], String> {
    let text = fs::read_to_string(path).map_err(|fault| format!("{}: {fault}", path.display()))?;
    let bytes = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| format!("{}: not 64 hex digits", path.display()))
}
