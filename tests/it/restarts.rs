//! The gateway and its database end in the middle of a load: what was answered is there, once, and proven.

use crate::support::{
    Databases,
    gateway::{Process, TestGateway, event},
    until,
};
use http::StatusCode;
use onechannel::{
    app::system::SystemRandom,
    sandbox::{
        postgres::{Durability, PrivatePostgres},
        system::System,
    },
};
use serde_json::Value;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::task::JoinSet;

type Answered = Arc<Mutex<Vec<(Value, Value)>>>;

/// Sends until told to stop; keeps every message that was answered, with its receipt.
fn load(system: &Arc<System>, stop: &Arc<AtomicBool>, away: &Arc<AtomicUsize>) -> (JoinSet<()>, Answered) {
    let answered: Answered = Arc::default();
    let mut senders = JoinSet::new();
    for _ in 0..8 {
        let (system, stop, away, answered) = (system.clone(), stop.clone(), away.clone(), answered.clone());
        senders.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let message = event("movement.arrived.v1", "P-IMM", |_| ());
                match system.send(&message).await {
                    Ok(reply) if reply.status == StatusCode::CREATED => {
                        answered.lock().unwrap().push((message, reply.body["receipt"].clone()));
                    }
                    Ok(reply) => {
                        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.body);
                        away.fetch_add(1, Ordering::Relaxed);
                        tokio::task::yield_now().await;
                    }
                    Err(_) => {
                        away.fetch_add(1, Ordering::Relaxed);
                        tokio::task::yield_now().await;
                    }
                }
            }
        });
    }
    (senders, answered)
}

/// Every answered message, sent again, gets its first receipt.
async fn all_are_there(system: &System, answered: &Answered) -> usize {
    let answered = answered.lock().unwrap().clone();
    for (message, receipt) in &answered {
        let again = system.send(message).await.unwrap();
        assert_eq!((again.status, &again.body["receipt"]), (StatusCode::OK, receipt));
    }
    answered.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_stopped_under_load_and_comes_back() {
    let mut server = PrivatePostgres::start(Durability::None, None, &SystemRandom).unwrap();
    let mut gateway = TestGateway::prepare(Databases::on(&server).await).await;
    gateway.serve().await;
    let my = Arc::new(gateway.system("my-gateway"));
    let (stop, away) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (mut senders, answered) = load(&my, &stop, &away);
    until(async || answered.lock().unwrap().len() > 50).await;
    server.halt().unwrap();
    until(async || away.load(Ordering::Relaxed) > 0).await;
    server.resume().unwrap();
    let before = answered.lock().unwrap().len();
    until(async || answered.lock().unwrap().len() > before + 50).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(done) = senders.join_next().await {
        done.unwrap();
    }
    let count = all_are_there(&my, &answered).await;
    assert!(gateway.stop_and_verify().await >= count as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_is_killed_under_load_and_starts_again() {
    let mut gateway = TestGateway::prepare(Databases::fresh().await).await;
    let my = Arc::new(gateway.system("my-gateway"));
    let (stop, away) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut process = Process::serve(&gateway);
    let (mut senders, answered) = load(&my, &stop, &away);
    until(async || answered.lock().unwrap().len() > 50).await;
    process.kill();
    let before = answered.lock().unwrap().len();
    process = Process::serve(&gateway);
    until(async || answered.lock().unwrap().len() > before + 50).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(done) = senders.join_next().await {
        done.unwrap();
    }
    let count = all_are_there(&my, &answered).await;
    drop(process);
    assert!(gateway.stop_and_verify().await >= count as u64);
}
