//! One target a program, chosen by its name.

#![no_main]

mod targets;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let found = targets::TARGETS.iter().find(|(name, _)| *name == env!("CARGO_BIN_NAME"));
    found.expect("each program has the name of a target").1(bytes);
});
