#![no_main]

#[path = "../invariants.rs"]
#[allow(dead_code, reason = "each target runs one")]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::channel(data));
