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
    /// Where the record says so. For [`What::Output`] the range is exactly as long as the bytes.
    ///
    /// In captures and recordings it is a range of the reassembled output stream, for [`What::Input`] of the input stream;
    /// all else is an empty range at the place that the output has reached.
    pub offset: Range<u64>,
    /// Time that the record gives it; transcripts give none, captures the time at which the message was recorded.
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
    /// Bytes that the client sent, as typed: keystrokes and pastes, secrets included. A record that holds any holds all of
    /// them, but for [`What::Gap`]s.
    Input(&'a [u8]),
    /// The client's window has this size from here on, in cells.
    Resize {
        /// Width.
        cols: u16,
        /// Height.
        rows: u16,
    },
    /// Messages of one direction are missing here.
    Gap {
        /// Which direction.
        direction: Direction,
        /// How many messages; 0 if their number is not known.
        messages: u64,
    },
    /// The document or the handshake names the command that the session runs instead of a login shell.
    Program(&'a str),
    /// Something is missing, damaged or contradictory here.
    Deviation(Deviation),
}

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client: keystrokes.
    Input,
    /// From the agent: what the terminal printed.
    Output,
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
    /// Messages that the sequence numbers promise are not in the record.
    Missing(Direction),
    /// Messages that stay encrypted: no key, or not the right one.
    Encrypted,
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
            Self::Missing(Direction::Input) => f.write_str("messages of the client are missing: keystrokes are lost"),
            Self::Missing(Direction::Output) => f.write_str("messages of the agent are missing: output is lost"),
            Self::Encrypted => {
                f.write_str("messages stay encrypted: the key is missing or wrong (--key; of TLS --keylog)")
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
