//! Lines that the agent cleaned for CloudWatch, read as far as they can be.
//!
//! The agent removes `\r` from every line, and escape sequences from most: where a sequence does not parse for it (a title
//! that ends in BEL, which most prompts print) the whole line keeps them (amazon-ssm-agent
//! `agent/session/shell/../cloudwatchlogspublisher`, `pborman/ansi` `Strip`).

use std::borrow::Cow;

use crate::scan::{Params, Scanner, Token};

/// What a cleaned line most likely showed when Enter was pressed.
#[derive(Debug, Default)]
pub(crate) struct Rebuilt<'t> {
    /// The text.
    pub(crate) text: Cow<'t, str>,
    /// It was edited.
    pub(crate) edited: bool,
    /// It ended in a bell.
    pub(crate) rang: bool,
    /// The window's width, if the line shows it.
    pub(crate) width: Option<usize>,
}

/// Rebuilds a line. `width` is the window's width, if it is known.
pub(crate) fn rebuild(text: &str, width: Option<usize>) -> Rebuilt<'_> {
    let rang = text.ends_with('\u{7}');
    let edited = text.contains(['\u{8}', '\u{1b}', '\u{7}']);
    let line = match text {
        _ if text.contains('\u{1b}') => Cow::Owned(replayed(text)),
        _ if edited => Cow::Owned(guessed(text)),
        _ => Cow::Borrowed(text),
    };
    let (line, filled) = without_filler(line);
    let shown = width_of_wraps(&line).or(filled);
    Rebuilt { text: without_wraps(line, shown.or(width)), edited, rang, width: shown }
}

/// A line that kept its sequences: only `\r` is missing, and it is missed where the cursor moves right from the end.
fn replayed(text: &str) -> String {
    let mut line = Line::default();
    let mut scanner = Scanner::default();
    scanner.feed(text.as_bytes(), 0, &mut |token, _| line.token(&token));
    line.cells.into_iter().collect()
}

#[derive(Debug, Default)]
struct Line {
    cells: Vec<char>,
    cursor: usize,
    moving_right: bool,
}

impl Line {
    fn token(&mut self, token: &Token<'_>) {
        let was_moving = std::mem::take(&mut self.moving_right);
        match token {
            Token::Text(text) => String::from_utf8_lossy(text).chars().for_each(|c| self.print(c)),
            Token::Control(0x08) => self.cursor = self.cursor.saturating_sub(1),
            Token::Csi { private: None, params, action, .. } => self.control(params, *action, was_moving),
            _ => {}
        }
    }

    fn print(&mut self, c: char) {
        match self.cells.get_mut(self.cursor) {
            Some(cell) => *cell = c,
            None => self.cells.push(c),
        }
        self.cursor += 1;
    }

    fn control(&mut self, params: &Params, action: char, was_moving: bool) {
        let count = usize::from(params.count());
        let end = self.cells.len();
        match action {
            'C' => {
                if !was_moving && self.cursor >= end {
                    self.cursor = 0;
                }
                self.cursor = (self.cursor + count).min(end);
                self.moving_right = true;
            }
            'D' => self.cursor = self.cursor.saturating_sub(count),
            'K' | 'J' => self.cells.truncate(self.cursor),
            'P' => drop(self.cells.drain(self.cursor.min(end)..(self.cursor + count).min(end))),
            '@' => {
                let at = self.cursor.min(end);
                self.cells.splice(at..at, std::iter::repeat_n(' ', count.min(MAX_INSERTED)));
            }
            _ => {}
        }
    }
}

/// Blanks that one control may insert.
const MAX_INSERTED: usize = 1024;

/// A line of text and backspaces: an erasure and a cursor motion look alike. What is printed over text either repeats the
/// rest of the line behind something new (an insertion), or replaces the rest, or is an insertion whose reprint was done
/// by the terminal. Backspaces at the very end erase, unless the line was just reprinted.
fn guessed(text: &str) -> String {
    let mut line: Vec<char> = Vec::new();
    let (mut cursor, mut reprinted) = (0_usize, false);
    let mut rest = text;
    while !rest.is_empty() {
        let back = rest.chars().take_while(|c| *c == '\u{8}').count();
        rest = rest.get(back..).unwrap_or_default();
        let len = rest.find('\u{8}').unwrap_or(rest.len());
        let (run, behind) = rest.split_at_checked(len).unwrap_or((rest, ""));
        rest = behind;
        cursor = cursor.saturating_sub(back);
        if run.is_empty() {
            if !reprinted {
                line.truncate(cursor);
            }
            break;
        }
        reprinted = print(&mut line, &mut cursor, run);
    }
    line.into_iter().collect()
}

/// Prints a run at the cursor; `true` if it repeated the rest of the line.
fn print(line: &mut Vec<char>, cursor: &mut usize, run: &str) -> bool {
    let run: Vec<char> = run.chars().filter(|c| !c.is_control()).collect();
    let tail: Vec<char> = line.split_off((*cursor).min(line.len()));
    let repeats = !tail.is_empty() && run.len() > tail.len() && run.ends_with(&tail);
    line.extend_from_slice(&run);
    *cursor = line.len();
    if !repeats && run.len() < tail.len() {
        line.extend_from_slice(&tail);
    }
    repeats
}

/// zsh and fish fill a row (`%` or `⏎`, then blanks to the margin) before each prompt; its length is the window's width.
fn without_filler(line: Cow<'_, str>) -> (Cow<'_, str>, Option<usize>) {
    let Some(rest) = line.strip_prefix(['%', '#', '⏎']) else { return (line, None) };
    let prompt = rest.trim_start_matches(' ');
    let blanks = rest.len() - prompt.len();
    if blanks < MIN_FILLER {
        return (line, None);
    }
    let prompt = prompt.strip_prefix("⏎ ").unwrap_or(prompt);
    (Cow::Owned(prompt.to_owned()), Some(blanks + 1))
}

/// Blanks that make a row a filler.
const MIN_FILLER: usize = 15;

/// Takes out the blank that readline printed at each wrap, if the line has one at every place where it would be.
fn without_wraps(line: Cow<'_, str>, width: Option<usize>) -> Cow<'_, str> {
    let Some(width) = width.filter(|width| *width > 1 && line.chars().count() > *width) else { return line };
    let at_wrap = |at: usize| (at + 1).is_multiple_of(width + 1);
    let blank = line.chars().enumerate().all(|(at, c)| !at_wrap(at) || c == ' ');
    if blank { line.chars().enumerate().filter(|(at, _)| !at_wrap(*at)).map(|(_, c)| c).collect() } else { line }
}

/// The width of the window that wrapped this line, if a usual one explains several wraps, at least one in a word.
fn width_of_wraps(line: &str) -> Option<usize> {
    let chars: Vec<char> = line.chars().collect();
    let explains = |width: &usize| {
        let wraps: Vec<usize> = (*width..chars.len()).step_by(width + 1).collect();
        let in_word = |at: usize| {
            let around = [at.checked_sub(1).and_then(|before| chars.get(before)), chars.get(at + 1)];
            around.iter().all(|c| c.is_some_and(|c| c.is_alphanumeric()))
        };
        wraps.len() > 1 && wraps.iter().all(|at| chars.get(*at) == Some(&' ')) && wraps.iter().any(|at| in_word(*at))
    };
    (MIN_WIDTH..MAX_WIDTH).filter(explains).max()
}

/// Widths that wraps are trusted to show.
const MIN_WIDTH: usize = 40;
const MAX_WIDTH: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backspaces_are_motions_or_erasures() {
        let rows = [
            ("erased at the end", "ls -lx\u{8}a", "ls -la"),
            ("typos erased before Enter", "cat main.pyx\u{8}yy\u{8}\u{8}", "cat main.py"),
            ("inserted, tail reprinted", "cd /app\u{8}\u{8}\u{8}\u{8}~/app\u{8}\u{8}\u{8}\u{8}", "cd ~/app"),
            ("inserted by the terminal", "git stats -sb\u{8}\u{8}\u{8}\u{8}\u{8}u", "git status -sb"),
            ("word replaced", "cat wrong\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}uptime -p x", "uptime -p x"),
        ];
        for (name, text, wanted) in rows {
            assert_eq!(rebuild(text, None).text, wanted, "{name}");
        }
    }

    #[test]
    fn kept_sequences_are_replayed_without_returns() {
        let rows = [
            ("erased", "\u{1b}]0;t\u{7}$ cat wrong\u{8}\u{8}\u{8}\u{8}\u{8}\u{1b}[Kright", "$ cat right"),
            ("home, then killed", "\u{1b}]0;t\u{7}$ ls # drop\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[C\u{1b}[K", "$ ls"),
            ("inserted", "\u{1b}]0;t\u{7}$ s\u{8}\u{1b}[1@l\u{1b}[C", "$ ls"),
        ];
        for (name, text, wanted) in rows {
            assert_eq!(rebuild(text, None).text, wanted, "{name}");
        }
    }

    #[test]
    fn fillers_and_wraps_are_taken_out() {
        let filled = format!("%{}host% ls", " ".repeat(79));
        let rebuilt = rebuild(&filled, None);
        assert_eq!((rebuilt.text.as_ref(), rebuilt.width), ("host% ls", Some(80)));
        let wrapped = format!("$ {} {} {}", "a".repeat(48), "b".repeat(50), "c".repeat(5));
        assert_eq!(width_of_wraps(&wrapped), Some(50));
        assert_eq!(rebuild(&wrapped, Some(50)).text, wrapped.replace(' ', "").replace('$', "$ "));
    }
}
