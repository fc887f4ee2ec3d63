//! Proof for somebody who trusts neither side and has neither a database nor a network: what a receipt or an archive of evidence
//! shows, in sentences, for a terminal and for a case file.
//!
//! An archive is one tar file ([`archive`]) with everything that is kept about some messages. [`check`] recomputes what it can show;
//! the page that lies in it is written from the same check before it is handed out.
//!
//! No I/O and no clock. What is not proven is said as plainly as what is.

pub mod account;
pub mod archive;
pub mod check;
mod decided;
mod findings;
mod of_message;
pub mod receipt;
pub mod time_stamps;
