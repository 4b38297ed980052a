//! A terminal's screen as it stood at any place of a session's output.
//!
//! The scanner goes first: it cuts the output into whole text, controls and sequences, and only those reach the emulator.
//! So the emulator's own parser is at rest between any two pieces, a [`Screen`] can be cloned at any byte (a clone is a
//! keyframe), and string sequences, which an emulator would collect without a limit, never enter it.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::scan::{Scanner, Token};

mod feed;
mod lines;
mod note;

use feed::Machine;
pub use lines::{Line, LineEnd};
pub use note::{MAX_NOTE, Note, NoteKind};

/// Rows and columns of a screen are held to `1..=MAX_SIDE`.
pub const MAX_SIDE: u16 = 1000;

/// A terminal's screen that output is fed to. Any bytes in pieces of any size, no failure, and memory bounded by its size.
///
/// ```
/// use warden_session::screen::{Event, Screen};
/// let mut screen = Screen::new(2, 20);
/// let mut lines = Vec::new();
/// screen.feed(b"one\r\ntwo\r\n\x1b[31mthree", &mut |event| {
///     if let Event::Line(line) = event {
///         lines.push(line.text);
///     }
/// });
/// assert_eq!(lines, ["one"]);
/// assert_eq!(screen.text(), ["two", "three"]);
/// let keyframe = screen.clone();
/// screen.feed(b"\x1b[2J", &mut |_| {});
/// assert_eq!(screen.text(), ["", ""]);
/// assert_eq!(keyframe.text(), ["two", "three"]);
/// ```
#[derive(Clone, Debug)]
pub struct Screen {
    scanner: Scanner,
    machine: Machine,
}

/// What feeding a screen brings forth, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A line left the screen.
    Line(Line),
    /// Something that a reader of the terminal did not see, or not for what it is.
    Note(Note),
}

/// Where events go.
pub type Sink<'a> = dyn FnMut(Event) + 'a;

/// How a screen may have changed: a row outside of `rows` looks as the one `scrolled` rows further down did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// How many rows everything moved up by.
    pub scrolled: u16,
    /// Rows that may look like none before.
    pub rows: Range<u16>,
}

impl Changes {
    fn touch(&mut self, rows: Range<u16>) {
        let known = &self.rows;
        self.rows = if known.is_empty() { rows } else { known.start.min(rows.start)..known.end.max(rows.end) };
    }

    /// Everything moves up; the rows that come in at the bottom have to be touched.
    fn scroll(&mut self, count: u16) {
        self.scrolled = self.scrolled.saturating_add(count);
        self.rows = self.rows.start.saturating_sub(count)..self.rows.end.saturating_sub(count);
    }
}

/// Where the cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Row from 0.
    pub row: u16,
    /// Column from 0; the number of columns where it waits behind a full row.
    pub col: u16,
    /// Whether it is shown.
    pub visible: bool,
}

/// One cell of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// What stands in it: nothing, a character, or one with combining characters. Never a control.
    pub text: &'a str,
    /// Whether its character takes two columns.
    pub wide: bool,
    /// Whether it is the second column of a wide character.
    pub continuation: bool,
    /// How it looks.
    pub style: Style,
}

/// How a cell looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent attributes, as ECMA-48 (SGR) has them")]
pub struct Style {
    /// Foreground.
    pub fg: Color,
    /// Background.
    pub bg: Color,
    /// SGR 1.
    pub bold: bool,
    /// SGR 2.
    pub dim: bool,
    /// SGR 3.
    pub italic: bool,
    /// SGR 4.
    pub underline: bool,
    /// SGR 7.
    pub inverse: bool,
    /// SGR 8: a terminal shows nothing here. The foreground is not known then.
    pub concealed: bool,
}

/// A colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// The terminal's own.
    #[default]
    Default,
    /// One of 256.
    Indexed(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

impl Screen {
    /// An empty screen.
    pub fn new(rows: u16, cols: u16) -> Self {
        Self { scanner: Scanner::default(), machine: Machine::new(rows, cols) }
    }

    /// Takes the next bytes of the output. An unfinished sequence or character waits for its end.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut Sink<'_>) {
        let offset = self.machine.offset;
        let machine = &mut self.machine;
        self.scanner.feed(bytes, offset, &mut |token, range| machine.token(&token, &range, sink));
        self.machine.offset = offset.saturating_add(bytes.len() as u64);
    }

    /// The window has another size. Nothing is laid out anew, as in xterm; rows that no longer fit leave at the top.
    pub fn resize(&mut self, rows: u16, cols: u16, sink: &mut Sink<'_>) {
        self.machine.resize(rows, cols, sink);
    }

    /// The output ends: what still stands on the screen comes out as lines.
    pub fn finish(mut self, sink: &mut Sink<'_>) {
        self.machine.finish(sink);
    }

    /// How many bytes it was fed.
    pub fn offset(&self) -> u64 {
        self.machine.offset
    }

    /// Rows and columns.
    pub fn size(&self) -> (u16, u16) {
        let (rows, cols) = self.machine.screen().size();
        (rows.get(), cols.get())
    }

    /// Where the cursor stands.
    pub fn cursor(&self) -> Cursor {
        let (row, col) = self.machine.screen().cursor_position();
        Cursor { row, col, visible: !self.machine.screen().hide_cursor() }
    }

    /// A cell, row and column from 0.
    pub fn cell(&self, row: u16, col: u16) -> Option<Cell<'_>> {
        self.machine.screen().cell(row, col).map(feed::cell)
    }

    /// The text of a row, without the blanks at its end.
    pub fn row(&self, row: u16) -> String {
        let mut text = String::new();
        feed::push_row(self.machine.screen(), row, &mut text);
        text.truncate(text.trim_end_matches(' ').len());
        text
    }

    /// Whether the row goes on in the next one.
    pub fn row_wraps(&self, row: u16) -> bool {
        self.machine.screen().row_wrapped(row)
    }

    /// The text of all rows, without the blanks at their ends.
    pub fn text(&self) -> Vec<String> {
        let mut texts = lines::texts(self.machine.screen());
        for text in &mut texts {
            text.truncate(text.trim_end_matches(' ').len());
        }
        texts
    }

    /// What may look different since this was asked last, or since the beginning. Whoever keeps what a screen shows needs to
    /// look at no more.
    pub fn take_changes(&mut self) -> Changes {
        self.machine.take_changes()
    }

    /// The window's title, cut at [`MAX_NOTE`]: whatever the session set it to, controls included.
    pub fn title(&self) -> &str {
        &self.machine.title
    }

    /// Whether a full-screen program shows the alternate screen.
    pub fn is_alternate(&self) -> bool {
        self.machine.screen().alternate_screen()
    }

    /// How often the bell has rung.
    pub fn bells(&self) -> u64 {
        self.machine.bells()
    }

    /// Bytes of output that began what stands in a row; `None` if nothing was written there.
    pub fn row_begun(&self, row: u16) -> Option<u64> {
        self.machine.row_begun(row)
    }
}

/// The size of a window, `(rows, cols)`, that a record without one seems to have had, from the beginning of its output: its
/// columns from how a line editor wrapped, else from where programs put the cursor if that is beyond 80, else not known; its
/// rows from where programs put the cursor, else 24.
pub fn fit(output: &[u8]) -> (u16, Option<u16>) {
    let (mut rows, mut cols) = (24, USUAL_COLS);
    let mut scanner = Scanner::default();
    scanner.feed(output, 0, &mut |token, _| {
        if let Token::Csi { private: None, params, action, .. } = token {
            // `ESC[999;999H` asks for the size.
            let number = |at: usize| params.as_slice().get(at).copied().filter(|number| *number < 400).unwrap_or(0);
            match action {
                'H' => (rows, cols) = (rows.max(number(0)), cols.max(number(1))),
                'r' => rows = rows.max(number(1)),
                _ => {}
            }
        }
    });
    (rows, wrapped_at(output).or((cols > USUAL_COLS).then_some(cols)))
}

/// The width at which most lines wrap. Each is judged by itself: what programs print says nothing of the window.
fn wrapped_at(output: &[u8]) -> Option<u16> {
    let mut lines: BTreeMap<u16, usize> = BTreeMap::new();
    for width in output.split(|byte| *byte == b'\n').filter_map(super::width_from_wraps) {
        *lines.entry(width).or_default() += 1;
    }
    lines.into_iter().max_by_key(|(width, count)| (*count, *width)).map(|(width, _)| width)
}

/// Columns of a window of which nothing tells them.
pub const USUAL_COLS: u16 = 80;

/// Screens are equal if they look equal: size, cells, cursor, title.
impl PartialEq for Screen {
    fn eq(&self, other: &Self) -> bool {
        let cells = |screen: &Self| {
            let (rows, cols) = screen.size();
            (0..rows).flat_map(move |row| (0..cols).map(move |col| (row, col)))
        };
        self.size() == other.size()
            && self.cursor() == other.cursor()
            && self.title() == other.title()
            && self.is_alternate() == other.is_alternate()
            && cells(self).all(|(row, col)| self.cell(row, col) == other.cell(row, col))
    }
}

/// Bytes of the output, counted from the first one that was fed.
type Span = Range<u64>;

#[cfg(test)]
mod tests;
