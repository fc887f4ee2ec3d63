//! Parties as data: who they are, which systems speak for them, how they are trusted, what may go out to them, by which rules
//! their corridor goes and on which days they work.
//!
//! Everything comes from the folders below `partners/`; no code here or elsewhere knows a country. Files are read and checked
//! in one go; what the network does with them is for the rooms above.

pub mod body;
pub mod calendar;
pub mod formats;
pub mod mapping;
pub mod profile;
mod reading;
pub mod release;
pub mod rules;

use crate::{
    domain::workdays::Workdays,
    ledger::note::{self, VerifierKey},
    message::problem::Fault,
    schema::{Schemas, bundle, catalogue::Level},
    trust::keys::VerifyingKey,
};
use calendar::WorkCalendar;
use profile::{Profile, Side};
use release::Release;
use rules::RulePacks;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use time::{OffsetDateTime, UtcOffset};

/// Why a folder cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {fault}", line.map_or_else(String::new, |line| format!(":{line}")))]
pub struct PartyFault {
    /// Which file.
    pub file: String,
    /// Which line of it, where that is known.
    pub line: Option<usize>,
    /// What is wrong with it.
    pub fault: String,
}

impl PartyFault {
    pub(crate) fn of(file: &Path, fault: impl ToString) -> Self {
        Self { file: file.display().to_string(), line: None, fault: fault.to_string() }
    }
}

/// A government, from its folder.
#[derive(Debug)]
pub struct Party {
    /// `party.toml`.
    pub profile: Profile,
    /// Offset of its local times.
    pub zone: UtcOffset,
    /// `release.toml`.
    pub release: Release,
    /// `rules/`.
    pub rules: RulePacks,
    /// `calendar/`.
    pub calendar: WorkCalendar,
    /// The keys of its own logs, of which we are a witness.
    pub logs: Vec<VerifierKey>,
    /// The keys of its witness, by Ed25519 and, where it has one, by ML-DSA-44; empty where it has no witness.
    pub witness: Vec<VerifierKey>,
    /// Its folder.
    pub folder: PathBuf,
    /// SHA-256 over the names and bytes of its TOML and JSON files: part of the policy of every entry of its corridor.
    pub digest: [u8; 32],
}

impl Party {
    /// Whether an authority of this party held its mandate at a moment, by the party's own calendar day.
    pub fn mandated(&self, authority: &str, at: OffsetDateTime) -> bool {
        self.profile.mandated(authority, at, self.zone)
    }

    /// The authorities that speak for it or did, those included whose mandates they took over.
    pub fn authorities(&self) -> impl Iterator<Item = &str> {
        self.profile.authority.iter().flat_map(|one| std::iter::once(&*one.code).chain(one.succeeds.as_deref()))
    }

    /// Its code, which is its folder's name.
    pub fn code(&self) -> &str {
        &self.profile.code
    }

    fn load(folder: &Path) -> Result<Self, Vec<PartyFault>> {
        let one = |fault| vec![fault];
        let mut faults = Vec::new();
        let profile = keep(read_profile(folder).map_err(one), &mut faults);
        let release = keep(read_toml(&folder.join("release.toml")).map_err(one), &mut faults);
        let zone = profile.as_ref().map(|(_, zone)| *zone);
        let (rules, calendar) = rules_and_days(folder, zone, &mut faults);
        let digest = keep(digest(folder).map_err(one), &mut faults);
        let profile_file = folder.join("party.toml");
        let of_witness = profile.as_ref().and_then(|(profile, _)| profile.witness_fault());
        faults.extend(of_witness.map(|fault| PartyFault::of(&profile_file, fault)));
        match (profile, release, rules, calendar, digest) {
            (Some((profile, zone)), Some(release), Some(rules), Some(calendar), Some(digest)) if faults.is_empty() => {
                let (logs, witness, folder) = (Vec::new(), Vec::new(), folder.to_owned());
                Ok(Self { profile, zone, release, rules, calendar, logs, witness, folder, digest })
            }
            _ => Err(faults),
        }
    }

    /// With the keys of its ledger, which lie beside its certificates.
    fn with_note_keys(mut self) -> Result<Self, Vec<PartyFault>> {
        let mut faults = Vec::new();
        let Profile { log, witness, .. } = &self.profile;
        let key = |file, of| note_key(&self.folder, file, of).map_err(|fault| vec![fault]);
        let logs = log.iter().filter_map(|log| keep(key(&log.file, note::LOG), &mut faults)).collect();
        let files = witness.iter().flat_map(profile::Witness::keys);
        let witness: Vec<_> = files.filter_map(|(file, of)| keep(key(file, of), &mut faults)).collect();
        if let [ed25519, ml_dsa] = &witness[..]
            && ed25519.name != ml_dsa.name
        {
            let fault = format!("[witness]: its keys have two names, {} and {}", ed25519.name, ml_dsa.name);
            faults.push(PartyFault::of(&self.folder.join("party.toml"), fault));
        }
        (self.logs, self.witness) = (logs, witness);
        if faults.is_empty() { Ok(self) } else { Err(faults) }
    }
}

/// Everything that is wrong with the files of a party's folder, mappings and certificates apart, and keys that are not there.
pub fn faults(folder: &Path) -> Vec<PartyFault> {
    match Party::load(folder) {
        Ok(party) => {
            let mut faults = party.with_note_keys().err().unwrap_or_default();
            faults.retain(|fault| Path::new(&fault.file).exists());
            faults
        }
        Err(faults) => faults,
    }
}

/// Everything that is wrong with the rule packs and the calendar of a folder whose local times have `zone`; its calendar, if it
/// can be used.
pub fn faults_of_rules_and_days(
    folder: &Path,
    zone: Option<UtcOffset>,
    schemas: &Schemas,
) -> (Vec<PartyFault>, Option<WorkCalendar>) {
    let mut faults = Vec::new();
    let (rules, calendar) = rules_and_days(folder, zone, &mut faults);
    faults.extend(rules.iter().flat_map(|rules| rules.strangers(schemas)));
    (faults, calendar)
}

fn rules_and_days(
    folder: &Path,
    zone: Option<UtcOffset>,
    faults: &mut Vec<PartyFault>,
) -> (Option<RulePacks>, Option<WorkCalendar>) {
    let rules = keep(RulePacks::load(folder, zone.unwrap_or(UtcOffset::UTC)), faults);
    let calendar = keep(WorkCalendar::load(folder), faults);
    if let (Some(zone), Some(general)) = (zone, calendar.as_ref().map(|calendar| calendar.zone(None)))
        && zone != general
    {
        let fault = format!("its general zone must be that of party.toml: {}", written(zone));
        faults.push(PartyFault::of(&folder.join("calendar/week.toml"), fault));
    }
    (rules, calendar)
}

/// An offset as the files write it.
fn written(zone: UtcOffset) -> String {
    let (hours, minutes, _) = zone.as_hms();
    let sign = if zone.is_negative() { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", hours.unsigned_abs(), minutes.unsigned_abs())
}

/// What was read, its faults noted.
fn keep<T>(read: Result<T, Vec<PartyFault>>, faults: &mut Vec<PartyFault>) -> Option<T> {
    read.map_err(|found| faults.extend(found)).ok()
}

/// The verifier key of a file, of a signature type.
///
/// # Errors
/// [`PartyFault`]: none is there, or one of another type.
pub fn note_key(folder: &Path, file: &str, signature_type: u8) -> Result<VerifierKey, PartyFault> {
    let file = folder.join(file);
    let text = fs::read_to_string(&file).map_err(|fault| PartyFault::of(&file, fault))?;
    let key = VerifierKey::parse(&text).map_err(|fault| PartyFault::of(&file, fault))?;
    if key.signature_type() == signature_type {
        return Ok(key);
    }
    let wanted = match signature_type {
        note::LOG => "a log (signature type 0x01)",
        note::WITNESS => "a witness by Ed25519 (signature type 0x04)",
        _ => "a witness by ML-DSA-44 (signature type 0x06)",
    };
    Err(PartyFault::of(&file, format!("the key is not one of {wanted}")))
}

fn read_profile(folder: &Path) -> Result<(Profile, UtcOffset), PartyFault> {
    let profile: Profile = read_toml(&folder.join("party.toml"))?;
    if folder.file_name().is_none_or(|name| name != profile.code.as_str()) {
        return Err(PartyFault::of(folder, format!("the folder's name is not the party's code {}", profile.code)));
    }
    let zone =
        profile.offset().map_err(|fault| PartyFault::of(&folder.join("party.toml"), format!("zone: {fault}")))?;
    Ok((profile, zone))
}

/// A system that calls us.
#[derive(Debug)]
pub struct Client {
    /// OAuth client id.
    pub id: String,
    /// The party whose system it is.
    pub party: Arc<Party>,
    /// DNS name of its certificate.
    pub san: String,
    /// Authorities in whose name it may speak.
    pub authorities: Vec<String>,
    /// Its message-signing keys.
    pub keys: Vec<Arc<VerifyingKey>>,
}

/// All parties of this gateway.
#[derive(Debug)]
pub struct Parties {
    /// The home party.
    pub home: Arc<Party>,
    /// The partners, by code.
    pub partners: BTreeMap<String, Arc<Party>>,
    /// Every client, by id.
    pub clients: BTreeMap<String, Arc<Client>>,
}

impl Parties {
    /// Reads every folder below `folder`.
    ///
    /// # Errors
    /// Every fault found.
    pub fn load(folder: &Path) -> Result<Self, Vec<PartyFault>> {
        let entries = fs::read_dir(folder).map_err(|fault| vec![PartyFault::of(folder, fault)])?;
        let mut folders: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.join("party.toml").is_file())
            .collect();
        folders.sort();
        let (mut faults, mut home, mut partners, mut clients) = (Vec::new(), None, BTreeMap::new(), BTreeMap::new());
        for folder in &folders {
            let party = match Party::load(folder).and_then(Party::with_note_keys) {
                Ok(party) => Arc::new(party),
                Err(found) => {
                    faults.extend(found);
                    continue;
                }
            };
            for client in &party.profile.client {
                match keys(&party, client) {
                    Ok(client) if clients.contains_key(&client.id) => {
                        faults.push(PartyFault::of(folder, format!("client {} is registered twice", client.id)));
                    }
                    Ok(client) => drop(clients.insert(client.id.clone(), Arc::new(client))),
                    Err(fault) => faults.push(fault),
                }
            }
            match party.profile.side {
                Side::Home if home.is_some() => faults.push(PartyFault::of(folder, "there are two home parties")),
                Side::Home => home = Some(party),
                Side::Partner => drop(partners.insert(party.code().to_owned(), party)),
            }
        }
        let sides = home.iter().flat_map(|home: &Arc<Party>| partners.values().map(move |partner| (home, partner)));
        faults.extend(sides.filter_map(|(home, partner)| never_at_work_together(home, partner)));
        match home {
            Some(home) if faults.is_empty() => Ok(Self { home, partners, clients }),
            Some(_) => Err(faults),
            None => {
                faults.push(PartyFault::of(folder, "no folder is the home party's (side = \"home\")"));
                Err(faults)
            }
        }
    }

    /// A party by its code.
    pub fn party(&self, code: &str) -> Option<&Arc<Party>> {
        if self.home.code() == code { Some(&self.home) } else { self.partners.get(code) }
    }

    /// What a message of a corridor breaks by the packs of the home party and of the partner.
    pub fn judge(&self, corridor: &str, type_name: &str, data: &Value, at: OffsetDateTime) -> Vec<(Level, Fault)> {
        let sides = std::iter::once(&self.home).chain(self.partners.get(corridor));
        sides.flat_map(|party| party.rules.judge(type_name, data, at)).collect()
    }

    /// Every party, the home party first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Party>> {
        std::iter::once(&self.home).chain(self.partners.values())
    }

    /// The client of a party whose certificate carries one of these names.
    pub fn client_of(&self, party: &str, sans: &[String]) -> Option<&Arc<Client>> {
        self.clients.values().find(|client| client.party.code() == party && sans.contains(&client.san))
    }
}

/// Terms in working days would never end where two sides share no day of the week.
fn never_at_work_together(home: &Party, partner: &Party) -> Option<PartyFault> {
    let fault = || PartyFault::of(&partner.folder.join("calendar/week.toml"), NEVER_TOGETHER);
    share_no_weekday(&home.calendar, &partner.calendar).then(fault)
}

/// What is said of a calendar that shares no day with the home party's.
pub const NEVER_TOGETHER: &str = "shares no day of the week with the home party";

/// Whether some region of one side and some of the other never work on the same day of the week.
pub fn share_no_weekday(home: &WorkCalendar, partner: &WorkCalendar) -> bool {
    let none = |ours: &Workdays| partner.all_workdays().any(|its| Workdays::common_weekdays(&[ours, its]) == 0);
    home.all_workdays().any(none)
}

fn keys(party: &Arc<Party>, client: &profile::Client) -> Result<Client, PartyFault> {
    if let Some(unknown) =
        client.authorities.iter().find(|code| !party.profile.authority.iter().any(|a| a.code == **code))
    {
        return Err(PartyFault::of(
            &party.folder,
            format!("client {}: no authority {unknown} in this folder", client.id),
        ));
    }
    let keys = client.key.iter().map(|key| {
        let file = party.folder.join(&key.file);
        let pem = fs::read(&file).map_err(|fault| PartyFault::of(&file, fault))?;
        VerifyingKey::from_spki_pem(&key.kid, &pem).map(Arc::new).map_err(|fault| PartyFault::of(&file, fault))
    });
    Ok(Client {
        id: client.id.clone(),
        san: client.san.to_ascii_lowercase(),
        authorities: client.authorities.clone(),
        keys: keys.collect::<Result<_, _>>()?,
        party: party.clone(),
    })
}

pub(crate) fn read_toml<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T, PartyFault> {
    let text = fs::read_to_string(file).map_err(|fault| PartyFault::of(file, fault))?;
    toml::from_str(&text).map_err(|fault| PartyFault::of(file, fault))
}

fn digest(folder: &Path) -> Result<[u8; 32], PartyFault> {
    let files = bundle::read(folder, bundle::PARTY).map_err(|(file, fault)| PartyFault::of(&file, fault))?;
    Ok(bundle::digest_of(&files))
}
