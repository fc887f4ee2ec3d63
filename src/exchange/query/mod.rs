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

use super::Gateway;
use crate::{
    access::Officer,
    message::problem::{Problem, ProblemKind},
    schema::catalogue::{Class, Purpose},
    store::{
        StoreFault,
        query::{self, Lookup, PlacementRow, Reading},
    },
};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

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
        let refuse = |reason: &str| Box::new(gateway.problem(ProblemKind::PurposeMissing).because(reason));
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

    fn persons(&self) -> Outcome<()> {
        if self.purpose.persons { Ok(()) } else { Err(self.refuse("counts-only")) }
    }

    fn bulk(&self) -> Outcome<()> {
        if self.purpose.bulk { Ok(()) } else { Err(self.refuse("one-named-person-only")) }
    }

    /// On record before the answer leaves; its leaf follows.
    async fn disclose(&self, rows: &[PlacementRow], fields: &[&str]) -> Outcome<()> {
        let lookup = Lookup {
            id: self.gateway.id(),
            officer: self.officer.name.clone(),
            purpose: self.purpose.name.clone(),
            case_number: self.case_number.clone(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            subjects: rows.iter().map(|row| row.id).collect(),
        };
        let recorded = query::record_lookup(&self.gateway.journal.channel, &lookup, self.gateway.now()).await;
        recorded.map_err(|fault| self.away(&fault))
    }

    fn refuse(&self, reason: &str) -> Box<Problem> {
        Box::new(self.gateway.problem(ProblemKind::PurposeMissing).because(reason))
    }

    fn away(&self, fault: &StoreFault) -> Box<Problem> {
        Box::new(self.gateway.unavailable(fault))
    }
}

/// The day of a reading, with the exceptions that clocks open.
pub fn reading(gateway: &Gateway) -> Reading {
    let clocks = &gateway.schemas.clocks;
    Reading {
        now: gateway.now(),
        clocks: clocks.iter().map(|clock| clock.name.clone()).collect(),
        exceptions: clocks.iter().map(|clock| clock.exception.clone()).collect(),
    }
}

fn rfc3339(time: OffsetDateTime) -> Value {
    time.format(&Rfc3339).unwrap_or_default().into()
}
