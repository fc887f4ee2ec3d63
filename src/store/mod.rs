//! The only SQL. Rows stay private to their file; what comes out are types of the rooms below.
//!
//! Two databases: `channel` (what was said and the ledger) and `vault` (the keys). The gateway connects as a member of
//! `onechannel_app`, which may append to the ledger and not change it; `migrate` connects as the owner.
//! Knows no HTTP, no party and no schema: what follows from a message is decided by its callers.

pub mod access;
pub mod deliveries;
mod effects;
pub mod erasures;
pub mod journal;
pub mod ledger;
pub mod messages;
pub mod query;
pub mod vault_keys;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::{str::FromStr, time::Duration};

/// Migrations of the channel database.
pub static CHANNEL_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/channel");
/// Migrations of the vault database.
pub static VAULT_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/vault");

/// What the database could not do.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The database is away or the statement failed; nothing of the transaction holds.
    #[error("database: {}", plain(.0))]
    Database(#[from] sqlx::Error),
    /// Migrations do not apply.
    #[error("migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A stored value cannot be read; names table, column and row.
    #[error("stored value unreadable: {table}.{column} of {row}")]
    BadRow {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// Row id.
        row: String,
    },
    /// An UPDATE touched another number of rows than it must.
    #[error("{statement} touched {rows} rows")]
    RowCount {
        /// Which statement.
        statement: &'static str,
        /// How many rows it touched.
        rows: u64,
    },
}

fn plain(fault: &sqlx::Error) -> String {
    match fault {
        sqlx::Error::PoolTimedOut => {
            format!("no connection within {} s: is the server up at this address?", ACQUIRE_WITHIN.as_secs())
        }
        sqlx::Error::Configuration(cause) => {
            format!("the URL is not of the form postgres://user@host/database ({cause})")
        }
        other => other.to_string(),
    }
}

/// Longest wait for a connection: beyond it the database counts as away.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(3);

/// Opens a pool. A connection is pinged when it is taken: after a restart of the server no request meets a dead one.
///
/// # Errors
/// [`StoreFault::Database`] where the address is malformed. The server itself need not be up.
pub fn pool(url: &str, connections_max: u32) -> Result<PgPool, StoreFault> {
    // A plan kept from when a table was empty would read it whole for ever after: each batch is planned for its own arrays.
    let settings = [("plan_cache_mode", "force_custom_plan"), ("jit", "off")];
    let options = PgConnectOptions::from_str(url)?.application_name("onechannel").options(settings);
    Ok(PgPoolOptions::new().max_connections(connections_max).acquire_timeout(ACQUIRE_WITHIN).connect_lazy_with(options))
}

/// Brings both databases up to date; the caller connects as their owner.
///
/// # Errors
/// [`StoreFault::Migrate`], after which the schema is as it was.
pub async fn migrate(channel: &PgPool, vault: &PgPool) -> Result<(), StoreFault> {
    CHANNEL_MIGRATIONS.run(channel).await?;
    VAULT_MIGRATIONS.run(vault).await?;
    Ok(())
}

/// Creates databases on a server, as a role that may.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn create_databases(url: &str, names: &[String]) -> Result<(), StoreFault> {
    let pool = pool(url, 1)?;
    for name in names {
        // A name cannot be a parameter; these are ours, of letters, digits and underscores.
        let statement = sqlx::AssertSqlSafe(format!("create database \"{}\"", name.replace('"', "")));
        sqlx::query(statement).execute(&pool).await?;
    }
    Ok(())
}
