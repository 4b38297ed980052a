//! Sigma strings: literals with `*` and `?`, and where in a value they must stand.

use memchr::memmem::Finder;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::fold::fold;

/// A piece of a Sigma string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Token {
    /// Text as it is.
    Text(String),
    /// `*`: any characters, or none.
    Many,
    /// `?`: exactly one character.
    One,
    /// Any of the dashes that `windash` takes for each other.
    Dash,
}

/// What `windash` takes for a dash.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// Where in a value a string must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// It is the whole value.
    Whole,
    /// Anywhere.
    Contains,
    /// At its start.
    Start,
    /// At its end.
    End,
}

/// Reads a Sigma string. A backslash takes the meaning from `*`, `?` and `\` after it; before anything else (and at the
/// end) it is itself. Source: Sigma 2.1 rules specification, "Escaping".
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next_if(|next| matches!(next, '*' | '?' | '\\')) {
                Some(escaped) => literal.push(escaped),
                None => literal.push('\\'),
            },
            '*' | '?' => {
                flush(&mut literal, &mut tokens);
                let token = if c == '*' { Token::Many } else { Token::One };
                if token == Token::One || tokens.last() != Some(&Token::Many) {
                    tokens.push(token);
                }
            }
            _ => literal.push(c),
        }
    }
    flush(&mut literal, &mut tokens);
    tokens
}

/// Puts [`Token::Dash`] for each dash or slash that begins a word, as `windash` asks: the one of `-enc`, not of `a-b`.
pub(crate) fn windash(tokens: Vec<Token>) -> Vec<Token> {
    let mut dashed = Vec::new();
    for token in tokens {
        let Token::Text(text) = token else {
            dashed.push(token);
            continue;
        };
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        let mut in_word = false;
        while let Some(c) = chars.next() {
            if DASHES.contains(&c) && !in_word && chars.peek().is_some_and(|&next| is_word(next)) {
                flush(&mut literal, &mut dashed);
                dashed.push(Token::Dash);
            } else {
                literal.push(c);
            }
            in_word = is_word(c);
        }
        flush(&mut literal, &mut dashed);
    }
    dashed
}

/// A Sigma string ready to be matched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TextPattern {
    /// Whether case counts; if not, the literals are folded and so must be the haystack.
    pub(crate) cased: bool,
    pub(crate) form: Form,
}

/// The shapes of Sigma strings, the common ones first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Form {
    /// Every text.
    Anything,
    /// The whole text.
    Equals(Box<str>),
    /// Anywhere.
    #[serde(serialize_with = "needle", deserialize_with = "finder")]
    Contains(Box<Finder<'static>>),
    /// At the start.
    StartsWith(Box<str>),
    /// At the end.
    EndsWith(Box<str>),
    /// Everything else.
    Glob(Box<Glob>),
}

/// Segments between `*`, in order, without overlap.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Glob {
    pub(crate) segments: Vec<Vec<Token>>,
    from_start: bool,
    to_end: bool,
}

impl TextPattern {
    pub(crate) fn new(mut tokens: Vec<Token>, place: Place, cased: bool) -> Self {
        if matches!(place, Place::Contains | Place::End) && tokens.first() != Some(&Token::Many) {
            tokens.insert(0, Token::Many);
        }
        if matches!(place, Place::Contains | Place::Start) && tokens.last() != Some(&Token::Many) {
            tokens.push(Token::Many);
        }
        if !cased {
            for token in &mut tokens {
                if let Token::Text(text) = token {
                    *text = fold(text).into_owned();
                }
            }
        }
        Self { cased, form: Form::new(&tokens) }
    }

    /// The first place in the haystack (folded unless `cased`) that matches, as a byte range.
    pub(crate) fn find(&self, haystack: &str) -> Option<(usize, usize)> {
        let whole = (0, haystack.len());
        match &self.form {
            Form::Anything => Some(whole),
            Form::Equals(literal) => (haystack == &**literal).then_some(whole),
            Form::Contains(finder) => finder.find(haystack.as_bytes()).map(|at| (at, at + finder.needle().len())),
            Form::StartsWith(literal) => haystack.starts_with(&**literal).then_some((0, literal.len())),
            Form::EndsWith(literal) => {
                haystack.ends_with(&**literal).then(|| (haystack.len() - literal.len(), haystack.len()))
            }
            Form::Glob(glob) => glob.find(haystack),
        }
    }
}

impl Form {
    fn new(tokens: &[Token]) -> Self {
        match tokens {
            [] => Self::Equals("".into()),
            [Token::Many] => Self::Anything,
            [Token::Text(text)] => Self::Equals(text.as_str().into()),
            [Token::Many, Token::Text(text), Token::Many] => Self::Contains(Box::new(Finder::new(text).into_owned())),
            [Token::Text(text), Token::Many] => Self::StartsWith(text.as_str().into()),
            [Token::Many, Token::Text(text)] => Self::EndsWith(text.as_str().into()),
            _ => {
                let segments = tokens.split(|token| *token == Token::Many).filter(|part| !part.is_empty());
                Self::Glob(Box::new(Glob {
                    segments: segments.map(<[Token]>::to_vec).collect(),
                    from_start: tokens.first() != Some(&Token::Many),
                    to_end: tokens.last() != Some(&Token::Many),
                }))
            }
        }
    }
}

fn needle<S: Serializer>(finder: &Finder<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    // It was made of a text.
    serializer.serialize_str(&String::from_utf8_lossy(finder.needle()))
}

fn finder<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<Finder<'static>>, D::Error> {
    let needle = <&str>::deserialize(deserializer)?;
    Ok(Box::new(Finder::new(needle).into_owned()))
}

impl Glob {
    fn find(&self, haystack: &str) -> Option<(usize, usize)> {
        let mut segments = self.segments.as_slice();
        let mut at = 0;
        let mut start = None;
        if self.from_start
            && let [first, rest @ ..] = segments
        {
            at = match_at(first, haystack, 0)?;
            start = Some(0);
            if rest.is_empty() && self.to_end {
                return (at == haystack.len()).then_some((0, at));
            }
            segments = rest;
        }
        let last = match segments {
            [head @ .., last] if self.to_end => {
                segments = head;
                Some(last)
            }
            _ => None,
        };
        for segment in segments {
            let (begin, end) = find_from(segment, haystack, at)?;
            start.get_or_insert(begin);
            at = end;
        }
        if let Some(last) = last {
            let begin = back(haystack, haystack.len(), last.iter().map(length).sum())?;
            (begin >= at && match_at(last, haystack, begin)? == haystack.len()).then_some(())?;
            start.get_or_insert(begin);
            at = haystack.len();
        }
        Some((start.unwrap_or(0), at))
    }
}

/// Where the segment ends if it stands at byte `at`.
fn match_at(segment: &[Token], haystack: &str, at: usize) -> Option<usize> {
    let mut rest = haystack.get(at..)?;
    for token in segment {
        rest = match token {
            Token::Text(text) => rest.strip_prefix(text.as_str())?,
            Token::One => rest.strip_prefix(|_: char| true)?,
            Token::Dash => rest.strip_prefix(DASHES)?,
            Token::Many => rest,
        };
    }
    Some(haystack.len() - rest.len())
}

/// The first place at or after byte `from` where the segment stands.
fn find_from(segment: &[Token], haystack: &str, from: usize) -> Option<(usize, usize)> {
    let lead = segment.iter().take_while(|token| !matches!(token, Token::Text(_))).count();
    let Some(Token::Text(anchor)) = segment.get(lead) else {
        let rest = haystack.get(from..)?;
        return rest
            .char_indices()
            .find_map(|(at, _)| match_at(segment, haystack, from + at).map(|end| (from + at, end)));
    };
    let finder = Finder::new(anchor);
    let rest = haystack.as_bytes().get(from..)?;
    finder.find_iter(rest).find_map(|hit| overlapping(segment, haystack, from, from + hit, lead))
}

/// The segment whose first literal stands at byte `hit`, if all of it does.
fn overlapping(segment: &[Token], haystack: &str, from: usize, hit: usize, lead: usize) -> Option<(usize, usize)> {
    let begin = back(haystack, hit, lead).filter(|&begin| begin >= from)?;
    match_at(segment, haystack, begin).map(|end| (begin, end))
}

/// The byte offset that lies `chars` characters before byte `at`.
fn back(haystack: &str, at: usize, chars: usize) -> Option<usize> {
    match chars {
        0 => Some(at),
        _ => haystack.get(..at)?.char_indices().rev().nth(chars - 1).map(|(offset, _)| offset),
    }
}

/// Characters that a token other than `*` takes.
fn length(token: &Token) -> usize {
    match token {
        Token::Text(text) => text.chars().count(),
        Token::One | Token::Dash => 1,
        Token::Many => 0,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn flush(literal: &mut String, tokens: &mut Vec<Token>) {
    if !literal.is_empty() {
        tokens.push(Token::Text(std::mem::take(literal)));
    }
}
