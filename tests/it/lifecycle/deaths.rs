//! What two officers decide where a death is told of the wrong one, and that it can be decided.

use super::*;

/// Both stand by a message; neither is told that it was decided before, or that nothing is to be decided.
async fn both_stand_by(gateway: &TestGateway, message: &Value) {
    for officer in ["a.sari", "b.putra"] {
        let desk = Desk::named(gateway, officer, MISSION);
        let (status, answer) = desk.decide(message, "ACCEPTED", "seen the papers").await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
}

fn waits(placement: &Value) -> bool {
    placement["exceptions"].as_array().unwrap().contains(&json!("AWAITS_SECOND_OFFICER"))
}

#[tokio::test]
async fn a_correction_with_a_revision_undoes_a_death_with_two_officers_and_later_ones_leave_it_undone() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, sa) = (gateway.system("kp2mi-system"), gateway.system("sa-gateway"));
    for (passport, reference, nik) in [("E7654321", "H-1", "3201016902960001"), ("E7654399", "H-2", "3201016902960002")]
    {
        let mut registered = nominated(300, passport, reference);
        registered["corridor"] = json!("sa");
        registered["data"]["worker"]["nik"] = json!(nik);
        sent(&kp2mi, &registered).await;
    }
    let version = |passport: &str, revision: i64| {
        told("death.reported.v1", "P-POL", 20 - revision, passport, |e| {
            (e["id"], e["revision"]) = (json!("dh1-9"), json!(revision));
            e["corridor"] = json!("sa");
        })
    };
    sent(&sa, &version("E7654321", 1)).await;
    let corrected = sent(&sa, &version("E7654399", 2)).await;
    let desk = Desk::of(&gateway, MISSION);
    let first = desk.placement("E7654321").await;
    assert_eq!((&first["stage"], waits(&first)), (&json!("DECEASED"), true), "{first}");
    both_stand_by(&gateway, &corrected["message"]).await;
    let first = desk.placement("E7654321").await;
    assert_eq!((&first["stage"], waits(&first)), (&json!("MATCHED"), false), "{first}");
    sent(&sa, &version("E7654399", 3)).await;
    assert_eq!(desk.placement("E7654321").await["stage"], "MATCHED", "what two settled stays settled");
    assert_eq!(desk.placement("E7654399").await["stage"], "DECEASED");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_withdrawal_that_is_held_may_be_decided_by_two_officers() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    sent(&kp2mi, &nominated(300, "E7654321", "H-1")).await;
    sent(&my, &told("death.reported.v1", "P-POL", 9, "E7654321", |e| e["id"] = json!("dh1-7"))).await;
    let undo = event("message.invalidated.v1", "P-POL", |e| {
        e["time"] = ago(-24 * 100);
        e["data"]["placement"] = json!({"reference": "E7654321-x"});
        e["data"]["invalidates"]["id"] = json!("dh1-7");
    });
    let held = my.send(&undo).await.unwrap().body;
    assert_eq!(held["outcome"], "held", "the sender's clock is ahead: {held}");
    both_stand_by(&gateway, &held["message"]).await;
    let alive = Desk::of(&gateway, MISSION).placement("E7654321").await;
    assert_eq!((&alive["stage"], waits(&alive)), (&json!("MATCHED"), false), "{alive}");
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn who_is_registered_again_after_her_death_waits_until_two_officers_stand_by_it() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    sent(&kp2mi, &nominated(300, "E7654321", "H-1")).await;
    let death = sent(&my, &told("death.reported.v1", "P-POL", 9, "E7654321", |_| {})).await;
    sent(&kp2mi, &nominated(5, "E7654399", "H-2")).await;
    let desk = Desk::of(&gateway, MISSION);
    let dead = desk.placement("E7654321").await;
    assert_eq!((&dead["stage"], waits(&dead)), (&json!("DECEASED"), true), "{dead}");
    both_stand_by(&gateway, &death["message"]).await;
    let dead = desk.placement("E7654321").await;
    assert_eq!((&dead["stage"], waits(&dead)), (&json!("DECEASED"), false), "{dead}");
    gateway.stop_and_verify().await;
}
