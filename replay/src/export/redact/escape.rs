//! Output -> characters, motions and string bodies, each with its place.

use std::ops::Range;

/// One piece of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A character and its bytes.
    Char(char, u64, u64),
    /// A C0 control.
    Control(u8),
    /// `CSI` with its first parameter (0 if missing) and final byte; private ones do not move text.
    Csi(u16, u8),
    /// The body of a string sequence and where it begins.
    String(&'a [u8], u64),
    /// Any other sequence.
    Other,
}

/// Longest sequence that is searched.
const MAX_SEQUENCE: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    Csi,
    String,
    StringEscape,
}

/// Splits output; pieces of any size go in.
#[derive(Debug, Default)]
pub(super) struct Parser {
    state: State,
    held: Vec<u8>,
    start: u64,
}

impl Parser {
    /// Takes the next bytes, the first of which is at `offset`.
    pub(super) fn feed(&mut self, bytes: &[u8], offset: u64, sink: &mut dyn FnMut(Piece<'_>)) {
        for (byte, at) in bytes.iter().zip(offset..) {
            match self.state {
                State::Ground => self.ground(*byte, at, sink),
                State::Escape => self.escape(*byte, at, sink),
                State::Csi => self.csi(*byte, sink),
                State::String | State::StringEscape => self.string(*byte, at, sink),
            }
        }
    }

    fn ground(&mut self, byte: u8, at: u64, sink: &mut dyn FnMut(Piece<'_>)) {
        if byte < 0x20 || byte == 0x7f {
            self.held.clear();
            if byte == 0x1b {
                self.state = State::Escape;
            } else {
                sink(Piece::Control(byte));
            }
            return;
        }
        if byte & 0xc0 != 0x80 {
            self.held.clear();
        }
        if self.held.is_empty() {
            self.start = at;
        }
        self.held.push(byte);
        match std::str::from_utf8(&self.held) {
            Ok(text) => {
                text.chars().for_each(|c| sink(Piece::Char(c, self.start, at + 1)));
                self.held.clear();
            }
            Err(error) if error.error_len().is_some() || self.held.len() >= 4 => {
                sink(Piece::Char('\u{fffd}', self.start, at + 1));
                self.held.clear();
            }
            Err(_) => {}
        }
    }

    fn escape(&mut self, byte: u8, at: u64, sink: &mut dyn FnMut(Piece<'_>)) {
        self.held.clear();
        self.start = at + 1;
        match byte {
            b'[' => self.state = State::Csi,
            b']' | b'P' | b'_' | b'^' | b'X' => self.state = State::String,
            0x20..=0x2f | 0x1b => {}
            _ => {
                self.state = State::Ground;
                sink(Piece::Other);
            }
        }
    }

    fn csi(&mut self, byte: u8, sink: &mut dyn FnMut(Piece<'_>)) {
        match byte {
            0x40..=0x7e => {
                self.state = State::Ground;
                let digits: String =
                    self.held.iter().take_while(|b| b.is_ascii_digit()).map(|b| char::from(*b)).collect();
                let private = self.held.first().is_some_and(|b| (0x3c..=0x3f).contains(b));
                let piece = if private { Piece::Other } else { Piece::Csi(digits.parse().unwrap_or(0), byte) };
                self.held.clear();
                sink(piece);
            }
            0x1b => {
                self.held.clear();
                self.state = State::Escape;
            }
            0x18 | 0x1a => {
                self.held.clear();
                self.state = State::Ground;
            }
            0..=0x1f => sink(Piece::Control(byte)),
            _ if self.held.len() < MAX_SEQUENCE => self.held.push(byte),
            _ => {}
        }
    }

    /// A string ends with BEL or ST, and, as no terminal state may swallow what follows, with a line end.
    fn string(&mut self, byte: u8, at: u64, sink: &mut dyn FnMut(Piece<'_>)) {
        if self.state == State::StringEscape {
            sink(Piece::String(&self.held, self.start));
            self.held.clear();
            self.state = State::Ground;
            if byte != b'\\' {
                self.escape(byte, at, sink);
            }
            return;
        }
        match byte {
            0x1b => self.state = State::StringEscape,
            0x07 | b'\n' | 0x18 | 0x1a => {
                sink(Piece::String(&self.held, self.start));
                self.held.clear();
                self.state = State::Ground;
                if byte == b'\n' {
                    sink(Piece::Control(byte));
                }
            }
            _ if self.held.len() < MAX_SEQUENCE => self.held.push(byte),
            _ => {}
        }
    }
}

/// Bytes of the output.
pub(super) type Place = Range<u64>;
