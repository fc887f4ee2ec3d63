//! Archives of evidence, as an auditor handles them: what they prove, what they hold back, and that nothing in one can be changed.

use crate::support::{
    Databases,
    gateway::{TestGateway, event},
    until,
};
use aws_lc_rs::signature::Ed25519KeyPair;
use http::{Method, StatusCode};
use onechannel::{
    app::system::SystemClock,
    domain::clock::Clock,
    evidence::{
        account::{Account, Sentence},
        archive::{self, Archive, Manifest, Record, Scope, Statement},
        check::{self, Keys},
    },
    exchange::{
        erase::{self, Erased},
        export::{self, Asked, Of},
    },
    ledger::{
        note::{Checkpoint, NoteSigner},
        tree::{Frontier, leaf_hash},
        witness::Submission,
    },
    sandbox::mock::Mock,
    store::deliveries,
    trust::exchanged,
    vault::sha256,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};
use uuid::Uuid;

/// The partner's own log.
fn log() -> NoteSigner {
    NoteSigner::new("log.my.example/test/id", Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap())
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_onechannel")).env("LC_ALL", "C").args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// A gateway on which both sides spoke about one worker, the partner's log was cosigned before, and one message acknowledged after.
struct Told {
    gateway: TestGateway,
    /// The home party's id of the placement.
    placement: String,
    config: String,
}

impl Told {
    async fn new() -> Self {
        let mut gateway = TestGateway::prepare(Databases::fresh().await).await;
        let folder = gateway.folder.join("partners/my");
        std::fs::create_dir_all(folder.join("trust")).unwrap();
        std::fs::write(folder.join("trust/log.vkey"), format!("{}\n", log().verifier())).unwrap();
        let mut profile = std::fs::read_to_string(folder.join("party.toml")).unwrap();
        profile.push_str("\n[[log]]\nfile = \"trust/log.vkey\"\n");
        std::fs::write(folder.join("party.toml"), profile).unwrap();
        gateway.serve().await;
        let [my, kp2mi, mission] = ["my-gateway", "kp2mi-system", "mission-system"].map(|name| gateway.system(name));
        let mut tree = Frontier::default();
        tree.append(leaf_hash(b"theirs"));
        let checkpoint = Checkpoint { origin: log().verifier().name.clone(), size: 1, root: tree.root() };
        let submission = Submission { old: 0, proof: vec![], checkpoint: log().sign(&checkpoint.to_text()) };
        let url = format!("{}/v1/ledger/add-checkpoint", my.base);
        let cosigned = my.http.post(url).body(submission.to_text()).send().await.unwrap();
        assert_eq!(cosigned.status(), StatusCode::OK);
        my.send(&event("contract.submitted.v1", "P-LAB", |_| ())).await.unwrap();
        let nominated = kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
        assert_eq!(nominated.status, StatusCode::CREATED, "{}", nominated.body);
        let batch = json!([event("movement.arrived.v1", "P-IMM", |_| ())]).to_string().into_bytes();
        let arrived = my.call(Method::POST, "/v1/messages", "application/cloudevents-batch+json", batch).await.unwrap();
        assert_eq!(arrived.status, StatusCode::OK, "{}", arrived.body);
        let page = mission.call(Method::GET, "/v1/messages", "", vec![]).await.unwrap();
        let cursor = json!({"cursor": page.body["messages"][0]["cursor"]}).to_string().into_bytes();
        let done = mission.call(Method::POST, "/v1/messages/ack", "application/json", cursor).await.unwrap();
        assert_eq!(done.body["delivered"], json!(1), "{}", done.body);
        let placement = nominated.body["placement"]["id"].as_str().unwrap().to_owned();
        let config = gateway.stand.config.to_str().unwrap().to_owned();
        Self { gateway, placement, config }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.gateway.folder.join(name)
    }

    fn export(&self, purpose: &str, out: &Path) -> (Option<i32>, String) {
        let (of, out) = (["--placement", &self.placement], out.to_str().unwrap());
        let asked = ["--officer", "a.sari", "--purpose", purpose, "--language", "id"];
        run(&[&["evidence", "export", "--config", &self.config, "--out", out][..], &of, &asked].concat())
    }

    async fn looked_up(&self) -> i64 {
        let count = sqlx::query_scalar("select count(*) from lookups where officer = 'a.sari' and leaf is not null");
        count.fetch_one(&self.gateway.databases.owner).await.unwrap()
    }
}

/// The mission's assessment of her; gives its id.
async fn assessed_by_the_mission(told: &Told) -> String {
    let mission = told.gateway.system("mission-system");
    let assessed = event("welfare.assessed.v1", "MISSION", |e| e["data"]["placement"] = json!({"id": told.placement}));
    let sent = mission.send(&assessed).await.unwrap();
    assert!(sent.status.is_success(), "{}", sent.body);
    sent.body["message"].as_str().unwrap().to_owned()
}

fn keys(sentences: &Value) -> BTreeSet<String> {
    sentences.as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap().to_owned()).collect()
}

fn names(account: &Account) -> String {
    account.faults.iter().map(|fault| format!("{}\n", fault.text(onechannel::words::Lang::En))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_says_what_is_proven_by_whose_signature_and_what_is_not() {
    let told = Told::new().await;
    let out = told.file("case.tar");
    let (code, text) = told.export("PROTECTION_CASE", &out);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(told.looked_up().await, 1, "the disclosure and its leaf are there");
    // Nothing is overwritten, and what could not be written is not on record as disclosed.
    assert_eq!(told.export("PROTECTION_CASE", &out).0, Some(2));
    assert_eq!(told.looked_up().await, 1);
    // Another program reads the file.
    let listed = Command::new("tar").arg("-tf").arg(&out).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for name in ["manifest.json", "page.html", "keys.json", "schemas/catalogue.toml", "parties/my/party.toml"] {
        assert!(listed.lines().any(|line| line == name), "{name}: {listed}");
    }
    let file = out.to_str().unwrap();
    let (code, text) = run(&["evidence", "verify", file, "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let result: Value = serde_json::from_str(&text).unwrap();
    let proven = [
        "evidence.answered",
        "evidence.bytes",
        "evidence.entry",
        "evidence.listed",
        "evidence.mandate",
        "evidence.not-before",
        "evidence.rules",
        "evidence.sender",
    ];
    assert_eq!(keys(&result["proven"]), proven.map(str::to_owned).into(), "{text}");
    let open = keys(&result["notProven"]);
    for key in ["evidence.keys-inside", "evidence.sender-part", "evidence.no-not-after", "receipt.truth"] {
        assert!(open.contains(key), "{key}: {text}");
    }
    // Who signed what: both sides' systems, by their own keys.
    let sentences = result["proven"].to_string();
    for signer in
        ["my-gateway-sign-1 of my", "kp2mi-system-sign-1 of id", "id answered under its key mission-system-sign-1"]
    {
        assert!(sentences.contains(signer), "{signer}: {sentences}");
    }
    // What came with others is shown to be part of what was signed, for a purpose that may see everybody in it.
    let whole = told.file("whole.tar");
    let asked =
        ["--placement", &told.placement, "--officer", "a.sari", "--whole-requests", "--out", whole.to_str().unwrap()];
    let export = |purpose: &str| {
        run(&[&["evidence", "export", "--config", &told.config, "--purpose", purpose][..], &asked].concat())
    };
    assert_eq!(export("BORDER_CHECK").0, Some(2));
    let (code, text) = export("PROTECTION_CASE");
    assert_eq!(code, Some(0), "{text}");
    let bytes = std::fs::read(&whole).unwrap();
    let mut archive = Archive::read(&bytes).unwrap();
    let account = check::account(&archive, Some(&bytes), &Keys::default());
    let has = |sentences: &[Sentence], key: &str| sentences.iter().any(|one| one.key() == key);
    assert!(account.holds() && has(&account.proven, "evidence.sender-whole"), "{}", names(&account));
    assert!(!has(&account.not_proven, "evidence.sender-part"));
    let request = archive.members.keys().find(|name| name.starts_with("requests/")).unwrap().clone();
    archive.members.get_mut(&request).unwrap().push(b' ');
    let faults = names(&check::account(&archive, None, &Keys::default()));
    assert!(faults.contains(&format!("{request} is not what was signed")), "{faults}");
    // That there is a message about protection is itself no matter of every purpose.
    let assessed = assessed_by_the_mission(&told).await;
    let status = told.file("status.tar");
    assert_eq!(told.export("STATUS_QUERY", &status).0, Some(0));
    let (_, text) = run(&["evidence", "verify", status.to_str().unwrap()]);
    assert!(!text.contains(&assessed) && text.contains("does not show 1 more messages"), "{text}");
    // By the key of the domestic log alone nothing is proven of any message.
    let brought = told.file("domestic.keys");
    let own = std::fs::read_to_string(&told.gateway.stand.log_keys).unwrap();
    let domestic: String =
        own.lines().filter(|line| line.contains("/domestic+")).map(|line| format!("{line}\n")).collect();
    std::fs::write(&brought, domestic).unwrap();
    let (code, text) = run(&["evidence", "verify", file, "--keys", brought.to_str().unwrap()]);
    assert_eq!((code, text.contains("nothing in it is proven of any message")), (Some(1), true), "{text}");
    // With keys that the auditor brought, and with the wrong ones.
    let brought = told.file("brought.keys");
    let own = std::fs::read_to_string(&told.gateway.stand.log_keys).unwrap();
    std::fs::write(&brought, format!("# ours and theirs\n{own}{}\n", log().verifier())).unwrap();
    let (code, text) = run(&["evidence", "verify", file, "--keys", brought.to_str().unwrap(), "--language", "ar"]);
    assert_eq!((code, text.contains("كل ما في هذا الأرشيف صحيح.")), (Some(0), true), "{text}");
    // Who has no key of the partner's own log is told what that leaves open, and of no fault.
    std::fs::write(&brought, own).unwrap();
    let (code, text) = run(&["evidence", "verify", file, "--keys", brought.to_str().unwrap(), "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let result: Value = serde_json::from_str(&text).unwrap();
    let open = keys(&result["notProven"]);
    assert!(
        open.contains("evidence.not-before-key") && !keys(&result["proven"]).contains("evidence.not-before"),
        "{text}"
    );
    // Nor is one who has the key of the corridor's log and of one system only: he is told what rests on the others.
    let archive = Archive::read(&std::fs::read(&out).unwrap()).unwrap();
    let archived: Vec<Value> = archive.json(archive::KEYS).unwrap();
    let key = |of: &dyn Fn(&Value) -> bool| archived.iter().find(|key| of(key)).unwrap()["key"].as_str().unwrap();
    let corridor = key(&|key| key["kid"].as_str().is_some_and(|kid| kid.ends_with("/my")) && key["party"] == "id");
    let kp2mi = key(&|key| key["kid"] == "kp2mi-system-sign-1");
    std::fs::write(&brought, format!("{corridor}\n{kp2mi}\n")).unwrap();
    let (code, text) = run(&["evidence", "verify", file, "--keys", brought.to_str().unwrap(), "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let result: Value = serde_json::from_str(&text).unwrap();
    let open = keys(&result["notProven"]);
    for key in ["evidence.log-key", "evidence.signing-key", "evidence.not-before-key"] {
        assert!(open.contains(key), "{key}: {text}");
    }
    assert!(keys(&result["proven"]).contains("evidence.entry") && !keys(&result["proven"]).contains("evidence.listed"));
    let (_, text) = run(&["evidence", "verify", file, "--keys", brought.to_str().unwrap()]);
    assert!(text.contains("That no file was exchanged or left out is not proven."), "{text}");
    // By keys of nobody here nothing is proven, and that is no proof.
    std::fs::write(&brought, log().verifier().to_string()).unwrap();
    let (code, text) = run(&["evidence", "verify", file, "--keys", brought.to_str().unwrap()]);
    assert_eq!((code, text.contains("nothing in it is proven")), (Some(1), true), "{text}");
    // Nor is anything by another key of the log's own name: it may have had one before.
    let other =
        NoteSigner::new(corridor.split('+').next().unwrap(), Ed25519KeyPair::from_seed_unchecked(&[4; 32]).unwrap());
    std::fs::write(&brought, other.verifier().to_string()).unwrap();
    let (code, text) = run(&["evidence", "verify", file, "--keys", brought.to_str().unwrap()]);
    assert_eq!((code, text.contains("nothing in it is proven")), (Some(1), true), "{text}");
    // Its own page says the same, in the language that was asked for.
    let page = String::from_utf8(archive.members[archive::PAGE].clone()).unwrap();
    assert!(page.contains("<html lang=\"id\" dir=\"ltr\">") && page.contains("Yang TIDAK terbukti"), "{page}");
    assert!(!page.contains("<script"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_purpose_does_not_show_or_was_erased_is_not_in_an_archive_and_its_proofs_are() {
    let told = Told::new().await;
    let (code, text) = told.export("STATISTICS", &told.file("none.tar"));
    assert_eq!((code, text.contains("counts only"), told.file("none.tar").exists()), (Some(2), true, false), "{text}");
    assert_eq!(told.looked_up().await, 0);
    let not_proven = |out: &Path, shown: usize| {
        let bytes = std::fs::read(out).unwrap();
        let archive = Archive::read(&bytes).unwrap();
        // The schemas have examples of their own: what is looked for is what these messages said.
        for (name, content) in
            archive.members.iter().filter(|(name, _)| !name.starts_with("schemas/") && !name.starts_with("parties/"))
        {
            let content = String::from_utf8_lossy(content);
            assert!(!content.contains("RATNASARI") && !content.contains("E7654321"), "{name} of {}", out.display());
        }
        let private =
            |name: &&String| name.ends_with("/request") || name.ends_with(".answer") || name.ends_with("event.json");
        assert_eq!(archive.members.keys().filter(private).count(), shown, "{:?}", archive.members.keys());
        let opening = |name: &&String| {
            name.starts_with("messages/")
                && !name.contains("not-before")
                && String::from_utf8_lossy(&archive.members[*name]).contains("\"opening\"")
        };
        assert_eq!(archive.members.keys().filter(opening).count(), shown);
        let (code, text) = run(&["evidence", "verify", out.to_str().unwrap(), "--json"]);
        assert_eq!(code, Some(0), "{text}");
        let result: Value = serde_json::from_str(&text).unwrap();
        assert!(keys(&result["proven"]).contains("evidence.entry"), "{text}");
        keys(&result["notProven"])
    };
    let out = told.file("status.tar");
    let (code, text) = told.export("STATUS_QUERY", &out);
    assert_eq!(code, Some(0), "{text}");
    assert!(not_proven(&out, 0).contains("evidence.withheld"));
    let running = &told.gateway.running.as_ref().unwrap().gateway;
    let officers = ["a.sari", "b.putra"].map(str::to_owned);
    let erased = erase::erase(running, &told.placement, officers, "request 17/2026").await.unwrap();
    assert!(matches!(erased, Erased::Done(keys) if keys > 0), "{erased:?}");
    let out = told.file("erased.tar");
    let (code, text) = told.export("PROTECTION_CASE", &out);
    assert_eq!(code, Some(0), "{text}");
    // What is left to read is our own request to the partner to erase her too, which names nobody.
    assert!(not_proven(&out, 1).contains("evidence.erased"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_changed_in_an_archive_is_found_and_named() {
    let told = Told::new().await;
    let out = told.file("case.tar");
    let (code, text) = told.export("PROTECTION_CASE", &out);
    assert_eq!(code, Some(0), "{text}");
    let bytes = std::fs::read(&out).unwrap();
    let whole = Archive::read(&bytes).unwrap();
    let scope: Scope = whole.json(archive::SCOPE).unwrap();
    let account = |archive: &Archive| {
        let bytes = archive.write(scope.made).unwrap();
        check::account(&Archive::read(&bytes).unwrap(), Some(&bytes), &Keys::default())
    };
    assert_eq!(names(&account(&whole)), "");
    let change = |archive: &mut Archive, name: &str| {
        let content = archive.members.get_mut(name).unwrap();
        let middle = content.len() / 2;
        content[middle] ^= 1;
    };
    let changed = |name: &str| {
        let mut archive = whole.clone();
        change(&mut archive, name);
        archive
    };
    // What is there only to be looked up is changed all at once: of these files too each is named.
    let (looked_up, single): (Vec<&String>, Vec<&String>) =
        whole.members.keys().partition(|name| name.starts_with("schemas/") || name.starts_with("parties/"));
    let (mut all_changed, mut none_there) = (whole.clone(), whole.clone());
    for name in &looked_up {
        change(&mut all_changed, name);
        none_there.members.remove(*name);
    }
    for (archive, what) in [(&all_changed, "changed"), (&none_there, "taken away")] {
        let faults = names(&account(archive));
        looked_up.iter().for_each(|name| assert!(faults.contains(*name), "{name} {what}: {faults}"));
    }
    // Every other file in turn: changed, taken away, and one that was not there.
    for name in single {
        let faults = names(&account(&changed(name)));
        // Of the list itself the statement tells, to which the log commits.
        let named = if name == archive::MANIFEST { archive::STATEMENT } else { name };
        assert!(faults.contains(named), "{name} changed: {faults}");
        let mut archive = whole.clone();
        archive.members.remove(name);
        let faults = names(&account(&archive));
        assert!(faults.contains(name), "{name} taken away: {faults}");
    }
    let mut archive = whole.clone();
    archive.put("messages/new", "x");
    assert!(names(&account(&archive)).contains("messages/new does not stand in the list"));
    // Something behind the files, and another time beside them.
    let tail = [&bytes[..], &[0; 512]].concat();
    assert!(names(&check::account(&whole, Some(&tail), &Keys::default())).contains("something besides its files"));
    // Who mends the list is found by the log's entry, which commits to the list.
    let mend = |archive: &mut Archive| {
        let manifest: Manifest = archive.manifest();
        archive.put_json(archive::MANIFEST, &manifest);
    };
    let bound = |name: &&String| {
        let is_looked_up = looked_up.contains(name) && *name != looked_up[0];
        !is_looked_up && ![archive::MANIFEST, archive::STATEMENT, archive::ACT].contains(&name.as_str())
    };
    for name in whole.members.keys().filter(bound) {
        let mut archive = changed(name);
        mend(&mut archive);
        let faults = names(&account(&archive));
        assert!(faults.contains(archive::STATEMENT), "{name}: {faults}");
    }
    let mut archive = changed(archive::PAGE);
    mend(&mut archive);
    let manifest = hex::encode(sha256(&archive.members[archive::MANIFEST]));
    archive.put_json(archive::STATEMENT, &Statement { manifest, scope: scope.clone() });
    assert!(names(&account(&archive)).contains("export.statement.json is not what the log's entry commits to"));
    // What a statement says any message may say: the receipt of a message is no officer's act.
    let kp2mi = told.gateway.system("kp2mi-system");
    let statement = archive.members[archive::STATEMENT].clone();
    let sent = kp2mi.call(Method::POST, "/v1/messages", "application/cloudevents+json", statement).await.unwrap();
    assert_eq!(sent.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", sent.body);
    archive.put_json(archive::ACT, &sent.body["receipt"]);
    assert_eq!(names(&account(&archive)), "export.receipt.json is about something else than where it lies.\n");
    // Nor is what the gateway says of a message beyond its bytes.
    let record = whole.members.keys().find(|name| name.ends_with("/record.json")).unwrap();
    let mut archive = whole.clone();
    let text = String::from_utf8(archive.members[record].clone()).unwrap();
    let said: Value = serde_json::from_str(&text).unwrap();
    archive.put(record, text.replace(&format!("\"authority\": {}", said["authority"]), "\"authority\": \"P-POL\""));
    assert!(names(&check::account(&archive, None, &Keys::default())).contains(record), "{text}");
    // Without any list each proof stands for itself.
    let mut seen = BTreeSet::new();
    for name in whole.members.keys() {
        let part = [
            "/request",
            "/signature.json",
            "/receipt.json",
            ".answer",
            ".receipt.json",
            ".note",
            "policies/",
            "certificates/",
            "parties/my/party.toml",
            "schemas/catalogue.toml",
        ];
        let is = |part: &&str| name.starts_with(*part) || (name.starts_with("messages/") && name.ends_with(*part));
        let Some(part) = part.into_iter().find(is) else { continue };
        if name == archive::ACT {
            continue;
        }
        let faults = names(&check::account(&changed(name), None, &Keys::default()));
        let named = name.rsplit_once('/').map_or(name.as_str(), |(folder, _)| folder);
        assert!(faults.contains(named), "{name}: {faults}");
        seen.insert(part);
    }
    assert_eq!(seen.len(), 10, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_since_a_message_was_decided_is_not_proven_and_no_fault() {
    let told = Told::new().await;
    // What waited was put at the end of the mailbox: the row that ended so had no answer.
    let pool = &told.gateway.databases.owner;
    let waiting: Vec<Uuid> =
        sqlx::query_scalar("select message from deliveries where state = 'waiting'").fetch_all(pool).await.unwrap();
    assert!(!waiting.is_empty());
    for message in waiting {
        deliveries::renew(pool, message, SystemClock.now()).await.unwrap();
    }
    // A file of the partner's folder was changed, and its certificates come from another root by now.
    let folder = told.gateway.folder.join("partners/my");
    let profile = std::fs::read_to_string(folder.join("party.toml")).unwrap();
    std::fs::write(folder.join("party.toml"), format!("{profile}\n# changed\n")).unwrap();
    let root = rcgen::generate_simple_self_signed(vec!["other.example".into()]).unwrap().cert.pem();
    for file in std::fs::read_dir(folder.join("trust")).unwrap().map(|file| file.unwrap().path()) {
        let is_root = std::fs::read_to_string(&file).is_ok_and(|text| text.contains("BEGIN CERTIFICATE"));
        if is_root {
            std::fs::write(file, &root).unwrap();
        }
    }
    let out = told.file("case.tar");
    let (code, text) = told.export("PROTECTION_CASE", &out);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(&["evidence", "verify", out.to_str().unwrap(), "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let open = keys(&serde_json::from_str::<Value>(&text).unwrap()["notProven"]);
    for key in ["evidence.no-rules", "evidence.no-mandate", "evidence.no-certificate"] {
        assert!(open.contains(key), "{key}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_partner_was_told_and_answered_is_there_byte_for_byte() {
    let mut gateway = TestGateway::prepare(Databases::fresh().await).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    gateway.config.endpoints.insert("my".to_owned(), address);
    let stop = tokio::sync::watch::Sender::new(false);
    let _mock = Mock::start("my", &gateway.stand.pki, listener, stop.subscribe()).unwrap();
    gateway.serve().await;
    let kp2mi = gateway.system("kp2mi-system");
    let nominated = kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    let message: Uuid = nominated.body["message"].as_str().unwrap().parse().unwrap();
    let pool = gateway.databases.owner.clone();
    until(async || {
        let told = "select exists (select from deliveries where message = $1 and state = 'delivered')";
        sqlx::query_scalar(told).bind(message).fetch_one(&pool).await.unwrap()
    })
    .await;
    let asked = Asked {
        of: Of::Message(message),
        officer: "a.sari".to_owned(),
        purpose: "PROTECTION_CASE".to_owned(),
        case_number: None,
        whole: false,
        language: onechannel::words::Lang::En,
    };
    let running = &gateway.running.as_ref().unwrap().gateway;
    let bytes = export::export(running, &asked, &gateway.config.schemas).await.unwrap();
    let archive = Archive::read(&bytes).unwrap();
    let account = check::account(&archive, Some(&bytes), &Keys::default());
    assert!(account.holds(), "{}", names(&account));
    let proven: Vec<&str> = account.proven.iter().map(|one| one.key()).collect();
    assert!(proven.contains(&"evidence.told"), "{proven:?}");
    let name = archive.members.keys().find(|name| name.ends_with(".answer")).unwrap();
    let kept = exchanged::read(&archive.members[name]);
    let sent = String::from_utf8(kept.sent.unwrap().to_vec()).unwrap();
    assert!(sent.contains("DEWI AYU RATNASARI"), "in the partner's own format: {sent}");
    // A byte of what was sent, with the opening of another commitment: the partner's signature does not cover it.
    let at = archive.members[name].windows(4).position(|window| window == b"DEWI").unwrap();
    let mut changed = archive.clone();
    changed.members.get_mut(name).unwrap()[at] ^= 1;
    let faults = names(&check::account(&changed, None, &Keys::default()));
    for fault in ["is not what the log's entry commits to", "is not what was signed"] {
        assert!(faults.contains(&format!("{name} {fault}")), "{faults}");
    }
    stop.send_replace(true);
}

/// An archive of the day, made by the gateway that runs.
async fn of_today(gateway: &TestGateway) -> Archive {
    let running = &gateway.running.as_ref().unwrap().gateway;
    let asked = Asked {
        of: Of::Day(running.now().to_offset(running.parties.home.zone).date()),
        officer: "a.sari".to_owned(),
        purpose: "PROTECTION_CASE".to_owned(),
        case_number: None,
        whole: true,
        language: onechannel::words::Lang::En,
    };
    let bytes = export::export(running, &asked, &gateway.config.schemas).await.unwrap();
    Archive::read(&bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sender_sends_keeps_nobody_from_an_archive_of_it() {
    let gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    // Rows of a file, of which each is kept with its header; a repeat that came with others before; a message in nobody's name.
    let header = "noRujukan,noPasport,nama,jantina,tarikhLahir,warganegara,tarikhMasuk,statusMasuk";
    let row = |n: u8| format!("MY-OCS-9{n},E765490{n},\"ALI, {n}\",L,00/00/1990,IDN,0{n}/01/2027 02:15,MASUK");
    let file = async |rows: &[u8], end: &str| {
        let lines = [header.to_owned()].into_iter().chain(rows.iter().map(|n| row(*n)));
        let file: String = lines.map(|line| format!("{line}{end}")).collect();
        let sent = my.call(Method::POST, "/v1/inbox/kemasukan-harian", "text/csv", file.into_bytes()).await.unwrap();
        assert_eq!(sent.status, StatusCode::OK, "{}", sent.body);
    };
    file(&[1, 2], "\r\n").await;
    file(&[2, 3], "\n").await;
    let mut nobodys = event("movement.arrived.v1", "P-IMM", |_| ());
    nobodys.as_object_mut().unwrap().remove("authority");
    assert_eq!(my.send(&nobodys).await.unwrap().status, StatusCode::UNPROCESSABLE_ENTITY);
    let archive = of_today(&gateway).await;
    let account = check::account(&archive, None, &Keys::default());
    assert!(account.holds(), "{}", names(&account));
    let whole = account.proven.iter().find(|one| one.key() == "evidence.sender-whole").unwrap();
    let whole = whole.text(onechannel::words::Lang::En);
    let records = archive.members.keys().filter(|name| name.ends_with("/record.json"));
    let records: Vec<Record> = records.map(|name| archive.json(name).unwrap()).collect();
    let rows: Vec<&Record> = records.iter().filter(|one| one.part_of.is_some()).collect();
    assert!(rows.len() == 3 && rows.iter().all(|one| whole.contains(&one.message.to_string())), "{whole}");
    // Receipts and answers that are about another message prove nothing of this one.
    let [one, two] = [rows[0], rows[1]].map(|one| format!("messages/{}/receipt.json", one.message));
    let mut exchanged = archive.clone();
    for file in ["request", "signature.json", "event.json", "receipt.json"] {
        let of = |record: &Record| format!("messages/{}/{file}", record.message);
        exchanged.put(of(rows[1]), archive.members[&of(rows[0])].clone());
    }
    let text = String::from_utf8(exchanged.members[&two].clone()).unwrap();
    exchanged.put(&two, text.replace(&rows[0].message.to_string(), &rows[1].message.to_string()));
    let faults = names(&check::account(&exchanged, None, &Keys::default()));
    assert!(faults.contains(&one) || faults.contains(&two), "{faults}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_lacks_the_senders_signature_shows_no_mandate() {
    let told = Told::new().await;
    let out = told.file("case.tar");
    assert_eq!(told.export("PROTECTION_CASE", &out).0, Some(0));
    let mut archive = Archive::read(&std::fs::read(&out).unwrap()).unwrap();
    let has = |account: &Account, key: &str| account.proven.iter().any(|one| one.key() == key);
    assert!(has(&check::account(&archive, None, &Keys::default()), "evidence.mandate"));
    for (_, bytes) in archive.members.iter_mut().filter(|(name, _)| name.ends_with("/signature.json")) {
        let mut kept: Value = serde_json::from_slice(bytes).unwrap();
        kept["signature_base"] = Value::Null;
        *bytes = kept.to_string().into_bytes();
    }
    // The certificate is still named, and still leads to the roots: nobody signed that either.
    let account = check::account(&archive, None, &Keys::default());
    assert!(account.stated.iter().any(|one| one.key() == "evidence.certificate"));
    assert!(!has(&account, "evidence.mandate") && !has(&account, "evidence.sender"));
}
