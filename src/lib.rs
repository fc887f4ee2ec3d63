//! A bilateral data-exchange gateway.
pub mod domain;
pub mod vault;
