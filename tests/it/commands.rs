//! The program itself, as an auditor runs it.

use crate::support::{
    Databases,
    gateway::{TestGateway, event},
    intent, journal,
};
use http::StatusCode;
use onechannel::store::journal::Answer;
use std::process::Command;

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_onechannel")).env("LC_ALL", "C").args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn an_auditor_checks_a_receipt_offline_and_the_whole_ledger() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let answers = journal.store(&[intent("xa", "m-1", b"sent"), intent("xb", "m-1", b"sent")]).await.unwrap();
    let Answer::Stored { receipt, .. } = &answers[0] else { panic!("stored") };
    let folder = std::env::temp_dir().join(format!("onechannel-it-{}", receipt.message));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let [xa, xb] = ["xa", "xb"].map(|corridor| journal.signers[corridor].verifier().to_string());
    let keys = file("keys", &format!("# both logs\n{xa}\n\n{xb}\n"));
    let good = file("good.json", &serde_json::to_string(receipt).unwrap());
    let sent = file("sent", "sent");

    let (code, text) = run(&["receipt", "verify", &good, "--keys", &keys, "--message", &sent]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("exactly the one that the entry commits to"), "{text}");
    let page = folder.join("page.html").to_str().unwrap().to_owned();
    let said = ["receipt", "verify", &good, "--keys", &keys, "--page", &page, "--language"];
    for (lang, proven, not_proven, direction) in [
        ("en", "What is proven", "What is NOT proven", "ltr"),
        ("id", "Yang terbukti", "Yang TIDAK terbukti", "ltr"),
        ("ms", "resit ini sah", "Yang TIDAK terbukti", "ltr"),
        ("ar", "ما ثبت", "ما لم يثبت", "rtl"),
    ] {
        let (code, text) = run(&[&said[..], &[lang]].concat());
        assert_eq!(code, Some(0), "{text}");
        let html = std::fs::read_to_string(&page).unwrap();
        let opening = format!("<html lang=\"{lang}\" dir=\"{direction}\">");
        assert!(html.contains(&opening) && html.contains(&receipt.message.to_string()), "{html}");
        // The fingerprint is what `printf %s LINE | sha256sum` gives.
        assert!(html.contains(&hex::encode(onechannel::vault::sha256(xa.as_bytes()))), "{html}");
        assert!(!html.contains("<script") && !html.contains("http://") && !html.contains("https://"), "{html}");
        for text in [&text, &html] {
            let found = [proven, not_proven].map(|part| text.to_lowercase().contains(&part.to_lowercase()));
            assert_eq!(found, [true, true], "{lang}: {text}");
        }
    }
    assert_eq!(run(&[&said[..], &["fr"]].concat()).0, Some(2));
    let (code, text) = run(&["receipt", "verify", &good, "--keys", &keys, "--message", &keys, "--language", "en"]);
    assert_eq!((code, text.contains("The receipt DOES NOT HOLD.")), (Some(1), true), "{text}");
    let (code, text) = run(&["receipt", "verify", &good, "--keys", &keys, "--message", &keys, "--json"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(r#""messageMatches":false"#), "{text}");
    let other = file("other-keys", &xb);
    assert_eq!(run(&["receipt", "verify", &good, "--keys", &other]).0, Some(1));
    let (code, text) = run(&["receipt", "verify", &sent, "--keys", &keys]);
    assert_eq!(code, Some(2));
    assert!(text.contains("not a receipt (in an answer it is the member `receipt`)"), "{text}");
    let broken = file("broken-keys", "not a key");
    assert!(run(&["receipt", "verify", &good, "--keys", &broken]).1.contains("line 1"));

    let url = databases.url.clone();
    let (code, text) = run(&["ledger", "verify", "--channel", &url, "--keys", &keys]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("/xa: 1 entries, 1 checkpoints, 0 tiles: holds"), "{text}");
    let (code, text) = run(&["ledger", "verify", "--channel", &url, "--keys", &other, "--json"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("no key of this log"), "{text}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_address_without_a_server_is_said_in_plain_words() {
    let folder = std::env::temp_dir().join(format!("onechannel-it-keys-{}", std::process::id()));
    std::fs::write(&folder, "").unwrap();
    let keys = folder.to_str().unwrap();
    let (code, text) = run(&["ledger", "verify", "--channel", "postgres://a:secret@127.0.0.1:1/x", "--keys", keys]);
    assert_eq!(code, Some(2));
    assert!(text.contains("is the server up") && !text.contains("secret"), "{text}");
    assert!(run(&["ledger", "verify", "--channel", "nonsense", "--keys", keys]).1.contains("postgres://user@host"));
    std::fs::remove_file(&folder).unwrap();
}

#[tokio::test]
async fn every_fault_of_a_configuration_is_named_at_once() {
    let mut gateway = TestGateway::start().await;
    let text = std::fs::read_to_string(&gateway.stand.config).unwrap();
    let broken = gateway.stand.config.with_file_name("broken.toml");
    let wrong = text
        .replace("\"pki/gateway.pem\"", "\"pki/gone.pem\"")
        .replace("\"keys/tokens.key\"", "\"pki/gateway.pem\"")
        .replace("\"keys/logs\"", "\"keys/elsewhere\"")
        + "qq = \"https://localhost:1\"\nmy = \"http://localhost:1\"\n"
        + "\n[time_stamp]\nurl = \"ftp://localhost:1\"\nroots = \"pki/gateway-ca.pem\"\n";
    assert!(text.ends_with("[endpoints]\n"), "{text}");
    std::fs::write(&broken, wrong).unwrap();
    let (code, found) = run(&["check", "--config", broken.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{found}");
    for expected in [
        "gone.pem: ",
        "gateway.pem: not 64 hex digits",
        "my.seed: ",
        "endpoints.qq: there is no partner of this code",
        "endpoints.my: an address must begin with https://",
        "time_stamp.url: its address must begin with http:// or https://",
    ] {
        assert!(found.contains(expected), "{expected}\n{found}");
    }
    // A private key that is another's, and a key-encryption key that is not the vault's: nothing may be wrapped under it.
    let sent = gateway.system("my-gateway").send(&event("movement.arrived.v1", "P-IMM", |_| ())).await.unwrap();
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.body);
    let folder = gateway.stand.config.parent().unwrap();
    std::fs::copy(folder.join("keys/tokens.key"), folder.join("keys/other.key")).unwrap();
    for (right, other, expected) in [
        ("\"keys/encryption.key\"", "\"keys/other.key\"", "keys.encryption: a key of the vault does not open"),
        ("key = \"pki/gateway.key\"", "key = \"pki/gateway-client.key\"", "gateway-client.key: not the key of"),
    ] {
        assert!(text.contains(right), "{right} {text}");
        std::fs::write(&broken, text.replacen(right, other, 1)).unwrap();
        let (code, found) = run(&["check", "--config", broken.to_str().unwrap()]);
        assert!(code == Some(1) && found.contains(expected), "{expected}\n{found}");
    }
    let config = gateway.stand.config.to_str().unwrap();
    let (code, found) = run(&["deliveries", "--release", "qq", "--config", config]);
    assert_eq!(code, Some(2), "{found}");
    assert!(found.contains("there is no party qq"), "{found}");
    gateway.stop_and_verify().await;
}
