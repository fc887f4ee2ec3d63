//! Facts, the fold, identifiers, names, calendars and money. No I/O, no SQL, no serde derive, no knowledge of any party.

pub mod calendars;
pub mod clock;
pub mod facts;
pub mod fold;
pub mod identifiers;
pub mod money;
pub mod names;
