//! Proof for somebody who trusts neither side and has neither a database nor a network: what a receipt shows, in sentences, for a
//! terminal and for a case file.
//!
//! No I/O and no clock. What is not proven is said as plainly as what is.

pub mod account;
pub mod receipt;
