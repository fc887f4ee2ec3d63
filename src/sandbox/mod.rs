//! What a demo, tests and a partner's integrator need and a shipped package does not: a private PostgreSQL, a throw-away PKI, a
//! stand of both, systems that call it, mocks of either side and of a
//! time-stamp authority, and the kit that makes, checks and certifies a party's folder.

mod admin_port;
pub mod certify;
pub mod contract;
pub mod inspection;
pub mod mock;
pub mod mock_gateway;
pub mod officer;
pub mod pki;
pub mod population;
pub mod postgres;
pub mod report;
pub mod scaffold;
pub mod stand;
pub mod system;
pub mod time_stamp_authority;
