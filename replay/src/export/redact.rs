//! Secrets and configured patterns leave an export, digests of them stay.
//!
//! Two things are secrets: input that the terminal did not echo, which no export holds but the raw ones, whatever the
//! user asks for; and, with `--redact`, what [`warden_rules::mask`] finds in commands (password flags, authorization
//! headers, URLs with credentials, forms that issuers document). `--redact-pattern` adds regular expressions, which see
//! one line as it stands on the screen, wraps joined. All of them are looked for in every byte of output, whether echoed
//! key by key, edited, or printed by a program, and in titles and other string sequences.
//!
//! On the screen each removed character becomes `█`, so that the grid stays as it was; in commands and findings the
//! whole becomes `[redacted N #DIGEST]`. A digest is the HMAC-SHA-256 of the removed text: plain digests of passwords
//! can be guessed offline. Its key is random and kept nowhere, so that it says only which removed texts were equal, unless
//! `--redact-key FILE` gives one: whoever holds that file and the original can prove what was removed.
//!
//! What was typed is searched in the same way; with `--redact` or `--redact-pattern` only its length stays, because keys
//! that move about in a line could hide a secret there.
//!
//! Not found: a secret that was typed in parts with other text between them, erased before it was whole, or printed
//! encoded (base64, a QR code).

mod cut;
mod escape;
mod line;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};
use aws_lc_rs::hmac;
use regex::Regex;
use warden_rules::mask::Masker;
use warden_session::Command;

pub(crate) use cut::{Cut, Cuts};
use line::Line;

use super::hex;

/// What to remove, from the command line.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    /// Secrets inside commands.
    pub(crate) commands: bool,
    /// Configured patterns.
    pub(crate) patterns: Vec<Regex>,
    /// Key of the digests; random without one.
    pub(crate) key: Option<Vec<u8>>,
}

/// Secrets kept of one session; beyond it further ones are not looked for in output.
pub(crate) const MAX_SECRETS: usize = 10_000;
/// Places remembered at which something is removed.
pub(crate) const MAX_CUTS: usize = 1 << 20;
/// Shorter secrets, in characters, are removed only from the command that holds them: `1` is everywhere.
const SHORT: usize = 4;

/// Learns secrets, then finds them.
#[derive(Debug)]
pub(crate) struct Redactor {
    policy: Policy,
    key: hmac::Key,
    masker: Masker,
    /// Each secret with the part of the output to which it is held; `None` is all of it.
    secrets: BTreeMap<String, Option<Range<u64>>>,
    /// Whether there were more than [`MAX_SECRETS`].
    pub(crate) overflown: bool,
}

impl Redactor {
    /// A redactor that knows no secrets yet.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub(crate) fn new(policy: Policy) -> anyhow::Result<Self> {
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow::anyhow!("no random bytes for a key"))?;
        let bytes = policy.key.as_deref().unwrap_or(&random);
        let key = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        Ok(Self { key, masker: Masker::new(bytes), policy, secrets: BTreeMap::new(), overflown: false })
    }

    /// Whether the user wants more to be removed than what was not echoed.
    pub(crate) fn is_asked(&self) -> bool {
        self.policy.commands || !self.policy.patterns.is_empty()
    }

    /// Whether anything has to be looked for in output.
    pub(crate) fn is_idle(&self) -> bool {
        self.secrets.is_empty() && self.policy.patterns.is_empty()
    }

    /// Learns a line that was typed and not echoed.
    pub(crate) fn learn_hidden(&mut self, text: &str) {
        if text.chars().count() >= SHORT {
            self.learn(text, None);
        }
    }

    /// Learns the secrets of a command, if they are to be removed.
    pub(crate) fn learn_command(&mut self, command: &Command) {
        if !self.policy.commands {
            return;
        }
        let spans = self.masker.mask_spans(&command.text).spans;
        for secret in spans.into_iter().filter_map(|(span, _)| command.text.get(span)) {
            let scope = (secret.chars().count() < SHORT).then_some(&command.offset);
            self.learn(secret, scope);
        }
    }

    fn learn(&mut self, text: &str, scope: Option<&Range<u64>>) {
        self.overflown |= self.secrets.len() >= MAX_SECRETS;
        if self.secrets.len() < MAX_SECRETS {
            let known = self.secrets.entry(text.to_owned()).or_insert_with(|| scope.cloned());
            if scope.is_none() || known.as_ref() != scope {
                *known = None;
            }
        }
    }

    /// Makes the searcher of what was learnt.
    pub(crate) fn finder(&self) -> Finder<'_> {
        let literals: Vec<&str> = self.secrets.keys().map(String::as_str).collect();
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&literals);
        Finder { redactor: self, searcher: built.ok(), scopes: self.secrets.values().cloned().collect() }
    }

    /// Hex HMAC-SHA-256 of a removed text.
    pub(crate) fn digest(&self, text: &str) -> String {
        hex(hmac::sign(&self.key, text.as_bytes()).as_ref())
    }

    /// A command as exports show it.
    pub(crate) fn command(&self, finder: &Finder<'_>, command: &Command) -> Command {
        let mut shown =
            if self.policy.commands { self.masker.secrets_of(command).command(command) } else { command.clone() };
        shown.text = finder.text(&shown.text).into_owned();
        shown.prompt = shown.prompt.map(|prompt| finder.text(&prompt).into_owned());
        for invocation in &mut shown.invocations {
            invocation.argv.iter_mut().for_each(|word| *word = finder.text(word).into_owned());
        }
        shown
    }
}

/// Searches texts and output for what a [`Redactor`] knows.
#[derive(Debug)]
pub(crate) struct Finder<'r> {
    redactor: &'r Redactor,
    searcher: Option<AhoCorasick>,
    scopes: Vec<Option<Range<u64>>>,
}

impl Finder<'_> {
    /// Byte ranges of a text that have to go, in order, none overlapping.
    fn matches(&self, text: &str, place: Option<&Range<u64>>) -> Vec<Range<usize>> {
        let within = |scope: &Option<Range<u64>>| match (scope, place) {
            (None, _) => true,
            (Some(scope), Some(place)) => scope.start < place.end && place.start < scope.end,
            (Some(_), None) => false,
        };
        let mut found: Vec<Range<usize>> = Vec::new();
        if let Some(searcher) = &self.searcher {
            let matches = searcher.find_iter(text);
            found.extend(
                matches.filter(|m| self.scopes.get(m.pattern().as_usize()).is_some_and(within)).map(|m| m.range()),
            );
        }
        for pattern in &self.redactor.policy.patterns {
            found.extend(pattern.find_iter(text).map(|m| m.range()).filter(|range| !range.is_empty()));
        }
        found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in found {
            match merged.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }

    /// A text with `[redacted N #DIGEST]` in place of what has to go.
    pub(crate) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let found = self.matches(text, None);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut shown, mut at) = (String::new(), 0);
        for range in found {
            let gone = text.get(range.clone()).unwrap_or_default();
            shown.push_str(text.get(at..range.start).unwrap_or_default());
            let digest = self.redactor.digest(gone);
            let digest = digest.get(..12).unwrap_or_default();
            let _ = write!(shown, "[redacted {} #{digest}]", gone.chars().count());
            at = range.end;
        }
        shown.push_str(text.get(at..).unwrap_or_default());
        Cow::Owned(shown)
    }

    /// A search through the output of a window of this width; `None` if it is not known.
    pub(crate) fn search(&self, cols: Option<u16>) -> Search<'_> {
        Search { finder: self, line: Line::new(cols), parser: escape::Parser::default(), cuts: Cuts::default() }
    }
}

/// A search through one session's output.
#[derive(Debug)]
pub(crate) struct Search<'f> {
    finder: &'f Finder<'f>,
    line: Line,
    parser: escape::Parser,
    cuts: Cuts,
}

impl Search<'_> {
    /// Takes the next output, whose first byte is at `offset`.
    pub(crate) fn feed(&mut self, bytes: &[u8], offset: u64) {
        let Self { finder, line, parser, cuts } = self;
        parser.feed(bytes, offset, &mut |piece| match piece {
            escape::Piece::String(body, start) => in_string(finder, body, start, cuts),
            piece => line.take(&piece, &mut |line| in_line(finder, line, cuts)),
        });
    }

    /// The window has another width.
    pub(crate) fn resize(&mut self, cols: u16) {
        self.line.cols = Some(usize::from(cols.max(1)));
    }

    /// The output ends: where something has to go.
    pub(crate) fn finish(mut self) -> Cuts {
        in_line(self.finder, &self.line, &mut self.cuts);
        self.cuts.sort();
        self.cuts
    }
}

fn in_line(finder: &Finder<'_>, line: &Line, cuts: &mut Cuts) {
    let (text, places) = line.text();
    let whole = line.place();
    for range in finder.matches(&text, whole.as_ref()) {
        let gone = text.get(range.clone()).unwrap_or_default();
        let cells = places.iter().filter(|(at, _, _)| range.contains(at)).map(|(_, raw, cols)| (raw.clone(), *cols));
        cuts.push(cells, gone.chars().count(), || finder.redactor.digest(gone));
    }
}

fn in_string(finder: &Finder<'_>, body: &[u8], start: u64, cuts: &mut Cuts) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let place = start..start + body.len() as u64;
    for range in finder.matches(text, Some(&place)) {
        let gone = text.get(range.clone()).unwrap_or_default();
        let raw = start + range.start as u64..start + range.end as u64;
        let cols = gone.chars().count();
        cuts.push(std::iter::once((raw, cols)), cols, || finder.redactor.digest(gone));
    }
}

#[cfg(test)]
mod tests;
