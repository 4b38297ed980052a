//! What the client typed, joined with what the terminal printed.
//!
//! The screen says what stood behind a prompt, the keys say whether and when somebody entered it. Rows that look like
//! commands but that nobody entered are output. Lines that were entered while a shell waited behind its prompt and that
//! never appeared on the screen are commands typed with echo off; entered anywhere else they are hidden input, of which
//! only the length is kept: passwords.

mod agreement;
mod join;

use std::collections::VecDeque;

use jiff::Timestamp;

use super::find::Found;
use super::{Extractor, Line, Sink};
use crate::command::draft::Draft;
use crate::command::prompt::{PromptKind, stock_end};
use crate::command::row::Width;
use crate::command::typed::{TypedLine, Typist};
use crate::command::{Command, Confidence, HiddenInput, Mark, Origin};
use crate::shell::Invocation;
use crate::timeline::{Direction, Event};

/// Lines entered of which the screen has not yet shown what became of them; the oldest is given up first.
const MAX_PENDING: usize = 256;
/// Longest row that is looked at when Enter is pressed.
const MAX_STANDING: usize = 16 * 1024;
/// Rows in which the echo of a line is looked for.
const MAX_LOOKS: u8 = 64;
/// What bash and dash print to ask for the rest of a command.
const CONTINUATION: &str = "> ";

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
    /// The line taken last, for when what looked like a command was a completion.
    taken: Option<Entered>,
    /// The screen may lack parts of a line: the window changed its size, or output is missing.
    doubtful: bool,
    /// The prompt at which a line was entered last: another line entered there was not read by its shell.
    claimed: Option<(Spot, Option<Timestamp>)>,
    /// The terminal was told not to echo, and the shell to print no prompt.
    echo_off: bool,
    no_prompt: bool,
    /// The command that runs may read the next line itself.
    reads_input: bool,
}

/// A prompt on a row: where the row begins, and how many prompts stand on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    row: u64,
    prompts: usize,
}

/// A line that was entered.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent observations")]
struct Entered {
    line: TypedLine,
    /// The shell prompt that stood alone on the row when it was entered, and at which no other line was.
    prompt: Option<(String, Spot)>,
    /// A shell's prompt stood at the beginning of the row.
    at_prompt: bool,
    /// Nothing of it had appeared when it was entered, nor since.
    unseen: bool,
    /// Rows in which its echo is still looked for.
    looks: u8,
    /// Sent together with the line before, which was entered at a prompt, while echo was off: automation does that.
    ahead: bool,
    /// A program filled the screen.
    in_program: bool,
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
        if cols > 0 {
            self.keys.doubtful |= self.keys.active && self.width.cols() != Some(cols);
            self.width = Width::Told(cols);
        }
    }

    /// Messages of one direction are missing here.
    pub(crate) fn gap(&mut self, direction: Direction) {
        if direction == Direction::Input {
            self.keys.typist.reset();
            self.keys.pending.clear();
            self.keys.lost = true;
            self.keys.claimed = self.standing(&self.standing_row()).map(|(_, spot)| (spot, None));
        } else {
            self.keys.doubtful = true;
        }
    }

    /// A program that filled the screen ends: the keys so far were for it.
    pub(super) fn end_program_keys(&mut self) {
        self.keys.typist.doubt();
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
        let row = self.standing_row();
        let standing = self.standing(&row);
        if let Some((_, spot)) = &standing {
            self.settle_silent(*spot, sink);
        }
        let spot = standing.as_ref().map(|(_, spot)| *spot);
        let claimed = std::mem::replace(&mut self.keys.claimed, spot.map(|spot| (spot, line.at)));
        let again = spot.is_some() && claimed.is_some_and(|(claimed, _)| Some(claimed) == spot);
        let ahead = again && self.keys.echo_off && claimed.is_some_and(|(_, at)| at.is_some() && at == line.at);
        let prompt = standing.filter(|_| !again);
        if self.is_blind() && (spot.is_some() || row.trim().is_empty()) {
            return self.enter_blindly(&line, sink);
        }
        let typed = line.text.trim();
        let in_program = self.alternate.is_some();
        let unseen = prompt.is_some() || (!in_program && (typed.is_empty() || !row.contains(typed)));
        let behind = self.shell_prompt_end(&row).and_then(|end| row.get(end..));
        if behind.is_some_and(|behind| shows(behind, &line)) {
            // Whatever was entered before is accounted for.
            self.pass(self.keys.pending.len());
        }
        if self.keys.pending.len() >= MAX_PENDING {
            self.keys.pending.pop_front();
        }
        let at_prompt = behind.is_some();
        self.keys.pending.push_back(Entered { line, prompt, at_prompt, unseen, looks: MAX_LOOKS, ahead, in_program });
    }

    /// The first lines that wait went to programs.
    fn pass(&mut self, count: usize) {
        let passed: Vec<Entered> = self.keys.pending.drain(..count).collect();
        for entered in passed.into_iter().filter(|entered| entered.unseen) {
            self.hide(&entered.line);
        }
    }

    /// The row on which the cursor stands.
    fn standing_row(&self) -> String {
        if self.row.bytes().len() > MAX_STANDING {
            return String::new();
        }
        self.row.read(self.width).lines.pop().unwrap_or_default()
    }

    /// The shell prompt (or several, behind commands that printed nothing) of which the row consists.
    fn standing(&self, row: &str) -> Option<(String, Spot)> {
        let (mut rest, mut prompt, mut prompts) = (Some(row).filter(|_| self.alternate.is_none())?, None, 0);
        while !rest.trim().is_empty() {
            let continues = prompt.is_some() || self.draft.as_ref().is_some_and(|draft| draft.wants.is_some());
            let more = || Some(CONTINUATION.len()).filter(|_| continues && rest.starts_with(CONTINUATION));
            let (head, tail) = rest.split_at_checked(self.shell_prompt_end(rest).or_else(more)?)?;
            if prompt.is_none() || head != CONTINUATION {
                prompt = Some(head.to_owned());
            }
            (rest, prompts) = (tail, prompts + 1);
        }
        let spot = Spot { row: self.row.place.start, prompts };
        prompt.filter(|prompt| !looks_secret(prompt)).map(|prompt| (prompt, spot))
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

    /// A further prompt stands on the row at which lines were entered: its shell has taken them without echo.
    fn settle_silent(&mut self, now: Spot, sink: &mut Sink<'_>) {
        let before = |entered: &Entered| {
            entered.prompt.as_ref().is_some_and(|(_, spot)| spot.row == now.row && spot.prompts < now.prompts)
        };
        while let Some(entered) = self.keys.pending.pop_front_if(|entered| before(entered)) {
            let prompt = entered.prompt.map(|(prompt, _)| prompt).unwrap_or_default();
            self.begin_silent(&entered.line, &prompt, sink);
        }
    }

    /// A shell that neither echoes nor prints a prompt reads whatever no program reads (this is how automation works).
    fn is_blind(&self) -> bool {
        self.keys.echo_off && self.keys.no_prompt && self.alternate.is_none()
    }

    fn enter_blindly(&mut self, line: &TypedLine, sink: &mut Sink<'_>) {
        if std::mem::take(&mut self.keys.reads_input) {
            return self.hide(line);
        }
        self.begin_silent(line, "", sink);
    }

    /// Takes a line that was typed with echo off as a command, or as the rest of one.
    fn begin_silent(&mut self, line: &TypedLine, prompt: &str, sink: &mut Sink<'_>) {
        let place = self.row.place.end..self.row.place.end;
        if self.draft.as_ref().is_some_and(|draft| draft.wants.is_some() && draft.marks.contains(&Mark::NoEcho)) {
            self.continue_draft(&[&line.text], &place);
            return;
        }
        if line.text.trim().is_empty() {
            return;
        }
        if line.is_masked() {
            return self.hide(line);
        }
        let confidence = if line.exact { Confidence::Medium } else { Confidence::Low };
        let mut marks = vec![Mark::NoEcho];
        marks.extend(Some(Mark::Edited).filter(|_| line.edited));
        let found = Found { origin: Origin::Keys, ..Found::shell(0, 0, confidence) };
        let shown = Line { lines: Vec::new(), place, marks, rang: false, edited_by_editor: false, at: line.at };
        self.begin_or_continue(&line.text, prompt, &shown, &found, sink);
        while self.is_blind()
            && let Some(entered) = self.keys.pending.pop_front()
        {
            self.enter_blindly(&entered.line, sink);
        }
    }

    /// Whether keys decide what is a command.
    pub(super) fn is_keyed(&self) -> bool {
        self.keys.active
    }

    /// Whether a line was entered at the prompt that stands here, and nothing of it appeared.
    pub(super) fn waits_silently(&self) -> bool {
        self.keys.pending.iter().any(|entered| entered.is_silent(false))
    }

    /// Notes which of the lines entered the row shows. Those entered at a prompt are compared when the row is settled.
    pub(super) fn note_echo(&mut self) {
        let looked_for = |entered: &&mut Entered| entered.unseen && entered.prompt.is_none() && entered.looks > 0;
        for entered in self.keys.pending.iter_mut().filter(looked_for) {
            entered.looks -= 1;
            let typed = entered.line.text.trim();
            entered.unseen = typed.is_empty() || memchr::memmem::find(self.row.bytes(), typed.as_bytes()).is_none();
        }
    }

    /// Whether a row of plain text may be the echo of what was entered, or stand at a prompt where something was.
    pub(super) fn may_be_typed(&self, text: &str) -> bool {
        self.keys.pending.iter().any(|entered| {
            let typed = entered.line.text.trim_end();
            !typed.is_empty() && text.trim_end().ends_with(typed)
                || entered.prompt.as_ref().is_some_and(|(prompt, _)| text.starts_with(prompt.as_str()))
        })
    }

    /// The prompt of a row that only the keys explain: it ends in what was entered, or was all that stood there when
    /// something was.
    pub(super) fn find_typed(&self, line: usize, text: &str) -> Option<Found> {
        let prompts = self.keys.pending.iter().filter_map(|entered| entered.prompt.as_ref());
        if let Some((prompt, _)) = prompts.into_iter().find(|(prompt, _)| text.starts_with(prompt.as_str())) {
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
                _ => self.keys.reads_input |= READERS.contains(&program),
            }
        }
        if let Some((_, value)) = draft.text.rsplit_once("PS1=") {
            let value = value.trim_start_matches(['\'', '"']);
            self.keys.no_prompt = value.is_empty() || value.starts_with([';', ' ', '\n', '&']);
        }
    }

    /// Input that appears nowhere: only its length is kept.
    fn hide(&mut self, line: &TypedLine) {
        if line.bytes > 0
            && let Some(draft) = &mut self.draft
            && draft.hidden.len() < MAX_PENDING
        {
            draft.hidden.push(HiddenInput { at: line.at, length: line.bytes });
        }
    }

    /// The record ends: what was entered at a shell's prompt was run, what was not appears nowhere.
    pub(super) fn finish_typed(&mut self, sink: &mut Sink<'_>) {
        while let Some(entered) = self.keys.pending.pop_front() {
            if entered.is_silent(false) {
                let prompt = entered.prompt.map(|(prompt, _)| prompt).unwrap_or_default();
                self.begin_silent(&entered.line, &prompt, sink);
            } else if entered.unseen {
                self.hide(&entered.line);
            }
        }
    }
}

impl Entered {
    /// Whether a shell that does not echo may have read it: entered at its prompt, or, where that counts, ahead of it.
    fn is_silent(&self, ahead: bool) -> bool {
        self.unseen && !self.line.text.trim().is_empty() && (self.prompt.is_some() || (self.ahead && ahead))
    }
}

/// Whether the keys of a line, as far as they are sure, stand behind a prompt.
fn shows(behind: &str, line: &TypedLine) -> bool {
    let sure = line.text.get(..line.sure).unwrap_or_default().trim();
    sure.len() > 1 && behind.trim_start().starts_with(sure)
}

/// Whether a row asks for what must not be shown.
fn looks_secret(row: &str) -> bool {
    let row = row.to_lowercase();
    SECRETS.iter().any(|word| row.contains(word))
}

/// Words that requests for secrets hold.
const SECRETS: &[&str] = &[
    "passw",
    "passphrase",
    "passcode",
    "pin:",
    "pin>",
    "pin ",
    "otp",
    "token",
    "secret",
    "verification code",
    "one-time",
    "mot de passe",
    "kennwort",
    "passwort",
    "contraseña",
    "senha",
    "パスワード",
    "密码",
];
/// Programs that may read the next line themselves, without a prompt that tells.
#[rustfmt::skip]
const READERS: &[&str] = &[
    "read", "su", "doas", "passwd", "chpasswd", "ssh", "scp", "sftp", "mysql", "mysqldump", "mariadb", "psql",
    "cryptsetup", "openssl", "gpg", "kinit", "smbpasswd", "htpasswd", "login", "cat", "tee", "docker", "podman",
    "vault", "ansible-vault", "zip", "7z", "unzip", "ssh-add", "ssh-keygen", "ldapsearch", "git", "dd", "head",
    "base64", "xxd", "sha256sum", "python", "python3", "perl", "ruby", "node", "sqlite3", "nc", "ncat", "telnet",
    "ftp",
];
