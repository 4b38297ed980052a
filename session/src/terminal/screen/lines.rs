use std::collections::VecDeque;

use vt100::capture::{BasicFormattedCaptureState, RowContents, basic_formatted_to_plain};

use super::Span;
use super::feed::{REPLACEMENT, STAND_IN, push_row};

/// A line that left the screen, its wraps joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its text; a blank that was printed is kept, one that never was is not. Never a control.
    pub text: String,
    /// From where its first character was printed to where it left.
    pub shown: Span,
    /// Whether it stood on the alternate screen, where a full-screen program draws.
    pub alternate: bool,
    /// How it left.
    pub end: LineEnd,
}

/// How a [`Line`] left the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// It scrolled off the top.
    Scrolled,
    /// The whole screen was erased or left.
    Erased,
    /// It was still there when the output ended.
    Last,
}

/// Bytes of a line that wraps; the rest of it is a line of its own.
const MAX_LINE: usize = 64 * 1024;

/// Puts the rows that leave one of the two screens together to lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    alternate: bool,
    row: String,
    open: Option<(String, u64)>,
    /// Where the output began what stands in each row; [`NONE`] where there is nothing.
    pub(super) begun: VecDeque<u64>,
}

/// No place in the output.
pub(super) const NONE: u64 = u64::MAX;

impl Lines {
    pub(super) fn new(alternate: bool, rows: u16) -> Self {
        let begun = VecDeque::from(vec![NONE; usize::from(rows)]);
        Self { alternate, begun, ..Self::default() }
    }

    /// The top row scrolls off.
    pub(super) fn scrolled(&mut self, contents: &RowContents<'_>, at: u64, done: &mut Vec<Line>) {
        let begun = self.begun.pop_front().unwrap_or(NONE);
        self.begun.push_back(NONE);
        // A second copy of the row begins with a line end unless the row wraps, which nothing else tells.
        let mut state = BasicFormattedCaptureState::new();
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        let _ = contents.write_formatted_basic(&mut row, &mut state);
        let end = row.len();
        let _ = contents.write_formatted_basic(&mut row, &mut state);
        let wraps = row.get(end..).is_none_or(|copy| !copy.starts_with('\n'));
        let (open, _) = self.open.get_or_insert((String::new(), begun.min(at)));
        for piece in basic_formatted_to_plain(row.get(..end).unwrap_or_default()) {
            open.push_str(piece);
        }
        if !wraps || open.len() > MAX_LINE {
            self.close(at, LineEnd::Scrolled, done);
        }
        self.row = row;
    }

    /// All rows leave at once.
    pub(super) fn leave(&mut self, screen: &vt100::Screen, at: u64, end: LineEnd, done: &mut Vec<Line>) {
        let rows = screen.size().0.get();
        let used = (0..rows).rev().find(|row| !is_blank(screen, *row)).map_or(0, |row| row + 1);
        for row in 0..used {
            let begun = self.begun.get(usize::from(row)).copied().unwrap_or(NONE);
            let (open, _) = self.open.get_or_insert((String::new(), begun.min(at)));
            push_row(screen, row, open);
            if !screen.row_wrapped(row) {
                self.close(at, end, done);
            }
        }
        self.close(at, end, done);
        self.begun.iter_mut().for_each(|begun| *begun = NONE);
    }

    fn close(&mut self, at: u64, end: LineEnd, done: &mut Vec<Line>) {
        if let Some((text, begun)) = self.open.take() {
            let text = if text.contains(STAND_IN) { text.replace(STAND_IN, REPLACEMENT) } else { text };
            done.push(Line { text, shown: begun..at, alternate: self.alternate, end });
        }
    }

    /// The window has another number of rows; what was there moved down.
    pub(super) fn resize(&mut self, rows: u16, moved: u16) {
        (0..moved).for_each(|_| self.begun.push_front(NONE));
        self.begun.resize(usize::from(rows), NONE);
    }
}

fn is_blank(screen: &vt100::Screen, row: u16) -> bool {
    let cols = screen.size().1.get();
    !(0..cols).any(|col| screen.cell(row, col).is_some_and(vt100::Cell::has_contents))
}
