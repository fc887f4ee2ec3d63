//! Whose certificates we believe: trust anchors and CRLs per party, replaced without restart, asked again per request.
//!
//! It says which party's anchors vouch for a certificate and in which state of revocation. Which *client* of that party
//! it is (issuer and SAN, pinned in the party's folder) is the caller's to decide. It does not fetch CRLs.

use super::handshake::{HandshakeFault, fault_of_webpki};
use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};
use time::{Duration, OffsetDateTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// How long a verdict on a certificate stands before an open connection's next request verifies the chain anew.
/// A replaced store and the certificate's own expiry bite at once; this bounds only the ageing of CRLs and issuers.
const VERDICT_LIFE_S: i64 = 10;
/// Verdicts remembered at most; only certificates that verified get one.
const MOST_VERDICTS: usize = 10_000;

/// What one party is trusted by.
#[derive(Debug, Clone)]
pub struct PartyAnchors {
    /// The party's code.
    pub party: String,
    /// Its root (or pinned issuing) certificates.
    pub roots: Vec<CertificateDer<'static>>,
    /// Its CRLs. None: revocation is not checked. Any: the whole chain must be covered.
    pub crls: Vec<CertificateRevocationListDer<'static>>,
    /// How long past `nextUpdate` a CRL is still taken.
    pub crl_grace: Duration,
    /// Until when two officers let expired CRLs count beyond that.
    pub crl_grace_until: Option<OffsetDateTime>,
}

/// Why new anchors were not taken; the old ones stay in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustFault {
    /// Named twice.
    #[error("party {0} is listed twice")]
    TwiceParty(String),
    /// No root.
    #[error("party {0} has no trust anchor")]
    NoRoot(String),
    /// Position from 0.
    #[error("trust anchor {position} of party {party} is not an X.509 certificate")]
    BadRoot {
        /// The party.
        party: String,
        /// Position from 0.
        position: usize,
    },
    /// One root for two parties: their certificates could not be told apart.
    #[error("parties {0} and {1} share a trust anchor; pin each party's own issuing certificate instead")]
    SharedRoot(String, String),
    /// Position from 0.
    #[error("CRL {position} of party {party} cannot be used: not an X.509 v2 CRL with nextUpdate")]
    BadCrl {
        /// The party.
        party: String,
        /// Position from 0.
        position: usize,
    },
}

/// What is known of a certificate's revocation; it stands in the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationState {
    /// Not on the current CRLs.
    Good {
        /// Age of the oldest CRL that was used, in seconds.
        crl_age_s: i64,
    },
    /// The party has no CRL configured.
    NotChecked,
    /// Not on CRLs of which one is past `nextUpdate`, within the party's grace.
    Grace,
}

/// A client certificate that verified.
#[derive(Debug, Clone)]
pub struct PeerCertificate {
    /// DER, leaf first, as presented.
    pub chain: Arc<[Vec<u8>]>,
    /// SHA-256 of the leaf: `x5t#S256`.
    pub thumbprint_sha256: [u8; 32],
    /// DNS names of the leaf.
    pub dns_sans: Vec<String>,
    /// End of the leaf's validity.
    pub not_after: OffsetDateTime,
    /// Serial number, lower-case hex.
    pub serial: String,
    /// Whose anchors verified it.
    pub party: String,
    /// At the time of the handshake; [`TrustStore::recheck`] answers the state of now.
    pub revocation: RevocationState,
}

impl PeerCertificate {
    /// From the chain of a finished handshake; takes its verdict from the store or verifies again.
    ///
    /// # Errors
    /// [`HandshakeFault`], if the store changed meanwhile.
    pub fn from_chain(
        store: &TrustStore,
        chain: &[CertificateDer<'_>],
        now: OffsetDateTime,
    ) -> Result<Self, HandshakeFault> {
        let (leaf, _) = chain.split_first().ok_or(HandshakeFault::NoneSent)?;
        let thumbprint_sha256 = thumbprint(leaf);
        let owned: Arc<[Vec<u8>]> = chain.iter().map(|one| one.as_ref().to_vec()).collect();
        let verdict = store.verdict(&thumbprint_sha256, &owned, now)?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| HandshakeFault::Other)?;
        let names = EndEntityCert::try_from(leaf).map_err(|_| HandshakeFault::Other)?;
        Ok(Self {
            thumbprint_sha256,
            dns_sans: names.valid_dns_names().map(str::to_ascii_lowercase).collect(),
            not_after: parsed.validity().not_after.to_datetime(),
            serial: hex::encode(parsed.raw_serial()),
            party: verdict.party.to_string(),
            revocation: verdict.revocation,
            chain: owned,
        })
    }
}

fn thumbprint(leaf: &CertificateDer<'_>) -> [u8; 32] {
    let mut print = [0; 32];
    print.copy_from_slice(digest(&SHA256, leaf).as_ref());
    print
}

struct Crl {
    list: CertRevocationList<'static>,
    this_update: i64,
    next_update: i64,
}

struct Party {
    code: Arc<str>,
    roots: Vec<TrustAnchor<'static>>,
    /// Newest first: the library takes the first that speaks for a certificate, and an old one misses revocations.
    crls: Vec<Crl>,
    grace_s: i64,
    grace_until: Option<i64>,
}

impl Crl {
    fn counts(&self, at: i64, grace_s: i64, until: Option<i64>) -> bool {
        at <= self.next_update.saturating_add(grace_s) || until.is_some_and(|until| at <= until)
    }
}

struct Anchors {
    generation: u64,
    parties: Vec<Party>,
}

#[derive(Clone)]
pub(super) struct Verdict {
    generation: u64,
    checked_at: i64,
    leaf_not_after: i64,
    party: Arc<str>,
    revocation: RevocationState,
}

/// The anchors in force and the verdicts reached under them.
pub struct TrustStore {
    anchors: ArcSwap<Anchors>,
    reloading: Mutex<()>,
    verdicts: RwLock<HashMap<[u8; 32], Verdict>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl std::fmt::Debug for TrustStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let anchors = self.anchors.load();
        let parties: Vec<_> = anchors.parties.iter().map(|party| &party.code).collect();
        f.debug_struct("TrustStore")
            .field("generation", &anchors.generation)
            .field("parties", &parties)
            .finish_non_exhaustive()
    }
}

impl TrustStore {
    /// # Errors
    /// [`TrustFault`].
    pub fn new(parties: &[PartyAnchors]) -> Result<Self, TrustFault> {
        Ok(Self {
            anchors: ArcSwap::from_pointee(Anchors { generation: 0, parties: read(parties)? }),
            reloading: Mutex::default(),
            verdicts: RwLock::default(),
            algorithms: rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms,
        })
    }

    /// Puts `parties` in force, for open connections too; answers the new generation.
    ///
    /// # Errors
    /// [`TrustFault`]; then nothing changed.
    pub fn replace(&self, parties: &[PartyAnchors]) -> Result<u64, TrustFault> {
        let parties = read(parties)?;
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.anchors.load().generation + 1;
        self.anchors.store(Arc::new(Anchors { generation, parties }));
        Ok(generation)
    }

    /// The state of an open connection's certificate now; run before each request. A hit costs a hash-map look-up.
    ///
    /// # Errors
    /// [`HandshakeFault`]: revoked, expired, or its party's anchors were taken away since.
    pub fn recheck(&self, peer: &PeerCertificate, now: OffsetDateTime) -> Result<RevocationState, HandshakeFault> {
        let verdict = self.verdict(&peer.thumbprint_sha256, &peer.chain, now)?;
        if *verdict.party != *peer.party {
            return Err(HandshakeFault::UnknownIssuer);
        }
        Ok(verdict.revocation)
    }

    /// The age in seconds of each party's oldest CRL, for the alarm; parties without CRLs are left out.
    pub fn crl_ages(&self, now: OffsetDateTime) -> Vec<(String, i64)> {
        let age = |party: &Party| party.crls.iter().map(|crl| now.unix_timestamp() - crl.this_update).max();
        self.anchors.load().parties.iter().filter_map(|party| Some((party.code.to_string(), age(party)?))).collect()
    }

    pub(super) fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.algorithms
    }

    fn verdict(&self, print: &[u8; 32], chain: &[Vec<u8>], now: OffsetDateTime) -> Result<Verdict, HandshakeFault> {
        let at = now.unix_timestamp();
        let generation = self.anchors.load().generation;
        let known = self.verdicts.read().unwrap_or_else(PoisonError::into_inner).get(print).cloned();
        if let Some(verdict) = known
            && verdict.generation == generation
            && (verdict.checked_at..verdict.checked_at.saturating_add(VERDICT_LIFE_S)).contains(&at)
            && at <= verdict.leaf_not_after
        {
            return Ok(verdict);
        }
        let chain: Vec<CertificateDer<'_>> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let (leaf, intermediates) = chain.split_first().ok_or(HandshakeFault::NoneSent)?;
        self.judge(leaf, intermediates, at).map_err(|error| fault_of_webpki(&error))
    }

    /// Verifies a chain in full and remembers the verdict. A handshake always comes here.
    pub(super) fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        at: i64,
    ) -> Result<Verdict, webpki::Error> {
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| webpki::Error::BadDer)?;
        let anchors = self.anchors.load_full();
        let mut found: Option<(Arc<str>, RevocationState)> = None;
        let mut worst = webpki::Error::UnknownIssuer;
        for party in &anchors.parties {
            match party.verify(&self.algorithms, leaf, intermediates, at) {
                Ok(state) if found.is_none() => found = Some((Arc::clone(&party.code), state)),
                // Cross-signed roots may let two parties vouch: then nobody can say whose it is.
                Ok(_) => return Err(webpki::Error::UnknownIssuer),
                Err(webpki::Error::CertRevoked) => return Err(webpki::Error::CertRevoked),
                Err(webpki::Error::UnknownIssuer) => {}
                Err(error) => worst = error,
            }
        }
        let (party, revocation) = found.ok_or(worst)?;
        // The library takes a certificate without any EKU for every use; we want clientAuth to be said.
        let says_client = parsed.extended_key_usage().ok().flatten().is_some_and(|eku| eku.value.client_auth);
        if !says_client {
            return Err(wrong_usage());
        }
        let verdict = Verdict {
            generation: anchors.generation,
            checked_at: at,
            leaf_not_after: parsed.validity().not_after.timestamp(),
            party,
            revocation,
        };
        let mut verdicts = self.verdicts.write().unwrap_or_else(PoisonError::into_inner);
        if verdicts.len() >= MOST_VERDICTS {
            verdicts.clear();
        }
        verdicts.insert(thumbprint(leaf), verdict.clone());
        Ok(verdict)
    }
}

#[expect(deprecated, reason = "the variant with context needs lists that we do not have")]
fn wrong_usage() -> webpki::Error {
    webpki::Error::RequiredEkuNotFound
}

impl Party {
    fn verify(
        &self,
        algorithms: &WebPkiSupportedAlgorithms,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        at: i64,
    ) -> Result<RevocationState, webpki::Error> {
        let run = |policy, usable: &dyn Fn(&Crl) -> bool| {
            let lists: Vec<_> = self.crls.iter().filter(|crl| usable(crl)).map(|crl| &crl.list).collect();
            self.run(algorithms, leaf, intermediates, at, &lists, policy)
        };
        if self.crls.is_empty() {
            return run(ExpirationPolicy::Ignore, &|_| true).map(|_| RevocationState::NotChecked);
        }
        match run(ExpirationPolicy::Enforce, &|_| true) {
            Ok(crl_age_s) => return Ok(RevocationState::Good { crl_age_s }),
            Err(webpki::Error::CrlExpired { .. }) => {}
            Err(error) => return Err(error),
        }
        // An expired CRL still says who was revoked, however old it is ...
        run(ExpirationPolicy::Ignore, &|_| true)?;
        // ... but says who is good only within the grace.
        match run(ExpirationPolicy::Ignore, &|crl| crl.counts(at, self.grace_s, self.grace_until)) {
            Ok(_) => Ok(RevocationState::Grace),
            Err(_) => Err(webpki::Error::CrlExpired { time: unix(at), next_update: unix(self.oldest_next_update()) }),
        }
    }

    fn oldest_next_update(&self) -> i64 {
        self.crls.iter().map(|crl| crl.next_update).min().unwrap_or(0)
    }

    /// One run of the library; answers the age of the oldest CRL that the path needed.
    fn run(
        &self,
        algorithms: &WebPkiSupportedAlgorithms,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        at: i64,
        lists: &[&CertRevocationList<'_>],
        policy: ExpirationPolicy,
    ) -> Result<i64, webpki::Error> {
        let leaf = EndEntityCert::try_from(leaf)?;
        let revocation = match RevocationOptionsBuilder::new(lists) {
            Ok(options) => Some(
                options
                    .with_depth(RevocationCheckDepth::Chain)
                    .with_status_policy(UnknownStatusPolicy::Deny)
                    .with_expiration_policy(policy)
                    .build(),
            ),
            Err(_) if self.crls.is_empty() => None,
            Err(_) => return Err(webpki::Error::UnknownRevocationStatus),
        };
        let usage = KeyUsage::client_auth();
        let path =
            leaf.verify_for_usage(algorithms.all, &self.roots, intermediates, unix(at), usage, revocation, None)?;
        Ok(self.age_of_path(&path, at))
    }

    fn age_of_path(&self, path: &VerifiedPath<'_>, at: i64) -> i64 {
        let mut oldest = at;
        let leaf: &webpki::Cert<'_> = path.end_entity();
        for issuer in std::iter::once(leaf.issuer()).chain(path.intermediate_certificates().map(|cert| cert.issuer())) {
            let newest = self.crls.iter().find(|crl| crl.list.issuer() == issuer);
            oldest = oldest.min(newest.map_or(at, |crl| crl.this_update));
        }
        at - oldest
    }
}

fn unix(at: i64) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(at).unwrap_or(0)))
}

fn read(parties: &[PartyAnchors]) -> Result<Vec<Party>, TrustFault> {
    let mut owners: HashMap<Vec<u8>, &str> = HashMap::new();
    let mut seen: Vec<Party> = Vec::with_capacity(parties.len());
    for given in parties {
        if seen.iter().any(|party| *party.code == *given.party) {
            return Err(TrustFault::TwiceParty(given.party.clone()));
        }
        if given.roots.is_empty() {
            return Err(TrustFault::NoRoot(given.party.clone()));
        }
        let mut roots = Vec::with_capacity(given.roots.len());
        for (position, der) in given.roots.iter().enumerate() {
            let bad = || TrustFault::BadRoot { party: given.party.clone(), position };
            let anchor = webpki::anchor_from_trusted_cert(der).map_err(|_| bad())?.to_owned();
            // The key, not the certificate: a root re-issued under the same key is the same authority.
            if let Some(other) = owners.insert(anchor.subject_public_key_info.to_vec(), &given.party)
                && other != given.party
            {
                return Err(TrustFault::SharedRoot(other.to_owned(), given.party.clone()));
            }
            roots.push(anchor);
        }
        let mut crls = Vec::with_capacity(given.crls.len());
        for (position, der) in given.crls.iter().enumerate() {
            let bad = || TrustFault::BadCrl { party: given.party.clone(), position };
            crls.push(read_crl(der).ok_or_else(bad)?);
        }
        crls.sort_by_key(|crl| std::cmp::Reverse(crl.this_update));
        seen.push(Party {
            code: given.party.as_str().into(),
            roots,
            crls,
            grace_s: given.crl_grace.whole_seconds(),
            grace_until: given.crl_grace_until.map(OffsetDateTime::unix_timestamp),
        });
    }
    Ok(seen)
}

fn read_crl(der: &CertificateRevocationListDer<'_>) -> Option<Crl> {
    let list = OwnedCertRevocationList::from_der(der).ok()?.into();
    let (_, parsed) = CertificateRevocationList::from_der(der).ok()?;
    Some(Crl { list, this_update: parsed.last_update().timestamp(), next_update: parsed.next_update()?.timestamp() })
}
