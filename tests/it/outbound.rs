//! What may never leave: class S4, fields that stay home, and another party's ids. Every message that a home system can send is
//! filled with marks wherever its schema has a text, sent, and looked for in all that the partner is given.

use crate::support::gateway::{TestGateway, event};
use http::{Method, StatusCode};
use onechannel::schema::{
    Schemas,
    catalogue::{Class, Direction},
};
use proptest::{
    prelude::{Strategy, any},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Sets a value by its pointer, making the objects on the way.
fn set(target: &mut Value, pointer: &str, value: Value) {
    let mut here = target;
    for name in pointer.split('/').skip(1) {
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        here = &mut here[name];
    }
    *here = value;
}

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.values().for_each(|inner| texts(inner, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[tokio::test]
async fn what_stays_home_never_leaves_whatever_a_message_carries() {
    let mut gateway = TestGateway::start().await;
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    let schemas = Schemas::load(Path::new("schemas")).unwrap();
    let my = gateway.system("my-gateway");
    let homes = ["kp2mi-system", "mission-system", "imi-system"].map(|id| (id, gateway.system(id)));
    let authorities = |id: &str| gateway.stand.pki.clients[id].authorities.clone();
    let runner = &mut TestRunner::deterministic();
    let (mut stored, mut marked) = (0, 0);
    let mut home_ids = Vec::new();
    for message in schemas.messages().filter(|one| one.direction != Direction::PartnerToHome) {
        let Some((_, system, authority)) = homes.iter().find_map(|(id, system)| {
            let own = authorities(id).into_iter().find(|one| message.sent_by(one))?;
            Some((id, system, own))
        }) else {
            continue;
        };
        for round in 0..3 {
            let mut filled = event(&message.name, &authority, |e| {
                e["corridor"] = json!("my");
                // Of somebody in a shelter nothing would go out at all.
                if e["data"]["welfare"].is_object() {
                    e["data"]["welfare"]["status"] = json!("OK");
                }
            });
            // What the example does not show but the type allows.
            for (name, whole) in [
                ("worker", event("placement.nominated.v1", "KP2MI", |_| ())["data"]["worker"].clone()),
                ("travelDocument", json!({"number": "E7654321", "issuer": "IDN"})),
                (
                    "case",
                    json!({"reference": format!("C-{}-{round}", message.name), "kind": "OTHER", "urgency": "NORMAL", "reason": "x", "status": "OPEN"}),
                ),
            ] {
                let mut with = filled.clone();
                with["data"].as_object_mut().unwrap().entry(name).or_insert(whole);
                if schemas.check_data(&message.name, &with["data"]).is_empty() {
                    filled = with;
                }
            }
            let objects: Vec<String> = filled["data"].as_object().unwrap().keys().cloned().collect();
            for (pointer, field) in schemas.fields() {
                let within = objects.iter().any(|name| pointer.starts_with(&format!("/{name}/")));
                let kept = field.class == Class::S4 || !field.releasable;
                let some: bool = any::<bool>().new_tree(runner).unwrap().current();
                if !within || !kept || !(some || round == 0) || !field.shape.starts_with("text") {
                    continue;
                }
                let value = match field.identifier.as_deref() {
                    Some("nik") => "3201016902960001".to_owned(),
                    Some(_) => continue,
                    None => format!("KEPT-{pointer}-{round}"),
                };
                let mut with = filled.clone();
                set(&mut with["data"], pointer, json!(value));
                if schemas.check_data(&message.name, &with["data"]).is_empty() {
                    filled = with;
                    marked += 1;
                }
            }
            let reply = system.send(&filled).await.unwrap();
            assert!([StatusCode::CREATED, StatusCode::UNPROCESSABLE_ENTITY].contains(&reply.status), "{}", reply.body);
            home_ids.extend(reply.body["placement"]["id"].as_str().map(str::to_owned));
            stored += 1;
        }
    }
    assert!(stored > 90 && marked > 40, "{stored} messages, {marked} marks");
    // What the partner may read itself, and what it would be pushed.
    let (mut given, mut after) = (Vec::new(), 0);
    loop {
        let page = my.call(Method::GET, &format!("/v1/messages?after={after}&limit=500"), "", vec![]).await.unwrap();
        let letters = page.body["messages"].as_array().unwrap().clone();
        let Some(last) = letters.last() else { break };
        after = last["cursor"].as_str().map_or_else(|| last["cursor"].as_i64().unwrap(), |text| text.parse().unwrap());
        given.extend(letters.into_iter().map(|letter| letter["event"].clone()));
    }
    // And what it may read of its placements once it has them.
    let ack = json!({"cursor": after.to_string()}).to_string().into_bytes();
    my.call(Method::POST, "/v1/messages/ack", "application/json", ack).await.unwrap();
    let (mut shown, mut path) = (Vec::new(), "/v1/placements?limit=20".to_owned());
    loop {
        let page = my.call(Method::GET, &path, "", vec![]).await.unwrap();
        let ids: Vec<&str> =
            page.body["placements"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
        for id in ids {
            for path in [format!("/v1/placements/{id}"), format!("/v1/placements/{id}/timeline")] {
                let whole = my.call(Method::GET, &path, "", vec![]).await.unwrap();
                assert_eq!(whole.status, StatusCode::OK, "{}", whole.body);
                shown.push(whole.body);
            }
        }
        let link = page.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
        shown.push(page.body);
        let Some(link) = link else { break };
        path = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
    }
    let pushed: Vec<Value> = given
        .iter()
        .filter_map(|event| running.formats["my"].outbound(event["type"].as_str()?)?.1.write(event).ok())
        .collect();
    assert!(given.len() > 60 && pushed.len() > 10, "{} given, {} pushed", given.len(), pushed.len());
    assert!(shown.iter().any(|one| one["fields"].as_object().is_some_and(|fields| fields.len() > 10)), "{shown:?}");
    let never = |text: &str| {
        text.contains("KEPT-")
            || text.contains("3201016902960001")
            || home_ids.iter().any(|id| text.contains(id.as_str()))
    };
    for value in given.iter().chain(&pushed).chain(&shown) {
        let mut all = Vec::new();
        texts(value, &mut all);
        let left: Vec<&String> = all.iter().filter(|text| never(text)).collect();
        assert!(left.is_empty(), "{left:?} left in {}", value["type"]);
    }
    gateway.stop_and_verify().await;
}
