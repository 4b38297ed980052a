//! Runs a syntax tree statically: every branch is read, what is known is computed, nothing is executed.

use std::rc::Rc;

use super::state::{Field, Function, Pipe, Shell, Value};
use super::syntax::{Assignment, Command, Entry, Join, Node, Part, Redirect, RedirectKind, Script, Simple, Word};
use crate::command::Mark;

/// Whether a command succeeded, if that is known.
pub(super) type Status = Option<bool>;

/// Most rounds of one loop that are read one by one.
const MAX_ROUNDS: usize = 1024;

impl Shell {
    pub(super) fn run(&mut self, script: &Script, pipe: &mut Pipe) -> Status {
        let mut status = Some(true);
        for entry in &script.entries {
            let skipped = match (entry.join, status) {
                (Join::And, Some(false)) | (Join::Or, Some(true)) => true,
                (Join::Then | Join::And | Join::Or, _) => false,
            };
            if skipped {
                // Not run, yet read: its commands are shown, what it sets is not kept.
                self.scoped(|shell| shell.entry(entry, &mut Pipe::default()));
                continue;
            }
            let written = pipe.written();
            let after = self.entry(entry, pipe);
            let maybe = entry.join != Join::Then && status.is_none();
            if maybe && written != pipe.written() {
                pipe.output = None;
            }
            status = if maybe { None } else { after };
        }
        status
    }

    fn entry(&mut self, entry: &Entry, pipe: &mut Pipe) -> Status {
        let status = match entry.stages.as_slice() {
            [] => Some(true),
            [only] => self.command(only, pipe),
            stages => self.pipeline(stages, pipe),
        };
        if entry.negated { status.map(|ok| !ok) } else { status }
    }

    fn pipeline(&mut self, stages: &[Command], pipe: &mut Pipe) -> Status {
        let mut input = pipe.input.take();
        let mut decoder = pipe.decoder;
        let mut status = None;
        for (n, stage) in stages.iter().enumerate() {
            let last = n + 1 == stages.len();
            let mut inner = Pipe { input: input.take(), output: Some(Vec::new()), decoder };
            status = self.scoped(|shell| shell.command(stage, &mut inner));
            decoder = inner.decoder;
            if last {
                pipe.write(inner.output.as_deref());
            } else {
                input = inner.output;
            }
        }
        status
    }

    /// What a script prints, without the newlines at its end; `None` if it is not known.
    pub(super) fn capture(&mut self, script: &Script) -> Option<String> {
        if !self.budget.enter() {
            return None;
        }
        let mut pipe = Pipe::collecting();
        self.scoped(|shell| shell.run(script, &mut pipe));
        self.budget.leave();
        let output = pipe.output?;
        let text = String::from_utf8_lossy(&output).replace('\0', "");
        Some(text.trim_end_matches('\n').to_owned())
    }

    pub(super) fn command(&mut self, command: &Command, pipe: &mut Pipe) -> Status {
        if command.redirects.is_empty() {
            return self.node(&command.node, pipe);
        }
        let mut inner = Pipe { input: pipe.input.take(), output: Some(Vec::new()), decoder: pipe.decoder };
        let target = self.redirects(&command.redirects, &mut inner);
        let status = self.node(&command.node, &mut inner);
        match target {
            Some((path, append)) => self.write_file(&path, inner.output, append),
            None => pipe.write(inner.output.as_deref()),
        }
        status
    }

    /// Sets the input; gives the file that the output goes to.
    fn redirects(&mut self, redirects: &[Redirect], pipe: &mut Pipe) -> Option<(String, bool)> {
        let mut target = None;
        for redirect in redirects {
            match &redirect.kind {
                RedirectKind::HereDoc(doc) => {
                    let body = doc.body.get().map_or(Field::known(""), |word| self.expand_joined(word));
                    // An expansion that is not known stays as written: most of the text still tells.
                    pipe.input = Some(body.text.into_bytes());
                }
                RedirectKind::HereString(word) => {
                    let field = self.expand_joined(word);
                    pipe.decoder |= word.parts.iter().any(|part| matches!(part, Part::Command(..)));
                    pipe.input = Some(format!("{}\n", field.text).into_bytes()).filter(|_| field.known);
                }
                RedirectKind::Input(word) => {
                    let path = self.expand_joined(word).text;
                    pipe.input = self.files.get(&path).cloned();
                }
                RedirectKind::Output { target: word, append } => {
                    let path = self.expand_joined(word).text;
                    if redirect.fd.is_none_or(|fd| fd == 1) {
                        target = Some((path, *append));
                    }
                }
                RedirectKind::Duplicate(word) => drop(self.expand_joined(word)),
            }
        }
        target
    }

    fn write_file(&mut self, path: &str, content: Option<Vec<u8>>, append: bool) {
        match content {
            Some(content) if append => {
                let file = self.files.entry(path.to_owned()).or_default();
                if file.len() + content.len() <= super::state::MAX_VALUE {
                    file.extend(content);
                }
            }
            Some(content) => drop(self.files.insert(path.to_owned(), content)),
            None => drop(self.files.remove(path)),
        }
    }

    fn node(&mut self, node: &Node, pipe: &mut Pipe) -> Status {
        match node {
            Node::Simple(simple) => self.simple(simple, pipe),
            Node::Subshell(script) => self.scoped(|shell| shell.run(script, pipe)),
            Node::Group(script) => self.run(script, pipe),
            Node::If { arms, otherwise } => self.conditional(arms, otherwise, pipe),
            Node::Loop { until, condition, body } => self.repeat(*until, condition, body, pipe),
            Node::For { name, words, body } => self.each(name, words.as_deref(), body, pipe),
            Node::ForArith { parts, body } => self.for_arithmetic(parts, body, pipe),
            Node::Case { subject, arms } => self.case(subject, arms, pipe),
            Node::Function { name, body } => {
                let function = Function { body: Rc::clone(body), called: false };
                self.functions.insert(name.clone(), function);
                Some(true)
            }
            Node::Arith(expression) => {
                let field = self.expand_joined(expression);
                if field.known { self.arithmetic(&field.text).map(|value| value != 0) } else { None }
            }
            Node::Test(words) => self.test(words),
        }
    }

    fn conditional(&mut self, arms: &[(Script, Script)], otherwise: &Script, pipe: &mut Pipe) -> Status {
        // `Some(true)` once a branch is known to have been taken.
        let mut taken = Some(false);
        let mut result = Some(true);
        for (condition, body) in arms {
            let holds = match taken {
                Some(true) => Some(false),
                _ => self.run(condition, &mut Pipe::default()),
            };
            let status = self.branch(body, holds.filter(|_| taken.is_some()), pipe);
            if holds == Some(true) && taken == Some(false) {
                result = status;
            }
            taken = match (taken, holds) {
                (Some(true), _) | (Some(false), Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
        }
        let status = self.branch(otherwise, taken.map(|taken| !taken), pipe);
        match taken {
            Some(true) => result,
            Some(false) => status,
            None => None,
        }
    }

    /// Reads a branch that is taken, is not, or may be.
    fn branch(&mut self, body: &Script, taken: Status, pipe: &mut Pipe) -> Status {
        match taken {
            Some(true) => self.run(body, pipe),
            Some(false) => self.scoped(|shell| shell.run(body, &mut Pipe::default())),
            None => {
                let written = pipe.written();
                let status = self.run(body, pipe);
                if written != pipe.written() {
                    pipe.output = None;
                }
                status
            }
        }
    }

    fn repeat(&mut self, until: bool, condition: &Script, body: &Script, pipe: &mut Pipe) -> Status {
        for round in 0..MAX_ROUNDS {
            let input = pipe.input.take();
            let mut inner = Pipe { input, output: None, decoder: pipe.decoder };
            let status = self.run(condition, &mut inner).map(|holds| holds != until);
            pipe.input = inner.input;
            match status {
                Some(true) if self.budget.burn(16) => self.run(body, pipe),
                Some(false) if round > 0 => return Some(true),
                _ => return self.branch(body, status.filter(|holds| !holds), pipe),
            };
        }
        None
    }

    fn each(&mut self, name: &str, words: Option<&[Word]>, body: &Script, pipe: &mut Pipe) -> Status {
        let items = match (words, self.value("@")) {
            (Some(words), _) => self.expand_all(words),
            (None, Some(Value::List(items))) => items.iter().map(Field::known).collect(),
            (None, _) => Vec::new(),
        };
        if items.is_empty() {
            return self.branch(body, Some(false), pipe);
        }
        let mut status = Some(true);
        for (n, item) in items.into_iter().take(MAX_ROUNDS).enumerate() {
            if n > 0 && !self.budget.burn(16) {
                self.budget.cut = true;
                pipe.output = None;
                return None;
            }
            self.set(name, if item.known { Value::Text(item.text) } else { Value::Unknown });
            status = self.run(body, pipe);
        }
        status
    }

    fn for_arithmetic(&mut self, parts: &[Word], body: &Script, pipe: &mut Pipe) -> Status {
        let mut parts = parts.iter();
        let (first, condition, step) = (parts.next(), parts.next(), parts.next());
        self.expression(first);
        for round in 0..MAX_ROUNDS {
            let holds = match condition {
                Some(word) => self.expression(Some(word)),
                None => None,
            };
            match holds {
                Some(0) if round > 0 => return Some(true),
                Some(0) => return self.branch(body, Some(false), pipe),
                Some(_) if self.budget.burn(16) => self.run(body, pipe),
                _ => return self.branch(body, None, pipe),
            };
            self.expression(step)?;
        }
        None
    }

    fn expression(&mut self, word: Option<&Word>) -> Option<i64> {
        let field = self.expand_joined(word?);
        if field.known { self.arithmetic(&field.text) } else { None }
    }

    fn case(&mut self, subject: &Word, arms: &[(Vec<Word>, Script)], pipe: &mut Pipe) -> Status {
        let subject = self.expand_joined(subject);
        let text: Vec<char> = subject.text.chars().collect();
        let mut taken = Some(false);
        for (patterns, body) in arms {
            let mut matches = if subject.known { Some(false) } else { None };
            for pattern in patterns {
                let pattern = self.pattern(pattern);
                let cost = pattern.as_ref().map_or(1, |pattern| pattern.cost(text.len()));
                let one = pattern.filter(|_| subject.known && self.budget.burn(cost)).map(|p| p.matches(&text));
                matches = match (matches, one) {
                    (Some(true), _) | (Some(false), Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                };
            }
            let runs = match (taken, matches) {
                (Some(false), matches) => matches,
                (Some(true), _) | (None, Some(false)) => Some(false),
                (None, _) => None,
            };
            self.branch(body, runs, pipe);
            taken = match (taken, matches) {
                (Some(true), _) | (Some(false), Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
        }
        None
    }

    fn simple(&mut self, simple: &Simple, pipe: &mut Pipe) -> Status {
        self.budget.spend(1);
        if simple.words.is_empty() {
            for assignment in &simple.assignments {
                self.assign(assignment);
            }
            return Some(true);
        }
        let fields = self.expand_all(&simple.words);
        self.note_shape(&simple.words, &fields);
        if fields.is_empty() {
            return None;
        }
        // Assignments before a command hold for it alone; keeping them apart matters to `eval` only.
        let local = simple.assignments.is_empty();
        if local {
            return self.alias_or_run(&simple.words, fields, pipe);
        }
        self.scoped(|shell| {
            for assignment in &simple.assignments {
                shell.assign(assignment);
            }
            shell.alias_or_run(&simple.words, fields, pipe)
        })
    }

    fn alias_or_run(&mut self, words: &[Word], fields: Vec<Field>, pipe: &mut Pipe) -> Status {
        let name = words.first().and_then(Word::plain);
        let Some(body) = name.and_then(|name| self.aliases.remove_entry(name)) else {
            return self.start(fields, pipe);
        };
        // Out of the table while it is read: an alias does not expand inside itself.
        let (name, text) = body;
        let rest: Vec<String> = fields.iter().skip(1).map(|field| quote(&field.text)).collect();
        let line = if rest.is_empty() { text.clone() } else { format!("{text} {}", rest.join(" ")) };
        let status = self.inner_text(&line, None, pipe);
        self.aliases.insert(name, text);
        status
    }

    pub(super) fn assign(&mut self, assignment: &Assignment) {
        if let Some(Part::Array(words)) = assignment.value.parts.iter().find(|part| matches!(part, Part::Array(_))) {
            let mut items = match (assignment.append, self.value(&assignment.name)) {
                (true, Some(Value::List(items))) => items.clone(),
                _ => Vec::new(),
            };
            let fields = self.expand_all(words);
            let known = fields.iter().all(|field| field.known);
            items.extend(fields.into_iter().map(|field| field.text));
            self.set(&assignment.name, if known { Value::List(items) } else { Value::Unknown });
            return;
        }
        let field = self.expand_joined(&assignment.value);
        if let Some(index) = &assignment.index {
            self.assign_item(&assignment.name, index, field);
            return;
        }
        let old = match (assignment.append, self.value(&assignment.name)) {
            (true, Some(Value::Text(old))) => Some(old.clone()),
            (false, _) | (true, None) => Some(String::new()),
            (true, _) => None,
        };
        let value = match old {
            Some(old) if field.known => Value::Text(old + &field.text),
            _ => Value::Unknown,
        };
        self.set(&assignment.name, value);
    }

    fn assign_item(&mut self, name: &str, index: &str, field: Field) {
        let at = self.arithmetic(index).and_then(|at| usize::try_from(at).ok()).filter(|at| *at < MAX_ROUNDS);
        let mut items = match self.value(name) {
            Some(Value::List(items)) => items.clone(),
            Some(Value::Text(text)) => vec![text.clone()],
            Some(Value::Unknown) => return,
            None => Vec::new(),
        };
        self.budget.spend(items.len());
        let Some(at) = at.filter(|_| field.known) else { return self.set(name, Value::Unknown) };
        if items.len() <= at {
            items.resize(at + 1, String::new());
        }
        if let Some(item) = items.get_mut(at) {
            *item = field.text;
        }
        self.set(name, Value::List(items));
    }

    /// Marks text that hides what it runs.
    fn note_shape(&mut self, words: &[Word], fields: &[Field]) {
        let odd = words.iter().any(|word| word.odd);
        let Some(first) = words.first() else { return };
        let plain = |part: &Part| matches!(part, Part::Plain(_) | Part::Quoted(_));
        let assembled = !first.parts.iter().all(plain) && fields.first().is_some_and(|field| field.known);
        let several = first.parts.len() > 1 || !matches!(first.parts.first(), Some(Part::Param(..)));
        let braces =
            matches!(first.parts.first(), Some(Part::Plain(text)) if text.starts_with('{') && text.contains(','));
        let glob = matches!(first.parts.as_slice(), [Part::Plain(text)] if hides_name(text));
        let blanks = words
            .iter()
            .flat_map(|word| &word.parts)
            .any(|part| matches!(part, Part::Param(param, super::syntax::Quoting::Bare) if param.name == "IFS"));
        if odd || (assembled && several) || braces || glob || blanks {
            self.marks.insert(Mark::Obfuscated);
        }
    }

    /// `[[ … ]]`, as far as it compares known texts.
    fn test(&mut self, words: &[Word]) -> Status {
        match words {
            [flag, word] if matches!(flag.plain(), Some("-n" | "-z")) => {
                let field = self.expand_joined(word);
                field.known.then(|| field.text.is_empty() == (flag.plain() == Some("-z")))
            }
            [left, operator, right] => {
                let left = self.expand_joined(left);
                let pattern = self.pattern(right);
                let known = left.known;
                let number = self.expand_joined(right);
                match operator.plain()? {
                    "==" | "=" | "!=" => {
                        let text: Vec<char> = left.text.chars().collect();
                        let equal = pattern.filter(|_| known)?.matches(&text);
                        Some(equal == (operator.plain() != Some("!=")))
                    }
                    operator => compare(operator, left.text.parse().ok()?, number.text.parse().ok()?),
                }
            }
            _ => {
                for word in words {
                    self.expand_joined(word);
                }
                None
            }
        }
    }
}

/// `-eq` and its like.
pub(super) fn compare(operator: &str, left: i64, right: i64) -> Status {
    Some(match operator {
        "-eq" => left == right,
        "-ne" => left != right,
        "-lt" => left < right,
        "-le" => left <= right,
        "-gt" => left > right,
        "-ge" => left >= right,
        _ => return None,
    })
}

/// A glob that stands for a program's name: `/bin/c?t`, `c[a]t`.
fn hides_name(text: &str) -> bool {
    let name = text.rsplit('/').next().unwrap_or_default();
    text.contains(['?', '*']) && text.contains('/')
        || (name.contains('[') && name.contains(']') && name.len() > 2)
        || (name.contains('?') && name.len() > 1)
}

/// A word quoted for the shell, so that reading it again gives the same text.
pub(super) fn quote(text: &str) -> String {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&b);
    if !text.is_empty() && text.bytes().all(safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
