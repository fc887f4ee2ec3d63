//! A bilateral data-exchange gateway.
pub mod domain;
