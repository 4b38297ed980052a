//! Times of a session -> milliseconds since it began.

use jiff::Timestamp;

/// Where a session's time begins, or how it is made up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Clock {
    /// The record gives times; this is the first.
    Recorded(Timestamp),
    /// It gives none: time goes with the place in the record, at this many milliseconds a byte.
    MadeUp {
        /// Place of the first output.
        start: u64,
        /// Milliseconds that one byte takes.
        ms_per_byte: f64,
    },
}

/// Bytes a second of a session without times: slow enough to be followed.
const READING: f64 = 60.0;
/// A session without times takes no longer than this.
const LONGEST_MS: f64 = 600_000.0;

impl Clock {
    /// For a record whose output begins and ends at these places.
    pub(crate) fn of(first: Option<Timestamp>, start: u64, end: u64) -> Self {
        let bytes = as_f64(end.saturating_sub(start)).max(1.0);
        let made_up = || Self::MadeUp { start, ms_per_byte: (bytes * 1000.0 / READING).min(LONGEST_MS) / bytes };
        first.map_or_else(made_up, Self::Recorded)
    }

    /// Milliseconds from the beginning to something that happened at this time and place.
    pub(crate) fn ms(&self, at: Option<Timestamp>, place: u64) -> u64 {
        match self {
            Self::Recorded(first) => {
                let ms = at.map_or(0, |at| at.as_millisecond() - first.as_millisecond());
                u64::try_from(ms).unwrap_or(0)
            }
            Self::MadeUp { start, ms_per_byte } => to_u64(as_f64(place.saturating_sub(*start)) * ms_per_byte),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "made-up times need no precision")]
fn as_f64(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative, and far below 2^53")]
fn to_u64(value: f64) -> u64 {
    value as u64
}
