//! What travels: CloudEvents, strict JSON, problems. No schema, no HTTP framework, no storage.

pub mod event;
pub mod problem;
pub mod strict_json;
