//! The domain at the border: workers and their placements, clocks and reminders, the absence race, cases, and what officers decide.

use crate::support::{
    desk::Desk,
    gateway::{TestGateway, event},
};
use http::{Method, StatusCode};
use onechannel::{
    exchange::{deadlines, limits},
    sandbox::system::System,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

mod clocks;
mod deaths;

const MISSION: &[&str] = &["MISSION"];

/// An instant so many hours ago.
fn ago(hours: i64) -> Value {
    #[expect(clippy::disallowed_methods, reason = "the gateway under test reads the system clock")]
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
    json!((now - Duration::hours(hours)).format(&Rfc3339).unwrap())
}

async fn sent(system: &System, event: &Value) -> Value {
    let reply = system.send(event).await.unwrap();
    assert_eq!((reply.status, &reply.body["outcome"]), (StatusCode::CREATED, &json!("applied")), "{}", reply.body);
    reply.body
}

/// A valid example that asserts its facts so many hours ago, about the holder of a passport only.
fn told(type_name: &str, authority: &str, hours: i64, passport: &str, change: impl FnOnce(&mut Value)) -> Value {
    event(type_name, authority, |e| {
        e["time"] = ago(hours);
        e["data"]["travelDocument"] = json!({"number": passport, "issuer": "IDN"});
        if e["data"].get("placement").is_some() {
            e["data"]["placement"] = json!({"reference": format!("{passport}-{type_name}")});
        }
        change(e);
    })
}

fn nominated(hours: i64, passport: &str, reference: &str) -> Value {
    told("placement.nominated.v1", "KP2MI", hours, passport, |e| {
        e["data"]["placement"] = json!({"reference": reference});
        e["data"]["jobOrder"] = json!({"reference": format!("JO-{reference}")});
    })
}

fn of<'v>(list: &'v Value, member: &str, value: &str) -> Option<&'v Value> {
    list.as_array().unwrap().iter().find(|one| one[member] == value)
}

#[tokio::test]
async fn a_worker_who_goes_a_second_time_has_two_placements() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, imi, my) = (gateway.system("kp2mi-system"), gateway.system("imi-system"), gateway.system("my-gateway"));
    sent(&kp2mi, &nominated(900, "E7654321", "H-1")).await;
    let first = sent(&my, &told("movement.arrived.v1", "P-IMM", 880, "E7654321", |_| ())).await;
    sent(&imi, &told("return.recorded.v1", "IMI-ID", 500, "E7654321", |e| e["data"]["return"]["at"] = ago(500))).await;
    // Back home, she goes again with the same passport; the arrival comes before its registration.
    let arrived = told("movement.arrived.v1", "P-IMM", 40, "E7654321", |e| {
        e["data"]["movement"]["at"] = ago(40);
        e["data"]["placement"] = json!({"reference": "second"});
    });
    sent(&my, &arrived).await;
    let desk = Desk::of(&gateway, MISSION);
    let one = desk.placement("E7654321").await;
    assert_eq!(one["stage"], "RETURNED_HOME", "one placement is known, and it is over");
    sent(&kp2mi, &nominated(60, "E7654321", "H-2")).await;
    let (_, found) = desk.search(json!({"passport": "E7654321"}), "PROTECTION_CASE").await;
    let mut stages: Vec<&str> =
        found["placements"].as_array().unwrap().iter().map(|one| one["stage"].as_str().unwrap()).collect();
    stages.sort_unstable();
    assert_eq!(stages, ["ARRIVED", "RETURNED_HOME"], "{found}");
    let old = desk.get(&format!("/api/v1/placements/{}", one["id"].as_str().unwrap()), "PROTECTION_CASE").await.1;
    assert_eq!(old["other_placements"].as_array().unwrap().len(), 1);
    // The partner knows one worker and two placements of hers.
    let page = my.call(Method::GET, "/v1/messages?after=0", "", vec![]).await.unwrap();
    let letters: Vec<&Value> =
        page.body["messages"].as_array().unwrap().iter().map(|one| &one["event"]["data"]["placement"]).collect();
    assert!(letters.iter().all(|one| one["worker"] == letters[0]["worker"]), "{letters:?}");
    assert!(letters.iter().any(|one| one["id"] != letters[0]["id"]) && first["placement"]["id"] == letters[0]["id"]);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn two_who_claim_one_passport_stay_two_and_are_shown_to_an_officer() {
    let mut gateway = TestGateway::start().await;
    let kp2mi = gateway.system("kp2mi-system");
    sent(&kp2mi, &nominated(20, "E7654321", "H-1")).await;
    let mut other = nominated(19, "E7654321", "H-2");
    other["data"]["worker"]["nik"] = json!("3201016902960002");
    sent(&kp2mi, &other).await;
    let desk = Desk::of(&gateway, MISSION);
    let (_, found) = desk.get("/api/v1/placements?exception=SAME_PASSPORT", "PROTECTION_CASE").await;
    assert_eq!(found["placements"].as_array().unwrap().len(), 2, "{found}");
    let (_, items) = desk.get("/api/v1/exceptions?exception=SAME_PASSPORT", "PROTECTION_CASE").await;
    assert!(items["exceptions"].as_array().unwrap().iter().all(|one| one["owner"] == "KP2MI"), "{items}");
    // The registrar corrects the wrong number: one worker, nothing left to look at.
    let mut corrected = other.clone();
    (corrected["id"], corrected["revision"]) = (json!("correction"), json!(2));
    corrected["data"]["worker"]["nik"] = json!("3201016902960001");
    sent(&kp2mi, &corrected).await;
    let (_, found) = desk.get("/api/v1/placements?exception=SAME_PASSPORT", "PROTECTION_CASE").await;
    assert_eq!(found["placements"], json!([]));
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn anothers_claim_to_her_passport_brings_no_dead_worker_back() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    sent(&kp2mi, &nominated(20, "E7654321", "H-1")).await;
    let reported = sent(&my, &told("death.reported.v1", "P-POL", 9, "E7654321", |_| {})).await;
    let her = reported["placement"]["id"].clone();
    let permit = told("permit.issued.v1", "P-IMM", 12, "E7654321", |e| e["data"]["placement"] = json!({"id": her}));
    sent(&my, &permit).await;
    let desk = Desk::named(&gateway, "a.sari", MISSION);
    let dead = desk.placement("E7654321").await;
    assert_eq!((&dead["stage"], &dead["exceptions"]), (&json!("DECEASED"), &json!([])), "{dead}");
    let (_, ids) = desk.get("/api/v1/placements?stage=DECEASED", "PROTECTION_CASE").await;
    assert_eq!(ids["placements"].as_array().unwrap().len(), 1);
    let known = my.call(Method::GET, "/v1/placements", "", vec![]).await.unwrap().body["placements"].clone();
    let as_known = |page: &Value, id: &Value| of(page, "id", id.as_str().unwrap()).unwrap()["stage"].clone();
    assert_eq!(as_known(&known, &her), "DECEASED", "{known}");
    let mut other = nominated(5, "E7654321", "H-2");
    other["data"]["worker"]["nik"] = json!("3201016902960002");
    sent(&kp2mi, &other).await;
    let still = desk.get(&format!("/api/v1/placements/{}", dead["id"].as_str().unwrap()), "PROTECTION_CASE").await.1;
    let waits = json!(["SAME_PASSPORT", "AWAITS_SECOND_OFFICER"]);
    assert_eq!((&still["stage"], &still["exceptions"]), (&json!("DECEASED"), &waits), "{still}");
    assert_eq!(
        still["facts"]["death"]["message"], dead["facts"]["death"]["message"],
        "whence it is known stays readable"
    );
    let known = my.call(Method::GET, "/v1/placements", "", vec![]).await.unwrap().body["placements"].clone();
    assert_eq!(as_known(&known, &her), "DECEASED", "nor for the partner: {known}");
    // The home party withdraws what it said of the second and says it with her own passport; two officers stand by that.
    let mut right = nominated(4, "E1111111", "H-2");
    right["data"]["worker"]["nik"] = json!("3201016902960002");
    sent(&kp2mi, &right).await;
    let undo = event("message.invalidated.v1", "KP2MI", |e| {
        e["corridor"] = json!("my");
        e["data"]["placement"] = json!({"reference": "H-2"});
        e["data"]["invalidates"]["id"] = other["id"].clone();
    });
    let undone = sent(&kp2mi, &undo).await;
    let (_, asked) = desk.get("/api/v1/held", "PROTECTION_CASE").await;
    assert_eq!(asked["held"][0]["message"], undone["message"], "officers are asked: {asked}");
    desk.decide(&undone["message"], "ACCEPTED", "the office typed her number wrong").await;
    assert_eq!(desk.placement("E1111111").await["stage"], "DECEASED", "one officer is not two");
    Desk::named(&gateway, "b.putra", MISSION).decide(&undone["message"], "ACCEPTED", "agreed").await;
    let alive = desk.placement("E1111111").await;
    assert_eq!((&alive["stage"], &alive["exceptions"]), (&json!("MATCHED"), &json!([])), "{alive}");
    let dead = desk.get(&format!("/api/v1/placements/{}", dead["id"].as_str().unwrap()), "PROTECTION_CASE").await.1;
    assert_eq!((&dead["stage"], &dead["exceptions"]), (&json!("DECEASED"), &json!([])), "{dead}");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_clock_that_runs_out_is_seen_reminds_once_and_stops_with_the_answer() {
    let mut gateway = TestGateway::start().await;
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    let (kp2mi, imi, my) = (gateway.system("kp2mi-system"), gateway.system("imi-system"), gateway.system("my-gateway"));
    sent(&kp2mi, &nominated(120, "E7654321", "H-1")).await;
    let departed = told("movement.departed.v1", "IMI-ID", 99, "E7654321", |e| e["data"]["movement"]["at"] = ago(100));
    sent(&imi, &departed).await;
    let desk = Desk::of(&gateway, MISSION);
    let (_, gone) = desk.get("/api/v1/placements?exception=NO_SHOW", "PROTECTION_CASE").await;
    assert_eq!(gone["placements"][0]["stage"], "DEPARTED", "{gone}");
    let shown = desk.placement("E7654321").await;
    let clock = of(&shown["deadlines"], "clock", "ARRIVAL").unwrap();
    assert_eq!(
        (&clock["waits_for"], &clock["overdue"], &clock["exception"]),
        (&json!("MV2"), &json!(true), &json!("NO_SHOW"))
    );
    assert_eq!(clock["from"], json!(["P-IMM"]));
    let (_, items) = desk.get("/api/v1/exceptions?corridor=my", "PROTECTION_CASE").await;
    let item = of(&items["exceptions"], "exception", "NO_SHOW").unwrap();
    assert_eq!(item["owner"], "MISSION");
    assert!(item["age_s"].as_i64().unwrap() >= 27 * 3_600, "alarmed after 72 of 100 hours: {item}");
    while deadlines::round(&running).await.unwrap() > 0 {}
    let reminders = |page: &Value| -> Vec<Value> {
        let all = page["messages"].as_array().unwrap().iter().map(|one| one["event"].clone());
        all.filter(|event| event["type"] == "reminder.sent.v1" && event["data"]["reminds"]["clock"] == "ARRIVAL")
            .collect()
    };
    let page = my.call(Method::GET, "/v1/messages?after=0", "", vec![]).await.unwrap().body;
    let found = reminders(&page);
    assert_eq!(found.len(), 1, "{page}");
    assert_eq!(found[0]["authority"], "MISSION", "in the name of whose work it is");
    let mv1 = page["messages"].as_array().unwrap().iter().find(|one| one["event"]["type"] == "movement.departed.v1");
    assert_eq!(found[0]["data"]["reminds"]["id"], mv1.unwrap()["event"]["id"], "by the id under which it is known");
    assert_eq!(found[0]["data"]["placement"], mv1.unwrap()["event"]["data"]["placement"]);
    sent(&my, &told("movement.arrived.v1", "P-IMM", 1, "E7654321", |e| e["data"]["movement"]["at"] = ago(2))).await;
    assert_eq!(deadlines::round(&running).await.unwrap(), 0);
    let (_, gone) = desk.get("/api/v1/placements?exception=NO_SHOW", "PROTECTION_CASE").await;
    assert_eq!(gone["placements"], json!([]));
    let (_, silent) = desk.get("/api/v1/placements?silent_days=90", "PROTECTION_CASE").await;
    assert_eq!(silent["placements"], json!([]), "heard of an hour ago");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_permit_that_ran_out_shows_on_the_day_and_by_either_calendar() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    for (passport, valid) in [
        ("E0000001", json!({"gregorian": "2026-01-31"})),
        ("E0000002", json!({"hijri": "1400-01-01"})),
        ("E0000003", json!({"gregorian": "2099-12-31"})),
    ] {
        let permit = told("permit.issued.v1", "P-IMM", 9_000, passport, |e| {
            e["data"]["permit"] = json!({"kind": "PLKS", "number": format!("P-{passport}"), "validUntil": valid});
        });
        sent(&my, &permit).await;
    }
    let desk = Desk::of(&gateway, MISSION);
    let count = async |stay: &str| {
        let (_, found) = desk.get(&format!("/api/v1/placements?stay={stay}"), "PROTECTION_CASE").await;
        found["placements"].as_array().unwrap().len()
    };
    assert_eq!((count("PERMIT_EXPIRED").await, count("PERMIT_VALID").await), (2, 1));
    assert_eq!(desk.placement("E0000001").await["stay"], "PERMIT_EXPIRED");
    let (_, silent) = desk.get("/api/v1/placements?silent_days=90", "PROTECTION_CASE").await;
    assert_eq!(silent["placements"].as_array().unwrap().len(), 3, "not a word for 9,000 hours");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_registered_dispute_bars_a_later_absence_and_an_earlier_absence_starts_its_clocks() {
    let mut gateway = TestGateway::start().await;
    let (mission, my) = (gateway.system("mission-system"), gateway.system("my-gateway"));
    let desk = Desk::of(&gateway, MISSION);
    let dispute = |passport: &str, hours| {
        told("dispute.filed.v1", "MISSION", hours, passport, |e| {
            e["data"]["dispute"] = json!({"caseNumber": format!("D-{passport}"), "filedAt": ago(hours)});
        })
    };
    let absence = |passport: &str, hours| {
        told("absence.reported.v1", "P-LAB", hours, passport, |e| e["data"]["absence"]["reportedAt"] = ago(hours))
    };
    // Filed, not yet registered: an alarm after a quarter of an hour.
    sent(&mission, &dispute("E0000001", 30)).await;
    let waits = desk.placement("E0000001").await;
    let clock = of(&waits["deadlines"], "clock", "DISPUTE_REGISTRATION").unwrap();
    assert_eq!((&clock["waits_for"], &clock["exception"]), (&json!("DS2"), &json!("DISPUTE_NOT_REGISTERED")));
    let registered = told("dispute.registered.v1", "P-LAB", 29, "E0000001", |e| {
        e["data"]["dispute"] = json!({"caseNumber": "D-E0000001", "filedAt": ago(30), "registeredAt": ago(29)});
    });
    let registration = sent(&my, &registered).await;
    let shown = desk.placement("E0000001").await;
    assert!(of(&shown["deadlines"], "clock", "DISPUTE_REGISTRATION").is_none(), "{shown}");
    assert_eq!(shown["cases"][0]["status"], "OPEN");
    sent(&my, &absence("E0000001", 5)).await;
    let shown = desk.placement("E0000001").await;
    assert_eq!(
        shown["absence_barred_by"]["message"], registration["message"],
        "contested with the partner's own answer"
    );
    assert!(shown["exceptions"].as_array().unwrap().contains(&json!("ABSENCE_BARRED")), "{shown}");
    // The other way round: nothing bars it, the clocks of 15 and 60 days run, with an alarm on day 45.
    sent(&my, &absence("E0000002", 24 * 46)).await;
    sent(&mission, &dispute("E0000002", 24 * 45)).await;
    let shown = desk.placement("E0000002").await;
    assert!(shown.get("absence_barred_by").is_none() && shown["stay"] == "ABSENCE_ALLEGED", "{shown}");
    let late = of(&shown["deadlines"], "clock", "ABSENCE_FINAL").unwrap();
    assert_eq!(
        (&late["overdue"], &late["exception"]),
        (&json!(false), &json!("ABSENCE_FINAL")),
        "past day 45, before day 60"
    );
    assert_eq!(of(&shown["deadlines"], "clock", "ABSENCE_WITHDRAWABLE").unwrap()["overdue"], true);
    let contest = told("absence.contested.v1", "MISSION", 1, "E0000002", |e| {
        e["data"]["contest"] = json!({"contestedAt": ago(1), "reason": "wages are owed"});
    });
    sent(&mission, &contest).await;
    let shown = desk.placement("E0000002").await;
    assert!(of(&shown["deadlines"], "clock", "ABSENCE_WITHDRAWABLE").is_none(), "{shown}");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn nothing_goes_out_about_somebody_in_a_shelter_unless_two_officers_decide() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, mission, my) =
        (gateway.system("kp2mi-system"), gateway.system("mission-system"), gateway.system("my-gateway"));
    sent(&kp2mi, &nominated(200, "E7654321", "H-1")).await;
    let asks = |id: &str| told("welfare.requested.v1", "MISSION", 3, "E7654321", |e| e["id"] = json!(id));
    let shelter = told("welfare.assessed.v1", "MISSION", 4, "E7654321", |e| {
        e["data"]["welfare"] = json!({"status": "IN_SHELTER", "assessedAt": ago(4), "shelter": "Shelter 7"});
    });
    sent(&mission, &shelter).await;
    let asked = sent(&mission, &asks("wf1-1")).await;
    let letters = async || {
        let page = my.call(Method::GET, "/v1/messages?after=0", "", vec![]).await.unwrap().body;
        let types =
            page["messages"].as_array().unwrap().iter().map(|one| one["event"]["type"].as_str().unwrap().to_owned());
        (types.filter(|one| one == "welfare.requested.v1").count(), page)
    };
    assert_eq!(letters().await.0, 0);
    let (first, second) = (Desk::named(&gateway, "a.sari", MISSION), Desk::named(&gateway, "B.Putra", MISSION));
    let kemnaker = Desk::named(&gateway, "c.dewi", &["KEMNAKER"]);
    let refused = kemnaker.post(
        "/api/v1/decisions",
        json!({"message": asked["message"], "verdict": "ACCEPTED", "reason": "x"}),
        "STATUS_QUERY",
    );
    assert_eq!(refused.await.0, StatusCode::FORBIDDEN);
    assert_eq!(first.decide(&asked["message"], "ACCEPTED", " ").await.0, StatusCode::BAD_REQUEST, "a reason is asked");
    let (status, one) = first.decide(&asked["message"], "ACCEPTED", "the employer is away").await;
    assert_eq!((status, &one["released"]), (StatusCode::CREATED, &json!(false)), "{one}");
    assert_eq!(first.decide(&asked["message"], "ACCEPTED", "the employer is away").await.0, StatusCode::OK, "once");
    let again = Desk::named(&gateway, "A.Sari", MISSION);
    let (status, problem) = again.decide(&asked["message"], "ACCEPTED", "another reason").await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::CONFLICT, &json!("urn:onechannel:problem:decided-before")),
        "one officer is one"
    );
    assert_eq!(letters().await.0, 0, "one officer is not two");
    let (_, two) = second.decide(&asked["message"], "ACCEPTED", "agreed").await;
    assert_eq!(two["released"], true, "{two}");
    let (count, page) = letters().await;
    assert_eq!(count, 1, "{page}");
    assert!(!page.to_string().contains("Shelter") && !page.to_string().contains("IN_SHELTER"), "{page}");
    // The next message about her waits again.
    sent(&mission, &asks("wf1-2")).await;
    assert_eq!(letters().await.0, 1);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_held_message_counts_once_an_officer_stands_by_it_and_a_death_is_undone_by_two() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    sent(&kp2mi, &nominated(300, "E7654321", "H-1")).await;
    // The police give the wrong twin: her passport, with a place of death that breaks the schema.
    let death = told("death.reported.v1", "P-POL", 9, "E7654321", |e| {
        e["id"] = json!("dh1-7");
        e["data"]["death"]["remark"] = json!("x");
    });
    let reply = my.send(&death).await.unwrap().body;
    assert_eq!(reply["outcome"], "held", "{reply}");
    let desk = Desk::named(&gateway, "a.sari", MISSION);
    let (_, waits) = desk.get("/api/v1/held", "PROTECTION_CASE").await;
    assert_eq!(waits["held"][0]["message"], reply["message"], "{waits}");
    assert_eq!(desk.placement("E7654321").await["stage"], "MATCHED");
    let (status, _) = desk.decide(&reply["message"], "ACCEPTED", "confirmed by telephone").await;
    assert_eq!(status, StatusCode::CREATED);
    let dead = desk.placement("E7654321").await;
    assert_eq!((&dead["stage"], &dead["welfare"]), (&json!("DECEASED"), &json!("DECEASED")));
    let timeline = format!("/api/v1/placements/{}/timeline", dead["id"].as_str().unwrap());
    let (_, steps) = desk.get(&timeline, "PROTECTION_CASE").await;
    let step = of(&steps["steps"], "type", "death.reported.v1").unwrap();
    assert!(!step["violations"].as_array().unwrap().is_empty(), "the flag stays visible: {step}");
    assert_eq!(desk.get("/api/v1/held", "PROTECTION_CASE").await.1["held"], json!([]));
    let undo = event("message.invalidated.v1", "P-POL", |e| {
        e["data"]["placement"] = json!({"reference": "E7654321-x"});
        e["data"]["invalidates"]["id"] = json!("dh1-7");
    });
    let undone = sent(&my, &undo).await;
    let waiting = desk.placement("E7654321").await;
    assert_eq!(waiting["stage"], "DECEASED");
    assert!(waiting["exceptions"].as_array().unwrap().contains(&json!("AWAITS_SECOND_OFFICER")), "{waiting}");
    desk.decide(&undone["message"], "ACCEPTED", "it was her sister").await;
    assert_eq!(desk.placement("E7654321").await["stage"], "DECEASED", "one officer is not two");
    Desk::named(&gateway, "b.putra", MISSION).decide(&undone["message"], "ACCEPTED", "agreed").await;
    let alive = desk.placement("E7654321").await;
    assert_eq!(alive["stage"], "MATCHED", "{alive}");
    assert!(!alive["exceptions"].as_array().unwrap().contains(&json!("AWAITS_SECOND_OFFICER")), "{alive}");
    let (status, problem) = desk.decide(&json!("018f0000-0000-7000-8000-000000000001"), "ACCEPTED", "x").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{problem}");
    // Nobody decides through the channel port.
    let forged = event("decision.made.v1", "MISSION", |e| e["corridor"] = json!("my"));
    let reply = gateway.system("mission-system").send(&forged).await.unwrap();
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", reply.body);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_case_begins_without_a_name_and_is_joined_to_a_record_with_consent() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, mission) = (gateway.system("kp2mi-system"), gateway.system("mission-system"));
    let desk = Desk::of(&gateway, MISSION);
    let case = event("protection.requested.v1", "MISSION", |e| {
        (e["corridor"], e["time"]) = (json!("my"), ago(9));
        e["data"]["case"]["nickname"] = json!("Yanti");
    });
    let opened = sent(&mission, &case).await;
    let actions: Vec<&str> =
        opened["actions"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert!(actions.contains(&"case.recorded.v1") && actions.contains(&"identity.linked.v1"), "{actions:?}");
    let (_, found) = desk.search(json!({"name": "Yanti"}), "PROTECTION_CASE").await;
    assert_eq!(found["placements"].as_array().unwrap().len(), 1, "{found}");
    sent(&kp2mi, &nominated(300, "E7654321", "H-1")).await;
    let linked = told("identity.linked.v1", "MISSION", 1, "E7654321", |e| {
        e["corridor"] = json!("my");
        e["data"].as_object_mut().unwrap().remove("placement");
    });
    let mut without = linked.clone();
    without["id"] = json!("no-consent");
    without["data"].as_object_mut().unwrap().remove("consent");
    assert_eq!(mission.send(&without).await.unwrap().body["outcome"], "held", "without consent it waits");
    let closed = event("case.closed.v1", "MISSION", |e| (e["corridor"], e["time"]) = (json!("my"), ago(0)));
    sent(&mission, &linked).await;
    let joined = desk.placement("E7654321").await;
    assert_eq!((&joined["cases"][0]["status"], &joined["stage"]), (&json!("OPEN"), &json!("MATCHED")), "{joined}");
    let clock = of(&joined["deadlines"], "clock", "PROTECTION_CRITICAL").unwrap();
    assert_eq!(clock["waits_for"], "CS2");
    sent(&mission, &closed).await;
    assert_eq!(desk.placement("E7654321").await["cases"][0]["status"], "CLOSED");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_registered_contract_that_differs_names_its_fields_and_a_wage_under_the_floor_waits() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, mission, my) =
        (gateway.system("kp2mi-system"), gateway.system("mission-system"), gateway.system("my-gateway"));
    let own = |hours| {
        move |e: &mut Value| {
            e["time"] = ago(hours);
            e["data"]["placement"] = json!({"reference": "K-1"});
        }
    };
    sent(&kp2mi, &nominated(400, "E7654321", "H-1")).await;
    sent(&my, &event("contract.submitted.v1", "P-LAB", own(300))).await;
    let mut decided = told("contract.decided.v1", "MISSION", 290, "E7654321", |_| ());
    decided["data"]["contract"] = json!({"reference": "K-1", "decision": "ENDORSED"});
    sent(&mission, &decided).await;
    let contract = event("contract.submitted.v1", "P-LAB", |_| ())["data"]["contract"].clone();
    let registered = event("contract.registered.v1", "P-LAB", |e| {
        own(280)(e);
        e["data"]["contract"] = contract.clone();
        e["data"]["contract"]["hoursPerDay"] = json!(9);
        e["data"]["place"] = json!({"region": "MY-01"});
    });
    sent(&my, &registered).await;
    let desk = Desk::of(&gateway, MISSION);
    let shown = desk.placement("E7654321").await;
    assert!(shown["exceptions"].as_array().unwrap().contains(&json!("SUBSTITUTED")), "{shown}");
    let fields = shown["substituted"].as_array().unwrap();
    assert!(
        fields.contains(&json!("/place/region")) && !fields.contains(&json!("/contract/wage/amount")),
        "{fields:?}"
    );
    let poor = event("contract.submitted.v1", "P-LAB", |e| {
        own(2)(e);
        e["data"]["contract"]["wage"]["amount"] = json!("1200.00");
    });
    let held = my.send(&poor).await.unwrap().body;
    assert_eq!(held["outcome"], "held", "{held}");
    let fault = of(&held["violations"], "rule", "rule-wage-floor").unwrap();
    let sentence = fault["message"]["en"].as_str().unwrap();
    assert!(sentence.contains("1700") && sentence.contains("pack") && !sentence.contains("1200"), "{sentence}");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn endorsements_beyond_a_quota_become_work_items_on_those_that_came_last() {
    let mut gateway = TestGateway::prepare(crate::support::Databases::fresh().await).await;
    let folder = gateway.folder.join("partners/my/rules");
    let pack = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("[[quota]]")));
    for file in pack {
        let text = std::fs::read_to_string(&file).unwrap();
        let (before, quota) = text.split_once("[[quota]]").unwrap();
        let lines = quota.lines().map(|line| match line.split_once(" = ").map(|(name, _)| name) {
            Some("count") => "count = 1".to_owned(),
            Some("from") => "from = \"2026-01-01\"".to_owned(),
            Some("to") => "to = \"2027-12-31\"".to_owned(),
            _ => line.to_owned(),
        });
        std::fs::write(&file, format!("{before}[[quota]]{}", lines.collect::<Vec<_>>().join("\n"))).unwrap();
    }
    gateway.serve().await;
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    let (mission, my) = (gateway.system("mission-system"), gateway.system("my-gateway"));
    for n in 1..=2 {
        let passport = format!("E000000{n}");
        let submitted = told("contract.submitted.v1", "P-LAB", 50 - n, &passport, |e| {
            e["data"]["contract"]["reference"] = json!(format!("K-{n}"));
            e["data"].as_object_mut().unwrap().remove("worker");
        });
        sent(&my, &submitted).await;
        let mut decided = told("contract.decided.v1", "MISSION", 40 - n, &passport, |_| ());
        decided["data"]["contract"] = json!({"reference": format!("K-{n}"), "decision": "ENDORSED"});
        sent(&mission, &decided).await;
    }
    assert_eq!(limits::round(&running).await.unwrap(), 1);
    let desk = Desk::of(&gateway, MISSION);
    let (_, beyond) = desk.get("/api/v1/placements?exception=QUOTA", "PROTECTION_CASE").await;
    assert_eq!(beyond["placements"].as_array().unwrap().len(), 1, "{beyond}");
    assert_eq!(beyond["placements"][0]["id"], desk.placement("E0000002").await["id"]);
    let cancelled = told("placement.cancelled.v1", "P-LAB", 1, "E0000001", |e| e["data"]["closing"]["at"] = ago(1));
    sent(&my, &cancelled).await;
    assert_eq!(limits::round(&running).await.unwrap(), 0, "there is room again");
    let (_, beyond) = desk.get("/api/v1/placements?exception=QUOTA", "PROTECTION_CASE").await;
    assert_eq!(beyond["placements"], json!([]));
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn who_is_suspended_by_a_notice_is_seen_until_it_is_lifted() {
    let mut gateway = TestGateway::start().await;
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    let contract = |n: usize, employer: &str| {
        told("contract.submitted.v1", "P-LAB", 50 - n as i64, &format!("E000000{n}"), |e| {
            e["data"]["contract"]["reference"] = json!(format!("K-{n}"));
            e["data"]["employer"]["identifier"]["value"] = json!(employer);
            e["data"].as_object_mut().unwrap().remove("worker");
        })
    };
    sent(&my, &contract(1, "800101-14-5566")).await;
    sent(&my, &contract(2, "810202-14-5566")).await;
    let agency = json!({"licence": "SIP3MI-0042", "name": "PT CONTOH SENTOSA"});
    let mut by_agency = nominated(60, "E0000003", "H-3");
    by_agency["data"]["agency"] = agency.clone();
    sent(&kp2mi, &by_agency).await;
    sent(&my, &contract(3, "820303-14-5566")).await;
    let notice = |id: &str, hours: i64, kind: &str, names: Value| {
        event("quota.notified.v1", "KP2MI", |e| {
            (e["id"], e["time"]) = (json!(id), ago(hours));
            e["data"] = json!({"notice": {"reference": id[..3], "kind": kind, "validFrom": "2026-01-01"}});
            e["data"].as_object_mut().unwrap().extend(names.as_object().unwrap().clone());
        })
    };
    let employer = json!({"employer": {"identifier": {"kind": "nric", "value": "800101145566"}, "kind": "HOUSEHOLD",
        "name": "AHMAD BIN ALI"}});
    sent(&kp2mi, &notice("N-1", 9, "SUSPENSION", employer.clone())).await;
    sent(&kp2mi, &notice("N-2", 9, "BLACKLIST", json!({"agency": agency}))).await;
    assert_eq!(limits::round(&running).await.unwrap(), 2);
    let desk = Desk::of(&gateway, MISSION);
    let suspended = || async {
        let (_, found) = desk.get("/api/v1/placements?exception=SUSPENDED", "PROTECTION_CASE").await;
        let mut ids: Vec<String> =
            found["placements"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let mut expected = Vec::new();
    for passport in ["E0000001", "E0000003"] {
        expected.push(desk.placement(passport).await["id"].as_str().unwrap().to_owned());
    }
    expected.sort();
    assert_eq!(suspended().await, expected);
    sent(&kp2mi, &notice("N-1-lifted", 1, "LIFTED", employer)).await;
    assert_eq!(limits::round(&running).await.unwrap(), 1, "a notice is lifted under its reference");
    let withdrawn = event("message.invalidated.v1", "KP2MI", |e| {
        e["corridor"] = json!("my");
        e["data"] = json!({"placement": {"reference": "none"}, "invalidates": {"id": "N-2", "reason": "wrong agency"}});
    });
    sent(&kp2mi, &withdrawn).await;
    assert_eq!(limits::round(&running).await.unwrap(), 0, "a withdrawn notice limits nobody");
    assert_eq!(suspended().await, Vec::<String>::new());
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_notice_that_its_recipient_does_not_acknowledge_in_its_hour_is_a_work_item() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    let desk = Desk::of(&gateway, MISSION);
    let items = || async {
        let (_, open) = desk.get("/api/v1/exceptions?exception=NOT_TOLD", "PROTECTION_CASE").await;
        open["exceptions"].clone()
    };
    let notice = sent(&kp2mi, &event("quota.notified.v1", "KP2MI", |e| e["time"] = ago(3))).await;
    assert_eq!(items().await, json!([]), "it has an hour");
    let earlier = "update deliveries set created_at = created_at - interval '2 hours'";
    sqlx::query(earlier).execute(&gateway.databases.owner).await.unwrap();
    let open = items().await;
    assert_eq!((&open[0]["message"], &open[0]["owner"]), (&notice["message"], &json!("KP2MI")), "{open}");
    let page = my.call(Method::GET, "/v1/messages?after=0", "", vec![]).await.unwrap();
    let cursor = json!({"cursor": page.body["messages"][0]["cursor"]}).to_string();
    my.call(Method::POST, "/v1/messages/ack", "application/json", cursor.into_bytes()).await.unwrap();
    assert_eq!(items().await, json!([]));
    gateway.stop_and_verify().await;
}
