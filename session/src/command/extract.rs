//! Output -> commands: finds prompts, reads what stands behind them when Enter was pressed.
//!
//! Two kinds of evidence, the stronger first. A line editor that brackets pastes (bash since 5.1, zsh, fish) switches
//! `ESC [ ? 2004` on before it reads a line and off behind it: what lies between is one region, and rows of output
//! outside are never mistaken for prompts. Without it a row is a command if it begins with a prompt that the session has
//! shown, or with one of a usual shape where the command before lets a new one appear.
//!
//! Where the client's keystrokes are known too, `typed` joins them: what nobody entered is output, and what was entered
//! without an echo where a shell waits is a command.

use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::command::cleaned::rebuild;
use crate::command::draft::{Draft, License};
use crate::command::history::History;
use crate::command::prompt::{Prompts, continuation_end, repl_end, stock_end};
use crate::command::row::{Reading, Row, Width};
use crate::command::{Command, Confidence, Mark};
use crate::scan::{Params, Scanner, Token};
use crate::session::Platform;
use crate::timeline::Fidelity;

mod accept;
mod find;
mod saved;
mod typed;

use find::Found;
use typed::Keys;

/// Where commands go.
pub(crate) type Sink<'a> = dyn FnMut(Command) + 'a;

/// Reads the commands of one session from its output, in constant memory.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Extractor {
    fidelity: Fidelity,
    platform: Platform,
    scanner: Scanner,
    row: Row,
    at: Option<Timestamp>,
    prompts: Prompts,
    unresolved: Vec<Line>,
    opener: Option<Line>,
    draft: Option<Draft>,
    history: History,
    license: License,
    suspects: Vec<Draft>,
    rows_since: u64,
    climbed: u64,
    alternate: Option<License>,
    concealed: bool,
    pasting: bool,
    width: Width,
    /// Only captures hold keys, and no reading of one is saved.
    #[serde(skip)]
    keys: Keys,
    n: u64,
}

/// Lines of one prompt, read, and what else is known of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    lines: Vec<String>,
    place: Range<u64>,
    marks: Vec<Mark>,
    rang: bool,
    edited_by_editor: bool,
    at: Option<Timestamp>,
}

impl Line {
    fn is_blank(&self) -> bool {
        self.lines.iter().all(|text| text.trim().is_empty())
    }
}

/// Commands kept while no prompt is known, and lines of them.
const MAX_UNRESOLVED: usize = 3;
const MAX_UNRESOLVED_LINES: usize = 32;
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
            opener: None,
            draft: None,
            history: History::default(),
            license: License { shell: true, ..License::default() },
            suspects: Vec::new(),
            rows_since: 0,
            climbed: 0,
            alternate: None,
            concealed: false,
            pasting: false,
            width: Width::Unknown,
            keys: Keys::default(),
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
        let rebuilt = rebuild(text, self.width.cols().map(usize::from));
        self.width.show(rebuilt.width.and_then(|width| u16::try_from(width).ok()));
        self.row.push(rebuilt.text.as_bytes(), place);
        (self.row.edited, self.row.rang) = (rebuilt.edited, rebuilt.rang);
        let cancelled = rebuilt.text.ends_with("^C");
        let lines = vec![rebuilt.text.into_owned()];
        self.settle_row(&Reading { lines, cancelled, entered: true, ..Reading::default() }, sink);
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
        self.finish_typed(sink);
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
                self.end_program_keys();
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
        self.width.show(reading.width);
        self.pasting = false;
        let line = self.take_row(&reading);
        let Some(found) = found else {
            if reading.entered && !line.is_blank() && !self.fills_screen() {
                self.unresolved.push(line);
                self.license = License::default();
            }
            if self.has_enough_unresolved() {
                self.resolve(sink);
            }
            return;
        };
        if reading.cancelled && !reading.entered {
            self.cancel();
        } else if reading.entered || found.editor_below {
            self.resolve(sink);
            self.accept(&line, &found, reading.interrupted, sink);
            self.opener = None;
        } else if self.waits_silently() {
            self.accept(&line, &found, false, sink);
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

    /// A row ends outside every marked region: output, or a command at a prompt without marks.
    fn end_row(&mut self, sink: &mut Sink<'_>) {
        if self.fills_screen() {
            self.row.clear();
            return;
        }
        self.note_echo();
        let reading = if self.may_matter() { self.row.read(self.width) } else { Reading::default() };
        if reading.lines.is_empty() {
            return self.pass_row();
        }
        // Without Enter the cursor only went down inside a command that wraps.
        if reading.width.is_none() || reading.entered || self.row.cut {
            self.settle_row(&reading, sink);
        }
    }

    /// Decides what a row is.
    fn settle_row(&mut self, reading: &Reading, sink: &mut Sink<'_>) {
        let began_at_margin =
            self.row.bytes().first() == Some(&b'\r') && self.row.bytes().get(1).is_some_and(u8::is_ascii_graphic);
        let pasted = self.pasting && began_at_margin;
        let found = self.find_row(reading);
        self.width.show(reading.width.filter(|_| found.is_some()));
        self.forget_completion();
        let line = self.take_row(reading);
        match found {
            Some(_) if reading.cancelled => self.cancel(),
            Some(found) => {
                if self.is_known(&line, &found) {
                    self.opener = None;
                }
                self.resolve(sink);
                self.accept(&line, &found, false, sink);
                self.pasting = true;
            }
            None if pasted => {
                let found = Found::shell(0, 0, Confidence::Medium);
                self.accept(&line, &found, false, sink);
            }
            None => match self.take_bare(line.lines.last().map_or("", String::as_str)) {
                Some((prompt, typed)) => self.accept_bare(&line, &prompt, &typed, sink),
                None => self.opening_row(line, sink),
            },
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
            || self.may_be_typed(&text)
    }

    /// The record ends inside a row: a command may have lost its line end, or was never entered.
    fn end_unterminated(&mut self, sink: &mut Sink<'_>) {
        let reading = self.row.read(self.width);
        let found = if self.row.editing.is_some() { self.find_edited(&reading) } else { self.find_row(&reading) };
        let mut line = self.take_row(&reading);
        line.marks.push(Mark::Unterminated);
        if let Some(found) = found.filter(|_| !reading.cancelled) {
            self.accept(&line, &found, false, sink);
        }
    }
}

/// Longest row that is looked at when it consists of more than text.
const MAX_LOOK: usize = 16 * 1024;
