//! PowerShell text -> statements of words.

use super::super::budget::Budget;
use super::literal;

/// One command or expression.
#[derive(Debug, Default)]
pub(super) struct Statement {
    pub(super) words: Vec<Word>,
    /// It begins with `&` or `.`.
    pub(super) called: bool,
    /// A literal string that a pipe feeds to it.
    pub(super) piped: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Word {
    pub(super) text: String,
    /// Begins with a quote: an expression where a command would stand.
    pub(super) quoted: bool,
    /// Computed from literals in parentheses.
    pub(super) built: bool,
    /// Escapes or quotes stand where nothing needs them.
    pub(super) odd: bool,
}

/// Groups that may be open at once; deeper ones are read as if they stood side by side.
const MAX_GROUPS: usize = 64;

/// All statements, those inside groups before the statement that holds the group.
pub(super) fn statements(text: &str, budget: &mut Budget) -> Vec<Statement> {
    let mut lexer =
        Lexer { text, at: 0, done: Vec::new(), open: Vec::new(), current: Statement::default(), word: None };
    while lexer.at < text.len() {
        if !budget.spend(1) {
            break;
        }
        lexer.step(budget);
    }
    while !lexer.open.is_empty() {
        lexer.close(budget);
    }
    lexer.end_statement(None);
    lexer.done
}

/// A cmd line in PowerShell's signs: `&` separates, `%VAR%` stays.
pub(super) fn cmd_to_powershell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quoted = false;
    for c in text.chars() {
        quoted ^= c == '"';
        match c {
            '&' if !quoted => out.push(';'),
            '`' | '\'' if !quoted => out.extend(['`', c]),
            c => out.push(c),
        }
    }
    out
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    done: Vec<Statement>,
    /// Statements that a group interrupts, with the place where its inside begins.
    open: Vec<(Statement, Option<Word>, usize)>,
    current: Statement,
    word: Option<Word>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn step(&mut self, budget: &mut Budget) {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else { return };
        match c {
            ' ' | '\t' | '\r' => self.end_word(1),
            ')' | '}' if !self.open.is_empty() => {
                self.at += 1;
                self.close(budget);
            }
            '\n' | ';' | ')' | '}' => self.end_statement(Some(1)),
            '|' => self.pipe(),
            '&' if rest.starts_with("&&") => self.end_statement(Some(2)),
            '&' if self.word.is_none() && self.current.words.is_empty() => {
                self.current.called = true;
                self.push("&", 1);
                self.end_word(0);
            }
            '.' if self.word.is_none() && self.current.words.is_empty() && rest.starts_with([' ', '(']) => {
                self.push(".", 1);
            }
            '#' if self.word.is_none() => {
                let end = rest.find('\n').unwrap_or(rest.len());
                self.at += end;
            }
            '<' if rest.starts_with("<#") => self.at += rest.find("#>").map_or(rest.len(), |end| end + 2),
            '@' if rest.starts_with("@'") || rest.starts_with("@\"") => self.here_string(),
            '\'' => self.single(budget),
            '"' => self.double(budget),
            '`' => self.escape(),
            '(' | '{' => self.group(),
            c => {
                let len = match rest.find(|c: char| SPECIAL.contains(c)) {
                    Some(0) => c.len_utf8(),
                    Some(len) => len,
                    None => rest.len(),
                };
                let text = rest.get(..len).unwrap_or_default().to_owned();
                budget.spend(len);
                self.push(&text, len);
            }
        }
    }

    fn push(&mut self, text: &str, len: usize) {
        self.word.get_or_insert_default().text.push_str(text);
        self.at += len;
    }

    fn end_word(&mut self, skip: usize) {
        self.current.words.extend(self.word.take());
        self.at += skip;
    }

    fn end_statement(&mut self, skip: Option<usize>) {
        self.end_word(skip.unwrap_or(0));
        let first = self.current.words.first();
        self.current.called |= first.is_some_and(|word| !word.quoted && word.text == ".");
        let statement = std::mem::take(&mut self.current);
        if !statement.words.is_empty() {
            self.done.push(statement);
        }
    }

    fn pipe(&mut self) {
        let skip = if self.rest().starts_with("||") { 2 } else { 1 };
        self.end_word(0);
        let literal = match self.current.words.as_slice() {
            [word] if word.quoted || word.built => Some(word.text.clone()),
            _ => None,
        };
        self.end_statement(Some(skip));
        self.current.piped = literal.filter(|_| skip == 1);
    }

    fn escape(&mut self) {
        let next = self.rest().chars().nth(1);
        let word = self.word.get_or_insert_default();
        match next {
            Some('\n') => self.at += 2,
            Some(c) => {
                word.odd |=
                    c.is_alphanumeric() && !"nrt0abefuv".contains(c) || (c.is_alphabetic() && !word.text.is_empty());
                word.text.push(c);
                self.at += 1 + c.len_utf8();
            }
            None => self.at += 1,
        }
    }

    fn begin_quoted(&mut self) {
        let starts = self.word.is_none();
        let word = self.word.get_or_insert_default();
        word.quoted |= starts;
        word.odd |= !starts && word.text.ends_with(char::is_alphabetic) && !word.text.starts_with(['-', '/', '$']);
    }

    fn single(&mut self, budget: &mut Budget) {
        self.begin_quoted();
        let (text, len) = literal::single(self.rest());
        budget.spend(len);
        self.push(&text, len);
    }

    fn double(&mut self, budget: &mut Budget) {
        self.begin_quoted();
        let (text, len) = literal::double(self.rest());
        budget.spend(len);
        self.push(&text, len);
    }

    fn here_string(&mut self) {
        let rest = self.rest();
        let end = if rest.starts_with("@'") { "\n'@" } else { "\n\"@" };
        let body = rest.get(2..).unwrap_or_default();
        let len = body.find(end);
        let text =
            body.get(..len.unwrap_or(body.len())).unwrap_or_default().trim_start_matches(['\r', '\n']).to_owned();
        let skip = len.map_or(rest.len(), |len| len + 2 + end.len());
        self.begin_quoted();
        self.push(&text, skip);
    }

    fn group(&mut self) {
        self.at += 1;
        if self.open.len() >= MAX_GROUPS {
            self.end_statement(None);
            return;
        }
        let word = self.word.take();
        let outer = std::mem::take(&mut self.current);
        self.open.push((outer, word, self.at));
    }

    /// Ends a group: its statements are done, its text (or its value, if literal) goes on in the word outside.
    fn close(&mut self, budget: &mut Budget) {
        self.end_statement(None);
        let Some((outer, word, start)) = self.open.pop() else { return };
        self.current = outer;
        let end = if self.at > start && self.text.get(self.at - 1..self.at).is_some_and(|c| c == ")" || c == "}") {
            self.at - 1
        } else {
            self.at
        };
        let inside = self.text.get(start..end).unwrap_or_default();
        budget.spend(inside.len());
        let value = literal::value(inside);
        let mut word = word.unwrap_or_default();
        // `Method('x')` and `{ block }` stay as written; a parenthesis that stands alone is its value.
        if let Some(value) = value.filter(|_| matches!(word.text.as_str(), "" | "&" | ".")) {
            word.built = true;
            word.text = value;
        } else {
            word.text.push_str(self.text.get(start.saturating_sub(1)..self.at).unwrap_or_default());
        }
        self.word = Some(word);
        let block = self.text.get(start.saturating_sub(1)..start) == Some("{");
        if block && self.current.words.first().is_none_or(|first| super::KEYWORDS.contains(&first.text.as_str())) {
            self.end_statement(None);
        }
    }
}

const SPECIAL: &str = " \t\r\n;|'\"`(){}&<@#";
