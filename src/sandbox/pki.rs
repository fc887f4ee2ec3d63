//! A throw-away PKI: an authority per government, server and client certificates, signing keys apart from them.
//!
//! Everything is written below one folder, with a copy of `partners/` that trusts it. Never for real use: the keys of all
//! governments lie on one disk.

use crate::ledger::{cosignature::Cosigner, note::NoteSigner};
use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};
use time::{Duration, OffsetDateTime};

/// Why it could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiFault {
    /// A file.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// A certificate.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The folder `partners/`.
    #[error("{0}")]
    Parties(String),
}

/// Where a client's credentials lie.
#[derive(Debug, Clone)]
pub struct ClientFiles {
    /// Client id.
    pub client_id: String,
    /// Party.
    pub party: String,
    /// Authorities it may speak for.
    pub authorities: Vec<String>,
    /// Certificate.
    pub client_cert: PathBuf,
    /// Its key.
    pub client_key: PathBuf,
    /// Signing key.
    pub signing_key: PathBuf,
    /// Its id.
    pub key_id: String,
}

/// Where a witness's keys lie.
#[derive(Debug, Clone)]
pub struct WitnessFiles {
    /// Seed of its Ed25519 key.
    pub seed: PathBuf,
    /// Its verifier key.
    pub public: PathBuf,
    /// Seed and verifier key by ML-DSA-44, where it has one.
    pub ml_dsa: Option<(PathBuf, PathBuf)>,
}

/// Where everything lies.
#[derive(Debug, Clone)]
pub struct Pki {
    /// The copy of `partners/`.
    pub partners: PathBuf,
    /// Root of the gateway's server certificate.
    pub ca: PathBuf,
    /// The gateway's server certificate and key.
    pub server: (PathBuf, PathBuf),
    /// The gateway's own client certificate and key.
    pub own_client: (PathBuf, PathBuf),
    /// The gateway's signing key.
    pub signing: PathBuf,
    /// Every client, by id.
    pub clients: BTreeMap<String, ClientFiles>,
    /// Server certificate, key and answer-signing key of each partner's mock.
    pub mocks: BTreeMap<String, (PathBuf, PathBuf, PathBuf)>,
    /// The keys of each partner's witness.
    pub witnesses: BTreeMap<String, WitnessFiles>,
    /// Seed and verifier key of each partner's own log.
    pub logs: BTreeMap<String, (PathBuf, PathBuf)>,
    /// The public keys of the gateway's own logs and witness, where a gateway has written them.
    pub log_keys: PathBuf,
}

#[derive(serde::Deserialize)]
struct Profile {
    code: String,
    side: String,
    client: Vec<crate::partner::profile::Client>,
    outbound: Option<Outbound>,
    witness: Option<crate::partner::profile::Witness>,
    #[serde(default)]
    log: Vec<crate::partner::profile::Log>,
}

#[derive(serde::Deserialize)]
struct Outbound {
    base: String,
    #[serde(default)]
    answer_key: Vec<crate::partner::profile::Key>,
}

/// Makes it below `folder`, for the parties of `partners`, valid for a month from `now`.
///
/// # Errors
/// [`PkiFault`].
pub fn make(folder: &Path, partners: &Path, now: OffsetDateTime) -> Result<Pki, PkiFault> {
    copy_folder(partners, &folder.join("partners"))?;
    let maker = Maker { now };
    let made = open(folder)?;
    let authority = maker.authority("throw-away gateway CA")?;
    let local = ["localhost", "127.0.0.1"];
    maker.leaf(&authority, &local, ExtendedKeyUsagePurpose::ServerAuth, &made.server)?;
    maker.leaf(&authority, &["gateway.onechannel.example"], ExtendedKeyUsagePurpose::ClientAuth, &made.own_client)?;
    let signing = ed25519()?;
    write(&made.signing, &signing.serialize_pem())?;
    write(&made.signing.with_extension("pub.pem"), &signing.public_key_pem())?;
    for (party, profile) in profiles(&made.partners)? {
        maker.party(&party, profile, &made)?;
    }
    // The last file: by it [`open_or_make`] knows that nothing is missing.
    write(&made.ca, &authority.pem())?;
    Ok(made)
}

/// What [`make`] made below `folder`, or what lies there in the same order: its paths, not whether each file is there.
///
/// # Errors
/// [`PkiFault::Parties`].
pub fn open(folder: &Path) -> Result<Pki, PkiFault> {
    let pki = folder.join("pki");
    let mut found = Pki {
        partners: folder.join("partners"),
        ca: pki.join("gateway-ca.pem"),
        server: (pki.join("gateway.pem"), pki.join("gateway.key")),
        own_client: (pki.join("gateway-client.pem"), pki.join("gateway-client.key")),
        signing: pki.join("gateway-sign.key"),
        clients: BTreeMap::new(),
        mocks: BTreeMap::new(),
        witnesses: BTreeMap::new(),
        logs: BTreeMap::new(),
        log_keys: folder.join("logs.keys"),
    };
    for (party, profile) in profiles(&found.partners)? {
        let seed = |of: &str| pki.join(format!("{}-{of}.seed", profile.code));
        if let Some(witness) = &profile.witness {
            let ml_dsa = witness.ml_dsa_key.as_ref().map(|file| (seed("witness-ml-dsa"), party.join(file)));
            let files = WitnessFiles { seed: seed("witness"), public: party.join(&witness.file), ml_dsa };
            found.witnesses.insert(profile.code.clone(), files);
        }
        if let Some(log) = profile.log.first() {
            found.logs.insert(profile.code.clone(), (seed("log"), party.join(&log.file)));
        }
        for client in profile.client {
            let Some(first) = client.key.first() else { continue };
            let file = |end: &str| pki.join(format!("{}{end}", client.id));
            let files = ClientFiles {
                client_id: client.id.clone(),
                party: profile.code.clone(),
                authorities: client.authorities,
                client_cert: file(".pem"),
                client_key: file(".key"),
                signing_key: file("-sign.key"),
                key_id: first.kid.clone(),
            };
            found.clients.insert(client.id, files);
        }
        if profile.outbound.is_some() {
            let file = |end: &str| pki.join(format!("{}-mock{end}", profile.code));
            found.mocks.insert(profile.code.clone(), (file(".pem"), file(".key"), file("-answer.key")));
        }
    }
    Ok(found)
}

/// [`open`], where a gateway's certificate lies below `folder` already, with the parties as they are in `partners` now but for
/// what they trust; else [`make`].
///
/// # Errors
/// [`PkiFault`].
pub fn open_or_make(folder: &Path, partners: &Path, now: OffsetDateTime) -> Result<Pki, PkiFault> {
    // Both mocks may start at the same moment: one makes the credentials, the other waits for them.
    let lock = folder.join(".lock");
    let file = fs::create_dir_all(folder).and_then(|()| fs::File::create(&lock));
    let locked = file.and_then(|file| file.lock().map(|()| file));
    let _locked = locked.map_err(|fault| PkiFault::File(lock, fault))?;
    if !folder.join("pki/gateway-ca.pem").is_file() {
        return make(folder, partners, now);
    }
    for (party, _) in profiles(partners)? {
        let copy = folder.join("partners").join(party.file_name().unwrap_or_default());
        if !copy.join("trust").is_dir() {
            return Err(PkiFault::Parties(format!(
                "{} has no credentials in {}: they were made for the parties that were there then; name another folder, or remove \
                 this one",
                party.display(),
                folder.display()
            )));
        }
        let fault = |fault| PkiFault::File(copy.clone(), fault);
        for entry in fs::read_dir(&copy).into_iter().flatten() {
            let old = entry.map_err(fault)?.path();
            if old.is_dir() && !old.ends_with("trust") {
                fs::remove_dir_all(&old).map_err(fault)?;
            }
        }
        for entry in fs::read_dir(&party).map_err(fault)? {
            let new = entry.map_err(fault)?.path();
            let to = copy.join(new.file_name().unwrap_or_default());
            if new.is_dir() && !new.ends_with("trust") {
                copy_folder(&new, &to)?;
            } else if new.is_file() {
                fs::create_dir_all(&copy).and_then(|()| fs::copy(&new, to)).map_err(fault)?;
            }
        }
    }
    open(folder)
}

/// Certificate and key of a mock whose validity ended yesterday.
pub(super) fn expired(certificate: &Path) -> (PathBuf, PathBuf) {
    (certificate.with_extension("expired.pem"), certificate.with_extension("expired.key"))
}

fn profiles(partners: &Path) -> Result<Vec<(PathBuf, Profile)>, PkiFault> {
    let fault = |fault| PkiFault::File(partners.to_owned(), fault);
    let mut found = Vec::new();
    for entry in fs::read_dir(partners).map_err(fault)? {
        let party = entry.map_err(fault)?.path();
        if party.join("party.toml").is_file() {
            let profile = crate::partner::read_toml(&party.join("party.toml"));
            found.push((party, profile.map_err(|fault| PkiFault::Parties(fault.to_string()))?));
        }
    }
    Ok(found)
}

struct Maker {
    now: OffsetDateTime,
}

impl Maker {
    fn party(&self, folder: &Path, profile: Profile, made: &Pki) -> Result<(), PkiFault> {
        let authority = self.authority(&format!("throw-away {} CA", profile.code))?;
        write(&folder.join("trust/ca.pem"), &authority.pem())?;
        for client in profile.client {
            let (Some(files), Some(first)) = (made.clients.get(&client.id), client.key.first()) else { continue };
            let pair = (files.client_cert.clone(), files.client_key.clone());
            self.leaf(&authority, &[&client.san], ExtendedKeyUsagePurpose::ClientAuth, &pair)?;
            signing_key(&files.signing_key, &folder.join(&first.file), profile.side == "home")?;
        }
        if let Some(files) = made.witnesses.get(&profile.code) {
            let name = format!("witness.{}.example/w1", profile.code);
            let mut witness = Cosigner::new(&name, ed25519_of(&new_seed(&files.seed)?)?);
            let mut publics = vec![&files.public];
            if let Some((seed, public)) = &files.ml_dsa {
                witness = witness.with_ml_dsa(&new_seed(seed)?).ok_or(rcgen::Error::RingUnspecified)?;
                publics.push(public);
            }
            for (public, key) in publics.into_iter().zip(witness.verifiers()) {
                write(public, &format!("{key}\n"))?;
            }
        }
        if let Some((seed, public)) = made.logs.get(&profile.code) {
            let key = ed25519_of(&new_seed(seed)?)?;
            let log = NoteSigner::new(&format!("log.{}.example/test/channel", profile.code), key);
            write(public, &format!("{}\n", log.verifier()))?;
        }
        let (Some(outbound), Some((certificate, key, sign))) = (profile.outbound, made.mocks.get(&profile.code)) else {
            return Ok(());
        };
        let host = outbound.base.trim_start_matches("https://").to_owned();
        let names = [host.as_str(), "localhost", "127.0.0.1"];
        let pair = (certificate.clone(), key.clone());
        self.leaf(&authority, &names, ExtendedKeyUsagePurpose::ServerAuth, &pair)?;
        let past = Self { now: self.now - Duration::days(31) };
        past.leaf(&authority, &names, ExtendedKeyUsagePurpose::ServerAuth, &expired(certificate))?;
        let public = outbound.answer_key.first().map(|key| folder.join(&key.file));
        signing_key(sign, &public.unwrap_or_else(|| sign.with_extension("pub.pem")), false)
    }

    fn params(&self, names: &[&str]) -> Result<CertificateParams, PkiFault> {
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>())?;
        params.not_before = self.now - Duration::hours(1);
        params.not_after = self.now + Duration::days(30);
        Ok(params)
    }

    fn authority(&self, name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, PkiFault> {
        let mut params = self.params(&[])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
    }

    fn leaf(
        &self,
        authority: &CertifiedIssuer<'static, KeyPair>,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
        (certificate, key): &(PathBuf, PathBuf),
    ) -> Result<(), PkiFault> {
        let mut params = self.params(names)?;
        if let Some(name) = names.first() {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let pair = KeyPair::generate()?;
        write(certificate, &params.signed_by(&pair, authority)?.pem())?;
        write(key, &pair.serialize_pem())
    }
}

/// An Ed25519 key in PKCS#8 version 1: version 2, which holds the public key too, is not read by every OpenSSL.
pub(super) fn ed25519() -> Result<KeyPair, rcgen::Error> {
    let random = aws_lc_rs::rand::SystemRandom::new();
    let key = Ed25519KeyPair::generate_pkcs8v1(&random).map_err(|_| rcgen::Error::RingUnspecified)?;
    KeyPair::try_from(key.as_ref())
}

/// A new key of a ledger, its seed written as 64 hex digits.
fn new_seed(path: &Path) -> Result<[u8; 32], PkiFault> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).map_err(|_| rcgen::Error::RingUnspecified)?;
    write(path, &hex::encode(seed))?;
    Ok(seed)
}

fn ed25519_of(seed: &[u8; 32]) -> Result<Ed25519KeyPair, PkiFault> {
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| rcgen::Error::RingUnspecified.into())
}

/// A signing key: Ed25519 or, since many systems have no Ed25519, ES256.
fn signing_key(private: &Path, public: &Path, ed25519: bool) -> Result<(), PkiFault> {
    let pair = if ed25519 { self::ed25519()? } else { KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)? };
    write(private, &pair.serialize_pem())?;
    write(public, &pair.public_key_pem())
}

fn write(path: &Path, text: &str) -> Result<(), PkiFault> {
    let fault = |fault| PkiFault::File(path.to_owned(), fault);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(fault)?;
    }
    fs::write(path, text).map_err(fault)
}

/// Copies a folder with everything in it over what is there.
pub(super) fn copy_folder(from: &Path, to: &Path) -> Result<(), PkiFault> {
    let fault = |fault| PkiFault::File(from.to_owned(), fault);
    fs::create_dir_all(to).map_err(fault)?;
    for entry in fs::read_dir(from).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name)).map_err(fault)?;
        }
    }
    Ok(())
}
