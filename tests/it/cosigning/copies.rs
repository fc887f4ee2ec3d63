//! A gateway that lost entries fetches the partner's copy of them over mutual TLS.

use super::{Stage, cosigned, one_root_a_size, state, stop, stored, witness};
use crate::{ledger::grow, support::gateway::TestGateway};
use onechannel::store::ledger::cosign;
use std::{fs, path::Path, process::Command};

/// `ledger catch-up --from URL` of a gateway; its temporary files lie below `folder`, where none may be left.
fn catch_up(gateway: &TestGateway, config: &Path, from: &str) -> (Option<i32>, String) {
    let temporary = gateway.folder.join("temporary");
    fs::create_dir_all(&temporary).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_onechannel"))
        .args(["ledger", "catch-up", "--from", from, "--channel", &gateway.databases.url, "--keys"])
        .arg(&gateway.stand.log_keys)
        .arg("--config")
        .arg(config)
        .env("TMPDIR", &temporary)
        .output()
        .unwrap();
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "nothing is left behind");
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_old_backup_lacks_is_fetched_from_the_partners_copy_over_the_channel() {
    let mut stage = Stage::prepare().await;
    let mock = stage.partner().await;
    let gateway = &mut stage.gateway;
    gateway.serve().await;
    let my = gateway.system("my-gateway");
    stored(&my).await;
    stored(&my).await;
    assert_eq!(cosigned(gateway).await, 2);
    assert_eq!(mock.mirror.read(&my).await, Ok(2));
    stop(gateway).await;
    let backup = gateway.databases.copy().await;
    gateway.serve().await;
    let signers = gateway.running.as_ref().unwrap().gateway.clone();
    grow(&gateway.databases, &signers.journal.signers["my"], 1, 598, 100).await;
    assert_eq!(cosigned(gateway).await, 600);
    assert_eq!(mock.mirror.read(&my).await, Ok(600), "from where its copy ended");
    drop(signers);
    stop(gateway).await;

    let mut restored = gateway.beside(backup);
    restored.serve().await;
    let halted = state(&restored).await;
    assert_eq!((halted.size, halted.halted), (2, Some((cosign::Halt::Rollback, 600))));
    // The operator's configuration, as it would be after the restore.
    let text = fs::read_to_string(&restored.stand.config).unwrap();
    let text = text.replace(&gateway.databases.url, &restored.databases.url);
    let text = text.replace(&gateway.databases.vault_url, &restored.databases.vault_url);
    let config = restored.folder.join("restored.toml");
    fs::write(&config, format!("{text}my = \"{}\"\n", mock.base())).unwrap();
    let url = format!("{}/mirror", mock.base());
    for (from, named) in [
        ("https://localhost:1/mirror".to_owned(), "lies at no partner's address"),
        (format!("{url}x"), "/checkpoint: "),
        (format!("{}0/mirror", mock.base()), "lies at no partner's address"),
    ] {
        let (code, text) = catch_up(&restored, &config, &from);
        assert!(code == Some(2) && text.contains(named), "{from}: {text}");
    }
    // What the partner has must lead to the checkpoint that we signed.
    let mirror = &mock.mirror;
    let note = mirror.put("checkpoint", Some(b"no note\n".to_vec())).unwrap();
    assert!(catch_up(&restored, &config, &url).1.contains("not a C2SP signed note"));
    mirror.put("checkpoint", Some(note));
    let bundle = mirror.put("tile/entries/001", None).unwrap();
    let (code, text) = catch_up(&restored, &config, &url);
    assert!(code == Some(2) && text.contains("entries/001: is not there"), "{text}");
    let at = bundle.windows(6).rposition(|window| window == b"\"time\"").unwrap() + 11;
    let mut altered = bundle.clone();
    altered[at] ^= 1;
    mirror.put("tile/entries/001", Some(altered));
    let (code, text) = catch_up(&restored, &config, &url);
    assert!(code == Some(2) && text.contains("another history"), "{text}");
    assert_eq!(state(&restored).await, halted, "nothing was taken over");

    mirror.put("tile/entries/001", Some(bundle));
    let (code, text) = catch_up(&restored, &config, &format!("{url}/"));
    assert!(code == Some(0) && text.contains("598 entries taken over, 600 now"), "{text}");
    assert_eq!(cosigned(&restored).await, 600);
    one_root_a_size(witness(&mock));
    restored.stop_and_verify().await;
}
