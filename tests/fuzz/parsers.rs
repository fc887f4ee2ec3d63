//! The rooms whose parsers are fuzzed, under the project's own name.

#[path = "../../src/ledger/mod.rs"]
pub mod ledger;
#[path = "../../src/message/strict_json.rs"]
pub mod strict_json;

/// Under the name that it has in the project.
pub mod message {
    pub use crate::strict_json;
}
