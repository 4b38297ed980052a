//! Which rows may look different: whoever keeps screens then looks at no more than those.

use super::super::Changes;
use super::Machine;
use crate::scan::Params;
use crate::terminal::process;

impl Machine {
    pub(in super::super) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    fn touch_row(&mut self) {
        let row = self.screen().cursor_position().0;
        self.changes.touch(row..row.saturating_add(1));
    }

    pub(super) fn touch_all(&mut self) {
        let rows = self.screen().size().0.get();
        self.changes.touch(0..rows);
    }

    /// Notes the rows that a control sequence is about to change; one that is not known here may change any.
    pub(super) fn touch_for(&mut self, private: Option<u8>, action: char) {
        match (private, action) {
            (None | Some(b'?'), 'K') | (None, 'P' | 'X' | '@') => self.touch_row(),
            (_, 'A'..='H' | 'a' | 'c'..='f' | 'h' | 'l' | 'n' | 'q'..='u') => {}
            _ => self.touch_all(),
        }
    }

    /// Notes whether the rows that scroll are all there are.
    pub(super) fn note_region(&mut self, params: &Params) {
        let rows = self.screen().size().0.get();
        let number = |at: usize| params.as_slice().get(at).copied().unwrap_or(0);
        let (top, bottom) = (number(0), number(1));
        self.lines().region = top > 1 || (bottom > 0 && bottom < rows);
    }

    /// Prints text, which may wrap.
    pub(super) fn show(&mut self, text: &str) {
        let columns = if text.is_ascii() { text.len() } else { 2 * text.chars().count() + 2 };
        let (col, cols) = (self.screen().cursor_position().1, self.screen().size().1.get());
        let stays = usize::from(col) + columns <= usize::from(cols);
        self.scroll(stays, |emulator| process(emulator, text.as_bytes()));
    }

    /// Breaks the row in words of the emulator's.
    pub(super) fn move_down(&mut self, words: &[u8]) {
        let rows = self.screen().size().0.get();
        let (row, region) = (self.screen().cursor_position().0, self.lines().region);
        if row + 1 < rows && !region {
            self.emulator.process(words);
        } else {
            self.scroll(false, |emulator| emulator.process(words));
        }
    }

    /// Does what changes the cursor's row and, unless it `stays` there, those below, for which the screen may scroll.
    fn scroll(&mut self, stays: bool, act: impl FnOnce(&mut vt100::Parser<super::Watch>)) {
        let (before, scrolled) = (self.screen().cursor_position().0, self.emulator.callbacks().scrolled);
        let region = self.lines().region;
        act(&mut self.emulator);
        let scrolled = self.emulator.callbacks().scrolled.wrapping_sub(scrolled);
        if region && !stays {
            self.touch_all();
        } else {
            let rows = self.screen().size().0.get();
            let after = self.screen().cursor_position().0;
            let scrolled = u16::try_from(scrolled).unwrap_or(u16::MAX).min(rows);
            self.changes.scroll(scrolled);
            self.changes.touch(before.saturating_sub(scrolled)..after.saturating_add(1));
        }
    }
}

/// Whether what is erased now gets a style.
pub(super) fn is_styled(screen: &vt100::Screen) -> bool {
    let has_color = [screen.fgcolor(), screen.bgcolor()].iter().any(|color| *color != vt100::Color::Default);
    has_color || screen.bold() || screen.dim() || screen.italic() || screen.underline() || screen.inverse()
}
