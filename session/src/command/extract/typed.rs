//! What the client typed, joined with what the terminal printed.
//!
//! The screen says what stood behind a prompt, the keys say whether and when somebody entered it. Rows that look like
//! commands but that nobody entered are output. Lines that were entered while a shell waited behind its prompt and that
//! never appeared on the screen are commands typed with echo off; entered anywhere else they are hidden input, of which
//! only the length is kept: passwords.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::find::Found;
use super::{Extractor, Line, Sink};
use crate::command::draft::Draft;
use crate::command::prompt::{PromptKind, stock_end};
use crate::command::row::Reading;
use crate::command::typed::{TypedLine, Typist};
use crate::command::{Command, Confidence, HiddenInput, Mark, Origin};
use crate::shell::Invocation;
use crate::timeline::{Direction, Event};

/// Lines entered of which the screen has not yet shown what became of them; the oldest is given up first.
const MAX_PENDING: usize = 256;
/// Longest row that is looked at when Enter is pressed.
const MAX_STANDING: usize = 16 * 1024;

/// What the client typed, as far as the screen has not accounted for it.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent observations")]
pub(super) struct Keys {
    typist: Typist,
    pending: VecDeque<Entered>,
    /// A line was entered: from here on whatever is a command was entered.
    active: bool,
    /// Keystrokes are missing: what stands on the screen may have been typed all the same.
    lost: bool,
    /// The prompt of a shell that still waits although its row is gone: somebody else printed behind it.
    outstanding: Option<String>,
    /// Bytes printed so far, and when a line was last entered.
    printed: u64,
    printed_at_enter: u64,
    /// The terminal was told not to echo, and the shell to print no prompt.
    echo_off: bool,
    no_prompt: bool,
    /// The command that runs may read the next line itself.
    reads_input: bool,
}

/// A line that was entered.
#[derive(Debug)]
struct Entered {
    line: TypedLine,
    /// The shell prompt that stood alone on the row when it was entered, printed since the line before.
    prompt: Option<String>,
    /// Nothing of it had appeared when it was entered, nor since.
    unseen: bool,
}

/// What the keys say about a line on the screen.
#[derive(Debug)]
enum Taken {
    /// It was entered.
    Entered(TypedLine, Agreement),
    /// Something else was entered, and not echoed; what stands here is output.
    Silent(Entered),
    /// Keys are missing or mean what only the program knows.
    Unknown,
    /// Nobody entered it.
    Nobody,
}

/// How a line on the screen and typed keys agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Agreement {
    /// The same text, blanks aside.
    Same,
    /// The keys tell only that a line was entered.
    Open,
    /// Nearly the same text.
    Close,
    /// Another text.
    Different,
}

impl Extractor {
    /// Takes the next bytes that the client sent.
    pub(crate) fn input(&mut self, bytes: &[u8], at: Option<Timestamp>, sink: &mut Sink<'_>) {
        let mut typist = std::mem::take(&mut self.keys.typist);
        typist.feed(bytes, at, &mut |line| self.enter(line, sink));
        self.keys.typist = typist;
    }

    /// The window is this wide from here on.
    pub(crate) fn resize(&mut self, cols: u16) {
        self.width = Some(cols).filter(|cols| *cols > 0);
    }

    /// Messages of one direction are missing here.
    pub(crate) fn gap(&mut self, direction: Direction) {
        if direction == Direction::Input {
            self.keys.typist.reset();
            self.keys.pending.clear();
            self.keys.lost = true;
        }
    }

    /// The session runs this command instead of a login shell.
    pub(crate) fn program(&mut self, text: &str, event: &Event<'_>, sink: &mut Sink<'_>) {
        let command = Command::of_text(text, self.platform, Origin::Api);
        sink(Command { n: self.n, at: event.at, offset: event.offset.clone(), ..command });
        self.n += 1;
    }

    /// Somebody pressed Enter.
    fn enter(&mut self, line: TypedLine, sink: &mut Sink<'_>) {
        self.keys.active = true;
        let fresh = self.keys.printed != std::mem::replace(&mut self.keys.printed_at_enter, self.keys.printed);
        let standing = if self.row.bytes().len() <= MAX_STANDING { self.row.read(self.width) } else { Reading::default() };
        let row = standing.lines.last().map_or("", String::as_str);
        let prompt = self.standing_prompt(row).filter(|_| fresh && self.alternate.is_none());
        if prompt.is_some() && self.front_is_silent() {
            self.settle_silent(sink);
        }
        let typed = line.text.trim();
        let unseen = prompt.is_some() || (self.alternate.is_none() && (typed.is_empty() || !row.contains(typed)));
        if self.is_blind() && !looks_secret(row) {
            return self.enter_blindly(line, sink);
        }
        if self.keys.pending.len() >= MAX_PENDING {
            self.keys.pending.pop_front();
        }
        self.keys.pending.push_back(Entered { line, prompt, unseen });
    }

    /// The shell prompt (or several, behind commands that printed nothing) of which a row consists.
    fn standing_prompt(&self, row: &str) -> Option<String> {
        let (mut rest, mut prompt) = (row, None);
        while !rest.trim().is_empty() {
            let continues = prompt.is_some() || self.draft.as_ref().is_some_and(|draft| draft.wants.is_some());
            let end = self.shell_prompt_end(rest).or_else(|| rest.starts_with("> ").then_some(2).filter(|_| continues))?;
            let (head, tail) = rest.split_at_checked(end)?;
            if prompt.is_none() || head != "> " {
                prompt = Some(head.to_owned());
            }
            rest = tail;
        }
        prompt.filter(|prompt| !looks_secret(prompt))
    }

    fn shell_prompt_end(&self, text: &str) -> Option<usize> {
        let known = self.prompts.known_at_start(text).filter(|(_, kind)| *kind == PromptKind::Shell);
        let opened = self.prompts.is_empty() || self.keys.echo_off;
        known
            .map(|(end, _)| end)
            .or_else(|| self.prompts.similar_at_start(text))
            .or_else(|| stock_end(text).filter(|_| opened))
            .filter(|end| *end > 0)
    }

    fn front_is_silent(&self) -> bool {
        self.keys.pending.front().is_some_and(|entered| entered.is_silent(false))
    }

    /// The first line that waits was taken by a shell that did not echo it.
    fn settle_silent(&mut self, sink: &mut Sink<'_>) {
        if let Some(entered) = self.keys.pending.pop_front() {
            self.begin_silent(entered, sink);
        }
    }

    /// A shell that neither echoes nor prints a prompt reads whatever no program reads (this is how automation works).
    fn is_blind(&self) -> bool {
        self.keys.echo_off && self.keys.no_prompt && self.alternate.is_none()
    }

    fn enter_blindly(&mut self, line: TypedLine, sink: &mut Sink<'_>) {
        if std::mem::take(&mut self.keys.reads_input) {
            return self.hide(&line);
        }
        self.begin_silent(Entered { line, prompt: None, unseen: true }, sink);
    }

    /// Takes a line that was typed with echo off as a command, or as the rest of one.
    fn begin_silent(&mut self, entered: Entered, sink: &mut Sink<'_>) {
        let Entered { line, prompt, .. } = entered;
        let place = self.row.place.end..self.row.place.end;
        if self.draft.as_ref().is_some_and(|draft| draft.wants.is_some() && draft.marks.contains(&Mark::NoEcho)) {
            self.continue_draft(&[&line.text], &place);
            return;
        }
        if line.text.trim().is_empty() {
            return;
        }
        let confidence = if line.exact { Confidence::Medium } else { Confidence::Low };
        let mut marks = vec![Mark::NoEcho];
        marks.extend(Some(Mark::Edited).filter(|_| line.edited));
        let found = Found { origin: Origin::Keys, ..Found::shell(0, 0, confidence) };
        let shown = Line { lines: Vec::new(), place, marks, rang: false, edited_by_editor: false, at: line.at };
        self.begin_or_continue(&line.text, prompt.as_deref().unwrap_or_default(), &shown, &found, sink);
        while self.is_blind() && let Some(entered) = self.keys.pending.pop_front() {
            self.enter_blindly(entered.line, sink);
        }
    }

    /// Takes what stands behind a prompt as a command if somebody entered it.
    pub(super) fn accept_typed(&mut self, text: &str, prompt: &str, line: &Line, found: &Found, sink: &mut Sink<'_>) {
        match self.take(text, line.edited_by_editor) {
            Taken::Entered(typed, agreement) => {
                let (line, found, text) = join(line, found, text, &typed, agreement);
                self.begin_or_continue(&text, prompt, &line, &found, sink);
            }
            Taken::Unknown => self.begin_or_continue(text, prompt, line, found, sink),
            Taken::Silent(mut entered) => {
                entered.prompt.get_or_insert_with(|| prompt.to_owned());
                self.begin_silent(entered, sink);
                self.rows_since += u64::from(!text.trim().is_empty());
            }
            Taken::Nobody => {
                self.keys.outstanding = Some(prompt.to_owned());
                self.rows_since += 1;
            }
        }
    }

    /// Texts that stand behind a request for the rest of a command: only those that somebody entered.
    pub(super) fn entered_texts(&mut self, texts: &[&str]) -> Vec<String> {
        let mut entered = Vec::new();
        for text in texts {
            match self.take(text, true) {
                Taken::Entered(typed, agreement) => entered.push(choose(text, &typed, agreement).to_owned()),
                Taken::Unknown => entered.push((*text).to_owned()),
                Taken::Silent(silent) => entered.push(silent.line.text),
                Taken::Nobody => {}
            }
        }
        entered
    }

    /// Whether keys decide what is a command.
    pub(super) fn is_keyed(&self) -> bool {
        self.keys.active
    }

    /// Whether a line was entered at the prompt that stands here, and nothing of it appeared.
    pub(super) fn waits_silently(&self) -> bool {
        self.front_is_silent()
    }

    /// Who entered this, the earliest line that fits; lines before it went to a program.
    fn take(&mut self, text: &str, in_editor: bool) -> Taken {
        let keys = &mut self.keys;
        let agreement = |entered: &Entered| agreement(&entered.line, text);
        let fits = |entered: &Entered| matches!(agreement(entered), Agreement::Open | Agreement::Close);
        let blank = text.trim().is_empty();
        let same = keys.pending.iter().position(|entered| agreement(entered) == Agreement::Same);
        if same.is_none() && keys.pending.front().is_some_and(|entered| entered.is_silent(keys.echo_off && !keys.reads_input) && (blank || entered.line.exact)) {
            return keys.pending.pop_front().map_or(Taken::Nobody, Taken::Silent);
        }
        let last = keys.pending.len().checked_sub(1);
        let found = same
            .or_else(|| last.filter(|last| !blank && keys.pending.get(*last).is_some_and(fits)))
            .or_else(|| keys.pending.iter().position(fits).filter(|_| !blank))
            .or_else(|| last.filter(|_| !blank && in_editor));
        let Some(found) = found else {
            let unknown = keys.lost || keys.typist.is_unknown();
            return if unknown && !blank { Taken::Unknown } else { Taken::Nobody };
        };
        let mut passed: Vec<Entered> = keys.pending.drain(..=found).collect();
        keys.outstanding = None;
        let Some(entered) = passed.pop() else { return Taken::Nobody };
        let agreement = agreement(&entered);
        keys.lost &= agreement != Agreement::Same;
        for passed in passed.into_iter().filter(|passed| passed.unseen) {
            self.hide(&passed.line);
        }
        Taken::Entered(entered.line, agreement)
    }

    /// Who entered a row without a prompt, at a prompt whose own row is gone.
    pub(super) fn take_bare(&mut self, text: &str) -> Option<(String, TypedLine)> {
        let keys = &mut self.keys;
        let fits = |front: &Entered| front.line.exact && agreement(&front.line, text) == Agreement::Same;
        if text.trim().is_empty() || !keys.pending.front().is_some_and(fits) {
            return None;
        }
        let prompt = keys.outstanding.take()?;
        keys.pending.pop_front().map(|entered| (prompt, entered.line))
    }

    pub(super) fn accept_bare(&mut self, line: &Line, prompt: &str, typed: &TypedLine, sink: &mut Sink<'_>) {
        let shown = line.lines.last().map_or("", String::as_str);
        let (line, found, text) = join(line, &Found::shell(0, 0, Confidence::Medium), shown, typed, Agreement::Same);
        self.begin_or_continue(&text, prompt, &line, &found, sink);
    }

    /// Notes which of the lines entered the row shows. Those entered at a prompt are compared when the row is settled.
    pub(super) fn note_echo(&mut self) {
        for entered in self.keys.pending.iter_mut().filter(|entered| entered.unseen && entered.prompt.is_none()) {
            let typed = entered.line.text.trim();
            entered.unseen = typed.is_empty() || memchr::memmem::find(self.row.bytes(), typed.as_bytes()).is_none();
        }
    }

    /// Whether a row of plain text may be the echo of what was entered, or stand at a prompt where something was.
    pub(super) fn may_be_typed(&self, text: &str) -> bool {
        self.keys.pending.iter().any(|entered| {
            let typed = entered.line.text.trim_end();
            !typed.is_empty() && text.trim_end().ends_with(typed)
                || entered.prompt.as_deref().is_some_and(|prompt| text.starts_with(prompt))
        })
    }

    /// The prompt of a row that only the keys explain: it ends in what was entered, or was all that stood there when
    /// something was.
    pub(super) fn find_typed(&self, line: usize, text: &str) -> Option<Found> {
        let front = self.keys.pending.front()?;
        if let Some(prompt) = front.prompt.as_deref().filter(|prompt| text.starts_with(prompt)) {
            return Some(Found::shell(line, prompt.len(), Confidence::High));
        }
        let head = self.keys.pending.iter().find_map(|entered| {
            let typed = Some(entered.line.text.trim_end()).filter(|typed| entered.line.exact && !typed.is_empty())?;
            text.trim_end().strip_suffix(typed)
        })?;
        let known = self.prompts.known_at_start(text).filter(|(end, _)| *end == head.len());
        let stock = || stock_end(text).filter(|end| *end == head.len() && !looks_secret(head));
        let kind = known.map(|(_, kind)| kind).or_else(|| stock().map(|_| PromptKind::Shell))?;
        Some(Found { kind, ..Found::shell(line, head.len(), Confidence::Medium) })
    }

    /// What a command does to the terminal's echo and the shell's prompt, and whether it may read the next line.
    pub(super) fn note_command(&mut self, draft: &Draft) {
        self.keys.reads_input = false;
        for argv in draft.parsed.invocations.iter().map(|invocation: &Invocation| invocation.argv.as_slice()) {
            let program = argv.first().map_or("", |program| program.rsplit('/').next().unwrap_or_default());
            let has = |wanted: &str| argv.iter().any(|argument| argument == wanted);
            match program {
                "stty" if has("-echo") => self.keys.echo_off = true,
                "stty" if has("echo") || has("sane") => self.keys.echo_off = false,
                "reset" => self.keys.echo_off = false,
                "sudo" => self.keys.reads_input |= !has("-n") && !has("--non-interactive"),
                _ => self.keys.reads_input |= READERS.split(' ').any(|reader| reader == program),
            }
        }
        if let Some((_, value)) = draft.text.rsplit_once("PS1=") {
            let value = value.trim_start_matches(['\'', '"']);
            self.keys.no_prompt = value.is_empty() || value.starts_with([';', ' ', '\n', '&']);
        }
    }

    /// Input that appears nowhere: only its length is kept.
    fn hide(&mut self, line: &TypedLine) {
        if line.bytes > 0 && let Some(draft) = &mut self.draft && draft.hidden.len() < MAX_PENDING {
            draft.hidden.push(HiddenInput { at: line.at, length: line.bytes });
        }
    }

    /// The record ends: what was entered at a shell's prompt was run, what was not appears nowhere.
    pub(super) fn finish_typed(&mut self, sink: &mut Sink<'_>) {
        while let Some(entered) = self.keys.pending.pop_front() {
            if entered.is_silent(false) {
                self.begin_silent(entered, sink);
            } else if entered.unseen {
                self.hide(&entered.line);
            }
        }
    }

    /// Counts what the terminal printed.
    pub(super) fn note_printed(&mut self, bytes: usize) {
        self.keys.printed += bytes as u64;
    }
}

impl Entered {
    /// Whether a shell that does not echo may have read it: entered at its prompt, or ahead of it with echo off.
    fn is_silent(&self, ahead: bool) -> bool {
        self.unseen && !self.line.text.trim().is_empty() && (self.prompt.is_some() || ahead)
    }
}

/// A line on the screen and the keys that entered it, as one.
fn join(line: &Line, found: &Found, text: &str, typed: &TypedLine, agreement: Agreement) -> (Line, Found, String) {
    let mut line = Line { at: typed.at.or(line.at), ..line.clone() };
    let confidence = match agreement {
        Agreement::Same | Agreement::Open => found.confidence,
        Agreement::Close => found.confidence.min(Confidence::Medium),
        Agreement::Different => Confidence::Low,
    };
    let confidence = if agreement == Agreement::Same && typed.exact { Confidence::High } else { confidence };
    if matches!(agreement, Agreement::Close | Agreement::Different) {
        line.marks.push(Mark::Mismatch);
    }
    if typed.edited || !typed.exact {
        line.marks.push(Mark::Edited);
    }
    let origin = if found.origin == Origin::Screen { Origin::Keys } else { found.origin };
    let text = choose(text, typed, agreement).to_owned();
    (line, Found { origin, confidence, ..*found }, text)
}

/// The text that the shell got: the screen has what programs made of the keys, the keys have tabs and blanks.
fn choose<'a>(shown: &'a str, typed: &'a TypedLine, agreement: Agreement) -> &'a str {
    let keys = agreement == Agreement::Same && typed.exact && !typed.text.chars().any(char::is_control);
    if keys { &typed.text } else { shown }
}

fn agreement(line: &TypedLine, shown: &str) -> Agreement {
    let typed: String = line.text.chars().filter(|c| !c.is_whitespace()).collect();
    let shown: String = shown.chars().filter(|c| !c.is_whitespace()).collect();
    if typed == shown {
        return Agreement::Same;
    }
    if !line.exact {
        return Agreement::Open;
    }
    let shared = common_prefix(typed.chars(), shown.chars()) + common_prefix(typed.chars().rev(), shown.chars().rev());
    let longer = typed.chars().count().max(shown.chars().count());
    if shared * 2 >= longer { Agreement::Close } else { Agreement::Different }
}

fn common_prefix(a: impl Iterator<Item = char>, b: impl Iterator<Item = char>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}

/// Whether a row asks for what must not be shown.
fn looks_secret(row: &str) -> bool {
    let row = row.to_lowercase();
    SECRETS.iter().any(|word| row.contains(word))
}

/// Words that requests for secrets hold.
const SECRETS: &[&str] = &[
    "passw", "passphrase", "passcode", "pin:", "pin>", "pin ", "otp", "token", "secret", "verification code", "one-time",
    "mot de passe", "kennwort", "passwort", "contraseña", "senha", "パスワード", "密码",
];
/// Programs that may read the next line themselves, without a prompt that tells.
const READERS: &str = "\
    read su doas passwd chpasswd ssh scp sftp mysql mysqldump mariadb psql cryptsetup openssl gpg kinit smbpasswd \
    htpasswd login cat tee docker podman vault ansible-vault zip 7z unzip ssh-add ssh-keygen ldapsearch git dd head \
    base64 xxd sha256sum python python3 perl ruby node sqlite3 nc ncat telnet ftp";
