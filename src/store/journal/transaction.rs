//! One journal transaction, step by step. Nothing here has an effect outside the transaction but new keys in the vault,
//! which are harmless without it.

use super::{Answer, Intent, Journal, Outcome, plan::Plan, subjects::Subjects};
use crate::{
    domain::{clock::uuid_v7, facts::Effect},
    ledger::{
        entry::{Entry, EntryKind},
        receipt::Receipt,
        tree::Hash,
    },
    store::{
        StoreFault,
        access::Standing,
        effects,
        ledger::{self, Appended},
        vault_keys::{self, KeyOwner},
    },
    vault::{Place, SealingKey, commitment, opening},
};
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashMap, HashSet};
use time::OffsetDateTime;
use uuid::Uuid;

/// A message with this tag is already stored, or stands earlier in this batch.
struct Known {
    body_tag: Vec<u8>,
    at: KnownAt,
}

enum KnownAt {
    Stored(Uuid),
    Batch(usize),
}

pub(super) async fn run(journal: &Journal, intents: &[Intent]) -> Result<Vec<Answer>, StoreFault> {
    let now = journal.clock.now();
    let mut transaction = journal.writing.begin_with(begin(intents)).await?;
    let connection = &mut *transaction;
    let barred = barred(connection, intents).await?;
    let unspent = spend(connection, intents).await?;
    let mut known = find_known(connection, intents).await?;
    let mut subjects = Subjects::load(connection, intents).await?;
    let mut plans = Vec::with_capacity(intents.len());
    for (n, intent) in intents.iter().enumerate() {
        if let Some(standing) = barred.is(intent) {
            plans.push(Plan::Barred(standing));
            continue;
        }
        let plan = match known.get(&intent.tag) {
            _ if !intent.spends.iter().all(|one| unspent.contains(&(n, &one.scope, &one.value))) => Plan::Replayed,
            Some(known) if known.body_tag != intent.body_tag => Plan::Conflict,
            Some(Known { at: KnownAt::Stored(id), .. }) => Plan::Repeat(*id),
            Some(Known { at: KnownAt::Batch(first), .. }) => Plan::RepeatInBatch(*first),
            None => {
                known.insert(intent.tag, Known { body_tag: intent.body_tag.to_vec(), at: KnownAt::Batch(n) });
                subjects.file(journal, intent, now)
            }
        };
        plans.push(plan);
    }
    subjects.settle(journal, now);
    let subjects = subjects;
    let (keys, ()) =
        tokio::try_join!(ensure_keys(journal, intents, &plans, &subjects), subjects.write(connection, now))?;
    let sealing = Sealing { subjects: &subjects, keys };
    let logged = append(journal, connection, intents, &plans, &sealing, now).await?;
    insert_messages(journal, connection, intents, &plans, &sealing, &logged, now).await?;
    insert_due_time_stamps(journal, connection, intents, &logged).await?;
    insert_deliveries(connection, intents, &plans, now).await?;
    insert_decisions(connection, intents, &plans, now).await?;
    transaction.commit().await?;
    // Durable from here. If we die before answering, the sender repeats and gets this same receipt.
    answers(journal, intents, &plans, &logged, &subjects).await
}

/// A withdrawal may come before what it withdraws, and then shares nothing with it that could be locked: no transaction that may
/// bring the one runs beside one that brings the other.
fn begin(intents: &[Intent]) -> &'static str {
    let withdraws = |intent: &Intent| intent.effects.iter().any(|one| matches!(one, Effect::Invalidate { .. }));
    if intents.iter().any(withdraws) {
        "begin; select pg_advisory_xact_lock(7)"
    } else {
        "begin; select pg_advisory_xact_lock_shared(7)"
    }
}

/// Who may not act at this moment.
struct Barred(HashSet<String>);

impl Barred {
    fn is(&self, intent: &Intent) -> Option<Standing> {
        if self.0.contains(&intent.client) || self.0.contains(&intent.party) {
            return Some(Standing::Suspended);
        }
        intent.token.as_ref().filter(|jti| self.0.contains(*jti)).map(|_| Standing::TokenRevoked)
    }
}

async fn barred(connection: &mut PgConnection, intents: &[Intent]) -> Result<Barred, StoreFault> {
    let clients: Vec<String> = intents.iter().flat_map(|one| [one.client.clone(), one.party.clone()]).collect();
    let tokens: Vec<String> = intents.iter().filter_map(|one| one.token.clone()).collect();
    let rows = sqlx::query_scalar!(
        r#"select client as "name!" from client_states where suspended and client = any($1)
           union all select jti from revoked_tokens where jti = any($2)"#,
        &clients,
        &tokens
    )
    .fetch_all(connection)
    .await?;
    Ok(Barred(rows.into_iter().collect()))
}

/// Uses up nonces; gives those that this transaction was first to use, with the intent that used them.
async fn spend<'i>(
    connection: &mut PgConnection,
    intents: &'i [Intent],
) -> Result<HashSet<(usize, &'i String, &'i String)>, StoreFault> {
    let mut first = HashMap::new();
    for (n, intent) in intents.iter().enumerate() {
        for one in &intent.spends {
            first.entry((&one.scope, &one.value)).or_insert((n, one.expires_at));
        }
    }
    if first.is_empty() {
        return Ok(HashSet::new());
    }
    // In order, so that two instances cannot wait for each other.
    let mut all: Vec<_> = first.into_iter().collect();
    all.sort_unstable();
    let scopes: Vec<String> = all.iter().map(|((scope, _), _)| (*scope).clone()).collect();
    let values: Vec<String> = all.iter().map(|((_, value), _)| (*value).clone()).collect();
    let expiries: Vec<OffsetDateTime> = all.iter().map(|(_, (_, expires_at))| *expires_at).collect();
    let rows = sqlx::query!(
        "insert into spent (scope, value, expires_at) select * from unnest($1::text[], $2::text[], $3::timestamptz[])
         on conflict do nothing returning scope, value",
        &scopes,
        &values,
        &expiries
    )
    .fetch_all(connection)
    .await?;
    let fresh: HashSet<(String, String)> = rows.into_iter().map(|row| (row.scope, row.value)).collect();
    let is_fresh = |scope: &String, value: &String| fresh.contains(&(scope.clone(), value.clone()));
    Ok(all.iter().filter(|((s, v), _)| is_fresh(s, v)).map(|((s, v), (n, _))| (*n, *s, *v)).collect())
}

async fn find_known(connection: &mut PgConnection, intents: &[Intent]) -> Result<HashMap<[u8; 16], Known>, StoreFault> {
    let tags: Vec<Vec<u8>> = intents.iter().map(|intent| intent.tag.to_vec()).collect();
    let rows =
        sqlx::query!("select tag, body_tag, id from messages where tag = any($1)", &tags).fetch_all(connection).await?;
    let known = |row: &[u8]| <[u8; 16]>::try_from(row).ok();
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((known(&row.tag)?, Known { body_tag: row.body_tag, at: KnownAt::Stored(row.id) })))
        .collect())
}

/// Whose key seals a message: its subject's, or one of its own where it has none.
fn key_owner(intent: &Intent, subjects: &Subjects) -> KeyOwner {
    KeyOwner::new(vec![subjects.of(intent.id).unwrap_or(intent.id)], &intent.retention)
}

/// The subjects of a batch and the keys that seal what is about them.
struct Sealing<'a> {
    subjects: &'a Subjects,
    keys: HashMap<KeyOwner, SealingKey>,
}

impl Sealing<'_> {
    fn key(&self, intent: &Intent) -> &SealingKey {
        &self.keys[&key_owner(intent, self.subjects)]
    }
}

async fn ensure_keys(
    journal: &Journal,
    intents: &[Intent],
    plans: &[Plan],
    subjects: &Subjects,
) -> Result<HashMap<KeyOwner, SealingKey>, StoreFault> {
    let owners: Vec<KeyOwner> = stored(intents, plans).map(|(_, intent, _)| key_owner(intent, subjects)).collect();
    let new = |owner: &KeyOwner| !owner.subjects.iter().any(|subject| subjects.is_old(*subject));
    vault_keys::ensure(&journal.vault, &journal.kek, &owners, new, &*journal.clock, &*journal.random).await
}

fn stored<'a>(intents: &'a [Intent], plans: &'a [Plan]) -> impl Iterator<Item = (usize, &'a Intent, Outcome)> {
    intents.iter().zip(plans).enumerate().filter_map(|(n, (intent, plan))| match plan {
        Plan::Store { outcome, .. } => Some((n, intent, *outcome)),
        Plan::Repeat(_) | Plan::RepeatInBatch(_) | Plan::Conflict | Plan::Replayed | Plan::Barred(_) => None,
    })
}

/// Where each stored intent's leaf lies.
struct Logged {
    appended: BTreeMap<String, Appended>,
    leaves: HashMap<usize, (Entry, u64, Hash)>,
}

async fn append(
    journal: &Journal,
    connection: &mut PgConnection,
    intents: &[Intent],
    plans: &[Plan],
    sealing: &Sealing<'_>,
    now: OffsetDateTime,
) -> Result<Logged, StoreFault> {
    let mut by_corridor: BTreeMap<&str, Vec<(usize, Entry, Hash)>> = BTreeMap::new();
    for (n, intent, outcome) in stored(intents, plans) {
        let id = uuid_v7(&*journal.clock, &*journal.random);
        let opening = sealing.key(intent).opening(id);
        let entry = Entry {
            kind: EntryKind::Received,
            time: now,
            id,
            outcome: outcome.as_str().to_owned(),
            policy: intent.policy,
            assurance: intent.assurance.clone(),
            commitment: commitment(&opening, &intent.bytes),
        };
        by_corridor.entry(&intent.corridor).or_default().push((n, entry, opening));
    }
    let mut logged = Logged { appended: BTreeMap::new(), leaves: HashMap::new() };
    // The heads' locks come last and in one order for all instances.
    for (corridor, entries) in by_corridor {
        let signer = journal.signers.get(corridor).ok_or_else(|| StoreFault::BadRow {
            table: "heads",
            column: "log",
            row: journal.log(corridor),
        })?;
        let lines: Vec<String> = entries.iter().map(|(_, entry, _)| entry.encode()).collect();
        let appended = ledger::append(connection, &journal.log(corridor), &lines, signer, now).await?;
        for (at, (n, entry, opening)) in entries.into_iter().enumerate() {
            logged.leaves.insert(n, (entry, appended.first + at as u64, opening));
        }
        logged.appended.insert(corridor.to_owned(), appended);
    }
    Ok(logged)
}

async fn insert_messages(
    journal: &Journal,
    connection: &mut PgConnection,
    intents: &[Intent],
    plans: &[Plan],
    sealing: &Sealing<'_>,
    logged: &Logged,
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    if logged.leaves.is_empty() {
        return Ok(());
    }
    let rows: Vec<Row<'_>> = stored(intents, plans)
        .map(|(n, intent, outcome)| {
            let key = sealing.key(intent);
            let place = |column| Place { column, row: intent.id, key: key.id };
            let mut plain = (intent.evidence.len() as u32).to_be_bytes().to_vec();
            plain.extend_from_slice(&intent.evidence);
            plain.extend_from_slice(&intent.bytes);
            let seal = |bytes: &Vec<u8>| key.seal(place("messages.canonical"), bytes, &*journal.random);
            let problem = match &plans[n] {
                Plan::Store { problem, .. } => problem.clone(),
                Plan::Repeat(_) | Plan::RepeatInBatch(_) | Plan::Conflict | Plan::Replayed | Plan::Barred(_) => None,
            };
            Row {
                intent,
                subject: sealing.subjects.of(intent.id),
                beside: sealing.subjects.beside(intent.id).or(intent.stands_beside),
                dossier: sealing
                    .subjects
                    .dossier_of(intent)
                    .filter(|_| intent.links.is_some() && outcome != Outcome::Refused),
                outcome,
                problem,
                key: key.id,
                sealed: key.seal(place("messages.sealed"), &plain, &*journal.random),
                canonical: intent.canonical.as_ref().map(seal),
                leaf: logged.leaves[&n].1 as i64,
            }
        })
        .collect();
    let texts =
        |text: for<'r> fn(&'r Row<'_>) -> &'r str| rows.iter().map(|row| text(row).to_owned()).collect::<Vec<String>>();
    let bytes = |bytes: for<'r> fn(&'r Row<'_>) -> &'r [u8]| {
        rows.iter().map(|row| bytes(row).to_vec()).collect::<Vec<Vec<u8>>>()
    };
    let ids: Vec<Uuid> = rows.iter().map(|row| row.intent.id).collect();
    let asserted: Vec<OffsetDateTime> = rows.iter().map(|row| row.intent.asserted_at).collect();
    let revisions: Vec<Option<i64>> = rows.iter().map(|row| row.intent.revision).collect();
    let about: Vec<Option<Uuid>> = rows.iter().map(|row| row.subject.or(row.beside)).collect();
    let effects: Vec<Vec<u8>> = rows.iter().map(|row| effects::pack(&row.intent.effects)).collect();
    let problems: Vec<Option<String>> = rows.iter().map(|row| row.problem.clone()).collect();
    let key_ids: Vec<Uuid> = rows.iter().map(|row| row.key).collect();
    let canonical: Vec<Option<Vec<u8>>> = rows.iter().map(|row| row.canonical.clone()).collect();
    let logs: Vec<String> = rows.iter().map(|row| journal.log(&row.intent.corridor)).collect();
    let found: Vec<(Uuid, Uuid, String)> = rows
        .iter()
        // One that leads to nobody yet, and one that was refused, stands under its own id: nobody finds it by these until it has
        // moved to somebody, but erasing the person does.
        .filter_map(|row| {
            let alone = row.dossier.is_some() || row.outcome == Outcome::Refused;
            Some((row.intent.id, row.subject.or(alone.then_some(row.intent.id))?, join(&row.intent.terms)))
        })
        .filter(|(.., terms)| !terms.is_empty())
        .collect();
    let dossiers: Vec<Option<Uuid>> = rows.iter().map(|row| row.dossier).collect();
    let links: Vec<Vec<u8>> =
        rows.iter().map(|row| effects::pack_links(&sealing.subjects.links_of(row.intent))).collect();
    let registers: Vec<bool> = rows.iter().map(|row| row.intent.links.as_ref().is_some_and(|l| l.identifies)).collect();
    let term_messages: Vec<Uuid> = found.iter().map(|row| row.0).collect();
    let term_subjects: Vec<Uuid> = found.iter().map(|row| row.1).collect();
    let terms: Vec<String> = found.into_iter().map(|row| row.2).collect();
    let leaves: Vec<i64> = rows.iter().map(|row| row.leaf).collect();
    sqlx::query!(
        "with searched as (
           insert into search_terms (message, subject, terms)
           select message, subject, string_to_array(terms, ',')::bigint[]
           from unnest($21::uuid[], $22::uuid[], $23::text[]) as t (message, subject, terms)
         )
         insert into messages (id, party, client, corridor, type, authority, tag, body_tag, outcome, asserted_at, received_at, revision,
           subject, effects, problem, key_id, sealed, canonical, log, leaf, dossier, links, registers)
         select id, party, client, corridor, type, authority, tag, body_tag, outcome, asserted_at, $20, revision,
           subject, effects, problem, key_id, sealed, canonical, log, leaf, dossier, links, registers
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::bytea[], $9::text[],
           $10::timestamptz[], $11::bigint[], $12::uuid[], $13::bytea[], $14::text[], $15::uuid[], $16::bytea[], $17::bytea[],
           $18::text[], $19::bigint[], $24::uuid[], $25::bytea[], $26::bool[])
           as t (id, party, client, corridor, type, authority, tag, body_tag, outcome, asserted_at, revision, subject, effects,
             problem, key_id, sealed, canonical, log, leaf, dossier, links, registers)",
        &ids,
        &texts(|row| &row.intent.party),
        &texts(|row| &row.intent.client),
        &texts(|row| &row.intent.corridor),
        &texts(|row| &row.intent.type_name),
        &texts(|row| &row.intent.authority),
        &bytes(|row| &row.intent.tag),
        &bytes(|row| &row.intent.body_tag),
        &texts(|row| row.outcome.as_str()),
        &asserted,
        &revisions as &[Option<i64>],
        &about as &[Option<Uuid>],
        &effects,
        &problems as &[Option<String>],
        &key_ids,
        &bytes(|row| &row.sealed),
        &canonical as &[Option<Vec<u8>>],
        &logs,
        &leaves,
        now,
        &term_messages,
        &term_subjects,
        &terms,
        &dossiers as &[Option<Uuid>],
        &links,
        &registers
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// One row of `messages` on its way in.
struct Row<'a> {
    intent: &'a Intent,
    subject: Option<Uuid>,
    beside: Option<Uuid>,
    dossier: Option<Uuid>,
    outcome: Outcome,
    problem: Option<String>,
    key: Uuid,
    sealed: Vec<u8>,
    canonical: Option<Vec<u8>>,
    leaf: i64,
}

/// A list of numbers as one text: an array of arrays of different lengths cannot be bound.
fn join(terms: &[i64]) -> String {
    terms.iter().map(i64::to_string).collect::<Vec<String>>().join(",")
}

/// Entries whose checkpoint is to be time-stamped at once: beside the message, so that no crash forgets them.
async fn insert_due_time_stamps(
    journal: &Journal,
    connection: &mut PgConnection,
    intents: &[Intent],
    logged: &Logged,
) -> Result<(), StoreFault> {
    let at_once = logged.leaves.iter().filter(|(n, _)| intents[**n].stamped_at_once);
    let (logs, leaves): (Vec<String>, Vec<i64>) =
        at_once.map(|(n, (_, leaf, _))| (journal.log(&intents[*n].corridor), *leaf as i64)).unzip();
    ledger::time_stamps::at_once(connection, &logs, &leaves).await
}

async fn insert_deliveries(
    connection: &mut PgConnection,
    intents: &[Intent],
    plans: &[Plan],
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    let mut by_party: BTreeMap<&str, Vec<(Uuid, i16)>> = BTreeMap::new();
    let mut released = HashSet::new();
    for (_, intent, outcome) in stored(intents, plans) {
        for party in intent.recipients.iter().filter(|_| outcome == Outcome::Applied) {
            by_party.entry(party).or_default().push((intent.id, intent.urgency));
        }
        let Some(decision) = intent.decision.as_ref().filter(|one| !one.tells.is_empty()) else { continue };
        // The lock on its dossier keeps others from releasing the same message meanwhile.
        let told = sqlx::query_scalar!(
            r#"select exists (select from deliveries where message = $1) as "told!""#,
            decision.target
        )
        .fetch_one(&mut *connection)
        .await?;
        let first = released.insert(decision.target);
        for party in decision.tells.iter().filter(|_| !told && first) {
            by_party.entry(party).or_default().push((decision.target, decision.urgency));
        }
    }
    for (party, rows) in by_party {
        let count = rows.len() as i64;
        let (messages, urgencies): (Vec<Uuid>, Vec<i16>) = rows.into_iter().unzip();
        sqlx::query!(
            "with box as (
               insert into mailboxes (party, next_seq) values ($1, 1 + $2::bigint)
               on conflict (party) do update set next_seq = mailboxes.next_seq + $2::bigint returning next_seq
             )
             insert into deliveries (party, seq, message, urgency, state, due_at, created_at)
             select $1, box.next_seq - $2::bigint + n - 1, message, urgency, 'waiting', $5, $5
             from box, unnest($3::uuid[], $4::smallint[]) with ordinality as t (message, urgency, n)",
            party,
            count,
            &messages,
            &urgencies,
            now
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What officers decided in this batch; one who decides again changes nothing.
async fn insert_decisions(
    connection: &mut PgConnection,
    intents: &[Intent],
    plans: &[Plan],
    now: OffsetDateTime,
) -> Result<(), StoreFault> {
    for (_, intent, outcome) in stored(intents, plans) {
        let Some(decision) = intent.decision.as_ref().filter(|_| outcome == Outcome::Applied) else { continue };
        sqlx::query!(
            "insert into decisions (target, officer, verdict, message, at) values ($1, $2, $3, $4, $5)
             on conflict on constraint decisions_once do nothing",
            decision.target,
            decision.officer,
            if decision.accepted { "ACCEPTED" } else { "REJECTED" },
            intent.id,
            now
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn answers(
    journal: &Journal,
    intents: &[Intent],
    plans: &[Plan],
    logged: &Logged,
    subjects: &Subjects,
) -> Result<Vec<Answer>, StoreFault> {
    let mut answers: Vec<Answer> = Vec::with_capacity(intents.len());
    for (n, (intent, plan)) in intents.iter().zip(plans).enumerate() {
        let answer = match plan {
            Plan::Barred(standing) => Answer::Barred(*standing),
            Plan::Replayed => Answer::Replayed,
            Plan::Conflict => Answer::Conflict,
            Plan::Repeat(id) => repeat(journal, *id).await?,
            Plan::RepeatInBatch(first) => match answers[*first].clone() {
                Answer::Stored { receipt, outcome, problem, pairwise, state, shielded, .. } => {
                    Answer::Stored { receipt, outcome, problem, pairwise, state, shielded, repeat: true }
                }
                other @ (Answer::Conflict | Answer::Replayed | Answer::Barred(_)) => other,
            },
            Plan::Store { outcome, problem } => {
                let subject = subjects.of(intent.id);
                let (entry, index, opening) = &logged.leaves[&n];
                let appended = &logged.appended[&intent.corridor];
                let path = appended.commit.inclusion(*index).unwrap_or_default();
                let receipt =
                    Receipt::new(intent.id, &intent.corridor, entry, (*index, &path), &appended.note, Some(*opening));
                let pairwise = subject.and_then(|id| subjects.pairwise_of(id, &intent.party));
                Answer::Stored {
                    receipt: Box::new(receipt),
                    outcome: *outcome,
                    problem: problem.clone(),
                    pairwise,
                    state: subject.and_then(|id| subjects.state_of(id)),
                    shielded: subject.is_some_and(|id| subjects.is_shielded(id)),
                    repeat: false,
                }
            }
        };
        answers.push(answer);
    }
    Ok(answers)
}

/// The answer that the first request got, rebuilt from what it stored. After erasure it carries no opening.
pub(super) async fn repeat(journal: &Journal, id: Uuid) -> Result<Answer, StoreFault> {
    let row = sqlx::query!(
        r#"select m.corridor, m.outcome, m.problem, m.key_id, m.opening, m.log, m.leaf, p.id as "pairwise?"
           from messages m
           left join subjects s on s.id = m.subject
           left join pairwise_ids p on p.subject = coalesce(s.merged_into, s.id) and p.party = m.party
           where m.id = $1"#,
        id
    )
    .fetch_one(&journal.channel)
    .await?;
    let bad = |column| StoreFault::BadRow { table: "messages", column, row: id.to_string() };
    let proven = ledger::prove(&journal.channel, &row.log, row.leaf as u64).await?.ok_or_else(|| bad("leaf"))?;
    let entry = Entry::decode(&proven.entry).map_err(|_| bad("leaf"))?;
    let key = vault_keys::find(&journal.vault, &journal.kek, &[row.key_id]).await?;
    let place = Place { column: "messages.opening", row: id, key: row.key_id };
    let opening = key.get(&row.key_id).map(|key| opening(key, entry.id, place, row.opening.as_deref()));
    let opening = opening.transpose().map_err(|_| bad("opening"))?;
    let at = (row.leaf as u64, proven.path.as_slice());
    Ok(Answer::Stored {
        receipt: Box::new(Receipt::new(id, &row.corridor, &entry, at, &proven.note, opening)),
        outcome: Outcome::parse(&row.outcome).ok_or_else(|| bad("outcome"))?,
        problem: row.problem,
        pairwise: row.pairwise,
        state: None,
        shielded: true,
        repeat: true,
    })
}
