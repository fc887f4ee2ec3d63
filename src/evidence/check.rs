//! What an archive of evidence shows, recomputed from its files alone. Whatever does not hold is named with its file.
//!
//! The reader's own keys, where given, are the only ones that count; else those in the archive, and the account says so.

use super::{
    account::{Account, Sentence},
    archive::{self, Archive, Manifest, Record, Scope, Statement},
    decided,
    findings::Findings,
    of_message,
    receipt::rfc3339,
    time_stamps,
};
use crate::{ledger::entry::EntryKind, vault::sha256};
use std::collections::BTreeMap;

pub use super::findings::Keys;

/// The account of an archive. `bytes` is the file that it was read from, where there is one: nothing may stand in it besides.
pub fn account(archive: &Archive, bytes: Option<&[u8]>, given: &Keys) -> Account {
    let mut findings = Findings::new(archive, given);
    let scope: Option<Scope> = archive.json(archive::SCOPE);
    let scope = scope.filter(|scope| scope.evidence == archive::FORMAT);
    match &scope {
        None => findings.fault("unreadable", archive::SCOPE),
        Some(scope) => {
            let made = Sentence::of("evidence.made").with("time", rfc3339(scope.made));
            let made = made.with("officer", &scope.officer).with("purpose", &scope.purpose);
            findings.stated.say(made.with("case", scope.case.as_deref().unwrap_or("-")));
            if scope.left_out > 0 {
                findings.stated.say(Sentence::of("evidence.left-out").with("count", scope.left_out));
            }
            if bytes.is_some_and(|bytes| archive.write(scope.made).ok().as_deref() != Some(bytes)) {
                findings.faults.push(Sentence::of("evidence.fault-packing"));
            }
        }
    }
    if bytes.is_some() {
        list(&mut findings, scope.as_ref());
    }
    let mut records = Vec::new();
    for name in archive.members.keys().filter(|name| name.starts_with("messages/") && name.ends_with("/record.json")) {
        match archive.json::<Record>(name).filter(|record| *name == format!("messages/{}/record.json", record.message))
        {
            Some(record) => records.push(record),
            None => findings.fault("unreadable", name),
        }
    }
    records.sort_by_key(|record| (record.received_at, record.message));
    for record in &records {
        let line = Sentence::of("evidence.message").with("message", record.message).with("type", &record.type_name);
        let line =
            line.with("authority", &record.authority).with("client", &record.client).with("party", &record.party);
        let line = line.with("time", rfc3339(record.received_at)).with("outcome", &record.outcome);
        findings.stated.say(line);
    }
    decided::folders(&mut findings);
    records.iter().for_each(|record| of_message::check(&mut findings, record));
    findings.not_proven.say(Sentence::of("receipt.truth"));
    findings.not_proven.say(Sentence::of("receipt.owner"));
    let mut by_hand = vec!["evidence.hand-list", "evidence.hand-receipt", "evidence.hand-signature"];
    if archive.members.keys().any(|name| name.ends_with(time_stamps::TOKEN)) {
        by_hand.push("evidence.hand-time-stamp");
    }
    let by_hand = by_hand.into_iter().map(Sentence::of).collect();
    let (proven, not_proven) = (findings.proven.finish(), findings.not_proven.finish());
    let is_listed = bytes.is_none() || proven.iter().any(|one| one.key() == "evidence.listed");
    // Of a message something is proven once its entry is.
    let has_entry = proven.iter().any(|one| one.key() == "evidence.entry");
    let verdict = match (findings.faults.is_empty(), proven.is_empty() || !(has_entry || records.is_empty())) {
        (false, _) => "evidence.fails",
        (true, true) => "evidence.nothing",
        (true, false) if !is_listed => "evidence.holds-unlisted",
        (true, false) => "evidence.holds",
    };
    let title = scope.map_or_else(
        || Sentence::of("evidence.unknown"),
        |scope| {
            let kind = ["message", "placement", "day"].into_iter().find(|kind| scope.kind == *kind);
            Sentence::of(kind.map_or_else(|| "evidence.unknown".to_owned(), |kind| format!("evidence.of-{kind}")))
                .with("of", scope.of)
        },
    );
    Account {
        title,
        verdict: Sentence::of(verdict),
        faults: findings.faults,
        proven,
        stated: findings.stated.finish(),
        not_proven,
        keys: findings.used.into_iter().collect(),
        by_hand,
        appendix: Vec::new(),
    }
}

/// The list of contents, and the entry of the domestic log that commits to it.
fn list(findings: &mut Findings<'_>, scope: Option<&Scope>) {
    let archive = findings.archive;
    let Some(manifest) = archive.json::<Manifest>(archive::MANIFEST) else {
        return findings.fault("unreadable", archive::MANIFEST);
    };
    let found: BTreeMap<String, String> = archive.manifest().members;
    for (name, digest) in &manifest.members {
        match found.get(name) {
            None => findings.fault("missing", name),
            Some(is) if is != digest => findings.fault("changed", name),
            Some(_) => {}
        }
    }
    found.keys().filter(|name| !manifest.members.contains_key(*name)).for_each(|name| findings.fault("extra", name));
    let statement = archive.members.get(archive::STATEMENT).map_or(&[][..], Vec::as_slice);
    let said: Option<Statement> = archive.json(archive::STATEMENT);
    let digest = archive.members.get(archive::MANIFEST).map(|bytes| hex::encode(sha256(bytes)));
    if said.is_none_or(|said| Some(&said.manifest) != digest.as_ref() || Some(&said.scope) != scope) {
        findings.fault("list", archive::STATEMENT);
    }
    let Some((receipt, verified)) = findings.receipt(archive::ACT, Some((archive::STATEMENT, statement))) else {
        return;
    };
    let entry = &verified.entry;
    if entry.kind != EntryKind::Officer || entry.outcome != archive::ACT_OUTCOME || entry.assurance != archive::DOMESTIC
    {
        // Any message may say what a statement says: only an officer's act in the domestic log counts.
        return findings.fault("other", archive::ACT);
    }
    if findings.faults.is_empty() {
        let listed = Sentence::of("evidence.listed").with("index", receipt.index);
        findings.proven.say(listed.with("log", &verified.checkpoint.origin));
    }
}
