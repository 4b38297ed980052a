//! What the chain of a capture says.

use std::fmt;

use thiserror::Error;
use warden_protocol::wire::Sha256;

/// Most places of damage that are listed.
pub(crate) const MAX_DAMAGES: usize = 1000;

/// A place in which a capture is damaged. Numbers are those of records, offsets bytes of the (decrypted) capture.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum Damage {
    /// The preamble is not the one that record 0 was written behind.
    #[error("the preamble was altered")]
    Preamble,
    /// The file says that it is of a version that is not read.
    #[error("version {version} of the format is not known")]
    Version {
        /// What it says.
        version: u32,
    },
    /// The bytes of a record do not have the hash that stands behind them: one or the other was altered.
    #[error("record {number} at byte {offset} was altered")]
    Altered {
        /// Its number, by its place.
        number: u64,
        /// Where it begins.
        offset: u64,
    },
    /// Bytes that are no record stand where these records should be.
    #[error("records {from} to {to} cannot be read: {bytes} bytes at byte {offset} are no records")]
    Unreadable {
        /// First record that cannot be read.
        from: u64,
        /// Last one.
        to: u64,
        /// Where the bytes begin.
        offset: u64,
        /// How many there are.
        bytes: u64,
    },
    /// Bytes that are no record stand between two records that follow each other.
    #[error("{bytes} bytes that are no record were put before record {number}, at byte {offset}")]
    Inserted {
        /// The record behind them.
        number: u64,
        /// Where the bytes begin.
        offset: u64,
        /// How many there are.
        bytes: u64,
    },
    /// Records were taken out.
    #[error("records {from} to {to} are missing at byte {offset}")]
    Missing {
        /// First record that is missing.
        from: u64,
        /// Last one.
        to: u64,
        /// Where they should be.
        offset: u64,
    },
    /// A record stands in the file twice.
    #[error("record {number} stands again at byte {offset}")]
    Repeated {
        /// Its number.
        number: u64,
        /// Where the second copy begins.
        offset: u64,
    },
    /// A record stands behind one that follows it.
    #[error("record {number} stands out of its place at byte {offset}")]
    Displaced {
        /// Its number.
        number: u64,
        /// Where it begins.
        offset: u64,
    },
    /// A record is whole, and names another predecessor than the record before it: one of the two was written anew.
    #[error("record {number} at byte {offset} does not follow the record before it")]
    Unlinked {
        /// The later of the two.
        number: u64,
        /// Where it begins.
        offset: u64,
    },
    /// A record behind the closing record.
    #[error("record {number} at byte {offset} stands behind the closing record")]
    AfterClosing {
        /// Its number.
        number: u64,
        /// Where it begins.
        offset: u64,
    },
    /// A record is whole, and its body is not what its kind says.
    #[error("record {number} at byte {offset} is whole but cannot be understood")]
    Malformed {
        /// Its number.
        number: u64,
        /// Where it begins.
        offset: u64,
    },
    /// The file ends in the middle of a record.
    #[error("the file ends in the middle of record {number}, {bytes} bytes behind byte {offset}")]
    Cut {
        /// Number of the record, by its place.
        number: u64,
        /// Where it begins.
        offset: u64,
        /// How many bytes of it there are.
        bytes: u64,
    },
    /// The last record is no closing record: the recorder was killed, or the end was cut off.
    #[error("there is no closing record behind record {last}", last = .number.map_or("none".to_owned(), |it| it.to_string()))]
    NotClosed {
        /// Number of the last record.
        number: Option<u64>,
    },
}

impl Damage {
    /// The record at which this breaks the chain; `None` if what is there may be all whole, and only something is missing
    /// at the end.
    pub(crate) fn breaks_at(&self) -> Option<u64> {
        match self {
            Self::Preamble | Self::Version { .. } => Some(0),
            Self::Altered { number, .. }
            | Self::Inserted { number, .. }
            | Self::Repeated { number, .. }
            | Self::Displaced { number, .. }
            | Self::Unlinked { number, .. }
            | Self::AfterClosing { number, .. }
            | Self::Malformed { number, .. } => Some(*number),
            Self::Unreadable { from, .. } | Self::Missing { from, .. } => Some(*from),
            Self::Cut { .. } | Self::NotClosed { .. } => None,
        }
    }
}

/// The state of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Records read, damaged ones included.
    pub(crate) records: u64,
    /// Messages of which the recorder masked something.
    pub(crate) masked: u64,
    /// The record at which the chain breaks first.
    pub(crate) broken_at: Option<u64>,
    /// Hash of the last record that stands in its place: what to compare with the one kept elsewhere.
    pub(crate) last: Sha256,
    /// Whether there is a closing record.
    pub(crate) is_closed: bool,
    /// The first [`MAX_DAMAGES`] places of damage.
    pub(crate) damages: Vec<Damage>,
    /// How many more there are.
    pub(crate) more_damages: u64,
}

impl Chain {
    pub(super) fn new() -> Self {
        let (damages, more_damages) = (Vec::new(), 0);
        Self {
            records: 0,
            masked: 0,
            broken_at: None,
            last: Sha256::default(),
            is_closed: false,
            damages,
            more_damages,
        }
    }

    pub(super) fn add(&mut self, damage: Damage) {
        self.broken_at = match (self.broken_at, damage.breaks_at()) {
            (Some(earlier), Some(at)) => Some(earlier.min(at)),
            (earlier, at) => earlier.or(at),
        };
        if self.damages.len() < MAX_DAMAGES {
            self.damages.push(damage);
        } else {
            self.more_damages += 1;
        }
    }
}

/// As `verify` reports it: `ok` or `broken at N`.
impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.broken_at {
            None => f.write_str("ok"),
            Some(number) => write!(f, "broken at {number}"),
        }
    }
}
