//! `cloudtrail` and `transcripts` on twins in memory: nothing lost, nothing twice, nothing hidden.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod delivery;
mod faults;
mod forgery;
mod insider;
mod support;
