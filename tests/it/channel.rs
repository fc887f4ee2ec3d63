//! The channel port over real TLS: who may call, what is taken, what is refused and how.

use crate::support::gateway::{TestGateway, event};
use http::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test]
async fn both_sides_tell_one_placement_and_each_gets_its_receipt() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    let contract = my.send(&event("contract.submitted.v1", "P-LAB", |_| ())).await.unwrap();
    assert_eq!(contract.status, StatusCode::CREATED, "{}", contract.body);
    assert_eq!(contract.body["outcome"], "applied");
    let nominated = kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    assert_eq!(nominated.status, StatusCode::CREATED, "{}", nominated.body);
    assert_ne!(nominated.body["placement"]["id"], contract.body["placement"]["id"], "each party has an id of its own");
    let stages = crate::support::stage(&gateway.databases).await;
    assert_eq!(stages, [("CONTRACT_SUBMITTED".to_owned(), false)], "one placement: the passport links them");

    let path = format!("/v1/messages/{}/receipt", contract.body["message"].as_str().unwrap());
    let receipt = my.call(Method::GET, &path, "", vec![]).await.unwrap();
    assert_eq!(receipt.body, contract.body["receipt"]);
    assert_eq!(kp2mi.call(Method::GET, &path, "", vec![]).await.unwrap().status, StatusCode::NOT_FOUND);
    assert_eq!(gateway.stop_and_verify().await, 2);
}

#[tokio::test]
async fn a_party_that_polls_gets_its_messages_with_its_own_ids_and_acknowledges_them() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, mission, my) =
        (gateway.system("kp2mi-system"), gateway.system("mission-system"), gateway.system("my-gateway"));
    my.send(&event("contract.submitted.v1", "P-LAB", |_| ())).await.unwrap();
    kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    let page = mission.call(Method::GET, "/v1/messages", "", vec![]).await.unwrap();
    let messages = page.body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1, "{}", page.body);
    let data = &messages[0]["event"]["data"];
    assert_eq!(
        data["placement"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["id", "worker"],
        "no foreign reference"
    );
    let told = my.call(Method::GET, "/v1/messages?after=0", "", vec![]).await.unwrap();
    let worker = &told.body["messages"][0]["event"]["data"]["worker"];
    assert!(worker["name"]["full"].is_string() && worker["nik"].is_null() && worker["phone"].is_null(), "{worker}");
    let cursor = messages[0]["cursor"].clone();
    let ack = json!({"cursor": cursor}).to_string().into_bytes();
    let done = mission.call(Method::POST, "/v1/messages/ack", "application/json", ack.clone()).await.unwrap();
    assert_eq!((done.status, &done.body["delivered"]), (StatusCode::OK, &json!(1)), "{}", done.body);
    let again = mission.call(Method::POST, "/v1/messages/ack", "application/json", ack).await.unwrap();
    assert_eq!(again.body["delivered"], json!(0));
    let rest = mission.call(Method::GET, "/v1/messages", "", vec![]).await.unwrap();
    assert_eq!(rest.body["messages"], json!([]));
    assert_eq!(gateway.stop_and_verify().await, 3, "two received, one delivered");
}

#[tokio::test]
async fn what_is_refused_held_repeated_or_in_conflict_is_said_item_by_item() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    let good = event("movement.arrived.v1", "P-IMM", |_| ());
    let mut conflict = good.clone();
    conflict["data"]["movement"]["port"] = json!("PEN");
    let batch = json!([
        good,
        good,
        conflict,
        event("movement.arrived.v1", "P-IMM", |e| e["data"]["movement"]["result"] = json!("MAYBE")),
        event("movement.arrived.v1", "P-LAB", |_| ()),
        event("movement.arrived.v1", "MISSION", |_| ()),
        event("movement.arrived.v1", "P-IMM", |e| e["type"] = json!("movement.arrived.v9")),
        event("movement.arrived.v1", "P-IMM", |e| e["type"] = json!("movement.vanished.v1")),
        event("permit.issued.v1", "P-IMM", |e| e["data"]["permit"]["residentNumber"] = json!("2100000006")),
        event("permit.issued.v1", "P-IMM", |e| e["data"]["permit"]["validUntil"] = json!({"hijri": "1447-12-30"})),
        event("death.reported.v1", "P-POL", |e| e["data"]["travelDocument"]["number"] = json!("!!")),
        event("movement.arrived.v1", "P-IMM", |e| e["data"]["placement"] = json!({"id": "0".repeat(26)})),
        event("placement.nominated.v1", "KP2MI", |_| ()),
    ]);
    let body = batch.to_string().into_bytes();
    let answer = my.call(Method::POST, "/v1/messages", "application/cloudevents-batch+json", body).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let word = |item: &Value| {
        let problem = item["type"].as_str().and_then(|t| t.rsplit(':').next());
        (item["status"].as_u64().unwrap(), problem.or(item["outcome"].as_str()).unwrap().to_owned())
    };
    let words: Vec<_> = answer.body.as_array().unwrap().iter().map(word).collect();
    let expected = [
        (201, "applied"),
        (200, "applied"),
        (409, "duplicate-id-other-bytes"),
        (422, "schema-violation"),
        (422, "not-your-authority"),
        (422, "not-your-authority"),
        (422, "unknown-schema-version"),
        (422, "unknown-type"),
        (201, "held"),
        (422, "schema-violation"),
        (201, "held"),
        (422, "identifier-invalid"),
        (422, "not-your-authority"),
    ];
    assert_eq!(words, expected.map(|(status, word)| (status, word.to_owned())));
    let items = answer.body.as_array().unwrap();
    assert_eq!(items[0]["receipt"], items[1]["receipt"], "a repeat gets the same receipt");
    assert!(items[3]["violations"][0]["message"]["ar"].is_string() && items[3]["receipt"]["entry"].is_string());
    assert_eq!(items[10]["violations"][0]["rule"], "identifier-shape");
    assert_eq!(gateway.stop_and_verify().await, 11);
}

#[tokio::test]
async fn a_withdrawal_undoes_what_was_said_and_names_it_by_the_recipients_id() {
    let mut gateway = TestGateway::start().await;
    let (my, mission) = (gateway.system("my-gateway"), gateway.system("mission-system"));
    let arrived = event("movement.arrived.v1", "P-IMM", |_| ());
    // The withdrawal comes first: what is true too early is not refused.
    let withdrawn =
        event("message.invalidated.v1", "P-IMM", |e| e["data"]["invalidates"]["id"] = arrived["id"].clone());
    assert_eq!(my.send(&withdrawn).await.unwrap().body["outcome"], "applied");
    let stored = my.send(&arrived).await.unwrap();
    assert_eq!(crate::support::stage(&gateway.databases).await, [("NONE".to_owned(), true)]);
    let told = mission.call(Method::GET, "/v1/messages", "", vec![]).await.unwrap();
    let events = told.body["messages"].as_array().unwrap();
    assert_eq!(events[0]["event"]["data"]["invalidates"]["id"], stored.body["message"]);
    assert_eq!(events[1]["event"]["id"], stored.body["message"]);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_held_message_is_shown_and_changes_nothing() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    my.send(&event("movement.arrived.v1", "P-IMM", |_| ())).await.unwrap();
    let death = event("death.reported.v1", "P-POL", |e| {
        e["data"]["placement"] = json!({"reference": "ANOTHER"});
        e["data"]["death"]["remark"] = json!("x");
    });
    let held = my.send(&death).await.unwrap();
    assert_eq!((held.status, &held.body["outcome"]), (StatusCode::CREATED, &json!("held")));
    assert_eq!(crate::support::stage(&gateway.databases).await, [("ARRIVED".to_owned(), true)]);
    let unknown = event("movement.arrived.v1", "P-IMM", |e| {
        e["data"] = json!({"placement": {"reference": "ANOTHER"},
        "movement": {"at": "2027-01-01T02:15:00+08:00", "result": "ARRIVED"}})
    });
    my.send(&unknown).await.unwrap();
    assert_eq!(crate::support::stage(&gateway.databases).await.len(), 2, "the held message linked nothing");
    gateway.stop_and_verify().await;
}
