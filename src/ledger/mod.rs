//! The audit ledger as mathematics: an RFC 6962 tree, its tiles, C2SP notes and checkpoints, entries and receipts. No I/O, no
//! clock, no SQL.
//!
//! What is committed when is decided in [`crate::store::ledger`]; this room can prove and verify it without a database.

pub mod audit;
pub mod entry;
pub mod note;
pub mod receipt;
pub mod tile;
pub mod tree;
pub mod witness;
