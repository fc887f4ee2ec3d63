//! Erasing a person: two officers, a basis, no hold. The partners that know her are told, then her keys are destroyed, so that nothing
//! sealed about her can be read again; every log still verifies, because it never named her. Where a hold stands, the request is
//! recorded and nothing is destroyed.
//!
//! A person is what one corridor knows of her: under another corridor she is somebody else, and is erased by herself.
//! What comes about her later is new: it is kept under new keys and leads to nothing that was erased. What was sent before and comes
//! again is known by its tag and gets the same receipt, without an opening.
//!
//! A backup remembers. So each erasure stands on a list, in the vault and in a file outside of both databases, and before the gateway
//! serves, whatever a restored database brought back is erased again ([`replay`]).

mod list;

pub use list::List;

use super::{Gateway, different, intake, own};
use crate::{
    domain::{deadlines::Side, facts::FactKind},
    store::{
        StoreFault,
        erasures::{self, Erasure, Hold, KnownTo, Listed, Recorded},
        journal::{
            Answer, DOMESTIC, Intent,
            acts::Act,
            erasing::{Erasing, Order},
        },
        messages, query, vault_keys,
    },
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    sync::Arc,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Erased {
    /// This many keys are destroyed.
    Done(u64),
    /// A hold on this basis forbids it.
    Restricted(String),
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum EraseFault {
    /// One person may not erase another alone.
    #[error("erasing needs two different officers")]
    TwoOfficers,
    /// Nobody.
    #[error("an officer must be named")]
    NoOfficer,
    /// No basis.
    #[error("a basis must be stated")]
    NoBasis,
    /// No such placement.
    #[error("there is no such placement")]
    NotFound,
    /// She was erased before.
    #[error("the person of this placement was erased before")]
    Before,
    /// A partner could not be told.
    #[error("nothing was erased: the message that tells {0} was not stored; try again")]
    NotTold(String),
    /// The list outside of the databases.
    #[error("the list of erasures {0}: {1}")]
    List(String, #[source] io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Erases the person of a placement (its id, or the home party's id of it).
///
/// # Errors
/// [`EraseFault`]. After [`EraseFault::Store`] she may stand on the list: the next start, or asking again, does the rest.
pub async fn erase(
    gateway: &Gateway,
    placement: &str,
    officers: [String; 2],
    basis: &str,
) -> Result<Erased, EraseFault> {
    if !different(&officers) {
        return Err(EraseFault::TwoOfficers);
    }
    if basis.trim().is_empty() {
        return Err(EraseFault::NoBasis);
    }
    let (subject, subjects) = person(gateway, placement).await?;
    let erasure = Erasure { id: gateway.id(), subject, basis: basis.to_owned(), officers, at: gateway.now() };
    let holds = erasures::holds(&gateway.journal.channel).await?;
    if let Some(hold) = holds.into_iter().find(|hold| subjects.contains(&hold.subject)) {
        return restrict(gateway, &erasure, hold.basis).await;
    }
    tell(gateway, &subjects).await?;
    let terms = identifiers(gateway, &subjects).await?;
    let acts = acts(gateway, &erasure, &subjects).await?;
    let order = Order { erasure, listed: None, terms, acts };
    let done = match carry_out(gateway, &order).await? {
        Erasing::Done(keys) => Erased::Done(keys),
        Erasing::Held(basis) => restrict(gateway, &order.erasure, basis).await?,
    };
    gateway.journal.log_acts().await?;
    Ok(done)
}

async fn carry_out(gateway: &Gateway, order: &Order) -> Result<Erasing, EraseFault> {
    let list = gateway.erasures.clone();
    Ok(gateway.journal.erase(order, Arc::new(move |line: &str| list.append(line))).await?)
}

/// Places a hold on the person of a placement: while it stands she is not erased.
///
/// # Errors
/// [`EraseFault`].
pub async fn hold(gateway: &Gateway, placement: &str, officer: &str, basis: &str) -> Result<(), EraseFault> {
    stated(officer, basis)?;
    let (subject, subjects) = person(gateway, placement).await?;
    let listed = whole_list(gateway).await?;
    if listed.values().any(|one| one.subjects.iter().any(|listed| subjects.contains(listed))) {
        // It was cut off and the next start finishes it: too late for a hold.
        return Err(EraseFault::Before);
    }
    let (basis, placed_by) = (basis.to_owned(), officer.to_owned());
    let hold = Hold { id: gateway.id(), subject, basis, placed_by, placed_at: gateway.now() };
    let mut recording = gateway.journal.recording().await?;
    if !erasures::place_hold(recording.connection(), &hold).await? {
        return Err(EraseFault::Before);
    }
    let statement = json!({"hold": hold.id, "subject": subject, "basis": hold.basis, "officer": officer});
    Ok(recording.commit(&gateway.act(DOMESTIC, "hold-placed", statement.to_string())).await?)
}

/// Lifts every hold on the person of a placement; gives their number.
///
/// # Errors
/// [`EraseFault`].
pub async fn lift(gateway: &Gateway, placement: &str, officer: &str, basis: &str) -> Result<u64, EraseFault> {
    stated(officer, basis)?;
    let (subject, subjects) = person(gateway, placement).await?;
    let mut recording = gateway.journal.recording().await?;
    let lifted = erasures::lift_holds(recording.connection(), &subjects, officer, basis, gateway.now()).await?;
    if lifted > 0 {
        let statement = json!({"subject": subject, "holds": lifted, "basis": basis, "officer": officer});
        recording.commit(&gateway.act(DOMESTIC, "hold-lifted", statement.to_string())).await?;
    }
    Ok(lifted)
}

fn stated(officer: &str, basis: &str) -> Result<(), EraseFault> {
    match (officer.trim().is_empty(), basis.trim().is_empty()) {
        (true, _) => Err(EraseFault::NoOfficer),
        (false, true) => Err(EraseFault::NoBasis),
        (false, false) => Ok(()),
    }
}

/// The placement that is named, and everything of its person.
async fn person(gateway: &Gateway, placement: &str) -> Result<(Uuid, Vec<Uuid>), EraseFault> {
    let pool = &gateway.journal.channel;
    let subject = match placement.parse::<Uuid>() {
        Ok(id) => id,
        Err(_) => {
            let found = query::by_pairwise(pool, gateway.parties.home.code(), placement).await?;
            found.ok_or(EraseFault::NotFound)?
        }
    };
    let subjects = erasures::subjects_of(pool, subject).await?;
    if subjects.is_empty() {
        return Err(EraseFault::NotFound);
    }
    if erasures::is_erased(pool, subject).await? {
        return Err(EraseFault::Before);
    }
    Ok((subject, subjects))
}

async fn restrict(gateway: &Gateway, erasure: &Erasure, basis: String) -> Result<Erased, EraseFault> {
    let mut recording = gateway.journal.recording().await?;
    erasures::restrict(recording.connection(), erasure).await?;
    let statement =
        json!({"erasure": erasure.id, "basis": erasure.basis, "officers": erasure.officers, "outcome": "restricted"});
    recording.commit(&gateway.act(DOMESTIC, "restricted", statement.to_string())).await?;
    Ok(Erased::Restricted(basis))
}

/// What is recorded of it: in the domestic log who and why, in each corridor's which of the partner's ids went.
async fn acts(gateway: &Gateway, erasure: &Erasure, subjects: &[Uuid]) -> Result<Vec<Act>, StoreFault> {
    let pool = &gateway.journal.channel;
    let statement =
        json!({"erasure": erasure.id, "basis": erasure.basis, "officers": erasure.officers, "outcome": "erased"});
    let mut acts = vec![gateway.act(DOMESTIC, "erased", statement.to_string())];
    for corridor in erasures::corridors_of(pool, subjects).await? {
        let known = messages::pairwise(pool, &corridor, subjects).await?;
        let ids: BTreeSet<String> = known.into_values().map(|known| known.placement).collect();
        acts.push(gateway.act(
            &corridor,
            "erased",
            json!({"erasure": erasure.id, "outcome": "erased", "ids": ids}).to_string(),
        ));
    }
    Ok(acts)
}

/// Blind terms of her identifiers, from her own messages while they can be read.
async fn identifiers(gateway: &Gateway, subjects: &[Uuid]) -> Result<Vec<i64>, StoreFault> {
    let journal = &gateway.journal;
    let ids = erasures::messages_of(&journal.channel, subjects).await?;
    let stored = messages::open(&journal.channel, &journal.vault, &journal.kek, &ids).await?;
    let events = stored.iter().filter_map(|one| serde_json::from_slice::<Value>(one.event.as_deref()?).ok());
    let terms: BTreeSet<i64> = events.flat_map(|event| intake::identifier_terms(gateway, &event["data"])).collect();
    Ok(terms.into_iter().collect())
}

/// Asks the partners that know her to erase her too: a message of the gateway's own by their ids and without anything else. It is
/// sealed under its own key, so that it still reaches them after hers are gone. Asked again, nothing is told twice.
async fn tell(gateway: &Gateway, subjects: &[Uuid]) -> Result<(), EraseFault> {
    let partners: Vec<String> = gateway.parties.partners.keys().cloned().collect();
    for known in erasures::known_to(&gateway.journal.channel, subjects, &partners).await? {
        let not_told = || EraseFault::NotTold(known.party.clone());
        let ids = messages::pairwise(&gateway.journal.channel, &known.party, &[known.placement]).await?;
        let Some(id) = ids.get(&known.placement).map(|known| known.placement.as_str()) else { continue };
        let intent = request(gateway, &known, id).ok_or_else(not_told)?;
        match gateway.queue.submit(intent).await {
            Ok(Answer::Stored { .. }) => {}
            Ok(Answer::Conflict | Answer::Replayed | Answer::Barred(_)) | Err(_) => return Err(not_told()),
        }
    }
    Ok(())
}

fn request(gateway: &Gateway, known: &KnownTo, id: &str) -> Option<Intent> {
    let asks = |kind| kind == FactKind::SubjectRequest;
    let message = gateway.schemas.messages().find(|message| message.facts.iter().any(|fact| asks(fact.kind)))?;
    let clock = gateway.schemas.clocks.iter().find(|clock| asks(clock.starts.kind))?;
    let authority = clock.owner.of(Side::Home);
    let tokens = &gateway.journal.tokens;
    let tag = tokens.token("erasure", &[known.placement.as_bytes(), known.party.as_bytes()]);
    let now = gateway.now().replace_nanosecond(0).ok()?.format(&Rfc3339).ok()?;
    let event = json!({"specversion": "1.0", "id": hex::encode(tag), "source": "urn:onechannel:erasure", "type": message.name,
        "time": now, "authority": authority, "corridor": known.party, "data": {"placement": {"id": id},
            "subjectRequest": {"reference": format!("ER-{}", hex::encode(&tag[..8])), "kind": "ERASURE", "receivedAt": now}}});
    Some(Intent {
        // Known again whenever it is made.
        body_tag: tokens.digest("erasure", &[&tag]),
        recipients: vec![known.party.clone()],
        stands_beside: Some(known.placement),
        ..own::intent(gateway, message, &known.party, authority, tag, &event)
    })
}

/// Erases again whatever a restored database brought back, and finishes what a crash cut off; gives the number of erasures for which
/// something was to be done. The gateway serves only after it.
///
/// # Errors
/// [`EraseFault`]: nothing may be served.
pub async fn replay(gateway: &Gateway) -> Result<usize, EraseFault> {
    let journal = &gateway.journal;
    let listed = whole_list(gateway).await?;
    let recorded = recorded(gateway).await?;
    let mut undone = 0;
    // Records before keys: what is about others must be sealed anew while the keys that came back still open it.
    for (id, one) in &listed {
        if recorded.get(id).is_some_and(|recorded| recorded.done) {
            continue;
        }
        let Some(erasure) = one.asked() else { continue };
        match tell(gateway, &one.subjects).await {
            // It was told when she was erased first; a log that is halted keeps nobody from reading what is there.
            Err(EraseFault::NotTold(party)) => {
                tracing::error!(party, erasure = %id, "a partner was not told again of an erasure")
            }
            told => told?,
        }
        let acts = acts(gateway, &erasure, &one.subjects).await?;
        let order = Order { erasure, listed: Some(one.clone()), terms: Vec::new(), acts };
        if let Erasing::Done(keys) = carry_out(gateway, &order).await? {
            note(gateway, *id, keys, true).await?;
            undone += 1;
        }
    }
    for (id, one) in &listed {
        let unfinished = recorded.get(id).is_some_and(|recorded| recorded.done && recorded.keys_gone_at.is_none());
        let destroyed = vault_keys::destroy(&journal.vault, &one.keys, &one.subjects).await?;
        if unfinished || destroyed.keys > 0 {
            erasures::keys_gone(&journal.channel, *id, destroyed, gateway.now()).await?;
            note(gateway, *id, destroyed.keys, false).await?;
            undone += 1;
        }
    }
    if undone > 0 {
        journal.log_acts().await?;
    }
    Ok(undone)
}

async fn note(gateway: &Gateway, erasure: Uuid, keys: u64, records: bool) -> Result<(), StoreFault> {
    tracing::warn!(%erasure, keys, records, "an erased person was there again and is erased again");
    let mut recording = gateway.journal.recording().await?;
    erasures::replayed(recording.connection(), erasure, keys, records, gateway.now()).await?;
    let statement = json!({"erasure": erasure, "keys": keys, "records": records});
    recording.commit(&gateway.act(DOMESTIC, "erasure-replayed", statement.to_string())).await
}

/// The list as vault and file have it together; what one of them lacks is added to it.
async fn whole_list(gateway: &Gateway) -> Result<BTreeMap<Uuid, Listed>, EraseFault> {
    let (in_vault, in_file) = lists(gateway).await?;
    for (id, one) in in_vault.iter().filter(|(id, _)| !in_file.contains_key(id)) {
        tracing::warn!(erasure = %id, "the list outside of the databases lacked an erasure");
        gateway.erasures.append(&one.line()).map_err(|fault| unlisted(gateway, fault))?;
    }
    for (id, one) in in_file.iter().filter(|(id, _)| !in_vault.contains_key(id)) {
        erasures::list(&gateway.journal.vault, *id, &one.line()).await?;
    }
    Ok(in_vault.into_iter().chain(in_file).collect())
}

type Lists = (BTreeMap<Uuid, Listed>, BTreeMap<Uuid, Listed>);

/// The list in the vault and the one outside.
async fn lists(gateway: &Gateway) -> Result<Lists, EraseFault> {
    let in_file = gateway.erasures.read().map_err(|fault| unlisted(gateway, fault))?;
    let lines = erasures::listed(&gateway.journal.vault).await?;
    let bad = || StoreFault::BadRow { table: "erasure_list", column: "line", row: "one".to_owned() };
    let in_vault: Vec<Listed> =
        lines.iter().map(|line| Listed::parse(line).ok_or_else(bad)).collect::<Result<_, StoreFault>>()?;
    Ok((together(in_vault), together(in_file)))
}

/// One that was tried more than once stands there more than once: everything that any of its lines names goes.
fn together(lines: Vec<Listed>) -> BTreeMap<Uuid, Listed> {
    let mut all: BTreeMap<Uuid, Listed> = BTreeMap::new();
    for line in lines {
        match all.get_mut(&line.erasure) {
            Some(known) => {
                known.subjects.extend(line.subjects);
                known.messages.extend(line.messages);
                known.keys.extend(line.keys);
            }
            None => drop(all.insert(line.erasure, line)),
        }
    }
    all
}

fn unlisted(gateway: &Gateway, fault: io::Error) -> EraseFault {
    EraseFault::List(gateway.erasures.file().display().to_string(), fault)
}

async fn recorded(gateway: &Gateway) -> Result<HashMap<Uuid, Recorded>, StoreFault> {
    let all = erasures::all(&gateway.journal.channel).await?;
    Ok(all.into_iter().map(|one| (one.erasure.id, one)).collect())
}

/// What is wrong with the list outside of the databases: a sentence each.
///
/// # Errors
/// [`StoreFault`].
pub async fn faults_of_list(gateway: &Gateway) -> Result<Vec<String>, StoreFault> {
    let (in_vault, in_file) = match lists(gateway).await {
        Ok(lists) => lists,
        Err(EraseFault::Store(fault)) => return Err(fault),
        Err(fault) => return Ok(vec![fault.to_string()]),
    };
    let recorded = recorded(gateway).await?;
    // Those from before there was a list name nobody.
    let done = recorded.values().filter(|one| one.done && !one.subjects.is_empty()).map(|one| one.erasure.id);
    let known: BTreeSet<Uuid> = done.chain(in_vault.keys().copied()).collect();
    let missing = known.iter().filter(|id| !in_file.contains_key(id)).count();
    let file = gateway.erasures.file().display();
    let mut faults = Vec::new();
    if missing > 0 {
        faults.push(format!(
            "the list of erasures {file} lacks {missing} of {}: a restored backup could bring them back",
            known.len()
        ));
    }
    let waiting = in_file.keys().filter(|id| !recorded.get(id).is_some_and(|one| one.done)).count();
    if waiting > 0 {
        faults.push(format!(
            "{waiting} erasures of the list {file} are not done in this database: the next start does it"
        ));
    }
    Ok(faults)
}

/// How far an erasure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A hold stood in its way; nothing was destroyed.
    Restricted,
    /// It was cut off; the next start finishes it.
    Unfinished,
    /// The keys are gone. Until then backups may hold them, and the key-encryption key of that epoch could open those.
    Destroyed {
        /// When the last backup of the vault with the keys is gone.
        backups_until: OffsetDateTime,
        /// The epoch that must be rotated away, where that was not done yet.
        epoch: Option<i32>,
    },
    /// Nothing can bring the keys back since then.
    Complete(OffsetDateTime),
}

/// Every erasure and how far it is, oldest first.
///
/// # Errors
/// [`StoreFault`].
pub async fn progress(gateway: &Gateway) -> Result<Vec<(Recorded, Progress)>, StoreFault> {
    let journal = &gateway.journal;
    let retired: HashMap<i32, OffsetDateTime> = vault_keys::epochs(&journal.vault)
        .await?
        .into_iter()
        .filter_map(|epoch| Some((epoch.epoch, epoch.retired_at?)))
        .collect();
    let now = gateway.now();
    let of = |one: &Recorded| {
        if !one.done {
            return Progress::Restricted;
        }
        let Some(gone) = one.keys_gone_at else { return Progress::Unfinished };
        let backups_until = gone + gateway.vault_backups;
        let in_use = one.epoch.filter(|epoch| !retired.contains_key(epoch));
        let since = one.epoch.and_then(|epoch| retired.get(&epoch)).copied().unwrap_or(gone).max(backups_until);
        if in_use.is_none() && since <= now {
            Progress::Complete(since)
        } else {
            Progress::Destroyed { backups_until, epoch: in_use }
        }
    };
    let all = erasures::all(&journal.channel).await?;
    let how: Vec<Progress> = all.iter().map(of).collect();
    Ok(all.into_iter().zip(how).collect())
}
