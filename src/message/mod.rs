//! What travels: CloudEvents, strict JSON, and the closed list of problems. No schema, no HTTP framework, no storage.

pub mod event;
pub mod problem;
pub mod strict_json;
