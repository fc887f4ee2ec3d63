//! A mock of the gateway for a party's integrator: the channel port with the real TLS, token, signature, mapping and schema checks
//! and real receipts, without a database.
//!
//! It forgets everything when it ends, folds no states, links no placements and delivers nothing twice: it says whether a message
//! would be taken, not what would become of it.

pub mod admin;
mod book;
mod caller;
mod channel;
mod page;
mod relay;

use super::{mock::listener::Tls, pki::Pki};
use crate::{
    app::system::{SystemClock, SystemRandom},
    client,
    domain::clock::{Clock, Random, uuid_v7},
    ledger::note::{NoteSigner, VerifierKey},
    message::problem::{Problem, ProblemKind},
    partner::{Parties, Party, formats::Formats},
    schema::Schemas,
    trust::{
        anchors::{PartyAnchors, TrustStore},
        handshake,
        keys::SigningKey,
        tls,
        token::{TokenCache, TokenIssuer, TokenVerifier},
    },
};
use aws_lc_rs::signature::Ed25519KeyPair;
use axum::{Router, extract::connect_info::Connected, serve::IncomingStream};
use book::{Arrival, Book};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Display,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use time::OffsetDateTime;
use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

/// Verified tokens remembered.
const TOKENS_REMEMBERED: usize = 1_000;
/// Name of its logs.
const LOG_NAME: &str = "mock-gateway.onechannel.example/test";

/// See the module.
pub struct MockGateway {
    schemas: Schemas,
    examples: PathBuf,
    parties: Parties,
    formats: HashMap<String, Formats>,
    trust: Arc<TrustStore>,
    signing: Arc<SigningKey>,
    issuer: TokenIssuer,
    verifier: TokenVerifier,
    name: String,
    authorities: Vec<String>,
    own_client: (PathBuf, PathBuf),
    endpoints: BTreeMap<String, String>,
    book: Mutex<Book>,
    logs: Vec<VerifierKey>,
}

impl MockGateway {
    /// Starts one on `listener` with the credentials and parties of `pki`; `endpoints` are addresses of partners' systems to which
    /// triggered messages are pushed, by code. It ends when `stop` changes.
    ///
    /// # Errors
    /// A sentence.
    pub fn start(
        pki: &Pki,
        schemas: &Path,
        endpoints: BTreeMap<String, String>,
        listener: TcpListener,
        stop: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, String> {
        let loaded = Schemas::load(schemas).map_err(|faults| lines(&faults))?;
        let parties = Parties::load(&pki.partners).map_err(|faults| lines(&faults))?;
        let mut formats = HashMap::new();
        for party in parties.all() {
            formats.insert(party.code().to_owned(), Formats::load(party, &loaded).map_err(|faults| lines(&faults))?);
        }
        let anchors = parties.all().map(|party| anchors(party)).collect::<Result<Vec<_>, String>>()?;
        let trust = Arc::new(TrustStore::new(&anchors).map_err(|fault| fault.to_string())?);
        let pem = std::fs::read(&pki.signing).map_err(|fault| named(&pki.signing, &fault))?;
        let signing =
            SigningKey::from_pkcs8_pem(Some("gateway-sign-1"), &pem).map_err(|fault| named(&pki.signing, &fault))?;
        let signing = Arc::new(signing);
        let port = listener.local_addr().map_err(|fault| fault.to_string())?.port();
        let name = format!("https://localhost:{port}");
        let signers: HashMap<String, NoteSigner> =
            parties.partners.keys().map(|code| Ok((code.clone(), log_signer(code)?))).collect::<Result<_, String>>()?;
        let own_keys = vec![Arc::new(signing.verifying_key().clone())];
        let gateway = Arc::new(Self {
            examples: schemas.join("examples/valid"),
            schemas: loaded,
            formats,
            trust: trust.clone(),
            issuer: TokenIssuer::new(signing.clone(), &name, &name),
            verifier: TokenVerifier::new(own_keys, &name, &name, TokenCache::new(TOKENS_REMEMBERED)),
            signing,
            name,
            authorities: vec![format!("localhost:{port}"), format!("127.0.0.1:{port}")],
            own_client: pki.own_client.clone(),
            endpoints,
            logs: signers.values().map(|signer| signer.verifier().clone()).collect(),
            book: Mutex::new(Book::new(signers)),
            parties,
        });
        let (chain, key) = pair(&pki.server)?;
        let tls = tls::server_config(trust, chain, key, Arc::new(SystemClock)).map_err(|fault| fault.to_string())?;
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let noting = gateway.clone();
        let failed = move |fault: &std::io::Error| {
            let reason = handshake::cause_of_io(fault).reason();
            noting.note(Arrival::of("a connection", None, 0, Some("handshake"), Some(reason), Vec::new()));
        };
        let listener = Tls::new(listener, move || acceptor.clone(), failed).map_err(|fault| fault.to_string())?;
        let routes = Router::new().fallback(channel::answer).with_state(gateway.clone());
        let service = routes.into_make_service_with_connect_info::<Peer>();
        tokio::spawn(async move {
            let mut stop = stop;
            let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
            tokio::select! {
                _ = axum::serve(listener, service) => {}
                () = stopped => {}
            }
        });
        Ok(gateway)
    }

    /// Its address: issuer and audience of its tokens.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Public keys of its logs, one a corridor.
    pub fn log_keys(&self) -> &[VerifierKey] {
        &self.logs
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, arrival: Arrival) {
        self.book().note(arrival);
    }

    fn now(&self) -> OffsetDateTime {
        SystemClock.now()
    }

    fn random(&self) -> &dyn Random {
        &SystemRandom
    }

    fn id(&self) -> Uuid {
        uuid_v7(&SystemClock, &SystemRandom)
    }

    fn problem(&self, kind: ProblemKind) -> Problem {
        Problem::new(kind, self.id())
    }
}

/// Certificates of a connection's peer, verified by the handshake.
#[derive(Debug, Clone)]
struct Peer(Vec<CertificateDer<'static>>);

impl Connected<IncomingStream<'_, Tls>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Tls>) -> Self {
        let (_, connection) = stream.io().get_ref();
        let chain = connection.peer_certificates().unwrap_or_default();
        Self(chain.iter().map(|one| one.clone().into_owned()).collect())
    }
}

fn anchors(party: &Party) -> Result<PartyAnchors, String> {
    let crls = party.profile.trust.crls.iter().map(|file| {
        let path = party.folder.join(file);
        CertificateRevocationListDer::from_pem_file(&path).map_err(|fault| named(&path, &fault))
    });
    Ok(PartyAnchors {
        party: party.code().to_owned(),
        roots: client::certificates(&party.folder, &party.profile.trust.roots).map_err(|fault| fault.to_string())?,
        crls: crls.collect::<Result<_, _>>()?,
        crl_grace: time::Duration::hours(party.profile.trust.crl_grace_h.into()),
        crl_grace_until: None,
    })
}

fn log_signer(corridor: &str) -> Result<NoteSigner, String> {
    let mut seed = [0; 32];
    SystemRandom.fill(&mut seed);
    let key = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|fault| fault.to_string())?;
    Ok(NoteSigner::new(&format!("{LOG_NAME}/{corridor}"), key))
}

fn pair((chain, key): &(PathBuf, PathBuf)) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    crate::app::config::pair(chain, key)
}

fn named(path: &Path, fault: &dyn Display) -> String {
    format!("{}: {fault}", path.display())
}

fn lines<F: Display>(faults: &[F]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
