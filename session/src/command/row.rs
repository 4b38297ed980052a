//! One row of output, or one stretch of editing that covers several, on its way to becoming a line of text.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::terminal::{climbs, lay_out, width_from_climb, width_from_wraps};

/// Bytes printed since the last row break that counted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "independent observations")]
pub(crate) struct Row {
    #[serde(with = "crate::saved::base64")]
    bytes: Vec<u8>,
    /// Where the row stands in the input.
    pub(crate) place: Range<u64>,
    /// Where bracketed paste was switched on: a line editor has begun to read a line.
    pub(crate) editing: Option<usize>,
    /// Where a shell integration says that the prompt ends (OSC 133;B).
    pub(crate) prompt_end: Option<usize>,
    /// Text was printed that no reader of the screen could see.
    pub(crate) concealed: bool,
    /// The cursor moved or text was erased: what stands here is not what was typed first.
    pub(crate) edited: bool,
    /// The last thing before the row break was a bell.
    pub(crate) rang: bool,
    /// The row was longer than [`MAX_ROW`]; the rest is not here.
    pub(crate) cut: bool,
}

/// What is known of the window's width before a row is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Width {
    /// Nothing.
    #[default]
    Unknown,
    /// Earlier rows showed it by how they wrap.
    Shown(u16),
    /// The record tells it.
    Told(u16),
}

impl Width {
    /// The width, however it is known.
    pub(crate) fn cols(self) -> Option<u16> {
        match self {
            Self::Unknown => None,
            Self::Shown(cols) | Self::Told(cols) => Some(cols),
        }
    }

    /// Takes in what a row has shown. What the record tells stays.
    pub(crate) fn show(&mut self, shown: Option<u16>) {
        if let (Some(cols), Self::Unknown | Self::Shown(_)) = (shown, *self) {
            *self = Self::Shown(cols);
        }
    }
}

/// Longest row, or stretch of editing, in bytes.
pub(crate) const MAX_ROW: usize = 64 * 1024;

/// A row as a reader of the terminal saw it last.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent observations")]
pub(crate) struct Reading {
    /// Its lines, without the empty one behind Enter.
    pub(crate) lines: Vec<String>,
    /// The prompt, where a shell integration marked its end.
    pub(crate) marked_prompt: Option<String>,
    /// Whether the cursor stands on a fresh line below all others.
    pub(crate) entered: bool,
    /// Whether the line ends in the echo of a control-C that nothing follows.
    pub(crate) cancelled: bool,
    /// Whether another program printed lines into the editing.
    pub(crate) interrupted: bool,
    /// The window's width, if the row shows it by wrapping.
    pub(crate) width: Option<u16>,
    /// Whether the emulator met what it does not know.
    pub(crate) unknown: bool,
}

impl Row {
    /// Whether nothing has been printed.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes so far: text, motions and erasures, no strings.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds what was printed next.
    pub(crate) fn push(&mut self, bytes: &[u8], place: &Range<u64>) {
        if self.bytes.is_empty() {
            self.place.start = place.start;
        }
        self.place.end = place.end;
        let room = MAX_ROW.saturating_sub(self.bytes.len());
        self.cut |= room < bytes.len();
        self.bytes.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    /// A line editor begins here. What it edited before without an end is gone; output on this very row stays.
    pub(crate) fn begin_editing(&mut self, place: &Range<u64>) {
        let keep = self.bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        self.bytes.drain(..keep);
        if self.bytes.len() > MAX_BEFORE || self.bytes.iter().all(|b| *b == b'\r') {
            self.bytes.clear();
        }
        *self = Self { bytes: std::mem::take(&mut self.bytes), place: place.clone(), ..Self::default() };
        self.editing = Some(self.bytes.len());
    }

    /// Starts the next row.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        *self = Self { bytes: std::mem::take(&mut self.bytes), ..Self::default() };
    }

    /// Whether the row consists of text alone, so that no emulator is needed to read it.
    pub(crate) fn is_plain(&self) -> bool {
        let text = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        !text.iter().any(|b| *b < 0x20 || *b == 0x7f)
    }

    /// What stood on the row before the line editor began: zsh's prompt, or output without a line end.
    pub(crate) fn before(&self) -> String {
        let before = self.bytes.get(..self.editing.unwrap_or(0)).unwrap_or_default();
        if before.is_empty() { String::new() } else { last_line(before, None) }
    }

    /// Reads what the line editor printed as the editor itself sees it: it takes its prompt to begin at the left margin,
    /// whatever stood there. Without an editor this is the whole row. `known` is the window's width as the session has
    /// shown it so far.
    pub(crate) fn read(&self, known: Width) -> Reading {
        self.read_from(self.editing.unwrap_or(0), known)
    }

    /// Reads the row with what stood on it before the line editor began.
    pub(crate) fn read_whole(&self, known: Width) -> Reading {
        self.read_from(0, known)
    }

    fn read_from(&self, start: usize, known: Width) -> Reading {
        let bytes = self.bytes.get(start..).unwrap_or_default();
        // A record that did not come from a terminal has bare line ends.
        let bare = self.editing.is_none() && bytes.ends_with(b"\n") && !bytes.ends_with(b"\r\n");
        let bytes = bytes.strip_suffix(b"\n").filter(|_| bare).unwrap_or(bytes);
        let bytes = &*erasing(bytes);
        let edited = self.bytes.get(self.editing.unwrap_or(0)..).unwrap_or_default();
        let shown = width_from_wraps(edited);
        let told = if let Width::Told(cols) = known { Some(cols) } else { None };
        let climbed = || width_from_climb(bytes, known.cols()).filter(|_| climbs(bytes));
        let width = shown.or(told).or_else(climbed);
        let mut layout = lay_out(bytes, width);
        let entered = layout.cursor_on_empty;
        if entered && layout.lines.len() > 1 {
            layout.lines.truncate(layout.cursor_line);
        }
        layout.lines.truncate(layout.cursor_line + 1);
        Reading {
            marked_prompt: self
                .prompt_end
                .and_then(|end| self.bytes.get(start..end))
                .map(|bytes| last_line(bytes, width)),
            entered: entered || bare || edited.ends_with(b"\r\n"),
            cancelled: ends_cancelled(edited),
            interrupted: edited.ends_with(b"\r\n") && has_foreign_break(edited),
            width: shown,
            unknown: layout.unknown,
            lines: layout.lines,
        }
    }
}

/// Longest output without a line end that is kept before a prompt.
const MAX_BEFORE: usize = 4096;

/// The kernel's own line editing rubs a character out with a blank, which would stay as if it had been typed.
fn erasing(bytes: &[u8]) -> Cow<'_, [u8]> {
    const RUBBED: &[u8] = b"\x08 \x08";
    if memchr::memmem::find(bytes, RUBBED).is_none() {
        return Cow::Borrowed(bytes);
    }
    let (mut out, mut rest) = (Vec::with_capacity(bytes.len() * 2), bytes);
    while let Some(at) = memchr::memmem::find(rest, RUBBED) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        out.extend_from_slice(b"\x08\x1b[X");
        rest = rest.get(at + RUBBED.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

fn last_line(bytes: &[u8], width: Option<u16>) -> String {
    lay_out(bytes, width).lines.pop().unwrap_or_default()
}

fn ends_cancelled(bytes: &[u8]) -> bool {
    bytes.ends_with(b"^C") || bytes.ends_with(b"^C\r\n") || bytes.ends_with(b"^C\r\r\n")
}

/// A line editor returns to the left margin after it broke a row; what does not was printed by somebody else.
fn has_foreign_break(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|three| matches!(three, [b'\r', b'\n', next] if *next != b'\r' && *next != 0x1b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bytes: &[u8], editing: Option<usize>) -> Row {
        let mut row = Row::default();
        row.push(bytes, &(0..bytes.len() as u64));
        row.editing = editing;
        row
    }

    #[test]
    fn readings_tell_how_the_line_ended() {
        let entered = row(b"$ ls\r\n", Some(0)).read(Width::Unknown);
        assert_eq!((entered.lines, entered.entered, entered.cancelled), (vec!["$ ls".to_owned()], true, false));
        let cancelled = row(b"$ rm -rf /im^C", Some(0)).read(Width::Unknown);
        assert!(cancelled.cancelled && !cancelled.entered);
        let behind_output = row(b"no end$ ls\r\n", Some(6));
        assert_eq!(behind_output.before(), "no end");
        assert_eq!(behind_output.read(Width::Unknown).lines, ["$ ls"]);
        assert_eq!(behind_output.read_whole(Width::Unknown).lines, ["no end$ ls"]);
        let pasted = row(b"$ echo A\r\n\recho B\r\n", Some(0)).read(Width::Unknown);
        assert_eq!((pasted.lines, pasted.interrupted), (vec!["$ echo A".to_owned(), "echo B".to_owned()], false));
        let interrupted = row(b"$ job output\r\nls\r\n", Some(0)).read(Width::Unknown);
        assert!(interrupted.interrupted);
    }

    #[test]
    fn long_rows_are_cut_at_the_limit() {
        let mut row = Row::default();
        for _ in 0..3 {
            row.push(&vec![b'a'; 40_000], &(0..40_000));
        }
        assert_eq!((row.bytes().len(), row.cut), (MAX_ROW, true));
    }
}
