//! The private server that all tests of this process share, fresh databases on it, and messages to store.

pub(crate) mod desk;
pub(crate) mod gateway;

use aws_lc_rs::signature::Ed25519KeyPair;
use onechannel::{
    app::system::{SystemClock, SystemRandom},
    domain::{
        clock::{Random, uuid_v7},
        facts::{Link, Reach},
    },
    ledger::note::NoteSigner,
    sandbox::postgres::{Durability, PrivatePostgres},
    store::{
        self,
        journal::{Intent, Journal, Links, Outcome, SubjectKind},
        ledger,
    },
    vault::{KeyEncryption, TokenKey, sha256},
};
use sqlx::{Connection, PgConnection, PgPool};
use std::sync::{Arc, OnceLock};
use time::macros::datetime;

const ORIGIN: &str = "gateway.example/test";

fn server() -> &'static PrivatePostgres {
    static SERVER: OnceLock<PrivatePostgres> = OnceLock::new();
    SERVER.get_or_init(|| PrivatePostgres::start(Durability::None, None, &SystemRandom).unwrap())
}

/// Waits until something is so that nobody tells: it is looked at again and again, and the test runner's own limit ends it.
pub(crate) async fn until(mut reached: impl AsyncFnMut() -> bool) {
    while !reached().await {
        tokio::task::yield_now().await;
    }
}

/// Two migrated databases; the pools connect as the gateway's role, which may only do what the gateway may.
pub(crate) struct Databases {
    pub(crate) channel: PgPool,
    pub(crate) vault: PgPool,
    /// The channel database as superuser.
    pub(crate) owner: PgPool,
    /// The channel database as superuser.
    pub(crate) url: String,
    /// The vault database as superuser.
    pub(crate) vault_url: String,
}

impl Databases {
    pub(crate) async fn fresh() -> Self {
        Self::on(server()).await
    }

    pub(crate) async fn on(server: &PrivatePostgres) -> Self {
        let mut word = [0; 6];
        SystemRandom.fill(&mut word);
        let word = word.map(|byte| format!("{byte:02x}")).concat();
        let names = [format!("channel_{word}"), format!("vault_{word}")];
        let mut admin = PgConnection::connect(&server.url("postgres")).await.unwrap();
        for name in &names {
            let statement = sqlx::AssertSqlSafe(format!("create database {name}"));
            sqlx::query(statement).execute(&mut admin).await.unwrap();
        }
        let [channel, vault] = names.map(|name| server.url(&name));
        store::migrate(&store::pool(&channel, 2).unwrap(), &store::pool(&vault, 2).unwrap()).await.unwrap();
        Self::open(channel, vault)
    }

    fn open(url: String, vault_url: String) -> Self {
        let as_app = |url: &str| store::pool(&format!("{url}?options[role]=onechannel_app"), 4).unwrap();
        Self { channel: as_app(&url), vault: as_app(&vault_url), owner: store::pool(&url, 2).unwrap(), url, vault_url }
    }

    /// The same databases for another gateway.
    pub(crate) fn again(&self) -> Self {
        Self::open(self.url.clone(), self.vault_url.clone())
    }

    /// Copies of both as they are now: a backup, or the databases of a second gateway. Ends every connection to them, so no gateway
    /// may run on them.
    pub(crate) async fn copy(&mut self) -> Self {
        let mut admin = PgConnection::connect(&server().url("postgres")).await.unwrap();
        for pool in [&self.channel, &self.vault, &self.owner] {
            pool.close().await;
        }
        let mut urls = Vec::new();
        for url in [&self.url, &self.vault_url] {
            let name = url.rsplit('/').next().unwrap();
            let copy = format!("{name}_copy");
            sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
                .bind(name)
                .execute(&mut admin)
                .await
                .unwrap();
            let statement = sqlx::AssertSqlSafe(format!("create database {copy} template {name}"));
            sqlx::query(statement).execute(&mut admin).await.unwrap();
            urls.push(server().url(&copy));
        }
        *self = self.again();
        let vault = urls.pop().unwrap();
        Self::open(urls.pop().unwrap(), vault)
    }
}

/// Whether the suite's long mode was asked for: `ONECHANNEL_LONG=1`. What a test does then takes minutes.
pub(crate) fn is_long() -> bool {
    std::env::var_os("ONECHANNEL_LONG").is_some_and(|value| value == "1")
}

fn signer(corridor: &str) -> NoteSigner {
    let origin = format!("{ORIGIN}/{corridor}");
    NoteSigner::new(&origin, Ed25519KeyPair::from_seed_unchecked(&sha256(origin.as_bytes())).unwrap())
}

pub(crate) fn journal(databases: &Databases) -> Journal {
    Journal {
        channel: databases.channel.clone(),
        writing: store::journal_pool(&format!("{}?options[role]=onechannel_app", databases.url), 4).unwrap(),
        vault: databases.vault.clone(),
        kek: KeyEncryption::new(1, [1; 32]),
        tokens: TokenKey::new(&[2; 32]),
        origin: ORIGIN.into(),
        signers: ["xa", "xb"].map(|corridor| (corridor.to_owned(), signer(corridor))).into(),
        rules: std::collections::HashMap::new(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    }
}

/// An applied message of `party` about a placement of its own.
pub(crate) fn intent(party: &str, id: &str, bytes: &[u8]) -> Intent {
    let key = TokenKey::new(&[2; 32]);
    let tag = key.token("message", &[party.as_bytes(), id.as_bytes()]);
    Intent {
        id: uuid_v7(&SystemClock, &SystemRandom),
        party: party.into(),
        client: format!("{party}-gateway"),
        corridor: party.into(),
        type_name: "movement.arrived.v1".into(),
        authority: "BORDER".into(),
        tag,
        body_tag: key.digest("body", &[bytes]),
        bytes: bytes.into(),
        canonical: None,
        evidence: b"{}".into(),
        asserted_at: datetime!(2026-11-24 00:00 UTC),
        revision: None,
        effects: vec![],
        links: Some(Links {
            kind: SubjectKind::Placement,
            pairwise: None,
            worker: None,
            follows: None,
            links: vec![names(Reach::Worker, tag)],
            identifies: false,
        }),
        mentions: Vec::new(),
        retention: "placement".into(),
        terms: vec![1, 2],
        outcome: Outcome::Applied,
        problem: None,
        policy: [3; 32],
        assurance: "tls".into(),
        recipients: vec!["home".into()],
        parties: vec![party.into()],
        urgency: 5,
        spends: vec![],
        token: None,
        safety: false,
        stamped_at_once: false,
        decision: None,
        stands_beside: None,
    }
}

/// An identifier of this reach.
pub(crate) fn names(reach: Reach, token: [u8; 16]) -> Link {
    Link { token, reach }
}

/// (stage, provisional) of every placement that is not merged into another.
pub(crate) async fn stage(databases: &Databases) -> Vec<(String, bool)> {
    let rows = "select stage, provisional from subjects where merged_into is null and kind <> 'worker' order by id";
    sqlx::query_as(rows).fetch_all(&databases.channel).await.unwrap()
}

/// The sequence numbers of what a party is to be told.
pub(crate) async fn deliveries(databases: &Databases, party: &str) -> Vec<i64> {
    let rows = "select seq from deliveries where party = $1 order by seq";
    sqlx::query_scalar(rows).bind(party).fetch_all(&databases.channel).await.unwrap()
}

/// Verifies every log from its first leaf; gives the number of leaves.
pub(crate) async fn verify_all(databases: &Databases) -> u64 {
    let mut leaves = 0;
    for log in ledger::logs(&databases.owner).await.unwrap() {
        let corridor = log.rsplit('/').next().unwrap();
        let checked = ledger::check(&databases.owner, &log, &[signer(corridor).verifier().clone()]).await.unwrap();
        assert!(checked.faults.is_empty(), "{log}: {:?}", checked.faults);
        leaves += checked.size;
    }
    leaves
}
