//! Lines of text in UTF-8 or UTF-16, with the bytes of the file that hold them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::timeline::Deviation;

/// Longest line in bytes of the file; a longer one is cut into several.
pub(super) const LINE_LIMIT: usize = 64 * 1024;

/// How a Windows transcript is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Encoding {
    /// UTF-8, which plain ASCII is too.
    Utf8,
    /// UTF-16, little end first.
    Utf16Le,
    /// UTF-16, big end first.
    Utf16Be,
}

impl Encoding {
    /// The encoding and the length of its byte order mark; without a mark by the asterisks of the frame.
    pub(crate) fn sniff(head: &[u8]) -> (Self, usize) {
        match head {
            [0xef, 0xbb, 0xbf, ..] => (Self::Utf8, 3),
            [0xff, 0xfe, ..] => (Self::Utf16Le, 2),
            [0xfe, 0xff, ..] => (Self::Utf16Be, 2),
            [b'*', 0, b'*', 0, ..] => (Self::Utf16Le, 0),
            [0, b'*', 0, b'*', ..] => (Self::Utf16Be, 0),
            _ => (Self::Utf8, 0),
        }
    }
}

/// Whether more bytes could still turn the head into one that [`Encoding::sniff`] knows.
pub(super) fn may_grow_mark(head: &[u8]) -> bool {
    head.len() < 4
        && [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff", b"*\0*\0", b"\0*\0*"]
            .iter()
            .any(|mark| mark.starts_with(head))
}

/// Splits bytes into lines.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Lines {
    encoding: Encoding,
    #[serde(with = "crate::saved::base64")]
    line: Vec<u8>,
    /// Offset of the line's first byte.
    at: u64,
    /// Whether bytes that are not text were met.
    invalid: bool,
}

/// A line without its end, the bytes of the file with it, and what was wrong with it for the first time.
pub(super) struct Line {
    pub(super) text: String,
    pub(super) offset: Range<u64>,
    pub(super) deviation: Option<Deviation>,
}

impl Lines {
    pub(super) fn new(encoding: Encoding, at: u64) -> Self {
        Self { encoding, line: Vec::new(), at, invalid: false }
    }

    pub(super) fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Line)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = (LINE_LIMIT - self.line.len()).min(rest.len());
            let newline = memchr::memchr(b'\n', rest.get(..room).unwrap_or(rest));
            // In UTF-16LE the second byte of a `\n` is still to come.
            let half = self.encoding == Encoding::Utf16Le && !self.line.len().is_multiple_of(2);
            let (piece, after) = rest.split_at(if half { 1 } else { newline.map_or(room, |at| at + 1) });
            self.line.extend_from_slice(piece);
            rest = after;
            self.complete(sink);
        }
    }

    /// Offset after the last byte fed.
    pub(super) fn end(&self) -> u64 {
        self.at + self.line.len() as u64
    }

    pub(super) fn finish(mut self, sink: &mut dyn FnMut(Line)) {
        if !self.line.is_empty() {
            let all = self.line.len();
            self.take(all, None, sink);
        }
    }

    /// Hands out the line if it ends here or has reached its limit.
    fn complete(&mut self, sink: &mut dyn FnMut(Line)) {
        let length = self.line.len();
        let ends = match self.encoding {
            Encoding::Utf8 => self.line.ends_with(b"\n"),
            Encoding::Utf16Be => length.is_multiple_of(2) && self.line.ends_with(b"\0\n"),
            Encoding::Utf16Le => length.is_multiple_of(2) && self.line.ends_with(b"\n\0"),
        };
        if ends {
            self.take(length, None, sink);
        } else if length >= LINE_LIMIT {
            let whole = self.whole_characters();
            self.take(whole, Some(Deviation::LimitReached("line")), sink);
        }
    }

    /// Length of the line up to where no character is cut.
    fn whole_characters(&self) -> usize {
        match self.encoding {
            Encoding::Utf8 => match std::str::from_utf8(&self.line) {
                Err(error) if error.error_len().is_none() => error.valid_up_to().max(1),
                _ => self.line.len(),
            },
            Encoding::Utf16Le | Encoding::Utf16Be => (self.line.len() & !1).max(1),
        }
    }

    fn take(&mut self, length: usize, deviation: Option<Deviation>, sink: &mut dyn FnMut(Line)) {
        let rest = self.line.split_off(length.min(self.line.len()));
        let line = std::mem::replace(&mut self.line, rest);
        let offset = self.at..self.at + line.len() as u64;
        self.at = offset.end;
        let (mut text, valid) = decode(&line, self.encoding);
        let end = text.trim_end_matches(['\n', '\r']).len();
        text.truncate(end);
        let first_invalid = !valid && !std::mem::replace(&mut self.invalid, true);
        let deviation = deviation.or(first_invalid.then_some(Deviation::InvalidUtf8));
        sink(Line { text, offset, deviation });
    }
}

/// The text and whether every byte of it was valid.
pub(super) fn decode(bytes: &[u8], encoding: Encoding) -> (String, bool) {
    let unit = match encoding {
        Encoding::Utf8 => {
            let text = String::from_utf8_lossy(bytes);
            let valid = matches!(text, std::borrow::Cow::Borrowed(_));
            return (text.into_owned(), valid);
        }
        Encoding::Utf16Le => u16::from_le_bytes,
        Encoding::Utf16Be => u16::from_be_bytes,
    };
    let (units, odd) = bytes.as_chunks::<2>();
    let units: Vec<u16> = units.iter().map(|&pair| unit(pair)).collect();
    match String::from_utf16(&units) {
        Ok(text) => (text, odd.is_empty()),
        Err(_) => (String::from_utf16_lossy(&units), false),
    }
}
