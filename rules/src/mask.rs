//! Masking of secrets in commands: what is printed, sent or logged never holds them, while rules match the whole text.
//!
//! A secret becomes `[masked 12 #3fa9c1]`: its length in characters and six hex digits of its HMAC-SHA-256 under the
//! caller's key, so that equal secrets look equal and short ones cannot be guessed from the digest. Secrets are found by
//! the place where programs take them (flags, positions, input, environment), by names that announce them, and by forms
//! that issuers document. References (`$DB_PASSWORD`, `$(cat f)`, `file://…`, `<password>`) are no secrets and stay.

mod argv;
mod finding;
mod format;
mod lexer;
mod name;
mod stdin;
mod tool;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use sha2::{Digest, Sha256};
use warden_session::command::Command;

use format::Formats;
use lexer::Word;

/// Masks secrets under one key. Building it compiles its patterns: build one for a run.
#[derive(Debug)]
pub struct Masker {
    inner: Box<[u8; BLOCK]>,
    outer: Box<[u8; BLOCK]>,
    formats: Formats,
}

/// A masked text, and where its masks stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    /// The text to show.
    pub text: String,
    /// For each mask, in order: the bytes that it replaces, and its own bytes in `text`.
    pub spans: Vec<(Range<usize>, Range<usize>)>,
}

/// The secrets of one command, which are masked wherever its other texts repeat them: in argument vectors that lost their
/// quotes, in decoded forms, in the values that a rule matched.
#[derive(Clone, Debug)]
pub struct Secrets<'m> {
    masker: &'m Masker,
    values: BTreeSet<String>,
    /// What was found in the texts that were learnt: most are masked afterwards.
    known: BTreeMap<String, Vec<(Range<usize>, String)>>,
}

/// Longest text that is searched whole, in bytes; longer ones are searched piece by piece.
pub const MAX_TEXT: usize = 256 * 1024;
/// Most secrets of one command that are masked in its other texts.
pub const MAX_SECRETS: usize = 256;
/// Longest text whose places are remembered until it is masked, in bytes.
const MAX_KNOWN: usize = 4096;
/// How deep quoted commands in commands are searched.
const MAX_DEPTH: usize = 4;
/// Block size of SHA-256, in bytes.
const BLOCK: usize = 64;

/// Masks the secrets of one text; see [`Masker::mask`], which saves building the patterns for each text.
///
/// ```
/// use warden_rules::mask::mask;
/// let shown = mask("mysql -uroot -pS3cret shop", b"key");
/// assert!(shown.starts_with("mysql -uroot -p[masked 6 #"));
/// assert_eq!(mask("mkdir -p dir", b"key"), "mkdir -p dir");
/// ```
pub fn mask<'t>(text: &'t str, key: &[u8]) -> Cow<'t, str> {
    Masker::new(key).mask(text)
}

impl Masker {
    /// A masker whose digests are keyed by `key`, of any length.
    pub fn new(key: &[u8]) -> Self {
        let short: Vec<u8> = if key.len() > BLOCK { Sha256::digest(key).to_vec() } else { key.to_vec() };
        let pad = |with: u8| {
            let mut block = Box::new([with; BLOCK]);
            block.iter_mut().zip(&short).for_each(|(byte, key)| *byte ^= key);
            block
        };
        Self { inner: pad(0x36), outer: pad(0x5c), formats: Formats::new() }
    }

    /// The text with its secrets masked; borrowed if it has none.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let masked = self.replace(text, self.find(text));
        if masked.spans.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(masked.text) }
    }

    /// The same, with the places of the masks.
    pub fn mask_spans(&self, text: &str) -> Masked {
        self.replace(text, self.find(text))
    }

    /// The secrets of a command: of its text and of every argument vector in it.
    pub fn secrets_of(&self, command: &Command) -> Secrets<'_> {
        let mut secrets = self.secrets();
        secrets.learn(&command.text);
        for invocation in &command.invocations {
            secrets.learn_argv(&invocation.argv);
        }
        secrets
    }

    /// No secrets yet; see [`Secrets::learn`].
    pub fn secrets(&self) -> Secrets<'_> {
        Secrets { masker: self, values: BTreeSet::new(), known: BTreeMap::new() }
    }

    /// What stands in place of a secret.
    pub fn token(&self, secret: &str) -> String {
        let inside = Sha256::new().chain_update(self.inner.as_slice()).chain_update(secret).finalize();
        let digest = Sha256::new().chain_update(self.outer.as_slice()).chain_update(inside).finalize();
        let hex: String = digest.iter().take(3).flat_map(|byte| [byte >> 4, byte & 15]).filter_map(hex).collect();
        format!("[masked {} #{hex}]", secret.chars().count())
    }

    /// Places of secrets with the secrets themselves, in no order.
    fn find(&self, text: &str) -> Vec<(Range<usize>, String)> {
        let mut found = Vec::new();
        let mut start = 0;
        while start < text.len() {
            let end = boundary(text, start);
            let part = text.get(start..end).unwrap_or_default();
            let from = found.len();
            self.find_part(part, &mut found);
            found.iter_mut().skip(from).for_each(|(range, _)| *range = range.start + start..range.end + start);
            start = end;
        }
        found
    }

    fn find_part(&self, text: &str, found: &mut Vec<(Range<usize>, String)>) {
        let mut ranges = Vec::new();
        self.formats.find(text, &mut ranges);
        found.extend(ranges.into_iter().map(|range| (range.clone(), text.get(range).unwrap_or_default().to_owned())));
        stdin::configuration(text, found);
        find_words(&Word::of(text), 0, found);
    }

    fn replace(&self, text: &str, mut found: Vec<(Range<usize>, String)>) -> Masked {
        found.retain(|(range, _)| !range.is_empty() && text.get(range.clone()).is_some());
        found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut masked = Masked::default();
        let mut at = 0;
        for (range, secret) in merge(text, found) {
            masked.text.push_str(text.get(at..range.start).unwrap_or_default());
            let start = masked.text.len();
            masked.text.push_str(&self.token(&secret));
            at = range.end;
            masked.spans.push((range, start..masked.text.len()));
        }
        masked.text.push_str(text.get(at..).unwrap_or_default());
        masked
    }
}

impl Secrets<'_> {
    /// Adds the secrets of a text.
    pub fn learn(&mut self, text: &str) {
        if self.known.contains_key(text) {
            return;
        }
        let found = self.masker.find(text);
        for (_, secret) in &found {
            self.add(secret.clone());
        }
        if text.len() <= MAX_KNOWN && self.known.len() < MAX_SECRETS {
            self.known.insert(text.to_owned(), found);
        }
    }

    /// Adds the secrets of an argument vector.
    pub fn learn_argv(&mut self, argv: &[String]) {
        for (at, range) in places(argv) {
            self.add(argv.get(at).and_then(|word| word.get(range)).unwrap_or_default().to_owned());
        }
    }

    fn add(&mut self, secret: String) {
        if !secret.is_empty() && self.values.len() < MAX_SECRETS {
            self.values.insert(secret);
        }
    }

    /// The text with its own secrets and those learnt before masked.
    pub fn mask(&self, text: &str) -> Masked {
        let mut found = self.known.get(text).cloned().unwrap_or_else(|| self.masker.find(text));
        self.repeated(text, &mut found);
        self.masker.replace(text, found)
    }

    /// An argument vector with its secrets masked.
    pub fn argv(&self, argv: &[String]) -> Vec<String> {
        let places = places(argv);
        let mask_word = |(at, word): (usize, &String)| {
            if self.values.contains(word) {
                return self.masker.token(word);
            }
            let mut found: Vec<_> = places.iter().filter(|(n, _)| *n == at).map(|(_, range)| range.clone()).collect();
            self.masker.formats.find(word, &mut found);
            let mut found: Vec<_> = found
                .into_iter()
                .map(|range| (range.clone(), word.get(range).unwrap_or_default().to_owned()))
                .collect();
            self.repeated(word, &mut found);
            if is_text(word) {
                found.extend(self.masker.find(word));
            }
            self.masker.replace(word, found).text
        };
        argv.iter().enumerate().map(mask_word).collect()
    }

    /// The command with every text in it masked.
    pub fn command(&self, command: &Command) -> Command {
        let mut masked = command.clone();
        masked.text = self.mask(&command.text).text;
        masked.prompt = command.prompt.as_ref().map(|prompt| self.mask(prompt).text);
        for invocation in &mut masked.invocations {
            invocation.argv = self.argv(&invocation.argv);
        }
        masked
    }

    /// Repetitions of what was learnt, where they stand apart; long ones anywhere.
    fn repeated(&self, text: &str, found: &mut Vec<(Range<usize>, String)>) {
        for secret in &self.values {
            for (at, _) in text.match_indices(secret.as_str()) {
                let range = at..at + secret.len();
                if stands_apart(text, &range, secret.chars().count()) {
                    found.push((range, secret.clone()));
                }
            }
        }
    }
}

impl Masked {
    /// Where a byte range of the unmasked text lies in the masked one; what falls into a mask covers the whole mask.
    pub fn map(&self, range: Range<usize>) -> Range<usize> {
        let start = self.position(range.start, false);
        start..self.position(range.end, true).max(start)
    }

    fn position(&self, at: usize, end: bool) -> usize {
        let mut moved = at;
        for (old, new) in &self.spans {
            if at > old.start && at < old.end {
                return if end { new.end } else { new.start };
            }
            if at >= old.end {
                moved = at - old.end + new.end;
            }
        }
        moved
    }
}

/// Secrets by place in the commands of a text, and of the texts quoted in it.
fn find_words(source: &Word, depth: usize, found: &mut Vec<(Range<usize>, String)>) {
    let pieces = lexer::pieces(&source.text);
    let mut inside = Vec::new();
    stdin::find(&source.text, &pieces, &mut inside);
    for piece in &pieces {
        let mut places = Vec::new();
        argv::find(&piece.words, &mut places);
        for (at, part) in places {
            let Some(word) = piece.words.get(at) else { continue };
            let secret = word.text.get(part.clone()).unwrap_or_default().to_owned();
            inside.extend(word.source(&part).map(|range| (range, secret)));
        }
        let words = piece.words.iter().chain(&piece.here_strings);
        for word in words.filter(|word| depth < MAX_DEPTH && is_text(&word.text)) {
            let mut nested = Vec::new();
            find_words(&Word::of(&word.text), depth + 1, &mut nested);
            inside.extend(nested.into_iter().filter_map(|(range, secret)| Some((word.source(&range)?, secret))));
        }
    }
    found.extend(inside.into_iter().filter_map(|(range, secret)| Some((source.source(&range)?, secret))));
}

fn places(argv: &[String]) -> Vec<argv::Place> {
    let words: Vec<Word> = argv.iter().map(|word| Word::of(word)).collect();
    let mut places = Vec::new();
    argv::find(&words, &mut places);
    places
}

/// Joins places that overlap: the longest secret stands for what it covers.
fn merge(text: &str, found: Vec<(Range<usize>, String)>) -> Vec<(Range<usize>, String)> {
    let mut merged: Vec<(Range<usize>, String)> = Vec::new();
    for (range, secret) in found {
        match merged.last_mut().filter(|(last, _)| range.start < last.end) {
            Some((last, _)) if range.end <= last.end => {}
            Some((last, whole)) => {
                last.end = range.end;
                text.get(last.clone()).unwrap_or_default().clone_into(whole);
            }
            None => merged.push((range, secret)),
        }
    }
    merged
}

/// Whether a word may hold a command or a text of its own.
fn is_text(word: &str) -> bool {
    word.contains([' ', '\n', '\t', '\'', '"'])
}

/// Where the piece of a text that begins at `start` ends: at a newline near the limit, or at the limit.
fn boundary(text: &str, start: usize) -> usize {
    let mut end = (start + MAX_TEXT).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let line = text.get(start..end).filter(|_| end < text.len()).and_then(|part| part.rfind('\n'));
    line.map_or(end, |at| start + at + 1)
}

fn stands_apart(text: &str, range: &Range<usize>, length: usize) -> bool {
    let before = text.get(..range.start).unwrap_or_default().chars().next_back();
    let after = text.get(range.end..).unwrap_or_default().chars().next();
    let apart = |c: Option<char>| match length {
        0..2 => c.is_none_or(|c| c.is_whitespace() || "'\"=:,;@/%".contains(c)),
        2..8 => c.is_none_or(|c| !c.is_alphanumeric()),
        _ => true,
    };
    apart(before) && apart(after)
}

fn hex(nibble: u8) -> Option<char> {
    char::from_digit(u32::from(nibble), 16)
}
