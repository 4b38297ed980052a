//! A typescript of `script` and its timing file (util-linux `script(1)`, `scriptreplay(1)`).
//!
//! The typescript begins with a line that says when, and ends with another; neither is output. In the advanced form of the
//! timing file input is recorded too, in the same file or in one of its own.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use warden_session::timeline::{Deviation, Direction};

use super::timing::{Entry, Timing, plain, started};
use super::{Tape, What};

/// Longest first line, and longest last one.
const MAX_EDGE: usize = 4096;
/// Input of one line of the timing file that is read at once, in bytes.
const MAX_INPUT: usize = 1024 * 1024;

/// Takes a typescript in pieces of any size.
#[derive(Debug)]
pub(super) struct TypescriptReader {
    timing: Timing,
    folder: PathBuf,
    /// The first line, as far as it is here; `None` behind it.
    head: Option<Vec<u8>>,
    /// What the timing file says of the next bytes: how many, and whether they are input.
    piece: (usize, bool),
    /// Bytes that no timing covers.
    tail: Vec<u8>,
    ended: bool,
    cols: Option<u16>,
    output_log: Option<String>,
    input: InputLog,
}

/// Where input is.
#[derive(Debug)]
enum InputLog {
    /// In the typescript itself.
    Same,
    /// In a file of its own.
    Own(BufReader<File>),
    /// In a file that is not there.
    Missing,
}

impl TypescriptReader {
    pub(super) fn new(timing: &Path) -> io::Result<Self> {
        Ok(Self {
            timing: Timing::open(timing)?,
            folder: timing.parent().map(Path::to_owned).unwrap_or_default(),
            head: Some(Vec::new()),
            piece: (0, false),
            tail: Vec::new(),
            ended: false,
            cols: None,
            output_log: None,
            input: InputLog::Same,
        })
    }

    pub(super) fn feed(&mut self, bytes: &[u8], tape: &mut Tape<'_, '_>) {
        let Some(mut rest) = self.behind_head(bytes, tape) else { return };
        if let Some(head) = self.head.take() {
            self.body(&head, tape);
        }
        while !rest.is_empty() && tape.outcome.is_ok() {
            let taken = self.body(rest, tape);
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    pub(super) fn finish(mut self, tape: &mut Tape<'_, '_>) {
        if let Some(head) = self.head.take() {
            self.body(&head, tape);
        }
        let missing = self.piece.0 > 0 || (!self.ended && self.advance(tape));
        if missing {
            tape.damage(tape.length, Deviation::Truncated);
        }
        let tail = self.tail.trim_ascii_start();
        if !tail.is_empty() && !tail.starts_with(b"Script done") {
            let tail = std::mem::take(&mut self.tail);
            tape.output(&tail);
            tape.damage(tape.length.saturating_sub(tail.len() as u64), Deviation::Undecodable);
        }
    }

    /// Takes the first line off; what follows it in these bytes. `None` while it has not ended.
    fn behind_head<'b>(&mut self, bytes: &'b [u8], tape: &mut Tape<'_, '_>) -> Option<&'b [u8]> {
        let Some(head) = &mut self.head else { return Some(bytes) };
        let line = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        let (line, rest) = bytes.split_at(line);
        head.extend_from_slice(line);
        let begun = head.get(..BEGIN.len().min(head.len())).is_some_and(|start| BEGIN.starts_with(start));
        if begun && !head.ends_with(b"\n") && head.len() < MAX_EDGE {
            return None;
        }
        if begun && head.ends_with(b"\n") {
            let text = String::from_utf8_lossy(head);
            tape.start(text.get(BEGIN.len()..).and_then(started));
            self.head = None;
        }
        Some(rest)
    }

    /// Hands out the beginning of these bytes as the timing file says; how many were taken.
    fn body(&mut self, bytes: &[u8], tape: &mut Tape<'_, '_>) -> usize {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            if self.ended || (self.piece.0 == 0 && !self.advance(tape)) {
                let room = MAX_EDGE.saturating_sub(self.tail.len());
                self.tail.extend_from_slice(rest.get(..room.min(rest.len())).unwrap_or_default());
                return bytes.len();
            }
            let (left, is_input) = self.piece;
            let piece = rest.get(..left.min(rest.len())).unwrap_or_default();
            if is_input {
                tape.input(piece);
            } else {
                tape.output(piece);
            }
            taken += piece.len();
            self.piece.0 = left - piece.len();
        }
        taken
    }

    /// Goes on to the next bytes of the typescript that the timing file tells of; whether there are any.
    fn advance(&mut self, tape: &mut Tape<'_, '_>) -> bool {
        while self.piece.0 == 0 {
            let entry = match self.timing.next() {
                Ok(Some(entry)) => entry,
                Ok(None) => {
                    self.ended = true;
                    return false;
                }
                Err(error) => {
                    tape.outcome = Err(error);
                    return false;
                }
            };
            self.entry(entry, tape);
        }
        true
    }

    fn entry(&mut self, entry: Entry, tape: &mut Tape<'_, '_>) {
        match entry {
            Entry::Output(seconds, bytes) => {
                tape.pause(seconds);
                self.piece = (bytes, false);
            }
            Entry::Input(seconds, bytes) => {
                tape.pause(seconds);
                self.input(bytes, tape);
            }
            Entry::Size(seconds, cols, rows) => {
                tape.pause(seconds);
                tape.resize(cols, rows);
            }
            Entry::Start(at) => tape.start(Some(at)),
            Entry::Cols(cols) => self.cols = Some(cols),
            Entry::Rows(rows) => tape.resize(self.cols.unwrap_or(0), rows),
            Entry::OutputLog(name) => self.output_log = Some(name),
            Entry::InputLog(name) if self.output_log.as_ref() == Some(&name) => self.input = InputLog::Same,
            Entry::InputLog(name) => self.input = self.open(&name),
            Entry::Exit(code) => tape.here(What::Exit(code)),
            Entry::Other(seconds) => tape.pause(seconds),
            Entry::Broken => tape.damage(tape.length, Deviation::Undecodable),
        }
    }

    /// The file of input lies beside the timing file, wherever it was written.
    fn open(&self, name: &str) -> InputLog {
        let Some(name) = Path::new(name).file_name() else { return InputLog::Missing };
        let Ok(file) = plain(&self.folder.join(name)) else { return InputLog::Missing };
        let mut log = BufReader::new(file);
        if log.fill_buf().is_ok_and(|head| head.starts_with(BEGIN)) {
            let _ = log.by_ref().take(MAX_EDGE as u64).read_until(b'\n', &mut Vec::new());
        }
        InputLog::Own(log)
    }

    fn input(&mut self, bytes: usize, tape: &mut Tape<'_, '_>) {
        match &mut self.input {
            InputLog::Same => self.piece = (bytes, true),
            InputLog::Own(log) => {
                let mut typed = Vec::new();
                let read = log.by_ref().take(bytes.min(MAX_INPUT) as u64).read_to_end(&mut typed);
                tape.input(&typed);
                if !read.is_ok_and(|read| read == bytes) {
                    tape.damage(tape.length, Deviation::Missing(Direction::Input));
                }
            }
            InputLog::Missing => tape.damage(tape.length, Deviation::Missing(Direction::Input)),
        }
    }
}

/// How a typescript begins.
const BEGIN: &[u8] = b"Script started on ";
