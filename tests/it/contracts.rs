//! Every party's contract, replayed: its records against the gateway (pushed or polled), ours against its mock.

use crate::support::gateway::TestGateway;
use http::Method;
use onechannel::{
    exchange::inbox,
    sandbox::{
        contract::{Contract, Way},
        mock::Mock,
    },
    store::messages,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::{net::TcpListener, sync::watch};

fn contracts() -> Vec<(String, Contract)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("partners").unwrap() {
        let folder = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(folder.join("party.toml")) else { continue };
        let zone = text.lines().find_map(|line| line.strip_prefix("zone = ")).unwrap().trim_matches('"').to_owned();
        let code = folder.file_name().unwrap().to_string_lossy().into_owned();
        all.push((code, Contract::load(&folder, &zone).unwrap()));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[tokio::test]
async fn every_record_of_every_contract_ends_as_the_contract_says() {
    let mut gateway = TestGateway::start().await;
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    let mut replayed = 0;
    for (code, contract) in contracts() {
        let Some(client) = gateway.stand.pki.clients.values().find(|files| files.party == code) else { continue };
        let system = gateway.system(&client.client_id.clone());
        for (name, one) in contract.interactions.iter().filter(|(_, one)| one.direction == Way::In) {
            let variables = BTreeMap::from([("id".to_owned(), format!("{code}-{name}"))]);
            let record = contract.fill(one, one.record.as_ref().unwrap(), &variables).unwrap();
            let path = format!("/v1/inbox/{}", one.route.as_ref().unwrap());
            let body = record.to_string().into_bytes();
            let answer = system.call(Method::POST, &path, "application/json", body).await.unwrap();
            let wanted = &one.answer;
            assert_eq!(json!(answer.status.as_u16()), wanted["status"], "{code}/{name}: {}", answer.body);
            if let Some(problem) = wanted["problem"].as_str() {
                assert!(answer.body["type"].as_str().unwrap().ends_with(problem), "{code}/{name}: {}", answer.body);
                for violation in wanted["violations"].as_array().unwrap() {
                    let found = answer.body["violations"].as_array().unwrap();
                    let is = |f: &&Value| f["pointer"] == violation["pointer"] && f["rule"] == violation["rule"];
                    assert!(found.iter().any(|f| is(&f)), "{code}/{name}: {found:?}");
                }
            } else {
                assert_eq!(answer.body["outcome"], wanted["outcome"], "{code}/{name}: {}", answer.body);
            }
            if let Some(canonical) = &one.canonical {
                let mut expected = contract.fill(one, canonical, &variables).unwrap();
                expected["source"] = json!(inbox::source(&code));
                let id = answer.body["message"].as_str().unwrap().parse().unwrap();
                let journal = &running.journal;
                let stored = messages::open(&journal.channel, &journal.vault, &journal.kek, &[id]).await.unwrap();
                let mut event: Value = serde_json::from_slice(stored[0].event.as_ref().unwrap()).unwrap();
                // One instant, whatever its offset.
                for event in [&mut event, &mut expected] {
                    let time = event["time"].as_str().unwrap();
                    let time = time::OffsetDateTime::parse(time, &time::format_description::well_known::Rfc3339);
                    event["time"] = json!(time.unwrap().unix_timestamp());
                }
                assert_eq!(event, expected, "{code}/{name}");
            }
            replayed += 1;
        }
    }
    assert!(replayed >= 20, "{replayed}");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn what_a_party_is_told_is_what_its_contract_says_and_its_mock_takes_it() {
    let (_stop, stopped) = watch::channel(false);
    let gateway = TestGateway::start().await;
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    let mut told = 0;
    for (code, contract) in contracts() {
        if !running.parties.partners.contains_key(&code) {
            continue;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mock = Mock::start(&code, &gateway.stand.pki, listener, stopped.clone()).unwrap();
        let client =
            onechannel::app::gateway::party_client(&gateway.config, &running, &code, Some(mock.base())).unwrap();
        let client = client.unwrap();
        for (name, one) in contract.interactions.iter().filter(|(_, one)| one.direction == Way::Out) {
            let none = BTreeMap::new();
            let event = contract.fill(one, one.event.as_ref().unwrap(), &none).unwrap();
            let expected = contract.fill(one, one.record.as_ref().unwrap(), &none).unwrap();
            let (path, format) = running.formats[&code].outbound(event["type"].as_str().unwrap()).unwrap();
            assert_eq!(path, one.path.as_ref().unwrap(), "{code}/{name}");
            let record = format.write(&event).unwrap();
            assert_eq!(record, expected, "{code}/{name}");
            let sent = client.send(path, record.to_string().into_bytes()).await;
            assert!(matches!(sent, onechannel::client::Sent::Acked { .. }), "{code}/{name}: {sent:?}");
            assert_eq!(mock.told().last().unwrap(), &(path.to_owned(), expected));
            told += 1;
        }
        let unknown = client.send("/api/v1/nowhere", b"{}".to_vec()).await;
        assert!(matches!(unknown, onechannel::client::Sent::Refused { .. }), "{code}: {unknown:?}");
        mock.trouble_every(1);
        let busy = client.send("/api/v1/nowhere", b"{}".to_vec()).await;
        assert!(matches!(busy, onechannel::client::Sent::Retry { .. }), "{code}: {busy:?}");
    }
    assert!(told >= 14, "{told}");
}
