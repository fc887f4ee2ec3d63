//! What messages assert, and the axes that follow. Only operational facts stand here: kinds, times, authorities and keyed
//! digests of values, so that folding needs no key.

use std::{fmt, str::FromStr};
use time::OffsetDateTime;
use uuid::Uuid;

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the text form beside each variant is its meaning in the field")]
        pub enum $name { $($variant,)* }
        impl $name {
            /// Every value, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
            /// The text form used in messages, rows and answers.
            pub fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)* } }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
        impl FromStr for $name {
            type Err = UnknownText;
            fn from_str(text: &str) -> Result<Self, UnknownText> {
                match text { $($text => Ok(Self::$variant),)* _ => Err(UnknownText(stringify!($name))) }
            }
        }
    };
}

/// A text that is none of an enumeration's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a known {0}")]
pub struct UnknownText(&'static str);

text_enum! {
    /// What a status fact is about. One owner a kind; who owns it is data.
    FactKind {
        Registered = "registered", Agreement = "agreement", Submission = "submission", Endorsement = "endorsement",
        Visa = "visa", Clearance = "clearance", Exit = "exit", Entry = "entry", Permit = "permit",
        PermitExpiry = "permit-expiry", Leave = "leave", LeaveReturn = "leave-return", Transfer = "transfer", End = "end", EndCheck = "end-check",
        ExitAuthorised = "exit-authorised", FinalExit = "final-exit", Return = "return", Closed = "closed",
        Cancelled = "cancelled", Death = "death", DeathInstruction = "death-instruction",
        FamilyInformed = "family-informed", Absence = "absence", AbsenceContest = "absence-contest", Irregular = "irregular", Detention = "detention",
        ConsularAccess = "consular-access", Welfare = "welfare", WelfareRequest = "welfare-request",
        WelfareResult = "welfare-result", Dispute = "dispute", DisputeRegistration = "dispute-registration",
        JobOrder = "job-order", OrderDecision = "order-decision", Answer = "answer", Registration = "registration",
        RegistrationCheck = "registration-check", Case = "case", Participant = "participant",
        ProtectionRequest = "protection-request", ProtectionAnswer = "protection-answer",
        WageArrears = "wage-arrears", WageFollowUp = "wage-follow-up", Crisis = "crisis",
        RosterRequest = "roster-request", RollCall = "roll-call", SubjectRequest = "subject-request",
        SubjectAnswer = "subject-answer", Reminder = "reminder", ReminderAnswer = "reminder-answer",
        Clarification = "clarification", ClarificationAnswer = "clarification-answer", Rejection = "rejection",
        Books = "books", BooksComparison = "books-comparison",
    }
}

impl FactKind {
    /// Whether it is about a day that is still to come when it is told.
    pub(super) fn lies_ahead(self) -> bool {
        matches!(self, Self::PermitExpiry | Self::LeaveReturn)
    }
}

text_enum! {
    /// Where the placement is.
    Stage {
        None = "NONE", Registered = "REGISTERED", Matched = "MATCHED", ContractSubmitted = "CONTRACT_SUBMITTED",
        ContractReturned = "CONTRACT_RETURNED", Endorsed = "ENDORSED", Refused = "REFUSED",
        PartnerApproved = "PARTNER_APPROVED", VisaIssued = "VISA_ISSUED", Cleared = "CLEARED", Departed = "DEPARTED",
        EntryRefused = "ENTRY_REFUSED", Arrived = "ARRIVED", InService = "IN_SERVICE", OnLeave = "ON_LEAVE",
        Transferring = "TRANSFERRING", Ended = "ENDED", ExitAuthorised = "EXIT_AUTHORISED", Exited = "EXITED",
        ReturnedHome = "RETURNED_HOME", Closed = "CLOSED", Cancelled = "CANCELLED", Deceased = "DECEASED",
    }
}

text_enum! {
    /// The right to stay. `PERMIT_EXPIRED` depends on the day and is added when the state is read.
    Stay {
        None = "NONE", PermitValid = "PERMIT_VALID", PermitExpired = "PERMIT_EXPIRED",
        AbsenceAlleged = "ABSENCE_ALLEGED", Irregular = "IRREGULAR", Detained = "DETAINED",
        ExitPermitted = "EXIT_PERMITTED", Left = "LEFT", Deceased = "DECEASED",
    }
}

text_enum! {
    /// Whether the worker is safe. Owned by the mission; never sent to a partner.
    Welfare {
        Unconfirmed = "UNCONFIRMED", Ok = "OK", AtRisk = "AT_RISK", InShelter = "IN_SHELTER", Hospital = "HOSPITAL",
        Unreachable = "UNREACHABLE", Missing = "MISSING", Deceased = "DECEASED",
    }
}

text_enum! {
    /// Where a case is. A case is opened by whoever first speaks of it; its owner moves it.
    CaseStatus {
        Open = "OPEN", Triaged = "TRIAGED", Referred = "REFERRED", WaitingPartner = "WAITING_PARTNER",
        Resolved = "RESOLVED", Closed = "CLOSED",
    }
}

text_enum! {
    /// What a person must look at, derived from the facts alone. Those that depend on the day or on counts are clocks
    /// ([`super::deadlines`]) and quotas.
    Exception {
        Disagreement = "DISAGREEMENT", GhostArrival = "GHOST_ARRIVAL",
        CancelledButArrived = "CANCELLED_BUT_ARRIVED", Substituted = "SUBSTITUTED", SamePassport = "SAME_PASSPORT",
        AbsenceBarred = "ABSENCE_BARRED", AwaitsSecondOfficer = "AWAITS_SECOND_OFFICER",
    }
}

/// One thing that a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A status of the placement, readable without a key.
    Status {
        /// What it is about.
        kind: FactKind,
        /// One of the catalogue's values, such as `ENDORSED`.
        value: String,
        /// When it happened, where the message says so.
        at: Option<OffsetDateTime>,
        /// Whether the asserting authority owns this kind.
        owner: bool,
        /// The case it belongs to, as a blind token; a fact of the placement itself where there is none.
        case: Option<[u8; 16]>,
    },
    /// A field's value, as a keyed digest.
    Field {
        /// Which field: its number in the schema's field table.
        path: u16,
        /// Keyed digest of the canonical value.
        digest: [u8; 16],
        /// Whether the asserting authority owns this field.
        owner: bool,
    },
    /// Withdraws everything that the message with this tag asserted. May come first.
    Invalidate {
        /// Tag of the withdrawn message; it can only be one of the same author, whose name is part of the tag.
        target: [u8; 16],
    },
    /// Takes the place of the message with this tag, sent under the same id with other content.
    Correct {
        /// Tag of the first message under that id.
        target: [u8; 16],
    },
    /// An officer stands by the message with this tag: a held one counts from then on, what undoes a death needs two.
    Approve {
        /// Tag of the message.
        target: [u8; 16],
        /// Blind token of the officer.
        officer: [u8; 16],
    },
}

/// How far an identifier reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// It names one placement: a reference, a visa, a permit.
    Placement,
    /// It names a worker: a passport, a residence number.
    Worker,
    /// It names a worker for life: two different values are two people.
    Person,
    /// It names a case, which may be about several people: it leads to somebody, and makes nobody one.
    Case,
}

/// An identifier by which a message finds what it is about, as a blind token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// Keyed digest of scope, kind and normalised value.
    pub token: [u8; 16],
    /// How far it reaches.
    pub reach: Reach,
}

/// What one message asserts about one placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// Our id of the message.
    pub message: Uuid,
    /// Keyed digest of author and the author's message id.
    pub tag: [u8; 16],
    /// In whose name.
    pub authority: String,
    /// When, by the author's statement.
    pub asserted_at: OffsetDateTime,
    /// The author's revision of these facts.
    pub revision: Option<i64>,
    /// Keyed digest of the message's bytes: the last tie-break.
    pub digest: [u8; 32],
    /// What it says.
    pub effects: Vec<Effect>,
    /// What it names.
    pub links: Vec<Link>,
    /// Whether it registers its placement: from then on the placement is certain.
    pub registers: bool,
    /// Whether it waits for a person: it counts only once an officer stands by it.
    pub held: bool,
}

/// Greater wins: the author's revision, then when it was asserted, then the digest of its bytes.
pub(super) type Rank<'a> = (i64, OffsetDateTime, &'a [u8; 32]);

impl Assertion {
    pub(super) fn rank(&self) -> Rank<'_> {
        (self.revision.unwrap_or(i64::MIN), self.asserted_at, &self.digest)
    }

    /// The first message under the id that this one corrects.
    pub(super) fn corrects(&self) -> Option<&[u8; 16]> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Correct { target } => Some(target),
            _ => None,
        })
    }

    /// Whether it asserts a status of this kind.
    pub fn asserts(&self, kind: FactKind) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Status { kind: own, .. } if *own == kind))
    }
}
