//! What decided about a message: the policy document that its entry names by digest, the files that the document names in turn, and what
//! the sender's profile among them allowed.

use super::{account::Sentence, archive::Record, findings::Findings};
use crate::{ledger::tree::Hash, partner::profile::Profile, schema::bundle, vault::sha256};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

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

impl Policy {
    /// The folders of an archive that it names, with their digests.
    fn folders(&self) -> Vec<(String, &str)> {
        let own = [("schemas/".to_owned(), self.schemas.as_str()), (of_party(&self.party), &self.profile_and_mappings)];
        let home = self.home.as_deref().zip(self.home_profile.as_deref());
        own.into_iter().chain(home.map(|(home, digest)| (of_party(home), digest))).collect()
    }
}

fn of_party(code: &str) -> String {
    format!("parties/{code}/")
}

/// The digests of the folders of an archive, by their names; each must be one that a policy document in it names.
pub(super) fn folders(findings: &mut Findings<'_>) {
    let members = &findings.archive.members;
    let of_folder = |name: &str| -> Option<String> {
        let code = || name.strip_prefix("parties/")?.split_once('/').map(|(code, _)| of_party(code));
        if name.starts_with("schemas/") { Some("schemas/".to_owned()) } else { code() }
    };
    let there: BTreeSet<String> = members.keys().filter_map(|name| of_folder(name)).collect();
    let policies = members.iter().filter(|(name, _)| name.starts_with("policies/"));
    let policies: Vec<Policy> = policies.filter_map(|(_, bytes)| serde_json::from_slice(bytes).ok()).collect();
    let digests: BTreeMap<String, Hash> = there
        .into_iter()
        .map(|folder| {
            let endings = if folder == "schemas/" { bundle::SCHEMAS } else { bundle::PARTY };
            let files =
                members.iter().filter_map(|(name, bytes)| Some((name.strip_prefix(&folder)?, bytes.as_slice())));
            let digest = bundle::digest(files.filter(|(name, _)| bundle::counts(Path::new(name), endings)));
            (folder, digest)
        })
        .collect();
    for (folder, digest) in &digests {
        let named = |policy: &Policy| policy.folders().contains(&(folder.clone(), hex::encode(digest).as_str()));
        if !policies.iter().any(named) {
            findings.fault("policy", folder);
        }
    }
    findings.folders = digests;
}

/// What decided about one message. `signer` is the key that signed it, where that is proven and it says itself in whose name and when.
pub(super) fn check(findings: &mut Findings<'_>, record: &Record, policy: Hash, signer: Option<&str>) {
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
    // Files change over the years: those that are here may have decided about another message.
    let named = policy.folders();
    let here =
        |(folder, digest): &&(String, &str)| findings.folders.get(folder).map(hex::encode).as_deref() == Some(digest);
    let bound: Vec<&str> = named.iter().filter(here).map(|(folder, _)| folder.as_str()).collect();
    let folder = of_party(&record.party);
    let profile = archive.members.get(&format!("{folder}party.toml")).filter(|_| bound.contains(&folder.as_str()));
    let profile: Option<Profile> = profile.and_then(|text| toml::from_str(std::str::from_utf8(text).ok()?).ok());
    if bound.len() == named.len() {
        findings.proven.of(record, Sentence::of("evidence.rules"));
    } else {
        findings.not_proven.of(record, unknown());
    }
    if profile.is_some_and(|profile| may_speak(&profile, record, signer)) {
        let claim = Sentence::of("evidence.mandate").with("client", &record.client);
        findings.proven.of(record, claim.with("authority", &record.authority));
    } else {
        findings.not_proven.of(record, no_mandate());
    }
}

/// Whether the client by that name, whose key signed, spoke for the authority with its mandate of that day.
fn may_speak(profile: &Profile, record: &Record, signer: Option<&str>) -> bool {
    let client = profile.client.iter().find(|client| client.id == record.client);
    let signed = client.is_some_and(|client| {
        client.authorities.contains(&record.authority) && client.key.iter().any(|key| Some(key.kid.as_str()) == signer)
    });
    signed && profile.offset().is_ok_and(|zone| profile.mandated(&record.authority, record.asserted_at, zone))
}
