//! A bilateral data-exchange gateway.
pub mod domain;
pub mod ledger;
pub mod vault;
