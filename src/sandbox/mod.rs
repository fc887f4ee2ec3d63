//! What a machine without any server needs to run the whole channel: a private PostgreSQL and a throw-away PKI.
//! A default cargo feature, absent from a shipped package. Nothing in the rooms below depends on it.

pub mod pki;
pub mod postgres;
