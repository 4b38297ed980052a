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
use crate::command::row::Width;
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
    /// The line taken last, for when what looked like a command was a completion.
    taken: Option<Entered>,
    /// The screen may lack parts of a line: the window changed its size, or output is missing.
    doubtful: bool,
    /// The prompt at which a line was entered last: another line entered there was not read by its shell.
    claimed: Option<Spot>,
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
struct Entered {
    line: TypedLine,
    /// The shell prompt that stood alone on the row when it was entered, and at which no other line was.
    prompt: Option<(String, Spot)>,
    /// Nothing of it had appeared when it was entered, nor since.
    unseen: bool,
    /// A program filled the screen.
    in_program: bool,
}

/// What the keys say about a line on the screen.
#[derive(Debug)]
enum Taken {
    /// It was entered.
    Entered(TypedLine, Agreement),
    /// Something else was entered, and not echoed; what stands here is output.
    Silent(Entered),
    /// Keys are missing.
    Unknown,
    /// Nobody entered it.
    Nobody,
}

/// How a line on the screen and typed keys agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Agreement {
    /// The same text, blanks aside.
    Same,
    /// The keys tell how it begins.
    Begun,
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
            self.keys.claimed = self.standing().map(|(_, spot)| spot);
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
        let standing = self.standing();
        if let Some((_, spot)) = &standing {
            self.settle_silent(*spot, sink);
        }
        let claimed = std::mem::replace(&mut self.keys.claimed, standing.as_ref().map(|(_, spot)| *spot));
        let prompt = standing.filter(|(_, spot)| claimed != Some(*spot));
        if self.is_blind() && !looks_secret(&self.standing_row()) {
            return self.enter_blindly(line, sink);
        }
        let typed = line.text.trim();
        let seen = || self.alternate.is_some() || (!typed.is_empty() && self.standing_row().contains(typed));
        let unseen = prompt.is_some() || !seen();
        if self.is_up_to_date(&line) {
            self.pass(self.keys.pending.len());
        }
        if self.keys.pending.len() >= MAX_PENDING {
            self.keys.pending.pop_front();
        }
        let in_program = self.alternate.is_some();
        self.keys.pending.push_back(Entered { line, prompt, unseen, in_program });
    }

    /// Whether the row shows a prompt and what was just typed behind it: whatever was entered before is accounted for.
    fn is_up_to_date(&self, line: &TypedLine) -> bool {
        let sure = line.text.get(..line.sure).unwrap_or_default().trim();
        let row = self.standing_row();
        let typed = self.prompts.known_at_start(&row).and_then(|(end, _)| row.get(end..));
        sure.len() > 1 && typed.is_some_and(|typed| typed.trim_start().starts_with(sure))
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
    fn standing(&self) -> Option<(String, Spot)> {
        let row = Some(self.standing_row()).filter(|_| self.alternate.is_none())?;
        let (mut rest, mut prompt, mut prompts) = (row.as_str(), None, 0);
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
        self.begin_silent(Entered { line, prompt: None, unseen: true, in_program: false }, sink);
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
        let prompt = prompt.map(|(prompt, _)| prompt).unwrap_or_default();
        self.begin_or_continue(&line.text, &prompt, &shown, &found, sink);
        while self.is_blind()
            && let Some(entered) = self.keys.pending.pop_front()
        {
            self.enter_blindly(entered.line, sink);
        }
    }

    /// Takes what stands behind a prompt as a command if somebody entered it.
    pub(super) fn accept_typed(&mut self, text: &str, prompt: &str, line: &Line, found: &Found, sink: &mut Sink<'_>) {
        match self.take(text, line.edited_by_editor) {
            Taken::Entered(typed, agreement) => {
                let doubtful = std::mem::take(&mut self.keys.doubtful);
                let (line, found, text) = join(line, found, text, &typed, agreement, doubtful);
                self.begin_or_continue(&text, prompt, &line, &found, sink);
            }
            Taken::Unknown => {
                self.keys.taken = None;
                self.begin_or_continue(text, prompt, line, found, sink);
            }
            Taken::Silent(mut entered) => {
                entered.prompt.get_or_insert_with(|| (prompt.to_owned(), Spot { row: line.place.start, prompts: 1 }));
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
                Taken::Entered(typed, agreement) => {
                    entered.push(choose(text, &typed, agreement, self.keys.doubtful).to_owned())
                }
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
        self.keys.pending.iter().any(|entered| entered.is_silent(false))
    }

    /// Who entered this, the earliest line that fits; lines before it went to a program.
    fn take(&mut self, text: &str, in_editor: bool) -> Taken {
        let keys = &mut self.keys;
        let blank = text.trim().is_empty();
        let is = |wanted: &[Agreement]| {
            let fits = |entered: &Entered| {
                let agreement = agreement(&entered.line, text);
                wanted.contains(&agreement) && (!entered.in_program || agreement == Agreement::Same)
            };
            keys.pending.iter().position(fits)
        };
        let same = is(&[Agreement::Same]);
        let ahead = keys.echo_off && !keys.reads_input;
        let silent = keys.pending.iter().position(|entered| entered.is_silent(ahead) && (blank || entered.line.exact));
        let near = is(&[Agreement::Begun, Agreement::Close]).or_else(|| is(&[Agreement::Open])).filter(|_| !blank);
        let silent = silent.filter(|silent| same.is_none() && near.is_none_or(|near| near >= *silent));
        let any = keys.pending.iter().rposition(|entered| !entered.in_program).filter(|_| in_editor && !blank);
        let Some(found) = silent.or(same).or(near).or(any) else {
            return if keys.lost && !blank { Taken::Unknown } else { Taken::Nobody };
        };
        keys.outstanding = None;
        self.pass(found);
        let Some(entered) = self.keys.pending.pop_front() else { return Taken::Nobody };
        if silent.is_some() {
            return Taken::Silent(entered);
        }
        self.keys.taken = Some(entered.clone());
        let agreement = agreement(&entered.line, text);
        self.keys.lost &= agreement != Agreement::Same;
        Taken::Entered(entered.line, agreement)
    }

    /// What was taken last was no command yet: Enter is still to come.
    pub(super) fn give_back(&mut self) {
        if let Some(entered) = self.keys.taken.take() {
            self.keys.pending.push_front(entered);
        }
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
        let (line, found, text) =
            join(line, &Found::shell(0, 0, Confidence::Medium), shown, typed, Agreement::Same, false);
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
                self.begin_silent(entered, sink);
            } else if entered.unseen {
                self.hide(&entered.line);
            }
        }
    }
}

impl Entered {
    /// Whether a shell that does not echo may have read it: entered at its prompt, or ahead of it with echo off.
    fn is_silent(&self, ahead: bool) -> bool {
        self.unseen && !self.line.text.trim().is_empty() && (self.prompt.is_some() || ahead)
    }
}

/// A line on the screen and the keys that entered it, as one.
fn join(
    line: &Line,
    found: &Found,
    text: &str,
    typed: &TypedLine,
    agreement: Agreement,
    doubtful: bool,
) -> (Line, Found, String) {
    let mut line = Line { at: typed.at.or(line.at), ..line.clone() };
    let confidence = match agreement {
        Agreement::Same | Agreement::Begun | Agreement::Open => found.confidence,
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
    let text = choose(text, typed, agreement, doubtful).to_owned();
    (line, Found { origin, confidence, ..*found }, text)
}

/// The text that the shell got. The screen has what programs made of the keys; the keys have tabs, and what the screen has
/// lost: to a resize, to a gap, to what others printed between.
fn choose<'a>(shown: &'a str, typed: &'a TypedLine, agreement: Agreement, doubtful: bool) -> &'a str {
    let (seen, keys) = (shown.trim(), typed.text.trim());
    let keys = match agreement {
        Agreement::Same => typed.exact,
        // What stands around it was printed by others, or left where a shell misjudges the width of its prompt.
        Agreement::Close if seen.contains(keys) => true,
        _ => typed.exact && doubtful && seen.len() < keys.len(),
    };
    if keys && typed.text.chars().all(|c| c == '\t' || !c.is_control()) { &typed.text } else { shown }
}

fn agreement(line: &TypedLine, shown: &str) -> Agreement {
    let typed: String = line.text.chars().filter(|c| !c.is_whitespace()).collect();
    let shown: String = shown.chars().filter(|c| !c.is_whitespace()).collect();
    if typed == shown {
        return Agreement::Same;
    }
    if !line.exact {
        let sure = line.text.get(..line.sure).unwrap_or_default();
        let sure: String = sure.chars().filter(|c| !c.is_whitespace()).collect();
        return match shown.starts_with(&sure) {
            true if sure.is_empty() => Agreement::Open,
            true => Agreement::Begun,
            false => Agreement::Different,
        };
    }
    // Keys before the line were for a program that has ended since (`q` of a pager).
    if !shown.is_empty() && typed.ends_with(&shown) {
        return Agreement::Open;
    }
    let shared = common_prefix(typed.chars(), shown.chars()) + common_prefix(typed.chars().rev(), shown.chars().rev());
    let longer = typed.chars().count().max(shown.chars().count());
    let inside =
        shown.len() >= MIN_INSIDE && typed.contains(&shown) || typed.len() >= MIN_INSIDE && shown.contains(&typed);
    if inside || shared * 2 >= longer { Agreement::Close } else { Agreement::Different }
}

/// Shortest text whose appearance inside another is no chance, in bytes.
const MIN_INSIDE: usize = 4;
/// What bash and dash print to ask for the rest of a command.
const CONTINUATION: &str = "> ";

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
const READERS: &str = "\
    read su doas passwd chpasswd ssh scp sftp mysql mysqldump mariadb psql cryptsetup openssl gpg kinit smbpasswd \
    htpasswd login cat tee docker podman vault ansible-vault zip 7z unzip ssh-add ssh-keygen ldapsearch git dd head \
    base64 xxd sha256sum python python3 perl ruby node sqlite3 nc ncat telnet ftp";
