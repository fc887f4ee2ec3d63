//! Erasing a person: everything about her is unreadable in every column there is, nothing of others is lost, partners are told,
//! backups do not bring her back, and every log goes on to verify.

mod restored;

use crate::support::{
    desk::Desk,
    gateway::{TestGateway, event},
    until,
};
use http::{Method, StatusCode};
use onechannel::{
    app::gateway,
    exchange::{
        Gateway,
        erase::{self, EraseFault, Erased, List, Progress},
        opening::{self, OpeningFault},
    },
    ledger::note::VerifierKey,
    sandbox::system::System,
    store::{self, StoreFault, erasures, vault_keys},
    vault::Place,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Command, Stdio},
    sync::Arc,
};
use uuid::Uuid;

/// What nothing may tell of her afterwards.
const HERS: [&str; 4] = ["E7654321", "3201016902960001", "DEWI AYU", "+628120000001"];
/// What is somebody else's and must stay.
const HIS: &str = "BUDI SANTOSO";

fn officers() -> [String; 2] {
    ["a.sari".to_owned(), "b.putra".to_owned()]
}

fn use_cases(gateway: &TestGateway) -> Arc<Gateway> {
    gateway.running.as_ref().unwrap().gateway.clone()
}

/// Changes what nobody may.
async fn as_superuser(owner: &PgPool, sql: impl Into<String>) {
    let mut transaction = owner.begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *transaction).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

/// Her registration.
fn nominated() -> Value {
    event("placement.nominated.v1", "KP2MI", |_| ())
}

/// Somebody else's, with a passport of his own or of hers.
fn of_another(passport: &str) -> Value {
    event("placement.nominated.v1", "KP2MI", |e| {
        e["data"]["placement"] = json!({"reference": "OCS-00018"});
        e["data"]["travelDocument"]["number"] = passport.into();
        e["data"]["worker"]["name"]["full"] = HIS.into();
        e["data"]["worker"]["nik"] = "3201014107950002".into();
        e["data"]["worker"]["birthDate"]["value"] = "1995-07-01".into();
        e["data"]["worker"].as_object_mut().unwrap().remove("phone");
    })
}

/// An arrival by a reference of the border's own and a passport.
fn arrived(id: &str, passport: &str) -> Value {
    event("movement.arrived.v1", "P-IMM", |e| {
        e["id"] = id.into();
        e["data"]["placement"] = json!({"reference": id});
        e["data"]["travelDocument"]["number"] = passport.into();
    })
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_onechannel")).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

async fn sent(system: &System, event: &Value) -> Value {
    let reply = system.send_until_stored(event).await.unwrap();
    assert!(reply.status.is_success(), "{}", reply.body);
    reply.body
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

/// Every sealed value that a key of the vault still opens.
async fn readable(gateway: &Gateway) -> Vec<String> {
    let (channel, vault) = (&gateway.journal.channel, &gateway.journal.vault);
    let columns = [
        ("messages.sealed", "select id, key_id, sealed from messages"),
        ("messages.canonical", "select id, key_id, canonical from messages where canonical is not null"),
        ("deliveries.answer", "select message, key_id, answer from deliveries where answer is not null"),
        ("requests.sealed", "select id, key_id, sealed from requests"),
    ];
    let mut readable = Vec::new();
    for (column, sql) in columns {
        let rows: Vec<(Uuid, Uuid, Vec<u8>)> = sqlx::query_as(sql).fetch_all(channel).await.unwrap();
        let ids: Vec<Uuid> = rows.iter().map(|row| row.1).collect();
        let keys = vault_keys::find(vault, &gateway.journal.kek, &ids).await.unwrap();
        for (row, key, sealed) in rows {
            let plain = keys.get(&key).and_then(|one| one.open(Place { column, row, key }, &sealed).ok());
            readable.extend(plain.map(|plain| format!("{column} {}", String::from_utf8_lossy(&plain))));
        }
    }
    readable
}

/// What of her can still be read in the sealed columns.
async fn still_read(gateway: &Gateway) -> Vec<String> {
    let all = readable(gateway).await;
    all.into_iter().filter(|text| HERS.iter().any(|hers| text.contains(hers))).collect()
}

/// Every column of a type, as `table.column`.
async fn columns(pool: &PgPool, types: &[&str]) -> BTreeSet<String> {
    let types: Vec<String> = types.iter().map(|one| (*one).to_owned()).collect();
    let sql = "select table_name || '.' || column_name from information_schema.columns
               where table_schema = 'public' and udt_name = any($1) and table_name <> '_sqlx_migrations'";
    sqlx::query_scalar(sql).bind(types).fetch_all(pool).await.unwrap().into_iter().collect()
}

#[tokio::test]
async fn everything_about_an_erased_person_is_unreadable_and_nothing_of_others_is_lost() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my, mission) =
        (gateway.system("kp2mi-system"), gateway.system("my-gateway"), gateway.system("mission-system"));
    // Three words about a passport are kept together before anybody is known by it. Then she is registered with it, and somebody
    // else claims it too: from then on they may be about either, but they lie under her key.
    for id in ["a-1", "a-2"] {
        sent(&my, &arrived(id, "E7654321")).await;
    }
    let hers = sent(&kp2mi, &nominated()).await;
    let his = sent(&kp2mi, &of_another("E7654321")).await;
    // What is about her alone: told by her id, in the partner's own format, refused, in a case, told and acknowledged. And somebody
    // else's, of whom nothing is known yet.
    let page = my.call(Method::GET, "/v1/messages?after=0", "", vec![]).await.unwrap();
    let of_her = |one: &&Value| one["event"]["data"]["worker"]["name"]["full"] == "DEWI AYU RATNASARI";
    let told = page.body["messages"].as_array().unwrap().iter().find(of_her).unwrap();
    let her_id = told["event"]["data"]["placement"]["id"].clone();
    let wire = json!({"idMesej": "W-1", "masaHantar": "01/01/2027 03:00:00", "agensi": "JTK", "idPenempatan": her_id,
        "noPasport": "E7654321", "noPermohonan": "P-1", "jenisPermohonan": "AKSES", "masaTerima": "01/01/2027 03:00:00"});
    let path = "/v1/inbox/permohonan-data";
    let wire = my.call(Method::POST, path, "application/json", wire.to_string().into_bytes()).await.unwrap();
    assert_eq!(wire.status, StatusCode::CREATED, "{}", wire.body);
    let home_id = &hers["placement"]["id"];
    let dispute = event("dispute.filed.v1", "MISSION", |e| {
        e["data"]["placement"] = json!({"id": home_id});
        e["data"].as_object_mut().unwrap().remove("travelDocument");
    });
    sent(&mission, &dispute).await;
    let stranger = event("death.reported.v1", "P-POL", |e| {
        e["data"]["placement"] = json!({"reference": "nobody's"});
        e["data"]["travelDocument"] = json!({"number": "E7654399", "issuer": "IDN"});
        e["data"]["death"]["remark"] = json!("x");
    });
    // Both in one request, whose signature is over the whole.
    let permit = event("permit.issued.v1", "P-IMM", |e| e["data"]["placement"] = json!({"id": her_id}));
    let batch = json!([permit, stranger]).to_string().into_bytes();
    let batched = async || {
        let kind = "application/cloudevents-batch+json";
        my.call(Method::POST, "/v1/messages", kind, batch.clone()).await.unwrap().body
    };
    let taken = batched().await;
    assert_eq!((&taken[0]["status"], &taken[1]["outcome"]), (&json!(201), &json!("held")), "{taken}");
    let refused = event("placement.nominated.v1", "KP2MI", |e| e["data"]["unheard-of"] = json!("x"));
    let refused = kp2mi.send(&refused).await.unwrap();
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    // One that names no corridor that there is.
    let unplaced = event("placement.nominated.v1", "KP2MI", |e| {
        e["id"] = json!("unplaced");
        e["corridor"] = json!("zz");
    });
    let unplaced = kp2mi.send(&unplaced).await.unwrap();
    assert_eq!(unplaced.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", unplaced.body);
    assert_eq!(unplaced.body["receipt"]["corridor"], "domestic");
    let page = mission.call(Method::GET, "/v1/messages", "", vec![]).await.unwrap();
    let cursor = page.body["messages"].as_array().unwrap().last().unwrap()["cursor"].clone();
    let ack = json!({"cursor": cursor}).to_string().into_bytes();
    let acked = mission.call(Method::POST, "/v1/messages/ack", "application/json", ack).await.unwrap();
    assert!(acked.body["delivered"].as_i64() > Some(0), "{}", acked.body);

    let use_cases = use_cases(&gateway);
    let channel = &gateway.databases.owner;
    for sql in ["select count(*) from cases", "select count(*) from clocks"] {
        assert!(count(channel, sql).await > 0, "{sql}");
    }
    let before = readable(&use_cases).await;
    for (what, tells) in [
        ("messages.sealed", HERS[0]),
        ("messages.sealed", HERS[1]),
        ("messages.canonical", HERS[0]),
        ("messages.sealed", HIS),
        ("requests.sealed", HERS[0]),
    ] {
        assert!(before.iter().any(|text| text.starts_with(what) && text.contains(tells)), "{what} {tells}");
    }
    let unfit = refused.body["receipt"]["message"].as_str().unwrap();
    assert_eq!(
        count(
            channel,
            "select count(*) from search_terms s join messages m on m.id = s.message where m.outcome = 'refused'"
        )
        .await,
        2
    );

    let id = hers["placement"]["id"].as_str().unwrap();
    let done = erase::erase(&use_cases, id, officers(), "request 17").await.unwrap();
    assert!(matches!(done, Erased::Done(keys) if keys > 0), "{done:?}");

    let resealed = erasures::all(channel).await.unwrap()[0].resealed;
    assert!(resealed > 0, "words that may be about either lay under her key");
    // Who sends it again gets the same receipts, and brings nothing of her back.
    assert_eq!(batched().await[1]["receipt"], taken[1]["receipt"]);
    let after = readable(&use_cases).await;
    assert!(after.iter().any(|text| text.contains(HIS)), "his registration");
    // What names only the passport that both claim may be his: it stays. Everything else that told of her is gone.
    let left = still_read(&use_cases).await;
    assert!(
        left.iter().all(|text| text.contains("\"a-1\"") || text.contains("\"a-2\"") || text.contains(HIS)),
        "{left:#?}"
    );
    assert_eq!(left.iter().filter(|text| text.contains("\"a-")).count(), 2, "nothing of others was lost");
    assert!(HERS[1..].iter().all(|hers| !after.iter().any(|text| text.contains(hers))));
    assert!(after.iter().any(|text| text.contains("E7654399")), "a stranger's held death");
    let status: bool = sqlx::query_scalar("select erased from messages where id = $1::uuid")
        .bind(unfit)
        .fetch_one(channel)
        .await
        .unwrap();
    assert!(status, "what was refused and names her went too");

    // Whoever adds a column of bytes or of terms says here what erasing does to it.
    let emptied: BTreeMap<&str, &str> = BTreeMap::from([
        ("messages.sealed", "select count(*) from messages where erased and sealed <> ''"),
        ("messages.canonical", "select count(*) from messages where erased and canonical is not null"),
        ("messages.opening", "select count(*) from messages where erased and opening is not null"),
        ("messages.effects", "select count(*) from messages where erased and effects <> ''"),
        ("messages.links", "select count(*) from messages where erased and links <> ''"),
        (
            "deliveries.answer",
            "select count(*) from deliveries d join messages m on m.id = d.message where m.erased and d.answer is not null",
        ),
        (
            "deliveries.opening",
            "select count(*) from deliveries d join messages m on m.id = d.message where m.erased and d.opening is not null",
        ),
        (
            "search_terms.terms",
            "select count(*) from search_terms s join messages m on m.id = s.message where m.erased",
        ),
        ("link_keys.token", "select count(*) from link_keys k join messages m on m.tag = k.token where m.erased"),
        (
            "clocks.case_tag",
            "select count(*) from clocks c join subjects s on s.id = c.subject where s.erased_at is not null",
        ),
        ("cases.tag", "select count(*) from cases c join subjects s on s.id = c.subject where s.erased_at is not null"),
        ("subjects.anchor", "select count(*) from subjects where erased_at is not null and anchor is not null"),
        ("requests.sealed", "select count(*) from requests where sealed <> ''"),
        ("requests.body_tag", "select count(*) from requests where body_tag <> uuid_send(id)"),
    ]);
    let nobodys = [
        // By which a repeat is known again, and nothing else.
        "messages.tag",
        "messages.body_tag",
        // Certificates, digests of policies, the ledger; what is said of a crisis.
        "certificates.thumbprint",
        "certificates.chain",
        "policies.digest",
        "acts.policy",
        "heads.root",
        "heads.frontier",
        "commits.root",
        "commits.frontier_before",
        "tiles.root",
        "tiles.hashes",
        "time_stamps.token",
        "witnessed.root",
        "witnessed.opening",
        "mentions.token",
    ];
    let known: BTreeSet<String> = emptied.keys().copied().chain(nobodys).map(str::to_owned).collect();
    assert_eq!(columns(channel, &["bytea", "_int8", "_bytea"]).await, known);
    for (column, sql) in &emptied {
        let left: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(*sql)).fetch_one(channel).await.unwrap();
        assert_eq!(left, 0, "{column}");
    }
    // No text of any table, here or in the vault, ever told of her.
    let vault = onechannel::store::pool(&gateway.databases.vault_url, 1).unwrap();
    for pool in [channel, &vault] {
        for column in columns(pool, &["text", "_text", "varchar", "jsonb"]).await {
            let (table, name) = column.split_once('.').unwrap();
            let sql = format!("select count(*) from \"{table}\" where \"{name}\"::text ~ $1");
            let pattern = "E7654321|3201016902960001|DEWI|628120000001";
            let hits: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(pattern).fetch_one(pool).await.unwrap();
            assert_eq!(hits, 0, "{column}");
        }
    }
    // He is whole, and what is left is folded anew.
    let desk = Desk::of(&gateway, &["MISSION"]);
    let path = format!("/api/v1/placements/{}", his["placement"]["id"].as_str().unwrap());
    let (status, whole) = desk.get(&path, "PROTECTION_CASE").await;
    assert_eq!((status, &whole["fields"]["/worker/name/full"]["value"]), (StatusCode::OK, &json!(HIS)), "{whole}");
    assert!(
        !whole["exceptions"].to_string().contains("SAME_PASSPORT"),
        "nobody else claims his passport any more: {whole}"
    );
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn what_was_sealed_anew_opens_its_entry_as_before() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    let word = arrived("a-1", "E7654321");
    let first = sent(&my, &word).await;
    let mission = gateway.system("mission-system");
    let page = mission.call(Method::GET, "/v1/messages", "", vec![]).await.unwrap();
    let cursor = json!({"cursor": page.body["messages"][0]["cursor"]}).to_string().into_bytes();
    let done = mission.call(Method::POST, "/v1/messages/ack", "application/json", cursor).await.unwrap();
    assert_eq!(done.body["delivered"], json!(1), "{}", done.body);
    let hers = sent(&kp2mi, &nominated()).await;
    sent(&kp2mi, &of_another("E7654321")).await;
    let use_cases = use_cases(&gateway);
    erase::erase(&use_cases, hers["placement"]["id"].as_str().unwrap(), officers(), "request 17").await.unwrap();
    assert_eq!(erasures::all(&gateway.databases.owner).await.unwrap()[0].resealed, 1);
    let id: Uuid = first["message"].as_str().unwrap().parse().unwrap();
    let journal = &use_cases.journal;
    let kept = store::evidence::kept(&journal.channel, &journal.vault, &journal.kek, &[id]).await.unwrap();
    let told = &kept[0].deliveries[0];
    let keys: Vec<VerifierKey> = journal.signers.values().map(|signer| signer.verifier().clone()).collect();
    let verified = told.receipt.as_ref().unwrap().verify(&keys, told.answer.as_deref()).unwrap();
    assert_eq!(verified.bytes_match, Some(true), "what was answered opens its entry too");
    let again = my.send(&word).await.unwrap();
    assert_eq!((again.status, &again.body["receipt"]), (StatusCode::OK, &first["receipt"]), "opening and all");
    let opened = opening::open(&use_cases, id, "c.dewi", "case 4").await.unwrap();
    assert_eq!(opened.bytes, word.to_string().into_bytes());
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_on_no_list_and_what_was_cut_off_is_finished() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    let shared = sent(&my, &arrived("a-1", "E7654321")).await;
    let hers = sent(&kp2mi, &nominated()).await["placement"]["id"].as_str().unwrap().to_owned();
    sent(&kp2mi, &of_another("E7654321")).await;
    let (use_cases, owner) = (use_cases(&gateway), &gateway.databases.owner);
    // The entry of what is about others too is gone: its opening could not be kept.
    let of = format!("e.log = m.log and e.idx = m.leaf and m.id = '{}'", shared["message"].as_str().unwrap());
    as_superuser(owner, format!("create table gone as select e.* from entries e, messages m where {of}")).await;
    as_superuser(owner, format!("delete from entries e using messages m where {of}")).await;
    let failed = erase::erase(&use_cases, &hers, officers(), "request 17").await;
    assert!(matches!(&failed, Err(EraseFault::Store(StoreFault::BadRow { column: "leaf", .. }))), "{failed:?}");
    assert_eq!(erasures::listed(&use_cases.journal.vault).await.unwrap(), Vec::<String>::new());
    assert_eq!(use_cases.erasures.read().unwrap(), []);
    as_superuser(owner, "insert into entries table gone; drop table gone").await;
    // Cut off after the keys went: what the keys were wrapped under is known all the same.
    as_superuser(
        owner,
        "create function cut_off() returns trigger language plpgsql as $$ begin raise 'cut off'; end $$;
         create trigger cut_off before update on erasures for each row execute function cut_off()",
    )
    .await;
    assert!(matches!(erase::erase(&use_cases, &hers, officers(), "request 17").await, Err(EraseFault::Store(_))));
    as_superuser(owner, "drop trigger cut_off on erasures").await;
    assert_eq!(erasures::all(owner).await.unwrap()[0].keys_gone_at, None);
    assert_eq!(erase::replay(&use_cases).await.unwrap(), 1);
    let erased = &erasures::all(owner).await.unwrap()[0];
    assert_eq!((erased.keys_gone_at.is_some(), erased.epoch), (true, Some(use_cases.journal.kek.epoch)));
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn whoever_asks_for_what_was_erased_is_told_so() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    let registration = nominated();
    let first = kp2mi.send(&registration).await.unwrap();
    let arrival = sent(&my, &event("movement.arrived.v1", "P-IMM", |_| ())).await;
    let held = event("death.reported.v1", "P-POL", |e| {
        e["data"]["travelDocument"] = json!({"number": "E7654321", "issuer": "IDN"});
        e["data"]["placement"] = json!({"reference": "elsewhere"});
        e["data"]["death"]["remark"] = json!("x");
    });
    let held = sent(&my, &held).await;
    assert_eq!(held["outcome"], "held");
    let (home_id, my_id) =
        (first.body["placement"]["id"].as_str().unwrap(), arrival["placement"]["id"].as_str().unwrap());
    let desk = Desk::of(&gateway, &["MISSION"]);
    let whole = desk.placement("E7654321").await;
    let use_cases = use_cases(&gateway);
    let alone = erase::erase(&use_cases, home_id, ["a.sari".to_owned(), "A.Sari ".to_owned()], "x").await;
    assert!(matches!(alone, Err(EraseFault::TwoOfficers)));
    assert!(matches!(erase::erase(&use_cases, home_id, officers(), " ").await, Err(EraseFault::NoBasis)));
    assert!(matches!(erase::erase(&use_cases, "nobody", officers(), "x").await, Err(EraseFault::NotFound)));
    erase::erase(&use_cases, home_id, officers(), "request 17").await.unwrap();
    assert!(matches!(erase::erase(&use_cases, home_id, officers(), "x").await, Err(EraseFault::Before)));
    assert!(matches!(erase::hold(&use_cases, home_id, "c.dewi", "x").await, Err(EraseFault::Before)));

    let ask = async |system: &System, path: String| system.call(Method::GET, &path, "", vec![]).await.unwrap();
    let gone = |status: StatusCode, body: &Value| {
        assert_eq!((status.as_u16(), &body["type"]), (410, &json!("urn:onechannel:problem:erased")), "{body}");
    };
    for path in ["", "/timeline"] {
        let reply = ask(&my, format!("/v1/placements/{my_id}{path}")).await;
        gone(reply.status, &reply.body);
        let (status, body) = desk.get(&format!("/api/v1/placements/{home_id}{path}"), "PROTECTION_CASE").await;
        gone(status, &body);
        let own = whole["id"].as_str().unwrap();
        let (status, body) = desk.get(&format!("/api/v1/placements/{own}{path}?"), "PROTECTION_CASE").await;
        gone(status, &body);
    }
    let message = arrival["message"].as_str().unwrap();
    let reply = ask(&my, format!("/v1/messages/{message}")).await;
    gone(reply.status, &reply.body);
    // The receipt says nothing of her, and is its sender's: entry and proof are there, the opening is not.
    let reply = ask(&my, format!("/v1/messages/{message}/receipt")).await;
    assert_eq!((reply.status, &reply.body["entry"]), (StatusCode::OK, &arrival["receipt"]["entry"]));
    assert!(reply.body.get("opening").is_none() && arrival["receipt"]["opening"].is_string());
    let (status, body) = desk.decide(&held["message"], "ACCEPTED", "x").await;
    gone(status, &body);
    for system in [&my, &kp2mi] {
        assert_eq!(ask(system, "/v1/placements".to_owned()).await.body["placements"], json!([]));
    }
    let (_, list) = desk.get("/api/v1/placements?corridor=my", "PROTECTION_CASE").await;
    assert_eq!(list["placements"], json!([]));
    let (_, list) = desk.search(json!({"passport": "E7654321"}), "PROTECTION_CASE").await;
    assert_eq!(list["placements"], json!([]));
    for path in ["/api/v1/held", "/api/v1/exceptions", "/api/v1/changes?after=0"] {
        let (status, body) = desk.get(path, "PROTECTION_CASE").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        assert!(!body.to_string().contains(whole["id"].as_str().unwrap()), "{path}: {body}");
    }
    for (system, types) in [(&my, vec!["subject.requested.v1"]), (&gateway.system("mission-system"), vec![])] {
        let page = ask(system, "/v1/messages?after=0".to_owned()).await;
        let events = page.body["messages"].as_array().unwrap().iter().map(|one| one["event"]["type"].as_str().unwrap());
        assert_eq!(events.collect::<Vec<_>>(), types, "{}", page.body);
    }
    // Nothing that was on its way is sent again.
    let config = gateway.stand.config.to_str().unwrap();
    assert_eq!(run(&["deliveries", "--release", "my", "--config", config]).0, Some(0));
    assert_eq!(count(&gateway.databases.owner, "select count(*) from deliveries d join messages m on m.id = d.message where m.erased and d.state in ('waiting', 'parked')").await, 0);
    let repeat = kp2mi.send(&registration).await.unwrap();
    assert_eq!((repeat.status, &repeat.body["receipt"]["entry"]), (StatusCode::OK, &first.body["receipt"]["entry"]));
    assert!(repeat.body["receipt"].get("opening").is_none() && first.body["receipt"]["opening"].is_string());
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn what_comes_later_is_new_and_leads_to_nothing_that_was_erased() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    let (registration, arrival) = (nominated(), event("movement.arrived.v1", "P-IMM", |_| ()));
    let hers = sent(&kp2mi, &registration).await;
    let first = sent(&my, &arrival).await;
    let use_cases = use_cases(&gateway);
    erase::erase(&use_cases, hers["placement"]["id"].as_str().unwrap(), officers(), "request 17").await.unwrap();
    let messages = "select count(*) from messages";
    let before = count(&gateway.databases.owner, messages).await;
    let repeat = my.send(&arrival).await.unwrap();
    assert_eq!((repeat.status, &repeat.body["receipt"]["entry"]), (StatusCode::OK, &first["receipt"]["entry"]));
    let mut other = arrival.clone();
    other["data"]["movement"]["port"] = "PEN".into();
    assert_eq!(my.send(&other).await.unwrap().status, StatusCode::CONFLICT, "the same id with other content");
    assert_eq!(count(&gateway.databases.owner, messages).await, before, "a repeat is not kept again");

    let anew = sent(&my, &event("movement.arrived.v1", "P-IMM", |_| ())).await;
    assert!(anew["placement"]["id"] != first["placement"]["id"], "{anew}");
    let desk = Desk::of(&gateway, &["MISSION"]);
    let known = desk.placement("E7654321").await;
    assert_eq!((&known["stage"], &known["provisional"]), (&json!("ARRIVED"), &json!(true)));
    assert!(known["fields"].get("/worker/name/full").is_none() && known["other_placements"] == json!([]), "{known}");
    let again = sent(&kp2mi, &nominated()).await;
    assert!(again["placement"]["id"] != hers["placement"]["id"]);
    assert_eq!(desk.placement("E7654321").await["id"], known["id"], "what is new belongs together");

    // By the id that stood for her nothing is said any more, but that she was erased there too.
    let by_id = |type_name: &str, authority: &str| {
        event(type_name, authority, |e| {
            e["data"]["placement"] = json!({"id": first["placement"]["id"]});
            e["data"].as_object_mut().unwrap().remove("travelDocument");
        })
    };
    let refused = my.send(&by_id("permit.issued.v1", "P-IMM")).await.unwrap();
    assert_eq!(
        (refused.status, &refused.body["violations"][0]["rule"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("erased-id"))
    );
    let answer = sent(&my, &by_id("subject.answered.v1", "P-LAB")).await;
    assert_eq!(answer["outcome"], "applied", "{answer}");
    let death = sent(&my, &by_id("death.reported.v1", "P-POL")).await;
    assert_eq!(death["outcome"], "held", "what is about a death waits for a person whatever its id");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn partners_that_know_her_are_asked_to_erase_her_too_without_a_word_about_her() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    let hers = sent(&kp2mi, &nominated()).await;
    let arrival = sent(&my, &event("movement.arrived.v1", "P-IMM", |_| ())).await;
    let use_cases = use_cases(&gateway);
    erase::erase(&use_cases, hers["placement"]["id"].as_str().unwrap(), officers(), "request of DEWI AYU")
        .await
        .unwrap();
    let page = my.call(Method::GET, "/v1/messages?after=0", "", vec![]).await.unwrap();
    let told = &page.body["messages"][0]["event"];
    assert_eq!((&told["type"], &told["authority"]), (&json!("subject.requested.v1"), &json!("KP2MI")));
    assert_eq!(told["data"]["placement"]["id"], arrival["placement"]["id"], "by the id that it knows");
    assert_eq!(told["data"]["subjectRequest"]["kind"], "ERASURE");
    assert!(HERS.iter().all(|hers| !told.to_string().contains(hers)), "{told}");
    for party in ["my", "sa", "tw"] {
        let (_, record) = use_cases.formats[party].outbound("subject.requested.v1").unwrap();
        let wire = record
            .write(told)
            .map_err(|faults| faults.iter().map(|f| format!("{} {}", f.pointer, f.rule)).collect::<Vec<_>>());
        assert!(wire.is_ok(), "{party}: {wire:?}");
    }
    let acts: Vec<(String, String, Option<i64>)> =
        sqlx::query_as("select corridor, outcome, leaf from acts order by corridor")
            .fetch_all(&gateway.databases.owner)
            .await
            .unwrap();
    let acts: Vec<(&str, &str, bool)> =
        acts.iter().map(|(c, o, leaf)| (c.as_str(), o.as_str(), leaf.is_some())).collect();
    assert_eq!(acts, [("domestic", "erased", true), ("my", "erased", true)]);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_hold_forbids_erasing_until_an_officer_lifts_it_and_all_of_it_is_on_record() {
    let mut gateway = TestGateway::start().await;
    let hers = sent(&gateway.system("kp2mi-system"), &nominated()).await;
    let id = hers["placement"]["id"].as_str().unwrap();
    let config = gateway.stand.config.to_str().unwrap();
    let status =
        || -> Value { serde_json::from_str(&run(&["erase", "status", "--json", "--config", config]).1).unwrap() };
    let held = |verb: &str, basis: &str| {
        run(&["erase", verb, id, "--officer", "c.dewi", "--basis", basis, "--config", config])
    };
    let (code, said) = held("hold", "case 4/2026");
    assert_eq!(code, Some(0), "{said}");
    let erase = || {
        run(&["erase", id, "--officer", "a.sari", "--officer", "b.putra", "--basis", "request 17", "--config", config])
    };
    let (code, said) = erase();
    assert!(code == Some(1) && said.contains("a hold stands (case 4/2026)"), "{said}");
    assert_eq!(status()["erasures"][0]["state"], "restricted");
    assert_eq!(status()["holds"][0]["officer"], "c.dewi");
    let whole = Desk::of(&gateway, &["MISSION"]).placement("E7654321").await;
    assert_eq!(whole["fields"]["/travelDocument/number"]["value"], "E7654321", "nothing was destroyed");
    assert_eq!(held("lift", "case 4/2026 closed").0, Some(0));
    assert_eq!(held("lift", "case 4/2026 closed").0, Some(1), "none stands any more");
    let (code, said) = erase();
    assert_eq!(code, Some(0), "{said}");
    let told = status();
    assert_eq!((&told["erasures"][1]["state"], &told["holds"]), (&json!("destroyed"), &json!([])), "{told}");
    assert_eq!(told["erasures"][1]["waits"]["epoch"], 1, "{told}");
    let (code, said) = run(&["erase", id, "--officer", "a.sari", "--basis", "x", "--config", config]);
    assert!(code == Some(2) && said.contains("two --officer"), "{said}");
    let acts: Vec<String> =
        sqlx::query_scalar("select outcome from acts where corridor = 'domestic' and leaf is not null order by at, id")
            .fetch_all(&gateway.databases.owner)
            .await
            .unwrap();
    assert_eq!(acts, ["hold-placed", "restricted", "hold-lifted", "erased"]);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn an_opening_that_was_given_out_verifies_after_the_erasure_and_none_is_given_any_more() {
    let mut gateway = TestGateway::start().await;
    let registration = nominated();
    let hers = sent(&gateway.system("kp2mi-system"), &registration).await;
    let message: Uuid = hers["message"].as_str().unwrap().parse().unwrap();
    let cases = use_cases(&gateway);
    assert!(matches!(opening::open(&cases, message, "c.dewi", " ").await, Err(OpeningFault::NoBasis)));
    assert!(matches!(opening::open(&cases, Uuid::nil(), "c.dewi", "x").await, Err(OpeningFault::NotFound)));
    let config = gateway.stand.config.to_str().unwrap().to_owned();
    let folder = gateway.folder.join("case");
    let court = folder.to_str().unwrap();
    let message_text = message.to_string();
    let open = [
        "receipt",
        "open",
        &message_text,
        court,
        "--officer",
        "c.dewi",
        "--basis",
        "court order 9",
        "--config",
        &config,
    ];
    let (code, said) = run(&open);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(std::fs::read(folder.join("message")).unwrap(), registration.to_string().into_bytes());
    let disclosed: (String, String) =
        sqlx::query_as("select purpose, case_number from lookups").fetch_one(&gateway.databases.owner).await.unwrap();
    assert_eq!(disclosed, (opening::PURPOSE.to_owned(), "court order 9".to_owned()));

    erase::erase(&cases, hers["placement"]["id"].as_str().unwrap(), officers(), "request 17").await.unwrap();
    assert!(matches!(opening::open(&cases, message, "c.dewi", "court order 9").await, Err(OpeningFault::Erased)));
    assert_eq!(run(&open).0, Some(2));
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let keys = gateway.stand.log_keys.to_str().unwrap();
    let (code, said) =
        run(&["receipt", "verify", &file("receipt.json"), "--keys", keys, "--message", &file("message")]);
    assert!(code == Some(0) && said.contains("exactly the one"), "{said}");
    let progress = erase::progress(&cases).await.unwrap();
    assert!(matches!(progress[0].1, Progress::Destroyed { epoch: Some(1), .. }));
    drop(cases);
    gateway.stop_and_verify().await;
}
