//! `party.toml`: one government's profile. Unknown keys are refused; units stand in names.

use super::body::Format;
use crate::{ledger::note, schema::catalogue::ClockTerms};
use serde::{Deserialize, Deserializer, de::Error};
use time::{Date, OffsetDateTime, UtcOffset, macros::format_description};

/// Which side of every corridor a party is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The party that runs this gateway.
    Home,
    /// A partner.
    Partner,
}

/// What a party can prove about what it was told and said; stated in every entry and receipt of its corridor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assurance {
    /// It countersigns checkpoints.
    Witnessed,
    /// It signs its answers.
    AnswerSigned,
    /// Mutual TLS only.
    Tls,
    /// Files.
    File,
}

impl Assurance {
    /// The text form in entries and receipts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Witnessed => "witnessed",
            Self::AnswerSigned => "answer-signed",
            Self::Tls => "tls",
            Self::File => "file",
        }
    }
}

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Lower-case code; also the corridor's.
    pub code: String,
    /// Its name in English.
    pub name: String,
    /// Which side.
    pub side: Side,
    /// `test` or `live`: stands in issuer, audience and log origin.
    pub environment: String,
    /// Offset of local times in its records, `+08:00`.
    pub zone: String,
    /// What it can prove.
    pub assurance: Assurance,
    /// Whether records under a known id with other content are corrections; otherwise they are conflicts.
    #[serde(default)]
    pub same_id_corrects: bool,
    /// Its authorities.
    pub authority: Vec<Authority>,
    /// Its systems.
    pub client: Vec<Client>,
    /// How its certificates are verified.
    pub trust: Trust,
    /// Records it pushes in its own format.
    #[serde(default)]
    pub inbound: Vec<Inbound>,
    /// How it is told.
    pub outbound: Option<Outbound>,
    /// How it is asked, where it does not push.
    pub poll: Option<Poll>,
    /// Its own logs, of which we are a witness.
    #[serde(default)]
    pub log: Vec<Log>,
    /// Its witness, which cosigns the checkpoints of the corridor's log.
    pub witness: Option<Witness>,
    /// Terms of clocks that are the corridor's own.
    #[serde(default)]
    pub clock: Vec<ClockTerms>,
    /// Facts from before this day start no clocks and open no exceptions: they were brought in when the corridor was switched over.
    #[serde(default, deserialize_with = "day")]
    pub cut_over: Option<Date>,
}

impl Profile {
    /// What is wrong with its witness, or with a promise to have one.
    pub fn witness_fault(&self) -> Option<String> {
        let Some(witness) = &self.witness else {
            let promised = self.assurance == Assurance::Witnessed;
            return promised.then(|| "assurance = \"witnessed\" promises a [witness], and there is none".to_owned());
        };
        let prefix = &witness.prefix;
        let is_path = prefix.is_empty() || (prefix.starts_with('/') && !prefix.ends_with('/'));
        if !is_path || prefix.contains(|c: char| c.is_whitespace() || "?#".contains(c)) {
            return Some("witness.prefix is a path such as /witness, below the address of [outbound]".to_owned());
        }
        let is_called = self.outbound.is_some();
        (!is_called).then(|| "[witness] is called at the address of [outbound], which is missing".to_owned())
    }

    /// Offset of its local times.
    ///
    /// # Errors
    /// Another spelling than `+08:00`.
    pub fn offset(&self) -> Result<UtcOffset, time::error::Parse> {
        UtcOffset::parse(&self.zone, format_description!("[offset_hour sign:mandatory]:[offset_minute]"))
    }

    /// Whether an authority of this party held its mandate at a moment, by the party's own calendar day.
    pub fn mandated(&self, authority: &str, at: OffsetDateTime, zone: UtcOffset) -> bool {
        let Some(local) = at.checked_to_offset(zone) else { return false };
        self.authority.iter().any(|one| one.code == authority && one.holds_on(local.date()))
    }
}

/// An authority of the party.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// Code, unique in its party.
    pub code: String,
    /// What it is called.
    pub name: String,
    /// First day of its mandate, `2024-11-05`; without one it had it always.
    #[serde(default, deserialize_with = "day")]
    pub valid_from: Option<Date>,
    /// Last day of its mandate; without one it has it still.
    #[serde(default, deserialize_with = "day")]
    pub valid_to: Option<Date>,
    /// The authority whose mandate it took over.
    pub succeeds: Option<String>,
}

impl Authority {
    /// Whether it had its mandate on a day.
    pub fn holds_on(&self, day: Date) -> bool {
        self.valid_from.is_none_or(|from| from <= day) && self.valid_to.is_none_or(|to| day <= to)
    }
}

fn day<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Date>, D::Error> {
    let text = String::deserialize(value)?;
    let date = Date::parse(&text, format_description!("[year]-[month]-[day]"));
    date.map(Some).map_err(|_| D::Error::custom(format!("{text} is not a date of the form 2024-11-05")))
}

/// A system of the party.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// OAuth client id.
    pub id: String,
    /// DNS name in its certificate.
    pub san: String,
    /// Authorities it may speak for.
    pub authorities: Vec<String>,
    /// Its signing keys.
    pub key: Vec<Key>,
}

/// A signing key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Key id in signatures.
    pub kid: String,
    /// SubjectPublicKeyInfo in PEM, below the party's folder.
    pub file: String,
}

/// A log that the party keeps of its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The log's key, one C2SP verifier key whose name is the log's origin, below the party's folder.
    pub file: String,
}

/// A witness that the party runs (C2SP tlog-witness).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Its submission prefix, a path below the address of `[outbound]`: checkpoints go to `<base><prefix>/add-checkpoint`.
    pub prefix: String,
    /// The file of its Ed25519 key, one C2SP verifier key (signature type 0x04), below the party's folder.
    pub file: String,
    /// The file of its ML-DSA-44 key (0x06), where it signs by that too.
    pub ml_dsa_key: Option<String>,
}

impl Witness {
    /// The files of its keys, each with its signature type.
    pub fn keys(&self) -> impl Iterator<Item = (&String, u8)> {
        [(&self.file, note::WITNESS)].into_iter().chain(self.ml_dsa_key.iter().map(|file| (file, note::ML_DSA_WITNESS)))
    }
}

/// Trust anchors.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// Root or pinned issuing certificates in PEM, below the party's folder.
    pub roots: Vec<String>,
    /// CRLs in PEM.
    #[serde(default)]
    pub crls: Vec<String>,
    /// Hours past `nextUpdate` for which a CRL still counts.
    #[serde(default)]
    pub crl_grace_h: u32,
    /// Whether only hybrid post-quantum key exchange (X25519MLKEM768) is taken, in both directions.
    #[serde(default)]
    pub hybrid_key_exchange_only: bool,
}

/// A route of `POST /v1/inbox/{route}` or a polled record type.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    /// Name of the route or record type.
    pub route: String,
    /// File in `mapping/`, without its ending.
    pub mapping: String,
    /// How the record travels.
    #[serde(default)]
    pub format: Format,
}

/// How a party is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// Address of its system; the operator's configuration may name another.
    pub base: String,
    /// Roots of its server certificates in PEM.
    pub roots: Vec<String>,
    /// Keys with which it signs answers; required for assurance `answer-signed` and above.
    #[serde(default)]
    pub answer_key: Vec<Key>,
    /// How records travel, where a route does not say otherwise.
    #[serde(default)]
    pub format: Format,
    /// Where we ask for a token before we tell anything.
    pub oauth: Option<OAuth>,
    /// How it says no.
    pub refusal: Refusal,
    /// Where each type goes.
    pub route: Vec<Route>,
}

/// Client credentials by `private_key_jwt` (RFC 7523, FAPI 2.0): our signing key proves who asks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth {
    /// Path of the token endpoint below `base`.
    pub token_path: String,
    /// Who we are to its authorisation server.
    pub client_id: String,
    /// Under which id it has our key; the gateway does not start with another.
    pub kid: String,
    /// `aud` of the assertion: its issuer; without it the address under which it is called.
    pub audience: Option<String>,
    /// Scope to ask for.
    pub scope: Option<String>,
}

/// How a party's system says no.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "style", deny_unknown_fields)]
pub enum Refusal {
    /// By HTTP status 4xx.
    Status,
    /// By a code in the body of a 200.
    Code {
        /// Pointer to the code.
        pointer: String,
        /// The code of success.
        success: i64,
        /// Codes after which the same may be sent again.
        #[serde(default)]
        again: Vec<i64>,
    },
}

/// Where a type goes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// File in `mapping/`, without its ending; it names the type.
    pub mapping: String,
    /// Path below `base`.
    pub path: String,
    /// How the record travels, where not as the party's others.
    pub format: Option<Format>,
}

/// How a party is asked for its records.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// Path below `base`.
    pub path: String,
    /// Query parameter of the watermark, whose bound is inclusive.
    pub watermark: String,
    /// Query parameter of the page cursor.
    pub cursor: String,
    /// Pointer to the list of records.
    pub records: String,
    /// Pointer to a record's type, relative to the record.
    pub record_type: String,
    /// Pointer to the next page's cursor; absent or null on the last.
    pub next: String,
    /// Pointer to the watermark of the next poll.
    pub last: String,
    /// Seconds between polls.
    pub every_s: u32,
}
