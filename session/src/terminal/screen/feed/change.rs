//! Which rows may look different: whoever keeps screens then looks at no more than those.

use std::ops::Range;

use super::Machine;

impl Machine {
    pub(in super::super) fn take_changed(&mut self) -> Range<u16> {
        std::mem::replace(&mut self.changed, 0..0)
    }

    /// Notes that rows may look different.
    pub(super) fn touch(&mut self, rows: Range<u16>) {
        let known = &self.changed;
        self.changed = if known.is_empty() { rows } else { known.start.min(rows.start)..known.end.max(rows.end) };
    }

    pub(super) fn touch_row(&mut self) {
        let row = self.screen().cursor_position().0;
        self.touch(row..row.saturating_add(1));
    }

    pub(super) fn touch_all(&mut self) {
        self.touch(0..self.screen().size().0.get());
    }

    /// Notes the rows that a text is about to be printed on: only its own, unless it may reach the margin.
    pub(super) fn touch_printed(&mut self, text: &str) {
        let columns = if text.is_ascii() { text.len() } else { 2 * text.chars().count() + 2 };
        let (col, cols) = (self.screen().cursor_position().1, self.screen().size().1.get());
        if usize::from(col) + columns <= usize::from(cols) { self.touch_row() } else { self.touch_all() }
    }

    /// Notes the rows that a control sequence is about to change; one that is not known here may change any.
    pub(super) fn touch_for(&mut self, private: Option<u8>, action: char) {
        match (private, action) {
            (None | Some(b'?'), 'K') | (None, 'P' | 'X' | '@') => self.touch_row(),
            (_, 'A'..='H' | 'a' | 'c'..='f' | 'h' | 'l' | 'n' | 'q'..='u') => {}
            _ => self.touch_all(),
        }
    }

    /// Breaks the row in words of the emulator's.
    pub(super) fn move_down(&mut self, words: &[u8]) {
        let before = self.screen().cursor_position().0;
        self.emulator.process(words);
        if self.screen().cursor_position().0 == before {
            self.touch_all();
        }
    }
}
