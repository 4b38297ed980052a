//! Shell text -> words, operators, redirections.

/// Deepest nesting of parentheses in one word.
const MAX_DEPTH: usize = 40;

/// One piece of shell text, with its byte range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) what: What,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A word with its quotes removed.
    Word { text: String, quoted: bool },
    /// `|` or `|&`.
    Pipe,
    /// `;`, `&`, `&&`, `||`, `;;` or a newline.
    Separator,
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// A redirection and its target.
    Redirect { operator: &'static str, target: String },
}

/// Redirection operators, longest first.
const REDIRECTS: [&str; 12] = ["&>>", "<<<", "<<-", "&>", ">>", ">&", ">|", "<<", "<&", "<>", ">", "<"];
const OPERATORS: [(&str, What); 9] = [
    ("&&", What::Separator),
    ("||", What::Separator),
    (";;", What::Separator),
    ("|&", What::Pipe),
    ("|", What::Pipe),
    (";", What::Separator),
    ("&", What::Separator),
    ("(", What::Open),
    (")", What::Close),
];

/// Splits a text; also gives the texts of the substitutions in it.
pub(super) fn read(text: &str) -> (Vec<Token>, Vec<String>) {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new(), nested: Vec::new(), bodies: Vec::new() };
    while lexer.step() {}
    (lexer.tokens, lexer.nested)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Token>,
    nested: Vec<String>,
    /// Delimiters of here-documents whose bodies begin after the next newline, and whether tabs are dropped.
    bodies: Vec<(String, bool)>,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, what: What, start: usize) {
        self.tokens.push(Token { what, start, end: self.at });
    }

    fn step(&mut self) -> bool {
        let (rest, start) = (self.rest(), self.at);
        let Some(first) = rest.chars().next() else { return false };
        match first {
            '\n' => {
                self.at += 1;
                self.push(What::Separator, start);
                self.skip_bodies();
            }
            _ if first.is_whitespace() => self.at += first.len_utf8(),
            '\\' if rest.starts_with("\\\n") => self.at += 2,
            '#' => self.at += rest.find('\n').unwrap_or(rest.len()),
            _ => self.operator_or_word(),
        }
        true
    }

    fn operator_or_word(&mut self) {
        let (rest, start) = (self.rest(), self.at);
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let after = rest.get(digits..).unwrap_or_default();
        let process = after.starts_with("<(") || after.starts_with(">(");
        if let Some(operator) = REDIRECTS.into_iter().find(|one| after.starts_with(one)).filter(|_| !process) {
            self.at += digits + operator.len();
            return self.redirect(operator, start);
        }
        if let Some((text, what)) = OPERATORS.into_iter().find(|(text, _)| rest.starts_with(text)) {
            self.at += text.len();
            return self.push(what, start);
        }
        let (text, quoted) = self.word();
        self.push(What::Word { text, quoted }, start);
    }

    fn redirect(&mut self, operator: &'static str, start: usize) {
        let blanks = self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        self.at += blanks;
        let target = self.word().0;
        match operator {
            "<<" | "<<-" => self.bodies.push((target, operator == "<<-")),
            "<<<" => {}
            ">&" | "<&" if target.trim_end_matches('-').bytes().all(|byte| byte.is_ascii_digit()) => {}
            _ if target.is_empty() => {}
            _ => self.push(What::Redirect { operator, target }, start),
        }
    }

    fn skip_bodies(&mut self) {
        for (delimiter, tabs) in std::mem::take(&mut self.bodies) {
            while !self.rest().is_empty() {
                let line = self.rest().split_inclusive('\n').next().unwrap_or_default();
                self.at += line.len();
                let line = line.trim_end_matches('\n');
                if (if tabs { line.trim_start_matches('\t') } else { line }) == delimiter {
                    break;
                }
            }
        }
    }

    /// One word, quotes removed; substitutions stay in it as written.
    fn word(&mut self) -> (String, bool) {
        let (mut word, mut quoted) = (String::new(), false);
        while let Some(next) = self.rest().chars().next() {
            let rest = self.rest();
            match next {
                '\'' => {
                    quoted = true;
                    if word.ends_with('$') {
                        word.pop();
                    }
                    word.push_str(self.until('\'', 1));
                }
                '"' => {
                    quoted = true;
                    self.double_quoted(&mut word);
                }
                '\\' => {
                    self.at += 1;
                    let escaped = self.rest().chars().next().unwrap_or_default();
                    self.at += escaped.len_utf8().min(self.rest().len());
                    word.extend(Some(escaped).filter(|c| !matches!(c, '\n' | '\0')));
                }
                '$' | '<' | '>' if rest.get(1..).is_some_and(|rest| rest.starts_with('(')) => self.substitution(&mut word),
                '`' => self.backticks(&mut word),
                ' ' | '\t' | '\n' | '\r' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                _ => {
                    word.push(next);
                    self.at += next.len_utf8();
                }
            }
        }
        (word, quoted)
    }

    fn double_quoted(&mut self, word: &mut String) {
        self.at += 1;
        while let Some(next) = self.rest().chars().next() {
            match next {
                '"' => {
                    self.at += 1;
                    return;
                }
                '\\' => {
                    self.at += 1;
                    let escaped = self.rest().chars().next().unwrap_or_default();
                    self.at += escaped.len_utf8().min(self.rest().len());
                    if !matches!(escaped, '"' | '\\' | '$' | '`' | '\n' | '\0') {
                        word.push('\\');
                    }
                    word.extend(Some(escaped).filter(|c| !matches!(c, '\n' | '\0')));
                }
                '$' if self.rest().starts_with("$(") => self.substitution(word),
                '`' => self.backticks(word),
                _ => {
                    word.push(next);
                    self.at += next.len_utf8();
                }
            }
        }
    }

    /// `$( … )`, `<( … )`, `>( … )`.
    fn substitution(&mut self, word: &mut String) {
        let rest = self.rest();
        let inner = rest.get(2..).unwrap_or_default();
        let length = balanced(inner);
        self.nested.push(inner.get(..length).unwrap_or_default().to_owned());
        let whole = (2 + length + 1).min(rest.len());
        word.push_str(rest.get(..whole).unwrap_or(rest));
        self.at += whole;
    }

    fn backticks(&mut self, word: &mut String) {
        let inner = self.until('`', 1);
        self.nested.push(inner.to_owned());
        word.extend(["$(", inner, ")"]);
    }

    /// The text after `skip` bytes up to a closing character, which is passed too.
    fn until(&mut self, close: char, skip: usize) -> &'t str {
        let inner = self.rest().get(skip..).unwrap_or_default();
        let end = inner.find(close);
        self.at += skip + end.map_or(inner.len(), |end| end + close.len_utf8());
        inner.get(..end.unwrap_or(inner.len())).unwrap_or_default()
    }
}

/// Length of the text before the parenthesis that closes it.
fn balanced(text: &str) -> usize {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, next) in text.char_indices() {
        match (next, quote) {
            _ if escaped => escaped = false,
            ('\\', None | Some('"')) => escaped = true,
            (_, Some(open)) if next == open => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(next),
            ('(', None) if depth < MAX_DEPTH => depth += 1,
            (')', None) if depth == 0 => return at,
            (')', None) => depth -= 1,
            _ => {}
        }
    }
    text.len()
}
