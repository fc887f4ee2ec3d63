//! Telling a partner: away, in trouble, refusing, forging its answer; and asking one that is polled.

use crate::support::{
    Databases,
    gateway::{TestGateway, event, free_ports},
};
use onechannel::{
    evidence::{
        archive::Archive,
        check::{self, Keys},
    },
    exchange::export::{self, Asked, Of},
    sandbox::{contract::Contract, mock::Mock},
    store::{deliveries, query, requests},
    words::Lang,
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{net::TcpListener, sync::watch};
use uuid::Uuid;

async fn prepared(code: &str) -> (TestGateway, u16) {
    let mut gateway = TestGateway::prepare(Databases::fresh().await).await;
    let [port] = free_ports();
    gateway.config.endpoints.insert(code.to_owned(), format!("https://localhost:{port}"));
    gateway.config.delivery.pause_max_s = 1;
    (gateway, port)
}

async fn mock(gateway: &TestGateway, code: &str, port: u16, stop: &watch::Receiver<bool>) -> Arc<Mock> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    Mock::start(code, &gateway.stand.pki, listener, stop.clone()).unwrap()
}

/// Waits until as many rows of a party stand in a state.
async fn until(gateway: &TestGateway, party: &str, state: &str, wanted: i64) {
    loop {
        let counts = deliveries::counts(&gateway.databases.owner).await.unwrap();
        let found = counts.iter().find(|(p, s, _)| p == party && s == state).map_or(0, |row| row.2);
        if found >= wanted {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_is_away_or_in_trouble_gets_everything_once_it_is_back() {
    let (mut gateway, port) = prepared("my").await;
    gateway.serve().await;
    let kp2mi = gateway.system("kp2mi-system");
    for n in 0..5 {
        let nominated = event("placement.nominated.v1", "KP2MI", |e| {
            e["data"]["travelDocument"]["number"] = format!("E000000{n}").into();
            e["data"]["worker"]["nik"] = format!("320101690296000{n}").into();
            e["data"]["placement"]["reference"] = format!("H-{n}").into();
        });
        assert_eq!(kp2mi.send(&nominated).await.unwrap().status, 201);
    }
    loop {
        // Tried, and still waiting.
        let tried: i64 = sqlx::query_scalar("select count(*) from deliveries where party = 'my' and attempts > 0")
            .fetch_one(&gateway.databases.owner)
            .await
            .unwrap();
        if tried == 5 {
            break;
        }
    }
    let (_stop, stopped) = watch::channel(false);
    let mock = mock(&gateway, "my", port, &stopped).await;
    mock.trouble_every(2);
    until(&gateway, "my", "delivered", 5).await;
    assert_eq!(mock.told().len(), 5);
    assert_eq!(mock.refused(), 0);
    assert!(mock.told().iter().all(|(path, record)| path == "/api/v1/calon" && record["idPenempatan"].is_string()));
    let text = format!("{:?}", mock.told());
    assert!(!text.contains("3201016902") && !text.contains("H-0"), "neither NIK nor the sender's reference leaves");
    assert_eq!(gateway.stop_and_verify().await, 10, "five received, five delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_signed_by_the_partner_delivers_nothing() {
    let (mut gateway, port) = prepared("my").await;
    // The partner's registered answer key is another than the one its mock signs with.
    let other = gateway.folder.join("pki/gateway-sign.pub.pem");
    std::fs::copy(other, gateway.folder.join("partners/my/trust/my-answer-1.pem")).unwrap();
    gateway.serve().await;
    let (_stop, stopped) = watch::channel(false);
    let mock = mock(&gateway, "my", port, &stopped).await;
    gateway.system("kp2mi-system").send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    while mock.told().len() < 2 {
        tokio::task::yield_now().await;
    }
    let (state, reason): (String, Option<String>) = loop {
        let row = sqlx::query_as("select state, reason from deliveries where party = 'my'");
        let row: (String, Option<String>) = row.fetch_one(&gateway.databases.owner).await.unwrap();
        if row.1.is_some() {
            break row;
        }
    };
    assert_eq!((state.as_str(), reason.as_deref()), ("waiting", Some("answer-signature-wrong")));
    assert_eq!(gateway.stop_and_verify().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_is_polled_is_read_page_by_page_and_repeats_change_nothing() {
    let (mut gateway, port) = prepared("sa").await;
    // Here it signs its answers.
    let folder = gateway.stand.pki.partners.join("sa");
    let public = gateway.stand.pki.mocks["sa"].2.with_extension("pub.pem");
    std::fs::copy(public, folder.join("trust/sa-answer-1.pem")).unwrap();
    let profile = std::fs::read_to_string(folder.join("party.toml")).unwrap();
    let key = "[outbound]\nanswer_key = [{ kid = \"sa-answer-1\", file = \"trust/sa-answer-1.pem\" }]";
    let signing = profile.replace("assurance = \"tls\"", "assurance = \"answer-signed\"").replace("[outbound]", key);
    std::fs::write(folder.join("party.toml"), signing).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let mock = mock(&gateway, "sa", port, &stopped).await;
    let contract = Contract::load(&gateway.stand.pki.partners.join("sa"), "+03:00").unwrap();
    let arrived = &contract.interactions["arrived"];
    for n in 0..450 {
        let variables = [("id", format!("sa-{n}")), ("passport", format!("E{n:07}")), ("reference", format!("R-{n}"))];
        let variables: BTreeMap<String, String> = variables.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        mock.publish(contract.fill(arrived, arrived.record.as_ref().unwrap(), &variables).unwrap());
    }
    // The same id with a changed body: from this party a correction, which waits for a person.
    let mut corrected = contract
        .fill(arrived, arrived.record.as_ref().unwrap(), &BTreeMap::from([("id".to_owned(), "sa-0".to_owned())]))
        .unwrap();
    corrected["body"]["port"] = "RUH".into();
    mock.publish(corrected);
    gateway.serve().await;
    loop {
        let counts = query::message_counts(&gateway.databases.owner).await.unwrap();
        let of = |outcome: &str| counts.iter().filter(|row| row.2 == outcome).map(|row| row.3).sum::<i64>();
        if of("applied") == 450 && of("held") == 1 {
            break;
        }
        tokio::task::yield_now().await;
    }
    // A page is kept once, however often it is read, and shows who signed what was on it.
    let owner = &gateway.databases.owner;
    let message: Uuid =
        sqlx::query_scalar("select id from messages where outcome = 'held'").fetch_one(owner).await.unwrap();
    let asked = Asked {
        of: Of::Message(message),
        officer: "a.sari".to_owned(),
        purpose: "PROTECTION_CASE".to_owned(),
        case_number: None,
        whole: true,
        language: Lang::En,
    };
    let running = &gateway.running.as_ref().unwrap().gateway;
    crate::support::until(async || !requests::of(owner, &[message]).await.unwrap().is_empty()).await;
    let bytes = export::export(running, &asked, &gateway.config.schemas).await.unwrap();
    let archive = Archive::read(&bytes).unwrap();
    let account = check::account(&archive, Some(&bytes), &Keys::default());
    assert!(account.holds(), "{}", account.text(Lang::En));
    assert!(account.proven.iter().any(|one| one.key() == "evidence.sender-whole"), "{}", account.text(Lang::En));
    assert_eq!(archive.members.keys().filter(|name| name.starts_with("requests/")).count(), 1);
    assert_eq!(gateway.stop_and_verify().await, 453, "and the disclosure, as a look-up and as an act");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_delivered_for_too_long_is_parked_and_can_be_sent_again() {
    let (mut gateway, port) = prepared("my").await;
    gateway.config.delivery.park_after_s = 0;
    gateway.serve().await;
    gateway.system("kp2mi-system").send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    until(&gateway, "my", "parked", 1).await;
    let (_stop, stopped) = watch::channel(false);
    let mock = mock(&gateway, "my", port, &stopped).await;
    let config = gateway.stand.config.to_string_lossy().into_owned();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_onechannel"))
        .args(["deliveries", "--release", "my", "--config", &config])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("1 parked messages are due again"), "{output:?}");
    until(&gateway, "my", "delivered", 1).await;
    assert_eq!(mock.told().len(), 1);
    assert_eq!(gateway.stop_and_verify().await, 3, "received, parked, delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_birth_date_is_known_in_part_is_told_of() {
    let (mut gateway, port) = prepared("my").await;
    gateway.serve().await;
    let (_stop, stopped) = watch::channel(false);
    let mock = mock(&gateway, "my", port, &stopped).await;
    let nominated = event("placement.nominated.v1", "KP2MI", |e| {
        e["data"]["worker"]["birthDate"] = serde_json::json!({"value": "1996-02", "precision": "MONTH"});
    });
    assert_eq!(gateway.system("kp2mi-system").send(&nominated).await.unwrap().status, 201);
    until(&gateway, "my", "delivered", 1).await;
    assert_eq!(mock.told().len(), 1);
    gateway.stop_and_verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_wire_form_is_parked_and_not_called_refused() {
    let (mut gateway, port) = prepared("my").await;
    let mapping = gateway.stand.pki.partners.join("my/mapping/calon.toml");
    let whole = std::fs::read_to_string(&mapping).unwrap();
    assert!(whole.contains("\"P\" = \"F\"\n"), "a code that the test takes away");
    std::fs::write(&mapping, whole.replace("\"P\" = \"F\"\n", "")).unwrap();
    gateway.serve().await;
    let (_stop, stopped) = watch::channel(false);
    let mock = mock(&gateway, "my", port, &stopped).await;
    let nominated = event("placement.nominated.v1", "KP2MI", |e| e["data"]["worker"]["sex"] = "F".into());
    assert_eq!(gateway.system("kp2mi-system").send(&nominated).await.unwrap().status, 201);
    until(&gateway, "my", "parked", 1).await;
    let reason: Option<String> = sqlx::query_scalar("select reason from deliveries where party = 'my'")
        .fetch_one(&gateway.databases.owner)
        .await
        .unwrap();
    assert_eq!((reason.as_deref(), mock.told().len()), (Some("no-wire-form"), 0));
    gateway.stop_and_verify().await;
}
