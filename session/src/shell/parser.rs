//! Shell text -> syntax tree. Tolerant: text that a shell would refuse still gives the commands that it shows.
//!
//! The grammar is that of POSIX.1-2024 XCU 2.10 with the extensions of bash 5.2 that people type; `end` closes a compound
//! command for fish's sake. The position only moves forward, nesting and steps are bounded, so any text ends soon.

use std::rc::Rc;

use super::Unfinished;
use super::budget::Budget;
use super::syntax::{
    Assignment, Command, Entry, HereDoc, Join, Node, Part, Redirect, RedirectKind, Script, Simple, Word,
};
use super::words::here_text;

/// Reads one piece of text.
#[derive(Debug)]
pub(super) struct Parser<'t, 'b> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    pub(super) budget: &'b mut Budget,
    /// Here-documents whose bodies begin at the next newline.
    pub(super) pending: Vec<Rc<HereDoc>>,
    /// The first thing that was open when the text ended.
    pub(super) open: Option<Unfinished>,
}

/// Words that end a list in command position.
const CLOSERS: [&str; 9] = ["then", "do", "done", "fi", "elif", "else", "esac", "}", "end"];

impl<'t, 'b> Parser<'t, 'b> {
    pub(super) fn new(text: &'t str, budget: &'b mut Budget) -> Self {
        Self { text, at: 0, budget, pending: Vec::new(), open: None }
    }

    /// The whole text as one script; words that close nothing are passed over.
    pub(super) fn script(&mut self) -> Script {
        let mut script = Script::default();
        loop {
            script.entries.append(&mut self.list(false).entries);
            if self.peek().is_none() {
                break;
            }
            if !self.eat(")") && !self.eat_keyword(&CLOSERS) {
                self.bump();
            }
        }
        if let Some(pending) = self.pending.first() {
            let waiting = Unfinished::HereDoc { delimiter: pending.delimiter.clone(), tabs: pending.tabs };
            self.open.get_or_insert(waiting);
        }
        script
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    pub(super) fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Passes one character.
    pub(super) fn bump(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Remembers what is open at the end of the text: the innermost, for it is met first.
    pub(super) fn want(&mut self, what: Unfinished) {
        let waiting = match (&what, self.pending.first()) {
            (Unfinished::Operator | Unfinished::Compound, Some(doc)) => {
                Unfinished::HereDoc { delimiter: doc.delimiter.clone(), tabs: doc.tabs }
            }
            _ => what,
        };
        self.open.get_or_insert(waiting);
    }

    /// Gives up on the rest: a limit is reached.
    pub(super) fn abandon(&mut self) {
        self.budget.cut = true;
        self.at = self.text.len();
    }

    pub(super) fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r') => self.at += 1,
                Some(b'\\') if self.peek_at(1) == Some(b'\n') => self.at += 2,
                Some(b'\\') if self.peek_at(1).is_none() => {
                    self.at += 1;
                    self.want(Unfinished::Backslash);
                }
                Some(b'#') => self.comment(),
                _ => return,
            }
        }
    }

    fn comment(&mut self) {
        let rest = self.rest();
        self.at += rest.find('\n').unwrap_or(rest.len());
    }

    /// Passes blanks, newlines and comments.
    fn gaps(&mut self) {
        loop {
            self.blanks();
            if self.peek() != Some(b'\n') {
                return;
            }
            self.newline();
        }
    }

    /// Passes a newline and the bodies of the here-documents that wait for it.
    fn newline(&mut self) {
        self.at += 1;
        for doc in std::mem::take(&mut self.pending) {
            self.here_body(&doc);
        }
    }

    fn here_body(&mut self, doc: &HereDoc) {
        let mut body = String::new();
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                self.want(Unfinished::HereDoc { delimiter: doc.delimiter.clone(), tabs: doc.tabs });
                break;
            }
            let end = rest.find('\n').unwrap_or(rest.len());
            let line = rest.get(..end).unwrap_or_default();
            let line = if doc.tabs { line.trim_start_matches('\t') } else { line };
            self.at += end;
            let last = self.peek().is_none();
            self.at += usize::from(!last);
            if line.trim_end_matches('\r') == doc.delimiter {
                break;
            }
            body.push_str(line);
            body.push('\n');
            if last {
                self.want(Unfinished::HereDoc { delimiter: doc.delimiter.clone(), tabs: doc.tabs });
                break;
            }
        }
        let word = if doc.literal { Word::literal(&body) } else { self.inner(&body, here_text) };
        let _ = doc.body.set(word);
    }

    /// Reads a text inside this one (a here-document, backticks, an arithmetic expression) one level deeper.
    pub(super) fn inner<T: Default>(&mut self, text: &str, read: impl FnOnce(&mut Parser<'_, '_>) -> T) -> T {
        if !self.budget.enter() {
            self.abandon();
            return T::default();
        }
        self.budget.spend(text.len());
        let value = read(&mut Parser::new(text, self.budget));
        self.budget.leave();
        value
    }

    /// Commands up to a word or sign that closes them.
    pub(super) fn list(&mut self, in_case: bool) -> Script {
        let mut script = Script::default();
        if !self.budget.enter() {
            self.abandon();
            return script;
        }
        let mut join = Join::Then;
        loop {
            if !self.budget.spend(1) {
                self.abandon();
            }
            self.gaps();
            if in_case && self.rest().starts_with(";;") {
                break;
            }
            match self.peek() {
                None => {
                    if join != Join::Then {
                        self.want(Unfinished::Operator);
                    }
                    break;
                }
                Some(b')') => break,
                Some(b';' | b'&' | b'|') => {
                    self.at += 1;
                    continue;
                }
                _ if self.at_keyword(&CLOSERS) => break,
                _ => {}
            }
            script.entries.push(self.pipeline(join));
            self.blanks();
            join = match (self.peek(), self.peek_at(1)) {
                (Some(b'&'), Some(b'&')) => Join::And,
                (Some(b'|'), Some(b'|')) => Join::Or,
                _ => Join::Then,
            };
            if join != Join::Then {
                self.at += 2;
            }
        }
        self.budget.leave();
        script
    }

    fn pipeline(&mut self, join: Join) -> Entry {
        let mut negated = false;
        while self.eat_keyword(&["!", "not"]) {
            negated = !negated;
            self.blanks();
        }
        let mut stages = vec![self.command()];
        loop {
            self.blanks();
            let both = self.rest().starts_with("|&");
            if self.peek() != Some(b'|') || self.peek_at(1) == Some(b'|') {
                break;
            }
            self.at += 1 + usize::from(both);
            self.gaps();
            if self.peek().is_none() {
                self.want(Unfinished::Operator);
                break;
            }
            stages.push(self.command());
        }
        Entry { join, negated, stages }
    }

    fn command(&mut self) -> Command {
        self.blanks();
        let mut command = self.compound().unwrap_or_else(|| self.simple());
        while let Some(redirect) = self.redirect() {
            command.redirects.push(redirect);
            self.blanks();
        }
        command
    }

    fn compound(&mut self) -> Option<Command> {
        if self.peek() == Some(b'(') {
            return Some(self.paren().with(Vec::new()));
        }
        let word = self.keyword()?;
        let node = match word {
            "{" | "begin" => self.braces(word),
            "if" => self.conditional(),
            "while" | "until" => self.repeat(word),
            "for" | "select" | "foreach" => self.each(word),
            "case" | "switch" => self.case(word),
            "function" => self.function_keyword(word),
            "[[" => self.test(),
            "coproc" => self.coproc(word)?,
            "time" => return self.timed(word),
            _ => return None,
        };
        self.blanks();
        Some(node.with(Vec::new()))
    }

    fn paren(&mut self) -> Node {
        if let Some(expression) = self.double_paren() {
            return Node::Arith(expression);
        }
        self.at += 1;
        let body = self.list(false);
        self.close(")");
        Node::Subshell(body)
    }

    /// `(( … ))`, if the two parentheses do close together.
    pub(super) fn double_paren(&mut self) -> Option<Word> {
        let inside = self.rest().strip_prefix("((")?;
        let end = self.budget.arithmetic_end(inside)?;
        let expression = inside.get(..end)?;
        self.at += end + 4;
        Some(self.inner(expression, here_text))
    }

    fn braces(&mut self, opener: &str) -> Node {
        self.at += opener.len();
        let body = self.list(false);
        self.close(if opener == "{" { "}" } else { "end" });
        Node::Group(body)
    }

    fn conditional(&mut self) -> Node {
        let mut arms = Vec::new();
        let mut otherwise = Script::default();
        self.at += 2;
        loop {
            let condition = self.list(false);
            let body = if self.eat_keyword(&["then"]) { self.list(false) } else { Script::default() };
            arms.push((condition, body));
            if self.eat_keyword(&["elif"]) {
                continue;
            }
            if self.eat_keyword(&["else"]) {
                otherwise = self.list(false);
            }
            break;
        }
        self.close_word(&["fi", "end"]);
        Node::If { arms, otherwise }
    }

    fn repeat(&mut self, word: &str) -> Node {
        self.at += word.len();
        let condition = self.list(false);
        let body = self.do_body();
        Node::Loop { until: word == "until", condition, body }
    }

    fn do_body(&mut self) -> Script {
        self.gaps();
        if self.peek() == Some(b';') {
            self.at += 1;
            self.gaps();
        }
        let braces = self.at_keyword(&["{"]);
        if braces {
            self.at += 1;
        } else {
            self.eat_keyword(&["do"]);
        }
        let body = self.list(false);
        self.close_word(if braces { &["}"] } else { &["done", "end"] });
        body
    }

    fn each(&mut self, word: &str) -> Node {
        self.at += word.len();
        self.blanks();
        if let Some(expression) = self.for_arithmetic() {
            let body = self.do_body();
            return Node::ForArith { parts: expression, body };
        }
        let name = self.name().to_owned();
        self.gaps();
        let words = self.eat_keyword(&["in"]).then(|| self.words());
        let body = self.do_body();
        Node::For { name, words, body }
    }

    fn for_arithmetic(&mut self) -> Option<Vec<Word>> {
        let inside = self.rest().strip_prefix("((")?;
        let end = self.budget.arithmetic_end(inside)?;
        let expression = inside.get(..end)?;
        self.at += end + 4;
        Some(expression.split(';').map(|part| self.inner(part, here_text)).collect())
    }

    /// Words up to the end of the line or a sign.
    fn words(&mut self) -> Vec<Word> {
        let mut words = Vec::new();
        loop {
            self.blanks();
            match self.word() {
                Some(word) => words.push(word),
                None => return words,
            }
        }
    }

    fn case(&mut self, word: &str) -> Node {
        self.at += word.len();
        self.blanks();
        let subject = self.word().unwrap_or_default();
        self.gaps();
        self.eat_keyword(&["in"]);
        let mut arms = Vec::new();
        loop {
            self.gaps();
            if self.peek().is_none() || self.at_keyword(&["esac", "end"]) || !self.budget.spend(1) {
                break;
            }
            let start = self.at;
            arms.push(self.case_arm());
            if self.at == start {
                break;
            }
        }
        self.close_word(&["esac", "end"]);
        Node::Case { subject, arms }
    }

    fn case_arm(&mut self) -> (Vec<Word>, Script) {
        self.eat("(");
        let mut patterns = Vec::new();
        loop {
            self.blanks();
            patterns.extend(self.word());
            self.blanks();
            if !self.eat("|") {
                break;
            }
        }
        self.eat(")");
        let body = self.list(true);
        for end in [";;&", ";;", ";&"] {
            if self.eat(end) {
                break;
            }
        }
        (patterns, body)
    }

    fn function_keyword(&mut self, word: &str) -> Node {
        self.at += word.len();
        self.blanks();
        let name = self.word().and_then(|word| word.plain().map(str::to_owned)).unwrap_or_default();
        self.blanks();
        if self.eat("(") {
            self.blanks();
            self.eat(")");
        }
        self.function_body(name)
    }

    fn function_body(&mut self, name: String) -> Node {
        self.gaps();
        if self.peek().is_none() {
            self.want(Unfinished::Compound);
        }
        if !self.budget.enter() {
            self.abandon();
            return Node::Group(Script::default());
        }
        let body = if self.at_keyword(&["{", "[["]) || self.peek() == Some(b'(') || self.keyword().is_some_and(opens) {
            self.command()
        } else {
            // fish: `function name; …; end`.
            let body = self.list(false);
            self.close_word(&["end"]);
            Node::Group(body).with(Vec::new())
        };
        self.budget.leave();
        Node::Function { name, body: Rc::new(body) }
    }

    fn test(&mut self) -> Node {
        self.at += 2;
        let mut words = Vec::new();
        loop {
            self.gaps();
            if self.eat_keyword(&["]]"]) {
                break;
            }
            if self.peek().is_none() {
                self.want(Unfinished::Compound);
                break;
            }
            match self.word() {
                Some(word) => words.push(word),
                // Operators and parentheses of the test.
                None => words.extend(self.bump().map(|c| Word::literal(c.encode_utf8(&mut [0; 4])))),
            }
        }
        Node::Test(words)
    }

    /// `time` before a compound command; before a simple one it is a wrapper like others.
    fn timed(&mut self, word: &str) -> Option<Command> {
        let start = self.at;
        self.at += word.len();
        self.blanks();
        if self.budget.enter() {
            if let Some(command) = self.compound() {
                self.budget.leave();
                return Some(command);
            }
            self.budget.leave();
        }
        self.at = start;
        None
    }

    /// `coproc [NAME] compound`; a simple command keeps `coproc` as its first word.
    fn coproc(&mut self, word: &str) -> Option<Node> {
        let start = self.at;
        self.at += word.len();
        self.blanks();
        if self.keyword().is_none_or(|word| !opens(word)) && self.peek() != Some(b'(') {
            self.name();
            self.blanks();
            if self.keyword().is_none_or(|word| !opens(word)) && self.peek() != Some(b'(') {
                self.at = start;
                return None;
            }
        }
        if !self.budget.enter() {
            self.abandon();
            return None;
        }
        let stages = vec![self.command()];
        self.budget.leave();
        let entry = Entry { join: Join::Then, negated: false, stages };
        Some(Node::Group(Script { entries: vec![entry] }))
    }

    fn simple(&mut self) -> Command {
        let mut simple = Simple::default();
        let mut redirects = Vec::new();
        loop {
            if !self.budget.spend(1) {
                self.abandon();
            }
            self.blanks();
            if let Some(redirect) = self.redirect() {
                redirects.push(redirect);
                continue;
            }
            if let Some(name) = self.function_parens(&simple) {
                return self.function_body(name).with(redirects);
            }
            let Some(word) = self.word() else { break };
            match if simple.words.is_empty() { assignment(word) } else { Err(word) } {
                Ok(assignment) => simple.assignments.push(assignment),
                Err(word) => simple.words.push(word),
            }
        }
        Node::Simple(simple).with(redirects)
    }

    /// `( )` after a first word: a function's definition.
    fn function_parens(&mut self, simple: &Simple) -> Option<String> {
        let [name] = simple.words.as_slice() else { return None };
        let name = name.plain()?.to_owned();
        let inside = self.rest().strip_prefix('(')?;
        let close = inside.trim_start_matches([' ', '\t']);
        let rest = close.strip_prefix(')')?;
        self.at = self.text.len() - rest.len();
        Some(name)
    }

    fn redirect(&mut self) -> Option<Redirect> {
        let (fd, skip) = self.descriptor();
        let rest = self.text.get(self.at + skip..)?;
        let operator = OPERATORS.iter().find(|operator| rest.starts_with(**operator))?;
        if matches!(*operator, "<" | ">") && rest.get(1..).is_some_and(|next| next.starts_with('(')) {
            return None;
        }
        self.at += skip + operator.len();
        self.blanks();
        if matches!(*operator, "<<" | "<<-") {
            return Some(Redirect { fd, kind: self.here_doc(*operator == "<<-") });
        }
        let word = self.word().unwrap_or_default();
        let kind = match *operator {
            "<<<" => RedirectKind::HereString(word),
            "<" | "<>" => RedirectKind::Input(word),
            "<&" => RedirectKind::Duplicate(word),
            ">&" if word.plain().is_some_and(|to| to.bytes().all(|b| b.is_ascii_digit() || b == b'-')) => {
                RedirectKind::Duplicate(word)
            }
            ">>" | "&>>" => RedirectKind::Output { target: word, append: true },
            _ => RedirectKind::Output { target: word, append: false },
        };
        Some(Redirect { fd, kind })
    }

    /// The descriptor before a redirection operator: `2` or `{name}`, and its length.
    fn descriptor(&self) -> (Option<u32>, usize) {
        let rest = self.rest();
        let digits = rest.bytes().take(4).take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            return (rest.get(..digits).and_then(|digits| digits.parse().ok()), digits);
        }
        let name = rest.strip_prefix('{').map_or(0, |rest| identifier(rest).len());
        if name > 0 && rest.get(name + 1..).is_some_and(|rest| rest.starts_with("}>") || rest.starts_with("}<")) {
            return (Some(10), name + 2);
        }
        (None, 0)
    }

    fn here_doc(&mut self, tabs: bool) -> RedirectKind {
        let word = self.word().unwrap_or_default();
        let literal = word.parts.iter().any(|part| !matches!(part, Part::Plain(_)));
        let delimiter = word.parts.iter().map(literal_text).collect();
        let doc = Rc::new(HereDoc { delimiter, tabs, literal, body: std::cell::OnceCell::new() });
        self.pending.push(Rc::clone(&doc));
        RedirectKind::HereDoc(doc)
    }

    pub(super) fn close(&mut self, token: &str) {
        if !self.eat(token) && self.peek().is_none() {
            self.want(Unfinished::Compound);
        }
    }

    fn close_word(&mut self, tokens: &[&str]) {
        if !self.eat_keyword(tokens) && self.peek().is_none() {
            self.want(Unfinished::Compound);
        }
    }

    /// The word of command position here, if it may be a reserved one.
    fn keyword(&self) -> Option<&'t str> {
        let rest = self.rest();
        let len = rest.bytes().take(9).take_while(|b| b.is_ascii_alphabetic() || b"{}[]!".contains(b)).count();
        let ends = rest.as_bytes().get(len).is_none_or(|next| b" \t\r\n;&|()<>".contains(next));
        rest.get(..len).filter(|word| !word.is_empty() && ends)
    }

    fn at_keyword(&self, words: &[&str]) -> bool {
        self.keyword().is_some_and(|word| words.contains(&word))
    }

    pub(super) fn eat_keyword(&mut self, words: &[&str]) -> bool {
        let Some(word) = self.keyword().filter(|word| words.contains(word)) else { return false };
        self.at += word.len();
        true
    }

    pub(super) fn name(&mut self) -> &'t str {
        let name = identifier(self.rest());
        self.at += name.len();
        name
    }
}

impl Node {
    fn with(self, redirects: Vec<Redirect>) -> Command {
        Command { node: self, redirects }
    }
}

/// Longest first, so that the first that fits is right.
const OPERATORS: [&str; 12] = ["&>>", "<<<", "<<-", "<<", "<&", "<>", ">>", ">&", ">|", "&>", "<", ">"];

fn opens(word: &str) -> bool {
    matches!(word, "{" | "begin" | "if" | "while" | "until" | "for" | "select" | "foreach" | "case" | "switch" | "[[")
}

/// The name at the start of a text, perhaps empty.
pub(super) fn identifier(text: &str) -> &str {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let len = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    if first { text.get(..len).unwrap_or_default() } else { "" }
}

fn literal_text(part: &Part) -> String {
    match part {
        Part::Plain(text) | Part::Quoted(text) => text.clone(),
        Part::Param(param, _) => param.raw.clone(),
        Part::Command(_, raw, _) | Part::Arith(_, raw, _) | Part::Process(_, raw) => raw.to_string(),
        Part::Array(_) => String::new(),
    }
}

/// Splits `name=value`; gives the word back if it is none.
pub(super) fn assignment(mut word: Word) -> Result<Assignment, Word> {
    let Some(Part::Plain(text)) = word.parts.first() else { return Err(word) };
    let name = identifier(text);
    let after = text.get(name.len()..).unwrap_or_default();
    let (index, after) = match after.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((index, after)) => (Some(index.to_owned()), after),
        None => (None, after),
    };
    let (append, value) = match (after.strip_prefix('='), after.strip_prefix("+=")) {
        (Some(value), _) => (false, value),
        (_, Some(value)) => (true, value),
        _ => return Err(word),
    };
    if name.is_empty() {
        return Err(word);
    }
    let (name, value) = (name.to_owned(), value.to_owned());
    match word.parts.first_mut() {
        Some(Part::Plain(first)) => *first = value,
        _ => return Err(word),
    }
    Ok(Assignment { name, index, append, value: word })
}
