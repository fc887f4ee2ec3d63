//! The gateway as a witness of a partner's own log: what C2SP tlog-witness asks of it, over mutual TLS. The log and its proofs are
//! those of an independent implementation.

use crate::support::{Databases, gateway::TestGateway};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine, prelude::BASE64_STANDARD};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use http::StatusCode;
use onechannel::{
    ledger::{
        note::{Checkpoint, NoteSigner, Role, Signed, VerifierKey},
        witness::Submission,
    },
    sandbox::system::System,
};
use sha2::Sha256;

const LOG: &str = "log.my.example/test/id";

fn log() -> NoteSigner {
    NoteSigner::new(LOG, Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap())
}

fn tree(size: usize, first: u8) -> MemoryBackedTree<Sha256, Vec<u8>> {
    let mut tree = MemoryBackedTree::new();
    (0..size).for_each(|n| tree.push(vec![first, n as u8]));
    tree
}

fn checkpoint(size: usize, first: u8) -> Checkpoint {
    Checkpoint { origin: LOG.into(), size: size as u64, root: (*tree(size, first).root().as_bytes()).into() }
}

fn submission(old: usize, new: usize, first: u8) -> String {
    let proof = if old == 0 || old >= new {
        Vec::new()
    } else {
        tree(new, first).prove_consistency(new - old).as_bytes().as_chunks::<32>().0.to_vec()
    };
    Submission { old: old as u64, proof, checkpoint: log().sign(&checkpoint(new, first).to_text()) }.to_text()
}

/// Status, content type and body of an answer.
async fn submit(system: &System, body: String) -> (StatusCode, String, String) {
    let answer = system.http.post(format!("{}/v1/ledger/add-checkpoint", system.base)).body(body).send().await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (answer.status(), kind, answer.text().await.unwrap())
}

async fn prepared() -> TestGateway {
    let gateway = TestGateway::prepare(Databases::fresh().await).await;
    let folder = gateway.folder.join("partners/my");
    std::fs::create_dir_all(folder.join("trust")).unwrap();
    std::fs::write(folder.join("trust/log.vkey"), format!("{}\n", log().verifier())).unwrap();
    let mut profile = std::fs::read_to_string(folder.join("party.toml")).unwrap();
    profile.push_str("\n[[log]]\nfile = \"trust/log.vkey\"\n");
    std::fs::write(folder.join("party.toml"), profile).unwrap();
    gateway
}

#[tokio::test]
async fn a_partners_log_is_cosigned_as_long_as_it_only_grows() {
    let mut gateway = prepared().await;
    gateway.serve().await;
    let (my, sa) = (gateway.system("my-gateway"), gateway.system("sa-gateway"));
    let keys = std::fs::read_to_string(&gateway.stand.log_keys).unwrap();
    let witness: Vec<VerifierKey> = keys.lines().map(|line| VerifierKey::parse(line).unwrap()).collect();
    let is_ours = |key: &VerifierKey| key.role == Role::Witness && key.name.ends_with("/test/witness");
    let witness: Vec<VerifierKey> = witness.into_iter().filter(is_ours).collect();
    assert_eq!(witness.iter().map(VerifierKey::signature_type).collect::<Vec<_>>(), [4, 6]);
    let by_each = |note: &str| {
        let open = |key: &VerifierKey| Signed::open(note, &[log().verifier().clone(), key.clone()]).unwrap();
        witness.iter().map(open).collect::<Vec<_>>()
    };
    let (status, _, line) = submit(&my, submission(0, 5, 1)).await;
    assert_eq!(status, StatusCode::OK, "{line}");
    let note = log().sign(&checkpoint(5, 1).to_text()) + &line;
    for signed in by_each(&note) {
        assert_eq!((signed.checkpoint.size, signed.witnesses.len()), (5, 1));
    }
    // The same again is cosigned again, and changes nothing.
    assert_eq!(submit(&my, submission(5, 5, 1)).await.0, StatusCode::OK);
    assert_eq!(submit(&my, submission(5, 9, 1)).await.0, StatusCode::OK);
    // One that lost its state, or was restored from an older day, learns where we are.
    let (status, kind, body) = submit(&my, submission(0, 7, 1)).await;
    assert_eq!((status, kind.as_str(), body.as_str()), (StatusCode::CONFLICT, "text/x.tlog.size", "9\n"));
    // Two histories: another root of the same size, and a tree that does not extend ours.
    assert_eq!(submit(&my, submission(9, 9, 2)).await.0, StatusCode::CONFLICT);
    let (status, _, body) = submit(&my, submission(9, 12, 2)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(body.contains("urn:onechannel:problem:checkpoint-inconsistent"), "{body}");
    let alarms: Vec<String> = sqlx::query_scalar("select fault from witness_alarms order by fault")
        .fetch_all(&gateway.databases.owner)
        .await
        .unwrap();
    assert_eq!(alarms, ["fork", "inconsistent"]);
    // Nobody else speaks for that log, and no other key.
    assert_eq!(submit(&sa, submission(9, 12, 1)).await.0, StatusCode::NOT_FOUND);
    let stranger = NoteSigner::new(LOG, Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap());
    let forged = Submission { old: 9, proof: vec![], checkpoint: stranger.sign(&checkpoint(9, 1).to_text()) };
    assert_eq!(submit(&my, forged.to_text()).await.0, StatusCode::FORBIDDEN);
    for body in ["", "old 12\n\n", "old 9\n\nlog.my.example/test/id\n"] {
        assert_eq!(submit(&my, body.to_owned()).await.0, StatusCode::BAD_REQUEST, "{body:?}");
    }
    assert_eq!(submit(&my, submission(12, 9, 1)).await.0, StatusCode::BAD_REQUEST, "older than what it extends");
    // What we keep of a checkpoint is what verified, and its leaf commits to exactly that.
    let (note, opening, leaf): (String, Vec<u8>, i64) =
        sqlx::query_as("select note, opening, leaf from witnessed where size = 9")
            .fetch_one(&gateway.databases.owner)
            .await
            .unwrap();
    assert!(by_each(&note).iter().all(|signed| signed.witnesses.len() == 1), "both are kept: {note}");
    let entry: String = sqlx::query_scalar("select entry from entries where log like '%/my' and idx = $1")
        .bind(leaf)
        .fetch_one(&gateway.databases.owner)
        .await
        .unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &opening);
    let commitment = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, note.as_bytes()));
    assert!(entry.contains(&commitment) && entry.contains(r#""kind":"witnessed""#), "{entry}");
    assert_eq!(gateway.stop_and_verify().await, 2, "a leaf for each tree that was new to us");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_submit_at_one_moment_none_takes_the_state_back() {
    let mut gateway = prepared().await;
    gateway.serve().await;
    let my = std::sync::Arc::new(gateway.system("my-gateway"));
    assert_eq!(submit(&my, submission(0, 5, 1)).await.0, StatusCode::OK);
    let mut load = tokio::task::JoinSet::new();
    for new in 6..40 {
        let my = my.clone();
        load.spawn(async move { (new, submit(&my, submission(5, new, 1)).await) });
    }
    let mut cosigned = Vec::new();
    while let Some(done) = load.join_next().await {
        let (new, (status, _, body)) = done.unwrap();
        match status {
            StatusCode::OK => cosigned.push(new as u64),
            other => assert_eq!(other, StatusCode::CONFLICT, "{body}"),
        }
    }
    let latest: i64 =
        sqlx::query_scalar("select max(size) from witnessed").fetch_one(&gateway.databases.owner).await.unwrap();
    assert_eq!(cosigned, [latest as u64], "one extends what all of them started from");
    assert_eq!(gateway.stop_and_verify().await, 2);
}

#[tokio::test]
async fn a_key_that_is_not_a_logs_is_named_when_the_gateway_starts() {
    let gateway = prepared().await;
    let file = gateway.folder.join("partners/my/trust/log.vkey");
    let key = format!("w.example+00000000+{}", BASE64_STANDARD.encode([4; 33]));
    std::fs::write(&file, key).unwrap();
    let faults = onechannel::partner::faults(&gateway.folder.join("partners/my"));
    assert!(faults.iter().any(|fault| fault.to_string().contains("trust/log.vkey")), "{faults:?}");
}
