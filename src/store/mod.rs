//! The only SQL. Rows stay private to their file; what comes out are types of the rooms below.
//!
//! Two databases: `channel` (what was said and the ledger) and `vault` (the keys). The gateway connects as a member of
//! `onechannel_app`, which may append to the ledger and not change it; `migrate` connects as the owner.
//! Knows no HTTP, no party and no schema: what follows from a message is decided by its callers.

pub mod access;
pub mod clocks;
pub mod deliveries;
mod effects;
pub mod erasures;
pub mod evidence;
pub mod journal;
pub mod ledger;
pub mod messages;
pub mod query;
pub mod requests;
pub mod vault_keys;
pub mod views;

use sqlx::{
    Connection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};
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
    /// The log takes no entries until its history is whole again.
    #[error("the log {log} is halted")]
    Halted {
        /// Its origin.
        log: String,
    },
    /// The list of erasures outside of the databases cannot be written: nothing is erased without it.
    #[error("the list of erasures cannot be written: {0}")]
    List(std::io::Error),
    /// An UPDATE touched another number of rows than it must.
    #[error("{statement} touched {rows} rows")]
    RowCount {
        /// Which statement.
        statement: &'static str,
        /// How many rows it touched.
        rows: u64,
    },
}

impl StoreFault {
    /// Whether what was asked is at fault (a row or a value), and not the server or the way to it.
    pub(crate) fn is_of_one_message(&self) -> bool {
        match self {
            Self::BadRow { .. } | Self::Halted { .. } => true,
            Self::Database(fault) => fault
                .as_database_error()
                .is_some_and(|error| error.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))),
            _ => false,
        }
    }
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

/// A connection that lay idle for longer is pinged before it is used: after a restart of the server no request meets a dead one.
const PING_AFTER: Duration = Duration::from_millis(500);

/// Opens a pool for reading: each statement is planned for its own parameters.
///
/// # Errors
/// [`StoreFault::Database`] where the address is malformed. The server itself need not be up.
pub fn pool(url: &str, connections_max: u32) -> Result<PgPool, StoreFault> {
    open(url, connections_max, &[("plan_cache_mode", "force_custom_plan"), ("jit", "off")])
}

/// Opens a pool for the journal, whose statements find every row by an index: they are planned once a connection, and never
/// for a sequential scan, which a plan made while a table was empty would keep for ever after.
///
/// # Errors
/// As [`pool`].
pub fn journal_pool(url: &str, connections_max: u32) -> Result<PgPool, StoreFault> {
    open(url, connections_max, &[("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("jit", "off")])
}

fn open(url: &str, connections_max: u32, settings: &[(&str, &str)]) -> Result<PgPool, StoreFault> {
    let options = PgConnectOptions::from_str(url)?.application_name("onechannel").options(settings.iter().copied());
    let pool = PgPoolOptions::new().max_connections(connections_max).acquire_timeout(ACQUIRE_WITHIN);
    let pool = pool.test_before_acquire(false).before_acquire(|connection, about| {
        Box::pin(async move {
            if about.idle_for > PING_AFTER {
                connection.ping().await?;
            }
            Ok(true)
        })
    });
    Ok(pool.connect_lazy_with(options))
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

/// Drops databases that [`create_databases`] made, whoever is connected.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn drop_databases(url: &str, names: &[String]) -> Result<(), StoreFault> {
    let pool = pool(url, 1)?;
    for name in names {
        let statement = sqlx::AssertSqlSafe(format!("drop database \"{}\" with (force)", name.replace('"', "")));
        sqlx::query(statement).execute(&pool).await?;
    }
    Ok(())
}
