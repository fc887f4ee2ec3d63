//! What officers did, on record: an act is committed with what follows from it, its leaf follows in the next batch, like a look-up's.
//! So an act never waits for a log that is halted, and is never lost by a crash between the two.

use super::Journal;
use crate::{
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
use sqlx::{PgConnection, Postgres, Transaction};
use std::collections::{BTreeMap, HashMap};
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

    fn entry(&self, opening: &[u8; 32], now: OffsetDateTime) -> Entry {
        Entry {
            kind: EntryKind::Officer,
            time: now,
            id: self.id,
            outcome: self.outcome.clone(),
            policy: self.policy,
            assurance: self.assurance.clone(),
            commitment: commitment(opening, self.statement.as_bytes()),
        }
    }
}

/// A transaction of the channel database in which an act and what follows from it are recorded together.
pub struct Recording<'j> {
    journal: &'j Journal,
    transaction: Transaction<'static, Postgres>,
}

impl Recording<'_> {
    /// What follows from the act is written by this.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Records the act, and gives it its leaf.
    ///
    /// # Errors
    /// [`StoreFault`]: nothing is recorded, or all of it and the leaf comes later.
    pub async fn commit(mut self, act: &Act) -> Result<(), StoreFault> {
        act.insert(&mut self.transaction, self.journal.clock.now()).await?;
        self.transaction.commit().await?;
        self.journal.log_acts().await.map(drop)
    }
}

impl Journal {
    /// Begins to record an act. What is dropped without [`Recording::commit`] leaves nothing.
    ///
    /// # Errors
    /// [`StoreFault::Database`].
    pub async fn recording(&self) -> Result<Recording<'_>, StoreFault> {
        Ok(Recording { journal: self, transaction: self.writing.begin().await? })
    }

    /// Records an act from which nothing in this database follows, and gives it its leaf.
    ///
    /// # Errors
    /// [`StoreFault`]; what was recorded gets its leaf later.
    pub async fn act(&self, act: &Act) -> Result<(), StoreFault> {
        self.recording().await?.commit(act).await
    }

    /// Records an act and its leaf together; gives the receipt, which opens on the statement.
    ///
    /// # Errors
    /// [`StoreFault`]: nothing is recorded, [`StoreFault::Halted`] where the log takes no entries.
    pub async fn act_with_receipt(&self, act: &Act) -> Result<Box<Receipt>, StoreFault> {
        let now = self.clock.now();
        let opening = self.openings([act.id]).await?[&act.id];
        let entry = act.entry(&opening, now);
        let mut transaction = self.writing.begin().await?;
        act.insert(&mut transaction, now).await?;
        let appended = self.leaves(&mut transaction, &act.corridor, &[act.id], &[entry.encode()], now).await?;
        transaction.commit().await?;
        let path = appended.commit.inclusion(appended.first).unwrap_or_default();
        let at = (appended.first, path.as_slice());
        Ok(Box::new(Receipt::new(act.id, &act.corridor, &entry, at, &appended.note, Some(opening))))
    }

    /// Gives every act that has none yet its leaf, but in a log that is halted or has no signer any more; gives their number.
    ///
    /// # Errors
    /// [`StoreFault`]; they are taken up at the next call.
    pub async fn log_acts(&self) -> Result<usize, StoreFault> {
        let now = self.clock.now();
        let mut transaction = self.writing.begin().await?;
        let rows = sqlx::query!(
            "select id, corridor, outcome, statement, policy, assurance from acts where leaf is null and corridor = any($2)
               and not exists (select from heads h where h.log = $1 || acts.corridor and h.halted is not null)
             order by at, id limit 256 for update skip locked",
            self.log(""),
            &self.signers.keys().cloned().collect::<Vec<_>>()
        )
        .fetch_all(&mut *transaction)
        .await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let openings = self.openings(rows.iter().map(|row| row.id)).await?;
        let mut by_corridor: BTreeMap<String, (Vec<Uuid>, Vec<String>)> = BTreeMap::new();
        let count = rows.len();
        for row in rows {
            let bad = |_| StoreFault::BadRow { table: "acts", column: "policy", row: row.id.to_string() };
            let policy = row.policy.as_slice().try_into().map_err(bad)?;
            let (id, corridor, outcome, statement) = (row.id, row.corridor, row.outcome, row.statement);
            let act = Act { id, corridor, outcome, statement, policy, assurance: row.assurance };
            let line = act.entry(&openings[&id], now).encode();
            let (ids, lines) = by_corridor.entry(act.corridor).or_default();
            ids.push(id);
            lines.push(line);
        }
        // The heads' locks come last and in one order for all instances.
        for (corridor, (ids, lines)) in &by_corridor {
            self.leaves(&mut transaction, corridor, ids, lines, now).await?;
        }
        transaction.commit().await?;
        Ok(count)
    }

    /// The opening of each act's entry.
    async fn openings(&self, acts: impl IntoIterator<Item = Uuid>) -> Result<HashMap<Uuid, [u8; 32]>, StoreFault> {
        let owners: HashMap<Uuid, KeyOwner> = acts.into_iter().map(|id| (id, owner(id))).collect();
        let all: Vec<KeyOwner> = owners.values().cloned().collect();
        let keys = vault_keys::ensure(&self.vault, &self.kek, &all, |_| true, &*self.clock, &*self.random).await?;
        Ok(owners.into_iter().map(|(id, owner)| (id, keys[&owner].opening(id))).collect())
    }

    async fn leaves(
        &self,
        transaction: &mut PgConnection,
        corridor: &str,
        ids: &[Uuid],
        lines: &[String],
        now: OffsetDateTime,
    ) -> Result<ledger::Appended, StoreFault> {
        let log = self.log(corridor);
        let appended = ledger::append(transaction, &log, lines, self.signer(&log)?, now).await?;
        sqlx::query!(
            "update acts a set leaf = $2 + t.n - 1 from unnest($1::uuid[]) with ordinality as t (id, n) where a.id = t.id",
            ids,
            appended.first as i64
        )
        .execute(&mut *transaction)
        .await?;
        Ok(appended)
    }
}
