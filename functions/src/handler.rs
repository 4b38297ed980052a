//! One module for each function. Handlers are thin: they take an event apart, call what does the work, and answer as the
//! event's carrier wants it.

pub mod backfill;
pub mod cloudtrail;
pub mod logs;
pub mod reconcile;
mod records;
pub mod transcripts;
