//! What officers did, on record: an act is committed with what follows from it, its leaf follows in the next batch, like a look-up's.
//! So an act never waits for a log that is halted, and is never lost by a crash between the two.

use super::{DOMESTIC, Journal};
use crate::{
    domain::clock::uuid_v7,
    ledger::{
        entry::{Entry, EntryKind},
        receipt::Receipt,
    },
    store::{
        StoreFault, ledger,
        vault_keys::{self, KeyOwner},
    },
    vault::commitment,
};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// An act in one log.
#[derive(Debug, Clone)]
pub struct Act {
    /// Our id of it and of its entry.
    pub id: Uuid,
    /// Last part of the origin of the log in which it is to stand.
    pub corridor: String,
    /// A word for it.
    pub outcome: String,
    /// What the entry commits to.
    pub statement: String,
    /// Digest of the policy document in force.
    pub policy: [u8; 32],
    /// The corridor's assurance, `domestic` in the domestic log.
    pub assurance: String,
}

/// Whose key opens the entry of an act.
pub(super) fn owner(act: Uuid) -> KeyOwner {
    KeyOwner::new(vec![act], "officer-act")
}

impl Act {
    pub(super) async fn insert(&self, connection: &mut PgConnection, now: OffsetDateTime) -> Result<(), StoreFault> {
        sqlx::query!(
            "insert into acts (id, corridor, outcome, statement, policy, assurance, at) values ($1, $2, $3, $4, $5, $6, $7)",
            self.id,
            self.corridor,
            self.outcome,
            self.statement,
            &self.policy[..],
            self.assurance,
            now
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl Journal {
    /// Records acts and gives them their leaves.
    ///
    /// # Errors
    /// [`StoreFault`]; what was recorded gets its leaf later.
    pub async fn act(&self, acts: &[Act]) -> Result<(), StoreFault> {
        let mut transaction = self.writing.begin().await?;
        for act in acts {
            act.insert(&mut transaction, self.clock.now()).await?;
        }
        transaction.commit().await?;
        self.log_acts().await.map(drop)
    }

    /// Gives every act that has none yet its leaf, but in a log that is halted; gives their number.
    ///
    /// # Errors
    /// [`StoreFault`]; they are taken up at the next call.
    pub async fn log_acts(&self) -> Result<usize, StoreFault> {
        let now = self.clock.now();
        let mut transaction = self.writing.begin().await?;
        let rows = sqlx::query!(
            "select id, corridor, outcome, statement, policy, assurance from acts where leaf is null
               and not exists (select from heads h where h.log = $1 || acts.corridor and h.halted is not null)
             order by at, id limit 256 for update skip locked",
            self.log("")
        )
        .fetch_all(&mut *transaction)
        .await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let owners: Vec<KeyOwner> = rows.iter().map(|row| owner(row.id)).collect();
        let keys = vault_keys::ensure(&self.vault, &self.kek, &owners, |_| true, &*self.clock, &*self.random).await?;
        let mut by_corridor: BTreeMap<&str, Vec<(Uuid, String)>> = BTreeMap::new();
        for row in &rows {
            let bad = || StoreFault::BadRow { table: "acts", column: "policy", row: row.id.to_string() };
            let entry = Entry {
                kind: EntryKind::Officer,
                time: now,
                id: row.id,
                outcome: row.outcome.clone(),
                policy: row.policy.as_slice().try_into().map_err(|_| bad())?,
                assurance: row.assurance.clone(),
                commitment: commitment(&keys[&owner(row.id)].opening(row.id), row.statement.as_bytes()),
            };
            by_corridor.entry(&row.corridor).or_default().push((row.id, entry.encode()));
        }
        // The heads' locks come last and in one order for all instances.
        for (corridor, entries) in by_corridor {
            let log = self.log(corridor);
            let (ids, lines): (Vec<Uuid>, Vec<String>) = entries.into_iter().unzip();
            let appended = ledger::append(&mut transaction, &log, &lines, self.signer(&log)?, now).await?;
            sqlx::query!(
                "update acts a set leaf = $2 + t.n - 1 from unnest($1::uuid[]) with ordinality as t (id, n) where a.id = t.id",
                &ids,
                appended.first as i64
            )
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(rows.len())
    }

    /// Appends an officer's act to the domestic log; gives its receipt, which opens on the statement.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub async fn log_act(&self, outcome: &str, statement: &[u8], policy: [u8; 32]) -> Result<Box<Receipt>, StoreFault> {
        let now: OffsetDateTime = self.clock.now();
        let id = uuid_v7(&*self.clock, &*self.random);
        let owner = owner(id);
        let keys = vault_keys::ensure(
            &self.vault,
            &self.kek,
            std::slice::from_ref(&owner),
            |_| true,
            &*self.clock,
            &*self.random,
        )
        .await?;
        let opening = keys[&owner].opening(id);
        let entry = Entry {
            kind: EntryKind::Officer,
            time: now,
            id,
            outcome: outcome.to_owned(),
            policy,
            assurance: "domestic".to_owned(),
            commitment: commitment(&opening, statement),
        };
        let log = self.log(DOMESTIC);
        let mut transaction = self.writing.begin().await?;
        let appended = ledger::append(&mut transaction, &log, &[entry.encode()], self.signer(&log)?, now).await?;
        transaction.commit().await?;
        let path = appended.commit.inclusion(appended.first).unwrap_or_default();
        let at = (appended.first, path.as_slice());
        Ok(Box::new(Receipt::new(id, DOMESTIC, &entry, at, &appended.note, Some(opening))))
    }
}
