//! Expansion of words: braces, parameters, command substitution, arithmetic, splitting. File names are not expanded.

use super::glob::Pattern;
use super::state::{Field, Shell, Value};
use super::syntax::{Param, ParamOp, Part, Quoting, Replace, Word};

/// What a parameter expands to.
pub(super) enum Expansion {
    One(String),
    Many(Vec<String>),
    /// Never set by this text: perhaps empty, perhaps inherited.
    Unset,
    Unknown,
}

/// Values below this many bytes cost nothing beyond the reading of their expansion.
const SHORT: usize = 64;

/// Names that a login shell always has, so that `${HOME:-x}` is not `x`.
const INHERITED: [&str; 14] = [
    "HOME", "PATH", "USER", "LOGNAME", "SHELL", "PWD", "TERM", "LANG", "HOSTNAME", "UID", "EUID", "PPID", "OLDPWD",
    "SHLVL",
];

impl Shell {
    /// Words -> fields.
    pub(super) fn expand_all(&mut self, words: &[Word]) -> Vec<Field> {
        let mut fields = Vec::new();
        for word in words {
            fields.extend(self.expand(word));
        }
        fields
    }

    /// One word -> its fields; none if it expands to nothing.
    pub(super) fn expand(&mut self, word: &Word) -> Vec<Field> {
        let mut fields = Vec::new();
        for parts in super::brace::expand(&word.parts, &mut self.budget) {
            let mut builder = Builder::default();
            for part in &parts {
                self.part(part, &mut builder);
            }
            fields.extend(builder.finish());
        }
        fields
    }

    /// One word -> one field, without splitting: assignments, redirections, here-documents.
    pub(super) fn expand_joined(&mut self, word: &Word) -> Field {
        let mut joined = Field::known("");
        for part in &word.parts {
            let mut builder = Builder { whole: true, ..Builder::default() };
            self.part(part, &mut builder);
            for (n, field) in builder.finish().into_iter().enumerate() {
                joined.text.push_str(if n > 0 { " " } else { "" });
                joined.text.push_str(&field.text);
                joined.known &= field.known;
            }
        }
        joined
    }

    fn part(&mut self, part: &Part, builder: &mut Builder) {
        match part {
            Part::Plain(text) | Part::Quoted(text) => {
                self.budget.spend(text.len() / 8);
                builder.push(text, true);
            }
            Part::Param(param, quoting) => {
                let value = self.param(param);
                self.put(value, &param.raw, *quoting, matches!(param.name.as_str(), "*"), builder);
            }
            Part::Command(script, raw, quoting) => {
                let value = self.capture(script).map_or(Expansion::Unknown, Expansion::One);
                self.put(value, raw, *quoting, false, builder);
            }
            Part::Arith(word, raw, quoting) => {
                let expression = self.expand_joined(word);
                let value = if expression.known { self.arithmetic(&expression.text) } else { None };
                let value = value.map_or(Expansion::Unknown, |value| Expansion::One(value.to_string()));
                self.put(value, raw, *quoting, false, builder);
            }
            Part::Process(script, raw) => {
                let content = self.capture(script);
                if let Some(content) = content {
                    self.files.insert(raw.to_string(), content.into_bytes());
                }
                builder.push(raw, true);
            }
            Part::Array(words) => {
                for field in self.expand_all(words) {
                    builder.push(&field.text, field.known);
                    builder.end_field();
                }
            }
        }
    }

    fn put(&mut self, value: Expansion, raw: &str, quoting: Quoting, star: bool, builder: &mut Builder) {
        let bare = quoting == Quoting::Bare && !builder.whole;
        let size = match &value {
            Expansion::One(text) => text.len(),
            Expansion::Many(items) => items.iter().map(String::len).sum(),
            Expansion::Unset | Expansion::Unknown => 0,
        };
        let value = if size < SHORT || self.budget.burn(size / 8) { value } else { Expansion::Unknown };
        match value {
            Expansion::One(text) if bare => self.split(&text, builder),
            Expansion::One(text) => builder.push(&text, true),
            Expansion::Many(items) if bare => {
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        builder.end_field();
                    }
                    self.split(item, builder);
                }
            }
            Expansion::Many(items) if star || builder.whole => {
                if !items.is_empty() || quoting == Quoting::Double {
                    builder.push(&items.join(" "), true);
                }
            }
            // `"$@"`: every item is a field; none leaves no field at all.
            Expansion::Many(items) => {
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        builder.end_field();
                    }
                    builder.push(item, true);
                }
            }
            Expansion::Unset | Expansion::Unknown => builder.push(raw, false),
        }
    }

    fn split(&mut self, text: &str, builder: &mut Builder) {
        let separators = match self.value("IFS") {
            Some(Value::Text(ifs)) => ifs.clone(),
            _ => " \t\n".to_owned(),
        };
        if separators.is_empty() {
            builder.push(text, true);
            return;
        }
        for (n, piece) in text.split(|c| separators.contains(c)).enumerate() {
            if n > 0 {
                builder.end_field();
            }
            if !piece.is_empty() {
                builder.push(piece, true);
            }
        }
    }

    pub(super) fn param(&mut self, param: &Param) -> Expansion {
        let base = self.base(param);
        match &param.op {
            ParamOp::Value | ParamOp::Require => base,
            ParamOp::Length => length(&base),
            ParamOp::Indirect => match base {
                Expansion::One(name) => self.named(&name),
                Expansion::Many(items) if items.is_empty() => Expansion::Many(items),
                _ => Expansion::Unknown,
            },
            ParamOp::Names => {
                let mut names: Vec<_> =
                    self.names().filter(|name| name.starts_with(&param.name)).map(str::to_owned).collect();
                names.sort_unstable();
                Expansion::Many(names)
            }
            ParamOp::Default { word, colon, assign } => {
                if !is_missing(param, &base, *colon) {
                    return base;
                }
                let field = self.expand_joined(word);
                if *assign {
                    self.set(&param.name, if field.known { Value::Text(field.text.clone()) } else { Value::Unknown });
                }
                if field.known { Expansion::One(field.text) } else { Expansion::Unknown }
            }
            ParamOp::Alternative { word, colon } => {
                if is_missing(param, &base, *colon) {
                    return Expansion::One(String::new());
                }
                let field = self.expand_joined(word);
                if field.known { Expansion::One(field.text) } else { Expansion::Unknown }
            }
            ParamOp::Slice { offset, length } => self.slice(param, base, offset, length.as_ref()),
            ParamOp::Trim { pattern, end, longest } => {
                let pattern = self.pattern(pattern);
                self.map_texts(base, |shell, text| shell.trim(text, pattern.as_ref(), *end, *longest))
            }
            ParamOp::Replace { pattern, with, how } => {
                let pattern = self.pattern(pattern);
                let with = self.expand_joined(with);
                self.map_texts(base, |shell, text| {
                    shell.replace(text, pattern.as_ref(), with.known.then_some(with.text.as_str()), *how)
                })
            }
            ParamOp::Case { change, all } => self.map_texts(base, |_, text| Some(recase(text, *change, *all))),
            ParamOp::Other => match base {
                Expansion::Many(items) if items.is_empty() => Expansion::Many(items),
                _ => Expansion::Unknown,
            },
        }
    }

    fn base(&mut self, param: &Param) -> Expansion {
        let Some(index) = &param.index else { return self.named(&param.name) };
        let index = self.expand_joined(index);
        let items = match self.value(&param.name) {
            Some(Value::List(items)) => items.clone(),
            Some(Value::Text(text)) => vec![text.clone()],
            Some(Value::Unknown) => return Expansion::Unknown,
            None => return Expansion::Unset,
        };
        if matches!(index.text.as_str(), "@" | "*") {
            return Expansion::Many(items);
        }
        let at = self.arithmetic(&index.text).map(|at| if at < 0 { at + count(items.len()) } else { at });
        match at.and_then(|at| usize::try_from(at).ok()) {
            Some(at) => Expansion::One(items.get(at).cloned().unwrap_or_default()),
            None => Expansion::Unknown,
        }
    }

    fn named(&mut self, name: &str) -> Expansion {
        let positional = match self.value("@") {
            Some(Value::List(items)) => Some(items),
            _ => None,
        };
        match name {
            "@" | "*" => positional.map_or(Expansion::Unknown, |items| Expansion::Many(items.clone())),
            "#" => positional.map_or(Expansion::Unknown, |items| Expansion::One(items.len().to_string())),
            "?" | "$" | "!" | "-" | "_" => Expansion::Unknown,
            _ => match name.parse::<usize>().ok().filter(|n| *n > 0) {
                Some(n) => positional
                    .map_or(Expansion::Unknown, |items| Expansion::One(items.get(n - 1).cloned().unwrap_or_default())),
                None => match self.value(name) {
                    Some(Value::Text(text)) => Expansion::One(text.clone()),
                    Some(Value::List(items)) => Expansion::One(items.first().cloned().unwrap_or_default()),
                    Some(Value::Unknown) => Expansion::Unknown,
                    None => Expansion::Unset,
                },
            },
        }
    }

    fn map_texts(&mut self, base: Expansion, change: impl Fn(&mut Self, &str) -> Option<String>) -> Expansion {
        match base {
            Expansion::One(text) => change(self, &text).map_or(Expansion::Unknown, Expansion::One),
            Expansion::Many(items) => {
                let items: Option<Vec<_>> = items.iter().map(|item| change(self, item)).collect();
                items.map_or(Expansion::Unknown, Expansion::Many)
            }
            other => other,
        }
    }

    fn slice(&mut self, param: &Param, base: Expansion, offset: &Word, length: Option<&Word>) -> Expansion {
        let offset = self.expand_joined(offset);
        let start = if offset.text.trim().is_empty() { Some(0) } else { self.arithmetic(&offset.text) };
        let length = match length {
            None => None,
            Some(word) => {
                let text = self.expand_joined(word).text;
                match self.arithmetic(&text) {
                    None => return Expansion::Unknown,
                    length => length,
                }
            }
        };
        let Some(start) = start else { return Expansion::Unknown };
        match base {
            Expansion::One(text) => {
                let chars: Vec<char> = text.chars().collect();
                Expansion::One(window(&chars, start, length).iter().collect())
            }
            Expansion::Many(mut items) => {
                if param.index.is_none() {
                    // Positional parameters count from `$0`.
                    items.insert(0, "bash".to_owned());
                }
                Expansion::Many(window(&items, start, length).to_vec())
            }
            other => other,
        }
    }

    /// A word as a pattern; `None` if part of it is not known.
    pub(super) fn pattern(&mut self, word: &Word) -> Option<Pattern> {
        let mut pattern = Pattern::default();
        for part in &word.parts {
            match part {
                Part::Plain(text) => pattern.push_glob(text),
                Part::Quoted(text) => pattern.push_literal(text),
                part => {
                    let quoted = matches!(part, Part::Param(_, Quoting::Double) | Part::Command(_, _, Quoting::Double));
                    let value = self.expand_joined(&Word { parts: vec![part.clone()], odd: false });
                    if !value.known {
                        return None;
                    }
                    if quoted {
                        pattern.push_literal(&value.text);
                    } else {
                        pattern.push_glob(&value.text);
                    }
                }
            }
        }
        Some(pattern)
    }

    fn trim(&mut self, text: &str, pattern: Option<&Pattern>, end: bool, longest: bool) -> Option<String> {
        if text.is_empty() {
            return Some(String::new());
        }
        let pattern = pattern?;
        let chars: Vec<char> = text.chars().collect();
        if !self.budget.burn(pattern.cost(chars.len()) * chars.len()) {
            return None;
        }
        // What is cut off, shortest first.
        let mut cuts: Vec<usize> = (0..=chars.len()).collect();
        if longest {
            cuts.reverse();
        }
        for cut in cuts {
            let (removed, kept) = if end {
                (chars.get(chars.len() - cut..)?, chars.get(..chars.len() - cut)?)
            } else {
                (chars.get(..cut)?, chars.get(cut..)?)
            };
            if pattern.matches(removed) {
                return Some(kept.iter().collect());
            }
        }
        Some(text.to_owned())
    }

    fn replace(&mut self, text: &str, pattern: Option<&Pattern>, with: Option<&str>, how: Replace) -> Option<String> {
        if text.is_empty() {
            return Some(String::new());
        }
        let (pattern, with) = (pattern?, with?);
        let chars: Vec<char> = text.chars().collect();
        let mut out = String::new();
        let mut at = 0;
        let mut done = false;
        while at < chars.len() {
            let tries = !done && (how != Replace::Start || at == 0);
            let left = chars.len() - at;
            if !self.budget.burn(pattern.cost(left) * pattern.tries(left)) {
                return None;
            }
            let end = if tries { longest_match(&chars, at, pattern, how == Replace::End) } else { None };
            if let Some(end) = end {
                out.push_str(with);
                done = how != Replace::All;
                at = end;
            } else {
                out.extend(chars.get(at));
                at += 1;
            }
        }
        Some(out)
    }
}

/// Fields under construction.
#[derive(Debug, Default)]
struct Builder {
    fields: Vec<Field>,
    current: Option<Field>,
    /// No splitting: one field comes out.
    whole: bool,
}

impl Builder {
    fn push(&mut self, text: &str, known: bool) {
        let current = self.current.get_or_insert_with(|| Field::known(""));
        current.text.push_str(text);
        current.known &= known;
    }

    fn end_field(&mut self) {
        self.fields.extend(self.current.take());
    }

    fn finish(mut self) -> Vec<Field> {
        self.end_field();
        self.fields
    }
}

fn is_missing(param: &Param, base: &Expansion, colon: bool) -> bool {
    match base {
        Expansion::Unset => !INHERITED.contains(&param.name.as_str()),
        Expansion::One(text) => colon && text.is_empty(),
        Expansion::Many(items) => items.is_empty(),
        Expansion::Unknown => false,
    }
}

/// The end of the longest non-empty match at a place.
fn longest_match(chars: &[char], at: usize, pattern: &Pattern, to_end: bool) -> Option<usize> {
    let first = if to_end { chars.len() } else { at + 1 };
    if let Some(len) = pattern.fixed_len() {
        let text = chars.get(at..at + len).filter(|_| len > 0 && (!to_end || at + len == chars.len()));
        return text.filter(|text| pattern.matches(text)).map(|_| at + len);
    }
    (first..=chars.len()).rev().find(|end| chars.get(at..*end).is_some_and(|text| pattern.matches(text)))
}

fn length(base: &Expansion) -> Expansion {
    match base {
        Expansion::One(text) => Expansion::One(text.chars().count().to_string()),
        Expansion::Many(items) => Expansion::One(items.len().to_string()),
        Expansion::Unset | Expansion::Unknown => Expansion::Unknown,
    }
}

fn count(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

fn window<T>(items: &[T], start: i64, length: Option<i64>) -> &[T] {
    let total = count(items.len());
    let from = if start < 0 { total.saturating_add(start) } else { start };
    if from < 0 || from > total {
        return &[];
    }
    let to = match length {
        None => total,
        Some(length) if length < 0 => total.saturating_add(length),
        Some(length) => from.saturating_add(length).min(total),
    };
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    range.and_then(|(from, to)| items.get(from..to)).unwrap_or_default()
}

fn recase(text: &str, change: u8, all: bool) -> String {
    let one = |c: char| -> String {
        match change {
            b'^' => c.to_uppercase().collect(),
            b',' => c.to_lowercase().collect(),
            _ if c.is_uppercase() => c.to_lowercase().collect(),
            _ => c.to_uppercase().collect(),
        }
    };
    text.chars().enumerate().map(|(n, c)| if all || n == 0 { one(c) } else { c.to_string() }).collect()
}
