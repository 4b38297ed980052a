//! What was printed since characters wait, and the line that the cursor is in.

use vte::{Params, Parser, Perform};

/// Characters of the cursor's line that are kept.
const MAX_LINE: usize = 512;

/// Printed text without its controls.
#[derive(Default)]
pub(super) struct Printed {
    parser: Parser,
    screen: Screen,
}

#[derive(Debug, Default)]
struct Screen {
    /// Since the last [`Printed::forget`]; a character that was backed over is gone.
    text: Vec<char>,
    /// Whether a line end was printed before any of it.
    ends_first: bool,
    /// Whether the next line end is the echo of Enter.
    expects_end: bool,
    /// The cursor's line.
    line: Vec<char>,
    /// Whether typed characters were echoed into it: then it is no prompt.
    has_echo: bool,
    count: usize,
    limit: usize,
}

impl Printed {
    /// Takes output; how many characters it printed. Keeps the last `limit` of all.
    pub(super) fn feed(&mut self, output: &[u8], limit: usize) -> usize {
        self.screen.count = 0;
        self.screen.limit = limit;
        self.parser.advance(&mut self.screen, output);
        self.screen.count
    }

    /// Nothing waits: what was printed so far is no echo.
    pub(super) fn forget(&mut self) {
        self.screen.text.clear();
        self.screen.ends_first = false;
        self.screen.expects_end = false;
    }

    /// A line was echoed: its end follows.
    pub(super) fn expect_line_end(&mut self) {
        self.screen.expects_end = true;
    }

    /// Whether this text was printed; it and what came before it is used up then.
    pub(super) fn take(&mut self, text: &[char]) -> bool {
        if text.is_empty() {
            return true;
        }
        let Some(at) = self.screen.text.windows(text.len()).position(|window| window == text) else { return false };
        self.screen.text.drain(..at + text.len());
        self.screen.has_echo = true;
        true
    }

    /// Whether what was printed begins with this text; `None` while it is too short to tell.
    pub(super) fn begins_with(&self, text: &[char]) -> Option<bool> {
        let screen = &self.screen;
        if screen.ends_first && !text.is_empty() {
            return Some(false);
        }
        if screen.text.len() >= text.len() {
            return Some(screen.text.starts_with(text));
        }
        (!text.starts_with(&screen.text)).then_some(false)
    }

    /// Whether the cursor's line is a prompt with one of these words.
    pub(super) fn asks_for_secret(&self, words: &[&str]) -> bool {
        let line: String = self.screen.line.iter().collect();
        let line = line.trim_end().to_lowercase();
        !self.screen.has_echo && line.ends_with([':', '?', '>', '：']) && words.iter().any(|word| holds(&line, word))
    }
}

impl Perform for Screen {
    fn print(&mut self, c: char) {
        self.count += 1;
        if self.text.len() < self.limit {
            self.text.push(c);
        }
        if self.line.len() < MAX_LINE {
            self.line.push(c);
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            0x08 => self.back(1),
            b'\n' => {
                self.ends_first |= self.text.is_empty() && !self.expects_end;
                self.expects_end = false;
                self.line.clear();
                self.has_echo = false;
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, _intermediates: &[u8], _ignore: bool, action: char) {
        if action == 'D' {
            let count = params.iter().next().and_then(|param| param.first()).copied().unwrap_or(1);
            self.back(count.max(1).into());
        }
    }
}

impl Screen {
    fn back(&mut self, count: usize) {
        self.text.truncate(self.text.len().saturating_sub(count));
        self.line.truncate(self.line.len().saturating_sub(count));
    }
}

impl std::fmt::Debug for Printed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What was printed is the session's.
        f.debug_struct("Printed").field("printed", &self.screen.text.len()).finish_non_exhaustive()
    }
}

/// Whether a line holds a word; a word of ASCII letters not as part of another.
fn holds(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        word.len() > 3 || (!letter(line[..at].chars().next_back()) && !letter(line[at + word.len()..].chars().next()))
    })
}
