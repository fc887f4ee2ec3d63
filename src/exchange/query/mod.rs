//! "Where is this worker now": the ministry's questions. Each is asked for a stated purpose; the purpose decides which fields
//! are shown; the disclosure is on record before the answer leaves.
//!
//! Here: who asks and for what, and the record of it. Lists, searches and what changed are in `list`, one placement in
//! `placement`, counts in `stats`, what waits for a person in `waiting`, clocks and work items in `work`.

mod fields;
mod list;
mod placement;
mod stats;
mod waiting;
mod work;

use super::{Gateway, known::rfc3339};
use crate::{
    access::Officer,
    message::problem::{Problem, ProblemKind},
    schema::catalogue::{Class, ClockEntry, Purpose},
    store::{
        StoreFault,
        query::{self, Lookup, Reading},
    },
};
use uuid::Uuid;

pub use crate::store::query::Filter;

/// An officer with a purpose that is theirs to state.
pub struct Inquiry<'g> {
    gateway: &'g Gateway,
    officer: Officer,
    purpose: &'g Purpose,
    case_number: Option<String>,
}

type Outcome<T> = Result<T, Box<Problem>>;

impl<'g> Inquiry<'g> {
    /// Admits an officer for a purpose.
    ///
    /// # Errors
    /// `purpose-missing`.
    pub fn open(
        gateway: &'g Gateway,
        officer: Officer,
        purpose: Option<&str>,
        case_number: Option<String>,
    ) -> Outcome<Self> {
        let refuse = |reason: &str| purpose_missing(gateway, &officer, reason);
        let purpose = purpose.ok_or_else(|| refuse("no-purpose"))?;
        let known = gateway.schemas.purposes.iter().find(|one| one.name == purpose);
        let purpose = known.ok_or_else(|| refuse("unknown-purpose"))?;
        if !officer.may_state(purpose) {
            return Err(refuse("not-your-purpose"));
        }
        if purpose.case_number && case_number.as_ref().is_none_or(|number| number.trim().is_empty()) {
            return Err(refuse("case-number-missing"));
        }
        Ok(Self { gateway, officer, purpose, case_number })
    }

    /// The right to stay follows from absence reports and detentions, which are specially protected.
    fn sees_stay(&self) -> bool {
        self.purpose.class >= Class::S3
    }

    /// A clock of which the purpose may know.
    fn sees_clock(&self, clock: &ClockEntry) -> bool {
        self.gateway.schemas.class_of_clock(clock) <= self.purpose.class
    }

    /// Exceptions of facts and counts of which the purpose may not know.
    fn hidden_exceptions(&self) -> Vec<String> {
        let all = self.gateway.schemas.exceptions.iter();
        all.filter(|entry| entry.class > self.purpose.class).map(|entry| entry.kind.clone()).collect()
    }

    /// The day of a reading, with what may be open as far as the purpose may know of it.
    fn reading(&self) -> Reading {
        let clocks: Vec<&ClockEntry> = self.gateway.schemas.clocks.iter().filter(|one| self.sees_clock(one)).collect();
        Reading {
            now: self.gateway.now(),
            clocks: clocks.iter().map(|clock| clock.name.clone()).collect(),
            exceptions: clocks.iter().map(|clock| clock.exception.clone()).collect(),
            hidden: self.hidden_exceptions(),
        }
    }

    /// A filter by what the purpose does not show would show it all the same.
    ///
    /// # Errors
    /// `purpose-missing`.
    fn may_filter_by(&self, filter: &Filter) -> Outcome<()> {
        if filter.stay.is_some() && !self.sees_stay() {
            return Err(self.refuse("stay-not-for-this-purpose"));
        }
        if filter.welfare.is_some() && !self.purpose.welfare {
            return Err(self.refuse("welfare-not-for-this-purpose"));
        }
        if let Some(kind) = &filter.exception {
            self.may_ask_for(kind)?;
        }
        let by_stage = filter.stage.is_some() || filter.silent_since.is_some();
        if self.purpose.facts.is_some() && (by_stage || filter.exception.is_some()) {
            return Err(self.refuse("stage-not-for-this-purpose"));
        }
        Ok(())
    }

    /// Whether the purpose may know of an exception.
    ///
    /// # Errors
    /// `purpose-missing`.
    fn may_ask_for(&self, exception: &str) -> Outcome<()> {
        let schemas = &self.gateway.schemas;
        let of_clock = || schemas.clocks.iter().any(|one| one.exception == exception && self.sees_clock(one));
        let known = schemas.exceptions.iter().find(|entry| entry.kind == exception);
        if known.is_some_and(|entry| entry.class <= self.purpose.class) || of_clock() {
            return Ok(());
        }
        Err(self.refuse("exception-not-for-this-purpose"))
    }

    fn persons(&self) -> Outcome<()> {
        if self.purpose.persons { Ok(()) } else { Err(self.refuse("counts-only")) }
    }

    fn bulk(&self) -> Outcome<()> {
        if self.purpose.bulk { Ok(()) } else { Err(self.refuse("one-named-person-only")) }
    }

    /// On record before the answer leaves; its leaf follows.
    async fn disclose(&self, about: &[Uuid], fields: &[&str]) -> Outcome<()> {
        let lookup = Lookup {
            id: self.gateway.id(),
            officer: self.officer.name.clone(),
            purpose: self.purpose.name.clone(),
            case_number: self.case_number.clone(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            subjects: about.to_vec(),
        };
        let recorded = query::record_lookup(&self.gateway.journal.channel, &lookup, self.gateway.now()).await;
        recorded.map_err(|fault| self.away(&fault))
    }

    fn refuse(&self, reason: &str) -> Box<Problem> {
        purpose_missing(self.gateway, &self.officer, reason)
    }

    fn away(&self, fault: &StoreFault) -> Box<Problem> {
        Box::new(self.gateway.unavailable(fault))
    }
}

/// The day of a reading, with everything that may be open.
pub fn reading(gateway: &Gateway) -> Reading {
    let clocks = &gateway.schemas.clocks;
    Reading {
        now: gateway.now(),
        clocks: clocks.iter().map(|clock| clock.name.clone()).collect(),
        exceptions: clocks.iter().map(|clock| clock.exception.clone()).collect(),
        hidden: Vec::new(),
    }
}

/// Names the purposes that are the officer's to state.
fn purpose_missing(gateway: &Gateway, officer: &Officer, reason: &str) -> Box<Problem> {
    let own = gateway.schemas.purposes.iter().filter(|purpose| officer.may_state(purpose));
    let own: Vec<&str> = own.map(|purpose| purpose.name.as_str()).collect();
    Box::new(gateway.problem(ProblemKind::PurposeMissing).because(reason).extra("expected", own.join(", ")))
}
