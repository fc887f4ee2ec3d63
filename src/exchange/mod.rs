//! The use cases, one file each: who is calling, taking messages in, telling parties, asking them, reminding them, answering
//! officers and taking their decisions.
//!
//! Everything above (HTTP, pages, commands) goes through here; everything here goes through [`crate::store`] and
//! [`crate::client`]. It knows no HTTP framework and no country.

pub mod actions;
pub mod admission;
pub mod caller;
pub mod cosigning;
pub mod crl_grace;
pub mod deadlines;
pub mod decide;
pub mod deliver;
pub mod erase;
pub mod evidence;
pub mod export;
pub mod inbox;
pub mod intake;
pub mod judgement;
mod known;
mod lateness;
pub mod limits;
pub mod mailbox;
pub mod opening;
pub mod operations;
mod own;
pub mod poll;
pub mod query;
pub mod rotate_kek;
mod tags;
pub mod time_stamps;
pub mod tokens;
pub mod view;
pub mod whole;
pub mod witness;

use crate::{
    domain::{
        clock::{Clock, Random, uuid_v7},
        deadlines::{ClockRule, Side, Sides},
        fold::FoldRules,
    },
    ledger::cosignature::Cosigner,
    message::problem::{Problem, ProblemKind},
    partner::{Parties, Party, formats::Formats, profile::Assurance},
    schema::{Schemas, catalogue::ClockEntry},
    store::{
        StoreFault, access,
        journal::{CorridorRules, Journal, JournalFault, JournalHandle, acts::Act},
    },
    trust::{
        anchors::TrustStore,
        keys::SigningKey,
        token::{TokenIssuer, TokenVerifier},
    },
    vault::sha256,
};
use cosigning::Standings;
use std::{collections::HashMap, sync::Arc};
use time::OffsetDateTime;
use time_stamps::Stamping;
use uuid::Uuid;

/// Everything a use case works with.
pub struct Gateway {
    /// What messages look like.
    pub schemas: Arc<Schemas>,
    /// Who the parties are.
    pub parties: Arc<Parties>,
    /// Each party's wire records.
    pub formats: HashMap<String, Formats>,
    /// Whose certificates are believed.
    pub trust: Arc<TrustStore>,
    /// Signs our answers and requests.
    pub signing: Arc<SigningKey>,
    /// Issues access tokens.
    pub issuer: TokenIssuer,
    /// Verifies access tokens.
    pub verifier: TokenVerifier,
    /// The issuer's name: our external base address.
    pub name: String,
    /// The journal and its databases.
    pub journal: Arc<Journal>,
    /// Where intents are handed over.
    pub queue: JournalHandle,
    /// Cosigns the partners' own logs.
    pub witness: Cosigner,
    /// How the corridors stand towards the partners' witnesses.
    pub standings: Standings,
    /// How we stand towards the time-stamp authority.
    pub stamping: Stamping,
    /// Digest of the policy document in force, by corridor.
    pub policies: HashMap<String, [u8; 32]>,
    /// Where erasures are listed outside of the databases.
    pub erasures: erase::List,
    /// How long backups of the vault are kept.
    pub vault_backups: time::Duration,
}

impl Gateway {
    /// Now.
    pub fn now(&self) -> OffsetDateTime {
        self.journal.clock.now()
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.journal.clock
    }

    /// The generator.
    pub fn random(&self) -> &dyn Random {
        &*self.journal.random
    }

    /// A fresh id of ours.
    pub fn id(&self) -> Uuid {
        uuid_v7(self.clock(), self.random())
    }

    /// A problem under a fresh error id.
    pub fn problem(&self, kind: ProblemKind) -> Problem {
        Problem::new(kind, self.id())
    }

    /// A fault of the database as a problem; its cause is logged once, under the error id.
    pub fn unavailable(&self, fault: &StoreFault) -> Problem {
        if let StoreFault::Halted { .. } = fault {
            return self.halted();
        }
        let problem = self.problem(ProblemKind::ServiceUnavailable);
        tracing::error!(error_id = %problem.id, %fault, "a request failed for the database");
        Problem { retry_after_s: Some(1), ..problem }
    }

    /// A message that was not stored, as a problem.
    pub fn not_stored(&self, fault: JournalFault) -> Problem {
        let problem = self.problem(ProblemKind::ServiceUnavailable).because(match fault {
            JournalFault::Unavailable => "database-away",
            JournalFault::Full => "queue-full",
            JournalFault::Halted => return self.halted(),
        });
        Problem { retry_after_s: Some(1), ..problem }
    }

    /// Nothing is appended to the corridor's log: a person has to mend it.
    fn halted(&self) -> Problem {
        let problem = self.problem(ProblemKind::LedgerHalted).because("history-behind-witness");
        Problem { retry_after_s: Some(60), ..problem }
    }

    /// What a party can prove at this moment, for entries and receipts: `witnessed` only while its witness really cosigns.
    pub fn assurance(&self, party: &str) -> Option<&'static str> {
        let declared = self.parties.party(party)?.profile.assurance;
        let is_had = declared != Assurance::Witnessed || self.standings.of(party).cosigning;
        Some(if is_had { declared } else { Assurance::AnswerSigned }.as_str())
    }

    /// The side that an authority speaks for.
    pub fn side_of(&self, authority: &str) -> Side {
        if self.parties.home.authorities().any(|one| one == authority) { Side::Home } else { Side::Partner }
    }

    /// An officer's act in the log of a corridor, or the domestic one; its entry commits to the statement.
    pub(crate) fn act(&self, corridor: &str, outcome: &str, statement: String) -> Act {
        Act {
            id: self.id(),
            corridor: corridor.to_owned(),
            outcome: outcome.to_owned(),
            statement,
            policy: self.policy(corridor),
            assurance: self.assurance(corridor).unwrap_or("domestic").to_owned(),
        }
    }

    /// The policy digest of a corridor, of zeros where there is none.
    pub fn policy(&self, corridor: &str) -> [u8; 32] {
        self.policies.get(corridor).copied().unwrap_or_default()
    }
}

/// The rules by which each corridor's messages are folded, from the catalogue and the partner's folder.
pub fn rules(schemas: &Schemas, parties: &Parties) -> HashMap<String, CorridorRules> {
    let corridor = |(code, partner): (&String, &Arc<Party>)| {
        let terms = |name: &str| partner.profile.clock.iter().find(|terms| terms.name == name);
        let clock = |entry: &ClockEntry| {
            let own = terms(&entry.name);
            let own_due = own.and_then(|own| own.due);
            Some(ClockRule {
                name: entry.name.clone(),
                starts: entry.starts.clone(),
                during: entry.during.clone(),
                told: entry.told,
                stops: entry.stops.clone(),
                ever: entry.ever,
                beyond: entry.beyond,
                due: if entry.corridor { own_due? } else { own_due.or(entry.due)? },
                alarm: own.and_then(|own| own.alarm).or(entry.alarm),
                waits_on: entry.waits_on,
            })
        };
        let fold = FoldRules {
            contract_fields: schemas.contract_fields.clone(),
            cut_over: partner.profile.cut_over.map(|day| day.midnight().assume_offset(partner.zone)),
        };
        let clocks = schemas.clocks.iter().filter_map(clock).collect();
        let sides = Sides {
            authorities: parties.home.authorities().map(str::to_owned).collect(),
            home: (parties.home.calendar.workdays(None).clone(), parties.home.zone),
            partner: (partner.calendar.workdays(None).clone(), partner.zone),
        };
        (code.clone(), CorridorRules { fold, clocks, sides: Some(sides) })
    };
    parties.partners.iter().map(corridor).collect()
}

/// Whether two officers are named and are not the same one.
fn different(officers: &[String; 2]) -> bool {
    let names = officers.each_ref().map(|name| name.trim().to_lowercase());
    names[0] != names[1] && !names.iter().any(String::is_empty)
}

/// The policy documents of all corridors and the domestic log: what decides there, by digest.
pub fn policies(schemas: &Schemas, parties: &Parties) -> HashMap<String, (String, [u8; 32])> {
    let document = |party: &str, digest: &[u8; 32]| {
        let text = serde_json::json!({"software": concat!("onechannel ", env!("CARGO_PKG_VERSION")),
            "schemas": hex::encode(schemas.digest), "party": party, "profile_and_mappings": hex::encode(digest),
            "home": parties.home.code(), "home_profile": hex::encode(parties.home.digest)})
        .to_string();
        let digest = sha256(text.as_bytes());
        (text, digest)
    };
    let corridors = parties.partners.iter().map(|(code, party)| (code.clone(), document(code, &party.digest)));
    let domestic = (crate::store::journal::DOMESTIC.to_owned(), document(parties.home.code(), &parties.home.digest));
    corridors.chain([domestic]).collect()
}

/// Keeps the policy documents, so that an entry's digest can be looked up years later.
///
/// # Errors
/// [`StoreFault::Database`].
pub async fn keep_policies(
    journal: &Journal,
    policies: &HashMap<String, (String, [u8; 32])>,
) -> Result<(), StoreFault> {
    for (document, digest) in policies.values() {
        access::keep_policy(&journal.channel, digest, document).await?;
    }
    Ok(())
}
