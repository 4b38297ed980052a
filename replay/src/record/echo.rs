//! Which typed bytes came back on the screen: what did not is masked in a capture.
//!
//! Whether a terminal echoes is not on the wire, so it is judged by what is: typed characters and the output behind them.
//! The judgement is conservative. A typed character counts as echoed only when the same character is printed; every doubt
//! masks it. So a capture keeps what the screen showed anyway, and of all other typing only how much there was: passwords,
//! and also the keys that full-screen programs take without printing them. Controls and escape sequences (Enter, arrows, ctrl-C)
//! are no secrets and stay.
//!
//! * Characters wait for their echo at most [`ECHO_WAIT`].
//! * Before Enter, characters are echoed when an output of at most [`ECHO_REACH`] printed characters holds them in order.
//!   Once Enter was sent, only what is printed first counts, and it must be the whole waiting text: what a program prints
//!   after a password may hold its letters by chance.
//! * On a line that asks for a secret ([`SECRET_WORDS`] and then `:`, `?` or `>`) nothing counts as echo.
//! * Not judged, and so kept: sessions that forward a port (they have no terminal) and sessions with a data key, whose
//!   bytes are sealed.
//! * A retransmitted message is stored as its first copy was.

use std::collections::{BTreeMap, VecDeque};

use printed::Printed;

mod printed;

/// How long characters wait for their echo, in milliseconds: longer than a round trip over a satellite.
pub(crate) const ECHO_WAIT: i64 = 2_000;
/// Most printed characters of one output message in which an echo is looked for: a redrawn line, not a file.
const ECHO_REACH: usize = 512;
/// Printed characters that are kept while something waits.
const MAX_PRINTED: usize = 4_096;
/// Runs of characters that may wait; what exceeds it is masked.
const MAX_WAITING: usize = 10_000;
/// Messages of the agent that may wait for one before them; beyond that it is taken for lost.
const MAX_EARLY: usize = 256;
/// Sequence numbers of which the judgement is kept: as many as AWS's client keeps for retransmission.
const MAX_JUDGED: usize = 10_000;
/// What asks for a secret, in lower case.
const SECRET_WORDS: [&str; 14] = [
    "password",
    "passwort",
    "passphrase",
    "passcode",
    "mot de passe",
    "contraseña",
    "senha",
    "пароль",
    "密码",
    "パスワード",
    "secret",
    "token",
    "verification code",
    "pin",
];

/// Identity of a message, given by the caller.
pub(crate) type Id = u64;

/// How much of a payload is kept: printable bytes from this index on are masked, except those inside escape sequences.
pub(crate) type ClearUntil = usize;

/// The tracker of one session.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    /// The session has no terminal, or its bytes are sealed.
    is_off: bool,
    waiting: VecDeque<Run>,
    printed: Printed,
    /// Number of the line that is being typed.
    line: u64,
    /// Highest sequence number of input.
    last_input: Option<i64>,
    /// Sequence number of the output that comes next, and what came before its turn.
    next_output: i64,
    early: BTreeMap<i64, Vec<u8>>,
    /// Sequence numbers of input and how much of them is kept.
    judged: VecDeque<(i64, ClearUntil)>,
}

/// Printable characters that wait for their echo.
#[derive(Debug)]
struct Run {
    id: Id,
    sequence: i64,
    at: i64,
    /// Where it stands in its payload.
    start: usize,
    length: usize,
    /// Whether it is the last of its message.
    is_last: bool,
    text: Vec<char>,
    /// Number of its line; a smaller one than the tracker's has been entered.
    line: u64,
}

impl Echo {
    /// The session turned out to have no terminal, or its bytes to be sealed: nothing is masked from here on. What waits
    /// goes to `judged`.
    pub(crate) fn turn_off(&mut self, judged: &mut dyn FnMut(Id, ClearUntil)) {
        self.is_off = true;
        self.give_up(i64::MAX, judged);
    }

    /// Takes a message from the client: `None` if it waits for its echo.
    pub(crate) fn input(&mut self, id: Id, sequence: i64, at: i64, payload: &[u8]) -> Option<ClearUntil> {
        if self.is_off {
            return Some(payload.len());
        }
        if self.last_input.is_some_and(|last| sequence <= last) {
            return self.again(id, sequence, at, payload);
        }
        self.last_input = Some(sequence);
        let asks = self.printed.asks_for_secret(&SECRET_WORDS);
        let mut runs = runs(payload);
        let line = self.line;
        self.line += payload.iter().filter(|&&byte| is_line_end(byte)).count() as u64;
        if self.waiting.len() + runs.len() > MAX_WAITING || asks {
            let clear = runs.first().map_or(payload.len(), |&(start, ..)| start);
            self.keep(sequence, clear);
            return Some(clear);
        }
        if self.waiting.is_empty() {
            self.printed.forget();
        }
        let last = runs.len().checked_sub(1);
        for (n, (start, length, lines)) in runs.drain(..).enumerate() {
            let text = String::from_utf8_lossy(&payload[start..start + length]).chars().collect();
            let is_last = Some(n) == last;
            self.waiting.push_back(Run { id, sequence, at, start, length, is_last, text, line: line + lines });
        }
        if last.is_none() {
            self.keep(sequence, payload.len());
        }
        last.is_none().then_some(payload.len())
    }

    /// Takes a stream message from the agent; one that prints nothing has an empty payload. Messages whose echo came, or cannot
    /// come any more, go to `judged`.
    pub(crate) fn output(&mut self, sequence: i64, payload: &[u8], judged: &mut dyn FnMut(Id, ClearUntil)) {
        if self.is_off || sequence < self.next_output {
            return;
        }
        self.early.insert(sequence, payload.to_vec());
        if self.early.len() > MAX_EARLY {
            self.next_output = self.early.keys().next().copied().unwrap_or(sequence);
        }
        while let Some(payload) = self.early.remove(&self.next_output) {
            self.next_output = self.next_output.saturating_add(1);
            self.printed(&payload, judged);
        }
    }

    fn printed(&mut self, payload: &[u8], judged: &mut dyn FnMut(Id, ClearUntil)) {
        let printed = self.printed.feed(payload, MAX_PRINTED);
        while let Some(front) = self.waiting.front() {
            if front.line < self.line {
                let line = front.line;
                match self.printed.begins_with(&self.text(line)) {
                    Some(true) => self.echoed(Some(line), judged),
                    Some(false) => self.mask_line(line, judged),
                    None => return,
                }
            } else if printed <= ECHO_REACH && self.printed.take(&front.text) {
                self.echoed(None, judged);
            } else {
                return;
            }
        }
    }

    /// Masks what has waited since before `until` (milliseconds, as `at` of [`Echo::input`]).
    pub(crate) fn give_up(&mut self, until: i64, judged: &mut dyn FnMut(Id, ClearUntil)) {
        while self.waiting.front().is_some_and(|run| run.at < until) {
            self.mask_front(judged);
        }
    }

    /// A retransmission is stored as its first copy; one whose first copy is forgotten is masked.
    fn again(&mut self, id: Id, sequence: i64, at: i64, payload: &[u8]) -> Option<ClearUntil> {
        if let Some(first) = self.waiting.iter().rposition(|run| run.sequence == sequence && run.is_last) {
            let (start, length, line) = (0, payload.len(), self.waiting[first].line);
            let run = Run { id, sequence, at, start, length, is_last: true, text: Vec::new(), line };
            self.waiting.insert(first + 1, run);
            return None;
        }
        let judged = self.judged.iter().rev().find(|(judged, _)| *judged == sequence);
        Some(judged.map_or(0, |&(_, clear)| clear))
    }

    /// What waits of this line.
    fn text(&self, line: u64) -> Vec<char> {
        self.waiting.iter().take_while(|run| run.line == line).flat_map(|run| run.text.iter().copied()).collect()
    }

    /// All that waits of an entered line, or else the first run, was echoed.
    fn echoed(&mut self, entered: Option<u64>, judged: &mut dyn FnMut(Id, ClearUntil)) {
        while let Some(run) = self.waiting.pop_front() {
            if entered.is_some() {
                self.printed.take(&run.text);
            }
            if run.is_last {
                // A retransmission has no text of its own and is as long as what it repeats.
                let clear = self.judgement(run.sequence).unwrap_or(run.start + run.length);
                self.settle(&run, clear, judged);
            }
            let Some(next) = self.waiting.front() else { break };
            let is_copy = next.text.is_empty() && next.sequence == run.sequence;
            if !is_copy && entered != Some(next.line) {
                break;
            }
        }
        if entered.is_some() {
            self.printed.expect_line_end();
        }
    }

    fn mask_line(&mut self, line: u64, judged: &mut dyn FnMut(Id, ClearUntil)) {
        while self.waiting.front().is_some_and(|run| run.line == line) {
            self.mask_front(judged);
        }
    }

    /// Masks the first run, and with it the rest of its message.
    fn mask_front(&mut self, judged: &mut dyn FnMut(Id, ClearUntil)) {
        let Some(first) = self.waiting.pop_front() else { return };
        let clear = self.judgement(first.sequence).unwrap_or(first.start);
        let mut last = first;
        while !last.is_last {
            match self.waiting.pop_front() {
                Some(run) => last = run,
                None => return,
            }
        }
        self.settle(&last, clear, judged);
        while self.waiting.front().is_some_and(|next| next.text.is_empty() && next.sequence == last.sequence) {
            let Some(copy) = self.waiting.pop_front() else { return };
            self.settle(&copy, clear, judged);
        }
    }

    fn settle(&mut self, run: &Run, clear: ClearUntil, judged: &mut dyn FnMut(Id, ClearUntil)) {
        self.keep(run.sequence, clear);
        judged(run.id, clear);
    }

    fn judgement(&self, sequence: i64) -> Option<ClearUntil> {
        self.judged.iter().rev().take(64).find(|(judged, _)| *judged == sequence).map(|&(_, clear)| clear)
    }

    fn keep(&mut self, sequence: i64, clear: ClearUntil) {
        if self.judged.len() == MAX_JUDGED {
            self.judged.pop_front();
        }
        self.judged.push_back((sequence, clear));
    }
}

/// Whether a byte of input with this index may be a secret: printable, and not inside an escape sequence.
pub(crate) fn maskable(payload: &[u8]) -> Vec<bool> {
    let mut state = Escape::None;
    payload
        .iter()
        .map(|&byte| {
            let (next, is_sequence) = state.step(byte);
            state = next;
            !is_sequence && byte >= 0x20 && byte != 0x7f
        })
        .collect()
}

/// The runs of maskable bytes: start, length, and how many line ends come before them in the same payload.
fn runs(payload: &[u8]) -> Vec<(usize, usize, u64)> {
    let maskable = maskable(payload);
    let mut runs: Vec<(usize, usize, u64)> = Vec::new();
    let mut lines = 0;
    for (index, &byte) in payload.iter().enumerate() {
        if maskable[index] {
            match runs.last_mut() {
                Some((start, length, _)) if *start + *length == index => *length += 1,
                _ => runs.push((index, 1, lines)),
            }
        }
        lines += u64::from(is_line_end(byte));
    }
    runs
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Where typed bytes are in an escape sequence (ECMA-48, section 5.4; SS3 as terminals send it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    Parameters,
    Last,
}

impl Escape {
    /// The state behind a byte, and whether the byte is part of a sequence.
    fn step(self, byte: u8) -> (Self, bool) {
        match (self, byte) {
            (_, 0x1b) => (Self::Begun, true),
            (Self::Begun, b'O') => (Self::Last, true),
            (Self::Begun, b'[') | (Self::Parameters, 0x20..=0x3f) => (Self::Parameters, true),
            // ESC and a letter (a meta key) is a sequence as well.
            (Self::Begun | Self::Parameters | Self::Last, 0x20..=0x7e) => (Self::None, true),
            _ => (Self::None, false),
        }
    }
}

#[cfg(test)]
mod tests;
