//! Output -> commands: finds prompts, reads what stands behind them when Enter was pressed.
//!
//! Two kinds of evidence, the stronger first. A line editor that brackets pastes (bash since 5.1, zsh, fish) switches
//! `ESC [ ? 2004` on before it reads a line and off behind it: what lies between is one region, and rows of output
//! outside are never mistaken for prompts. Without it a row is a command if it begins with a prompt that the session has
//! shown, or with one of a usual shape where the command before lets a new one appear.

use std::ops::Range;

use jiff::Timestamp;

use crate::command::cleaned::rebuild;
use crate::command::draft::{Draft, License};
use crate::command::history::History;
use crate::command::prompt::{PromptKind, Prompts, any_end, continuation_end, repl_end, stock_end};
use crate::command::row::{Reading, Row};
use crate::command::{Command, Confidence, Mark, Origin};
use crate::scan::{Params, Scanner, Token};
use crate::session::Platform;
use crate::shell::Parsed;
use crate::timeline::Fidelity;

/// Where commands go.
pub(crate) type Sink<'a> = dyn FnMut(Command) + 'a;

/// Reads the commands of one session from its output, in constant memory.
#[derive(Debug)]
pub(crate) struct Extractor {
    fidelity: Fidelity,
    platform: Platform,
    scanner: Scanner,
    row: Row,
    at: Option<Timestamp>,
    prompts: Prompts,
    unresolved: Vec<Line>,
    draft: Option<Draft>,
    history: History,
    license: License,
    suspects: Vec<Draft>,
    rows_since: u64,
    climbed: u64,
    alternate: Option<License>,
    concealed: bool,
    pasting: bool,
    width: Option<u16>,
    n: u64,
}

/// Lines of one prompt, read, and what else is known of them.
#[derive(Clone, Debug)]
struct Line {
    lines: Vec<String>,
    place: Range<u64>,
    marks: Vec<Mark>,
    rang: bool,
    edited_by_editor: bool,
    at: Option<Timestamp>,
}

/// A prompt found: on which line, where it ends, what it is.
struct Found {
    line: usize,
    end: usize,
    kind: PromptKind,
    origin: Origin,
    confidence: Confidence,
    /// The line editor began behind the prompt, and ends before Enter moves the cursor.
    editor_below: bool,
}

impl Found {
    fn shell(line: usize, end: usize, confidence: Confidence) -> Self {
        Self { line, end, kind: PromptKind::Shell, origin: Origin::Screen, confidence, editor_below: false }
    }
}

/// Lines kept while no prompt is known.
const MAX_UNRESOLVED: usize = 3;
/// Rows kept that look like commands of an unexplained shell.
const MAX_SUSPECTS: usize = 64;

impl Extractor {
    /// An extractor for a record of this fidelity.
    pub(crate) fn new(fidelity: Fidelity, platform: Platform) -> Self {
        Self {
            fidelity,
            platform,
            scanner: Scanner::default(),
            row: Row::default(),
            at: None,
            prompts: Prompts::default(),
            unresolved: Vec::new(),
            draft: None,
            history: History::default(),
            license: License { shell: true, ..License::default() },
            suspects: Vec::new(),
            rows_since: 0,
            climbed: 0,
            alternate: None,
            concealed: false,
            pasting: false,
            width: None,
            n: 0,
        }
    }

    /// Reads the next bytes that the terminal printed; `place` is the part of the input that holds them, byte for byte or
    /// encoded.
    pub(crate) fn output(&mut self, bytes: &[u8], place: &Range<u64>, at: Option<Timestamp>, sink: &mut Sink<'_>) {
        self.at = at;
        let exact = place.end - place.start == bytes.len() as u64;
        let mut scanner = std::mem::take(&mut self.scanner);
        scanner.feed(bytes, place.start, &mut |token, at| self.token(&token, if exact { &at } else { place }, sink));
        self.scanner = scanner;
    }

    /// Reads one line that the agent cleaned or rendered; `place` is the part of the input that holds it.
    pub(crate) fn line(&mut self, text: &str, place: &Range<u64>, at: Option<Timestamp>, sink: &mut Sink<'_>) {
        self.at = at;
        self.row.clear();
        let rebuilt = rebuild(text, self.width.map(usize::from));
        self.width = rebuilt.width.and_then(|width| u16::try_from(width).ok()).or(self.width);
        self.row.push(rebuilt.text.as_bytes(), place);
        (self.row.edited, self.row.rang) = (rebuilt.edited, rebuilt.rang);
        let cancelled = rebuilt.text.ends_with("^C");
        let lines = vec![rebuilt.text.into_owned()];
        self.settle_row(Reading { lines, cancelled, entered: true, ..Reading::default() }, sink);
    }

    /// The record ends: what is still open comes out.
    pub(crate) fn finish(&mut self, offset: u64, sink: &mut Sink<'_>) {
        let mut scanner = std::mem::take(&mut self.scanner);
        scanner.finish(offset, &mut |token, place| self.token(&token, &place, sink));
        if !self.row.is_empty() && self.alternate.is_none() {
            self.end_unterminated(sink);
        }
        self.resolve(sink);
        self.judge_suspects(sink);
        self.flush(sink);
    }

    fn token(&mut self, token: &Token<'_>, place: &Range<u64>, sink: &mut Sink<'_>) {
        match *token {
            Token::Text(text) => {
                self.row.concealed |= self.concealed;
                self.row.rang = false;
                self.row.push(text, place);
            }
            Token::Control(b'\n') => {
                self.row.push(b"\n", place);
                if self.row.editing.is_none() {
                    self.end_row(sink);
                }
            }
            Token::Control(0x07) => self.row.rang = true,
            Token::Control(byte @ (b'\r' | b'\t' | 0x08 | 0x7f)) => {
                self.row.edited |= byte == 0x08;
                self.row.push(&[byte], place);
            }
            Token::Csi { private: Some(b'?'), ref params, action, .. } => self.mode(params, action, place, sink),
            Token::Csi { private: None, ref params, action: 'm', .. } => self.rendition(params),
            Token::Csi { private: None, ref params, action, raw } => self.motion(params, action, raw, place),
            Token::Escape(raw) => self.row.push(raw, place),
            Token::Osc(text) => self.integration(text),
            Token::Control(_) | Token::Csi { .. } | Token::Hidden => {}
        }
    }

    fn mode(&mut self, params: &Params, action: char, place: &Range<u64>, sink: &mut Sink<'_>) {
        let alternate = [47, 1047, 1049].iter().any(|mode| params.contains(*mode));
        match action {
            'h' if alternate => {
                self.alternate = Some(self.license);
                self.row.clear();
            }
            'l' if alternate => {
                self.alternate = None;
                self.row.clear();
            }
            'h' if params.contains(2004) && !self.in_multiplexer() => self.row.begin_editing(place),
            'l' if params.contains(2004) && self.row.editing.is_some() => self.end_editing(sink),
            _ => {}
        }
    }

    fn in_multiplexer(&self) -> bool {
        self.alternate.is_some_and(|license| license.multiplexer)
    }

    /// Concealed text, and black on black, is printed but not seen.
    fn rendition(&mut self, params: &Params) {
        let black = params.contains(30) && params.contains(40);
        if params.contains(8) || black {
            self.concealed = true;
        } else if params.as_slice().is_empty() || params.contains(0) || params.contains(28) {
            self.concealed = false;
        }
    }

    fn motion(&mut self, params: &Params, action: char, raw: &[u8], place: &Range<u64>) {
        if self.in_multiplexer() && matches!(action, 'H' | 'f' | 'd') {
            self.row.clear();
            return;
        }
        self.row.edited |= matches!(action, 'C' | 'D' | 'K' | 'P' | '@' | 'G');
        if self.row.editing.is_none() && matches!(action, 'A' | 'F') {
            self.climbed += u64::from(params.count());
            if self.climbed > self.rows_since
                && let Some(draft) = &mut self.draft
            {
                draft.marks.insert(Mark::Hidden);
            }
        }
        self.row.push(raw, place);
    }

    /// OSC 133 and 633 (VS Code): `A` prompt, `B` command, `C` output. A claim of the host that only says where a
    /// prompt ends.
    fn integration(&mut self, text: &[u8]) {
        if matches!(text, b"133;B" | b"633;B") || text.starts_with(b"133;B;") {
            self.row.prompt_end = Some(self.row.bytes().len());
        }
    }

    /// The line editor is done with a line.
    fn end_editing(&mut self, sink: &mut Sink<'_>) {
        let (reading, found) = self.read_edited();
        self.width = reading.width.or(self.width);
        self.pasting = false;
        let line = self.take_row(&reading);
        let Some(found) = found else {
            let blank = line.lines.iter().all(|text| text.trim().is_empty());
            if reading.entered && !blank && !self.fills_screen() {
                self.unresolved.push(line);
            }
            if self.unresolved.len() >= MAX_UNRESOLVED {
                self.resolve(sink);
            }
            return;
        };
        if reading.cancelled && !reading.entered {
            self.cancel();
        } else if reading.entered || found.editor_below {
            self.resolve(sink);
            self.accept(line, &found, reading.interrupted, sink);
        } else {
            self.learn(&line, &found);
        }
    }

    /// Reads a region and finds its prompt: behind the mark (bash, fish) or before it (zsh).
    fn read_edited(&self) -> (Reading, Option<Found>) {
        let before = self.row.before();
        let known = self.prompts.known_at_start(&before).is_some_and(|(end, _)| end == before.len());
        let reading = self.row.read(self.width);
        let mut found = if known { None } else { self.find_edited(&reading) };
        if let Some(found) = &mut found {
            // zsh prints its prompt again behind the mark when the window's size arrives.
            let prompt = reading.lines.get(found.line).and_then(|line| line.get(..found.end));
            found.editor_below = !before.trim().is_empty() && prompt == Some(before.as_str());
        }
        if found.is_some() || before.trim().is_empty() || self.fills_screen() {
            let found = found.or_else(|| self.find_changed(&reading.lines));
            return (reading, found);
        }
        let whole = self.row.read_whole(self.width);
        let line = whole.lines.iter().rposition(|line| line.starts_with(&before));
        let found = line.map(|line| Found { editor_below: true, ..Found::shell(line, before.len(), Confidence::High) });
        (whole, found)
    }

    fn fills_screen(&self) -> bool {
        self.alternate.is_some_and(|license| license.full_screen && !license.multiplexer)
    }

    fn take_row(&mut self, reading: &Reading) -> Line {
        let mut marks = Vec::new();
        for (mark, holds) in [
            (Mark::Edited, self.row.edited),
            (Mark::Hidden, self.row.concealed),
            (Mark::UnknownControl, reading.unknown),
            (Mark::Cut, self.row.cut),
        ] {
            if holds {
                marks.push(mark);
            }
        }
        let line = Line {
            lines: reading.lines.clone(),
            place: self.row.place.clone(),
            marks,
            rang: self.row.rang,
            edited_by_editor: self.row.editing.is_some(),
            at: self.at,
        };
        self.row.clear();
        line
    }

    fn cancel(&mut self) {
        if self.draft.as_ref().is_some_and(|draft| draft.wants.is_some()) {
            self.draft = None;
        }
    }

    /// The prompt of a region that a line editor marked.
    fn find_edited(&self, reading: &Reading) -> Option<Found> {
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
    fn find_changed(&self, lines: &[String]) -> Option<Found> {
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
    fn repl_prompt(&self, text: &str) -> Option<usize> {
        let in_repl = self.license.repl || self.draft.as_ref().is_some_and(|draft| draft.kind == PromptKind::Repl);
        repl_end(text).filter(|_| in_repl && stock_end(text).is_none_or(|end| is_word_prompt(text, end)))
    }

    /// A row ends outside every marked region: output, or a command at a prompt without marks.
    fn end_row(&mut self, sink: &mut Sink<'_>) {
        if self.alternate.is_some_and(|license| !license.multiplexer && license.full_screen) {
            self.row.clear();
            return;
        }
        let reading = if self.may_matter() { self.row.read(self.width) } else { Reading::default() };
        if reading.lines.is_empty() {
            return self.pass_row();
        }
        // Without Enter the cursor only went down inside a command that wraps.
        if reading.width.is_none() || reading.entered || self.row.cut {
            self.settle_row(reading, sink);
        }
    }

    /// Decides what a row is.
    fn settle_row(&mut self, reading: Reading, sink: &mut Sink<'_>) {
        let began_at_margin =
            self.row.bytes().first() == Some(&b'\r') && self.row.bytes().get(1).is_some_and(u8::is_ascii_graphic);
        let pasted = self.pasting && began_at_margin;
        let found = self.find_row(&reading);
        if let Some(width) = reading.width.filter(|_| found.is_some()) {
            self.width = Some(width);
        }
        self.forget_completion();
        let line = self.take_row(&reading);
        match found {
            Some(_) if reading.cancelled => self.cancel(),
            Some(found) => {
                self.resolve(sink);
                self.accept(line, &found, false, sink);
                self.pasting = true;
            }
            None if pasted => {
                let found = Found::shell(0, 0, Confidence::Medium);
                self.accept(line, &found, false, sink);
            }
            None => self.output_row(line),
        }
    }

    /// A row of output that nothing needs to be known of.
    fn pass_row(&mut self) {
        self.rows_since += 1;
        self.pasting = false;
        self.row.clear();
    }

    /// Whether a row is worth a look: most rows of a large output are not.
    fn may_matter(&self) -> bool {
        if self.row.cut {
            return false;
        }
        if !self.row.is_plain() || self.rows_since == 0 || self.prompts.is_empty() {
            return self.row.bytes().len() <= MAX_LOOK;
        }
        let text = String::from_utf8_lossy(self.row.bytes());
        self.prompts.known_at_start(&text).is_some()
            || stock_end(&text).is_some()
            || repl_end(&text).is_some()
            || continuation_end(&text).is_some()
    }

    /// The prompt of a row outside every marked region.
    fn find_row(&self, reading: &Reading) -> Option<Found> {
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
            let opened = self.license.shell || self.prompts.is_empty() || self.in_multiplexer();
            stock_end(text).filter(|_| opened).map(|end| (end, PromptKind::Shell, exact.min(Confidence::Medium)))
        };
        self.known_row(text)
            .or_else(continuation)
            .or_else(|| self.repl_prompt(text).map(|end| (end, PromptKind::Repl, exact)))
            .or_else(similar)
            .or_else(opened)
            .map(found)
            .or_else(|| self.find_behind_output(text))
    }

    fn known_row(&self, text: &str) -> Option<(usize, PromptKind, Confidence)> {
        let (end, kind) = self.prompts.known_at_start(text)?;
        (self.rows_count() || !self.prompts.is_edited(text.get(..end)?)).then_some((end, kind, self.confidence()))
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

    /// A row that is not a command. The first one behind a command may be what the shell made of it.
    fn output_row(&mut self, line: Line) {
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
    fn suspect(&mut self, line: Line) {
        let Some(text) = line.lines.last() else { return };
        let end = self.prompts.known_at_start(text).map(|(end, _)| end).or_else(|| stock_end(text));
        let Some((prompt, command)) = end.and_then(|end| text.split_at_checked(end)) else { return };
        if command.trim().is_empty() || self.suspects.len() >= MAX_SUSPECTS {
            return;
        }
        let found = Found::shell(0, prompt.len(), Confidence::Low);
        let mut draft = draft(&line, command.to_owned(), prompt.to_owned(), &found);
        draft.marks.insert(Mark::SpoofSuspect);
        self.suspects.push(draft);
    }

    /// Suspected commands were real if the last of them explains that the known prompt is back; otherwise they are output.
    fn judge_suspects(&mut self, sink: &mut Sink<'_>) {
        let suspects = std::mem::take(&mut self.suspects);
        if suspects.last().is_some_and(|last| License::returns(&last.text)) {
            self.flush(sink);
            for draft in suspects {
                self.emit(draft, sink);
            }
        }
    }

    fn learn(&mut self, line: &Line, found: &Found) {
        let prompt = line.lines.get(found.line).and_then(|text| text.get(..found.end)).unwrap_or_default();
        if found.kind != PromptKind::Continuation {
            self.prompts.learn(prompt, found.kind, line.edited_by_editor);
        }
    }

    /// Takes what stands behind a prompt as a command, or as the rest of one.
    fn accept(&mut self, line: Line, found: &Found, interrupted: bool, sink: &mut Sink<'_>) {
        self.judge_suspects(sink);
        self.learn(&line, found);
        let Some((prompt, first)) = line.lines.get(found.line).and_then(|text| text.split_at_checked(found.end)) else {
            return;
        };
        let mut texts = vec![without_repeated_prompt(first, prompt)];
        texts.extend(line.lines.iter().skip(found.line + 1).map(String::as_str));
        if interrupted && texts.len() > 1 {
            texts = texts.split_off(texts.len() - 1);
        }
        if found.kind == PromptKind::Continuation && self.continue_draft(&texts, &line.place) {
            return;
        }
        for text in texts {
            self.begin_or_continue(text, prompt, &line, found, sink);
        }
    }

    fn continue_draft(&mut self, texts: &[&str], place: &Range<u64>) -> bool {
        let Some(draft) = &mut self.draft else { return false };
        for text in texts {
            draft.continue_with(text, place, self.platform);
        }
        self.license = License::of(&draft.text, &draft.parsed.invocations);
        true
    }

    /// A bell, a list of candidates and the same line again: what looked like a command was a completion.
    fn forget_completion(&mut self) {
        let Some(draft) = self.draft.as_ref().filter(|draft| draft.rang && self.rows_since > 0) else { return };
        let again = format!("{}{}", draft.prompt, draft.text.trim_end());
        if self.row.bytes().windows(again.len()).any(|bytes| bytes == again.as_bytes()) {
            self.draft = None;
        }
    }

    fn begin_or_continue(&mut self, text: &str, prompt: &str, line: &Line, found: &Found, sink: &mut Sink<'_>) {
        let same_buffer = self.draft.as_ref().is_some_and(|draft| draft.wants.is_some() && draft.place == line.place);
        if same_buffer && let Some(draft) = &mut self.draft {
            draft.continue_with(text, &line.place, self.platform);
            self.license = License::of(&draft.text, &draft.parsed.invocations);
            return;
        }
        if text.trim().is_empty() {
            return;
        }
        self.flush(sink);
        let mut draft = draft(line, text.to_owned(), prompt.to_owned(), found);
        draft.examine(self.platform);
        if found.kind != PromptKind::Repl {
            self.license = License::of(&draft.text, &draft.parsed.invocations);
        }
        (self.rows_since, self.climbed) = (0, 0);
        self.draft = Some(draft);
    }

    fn flush(&mut self, sink: &mut Sink<'_>) {
        if let Some(draft) = self.draft.take() {
            self.emit(draft, sink);
        }
    }

    fn emit(&mut self, draft: Draft, sink: &mut Sink<'_>) {
        self.history.push(&draft.text);
        sink(draft.into_command(self.n, self.platform));
        self.n += 1;
    }

    /// Decides about lines that came before any prompt was known: what they share at their beginning is the prompt.
    fn resolve(&mut self, sink: &mut Sink<'_>) {
        let unresolved = std::mem::take(&mut self.unresolved);
        let lasts: Vec<&str> = unresolved.iter().filter_map(|line| line.lines.last().map(String::as_str)).collect();
        let shared = shared_prompt(&lasts);
        if !unresolved.is_empty() && shared.is_empty() {
            self.prompts.learn_empty();
        }
        for line in unresolved.clone() {
            let found = Found::shell(line.lines.len().saturating_sub(1), shared.len(), Confidence::Medium);
            self.accept(line, &found, false, sink);
        }
    }

    /// The record ends inside a row: a command may have lost its line end, or was never entered.
    fn end_unterminated(&mut self, sink: &mut Sink<'_>) {
        let reading = self.row.read(self.width);
        let found = if self.row.editing.is_some() { self.find_edited(&reading) } else { self.find_row(&reading) };
        let mut line = self.take_row(&reading);
        line.marks.push(Mark::Unterminated);
        if let Some(found) = found.filter(|_| !reading.cancelled) {
            self.accept(line, &found, false, sink);
        }
    }
}

/// Longest row that is looked at when it consists of more than text.
const MAX_LOOK: usize = 16 * 1024;

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
    }
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

/// A prompt that a resize printed twice on one row stands before the command twice.
fn without_repeated_prompt<'a>(text: &'a str, prompt: &str) -> &'a str {
    let mut text = text;
    while let Some(rest) = text.strip_prefix(prompt).filter(|_| !prompt.trim().is_empty()) {
        text = rest;
    }
    text
}

/// What several lines share at their beginning, up to the last blank, if it ends in a sign as prompts do.
fn shared_prompt(lines: &[&str]) -> String {
    let Some((first, rest)) = lines.split_first().filter(|(_, rest)| !rest.is_empty()) else { return String::new() };
    let common = |a: &str, b: &str| {
        a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map_or(a.len().min(b.len()), |((at, _), _)| at)
    };
    let len = rest.iter().map(|line| common(first, line)).min().unwrap_or(0);
    let shared = first.get(..len).unwrap_or_default();
    let end = shared.rfind(' ').map_or(0, |at| at + 1);
    let prompt = shared.get(..end).unwrap_or_default();
    let signed = prompt.trim_end().chars().next_back().is_some_and(|c| !c.is_alphanumeric() && !"'\"-/.".contains(c));
    if signed { prompt.to_owned() } else { String::new() }
}
