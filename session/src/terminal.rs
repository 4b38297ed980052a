//! What a stretch of output looks like on a terminal. This file and [`screen`] alone know the emulator
//! (`vt100`).
//!
//! Commands are read region by region: from where a row begins, through a prompt and the editing behind it, to Enter.
//! Each region is laid out on a fresh screen of its own, so that neither the size of the output between commands nor what
//! a program left on the screen costs or changes anything.

use std::num::NonZeroU16;

use unicode_width::UnicodeWidthStr;

pub mod screen;

/// A region as a reader of the terminal saw it last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Lines from the top, wraps joined; a blank that was printed is kept, one that never was is not.
    pub(crate) lines: Vec<String>,
    /// The line in which the cursor stands.
    pub(crate) cursor_line: usize,
    /// Whether the cursor stands in the leftmost column of a line that is empty.
    pub(crate) cursor_on_empty: bool,
    /// Whether the emulator was sent something that it does not know.
    pub(crate) unknown: bool,
}

/// Columns of a screen on which nothing wraps that the region itself does not wrap.
const WIDEST: u16 = 4096;
/// Cells that one region may take: 8 MiB of the emulator's memory.
const MAX_CELLS: usize = 256 * 1024;

/// Lays a region out. `cols` is the window's width where it is known; without it the region is taken not to wrap.
pub(crate) fn lay_out(bytes: &[u8], cols: Option<u16>) -> Layout {
    let longest = bytes.split(|b| *b == b'\n').map(<[u8]>::len).max().unwrap_or(0);
    let cols = cols.unwrap_or_else(|| u16::try_from(longest + 8).unwrap_or(WIDEST).clamp(16, WIDEST));
    let breaks = memchr::memchr_iter(b'\n', bytes).count();
    let rows = (breaks + bytes.len() / usize::from(cols) + 2).min(MAX_CELLS / usize::from(cols).max(1));
    let rows = u16::try_from(rows).unwrap_or(u16::MAX).max(2);
    plain(bytes, rows, cols).unwrap_or_else(|| emulate(bytes, rows, cols))
}

/// Lays out what no emulator is needed for: rows of printable ASCII that stay clear of the margin.
fn plain(bytes: &[u8], rows: u16, cols: u16) -> Option<Layout> {
    let mut layout = Layout::default();
    let mut pieces = bytes.split(|b| *b == b'\n').peekable();
    while let Some(piece) = pieces.next() {
        let is_last = pieces.peek().is_none();
        let returns = piece.ends_with(b"\r");
        let begin = piece.iter().position(|b| *b != b'\r').unwrap_or(piece.len());
        let end = piece.iter().rposition(|b| *b != b'\r').map_or(begin, |at| at + 1);
        let text = piece.get(begin..end)?;
        if text.len() >= usize::from(cols) || !text.iter().all(|b| matches!(b, b' '..=b'~')) {
            return None;
        }
        if !is_last && !returns && !text.is_empty() {
            return None;
        }
        layout.cursor_on_empty = text.is_empty();
        layout.lines.push(String::from_utf8_lossy(text).into_owned());
    }
    layout.cursor_line = layout.lines.len().checked_sub(1)?;
    (layout.lines.len() <= usize::from(rows)).then_some(layout)
}

fn emulate(bytes: &[u8], rows: u16, cols: u16) -> Layout {
    let mut parser = vt100::Parser::new_with_callbacks(non_zero(rows), non_zero(cols), 0, Unknown(false));
    process(&mut parser, bytes);
    let unknown = parser.callbacks().0;
    let layout = read(parser.screen(), rows, cols, bytes.is_ascii());
    Layout { unknown, ..layout }
}

/// `narrow` says that no character takes two columns: then the emulator's own text of a row, which costs less than its
/// cells one by one, is the same.
fn read(screen: &vt100::Screen, rows: u16, cols: u16, narrow: bool) -> Layout {
    let (cursor_row, cursor_col) = screen.cursor_position();
    let mut layout = Layout::default();
    let mut texts = narrow.then(|| screen.rows(0, cols));
    let mut line = String::new();
    let mut continues = false;
    for row in 0..rows {
        if !continues {
            line.clear();
        }
        let text = texts.as_mut().and_then(Iterator::next);
        match &text {
            Some(text) => line.push_str(text),
            None => push_row(screen, row, cols, &mut line),
        }
        let is_full = || match &text {
            Some(text) => text.len() == usize::from(cols),
            None => is_full(screen, row, cols),
        };
        if row == cursor_row {
            layout.cursor_line = layout.lines.len();
            layout.cursor_on_empty = cursor_col == 0 && line.is_empty();
        }
        continues = row + 1 < rows && (screen.row_wrapped(row) || is_full());
        if !continues {
            layout.lines.push(std::mem::take(&mut line));
        }
    }
    while layout.lines.len() > layout.cursor_line + 1 && layout.lines.last().is_some_and(String::is_empty) {
        layout.lines.pop();
    }
    layout
}

fn push_row(screen: &vt100::Screen, row: u16, cols: u16, line: &mut String) {
    let end = (0..cols).rev().find(|col| screen.cell(row, *col).is_some_and(vt100::Cell::has_contents));
    for col in 0..=end.unwrap_or(0) {
        match screen.cell(row, col) {
            Some(cell) if cell.has_contents() => line.push_str(cell.contents()),
            Some(cell) if !cell.is_wide_continuation() && end.is_some() => line.push(' '),
            _ => {}
        }
    }
}

fn is_full(screen: &vt100::Screen, row: u16, cols: u16) -> bool {
    screen.cell(row, cols - 1).is_some_and(|cell| cell.has_contents() || cell.is_wide_continuation())
}

/// The width of the window that wrapped this region, from how readline wraps: it fills a row to the margin, prints one
/// blank that the terminal puts on the next row, and returns before it (`text`, SPACE, CR, more text). Widths that other
/// rows of the region contradict do not count.
pub(crate) fn width_from_wraps(bytes: &[u8]) -> Option<u16> {
    let mut widths: Vec<usize> = Vec::new();
    let mut unwrapped = 0;
    for row in bytes.split(|b| *b == b'\n') {
        let mut start = 0;
        while let Some(rest) = row.get(start..) {
            let mark = wrap_mark(rest);
            let piece = rest.get(..mark.unwrap_or(rest.len())).unwrap_or_default();
            if mark.is_some() {
                widths.push(columns(piece));
            }
            unwrapped = unwrapped.max(widest_run(piece));
            let Some(mark) = mark else { break };
            start += mark + 2;
        }
    }
    widths.retain(|width| *width >= unwrapped);
    let best = widths.iter().copied().max_by_key(|w| (widths.iter().filter(|other| *other == w).count(), *w))?;
    u16::try_from(best).ok().filter(|width| (MIN_COLS..WIDEST).contains(width))
}

/// Place of a SPACE CR before printable text.
fn wrap_mark(bytes: &[u8]) -> Option<usize> {
    let text = |at: usize| bytes.get(at + 2).is_some_and(|next| *next >= 0x20 && *next != 0x7f);
    memchr::memmem::find_iter(bytes, b" \r").find(|at| text(*at))
}

/// Whether the region moves up from its first row, which only a wrap can have made possible.
pub(crate) fn climbs(bytes: &[u8]) -> bool {
    let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    memchr::memmem::find(first, CURSOR_UP).is_some()
}

const CURSOR_UP: &[u8] = b"\x1b[A";

/// The width of the window of a region that climbs but shows no wrap of readline's: the width that the session has shown,
/// what was printed before the blank that wrapped it, or the widest usual window that it cannot have fitted into.
pub(crate) fn width_from_climb(bytes: &[u8], known: Option<u16>) -> Option<u16> {
    let before = memchr::memmem::find(bytes, CURSOR_UP).and_then(|at| bytes.get(..at))?;
    let printed = columns(before);
    let narrower = |cols: &u16| usize::from(*cols) < printed;
    let filled = printed.checked_sub(1).and_then(|cols| u16::try_from(cols).ok()).filter(|_| before.ends_with(b" "));
    let usual = || USUAL_COLS.iter().rev().copied().find(narrower);
    known.filter(narrower).or_else(|| filled.filter(|cols| USUAL_COLS.contains(cols))).or_else(usual)
}

/// Widths of windows that are met most.
const USUAL_COLS: &[u16] =
    &[40, 64, 72, 80, 90, 96, 100, 104, 110, 120, 128, 132, 140, 150, 160, 170, 180, 190, 200, 203, 210, 238, 240, 254];

/// Columns of the longest stretch of plain text that stands on one row.
fn widest_run(bytes: &[u8]) -> usize {
    let runs = bytes.split(|b| matches!(*b, b'\r' | 0x08 | 0x1b));
    runs.map(|run| String::from_utf8_lossy(run).width()).max().unwrap_or(0)
}

/// Narrowest window that wraps are trusted to show.
const MIN_COLS: u16 = 10;

/// Columns that the cursor has moved right by when this has been printed on one row.
fn columns(bytes: &[u8]) -> usize {
    if bytes.len() < usize::from(WIDEST) && bytes.iter().all(|b| matches!(b, b' '..=b'~')) {
        return bytes.len();
    }
    let mut parser = vt100::Parser::new_with_callbacks(non_zero(1), non_zero(WIDEST), 0, Unknown(false));
    process(&mut parser, bytes);
    usize::from(parser.screen().cursor_position().1)
}

/// Gives output to the emulator. At the margin U+FE0F, which makes an emoji of the character before it, is left out: the
/// emulator then loses half of a wide cell, and panics when it meets the other half.
fn process<C: vt100::Callbacks>(parser: &mut vt100::Parser<C>, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(at) = memchr::memmem::find(rest, EMOJI) {
        let (before, behind) = rest.split_at_checked(at).unwrap_or_default();
        parser.process(before);
        if parser.screen().cursor_position().1 < parser.screen().size().1.get() {
            parser.process(EMOJI);
        }
        rest = behind.get(EMOJI.len()..).unwrap_or_default();
    }
    parser.process(rest);
}

const EMOJI: &[u8] = "\u{fe0f}".as_bytes();

fn non_zero(value: u16) -> NonZeroU16 {
    NonZeroU16::new(value).unwrap_or(NonZeroU16::MIN)
}

/// Notes whether the emulator met what it does not know.
struct Unknown(bool);

impl vt100::Callbacks for Unknown {
    fn unhandled_escape(&mut self, _: &mut vt100::Screen, first: Option<u8>, _: Option<u8>, _: u8) {
        // Character sets (`ESC ( B`) change nothing that text needs.
        self.0 |= first.is_none();
    }

    fn unhandled_csi(&mut self, _: &mut vt100::Screen, first: Option<u8>, _: Option<u8>, _: &[&[u16]], action: char) {
        self.0 |= first.is_none() && action != 't' && action != 'n' && action != 'c';
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, prop, prop_assert_eq, prop_oneof, proptest};

    use super::*;

    fn region() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => "[ -~]{0,12}".prop_map(String::into_bytes),
            3 => Just(b"\r\n".to_vec()),
            2 => prop::sample::select(vec!["\r", "\n", " \r", "\t", "\x08", "\x08 \x08", "\x7f"]).prop_map(|s| s.as_bytes().to_vec()),
            2 => "\x1b\\[[0-9]{0,2}[@-~]".prop_map(String::into_bytes),
            1 => "\x1b[ -~]{1,2}".prop_map(String::into_bytes),
            1 => prop::sample::select(vec!["日", "e\u{301}", "\u{200b}", "❤\u{fe0f}"]).prop_map(|s| s.as_bytes().to_vec()),
        ];
        prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn shortcuts_show_what_the_emulator_shows(region in region(), rows in 1_u16..12, cols in 1_u16..24) {
            let mut parser = vt100::Parser::new_with_callbacks(non_zero(rows), non_zero(cols), 0, Unknown(false));
            process(&mut parser, &region);
            let wanted = Layout { unknown: parser.callbacks().0, ..read(parser.screen(), rows, cols, false) };
            prop_assert_eq!(&emulate(&region, rows, cols), &wanted);
            if let Some(layout) = plain(&region, rows, cols) {
                prop_assert_eq!(&layout, &wanted);
            }
        }

        #[test]
        fn printed_text_moves_the_cursor_by_its_columns(text in "[ -~]{0,200}") {
            let mut parser = vt100::Parser::new(non_zero(1), non_zero(WIDEST), 0);
            parser.process(text.as_bytes());
            prop_assert_eq!(columns(text.as_bytes()), usize::from(parser.screen().cursor_position().1));
        }
    }

    #[test]
    fn regions_are_laid_out_as_seen() {
        let rows: &[(&str, &[u8], &[&str], usize)] = &[
            ("plain", b"$ ls\r\n", &["$ ls", ""], 1),
            ("erased", b"$ lx\x08\x1b[Ks", &["$ ls"], 0),
            ("inserted", b"$ s\x08\x1b[1@l\x1b[C\r\n", &["$ ls", ""], 1),
            ("kernel erase", b"$ lx\x08 \x08s\r\n", &["$ ls", ""], 1),
            ("trailing blank kept", b"$ ls \r\n", &["$ ls ", ""], 1),
            ("redrawn", b"$ \r\x1b[K\r$ ls", &["$ ls"], 0),
            ("wide", "$ echo 日本".as_bytes(), &["$ echo 日本"], 0),
        ];
        for (name, input, lines, cursor) in rows {
            let layout = lay_out(input, None);
            assert_eq!(
                (layout.lines, layout.cursor_line),
                (lines.iter().map(ToString::to_string).collect(), *cursor),
                "{name}"
            );
        }
    }

    #[test]
    fn an_emoji_at_the_margin_breaks_nothing() {
        for cols in [1, 2, 16] {
            let region = "\x1b[999;999H❤\u{fe0f}\x1b[A\x1b[999Cab".as_bytes();
            assert!(lay_out(region, Some(cols)).lines.concat().contains('b'), "{cols}");
        }
        assert_eq!(lay_out("❤\u{fe0f}x".as_bytes(), None).lines, ["❤\u{fe0f}x"]);
    }

    #[test]
    fn readline_wraps_tell_the_width() {
        let region = b"$ aaaaaaaaaaaaaaaaaa \rbbbbbbbbbbbbbbbbbbbb \rcc";
        assert_eq!(width_from_wraps(region), Some(20));
        assert_eq!(lay_out(region, Some(20)).lines, ["$ aaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbcc"]);
        assert_eq!(width_from_wraps(b"50% \r100% \r\n"), None, "a progress bar is narrower than any window");
        assert_eq!(
            width_from_wraps(b"[u@h bin]$ \r(reverse-i-search)`cat': cat /etc/hosts\r"),
            None,
            "later text is wider"
        );
        let filled = format!("$ x\x08e{} \x1b[A\x1b[C", "x".repeat(77));
        assert_eq!(width_from_climb(filled.as_bytes(), None), Some(80), "an insertion that fills the row");
    }
}
