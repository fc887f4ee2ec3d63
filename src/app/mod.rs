//! The system clock and generator, and the command line.

pub mod command;
pub mod system;
