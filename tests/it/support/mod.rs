//! The private server that all tests of this process share, and fresh databases on it.

use onechannel::{
    app::system::SystemRandom,
    domain::clock::Random,
    sandbox::postgres::{Durability, PrivatePostgres},
    store,
};
use sqlx::{Connection, PgConnection, PgPool};
use std::sync::OnceLock;

fn server() -> &'static PrivatePostgres {
    static SERVER: OnceLock<PrivatePostgres> = OnceLock::new();
    SERVER.get_or_init(|| PrivatePostgres::start(Durability::None, None, &SystemRandom).unwrap())
}

/// Two migrated databases; the pools connect as the gateway's role, which may only do what the gateway may.
pub(crate) struct Databases {
    pub(crate) channel: PgPool,
    pub(crate) vault: PgPool,
    pub(crate) owner: PgPool,
}

impl Databases {
    pub(crate) async fn fresh() -> Self {
        let mut word = [0; 6];
        SystemRandom.fill(&mut word);
        let word = word.map(|byte| format!("{byte:02x}")).concat();
        let names = [format!("channel_{word}"), format!("vault_{word}")];
        let mut admin = PgConnection::connect(&server().url("postgres")).await.unwrap();
        for name in &names {
            let statement = sqlx::AssertSqlSafe(format!("create database {name}"));
            sqlx::query(statement).execute(&mut admin).await.unwrap();
        }
        let [channel, vault] = names.map(|name| server().url(&name));
        let owner = store::pool(&channel, 2).unwrap();
        store::migrate(&owner, &store::pool(&vault, 2).unwrap()).await.unwrap();
        let as_app = |url: &str| store::pool(&format!("{url}?options[role]=onechannel_app"), 8).unwrap();
        Self { channel: as_app(&channel), vault: as_app(&vault), owner }
    }
}
