//! What each purpose shows of the same placement, in its row, in filters, in lists of work and in its history.

use crate::support::{
    desk::Desk,
    gateway::{TestGateway, event},
};
use http::StatusCode;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

fn ago(hours: i64) -> Value {
    #[expect(clippy::disallowed_methods, reason = "the gateway under test reads the system clock")]
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
    json!((now - Duration::hours(hours)).format(&Rfc3339).unwrap())
}

fn told(type_name: &str, authority: &str, hours: i64, change: impl FnOnce(&mut Value)) -> Value {
    event(type_name, authority, |e| {
        e["time"] = ago(hours);
        e["data"]["travelDocument"] = json!({"number": "E7654321", "issuer": "IDN"});
        if e["data"].get("placement").is_some() {
            e["data"]["placement"] = json!({"reference": type_name});
        }
        change(e);
    })
}

async fn send(gateway: &TestGateway, client: &str, event: &Value) -> Value {
    let reply = gateway.system(client).send(event).await.unwrap();
    assert_eq!((reply.status, &reply.body["outcome"]), (StatusCode::CREATED, &json!("applied")), "{}", reply.body);
    reply.body
}

/// The kinds of what is open, once each.
fn kinds(list: &Value, member: Option<&str>) -> Vec<String> {
    let items = list.as_array().unwrap().iter();
    let mut kinds: Vec<String> =
        items.map(|one| member.map_or(one, |name| &one[name]).as_str().unwrap().to_owned()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[tokio::test]
async fn what_is_open_about_a_dispute_an_absence_or_a_case_is_seen_and_asked_for_by_protection_alone() {
    let mut gateway = TestGateway::start().await;
    send(&gateway, "kp2mi-system", &told("placement.nominated.v1", "KP2MI", 3_000, |_| ())).await;
    send(
        &gateway,
        "imi-system",
        &told("movement.departed.v1", "IMI-ID", 2_900, |e| e["data"]["movement"]["at"] = ago(2_900)),
    )
    .await;
    let dispute = told("dispute.filed.v1", "MISSION", 2_000, |e| e["corridor"] = json!("my"));
    send(&gateway, "mission-system", &dispute).await;
    let registered = told("dispute.registered.v1", "P-LAB", 1_990, |e| {
        e["data"]["dispute"]["registeredAt"] = ago(1_990);
    });
    send(&gateway, "my-gateway", &registered).await;
    let absent = told("absence.reported.v1", "P-LAB", 1_500, |e| {
        e["data"]["absence"] = json!({"action": "ALLEGED", "reportedAt": ago(1_500)});
    });
    send(&gateway, "my-gateway", &absent).await;
    let asked = told("protection.requested.v1", "MISSION", 100, |e| e["corridor"] = json!("my"));
    send(&gateway, "mission-system", &asked).await;

    let (mission, kemnaker) = (Desk::of(&gateway, &["MISSION"]), Desk::of(&gateway, &["KEMNAKER"]));
    let whole = mission.placement("E7654321").await;
    let all = kinds(&whole["exceptions"], None);
    for kind in ["ABSENCE_BARRED", "ABSENCE_FINAL", "NO_SHOW", "OVERDUE"] {
        assert!(all.contains(&kind.to_owned()), "{kind} in {all:?}");
    }
    let path = format!("/api/v1/placements/{}", whole["id"].as_str().unwrap());
    let (_, status) = kemnaker.get(&path, "STATUS_QUERY").await;
    let seen = kinds(&status["exceptions"], None);
    assert!(seen.contains(&"NO_SHOW".to_owned()), "{status}");
    assert!(!seen.iter().any(|kind| kind.starts_with("ABSENCE") || kind.starts_with("DISPUTE")), "{status}");
    let clocks = kinds(&status["deadlines"], Some("clock"));
    assert!(!clocks.iter().any(|clock| clock.starts_with("ABSENCE") || clock.starts_with("PROTECTION")), "{status}");
    let (_, list) = kemnaker.get("/api/v1/placements", "STATUS_QUERY").await;
    assert_eq!(list["placements"][0]["exceptions"], status["exceptions"]);
    let (_, found) = kemnaker.search(json!({"passport": "E7654321"}), "STATUS_QUERY").await;
    assert_eq!(found["placements"][0]["exceptions"], status["exceptions"]);

    for path in ["/api/v1/placements", "/api/v1/exceptions"] {
        for kind in ["ABSENCE_BARRED", "ABSENCE_FINAL", "ABSENCE_UNCONTESTED", "DETAINED_WITHOUT_ACCESS"] {
            let (code, problem) = kemnaker.get(&format!("{path}?exception={kind}"), "STATUS_QUERY").await;
            let reason = problem["reason"].as_str().unwrap_or_default();
            assert_eq!((code.as_u16(), reason), (403, "exception-not-for-this-purpose"), "{path} {kind}: {problem}");
            assert_eq!(mission.get(&format!("{path}?exception={kind}"), "PROTECTION_CASE").await.0, StatusCode::OK);
        }
    }
    let by_filter = json!({"passport": "E7654321", "filters": {"exception": "ABSENCE_FINAL"}});
    assert_eq!(kemnaker.search(by_filter.clone(), "STATUS_QUERY").await.0, StatusCode::FORBIDDEN);
    assert_eq!(mission.search(by_filter, "PROTECTION_CASE").await.1["placements"].as_array().map(Vec::len), Some(1));
    let (_, work) = kemnaker.get("/api/v1/exceptions", "STATUS_QUERY").await;
    let (_, more) = mission.get("/api/v1/exceptions", "PROTECTION_CASE").await;
    assert_eq!(kinds(&work["exceptions"], Some("exception")), seen, "{work}");
    assert_eq!(kinds(&more["exceptions"], Some("exception")), all, "{more}");
    // A page is a page of what the purpose shows: what it does not show takes no place in it.
    let (_, first) = kemnaker.get("/api/v1/exceptions?limit=1", "STATUS_QUERY").await;
    assert_eq!(first["exceptions"].as_array().map(Vec::len), Some(1), "{first}");
    // The border is shown whether she is cleared: no stage by a filter, no exception, no message about anything else.
    let border = Desk::of(&gateway, &["IMI-ID"]);
    let by_stage = json!({"passport": "E7654321", "filters": {"stage": "DEPARTED"}});
    assert_eq!(border.search(by_stage, "BORDER_CHECK").await.0, StatusCode::FORBIDDEN);
    let (_, checked) = border.get(&path, "BORDER_CHECK").await;
    assert!(checked.get("exceptions").is_none() && checked.get("deadlines").is_none(), "{checked}");
    let (_, steps) = border.get(&format!("{path}/timeline"), "BORDER_CHECK").await;
    assert_eq!(steps["steps"], json!([]), "no clearance, no message to show");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn an_employer_is_searched_in_a_body_with_filters_and_never_in_a_url() {
    let mut gateway = TestGateway::start().await;
    for n in 1..=2 {
        let contract = event("contract.submitted.v1", "P-LAB", |e| {
            e["data"]["placement"]["reference"] = json!(format!("OCS-{n}"));
            e["data"]["contract"]["reference"] = json!(format!("K-{n}"));
            e["data"]["travelDocument"]["number"] = json!(format!("E000000{n}"));
        });
        send(&gateway, "my-gateway", &contract).await;
    }
    let arrived = event("movement.arrived.v1", "P-IMM", |e| {
        e["data"]["placement"]["reference"] = json!("OCS-1");
        e["data"]["travelDocument"]["number"] = json!("E0000001");
    });
    send(&gateway, "my-gateway", &arrived).await;
    let desk = Desk::of(&gateway, &["KP2MI"]);
    let (status, problem) = desk.get("/api/v1/placements?employer=800101-14-5566", "STATUS_QUERY").await;
    assert_eq!((status, &problem["parameter"]), (StatusCode::BAD_REQUEST, &json!("employer")));
    let found = async |filters: Value| {
        let body = json!({"employer": "800101-14-5566", "filters": filters});
        let (status, found) = desk.search(body, "STATUS_QUERY").await;
        (status.as_u16(), found["placements"].as_array().map(Vec::len))
    };
    assert_eq!(found(json!({})).await, (200, Some(2)));
    assert_eq!(found(json!({"stage": "ARRIVED", "corridor": "my", "silent_days": 0})).await.0, 200);
    assert_eq!(found(json!({"stage": "ARRIVED"})).await, (200, Some(1)));
    assert_eq!(found(json!({"stage": "CLOSED"})).await, (200, Some(0)));
    for wrong in [json!({"stage": "FLYING"}), json!({"passport": "E1"}), json!({"stage": ["ARRIVED"]}), json!("x")] {
        assert_eq!(found(wrong.clone()).await.0, 400, "{wrong}");
    }
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn one_person_with_two_placements_is_one_person_and_two_are_refused_where_one_is_asked_for() {
    let mut gateway = TestGateway::start().await;
    for (n, nik) in [(1, 1), (2, 1), (3, 2)] {
        let nominated = told("placement.nominated.v1", "KP2MI", 900 - n, |e| {
            e["data"]["placement"] = json!({"reference": format!("H-{n}")});
            e["data"]["jobOrder"] = json!({"reference": format!("JO-{n}")});
            e["data"]["worker"]["nik"] = json!(format!("320101690296000{nik}"));
            e["data"]["travelDocument"]["number"] = json!(format!("E000000{nik}"));
        });
        send(&gateway, "kp2mi-system", &nominated).await;
    }
    let police = Desk::of(&gateway, &["POLRI"]);
    let search = async |body: Value| {
        let request = police.http.post(format!("{}/api/v1/placements/search", police.base)).bearer_auth(&police.token);
        let request = request.header("x-purpose", "INVESTIGATION").header("x-case-number", "LP/1");
        let answer = request.body(body.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, found) = search(json!({"passport": "E0000001"})).await;
    assert_eq!((status, found["placements"].as_array().map(Vec::len)), (200, Some(2)), "{found}");
    let (status, problem) = search(json!({"name": "Ratnasari"})).await;
    assert_eq!((status, &problem["reason"]), (403, &json!("more-than-one-person")));
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn what_was_withdrawn_has_no_fields_and_a_past_day_is_shown_as_it_was() {
    let mut gateway = TestGateway::start().await;
    send(&gateway, "kp2mi-system", &told("placement.nominated.v1", "KP2MI", 300, |_| ())).await;
    let arrived = told("movement.arrived.v1", "P-IMM", 200, |e| e["data"]["movement"]["at"] = ago(200));
    send(&gateway, "my-gateway", &arrived).await;
    let desk = Desk::of(&gateway, &["MISSION"]);
    let before = desk.placement("E7654321").await;
    assert_eq!(before["fields"]["/movement/port"]["value"], "KUL");
    let exceptions = kinds(&before["exceptions"], None);
    assert_eq!(exceptions, ["GHOST_ARRIVAL", "OVERDUE"], "{before}");
    let instant = before["as_of"].as_str().unwrap().to_owned();
    let withdrawn = event("message.invalidated.v1", "P-IMM", |e| {
        e["time"] = ago(100);
        e["data"]["invalidates"]["id"] = arrived["id"].clone();
    });
    send(&gateway, "my-gateway", &withdrawn).await;
    let now = desk.placement("E7654321").await;
    assert!(now["fields"].get("/movement/port").is_none(), "{now}");
    assert_eq!(kinds(&now["exceptions"], None), ["OVERDUE"]);
    let path = format!("/api/v1/placements/{}", before["id"].as_str().unwrap());
    let (_, then) = desk.get(&format!("{path}?as_known_at={instant}"), "PROTECTION_CASE").await;
    assert_eq!(
        (&then["stage"], kinds(&then["exceptions"], None)),
        (&json!("ARRIVED"), vec!["GHOST_ARRIVAL".to_owned()])
    );
    assert_eq!(then["fields"]["/movement/port"]["value"], "KUL");
    desk.get("/api/v1/exceptions", "PROTECTION_CASE").await;
    let about: Vec<i32> =
        sqlx::query_scalar("select cardinality(subjects) from lookups where 'exceptions' = any(fields)")
            .fetch_all(&gateway.databases.owner)
            .await
            .unwrap();
    assert!(about.len() == 1 && about[0] > 0, "whom it was about: {about:?}");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn what_an_officer_stood_by_has_fields_and_its_sender_is_known_to_know_of_it() {
    let mut gateway = TestGateway::start().await;
    send(&gateway, "kp2mi-system", &told("placement.nominated.v1", "KP2MI", 300, |_| ())).await;
    let desk = Desk::of(&gateway, &["MISSION"]);
    let death = told("death.reported.v1", "P-POL", 9, |e| e["data"]["death"]["remark"] = json!("x"));
    let held = gateway.system("my-gateway").send(&death).await.unwrap().body;
    assert_eq!(held["outcome"], "held", "{held}");
    let any = |whole: &Value| whole["fields"].as_object().unwrap().keys().any(|pointer| pointer.starts_with("/death/"));
    assert!(!any(&desk.placement("E7654321").await), "it waits");
    desk.decide(&held["message"], "ACCEPTED", "confirmed by telephone").await;
    let dead = desk.placement("E7654321").await;
    assert!(any(&dead), "{dead}");
    assert_eq!(dead["partner_knows"]["stage"], "DECEASED", "it said so, and knows that an officer stood by it");
    gateway.stop_and_verify().await;
}
