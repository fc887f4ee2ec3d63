//! The samples for a partner's integrator: each one whose runtime is on this machine sends a first message to a real
//! gateway, is refused as it should be, and agrees with the test vectors, which this file recomputes from our own code.
//!
//! A runtime that is not here is named on the standard output. Nothing is installed and nothing but this machine is called.

mod vectors;

use crate::support::{
    Databases,
    gateway::{TestGateway, event},
};
use serde_json::{Value, json};
use std::{io::Write, process::Command};

const SAMPLES: &str = "partners/samples";

/// One sample and how it is started here.
#[derive(Clone)]
struct Sample {
    name: &'static str,
    command: Vec<String>,
}

impl Sample {
    /// Exit code, and all that it printed.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(&self.command[0]).args(&self.command[1..]).args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), format!("{}: {}", self.name, String::from_utf8_lossy(&text)))
    }
}

/// What a program prints if it can be started and ends well.
fn says(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// The samples that can run here, and each other one with what is missing.
fn samples() -> (Vec<Sample>, Vec<String>) {
    let (mut here, mut missing) = (Vec::new(), Vec::new());
    let mut add = |name, is_here: bool, needs: &str, command: &[&str]| {
        if is_here {
            here.push(Sample { name, command: command.iter().map(|&part| part.to_owned()).collect() });
        } else {
            missing.push(format!("{name} ({needs})"));
        }
    };
    let file = |path: &str| format!("{SAMPLES}/{path}");

    let tools = says("curl", &["--version"]).is_some() && says("openssl", &["version"]).is_some();
    add("shell", tools, "curl and openssl", &["sh", &file("shell/first_exchange.sh")]);

    let java = says("java", &["--version"]).unwrap_or_default();
    let java: u32 = java.split(' ').nth(1).and_then(|v| v.split('.').next()?.parse().ok()).unwrap_or_default();
    // The options save compiling what runs for a second.
    let quick = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", &file("java/FirstExchange.java")];
    add("java", java >= 17, "a JDK 17 or later", &quick);

    let python = says("python3", &["-c", "import sys, cryptography; assert sys.version_info >= (3, 11)"]).is_some();
    add("python", python, "Python 3.11 with cryptography", &["python3", &file("python/first_exchange.py")]);

    let php = says("php", &["-r", "echo PHP_MAJOR_VERSION, '\n', implode(\"\n\", get_loaded_extensions());"]);
    let php = php.unwrap_or_default();
    let has = |word: &str| php.lines().any(|line| line == word);
    let php = has("8") && ["curl", "openssl", "sodium"].into_iter().all(has);
    add("php", php, "PHP 8 with curl, openssl, sodium", &["php", &file("php/first_exchange.php")]);

    // A Node that does not strip types itself runs what the TypeScript compiler emitted.
    let node =
        says("node", &["-p", "parseInt(process.versions.node) >= 20 && (process.features.typescript ?? 'none')"]);
    let node = node.unwrap_or_default();
    let source = if node.trim() == "none" { "first_exchange.mjs" } else { "first_exchange.mts" };
    let is_here = ["none", "strip", "transform"].contains(&node.trim());
    add("typescript", is_here, "Node 20 or later", &["node", &file(&format!("typescript/{source}"))]);
    (here, missing)
}

/// Past the test harness, which keeps what a passing test prints to itself.
fn report(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The samples to test; at least the shell's and one more.
fn testable() -> Vec<Sample> {
    let (here, missing) = samples();
    let names: Vec<&str> = here.iter().map(|sample| sample.name).collect();
    report(&format!("samples run here: {}", names.join(", ")));
    if !missing.is_empty() {
        report(&format!("samples NOT run here, for want of: {}", missing.join(", ")));
    }
    assert!(names.contains(&"shell") && names.len() >= 2, "{names:?}, without {missing:?}");
    here
}

/// The members of a demo's `demo.json` that a client reads.
fn write_demo_json(gateway: &TestGateway) {
    let pki = &gateway.stand.pki;
    let clients: Vec<Value> = pki
        .clients
        .values()
        .map(|one| {
            json!({"client_id": one.client_id, "party": one.party, "authorities": one.authorities, "ca": pki.ca,
                "client_cert": one.client_cert, "client_key": one.client_key, "signing_key": one.signing_key,
                "key_id": one.key_id})
        })
        .collect();
    let whole = json!({"channel_api": gateway.config.external, "clients": clients, "log_keys": gateway.stand.log_keys,
        "gateway_signing_key": pki.signing.with_extension("pub.pem"), "gateway_key_id": "gateway-sign-1"});
    std::fs::write(gateway.folder.join("demo.json"), serde_json::to_string_pretty(&whole).unwrap()).unwrap();
}

/// A file with one event.
fn event_file(gateway: &TestGateway, name: &str, event: &Value) -> String {
    let file = gateway.folder.join(name);
    std::fs::write(&file, event.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sample_makes_its_first_exchange_and_names_what_is_wrong() {
    let samples = testable();
    let mut gateway = TestGateway::prepare(Databases::fresh().await).await;
    // A runtime that starts cold on a busy machine is not what is tested.
    (gateway.config.limits.handshake_s, gateway.config.limits.body_s) = (300, 300);
    gateway.serve().await;
    write_demo_json(&gateway);
    let folder = gateway.folder.to_str().unwrap().to_owned();
    let wrong = event("movement.arrived.v1", "P-IMM", |event| event["data"]["movement"]["result"] = json!("SOMEWHERE"));
    let wrong = event_file(&gateway, "wrong.json", &wrong);
    let nominated = event("placement.nominated.v1", "KP2MI", |event| event["corridor"] = json!("my"));
    let nominated = event_file(&gateway, "nominated.json", &nominated);
    let runs = samples.len() as u64;
    tokio::task::spawn_blocking(move || {
        for sample in samples {
            let (code, text) = sample.run(&[&folder]);
            assert_eq!(code, Some(0), "{text}");
            for said in ["token", "201 applied", "gateway-sign-1", "gateway.onechannel.example/test/my", "all holds"] {
                assert!(text.contains(said), "{said} is missing: {text}");
            }
            let (code, text) = sample.run(&["--wrong-body", &folder]);
            assert_eq!(code, Some(1), "{text}");
            assert!(text.contains("FAILED: message") && text.contains("digest-mismatch"), "{text}");
            let (code, text) = sample.run(&[&folder, "my-gateway", &wrong]);
            assert_eq!(code, Some(1), "{text}");
            assert!(text.contains("FAILED: message: 422") && text.contains("/data/movement/result"), "{text}");
            let (code, text) = sample.run(&[&format!("{folder}/nowhere")]);
            assert!(code == Some(1) && text.contains("FAILED: ") && text.contains("demo.json"), "{text}");
            // A home system's key is Ed25519, which only the shell's sample signs with.
            if sample.name == "shell" {
                let (code, text) = sample.run(&[&folder, "kp2mi-system", &nominated]);
                assert!(code == Some(0) && text.contains("all holds"), "{text}");
            }
        }
    })
    .await
    .unwrap();
    let leaves = gateway.stop_and_verify().await;
    assert_eq!(leaves, runs * 2 + 1, "one applied and one refused by each sample, and the nomination");
}

#[test]
fn the_vectors_are_what_our_own_code_makes_of_their_keys() {
    let file = format!("{SAMPLES}/vectors.json");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let made = vectors::make(&serde_json::from_str(&text).unwrap_or_default());
    let made = serde_json::to_string_pretty(&made).unwrap() + "\n";
    if std::env::var_os("ONECHANNEL_WRITE_VECTORS").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    assert!(text == made, "{file} is not what this test makes: write it anew with ONECHANNEL_WRITE_VECTORS=1");
}

#[test]
fn every_sample_agrees_with_the_vectors_and_notices_each_false_one() {
    let file = format!("{SAMPLES}/vectors.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let (changed, told) = vectors::falsified(&vectors);
    let changed_file = std::env::temp_dir().join(format!("onechannel-vectors-{}.json", std::process::id()));
    std::fs::write(&changed_file, serde_json::to_string_pretty(&changed).unwrap()).unwrap();
    for sample in testable() {
        let (code, text) = sample.run(&["vectors", &file]);
        assert!(code == Some(0) && text.contains("all vectors hold"), "{text}");
        let (code, text) = sample.run(&["vectors", changed_file.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{text}");
        let lost: Vec<&String> = told.iter().filter(|line| !text.contains(*line)).collect();
        assert!(lost.is_empty(), "{lost:?} not told: {text}");
        assert_eq!(text.matches("FAILED: ").count(), told.len(), "{text}");
    }
    std::fs::remove_file(&changed_file).unwrap();
}

#[test]
fn what_node_20_runs_was_emitted_from_the_typescript_as_it_stands() {
    let read = |file: &str| std::fs::read_to_string(format!("{SAMPLES}/typescript/{file}")).unwrap();
    let sum = hex::encode(onechannel::vault::sha256(read("first_exchange.mts").as_bytes()));
    let emitted = read("first_exchange.mjs");
    assert!(emitted.lines().any(|line| line.contains(&sum)), "emit it anew: partners/samples/typescript/emit");
}
