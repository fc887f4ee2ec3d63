//! What an archive shows of one message: its entry, its sender's signature and certificate, who was told, and between which bounds of
//! time it was recorded. What decided, and by which mandate, is in [`super::decided`].

use super::{
    account::Sentence,
    archive::{Content, Record},
    decided,
    findings::{Findings, instant, is_shown, origin},
    receipt::rfc3339,
    time_stamps,
};
use crate::{
    ledger::{
        entry::EntryKind,
        note::{Role, Signed},
        receipt::{Receipt, Verified},
    },
    trust::{
        anchors::{PartyAnchors, PeerCertificate, TrustStore},
        digest, exchanged,
        httpsig::{self, Kept, REQUEST_TAG, RESPONSE_TAG},
    },
    vault::sha256,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize;
use serde_json::Value;

/// What is kept of a signature.
#[derive(Deserialize)]
struct Signature {
    signature_base: Option<String>,
    signature: Option<String>,
    certificate: Option<String>,
    revocation: Option<String>,
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
        in_the_name(findings, record, &folder, bytes);
        decided::check(findings, record, entry.policy, &presented);
    } else {
        decided::check(findings, record, entry.policy, &[]);
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
            if let Some(kept) = signed(findings, record, name, &record.party, (base, signature)) {
                let claim = |key: &str| Sentence::of(key).with("key", &kept.keyid).with("party", &record.party);
                match &kept.content_digest {
                    Some(value) if digest::is_of(value, bytes) => {
                        findings.proven.of(record, claim("evidence.sender"));
                    }
                    // An item of a batch or of a page: what was signed is the digest of the whole. The log's entry commits to the item.
                    Some(value) => match whole(findings, record, bytes) {
                        None => findings.not_proven.of(record, claim("evidence.sender-part")),
                        Some((_, true, body)) if digest::is_of(value, body) => {
                            findings.proven.of(record, claim("evidence.sender-whole"));
                        }
                        Some((name, ..)) => findings.fault("digest", &name),
                    },
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

/// The request or page in which a message came, if it is here: its file, whether the message's bytes are part of it, its body. A page is
/// read and its records are kept each by itself, so that there the same values count.
fn whole<'a>(findings: &Findings<'a>, record: &Record, bytes: &[u8]) -> Option<(String, bool, &'a [u8])> {
    let name = format!("requests/{}", record.part_of?);
    let body = findings.archive.members.get(&name)?;
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    let is_part = body.windows(bytes.len().max(1)).any(|part| part == bytes)
        || read(bytes).zip(read(body)).is_some_and(|(record, page)| holds(&page, &record));
    Some((name, is_part, body))
}

/// Whether a value is, or has in it, another.
fn holds(value: &Value, part: &Value) -> bool {
    value == part
        || match value {
            Value::Array(items) => items.iter().any(|item| holds(item, part)),
            Value::Object(members) => members.values().any(|member| holds(member, part)),
            _ => false,
        }
}

/// In whose name the message says that it was sent. Bytes in a party's own format say so only through its mapping.
fn in_the_name(findings: &mut Findings<'_>, record: &Record, folder: &str, bytes: &[u8]) {
    let event: Option<Value> = serde_json::from_slice(bytes).ok();
    match event.as_ref().filter(|event| event.get("specversion").is_some()).map(|event| &event["authority"]) {
        Some(authority) if authority.as_str() == Some(&record.authority) => {}
        Some(_) => findings.fault("other", &format!("{folder}/record.json")),
        None => {
            let read = Sentence::of("evidence.authority-read").with("authority", &record.authority);
            findings.not_proven.of(record, read);
        }
    }
}

/// Verifies a kept signature by a key of the party; it must have been made for a request or an answer, whichever it is over.
fn signed(
    findings: &mut Findings<'_>,
    record: &Record,
    name: &str,
    party: &str,
    (base, signature): (&str, &str),
) -> Option<Kept> {
    let tag = if base.contains("\"@status\": ") { RESPONSE_TAG } else { REQUEST_TAG };
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
            Ok(kept) if kept.tag.as_deref() != Some(tag) => fault = Some(httpsig::Refusal::Invalid),
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
        None if findings.was_left(party, &named) => {
            let left = Sentence::of("evidence.signing-key").with("key", &named).with("party", party);
            findings.not_proven.of(record, left);
        }
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
    let roots = format!("roots/{}/", record.party);
    let roots = archive.members.iter().filter(|(name, _)| name.starts_with(&roots));
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
        // The roots are those of the day on which the archive was made: they may be others by then.
        findings.not_proven.of(record, Sentence::of("evidence.no-certificate"));
        return Vec::new();
    };
    findings.proven.of(record, Sentence::of("evidence.certificate").with("party", &record.party));
    peer.dns_sans
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
        if !archive.members.contains_key(&receipt_name) {
            // It waits, or it was made to wait again, or ended without an answer.
            continue;
        }
        let answer = archive.members.get(&answer_name).map(Vec::as_slice);
        let found = findings.receipt(&receipt_name, answer.map(|bytes| (answer_name.as_str(), bytes)));
        let Some((receipt, verified)) = found else { continue };
        // How it stands may have changed since: an entry is about what was answered then.
        if verified.entry.kind != EntryKind::Delivered || receipt.message != record.message {
            findings.fault("other", &receipt_name);
        }
        let Some(answer) = answer else { continue };
        let exchanged = exchanged::read(answer);
        let kept = exchanged.head.and_then(|head| head.signature_base.zip(head.signature));
        let Some((base, signature)) = kept else {
            findings.not_proven.of(record, Sentence::of("evidence.answer-unsigned").with("party", &one.party));
            continue;
        };
        // Who fetches messages acknowledges by a request of its own; who is told answers.
        let Some(kept) = signed(findings, record, &answer_name, &one.party, (&base, &signature)) else { continue };
        let is_signed = match &kept.content_digest {
            Some(value) => digest::is_of(value, exchanged.body),
            None => exchanged.body.is_empty(),
        };
        let is_of_sent =
            exchanged.sent.map(|sent| kept.request_digest.as_ref().is_some_and(|value| digest::is_of(value, sent)));
        if !is_signed || is_of_sent == Some(false) {
            findings.fault("digest", &answer_name);
            continue;
        }
        if is_of_sent == Some(true) {
            let claim = Sentence::of("evidence.told").with("party", &one.party).with("key", &kept.keyid);
            findings.proven.of(record, claim);
            continue;
        }
        findings.not_proven.of(record, Sentence::of("evidence.sent").with("party", &one.party));
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
    let origin = origin(note);
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
