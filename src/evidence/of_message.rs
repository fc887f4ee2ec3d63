//! What an archive shows of one message: its entry, its sender's signature, certificate and mandate, what decided, who was told, and
//! between which bounds of time it was recorded.

use super::{
    account::Sentence,
    archive::{Content, Record},
    check::{Findings, instant, is_shown},
    receipt::rfc3339,
    time_stamps,
};
use crate::{
    ledger::{
        entry::EntryKind,
        note::{Role, Signed},
        receipt::{Receipt, Verified},
        tree::Hash,
    },
    partner::profile::Profile,
    schema::bundle,
    trust::{
        anchors::{PartyAnchors, PeerCertificate, TrustStore},
        digest,
        httpsig::{self, Kept},
    },
    vault::sha256,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize;
use std::path::Path;

/// What is kept of a signature.
#[derive(Deserialize)]
struct Signature {
    signature_base: Option<String>,
    signature: Option<String>,
    certificate: Option<String>,
    revocation: Option<String>,
}

/// A policy document.
#[derive(Deserialize)]
struct Policy {
    software: String,
    schemas: String,
    party: String,
    profile_and_mappings: String,
    home: Option<String>,
    home_profile: Option<String>,
}

pub(super) fn check(findings: &mut Findings<'_>, record: &Record) {
    let archive = findings.archive;
    let folder = format!("messages/{}", record.message);
    let name = |file: &str| format!("{folder}/{file}");
    let request = archive.members.get(&name("request")).map(Vec::as_slice);
    if is_shown(record) != request.is_some() {
        findings.fault(if request.is_some() { "extra" } else { "missing" }, &name("request"));
    }
    match record.content {
        Content::Shown => {}
        Content::Erased => findings.not_proven.of(record, Sentence::of("evidence.erased")),
        Content::Withheld => findings.not_proven.of(record, Sentence::of("evidence.withheld")),
    }
    let bytes_name = name("request");
    let found = findings.receipt(&name("receipt.json"), request.map(|bytes| (bytes_name.as_str(), bytes)));
    let Some((receipt, verified)) = found else { return };
    let entry = &verified.entry;
    if receipt.message != record.message
        || entry.kind != EntryKind::Received
        || entry.outcome != record.outcome
        || entry.time != record.received_at
    {
        findings.fault("other", &name("receipt.json"));
    }
    let log = &verified.checkpoint.origin;
    findings.proven.of(record, Sentence::of("evidence.entry").with("log", log));
    if verified.bytes_match == Some(true) {
        findings.proven.of(record, Sentence::of("evidence.bytes"));
    }
    if let Some(bytes) = request {
        let presented = sender(findings, record, &name("signature.json"), &bytes_name, bytes);
        decided(findings, record, entry.policy, &presented);
    } else {
        decided(findings, record, entry.policy, &[]);
    }
    told(findings, record, &folder);
    bounds(findings, record, &folder, &receipt, &verified);
    findings.not_proven.of(record, Sentence::of("evidence.own-answer"));
}

/// The sender's signature over the bytes; gives the DNS names of the connection's certificate.
fn sender(findings: &mut Findings<'_>, record: &Record, name: &str, bytes_name: &str, bytes: &[u8]) -> Vec<String> {
    let Some(kept) = findings.archive.json::<Signature>(name) else {
        findings.fault("unreadable", name);
        return Vec::new();
    };
    match (&kept.signature_base, &kept.signature) {
        (Some(base), Some(signature)) => {
            if let Some(kept) = signed(findings, name, &record.party, base, signature) {
                let claim = |key: &str| Sentence::of(key).with("key", &kept.keyid).with("party", &record.party);
                match &kept.content_digest {
                    Some(value) if digest::is_of(value, bytes) => {
                        findings.proven.of(record, claim("evidence.sender"));
                    }
                    // An item of a batch or of a page: what was signed is the digest of the whole. The log's entry commits to the item.
                    Some(_) => findings.not_proven.of(record, claim("evidence.sender-part")),
                    None => findings.fault("digest", bytes_name),
                }
            }
        }
        _ => findings.not_proven.of(record, Sentence::of("evidence.no-sender")),
    }
    if let Some(state) = &kept.revocation {
        findings.stated.of(record, Sentence::of("evidence.revocation").with("state", state));
    }
    let Some(thumbprint) = &kept.certificate else { return Vec::new() };
    certificate(findings, record, thumbprint)
}

/// Verifies a kept signature by a key of the party.
fn signed(findings: &mut Findings<'_>, name: &str, party: &str, base: &str, signature: &str) -> Option<Kept> {
    let mut named = String::new();
    let mut fault = None;
    // One id may have stood for several keys over the years.
    let mut at = 0;
    loop {
        let result = httpsig::verify_kept(base, signature, |kid| {
            kid.clone_into(&mut named);
            findings.signing(party, kid).get(at).cloned()
        });
        match result {
            Ok(kept) => {
                if let Some(key) = findings.signing(party, &named).get(at) {
                    findings.used(&key.clone());
                }
                return Some(kept);
            }
            Err(httpsig::Refusal::UnknownKey) => break,
            Err(refusal) => fault = Some(refusal),
        }
        at += 1;
        if named.is_empty() {
            break;
        }
    }
    match fault {
        None => findings.fault_with("key", name, Some(&named)),
        Some(_) => findings.fault("signature", name),
    }
    None
}

/// The certificate of the connection, against the roots of its party; gives its DNS names.
fn certificate(findings: &mut Findings<'_>, record: &Record, thumbprint: &str) -> Vec<String> {
    let archive = findings.archive;
    let name = format!("certificates/{thumbprint}.pem");
    let Some(pem) = archive.members.get(&name) else {
        findings.not_proven.of(record, Sentence::of("evidence.no-certificate"));
        return Vec::new();
    };
    let read = |pem: &[u8]| CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    let chain = read(pem);
    if chain.first().is_none_or(|leaf| hex::encode(sha256(leaf)) != thumbprint) {
        findings.fault("certificate", &name);
        return Vec::new();
    }
    let roots = format!("parties/{}/", record.party);
    let roots = archive.members.iter().filter(|(name, _)| name.starts_with(&roots) && name.ends_with(".pem"));
    let roots: Vec<CertificateDer<'static>> = roots.flat_map(|(_, pem)| read(pem)).collect();
    if roots.is_empty() {
        findings.not_proven.of(record, Sentence::of("evidence.no-certificate"));
        return Vec::new();
    }
    let anchors = PartyAnchors {
        party: record.party.clone(),
        roots,
        crls: Vec::new(),
        crl_grace: time::Duration::ZERO,
        crl_grace_until: None,
    };
    let peer = TrustStore::new(&[anchors])
        .ok()
        .and_then(|store| PeerCertificate::from_chain(&store, &chain, record.received_at).ok());
    let Some(peer) = peer else {
        findings.fault("certificate", &name);
        return Vec::new();
    };
    findings.proven.of(record, Sentence::of("evidence.certificate").with("party", &record.party));
    peer.dns_sans
}

/// What decided: the policy document that the entry names, and the files that it names in turn.
fn decided(findings: &mut Findings<'_>, record: &Record, policy: Hash, presented: &[String]) {
    let archive = findings.archive;
    let digest = hex::encode(policy);
    let name = format!("policies/{digest}.json");
    let unknown = || Sentence::of("evidence.no-rules").with("policy", &digest);
    let no_mandate = || Sentence::of("evidence.no-mandate").with("authority", &record.authority);
    let Some(document) = archive.members.get(&name) else {
        findings.not_proven.of(record, unknown());
        findings.not_proven.of(record, no_mandate());
        return;
    };
    if sha256(document) != policy {
        return findings.fault("policy", &name);
    }
    let Ok(policy) = serde_json::from_slice::<Policy>(document) else { return findings.fault("unreadable", &name) };
    findings.stated.of(record, Sentence::of("evidence.software").with("software", &policy.software));
    let party = |code: &str| format!("parties/{code}/");
    let mut folders = vec![
        ("schemas/".to_owned(), bundle::SCHEMAS, &policy.schemas),
        (party(&policy.party), bundle::PARTY, &policy.profile_and_mappings),
    ];
    if let (Some(home), Some(digest)) = (&policy.home, &policy.home_profile) {
        folders.push((party(home), bundle::PARTY, digest));
    }
    let mut bound = Vec::new();
    let mut all = true;
    for (folder, endings, digest) in &folders {
        match of_folder(findings, folder, endings) {
            None => all = false,
            Some(found) if hex::encode(found) == **digest => bound.push(folder.clone()),
            Some(_) => findings.fault("policy", folder),
        }
    }
    let rules = if all { Sentence::of("evidence.rules") } else { unknown() };
    if all {
        findings.proven.of(record, rules)
    } else {
        findings.not_proven.of(record, rules)
    }
    let folder = party(&record.party);
    let profile = archive.members.get(&format!("{folder}party.toml")).filter(|_| bound.contains(&folder));
    let profile: Option<Profile> = profile.and_then(|text| toml::from_str(std::str::from_utf8(text).ok()?).ok());
    let may = profile.is_some_and(|profile| {
        let client = profile.client.iter().find(|client| client.id == record.client);
        let named = client.is_some_and(|client| {
            let san = client.san.to_ascii_lowercase();
            client.authorities.contains(&record.authority) && presented.contains(&san)
        });
        let zone = profile.offset();
        named && zone.is_ok_and(|zone| profile.mandated(&record.authority, record.asserted_at, zone))
    });
    if may {
        let claim = Sentence::of("evidence.mandate").with("client", &record.client);
        findings.proven.of(record, claim.with("authority", &record.authority));
    } else {
        findings.not_proven.of(record, no_mandate());
    }
}

/// The digest of a folder of the archive, computed once; `None` where it is not there.
fn of_folder(findings: &mut Findings<'_>, folder: &str, endings: &[&str]) -> Option<Hash> {
    if let Some(known) = findings.folders.get(folder) {
        return *known;
    }
    let files: Vec<(&str, &[u8])> = findings
        .archive
        .members
        .iter()
        .filter_map(|(name, bytes)| Some((name.strip_prefix(folder)?, bytes.as_slice())))
        .filter(|(name, _)| bundle::counts(Path::new(name), endings))
        .collect();
    let digest = (!files.is_empty()).then(|| bundle::digest(files));
    findings.folders.insert(folder.to_owned(), digest);
    digest
}

/// Who was told, and what they answered.
fn told(findings: &mut Findings<'_>, record: &Record, folder: &str) {
    let archive = findings.archive;
    for one in &record.told {
        let (answer_name, receipt_name) = (
            format!("{folder}/told/{}-{}.answer", one.party, one.seq),
            format!("{folder}/told/{}-{}.receipt.json", one.party, one.seq),
        );
        let state = Sentence::of("evidence.delivery").with("party", &one.party).with("state", &one.state);
        findings.stated.of(record, state);
        findings.not_proven.of(record, Sentence::of("evidence.sent").with("party", &one.party));
        if !archive.members.contains_key(&receipt_name) {
            // What had not been told when the person was erased ended without an answer, and so without an entry.
            if one.settled_at.is_some() && one.state != "erased" {
                findings.fault("missing", &receipt_name);
            }
            continue;
        }
        let answer = archive.members.get(&answer_name).map(Vec::as_slice);
        let found = findings.receipt(&receipt_name, answer.map(|bytes| (answer_name.as_str(), bytes)));
        let Some((_, verified)) = found else { continue };
        if verified.entry.kind != EntryKind::Delivered || verified.entry.outcome != one.state {
            findings.fault("other", &receipt_name);
        }
        let Some(answer) = answer else { continue };
        // The first line is what is kept of the signature, the rest the body.
        let (head, body) = answer.split_at(answer.iter().position(|byte| *byte == b'\n').unwrap_or(answer.len()));
        let body = body.strip_prefix(b"\n").unwrap_or(body);
        let unsigned = || Sentence::of("evidence.answer-unsigned").with("party", &one.party);
        let kept: Option<Signature> = serde_json::from_slice(head).ok();
        let Some((base, signature)) = kept.and_then(|kept| kept.signature_base.zip(kept.signature)) else {
            findings.not_proven.of(record, unsigned());
            continue;
        };
        let Some(kept) = signed(findings, &answer_name, &one.party, &base, &signature) else { continue };
        if kept.content_digest.as_ref().is_some_and(|value| !digest::is_of(value, body)) {
            findings.fault("digest", &answer_name);
            continue;
        }
        let claim = Sentence::of("evidence.answered").with("party", &one.party).with("key", &kept.keyid);
        findings.proven.of(record, claim);
    }
}

/// Between which bounds of time the entry was recorded.
fn bounds(findings: &mut Findings<'_>, record: &Record, folder: &str, receipt: &Receipt, verified: &Verified) {
    let note_name = format!("{folder}/not-before.note");
    match findings.archive.members.get(&note_name) {
        None => findings.not_proven.of(record, Sentence::of("evidence.no-not-before")),
        Some(note) => not_before(findings, record, folder, (&note_name, note), (receipt, verified)),
    }
    for (witness, at) in &verified.witnesses {
        let claim = Sentence::of("evidence.witnessed").with("witness", witness);
        findings.proven.of(record, claim.with("time", instant(*at).map(rfc3339).unwrap_or_default()));
    }
    let stamped = time_stamps::check(findings, record, folder, (receipt, verified));
    if verified.witnesses.is_empty() && !stamped {
        findings.not_proven.of(record, Sentence::of("evidence.no-not-after"));
    }
}

fn not_before(
    findings: &mut Findings<'_>,
    record: &Record,
    folder: &str,
    (name, note): (&str, &[u8]),
    (receipt, verified): (&Receipt, &Verified),
) {
    let member = format!("{folder}/not-before.receipt.json");
    let Some((earlier, embedded)) = findings.receipt(&member, Some((name, note))) else { return };
    // In one tree, so that the order of the entries is the order in which they were recorded.
    let is_before = embedded.checkpoint == verified.checkpoint && earlier.index < receipt.index;
    if !is_before || embedded.entry.kind != EntryKind::Witnessed {
        return findings.fault("other", &member);
    }
    let note = std::str::from_utf8(note).unwrap_or_default();
    let origin = note.lines().next().unwrap_or_default();
    let key = findings.logs.iter().find(|key| key.role == Role::Log && key.name == origin).map(ToString::to_string);
    let Some(key) = key else {
        // A reader who brought other keys is shown no fault of the archive.
        return findings.not_proven.of(record, Sentence::of("evidence.not-before-key").with("origin", origin));
    };
    let Ok(partner) = Signed::open(note, &findings.logs) else { return findings.fault("signature", name) };
    findings.used_line(key);
    let claim = Sentence::of("evidence.not-before").with("origin", &partner.checkpoint.origin);
    findings.proven.of(record, claim.with("size", partner.checkpoint.size));
}
