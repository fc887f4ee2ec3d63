//! What travels: CloudEvents and strict JSON. No schema, no HTTP framework, no storage.

pub mod event;
pub mod strict_json;
