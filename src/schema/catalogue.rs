//! `schemas/catalogue.toml` and its neighbours as types: which messages there are, who may send them, what they do.

use crate::domain::facts::FactKind;
use serde::Deserialize;

/// Stands in a list of senders or recipients for every authority.
pub const ANY: &str = "ANY";

/// Which way a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// A partner tells the home party.
    PartnerToHome,
    /// The home party tells a partner.
    HomeToPartner,
    /// Either tells the other.
    Both,
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// A worker's placement.
    Placement,
    /// A job order.
    JobOrder,
    /// Another message.
    None,
}

/// One entry of the catalogue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageType {
    /// Short code in the agreements, such as `MV2`.
    pub code: String,
    /// CloudEvents type.
    #[serde(rename = "type")]
    pub name: String,
    /// File of the schema of `data`, below `schemas/`.
    pub schema: String,
    /// Which way it travels.
    pub direction: Direction,
    /// Authorities that may send it.
    pub senders: Vec<String>,
    /// Authorities whose systems see it.
    pub recipients: Vec<String>,
    /// What it is about.
    #[serde(rename = "subject")]
    pub about: About,
    /// 0 first.
    pub urgency: i16,
    /// Never refused for its content.
    #[serde(default)]
    pub safety: bool,
    /// Retention class.
    pub retention: String,
    /// Law or agreement it rests on.
    pub legal_basis: String,
    /// Code of the message that answers it.
    pub reply: Option<String>,
    /// Hours for the answer.
    pub deadline_hours: Option<u32>,
    /// Whether it identifies its placement for good.
    #[serde(default)]
    pub identifies: bool,
    /// Pointer to the id of the message that it withdraws.
    pub invalidates: Option<String>,
    /// What it asserts.
    #[serde(default)]
    pub facts: Vec<Fact>,
}

impl MessageType {
    /// Whether `authority` may send it.
    pub fn sent_by(&self, authority: &str) -> bool {
        names(&self.senders, authority)
    }

    /// Whether a system that speaks for `authorities` is to see it.
    pub fn seen_by(&self, authorities: &[String]) -> bool {
        authorities.iter().any(|authority| names(&self.recipients, authority))
    }
}

fn names(list: &[String], authority: &str) -> bool {
    list.iter().any(|one| one == authority || one == ANY)
}

/// A status that a message asserts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// What it is about.
    #[serde(deserialize_with = "kind")]
    pub kind: FactKind,
    /// Pointer to the value.
    pub value: Option<String>,
    /// The value itself.
    pub is: Option<String>,
    /// Pointer to when it happened.
    pub at: Option<String>,
}

fn kind<'de, D: serde::Deserializer<'de>>(input: D) -> Result<FactKind, D::Error> {
    String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
}

/// How far a link reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// An identifier of the world: known to both sides of a corridor.
    Corridor,
    /// A reference of the sender's own.
    Party,
}

/// By what a message finds what it is about.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// For messages about this.
    #[serde(rename = "subject")]
    pub about: About,
    /// Kind of identifier.
    pub kind: String,
    /// Pointer into data.
    pub pointer: String,
    /// How far it reaches.
    pub scope: Scope,
}

/// How a field is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// By its exact value.
    Exact,
    /// By words and their skeletons.
    Name,
}

/// A field by which officers may search.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Kind of identifier.
    pub kind: String,
    /// Pointer into data.
    pub pointer: String,
    /// How it is searched.
    pub how: How,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CatalogueFile {
    pub(super) message: Vec<MessageType>,
    pub(super) link: Vec<Link>,
    pub(super) search: Vec<Search>,
}

/// How serious a breach of an identifier's rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Applied and flagged.
    Soft,
    /// Held until a person decides or the sender corrects.
    Firm,
    /// Refused.
    Hard,
}

impl Level {
    /// The word in files and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "SOFT",
            Self::Firm => "FIRM",
            Self::Hard => "HARD",
        }
    }
}

/// Why an officer may look.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// Its name, as stated with each call.
    pub name: String,
    /// Roles that may state it.
    pub roles: Vec<String>,
    /// Highest class of field shown.
    pub class: Class,
    /// Pointers of fields shown besides.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Only these facts are shown, and no stage; all of them where it is absent.
    pub facts: Option<Vec<String>>,
    /// Whether a case number is required.
    #[serde(default)]
    pub case_number: bool,
    /// Whether the welfare axis is shown.
    pub welfare: bool,
    /// Whether lists may be read.
    pub bulk: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PurposeFile {
    pub(super) purpose: Vec<Purpose>,
}

/// How well a field is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Class {
    /// Public.
    S0,
    /// Operational.
    S1,
    /// Personal.
    S2,
    /// Specially protected.
    S3,
    /// Protection-restricted: never leaves the home country.
    S4,
}
