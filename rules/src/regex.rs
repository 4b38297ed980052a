//! Regular expressions of rules: PCRE's subset that Sigma allows, compiled with linear-time matching.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};
use serde::{Deserialize, Serialize};

/// Largest compiled regular expression, in bytes.
pub const REGEX_SIZE_LIMIT: usize = 10 << 20;
/// Largest cache of one regular expression's lazy automaton, in bytes.
pub const REGEX_DFA_SIZE_LIMIT: usize = 2 << 20;

/// The sub-modifiers of `re`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flags {
    /// `i`: without regard to case.
    pub(crate) ignore_case: bool,
    /// `m`: `^` and `$` match at lines.
    pub(crate) multi_line: bool,
    /// `s`: `.` matches a line feed too.
    pub(crate) dot_all: bool,
}

/// A regular expression that is checked at once and compiled when a text first needs it: most rules' never are, and a
/// thousand rules' take longer to compile than a file takes to read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LazyRegex {
    pattern: String,
    flags: Flags,
    #[serde(skip)]
    compiled: OnceLock<Option<Regex>>,
}

impl LazyRegex {
    /// Checks a translated pattern, given with its [syntax](parse); the error is the compiler's last line. What could be too large is compiled now, so that
    /// every pattern that is accepted here compiles later.
    pub(crate) fn new(pattern: &str, flags: Flags, syntax: Option<&Hir>) -> Result<Self, String> {
        let compiled = OnceLock::new();
        if syntax.is_none_or(|hir| size(hir) > SURELY_SMALL) {
            let regex = build(pattern, flags)?;
            compiled.get_or_init(|| Some(regex));
        }
        Ok(Self { pattern: pattern.to_owned(), flags, compiled })
    }

    /// Whether the text has a match.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(text))
    }

    /// The bytes of the first match.
    pub(crate) fn find(&self, text: &str) -> Option<(usize, usize)> {
        self.regex()?.find(text).map(|found| (found.start(), found.end()))
    }

    fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| build(&self.pattern, self.flags).ok()).as_ref()
    }
}

/// A pattern's syntax, if it has no error.
pub(crate) fn parse(pattern: &str, flags: Flags) -> Option<Hir> {
    let mut builder = ParserBuilder::new();
    builder.case_insensitive(flags.ignore_case).multi_line(flags.multi_line).dot_matches_new_line(flags.dot_all);
    builder.build().parse(pattern).ok()
}

/// States that surely fit into [`REGEX_SIZE_LIMIT`]: a state takes less than 100 bytes.
const SURELY_SMALL: u64 = 100_000;

/// States that an expression may compile to, counted high: a range of characters takes up to eight.
fn size(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => 8 * class.ranges().len() as u64,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Capture(capture) => size(&capture.sub).saturating_add(2),
        HirKind::Repetition(repetition) => {
            let times = u64::from(repetition.max.unwrap_or(repetition.min.saturating_add(1)).max(1));
            size(&repetition.sub).saturating_add(2).saturating_mul(times)
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(size).fold(1, |sum, size| sum.saturating_add(size).saturating_add(1))
        }
    }
}

/// Compiles a translated pattern; the error is the compiler's last line.
fn build(pattern: &str, flags: Flags) -> Result<Regex, String> {
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
    fn what_may_be_too_large_is_compiled_at_once() {
        let lazy = |pattern| LazyRegex::new(pattern, Flags::default(), parse(pattern, Flags::default()).as_ref());
        for (pattern, at_once) in [(r"a\s+b", false), (r"\w{3}", false), (r"(\w{50}){50}", true), (r"x{0,1000}", false)]
        {
            assert_eq!(lazy(pattern).map_or(true, |regex| regex.compiled.get().is_some()), at_once, "{pattern}");
        }
        assert!(lazy(r"((\w{50}){50}){50}").is_err_and(|error| error.contains("larger")));
        assert!(lazy("a(").is_err());
        assert_eq!(lazy("b+").unwrap().find("abbc"), Some((1, 3)));
    }

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
