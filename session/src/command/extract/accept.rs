//! What stands behind a prompt -> commands: continued, completed, suspected, resolved.

use std::ops::Range;

use super::find::Found;
use super::{Extractor, Line, MAX_SUSPECTS, MAX_UNRESOLVED, MAX_UNRESOLVED_LINES, Sink};
use crate::command::draft::{Draft, License};
use crate::command::prompt::{PromptKind, SIGNS, continuation_end, stock_end};
use crate::command::{Confidence, Mark};
use crate::shell::Parsed;

impl Extractor {
    /// A row that is not a command. The first one behind a command may be what the shell made of it.
    pub(super) fn output_row(&mut self, line: &Line) {
        let text = line.lines.last().map_or("", String::as_str);
        if let Some(draft) = self.draft.as_mut().filter(|draft| self.rows_since == 0 && draft.kind == PromptKind::Shell)
            && self.history.expands(&draft.text, text)
        {
            text.clone_into(&mut draft.text);
            draft.marks.insert(Mark::Edited);
            draft.examine(self.platform);
            self.license = License::of(&draft.text, &draft.parsed.invocations);
        }
        self.rows_since += 1;
        self.pasting = false;
        self.suspect(line);
    }

    /// Remembers a row that looks like a command of a shell that nothing explains.
    pub(super) fn suspect(&mut self, line: &Line) {
        let Some(text) = line.lines.last().filter(|_| !self.is_keyed()) else { return };
        let end = self.prompts.known_at_start(text).map(|(end, _)| end).or_else(|| stock_end(text));
        let Some((prompt, command)) = end.and_then(|end| text.split_at_checked(end)) else { return };
        if command.trim().is_empty() || self.suspects.len() >= MAX_SUSPECTS {
            return;
        }
        let found = Found::shell(0, prompt.len(), Confidence::Low);
        let mut draft = draft(line, command.to_owned(), prompt.to_owned(), &found);
        draft.marks.insert(Mark::SpoofSuspect);
        self.suspects.push(draft);
    }

    /// Suspected commands were real if the last of them explains that the known prompt is back; otherwise they are output.
    pub(super) fn judge_suspects(&mut self, sink: &mut Sink<'_>) {
        let suspects = std::mem::take(&mut self.suspects);
        if suspects.last().is_some_and(|last| License::returns(&last.text)) {
            self.flush(sink);
            for draft in suspects {
                self.emit(draft, sink);
            }
        }
    }

    pub(super) fn learn(&mut self, line: &Line, found: &Found) {
        let prompt = line.lines.get(found.line).and_then(|text| text.get(..found.end)).unwrap_or_default();
        if found.kind != PromptKind::Continuation {
            self.prompts.learn(prompt, found.kind, line.edited_by_editor);
        }
    }

    /// Takes what stands behind a prompt as a command, or as the rest of one.
    pub(super) fn accept(&mut self, line: &Line, found: &Found, interrupted: bool, sink: &mut Sink<'_>) {
        self.judge_suspects(sink);
        self.learn(line, found);
        let Some((prompt, first)) = line.lines.get(found.line).and_then(|text| text.split_at_checked(found.end)) else {
            return;
        };
        let mut texts = vec![without_repeated_prompt(first, prompt)];
        texts.extend(line.lines.iter().skip(found.line + 1).map(String::as_str));
        if interrupted && texts.len() > 1 {
            texts = texts.split_off(texts.len() - 1);
        }
        if found.kind == PromptKind::Continuation && self.draft.is_some() {
            let entered = if self.is_keyed() { self.entered_texts(&texts) } else { Vec::new() };
            let texts = if self.is_keyed() { entered.iter().map(String::as_str).collect() } else { texts };
            self.continue_draft(&texts, &line.place);
            return;
        }
        for text in texts {
            if self.is_keyed() {
                self.accept_typed(text, prompt, line, found, sink);
            } else {
                self.begin_or_continue(text, prompt, line, found, sink);
            }
        }
    }

    pub(super) fn continue_draft(&mut self, texts: &[&str], place: &Range<u64>) -> bool {
        let Some(draft) = &mut self.draft else { return false };
        for text in texts {
            draft.continue_with(text, place, self.platform);
        }
        if draft.wants.is_none() {
            self.license = License::of(&draft.text, &draft.parsed.invocations);
            let draft = draft.clone();
            self.note_command(&draft);
        }
        true
    }

    /// A bell, a list of candidates and the same line again: what looked like a command was a completion.
    pub(super) fn forget_completion(&mut self) {
        let Some(draft) = self.draft.as_ref().filter(|draft| draft.rang && self.rows_since > 0) else { return };
        let again = format!("{}{}", draft.prompt, draft.text.trim_end());
        if self.row.bytes().windows(again.len()).any(|bytes| bytes == again.as_bytes()) {
            self.draft = None;
            self.give_back();
        }
    }

    pub(super) fn begin_or_continue(
        &mut self,
        text: &str,
        prompt: &str,
        line: &Line,
        found: &Found,
        sink: &mut Sink<'_>,
    ) {
        let same_buffer = self.draft.as_ref().is_some_and(|draft| draft.wants.is_some() && draft.place == line.place);
        if (same_buffer && self.continue_draft(&[text], &line.place)) || text.trim().is_empty() {
            return;
        }
        self.flush(sink);
        let mut draft = draft(line, text.to_owned(), prompt.to_owned(), found);
        if self.opener.take_if(|opener| opener.lines.last().is_some_and(|row| row.trim() == text.trim())).is_some() {
            // The agent wrote it before the shell printed a prompt, so the terminal echoed it once already.
            draft.marks.insert(Mark::Profile);
        }
        draft.examine(self.platform);
        if found.kind != PromptKind::Repl {
            self.license = License::of(&draft.text, &draft.parsed.invocations);
        }
        (self.rows_since, self.climbed) = (0, 0);
        self.note_command(&draft);
        self.draft = Some(draft);
    }

    pub(super) fn flush(&mut self, sink: &mut Sink<'_>) {
        if let Some(draft) = self.draft.take() {
            self.emit(draft, sink);
        }
    }

    pub(super) fn emit(&mut self, draft: Draft, sink: &mut Sink<'_>) {
        self.history.push(&draft.text);
        sink(draft.into_command(self.n, self.platform));
        self.n += 1;
    }

    /// A row that is no command as far as is known. The first row of a session is one, behind a prompt of whatever shape: the
    /// next row that begins like it shows what the prompt is.
    pub(super) fn opening_row(&mut self, line: Line, sink: &mut Sink<'_>) {
        let text = line.lines.last().map_or("", String::as_str);
        let shared = match &self.opener {
            Some(opener) => shared_prompt(&[opener.lines.last().map_or("", String::as_str), text]).len(),
            None => 0,
        };
        if shared == 0 {
            self.output_row(&line);
            if self.opener.is_none() && self.prompts.is_empty() && self.unresolved.is_empty() && !line.is_blank() {
                self.opener = Some(line);
            }
            return;
        }
        for line in self.opener.take().into_iter().chain([line]) {
            let found = Found::shell(line.lines.len().saturating_sub(1), shared, Confidence::Medium);
            self.accept(&line, &found, false, sink);
        }
        self.pasting = true;
    }

    /// Whether a prompt that was found had been shown before.
    pub(super) fn is_known(&self, line: &Line, found: &Found) -> bool {
        let prompt = line.lines.get(found.line).and_then(|text| text.get(..found.end));
        prompt.is_some_and(|prompt| self.prompts.known_at_start(prompt).is_some_and(|(end, _)| end == prompt.len()))
    }

    /// Whether enough lines came before any prompt was known for what they share to be the prompt.
    pub(super) fn has_enough_unresolved(&self) -> bool {
        let whole = self.unresolved.iter().filter(|line| !continues(line)).count();
        whole >= MAX_UNRESOLVED || self.unresolved.len() >= MAX_UNRESOLVED_LINES
    }

    /// Decides about lines that came before any prompt was known: what they share at their beginning is the prompt.
    pub(super) fn resolve(&mut self, sink: &mut Sink<'_>) {
        let unresolved = std::mem::take(&mut self.unresolved);
        let lasts = unresolved.iter().filter(|line| !continues(line)).filter_map(|line| line.lines.last());
        let shared = shared_prompt(&lasts.map(String::as_str).collect::<Vec<_>>());
        if !unresolved.is_empty() && shared.is_empty() {
            self.prompts.learn_empty();
        }
        for line in unresolved {
            let (last, text) = (line.lines.len().saturating_sub(1), line.lines.last().map_or("", String::as_str));
            let wants = self.draft.as_ref().is_some_and(|draft| draft.wants.is_some());
            let found = match continuation_end(text).filter(|_| wants) {
                Some(end) => Found { kind: PromptKind::Continuation, ..Found::shell(last, end, Confidence::High) },
                None => {
                    Found::shell(last, if text.starts_with(&shared) { shared.len() } else { 0 }, Confidence::Medium)
                }
            };
            self.accept(&line, &found, false, sink);
        }
    }
}

/// Whether a line stands behind a request for the rest of a command.
fn continues(line: &Line) -> bool {
    line.lines.last().is_some_and(|text| continuation_end(text).is_some())
}

fn draft(line: &Line, text: String, prompt: String, found: &Found) -> Draft {
    Draft {
        text,
        prompt,
        kind: found.kind,
        origin: found.origin,
        confidence: found.confidence,
        place: line.place.clone(),
        at: line.at,
        marks: line.marks.iter().copied().collect(),
        rang: line.rang,
        wants: None,
        parsed: Parsed::default(),
        hidden: Vec::new(),
    }
}

/// A prompt that a resize printed twice on one row stands before the command twice.
fn without_repeated_prompt<'a>(text: &'a str, prompt: &str) -> &'a str {
    let mut text = text;
    while let Some(rest) = text.strip_prefix(prompt).filter(|_| !prompt.trim().is_empty()) {
        text = rest;
    }
    text
}

/// What several lines share at their beginning, if it could be a prompt.
fn shared_prompt(lines: &[&str]) -> String {
    let Some((first, rest)) = lines.split_first().filter(|(_, rest)| !rest.is_empty()) else { return String::new() };
    let common = |a: &str, b: &str| {
        a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map_or(a.len().min(b.len()), |((at, _), _)| at)
    };
    let len = rest.iter().map(|line| common(first, line)).min().unwrap_or(0);
    let shared = first.get(..len).unwrap_or_default();
    let prompt = shared.get(..prompt_boundary(shared)).unwrap_or_default();
    let signed = prompt.chars().any(|c| !c.is_alphanumeric() && !" '\"-_/.".contains(c));
    if signed { prompt.to_owned() } else { String::new() }
}

/// Where a prompt may end in what several lines share: behind the last sign with a blank, else the last blank, else the
/// last sign.
fn prompt_boundary(shared: &str) -> usize {
    let behind = |at: Option<(usize, char)>| at.map(|(at, c)| at + c.len_utf8());
    let sign = |c: char| c.is_ascii_punctuation() || SIGNS.contains(&c);
    let pairs = shared.char_indices().zip(shared.chars().skip(1));
    let signed =
        pairs.filter(|((_, c), next)| sign(*c) && *next == ' ').last().map(|((at, c), _)| at + c.len_utf8() + 1);
    signed
        .or_else(|| behind(shared.char_indices().rfind(|(_, c)| *c == ' ')))
        .or_else(|| behind(shared.char_indices().rfind(|(_, c)| sign(*c))))
        .unwrap_or(0)
}
