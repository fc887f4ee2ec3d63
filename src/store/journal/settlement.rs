//! Settlements and look-ups: the leaves that no message causes. Like messages they are written with their leaf in one
//! transaction, and the log heads are locked last.

use super::Journal;
use crate::{
    domain::clock::uuid_v7,
    ledger::entry::{Entry, EntryKind},
    store::{
        StoreFault, ledger,
        vault_keys::{self, KeyOwner},
    },
    vault::{Place, commitment},
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The party has it, and said so.
    Delivered,
    /// The party has it and will not take it.
    Refused,
    /// It waits for a person.
    Parked,
}

impl Verdict {
    /// The text form in rows and entries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Parked => "parked",
        }
    }
}

/// The end of one delivery.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Who was told.
    pub party: String,
    /// Its number in the party's mailbox.
    pub seq: i64,
    /// Proof of the lease; `None` for an acknowledgement, which needs none.
    pub lease: Option<Uuid>,
    /// How it ended.
    pub verdict: Verdict,
    /// A stable word for why.
    pub reason: Option<String>,
    /// What the party answered, as evidence.
    pub answer: Vec<u8>,
    /// Digest of the policy document in force.
    pub policy: [u8; 32],
    /// What the corridor's partner can prove at this moment.
    pub assurance: String,
}

/// A settled row and its leaf.
struct Settled<'s> {
    one: &'s Settlement,
    key: Uuid,
    line: String,
    sealed: Option<Vec<u8>>,
}

impl Journal {
    /// Settles deliveries; gives the number settled. A row whose lease was lost meanwhile is left to who holds it now, one whose log is
    /// halted waits on.
    ///
    /// # Errors
    /// [`StoreFault`], after which none is known to be settled: they will be tried again.
    pub async fn settle(&self, settlements: &[Settlement]) -> Result<usize, StoreFault> {
        let mut tried = 1;
        loop {
            match self.settle_once(settlements).await {
                Err(StoreFault::Database(fault)) if tried < super::TRIES && super::disturbed(&fault) => tried += 1,
                other => return other,
            }
        }
    }

    async fn settle_once(&self, settlements: &[Settlement]) -> Result<usize, StoreFault> {
        let now = self.clock.now();
        let mut transaction = self.writing.begin().await?;
        let column = |text: fn(&Settlement) -> String| settlements.iter().map(text).collect::<Vec<String>>();
        let seqs: Vec<i64> = settlements.iter().map(|one| one.seq).collect();
        let leases: Vec<Option<Uuid>> = settlements.iter().map(|one| one.lease).collect();
        let reasons: Vec<Option<String>> = settlements.iter().map(|one| one.reason.clone()).collect();
        // Locked in one order, so that two acknowledgements of the same rows do not wait for each other.
        sqlx::query!(
            "select d.seq from deliveries d join unnest($1::text[], $2::bigint[]) as t (party, seq) using (party, seq)
             order by d.party, d.seq for update of d",
            &column(|one| one.party.clone()),
            &seqs
        )
        .fetch_all(&mut *transaction)
        .await?;
        let rows = sqlx::query!(
            r#"update deliveries d set state = t.state, reason = t.reason, settled_at = $6, lease_token = null
               from unnest($1::text[], $2::bigint[], $3::uuid[], $4::text[], $5::text[]) with ordinality
                 as t (party, seq, lease, state, reason, n)
               where d.party = t.party and d.seq = t.seq and d.state = 'waiting' and (t.lease is null or d.lease_token = t.lease)
                 and not exists (select from messages m join heads h on h.log = m.log where m.id = d.message and h.halted is not null)
               returning t.n as "n!", d.message, (select m.key_id from messages m where m.id = d.message) as "key!",
                 (select m.log from messages m where m.id = d.message) as "log!""#,
            &column(|one| one.party.clone()),
            &seqs,
            &leases as &[Option<Uuid>],
            &column(|one| one.verdict.as_str().to_owned()),
            &reasons as &[Option<String>],
            now
        )
        .fetch_all(&mut *transaction)
        .await?;
        let key_ids: Vec<Uuid> = rows.iter().map(|row| row.key).collect();
        let keys = vault_keys::find(&self.vault, &self.kek, &key_ids).await?;
        let mut by_log: BTreeMap<String, Vec<Settled<'_>>> = BTreeMap::new();
        for row in &rows {
            let one = &settlements[(row.n - 1) as usize];
            let id = uuid_v7(&*self.clock, &*self.random);
            // After erasure there is no key: the leaf then commits under a secret that nobody has.
            let key = keys.get(&row.key);
            let opening = key.map_or_else(|| self.nonce(), |key| key.opening(id));
            let sealed = key.map(|key| {
                key.seal(
                    Place { column: "deliveries.answer", row: row.message, key: row.key },
                    &one.answer,
                    &*self.random,
                )
            });
            let entry = Entry {
                kind: EntryKind::Delivered,
                time: now,
                id,
                outcome: one.verdict.as_str().to_owned(),
                policy: one.policy,
                assurance: one.assurance.clone(),
                commitment: commitment(&opening, &one.answer),
            };
            let line = entry.encode();
            by_log.entry(row.log.clone()).or_default().push(Settled { one, key: row.key, line, sealed });
        }
        for (log, entries) in by_log {
            let signer = self.signer(&log)?;
            let lines: Vec<String> = entries.iter().map(|entry| entry.line.clone()).collect();
            let appended = ledger::append(&mut transaction, &log, &lines, signer, now).await?;
            let parties: Vec<String> = entries.iter().map(|entry| entry.one.party.clone()).collect();
            let seqs: Vec<i64> = entries.iter().map(|entry| entry.one.seq).collect();
            let keys: Vec<Uuid> = entries.iter().map(|entry| entry.key).collect();
            let answers: Vec<Option<Vec<u8>>> = entries.into_iter().map(|entry| entry.sealed).collect();
            sqlx::query!(
                "update deliveries d set answer = t.answer, key_id = t.key, log = $5, leaf = $6 + t.n - 1
                 from unnest($1::text[], $2::bigint[], $3::uuid[], $4::bytea[]) with ordinality as t (party, seq, key, answer, n)
                 where d.party = t.party and d.seq = t.seq",
                &parties,
                &seqs,
                &keys,
                &answers as &[Option<Vec<u8>>],
                log,
                appended.first as i64
            )
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        // Durable from here. If we die before it commits, the lease ends and the party is told again under the same id.
        Ok(rows.len())
    }

    /// Gives every look-up that has none yet its leaf in the domestic log; gives their number.
    ///
    /// # Errors
    /// [`StoreFault`]; they are taken up at the next call.
    pub async fn log_lookups(&self, policy: [u8; 32]) -> Result<usize, StoreFault> {
        let now = self.clock.now();
        let mut transaction = self.writing.begin().await?;
        let rows = sqlx::query!(
            "select id, officer, purpose, case_number, fields, subjects, at from lookups where leaf is null
             order by at, id limit 256 for update skip locked"
        )
        .fetch_all(&mut *transaction)
        .await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let owner = |id: Uuid| KeyOwner::new(vec![id], "lookup");
        let owners: Vec<KeyOwner> = rows.iter().map(|row| owner(row.id)).collect();
        let keys = vault_keys::ensure(&self.vault, &self.kek, &owners, |_| true, &*self.clock, &*self.random).await?;
        let lines: Vec<String> = rows
            .iter()
            .map(|row| {
                let id = uuid_v7(&*self.clock, &*self.random);
                let statement = serde_json::json!({"officer": row.officer, "purpose": row.purpose, "case": row.case_number,
                    "fields": row.fields, "subjects": row.subjects, "at": row.at.unix_timestamp_nanos().to_string()});
                let opening = keys[&owner(row.id)].opening(id);
                Entry {
                    kind: EntryKind::Lookup,
                    time: now,
                    id,
                    outcome: "answered".to_owned(),
                    policy,
                    assurance: "domestic".to_owned(),
                    commitment: commitment(&opening, statement.to_string().as_bytes()),
                }
                .encode()
            })
            .collect();
        let log = self.log(super::DOMESTIC);
        let appended = ledger::append(&mut transaction, &log, &lines, self.signer(&log)?, now).await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        sqlx::query!(
            "update lookups l set leaf = $2 + t.n - 1 from unnest($1::uuid[]) with ordinality as t (id, n) where l.id = t.id",
            &ids,
            appended.first as i64
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(rows.len())
    }

    /// The signer of a log.
    ///
    /// # Errors
    /// [`StoreFault::BadRow`] for a log that is not one of ours.
    pub fn signer(&self, log: &str) -> Result<&crate::ledger::note::NoteSigner, StoreFault> {
        let name = log.rsplit('/').next().unwrap_or(log);
        self.signers.get(name).ok_or_else(|| StoreFault::BadRow { table: "heads", column: "log", row: log.to_owned() })
    }

    fn nonce(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes);
        bytes
    }
}
