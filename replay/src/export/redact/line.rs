//! One line of the screen as it is being written, with the bytes that wrote each cell.

use unicode_width::UnicodeWidthChar as _;

use super::escape::{Piece, Place};

/// Longest line that is laid out, in columns; longer ones are searched in overlapping parts.
const MAX_LINE: usize = 64 * 1024;
/// Columns by which parts overlap: the longest secret that is found across their border.
const OVERLAP: usize = 4096;

/// A line, however many rows it takes. Cells are columns: the right half of a wide character is an empty cell.
#[derive(Debug)]
pub(super) struct Line {
    cells: Vec<Option<Cell>>,
    cursor: usize,
    /// Whether something was written since the line was last searched.
    fresh: bool,
    blank_return: bool,
    /// Width of the window.
    pub(super) cols: Option<usize>,
}

#[derive(Clone, Debug)]
struct Cell {
    text: String,
    raw: Place,
    width: usize,
}

impl Line {
    /// An empty line.
    pub(super) fn new(cols: Option<u16>) -> Self {
        let cols = cols.map(|cols| usize::from(cols.max(1)));
        Self { cells: Vec::new(), cursor: 0, fresh: false, blank_return: false, cols }
    }

    /// Takes a piece of output. `look` is called before text that stands in the line can be lost.
    pub(super) fn take(&mut self, piece: &Piece<'_>, look: &mut dyn FnMut(&Self)) {
        if let Piece::Char(c, start, end) = piece {
            return self.write(*c, *start..*end, look);
        }
        self.look(look);
        match *piece {
            Piece::Control(b'\r') => self.carriage_return(),
            Piece::Control(0x08) => self.cursor = self.cursor.saturating_sub(1),
            Piece::Control(b'\t') => self.cursor = (self.cursor / 8 + 1) * 8,
            Piece::Csi(count, b'C') => self.cursor += usize::from(count.max(1)),
            Piece::Csi(count, b'D') => self.cursor = self.cursor.saturating_sub(usize::from(count.max(1))),
            Piece::Csi(col, b'G') => self.cursor = self.row_start() + usize::from(col.max(1)) - 1,
            Piece::Csi(0, b'K') => self.cells.truncate(self.cursor),
            Piece::Csi(count, b'P') => {
                let end = (self.cursor + usize::from(count.max(1))).min(self.cells.len());
                self.cells.drain(self.cursor.min(end)..end);
            }
            Piece::Csi(count, b'@') if self.cursor <= self.cells.len() => {
                let blanks = std::iter::repeat_n(None, usize::from(count.max(1)));
                self.cells.splice(self.cursor..self.cursor, blanks);
            }
            Piece::Csi(rows, b'A') => self.climb(usize::from(rows.max(1))),
            Piece::Control(b'\n' | 0x0b | 0x0c)
            | Piece::Csi(_, b'H' | b'f' | b'J' | b'd' | b'B' | b'E' | b'F' | b'L' | b'M' | b'S' | b'T') => self.clear(),
            _ => {}
        }
    }

    fn write(&mut self, c: char, raw: Place, look: &mut dyn FnMut(&Self)) {
        let width = c.width().unwrap_or(0);
        if width == 0 {
            let before = self.cursor.checked_sub(1).and_then(|at| self.cells.get_mut(at)).and_then(Option::as_mut);
            if let Some(cell) = before {
                cell.text.push(c);
                cell.raw.end = raw.end;
            }
            return;
        }
        if self.cursor < self.cells.len() {
            self.look(look);
        }
        if self.cursor >= MAX_LINE {
            self.look(look);
            self.cells.drain(..self.cells.len().saturating_sub(OVERLAP));
            self.cursor = self.cells.len();
        }
        self.blank_return = c == ' ';
        for half in 0..width {
            let cell = (half == 0).then(|| Cell { text: c.to_string(), raw: raw.clone(), width });
            if self.cells.len() <= self.cursor {
                self.cells.resize(self.cursor, None);
                self.cells.push(cell);
            } else if let Some(place) = self.cells.get_mut(self.cursor) {
                *place = cell;
            }
            self.cursor += 1;
        }
        self.fresh = true;
    }

    fn look(&mut self, look: &mut dyn FnMut(&Self)) {
        if std::mem::take(&mut self.fresh) {
            look(self);
        }
    }

    fn clear(&mut self) {
        self.cells.clear();
        self.cursor = 0;
    }

    /// Back to the beginning of the row. Where the width is not known, a blank before it is taken for the one that a line
    /// editor prints behind a full row: the text goes on.
    fn carriage_return(&mut self) {
        self.cursor = match self.cols {
            Some(_) => self.row_start(),
            None if std::mem::take(&mut self.blank_return) => self.cursor.saturating_sub(1),
            None => 0,
        };
    }

    /// The first column of the row in which the cursor stands; behind a full row it still stands in that row.
    fn row_start(&self) -> usize {
        self.cols.map_or(0, |cols| self.cursor.saturating_sub(1) / cols * cols)
    }

    fn climb(&mut self, rows: usize) {
        match self.cols.and_then(|cols| self.cursor.checked_sub(rows * cols)) {
            Some(cursor) => self.cursor = cursor,
            None => self.clear(),
        }
    }

    /// The text, and for each character its place in the text, its bytes, and its columns. Cells that were jumped over
    /// are blanks.
    pub(super) fn text(&self) -> (String, Vec<(usize, Place, usize)>) {
        let (mut text, mut places, mut skip) = (String::new(), Vec::new(), 0);
        for cell in &self.cells {
            match cell {
                Some(cell) => {
                    places.push((text.len(), cell.raw.clone(), cell.width));
                    text.push_str(&cell.text);
                    skip = cell.width - 1;
                }
                None if skip > 0 => skip -= 1,
                None => text.push(' '),
            }
        }
        (text, places)
    }

    /// From its first byte to behind its last.
    pub(super) fn place(&self) -> Option<Place> {
        let raw = || self.cells.iter().flatten().map(|cell| &cell.raw);
        Some(raw().map(|raw| raw.start).min()?..raw().map(|raw| raw.end).max()?)
    }
}
