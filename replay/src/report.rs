//! What is said to people: on stderr, and text from sessions made safe to look at.

use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Says on stderr what went wrong.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", escape(message, Lines::Keep));
}

/// Says on stderr what deserves attention.
pub(crate) fn warn(message: &str) {
    complain(&format!("warning: {message}"));
}

/// Says why the exit code of a verb is 3 that does not show what is missing itself.
pub(crate) fn warn_incomplete(path: &str) {
    warn(&format!("{path}: messages are missing, damaged or stay encrypted: `warden verify` says which"));
}

/// What becomes of line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// They stay.
    Keep,
    /// They are shown as `\n`.
    Show,
}

/// Makes text from a session safe to print: controls, and characters that reorder or hide text, are shown as escapes. A
/// recorded escape must never run on the analyst's screen.
pub(crate) fn escape(text: &str, lines: Lines) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if lines == Lines::Keep => out.push(c),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => drop(write!(out, "\\x{:02x}", u32::from(c))),
            _ if hides(c) => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out
}

/// Bidi controls, zero-width characters, line separators, tags and variation selectors (Unicode 16, UAX 9 and TR 36).
fn hides(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_recorded_reaches_the_terminal() {
        let rows = [
            ("\u{1b}[2Jls", "\\x1b[2Jls"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\nb\tc", "a\\nb\\tc"),
            ("naïve 日本", "naïve 日本"),
            ("\u{9b}31m", "\\x9b31m"),
        ];
        for (text, wanted) in rows {
            assert_eq!(escape(text, Lines::Show), wanted);
        }
    }
}
