//! A throw-away PKI: an authority per government, server and client certificates, signing keys apart from them.
//!
//! Everything is written below one folder, with a copy of `partners/` that trusts it. Never for real use: the keys of all
//! governments lie on one disk.

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
}

#[derive(serde::Deserialize)]
struct Profile {
    code: String,
    side: String,
    client: Vec<crate::partner::profile::Client>,
    outbound: Option<Outbound>,
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
    let copy = folder.join("partners");
    copy_folder(partners, &copy)?;
    let pki = folder.join("pki");
    let maker = Maker { now };
    let mut made = Pki {
        partners: copy.clone(),
        ca: pki.join("gateway-ca.pem"),
        server: (pki.join("gateway.pem"), pki.join("gateway.key")),
        own_client: (pki.join("gateway-client.pem"), pki.join("gateway-client.key")),
        signing: pki.join("gateway-sign.key"),
        clients: BTreeMap::new(),
        mocks: BTreeMap::new(),
    };
    let authority = maker.authority("throw-away gateway CA")?;
    write(&made.ca, &authority.pem())?;
    let local = ["localhost", "127.0.0.1"];
    maker.leaf(&authority, &local, ExtendedKeyUsagePurpose::ServerAuth, &made.server)?;
    maker.leaf(&authority, &["gateway.onechannel.example"], ExtendedKeyUsagePurpose::ClientAuth, &made.own_client)?;
    let signing = ed25519()?;
    write(&made.signing, &signing.serialize_pem())?;
    write(&pki.join("gateway-sign.pub.pem"), &signing.public_key_pem())?;
    for entry in fs::read_dir(&copy).map_err(|fault| PkiFault::File(copy.clone(), fault))? {
        let party = entry.map_err(|fault| PkiFault::File(copy.clone(), fault))?.path();
        if !party.join("party.toml").is_file() {
            continue;
        }
        let profile: Profile = crate::partner::read_toml(&party.join("party.toml"))
            .map_err(|fault| PkiFault::Parties(fault.to_string()))?;
        maker.party(&pki, &party, profile, &mut made)?;
    }
    Ok(made)
}

struct Maker {
    now: OffsetDateTime,
}

impl Maker {
    fn party(&self, pki: &Path, folder: &Path, profile: Profile, made: &mut Pki) -> Result<(), PkiFault> {
        let authority = self.authority(&format!("throw-away {} CA", profile.code))?;
        write(&folder.join("trust/ca.pem"), &authority.pem())?;
        for client in profile.client {
            let file = |end: &str| pki.join(format!("{}{end}", client.id));
            let (certificate, key, sign) = (file(".pem"), file(".key"), file("-sign.key"));
            let pair = (certificate.clone(), key.clone());
            self.leaf(&authority, &[&client.san], ExtendedKeyUsagePurpose::ClientAuth, &pair)?;
            let Some(first) = client.key.first() else { continue };
            signing_key(&sign, &folder.join(&first.file), profile.side == "home")?;
            made.clients.insert(
                client.id.clone(),
                ClientFiles {
                    client_id: client.id,
                    party: profile.code.clone(),
                    authorities: client.authorities,
                    client_cert: certificate,
                    client_key: key,
                    signing_key: sign,
                    key_id: first.kid.clone(),
                },
            );
        }
        let Some(outbound) = profile.outbound else { return Ok(()) };
        let host = outbound.base.trim_start_matches("https://").to_owned();
        let file = |end: &str| pki.join(format!("{}-mock{end}", profile.code));
        let pair = (file(".pem"), file(".key"));
        self.leaf(&authority, &[&host, "localhost", "127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth, &pair)?;
        let sign = file("-answer.key");
        let public = outbound.answer_key.first().map(|key| folder.join(&key.file));
        signing_key(&sign, &public.unwrap_or_else(|| file("-answer.pub.pem")), false)?;
        made.mocks.insert(profile.code, (pair.0, pair.1, sign));
        Ok(())
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

fn copy_folder(from: &Path, to: &Path) -> Result<(), PkiFault> {
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
