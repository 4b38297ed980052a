//! An index over one session: its moments, keyframes, marks and everything that its screen ever showed.
//!
//! A thread builds it ([`build`]) while a player already uses it: [`Shared`] grows batch by batch. Output and text lie in
//! temporary files that have no name, so memory is bounded by the number of messages, not by their bytes. What the client
//! typed is in none of them: of input only lengths are kept.

mod build;
mod frames;
mod marks;
mod search;
mod source;
mod spool;
mod stage;

use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use warden_rules::Level;
use warden_session::screen::Screen;

#[cfg(test)]
pub(crate) use build::{Act, Spot, Step};
pub(crate) use build::{Builder, KEYFRAME_BYTES};
pub(crate) use frames::Frames;
pub(crate) use marks::duration;
pub(crate) use search::Hit;
pub(crate) use source::{Job, read};
pub(crate) use spool::Spool;
pub(crate) use stage::Stage;

/// One thing that happened in the session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    /// Time of the record: microseconds since 1970; made up where [`Index::made_up`] says so.
    pub(crate) at: i64,
    /// Microseconds since the first moment, waits longer than [`IDLE`] cut to it.
    pub(crate) active: i64,
    /// `CreatedDate` of the sender: milliseconds since 1970.
    pub(crate) created: Option<i64>,
    /// Place in the input: bytes of the output stream before it (captures), offset in the file (transcripts).
    pub(crate) offset: u64,
    /// Number of the WebSocket message.
    pub(crate) n: u64,
    /// Where its output lies in the spool.
    pub(crate) spool: u64,
    /// Bytes: of output those in the spool, of input those that were sent.
    pub(crate) len: u32,
    /// What it is.
    pub(crate) what: MomentKind,
}

/// What a [`Moment`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MomentKind {
    /// Terminal output.
    Output,
    /// Something that the client sent.
    Input,
    /// The window has this many rows and columns from here on.
    Resize(u16, u16),
    /// A mark says what.
    Other,
}

/// Waits are cut to this while idle time is left out: two seconds.
pub(crate) const IDLE: i64 = 2_000_000;

/// A place worth going to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    /// Moments that have happened when it can be seen: a player's position.
    pub(crate) pos: usize,
    /// What it is.
    pub(crate) kind: MarkKind,
    /// Its number among those of its kind: of commands that of `warden commands` (from 0), of findings from 1.
    pub(crate) number: u64,
    /// Text of the session or of a rule: escape it before it is shown.
    pub(crate) text: String,
}

/// What a [`Mark`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarkKind {
    /// A command was entered.
    Command,
    /// A rule matched a command.
    Finding(Level),
    /// The window changed its size.
    Resize,
    /// Messages are missing.
    Gap,
    /// Nothing came for longer than [`PAUSE`].
    Pause,
    /// A digest is wrong.
    BadDigest,
    /// Something else is wrong.
    Anomaly,
    /// The session was opened, paused, resumed, closed.
    Session,
}

/// Carriage returns and line feeds that one line ends with, at most.
const MAX_LINE_END: usize = 4;

/// Waits that are marked: five seconds.
pub(crate) const PAUSE: i64 = 5_000_000;

/// Something hidden from who watched the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hidden {
    /// Moments that have happened when it is there.
    pub(crate) pos: usize,
    /// Byte of the output, as the commands' offsets count.
    pub(crate) offset: u64,
    /// What it is, in a word.
    pub(crate) word: &'static str,
    /// The text in question, or a length where it is input.
    pub(crate) text: String,
}

/// How far the index is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Being built: the part that is done, in thousandths.
    Reading(u16),
    /// Whole.
    Done,
    /// It ends here, for this reason.
    Failed(String),
}

/// Nothing is read yet.
impl Default for Progress {
    fn default() -> Self {
        Self::Reading(0)
    }
}

/// What is known of a session so far.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// What happened, in order.
    pub(crate) moments: Vec<Moment>,
    /// Places worth going to, by position.
    pub(crate) marks: Vec<Mark>,
    /// What was hidden, by position; at most [`marks::MAX_HIDDEN`].
    pub(crate) hidden: Vec<Hidden>,
    /// Screens to start from, by the number of moments that they show.
    keyframes: Vec<(usize, Arc<Screen>)>,
    /// Output.
    output: Spool,
    /// Lines that were shown.
    lines: Spool,
    /// WebSocket messages, by the numbers that moments have.
    pub(crate) frames: Frames,
    /// How many sessions the record holds.
    pub(crate) sessions: usize,
    /// How far it is.
    pub(crate) progress: Progress,
    /// The session's id.
    pub(crate) session: Option<String>,
    /// What kind of record it is.
    pub(crate) record: &'static str,
    /// Whether the record has no times, and those of the moments are made up.
    pub(crate) made_up: bool,
    /// Whether the record does not say when it began: times are since then.
    pub(crate) undated: bool,
    /// Whether its messages carry digests.
    pub(crate) has_digests: bool,
}

/// An index that one thread builds and another one uses.
pub(crate) type Shared = Arc<RwLock<Index>>;

/// Locks an index to look at it. A builder that panicked leaves what it had.
pub(crate) fn look(shared: &Shared) -> RwLockReadGuard<'_, Index> {
    shared.read().unwrap_or_else(PoisonError::into_inner)
}

impl Index {
    /// Time of the first moment, in microseconds since 1970.
    pub(crate) fn start(&self) -> i64 {
        self.moments.first().map_or(0, |moment| moment.at)
    }

    /// A moment's place on the axis: microseconds since the first one, with or without idle time.
    pub(crate) fn axis(&self, moment: usize, clamp: bool) -> i64 {
        let Some(moment) = self.moments.get(moment) else { return 0 };
        if clamp { moment.active } else { moment.at.saturating_sub(self.start()) }
    }

    /// Length of the axis.
    pub(crate) fn length(&self, clamp: bool) -> i64 {
        self.axis(self.moments.len().saturating_sub(1), clamp)
    }

    /// How many moments have happened at this place of the axis.
    pub(crate) fn at_axis(&self, place: i64, clamp: bool) -> usize {
        let start = self.start();
        let on_axis = |moment: &Moment| if clamp { moment.active } else { moment.at.saturating_sub(start) };
        self.moments.partition_point(|moment| on_axis(moment) <= place)
    }

    /// How many moments have happened at this time.
    pub(crate) fn at_time(&self, micros: i64) -> usize {
        self.moments.partition_point(|moment| moment.at <= micros)
    }

    /// How many moments have happened when this byte of the input has been shown.
    pub(crate) fn at_offset(&self, offset: u64) -> usize {
        let behind = self.moments.partition_point(|moment| moment.offset <= offset);
        // The one before is the last that begins at or before it; input there has no output of its own.
        let earlier = self.moments.get(..behind).unwrap_or_default();
        earlier.iter().rposition(|moment| moment.what == MomentKind::Output).map_or(behind, |at| at + 1)
    }

    /// The last byte before this one of the input that is no line end.
    fn last_character(&self, end: u64) -> io::Result<u64> {
        let mut last = end.saturating_sub(1);
        for _ in 0..MAX_LINE_END {
            let Some(moment) = self.at_offset(last).checked_sub(1).and_then(|at| self.moments.get(at)) else { break };
            let place = moment.spool + last.saturating_sub(moment.offset);
            if !matches!(self.output(place, place + 1)?.as_slice(), b"\r" | b"\n") {
                break;
            }
            last = last.saturating_sub(1);
        }
        Ok(last)
    }

    /// How many moments have happened when this byte of the spool has been shown.
    pub(crate) fn at_spool(&self, place: u64) -> usize {
        self.moments.partition_point(|moment| moment.spool.saturating_add(moment.output_len()) <= place) + 1
    }

    /// The latest keyframe at or before a position.
    fn keyframe(&self, pos: usize) -> Option<&(usize, Arc<Screen>)> {
        let behind = self.keyframes.partition_point(|(at, _)| *at <= pos);
        self.keyframes.get(behind.checked_sub(1)?)
    }

    /// The wait in front of a moment that has not happened yet.
    pub(crate) fn wait_before(&self, pos: usize) -> i64 {
        let at = |index: usize| self.moments.get(index).map(|moment| moment.at);
        match (pos.checked_sub(1).and_then(at), at(pos)) {
            (Some(before), Some(next)) => next.saturating_sub(before),
            _ => 0,
        }
    }

    /// Bytes of output in each of `width` equal parts of the axis.
    pub(crate) fn density(&self, width: usize, clamp: bool) -> Vec<u64> {
        let mut parts = vec![0_u64; width];
        let length = self.length(clamp).max(1);
        for (at, moment) in self.moments.iter().enumerate() {
            let part = part_of(self.axis(at, clamp), length, width);
            if let Some(part) = parts.get_mut(part) {
                *part += moment.output_len();
            }
        }
        parts
    }

    /// The moment whose output holds this byte of the spool.
    pub(crate) fn moment_of(&self, place: u64) -> Option<&Moment> {
        self.moments.get(self.at_spool(place).checked_sub(1)?)
    }

    /// Output of one moment.
    ///
    /// # Errors
    /// What the file system says of the spool.
    pub(crate) fn output_of(&self, moment: &Moment) -> io::Result<Vec<u8>> {
        self.output(moment.spool, moment.spool + moment.output_len())
    }

    /// Reads output from the spool.
    fn output(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        self.output.read(from, to)
    }
}

/// Which of `width` equal parts of an axis a place is in.
pub(crate) fn part_of(place: i64, length: i64, width: usize) -> usize {
    let part = i128::from(place.max(0)) * width as i128 / i128::from(length.max(1));
    usize::try_from(part).unwrap_or(0).min(width.saturating_sub(1))
}

impl Moment {
    /// Bytes of output.
    pub(crate) fn output_len(&self) -> u64 {
        if self.what == MomentKind::Output { u64::from(self.len) } else { 0 }
    }
}

#[cfg(test)]
mod tests;
