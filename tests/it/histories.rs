//! Random histories through the database: whatever the order and the batches, the same people, placements and states.

use crate::support::{Databases, intent, journal, names, verify_all};
use onechannel::{
    domain::facts::{Effect, FactKind, Reach},
    store::journal::{Intent, Outcome},
};
use proptest::{
    prelude::{Just, Strategy, any},
    strategy::ValueTree,
    test_runner::TestRunner,
};

const REACHES: [Reach; 3] = [Reach::Placement, Reach::Worker, Reach::Person];
const FACTS: [(FactKind, &str); 6] = [
    (FactKind::Registered, "REGISTERED"),
    (FactKind::Submission, "SUBMITTED"),
    (FactKind::Entry, "ARRIVED"),
    (FactKind::Permit, "ISSUED"),
    (FactKind::Return, "END_OF_CONTRACT"),
    (FactKind::Death, "DECEASED"),
];

/// Message `n` of a history; the rest says what it is about.
fn message(n: usize, (fact, hour, links, word, target): (usize, i64, Vec<(usize, u8)>, u8, usize)) -> Intent {
    let mut one = intent("xa", &format!("m-{n}"), format!("bytes {n}").as_bytes());
    let tag = |n: usize| intent("xa", &format!("m-{n}"), b"").tag;
    let (kind, value) = FACTS[fact];
    one.asserted_at += time::Duration::hours(hour);
    one.effects = vec![Effect::Status { kind, value: value.into(), at: None, owner: true, case: None }];
    one.outcome = if word < 2 { Outcome::Held } else { Outcome::Applied };
    let own = one.links.as_mut().unwrap();
    own.identifies = kind == FactKind::Registered;
    own.links =
        links.into_iter().map(|(reach, value)| names(REACHES[reach], [(reach as u8 + 1) * 16 + value; 16])).collect();
    match word {
        7 => one.effects = vec![Effect::Invalidate { target: tag(target) }],
        8 | 9 => one.effects = vec![Effect::Approve { target: tag(target), officer: [word; 16] }],
        _ => {}
    }
    if word > 6 {
        let own = one.links.as_mut().unwrap();
        (own.links, own.identifies) = (Vec::new(), false);
    }
    one
}

fn histories() -> impl Strategy<Value = Vec<Intent>> {
    let links = proptest::collection::vec((0..3usize, 0..3u8), 0..3);
    let one = (0..FACTS.len(), 0..60i64, links, 0..10u8, 0..14usize);
    proptest::collection::vec(one, 4..14)
        .prop_map(|all| all.into_iter().enumerate().map(|(n, one)| message(n, one)).collect())
}

/// What is told of each placement: its axes, exceptions and the messages filed with it; and which belong to one worker.
type Told = Vec<(String, String, bool, Vec<String>, Vec<String>)>;

async fn told(databases: &Databases) -> (Told, Vec<Vec<String>>) {
    type Row = (uuid::Uuid, Option<uuid::Uuid>, String, String, bool, Vec<String>);
    let rows: Vec<Row> = sqlx::query_as(
        "select id, worker, stage, stay, provisional, exceptions from subjects where kind = 'placement' and merged_into is null",
    )
    .fetch_all(&databases.owner)
    .await
    .unwrap();
    let filed: Vec<(Option<uuid::Uuid>, Vec<u8>)> =
        sqlx::query_as("select subject, tag from messages").fetch_all(&databases.owner).await.unwrap();
    let of = |id: uuid::Uuid| {
        let own = filed.iter().filter(|(subject, _)| *subject == Some(id));
        let mut tags: Vec<String> = own.map(|(_, tag)| hex::encode(tag)).collect();
        tags.sort();
        tags
    };
    let mut workers: std::collections::BTreeMap<Option<uuid::Uuid>, Vec<String>> = std::collections::BTreeMap::new();
    for (id, worker, ..) in &rows {
        workers.entry(*worker).or_default().push(of(*id).concat());
    }
    let mut told: Told = rows
        .into_iter()
        .map(|(id, _, stage, stay, provisional, mut exceptions)| {
            exceptions.sort();
            (stage, stay, provisional, exceptions, of(id))
        })
        .collect();
    told.sort();
    let mut workers: Vec<Vec<String>> = workers
        .into_values()
        .map(|mut all| {
            all.sort();
            all
        })
        .collect();
    workers.sort();
    (told, workers)
}

#[tokio::test]
async fn any_history_in_any_order_and_batches_tells_of_the_same_people() {
    let runner = &mut TestRunner::deterministic();
    for _ in 0..12 {
        let strategy = histories().prop_flat_map(|all| {
            let cuts = proptest::collection::vec(1..4usize, 14);
            (Just(all.clone()), Just(all).prop_shuffle(), cuts, any::<bool>())
        });
        let (written, shuffled, cuts, twice) = strategy.new_tree(runner).unwrap().current();
        let at_once = Databases::fresh().await;
        journal(&at_once).store(&written).await.unwrap();
        let in_parts = Databases::fresh().await;
        let parts = journal(&in_parts);
        let mut rest = shuffled.as_slice();
        for cut in cuts {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            if !now.is_empty() {
                parts.store(now).await.unwrap();
            }
            rest = later;
        }
        if twice {
            parts.store(&shuffled).await.unwrap();
        }
        let says = |all: &[Intent]| -> Vec<String> {
            let one = |i: &Intent| {
                format!(
                    "{} {:?} {:?} {:?}",
                    hex::encode(i.tag),
                    i.outcome,
                    i.effects,
                    i.links.as_ref().map(|l| &l.links)
                )
            };
            all.iter().map(one).collect()
        };
        assert_eq!(told(&at_once).await, told(&in_parts).await, "{:#?}", says(&shuffled));
        assert_eq!(verify_all(&in_parts).await, written.len() as u64);
    }
}
