//! The readers: bytes of AWS's records -> timeline events and API calls.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests read their data from files"
)]

mod api_call;
mod inflate;
mod log_stream;
mod support;
mod transcript;
