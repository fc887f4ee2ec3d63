//! What the gateway saw of partners' logs: compared, remembered and made a leaf of the corridor's log in one transaction, so that no
//! two submissions can take the state back.

use super::Journal;
use crate::{
    domain::clock::uuid_v7,
    ledger::{
        cosignature::Cosigner,
        entry::{Entry, EntryKind},
        note::VerifierKey,
        tree::Hash,
        witness::{Submission, WitnessFault},
    },
    store::{StoreFault, ledger},
    vault::commitment,
};
use sqlx::PgConnection;

/// The namespace of the locks under which the state of one log is looked at and kept.
const LOCKS: i32 = 8;

/// A submission and whose log it is of.
#[derive(Debug)]
pub struct Witnessing<'a> {
    /// The partner whose log it is.
    pub party: &'a str,
    /// The log's keys.
    pub keys: &'a [VerifierKey],
    /// What was submitted.
    pub submission: &'a Submission,
    /// Digest of the policy document in force.
    pub policy: [u8; 32],
    /// The corridor's assurance.
    pub assurance: &'a str,
}

impl Journal {
    /// Cosigns a checkpoint of a partner's log if it extends the one cosigned last; gives the signature lines.
    ///
    /// # Errors
    /// [`StoreFault`]: nothing was kept and nothing may be answered. The inner fault is for the submitter.
    pub async fn witness(
        &self,
        cosigner: &Cosigner,
        one: &Witnessing<'_>,
    ) -> Result<Result<String, WitnessFault>, StoreFault> {
        let mut transaction = self.writing.begin().await?;
        let origin = match one.submission.origin() {
            Ok(origin) => origin,
            Err(fault) => return Ok(Err(fault)),
        };
        sqlx::query!("select pg_advisory_xact_lock($1, hashtext($2))", LOCKS, origin)
            .fetch_one(&mut *transaction)
            .await?;
        let latest = latest(&mut transaction, origin).await?;
        let signed = match one.submission.judge(one.keys, latest) {
            Ok(signed) => signed,
            Err(fault) => {
                self.alarm(&mut transaction, one, &fault).await?;
                transaction.commit().await?;
                return Ok(Err(fault));
            }
        };
        let now = self.clock.now();
        let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
        let line = cosigner.cosign(&signed.checkpoint, seconds);
        let size = signed.checkpoint.size;
        if latest.is_none_or(|(known, _)| known < size) {
            let note = signed.note + &line;
            let id = uuid_v7(&*self.clock, &*self.random);
            let mut opening = [0; 32];
            self.random.fill(&mut opening);
            let entry = Entry {
                kind: EntryKind::Witnessed,
                time: now,
                id,
                outcome: "cosigned".to_owned(),
                policy: one.policy,
                assurance: one.assurance.to_owned(),
                commitment: commitment(&opening, note.as_bytes()),
            };
            let log = self.log(one.party);
            let appended = ledger::append(&mut transaction, &log, &[entry.encode()], self.signer(&log)?, now).await?;
            sqlx::query!(
                "insert into witnessed (origin, size, party, root, note, opening, log, leaf, at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                origin,
                size as i64,
                one.party,
                &signed.checkpoint.root[..],
                note,
                &opening[..],
                log,
                appended.first as i64,
                now
            )
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        // Durable from here: the cosignature may leave. If we die before answering, the log submits again and gets another.
        Ok(Ok(line))
    }

    /// Keeps what a log signed against itself.
    async fn alarm(
        &self,
        connection: &mut PgConnection,
        one: &Witnessing<'_>,
        fault: &WitnessFault,
    ) -> Result<(), StoreFault> {
        let fault = match fault {
            WitnessFault::Inconsistent => "inconsistent",
            WitnessFault::Fork { .. } => "fork",
            WitnessFault::Malformed
            | WitnessFault::UnknownLog
            | WitnessFault::NotTheLog
            | WitnessFault::Conflict { .. } => {
                return Ok(());
            }
        };
        let origin = one.submission.origin().unwrap_or_default();
        tracing::error!(party = one.party, origin, fault, "a partner's log signed what does not extend its history");
        sqlx::query!(
            "insert into witness_alarms (id, origin, party, fault, submission, at) values ($1, $2, $3, $4, $5, $6)",
            uuid_v7(&*self.clock, &*self.random),
            origin,
            one.party,
            fault,
            one.submission.to_text(),
            self.clock.now()
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

async fn latest(connection: &mut PgConnection, origin: &str) -> Result<Option<(u64, Hash)>, StoreFault> {
    let row = sqlx::query!("select size, root from witnessed where origin = $1 order by size desc limit 1", origin);
    let Some(row) = row.fetch_optional(connection).await? else { return Ok(None) };
    let bad = |column| StoreFault::BadRow { table: "witnessed", column, row: origin.to_owned() };
    let size = u64::try_from(row.size).map_err(|_| bad("size"))?;
    Ok(Some((size, row.root.try_into().map_err(|_| bad("root"))?)))
}
