//! Facts, the fold, identifiers, names, calendars, money and what rules measure. No I/O, no SQL, no serde derive, no knowledge
//! of any party.

pub mod arrange;
pub mod calendars;
pub mod clock;
pub mod deadlines;
pub mod facts;
pub mod fold;
pub mod identifiers;
pub mod money;
pub mod names;
pub mod rules;
pub mod standing;
pub mod workdays;
