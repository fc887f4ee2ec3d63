//! A bilateral data-exchange gateway.
pub mod app;
pub mod domain;
pub mod ledger;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod store;
pub mod trust;
pub mod vault;
