//! The functions that watch what is going on, on twins in memory: `logs`, `reconcile`, `backfill`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod backfill;
mod logs;
mod loopback;
mod reconcile;
mod services;
mod support;
