//! Places of the output at which something is removed.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use super::MAX_CUTS;

/// One text that was removed from the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// From its first byte to behind its last; what stands between (escapes of a line editor) may have stayed.
    pub(crate) place: Range<u64>,
    /// Its length.
    pub(crate) characters: usize,
    /// Hex HMAC-SHA-256 of it.
    pub(crate) digest: String,
}

/// Everything that is removed from the output.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// The removed texts, in the order of the output.
    pub(crate) all: Vec<Cut>,
    /// Bytes to take out, and the columns that stand in their place.
    raw: Vec<(Range<u64>, usize)>,
    seen: HashSet<(u64, u64)>,
    /// Whether there were more than [`MAX_CUTS`].
    pub(crate) overflown: bool,
}

impl Cuts {
    /// Adds a text that stands in these bytes, each with the columns it took, unless it is known from an earlier look at
    /// the same line.
    pub(super) fn push(
        &mut self,
        cells: impl Iterator<Item = (Range<u64>, usize)>,
        characters: usize,
        digest: impl FnOnce() -> String,
    ) {
        let mut runs: Vec<(Range<u64>, usize)> = Vec::new();
        for (raw, cols) in cells {
            match runs.last_mut() {
                Some((last, sum)) if last.end == raw.start => (last.end, *sum) = (raw.end, *sum + cols),
                _ => runs.push((raw, cols)),
            }
        }
        let (Some(start), Some(end)) =
            (runs.iter().map(|run| run.0.start).min(), runs.iter().map(|run| run.0.end).max())
        else {
            return;
        };
        if !self.seen.insert((start, end)) {
            return;
        }
        if self.raw.len() + runs.len() > MAX_CUTS {
            self.overflown = true;
            return;
        }
        self.raw.extend(runs);
        self.all.push(Cut { place: start..end, characters, digest: digest() });
    }

    /// Puts them in the order of the output.
    pub(super) fn sort(&mut self) {
        self.all.sort_by_key(|cut| cut.place.start);
        self.raw.sort_by_key(|(range, _)| (range.start, range.end));
    }

    /// Output, whose first byte is at `offset`, without what has to go: `█` for each of its columns.
    pub(crate) fn apply<'b>(&self, bytes: &'b [u8], offset: u64) -> Cow<'b, [u8]> {
        let end = offset + bytes.len() as u64;
        // Ranges may overlap, but only as much as one line's text does.
        let mut at = self.raw.partition_point(|(range, _)| range.end <= offset);
        if self.raw.get(at).is_none_or(|(range, _)| range.start >= end) {
            return Cow::Borrowed(bytes);
        }
        let (mut out, mut done) = (Vec::with_capacity(bytes.len()), offset);
        while let Some((range, cols)) = self.raw.get(at).filter(|(range, _)| range.start < end) {
            if range.end > done {
                out.extend_from_slice(slice(bytes, offset, done..range.start.max(done)));
                if range.start >= done {
                    out.extend_from_slice("█".repeat(*cols).as_bytes());
                }
                done = range.end.min(end);
            }
            at += 1;
        }
        out.extend_from_slice(slice(bytes, offset, done..end));
        Cow::Owned(out)
    }
}

fn slice(bytes: &[u8], offset: u64, range: Range<u64>) -> &[u8] {
    let place = |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX);
    bytes.get(place(range.start)..place(range.end)).unwrap_or_default()
}
