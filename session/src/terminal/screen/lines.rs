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
    /// The top row, and whether it wraps, where they were looked at before it scrolled off.
    pub(super) top: Option<(String, bool)>,
    /// Whether blanks may have a colour: such a one counts as printed when its row scrolls off.
    pub(super) painted: bool,
    /// Whether a part of the screen may scroll alone.
    pub(super) region: bool,
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
        if let Some((text, wraps)) = self.top.take() {
            return self.push(&text, wraps, begun, at, done);
        }
        // What would come next begins with a line end unless the row wraps, which nothing else tells.
        let mut state = BasicFormattedCaptureState::new();
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        let _ = contents.write_formatted_basic(&mut row, &mut state);
        let mut next = First(None);
        let _ = contents.write_formatted_basic(&mut next, &mut state);
        let text: String = basic_formatted_to_plain(&row).collect();
        self.push(&text, next.0 != Some('\n'), begun, at, done);
        self.row = row;
    }

    fn push(&mut self, text: &str, wraps: bool, begun: u64, at: u64, done: &mut Vec<Line>) {
        let (open, _) = self.open.get_or_insert((String::new(), begun.min(at)));
        open.push_str(text);
        if !wraps || open.len() > MAX_LINE {
            self.close(at, LineEnd::Scrolled, done);
        }
    }

    /// All rows leave at once.
    pub(super) fn leave(&mut self, screen: &vt100::Screen, at: u64, end: LineEnd, done: &mut Vec<Line>) {
        let texts = texts(screen);
        let used = texts.iter().rposition(|text| !text.is_empty()).map_or(0, |row| row + 1);
        for (row, text) in (0..).zip(texts.iter().take(used)) {
            let begun = self.begun.get(usize::from(row)).copied().unwrap_or(NONE);
            let (open, _) = self.open.get_or_insert((String::new(), begun.min(at)));
            open.push_str(text);
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

/// The text of every row, see [`push_row`].
pub(super) fn texts(screen: &vt100::Screen) -> Vec<String> {
    let rows = screen.rows(0, screen.size().1.get());
    let text = |(row, text): (u16, String)| {
        if text.is_ascii() {
            return text;
        }
        let mut text = String::new();
        push_row(screen, row, &mut text);
        text
    };
    (0..).zip(rows).map(text).collect()
}

/// Takes the first character alone.
struct First(Option<char>);

impl std::fmt::Write for First {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 = text.chars().next();
        if self.0.is_none() { Ok(()) } else { Err(std::fmt::Error) }
    }
}
