//! Checkpoints time-stamped by an authority of the sandbox: at once where the catalogue says so, else in batches; what an archive of
//! evidence then proves to whom; and that no authority, however it fails, holds anything up.

use crate::support::{
    Databases,
    gateway::{Process, TestGateway, event, free_ports},
    until,
};
use futures_util::FutureExt;
use http::StatusCode;
use onechannel::{
    app::{
        config::{Config, TimeStamp},
        system::SystemClock,
        time_stamps as wiring,
    },
    evidence::{
        archive::{self, Archive, Scope},
        check::{self, Keys},
    },
    exchange::{operations, time_stamps},
    ledger::note::VerifierKey,
    sandbox::time_stamp_authority::{TimeStampAuthority, Wrong},
    store::ledger,
    trust::time_stamp::Token,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::Value;
use std::{path::PathBuf, process::Command, sync::Arc};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A gateway and an authority, which ends with it.
struct Stamped {
    gateway: TestGateway,
    authority: Arc<TimeStampAuthority>,
    settings: TimeStamp,
    _stop: watch::Sender<bool>,
}

async fn start_authority(port: u16) -> (Arc<TimeStampAuthority>, watch::Sender<bool>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    (TimeStampAuthority::start(listener, Arc::new(SystemClock), stopped).unwrap(), stop)
}

impl Stamped {
    /// The gateway does not run yet, and knows of no authority.
    async fn prepare() -> Self {
        let gateway = TestGateway::prepare(Databases::fresh().await).await;
        let [port] = free_ports();
        let (authority, stop) = start_authority(port).await;
        let roots = gateway.folder.join("time-stamp.pem");
        std::fs::write(&roots, &authority.root).unwrap();
        let url = format!("http://127.0.0.1:{port}/tsa");
        let settings = TimeStamp { url, roots, tls_roots: None, policy: None, every_s: 86_400 };
        Self { gateway, authority, settings, _stop: stop }
    }

    /// As `[time_stamp]` of the configuration file says it.
    fn configure(&mut self) {
        let TimeStamp { url, every_s, .. } = &self.settings;
        self.gateway.stand.stamped_by(url, &self.authority.root, *every_s).unwrap();
        self.gateway.config = Config::read(&self.gateway.stand.config).unwrap();
    }

    /// Files a dispute; gives its id.
    async fn dispute(&self) -> String {
        self.send("mission-system", "dispute.filed.v1", "MISSION").await
    }

    async fn send(&self, system: &str, type_name: &str, authority: &str) -> String {
        let answer = self.gateway.system(system).send(&event(type_name, authority, |_| ())).await.unwrap();
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer.body["message"].as_str().or(answer.body["receipt"]["message"].as_str()).unwrap().to_owned()
    }

    /// (size, token) of the time-stamps of the corridor's log.
    async fn tokens(&self) -> Vec<(i64, Vec<u8>)> {
        let rows = "select size, token from time_stamps where log like '%/my' order by size";
        sqlx::query_as(rows).fetch_all(&self.gateway.databases.owner).await.unwrap()
    }

    async fn size(&self) -> i64 {
        let size = sqlx::query_scalar("select max(size) from commits where log like '%/my'");
        size.fetch_one(&self.gateway.databases.owner).await.unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.gateway.folder.join(name)
    }

    fn keys(&self) -> Vec<VerifierKey> {
        let text = std::fs::read_to_string(&self.gateway.stand.log_keys).unwrap();
        text.lines().map(|line| VerifierKey::parse(line).unwrap()).collect()
    }
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_onechannel")).env("LC_ALL", "C").args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn sentences(result: &Value, of: &str) -> Vec<(String, String)> {
    let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    result[of].as_array().unwrap().iter().map(|one| (text(one, "key"), text(one, "text"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispute_is_stamped_at_once_and_its_archive_proves_it_to_who_trusts_the_authority() {
    let mut stamped = Stamped::prepare().await;
    stamped.configure();
    stamped.gateway.serve().await;
    // The period is a day: this one waits, and the dispute does not.
    stamped.send("my-gateway", "contract.submitted.v1", "P-LAB").await;
    let message = stamped.dispute().await;
    until(async || !stamped.tokens().await.is_empty()).await;
    let tokens = stamped.tokens().await;
    assert_eq!(tokens.len(), 1);
    let out = stamped.file("case.tar");
    let (out, config) = (out.to_str().unwrap(), stamped.gateway.stand.config.to_str().unwrap());
    let asked = ["--officer", "a.sari", "--purpose", "PROTECTION_CASE", "--out", out, "--config", config];
    let (code, text) = run(&[&["evidence", "export", "--message", &message][..], &asked].concat());
    assert_eq!(code, Some(0), "{text}");
    let verify = |anchors: Option<&str>| {
        let anchors = anchors.map(|file| vec!["--anchors", file]).unwrap_or_default();
        let (code, text) = run(&[&["evidence", "verify", out, "--json"][..], &anchors].concat());
        assert_eq!(code, Some(0), "{text}");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let has = |result: &Value, of: &str, key: &str| sentences(result, of).into_iter().find(|(found, _)| found == key);
    let roots = stamped.settings.roots.to_str().unwrap();
    let result = verify(Some(roots));
    let (_, text) = has(&result, "proven", "evidence.time-stamped").unwrap();
    assert!(text.contains("CN=throw-away time-stamp authority"), "{text}");
    assert_eq!(has(&result, "notProven", "evidence.no-not-after"), None);
    // Without roots, and under others, it is there and proves nothing.
    let other = "tests/data/time-stamp/rsa.root.pem";
    for (anchors, key) in [(None, "evidence.time-stamp-no-anchors"), (Some(other), "evidence.time-stamp-unknown")] {
        let result = verify(anchors);
        assert!(has(&result, "notProven", key).is_some(), "{key}: {result}");
        assert!(has(&result, "notProven", "evidence.no-not-after").is_some());
        assert_eq!(has(&result, "proven", "evidence.time-stamped"), None);
    }
    // What is changed in it is named.
    let bytes = std::fs::read(out).unwrap();
    let whole = Archive::read(&bytes).unwrap();
    let made = whole.json::<Scope>(archive::SCOPE).unwrap().made;
    let named = |change: &dyn Fn(&mut Archive, &str)| {
        let mut changed = whole.clone();
        change(&mut changed, &format!("messages/{message}/not-after"));
        let manifest = changed.manifest();
        changed.put_json(archive::MANIFEST, &manifest);
        let bytes = changed.write(made).unwrap();
        let keys = Keys { time_stamps: Some(wiring::roots(&stamped.settings.roots).unwrap()), ..Keys::default() };
        let account = check::account(&Archive::read(&bytes).unwrap(), Some(&bytes), &keys);
        assert!(!account.proven.iter().any(|one| one.key() == "evidence.time-stamped"));
        account.faults.iter().map(|one| one.key().to_owned()).collect::<Vec<_>>()
    };
    let foreign = std::fs::read("tests/data/time-stamp/rsa.tsr").unwrap();
    let put = |file: &str, bytes: &[u8]| named(&|archive, name| archive.put(format!("{name}.{file}"), bytes));
    assert!(put("tst", &foreign).contains(&"evidence.fault-time-stamp".to_owned()));
    assert!(put("note", b"another").contains(&"evidence.fault-other".to_owned()));
    let gone = named(&|archive, name| drop(archive.members.remove(&format!("{name}.tst"))));
    assert!(gone.contains(&"evidence.fault-missing".to_owned()));
    // A receipt that holds, of another entry.
    let act = whole.members[archive::ACT].clone();
    assert!(put("receipt.json", &act).contains(&"evidence.fault-other".to_owned()));
    stamped.gateway.stop_and_verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checkpoints_of_a_period_get_one_token_and_those_that_are_urgent_do_not_wait() {
    let mut stamped = Stamped::prepare().await;
    stamped.gateway.serve().await;
    let gateway = stamped.gateway.running.as_ref().unwrap().gateway.clone();
    let mut authority = wiring::authority(&stamped.settings).unwrap();
    stamped.send("my-gateway", "contract.submitted.v1", "P-LAB").await;
    stamped.send("my-gateway", "movement.arrived.v1", "P-IMM").await;
    assert_eq!(time_stamps::round(&gateway, &authority).await.unwrap(), 0, "the period is not over");
    authority.every = time::Duration::ZERO;
    assert!(time_stamps::round(&gateway, &authority).await.unwrap() >= 1);
    let tokens = stamped.tokens().await;
    assert_eq!(tokens.iter().map(|(size, _)| *size).collect::<Vec<_>>(), [stamped.size().await]);
    let note: String = sqlx::query_scalar("select note from commits where log like '%/my' order by size desc limit 1")
        .fetch_one(&stamped.gateway.databases.owner)
        .await
        .unwrap();
    assert!(Token::read(&tokens[0].1).unwrap().is_of(note.as_bytes()));
    assert_eq!(time_stamps::round(&gateway, &authority).await.unwrap(), 0, "the log did not grow");
    // Another ordinary message waits for its period; each of the three types does not, and wakes the loop.
    authority.every = time::Duration::DAY;
    stamped.send("my-gateway", "movement.arrived.v1", "P-IMM").await;
    assert_eq!(time_stamps::round(&gateway, &authority).await.unwrap(), 0);
    assert!(gateway.stamping.next_look(false).now_or_never().is_none(), "nobody rang");
    for (system, type_name, who) in [
        ("mission-system", "dispute.filed.v1", "MISSION"),
        ("my-gateway", "absence.reported.v1", "P-LAB"),
        ("my-gateway", "death.reported.v1", "P-POL"),
    ] {
        stamped.send(system, type_name, who).await;
        assert!(gateway.stamping.next_look(false).now_or_never().is_some(), "{type_name} rang");
        assert_eq!(time_stamps::round(&gateway, &authority).await.unwrap(), 1, "{type_name}");
        assert_eq!(time_stamps::round(&gateway, &authority).await.unwrap(), 0, "{type_name}");
    }
    assert_eq!(stamped.tokens().await.len(), 4);
    stamped.gateway.stop_and_verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_authority_does_intake_goes_on_and_what_waits_is_stamped_later() {
    let mut stamped = Stamped::prepare().await;
    stamped.gateway.serve().await;
    let gateway = stamped.gateway.running.as_ref().unwrap().gateway.clone();
    let authority = wiring::authority(&stamped.settings).unwrap();
    gateway.stamping.begin();
    let mut pause = std::time::Duration::ZERO;
    for (wrong, word) in Wrong::ALL {
        stamped.authority.do_wrong(Some(wrong));
        stamped.dispute().await;
        assert_eq!(time_stamps::round(&gateway, &authority).await.unwrap(), 0, "{wrong:?}");
        let standing = gateway.stamping.standing();
        assert_eq!(standing.fault, Some(word), "{wrong:?}");
        assert!(standing.pause() >= pause, "it is asked less and less often");
        pause = standing.pause();
        let figures = operations::figures(&gateway).await.unwrap();
        assert!(figures.contains(&format!("onechannel_time_stamp_fault{{fault=\"{word}\"}} 1\n")), "{figures}");
        assert!(operations::ready(&gateway).await.unwrap().is_empty(), "no message is kept out");
    }
    // Nobody answers at all.
    let [nobody] = free_ports();
    let away = TimeStamp { url: format!("http://127.0.0.1:{nobody}"), ..stamped.settings.clone() };
    assert_eq!(time_stamps::round(&gateway, &wiring::authority(&away).unwrap()).await.unwrap(), 0);
    assert_eq!(gateway.stamping.standing().fault, Some("not-connected"));
    assert!(stamped.tokens().await.is_empty());
    stamped.authority.do_wrong(None);
    assert_eq!(time_stamps::round(&gateway, &authority).await.unwrap(), 1);
    assert_eq!(stamped.tokens().await.iter().map(|(size, _)| *size).collect::<Vec<_>>(), [stamped.size().await]);
    let standing = gateway.stamping.standing();
    assert_eq!((standing.fault, standing.faults, standing.configured), (None, 0, true));
    let figures = operations::figures(&gateway).await.unwrap();
    assert!(!figures.contains("onechannel_time_stamp_fault{"), "{figures}");
    let size = stamped.size().await;
    assert!(figures.contains(&format!("onechannel_log_stamped_size{{corridor=\"my\"}} {size}\n")), "{figures}");
    stamped.gateway.stop_and_verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispute_that_was_stored_before_a_kill_is_stamped_after_it() {
    let mut stamped = Stamped::prepare().await;
    stamped.authority.do_wrong(Some(Wrong::Away));
    stamped.configure();
    let mut process = Process::serve(&stamped.gateway);
    let system = stamped.gateway.system("mission-system");
    let filed = event("dispute.filed.v1", "MISSION", |_| ());
    until(async || system.send(&filed).await.is_ok_and(|answer| answer.status.is_success())).await;
    process.kill();
    assert!(stamped.tokens().await.is_empty());
    stamped.authority.do_wrong(None);
    let _process = Process::serve(&stamped.gateway);
    until(async || !stamped.tokens().await.is_empty()).await;
    assert!(stamped.tokens().await[0].0 <= stamped.size().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superuser_who_changes_a_time_stamp_is_found() {
    let mut stamped = Stamped::prepare().await;
    stamped.gateway.serve().await;
    let gateway = stamped.gateway.running.as_ref().unwrap().gateway.clone();
    let authority = wiring::authority(&stamped.settings).unwrap();
    for _ in 0..2 {
        stamped.dispute().await;
        assert_eq!(time_stamps::round(&gateway, &authority).await.unwrap(), 1);
    }
    let databases = &stamped.gateway.databases;
    // The gateway's own role may not.
    for statement in ["update time_stamps set at = now()", "delete from time_stamps", "delete from time_stamps_due"] {
        assert!(sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&databases.channel).await.is_err(), "{statement}");
        assert!(sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&databases.owner).await.is_err(), "{statement}");
    }
    let (keys, log) = (stamped.keys(), gateway.journal.log("my"));
    let faults = async |roots: Option<&str>| {
        let roots = roots.map(|file| wiring::roots(file.as_ref()).unwrap());
        let (pool, told) = (&databases.owner, &mut |_| ());
        let checked = ledger::check_against(pool, &log, &keys, None, roots.as_ref(), told).await.unwrap();
        (checked.time_stamps, checked.faults.join("\n"))
    };
    let own = stamped.settings.roots.to_str().unwrap();
    assert_eq!(faults(None).await, (2, String::new()));
    assert_eq!(faults(Some(own)).await, (2, String::new()));
    let (_, other) = faults(Some("tests/data/time-stamp/ecdsa.root.pem")).await;
    assert!(other.contains("No root that is trusted vouches for its authority."), "{other}");
    let tokens = stamped.tokens().await;
    let first = tokens[0].0;
    let change = async |statement: &str, bytes: &[u8]| {
        let mut transaction = databases.owner.begin().await.unwrap();
        sqlx::query("set local session_replication_role = replica").execute(&mut *transaction).await.unwrap();
        let statement = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).bind(first).bind(bytes);
        assert_eq!(statement.execute(&mut *transaction).await.unwrap().rows_affected(), 1);
        transaction.commit().await.unwrap();
    };
    let swap = "update time_stamps set token = $2 where log like '%/my' and size = $1";
    let mut broken = tokens[0].1.clone();
    *broken.last_mut().unwrap() ^= 1;
    for (statement, bytes, named) in [
        (swap, &tokens[1].1, "It is of something else."),
        (swap, &broken, "Its signature does not verify."),
        (swap, &tokens[0].1, ""),
        (
            "update time_stamps set gen_time = gen_time - '1 day'::interval, token = $2 where log like '%/my' and size = $1",
            &tokens[0].1,
            "another time",
        ),
        (
            "update time_stamps set gen_time = gen_time + '1 day'::interval, token = $2 where log like '%/my' and size = $1",
            &tokens[0].1,
            "",
        ),
        (
            "update time_stamps set authority = 'CN=x', token = $2 where log like '%/my' and size = $1",
            &tokens[0].1,
            "another time or authority",
        ),
    ] {
        change(statement, bytes).await;
        let (_, found) = faults(Some(own)).await;
        let expected = format!("the time-stamp of checkpoint {first} does not hold: ");
        assert!(found.contains(named) && (named.is_empty() == found.is_empty()), "{statement}: {found}");
        assert!(found.is_empty() || found.starts_with(&expected), "{found}");
    }
    // As the command tells it; and a folder that is handed over.
    let (keys, url) = (stamped.gateway.stand.log_keys.to_str().unwrap(), databases.url.as_str());
    let (code, text) = run(&["ledger", "verify", "--channel", url, "--keys", keys, "--anchors", own]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("2 time-stamps: DOES NOT HOLD") && text.contains("the time-stamp of checkpoint"), "{text}");
    let folder = stamped.file("export");
    let path = folder.to_str().unwrap();
    let (code, text) = run(&["ledger", "export", "--log", &log, "--channel", url, path]);
    assert_eq!(code, Some(0), "{text}");
    let verify = |anchors: &str| run(&["ledger", "verify", "--tiles", path, "--keys", keys, "--anchors", anchors]);
    let (code, text) = verify(own);
    assert_eq!((code, text.contains("2 time-stamps: holds")), (Some(0), true), "{text}");
    let (code, text) = verify("tests/data/time-stamp/ecdsa.root.pem");
    assert_eq!((code, text.contains("No root that is trusted vouches")), (Some(1), true), "{text}");
    let file = |end: &str| folder.join(format!("time-stamp/{first}.{end}"));
    for (path, bytes, named) in [
        (file("tst"), Some(&tokens[1].1), "It is of something else."),
        (file("tst"), None, "It is not the DER of a time-stamp"),
        (file("note"), Some(&tokens[1].1), "is not of these entries or not signed by us"),
        (folder.join("time-stamp/900.tst"), Some(&tokens[1].1), "of checkpoint 900, of more entries than there are"),
        (folder.join("time-stamp/x"), Some(&tokens[1].1), "time-stamp/x is no time-stamp's name"),
    ] {
        let before = std::fs::read(&path).ok();
        let _ = std::fs::remove_file(&path);
        bytes.into_iter().for_each(|bytes| std::fs::write(&path, bytes).unwrap());
        let (code, text) = verify(own);
        assert_eq!((code, text.contains(named)), (Some(1), true), "{named}: {text}");
        let _ = std::fs::remove_file(&path);
        before.into_iter().for_each(|before| std::fs::write(&path, before).unwrap());
    }
    assert_eq!(verify(own).0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_over_https_is_reached_under_the_roots_of_its_server_alone() {
    let mut stamped = Stamped::prepare().await;
    stamped.gateway.serve().await;
    let gateway = stamped.gateway.running.as_ref().unwrap().gateway.clone();
    // TLS in front of the same authority, with a certificate of a partner's CA.
    let (chain, key, _) = stamped.gateway.stand.pki.mocks["my"].clone();
    let chain = CertificateDer::pem_file_iter(chain).unwrap().collect::<Result<_, _>>().unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_no_client_auth().with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = stamped.settings.url.trim_start_matches("http://").trim_end_matches("/tsa").to_owned();
    let front = tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            let Ok(mut outside) = acceptor.accept(connection).await else { continue };
            let mut inside = TcpStream::connect(&behind).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
        }
    });
    stamped.dispute().await;
    let url = format!("https://localhost:{port}/tsa");
    let tls_roots = Some(stamped.gateway.stand.pki.partners.join("my/trust/ca.pem"));
    for (tls_roots, expected) in [(None, (0, Some("not-connected"))), (tls_roots, (1, None))] {
        let settings = TimeStamp { url: url.clone(), tls_roots, ..stamped.settings.clone() };
        let done = time_stamps::round(&gateway, &wiring::authority(&settings).unwrap()).await.unwrap();
        assert_eq!((done, gateway.stamping.standing().fault), expected);
    }
    front.abort();
    stamped.gateway.stop_and_verify().await;
}
