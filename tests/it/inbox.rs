//! Records in a party's own format at the border: in whose name they speak, and that all that is wrong with one is said at once, by
//! its places in the record.

use crate::support::{Databases, gateway::TestGateway};
use http::Method;
use onechannel::sandbox::system::{Reply, System};
use serde_json::{Value, json};
use std::path::Path;

async fn push(system: &System, route: &str, record: &Value) -> Reply {
    let path = format!("/v1/inbox/{route}");
    system.call(Method::POST, &path, "application/json", record.to_string().into_bytes()).await.unwrap()
}

/// A withdrawal as the partner writes it; `agency` is who says so.
fn withdrawal(id: &str, agency: Value) -> Value {
    json!({"idMesej": id, "masaHantar": "01/01/2027 03:00:00", "agensi": agency, "noRujukan": "MY-OCS-00077",
        "idMesejDibatal": "m-0003", "sebab": "sent by mistake"})
}

/// A call for protection: a safety message.
fn protection(id: &str, agency: Value) -> Value {
    json!({"idMesej": id, "masaHantar": "01/01/2027 03:00:00", "agensi": agency, "noRujukan": "MY-OCS-00077",
        "noKes": "C-MY-0077", "jenisKes": "PERLINDUNGAN", "keutamaan": "SEGERA"})
}

/// (pointer in the record, rule, pointer in the event) of every broken rule, in the order of the pointers.
fn broken(reply: &Reply) -> Vec<(String, String, String)> {
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let found = reply.body["violations"].as_array().into_iter().flatten();
    let mut found: Vec<_> =
        found.map(|one| (text(one, "pointer"), text(one, "rule"), text(one, "canonical"))).collect();
    found.sort();
    found
}

/// As [`broken`] gives it, written by hand.
type Broken = (&'static str, &'static str, &'static str);

fn are(found: &[(String, String, String)], wanted: &[Broken]) -> bool {
    found.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).eq(wanted.iter().copied())
}

async fn authorities(gateway: &TestGateway) -> Vec<(String, String)> {
    let rows = "select authority, outcome from messages where type = 'message.invalidated.v1' order by received_at, id";
    sqlx::query_as(rows).fetch_all(&gateway.databases.owner).await.unwrap()
}

/// The line on which the mapping says who speaks.
fn line_of_authority(mapping: &str) -> String {
    let text = std::fs::read_to_string(Path::new("partners/my/mapping").join(mapping)).unwrap();
    let line = text.lines().position(|line| line == "[authority]").unwrap() + 1;
    format!("my/mapping/{mapping}:{line}")
}

#[tokio::test]
async fn a_record_speaks_for_the_authority_that_it_names() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    for (n, code) in ["JTK", "PDRM", "JIM"].into_iter().enumerate() {
        let reply = push(&my, "pembatalan", &withdrawal(&format!("w-{n}"), json!(code))).await;
        assert_eq!((reply.status.as_u16(), &reply.body["outcome"]), (201, &json!("applied")), "{}", reply.body);
    }
    let said = ["P-LAB", "P-POL", "P-IMM"].map(|authority| (authority.to_owned(), "applied".to_owned()));
    assert_eq!(authorities(&gateway).await, said);
    // A code that means nobody, and none where the sender speaks for several.
    for (n, code) in [json!("JPJ"), Value::Null, json!("-")].into_iter().enumerate() {
        let reply = push(&my, "pembatalan", &withdrawal(&format!("n-{n}"), code)).await;
        assert_eq!(reply.status.as_u16(), 422, "{}", reply.body);
        let found = broken(&reply);
        assert!(are(&found, &[("/agensi", "mapping", "/authority")]), "{found:?}");
        let one = &reply.body["violations"][0];
        assert_eq!(one["mapping"], line_of_authority("pembatalan.toml"));
        let sentence = one["message"]["en"].as_str().unwrap();
        assert!(sentence.contains("/agensi") && !sentence.contains("JPJ"), "{sentence}");
    }
    // For that alone a call for help is not turned away: a person looks who it was.
    let reply = push(&my, "perlindungan", &protection("p-1", json!("JPJ"))).await;
    assert_eq!((reply.status.as_u16(), &reply.body["outcome"]), (201, &json!("held")), "{}", reply.body);
    assert!(are(&broken(&reply), &[("/agensi", "mapping", "/authority")]));
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn a_client_that_speaks_for_one_authority_needs_no_name_and_can_take_no_other() {
    let mut gateway = TestGateway::prepare(Databases::fresh().await).await;
    let profile = gateway.stand.pki.partners.join("my/party.toml");
    let text = std::fs::read_to_string(&profile).unwrap();
    let all = "authorities = [\"P-LAB\", \"P-IMM\", \"P-POL\"]";
    assert!(text.contains(all));
    std::fs::write(&profile, text.replace(all, "authorities = [\"P-POL\"]")).unwrap();
    gateway.serve().await;
    let my = gateway.system("my-gateway");
    let reply = push(&my, "pembatalan", &withdrawal("o-1", Value::Null)).await;
    assert_eq!((reply.status.as_u16(), &reply.body["outcome"]), (201, &json!("applied")), "{}", reply.body);
    assert_eq!(authorities(&gateway).await, [("P-POL".to_owned(), "applied".to_owned())]);
    for (route, mapping, record) in [
        ("pembatalan", "pembatalan.toml", withdrawal("o-2", json!("JTK"))),
        ("perlindungan", "perlindungan.toml", protection("o-3", json!("JTK"))),
    ] {
        let reply = push(&my, route, &record).await;
        assert_eq!(reply.status.as_u16(), 422, "not even a call for help in another's name: {}", reply.body);
        assert!(reply.body["type"].as_str().unwrap().ends_with("not-your-authority"), "{}", reply.body);
        assert!(are(&broken(&reply), &[("/agensi", "authority-unknown", "/authority")]), "{}", reply.body);
        assert_eq!(reply.body["violations"][0]["mapping"], line_of_authority(mapping));
    }
    gateway.stop_and_verify().await;
}

fn entry(id: &str) -> Value {
    json!({"idMesej": id, "masaHantar": "01/01/2027 03:00:00", "noRujukan": "MY-OCS-00078", "noPasport": "E7654978",
        "tarikhMasuk": "01/01/2027 02:15", "statusMasuk": "MASUK", "nama": "DEWI AYU", "tarikhLahir": "29/02/1996",
        "jantina": "P", "warganegara": "IDN"})
}

#[tokio::test]
async fn what_cannot_be_read_and_what_breaks_a_rule_are_named_together() {
    let mut gateway = TestGateway::start().await;
    let my = gateway.system("my-gateway");
    let cases: [(&str, Value, Vec<Broken>); 6] = [
        (
            // Two that cannot be read, a schema and an identifier; that the moment of entry is missing then is no fault of its own.
            "each kind",
            json!({"tarikhMasuk": "31/02/2027 02:15", "jantina": "?", "warganegara": "indonesia", "noPasport": "!?"}),
            vec![
                ("/jantina", "mapping", "/data/worker/sex"),
                ("/noPasport", "identifier-shape", "/data/travelDocument/number"),
                ("/tarikhMasuk", "mapping", "/data/movement/at"),
                ("/warganegara", "pattern", "/data/worker/nationality"),
            ],
        ),
        (
            "the wire schema too",
            json!({"masaHantar": null, "tarikhMasuk": 7, "statusMasuk": "?", "noPasport": "!?"}),
            vec![
                ("/masaHantar", "type", ""),
                ("/noPasport", "identifier-shape", "/data/travelDocument/number"),
                ("/statusMasuk", "mapping", "/data/movement/result"),
                ("/tarikhMasuk", "type", ""),
            ],
        ),
        (
            "read whole",
            json!({"noPasport": "!?", "warganegara": "indonesia"}),
            vec![
                ("/noPasport", "identifier-shape", "/data/travelDocument/number"),
                ("/warganegara", "pattern", "/data/worker/nationality"),
            ],
        ),
        (
            "only what cannot be read",
            json!({"tarikhMasuk": "31/02/2027 02:15"}),
            vec![("/tarikhMasuk", "mapping", "/data/movement/at")],
        ),
        (
            // The schema asks for a name of whoever is described: the record's own field for it is named.
            "what is missing",
            json!({"nama": null, "tarikhMasuk": "31/02/2027 02:15"}),
            vec![("", "required", "/data/worker/name"), ("/tarikhMasuk", "mapping", "/data/movement/at")],
        ),
        ("nothing", json!({}), vec![]),
    ];
    for (n, (what, change, wanted)) in cases.into_iter().enumerate() {
        let mut record = entry(&format!("a-{n}"));
        record.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = push(&my, "kemasukan", &record).await;
        assert_eq!(reply.status.as_u16(), if wanted.is_empty() { 201 } else { 422 }, "{what}: {}", reply.body);
        let found = broken(&reply);
        assert!(are(&found, &wanted), "{what}: {found:?}");
        for one in reply.body["violations"].as_array().into_iter().flatten().filter(|one| one["canonical"].is_string())
        {
            let mapping = one["mapping"].as_str().unwrap();
            assert!(mapping.starts_with("my/mapping/kemasukan.toml:"), "{what}: {one}");
        }
        assert!(!reply.body.to_string().contains("indonesia"), "no value is repeated");
        let missing = reply.body["violations"].as_array().into_iter().flatten().find(|one| one["rule"] == "required");
        assert!(missing.is_none_or(|one| one["message"]["en"].as_str().unwrap().contains("nama")), "{missing:?}");
    }
    // What the record lacks is missed once, by its own schema.
    let mut record = entry("a-9");
    record.as_object_mut().unwrap().remove("tarikhMasuk");
    record["noPasport"] = json!("!?");
    let reply = push(&my, "kemasukan", &record).await;
    let found = broken(&reply);
    assert!(
        are(&found, &[("", "required", ""), ("/noPasport", "identifier-shape", "/data/travelDocument/number")]),
        "{found:?}"
    );
    gateway.stop_and_verify().await;
}
