//! The public API against golden vectors, real captures and arbitrary input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests read their data and may fail"
)]

mod captures;
mod channel;
#[path = "../../fuzz/invariants.rs"]
mod invariants;
mod properties;
mod support;
mod vectors;
