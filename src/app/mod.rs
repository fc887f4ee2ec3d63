//! The system clock and generator, configuration and wiring.

pub mod system;
