//! Configuration, wiring, the system clock and generator, the command line.

mod anchors;
pub mod command;
pub mod config;
pub mod gateway;
mod loops;
mod preflight;
pub mod system;
pub mod time_stamps;
