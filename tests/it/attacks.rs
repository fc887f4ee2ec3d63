//! What a partner, one officer or another order of arrival must not be able to do.

use crate::support::{
    Databases, deliveries,
    gateway::{TestGateway, event},
    intent, journal, names, stage,
};
use http::{Method, StatusCode};
use onechannel::{
    domain::facts::{Effect, FactKind, Reach},
    exchange::{
        erase::{self, Erased},
        mailbox,
    },
    sandbox::system::System,
    store::{
        deliveries as store_deliveries,
        journal::{Answer, Decision, Intent, Journal, JournalHandle, Outcome},
        messages,
    },
};
use serde_json::{Value, json};
use std::sync::Arc;
use time::Duration;
use uuid::Uuid;

async fn letters(system: &System) -> Vec<Value> {
    let page = system.call(Method::GET, "/v1/messages?after=0", "", vec![]).await.unwrap();
    page.body["messages"].as_array().unwrap().clone()
}

fn types(letters: &[Value]) -> Vec<String> {
    letters.iter().map(|one| one["event"]["type"].as_str().unwrap().to_owned()).collect()
}

fn nominated(n: u8) -> Value {
    event("placement.nominated.v1", "KP2MI", |e| {
        e["data"]["travelDocument"]["number"] = format!("E000000{n}").into();
        e["data"]["worker"]["nik"] = format!("320101690296000{n}").into();
        e["data"]["placement"]["reference"] = format!("H-{n}").into();
    })
}

/// (kind, stage, welfare) of every row that stands for itself.
async fn rows(gateway: &TestGateway) -> Vec<(String, String, String)> {
    let rows =
        "select kind, stage, welfare from subjects where merged_into is null and kind <> 'worker' order by 1, 2, 3";
    sqlx::query_as(rows).fetch_all(&gateway.databases.owner).await.unwrap()
}

#[tokio::test]
async fn no_text_of_a_partner_makes_a_persons_messages_unreadable() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    let long =
        event("absence.reported.v1", "P-LAB", |e| e["data"]["absence"]["action"] = ("x".repeat(254) + "é").into());
    assert_eq!(my.send(&long).await.unwrap().body["outcome"], "held");
    let death = my.send(&event("death.reported.v1", "P-POL", |_| ())).await.unwrap();
    assert_eq!(death.status, StatusCode::CREATED, "{}", death.body);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_zero_byte_in_a_text_disturbs_nobody() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    let typed = my.send(&event("movement.arrived.v1", "P-IMM", |e| e["type"] = "a\u{0}b".into())).await.unwrap();
    let named = event("death.reported.v1", "P-POL", |e| e["data"]["placement"] = json!({"id": "a\u{0}b"}));
    let named = my.send(&named).await.unwrap();
    assert!(typed.status != 503 && named.status != 503, "{} {}", typed.body, named.body);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_death_report_does_not_lift_the_shield() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, mission, my) =
        (gateway.system("kp2mi-system"), gateway.system("mission-system"), gateway.system("my-gateway"));
    kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    mission.send(&event("welfare.assessed.v1", "MISSION", |_| ())).await.unwrap();
    mission.send(&event("welfare.requested.v1", "MISSION", |_| ())).await.unwrap();
    assert_eq!(types(&letters(&my).await), Vec::<String>::new(), "kept back");
    my.send(&event("death.reported.v1", "P-LAB", |_| ())).await.unwrap();
    assert_eq!(types(&letters(&my).await), Vec::<String>::new(), "by one message of the partner");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn an_acknowledgement_settles_only_what_was_given() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, mission, my) =
        (gateway.system("kp2mi-system"), gateway.system("mission-system"), gateway.system("my-gateway"));
    kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    mission.send(&event("welfare.assessed.v1", "MISSION", |_| ())).await.unwrap();
    let dispute = event("dispute.filed.v1", "MISSION", |e| {
        e["data"]["placement"] = json!({"reference": "OCS-00017"});
        e["data"].as_object_mut().unwrap().remove("travelDocument");
    });
    let dispute = mission.send(&dispute).await.unwrap();
    assert_eq!(dispute.body["outcome"], "applied", "{}", dispute.body);
    kp2mi.send(&nominated(2)).await.unwrap();
    let given = letters(&my).await;
    assert_eq!(types(&given), ["placement.nominated.v1"], "the other person's");
    let well = event("welfare.assessed.v1", "MISSION", |e| {
        e["data"]["welfare"] = json!({"status": "OK", "assessedAt": "2027-01-02T02:15:00+08:00"});
        e["time"] = "2027-01-02T02:15:00+08:00".into();
    });
    mission.send(&well).await.unwrap();
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    store_deliveries::release(&running.journal.channel, "my", running.now()).await.unwrap();
    let ack = json!({"cursor": given[0]["cursor"]}).to_string().into_bytes();
    my.call(Method::POST, "/v1/messages/ack", "application/json", ack).await.unwrap();
    let state: String = sqlx::query_scalar("select state from deliveries where message = $1 and party = 'my'")
        .bind(dispute.body["message"].as_str().unwrap().parse::<Uuid>().unwrap())
        .fetch_one(&gateway.databases.owner)
        .await
        .unwrap();
    assert_ne!(state, "delivered", "it was never given");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn an_answer_tells_a_partner_nothing_of_a_case_that_is_known_at_home_only() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, mission, my) =
        (gateway.system("kp2mi-system"), gateway.system("mission-system"), gateway.system("my-gateway"));
    kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    let before = my.send(&event("movement.arrived.v1", "P-IMM", |_| ())).await.unwrap();
    let case = event("case.recorded.v1", "MISSION", |e| e["data"]["placement"] = json!({"reference": "OCS-00017"}));
    assert_eq!(mission.send(&case).await.unwrap().body["outcome"], "applied");
    let after = my.send(&event("movement.arrived.v1", "P-IMM", |_| ())).await.unwrap();
    assert_eq!(before.body["actions"], after.body["actions"]);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn an_answer_tells_a_partner_nothing_of_where_somebody_is_of_whom_it_is_not_told() {
    let mut gateway = TestGateway::start().await;
    let [kp2mi, mission, imi, my] =
        ["kp2mi-system", "mission-system", "imi-system", "my-gateway"].map(|client| gateway.system(client));
    kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    let before = my.send(&event("movement.arrived.v1", "P-IMM", |_| ())).await.unwrap();
    assert_ne!(before.body["actions"], json!([]), "{}", before.body);
    let shelter = event("welfare.assessed.v1", "MISSION", |_| ());
    assert_eq!(mission.send(&shelter).await.unwrap().body["outcome"], "applied");
    // She went home from the shelter: the partner is not told.
    let returned = event("return.recorded.v1", "IMI-ID", |e| {
        let passport = event("movement.arrived.v1", "P-IMM", |_| ())["data"]["travelDocument"].clone();
        e["data"]["travelDocument"] = passport;
    });
    assert_eq!(imi.send(&returned).await.unwrap().body["outcome"], "applied");
    let stages = rows(&gateway).await;
    assert!(stages.iter().any(|(_, stage, welfare)| stage == "RETURNED_HOME" && welfare == "IN_SHELTER"), "{stages:?}");
    let after = my.send(&event("movement.arrived.v1", "P-IMM", |_| ())).await.unwrap();
    assert_eq!(before.body["actions"], after.body["actions"]);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_withdrawal_in_the_name_of_another_authority_withdraws_nothing() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, mission) = (gateway.system("kp2mi-system"), gateway.system("mission-system"));
    kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    let assessed = event("welfare.assessed.v1", "MISSION", |_| ());
    mission.send(&assessed).await.unwrap();
    let withdraws = event("message.invalidated.v1", "KP2MI", |e| {
        e["corridor"] = "my".into();
        e["data"]["invalidates"]["id"] = assessed["id"].clone();
    });
    assert_eq!(kp2mi.send(&withdraws).await.unwrap().body["outcome"], "applied");
    assert_eq!(rows(&gateway).await, [("placement".into(), "MATCHED".into(), "IN_SHELTER".into())]);
    // Its own system can.
    let withdraws = event("message.invalidated.v1", "MISSION", |e| {
        e["corridor"] = "my".into();
        e["data"]["invalidates"]["id"] = assessed["id"].clone();
    });
    assert_eq!(mission.send(&withdraws).await.unwrap().body["outcome"], "applied");
    assert_eq!(rows(&gateway).await, [("placement".into(), "MATCHED".into(), "UNCONFIRMED".into())]);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn what_was_kept_back_about_somebody_in_a_shelter_stays_back_when_it_is_withdrawn() {
    for withdrawn_first in [false, true] {
        let mut gateway = TestGateway::start().await;
        let (kp2mi, mission, my) =
            (gateway.system("kp2mi-system"), gateway.system("mission-system"), gateway.system("my-gateway"));
        kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
        let told = letters(&my).await;
        assert_eq!(types(&told), ["placement.nominated.v1"]);
        let cursor = json!({"cursor": told[0]["cursor"]}).to_string();
        let settled = my.call(Method::POST, "/v1/messages/ack", "application/json", cursor.into_bytes()).await.unwrap();
        assert_eq!(settled.status, StatusCode::OK, "{}", settled.body);
        mission.send(&event("welfare.assessed.v1", "MISSION", |_| ())).await.unwrap();
        let withdraws = |target: &Value, id: &str| {
            event("message.invalidated.v1", "KP2MI", |e| {
                (e["id"], e["corridor"]) = (id.into(), "my".into());
                e["data"]["invalidates"]["id"] = target["id"].clone();
            })
        };
        let cleared = event("placement.cleared.v1", "KP2MI", |_| ());
        let another = event("placement.nominated.v1", "KP2MI", |e| {
            e["id"] = "pl1-other".into();
            e["data"]["placement"] = json!({"reference": "H-other"});
        });
        let mut said = vec![cleared.clone(), withdraws(&cleared, "x-1"), another.clone(), withdraws(&another, "x-2")];
        if withdrawn_first {
            said.swap(2, 3);
        }
        for one in said {
            assert_eq!(kp2mi.send(&one).await.unwrap().body["outcome"], "applied");
        }
        assert_eq!(letters(&my).await, told, "not one word more, withdrawn first: {withdrawn_first}");
        gateway.stop_and_verify().await;
    }
}

#[tokio::test]
async fn a_partner_is_not_told_of_the_withdrawal_of_what_it_was_never_told() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, mission, my) =
        (gateway.system("kp2mi-system"), gateway.system("mission-system"), gateway.system("my-gateway"));
    kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    let at_home = event("welfare.assessed.v1", "MISSION", |e| e["data"]["welfare"]["status"] = "OK".into());
    let cleared = event("placement.cleared.v1", "KP2MI", |_| ());
    let withdraws = |target: &Value, authority: &str, id: &str| {
        event("message.invalidated.v1", authority, |e| {
            (e["id"], e["corridor"]) = (id.into(), "my".into());
            e["data"]["invalidates"]["id"] = target["id"].clone();
        })
    };
    assert_eq!(mission.send(&at_home).await.unwrap().body["outcome"], "applied");
    assert_eq!(mission.send(&withdraws(&at_home, "MISSION", "x-1")).await.unwrap().body["outcome"], "applied");
    kp2mi.send(&cleared).await.unwrap();
    let told = letters(&my).await;
    assert_eq!(types(&told), ["placement.nominated.v1", "placement.cleared.v1"]);
    kp2mi.send(&withdraws(&cleared, "KP2MI", "x-2")).await.unwrap();
    assert_eq!(letters(&my).await, told, "what withdraws comes after what it withdraws was told");
    let cursor = json!({"cursor": told[1]["cursor"]}).to_string();
    my.call(Method::POST, "/v1/messages/ack", "application/json", cursor.into_bytes()).await.unwrap();
    mailbox::let_go(&gateway.running.as_ref().unwrap().gateway).await.unwrap();
    let more: Vec<Value> = letters(&my).await.into_iter().filter(|one| !told.contains(one)).collect();
    assert_eq!(types(&more), ["message.invalidated.v1"]);
    assert_eq!(more[0]["event"]["data"]["invalidates"]["id"], told[1]["event"]["id"]);
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn erasing_one_person_never_takes_what_is_anothers() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    let first = kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    let arrived = my.send(&event("movement.arrived.v1", "P-IMM", |_| ())).await.unwrap();
    // Somebody else claims the passport: the arrival belongs to neither.
    let second = event("placement.nominated.v1", "KP2MI", |e| {
        e["data"]["worker"]["nik"] = "3201016902960002".into();
        e["data"]["placement"]["reference"] = "H-2".into();
    });
    kp2mi.send(&second).await.unwrap();
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    let id =
        |reply: &onechannel::sandbox::system::Reply| reply.body["message"].as_str().unwrap().parse::<Uuid>().unwrap();
    let subject: Uuid = sqlx::query_scalar("select subject from messages where id = $1")
        .bind(id(&arrived))
        .fetch_one(&gateway.databases.owner)
        .await
        .unwrap();
    let officers = ["a.sari".to_owned(), "b.putra".to_owned()];
    let erased = erase::erase(&running, &subject.to_string(), officers, "request 18").await.unwrap();
    // The arrival was sealed under the first one's key: what is hers was sealed anew before that went.
    assert!(matches!(erased, Erased::Done(keys) if keys > 0), "{erased:?}");
    let journal = &running.journal;
    for (reply, is_there) in [(&first, true), (&arrived, false)] {
        let kept = messages::open(&journal.channel, &journal.vault, &journal.kek, &[id(reply)]).await.unwrap();
        assert_eq!(kept.iter().any(|one| one.event.is_some()), is_there, "{}", reply.body);
    }
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn two_people_of_one_police_case_stay_two() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    kp2mi.send(&nominated(1)).await.unwrap();
    kp2mi.send(&nominated(2)).await.unwrap();
    let told = letters(&my).await;
    for letter in &told {
        let detained = event("detention.reported.v1", "P-POL", |e| {
            e["data"]["placement"] = json!({"id": letter["event"]["data"]["placement"]["id"]});
            e["data"].as_object_mut().unwrap().remove("travelDocument");
        });
        assert_eq!(my.send(&detained).await.unwrap().body["outcome"], "applied");
    }
    let death = event("death.reported.v1", "P-POL", |e| {
        e["data"]["travelDocument"]["number"] = "E0000001".into();
    });
    my.send(&death).await.unwrap();
    let stages: Vec<String> = rows(&gateway).await.into_iter().map(|row| row.1).collect();
    assert_eq!(stages, ["DECEASED", "MATCHED"], "one has died, the other has not");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_withdrawn_job_order_leaves_the_placement_that_its_withdrawal_names_alone() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    let order = event("joborder.submitted.v1", "P-LAB", |_| ());
    my.send(&order).await.unwrap();
    kp2mi.send(&nominated(1)).await.unwrap();
    let id = letters(&my).await[0]["event"]["data"]["placement"]["id"].clone();
    let withdraws = event("message.invalidated.v1", "P-LAB", |e| {
        e["data"] = json!({"placement": {"id": id}, "invalidates": {"id": order["id"], "reason": "sent by mistake"}});
    });
    assert_eq!(my.send(&withdraws).await.unwrap().body["outcome"], "applied");
    let death = event("death.reported.v1", "P-POL", |e| e["data"]["travelDocument"]["number"] = "E0000001".into());
    my.send(&death).await.unwrap();
    let found = rows(&gateway).await;
    let dead = found.iter().filter(|row| row.0 == "placement" && row.1 == "DECEASED").count();
    assert_eq!(dead, 1, "{found:?}");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_partner_that_invents_a_lifelong_number_undoes_no_death() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    my.send(&event("death.reported.v1", "P-POL", |_| ())).await.unwrap();
    let claims = event("detention.reported.v1", "P-IMM", |e| {
        e["data"]["worker"] = nominated(2)["data"]["worker"].clone();
        e["data"]["worker"].as_object_mut().unwrap().remove("phone");
    });
    assert_eq!(my.send(&claims).await.unwrap().body["outcome"], "applied");
    // A row that only lost messages is not written again: one that it keeps shows what it has become.
    let cleared = event("placement.cleared.v1", "KP2MI", |_| ());
    assert_eq!(kp2mi.send(&cleared).await.unwrap().body["outcome"], "applied");
    let registered = "select stage from subjects where not provisional and kind = 'placement' and merged_into is null";
    let stage: String = sqlx::query_scalar(registered).fetch_one(&gateway.databases.owner).await.unwrap();
    assert_eq!(stage, "DECEASED");
    gateway.stop_and_verify().await;
}

fn says(id: &str, hour: i64, effects: Vec<Effect>, links: Vec<onechannel::domain::facts::Link>) -> Intent {
    let mut one = intent("xa", id, id.as_bytes());
    one.asserted_at += Duration::hours(hour);
    one.effects = effects;
    let own = one.links.as_mut().unwrap();
    (own.links, own.identifies) = (links, id.starts_with('r'));
    one
}

fn status(kind: FactKind, value: &str) -> Effect {
    Effect::Status { kind, value: value.into(), at: None, owner: true, case: None }
}

async fn store(journal: &Journal, one: Intent) -> Option<String> {
    match journal.store(&[one]).await.unwrap().pop() {
        Some(Answer::Stored { pairwise, .. }) => pairwise,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_and_what_it_withdraws_always_meet() {
    let databases = Databases::fresh().await;
    let instances =
        [JournalHandle::start(Arc::new(journal(&databases))), JournalHandle::start(Arc::new(journal(&databases)))];
    let mut load = tokio::task::JoinSet::new();
    for n in 0..100 {
        let mut arrived = says(&format!("m-{n}"), 1, vec![status(FactKind::Entry, "ARRIVED")], vec![]);
        arrived.links.as_mut().unwrap().links = vec![names(Reach::Worker, [n; 16])];
        let withdrawn = says(&format!("x-{n}"), 2, vec![Effect::Invalidate { target: arrived.tag }], vec![]);
        for (instance, one) in instances.iter().zip([arrived, withdrawn]) {
            let instance = instance.clone();
            load.spawn(async move { instance.submit(one).await.map(|_| ()) });
        }
    }
    while let Some(done) = load.join_next().await {
        done.unwrap().unwrap();
    }
    let left = "select count(*) from subjects where kind = 'placement' and stage <> 'NONE'";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&databases.owner).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_withdrawal_takes_a_correction_under_the_same_id_with_it_and_one_that_meets_nothing_is_shown() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let passport = |n: u8| vec![names(Reach::Worker, [n; 16])];
    let arrived = says("m-1", 1, vec![status(FactKind::Entry, "ARRIVED")], passport(7));
    let tag = arrived.tag;
    let effects = vec![status(FactKind::Entry, "ARRIVED"), Effect::Correct { target: tag }];
    let corrected = says("m-1-again", 2, effects, passport(8));
    store(&journal, arrived).await;
    store(&journal, corrected).await;
    let placements = "select stage from subjects where kind = 'placement' and merged_into is null order by stage";
    let stages = || async { sqlx::query_scalar::<_, String>(placements).fetch_all(&databases.owner).await.unwrap() };
    assert_eq!(stages().await, ["ARRIVED", "NONE"], "the first version says nothing any more");
    let missed = says("x-0", 3, vec![Effect::Invalidate { target: [9; 16] }], vec![]);
    match journal.store(&[missed]).await.unwrap().pop() {
        Some(Answer::Stored { outcome: Outcome::Applied, problem: Some(problem), .. }) => {
            assert!(problem.contains("target-unknown"), "{problem}");
        }
        other => panic!("{other:?}"),
    }
    store(&journal, says("x-1", 3, vec![Effect::Invalidate { target: tag }], vec![])).await;
    assert_eq!(stages().await, ["NONE", "NONE"]);
}

#[tokio::test]
async fn what_names_an_id_stays_with_it_when_the_registration_is_corrected() {
    let mut ends = Vec::new();
    for permit_first in [true, false] {
        let databases = Databases::fresh().await;
        let journal = journal(&databases);
        let registered = |id: &str, hour, passport: u8| {
            let links = vec![names(Reach::Placement, [1; 16]), names(Reach::Worker, [passport; 16])];
            says(id, hour, vec![status(FactKind::Registered, "REGISTERED")], links)
        };
        let first = registered("r-1", 0, 7);
        let tag = first.tag;
        let id = store(&journal, first).await;
        let mut permit = says("m-1", 5, vec![status(FactKind::Permit, "ISSUED")], vec![]);
        permit.links.as_mut().unwrap().pairwise = id;
        if permit_first {
            store(&journal, permit.clone()).await;
        }
        store(&journal, says("x-1", 6, vec![Effect::Invalidate { target: tag }], vec![])).await;
        store(&journal, registered("r-2", 7, 8)).await;
        if !permit_first {
            store(&journal, permit).await;
        }
        let mut end = stage(&databases).await;
        end.sort();
        ends.push(end);
    }
    assert_eq!(ends[0], ends[1], "the same messages");
}

#[tokio::test]
async fn a_held_message_that_came_first_leaves_no_row_behind() {
    let mut ends = Vec::new();
    for held_first in [true, false] {
        let databases = Databases::fresh().await;
        let journal = journal(&databases);
        let passport = || names(Reach::Worker, [7; 16]);
        let mut held = says("m-1", 1, vec![status(FactKind::Entry, "ARRIVED")], vec![passport()]);
        held.outcome = Outcome::Held;
        let permit = says("m-2", 2, vec![status(FactKind::Permit, "ISSUED")], vec![passport()]);
        let both = if held_first { [held, permit] } else { [permit, held] };
        for one in both {
            store(&journal, one).await;
        }
        let registers = |n: u8| {
            let links = vec![passport(), names(Reach::Person, [n; 16])];
            says(&format!("r-{n}"), 3, vec![status(FactKind::Registered, "REGISTERED")], links)
        };
        journal.store(&[registers(1), registers(2)]).await.unwrap();
        let mut end = stage(&databases).await;
        end.sort();
        ends.push(end);
    }
    assert_eq!(ends[0], ends[1], "the same messages");
}

#[tokio::test]
async fn two_officers_at_one_moment_release_a_held_message_once() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let mut held = says("m-1", 1, vec![status(FactKind::Entry, "ARRIVED")], vec![names(Reach::Worker, [7; 16])]);
    held.outcome = Outcome::Held;
    let (target, tag) = (held.id, held.tag);
    store(&journal, held).await;
    let decides = |officer: u8| {
        let mut one =
            says(&format!("d-{officer}"), 2, vec![Effect::Approve { target: tag, officer: [officer; 16] }], vec![]);
        one.recipients = vec![];
        let officer = format!("officer-{officer}");
        one.decision = Some(Decision { target, officer, accepted: true, tells: vec!["home".into()], urgency: 1 });
        one
    };
    journal.store(&[decides(1), decides(2)]).await.unwrap();
    assert_eq!(deliveries(&databases, "home").await, [1]);
}

#[tokio::test]
async fn a_row_that_loses_a_message_shows_it() {
    let mut ends = Vec::new();
    for arrived_first in [true, false] {
        let databases = Databases::fresh().await;
        let journal = journal(&databases);
        let passport = || names(Reach::Worker, [7; 16]);
        let registered = |n: u8| {
            let links = vec![passport(), names(Reach::Person, [n; 16])];
            says(&format!("r-{n}"), i64::from(n), vec![status(FactKind::Registered, "REGISTERED")], links)
        };
        let arrived = says("m-1", 5, vec![status(FactKind::Entry, "ARRIVED")], vec![passport()]);
        let order = if arrived_first {
            [registered(1), arrived, registered(2)]
        } else {
            [registered(1), registered(2), arrived]
        };
        for one in order {
            store(&journal, one).await;
        }
        let rows =
            "select stage, exceptions from subjects where kind = 'placement' and merged_into is null order by 1, 2";
        let end: Vec<(String, Vec<String>)> = sqlx::query_as(rows).fetch_all(&databases.owner).await.unwrap();
        ends.push(end);
    }
    assert_eq!(ends[0], ends[1], "the same messages");
}

#[tokio::test]
async fn a_case_whose_only_message_is_withdrawn_is_not_open() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let case = Effect::Status {
        kind: FactKind::ProtectionRequest,
        value: "REQUESTED".into(),
        at: None,
        owner: true,
        case: Some([9; 16]),
    };
    let opened = says("m-1", 1, vec![case], vec![names(Reach::Placement, [9; 16])]);
    let withdraws = says("x-1", 2, vec![Effect::Invalidate { target: opened.tag }], vec![]);
    store(&journal, opened).await;
    store(&journal, withdraws).await;
    let open: i64 = sqlx::query_scalar("select count(*) from cases").fetch_one(&databases.owner).await.unwrap();
    assert_eq!(open, 0, "as if the withdrawal had come first");
}

#[tokio::test]
async fn a_held_message_that_finds_its_person_later_is_found_by_a_search() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let passport = || names(Reach::Worker, [7; 16]);
    let mut held = says("m-1", 1, vec![status(FactKind::Death, "DECEASED")], vec![passport()]);
    (held.outcome, held.terms) = (Outcome::Held, vec![77]);
    store(&journal, held).await;
    store(&journal, says("r-1", 2, vec![status(FactKind::Registered, "REGISTERED")], vec![passport()])).await;
    let found = onechannel::store::query::by_terms(&databases.channel, &[77], 10).await.unwrap();
    assert_eq!(found.len(), 1, "as if the registration had come first");
}

#[tokio::test]
async fn the_shield_is_the_workers_and_covers_her_other_placement() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, mission, my) =
        (gateway.system("kp2mi-system"), gateway.system("mission-system"), gateway.system("my-gateway"));
    let again = |reference: &str, time: &str| {
        event("placement.nominated.v1", "KP2MI", |e| {
            (e["data"]["placement"]["reference"], e["time"]) = (reference.into(), time.into());
        })
    };
    kp2mi.send(&again("OCS-00017", "2026-01-01T00:00:00+07:00")).await.unwrap();
    mission.send(&event("welfare.assessed.v1", "MISSION", |_| ())).await.unwrap();
    kp2mi.send(&again("OCS-00018", "2026-06-01T00:00:00+07:00")).await.unwrap();
    let contact = event("welfare.requested.v1", "MISSION", |e| {
        e["data"]["placement"]["reference"] = "OCS-00018".into();
    });
    assert_eq!(mission.send(&contact).await.unwrap().body["outcome"], "applied");
    let workers: i64 =
        sqlx::query_scalar("select count(*) from subjects where kind = 'worker' and merged_into is null")
            .fetch_one(&gateway.databases.owner)
            .await
            .unwrap();
    assert_eq!((workers, types(&letters(&my).await)), (1, vec![]), "she is in a shelter");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_reminder_speaks_in_the_name_of_no_authority_of_the_partner() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    kp2mi.send(&event("placement.nominated.v1", "KP2MI", |_| ())).await.unwrap();
    let arrived = event("movement.arrived.v1", "P-IMM", |e| {
        e["data"]["movement"]["at"] = "2026-06-01T00:00:00+08:00".into();
        e["time"] = "2026-06-01T00:00:00+08:00".into();
    });
    my.send(&arrived).await.unwrap();
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    onechannel::exchange::deadlines::round(&running).await.unwrap();
    let authorities: Vec<String> = sqlx::query_scalar("select authority from messages where client = 'clock'")
        .fetch_all(&gateway.databases.owner)
        .await
        .unwrap();
    assert!(authorities.iter().all(|one| !one.starts_with("P-")), "{authorities:?}");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_partner_does_not_reopen_the_missions_case() {
    let mut gateway = TestGateway::start().await;
    let (mission, my) = (gateway.system("mission-system"), gateway.system("my-gateway"));
    mission.send(&event("protection.requested.v1", "MISSION", |_| ())).await.unwrap();
    let closed = event("case.recorded.v1", "MISSION", |e| {
        e["data"]["case"]["status"] = "CLOSED".into();
        e["time"] = "2027-01-02T00:00:00+08:00".into();
    });
    mission.send(&closed).await.unwrap();
    let asked = event("protection.requested.v1", "P-LAB", |e| e["time"] = "2027-01-03T00:00:00+08:00".into());
    my.send(&asked).await.unwrap();
    let status: String =
        sqlx::query_scalar("select status from cases").fetch_one(&gateway.databases.owner).await.unwrap();
    assert_eq!(status, "CLOSED");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_safety_message_under_an_id_that_was_never_given_can_be_decided_on() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let mut death = says("m-1", 1, vec![status(FactKind::Death, "DECEASED")], vec![names(Reach::Worker, [7; 16])]);
    death.links.as_mut().unwrap().pairwise = Some("0".repeat(26));
    (death.urgency, death.safety) = (0, true);
    let id = death.id;
    store(&journal, death).await;
    let waits = messages::to_decide(&databases.channel, id).await.unwrap().unwrap();
    assert_eq!((waits.outcome.as_str(), waits.filed), ("held", true));
}
