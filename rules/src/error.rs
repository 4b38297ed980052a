//! What is wrong with a rule file, and where.

use std::fmt;

use thiserror::Error;

use crate::yaml::Span;

/// One thing that is wrong (or doubtful) in a rule file: where it is, the line that shows it, what to write instead.
///
/// [`Display`](fmt::Display) is one line, `path:line:column: error: problem`; [`render`](Self::render) also shows the
/// source. Both hold text of the rule file only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Path of the file, as it was given.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length in characters of the part at fault; 0 if it goes on after the line's end.
    pub length: usize,
    /// The line of the file, without its line end.
    pub source_line: String,
    /// Whether the rule is refused.
    pub severity: Severity,
    /// What is wrong.
    pub problem: Problem,
    /// What to write instead, where that is known: a whole sentence.
    pub suggestion: Option<String>,
}

/// Whether the rule is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The rule is not loaded.
    Error,
    /// The rule is loaded, but it may not do what its author meant.
    Warning,
}

/// What is wrong in a rule file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// Not YAML, or nested or expanded beyond the limits.
    #[error("not valid YAML: {detail}")]
    Syntax {
        /// The parser's words.
        detail: String,
    },
    /// A named limit was exceeded.
    #[error("{what} is larger than the limit of {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The limit, in its unit.
        limit: usize,
    },
    /// The file has no document.
    #[error("the file holds no rule")]
    NoRule,
    /// A key stands twice in one mapping.
    #[error("duplicate key `{key}`")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A key that must be there is not.
    #[error("`{key}` is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A key that is none of those possible here.
    #[error("unknown key `{key}` in {place}")]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it stands.
        place: &'static str,
    },
    /// A value of the wrong kind.
    #[error("{what} must be {expected}")]
    Expected {
        /// What has the value.
        what: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A value that is none of those possible.
    #[error("`{value}` is no {what}")]
    UnknownValue {
        /// What the value should be.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// A Sigma construct that this engine does not evaluate.
    #[error("{what} not supported")]
    Unsupported {
        /// The construct, with its verb: `correlation rules are`.
        what: &'static str,
    },
    /// A modifier that Sigma does not define.
    #[error("unknown modifier `{modifier}`")]
    UnknownModifier {
        /// The modifier.
        modifier: String,
    },
    /// Modifiers that contradict each other, or stand in an order that means nothing.
    #[error("modifier `{modifier}` cannot be used here: {why}")]
    ModifierConflict {
        /// The modifier.
        modifier: String,
        /// Why.
        why: &'static str,
    },
    /// A placeholder of the `expand` modifier, for which there is no value.
    #[error("placeholder `%{name}%` has no value")]
    Placeholder {
        /// Its name.
        name: String,
    },
    /// A field that events of this log source do not have.
    #[error("events of this log source have no field `{field}`")]
    UnknownField {
        /// The field.
        field: String,
    },
    /// A selection without an item, or an item without a value.
    #[error("{what} is empty")]
    Empty {
        /// What is empty.
        what: String,
    },
    /// A condition names a selection that is not defined.
    #[error("selection `{name}` is not defined")]
    UndefinedSelection {
        /// The name.
        name: String,
    },
    /// A pattern of a condition that fits no selection.
    #[error("no selection fits `{pattern}`")]
    NoSelectionFits {
        /// The pattern.
        pattern: String,
    },
    /// A selection that no condition names.
    #[error("selection `{name}` is not used by the condition")]
    UnusedSelection {
        /// The name.
        name: String,
    },
    /// A condition that cannot be read.
    #[error("condition: {expected} expected{}", found.as_ref().map(|word| format!(", found `{word}`")).unwrap_or_default())]
    Condition {
        /// What should stand here.
        expected: &'static str,
        /// What stands here.
        found: Option<String>,
    },
    /// A regular expression that does not compile.
    #[error("bad regular expression: {detail}")]
    BadRegex {
        /// The compiler's words.
        detail: String,
    },
    /// Not an address range.
    #[error("`{text}` is no address range")]
    BadCidr {
        /// The text.
        text: String,
    },
    /// Two rules with one id.
    #[error("rule id {id} is already used by {first}")]
    DuplicateId {
        /// The id.
        id: String,
        /// `path:line` of the first rule with it.
        first: String,
    },
    /// Something that is valid but means nothing, or not what it seems to.
    #[error("{what}")]
    Doubtful {
        /// What it is.
        what: String,
    },
}

impl RuleError {
    /// The error as a block of text: the problem, the place, the source line with a caret, the suggestion.
    ///
    /// ```text
    /// error: unknown modifier `contain`
    ///   --> rules/ssh.yml:9:21
    ///    |
    ///  9 |         CommandLine|contain: ssh
    ///    |                     ^^^^^^^
    ///    = did you mean `contains`?
    /// ```
    pub fn render(&self) -> String {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let Self { severity, problem, path, line, column, .. } = self;
        let mut lines = vec![format!("{severity}: {problem}"), format!("{margin} --> {path}:{line}:{column}")];
        if !self.source_line.is_empty() {
            let (shown, lead) = window(&self.source_line, self.column);
            let rest = shown.chars().count().saturating_sub(lead);
            let width = if self.length == 0 { rest } else { self.length.min(rest) }.max(1);
            // Tabs stay tabs, so that the caret stands under what it means however wide they are shown.
            let indent: String = shown.chars().take(lead).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            lines.push(format!("{margin}  |"));
            lines.push(format!("{number}  | {shown}"));
            lines.push(format!("{margin}  | {indent}{}", "^".repeat(width)));
        }
        lines.extend(self.suggestion.iter().map(|suggestion| format!("{margin}  = {suggestion}")));
        lines.join("\n") + "\n"
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.path, self.line, self.column, self.severity, self.problem)?;
        self.suggestion.iter().try_for_each(|suggestion| write!(f, " ({suggestion})"))
    }
}

impl std::error::Error for RuleError {}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Collects what is wrong in one file.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    path: &'a str,
    lines: Vec<&'a str>,
    pub(crate) found: Vec<RuleError>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(path: &'a str, text: &'a str) -> Self {
        Self { path, lines: text.lines().collect(), found: Vec::new() }
    }

    /// Adds an error.
    pub(crate) fn error(&mut self, span: Span, problem: Problem, suggestion: Option<String>) {
        self.add(span, Severity::Error, problem, suggestion);
    }

    /// Adds a warning.
    pub(crate) fn warn(&mut self, span: Span, problem: Problem, suggestion: Option<String>) {
        self.add(span, Severity::Warning, problem, suggestion);
    }

    /// How many errors (not warnings) there are.
    pub(crate) fn errors(&self) -> usize {
        self.found.iter().filter(|found| found.severity == Severity::Error).count()
    }

    /// The end of the last line for what is found after it: an empty line shows nothing.
    fn last_line_at_most(&self, span: Span) -> Span {
        match self.lines.last() {
            Some(line) if span.line > self.lines.len() => {
                Span { line: self.lines.len(), column: line.chars().count() + 1, length: 1, inline: None }
            }
            _ => span,
        }
    }

    fn add(&mut self, span: Span, severity: Severity, problem: Problem, suggestion: Option<String>) {
        let span = self.last_line_at_most(span);
        let source_line = self.lines.get(span.line.saturating_sub(1)).map(|&line| line.to_owned()).unwrap_or_default();
        let Span { line, column, length, .. } = span;
        let path = self.path.to_owned();
        self.found.push(RuleError { path, line, column, length, source_line, severity, problem, suggestion });
    }
}

/// "did you mean …?" for a name that is near one of the candidates.
pub(crate) fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    crate::suggest::nearest(word, candidates).map(|name| format!("did you mean `{name}`?"))
}

/// Most characters of a source line that are shown.
const MAX_SHOWN: usize = 160;

/// The part of a long line that holds the column, and how many of its characters stand before the column.
fn window(line: &str, column: usize) -> (String, usize) {
    let at = column.saturating_sub(1);
    let skipped = if at > MAX_SHOWN / 2 && line.chars().count() > MAX_SHOWN { at - MAX_SHOWN / 2 } else { 0 };
    (line.chars().skip(skipped).take(MAX_SHOWN).collect(), at - skipped)
}
