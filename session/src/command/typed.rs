//! Keystrokes -> lines: what the client typed up to each Enter, as far as keys alone tell it.
//!
//! Keys are not commands: completion, history and a shell's own bindings change the line without their text being typed.
//! So a line says whether its keys are ones that mean the same everywhere ([`TypedLine::exact`]); the screen says the rest.

use jiff::Timestamp;

/// One line of keystrokes, up to the key that entered it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TypedLine {
    /// What plain editing leaves of the keys.
    pub(crate) text: String,
    /// Whether the keys alone tell the text: no completion, recall, search or other key that a program defines.
    pub(crate) exact: bool,
    /// How many bytes at the beginning of the text are in the line all the same.
    pub(crate) sure: usize,
    /// Whether text was typed and taken back, or typed elsewhere than at the end.
    pub(crate) edited: bool,
    /// Bytes that were typed, Enter left out.
    pub(crate) bytes: u64,
    /// When it was entered.
    pub(crate) at: Option<Timestamp>,
}

impl TypedLine {
    /// Whether the record tells only how long the line is: captures may hold an asterisk for each byte that was not echoed.
    pub(crate) fn is_masked(&self) -> bool {
        !self.text.is_empty() && self.text.bytes().all(|byte| byte == b'*')
    }
}

/// Longest line of keystrokes that is kept, in bytes.
pub(crate) const MAX_TYPED: usize = 64 * 1024;
/// Longest key sequence, in bytes; what exceeds it is not one.
const MAX_KEY: usize = 64;

/// Takes keystrokes in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Typist {
    text: Vec<u8>,
    cursor: usize,
    bytes: u64,
    /// Bytes of the text that keys of unknown meaning leave as they are; `None` before there is one.
    unsure: Option<usize>,
    edited: bool,
    key: Vec<u8>,
    pasting: bool,
    literal: bool,
}

/// What a key does to the line.
enum Key {
    /// It stands for itself.
    Insert(u8),
    Enter,
    /// Enter, and the next line begins as a recalled one (readline's control-O).
    EnterAndRecall,
    /// The line is given up (control-C).
    Cancel,
    EraseBefore,
    EraseAt,
    EraseWord,
    EraseToStart,
    EraseToEnd,
    Left,
    Right,
    Start,
    End,
    Literal,
    PasteBegin,
    PasteEnd,
    /// It changes nothing that is typed: reports of the terminal, redraws.
    Nothing,
    /// What it does is for the program to say: it adds to what was typed,
    Complete,
    /// or does anything.
    Unknown,
}

impl Typist {
    /// Takes the next bytes; each line that they enter goes to `sink`.
    pub(crate) fn feed(&mut self, bytes: &[u8], at: Option<Timestamp>, sink: &mut dyn FnMut(TypedLine)) {
        for &byte in bytes {
            self.bytes += 1;
            if let Some(key) = self.key(byte) {
                self.press(&key, at, sink);
            }
        }
    }

    /// Keystrokes are lost: what is here of the line does not count.
    pub(crate) fn reset(&mut self) {
        *self = Self { unsure: Some(0), ..Self::default() };
    }

    /// Whether keys were pressed since the last Enter, and the line that the screen shows does not begin with them.
    pub(crate) fn is_replaced_by(&self, shown: &str) -> bool {
        let typed = String::from_utf8_lossy(&self.text);
        self.bytes > 0 && (typed.trim().is_empty() || !shown.trim_start().starts_with(typed.trim()))
    }

    /// What was typed so far was not for a shell: the line's keys do not tell its text.
    pub(crate) fn doubt(&mut self) {
        if !self.text.is_empty() {
            self.unsure = Some(0);
        }
    }

    fn key(&mut self, byte: u8) -> Option<Key> {
        if std::mem::take(&mut self.literal) {
            return Some(Key::Insert(byte));
        }
        if self.key.is_empty() {
            if byte == ESC {
                self.key.push(byte);
                return None;
            }
            return Some(control(byte, self.pasting));
        }
        // A key that another escape interrupts was the lone Escape key.
        if byte == ESC && self.key.len() == 1 {
            self.be_unsure(0);
            return None;
        }
        self.key.push(byte);
        let ended = match self.key.get(1) {
            Some(b'[') => self.key.len() > 2 && (0x40..=0x7e).contains(&byte),
            Some(b'O') => self.key.len() > 2,
            Some(b']' | b'P' | b'_') => byte == 0x07 || self.key.ends_with(b"\x1b\\"),
            _ => true,
        };
        if !ended && self.key.len() < MAX_KEY {
            return None;
        }
        Some(sequence(&std::mem::take(&mut self.key)))
    }

    fn press(&mut self, key: &Key, at: Option<Timestamp>, sink: &mut dyn FnMut(TypedLine)) {
        match key {
            Key::Insert(byte) => self.insert(*byte),
            Key::Enter => self.enter(at, sink),
            Key::EnterAndRecall => {
                self.enter(at, sink);
                self.be_unsure(0);
            }
            Key::Cancel => *self = Self { pasting: self.pasting, ..Self::default() },
            Key::EraseBefore => self.erase(self.before(), self.cursor),
            Key::EraseAt => self.erase(self.cursor, self.after()),
            Key::EraseWord => self.erase_word(),
            Key::EraseToStart => self.erase(0, self.cursor),
            Key::EraseToEnd => self.erase(self.cursor, self.text.len()),
            Key::Left => self.cursor = self.before(),
            // At the end of a line these take over what fish and zsh suggest.
            Key::Right | Key::End if self.cursor >= self.text.len() && !self.text.is_empty() => {
                self.be_unsure(self.cursor);
            }
            Key::Right => self.cursor = self.after(),
            Key::Start => self.cursor = 0,
            Key::End => self.cursor = self.text.len(),
            Key::Literal => self.literal = true,
            Key::PasteBegin => self.pasting = true,
            Key::PasteEnd => self.pasting = false,
            Key::Nothing => {}
            Key::Unknown => self.be_unsure(0),
            Key::Complete => self.be_unsure(self.cursor),
        }
    }

    /// From here on a program decides what the line is; what stands before `kept` stays.
    fn be_unsure(&mut self, kept: usize) {
        self.unsure = Some(self.unsure.map_or(kept, |unsure| unsure.min(kept)));
    }

    fn insert(&mut self, byte: u8) {
        if self.text.len() >= MAX_TYPED {
            self.be_unsure(self.text.len());
            return;
        }
        self.edited |= self.cursor < self.text.len();
        self.unsure = self.unsure.map(|unsure| if self.cursor < unsure { self.cursor } else { unsure });
        self.text.insert(self.cursor.min(self.text.len()), byte);
        self.cursor += 1;
    }

    fn enter(&mut self, at: Option<Timestamp>, sink: &mut dyn FnMut(TypedLine)) {
        let line = std::mem::take(self);
        self.pasting = line.pasting;
        sink(TypedLine {
            text: String::from_utf8_lossy(&line.text).into_owned(),
            exact: line.unsure.is_none(),
            sure: line.unsure.unwrap_or(line.text.len()),
            edited: line.edited,
            bytes: line.bytes.saturating_sub(1),
            at,
        });
    }

    fn erase(&mut self, from: usize, to: usize) {
        if from < to {
            self.text.drain(from..to.min(self.text.len()));
            self.cursor = from;
            self.edited = true;
            self.unsure = self.unsure.map(|unsure| unsure.min(from));
        }
    }

    /// Back to the last blank. A shell that stops at punctuation (zsh) leaves more: the screen must say.
    fn erase_word(&mut self) {
        let head = self.text.get(..self.cursor).unwrap_or_default();
        let word_end = head.iter().rposition(|b| *b != b' ').map_or(0, |at| at + 1);
        let start = head.get(..word_end).unwrap_or_default().iter().rposition(|b| *b == b' ').map_or(0, |at| at + 1);
        let punctuated = head.get(start..).unwrap_or_default().iter().any(u8::is_ascii_punctuation);
        self.erase(start, self.cursor);
        if punctuated {
            self.be_unsure(start);
        }
    }

    fn before(&self) -> usize {
        let head = self.text.get(..self.cursor).unwrap_or_default();
        head.iter().rposition(|b| !is_continuation(*b)).unwrap_or(0)
    }

    fn after(&self) -> usize {
        let rest = self.text.get(self.cursor + 1..).unwrap_or_default();
        let next = rest.iter().position(|b| !is_continuation(*b)).map_or(self.text.len(), |at| self.cursor + 1 + at);
        next.min(self.text.len())
    }
}

const ESC: u8 = 0x1b;

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

fn control(byte: u8, pasting: bool) -> Key {
    match byte {
        b'\r' | b'\n' => Key::Enter,
        b'\t' if pasting => Key::Insert(byte),
        _ if byte >= 0x20 && byte != 0x7f => Key::Insert(byte),
        0x01 => Key::Start,
        0x02 => Key::Left,
        0x03 | 0x1c => Key::Cancel,
        0x04 => Key::EraseAt,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x08 | 0x7f => Key::EraseBefore,
        b'\t' => Key::Complete,
        0x0b => Key::EraseToEnd,
        0x0c => Key::Nothing,
        0x0f => Key::EnterAndRecall,
        0x15 => Key::EraseToStart,
        0x16 => Key::Literal,
        0x17 => Key::EraseWord,
        _ => Key::Unknown,
    }
}

fn sequence(key: &[u8]) -> Key {
    match key.get(1..).unwrap_or_default() {
        b"[200~" => Key::PasteBegin,
        b"[201~" => Key::PasteEnd,
        // The keypad's Enter, and Enter as terminals with their own key protocols send it.
        b"OM" | b"[13u" | b"[27;1;13~" => Key::Enter,
        b"[C" | b"OC" => Key::Right,
        b"[D" | b"OD" => Key::Left,
        b"[H" | b"OH" | b"[1~" => Key::Start,
        b"[F" | b"OF" | b"[4~" => Key::End,
        b"[3~" => Key::EraseAt,
        sequence if is_report(sequence) => Key::Nothing,
        _ => Key::Unknown,
    }
}

/// What a terminal sends by itself: cursor position, attributes, focus, mouse, colours.
fn is_report(sequence: &[u8]) -> bool {
    match (sequence.first(), sequence.last()) {
        (Some(b'['), Some(b'R' | b'c' | b'n' | b'I' | b'O' | b't')) | (Some(b']' | b'P' | b'_'), _) => true,
        (Some(b'['), Some(b'M' | b'm')) => sequence.get(1) == Some(&b'<'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<(String, bool)> {
        let (mut typist, mut lines) = (Typist::default(), Vec::new());
        for piece in pieces {
            typist.feed(piece, None, &mut |line| lines.push((line.text, line.exact)));
        }
        lines
    }

    #[test]
    fn keys_make_lines() {
        type Row = (&'static str, &'static [u8], &'static [(&'static str, bool)]);
        let rows: &[Row] = &[
            ("plain", b"ls -l\rpwd\n", &[("ls -l", true), ("pwd", true)]),
            ("rubbed out", b"lx\x7fs\r", &[("ls", true)]),
            ("killed", b"sudo su -\x15id\r", &[("id", true)]),
            ("word", b"echo ab cd\x17ef\r", &[("echo ab ef", true)]),
            ("word with punctuation", b"cat /etc/x\x17y\r", &[("cat y", false)]),
            ("inserted", b"ho\x01ec\x05 x\x02\x02\x7f!\r", &[("ech! x", true)]),
            ("arrows", b"ct\x1b[Da\r", &[("cat", true)]),
            ("start and kill", b"rm -rf\x01\x0bid\r", &[("id", true)]),
            ("completed", b"cat /etc/hostn\t\r", &[("cat /etc/hostn", false)]),
            ("recalled", b"\x1b[A\rid\r", &[("", false), ("id", true)]),
            ("searched", b"\x12host\rid\r", &[("host", false), ("id", true)]),
            ("cancelled", b"rm -rf /\x03id\r", &[("id", true)]),
            ("pasted", b"\x1b[200~a\tb\nc\x1b[201~\r", &[("a\tb", true), ("c", true)]),
            ("reports", b"\x1b[24;80R\x1b[?62;c\x1b]11;rgb:0/0/0\x07id\r", &[("id", true)]),
            ("keypad", b"id\x1bOM", &[("id", true)]),
            ("utf-8", "caf\u{e9}\x7f\u{e8}\r".as_bytes(), &[("cafè", true)]),
            ("alt", b"echo \x1b.\r", &[("echo ", false)]),
            ("erased nothing", b"\x7f\x17\x15\x04id\r", &[("id", true)]),
        ];
        for (name, keys, wanted) in rows {
            let wanted: Vec<(String, bool)> = wanted.iter().map(|(text, exact)| ((*text).to_owned(), *exact)).collect();
            assert_eq!(lines(&[keys]), wanted, "{name}");
            for cut in 1..keys.len() {
                let (head, tail) = keys.split_at(cut);
                assert_eq!(lines(&[head, tail]), wanted, "{name} cut at {cut}");
            }
        }
    }

    #[test]
    fn long_lines_are_cut_at_the_limit() {
        let mut typist = Typist::default();
        typist.feed(&vec![b'a'; MAX_TYPED + 10], None, &mut |_| {});
        let mut lengths = Vec::new();
        typist.feed(b"\r", None, &mut |line| lengths.push((line.text.len(), line.exact, line.bytes)));
        assert_eq!(lengths, [(MAX_TYPED, false, MAX_TYPED as u64 + 10)]);
    }
}
