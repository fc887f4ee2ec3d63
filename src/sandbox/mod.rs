//! What a demo and tests need and a shipped package does not: a private PostgreSQL, a throw-away PKI, a stand of both, and
//! systems that call it.

pub mod contract;
pub mod mock;
pub mod officer;
pub mod pki;
pub mod population;
pub mod postgres;
pub mod report;
pub mod stand;
pub mod system;
