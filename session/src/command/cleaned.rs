//! Lines that the agent cleaned for CloudWatch: cursor motions and erasures are gone, backspaces remain.

use std::borrow::Cow;

/// Rebuilds what a line of text and backspaces most likely showed when Enter was pressed.
///
/// The agent strips `ESC [ K`, `ESC [ P`, `ESC [ @` and `ESC [ C` and keeps `\b`, so that an erasure and a cursor motion look
/// alike. What is printed over text either repeats the rest of the line behind something new (an insertion), or replaces
/// the rest, or is an insertion whose reprint was done by the terminal. Backspaces at the very end erase, unless the line
/// was just reprinted.
pub(crate) fn rebuild(text: &str, width: Option<u16>) -> Cow<'_, str> {
    let _ = width;
    if !text.contains('\u{8}') {
        return Cow::Borrowed(text);
    }
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
    Cow::Owned(line.into_iter().collect())
}

/// Prints a run at the cursor; `true` if it repeated the rest of the line.
fn print(line: &mut Vec<char>, cursor: &mut usize, run: &str) -> bool {
    let run: Vec<char> = run.chars().collect();
    let tail: Vec<char> = line.split_off((*cursor).min(line.len()));
    let repeats = !tail.is_empty() && run.len() > tail.len() && run.ends_with(&tail);
    line.extend_from_slice(&run);
    *cursor = line.len();
    if !repeats && run.len() < tail.len() {
        line.extend_from_slice(&tail);
    }
    repeats
}

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
            assert_eq!(rebuild(text, None), wanted, "{name}");
        }
    }
}
