//! What a party's system may read of placements: what it said and was told, by its own ids, and nothing from which more follows.

use crate::support::{
    desk::Desk,
    gateway::{TestGateway, event},
};
use http::{HeaderMap, Method, StatusCode, header};
use onechannel::sandbox::system::System;
use serde_json::{Value, json};

/// A reading with headers of the caller's own, its answer's signature checked.
async fn read_with(
    system: &System,
    path: &str,
    extra: &[(header::HeaderName, &str)],
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let token = system.fresh_token().await.unwrap();
    let uri = format!("{}{path}", system.base);
    let (mut headers, binding) = system.sign(&Method::GET, &uri, &token, "", b"").unwrap();
    for (name, value) in extra {
        headers.insert(name, value.parse().unwrap());
    }
    let answer = system.http.get(&uri).headers(headers).send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let bytes = answer.bytes().await.unwrap().to_vec();
    system.check(status, &headers, &bytes, &binding).unwrap();
    (status, headers, bytes)
}

async fn read(system: &System, path: &str) -> (StatusCode, Value) {
    let reply = system.call(Method::GET, path, "", vec![]).await.unwrap();
    (reply.status, reply.body)
}

/// Reads the mailbox and says that it has it.
async fn take_letters(system: &System) {
    let page = read(system, "/v1/messages?after=0").await.1;
    let Some(last) = page["messages"].as_array().unwrap().last() else { return };
    let ack = json!({"cursor": last["cursor"]}).to_string().into_bytes();
    let done = system.call(Method::POST, "/v1/messages/ack", "application/json", ack).await.unwrap();
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
}

async fn sent(system: &System, event: &Value) -> Value {
    let reply = system.send(event).await.unwrap();
    assert_eq!((reply.status, &reply.body["outcome"]), (StatusCode::CREATED, &json!("applied")), "{}", reply.body);
    reply.body
}

fn nominated(corridor: &str, n: u8) -> Value {
    event("placement.nominated.v1", "KP2MI", |e| {
        e["corridor"] = json!(corridor);
        e["data"]["travelDocument"]["number"] = format!("E000000{n}").into();
        e["data"]["worker"]["nik"] = format!("320101690296000{n}").into();
        e["data"]["placement"]["reference"] = format!("H-{n}").into();
    })
}

fn arrived(n: u8) -> Value {
    event("movement.arrived.v1", "P-IMM", |e| {
        e["data"]["travelDocument"]["number"] = format!("E000000{n}").into();
        e["data"]["placement"]["reference"] = format!("P-{n}").into();
    })
}

fn ids(page: &Value) -> Vec<String> {
    page["placements"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

fn types(timeline: &Value) -> Vec<&str> {
    timeline["steps"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn two_partners_each_read_their_own_by_their_own_ids_and_home_reads_both() {
    let mut gateway = TestGateway::start().await;
    let [kp2mi, imi, my, sa] =
        ["kp2mi-system", "imi-system", "my-gateway", "sa-gateway"].map(|client| gateway.system(client));
    let home = sent(&kp2mi, &nominated("my", 1)).await;
    sent(&kp2mi, &nominated("my", 2)).await;
    sent(&kp2mi, &nominated("sa", 3)).await;
    assert_eq!(ids(&read(&my, "/v1/placements").await.1), [""; 0], "an id is given with the first message");
    take_letters(&my).await;
    take_letters(&sa).await;
    sent(&my, &arrived(1)).await;
    let (of_my, of_sa) = (read(&my, "/v1/placements").await.1, read(&sa, "/v1/placements").await.1);
    let (mine, theirs) = (ids(&of_my), ids(&of_sa));
    assert_eq!((mine.len(), theirs.len()), (2, 1), "{of_my} {of_sa}");
    let one = of_my["placements"].as_array().unwrap().iter().find(|one| one["stage"] == "ARRIVED").unwrap();
    assert_eq!((&one["corridor"], &one["stay"]), (&json!("my"), &json!("NONE")), "{one}");
    let path = format!("/v1/placements/{}", one["id"].as_str().unwrap());
    let (_, whole) = read(&my, &path).await;
    let fields = whole["fields"].as_object().unwrap();
    assert_eq!(fields["/worker/name/full"]["authority"], "KP2MI", "{whole}");
    assert_eq!(fields["/movement/port"]["value"], "KUL");
    let kept = ["/worker/nik", "/worker/phone", "/placement/reference"];
    assert!(kept.iter().all(|pointer| !fields.contains_key(*pointer)), "{whole}");
    let (_, steps) = read(&my, &format!("{path}/timeline")).await;
    assert_eq!(types(&steps), ["placement.nominated.v1", "movement.arrived.v1"]);
    assert!(steps["steps"][0].get("outcome").is_none() && steps["steps"][1]["outcome"] == "applied", "{steps}");

    // Another's id, one that nobody has and what is none are answered alike.
    let told = async |system: &System, id: &str| {
        let (status, mut body) = read(system, &format!("/v1/placements/{id}")).await;
        body["instance"] = Value::Null;
        (status, body)
    };
    let unknown = told(&my, &"0".repeat(26)).await;
    assert_eq!((unknown.0, &unknown.1["reason"]), (StatusCode::NOT_FOUND, &json!("no-such-placement")));
    for id in [&theirs[0], home["placement"]["id"].as_str().unwrap(), "%00", "E0000001"] {
        assert_eq!(told(&my, id).await, unknown, "{id}");
    }
    assert_eq!(told(&sa, &mine[0]).await, unknown);

    // The registrar's system reads every corridor by the home party's ids; the border's what is for it.
    let registrars = read(&kp2mi, "/v1/placements").await.1;
    assert_eq!(ids(&registrars).len(), 3);
    assert!(ids(&registrars).contains(&home["placement"]["id"].as_str().unwrap().to_owned()), "{registrars}");
    let borders = read(&imi, "/v1/placements").await.1;
    assert_eq!(ids(&borders).len(), 1, "an arrival was told to it: {borders}");
    let (_, steps) = read(&imi, &format!("/v1/placements/{}/timeline", ids(&borders)[0])).await;
    assert_eq!(types(&steps), ["movement.arrived.v1"]);

    let looks: Vec<(String, Vec<String>, i32)> = sqlx::query_as(
        "select officer, fields, cardinality(subjects) from lookups where purpose = 'placements:read' order by at, id",
    )
    .fetch_all(&gateway.databases.owner)
    .await
    .unwrap();
    let whole = looks.iter().find(|(_, fields, _)| fields.contains(&"/worker/name/full".to_owned())).unwrap();
    assert_eq!((whole.0.as_str(), whole.2), ("urn:onechannel:client:my-gateway", 1));
    assert_eq!(looks.len(), 8, "each reading that showed something or was empty, and no refusal: {looks:?}");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn pages_go_on_where_they_ended_and_what_did_not_change_is_not_sent_again() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    for n in 1..=5 {
        sent(&my, &arrived(n)).await;
    }
    let all = ids(&read(&my, "/v1/placements").await.1);
    let mut sorted = all.clone();
    sorted.sort_unstable();
    assert_eq!((all.len(), &all), (5, &sorted));
    let (mut paged, mut path) = (Vec::new(), "/v1/placements?limit=2".to_owned());
    loop {
        let reply = my.call(Method::GET, &path, "", vec![]).await.unwrap();
        paged.extend(ids(&reply.body));
        let Some(link) = reply.headers.get(header::LINK) else { break };
        path = link.to_str().unwrap().trim_start_matches('<').split('>').next().unwrap().to_owned();
    }
    assert_eq!(paged, all);
    for wrong in ["?stage=ARRIVED", "?after=E7654321", "?limit=many"] {
        assert_eq!(read(&my, &format!("/v1/placements{wrong}")).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let path = format!("/v1/placements/{}", all[0]);
    assert_eq!(read(&my, &format!("{path}?as_known_at=x")).await.0, StatusCode::BAD_REQUEST);
    let (status, headers, _) = read_with(&my, &path, &[]).await;
    let tag = headers[header::ETAG].to_str().unwrap().to_owned();
    assert!(status == StatusCode::OK && tag.starts_with('"'), "{tag}");
    let known = [(header::IF_NONE_MATCH, tag.as_str())];
    let (status, headers, bytes) = read_with(&my, &path, &known).await;
    assert_eq!((status, bytes.len(), headers[header::ETAG].to_str().unwrap()), (StatusCode::NOT_MODIFIED, 0, &*tag));
    for n in 1..=5 {
        let left = event("exit.authorised.v1", "P-IMM", |e| {
            e["data"]["travelDocument"] = json!({"number": format!("E000000{n}"), "issuer": "IDN"});
        });
        sent(&my, &left).await;
    }
    let (status, headers, _) = read_with(&my, &path, &known).await;
    assert!(status == StatusCode::OK && headers[header::ETAG].to_str().unwrap() != tag);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_token_without_the_scope_reads_nothing() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    let form = format!("grant_type=client_credentials&client_id={}&scope=messages:read", my.client_id);
    let request = my.http.post(format!("{}/oauth2/token", my.base));
    let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
    let token: Value = request.send().await.unwrap().json().await.unwrap();
    let id = "0".repeat(26);
    for path in ["/v1/placements", &format!("/v1/placements/{id}"), &format!("/v1/placements/{id}/timeline")] {
        let uri = format!("{}{path}", my.base);
        let token = token["access_token"].as_str().unwrap();
        let (headers, _) = my.sign(&Method::GET, &uri, token, "", b"").unwrap();
        let answer = my.http.get(&uri).headers(headers).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["scope"], "placements:read");
    }
    assert_eq!(gateway.stop_and_verify().await, 0);
}

/// Everything that a partner can read about its placements, byte for byte, with the entity tags.
async fn everything(system: &System) -> Vec<(String, String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut paths = vec!["/v1/placements".to_owned(), "/v1/placements?limit=1".to_owned()];
    for id in ids(&read(system, "/v1/placements").await.1) {
        paths.extend([format!("/v1/placements/{id}"), format!("/v1/placements/{id}/timeline")]);
    }
    for path in paths {
        let (status, headers, bytes) = read_with(system, &path, &[]).await;
        assert_eq!(status, StatusCode::OK);
        let link = headers.get(header::LINK).map_or("", |link| link.to_str().unwrap());
        all.push((path, format!("{} {link}", headers[header::ETAG].to_str().unwrap()), bytes));
    }
    all
}

#[tokio::test]
async fn nothing_that_a_partner_reads_tells_that_somebody_is_in_a_shelter() {
    let mut gateway = TestGateway::start().await;
    let [kp2mi, mission, my] = ["kp2mi-system", "mission-system", "my-gateway"].map(|client| gateway.system(client));
    sent(&kp2mi, &nominated("my", 1)).await;
    sent(&kp2mi, &nominated("my", 2)).await;
    take_letters(&my).await;
    sent(&my, &arrived(1)).await;
    sent(&my, &arrived(2)).await;
    let before = everything(&my).await;
    assert_eq!(before.len(), 6);
    let letters = read(&my, "/v1/messages?after=0").await;
    assert_eq!(letters.1["messages"].as_array().map(Vec::len), Some(2), "{}", letters.1);

    // She comes to the mission; what is said of her from now on is kept back.
    let about = |type_name: &str, authority: &str, n: u8| {
        event(type_name, authority, |e| {
            e["data"]["placement"] = json!({"reference": format!("M-{n}-{type_name}")});
            e["data"]["travelDocument"] = json!({"number": format!("E000000{n}"), "issuer": "IDN"});
        })
    };
    sent(&mission, &about("welfare.assessed.v1", "MISSION", 1)).await;
    sent(&kp2mi, &about("placement.cleared.v1", "KP2MI", 1)).await;
    let asked = sent(&mission, &about("welfare.requested.v1", "MISSION", 1)).await;
    let mut correction = nominated("my", 1);
    correction["data"]["worker"]["name"]["full"] = json!("SOMEBODY ELSE");
    correction["time"] = json!("2027-01-03T02:15:00+08:00");
    sent(&kp2mi, &correction).await;
    assert_eq!(read(&my, "/v1/messages?after=0").await, letters, "no letter more, none less, no other cursor");
    take_letters(&my).await;
    assert_eq!(everything(&my).await, before, "whatever is kept back changes no byte, no tag and no cursor");

    // What she said herself stays hers to read; what two officers release is told from then on.
    let left = sent(&my, &about("exit.authorised.v1", "P-IMM", 1)).await;
    let path = format!("/v1/placements/{}", left["placement"]["id"].as_str().unwrap());
    assert_eq!(read(&my, &path).await.1["stage"], "EXIT_AUTHORISED");
    for officer in ["a.sari", "b.putra"] {
        let desk = Desk::named(&gateway, officer, &["MISSION"]);
        assert_eq!(desk.decide(&asked["message"], "ACCEPTED", "agreed").await.0, StatusCode::CREATED);
    }
    take_letters(&my).await;
    let steps = read(&my, &format!("{path}/timeline")).await.1;
    assert_eq!(
        types(&steps),
        ["placement.nominated.v1", "movement.arrived.v1", "exit.authorised.v1", "welfare.requested.v1"]
    );
    let whole = read(&my, &path).await.1;
    assert_eq!(whole["fields"]["/worker/name/full"]["value"], "DEWI AYU RATNASARI", "{whole}");
    let text = format!("{whole} {steps}");
    assert!(!text.contains("welfare.assessed") && !text.contains("SHELTER") && !text.contains("received_at"), "{text}");
    gateway.stop_and_verify().await;
}
