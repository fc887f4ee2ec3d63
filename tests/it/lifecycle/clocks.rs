//! Clocks of the catalogue through the port: who is waited for, what stops them, what is open when they run out.

use super::*;

/// The work items of a clock.
async fn items(desk: &Desk, clock: &str) -> Vec<Value> {
    let (_, found) = desk.get("/api/v1/exceptions?limit=200", "PROTECTION_CASE").await;
    let all = found["exceptions"].as_array().unwrap().iter();
    all.filter(|one| one["clock"] == clock).cloned().collect()
}

/// The reminders of a clock in a system's mailbox.
async fn reminders(system: &System, clock: &str) -> Vec<Value> {
    let page = system.call(Method::GET, "/v1/messages?after=0", "", vec![]).await.unwrap().body;
    let all = page["messages"].as_array().unwrap().iter().map(|one| one["event"].clone());
    all.filter(|event| event["type"] == "reminder.sent.v1" && event["data"]["reminds"]["clock"] == clock).collect()
}

fn roster_asked(authority: &str, crisis: &str, hours: i64) -> Value {
    event("crisis.roster-asked.v1", authority, |e| {
        (e["corridor"], e["time"]) = (json!("my"), ago(hours));
        e["data"]["crisis"]["reference"] = json!(crisis);
        e["data"]["rosterRequest"]["askedAt"] = ago(hours);
    })
}

fn roll_call(authority: &str, crisis: &str, hours: i64, passport: &str) -> Value {
    told("crisis.roll-call-changed.v1", authority, hours, passport, |e| {
        e["corridor"] = json!("my");
        e["data"]["crisis"]["reference"] = json!(crisis);
        // What was known of her before anybody asked.
        e["data"]["rollCall"]["at"] = ago(hours + 5);
    })
}

#[tokio::test]
async fn a_roster_is_answered_by_the_asked_sides_words_about_people() {
    let mut gateway = TestGateway::start().await;
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    let (mission, my) = (gateway.system("mission-system"), gateway.system("my-gateway"));
    let desk = Desk::of(&gateway, MISSION);
    sent(&mission, &roster_asked("KEMLU", "CR-1", 9)).await;
    let open = items(&desk, "ROSTER").await;
    assert_eq!((open.len(), &open[0]["owner"]), (1, &json!("KEMLU")), "{open:?}");
    sent(&mission, &roll_call("MISSION", "CR-1", 8, "E0000001")).await;
    assert_eq!(items(&desk, "ROSTER").await.len(), 1, "who asked does not answer");
    sent(&my, &roll_call("P-LAB", "CR-2", 8, "E0000002")).await;
    assert_eq!(items(&desk, "ROSTER").await.len(), 1, "another crisis");
    sent(&my, &roll_call("P-LAB", "CR-1", 8, "E0000003")).await;
    assert_eq!(items(&desk, "ROSTER").await, [] as [Value; 0]);
    // In the other order of arrival too, and asked again later it is open again.
    sent(&mission, &roster_asked("KEMLU", "CR-2", 9)).await;
    assert_eq!(items(&desk, "ROSTER").await, [] as [Value; 0]);
    sent(&mission, &roster_asked("KEMLU", "CR-1", 2)).await;
    assert_eq!(items(&desk, "ROSTER").await.len(), 1);
    // A reminder is about the crisis: it changes nothing of what was answered.
    while deadlines::round(&running).await.unwrap() > 0 {}
    assert_eq!((reminders(&my, "ROSTER").await.len(), items(&desk, "ROSTER").await.len()), (1, 1));
    // The partner asks: the move is the home party's, and the work of whom the catalogue names for it.
    sent(&my, &roster_asked("P-LAB", "CR-3", 9)).await;
    let owners: Vec<Value> = items(&desk, "ROSTER").await.iter().map(|one| one["owner"].clone()).collect();
    assert_eq!(owners.iter().filter(|one| **one == "MISSION").count(), 1, "{owners:?}");
    while deadlines::round(&running).await.unwrap() > 0 {}
    assert_eq!((reminders(&mission, "ROSTER").await.len(), reminders(&my, "ROSTER").await.len()), (1, 1));
    sent(&mission, &roll_call("MISSION", "CR-3", 1, "E0000004")).await;
    assert_eq!(items(&desk, "ROSTER").await.len(), 1);
    // The crisis is over: nobody is waited for, whoever says so.
    let over = event("crisis.closed.v1", "KEMLU", |e| {
        (e["corridor"], e["time"]) = (json!("my"), ago(1));
        e["data"]["crisis"] = json!({"reference": "CR-1", "closedAt": ago(1)});
    });
    sent(&mission, &over).await;
    assert_eq!(items(&desk, "ROSTER").await, [] as [Value; 0]);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_request_for_protection_waits_for_the_side_that_was_asked_and_as_long_as_its_urgency_allows() {
    let mut gateway = TestGateway::start().await;
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    let (mission, my) = (gateway.system("mission-system"), gateway.system("my-gateway"));
    let desk = Desk::of(&gateway, MISSION);
    let asks = |authority: &str, hours, urgency: &str| {
        told("protection.requested.v1", authority, hours, "E7654321", |e| e["data"]["case"]["urgency"] = json!(urgency))
    };
    sent(&mission, &asks("MISSION", 30, "NORMAL")).await;
    let shown = desk.placement("E7654321").await;
    assert_eq!(of(&shown["deadlines"], "clock", "PROTECTION").unwrap()["from"], json!(["P-LAB", "P-POL"]));
    assert!(of(&shown["deadlines"], "clock", "PROTECTION_CRITICAL").is_none(), "one clock, not both: {shown}");
    // The partner asks about the same case while it is being asked: both wait.
    sent(&my, &asks("P-LAB", 20, "CRITICAL")).await;
    let shown = desk.placement("E7654321").await;
    assert_eq!(of(&shown["deadlines"], "clock", "PROTECTION").unwrap()["from"], json!(["P-LAB", "P-POL"]), "{shown}");
    let critical = of(&shown["deadlines"], "clock", "PROTECTION_CRITICAL").unwrap();
    assert_eq!((&critical["from"], &critical["overdue"]), (&json!(["MISSION"]), &json!(true)));
    while deadlines::round(&running).await.unwrap() > 0 {}
    let told_us = reminders(&mission, "PROTECTION_CRITICAL").await;
    assert_eq!((told_us.len(), &told_us[0]["authority"]), (1, &json!("MISSION")), "{told_us:?}");
    assert_eq!(reminders(&my, "PROTECTION_CRITICAL").await, [] as [Value; 0]);
    let answers = |authority: &str, hours| told("protection.answered.v1", authority, hours, "E7654321", |_| ());
    sent(&my, &answers("P-POL", 10)).await;
    let shown = desk.placement("E7654321").await;
    assert!(of(&shown["deadlines"], "clock", "PROTECTION").is_none(), "{shown}");
    assert!(of(&shown["deadlines"], "clock", "PROTECTION_CRITICAL").is_some(), "its own request is not answered by it");
    sent(&mission, &answers("MISSION", 9)).await;
    let shown = desk.placement("E7654321").await;
    assert!(of(&shown["deadlines"], "clock", "PROTECTION_CRITICAL").is_none(), "{shown}");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_question_and_a_subjects_request_wait_for_the_side_that_was_asked() {
    let mut gateway = TestGateway::start().await;
    let (imi, my) = (gateway.system("imi-system"), gateway.system("my-gateway"));
    let desk = Desk::of(&gateway, MISSION);
    let departed = told("movement.departed.v1", "IMI-ID", 100, "E7654321", |e| e["data"]["movement"]["at"] = ago(100));
    let ours = sent(&imi, &departed).await["placement"]["id"].clone();
    let arrived = told("movement.arrived.v1", "P-IMM", 95, "E7654321", |e| e["data"]["movement"]["at"] = ago(95));
    let theirs = sent(&my, &arrived).await["placement"]["id"].clone();
    let says = |type_name: &str, authority: &str, hours| {
        event(type_name, authority, |e| {
            (e["corridor"], e["time"]) = (json!("my"), ago(hours));
            e["data"]["placement"] = json!({"id": if authority == "IMI-ID" { &ours } else { &theirs }});
        })
    };
    let waits = async |clock: &str| {
        let shown = desk.placement("E7654321").await;
        shown["deadlines"].as_array().unwrap().iter().filter(|one| one["clock"] == clock).count()
    };
    sent(&my, &says("clarification.asked.v1", "P-IMM", 90)).await;
    sent(&my, &says("clarification.given.v1", "P-LAB", 80)).await;
    assert_eq!(waits("CLARIFICATION").await, 1, "the side that asked does not answer itself");
    sent(&imi, &says("clarification.given.v1", "IMI-ID", 70)).await;
    assert_eq!(waits("CLARIFICATION").await, 0);
    let mut asked = says("subject.requested.v1", "P-LAB", 90);
    asked["data"]["subjectRequest"]["receivedAt"] = ago(90);
    sent(&my, &asked).await;
    let open = items(&desk, "SUBJECT_REQUEST").await;
    assert_eq!((open.len(), &open[0]["owner"]), (1, &json!("KP2MI")), "{open:?}");
    sent(&imi, &says("subject.answered.v1", "IMI-ID", 1)).await;
    assert_eq!(waits("SUBJECT_REQUEST").await, 0);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn who_is_not_back_from_leave_is_seen_after_the_day_named_and_the_corridors_term() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    let desk = Desk::of(&gateway, MISSION);
    let day = |hours| json!(ago(hours).as_str().unwrap()[..10]);
    let arrived = |hours| {
        told("movement.arrived.v1", "P-IMM", hours, "E7654321", |e| {
            e["data"]["movement"]["at"] = ago(hours);
            e["data"]["placement"]["reference"] = json!("L-1");
        })
    };
    let permit = told("permit.issued.v1", "P-IMM", 4_000, "E7654321", |e| {
        e["data"]["permit"] = json!({"kind": "PLKS", "number": "P-1", "validUntil": {"gregorian": "2099-12-31"}});
    });
    let leave = |hours, back: Value| {
        told("leave.recorded.v1", "P-LAB", hours, "E7654321", |e| {
            e["data"]["leave"] = json!({"action": "ON_LEAVE", "from": ago(hours), "returnBy": back});
        })
    };
    for event in [arrived(4_100), permit, leave(1_000, day(100))] {
        sent(&my, &event).await;
    }
    let shown = desk.placement("E7654321").await;
    assert_eq!(shown["stage"], "ON_LEAVE", "{shown}");
    let open = items(&desk, "LEAVE_RETURN").await;
    assert_eq!((&open[0]["exception"], &open[0]["owner"]), (&json!("NOT_BACK_FROM_LEAVE"), &json!("MISSION")));
    let clock = of(&shown["deadlines"], "clock", "LEAVE_RETURN").unwrap();
    assert_eq!((&clock["waits_for"], &clock["from"]), (&json!("MV2"), &json!(["P-IMM"])));
    // She was back before that day; the word of it came late.
    sent(&my, &arrived(200)).await;
    let shown = desk.placement("E7654321").await;
    assert!(of(&shown["deadlines"], "clock", "LEAVE_RETURN").is_none() && shown["stage"] == "IN_SERVICE", "{shown}");
    // A leave that goes on: the clock runs, and nobody is late.
    sent(&my, &leave(90, day(-900))).await;
    let shown = desk.placement("E7654321").await;
    let clock = of(&shown["deadlines"], "clock", "LEAVE_RETURN").unwrap();
    assert_eq!((&clock["overdue"], &clock["exception"]), (&json!(false), &Value::Null), "{shown}");
    let back = told("leave.recorded.v1", "P-LAB", 2, "E7654321", |e| {
        e["data"]["leave"] = json!({"action": "BACK", "from": ago(2)});
    });
    sent(&my, &back).await;
    let shown = desk.placement("E7654321").await;
    assert!(of(&shown["deadlines"], "clock", "LEAVE_RETURN").is_none(), "{shown}");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn instructions_after_a_death_do_not_say_that_the_family_was_informed() {
    let mut gateway = TestGateway::start().await;
    let (mission, my) = (gateway.system("mission-system"), gateway.system("my-gateway"));
    let desk = Desk::of(&gateway, MISSION);
    // Found days after it happened: three days count from the notice.
    let death = told("death.reported.v1", "P-POL", 30, "E7654321", |e| e["data"]["death"]["at"] = ago(300));
    sent(&my, &death).await;
    let clocks = async || {
        let shown = desk.placement("E7654321").await;
        let overdue = |clock: &str| of(&shown["deadlines"], "clock", clock).map(|one| one["overdue"] == true);
        (overdue("DEATH_INSTRUCTIONS"), overdue("DEATH_FAMILY"))
    };
    assert_eq!(clocks().await, (Some(true), Some(false)));
    let instructed = |hours, informed: Option<Value>| {
        told("death.instructed.v1", "MISSION", hours, "E7654321", |e| {
            e["data"]["deathInstruction"] = json!({"disposition": "REPATRIATE", "instructedAt": ago(hours)});
            if let Some(informed) = informed {
                e["data"]["deathInstruction"]["familyInformedAt"] = informed;
            }
        })
    };
    sent(&mission, &instructed(20, None)).await;
    assert_eq!(clocks().await, (None, Some(false)));
    sent(&mission, &instructed(10, Some(ago(11)))).await;
    assert_eq!(clocks().await, (None, None));
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_rejection_counts_whenever_it_comes_and_a_late_one_is_flagged_and_somebodys_work() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    let desk = Desk::of(&gateway, MISSION);
    sent(&kp2mi, &nominated(20, "E7654321", "H-1")).await;
    let page = my.call(Method::GET, "/v1/messages?after=0", "", vec![]).await.unwrap().body;
    let letter = &page["messages"][0];
    let rejects = |hours| {
        event("message.rejected.v1", "P-LAB", |e| {
            e["time"] = ago(hours);
            e["data"]["rejects"]["id"] = letter["event"]["id"].clone();
        })
    };
    let late = |reply: &Value| of(&reply["violations"], "rule", "told-late").map(|one| one["level"].clone());
    let flags = |reply: &Value| if reply["violations"].is_array() { late(reply) } else { None };
    assert_eq!(flags(&sent(&my, &rejects(3)).await), None, "it was not even acknowledged");
    let ack = json!({"cursor": letter["cursor"]}).to_string().into_bytes();
    let done = my.call(Method::POST, "/v1/messages/ack", "application/json", ack).await.unwrap();
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    assert_eq!(flags(&sent(&my, &rejects(2)).await), None);
    assert_eq!(items(&desk, "REJECTION").await, [] as [Value; 0]);
    // As if it had been told long ago.
    let long_ago = "update deliveries set settled_at = settled_at - interval '61 minutes' where state = 'delivered'";
    sqlx::query(long_ago).execute(&gateway.databases.owner).await.unwrap();
    assert_eq!(flags(&sent(&my, &rejects(1)).await), Some(json!("SOFT")));
    let open = items(&desk, "REJECTION").await;
    assert_eq!((&open[0]["exception"], &open[0]["owner"]), (&json!("REJECTED_LATE"), &json!("MISSION")), "{open:?}");
    let shown = desk.placement("E7654321").await;
    assert_eq!(open[0]["placement"], shown["id"], "beside what was rejected");
    // What another party was told is not this one's to reject: the word is kept, and lies beside nothing.
    let sa = gateway.system("sa-gateway");
    assert_eq!(flags(&sent(&sa, &rejects(1)).await), None);
    assert_eq!(items(&desk, "REJECTION").await.len(), 1);
    let cleared = event("clarification.given.v1", "P-LAB", |e| {
        e["time"] = ago(0);
        e["data"]["placement"] = json!({"id": letter["event"]["data"]["placement"]["id"]});
    });
    sent(&my, &cleared).await;
    assert_eq!(items(&desk, "REJECTION").await, [] as [Value; 0]);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn what_is_told_later_than_agreed_counts_and_is_flagged() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    let breach = |detected| {
        event("breach.notified.v1", "P-LAB", |e| {
            (e["time"], e["data"]["breach"]["detectedAt"]) = (ago(1), ago(detected));
        })
    };
    let late = sent(&my, &breach(74)).await;
    assert_eq!(of(&late["violations"], "rule", "told-late").unwrap()["pointer"], "/data/breach/detectedAt", "{late}");
    let in_time = sent(&my, &breach(72)).await;
    assert!(in_time["violations"].as_array().is_none_or(Vec::is_empty), "{in_time}");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn the_counts_of_a_day_wait_for_the_other_sides_comparison() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    let desk = Desk::of(&gateway, MISSION);
    let says = |type_name: &str, authority: &str, day: &str, hours| {
        event(type_name, authority, |e| {
            (e["corridor"], e["time"]) = (json!("my"), ago(hours));
            e["data"]["books"]["day"] = json!(day);
        })
    };
    for (day, hours) in [("2026-11-01", 90), ("2026-11-02", 80)] {
        sent(&my, &says("reconciliation.counted.v1", "P-LAB", day, hours)).await;
    }
    let open = items(&desk, "BOOKS").await;
    assert_eq!((open.len(), &open[0]["owner"]), (2, &json!("KP2MI")), "{open:?}");
    sent(&kp2mi, &says("reconciliation.compared.v1", "KP2MI", "2026-11-01", 70)).await;
    assert_eq!(items(&desk, "BOOKS").await.len(), 1, "each day by itself");
    let page = my.call(Method::GET, "/v1/messages?after=0", "", vec![]).await.unwrap().body;
    assert_eq!(page["messages"][0]["event"]["data"].get("placement"), None, "{page}");
    gateway.stop_and_verify().await;
}
