//! Input that the terminal did not echo: passwords, as a rule.
//!
//! A line counts as hidden if nothing but masks (`*`, `•`) was printed between its first key and Enter, and what follows
//! does not show the line after all (it was pasted, or its echo came late): what follows is what is printed until the next
//! key that is pressed after some of it, so lines that were typed ahead wait together. No line is hidden that was typed while a line
//! editor read it (bracketed paste is on) or on the alternate screen. Who reads commands knows more and may find others.

use std::collections::VecDeque;
use std::ops::Range;

use jiff::Timestamp;

/// A line that was typed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Typed {
    /// Its bytes in the input stream, without Enter.
    pub(crate) input: Range<u64>,
    /// Place of the output at which it was typed.
    pub(crate) output: u64,
    /// Time of Enter.
    pub(crate) at: Option<Timestamp>,
    /// What was typed, erased characters left out. May be a secret.
    pub(crate) text: String,
    /// Whether it was not echoed.
    pub(crate) hidden: bool,
}

/// Never shows the text.
impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Typed").field("input", &self.input).field("at", &self.at).finish_non_exhaustive()
    }
}

/// Longest line that is looked at, in characters.
const MAX_TYPED: usize = 1024;
/// Characters printed behind Enter in which a late echo is looked for, beyond the length of the line.
const LATE_ECHO: usize = 256;
/// Lines typed ahead that wait for their echo; what exceeds it is settled as it stands.
const MAX_AHEAD: usize = 64;

/// Watches both directions of a session.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent observations")]
pub(crate) struct Watch {
    typed: String,
    begun: Option<u64>,
    shown: bool,
    special: bool,
    entered: VecDeque<Entered>,
    editing: bool,
    alternate: bool,
    input: u64,
    escape: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Entered {
    typed: Typed,
    /// What was printed since Enter, blanks and controls left out.
    printed: String,
    /// Whether anything was.
    answered: bool,
}

impl Watch {
    /// Takes input. `output` is the place that the output has reached.
    pub(crate) fn input(&mut self, bytes: &[u8], output: u64, at: Option<Timestamp>, sink: &mut dyn FnMut(Typed)) {
        self.settle(sink, |entered| entered.answered);
        for byte in bytes {
            let here = self.input;
            self.input += 1;
            match byte {
                b'\r' | b'\n' => self.enter(here, output, at, sink),
                0x03 | 0x04 | 0x15 => self.begin_again(),
                0x7f | 0x08 => drop(self.typed.pop()),
                0x1b => self.special = true,
                _ => {
                    self.begun.get_or_insert(here);
                    self.push(*byte);
                }
            }
        }
    }

    fn push(&mut self, byte: u8) {
        // UTF-8 is put together when the line ends: until then each byte is a character of its own.
        if self.typed.chars().count() < MAX_TYPED {
            self.typed.push(char::from(byte));
        }
    }

    fn enter(&mut self, here: u64, output: u64, at: Option<Timestamp>, sink: &mut dyn FnMut(Typed)) {
        let hidden = !self.shown && !self.special && !self.editing && !self.alternate;
        if let Some(begun) = self.begun.filter(|_| !self.typed.is_empty()) {
            let bytes: Vec<u8> = self.typed.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let typed = Typed { input: begun..here, output, at, text, hidden };
            if hidden {
                self.entered.push_back(Entered { typed, printed: String::new(), answered: false });
                if self.entered.len() > MAX_AHEAD {
                    self.entered.pop_front().into_iter().for_each(|entered| sink(entered.settled()));
                }
            } else {
                sink(typed);
            }
        }
        self.begin_again();
    }

    fn begin_again(&mut self) {
        self.typed.clear();
        (self.begun, self.shown, self.special) = (None, false, false);
    }

    /// Takes output.
    pub(crate) fn output(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Typed)) {
        for byte in bytes {
            if let Some(mut sequence) = self.escape.take() {
                if !self.in_sequence(*byte, &mut sequence) {
                    self.escape = Some(sequence);
                }
                continue;
            }
            match byte {
                0x1b => self.escape = Some(Vec::new()),
                0x07 | 0x00 => {}
                _ => self.print(*byte),
            }
        }
        self.settle(sink, Entered::is_over);
    }

    fn print(&mut self, byte: u8) {
        // The bytes of `•` in UTF-8 count as masks.
        let is_mask = matches!(byte, b'*' | 0xe2 | 0x80 | 0xa2);
        self.shown |= self.begun.is_some() && !is_mask;
        for entered in &mut self.entered {
            entered.answered = true;
            if byte > b' ' && !entered.is_over() {
                entered.printed.push(char::from(byte));
            }
        }
    }

    /// Whether the sequence ends here.
    fn in_sequence(&mut self, byte: u8, sequence: &mut Vec<u8>) -> bool {
        sequence.push(byte);
        let ends = match sequence.first() {
            Some(b'[') => sequence.len() > 1 && (0x40..=0x7e).contains(&byte),
            Some(b']' | b'P' | b'_' | b'^' | b'X') => byte == 0x07 || byte == b'\n' || sequence.ends_with(b"\x1b\\"),
            Some(0x20..=0x2f) => !(0x20..=0x2f).contains(&byte),
            _ => true,
        };
        match sequence.as_slice() {
            b"[?2004h" => self.editing = true,
            b"[?2004l" => self.editing = false,
            b"[?1049h" | b"[?1047h" | b"[?47h" => self.alternate = true,
            b"[?1049l" | b"[?1047l" | b"[?47l" => self.alternate = false,
            _ => {}
        }
        ends || sequence.len() > MAX_TYPED
    }

    /// Both directions end.
    pub(crate) fn finish(mut self, sink: &mut dyn FnMut(Typed)) {
        self.settle(sink, |_| true);
    }

    /// Hands on the lines that have waited long enough, in order.
    fn settle(&mut self, sink: &mut dyn FnMut(Typed), enough: fn(&Entered) -> bool) {
        while let Some(entered) = self.entered.pop_front_if(|entered| enough(entered)) {
            sink(entered.settled());
        }
    }
}

impl Entered {
    fn is_over(&self) -> bool {
        self.printed.chars().count() >= LATE_ECHO + self.typed.text.len()
    }

    fn settled(self) -> Typed {
        let Self { mut typed, printed, .. } = self;
        typed.hidden = !printed.contains(&visible(&typed.text));
        typed
    }
}

/// Each byte as a character of its own, blanks and controls left out: a line editor that wraps adds blanks.
fn visible(text: &str) -> String {
    text.bytes().filter(|byte| *byte > b' ').map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `<` begins input, `>` output.
    fn hidden(script: &[&str]) -> Vec<String> {
        let (mut watch, mut found) = (Watch::default(), Vec::new());
        let mut sink = |typed: Typed| found.extend(Some(typed.text).filter(|_| typed.hidden));
        for piece in script {
            match piece.split_at(1) {
                ("<", typed) => watch.input(typed.as_bytes(), 0, None, &mut sink),
                (_, printed) => watch.output(printed.as_bytes(), &mut sink),
            }
        }
        watch.finish(&mut sink);
        found
    }

    #[test]
    fn what_is_not_echoed_is_hidden() {
        let rows: &[(&str, &[&str], &[&str])] = &[
            ("echoed", &["<l", ">l", "<s", ">s", "<\r", ">\r\nfile\r\n$ "], &[]),
            ("password", &[">Password: ", "<h", "<u", "<x", "<\r", ">\r\n$ "], &["hux"]),
            ("pasted password", &[">Password: ", "<hunter2\r", ">\r\n$ "], &["hunter2"]),
            ("no line end", &[">Password: ", "<h", "<u", "<x", "<\r", ">\u{1b}[?2004h$ "], &["hux"]),
            ("pasted command, wrapped", &[">$ ", "<ls -l /a/b\r", ">ls -l /a \r/b\r\n"], &[]),
            ("pasted command", &[">$ ", "<ls -l\r", ">ls -l\r\ntotal 0\r\n"], &[]),
            ("masked by stars", &[">PIN: ", "<12", ">**", "<34", ">**", "<\r", ">\r\n"], &["1234"]),
            ("corrected", &[">Password: ", "<hux\u{7f}nter2\r", ">\r\nok\r\n"], &["hunter2"]),
            ("typed ahead", &["<pwd\rls -l\rid\r", ">pwd\r\nls -l\r\nid\r\n$ pwd\r\n/\r\n$ "], &[]),
            ("typed ahead of a shell", &["<id\r", "<hux\r", "<ls\r", ">$ id\r\nPassword: \r\n$ ls\r\n"], &["hux"]),
            ("late echo", &["<sleep 1\r", ">\r\nlast line\r\nsleep 1\r\n"], &[]),
            ("line editor", &[">\u{1b}[?2004h$ ", "<ls\r", ">\r\n"], &[]),
            ("full-screen program", &[">\u{1b}[?1049h", "<:wq\r", ">\r\n\u{1b}[?1049l"], &[]),
            ("key of a pager", &["<q", ">\r\u{1b}[K$ ", "<ls\r", ">ls\r\n"], &[]),
            ("not ASCII", &[">Passwort: ", "<gr\u{fc}n\r", ">\r\n"], &["gr\u{fc}n"]),
            ("cancelled", &[">Password: ", "<abc\u{3}", ">^C\r\n$ ", "<id\r", ">id\r\n"], &[]),
        ];
        for (name, script, wanted) in rows {
            assert_eq!(hidden(script), *wanted, "{name}");
        }
    }
}
