//! The private server itself: it recovers from a crash, and leaves neither a process nor a folder.

use onechannel::{
    app::system::SystemRandom,
    sandbox::postgres::{Durability, PrivatePostgres},
};
use sqlx::{Connection, PgConnection};

#[tokio::test]
async fn what_was_committed_survives_a_crash_and_nothing_stays_behind() {
    let mut server = PrivatePostgres::start(Durability::Default, None, &SystemRandom).unwrap();
    let url = server.url("postgres");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("create table kept (n int)").execute(&mut connection).await.unwrap();
    sqlx::query("insert into kept values (7)").execute(&mut connection).await.unwrap();
    server.crash().unwrap();
    assert!(PgConnection::connect(&url).await.is_err());
    server.resume().unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let kept: i32 = sqlx::query_scalar("select n from kept").fetch_one(&mut connection).await.unwrap();
    assert_eq!(kept, 7);
    let (pid, psql) = (server.pid().unwrap(), server.program("psql"));
    assert!(psql.exists());
    drop(server);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}
