//! A follower of `/api/v1/changes` sees every change, whoever commits last.

use crate::support::{Databases, intent, journal};
use onechannel::store::query;
use uuid::Uuid;

async fn after(databases: &Databases, cursor: i64) -> (Vec<Uuid>, i64) {
    let rows = query::changes(&databases.channel, cursor, 10).await.unwrap();
    let next = rows.last().map_or(cursor, |(number, _)| *number);
    (rows.into_iter().map(|(_, id)| id).collect(), next)
}

async fn placement_of(databases: &Databases, message: Uuid) -> Uuid {
    sqlx::query_scalar("select subject from messages where id = $1")
        .bind(message)
        .fetch_one(&databases.owner)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_follower_misses_no_change_that_is_committed_after_one_that_began_later() {
    let databases = Databases::fresh().await;
    let (slow, fast) = (journal(&databases), journal(&databases));
    slow.store(&[intent("xa", "m-1", b"first")]).await.unwrap();
    fast.store(&[intent("xb", "m-2", b"second")]).await.unwrap();
    let (seen, cursor) = after(&databases, 0).await;
    assert_eq!(seen.len(), 2);
    // Whoever holds the head of a log lets a writer come as far as its leaves: its changes are written and not committed.
    let mut held = databases.owner.begin().await.unwrap();
    sqlx::query("select 1 from heads where log like '%/xa' for update").execute(&mut *held).await.unwrap();
    let late = intent("xa", "m-3", b"third");
    let of_late = late.id;
    let writing = tokio::spawn(async move { slow.store(&[late]).await.map(drop) });
    let waits =
        "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')";
    while !writing.is_finished() && !sqlx::query_scalar::<_, bool>(waits).fetch_one(&databases.owner).await.unwrap() {
        tokio::task::yield_now().await;
    }
    let early = intent("xb", "m-4", b"fourth");
    let of_early = early.id;
    fast.store(&[early]).await.unwrap();
    let (seen, cursor) = after(&databases, cursor).await;
    assert_eq!(seen, [placement_of(&databases, of_early).await]);
    held.rollback().await.unwrap();
    writing.await.unwrap().unwrap();
    let (seen, cursor) = after(&databases, cursor).await;
    assert_eq!(seen, [placement_of(&databases, of_late).await], "it was drawn before and committed after");
    assert_eq!(after(&databases, cursor).await, (vec![], cursor), "each once");
}
