//! History expansion: a shell that expands `!!` or `^a^b` prints the line that it accepted before it runs it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The commands that a session ran last, for what `!` refers to.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct History {
    lines: VecDeque<String>,
}

/// Commands remembered.
const MAX_LINES: usize = 200;
/// Longest command remembered, in bytes.
const MAX_LINE: usize = 4096;

impl History {
    /// Remembers a command.
    pub(crate) fn push(&mut self, line: &str) {
        if line.len() > MAX_LINE {
            return;
        }
        if self.lines.len() >= MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }

    /// Whether `shown`, the first line of output, is what the shell made of the typed line.
    pub(crate) fn expands(&self, typed: &str, shown: &str) -> bool {
        if let Some(quick) = typed.trim_start().strip_prefix('^') {
            return self.quick_substitution(quick).is_some_and(|line| line == shown);
        }
        let Some(literals) = literals_around_designators(typed) else { return false };
        let blank = literals.iter().all(|literal| literal.trim().is_empty());
        if blank || typed.trim_start().starts_with('!') {
            let whole = literals.iter().skip(1).all(|literal| literal.trim().is_empty());
            return fits(&literals, shown) && (!whole || self.lines.iter().any(|line| line == shown));
        }
        fits(&literals, shown)
    }

    fn quick_substitution(&self, quick: &str) -> Option<String> {
        let mut parts = quick.split('^');
        let (old, new) = (parts.next().filter(|old| !old.is_empty())?, parts.next()?);
        let last = self.lines.back()?;
        last.contains(old).then(|| last.replacen(old, new, 1))
    }
}

/// Whether a shell may replace a part of the line by what was run before.
pub(crate) fn refers_back(line: &str) -> bool {
    line.trim_start().starts_with('^') || literals_around_designators(line).is_some()
}

/// What stands around the history designators of a line; `None` if it has none.
fn literals_around_designators(line: &str) -> Option<Vec<&str>> {
    let (mut literals, mut begin, mut single_quoted, mut found) = (Vec::new(), 0, false, false);
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => single_quoted = !single_quoted,
            '\\' => drop(chars.next()),
            '!' if !single_quoted && chars.peek().is_some_and(|(_, next)| !matches!(next, ' ' | '\t' | '=' | '(')) => {
                literals.push(line.get(begin..at)?);
                begin = at + designator_len(line.get(at..)?);
                while chars.next_if(|(next, _)| *next < begin).is_some() {}
                found = true;
            }
            _ => {}
        }
    }
    literals.push(line.get(begin..)?);
    found.then_some(literals)
}

/// Length of `!!`, `!$`, `!-2`, `!12`, `!?text?`, `!text`, with `:word` designators and modifiers behind.
fn designator_len(text: &str) -> usize {
    let rest = text.get(1..).unwrap_or_default();
    let event = match rest.chars().next() {
        Some('!' | '$' | '^' | '*' | '#') => 1,
        Some('?') => rest.get(1..).and_then(|body| body.find('?')).map_or(rest.len(), |at| at + 2),
        _ => rest.find([' ', '\t', ';', '&', '|', '"', '\'', ':', ')', '<', '>']).unwrap_or(rest.len()),
    };
    let behind = rest.get(event..).unwrap_or_default();
    let word = match behind.strip_prefix(':') {
        Some(tail) => 1 + tail.find([' ', '\t', ';', '&', '|', '"', '\'', ')']).unwrap_or(tail.len()),
        None => 0,
    };
    1 + event + word
}

/// Whether the literals stand in `shown` in order, the first at its beginning and the last at its end.
fn fits(literals: &[&str], shown: &str) -> bool {
    let Some((first, rest)) = literals.split_first() else { return false };
    let Some(mut remaining) = shown.strip_prefix(*first) else { return false };
    let Some((last, middle)) = rest.split_last() else { return false };
    for literal in middle {
        let Some(at) = remaining.find(literal) else { return false };
        remaining = remaining.get(at + literal.len()..).unwrap_or_default();
    }
    !shown.trim().is_empty() && remaining.trim_end().ends_with(last.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_expansions_are_recognised() {
        let mut history = History::default();
        for line in ["ls -la /opt/app", "echo second"] {
            history.push(line);
        }
        let rows = [
            ("!!", "echo second", true),
            ("sudo !!", "sudo echo second", true),
            ("echo !$", "echo /opt/app", true),
            ("!ls", "ls -la /opt/app", true),
            ("!ec:p", "echo second", true),
            ("^second^third", "echo third", true),
            ("^nothing^x", "echo third", false),
            ("!!", "total 0", false),
            ("echo '!$'", "!$", false),
            ("echo wow!", "wow!", false),
            ("[ ! -f x ]", "y", false),
        ];
        for (typed, shown, wanted) in rows {
            assert_eq!(history.expands(typed, shown), wanted, "{typed} -> {shown}");
        }
    }
}
