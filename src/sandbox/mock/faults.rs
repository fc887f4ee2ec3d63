//! Faults that a mock partner can be told to have: what real systems do on a bad day, one switch each.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The answer comes late.
    LateAnswer,
    /// The connection is cut in the middle of an answer.
    HalfAnswer,
    /// What is answered, pushed or published is not of the agreed shape.
    WrongSchema,
    /// The server certificate ended yesterday.
    ExpiredCertificate,
    /// A page in HTML with status 500.
    #[serde(rename = "html-500")]
    Html500,
    /// Status 200, and a refusal in the body.
    OkWithError,
    /// The answer is signed by another key under the right key id.
    ForgedSignature,
    /// Status 503 with `Retry-After`.
    RetryAfter,
    /// Each record is pushed or published twice.
    DuplicatePush,
    /// Records are pushed or published last first.
    ReorderedPush,
    /// Each record is pushed or published again under the same id with another body.
    ChangedBody,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::LateAnswer,
        Self::HalfAnswer,
        Self::WrongSchema,
        Self::ExpiredCertificate,
        Self::Html500,
        Self::OkWithError,
        Self::ForgedSignature,
        Self::RetryAfter,
        Self::DuplicatePush,
        Self::ReorderedPush,
        Self::ChangedBody,
    ];

    /// Its name, as the admin port takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LateAnswer => "late-answer",
            Self::HalfAnswer => "half-answer",
            Self::WrongSchema => "wrong-schema",
            Self::ExpiredCertificate => "expired-certificate",
            Self::Html500 => "html-500",
            Self::OkWithError => "ok-with-error",
            Self::ForgedSignature => "forged-signature",
            Self::RetryAfter => "retry-after",
            Self::DuplicatePush => "duplicate-push",
            Self::ReorderedPush => "reordered-push",
            Self::ChangedBody => "changed-body",
        }
    }
}

/// Which faults are on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Those that are on.
    pub on: BTreeSet<Fault>,
    /// How many calls, pushes or polls meet them; all, where it is absent.
    pub calls: Option<u32>,
    /// How late a late answer is, in milliseconds.
    pub late_ms: u64,
    /// What `Retry-After` says, in seconds.
    pub retry_after_s: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self { on: BTreeSet::new(), calls: None, late_ms: 1_500, retry_after_s: 1 }
    }
}

impl Faults {
    /// One fault, met by everything.
    pub fn only(fault: Fault) -> Self {
        Self { on: BTreeSet::from([fault]), ..Self::default() }
    }

    /// Whether a fault is on.
    pub fn has(&self, fault: Fault) -> bool {
        self.on.contains(&fault)
    }
}

/// The switches.
#[derive(Debug, Default)]
pub(super) struct Switches(Mutex<Faults>);

impl Switches {
    pub(super) fn now(&self) -> Faults {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, faults: Faults) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// The faults that a call meets. The last of a limited number of calls turns them off.
    pub(super) fn meet(&self) -> Faults {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let met = now.clone();
        if !met.on.is_empty()
            && let Some(calls) = &mut now.calls
        {
            *calls = calls.saturating_sub(1);
            if *calls == 0 {
                *now = Faults::default();
            }
        }
        met
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_admin_port_and_a_number_of_calls_ends() {
        for fault in Fault::ALL {
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
        }
        let switches = Switches::default();
        switches.set(Faults { calls: Some(2), ..Faults::only(Fault::Html500) });
        let met: Vec<bool> = (0..3).map(|_| switches.meet().has(Fault::Html500)).collect();
        assert_eq!(met, [true, true, false]);
        assert!(serde_json::from_str::<Faults>(r#"{"on": ["html-500"], "more": 1}"#).is_err());
    }
}
