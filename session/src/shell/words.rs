//! Words: quotes, escapes and expansions (POSIX.1-2024 XCU 2.2 and 2.6, bash 5.2's `$'…'`, `${x/p/r}`, `$[ ]`).

use std::rc::Rc;

use super::Unfinished;
use super::parser::{Parser, identifier};
use super::syntax::{Param, ParamOp, Part, Quoting, Replace, Script, Word};

/// Where a run of parts stands: what ends it, and what quotes mean in it.
#[derive(Clone, Copy, Debug)]
struct Place {
    stop: &'static [u8],
    quoting: Quoting,
    /// `'` and blanks are ordinary text.
    bare_quotes: bool,
}

const WORD: Place = Place { stop: b" \t\r\n;&|<>()", quoting: Quoting::Bare, bare_quotes: false };
const DOUBLE: Place = Place { stop: b"\"", quoting: Quoting::Double, bare_quotes: true };
const HERE: Place = Place { stop: b"", quoting: Quoting::Double, bare_quotes: true };

impl Parser<'_, '_> {
    /// The word here; `None` at a sign, a newline or the end.
    pub(super) fn word(&mut self) -> Option<Word> {
        let mut word = Word::default();
        // `\ls` only keeps an alias from working.
        let bare = usize::from(self.peek() == Some(b'\\'));
        self.parts(WORD, &mut word.parts);
        if word.parts.is_empty() {
            return None;
        }
        word.odd = odd(&word.parts, bare);
        Some(word)
    }

    fn parts(&mut self, place: Place, parts: &mut Vec<Part>) {
        if !self.budget.enter() {
            self.abandon();
            return;
        }
        while let Some(byte) = self.peek() {
            if !self.budget.spend(1) {
                self.abandon();
                break;
            }
            let process = matches!(byte, b'<' | b'>') && self.peek_at(1) == Some(b'(');
            if place.stop.contains(&byte) && !(process && place.stop.contains(&b'<')) && !continues(byte, parts) {
                break;
            }
            match byte {
                b'\\' => self.escape(place, parts),
                b'\'' if !place.bare_quotes => self.single(parts),
                b'"' if place.stop != HERE.stop => self.double(parts),
                b'$' => self.dollar(place, parts),
                b'`' => self.backtick(place, parts),
                b'<' | b'>' if process && place.quoting == Quoting::Bare => self.process(parts),
                b'(' if place.stop.contains(&b'(') => self.group_text(parts),
                _ => self.text_run(place, parts),
            }
        }
        self.budget.leave();
    }

    /// `=( … )` as an array, `@( … )` as text of a glob.
    fn group_text(&mut self, parts: &mut Vec<Part>) {
        let array = matches!(parts.last(), Some(Part::Plain(before)) if before.ends_with('='));
        self.at += 1;
        if !array {
            let rest = self.rest();
            let len = rest.bytes().take(MAX_GLOB_GROUP).position(|b| b == b')').map_or(0, |end| end + 1);
            self.at += len;
            push_plain(parts, &format!("({}", rest.get(..len).unwrap_or_default()));
            return;
        }
        let mut words = Vec::new();
        loop {
            self.blanks();
            match self.peek() {
                None => {
                    self.want(Unfinished::Compound);
                    break;
                }
                Some(b')') => {
                    self.at += 1;
                    break;
                }
                Some(b'\n') => self.at += 1,
                _ => match self.word() {
                    Some(word) => words.push(word),
                    None => self.at += 1,
                },
            }
        }
        parts.push(Part::Array(words.into()));
    }

    fn text_run(&mut self, place: Place, parts: &mut Vec<Part>) {
        let special = |b: u8| place.stop.contains(&b) || b"\\'\"$`<>(".contains(&b);
        let rest = self.rest();
        let len = rest.bytes().skip(1).position(special).map_or(rest.len(), |at| at + 1);
        let text = rest.get(..len).unwrap_or(rest);
        self.budget.spend(len);
        self.at += text.len();
        match place.quoting {
            Quoting::Bare => push_plain(parts, text),
            Quoting::Double => push_quoted(parts, text),
        }
    }

    fn escape(&mut self, place: Place, parts: &mut Vec<Part>) {
        self.at += 1;
        match (self.peek(), place.quoting) {
            (None, _) => {
                self.want(Unfinished::Backslash);
                push_quoted(parts, "\\");
            }
            (Some(b'\n'), _) => self.at += 1,
            (Some(next), Quoting::Double) if !b"$`\"\\}".contains(&next) => push_quoted(parts, "\\"),
            (Some(b'"'), Quoting::Double) if place.stop == HERE.stop => push_quoted(parts, "\\"),
            (Some(b'}'), Quoting::Double) if !place.stop.contains(&b'}') => push_quoted(parts, "\\"),
            (Some(_), _) => {
                let mut buffer = [0; 4];
                if let Some(c) = self.bump() {
                    // A part of its own, so that `c\at` shows.
                    parts.push(Part::Quoted(c.encode_utf8(&mut buffer).to_owned()));
                }
            }
        }
    }

    fn single(&mut self, parts: &mut Vec<Part>) {
        self.at += 1;
        let rest = self.rest();
        let end = rest.find('\'');
        self.at += end.map_or(rest.len(), |end| end + 1);
        if end.is_none() {
            self.want(Unfinished::Quote);
        }
        parts.push(Part::Quoted(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default().to_owned()));
    }

    fn double(&mut self, parts: &mut Vec<Part>) {
        self.at += 1;
        let mut inside = Vec::new();
        self.parts(DOUBLE, &mut inside);
        if !self.eat("\"") {
            self.want(Unfinished::Quote);
        }
        if inside.is_empty() {
            inside.push(Part::Quoted(String::new()));
        }
        parts.append(&mut inside);
    }

    fn dollar(&mut self, place: Place, parts: &mut Vec<Part>) {
        let start = self.at;
        match self.peek_at(1) {
            Some(b'\'') if place.quoting == Quoting::Bare => self.ansi(parts),
            Some(b'"') if place.quoting == Quoting::Bare => {
                self.at += 1;
                self.double(parts);
            }
            Some(b'(') => self.dollar_paren(place, parts),
            Some(b'[') => self.dollar_bracket(place, parts),
            Some(b'{') => {
                self.at += 2;
                let (name, index, op) = self.braced(place);
                let raw = self.text.get(start..self.at).unwrap_or_default().to_owned();
                parts.push(Part::Param(Rc::new(Param { name, index, op, raw }), place.quoting));
            }
            Some(next) if next.is_ascii_alphanumeric() || b"_@*#?$!-".contains(&next) => {
                self.at += 1;
                let named = identifier(self.rest()).len().max(1);
                let name = self.rest().get(..named).unwrap_or_default().to_owned();
                self.at += named;
                let raw = format!("${name}");
                let param = Param { name, index: None, op: ParamOp::Value, raw };
                parts.push(Part::Param(Rc::new(param), place.quoting));
            }
            _ => {
                self.at += 1;
                match place.quoting {
                    Quoting::Bare => push_plain(parts, "$"),
                    Quoting::Double => push_quoted(parts, "$"),
                }
            }
        }
    }

    fn dollar_paren(&mut self, place: Place, parts: &mut Vec<Part>) {
        let start = self.at;
        self.at += 1;
        if let Some(expression) = self.double_paren() {
            let raw = self.text.get(start..self.at).unwrap_or_default().into();
            parts.push(Part::Arith(Rc::new(expression), raw, place.quoting));
            return;
        }
        self.at += 1;
        let script = self.list(false);
        self.close(")");
        let raw = self.text.get(start..self.at).unwrap_or_default().into();
        parts.push(Part::Command(Rc::new(script), raw, place.quoting));
    }

    /// `$[ … ]`, the old form of `$(( … ))`.
    fn dollar_bracket(&mut self, place: Place, parts: &mut Vec<Part>) {
        let inside = self.rest().get(2..).unwrap_or_default();
        let mut open = 0_usize;
        let end = inside.bytes().take(MAX_GLOB_GROUP).position(|b| {
            open += usize::from(b == b'[');
            let closes = b == b']' && open == 0;
            open = open.saturating_sub(usize::from(b == b']'));
            closes
        });
        let Some(expression) = end.and_then(|end| inside.get(..end)) else {
            self.at += 1;
            push_plain(parts, "$");
            return;
        };
        let raw = format!("$[{expression}]");
        self.at += raw.len();
        let word = self.inner(expression, here_text);
        parts.push(Part::Arith(Rc::new(word), raw.into(), place.quoting));
    }

    fn backtick(&mut self, place: Place, parts: &mut Vec<Part>) {
        let start = self.at;
        self.at += 1;
        let mut inside = String::new();
        loop {
            match self.bump() {
                None => {
                    self.want(Unfinished::Compound);
                    break;
                }
                Some('`') => break,
                Some('\\') if matches!(self.peek(), Some(b'`' | b'\\' | b'$')) => inside.extend(self.bump()),
                Some(c) => inside.push(c),
            }
        }
        let raw = self.text.get(start..self.at).unwrap_or_default().into();
        let script = self.inner(&inside, script);
        parts.push(Part::Command(Rc::new(script), raw, place.quoting));
    }

    fn process(&mut self, parts: &mut Vec<Part>) {
        let start = self.at;
        self.at += 2;
        let script = self.list(false);
        self.close(")");
        let raw = self.text.get(start..self.at).unwrap_or_default().into();
        parts.push(Part::Process(Rc::new(script), raw));
    }

    /// `$'…'`.
    fn ansi(&mut self, parts: &mut Vec<Part>) {
        self.at += 2;
        let rest = self.rest();
        let mut escaped = false;
        let end = rest.bytes().position(|b| {
            let closes = b == b'\'' && !escaped;
            escaped = b == b'\\' && !escaped;
            closes
        });
        if end.is_none() {
            self.want(Unfinished::Quote);
        }
        let inside = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.at += inside.len() + usize::from(end.is_some());
        self.budget.spend(inside.len());
        let bytes = super::escapes::ansi_c(inside);
        parts.push(Part::Quoted(String::from_utf8_lossy(&bytes).into_owned()));
        if super::escapes::hides(inside) {
            // Two parts that meet between letters read as odd, whatever stands around them.
            parts.push(Part::Quoted(String::new()));
        }
    }

    fn braced(&mut self, place: Place) -> (String, Option<Word>, ParamOp) {
        let indirect = self.peek() == Some(b'!') && self.peek_at(1).is_some_and(|b| b != b'}');
        let length = self.peek() == Some(b'#') && self.peek_at(1).is_some_and(|b| b != b'}');
        self.at += usize::from(indirect || length);
        let mut name = identifier(self.rest()).to_owned();
        self.at += name.len();
        if name.is_empty() {
            let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
            let special = usize::from(digits == 0 && self.peek().is_some_and(|b| b"@*#?$!-".contains(&b)));
            self.rest().get(..digits + special).unwrap_or_default().clone_into(&mut name);
            self.at += name.len();
        }
        let index = self.eat("[").then(|| {
            let index = self.until(b"]", place);
            self.eat("]");
            index
        });
        let op = match (length, indirect) {
            (true, _) => ParamOp::Length,
            (_, true) if matches!(self.peek(), Some(b'*' | b'@')) => ParamOp::Names,
            (_, true) if self.peek() == Some(b'}') => ParamOp::Indirect,
            _ => self.operator(place),
        };
        // Whatever is left belongs to an operator that is not read.
        if self.peek() != Some(b'}') {
            self.until(b"}", place);
        }
        if !self.eat("}") {
            self.want(Unfinished::Compound);
        }
        (name, index, op)
    }

    fn operator(&mut self, place: Place) -> ParamOp {
        let Some(first) = self.peek().filter(|b| *b != b'}') else { return ParamOp::Value };
        let colon = first == b':' && matches!(self.peek_at(1), Some(b'-' | b'=' | b'+' | b'?'));
        self.at += usize::from(colon);
        let Some(sign) = self.bump() else { return ParamOp::Other };
        match sign {
            '-' | '=' => ParamOp::Default { word: self.until(b"}", place), colon, assign: sign == '=' },
            '+' => ParamOp::Alternative { word: self.until(b"}", place), colon },
            '?' => {
                self.until(b"}", place);
                ParamOp::Require
            }
            ':' => {
                let offset = self.until(b":}", place);
                let length = self.eat(":").then(|| self.until(b"}", place));
                ParamOp::Slice { offset, length }
            }
            '#' | '%' => {
                let longest = self.eat(sign.encode_utf8(&mut [0; 4]));
                ParamOp::Trim { pattern: self.until(b"}", BARE), end: sign == '%', longest }
            }
            '/' => self.replacement(),
            '^' | ',' | '~' => {
                let all = self.eat(sign.encode_utf8(&mut [0; 4]));
                // A pattern that limits the change is rare: without one every letter changes.
                self.until(b"}", BARE);
                ParamOp::Case { change: u8::try_from(sign).unwrap_or(b'^'), all }
            }
            _ => ParamOp::Other,
        }
    }

    fn replacement(&mut self) -> ParamOp {
        let how = match self.peek() {
            Some(b'/') => Replace::All,
            Some(b'#') => Replace::Start,
            Some(b'%') => Replace::End,
            _ => Replace::First,
        };
        self.at += usize::from(how != Replace::First);
        let pattern = self.until(b"/}", BARE);
        let with = if self.eat("/") { self.until(b"}", BARE) } else { Word::default() };
        ParamOp::Replace { pattern, with, how }
    }

    fn until(&mut self, stop: &'static [u8], place: Place) -> Word {
        let mut word = Word::default();
        let bare_quotes = place.quoting == Quoting::Double;
        self.parts(Place { stop, quoting: place.quoting, bare_quotes }, &mut word.parts);
        word
    }
}

/// The whole text as one double-quoted word: a here-document's body, an arithmetic expression.
pub(super) fn here_text(parser: &mut Parser<'_, '_>) -> Word {
    let mut word = Word::default();
    parser.parts(HERE, &mut word.parts);
    word
}

fn script(parser: &mut Parser<'_, '_>) -> Script {
    parser.script()
}

const BARE: Place = Place { stop: b"}", quoting: Quoting::Bare, bare_quotes: false };

/// Longest `@(…)` or `$[…]`, in bytes.
const MAX_GLOB_GROUP: usize = 1024;

/// Whether a `(` belongs to the word: an extended glob or an array.
fn continues(byte: u8, parts: &[Part]) -> bool {
    let Some(Part::Plain(before)) = parts.last().filter(|_| byte == b'(') else { return false };
    match before.bytes().last() {
        Some(b'=') => is_assignment(before),
        Some(b'?' | b'*' | b'+' | b'@' | b'!') => true,
        _ => false,
    }
}

fn is_assignment(text: &str) -> bool {
    let name = identifier(text);
    let after = text.get(name.len()..).unwrap_or_default();
    !name.is_empty() && (after == "=" || after == "+=" || (after.starts_with('[') && after.ends_with("]=")))
}

fn push_plain(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Plain(last)) => last.push_str(text),
        _ => parts.push(Part::Plain(text.to_owned())),
    }
}

fn push_quoted(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Quoted(last)) => last.push_str(text),
        _ => parts.push(Part::Quoted(text.to_owned())),
    }
}

/// Whether quoting hides the word: it changes between two letters, or quotes nothing, where neither needs it.
fn odd(parts: &[Part], bare: usize) -> bool {
    let text = |part: &Part| match part {
        Part::Plain(text) | Part::Quoted(text) => Some(text.clone()),
        _ => None,
    };
    let empty = parts.len() > 1 && parts.iter().any(|part| matches!(part, Part::Quoted(text) if text.is_empty()));
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let meets = parts.windows(2).skip(bare).any(|pair| {
        let [left, right] = pair else { return false };
        match (text(left), text(right)) {
            // `-p"x"`: a flag and its value.
            (Some(left), _) if left.starts_with('-') && left.chars().count() == 2 => false,
            (Some(left), Some(right)) => letter(left.chars().last()) && letter(right.chars().next()),
            _ => false,
        }
    });
    empty || meets
}
