//! Sigma rules over commands and API calls.
#![deny(clippy::indexing_slicing, clippy::panic)]
pub mod finding;
