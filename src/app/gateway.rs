//! From a configuration to a running gateway: the one place where rooms are wired together.

use super::{
    anchors,
    config::{Config, hex_key, pair},
    loops, preflight,
    system::{SystemClock, SystemRandom},
    time_stamps,
};
use crate::{
    access::Issuer,
    client::{self, Own, PartyClient},
    exchange::{
        self, Gateway,
        cosigning::{self, Standings},
        deliver::Pace,
        erase,
        time_stamps::Stamping,
    },
    http::{self, Limits, Port, ministry::Ministry},
    ledger::{
        cosignature::Cosigner,
        note::{NoteSigner, VerifierKey},
    },
    partner::{Parties, Party, formats::Formats},
    schema::Schemas,
    store::{
        self,
        access::{self, PublicKey},
        journal::{DOMESTIC, Journal, JournalHandle},
        vault_keys,
    },
    trust::{
        anchors::TrustStore,
        keys::{SigningKey, VerifyingKey},
        tls,
        token::{TokenCache, TokenIssuer, TokenVerifier},
    },
    vault::{KeyEncryption, TokenKey},
};
use aws_lc_rs::signature::Ed25519KeyPair;
use std::{collections::HashMap, fmt::Display, path::Path, sync::Arc};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// Verified tokens remembered.
const TOKENS_REMEMBERED: usize = 10_000;

/// Why it does not start: every fault found, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct StartFaults(pub Vec<String>);

impl StartFaults {
    fn of(fault: impl Display) -> Self {
        Self(vec![fault.to_string()])
    }
}

/// A gateway that runs until it is stopped.
pub struct Running {
    /// The use cases.
    pub gateway: Arc<Gateway>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Lets running requests finish and ends.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Builds the use cases from a configuration.
///
/// # Errors
/// [`StartFaults`].
pub async fn assemble(config: &Config) -> Result<Arc<Gateway>, StartFaults> {
    let mut wrong = preflight::files(config);
    let schemas = sound(Schemas::load(&config.schemas), &mut wrong);
    let parties = sound(Parties::load(&config.partners), &mut wrong);
    let (Some(schemas), Some(parties)) = (schemas, parties) else { return Err(StartFaults(wrong)) };
    wrong.extend(preflight::parties(config, &parties));
    wrong.extend(parties.all().flat_map(|party| party.rules.strangers(&schemas)).map(|fault| fault.to_string()));
    let mut formats = HashMap::new();
    for party in parties.all() {
        let found = sound(Formats::load(party, &schemas), &mut wrong);
        formats.extend(found.map(|found| (party.code().to_owned(), found)));
    }
    let environment = &parties.home.profile.environment;
    let others = parties.partners.values().filter(|party| party.profile.environment != *environment);
    wrong.extend(others.map(|other| format!("{} is not of the environment {environment}", other.code())));
    if !wrong.is_empty() {
        return Err(StartFaults(wrong));
    }
    let origin = format!("{}/{environment}", config.log_name);
    let witness = cosigner(config, &origin)?;
    let logs = parties.partners.keys().map(String::as_str).chain([DOMESTIC]);
    let signers = logs.map(|log| Ok((log.to_owned(), log_signer(config, &origin, log)?)));
    let key = |path: &Path| hex_key(path).map_err(StartFaults::of);
    let journal = Arc::new(Journal {
        channel: store::pool(&config.database.channel, config.database.connections).map_err(StartFaults::of)?,
        writing: store::journal_pool(&config.database.channel, config.database.connections).map_err(StartFaults::of)?,
        vault: store::journal_pool(&config.database.vault, config.database.connections).map_err(StartFaults::of)?,
        kek: encryption(config)?,
        tokens: TokenKey::new(&key(&config.keys.tokens)?),
        signers: signers.collect::<Result<_, StartFaults>>()?,
        rules: exchange::rules(&schemas, &parties),
        origin,
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    });
    vault_keys::probe(&journal.vault, &journal.kek).await.map_err(|fault| match fault {
        store::StoreFault::BadRow { .. } => StartFaults::of(
            "keys.encryption: a key of the vault does not open: it was wrapped under another key-encryption key, or under an epoch \
             that keys.encryption_others does not name",
        ),
        other => StartFaults::of(other),
    })?;
    vault_keys::open_epoch(&journal.vault, journal.kek.epoch, journal.clock.now()).await.map_err(StartFaults::of)?;
    let graces = access::crl_graces(&journal.channel).await.map_err(StartFaults::of)?;
    let trust = TrustStore::new(&anchors::all(&parties, &graces).map_err(StartFaults::of)?).map_err(StartFaults::of)?;
    let policies = exchange::policies(&schemas, &parties);
    exchange::keep_policies(&journal, &policies).await.map_err(StartFaults::of)?;
    let pem = std::fs::read(&config.keys.signing)
        .map_err(|f| StartFaults::of(format!("{}: {f}", config.keys.signing.display())))?;
    let signing = Arc::new(SigningKey::from_pkcs8_pem(Some(&config.keys.signing_kid), &pem).map_err(StartFaults::of)?);
    let archived = public_keys(&parties, signing.verifying_key(), &journal.signers, &witness)?;
    access::keep_public_keys(&journal.channel, &archived, journal.clock.now()).await.map_err(StartFaults::of)?;
    let own_keys = vec![Arc::new(signing.verifying_key().clone())];
    Ok(Arc::new(Gateway {
        formats,
        schemas: Arc::new(schemas),
        parties: Arc::new(parties),
        trust: Arc::new(trust),
        issuer: TokenIssuer::new(signing.clone(), &config.external, &config.external),
        verifier: TokenVerifier::new(own_keys, &config.external, &config.external, TokenCache::new(TOKENS_REMEMBERED)),
        signing,
        witness,
        standings: Standings::default(),
        stamping: Stamping::default(),
        name: config.external.clone(),
        queue: JournalHandle::start(journal.clone()),
        journal,
        policies: policies.into_iter().map(|(corridor, (_, digest))| (corridor, digest)).collect(),
        erasures: erase::List::new(&config.erasure.list),
        vault_backups: time::Duration::days(config.erasure.vault_backup_days.into()),
    }))
}

/// Builds the use cases for a command that opens or signs something, as a start does.
///
/// # Errors
/// [`StartFaults`].
pub async fn ready(config: &Config) -> Result<Arc<Gateway>, StartFaults> {
    Ok(prepare(config).await?.gateway)
}

/// What may open messages and sign entries.
struct Prepared {
    gateway: Arc<Gateway>,
    clients: HashMap<String, Arc<PartyClient>>,
    witnesses: Vec<cosigning::Witness>,
}

/// Builds the use cases. Before anything can be signed, the witnesses are asked whether the database is as new as what they saw; before
/// anything can be opened, nobody who was erased is there again.
async fn prepare(config: &Config) -> Result<Prepared, StartFaults> {
    let gateway = assemble(config).await?;
    let mut clients = HashMap::new();
    for code in gateway.parties.partners.keys() {
        clients.extend(party_client(config, &gateway, code, None)?.map(|client| (code.clone(), client)));
    }
    let witnesses = ask_witnesses(&gateway, &clients).await?;
    erase::replay(&gateway).await.map_err(StartFaults::of)?;
    Ok(Prepared { gateway, clients, witnesses })
}

/// The key-encryption keys of every epoch that a configuration names.
fn encryption(config: &Config) -> Result<KeyEncryption, StartFaults> {
    let key = |path: &Path| hex_key(path).map_err(StartFaults::of);
    let mut kek = KeyEncryption::new(config.keys.encryption_epoch, key(&config.keys.encryption)?);
    for (epoch, path) in &config.keys.encryption_others {
        let epoch = epoch.parse().map_err(|_| StartFaults::of("keys.encryption_others: an epoch is a whole number"))?;
        kek = kek.knowing(epoch, key(path)?);
    }
    Ok(kek)
}

/// What was read, its faults noted.
fn sound<T, F: Display>(read: Result<T, Vec<F>>, wrong: &mut Vec<String>) -> Option<T> {
    read.map_err(|faults| wrong.extend(faults.iter().map(ToString::to_string))).ok()
}

/// Starts every port and loop.
///
/// # Errors
/// [`StartFaults`].
pub async fn start(config: &Config) -> Result<Running, StartFaults> {
    let Prepared { gateway, clients, witnesses } = prepare(config).await?;
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let listener = TcpListener::bind(config.channel_listen).await;
    let listener = listener.map_err(|fault| StartFaults::of(format!("{}: {fault}", config.channel_listen)))?;
    let (chain, key) = pair(&config.tls.chain, &config.tls.key).map_err(StartFaults::of)?;
    let clock = gateway.journal.clock.clone();
    let tls = tls::server_config(gateway.trust.clone(), chain, key, clock).map_err(StartFaults::of)?;
    let own = config.external.trim_start_matches("https://").to_owned();
    let authorities = [own].into_iter().chain(config.also_known_as.clone()).collect();
    let port = Arc::new(Port::new(gateway.clone(), limits(config), authorities));
    tasks.spawn(http::listener::serve(port, listener, tls, stopped.clone()));
    for witness in witnesses {
        tasks.spawn(loops::cosign(gateway.clone(), witness, stopped.clone()));
    }
    if let Some(stamping) = &config.time_stamp {
        let authority = time_stamps::authority(stamping).map_err(StartFaults::of)?;
        tasks.spawn(loops::stamp(gateway.clone(), authority, stopped.clone()));
    }
    for party in gateway.parties.partners.values() {
        let Some(client) = clients.get(party.code()).cloned() else { continue };
        tasks.spawn(loops::deliver(
            gateway.clone(),
            party.code().to_owned(),
            client.clone(),
            pace(config),
            stopped.clone(),
        ));
        let from = gateway.parties.clients.values().find(|one| one.party.code() == party.code()).cloned();
        if let (Some(poll), Some(from)) = (party.profile.poll.clone(), from) {
            tasks.spawn(loops::poll(gateway.clone(), from, client, poll, stopped.clone()));
        }
    }
    tasks.spawn(loops::housekeeping(gateway.clone(), stopped.clone()));
    tasks.spawn(loops::build_tiles(gateway.clone(), stopped.clone()));
    tasks.spawn(loops::remind(gateway.clone(), stopped.clone()));
    tasks.spawn(loops::look_at_limits(gateway.clone(), stopped.clone()));
    tasks.spawn(loops::reload_trust(gateway.clone(), stopped.clone()));
    let ministry = Arc::new(Ministry { gateway: gateway.clone(), issuer: officers(config, &gateway)? });
    for (address, routes) in [
        (config.ministry_listen, http::ministry::router(ministry)),
        (config.ops_listen, http::ministry::operations(gateway.clone())),
    ] {
        let listener =
            TcpListener::bind(address).await.map_err(|fault| StartFaults::of(format!("{address}: {fault}")))?;
        let mut stopped = stopped.clone();
        tasks.spawn(async move {
            let end = async move { drop(stopped.wait_for(|stop| *stop).await) };
            if let Err(fault) = axum::serve(listener, routes).with_graceful_shutdown(end).await {
                tracing::error!(%address, %fault, "a port ended");
            }
        });
    }
    Ok(Running { gateway, stop, tasks })
}

/// The partners' witnesses, each asked whether our logs are as new here as what it saw.
async fn ask_witnesses(
    gateway: &Gateway,
    clients: &HashMap<String, Arc<PartyClient>>,
) -> Result<Vec<cosigning::Witness>, StartFaults> {
    let mut witnesses = Vec::new();
    for (code, party) in &gateway.parties.partners {
        match clients.get(code).and_then(|client| witness(party, client)) {
            Some(witness) => witnesses.push(witness),
            None => cosigning::without_witness(gateway, code).await.map_err(StartFaults::of)?,
        }
    }
    let asked = witnesses.iter().map(|witness| cosigning::at_start(gateway, witness));
    futures_util::future::try_join_all(asked).await.map_err(StartFaults::of)?;
    Ok(witnesses)
}

/// A partner's witness, reached through its client.
pub fn witness(party: &Party, client: &Arc<PartyClient>) -> Option<cosigning::Witness> {
    let prefix = party.profile.witness.as_ref()?.prefix.clone();
    let (corridor, keys) = (party.code().to_owned(), party.witness.clone());
    Some(cosigning::Witness { corridor, prefix, keys, client: client.clone() })
}

/// We as a witness of partners' logs: by Ed25519, and by ML-DSA-44 too where there is a key for it.
fn cosigner(config: &Config, origin: &str) -> Result<Cosigner, StartFaults> {
    let cosigner = Cosigner::new(&format!("{origin}/witness"), ledger_key(config, "witness")?);
    let seed = config.keys.ml_dsa_seed();
    if !seed.exists() {
        return Ok(cosigner);
    }
    let key = hex_key(&seed).map_err(StartFaults::of)?;
    let none = || StartFaults::of(format!("{}: it makes no ML-DSA-44 key", seed.display()));
    cosigner.with_ml_dsa(&key).ok_or_else(none)
}

fn log_signer(config: &Config, origin: &str, log: &str) -> Result<NoteSigner, StartFaults> {
    Ok(NoteSigner::new(&format!("{origin}/{log}"), ledger_key(config, log)?))
}

/// An Ed25519 key of the ledger: of a log, or `witness`, which signs nothing but cosignatures.
fn ledger_key(config: &Config, name: &str) -> Result<Ed25519KeyPair, StartFaults> {
    let seed = hex_key(&config.keys.logs.join(format!("{name}.seed"))).map_err(StartFaults::of)?;
    Ed25519KeyPair::from_seed_unchecked(&seed).map_err(StartFaults::of)
}

fn pace(config: &Config) -> Pace {
    let delivery = &config.delivery;
    let seconds = |s: u32| time::Duration::seconds(s.into());
    Pace {
        lease: seconds(delivery.lease_s),
        pause_max: seconds(delivery.pause_max_s),
        park_after: seconds(delivery.park_after_s),
        parallel: delivery.parallel as usize,
    }
}

/// The keys with which a party signs answers.
fn answer_keys(party: &Party) -> Result<Vec<Arc<VerifyingKey>>, StartFaults> {
    let keys = party.profile.outbound.iter().flat_map(|outbound| &outbound.answer_key).map(|key| {
        let file = party.folder.join(&key.file);
        let pem = std::fs::read(&file).map_err(|fault| format!("{}: {fault}", file.display()))?;
        VerifyingKey::from_spki_pem(&key.kid, &pem)
            .map(Arc::new)
            .map_err(|fault| format!("{}: {fault}", file.display()))
    });
    keys.collect::<Result<_, String>>().map_err(StartFaults::of)
}

/// Every public key that counts now: clients', partners' answers', our own and the logs'.
fn public_keys(
    parties: &Parties,
    own: &VerifyingKey,
    signers: &HashMap<String, NoteSigner>,
    witness: &Cosigner,
) -> Result<Vec<PublicKey>, StartFaults> {
    let jwk = |party: &Party, purpose, key: &VerifyingKey| PublicKey {
        party: party.code().to_owned(),
        purpose,
        kid: key.kid().to_owned(),
        key: key.jwk().to_string(),
    };
    let mut all = vec![jwk(&parties.home, "gateway", own)];
    for client in parties.clients.values() {
        all.extend(client.keys.iter().map(|key| jwk(&client.party, "message", key)));
    }
    for party in parties.partners.values() {
        all.extend(answer_keys(party)?.iter().map(|key| jwk(party, "answer", key)));
    }
    let note_key = |purpose, party: &Party, key: &VerifierKey| PublicKey {
        party: party.code().to_owned(),
        purpose,
        kid: key.name.clone(),
        key: key.to_string(),
    };
    all.extend(signers.values().map(|signer| note_key("log", &parties.home, signer.verifier())));
    all.extend(witness.verifiers().map(|key| note_key("witness", &parties.home, key)));
    for party in parties.partners.values() {
        all.extend(party.logs.iter().map(|key| note_key("log", party, key)));
        all.extend(party.witness.iter().map(|key| note_key("witness", party, key)));
    }
    Ok(all)
}

/// The client of a partner; `base` overrides both profile and configuration.
///
/// # Errors
/// [`StartFaults`].
pub fn party_client(
    config: &Config,
    gateway: &Gateway,
    party: &str,
    base: Option<&str>,
) -> Result<Option<Arc<PartyClient>>, StartFaults> {
    let Some(party) = gateway.parties.party(party) else { return Ok(None) };
    let Some(outbound) = &party.profile.outbound else { return Ok(None) };
    let (chain, key) = pair(&config.tls.client_chain, &config.tls.client_key).map_err(StartFaults::of)?;
    let roots = client::certificates(&party.folder, &outbound.roots).map_err(StartFaults::of)?;
    let own = Own {
        chain,
        key,
        signing: gateway.signing.clone(),
        clock: gateway.journal.clock.clone(),
        random: gateway.journal.random.clone(),
    };
    let base = base.unwrap_or(config.endpoints.get(party.code()).unwrap_or(&outbound.base));
    let client = PartyClient::new(own, outbound, &party.profile, &roots, answer_keys(party)?, base);
    let client = client.map_err(|fault| StartFaults::of(format!("partner {}: {fault}", party.code())))?;
    Ok(Some(Arc::new(client)))
}

fn officers(config: &Config, gateway: &Gateway) -> Result<Issuer, StartFaults> {
    let keys = config.ministry.keys.iter().map(|(kid, file)| {
        let pem = std::fs::read(file).map_err(|fault| format!("{}: {fault}", file.display()))?;
        VerifyingKey::from_spki_pem(kid, &pem).map(Arc::new).map_err(|fault| format!("{}: {fault}", file.display()))
    });
    Ok(Issuer {
        name: config.ministry.issuer.clone(),
        audience: config.ministry.audience.clone(),
        keys: keys.collect::<Result<_, String>>().map_err(StartFaults::of)?,
        any_role: gateway.parties.home.profile.environment == "test",
    })
}

fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    let seconds = |s: u32| std::time::Duration::from_secs(s.into());
    Limits {
        connections: limits.connections,
        handshake: seconds(limits.handshake_s),
        body: seconds(limits.body_s),
        requests_per_s: limits.requests_per_s,
    }
}
