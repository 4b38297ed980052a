//! Conditions: the text of `condition:` -> a tree over selections.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Problem, Report, did_you_mean};
use crate::yaml::Span;

/// A truth over selections (of a condition) or over items (of a selection).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expr {
    /// Every part holds; an empty list holds.
    And(Vec<Expr>),
    /// At least one part holds.
    Or(Vec<Expr>),
    /// The part does not hold.
    Not(Box<Expr>),
    /// The selection with this index.
    Selection(usize),
    /// The item with this index.
    Item(usize),
}

/// Deepest nesting of brackets and `not`.
const MAX_DEPTH: usize = 64;

/// Deepest nesting of a truth, with what lists of conditions and mappings add to brackets.
const MAX_EXPR_DEPTH: usize = 2 * MAX_DEPTH + 8;

/// A truth as it is stored: its parts first, so that reading one back takes no recursion.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Step {
    And(usize),
    Or(usize),
    Not,
    Selection(usize),
    Item(usize),
}

impl Expr {
    fn push_steps(&self, steps: &mut Vec<Step>) {
        match self {
            Self::And(parts) => {
                for part in parts {
                    part.push_steps(steps);
                }
                steps.push(Step::And(parts.len()));
            }
            Self::Or(parts) => {
                for part in parts {
                    part.push_steps(steps);
                }
                steps.push(Step::Or(parts.len()));
            }
            Self::Not(part) => {
                part.push_steps(steps);
                steps.push(Step::Not);
            }
            Self::Selection(index) => steps.push(Step::Selection(*index)),
            Self::Item(index) => steps.push(Step::Item(*index)),
        }
    }

    /// `None` if the steps make no truth, or one that is too deep.
    fn of_steps(steps: &[Step]) -> Option<Self> {
        let mut open: Vec<(Self, usize)> = Vec::new();
        for step in steps {
            let parts = match step {
                Step::And(parts) | Step::Or(parts) => *parts,
                Step::Not => 1,
                Step::Selection(_) | Step::Item(_) => 0,
            };
            let parts = open.split_off(open.len().checked_sub(parts)?);
            let depth = parts.iter().map(|(_, depth)| depth + 1).max().unwrap_or(0);
            if depth > MAX_EXPR_DEPTH {
                return None;
            }
            let mut parts = parts.into_iter().map(|(part, _)| part);
            let expr = match step {
                Step::And(_) => Self::And(parts.collect()),
                Step::Or(_) => Self::Or(parts.collect()),
                Step::Not => Self::Not(Box::new(parts.next()?)),
                Step::Selection(index) => Self::Selection(*index),
                Step::Item(index) => Self::Item(*index),
            };
            open.push((expr, depth));
        }
        let (expr, _) = open.pop()?;
        open.is_empty().then_some(expr)
    }

    /// Whether it is made of items alone: what a selection may be, so that none can lead back to itself.
    pub(crate) fn is_of_items(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().all(Self::is_of_items),
            Self::Not(part) => part.is_of_items(),
            Self::Selection(_) => false,
            Self::Item(_) => true,
        }
    }
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut steps = Vec::new();
        self.push_steps(&mut steps);
        steps.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Expr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let steps = Vec::<Step>::deserialize(deserializer)?;
        Self::of_steps(&steps).ok_or_else(|| serde::de::Error::custom("no condition"))
    }
}

/// Reads a condition; what is wrong goes into the report.
///
/// Grammar, `not` binding tighter than `and`, `and` tighter than `or`, words without regard to case:
/// `or = and {"or" and}`, `and = unary {"and" unary}`, `unary = "not" unary | "(" or ")" | ("1"|"any"|"all") "of"
/// (pattern|"them") | selection`. Source: Sigma 2.1 rules specification, "Condition".
pub(crate) fn parse(text: &str, span: Span, selections: &[String], report: &mut Report<'_>) -> Option<Expr> {
    let words = words(text);
    let mut parser = Parser { words: &words, at: 0, depth: 0, span, end: text.chars().count(), selections, report };
    let expr = parser.or()?;
    match parser.peek() {
        None => Some(expr),
        Some("|") => parser.fail(
            Problem::Unsupported { what: "aggregations in conditions are" },
            Some("a correlation rule replaces them".into()),
        ),
        Some(")") => parser.expected("no closing bracket"),
        Some(_) => parser.expected("`and` or `or`"),
    }
}

/// A word or bracket, and the character at which it begins.
struct Word<'t> {
    text: &'t str,
    start: usize,
}

struct Parser<'p, 'r> {
    words: &'p [Word<'p>],
    at: usize,
    depth: usize,
    span: Span,
    end: usize,
    selections: &'p [String],
    report: &'p mut Report<'r>,
}

impl<'p> Parser<'p, '_> {
    fn or(&mut self) -> Option<Expr> {
        let mut parts = vec![self.and()?];
        while self.take("or") {
            parts.push(self.and()?);
        }
        Some(join(parts, Expr::Or))
    }

    fn and(&mut self) -> Option<Expr> {
        let mut parts = vec![self.unary()?];
        while self.take("and") {
            parts.push(self.unary()?);
        }
        Some(join(parts, Expr::And))
    }

    fn unary(&mut self) -> Option<Expr> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail(Problem::Limit { what: "nesting of the condition", limit: MAX_DEPTH }, None);
        }
        let expr = if self.take("not") {
            Expr::Not(Box::new(self.unary()?))
        } else if self.take("(") {
            let inner = self.or()?;
            if !self.take(")") {
                return self.expected("`)`");
            }
            inner
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Some(expr)
    }

    fn primary(&mut self) -> Option<Expr> {
        let word = match self.peek() {
            None => return self.expected("a selection"),
            Some(word) if is_reserved(word) => return self.expected("a selection"),
            Some(word) => word,
        };
        if self.words.get(self.at + 1).is_some_and(|next| next.text.eq_ignore_ascii_case("of")) {
            return self.quantified(word);
        }
        if word.contains('*') {
            let advice = format!("write `1 of {word}` or `all of {word}`");
            return self
                .fail(Problem::Condition { expected: "a selection", found: Some(word.to_owned()) }, Some(advice));
        }
        let Some(index) = self.selections.iter().position(|name| name == word) else {
            let advice = did_you_mean(word, self.selections.iter().map(String::as_str));
            return self.fail(Problem::UndefinedSelection { name: word.to_owned() }, advice);
        };
        self.at += 1;
        Some(Expr::Selection(index))
    }

    /// `1 of x*`, `any of x*`, `all of them`: the word before `of` is `quantifier`.
    fn quantified(&mut self, quantifier: &str) -> Option<Expr> {
        let combine = match quantifier.to_ascii_lowercase().as_str() {
            "1" | "any" => Expr::Or,
            "all" => Expr::And,
            _ => {
                let found = Some(quantifier.to_owned());
                return self.fail(Problem::Condition { expected: "`1`, `any` or `all`", found }, None);
            }
        };
        self.at += 2;
        let pattern = match self.peek() {
            None => return self.expected("a pattern or `them`"),
            Some(word) if is_reserved(word) => return self.expected("a pattern or `them`"),
            Some(word) => word,
        };
        let them = pattern.eq_ignore_ascii_case("them");
        let fits = |name: &String| {
            // A leading underscore takes a selection out of `them` and of patterns that do not name it.
            let hidden = name.starts_with('_') && !pattern.starts_with('_');
            !hidden && (them || glob(pattern, name))
        };
        let parts: Vec<Expr> = self
            .selections
            .iter()
            .enumerate()
            .filter(|(_, name)| fits(name))
            .map(|(index, _)| Expr::Selection(index))
            .collect();
        if parts.is_empty() {
            let stem = pattern.trim_end_matches('*');
            let advice = did_you_mean(stem, self.selections.iter().map(String::as_str));
            return self.fail(Problem::NoSelectionFits { pattern: pattern.to_owned() }, advice);
        }
        self.at += 1;
        Some(join(parts, combine))
    }

    fn peek(&self) -> Option<&'p str> {
        self.words.get(self.at).map(|word| word.text)
    }

    fn take(&mut self, expected: &str) -> bool {
        let taken = self.peek().is_some_and(|word| word.eq_ignore_ascii_case(expected));
        self.at += usize::from(taken);
        taken
    }

    fn expected(&mut self, expected: &'static str) -> Option<Expr> {
        let found = self.peek().map(str::to_owned);
        self.fail(Problem::Condition { expected, found }, None)
    }

    fn fail(&mut self, problem: Problem, suggestion: Option<String>) -> Option<Expr> {
        let span = match self.words.get(self.at) {
            Some(word) => self.span.within(word.start, word.text.chars().count()),
            None => self.span.within(self.end, 1),
        };
        self.report.error(span, problem, suggestion);
        None
    }
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut begin: Option<(usize, usize)> = None;
    let end = text.chars().count();
    let positions = text.char_indices().enumerate().map(|(n, (at, c))| (n, at, Some(c)));
    for (n, at, c) in positions.chain([(end, text.len(), None)]) {
        let single = matches!(c, Some('(' | ')' | '|'));
        if single || c.is_none_or(char::is_whitespace) {
            if let Some((start, from)) = begin.take() {
                words.extend(text.get(from..at).map(|text| Word { text, start }));
            }
            if single {
                words.extend(text.get(at..=at).map(|text| Word { text, start: n }));
            }
        } else if begin.is_none() {
            begin = Some((n, at));
        }
    }
    words
}

fn is_reserved(word: &str) -> bool {
    ["and", "or", "of", "not", "(", ")", "|"].iter().any(|reserved| word.eq_ignore_ascii_case(reserved))
}

fn join(mut parts: Vec<Expr>, combine: fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.len() {
        1 => parts.pop().unwrap_or(Expr::And(Vec::new())),
        _ => combine(parts),
    }
}

/// Whether a selection's name fits a pattern with `*`.
fn glob(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return left.ends_with(piece);
        }
        let Some(at) = left.find(piece) else { return false };
        left = left.get(at + piece.len()..).unwrap_or_default();
    }
    true
}
