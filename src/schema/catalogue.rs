//! `schemas/catalogue.toml` and its neighbours as types: which messages there are, who may send them, what they do.

use crate::domain::{
    deadlines::{Side, Sign, Stop, WaitsOn},
    facts::{FactKind, Reach},
    workdays::Term,
};
use serde::Deserialize;
use std::collections::BTreeMap;

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
    /// The home party's own record: it is never sent.
    Domestic,
}

/// What the gateway makes messages of its own for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MadeFor {
    /// A clock ran out.
    Reminder,
    /// An officer decided about a message.
    Decision,
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// A worker's placement.
    Placement,
    /// A job order.
    JobOrder,
    /// A crisis.
    Crisis,
    /// What both sides count of a day.
    Books,
    /// Another message.
    None,
}

/// When the checkpoint that covers a message is time-stamped, where that is not with the next batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StampedWhen {
    /// At once.
    AtOnce,
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
    /// When its checkpoint is time-stamped; with the next batch where absent.
    pub time_stamp: Option<StampedWhen>,
    /// Retention class.
    pub retention: String,
    /// Law or agreement it rests on.
    pub legal_basis: String,
    /// What the gateway itself makes it for.
    pub gateway: Option<MadeFor>,
    /// Codes of messages that answer it.
    #[serde(default)]
    pub replies: Vec<String>,
    /// Stages in which it is usual; any where empty.
    pub stages: Option<Vec<String>>,
    /// Statuses of its case in which it is usual.
    pub cases: Option<Vec<String>>,
    /// Facts that are known when it is usual.
    #[serde(default, deserialize_with = "kinds")]
    pub when: Vec<FactKind>,
    /// Facts that are not known yet when it is usual.
    #[serde(default, deserialize_with = "kinds")]
    pub unless: Vec<FactKind>,
    /// Whether it identifies its placement for good.
    #[serde(default)]
    pub identifies: bool,
    /// Pointer to the id of the message that it withdraws.
    pub invalidates: Option<String>,
    /// Where it says whom the home party limits.
    pub limits: Option<Limits>,
    /// Hours within which its recipient should have acknowledged it; a person looks after that.
    pub told_within_h: Option<u32>,
    /// Until when it should come.
    pub within: Option<Within>,
    /// What it asserts.
    #[serde(default)]
    pub facts: Vec<Fact>,
}

/// Where a notice says how many may be placed, from when to when, with whom or where. A number that is not there is none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Pointer to the notice's reference: of one reference the last message counts.
    pub reference: String,
    /// Pointer to its kind.
    pub kind: String,
    /// Pointer to its first day.
    pub from: String,
    /// Pointer to its last day; for good where there is none.
    pub to: String,
    /// Pointer to the number.
    pub count: String,
    /// Pointers to what it may name: contracts that say the same there are meant.
    pub named: Vec<String>,
    /// The exception of each kind; a kind without one lifts the notice.
    pub exceptions: BTreeMap<String, String>,
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

/// Until when a message should come. A later one counts all the same and is flagged.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "WithinText")]
pub struct Within {
    /// How long after.
    pub term: Term,
    /// After what.
    pub since: Since,
}

/// After what a message should come.
#[derive(Debug, Clone)]
pub enum Since {
    /// After the moment at this pointer into data.
    Moment(String),
    /// After its sender was told the message whose id, as the sender knows it, stands at this pointer. It is filed where that is.
    Message(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WithinText {
    #[serde(deserialize_with = "some_term")]
    term: Term,
    of: Option<String>,
    of_message: Option<String>,
}

impl TryFrom<WithinText> for Within {
    type Error = &'static str;

    fn try_from(text: WithinText) -> Result<Self, Self::Error> {
        let since = match (text.of, text.of_message) {
            (Some(pointer), None) => Since::Moment(pointer),
            (None, Some(pointer)) => Since::Message(pointer),
            _ => return Err("within names one of `of` and `of_message`"),
        };
        Ok(Self { term: text.term, since })
    }
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
    /// Pointers to when it happened: the first that is there.
    #[serde(default)]
    pub at: Vec<String>,
    /// Only if one of them is there: such as a day ahead, which says nothing without it.
    #[serde(default)]
    pub dated: bool,
    /// Whether it is a fact of the case that the message names.
    #[serde(default)]
    pub case: bool,
    /// Authorities whose word counts; every sender's where absent.
    pub owners: Option<Vec<String>>,
    /// Only of a message that came too late.
    #[serde(default)]
    pub late: bool,
    /// Only if the value at a pointer is this one.
    pub when: Option<Condition>,
    /// Only if it is not.
    pub unless: Option<Condition>,
}

/// A value at a pointer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Pointer into data.
    pub pointer: String,
    /// The text that stands there.
    pub is: String,
}

impl Condition {
    fn holds(&self, data: &serde_json::Value) -> bool {
        data.pointer(&self.pointer).and_then(serde_json::Value::as_str) == Some(&self.is)
    }
}

impl Fact {
    /// Whether a message with this `data`, in time or too late, asserts it.
    pub fn applies(&self, data: &serde_json::Value, late: bool) -> bool {
        (late || !self.late)
            && self.when.as_ref().is_none_or(|when| when.holds(data))
            && self.unless.as_ref().is_none_or(|unless| !unless.holds(data))
    }

    /// Whether `authority`'s word counts.
    pub fn owned_by(&self, authority: &str) -> bool {
        self.owners.as_ref().is_none_or(|owners| names(owners, authority))
    }
}

fn kinds<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<FactKind>, D::Error> {
    let texts = Vec::<String>::deserialize(input)?;
    texts.into_iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
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
    /// Who knows it.
    pub scope: Scope,
    /// How far it reaches.
    #[serde(deserialize_with = "reach")]
    pub reach: Reach,
    /// Whether it counts only from an authority that owns the field.
    #[serde(default)]
    pub owner_only: bool,
}

fn reach<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Reach, D::Error> {
    Ok(match String::deserialize(input)?.as_str() {
        "placement" => Reach::Placement,
        "worker" => Reach::Worker,
        "person" => Reach::Person,
        "case" => Reach::Case,
        _ => return Err(serde::de::Error::custom("reach is none of placement, worker, person, case")),
    })
}

/// What a message names besides what it is about: its facts count there too, as far as they stop clocks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// For messages about this.
    #[serde(rename = "subject")]
    pub about: About,
    /// What they name.
    pub names: About,
    /// Pointer into data, to what a link of that kind points to there.
    pub pointer: String,
}

/// Which link names the case of a message.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseLink {
    /// Kind of the link.
    pub kind: String,
}

/// Fields in which a registered contract must not differ from the endorsed one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractFields {
    /// Pointers into data.
    pub fields: Vec<String>,
}

/// A clock as the catalogue has it; a corridor may change its terms ([`ClockTerms`]).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockEntry {
    /// Its name.
    pub name: String,
    /// Code of the message that starts it.
    pub code: String,
    /// The fact that starts it.
    #[serde(deserialize_with = "sign")]
    pub starts: Sign,
    /// It runs only while this fact is in force, and facts that happened after it stop it.
    #[serde(default, deserialize_with = "maybe_sign")]
    pub during: Option<Sign>,
    /// Whether its terms count from when that was told, not from when it happened.
    #[serde(default)]
    pub told: bool,
    /// The facts that stop it.
    #[serde(deserialize_with = "stops")]
    pub stops: Vec<Stop>,
    /// Whether they stop it also if they happened before it started.
    #[serde(default)]
    pub ever: bool,
    /// Whether it runs on when the placement has ended.
    #[serde(default)]
    pub beyond: bool,
    /// Only in corridors that give its terms.
    #[serde(default)]
    pub corridor: bool,
    /// When the answer is overdue.
    #[serde(default, deserialize_with = "term")]
    pub due: Option<Term>,
    /// When a person must look.
    #[serde(default, deserialize_with = "term")]
    pub alarm: Option<Term>,
    /// Whose move it is.
    #[serde(deserialize_with = "waits_on")]
    pub waits_on: WaitsOn,
    /// Code of the answer.
    pub waits_for: String,
    /// What is open when it has run out.
    pub exception: String,
    /// Whose work that is.
    pub owner: Owner,
    /// Whether the side that it waits on is reminded.
    #[serde(default = "yes")]
    pub remind: bool,
}

/// Whose work it is that a clock has run out: an authority of the home party.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Owner {
    /// The same one always.
    Always(String),
    /// By the side that is waited for.
    BySide {
        /// Where the home party must act.
        home: String,
        /// Where the partner must.
        partner: String,
    },
}

impl Owner {
    /// Whose work it is while `side` is waited for.
    pub fn of(&self, side: Side) -> &str {
        match (self, side) {
            (Self::Always(owner), _) => owner,
            (Self::BySide { home, .. }, Side::Home) => home,
            (Self::BySide { partner, .. }, Side::Partner) => partner,
        }
    }
}

fn yes() -> bool {
    true
}

/// A corridor's own terms for a clock of the catalogue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockTerms {
    /// The clock.
    pub name: String,
    /// When the answer is overdue.
    #[serde(default, deserialize_with = "term")]
    pub due: Option<Term>,
    /// When a person must look.
    #[serde(default, deserialize_with = "term")]
    pub alarm: Option<Term>,
    /// Where the term comes from.
    pub source: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignText {
    kind: String,
    value: Option<String>,
}

impl SignText {
    fn read<E: serde::de::Error>(self) -> Result<Sign, E> {
        Ok(Sign { kind: self.kind.parse().map_err(E::custom)?, value: self.value })
    }
}

fn sign<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Sign, D::Error> {
    SignText::deserialize(input)?.read()
}

fn maybe_sign<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Sign>, D::Error> {
    sign(input).map(Some)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StopText {
    kind: String,
    value: Option<String>,
    #[serde(default)]
    anyone: bool,
}

fn stops<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<Stop>, D::Error> {
    let stop = |text: StopText| {
        let sign = SignText { kind: text.kind, value: text.value }.read()?;
        Ok(Stop { sign, anyone: text.anyone })
    };
    Vec::<StopText>::deserialize(input)?.into_iter().map(stop).collect()
}

fn waits_on<'de, D: serde::Deserializer<'de>>(input: D) -> Result<WaitsOn, D::Error> {
    match String::deserialize(input)?.as_str() {
        "home" => Ok(WaitsOn::One(Side::Home)),
        "partner" => Ok(WaitsOn::One(Side::Partner)),
        "other" => Ok(WaitsOn::Other),
        _ => Err(serde::de::Error::custom("waits_on is none of home, partner, other")),
    }
}

fn term<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Term>, D::Error> {
    some_term(input).map(Some)
}

fn some_term<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Term, D::Error> {
    let text = String::deserialize(input)?;
    let unknown = || serde::de::Error::custom(format!("{text} is no term such as 72 hours or 5 working days"));
    let (number, unit) = text.split_once(' ').ok_or_else(unknown)?;
    let n = number.parse().map_err(|_| unknown())?;
    Ok(match unit {
        "minutes" => Term::Minutes(n),
        "hours" => Term::Hours(n),
        "days" => Term::Days(n),
        "working days" => Term::WorkingDays(n),
        "months" => Term::Months(n),
        _ => return Err(unknown()),
    })
}

/// Whose work an exception is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionEntry {
    /// Its name.
    pub kind: String,
    /// Authority whose work it is.
    pub owner: String,
    /// What it means.
    pub meaning: String,
    /// How well its subject matter is protected.
    #[serde(default = "operational")]
    pub class: Class,
}

fn operational() -> Class {
    Class::S1
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
    pub(super) mention: Vec<Named>,
    pub(super) case: CaseLink,
    pub(super) contract: ContractFields,
    pub(super) clock: Vec<ClockEntry>,
    pub(super) exception: Vec<ExceptionEntry>,
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
    /// Whether anybody is shown by it; counts only where not.
    #[serde(default = "yes")]
    pub persons: bool,
    /// Whether it lets an officer decide about messages that wait.
    #[serde(default)]
    pub decides: bool,
}

impl Purpose {
    /// Whether it shows that a message of this type was sent at all: one about protection is for those who may see the class of its
    /// fields, and where a purpose shows some facts only, one that asserts none of them is not for it.
    pub fn names(&self, message: &MessageType) -> bool {
        let shows =
            |facts: &Vec<String>| message.facts.iter().any(|fact| facts.iter().any(|one| one == fact.kind.as_str()));
        (!message.safety || self.class >= Class::S3) && self.facts.as_ref().is_none_or(shows)
    }
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
