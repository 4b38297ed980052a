//! What is wrong with a capture itself, below the data channel.

use thiserror::Error;
use warden_session::timeline::Deviation;

/// A way in which a capture is damaged or less than whole. Never holds bytes of a session.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Damage {
    /// The compression around the capture is damaged, or its limit reached.
    #[error("{0}")]
    Container(Deviation),
    /// A record that is none of the format's; it was skipped.
    #[error("a record that cannot be read was skipped ({0})")]
    BadRecord(&'static str),
    /// A record longer than any message can be; it was skipped.
    #[error("a record of more than {limit} bytes was skipped")]
    LongRecord {
        /// Most bytes of a record.
        limit: usize,
    },
    /// The capture ends in the middle of a record.
    #[error("the capture ends in the middle of a record")]
    Cut,
    /// The format is known, but nothing of it was read.
    #[error("this format is not read")]
    Unread,
    /// A record's hash does not follow from those before: it, or one before it, was changed, removed or moved.
    #[error("the chain of hashes breaks at record {record}")]
    BrokenChain {
        /// Number of the record, from 0.
        record: u64,
    },
    /// The record before this one is later.
    #[error("the clock goes back by {ms} ms")]
    ClockBack {
        /// Milliseconds.
        ms: i64,
    },
    /// Messages of another session, in a format that cannot tell sessions apart.
    #[error("messages of another session are mixed in")]
    OtherSession,
}

impl Damage {
    /// Whether messages may be missing (exit code 3).
    pub(crate) fn is_incomplete(&self) -> bool {
        !self.is_contradiction() && !matches!(self, Self::ClockBack { .. })
    }

    /// Whether the capture contradicts itself (exit code 1).
    pub(crate) fn is_contradiction(&self) -> bool {
        matches!(self, Self::OtherSession | Self::BrokenChain { .. })
    }
}
