//! A partner's witness that signs by Ed25519 and by ML-DSA-44: it cosigns when both signatures come; what verifies is kept. What is wrong with
//! a folder's words about its witness.

use super::{Stage, keys, state, stop, stored, witness};
use crate::support::{Databases, gateway::TestGateway};
use aws_lc_rs::signature::Ed25519KeyPair;
use http::StatusCode;
use onechannel::{
    app::config::hex_key,
    exchange::cosigning::{self, Standing},
    ledger::{
        cosignature::Cosigner,
        note::{self, Checkpoint, Role, Signed, VerifierKey},
    },
    store::ledger::{self, cosign},
};
use std::fs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_with_two_keys_cosigns_by_both_and_what_verifies_is_kept() {
    let mut stage = Stage::prepare().await;
    let mock = stage.partner().await;
    let gateway = &mut stage.gateway;
    gateway.serve().await;
    let my = gateway.system("my-gateway");
    // From here this test answers in the witness's place.
    witness(&mock).answer_with(Some((StatusCode::NOT_FOUND, "text/plain", String::new())));
    stored(&my).await;
    let files = &gateway.stand.pki.witnesses["my"];
    let ed25519 = Ed25519KeyPair::from_seed_unchecked(&hex_key(&files.seed).unwrap()).unwrap();
    let seed = hex_key(&files.ml_dsa.as_ref().unwrap().0).unwrap();
    let cosigner = Cosigner::new("witness.my.example/w1", ed25519).with_ml_dsa(&seed).unwrap();
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    let asked = super::asked(gateway, &mock);
    let pool = gateway.databases.owner.clone();
    let log = state(gateway).await.log;
    let answered = async |lines: String| {
        witness(&mock).answer_with(Some((StatusCode::OK, "text/plain", lines)));
        cosigning::submit(&running, &asked).await.unwrap();
        running.standings.of("my")
    };
    let root = cosign::root(&pool, &log, 1).await.unwrap().unwrap();
    let checkpoint = Checkpoint { origin: log.clone(), size: 1, root };
    let lines = cosigner.cosign(&checkpoint, 1_700_000_000);
    let [first, second] = lines.split_inclusive('\n').collect::<Vec<_>>().try_into().unwrap();
    let without_time = cosigner.cosign(&checkpoint, 0);
    let other_tree = cosigner.cosign(&Checkpoint { root: [1; 32], ..checkpoint.clone() }, 1_700_000_000);
    let of_other_tree = other_tree.lines().nth(1).unwrap();
    let wrong = Standing { cosigning: false, halted: false, fault: Some("cosignature-wrong") };
    let rows = "select signature_type, line from cosignatures where size = 1 order by signature_type";
    assert_eq!(answered(format!("{of_other_tree}\n")).await, wrong);
    let kept: Vec<(i16, String)> = sqlx::query_as(rows).fetch_all(&pool).await.unwrap();
    assert_eq!(kept, [], "nothing is kept of what does not verify");
    for answer in [
        first.to_owned(),
        format!("{first}{}\n", without_time.lines().nth(1).unwrap()),
        format!("{first}{of_other_tree}\n"),
    ] {
        assert_eq!(answered(answer.clone()).await, wrong, "{answer}");
        // While one key is changed the other still bounds the time.
        let kept: Vec<(i16, String)> = sqlx::query_as(rows).fetch_all(&pool).await.unwrap();
        assert_eq!(kept, [(4, first.trim_end().to_owned())], "{answer}");
    }
    // In whatever order, and whatever else stands there.
    let stranger = Cosigner::new("w.example", Ed25519KeyPair::generate().unwrap()).cosign(&checkpoint, 1);
    let good = answered(format!("{second}{stranger}{first}")).await;
    assert_eq!(good, Standing { cosigning: true, ..Standing::default() });
    let kept: Vec<(i16, String)> = sqlx::query_as(rows).fetch_all(&pool).await.unwrap();
    assert_eq!(kept, [(4, first.trim_end().to_owned()), (6, second.trim_end().to_owned())]);
    // Whoever lacks one of the keys verifies by the other; a line of one type altered is found among all.
    let keys = keys(gateway);
    let newest = cosign::newest(&pool, &log).await.unwrap().unwrap().note;
    for signature_type in [note::WITNESS, note::ML_DSA_WITNESS] {
        let of = |key: &&VerifierKey| key.role == Role::Log || key.signature_type() == signature_type;
        let some: Vec<VerifierKey> = keys.iter().filter(of).cloned().collect();
        assert_eq!(Signed::open(&newest, &some).unwrap().witnesses.len(), 1);
        let mut transaction = pool.begin().await.unwrap();
        let alter = sqlx::query(
            "update cosignatures set line = left(line, -9) || 'AAAAAAAA' || right(line, 1) where signature_type = $1",
        );
        sqlx::query("set local session_replication_role = replica").execute(&mut *transaction).await.unwrap();
        alter.bind(i16::from(signature_type)).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        let faults = ledger::check(&pool, &log, &keys).await.unwrap().faults;
        assert!(faults.len() == 1 && faults[0].contains("does not verify"), "{signature_type}: {faults:?}");
        let line = if signature_type == note::WITNESS { first } else { second };
        let mut transaction = pool.begin().await.unwrap();
        let mend = sqlx::query("update cosignatures set line = $2 where signature_type = $1");
        sqlx::query("set local session_replication_role = replica").execute(&mut *transaction).await.unwrap();
        mend.bind(i16::from(signature_type)).bind(line.trim_end()).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }
    assert_eq!(gateway.stop_and_verify().await, 1);
}

/// A partner whose witness has no such key, and a gateway without one, work as before there was any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_key_by_ml_dsa_everything_goes_on_by_ed25519() {
    let mut stage = Stage::prepare().await;
    let profile = stage.gateway.folder.join("partners/my/party.toml");
    let text = fs::read_to_string(&profile).unwrap();
    fs::write(&profile, text.replace("ml_dsa_key = \"trust/my-witness-ml-dsa.vkey\"\n", "")).unwrap();
    fs::remove_file(stage.gateway.config.keys.ml_dsa_seed()).unwrap();
    let mock = stage.partner().await;
    stage.gateway.serve().await;
    let my = stage.gateway.system("my-gateway");
    stored(&my).await;
    assert_eq!(super::cosigned(&stage.gateway).await, 1);
    let rows = sqlx::query_scalar("select signature_type from cosignatures");
    let types: Vec<i16> = rows.fetch_all(&stage.gateway.databases.owner).await.unwrap();
    assert_eq!(types, [4], "the mock signs by both; a key that is not named is a stranger's");
    // We cosign the partner's own log by one key.
    let log = mock.log.as_ref().unwrap();
    log.append(b"entry");
    assert_eq!(log.submit(&my).await, Ok(1));
    let note: String =
        sqlx::query_scalar("select note from witnessed").fetch_one(&stage.gateway.databases.owner).await.unwrap();
    assert_eq!(note.matches('\u{2014}').count(), 2, "{note}");
    stop(&mut stage.gateway).await;
    // A seed that is none is named before anything starts.
    fs::write(stage.gateway.config.keys.ml_dsa_seed(), "no seed").unwrap();
    let fault = onechannel::app::gateway::start(&stage.gateway.config).await.err().unwrap().to_string();
    assert!(fault.contains("witness-ml-dsa.seed: not 64 hex digits"), "{fault}");
}

#[tokio::test]
async fn a_promise_without_a_witness_and_a_witness_without_an_address_are_named() {
    let gateway = TestGateway::prepare(Databases::fresh().await).await;
    let folder = gateway.folder.join("partners/my");
    let text = fs::read_to_string(folder.join("party.toml")).unwrap();
    let section = "[witness]\nprefix = \"/witness\"\nfile = \"trust/my-witness.vkey\"\n\
                   ml_dsa_key = \"trust/my-witness-ml-dsa.vkey\"\n";
    assert!(text.contains(section));
    let named = |changed: String| {
        fs::write(folder.join("party.toml"), changed).unwrap();
        let faults: Vec<String> = onechannel::partner::faults(&folder).iter().map(ToString::to_string).collect();
        faults.join("\n")
    };
    assert_eq!(named(text.clone()), "");
    assert!(named(text.replace(section, "")).contains("promises a [witness]"));
    for prefix in ["witness", "/witness/", "/wit ness", "/w?x", "https://w.example"] {
        let wrong = text.replace("prefix = \"/witness\"", &format!("prefix = \"{prefix}\""));
        assert!(named(wrong).contains("witness.prefix"), "{prefix}");
    }
    // Its two keys are of one witness, each of its own type.
    let [ed25519, ml_dsa] = ["my-witness", "my-witness-ml-dsa"].map(|name| folder.join(format!("trust/{name}.vkey")));
    let true_key = fs::read_to_string(&ml_dsa).unwrap();
    fs::copy(&ed25519, &ml_dsa).unwrap();
    assert!(named(text.clone()).contains("not one of a witness by ML-DSA-44"));
    let other = Cosigner::new("other.example/w1", Ed25519KeyPair::generate().unwrap());
    let other = other.with_ml_dsa(&[1; 32]).unwrap();
    fs::write(&ml_dsa, other.verifiers().nth(1).unwrap().to_string()).unwrap();
    assert!(named(text.clone()).contains("two names, witness.my.example/w1 and other.example/w1"));
    fs::write(&ml_dsa, true_key).unwrap();
    let log_key = fs::read_to_string(folder.join("trust/my-log.vkey")).unwrap();
    fs::write(folder.join("trust/my-witness.vkey"), log_key).unwrap();
    assert!(named(text).contains("not one of a witness"));
}
