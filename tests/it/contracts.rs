//! Every party's contract, replayed: its records against the gateway (pushed or polled), ours against its mock.

use crate::support::{Databases, gateway::TestGateway};
use http::Method;
use onechannel::{
    exchange::{Gateway, inbox},
    sandbox::{
        contract::{Contract, Way, meets},
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

/// Whether the stored event is the one that a contract says; an id made from the content is not known to the contract.
async fn same_event(gateway: &Gateway, code: &str, message: &Value, mut expected: Value) {
    expected["source"] = json!(inbox::source(code));
    let id = message.as_str().unwrap().parse().unwrap();
    let journal = &gateway.journal;
    let stored = messages::open(&journal.channel, &journal.vault, &journal.kek, &[id]).await.unwrap();
    let mut event: Value = serde_json::from_slice(stored[0].event.as_ref().unwrap()).unwrap();
    // One instant, whatever its offset.
    for event in [&mut event, &mut expected] {
        let time = event["time"].as_str().unwrap();
        let time = time::OffsetDateTime::parse(time, &time::format_description::well_known::Rfc3339);
        event["time"] = json!(time.unwrap().unix_timestamp());
    }
    if expected.get("id").is_none() {
        event.as_object_mut().unwrap().remove("id");
    }
    assert_eq!(event, expected, "{code}");
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
            let route = one.route.as_ref().unwrap();
            let path = format!("/v1/inbox/{route}");
            let body = contract.bytes(one, &variables).unwrap();
            let inbound = &running.parties.party(&code).unwrap().profile.inbound;
            let format = inbound.iter().find(|inbound| inbound.route == *route).unwrap().format;
            let answer = system.call(Method::POST, &path, format.content_type(), body).await.unwrap();
            let wanted = &one.answer;
            assert_eq!(json!(answer.status.as_u16()), wanted["status"], "{code}/{name}: {}", answer.body);
            if let Some(style) = wanted.get("style") {
                // What the party looks for in its own style; what differs each time stands as null.
                let styled = running.formats[&code].inbound(route).unwrap().mapping.answer.as_ref().unwrap();
                let found = styled.read(&answer.bytes).unwrap();
                assert!(meets(&found, style), "{code}/{name}: {found}");
                replayed += 1;
                continue;
            }
            if let Some(items) = wanted["items"].as_array() {
                let results = answer.body.as_array().unwrap();
                assert_eq!(results.len(), items.len(), "{code}/{name}: {}", answer.body);
                for (result, item) in results.iter().zip(items) {
                    for (member, value) in item.as_object().unwrap() {
                        assert_eq!(&result[member], value, "{code}/{name}: {result}");
                    }
                }
                let canonical = one.canonical.iter().flat_map(|all| all.as_array().unwrap());
                for (result, canonical) in results.iter().filter(|result| result["status"] == 201).zip(canonical) {
                    let expected = contract.fill(one, canonical, &variables).unwrap();
                    same_event(&running, &code, &result["message"], expected).await;
                }
                replayed += 1;
                continue;
            }
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
                let expected = contract.fill(one, canonical, &variables).unwrap();
                same_event(&running, &code, &answer.body["message"], expected).await;
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
            let (path, format) = running.formats[&code].outbound(event["type"].as_str().unwrap()).unwrap();
            assert_eq!(path, one.path.as_ref().unwrap(), "{code}/{name}");
            let record = format.write(&event).unwrap();
            let bytes = format.bytes(&record).unwrap();
            match &one.record {
                Some(expected) => assert_eq!(record, contract.fill(one, expected, &none).unwrap(), "{code}/{name}"),
                // Lines by hand: line breaks between elements are layout.
                None => {
                    let expected = String::from_utf8(contract.bytes(one, &none).unwrap()).unwrap();
                    let layout = |text: &str| text.lines().map(str::trim).collect::<String>();
                    assert_eq!(layout(std::str::from_utf8(&bytes).unwrap()), layout(&expected), "{code}/{name}");
                }
            }
            let sent = client.send_as(path, format.format, bytes).await;
            assert!(matches!(sent, onechannel::client::Sent::Acked { .. }), "{code}/{name}: {sent:?}");
            assert_eq!(mock.told().last().unwrap(), &(path.to_owned(), record));
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

#[tokio::test]
async fn a_nightly_file_that_repeats_rows_gives_repeats_wherever_they_stand() {
    let mut gateway = TestGateway::start().await;
    let system = gateway.system("my-gateway");
    let send = async |lines: &[&str], end: &str| {
        let file = lines.iter().map(|line| format!("{line}{end}")).collect::<String>();
        let answer =
            system.call(Method::POST, "/v1/inbox/kemasukan-harian", "text/csv; charset=utf-8", file.into_bytes());
        answer.await.unwrap()
    };
    let header = "noRujukan,noPasport,nama,jantina,tarikhLahir,warganegara,tarikhMasuk,statusMasuk";
    let [first, second, third] = ["1", "2", "3"]
        .map(|n| format!("MY-OCS-9{n},E765490{n},\"ALI, {n}\",L,00/00/1990,IDN,0{n}/01/2027 02:15,MASUK"));
    let statuses = |answer: &onechannel::sandbox::system::Reply| -> Vec<(u64, u64)> {
        let items = answer.body.as_array().unwrap_or_else(|| panic!("{}", answer.body)).iter();
        items.map(|item| (item["line"].as_u64().unwrap(), item["status"].as_u64().unwrap())).collect()
    };
    let one = send(&[&format!("\u{FEFF}{header}"), &first, &second], "\r\n").await;
    assert_eq!(statuses(&one), [(2, 201), (3, 201)], "{}", one.body);
    let two = send(&[header, &third, &second, &first, &second], "\n").await;
    assert_eq!(statuses(&two), [(2, 201), (3, 200), (4, 200), (5, 200)]);
    assert_eq!(two.body[2]["receipt"]["entry"], one.body[0]["receipt"]["entry"]);
    // The same entry told otherwise is no repeat; a file without the columns that a row needs is none at all.
    let changed = second.replace("ALI", "ABU");
    assert_eq!(statuses(&send(&[header, &changed], "\r\n").await), [(2, 409)]);
    assert_eq!(send(&["noPasport,nama", "E7654901,ALI"], "\r\n").await.status, 400);
    let json = system.call(Method::POST, "/v1/inbox/kemasukan-harian", "application/json", b"{}".to_vec());
    assert_eq!(json.await.unwrap().status, 415);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn the_same_record_under_a_new_id_changes_nothing() {
    let mut gateway = TestGateway::start().await;
    let system = gateway.system("my-gateway");
    let record = |id: &str| {
        json!({"idMesej": id, "masaHantar": "01/01/2027 03:00:00", "noRujukan": "MY-OCS-00091", "noPasport": "E7654991",
            "tarikhMasuk": "01/01/2027 02:15", "statusMasuk": "MASUK"})
        .to_string()
        .into_bytes()
    };
    let mut placements = Vec::new();
    for id in ["n-1", "n-2"] {
        let answer = system.call(Method::POST, "/v1/inbox/kemasukan", "application/json", record(id)).await.unwrap();
        assert_eq!(answer.body["outcome"], "applied", "{}", answer.body);
        placements.push(answer.body["placement"]["id"].clone());
    }
    assert_eq!(placements[0], placements[1]);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_party_that_asks_for_a_token_is_told_with_one_and_asked_anew_when_it_is_used_up() {
    const OAUTH: &str =
        r#"oauth = { token_path = "/token", client_id = "home", kid = "gateway-sign-1", scope = "notice" }"#;
    let (_stop, stopped) = watch::channel(false);
    let mut gateway = TestGateway::prepare(Databases::fresh().await).await;
    let profile = gateway.stand.pki.partners.join("my/party.toml");
    let text = std::fs::read_to_string(&profile).unwrap().replace("[outbound]\n", &format!("[outbound]\n{OAUTH}\n"));
    std::fs::write(&profile, &text).unwrap();
    gateway.serve().await;
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mock = Mock::start("my", &gateway.stand.pki, listener, stopped).unwrap();
    let client = onechannel::app::gateway::party_client(&gateway.config, &running, "my", Some(mock.base()));
    let client = client.unwrap().unwrap();
    let record =
        json!({"idMesej": "1", "masaHantar": "01/01/2027 03:00:00", "noPermintaan": "JO-1", "keputusan": "SAH"});
    for n in 0..60 {
        let sent = client.send("/api/v1/keputusan-permintaan", record.to_string().into_bytes()).await;
        assert!(matches!(sent, onechannel::client::Sent::Acked { .. }), "{n}: {sent:?}");
    }
    // The mock's tokens are good for 50 calls.
    assert_eq!((mock.tokens(), mock.told().len()), (2, 60));
    gateway.stop_and_verify().await;
    // A party that has our key under another id would never let us in: the gateway says so before it starts.
    std::fs::write(&profile, text.replace("gateway-sign-1\", scope", "other\", scope")).unwrap();
    let fault = onechannel::app::gateway::start(&gateway.config).await.err().unwrap().to_string();
    assert!(fault.contains("outbound.oauth.kid is other"), "{fault}");
}
