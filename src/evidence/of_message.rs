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
        note::{NoteFault, Role, Signed, VerifierKey},
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
use std::collections::BTreeSet;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

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
    if !findings.entries.insert((log.clone(), receipt.index)) {
        // One entry is of one message.
        findings.fault("other", &name("receipt.json"));
    }
    findings.proven.of(record, Sentence::of("evidence.entry").with("log", log));
    if verified.bytes_match == Some(true) {
        findings.proven.of(record, Sentence::of("evidence.bytes"));
    }
    if let Some(bytes) = request {
        let signer = sender(findings, record, &name("signature.json"), &bytes_name, bytes);
        let said = in_the_name(findings, record, &folder, bytes);
        decided::check(findings, record, entry.policy, signer.as_deref().filter(|_| said));
    } else {
        decided::check(findings, record, entry.policy, None);
    }
    told(findings, record, &folder);
    bounds(findings, record, &folder, &receipt, &verified);
    findings.not_proven.of(record, Sentence::of("evidence.own-answer"));
}

/// The sender's signature over the bytes; gives the id of the key by which it is proven that they were signed.
fn sender(findings: &mut Findings<'_>, record: &Record, name: &str, bytes_name: &str, bytes: &[u8]) -> Option<String> {
    let Some(kept) = findings.archive.json::<Signature>(name) else {
        findings.fault("unreadable", name);
        return None;
    };
    let mut signer = None;
    match (&kept.signature_base, &kept.signature) {
        (Some(base), Some(signature)) => {
            if let Some(kept) = signed(findings, record, name, &record.party, (base, signature)) {
                let target = kept.target.as_deref().unwrap_or("-");
                let claim = |key: &str| {
                    let claim = Sentence::of(key).with("key", &kept.keyid).with("party", &record.party);
                    claim.with("target", target)
                };
                match &kept.content_digest {
                    Some(value) if digest::is_of(value, bytes) => {
                        findings.proven.of(record, claim("evidence.sender"));
                        signer = Some(kept.keyid.clone());
                    }
                    // An item of a batch or of a page: what was signed is the digest of the whole. The log's entry commits to the item.
                    Some(value) => match whole(findings, record, bytes) {
                        Some((name, _, body)) if !digest::is_of(value, body) => findings.fault("digest", &name),
                        Some((_, true, _)) => {
                            findings.proven.of(record, claim("evidence.sender-whole"));
                            signer = Some(kept.keyid.clone());
                        }
                        _ => findings.not_proven.of(record, claim("evidence.sender-part")),
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
    if let Some(thumbprint) = &kept.certificate {
        certificate(findings, record, thumbprint);
    }
    signer
}

/// The request or page in which a message was stored, if it is here: its file, whether the message is one of its records, its body. A
/// page is read and its records are kept each by itself, so that there the same values count; of a file of rows, header and row.
fn whole<'a>(findings: &mut Findings<'a>, record: &Record, bytes: &[u8]) -> Option<(String, bool, &'a [u8])> {
    let archive = findings.archive;
    let id = record.part_of?;
    let name = format!("requests/{id}");
    let body = archive.members.get(&name)?;
    let page = findings.pages.entry(id).or_insert_with(|| serde_json::from_slice(body).ok());
    let lines = |bytes: &[u8]| -> BTreeSet<Vec<u8>> {
        let lines = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).split(|byte| *byte == b'\n');
        lines.map(|line| line.trim_ascii_end().to_vec()).filter(|line| !line.is_empty()).collect()
    };
    let is_part = match (page, serde_json::from_slice::<Value>(bytes)) {
        (Some(page), Ok(record)) => has_record(page, &record),
        (None, Err(_)) => lines(bytes).is_subset(&lines(body)),
        _ => false,
    };
    Some((name, is_part, body))
}

/// Whether a value is an item of a list, which the other is or has in it.
fn has_record(page: &Value, record: &Value) -> bool {
    match page {
        Value::Array(items) => items.contains(record),
        Value::Object(members) => members.values().any(|member| has_record(member, record)),
        _ => false,
    }
}

/// In whose name, and when, the message says that it was sent; gives whether it says what is on record. Bytes in a party's own format say
/// so only through its mapping.
fn in_the_name(findings: &mut Findings<'_>, record: &Record, folder: &str, bytes: &[u8]) -> bool {
    let is_mapped = findings.archive.members.contains_key(&format!("{folder}/event.json"));
    let event: Option<Value> = serde_json::from_slice(bytes).ok().filter(|_| !is_mapped);
    let text = |name: &str| event.as_ref().and_then(|event| event[name].as_str()).filter(|text| text.len() <= 200);
    match text("authority") {
        Some(authority) if authority == record.authority => {
            let time = text("time").and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
            time == Some(record.asserted_at)
        }
        Some(_) => {
            findings.fault("other", &format!("{folder}/record.json"));
            false
        }
        None => {
            let read = Sentence::of("evidence.authority-read").with("authority", &record.authority);
            findings.not_proven.of(record, read);
            is_mapped
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
    let is_answer = base.lines().any(|line| line.starts_with("\"@status\": "));
    let tag = if is_answer { RESPONSE_TAG } else { REQUEST_TAG };
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
        // Of two keys of one id the reader may have brought the other.
        _ if findings.was_left(party, &named) => {
            let left = Sentence::of("evidence.signing-key").with("key", &named).with("party", party);
            findings.not_proven.of(record, left);
        }
        None => findings.fault_with("key", name, Some(&named)),
        Some(_) => findings.fault("signature", name),
    }
    None
}

/// The certificate of the connection, against the roots of its party. Which certificate it was, and which roots are the party's, the
/// gateway says: no digest names them.
fn certificate(findings: &mut Findings<'_>, record: &Record, thumbprint: &str) {
    let archive = findings.archive;
    let name = format!("certificates/{thumbprint}.pem");
    let Some(pem) = archive.members.get(&name) else {
        findings.not_proven.of(record, Sentence::of("evidence.no-certificate"));
        return;
    };
    let read = |pem: &[u8]| CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    let chain = read(pem);
    if chain.first().is_none_or(|leaf| hex::encode(sha256(leaf)) != thumbprint) {
        findings.fault("certificate", &name);
        return;
    }
    let roots = format!("roots/{}/", record.party);
    let roots = archive.members.iter().filter(|(name, _)| name.starts_with(&roots));
    let roots: Vec<CertificateDer<'static>> = roots.flat_map(|(_, pem)| read(pem)).collect();
    if roots.is_empty() {
        findings.not_proven.of(record, Sentence::of("evidence.no-certificate"));
        return;
    }
    let anchors = PartyAnchors {
        party: record.party.clone(),
        roots,
        crls: Vec::new(),
        crl_grace: time::Duration::ZERO,
        crl_grace_until: None,
    };
    let leads = TrustStore::new(&[anchors])
        .is_ok_and(|store| PeerCertificate::from_chain(&store, &chain, record.received_at).is_ok());
    if leads {
        findings.stated.of(record, Sentence::of("evidence.certificate").with("party", &record.party));
    } else {
        // The roots are those of the day on which the archive was made: they may be others by then.
        findings.not_proven.of(record, Sentence::of("evidence.no-certificate"));
    }
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
        // Of which message it tells, what was sent must say itself: the entry and the answer do not.
        let names = exchanged.sent.is_some_and(|sent| {
            let id = record.message.to_string();
            sent.windows(id.len()).any(|part| part == id.as_bytes())
        });
        if is_of_sent == Some(true) && names {
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
    let partner = match Signed::open(note, &findings.logs) {
        Ok(partner) => partner,
        // A reader who brought other keys is shown no fault of the archive.
        Err(NoteFault::UnknownSigner) if findings.brought => {
            return findings.not_proven.of(record, Sentence::of("evidence.not-before-key").with("origin", origin));
        }
        Err(_) => return findings.fault("signature", name),
    };
    let of = |key: &&VerifierKey| key.role == Role::Log && key.name == origin;
    let used: Vec<String> = findings.logs.iter().filter(of).map(ToString::to_string).collect();
    findings.used.extend(used);
    let claim = Sentence::of("evidence.not-before").with("origin", &partner.checkpoint.origin);
    findings.proven.of(record, claim.with("size", partner.checkpoint.size));
}
