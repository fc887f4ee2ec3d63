//! The ministry port: where is this worker now, for a stated purpose, and every look on record.

use crate::support::{
    desk::Desk,
    gateway::{TestGateway, event},
};
use http::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn an_officer_finds_a_worker_by_anything_that_was_said_and_each_look_is_a_leaf() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    my.send(&event("movement.arrived.v1", "P-IMM", |_| ())).await.unwrap();
    kp2mi
        .send(&event("placement.cleared.v1", "KP2MI", |e| {
            e["data"]["travelDocument"] = json!({"number": "X1234567", "issuer": "IDN", "replaces": "E7654321"});
        }))
        .await
        .unwrap();
    my.send(&event("permit.issued.v1", "P-IMM", |e| {
        e["data"]["permit"]["residentNumber"] = json!("2100000005");
        e["data"]["travelDocument"] = json!({"number": "X1234567", "issuer": "IDN"});
    }))
    .await
    .unwrap();
    let desk = Desk::of(&gateway, &["MISSION", "KP2MI"]);
    let mut id = Value::Null;
    for body in [
        json!({"passport": "E7654321"}),
        json!({"passport": "x 1234567"}),
        json!({"nik": "3201016902960001"}),
        json!({"iqama": "٢١٠٠٠٠٠٠٠٥"}),
        json!({"name": "Ratnasary Dewi"}),
        json!({"phone": "+62 812-0000001"}),
        json!({"query": "E7654321"}),
    ] {
        let (status, found) = desk.search(body.clone(), "PROTECTION_CASE").await;
        assert_eq!((status, found["placements"].as_array().unwrap().len()), (StatusCode::OK, 1), "{body}: {found}");
        id = found["placements"][0]["id"].clone();
        assert_eq!(found["placements"][0]["stage"], "IN_SERVICE");
    }
    let (_, none) = desk.search(json!({"passport": "E0000000"}), "PROTECTION_CASE").await;
    assert_eq!(none["placements"], json!([]));
    let path = format!("/api/v1/placements/{}", id.as_str().unwrap());
    let (_, whole) = desk.get(&path, "PROTECTION_CASE").await;
    assert_eq!(
        (&whole["stage"], &whole["stay"], &whole["welfare"]),
        (&json!("IN_SERVICE"), &json!("PERMIT_VALID"), &json!("UNCONFIRMED"))
    );
    assert_eq!(whole["facts"]["entry"]["authority"], "P-IMM");
    assert_eq!(whole["fields"]["/worker/name/full"]["value"], "DEWI AYU RATNASARI");
    let (_, status) = desk.get(&path, "STATUS_QUERY").await;
    assert!(status["fields"].get("/worker/name/full").is_none() && status.get("welfare").is_none(), "{status}");
    my.send(&event("absence.reported.v1", "P-LAB", |_| ())).await.unwrap();
    let border = Desk::of(&gateway, &["IMI-ID"]);
    let (_, checked) = border.get(&path, "BORDER_CHECK").await;
    assert_eq!(checked["facts"].as_object().unwrap().keys().collect::<Vec<_>>(), ["clearance"]);
    assert_eq!(checked["fields"]["/travelDocument/number"]["value"], "X1234567");
    assert!(checked.get("stage").is_none() && checked["fields"].get("/worker/name/full").is_none(), "{checked}");
    let (_, status) = desk.get(&path, "STATUS_QUERY").await;
    assert!(status["facts"].get("absence").is_none() && status["facts"].get("entry").is_some(), "{status}");
    let (_, before) = desk.get(&format!("{path}?as_known_at=2020-01-01T00:00:00Z"), "PROTECTION_CASE").await;
    assert_eq!((&before["stage"], &before["facts"]), (&json!("NONE"), &json!({})));
    let (_, timeline) = desk.get(&format!("{path}/timeline"), "PROTECTION_CASE").await;
    assert_eq!(timeline["steps"].as_array().unwrap().len(), 5);
    let (_, list) = desk.get("/api/v1/placements?stage=IN_SERVICE&corridor=my&limit=1", "STATUS_QUERY").await;
    assert_eq!(list["placements"].as_array().unwrap().len(), 1);
    let (_, stats) = desk.get("/api/v1/stats", "STATISTICS").await;
    assert_eq!(stats["corridors"]["my"]["IN_SERVICE"], "<10", "a small cell names people");
    let (_, changes) = desk.get("/api/v1/changes?after=0", "STATUS_QUERY").await;
    assert_eq!(changes["changes"].as_array().unwrap().len(), 1);
    let leaves = gateway.stop_and_verify().await;
    assert_eq!(leaves, 5 + 8 + 9, "five messages, eight searches, nine readings");
}

#[tokio::test]
async fn a_purpose_that_is_not_the_officers_shows_nothing() {
    let mut gateway = TestGateway::start().await;
    let police = Desk::of(&gateway, &["POLRI"]);
    let reason =
        |(status, body): (StatusCode, Value)| (status.as_u16(), body["reason"].as_str().unwrap_or_default().to_owned());
    let forbidden = |word: &str| (403, word.to_owned());
    assert_eq!(reason(police.get("/api/v1/placements", "STATUS_QUERY").await), forbidden("not-your-purpose"));
    assert_eq!(reason(police.get("/api/v1/placements", "CURIOSITY").await), forbidden("unknown-purpose"));
    assert_eq!(reason(police.get("/api/v1/stats", "INVESTIGATION").await), forbidden("case-number-missing"));
    let (_, helped) = police.get("/api/v1/placements", "CURIOSITY").await;
    assert_eq!(helped["expected"], "INVESTIGATION, STATISTICS", "what she may state");
    let kemnaker = Desk::of(&gateway, &["KEMNAKER"]);
    assert_eq!(
        reason(kemnaker.get("/api/v1/placements?welfare=AT_RISK", "STATUS_QUERY").await),
        forbidden("welfare-not-for-this-purpose")
    );
    let (status, unknown) = kemnaker.get("/api/v1/placements?passport=E1", "STATUS_QUERY").await;
    assert_eq!((status.as_u16(), &unknown["reason"]), (400, &json!("unknown-parameter")));
    assert!(unknown["expected"].as_str().unwrap().contains("silent_days"), "{unknown}");
    assert_eq!(reason(kemnaker.get("/api/v1/nowhere", "STATUS_QUERY").await).0, 404);
    let forged = Desk { token: format!("{}x", kemnaker.token), ..Desk::of(&gateway, &[]) };
    assert_eq!(reason(forged.get("/api/v1/stats", "STATISTICS").await), (401, "token-not-valid".to_owned()));
    assert_eq!(gateway.stop_and_verify().await, 0, "nothing was shown, nothing is on record");
}

#[tokio::test]
async fn a_filter_that_is_no_known_word_is_refused_and_pages_keep_their_filters() {
    let mut gateway = TestGateway::start().await;
    for n in 0..2 {
        let nominated = event("placement.nominated.v1", "KP2MI", |e| {
            e["id"] = format!("n-{n}").into();
            e["data"]["placement"] = json!({"reference": format!("R-{n}")});
            e["data"]["travelDocument"]["number"] = format!("E765432{n}").into();
            e["data"]["worker"].as_object_mut().unwrap().remove("nik");
        });
        assert_eq!(gateway.system("kp2mi-system").send(&nominated).await.unwrap().status, StatusCode::CREATED);
    }
    let desk = Desk::of(&gateway, &["MISSION"]);
    let (status, problem) = desk.get("/api/v1/placements?stage=FLYING", "PROTECTION_CASE").await;
    assert_eq!((status, &problem["parameter"]), (StatusCode::BAD_REQUEST, &json!("stage")));
    assert!(problem["expected"].as_str().unwrap().contains("IN_SERVICE"), "{problem}");
    let (status, problem) = desk.get("/api/v1/placements?silent_days=few", "PROTECTION_CASE").await;
    assert_eq!((status, &problem["expected"]), (StatusCode::BAD_REQUEST, &json!("a whole number of days")));
    let (status, problem) = desk.get("/api/v1/placements/x?as_known_at=2999-01-01T00:00:00Z", "PROTECTION_CASE").await;
    assert_eq!((status, &problem["parameter"]), (StatusCode::BAD_REQUEST, &json!("as_known_at")), "not yet known");
    let (status, problem) = desk.post("/api/v1/placements/search", json!({"pasport": "E1"}), "PROTECTION_CASE").await;
    assert_eq!((status, &problem["reason"]), (StatusCode::BAD_REQUEST, &json!("unknown-search-kind")));
    assert!(problem["expected"].as_str().unwrap().contains("passport, "), "{problem}");
    let path = "/api/v1/placements?stage=MATCHED&limit=1";
    let request = desk.http.get(format!("{}{path}", desk.base)).bearer_auth(&desk.token);
    let answer = request.header("x-purpose", "PROTECTION_CASE").send().await.unwrap();
    let link = answer.headers()["link"].to_str().unwrap().to_owned();
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    assert!(next.starts_with(&format!("{path}&after=")), "{link}");
    let (_, page) = desk.get(next, "PROTECTION_CASE").await;
    assert_eq!(page["placements"].as_array().map(Vec::len), Some(1), "{page}");
    gateway.stop_and_verify().await;
}
