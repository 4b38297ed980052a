//! Command text -> words that know where their characters stand, so that a secret is masked where it was typed.
//!
//! Coarser than the shell reading in `warden_session::shell`: it never evaluates, it reads POSIX and Windows text alike,
//! and parentheses, braces and backticks only separate commands.

use std::ops::Range;

/// One word after quote removal.
#[derive(Clone, Debug, Default)]
pub(super) struct Word {
    pub(super) text: String,
    /// For each byte of `text` the bytes of the source that spell its character.
    map: Vec<(usize, usize)>,
    /// Byte places in `text` of `$` signs that quotes make literal.
    literal: Vec<usize>,
}

/// The words of one simple command, with what reaches its input.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) words: Vec<Word>,
    /// Files that it writes to.
    pub(super) targets: Vec<Word>,
    pub(super) here_strings: Vec<Word>,
    /// Here-document: delimiters of bodies that begin on the next line.
    pub(super) here_docs: Vec<String>,
    /// Its output goes to the next piece.
    pub(super) piped: bool,
    /// A newline ends it.
    pub(super) ends_line: bool,
    /// Where the piece ends in the source.
    pub(super) end: usize,
}

impl Word {
    /// A word that was never quoted: one of an argument vector.
    pub(super) fn of(text: &str) -> Self {
        let map = text.char_indices().flat_map(|(at, c)| std::iter::repeat_n((at, at + c.len_utf8()), c.len_utf8()));
        Self { text: text.to_owned(), map: map.collect(), literal: Vec::new() }
    }

    /// The bytes of the source that spell a part of the word.
    pub(super) fn source(&self, part: &Range<usize>) -> Option<Range<usize>> {
        let start = self.map.get(part.start)?.0;
        let end = self.map.get(part.end.checked_sub(1)?)?.1;
        (start < end).then_some(start..end)
    }

    /// Whether the `$` at this byte is literal.
    pub(super) fn is_literal(&self, at: usize) -> bool {
        self.literal.contains(&at)
    }

    fn push(&mut self, c: char, from: usize, to: usize) {
        self.text.push(c);
        self.map.extend(std::iter::repeat_n((from, to), c.len_utf8()));
    }
}

/// Splits a text.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut lexer = Lexer { text, at: 0, word: None, role: Role::Argument, piece: Piece::default(), done: Vec::new() };
    while let Some(c) = lexer.peek() {
        lexer.step(c);
    }
    lexer.end_piece(false, false);
    lexer.done
}

/// What the word being read is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Argument,
    Target,
    Source,
    HereString,
    HereDoc,
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    word: Option<Word>,
    role: Role,
    piece: Piece,
    done: Vec<Piece>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn step(&mut self, c: char) {
        match c {
            ' ' | '\t' | '\r' => {
                self.end_word();
                self.at += 1;
            }
            '\n' => {
                self.at += 1;
                self.end_piece(false, true);
            }
            '|' => {
                let or = self.rest().starts_with("||");
                self.at += 1 + usize::from(or || self.rest().starts_with("|&"));
                self.end_piece(!or, false);
            }
            '&' if self.rest().starts_with("&>") => self.at += 1,
            ';' | '&' | '(' | ')' | '`' => {
                self.at += 1;
                self.end_piece(false, false);
            }
            '<' if placeholder(self.rest()) > 0 => self.take(placeholder(self.rest())),
            '<' | '>' => self.redirect(),
            '\\' => self.backslash(),
            '\'' => self.single(),
            '"' => self.double(),
            '$' if self.rest().starts_with("$'") && self.word.is_none() => {
                self.at += 1;
                self.ansi();
            }
            '#' if self.word.is_none() && self.role == Role::Argument && self.piece.words.is_empty() => self.comment(),
            _ => self.take(c.len_utf8()),
        }
    }

    /// Takes the next bytes as they are.
    fn take(&mut self, len: usize) {
        let (from, to) = (self.at, self.at + len);
        let taken = self.text.get(from..to).unwrap_or_default().to_owned();
        let word = self.word.get_or_insert_default();
        for (offset, c) in taken.char_indices() {
            word.push(c, from + offset, from + offset + c.len_utf8());
        }
        self.at = to;
    }

    /// A comment is text of its own: it may hold a secret as well.
    fn comment(&mut self) {
        self.take(1);
        self.end_word();
    }

    fn backslash(&mut self) {
        let next = self.rest().chars().nth(1);
        let at = self.at;
        match next {
            Some('\n') => self.at += 2,
            // A Windows path or a mere sign.
            Some(c) if c.is_alphanumeric() && self.word.as_ref().is_none_or(|word| !word.text.starts_with('-')) => {
                self.take(1);
            }
            Some(c) => {
                self.at += 1 + c.len_utf8();
                let end = self.at;
                let word = self.word.get_or_insert_default();
                if c == '$' {
                    word.literal.push(word.text.len());
                }
                word.push(c, at, end);
            }
            None => self.take(1),
        }
    }

    fn single(&mut self) {
        self.at += 1;
        let rest = self.rest();
        let len = rest.find('\'').unwrap_or(rest.len());
        let start = self.word.get_or_insert_default().text.len();
        self.take(len);
        let word = self.word.get_or_insert_default();
        let dollars: Vec<usize> =
            word.text.get(start..).unwrap_or_default().match_indices('$').map(|(at, _)| start + at).collect();
        word.literal.extend(dollars);
        self.at += 1;
    }

    fn double(&mut self) {
        self.at += 1;
        self.word.get_or_insert_default();
        while let Some(c) = self.peek() {
            match c {
                '"' => break,
                '\\' => {
                    let (at, next) = (self.at, self.rest().chars().nth(1));
                    match next.filter(|next| matches!(next, '"' | '\\' | '$' | '`')) {
                        Some(next) => {
                            self.at += 2;
                            let word = self.word.get_or_insert_default();
                            if next == '$' {
                                word.literal.push(word.text.len());
                            }
                            word.push(next, at, at + 2);
                        }
                        None => self.take(1),
                    }
                }
                _ => {
                    let rest = self.rest();
                    let len = rest.find(['"', '\\']).unwrap_or(rest.len());
                    self.take(len);
                }
            }
        }
        self.at += 1;
    }

    /// `$'…'`: escapes stay as written, which is enough to find where a secret ends.
    fn ansi(&mut self) {
        self.at += 1;
        self.word.get_or_insert_default();
        while let Some(c) = self.peek() {
            match c {
                '\'' => break,
                '\\' => {
                    let len = self.rest().chars().take(2).map(char::len_utf8).sum();
                    self.take(len);
                }
                c => self.take(c.len_utf8()),
            }
        }
        self.at += 1;
    }

    fn redirect(&mut self) {
        // A descriptor before the sign belongs to it.
        let digits = |word: &Word| !word.text.is_empty() && word.text.bytes().all(|b| b.is_ascii_digit());
        if self.word.as_ref().is_some_and(digits) {
            self.word = None;
        }
        self.end_word();
        let rest = self.rest();
        let signs: [(&str, Role); 9] = [
            ("<<<", Role::HereString),
            ("<<-", Role::HereDoc),
            ("<<", Role::HereDoc),
            ("<&", Role::Source),
            ("<>", Role::Source),
            (">>", Role::Target),
            (">&", Role::Target),
            (">|", Role::Target),
            ("<", Role::Source),
        ];
        let (sign, role) = signs.into_iter().find(|(sign, _)| rest.starts_with(sign)).unwrap_or((">", Role::Target));
        self.at += sign.len();
        self.role = role;
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        match self.role {
            Role::Argument => self.piece.words.push(word),
            Role::Target => self.piece.targets.push(word),
            Role::HereString => self.piece.here_strings.push(word),
            Role::HereDoc => self.piece.here_docs.push(word.text),
            Role::Source => {}
        }
        self.role = Role::Argument;
    }

    fn end_piece(&mut self, piped: bool, ends_line: bool) {
        self.end_word();
        self.role = Role::Argument;
        let mut piece = std::mem::take(&mut self.piece);
        piece.piped = piped;
        piece.ends_line = ends_line;
        piece.end = self.at.min(self.text.len());
        self.done.push(piece);
    }
}

/// Length of `<name>` at the start of a text, which stands for a value that was left out.
fn placeholder(text: &str) -> usize {
    let inside = text.get(1..).unwrap_or_default();
    let len = inside.bytes().take(64).take_while(|b| b.is_ascii_alphanumeric() || b"-_ .".contains(b)).count();
    let named =
        inside.starts_with(|c: char| c.is_ascii_alphabetic()) && !inside.get(..len).unwrap_or_default().ends_with(' ');
    if named && inside.as_bytes().get(len) == Some(&b'>') { len + 2 } else { 0 }
}
