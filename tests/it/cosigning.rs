//! Our logs cosigned by a partner's witness: what is cosigned, what each answer of a witness does, an old backup that is restored, two
//! gateways where there should be one. The witness is a mock partner's, over mutual TLS.

mod both_types;
mod copies;

use crate::support::{
    Databases,
    desk::Desk,
    gateway::{TestGateway, event, free_ports},
    until,
};
use ct_merkle::{InclusionProof, RootHash};
use http::{Method, StatusCode};
use onechannel::{
    app::system::SystemClock,
    domain::clock::Clock,
    exchange::{
        cosigning::{self, Standing, Witness},
        erase::{self, EraseFault},
    },
    ledger::{
        cosignature::Cosigner,
        note::{self, Checkpoint, Role, VerifierKey},
        receipt::Receipt,
        tile::{Resource, Tile},
        tree::{leaf_hash, root_from_inclusion},
    },
    sandbox::{mock::Mock, mock::witness::MockWitness, system::System},
    store::{
        clocks,
        ledger::{self, cosign},
    },
};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path, process::Command, sync::Arc};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// A gateway that does not run yet, the port where its partner will be, and what ends the partner.
pub(crate) struct Stage {
    pub(crate) gateway: TestGateway,
    port: u16,
    stop: watch::Sender<bool>,
}

impl Stage {
    pub(crate) async fn prepare() -> Self {
        let mut gateway = TestGateway::prepare(Databases::fresh().await).await;
        let [port] = free_ports();
        gateway.config.endpoints.insert("my".to_owned(), format!("https://localhost:{port}"));
        Self { gateway, port, stop: watch::Sender::new(false) }
    }

    pub(crate) async fn partner(&self) -> Arc<Mock> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        Mock::start("my", &self.gateway.stand.pki, listener, self.stop.subscribe()).unwrap()
    }
}

fn witness(mock: &Mock) -> &MockWitness {
    mock.witness.as_ref().unwrap()
}

pub(crate) fn keys(gateway: &TestGateway) -> Vec<VerifierKey> {
    let text = fs::read_to_string(&gateway.stand.log_keys).unwrap();
    text.lines().map(|line| VerifierKey::parse(line).unwrap()).collect()
}

async fn state(gateway: &TestGateway) -> cosign::State {
    let pool = &gateway.databases.owner;
    let log = keys(gateway).into_iter().find(|key| key.role == Role::Log && key.name.ends_with("/my")).unwrap().name;
    cosign::state(pool, &log).await.unwrap()
}

/// Sends a message until it is stored: all are about one person, and a gateway that was disturbed too often says 503. Gives it with its
/// receipt.
pub(crate) async fn stored(system: &System) -> (Value, Receipt) {
    let message = event("movement.arrived.v1", "P-IMM", |_| ());
    let reply = system.send_until_stored(&message).await.unwrap();
    assert!(reply.status.is_success(), "{} {}", reply.status, reply.body);
    (message, serde_json::from_value(reply.body["receipt"].clone()).unwrap())
}

/// Until everything that is recorded is cosigned; gives the size.
pub(crate) async fn cosigned(gateway: &TestGateway) -> u64 {
    let mut size = 0;
    until(async || {
        let state = state(gateway).await;
        size = state.size;
        state.cosigned == state.size && state.halted.is_none()
    })
    .await;
    size
}

async fn ops(gateway: &TestGateway, path: &str) -> (StatusCode, String) {
    let http = Desk::of(gateway, &[]).http;
    let answer = http.get(format!("http://{}{path}", gateway.config.ops_listen)).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

async fn stop(gateway: &mut TestGateway) {
    gateway.running.take().unwrap().stop().await;
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_onechannel")).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_recorded_is_cosigned_and_its_receipts_say_so() {
    let mut stage = Stage::prepare().await;
    let mock = stage.partner().await;
    let gateway = &mut stage.gateway;
    gateway.serve().await;
    let my = gateway.system("my-gateway");
    let (message, first) = stored(&my).await;
    assert_eq!(first.assurance, "witnessed", "the witness answered when the gateway started");
    stored(&my).await;
    stored(&my).await;
    assert_eq!(cosigned(gateway).await, 3);
    // Its own signature line, the same entry and index, and a proof at the size that is cosigned.
    let path = format!("/v1/messages/{}/receipt", first.message);
    let reply = my.call(Method::GET, &path, "", Vec::new()).await.unwrap();
    let receipt: Receipt = serde_json::from_value(reply.body).unwrap();
    assert_eq!((&receipt.entry, receipt.index), (&first.entry, first.index));
    let keys = keys(gateway);
    let sent = message.to_string();
    let verified = receipt.verify(&keys, Some(sent.as_bytes())).unwrap();
    assert_eq!(verified.bytes_match, Some(true));
    let names: Vec<&str> = verified.witnesses.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["witness.my.example/w1"]);
    assert!(first.verify(&keys, None).unwrap().witnesses.is_empty(), "nobody had seen the first one yet");
    assert!(witness(&mock).cosigned().contains(&verified.checkpoint));
    // Either of the witness's keys proves it by itself.
    for signature_type in [note::WITNESS, note::ML_DSA_WITNESS] {
        let of = |key: &&VerifierKey| key.role == Role::Log || key.signature_type() == signature_type;
        let some: Vec<VerifierKey> = keys.iter().filter(of).cloned().collect();
        assert_eq!(receipt.verify(&some, None).unwrap().witnesses, verified.witnesses, "{signature_type}");
    }
    // An independent implementation follows the proof to the root that the witness signed.
    let proof: Vec<u8> = receipt.proof.iter().flat_map(|one| base64(one)).collect();
    let root = RootHash::<sha2::Sha256>::new(verified.checkpoint.root.into(), verified.checkpoint.size);
    let proof = InclusionProof::<sha2::Sha256>::try_from_bytes(proof).unwrap();
    root.verify_inclusion(&receipt.entry.clone().into_bytes(), receipt.index, &proof).unwrap();
    // Who repeats the message gets what the first sending got.
    let again = my.send(&message).await.unwrap();
    let again: Receipt = serde_json::from_value(again.body["receipt"].clone()).unwrap();
    assert_eq!(again, first);
    // The partner reads the checkpoint with its own signature on it, and the figures say how far it is.
    let note = my.http.get(format!("{}/v1/ledger/checkpoint", my.base)).send().await.unwrap().text().await.unwrap();
    assert_eq!(note.lines().filter(|line| line.starts_with('\u{2014}')).count(), 3, "{note}");
    let (_, figures) = ops(gateway, "/metrics").await;
    for line in ["log_size{corridor=\"my\"} 3", "log_cosigned_size{corridor=\"my\"} 3", "log_halted{corridor=\"my\"} 0"]
    {
        assert!(figures.contains(&format!("onechannel_{line}\n")), "{figures}");
    }
    assert!(witness(&mock).answers().iter().all(|status| *status == 200));
    let file = gateway.folder.join("receipt.json");
    fs::write(&file, serde_json::to_string(&receipt).unwrap()).unwrap();
    let keys_file = gateway.stand.log_keys.to_str().unwrap();
    let (code, text) = run(&["receipt", "verify", file.to_str().unwrap(), "--keys", keys_file]);
    assert!(code == Some(0) && text.contains("witness.my.example/w1"), "{text}");
    assert_eq!(gateway.stop_and_verify().await, 3);
    // What is kept of a witness is checked with the log: a line of another checkpoint, one that is none, one beyond the log.
    let log = state(gateway).await.log;
    for (attack, named) in [
        ("update cosignatures set line = translate(line, 'ABCDEF', 'BCDEFA')", "does not verify"),
        ("update cosignatures set witness = 'w.example'", "the keys have none of witness w.example"),
        ("update cosignatures set size = size + 100", "cosigned 103 entries and there are only 3"),
        ("delete from commits where size = 3", "checkpoint 3, which is not here"),
    ] {
        let mut transaction = gateway.databases.owner.begin().await.unwrap();
        sqlx::query("set local session_replication_role = replica").execute(&mut *transaction).await.unwrap();
        sqlx::query("create table kept_cosignatures as table cosignatures").execute(&mut *transaction).await.unwrap();
        sqlx::query("create table kept_commits as table commits").execute(&mut *transaction).await.unwrap();
        sqlx::raw_sql(attack).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        let checked = ledger::check(&gateway.databases.owner, &log, &keys).await.unwrap();
        assert!(checked.faults.iter().any(|fault| fault.contains(named)), "{attack}: {:?}", checked.faults);
        let mut transaction = gateway.databases.owner.begin().await.unwrap();
        let mend = "set local session_replication_role = replica;
            delete from cosignatures; insert into cosignatures table kept_cosignatures; drop table kept_cosignatures;
            delete from commits; insert into commits table kept_commits; drop table kept_commits";
        sqlx::raw_sql(mend).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }
    assert_eq!(ledger::check(&gateway.databases.owner, &log, &keys).await.unwrap().faults, Vec::<String>::new());
    // Once the partner has no witness any more its checkpoints do not stand still.
    let party = gateway.folder.join("partners/my/party.toml");
    let profile = fs::read_to_string(&party).unwrap();
    let (before, after) = profile.split_once("[witness]\n").unwrap();
    let after = after.split_once("\n[").map_or(String::new(), |(_, rest)| format!("[{rest}"));
    let before = before.replace("assurance = \"witnessed\"", "assurance = \"answer-signed\"");
    fs::write(&party, format!("{before}{after}")).unwrap();
    gateway.serve().await;
    let my = gateway.system("my-gateway");
    stored(&my).await;
    let note = my.http.get(format!("{}/v1/ledger/checkpoint", my.base)).send().await.unwrap().text().await.unwrap();
    assert_eq!(note.lines().nth(1), Some("4"), "{note}");
}

fn base64(text: &str) -> Vec<u8> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    BASE64_STANDARD.decode(text).unwrap()
}

/// The witness as the gateway itself asks it.
fn asked(gateway: &TestGateway, mock: &Mock) -> Witness {
    let running = &gateway.running.as_ref().unwrap().gateway;
    let client = onechannel::app::gateway::party_client(&gateway.config, running, "my", Some(mock.base())).unwrap();
    onechannel::app::gateway::witness(running.parties.party("my").unwrap(), &client.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_of_a_witness_has_its_consequence() {
    let mut stage = Stage::prepare().await;
    let mock = stage.partner().await;
    let gateway = &mut stage.gateway;
    gateway.serve().await;
    let my = gateway.system("my-gateway");
    stored(&my).await;
    cosigned(gateway).await;
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    let asked = asked(gateway, &mock);
    let text = "text/plain";
    let other = Cosigner::new(
        "witness.my.example/w1",
        aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap(),
    );
    let stranger = other.cosign(&witness(&mock).cosigned()[0], 1);
    let answers = [
        (StatusCode::BAD_REQUEST, text, String::new(), "witness-cannot-read-it"),
        (StatusCode::FORBIDDEN, text, String::new(), "witness-has-another-key"),
        (StatusCode::NOT_FOUND, text, String::new(), "witness-does-not-follow-it"),
        (StatusCode::INTERNAL_SERVER_ERROR, text, String::new(), "witness-away"),
        (StatusCode::TOO_MANY_REQUESTS, text, String::new(), "witness-away"),
        (StatusCode::CONFLICT, text, "1\n".to_owned(), "witness-away"),
        (StatusCode::CONFLICT, "text/x.tlog.size", "one\n".to_owned(), "witness-away"),
        (StatusCode::OK, text, String::new(), "cosignature-wrong"),
        (StatusCode::OK, text, "\u{2014} nobody AAAA\n".to_owned(), "cosignature-wrong"),
        (StatusCode::OK, text, stranger, "cosignature-wrong"),
    ];
    for (status, kind, body, fault) in answers {
        witness(&mock).answer_with(Some((status, kind, body)));
        cosigning::submit(&running, &asked).await.unwrap();
        let standing = Standing { cosigning: false, halted: false, fault: Some(fault) };
        assert_eq!(running.standings.of("my"), standing, "{status}");
        // Nothing stops, and no entry says what is not so.
        assert_eq!(stored(&my).await.1.assurance, "answer-signed");
    }
    let (_, figures) = ops(gateway, "/metrics").await;
    assert!(figures.contains("onechannel_witness_fault{corridor=\"my\",fault=\"cosignature-wrong\"} 1\n"), "{figures}");
    let before = state(gateway).await;
    assert_eq!((before.size, before.cosigned), (11, 1), "nothing that did not verify was kept");
    // One that lost its state says so by a size, and is given the log from there.
    witness(&mock).forget();
    witness(&mock).answer_with(None);
    cosigning::submit(&running, &asked).await.unwrap();
    assert_eq!(state(gateway).await.cosigned, 11);
    assert_eq!(witness(&mock).answers().iter().rev().take(2).collect::<Vec<_>>(), [&200, &409]);
    assert_eq!(stored(&my).await.1.assurance, "witnessed");
    // One that saw another history: nothing more is signed, until it stands by what is here.
    witness(&mock).answer_with(Some((StatusCode::UNPROCESSABLE_ENTITY, text, String::new())));
    cosigning::submit(&running, &asked).await.unwrap();
    let refused = my.send(&event("movement.arrived.v1", "P-IMM", |_| ())).await.unwrap();
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.body["type"], "urn:onechannel:problem:ledger-halted");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(state(gateway).await.halted.map(|(halt, _)| halt), Some(cosign::Halt::Fork));
    witness(&mock).answer_with(None);
    cosigning::submit(&running, &asked).await.unwrap();
    stored(&my).await;
    assert_eq!(cosigned(gateway).await, 13);
    assert_eq!(gateway.stop_and_verify().await, 13);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_is_away_stops_nothing_and_cosigns_all_when_it_is_back() {
    let mut stage = Stage::prepare().await;
    stage.gateway.serve().await;
    let my = stage.gateway.system("my-gateway");
    for _ in 0..3 {
        assert_eq!(stored(&my).await.1.assurance, "answer-signed");
    }
    let (status, ready) = ops(&stage.gateway, "/readyz").await;
    assert_eq!((status, ready.as_str()), (StatusCode::OK, "ready\n"));
    let mock = stage.partner().await;
    assert_eq!(cosigned(&stage.gateway).await, 3);
    let running = stage.gateway.running.as_ref().unwrap().gateway.clone();
    until(async || running.standings.of("my").cosigning).await;
    assert_eq!(stored(&my).await.1.assurance, "witnessed");
    assert_eq!(cosigned(&stage.gateway).await, 4);
    assert_eq!(witness(&mock).size(), 4);
    assert_eq!(stage.gateway.stop_and_verify().await, 4);
}

/// What a partner keeps: the checkpoint and the bundles of its corridor's log, as read over the channel.
async fn copy_of_tiles(system: &System, folder: &Path) -> Checkpoint {
    let read = async |path: &str| {
        let answer = system.http.get(format!("{}/v1/ledger/{path}", system.base)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.bytes().await.unwrap().to_vec()
    };
    let note = String::from_utf8(read("checkpoint").await).unwrap();
    let checkpoint = Checkpoint::parse(&note[..=note.rfind("\n\n").unwrap()]).unwrap();
    for index in 0.. {
        let Some(tile) = Tile::of(0, index, checkpoint.size) else { break };
        let name = format!("tile/{}", Resource::Entries(tile));
        let path = folder.join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, read(&name).await).unwrap();
    }
    fs::write(folder.join("checkpoint"), note).unwrap();
    checkpoint
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_backup_halts_its_corridor_until_it_caught_up_from_the_partners_copy() {
    let mut stage = Stage::prepare().await;
    let mock = stage.partner().await;
    let gateway = &mut stage.gateway;
    gateway.serve().await;
    let my = gateway.system("my-gateway");
    let first = stored(&my).await;
    for _ in 0..2 {
        stored(&my).await;
    }
    assert_eq!(cosigned(gateway).await, 3);
    let old = gateway.folder.join("old");
    copy_of_tiles(&my, &old).await;
    stop(gateway).await;
    let backup = gateway.databases.copy().await;
    gateway.serve().await;
    let mut lost = Vec::new();
    for _ in 0..4 {
        lost.push(stored(&my).await);
    }
    assert_eq!(cosigned(gateway).await, 7);
    let kept = gateway.folder.join("kept");
    assert_eq!(copy_of_tiles(&my, &kept).await.size, 7);
    stop(gateway).await;

    // The database is lost; what is restored is whole, and older than what was signed.
    let mut restored = gateway.beside(backup);
    // A command signs no more than a gateway does: it asks the witness first.
    let command = onechannel::app::gateway::ready(&restored.config).await.unwrap();
    let placement = sqlx::query_scalar("select id from subjects where kind = 'placement' limit 1");
    let placement: uuid::Uuid = placement.fetch_one(&restored.databases.owner).await.unwrap();
    let officers = ["a.sari", "b.putra"].map(str::to_owned);
    let erased = erase::erase(&command, &placement.to_string(), officers, "request 17/2026").await;
    assert!(matches!(&erased, Err(EraseFault::NotTold(party)) if party == "my"), "{erased:?}");
    drop(command);
    restored.serve().await;
    let (my, sa) = (restored.system("my-gateway"), restored.system("sa-gateway"));
    let refused = my.send(&event("movement.arrived.v1", "P-IMM", |_| ())).await.unwrap();
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.body);
    assert_eq!(refused.body["type"], "urn:onechannel:problem:ledger-halted");
    let halted = state(&restored).await;
    assert_eq!((halted.size, halted.halted), (3, Some((cosign::Halt::Rollback, 7))), "nothing was signed");
    // What was stored before has its receipt, and nobody is told that an acknowledgement counts that is not recorded.
    let again = my.send(&first.0).await.unwrap();
    assert_eq!(again.status, StatusCode::OK, "{}", again.body);
    assert_eq!(serde_json::from_value::<Receipt>(again.body["receipt"].clone()).unwrap(), first.1);
    let done =
        my.call(Method::POST, "/v1/messages/ack", "application/json", br#"{"cursor":"1"}"#.to_vec()).await.unwrap();
    assert_eq!(done.body["type"], "urn:onechannel:problem:ledger-halted", "{}", done.body);
    // Its clocks wait, and hold up those of no other corridor.
    let (owner, later) = (&restored.databases.owner, SystemClock.now() + time::Duration::days(3_650));
    assert_ne!(clocks::overdue(owner, later, &[], 200).await.unwrap().len(), 0);
    let running = restored.running.as_ref().unwrap().gateway.clone();
    assert_eq!(running.standings.halted(), ["my"]);
    assert_eq!(clocks::overdue(owner, later, &running.standings.halted(), 200).await.unwrap().len(), 0);
    // The journal itself appends nothing, whoever asks.
    let mut transaction = restored.databases.channel.begin().await.unwrap();
    let journal = &running.journal;
    let line = lost[0].1.entry.clone();
    let signer = journal.signer(&halted.log).unwrap();
    let appended =
        ledger::append(&mut transaction, &halted.log, &[line], signer, time::OffsetDateTime::UNIX_EPOCH).await;
    assert!(matches!(appended, Err(onechannel::store::StoreFault::Halted { .. })), "{appended:?}");
    drop(transaction);
    // Everybody else, and everything that only reads, goes on.
    let arrived = event("movement.arrived.v1", "P-IMM", |_| ());
    let other = sa.send(&arrived).await.unwrap();
    assert_ne!(other.status, StatusCode::SERVICE_UNAVAILABLE, "{}", other.body);
    let desk = Desk::of(&restored, &["MISSION", "KP2MI"]);
    let (status, _) = desk.get("/api/v1/placements", "PROTECTION_CASE").await;
    assert_eq!(status, StatusCode::OK);
    let (status, ready) = ops(&restored, "/readyz").await;
    assert_eq!((status, ready.as_str()), (StatusCode::OK, "ready\nhalted: my (rollback)\n"));
    let (_, figures) = ops(&restored, "/metrics").await;
    assert!(figures.contains("onechannel_log_halted{corridor=\"my\"} 1\n"), "{figures}");

    // Copies that do not lead there are not taken over.
    let keys_file = restored.stand.log_keys.to_str().unwrap();
    let catch_up = |from: &Path| {
        let from = from.to_str().unwrap();
        run(&["ledger", "catch-up", "--from", from, "--channel", &restored.databases.url, "--keys", keys_file])
    };
    let (code, text) = catch_up(&old);
    assert!(code == Some(2) && text.contains("nothing to take over"), "{text}");
    let bundle = kept.join("tile/entries/000.p/7");
    let whole = fs::read(&bundle).unwrap();
    let time = whole.windows(6).rposition(|window| window == b"\"time\"").unwrap();
    let mut altered = whole.clone();
    altered[time + 11] ^= 1;
    for (bytes, named) in [(altered, "another history"), (whole[..whole.len() - 1].to_vec(), "no bundle of entries")] {
        fs::write(&bundle, bytes).unwrap();
        let (code, text) = catch_up(&kept);
        assert!(code == Some(2) && text.contains(named), "{text}");
    }
    fs::remove_file(&bundle).unwrap();
    let (code, text) = catch_up(&kept);
    assert!(code == Some(2) && text.contains("is not there"), "{text}");
    assert_eq!(state(&restored).await, halted);

    // The partner's true copy.
    fs::write(&bundle, &whole).unwrap();
    let (code, text) = catch_up(&kept);
    assert!(code == Some(0) && text.contains("4 entries taken over, 7 now") && text.contains("received: 4"), "{text}");
    assert_eq!(cosigned(&restored).await, 7);
    until(async || running.standings.of("my") == Standing { cosigning: true, ..Standing::default() }).await;
    // What the backup lacked is sent again, and recorded under an entry of its own; its first receipt still holds.
    for (message, receipt) in &lost {
        assert_eq!(my.send(message).await.unwrap().status, StatusCode::CREATED);
        let checkpoint = receipt.verify(&keys(&restored), None).unwrap().checkpoint;
        let root = cosign::root(&restored.databases.owner, &halted.log, 7).await.unwrap().unwrap();
        let path = ledger::inclusion(&restored.databases.owner, &halted.log, receipt.index, 7).await.unwrap().unwrap();
        assert!(checkpoint.size <= 7);
        assert_eq!(root_from_inclusion(receipt.index, 7, leaf_hash(receipt.entry.as_bytes()), &path), Some(root));
    }
    assert_eq!(cosigned(&restored).await, 11);
    one_root_a_size(witness(&mock));
    restored.stop_and_verify().await;
}

/// Of one size a witness cosigns one root.
fn one_root_a_size(witness: &MockWitness) {
    let mut roots = BTreeMap::new();
    for checkpoint in witness.cosigned() {
        let known = *roots.entry(checkpoint.size).or_insert(checkpoint.root);
        assert_eq!(known, checkpoint.root, "two roots of {}", checkpoint.size);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_on_one_database_have_one_history_cosigned() {
    let mut stage = Stage::prepare().await;
    let mock = stage.partner().await;
    let mut twin = stage.gateway.beside(stage.gateway.databases.again());
    stage.gateway.serve().await;
    twin.serve().await;
    let systems = [&stage.gateway, &twin].map(|gateway| Arc::new(gateway.system("my-gateway")));
    let mut senders = JoinSet::new();
    for n in 0..4 {
        let system = systems[n % 2].clone();
        senders.spawn(async move {
            for _ in 0..15 {
                stored(&system).await;
            }
        });
    }
    while let Some(done) = senders.join_next().await {
        done.unwrap();
    }
    assert_eq!(cosigned(&stage.gateway).await, 60);
    // One at a time submitted, each from where the one before it ended.
    assert!(witness(&mock).answers().iter().all(|status| *status == 200), "{:?}", witness(&mock).answers());
    one_root_a_size(witness(&mock));
    stop(&mut twin).await;
    assert_eq!(stage.gateway.stop_and_verify().await, 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_gateways_on_two_copies_one_goes_on_and_the_other_halts() {
    let mut stage = Stage::prepare().await;
    let mock = stage.partner().await;
    stage.gateway.serve().await;
    let my = stage.gateway.system("my-gateway");
    stored(&my).await;
    assert_eq!(cosigned(&stage.gateway).await, 1);
    stop(&mut stage.gateway).await;
    let copy = stage.gateway.databases.copy().await;
    let mut twin = stage.gateway.beside(copy);
    stage.gateway.serve().await;
    twin.serve().await;
    assert_eq!((state(&stage.gateway).await.halted, state(&twin).await.halted), (None, None), "they are the same yet");
    stored(&my).await;
    assert_eq!(cosigned(&stage.gateway).await, 2);
    // The other's second entry is another: within seconds it learns that it is not alone.
    let other = twin.system("my-gateway");
    let mut taken = 0;
    until(async || {
        let reply = other.send(&event("movement.arrived.v1", "P-IMM", |_| ())).await.unwrap();
        taken += u64::from(reply.status == StatusCode::CREATED);
        reply.status == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    let halted = state(&twin).await;
    assert_eq!((halted.halted, halted.cosigned), (Some((cosign::Halt::Fork, 2)), 1));
    assert_eq!(halted.size, 1 + taken);
    stored(&my).await;
    assert_eq!(cosigned(&stage.gateway).await, 3);
    one_root_a_size(witness(&mock));
    for checkpoint in witness(&mock).cosigned().into_iter().filter(|checkpoint| checkpoint.size > 0) {
        let root = cosign::root(&stage.gateway.databases.owner, &checkpoint.origin, checkpoint.size).await.unwrap();
        assert_eq!(root, Some(checkpoint.root), "what is cosigned is of the one that went on");
    }
    stop(&mut twin).await;
    assert_eq!(stage.gateway.stop_and_verify().await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partners_own_log_is_cosigned_by_us_and_ours_by_the_partner() {
    let mut stage = Stage::prepare().await;
    let mock = stage.partner().await;
    stage.gateway.serve().await;
    let my = stage.gateway.system("my-gateway");
    let log = mock.log.as_ref().unwrap();
    assert_eq!(log.submit(&my).await, Ok(0), "it was told nothing yet");
    let kp2mi = stage.gateway.system("kp2mi-system");
    for n in 0..3 {
        let nominated = event("placement.nominated.v1", "KP2MI", |e| {
            e["data"]["travelDocument"]["number"] = format!("E000000{n}").into();
            e["data"]["worker"]["nik"] = format!("320101690296000{n}").into();
            e["data"]["placement"]["reference"] = format!("H-{n}").into();
        });
        assert_eq!(kp2mi.send(&nominated).await.unwrap().status, StatusCode::CREATED);
        until(async || mock.told().len() > n).await;
        assert_eq!(log.submit(&my).await, Ok(n as u64 + 1));
    }
    let leaves = cosigned(&stage.gateway).await;
    assert!(leaves >= 6, "three messages and three checkpoints of the partner: {leaves}");
    stage.gateway.stop_and_verify().await;
}
