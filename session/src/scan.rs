//! Terminal output -> text, controls and sequences, each with its place in the input.
//!
//! The scanner goes in front of the emulator, which tells neither offsets nor bracketed-paste marks nor the bodies of
//! string sequences. Control sequences are parsed by `vte`; runs of plain text never reach it.

use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One piece of a terminal's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// Printable bytes, UTF-8 or not.
    Text(&'a [u8]),
    /// One C0 control other than ESC, or DEL.
    Control(u8),
    /// `CSI` with its private marker, parameters (sub-parameters dropped) and final byte.
    Csi { private: Option<u8>, params: Params, action: char, raw: &'a [u8] },
    /// Any escape sequence that is neither `CSI` nor a string.
    Escape(&'a [u8]),
    /// `OSC`: the text up to its end, cut at [`MAX_SEQUENCE`].
    Osc(&'a [u8]),
    /// `DCS`, `APC`, `PM` or `SOS`, whose body no terminal shows.
    Hidden,
}

/// The first parameters of a `CSI`; a missing one is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Params {
    values: [u16; 16],
    len: usize,
}

impl Params {
    /// The parameters that were given.
    pub(crate) fn as_slice(&self) -> &[u16] {
        self.values.get(..self.len).unwrap_or_default()
    }

    /// Whether one of them is this.
    pub(crate) fn contains(&self, value: u16) -> bool {
        self.as_slice().contains(&value)
    }

    /// The first one, 1 where it is missing or 0: how far a cursor moves.
    pub(crate) fn count(&self) -> u16 {
        self.as_slice().first().copied().unwrap_or(1).max(1)
    }
}

/// Longest sequence that is kept; what exceeds it is passed over, not shown.
pub(crate) const MAX_SEQUENCE: usize = 4096;

/// Splits output at controls. Pieces of any size go in; the tokens do not depend on where they were cut, except that a
/// run of text is handed on in the pieces in which it came.
#[derive(Default)]
pub(crate) struct Scanner {
    parser: vte::Parser,
    sequence: Vec<u8>,
    start: u64,
    string: bool,
    escape: bool,
}

/// A scanner as it is saved.
#[derive(Serialize, Deserialize)]
struct Saved {
    #[serde(with = "crate::saved::base64")]
    sequence: Vec<u8>,
    start: u64,
    string: bool,
    escape: bool,
}

impl Serialize for Scanner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.saved().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Scanner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Saved::deserialize(deserializer).map(Self::restored)
    }
}

impl Clone for Scanner {
    fn clone(&self) -> Self {
        Self::restored(self.saved())
    }
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanner")
            .field("sequence", &self.sequence.len())
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

impl Scanner {
    /// Splits the next bytes, the first of which is at `offset` of the input.
    pub(crate) fn feed(&mut self, bytes: &[u8], offset: u64, sink: &mut dyn FnMut(Token<'_>, Range<u64>)) {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let here = offset + at as u64;
            at += if self.sequence.is_empty() {
                self.ground(rest, here, sink)
            } else {
                self.in_sequence(rest, here, sink)
            };
        }
    }

    fn saved(&self) -> Saved {
        let Self { sequence, start, string, escape, .. } = self;
        Saved { sequence: sequence.clone(), start: *start, string: *string, escape: *escape }
    }

    /// The parser's state follows from the sequence that it is in.
    fn restored(saved: Saved) -> Self {
        let Saved { sequence, start, string, escape } = saved;
        let mut parser = vte::Parser::new();
        let known = if string { sequence.get(..1).unwrap_or_default() } else { &sequence };
        parser.advance(&mut Outcome::default(), known);
        Self { parser, sequence, start, string, escape }
    }

    /// The output ends: an unfinished sequence is handed on as what it began to be.
    pub(crate) fn finish(&mut self, offset: u64, sink: &mut dyn FnMut(Token<'_>, Range<u64>)) {
        if !self.sequence.is_empty() {
            self.end_sequence(offset, &Outcome::default(), sink);
        }
    }

    fn ground(&mut self, rest: &[u8], here: u64, sink: &mut dyn FnMut(Token<'_>, Range<u64>)) -> usize {
        let text = rest.iter().position(|b| *b < 0x20 || *b == 0x7f).unwrap_or(rest.len());
        if let Some(run) = rest.get(..text).filter(|run| !run.is_empty()) {
            sink(Token::Text(run), here..here + text as u64);
            return text;
        }
        match rest.first() {
            Some(&ESC) => self.begin_sequence(here),
            Some(&control) => sink(Token::Control(control), here..here + 1),
            None => {}
        }
        1
    }

    fn begin_sequence(&mut self, here: u64) {
        self.parser = vte::Parser::new();
        self.parser.advance(&mut Outcome::default(), &[ESC]);
        self.sequence.push(ESC);
        (self.string, self.escape) = (false, false);
        self.start = here;
    }

    fn in_sequence(&mut self, rest: &[u8], here: u64, sink: &mut dyn FnMut(Token<'_>, Range<u64>)) -> usize {
        let Some(&byte) = rest.first() else { return 1 };
        if self.sequence.len() == 1 {
            self.string = STRING_STARTS.contains(&byte);
        }
        let after_escape = std::mem::take(&mut self.escape);
        if after_escape && byte != b'\\' {
            self.end_sequence(here - 1, &Outcome::default(), sink);
            self.begin_sequence(here - 1);
            return 0;
        }
        // A line break or a new sequence ends a string: no terminal state may swallow the lines that follow.
        if (byte == ESC && !self.string) || (byte == b'\n' && self.string) || byte == 0x18 || byte == 0x1a {
            self.end_sequence(here, &Outcome::default(), sink);
            return usize::from(byte == 0x18 || byte == 0x1a);
        }
        if byte == ESC {
            self.escape = true;
            return 1;
        }
        if byte < 0x20 && !self.string {
            // A control inside a control sequence acts at once (ECMA-48); the sequence goes on.
            sink(Token::Control(byte), here..here + 1);
            return 1;
        }
        if self.sequence.len() < MAX_SEQUENCE && !after_escape {
            self.sequence.push(byte);
        }
        let mut outcome = Outcome::default();
        if !self.string {
            self.parser.advance(&mut outcome, &[byte]);
        }
        let string_ends = self.string && (byte == 0x07 || (byte == b'\\' && after_escape));
        // The parser says nothing of a malformed control sequence, which ends like any other.
        let is_csi = self.sequence.get(1) == Some(&b'[') && self.sequence.len() > 2;
        let csi_ends = is_csi && (0x40..0x7f).contains(&byte);
        if string_ends || (!self.string && (outcome.done || csi_ends)) {
            self.end_sequence(here + 1, &outcome, sink);
        }
        1
    }

    fn end_sequence(&mut self, end: u64, outcome: &Outcome, sink: &mut dyn FnMut(Token<'_>, Range<u64>)) {
        let sequence = std::mem::take(&mut self.sequence);
        let range = self.start..end;
        let token = match (sequence.get(1), outcome.csi) {
            (Some(b']'), _) => Token::Osc(osc_text(&sequence)),
            _ if self.string => Token::Hidden,
            (_, Some((private, params, action))) => Token::Csi { private, params, action, raw: &sequence },
            _ => Token::Escape(&sequence),
        };
        sink(token, range);
        self.sequence = sequence;
        self.sequence.clear();
    }
}

/// What `vte` made of a sequence.
#[derive(Default)]
struct Outcome {
    done: bool,
    csi: Option<(Option<u8>, Params, char)>,
}

impl vte::Perform for Outcome {
    fn csi_dispatch(&mut self, params: &vte::Params, intermediates: &[u8], _ignore: bool, action: char) {
        let mut out = Params::default();
        for (slot, param) in out.values.iter_mut().zip(params.iter()) {
            *slot = param.first().copied().unwrap_or(0);
            out.len += 1;
        }
        self.csi = Some((intermediates.first().copied(), out, action));
        self.done = true;
    }

    fn esc_dispatch(&mut self, _intermediates: &[u8], _ignore: bool, _byte: u8) {
        self.done = true;
    }
}

fn osc_text(sequence: &[u8]) -> &[u8] {
    let body = sequence.get(2..).unwrap_or_default();
    body.strip_suffix(&[0x07]).unwrap_or(body)
}

const ESC: u8 = 0x1b;
/// OSC, DCS, APC, PM, SOS.
const STRING_STARTS: &[u8] = b"]P_^X";

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(pieces: &[&[u8]]) -> Vec<String> {
        let (mut scanner, mut out, mut offset) = (Scanner::default(), Vec::new(), 0);
        for piece in pieces {
            scanner.feed(piece, offset, &mut |token, range| out.push(show(&token, &range)));
            offset += piece.len() as u64;
        }
        scanner.finish(offset, &mut |token, range| out.push(show(&token, &range)));
        out
    }

    fn show(token: &Token<'_>, range: &Range<u64>) -> String {
        let body = match token {
            Token::Text(text) => format!("text {}", String::from_utf8_lossy(text)),
            Token::Control(byte) => format!("control {byte:02x}"),
            Token::Csi { private, params, action, .. } => {
                format!("csi {:?} {:?} {action}", private.map(char::from), params.as_slice())
            }
            Token::Escape(raw) => format!("escape {}", raw.escape_ascii()),
            Token::Osc(text) => format!("osc {}", text.escape_ascii()),
            Token::Hidden => "hidden".to_owned(),
        };
        format!("{}..{} {body}", range.start, range.end)
    }

    #[test]
    fn sequences_keep_their_place() {
        let rows: &[(&str, &[u8], &[&str])] = &[
            ("paste mark", b"\x1b[?2004h$ ", &["0..8 csi Some('?') [2004] h", "8..10 text $ "]),
            ("title", b"\x1b]0;a b\x07x", &["0..8 osc 0;a b", "8..9 text x"]),
            ("title by ST", b"\x1b]0;a\x1b\\x", &["0..7 osc 0;a", "7..8 text x"]),
            ("string cut by a line", b"\x1b]0;a\nls", &["0..5 osc 0;a", "5..6 control 0a", "6..8 text ls"]),
            ("string cut by a sequence", b"\x1b]0;a\x1b[Kx", &["0..5 osc 0;a", "5..8 csi None [0] K", "8..9 text x"]),
            ("device control", b"\x1bPq#0\x1b\\x", &["0..7 hidden", "7..8 text x"]),
            ("application command", b"\x1b_x y\x1b\\z", &["0..7 hidden", "7..8 text z"]),
            ("charset", b"\x1b(Bx", &["0..3 escape \\x1b(B", "3..4 text x"]),
            ("cancelled", b"\x1b[1\x18x", &["0..3 escape \\x1b[1", "4..5 text x"]),
            ("malformed", b"\x1b[1?mls", &["0..5 escape \\x1b[1?m", "5..7 text ls"]),
            ("unfinished", b"a\x1b[1", &["0..1 text a", "1..4 escape \\x1b[1"]),
        ];
        for (name, input, wanted) in rows {
            assert_eq!(tokens(&[input]), *wanted, "{name}");
        }
    }

    #[test]
    fn cuts_do_not_change_sequences() {
        let input: &[u8] = b"\x1b]0;t\x1b\\\x1b[?2004h\x1b[31m\n\x1bPq\x1b\\\r";
        let whole = tokens(&[input]);
        for cut in 1..input.len() {
            assert_eq!(tokens(&[&input[..cut], &input[cut..]]), whole, "cut at {cut}");
        }
    }
}
