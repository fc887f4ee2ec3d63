//! Writing an archive of evidence: everything that is kept about a message, a placement or a day, for somebody who trusts neither
//! side. The disclosure and the officer's act are on record before the archive leaves; the act names the archive's contents.
//!
//! What a message says is in it only where the stated purpose shows every class of field that the message may hold; its entry and the
//! proofs are in it in any case.

use super::Gateway;
use crate::{
    evidence::{
        archive::{self, Archive, ArchiveFault, Content, Key, Record, Scope, Statement, Told},
        check::{self, Keys},
        time_stamps,
    },
    ledger::{note::Checkpoint, receipt::Receipt},
    message::problem::Fault,
    partner::Party,
    schema::{
        bundle,
        catalogue::{Class, Purpose},
    },
    store::{
        StoreFault, access,
        evidence::{self, Kept},
        journal::DOMESTIC,
        ledger,
        query::{self, Lookup},
        requests,
    },
    vault::sha256,
    words::Lang,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use time::{Date, Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// Most messages in one archive.
const MESSAGES_MAX: usize = 10_000;
/// Room for the statement and the receipt of the act, which come last.
const RECORD_ROOM: u64 = 1 << 20;

/// What an archive is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// One message, by our id.
    Message(Uuid),
    /// Every message that is filed with a placement: its id, or the home party's id of it.
    Placement(String),
    /// Every message received on a day of the home party.
    Day(Date),
}

/// Who asks, and why.
#[derive(Debug, Clone)]
pub struct Asked {
    /// About what.
    pub of: Of,
    /// The officer.
    pub officer: String,
    /// The purpose, by its name.
    pub purpose: String,
    /// Case or request number.
    pub case_number: Option<String>,
    /// Whether the requests and pages in which several messages came are asked for too, which tell of others.
    pub whole: bool,
    /// Language of the page.
    pub language: Lang,
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum ExportFault {
    /// No officer.
    #[error("an archive is made for an officer by name")]
    NoOfficer,
    /// Not a purpose under which this may be seen.
    #[error("{0}")]
    Purpose(String),
    /// Nothing is there.
    #[error("there is no such message, placement or day with messages")]
    NotFound,
    /// Too much.
    #[error("more than {MESSAGES_MAX} messages: ask for less")]
    TooMany,
    /// More bytes than a reader takes.
    #[error("larger than an archive may be ({} MiB): ask for less", archive::ARCHIVE_MAX >> 20)]
    TooLarge,
    /// A file of schemas or parties.
    #[error("{0}")]
    File(String),
    /// What was gathered does not hold: the ledger or the database was changed.
    #[error("what is kept does not hold, and is not handed out as evidence:\n{0}")]
    DoesNotHold(String),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Gathers an archive, records who asked, and gives its bytes. `schemas` is the folder that the gateway runs by.
///
/// # Errors
/// [`ExportFault`]. Nothing was disclosed, though it may be on record.
pub async fn export(gateway: &Gateway, asked: &Asked, schemas: &Path) -> Result<Vec<u8>, ExportFault> {
    let purpose = purpose(gateway, asked)?;
    let ids = ids(gateway, &asked.of).await?;
    let journal = &gateway.journal;
    let mut kept = evidence::kept(&journal.channel, &journal.vault, &journal.kek, &ids).await?;
    // That there is such a message may itself be the secret.
    let names = |one: &Kept| gateway.schemas.message(&one.type_name).is_none_or(|message| purpose.names(message));
    let all = kept.len();
    kept.retain(names);
    if kept.is_empty() {
        return Err(ExportFault::NotFound);
    }
    let made = gateway.now().replace_nanosecond(0).unwrap_or_else(|_| gateway.now());
    let (kind, of) = match &asked.of {
        Of::Message(id) => ("message", id.to_string()),
        Of::Placement(id) => ("placement", id.clone()),
        Of::Day(day) => ("day", day.to_string()),
    };
    let scope = Scope {
        evidence: archive::FORMAT.to_owned(),
        kind: kind.to_owned(),
        of,
        officer: asked.officer.trim().to_owned(),
        purpose: purpose.name.clone(),
        case: asked.case_number.clone(),
        made,
        language: asked.language.code().to_owned(),
        left_out: all - kept.len(),
    };
    let mut archive = Archive::default();
    archive.put_json(archive::SCOPE, &scope);
    keys(gateway, &mut archive).await?;
    let mut policies = BTreeSet::new();
    let ids: Vec<Uuid> = kept.iter().map(|one| one.id).collect();
    let parts: BTreeMap<Uuid, Uuid> = requests::of(&journal.channel, &ids).await?.into_iter().collect();
    for one in &kept {
        let shown = is_shown(gateway, purpose, one);
        policies.insert(message(gateway, &mut archive, one, (shown, parts.get(&one.id).copied())).await?);
    }
    let mut subjects: BTreeSet<Uuid> = kept.iter().filter_map(|one| one.subject).collect();
    if asked.whole {
        let ids: BTreeSet<Uuid> = parts.into_values().collect();
        subjects.extend(whole(gateway, &mut archive, purpose, &ids.into_iter().collect::<Vec<_>>()).await?);
    }
    decided(gateway, &mut archive, &policies, schemas).await?;
    for party in kept.iter().map(|one| &one.party).collect::<BTreeSet<_>>() {
        roots(gateway, &mut archive, party)?;
    }
    let account = check::account(&archive, None, &Keys::default());
    // What the ledger does not bear is not handed out. What a party's own signature does not bear is, and the page names it: a sender
    // must not be able to keep us from showing what it sent.
    let of_sender = ["evidence.fault-signature", "evidence.fault-digest", "evidence.fault-key"];
    if !account.faults.iter().all(|fault| of_sender.contains(&fault.key())) {
        return Err(ExportFault::DoesNotHold(account.text(Lang::En)));
    }
    archive.put(archive::PAGE, account.html(asked.language));
    archive.put(archive::TEXT, account.text(asked.language));
    archive.put_json(archive::MANIFEST, &archive.manifest());
    if archive.size() > archive::ARCHIVE_MAX - RECORD_ROOM {
        return Err(ExportFault::TooLarge);
    }
    record(gateway, &mut archive, scope, subjects).await?;
    Ok(archive.write(made)?)
}

fn purpose<'g>(gateway: &'g Gateway, asked: &Asked) -> Result<&'g Purpose, ExportFault> {
    if asked.officer.trim().is_empty() {
        return Err(ExportFault::NoOfficer);
    }
    let no = |fault: String| Err(ExportFault::Purpose(fault));
    let Some(purpose) = gateway.schemas.purposes.iter().find(|one| one.name == asked.purpose) else {
        let names: Vec<&str> = gateway.schemas.purposes.iter().map(|one| one.name.as_str()).collect();
        return no(format!("{} is no purpose; there are {}", asked.purpose, names.join(", ")));
    };
    if !purpose.persons {
        return no(format!("{} shows counts only", purpose.name));
    }
    if purpose.case_number && asked.case_number.as_ref().is_none_or(|number| number.trim().is_empty()) {
        return no(format!("{} needs a case number", purpose.name));
    }
    if !purpose.bulk && (asked.whole || matches!(asked.of, Of::Day(_))) {
        return no(format!("{} is for one named person", purpose.name));
    }
    Ok(purpose)
}

async fn ids(gateway: &Gateway, of: &Of) -> Result<Vec<Uuid>, ExportFault> {
    let pool = &gateway.journal.channel;
    let found = match of {
        Of::Message(id) => vec![*id],
        Of::Placement(id) => {
            let placement = match id.parse::<Uuid>() {
                Ok(id) => query::through_merges(pool, id).await?,
                Err(_) => query::by_pairwise(pool, gateway.parties.home.code(), id).await?,
            };
            let placement = placement.ok_or(ExportFault::NotFound)?;
            evidence::of_placement(pool, placement).await?
        }
        Of::Day(day) => {
            let from = day.midnight().assume_offset(gateway.parties.home.zone);
            evidence::received_between(pool, from, from + Duration::DAY, MESSAGES_MAX as i64 + 1).await?
        }
    };
    if found.len() > MESSAGES_MAX { Err(ExportFault::TooMany) } else { Ok(found) }
}

/// Whether the purpose shows everything that the message may say.
fn is_shown(gateway: &Gateway, purpose: &Purpose, kept: &Kept) -> bool {
    let Some(content) = &kept.content else { return false };
    let event = content.canonical.as_ref().unwrap_or(&content.bytes);
    let event: Option<Value> = serde_json::from_slice(event).ok();
    let message = gateway.schemas.message(&kept.type_name);
    let class = match (event, message) {
        // What broke its schema may say anything.
        (Some(event), Some(message)) if kept.outcome == "applied" => {
            let fields = gateway.schemas.fields_in(&event["data"]);
            let highest = fields.iter().map(|(_, field, _)| field.class).max().unwrap_or(Class::S0);
            if message.safety { highest.max(Class::S3) } else { highest }
        }
        _ => Class::S4,
    };
    class <= purpose.class
}

/// Puts in the requests and pages of which the purpose shows every message; gives whom they tell of.
async fn whole(
    gateway: &Gateway,
    archive: &mut Archive,
    purpose: &Purpose,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, ExportFault> {
    let journal = &gateway.journal;
    let mut subjects = Vec::new();
    for whole in requests::open(&journal.channel, &journal.vault, &journal.kek, ids).await? {
        let others = evidence::kept(&journal.channel, &journal.vault, &journal.kek, &whole.messages).await?;
        if others.iter().all(|one| is_shown(gateway, purpose, one)) {
            archive.put(format!("requests/{}", whole.id), whole.body);
            subjects.extend(others.into_iter().filter_map(|one| one.subject));
        }
    }
    Ok(subjects)
}

async fn keys(gateway: &Gateway, archive: &mut Archive) -> Result<(), ExportFault> {
    let keys = access::public_keys(&gateway.journal.channel).await?.into_iter();
    let keys = keys.map(|(party, purpose, kid, key, first_seen_at)| Key {
        fingerprint: hex::encode(sha256(key.as_bytes())),
        first_seen_at: first_seen_at.format(&Rfc3339).unwrap_or_default(),
        party,
        purpose,
        kid,
        key,
    });
    archive.put_json(archive::KEYS, &keys.collect::<Vec<_>>());
    Ok(())
}

/// Puts in what is kept of one message; gives the digest of the policy that its entry names.
async fn message(
    gateway: &Gateway,
    archive: &mut Archive,
    kept: &Kept,
    (shown, part_of): (bool, Option<Uuid>),
) -> Result<[u8; 32], ExportFault> {
    let pool = &gateway.journal.channel;
    let name = |file: &str| format!("messages/{}/{file}", kept.id);
    let mut receipt = *gateway.journal.receipt(kept.id).await?;
    let content = match (&kept.content, shown) {
        (None, _) => Content::Erased,
        (Some(_), false) => Content::Withheld,
        (Some(content), true) => {
            archive.put(name("request"), content.bytes.clone());
            archive.put(name("signature.json"), content.evidence.clone());
            if let Some(event) = &content.canonical {
                archive.put(name("event.json"), event.clone());
            }
            certificate(gateway, archive, &content.evidence).await?;
            Content::Shown
        }
    };
    let told = kept.deliveries.iter().map(|one| Told {
        party: one.party.clone(),
        seq: one.seq,
        state: one.state.clone(),
        reason: one.reason.clone(),
        settled_at: one.settled_at,
    });
    let record = Record {
        message: kept.id,
        type_name: kept.type_name.clone(),
        party: kept.party.clone(),
        client: kept.client.clone(),
        authority: kept.authority.clone(),
        corridor: kept.corridor.clone(),
        outcome: kept.outcome.clone(),
        asserted_at: kept.asserted_at,
        received_at: kept.received_at,
        problem: kept
            .problem
            .as_ref()
            .map(|_| Fault::read_all(kept.problem.as_deref()).iter().map(|fault| fault.to_json()).collect::<Value>()),
        content,
        part_of,
        told: told.collect(),
    };
    archive.put_json(name("record.json"), &record);
    let hidden = |receipt: &Receipt| Receipt { opening: receipt.opening.clone().filter(|_| shown), ..receipt.clone() };
    for one in &kept.deliveries {
        let told = format!("told/{}-{}", one.party, one.seq);
        if let Some(answer) = one.answer.as_ref().filter(|_| shown) {
            archive.put(name(&format!("{told}.answer")), answer.clone());
        }
        if let Some(receipt) = &one.receipt {
            archive.put_json(name(&format!("{told}.receipt.json")), &hidden(receipt));
        }
    }
    receipt = hidden(&receipt);
    archive.put_json(name("receipt.json"), &receipt);
    if let Some(embedded) = evidence::embedded_before(pool, &kept.log, kept.leaf).await?
        && let Some(size) = size_of(&receipt.checkpoint)
    {
        let at = Some((receipt.checkpoint.as_str(), size));
        let opening = Some(embedded.opening);
        let earlier = evidence::receipt(pool, kept.id, &kept.log, embedded.leaf, at, |_| Ok(opening)).await?;
        archive.put(name("not-before.note"), embedded.note);
        archive.put_json(name("not-before.receipt.json"), &earlier);
    }
    if let Some(stamped) = ledger::time_stamps::first_over(pool, &kept.log, kept.leaf).await? {
        let at = Some((stamped.note.as_str(), stamped.size));
        let under = evidence::receipt(pool, kept.id, &kept.log, kept.leaf, at, |_| Ok(None)).await?;
        archive.put(name(time_stamps::NOTE), stamped.note);
        archive.put(name(time_stamps::TOKEN), stamped.token);
        archive.put_json(name(time_stamps::RECEIPT), &under);
    }
    let entry = crate::ledger::entry::Entry::decode(&receipt.entry);
    let bad = |_| StoreFault::BadRow { table: "entries", column: "entry", row: format!("{} {}", kept.log, kept.leaf) };
    Ok(entry.map_err(bad)?.policy)
}

/// Entries under a checkpoint.
fn size_of(note: &str) -> Option<u64> {
    let text = &note[..note.find("\n\n")? + 1];
    Checkpoint::parse(text).ok().map(|checkpoint| checkpoint.size)
}

/// The chain of the connection that a message came by.
async fn certificate(gateway: &Gateway, archive: &mut Archive, evidence: &[u8]) -> Result<(), ExportFault> {
    let evidence: Value = serde_json::from_slice(evidence).unwrap_or_default();
    let Some(thumbprint) = evidence["certificate"].as_str() else { return Ok(()) };
    let name = format!("certificates/{thumbprint}.pem");
    if archive.members.contains_key(&name) {
        return Ok(());
    }
    let Ok(digest) = hex::decode(thumbprint) else { return Ok(()) };
    if let Some(chain) = evidence::certificate(&gateway.journal.channel, &digest).await? {
        archive.put(name, chain.iter().map(|der| pem(der)).collect::<String>());
    }
    Ok(())
}

/// RFC 7468.
fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: String = text.as_bytes().chunks(64).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect();
    format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
}

/// The policy documents, and the files whose digests they name, where these are still the ones.
async fn decided(
    gateway: &Gateway,
    archive: &mut Archive,
    policies: &BTreeSet<[u8; 32]>,
    schemas: &Path,
) -> Result<(), ExportFault> {
    let mut named = BTreeSet::new();
    for policy in policies {
        let Some(document) = evidence::policy(&gateway.journal.channel, policy).await? else { continue };
        let read: Value = serde_json::from_str(&document).unwrap_or_default();
        let text = |name: &str| read[name].as_str().unwrap_or_default().to_owned();
        named.insert((String::new(), text("schemas")));
        named.insert((text("party"), text("profile_and_mappings")));
        named.insert((text("home"), text("home_profile")));
        archive.put(format!("policies/{}.json", hex::encode(policy)), document);
    }
    for (code, digest) in named {
        let (folder, endings, prefix) = match gateway.parties.party(&code) {
            None if code.is_empty() => (schemas, bundle::SCHEMAS, "schemas/".to_owned()),
            None => continue,
            Some(party) => (party.folder.as_path(), bundle::PARTY, format!("parties/{code}/")),
        };
        let files = bundle::read(folder, endings)
            .map_err(|(file, fault)| ExportFault::File(format!("{}: {fault}", file.display())))?;
        if hex::encode(bundle::digest_of(&files)) == digest {
            files.into_iter().for_each(|(name, bytes)| archive.put(format!("{prefix}{name}"), bytes));
        }
    }
    Ok(())
}

/// The roots that vouch for a party's certificates, as they are now.
fn roots(gateway: &Gateway, archive: &mut Archive, code: &str) -> Result<(), ExportFault> {
    let Some(party) = gateway.parties.party(code) else { return Ok(()) };
    let party: &Party = party;
    for file in &party.profile.trust.roots {
        let path = party.folder.join(file);
        let bytes = std::fs::read(&path).map_err(|fault| ExportFault::File(format!("{}: {fault}", path.display())))?;
        archive.put(format!("roots/{code}/{file}"), bytes);
    }
    Ok(())
}

/// The disclosure, and the act whose entry commits to the list of contents.
async fn record(
    gateway: &Gateway,
    archive: &mut Archive,
    scope: Scope,
    subjects: BTreeSet<Uuid>,
) -> Result<(), ExportFault> {
    let lookup = Lookup {
        id: gateway.id(),
        officer: scope.officer.clone(),
        purpose: scope.purpose.clone(),
        case_number: scope.case.clone(),
        fields: vec!["evidence".to_owned()],
        subjects: subjects.into_iter().collect(),
    };
    let now: OffsetDateTime = gateway.now();
    query::record_lookup(&gateway.journal.channel, &lookup, now).await?;
    gateway.journal.log_lookups(gateway.policy(DOMESTIC)).await?;
    let manifest = archive.members.get(archive::MANIFEST).map_or(&[][..], Vec::as_slice);
    let statement = Statement { manifest: hex::encode(sha256(manifest)), scope };
    archive.put_json(archive::STATEMENT, &statement);
    let statement = String::from_utf8_lossy(&archive.members[archive::STATEMENT]).into_owned();
    let act = gateway.act(DOMESTIC, archive::ACT_OUTCOME, statement);
    archive.put_json(archive::ACT, &gateway.journal.act_with_receipt(&act).await?);
    Ok(())
}
