//! The journal against a real PostgreSQL: durable answers, one copy, one state from any order, a ledger that verifies.

use crate::support::{Databases, deliveries, intent, journal, names, stage, verify_all};
use onechannel::{
    app::system::SystemRandom,
    domain::facts::{Effect, FactKind, Reach},
    sandbox::postgres::{Durability, PrivatePostgres},
    store::{
        access::Spend,
        journal::{Answer, Journal, JournalHandle, Outcome},
    },
};
use proptest::prelude::{Strategy, any};
use std::sync::Arc;
use time::OffsetDateTime;

fn status(kind: FactKind, value: &str) -> Effect {
    Effect::Status { kind, value: value.into(), at: None, owner: true, case: None }
}

fn receipt(answer: &Answer) -> (u64, String, bool) {
    match answer {
        Answer::Stored { receipt, repeat, .. } => (receipt.index, serde_json::to_string(receipt).unwrap(), *repeat),
        Answer::Conflict | Answer::Replayed | Answer::Barred(_) => panic!("not stored: {answer:?}"),
    }
}

#[tokio::test]
async fn a_repeat_gets_the_same_receipt_other_bytes_conflict_and_a_nonce_serves_once() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let first = intent("xa", "m-1", b"first bytes");
    let mut other = intent("xa", "m-1", b"other bytes");
    other.id = uuid::Uuid::from_u128(77);
    let batch = [first.clone(), other, intent("xa", "m-2", b"second"), first.clone()];
    let answers = journal.store(&batch).await.unwrap();
    assert!(matches!(answers[1], Answer::Conflict));
    let (index, text, repeat) = receipt(&answers[0]);
    assert_eq!((index, repeat), (0, false));
    assert_eq!(receipt(&answers[2]).0, 1);
    assert_eq!(receipt(&answers[3]), (0, text.clone(), true));
    journal.store(&[intent("xa", "m-3", b"third")]).await.unwrap();
    let later = journal.store(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(receipt(&later[0]), (0, text, true), "rebuilt from the database, byte for byte");

    let nonce = Spend { scope: "key-1".into(), value: "n".into(), expires_at: OffsetDateTime::UNIX_EPOCH };
    let mut fresh = intent("xa", "m-4", b"fourth");
    fresh.spends = vec![nonce.clone()];
    let mut replayed = intent("xa", "m-5", b"fifth");
    replayed.spends = vec![nonce];
    let answers = journal.store(&[fresh, replayed.clone()]).await.unwrap();
    assert!(matches!(answers[..], [Answer::Stored { .. }, Answer::Replayed]));
    assert!(matches!(journal.store(&[replayed]).await.unwrap()[..], [Answer::Replayed]));
    assert_eq!(verify_all(&databases).await, 4);
}

#[tokio::test]
async fn a_receipt_verifies_without_the_database_and_opens_on_the_exact_bytes() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let answers = journal.store(&[intent("xa", "m-1", b"exact")]).await.unwrap();
    let Answer::Stored { receipt, .. } = &answers[0] else { panic!("stored") };
    let keys = [journal.signers["xa"].verifier().clone()];
    assert_eq!(receipt.verify(&keys, Some(b"exact")).unwrap().bytes_match, Some(true));
    assert_eq!(receipt.verify(&keys, Some(b"exacT")).unwrap().bytes_match, Some(false));
    assert!(receipt.verify(&[journal.signers["xb"].verifier().clone()], None).is_err(), "another corridor's key");
}

/// A placement's messages: each with the fact it asserts, all naming the same passport, the last one registering it.
fn history() -> Vec<onechannel::store::journal::Intent> {
    let facts = [
        (FactKind::Registered, "REGISTERED"),
        (FactKind::Submission, "SUBMITTED"),
        (FactKind::Endorsement, "ENDORSED"),
        (FactKind::Visa, "ISSUED"),
        (FactKind::Exit, "DEPARTED"),
        (FactKind::Entry, "ARRIVED"),
        (FactKind::Permit, "ISSUED"),
    ];
    let message = |(n, (kind, value)): (usize, (FactKind, &str))| {
        let mut one = intent("xa", &format!("m-{n}"), format!("bytes {n}").as_bytes());
        one.asserted_at += time::Duration::hours(n as i64);
        one.effects = vec![status(kind, value)];
        let links = one.links.as_mut().unwrap();
        // A registration knows passport and reference; the partner's messages know one of them.
        let own = if n == 0 { vec![[1; 16], [2; 16]] } else { vec![[1 + (n % 2) as u8; 16]] };
        links.links = own.into_iter().map(|token| names(Reach::Worker, token)).collect();
        links.identifies = n == 0;
        one
    };
    facts.into_iter().enumerate().map(message).collect()
}

#[tokio::test]
async fn any_order_and_any_batches_end_in_one_placement_in_one_state() {
    let runner = &mut proptest::test_runner::TestRunner::deterministic();
    for _ in 0..12 {
        let order = proptest::strategy::Just(history()).prop_shuffle();
        let (order, split, repeats) = (order, 1..7usize, any::<bool>())
            .new_tree(runner)
            .map(|tree| proptest::strategy::ValueTree::current(&tree))
            .unwrap();
        let databases = Databases::fresh().await;
        let journal = journal(&databases);
        let (early, late) = order.split_at(split);
        journal.store(early).await.unwrap();
        journal.store(late).await.unwrap();
        if repeats {
            journal.store(&order).await.unwrap();
        }
        assert_eq!(
            stage(&databases).await,
            [("IN_SERVICE".to_owned(), false)],
            "order {:?}",
            order.iter().map(|i| i.id).collect::<Vec<_>>()
        );
        assert_eq!(deliveries(&databases, "home").await, (1..=7).collect::<Vec<i64>>(), "no gaps, each once");
        assert_eq!(verify_all(&databases).await, 7);
    }
}

/// Three that are not known to be one: two meet by a message that registers nobody, the third is the registered one.
#[tokio::test]
async fn provisional_subjects_that_meet_before_they_are_known_end_as_one() {
    let facts: [(FactKind, &str, &[u8], bool); 5] = [
        (FactKind::Entry, "ARRIVED", &[1], false),
        (FactKind::Permit, "ISSUED", &[2], false),
        (FactKind::Visa, "ISSUED", &[1, 2], false),
        (FactKind::Registered, "REGISTERED", &[3], true),
        (FactKind::Endorsement, "ENDORSED", &[3, 1], false),
    ];
    let message = |(n, (kind, value, tokens, identifies)): (usize, (FactKind, &str, &[u8], bool))| {
        let mut one = intent("xa", &format!("m-{n}"), format!("bytes {n}").as_bytes());
        one.effects = vec![status(kind, value)];
        let links = one.links.as_mut().unwrap();
        links.links = tokens.iter().map(|token| names(Reach::Worker, [*token; 16])).collect();
        links.identifies = identifies;
        one
    };
    let all: Vec<_> = facts.into_iter().enumerate().map(message).collect();
    let runner = &mut proptest::test_runner::TestRunner::deterministic();
    for shuffled in 0..10 {
        let order = proptest::strategy::Just(all.clone()).prop_shuffle().new_tree(runner).unwrap();
        let order = if shuffled == 0 { all.clone() } else { proptest::strategy::ValueTree::current(&order) };
        let databases = Databases::fresh().await;
        let journal = journal(&databases);
        for one in &order {
            journal.store(std::slice::from_ref(one)).await.unwrap();
        }
        let ids: Vec<String> = order.iter().map(|one| String::from_utf8_lossy(&one.bytes).into_owned()).collect();
        assert_eq!(stage(&databases).await, [("IN_SERVICE".to_owned(), false)], "{ids:?}");
        let chains: i64 = sqlx::query_scalar(
            "select count(*) from subjects a join subjects b on a.merged_into = b.id where b.merged_into is not null",
        )
        .fetch_one(&databases.owner)
        .await
        .unwrap();
        assert_eq!(chains, 0, "{ids:?}");
    }
}

#[tokio::test]
async fn an_id_that_was_issued_to_another_party_is_refused_and_recorded() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let mut first = intent("xa", "m-1", b"first");
    first.parties = vec!["xa".into(), "xb".into()];
    let answers = journal.store(&[first]).await.unwrap();
    let Answer::Stored { pairwise: Some(own), .. } = &answers[0] else { panic!("an id of its own") };
    let refers = |party: &str, id: &str| {
        let mut one = intent(party, id, b"refers");
        let links = one.links.as_mut().unwrap();
        (links.pairwise, links.links) = (Some(own.clone()), vec![]);
        one
    };
    let mut death = refers("xb", "m-3");
    (death.urgency, death.safety) = (0, true);
    let answers = journal.store(&[refers("xa", "m-2"), refers("xb", "m-2"), death]).await.unwrap();
    let outcome = |n: usize| match &answers[n] {
        Answer::Stored { outcome, .. } => *outcome,
        Answer::Conflict | Answer::Replayed | Answer::Barred(_) => panic!("stored"),
    };
    assert_eq!([outcome(0), outcome(1), outcome(2)], [Outcome::Applied, Outcome::Refused, Outcome::Held]);
    assert_eq!(verify_all(&databases).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_on_one_database_make_one_history() {
    let databases = Databases::fresh().await;
    let instances =
        [JournalHandle::start(Arc::new(journal(&databases))), JournalHandle::start(Arc::new(journal(&databases)))];
    let mut requests = tokio::task::JoinSet::new();
    for n in 0..200 {
        // Every message goes to both; half of them speak of one placement.
        for instance in &instances {
            let mut one = intent("xa", &format!("m-{n}"), format!("bytes {n}").as_bytes());
            if n % 2 == 0 {
                one.links.as_mut().unwrap().links = vec![names(Reach::Worker, [9; 16])];
            }
            let instance = instance.clone();
            requests.spawn(async move { (n, receipt(&instance.submit(one).await.unwrap()).1) });
        }
    }
    let mut receipts = std::collections::HashMap::new();
    while let Some(done) = requests.join_next().await {
        let (n, text) = done.unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let known = receipts.entry(n).or_insert_with(|| value["entry"].clone());
        assert_eq!(*known, value["entry"], "both instances give the same entry");
    }
    assert_eq!(verify_all(&databases).await, 200);
    assert_eq!(stage(&databases).await.len(), 101);
    assert_eq!(deliveries(&databases, "home").await, (1..=200).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_database_under_load_loses_no_answered_message() {
    let mut server = PrivatePostgres::start(Durability::Default, None, &SystemRandom).unwrap();
    let databases = Databases::on(&server).await;
    let handle = JournalHandle::start(Arc::new(journal(&databases)));
    let name = |n: usize| (format!("m-{n}"), format!("bytes {n}"));
    let (mut answered, mut failed) = (Vec::new(), 0);
    let mut load = tokio::task::JoinSet::new();
    for n in 0..600 {
        let handle = handle.clone();
        let (id, bytes) = name(n);
        load.spawn(async move { (n, handle.submit(intent("xa", &id, bytes.as_bytes())).await) });
        if n == 300 {
            // Some are answered, some wait, some are in flight.
            let (first, answer) = load.join_next().await.unwrap().unwrap();
            answered.push((first, receipt(&answer.unwrap()).1));
            server.crash().unwrap();
        }
    }
    while let Some(done) = load.join_next().await {
        match done.unwrap() {
            (n, Ok(answer)) => answered.push((n, receipt(&answer).1)),
            (_, Err(_)) => failed += 1,
        }
    }
    assert!(failed > 0, "the crash was felt");
    server.resume().unwrap();
    for (n, text) in &answered {
        let (id, bytes) = name(*n);
        let again = handle.submit(intent("xa", &id, bytes.as_bytes())).await.unwrap();
        let (_, known, repeat) = receipt(&again);
        assert_eq!((&known, repeat), (text, true), "an answered message is there, with the same receipt");
    }
    for n in 0..600 {
        let (id, bytes) = name(n);
        handle.submit(intent("xa", &id, bytes.as_bytes())).await.unwrap();
    }
    assert_eq!(verify_all(&databases).await, 600, "each once");
}

#[tokio::test]
async fn the_gateway_can_only_append_and_a_superuser_who_does_more_is_found() {
    let databases = Databases::fresh().await;
    let journal: Journal = journal(&databases);
    let batch: Vec<_> = (0..9).map(|n| intent("xa", &format!("m-{n}"), b"x")).collect();
    journal.store(&batch).await.unwrap();
    for statement in [
        "update entries set entry = 'x'",
        "delete from commits",
        "delete from heads",
        "truncate entries",
        "delete from messages",
    ] {
        assert!(sqlx::query(statement).execute(&databases.channel).await.is_err(), "{statement}");
    }
    assert_eq!(verify_all(&databases).await, 9);
    let keys = [journal.signers["xa"].verifier().clone()];
    let attacks = [
        ("update entries set entry = replace(entry, 'applied', 'refused') where idx = 4", "checkpoint 9"),
        ("delete from entries where idx = 4", "entry 4 is missing"),
        ("delete from entries where idx = 8", "the head is not"),
        ("update heads set size = 10", "the head is not"),
        ("update messages set leaf = 90 where leaf = 3", "1 messages have no leaf"),
    ];
    for (attack, named) in attacks {
        let mut superuser = databases.owner.begin().await.unwrap();
        sqlx::query("set session_replication_role = replica").execute(&mut *superuser).await.unwrap();
        sqlx::query("create table kept_entries as select * from entries").execute(&mut *superuser).await.unwrap();
        sqlx::query("create table kept_heads as select * from heads").execute(&mut *superuser).await.unwrap();
        sqlx::query(attack).execute(&mut *superuser).await.unwrap();
        superuser.commit().await.unwrap();
        let checked = onechannel::store::ledger::check(&databases.owner, &journal.log("xa"), &keys).await.unwrap();
        assert!(checked.faults.iter().any(|fault| fault.contains(named)), "{attack}: {:?}", checked.faults);
        let mut superuser = databases.owner.begin().await.unwrap();
        for mend in [
            "set session_replication_role = replica",
            "delete from entries",
            "insert into entries select * from kept_entries",
            "delete from heads",
            "insert into heads select * from kept_heads",
            "drop table kept_entries",
            "drop table kept_heads",
            "update messages set leaf = 3 where leaf = 90",
        ] {
            sqlx::query(mend).execute(&mut *superuser).await.unwrap();
        }
        superuser.commit().await.unwrap();
        assert_eq!(verify_all(&databases).await, 9);
    }
}

#[tokio::test]
async fn after_the_key_is_destroyed_the_log_verifies_and_nothing_opens() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let one = intent("xa", "m-1", b"about a person");
    journal.store(std::slice::from_ref(&one)).await.unwrap();
    let subject: uuid::Uuid =
        sqlx::query_scalar("select subject from messages").fetch_one(&databases.channel).await.unwrap();
    let destroyed = onechannel::store::vault_keys::destroy(&databases.vault, &[], &[subject]).await.unwrap();
    assert_eq!((destroyed.keys, destroyed.epoch), (1, Some(1)));
    let answers = journal.store(&[one]).await.unwrap();
    let Answer::Stored { receipt, repeat: true, .. } = &answers[0] else { panic!("a repeat") };
    assert_eq!(receipt.opening, None);
    assert!(receipt.verify(&[journal.signers["xa"].verifier().clone()], None).is_ok());
    assert_eq!(verify_all(&databases).await, 1);
}

#[tokio::test]
async fn withdrawals_that_come_before_their_message_withdraw_it_when_it_comes() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let mut arrived = intent("xa", "m-1", b"arrived");
    arrived.effects = vec![status(FactKind::Entry, "ARRIVED")];
    let withdraws = |id: &str| {
        let mut one = intent("xa", id, id.as_bytes());
        one.effects = vec![Effect::Invalidate { target: arrived.tag }];
        one.links.as_mut().unwrap().links = vec![];
        one
    };
    // Twice, by two messages of their own, in one batch and in another.
    journal.store(&[withdraws("x-1"), withdraws("x-2")]).await.unwrap();
    journal.store(&[withdraws("x-3")]).await.unwrap();
    assert_eq!(stage(&databases).await, [], "a withdrawal opens nothing");
    let mut permit = intent("xa", "m-2", b"permit");
    permit.effects = vec![status(FactKind::Permit, "ISSUED")];
    permit.links = arrived.links.clone();
    journal.store(&[permit, arrived]).await.unwrap();
    assert_eq!(stage(&databases).await, [("IN_SERVICE".to_owned(), true)]);
    let facts: i64 = sqlx::query_scalar("select count(*) from messages where subject is not null")
        .fetch_one(&databases.owner)
        .await
        .unwrap();
    assert_eq!(facts, 5, "each stands with the placement that it is about");
    assert_eq!(verify_all(&databases).await, 5);
}

/// Two workers flee one house: the case is one, they are two.
#[tokio::test]
async fn two_people_of_one_case_are_stored_together() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let about = |n: u8| {
        let mut one = intent("xa", &format!("m-{n}"), &[n]);
        let case = Some([9; 16]);
        one.effects = vec![Effect::Status { kind: FactKind::Case, value: "OPEN".into(), at: None, owner: true, case }];
        one.links.as_mut().unwrap().links =
            vec![names(Reach::Worker, [n; 16]), names(Reach::Person, [n + 100; 16]), names(Reach::Case, [9; 16])];
        one
    };
    let answers = journal.store(&[about(1), about(2)]).await.unwrap();
    assert!(answers.iter().all(|one| matches!(one, Answer::Stored { outcome: Outcome::Applied, .. })), "{answers:?}");
    assert_eq!(stage(&databases).await.len(), 2);
}

/// One transaction makes one person of two dossiers while another waits for the lock of the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_merged_while_a_message_waited_counts_with_it() {
    let databases = Databases::fresh().await;
    let journal = Arc::new(journal(&databases));
    let message = |n: u8, kind, value: &str, tokens: &[[u8; 16]]| {
        let mut one = intent("xa", &format!("m-{n}"), &[n]);
        one.effects = vec![status(kind, value)];
        let links = one.links.as_mut().unwrap();
        links.links = tokens.iter().map(|token| names(Reach::Worker, *token)).collect();
        links.identifies = n == 1;
        one
    };
    journal.store(&[message(1, FactKind::Registered, "REGISTERED", &[[1; 16]])]).await.unwrap();
    journal.store(&[message(2, FactKind::Permit, "ISSUED", &[[2; 16]])]).await.unwrap();
    // The one that stays is the one with the smaller id.
    let stays: Vec<u8> =
        sqlx::query_scalar("select token from link_keys where token = any($1) order by dossier limit 1")
            .bind([vec![1_u8; 16], vec![2_u8; 16]])
            .fetch_one(&databases.owner)
            .await
            .unwrap();
    let stays: [u8; 16] = stays.try_into().unwrap();
    let waiting = async |count: i64| {
        let rows =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(rows).fetch_one(&databases.owner).await.unwrap() < count {
            tokio::task::yield_now().await;
        }
    };
    let mut holds = databases.owner.begin().await.unwrap();
    sqlx::query("select id from dossiers order by id for update").fetch_all(&mut *holds).await.unwrap();
    let store = |one: onechannel::store::journal::Intent| {
        let journal = journal.clone();
        tokio::spawn(async move { journal.store(&[one]).await.map(|_| ()) })
    };
    let joins = store(message(3, FactKind::Visa, "ISSUED", &[[1; 16], [2; 16]]));
    waiting(1).await;
    let waits = store(message(4, FactKind::Entry, "ARRIVED", &[stays]));
    waiting(2).await;
    holds.commit().await.unwrap();
    joins.await.unwrap().unwrap();
    waits.await.unwrap().unwrap();
    assert_eq!(stage(&databases).await, [("IN_SERVICE".to_owned(), false)]);
    let lost: i64 = sqlx::query_scalar("select count(*) from messages where subject is null")
        .fetch_one(&databases.owner)
        .await
        .unwrap();
    assert_eq!(lost, 0);
}
