//! Broken rules of identifiers at the border: what is flagged, held and refused, and that the answer says which.

use crate::support::gateway::{TestGateway, event};
use http::StatusCode;
use serde_json::{Value, json};

/// The machine-readable zone of the examples' worker, as another implementation writes it.
fn zone() -> String {
    mrz::format_td3(&mrz::Td3Fields {
        issuing_country: "IDN".into(),
        document_number: "E7654321".into(),
        surname: "RATNASARI".into(),
        given_names: "DEWI AYU".into(),
        nationality: "IDN".into(),
        date_of_birth: "1996-02-29".parse().unwrap(),
        sex: mrz::Sex::Female,
        date_of_expiry: "2030-05-01".parse().unwrap(),
        ..Default::default()
    })
}

fn nominated(change: impl FnOnce(&mut Value)) -> Value {
    event("placement.nominated.v1", "KP2MI", |event| change(&mut event["data"]))
}

#[tokio::test]
async fn an_answer_names_the_level_of_each_broken_rule() {
    let mut gateway = TestGateway::start().await;
    let (kp2mi, my) = (gateway.system("kp2mi-system"), gateway.system("my-gateway"));
    let damaged = zone().replace("E7654321", "E7654327");
    let cases = [
        (nominated(|data| data["travelDocument"]["mrz"] = json!(zone())), "applied", vec![]),
        (
            nominated(|data| data["worker"]["nik"] = json!("3201012902960001")),
            "applied",
            vec![("/data/worker/nik", "identifier-differs", "SOFT")],
        ),
        (
            nominated(|data| data["worker"]["origin"] = json!("32.70.01.2003")),
            "applied",
            vec![("/data/worker/origin", "identifier-table", "SOFT")],
        ),
        (
            nominated(|data| data["travelDocument"]["mrz"] = json!(damaged)),
            "held",
            vec![
                ("/data/travelDocument/mrz", "identifier-part", "FIRM"),
                ("/data/travelDocument/mrz", "identifier-part", "FIRM"),
                ("/data/travelDocument/mrz", "identifier-differs", "FIRM"),
            ],
        ),
        (
            nominated(|data| data["worker"]["nik"] = json!("320101")),
            "identifier-invalid",
            vec![("/data/worker/nik", "identifier-shape", "HARD")],
        ),
        (
            nominated(|data| data["worker"]["nik"] = json!(3_201_016_902_960_001_u64)),
            "schema-violation",
            vec![("/data/worker/nik", "identifier-not-text", "HARD")],
        ),
    ];
    for (event, outcome, broken) in cases {
        let answer = kp2mi.send(&event).await.unwrap();
        let word = answer.body["type"].as_str().and_then(|kind| kind.rsplit(':').next());
        assert_eq!(word.or(answer.body["outcome"].as_str()), Some(outcome), "{}", answer.body);
        let text = |fault: &Value, name: &str| fault[name].as_str().unwrap_or_default().to_owned();
        let found: Vec<[String; 3]> = answer.body["violations"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|fault| ["pointer", "rule", "level"].map(|name| text(fault, name)))
            .collect();
        assert_eq!(found, broken.iter().map(|(a, b, c)| [a, b, c].map(|w| (*w).to_owned())).collect::<Vec<_>>());
        assert!(!answer.body["violations"].to_string().contains("3201"), "no value is repeated");
    }
    let told = my.call(http::Method::GET, "/v1/messages?after=0", "", vec![]).await.unwrap();
    let document = &told.body["messages"][0]["event"]["data"]["travelDocument"];
    assert!(document["number"].is_string() && document["mrz"].is_null(), "the zone stays home: {document}");
    assert!(!told.body.to_string().contains("32.70.01"), "where a worker comes from stays home");
    assert_eq!(gateway.stop_and_verify().await, 6);
}

#[tokio::test]
async fn two_days_between_the_calendars_wait_for_a_person() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    for (gregorian, outcome, rules) in [
        ("2027-06-05", "applied", vec![]),
        ("2027-06-06", "applied", vec!["calendars-one-day"]),
        ("2027-06-07", "held", vec!["calendars-differ"]),
    ] {
        let permit = event("permit.issued.v1", "P-IMM", |event| {
            event["data"]["permit"]["validUntil"] = json!({"hijri": "1448-12-30", "gregorian": gregorian});
        });
        let answer = my.send(&permit).await.unwrap();
        assert_eq!((answer.status, &answer.body["outcome"]), (StatusCode::CREATED, &json!(outcome)), "{gregorian}");
        let found: Vec<&str> =
            answer.body["violations"].as_array().into_iter().flatten().filter_map(|f| f["rule"].as_str()).collect();
        assert_eq!(found, rules);
    }
    gateway.stop_and_verify().await;
}
