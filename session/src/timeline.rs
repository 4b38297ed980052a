//! The waist: what a record of a session says happened, as a stream of [`Event`]s.
//!
//! Readers are push machines: bytes go in through a `feed` method in pieces of any size, events come out through a
//! closure, and memory stays constant. Output bytes are borrowed from what was fed.

use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::session::Session;

/// One thing that a record says happened, in the record's own order.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// Bytes of the input that say so. For [`What::Output`] the range is exactly as long as the bytes.
    pub offset: Range<u64>,
    /// Time that the record gives it; transcripts give none.
    pub at: Option<Timestamp>,
    /// What happened.
    pub what: What<'a>,
}

/// What an [`Event`] is about.
#[derive(Clone, Debug, PartialEq)]
pub enum What<'a> {
    /// The record names itself: who, where, run as whom. A claim by whoever wrote the record.
    Identity(Box<Session>),
    /// Bytes that the terminal printed, as it printed them (a transcript's doubled carriage returns are undone).
    Output(&'a [u8]),
    /// One line of output without its line end, cleaned by the agent: cursor motion is lost, text remains.
    Line(&'a str),
    /// Something is missing, damaged or contradictory here.
    Deviation(Deviation),
}

/// How faithfully a record holds what the terminal showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fidelity {
    /// Every byte that the terminal printed.
    Exact,
    /// Lines stripped of escapes by the agent (CloudWatch streaming): line editing cannot be replayed.
    Cleaned,
    /// Lines of a screen scraped by the agent or written by `Start-Transcript` (Windows).
    Rendered,
}

/// A way in which a record is less than whole, or not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Deviation {
    /// The record ends without its footer, or in the middle of a line or value.
    Truncated,
    /// A named limit was reached: what follows was not read.
    LimitReached(&'static str),
    /// Compressed bytes that do not decompress from here on.
    BadCompression,
    /// A piece that does not parse was skipped; the rest was read.
    Undecodable,
    /// Two parts of one record name different sessions, principals or targets.
    IdentityConflict,
    /// Bytes that are not UTF-8 were shown as U+FFFD.
    InvalidUtf8,
}

impl std::fmt::Display for Deviation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Truncated => f.write_str("the record ends before it should"),
            Self::LimitReached(limit) => write!(f, "the limit on {limit} is reached: what follows was not read"),
            Self::BadCompression => f.write_str("the compressed data is damaged: what follows was not read"),
            Self::Undecodable => f.write_str("a piece that does not parse was skipped"),
            Self::IdentityConflict => {
                f.write_str("two parts of the record name different sessions, principals or targets")
            }
            Self::InvalidUtf8 => f.write_str("bytes that are not UTF-8 are shown as U+FFFD"),
        }
    }
}

impl Deviation {
    /// Whether the reading lacks something that the record should hold (exit code 3 of `warden`).
    pub fn is_incomplete(self) -> bool {
        !matches!(self, Self::IdentityConflict | Self::InvalidUtf8)
    }
}
