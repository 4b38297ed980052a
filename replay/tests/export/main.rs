//! `warden export`: every form, and the HTML one in a browser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod browser;
mod chromium;
mod forms;
mod recorded;
