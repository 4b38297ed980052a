use std::num::NonZeroU16;
use std::ops::Range;

use super::lines::{Line, LineEnd, Lines, NONE};
use super::note::{self, Note, NoteKind, hides};
use super::{Cell, Changes, Color, Event, MAX_SIDE, Sink, Span, Style};
use crate::scan::{MAX_SEQUENCE, Params, Token};

mod change;
mod charset;
mod conceal;

use change::is_styled;
use charset::Charsets;
use conceal::CONCEALED;

/// The emulator, and what it does not keep.
pub(super) struct Machine {
    emulator: vt100::Parser<Watch>,
    /// Bytes fed.
    pub(super) offset: u64,
    /// The window's title.
    pub(super) title: String,
    /// The beginning of a character whose end has not come.
    partial: Vec<u8>,
    charsets: Charsets,
    concealed: bool,
    insert: bool,
    /// Whether the cursor may stand before text that printing would take the place of.
    returned: bool,
    /// What may look different since somebody asked.
    changes: Changes,
}

/// What the emulator reports.
#[derive(Clone, Debug)]
struct Watch {
    at: u64,
    primary: Lines,
    alternate: Lines,
    done: Vec<Line>,
    bells: u64,
    /// Rows that scrolled off.
    scrolled: u64,
}

impl vt100::Callbacks for Watch {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.bells = self.bells.saturating_add(1);
    }

    fn on_scroll(&mut self, contents: vt100::capture::RowContents<'_>, alternate_screen: bool) {
        self.scrolled = self.scrolled.wrapping_add(1);
        let lines = if alternate_screen { &mut self.alternate } else { &mut self.primary };
        lines.scrolled(&contents, self.at, &mut self.done);
    }
}

impl Machine {
    pub(super) fn new(rows: u16, cols: u16) -> Self {
        let (rows, cols) = (side(rows), side(cols));
        let watch = Watch {
            at: 0,
            primary: Lines::new(false, rows.get()),
            alternate: Lines::new(true, rows.get()),
            done: Vec::new(),
            bells: 0,
            scrolled: 0,
        };
        Self {
            emulator: vt100::Parser::new_with_callbacks(rows, cols, 0, watch),
            offset: 0,
            title: String::new(),
            partial: Vec::new(),
            charsets: Charsets::default(),
            concealed: false,
            insert: false,
            returned: false,
            changes: Changes { scrolled: 0, rows: 0..rows.get() },
        }
    }

    /// The lines of the screen that is shown.
    fn lines(&mut self) -> &mut Lines {
        let alternate = self.screen().alternate_screen();
        let watch = self.emulator.callbacks_mut();
        if alternate { &mut watch.alternate } else { &mut watch.primary }
    }

    pub(super) fn screen(&self) -> &vt100::Screen {
        self.emulator.screen()
    }

    pub(super) fn bells(&self) -> u64 {
        self.emulator.callbacks().bells
    }

    pub(super) fn row_begun(&self, row: u16) -> Option<u64> {
        let watch = self.emulator.callbacks();
        let lines = if self.screen().alternate_screen() { &watch.alternate } else { &watch.primary };
        lines.begun.get(usize::from(row)).copied().filter(|begun| *begun != NONE)
    }

    pub(super) fn resize(&mut self, rows: u16, cols: u16, sink: &mut Sink<'_>) {
        let (rows, cols) = (side(rows), side(cols));
        self.emulator.callbacks_mut().at = self.offset;
        let (before, grows) = (self.screen().cursor_position().0, rows > self.screen().size().0);
        self.emulator.set_size(rows, cols);
        // A screen that grows moves down by the rows that it lets back in at the top.
        let moved = if grows { self.screen().cursor_position().0.saturating_sub(before) } else { 0 };
        let alternate = self.screen().alternate_screen();
        let watch = self.emulator.callbacks_mut();
        watch.primary.resize(rows.get(), if alternate { 0 } else { moved });
        watch.alternate.resize(rows.get(), 0);
        self.changes = Changes { scrolled: 0, rows: 0..rows.get() };
        self.hand_on(sink);
    }

    pub(super) fn finish(&mut self, sink: &mut Sink<'_>) {
        let at = self.offset;
        if self.screen().alternate_screen() {
            self.leave(at, LineEnd::Last);
            self.emulator.process(b"\x1b[?47l");
        }
        self.leave(at, LineEnd::Last);
        self.hand_on(sink);
    }

    /// Takes one piece of the output.
    pub(super) fn token(&mut self, token: &Token<'_>, range: &Span, sink: &mut Sink<'_>) {
        self.emulator.callbacks_mut().at = range.start;
        match token {
            Token::Text(text) => return self.text(text, range, sink),
            _ if !self.partial.is_empty() => {
                let partial = std::mem::take(&mut self.partial);
                self.print(&String::from_utf8_lossy(&partial), range, sink);
            }
            _ => {}
        }
        match token {
            Token::Text(_) => {}
            Token::Control(byte) => self.control(*byte),
            Token::Csi { private, params, action, raw } => self.csi(*private, params, *action, raw, range, sink),
            Token::Escape(raw) => self.escape(raw, range.start),
            Token::Osc(text) => self.osc(text, range, sink),
            Token::Hidden => self.note(NoteKind::Unshown, String::new(), range, sink),
        }
        self.hand_on(sink);
    }

    fn hand_on(&mut self, sink: &mut Sink<'_>) {
        for line in self.emulator.callbacks_mut().done.drain(..) {
            sink(Event::Line(line));
        }
    }

    fn note(&self, kind: NoteKind, text: String, range: &Span, sink: &mut Sink<'_>) {
        let row = self.screen().cursor_position().0;
        sink(Event::Note(Note { offset: range.clone(), row, kind, text }));
    }

    fn text(&mut self, bytes: &[u8], range: &Span, sink: &mut Sink<'_>) {
        let joined;
        let mut bytes = bytes;
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.partial);
            bytes = &joined;
        }
        let whole = bytes.len() - unfinished(bytes);
        let (now, later) = bytes.split_at_checked(whole).unwrap_or((bytes, &[]));
        if !now.is_empty() {
            self.print(&String::from_utf8_lossy(now), range, sink);
        }
        self.partial.extend_from_slice(later);
        self.hand_on(sink);
    }

    fn print(&mut self, text: &str, range: &Span, sink: &mut Sink<'_>) {
        if !text.is_ascii() {
            for c in text.chars().filter(|c| hides(*c)) {
                self.note(NoteKind::Invisible, c.to_string(), range, sink);
            }
        }
        if self.concealed {
            self.note(NoteKind::Concealed, note::cut(text), range, sink);
        }
        if self.returned && !self.screen().alternate_screen() && !self.insert {
            self.note_overwritten(text, range, sink);
        }
        if !text.is_ascii() && is_styled(self.screen()) {
            // What a wide character leaves behind has its style.
            self.lines().painted = true;
        }
        let before = self.screen().cursor_position().0;
        if self.insert {
            let width = unicode_width::UnicodeWidthStr::width(text).min(usize::from(MAX_SIDE));
            self.emulator.process(format!("\x1b[{width}@").as_bytes());
        }
        if self.charsets.draws_lines() {
            let drawn: String = text.chars().map(charset::line_drawing).collect();
            self.show(&drawn);
        } else if text.contains(REPLACEMENT) {
            self.show(&text.replace(REPLACEMENT, STAND_IN));
        } else {
            self.show(text);
        }
        self.begin_rows(before, range.start);
    }

    /// Notes where rows that were empty begin.
    fn begin_rows(&mut self, before: u16, at: u64) {
        let row = self.screen().cursor_position().0;
        let lines = self.lines();
        let first = usize::from(before.min(row));
        // Rows above the cursor that scrolled up while this was printed have no beginning yet.
        let first = (0..first).rev().take_while(|row| lines.begun.get(*row) == Some(&NONE)).last().unwrap_or(first);
        for begun in lines.begun.iter_mut().take(usize::from(row) + 1).skip(first) {
            *begun = (*begun).min(at);
        }
    }

    fn note_overwritten(&mut self, text: &str, range: &Span, sink: &mut Sink<'_>) {
        let (row, col) = self.screen().cursor_position();
        let width = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
        let old = cells_text(self.screen(), row, col..col.saturating_add(width));
        if !old.trim().is_empty() && !text.starts_with(old.trim_end()) {
            self.note(NoteKind::Overwritten, note::cut(&old), range, sink);
        }
    }

    fn control(&mut self, byte: u8) {
        match byte {
            0x0e => self.charsets.shift(true),
            0x0f => self.charsets.shift(false),
            b'\n' => {
                // The bottom row of a screen that scrolls is empty.
                self.returned &= self.screen().cursor_position().0 + 1 < self.screen().size().0.get();
                return self.break_row();
            }
            _ => self.returned = true,
        }
        let is_break = matches!(byte, 0x0b | 0x0c);
        if is_break { self.move_down(&[byte]) } else { self.emulator.process(&[byte]) }
    }

    /// Where the top row is about to scroll off it is read here, which costs less than to have it told.
    fn break_row(&mut self) {
        let screen = self.screen();
        let (rows, cols) = screen.size();
        let scrolls = screen.cursor_position().0 + 1 == rows.get() && !self.lines().painted;
        let screen = self.screen();
        let top = scrolls.then(|| screen.rows(0, cols.get()).next()).flatten();
        let top = top.filter(|text| text.is_ascii()).map(|text| (text, screen.row_wrapped(0)));
        self.lines().top = top;
        self.move_down(b"\n");
        self.lines().top = None;
    }

    fn escape(&mut self, raw: &[u8], at: u64) {
        let Some((&[_, first], rest)) = raw.split_first_chunk::<2>() else { return };
        self.returned = true;
        match (first, rest) {
            // What the emulator leaves out, in words that it knows.
            (b'D', []) => self.move_down(b"\n"),
            (b'E', []) => self.move_down(b"\r\n"),
            (b'c', []) => {
                self.leave(at, LineEnd::Erased);
                self.emulator.process(raw);
                (self.charsets, self.concealed, self.insert) = (Charsets::default(), false, false);
                let watch = self.emulator.callbacks_mut();
                for lines in [&mut watch.primary, &mut watch.alternate] {
                    (lines.painted, lines.region) = (false, false);
                }
                self.touch_all();
            }
            (b'7' | b'8' | b'=' | b'>' | b'M', []) => {
                self.emulator.process(raw);
                self.settle_concealed();
                if first == b'M' {
                    self.touch_all();
                }
            }
            (b'(' | b')', &[set]) => self.charsets.designate(first == b')', set),
            _ => {}
        }
    }

    fn csi(
        &mut self,
        private: Option<u8>,
        params: &Params,
        action: char,
        raw: &[u8],
        range: &Span,
        sink: &mut Sink<'_>,
    ) {
        if raw.len() >= MAX_SEQUENCE {
            return;
        }
        self.returned |= action != 'm';
        match (private, action) {
            (None, 'm') => return self.graphics(params, raw),
            (None | Some(b'?'), 'J') if matches!(params.as_slice(), [2, ..]) => {
                self.leave(range.start, LineEnd::Erased);
                self.lines().painted = false;
            }
            (None | Some(b'?'), 'J' | 'K') | (None, 'P' | 'X' | 'M') => self.note_erased(params, action, range, sink),
            (Some(b'?'), 'h' | 'l') if [47, 1047, 1049].iter().any(|mode| params.contains(*mode)) => {
                return self.switch(action == 'h', params.contains(1049), range.start);
            }
            (None, 'h' | 'l') => self.insert = if params.contains(4) { action == 'h' } else { self.insert },
            // Saved by CSI: the emulator knows it by ESC only.
            (None, 's') if params.as_slice() == [0] => return self.emulator.process(b"\x1b7"),
            (None, 'r') => self.note_region(params),
            (None, 'u') => self.emulator.process(b"\x1b8"),
            (None, 'a') => return self.emulator.process(format!("\x1b[{}C", params.count()).as_bytes()),
            (None, 'e') => return self.emulator.process(format!("\x1b[{}B", params.count()).as_bytes()),
            _ => {}
        }
        self.touch_for(private, action);
        if matches!(action, 'J' | 'K' | 'X' | 'b') && is_styled(self.screen()) {
            self.lines().painted = true;
        }
        let alternate = self.screen().alternate_screen();
        self.emulator.process(raw);
        self.settle_concealed();
        if self.screen().alternate_screen() != alternate {
            self.touch_all();
        }
    }

    /// To the alternate screen or back; what stood on the one that is left for good comes out as lines.
    fn switch(&mut self, to_alternate: bool, save: bool, at: u64) {
        let from_alternate = self.screen().alternate_screen();
        if from_alternate && (save || !to_alternate) {
            self.leave(at, LineEnd::Erased);
        }
        let sequence: &[u8] = match (to_alternate, save) {
            (true, true) => b"\x1b[?1049h",
            (true, false) => b"\x1b[?47h",
            (false, true) => b"\x1b[?1049l",
            (false, false) => b"\x1b[?47l",
        };
        self.emulator.process(sequence);
        self.settle_concealed();
        self.touch_all();
    }

    fn leave(&mut self, at: u64, end: LineEnd) {
        let (screen, watch) = self.emulator.screen_and_callbacks_mut();
        let lines = if screen.alternate_screen() { &mut watch.alternate } else { &mut watch.primary };
        lines.leave(screen, at, end, &mut watch.done);
    }

    fn note_erased(&mut self, params: &Params, action: char, range: &Span, sink: &mut Sink<'_>) {
        let screen = self.screen();
        if screen.alternate_screen() {
            return;
        }
        let (row, col) = screen.cursor_position();
        let (rows, cols) = (screen.size().0.get(), screen.size().1.get());
        let first = params.as_slice().first().copied().unwrap_or(0);
        let span = match (action, first) {
            ('P' | 'X', count) => col..col.saturating_add(count.max(1)),
            ('K' | 'J', 0) => col..cols,
            ('K' | 'J', 1) => 0..col.saturating_add(1),
            _ => 0..cols,
        };
        let mut gone = cells_text(screen, row, span);
        let more = match (action, first) {
            ('J', 0) => row.saturating_add(1)..rows,
            ('J', 1) => 0..row,
            ('M', count) => row.saturating_add(1)..row.saturating_add(count.max(1)).min(rows),
            _ => 0..0,
        };
        for row in more {
            let text = cells_text(screen, row, 0..cols);
            if !text.trim().is_empty() {
                gone.push('\n');
                gone.push_str(text.trim_end());
            }
        }
        if !gone.trim().is_empty() {
            self.note(NoteKind::Erased, note::cut(gone.trim_end()), range, sink);
        }
    }

    fn osc(&mut self, text: &[u8], range: &Span, sink: &mut Sink<'_>) {
        if let Some((kind, text)) = note::of_osc(text) {
            if kind == NoteKind::Title {
                if self.title == text {
                    return;
                }
                self.title.clone_from(&text);
            }
            self.note(kind, text, range, sink);
        }
    }
}

/// What is shown for bytes that are no UTF-8, and what stands for it inside the emulator, which prints none.
pub(super) const REPLACEMENT: &str = "\u{fffd}";
pub(super) const STAND_IN: &str = "\u{fffc}";

/// Bytes at the end that begin a character.
fn unfinished(bytes: &[u8]) -> usize {
    let tail = bytes.get(bytes.len().saturating_sub(3)..).unwrap_or_default();
    let lead = tail.iter().rposition(|byte| byte & 0xc0 != 0x80).unwrap_or(tail.len());
    let Some(begun) = tail.get(lead..) else { return 0 };
    let is_unfinished = std::str::from_utf8(begun).is_err_and(|error| error.error_len().is_none());
    if is_unfinished { begun.len() } else { 0 }
}

fn side(value: u16) -> NonZeroU16 {
    NonZeroU16::new(value.min(MAX_SIDE)).unwrap_or(NonZeroU16::MIN)
}

/// The text of a stretch of a row.
fn cells_text(screen: &vt100::Screen, row: u16, cols: Range<u16>) -> String {
    let mut text = String::new();
    for col in cols.start..cols.end.min(screen.size().1.get()) {
        match screen.cell(row, col) {
            Some(cell) if cell.has_contents() => text.push_str(shown(cell.contents())),
            Some(cell) if !cell.is_wide_continuation() => text.push(' '),
            _ => {}
        }
    }
    text
}

/// Appends a row's text; a blank that was printed is kept, one that never was is not.
pub(super) fn push_row(screen: &vt100::Screen, row: u16, text: &mut String) {
    let cols = screen.size().1.get();
    let used = (0..cols).rev().find(|col| screen.cell(row, *col).is_some_and(vt100::Cell::has_contents));
    text.push_str(&cells_text(screen, row, 0..used.map_or(0, |col| col + 1)));
}

fn shown(contents: &str) -> &str {
    if contents == STAND_IN { REPLACEMENT } else { contents }
}

pub(super) fn cell(cell: &vt100::Cell) -> Cell<'_> {
    let fg = cell.fgcolor();
    let style = Style {
        fg: if fg == CONCEALED { Color::Default } else { color(fg) },
        bg: color(cell.bgcolor()),
        bold: cell.bold(),
        dim: cell.dim(),
        italic: cell.italic(),
        underline: cell.underline(),
        inverse: cell.inverse(),
        concealed: fg == CONCEALED,
    };
    Cell { text: shown(cell.contents()), wide: cell.is_wide(), continuation: cell.is_wide_continuation(), style }
}

fn color(color: vt100::Color) -> Color {
    match color {
        vt100::Color::Default => Color::Default,
        vt100::Color::Idx(index) => Color::Indexed(index),
        vt100::Color::Rgb(red, green, blue) => Color::Rgb(red, green, blue),
    }
}

impl Clone for Machine {
    fn clone(&self) -> Self {
        let watch = self.emulator.callbacks().clone();
        let one = NonZeroU16::MIN;
        let mut emulator = vt100::Parser::new_with_callbacks(one, one, 0, watch);
        *emulator.screen_mut() = self.screen().clone();
        Self {
            emulator,
            offset: self.offset,
            title: self.title.clone(),
            partial: self.partial.clone(),
            charsets: self.charsets,
            concealed: self.concealed,
            insert: self.insert,
            returned: self.returned,
            changes: self.changes.clone(),
        }
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("size", &self.screen().size())
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
