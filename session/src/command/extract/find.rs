//! Where a prompt ends: in a region that a line editor marked, in a row, or nowhere.

use super::Extractor;
use crate::command::prompt::{PromptKind, any_end, continuation_end, repl_end, stock_end};
use crate::command::row::Reading;
use crate::command::{Confidence, Origin};
use crate::timeline::Fidelity;

/// A prompt found: on which line, where it ends, what it is.
pub(super) struct Found {
    pub(super) line: usize,
    pub(super) end: usize,
    pub(super) kind: PromptKind,
    pub(super) origin: Origin,
    pub(super) confidence: Confidence,
    /// The line editor began behind the prompt, and ends before Enter moves the cursor.
    pub(super) editor_below: bool,
}

impl Found {
    pub(super) fn shell(line: usize, end: usize, confidence: Confidence) -> Self {
        Self { line, end, kind: PromptKind::Shell, origin: Origin::Screen, confidence, editor_below: false }
    }
}

impl Extractor {
    /// The prompt of a region that a line editor marked.
    pub(super) fn find_edited(&self, reading: &Reading) -> Option<Found> {
        let lines = &reading.lines;
        if let Some(found) = marked(reading) {
            return Some(found);
        }
        for (at, text) in lines.iter().enumerate().rev() {
            if let Some((end, kind)) = self.prompts.known_at_start(text) {
                return Some(Found { kind, ..Found::shell(at, end, Confidence::High) });
            }
        }
        if self.fills_screen() {
            return None;
        }
        let wants = self.draft.as_ref().is_some_and(|draft| draft.kind == PromptKind::Shell);
        for (at, text) in lines.iter().enumerate() {
            let end = continuation_end(text).filter(|_| wants).map(|end| (end, PromptKind::Continuation));
            let end = end.or_else(|| self.repl_prompt(text).map(|end| (end, PromptKind::Repl)));
            let end = end.or_else(|| stock_end(text).map(|end| (end, PromptKind::Shell)));
            if let Some((end, kind)) = end {
                return Some(Found { kind, ..Found::shell(at, end, Confidence::High) });
            }
        }
        None
    }

    /// A region whose prompt has no usual shape, in a session that prints none or has just changed it.
    pub(super) fn find_changed(&self, lines: &[String]) -> Option<Found> {
        if self.fills_screen() {
            return None;
        }
        if self.prompts.prints_none() {
            return Some(Found::shell(0, 0, Confidence::High));
        }
        let changed = self.license.shell && !self.prompts.is_empty();
        let last = lines.len().checked_sub(1)?;
        let end = any_end(lines.get(last)?).filter(|_| changed)?;
        Some(Found::shell(last, end, Confidence::Medium))
    }

    /// An interpreter's prompt, if one was started and the shape is not a shell's alone.
    pub(super) fn repl_prompt(&self, text: &str) -> Option<usize> {
        let in_repl = self.license.repl || self.draft.as_ref().is_some_and(|draft| draft.kind == PromptKind::Repl);
        repl_end(text).filter(|_| in_repl && stock_end(text).is_none_or(|end| is_word_prompt(text, end)))
    }

    /// The prompt of a row outside every marked region.
    pub(super) fn find_row(&self, reading: &Reading) -> Option<Found> {
        if let Some(found) = marked(reading) {
            return Some(found);
        }
        let line = reading.lines.len().checked_sub(1)?;
        let text = reading.lines.get(line)?;
        let exact = self.confidence();
        let found = |(end, kind, confidence)| Found { kind, ..Found::shell(line, end, confidence) };
        let continuation = || {
            let wants = self.draft.as_ref().is_some_and(|draft| draft.wants.is_some());
            continuation_end(text).filter(|_| wants).map(|end| (end, PromptKind::Continuation, exact))
        };
        let similar = || {
            let end = self.prompts.similar_at_start(text)?;
            (self.rows_count() || !self.prompts.all_edited()).then_some((end, PromptKind::Shell, exact))
        };
        let opened = || {
            let opened =
                self.license.shell || self.in_multiplexer() || (self.prompts.is_empty() && self.unresolved.is_empty());
            stock_end(text).filter(|_| opened).map(|end| (end, PromptKind::Shell, exact.min(Confidence::Medium)))
        };
        self.known_row(text)
            .or_else(continuation)
            .or_else(|| self.repl_prompt(text).map(|end| (end, PromptKind::Repl, exact)))
            .or_else(similar)
            .or_else(opened)
            .map(found)
            .or_else(|| self.find_typed(line, text))
            .or_else(|| self.find_behind_output(text))
    }

    fn known_row(&self, text: &str) -> Option<(usize, PromptKind, Confidence)> {
        let (end, kind) = self.prompts.known_at_start(text)?;
        let (prompt, typed) = text.split_at_checked(end)?;
        // `# ` is root's prompt in dash, and begins most comments of most files.
        if prompt.trim() == "#" {
            return may_be_command(typed).then_some((end, kind, Confidence::Low));
        }
        (self.rows_count() || !self.prompts.is_edited(prompt)).then_some((end, kind, self.confidence()))
    }

    /// Whether prompts that a line editor marks may stand in unmarked rows too.
    fn rows_count(&self) -> bool {
        self.fidelity != Fidelity::Exact || self.license.unbracketed || self.in_multiplexer()
    }

    /// A prompt behind output that had no line end, if the command just run did not print the prompt itself.
    fn find_behind_output(&self, text: &str) -> Option<Found> {
        let draft = self.draft.as_ref().filter(|_| self.rows_since == 0)?;
        let (begin, end) = self.prompts.known_inside(text)?;
        let prompt = text.get(begin..end)?;
        let honest = !draft.text.contains(prompt.trim_end()) && !self.prompts.is_edited(prompt);
        honest.then(|| Found::shell(0, end, Confidence::Medium))
    }

    fn confidence(&self) -> Confidence {
        match self.fidelity {
            Fidelity::Exact => Confidence::High,
            Fidelity::Cleaned | Fidelity::Rendered => Confidence::Medium,
        }
    }
}

/// Whether text begins as commands do and sentences do not.
fn may_be_command(text: &str) -> bool {
    let word = text.trim_start().split(' ').next().unwrap_or_default();
    let begins = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "./~_($[{!\"'\\:<>&".contains(c);
    let sentence = word.ends_with([':', ',']) || text.trim_end().ends_with('.') && text.trim() != ".";
    !sentence && (word.contains('=') || word.chars().next().is_none_or(begins))
}

/// `word> `: a shape that shells and interpreters share.
fn is_word_prompt(text: &str, end: usize) -> bool {
    text.get(..end).is_some_and(|prompt| !prompt.contains(['@', '$', '[']))
}

/// The prompt whose end a shell integration marked.
fn marked(reading: &Reading) -> Option<Found> {
    let prompt = reading.marked_prompt.as_deref()?;
    let line = reading.lines.iter().rposition(|line| line.starts_with(prompt))?;
    Some(Found { origin: Origin::Marker, ..Found::shell(line, prompt.len(), Confidence::High) })
}
