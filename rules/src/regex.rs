//! Regular expressions of rules: PCRE's subset that Sigma allows, compiled with linear-time matching.

use regex::{Regex, RegexBuilder};

/// Largest compiled regular expression, in bytes.
pub const REGEX_SIZE_LIMIT: usize = 10 << 20;
/// Largest cache of one regular expression's lazy automaton, in bytes.
pub const REGEX_DFA_SIZE_LIMIT: usize = 2 << 20;

/// The sub-modifiers of `re`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// `i`: without regard to case.
    pub(crate) ignore_case: bool,
    /// `m`: `^` and `$` match at lines.
    pub(crate) multi_line: bool,
    /// `s`: `.` matches a line feed too.
    pub(crate) dot_all: bool,
}

/// Compiles a translated pattern; the error is the compiler's last line.
pub(crate) fn build(pattern: &str, flags: Flags) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .case_insensitive(flags.ignore_case)
        .multi_line(flags.multi_line)
        .dot_matches_new_line(flags.dot_all)
        .size_limit(REGEX_SIZE_LIMIT)
        .dfa_size_limit(REGEX_DFA_SIZE_LIMIT)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => format!("compiled, it is larger than {limit} bytes"),
            error => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                last.trim_start_matches("error: ").to_owned()
            }
        })
}

/// Writes a PCRE pattern the way the `regex` crate reads it, where the two differ: `[` and set operators inside a class,
/// a brace that opens no repetition, `\<` and `\>`, `\Z`, `\h`, `\e`, escapes of letters that mean nothing.
pub(crate) fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = Chars { rest: pattern };
    while let Some(c) = chars.next() {
        match c {
            '\\' => chars.escape(&mut out, false),
            '[' => chars.class(&mut out),
            '{' if !opens_repetition(chars.rest) => out.push_str("\\{"),
            _ => out.push(c),
        }
    }
    out
}

struct Chars<'p> {
    rest: &'p str,
}

impl Chars<'_> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    fn take(&mut self, prefix: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(prefix) else { return false };
        self.rest = rest;
        true
    }

    /// What stands after a backslash.
    fn escape(&mut self, out: &mut String, in_class: bool) {
        match self.next() {
            Some('h') if in_class => out.push_str(" \\t"),
            Some('h') => out.push_str("[ \\t]"),
            Some('e') => out.push_str("\\x1B"),
            Some('Z') => out.push_str("\\z"),
            // A word boundary to the regex crate, the sign itself to PCRE.
            Some(c @ ('<' | '>')) => out.push(c),
            Some(c) if !c.is_ascii() || " ~%!\"'`,:;=@_".contains(c) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
    }

    /// The rest of a class whose `[` has been read.
    fn class(&mut self, out: &mut String) {
        out.push('[');
        if self.take("^") {
            out.push('^');
        }
        if self.take("]") {
            out.push_str("\\]");
        }
        while let Some(c) = self.next() {
            match c {
                ']' => return out.push(']'),
                '\\' => self.escape(out, true),
                '[' if self.rest.starts_with(':') && self.rest.contains(":]") => {
                    let name =
                        self.rest.find(":]").and_then(|at| self.rest.get(..at + 2)).unwrap_or_default().to_owned();
                    self.take(&name);
                    out.push('[');
                    out.push_str(&name);
                }
                '[' | '&' | '~' => out.extend(['\\', c]),
                // Two in a row subtract a set; one between two members is a range.
                '-' if self.rest.starts_with('-') => out.push_str("\\-"),
                _ => out.push(c),
            }
        }
    }
}

/// Whether what follows a `{` makes it a repetition: digits, perhaps a comma and digits, and `}`.
fn opens_repetition(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else { return false };
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    !low.is_empty() && low.bytes().chain(high.bytes()).all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_pcre() {
        for (case, pattern, text, expected) in [
            ("bracket in a class", r"a[^[]b", "axb", true),
            ("bracket in a class, negated", r"a[^[]b", "a[b", false),
            ("closing bracket first", r"a[]x]b", "a]b", true),
            ("posix class", r"^[[:digit:]x]+$", "1x2", true),
            ("ampersands are themselves", r"^[a&&b]+$", "a&b", true),
            ("tildes are themselves", r"^[a~~b]$", "~", true),
            ("dash at the end", r"^[a-c-]+$", "b-", true),
            ("literal brace", r"\${x}", "${x}", true),
            ("literal brace, digits", r"{0}", "{0}", false),
            ("format placeholders", r"\{\d+\}\{", "{0}{", true),
            ("repetition", r"^a{2,3}$", "aaa", true),
            ("open repetition", r"^a{2,}$", "aaaaa", true),
            ("escaped angle", r"\<b\>", "<b>", true),
            ("escaped slash and quote", r#"^\/\"\'\-\ $"#, r#"/"'- "#, true),
            ("end of text", r"b\Z", "ab", true),
            ("horizontal space", r"a\hb[\h]c", "a\tb c", true),
            ("escape character", r"\e\[0m", "\u{1b}[0m", true),
        ] {
            let translated = translate(pattern);
            match build(&translated, Flags::default()) {
                Ok(regex) => assert_eq!(regex.is_match(text), expected, "{case}: {translated}"),
                Err(error) => assert!(!expected, "{case}: {translated}: {error}"),
            }
        }
    }
}
