//! Windows transcripts: lines that `Start-Transcript` wrote, or the cleaned copy of old hosts.
//!
//! amazon-ssm-agent `agent/session/shell/shell_windows.go` at commit 1c217c89b42d: a second, hidden PowerShell runs
//! `Start-Transcript FILE`, `ssm-session-logger FILE true` for one minute, then `exit`. Windows before 2012 R2 gets the
//! terminal's output without its controls. The frame is documented with `Start-Transcript`.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::text::{self, Encoding, Line, Lines};
use super::{deviate, emit, header};
use crate::session::Session;
use crate::timeline::{Deviation, Event, What};

/// The line around each block of the frame.
pub(super) const STARS: &[u8] = b"**********************";

/// Most lines that the header block may have.
const BLOCK_LIMIT: usize = 64;

/// Lines of a block of the frame begin so; everything else is output, even between asterisks.
const KEYS: [&str; 20] = [
    "Start time",
    "End time",
    "Command start time",
    "Username",
    "RunAs User",
    "Configuration Name",
    "Machine",
    "Host Application",
    "Process ID",
    "PSVersion",
    "PSEdition",
    "GitCommitId",
    "OS",
    "Platform",
    "PSCompatibleVersions",
    "BuildVersion",
    "CLRVersion",
    "WSManStackVersion",
    "PSRemotingProtocolVersion",
    "SerializationVersion",
];

/// Reads the lines of a Windows transcript.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Windows {
    lines: Lines,
    frame: Frame,
}

/// Takes the frame off.
#[derive(Debug, Serialize, Deserialize)]
struct Frame {
    place: Place,
    framed: bool,
    ended: bool,
    session: Session,
    /// Whether output has begun, before which the identity came out.
    begun: bool,
    /// The last line of output, held back: it may be the agent's `exit`.
    held: Option<(String, Range<u64>)>,
}

/// Where in the frame the next line stands.
#[derive(Debug, Serialize, Deserialize)]
enum Place {
    Output,
    /// Below asterisks: the next line says whether they open a block.
    Stars(Range<u64>),
    /// In a block, this many lines deep.
    Block(usize),
}

impl Windows {
    pub(super) fn new(encoding: Encoding, framed: bool, at: u64, session: Session) -> Self {
        let frame = Frame { place: Place::Output, framed, ended: false, session, begun: false, held: None };
        Self { lines: Lines::new(encoding, at), frame }
    }

    pub(super) fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        let frame = &mut self.frame;
        self.lines.feed(bytes, &mut |line| frame.line(line, sink));
    }

    pub(super) fn is_complete(&self) -> bool {
        self.frame.ended
    }

    pub(super) fn finish(self, sink: &mut dyn FnMut(Event<'_>)) {
        let Self { lines, mut frame } = self;
        let end = lines.end();
        lines.finish(&mut |line| frame.line(line, sink));
        frame.stars_are_output(sink);
        frame.identify(end, sink);
        frame.flush(sink);
        if frame.framed && !frame.ended {
            deviate(end, Deviation::Truncated, sink);
        }
    }
}

impl Frame {
    fn line(&mut self, line: Line, sink: &mut dyn FnMut(Event<'_>)) {
        let Line { text, offset, deviation } = line;
        if let Some(deviation) = deviation {
            deviate(offset.start, deviation, sink);
        }
        if self.framed && text.as_bytes() == STARS {
            self.stars(offset, sink);
            return;
        }
        match self.place {
            Place::Output => self.body(text, offset, sink),
            Place::Stars(_) => self.first_of_block(text, offset, sink),
            Place::Block(depth) if depth < BLOCK_LIMIT && field(&text).is_some() => {
                self.note(&text);
                self.place = Place::Block(depth + 1);
            }
            Place::Block(_) => {
                self.place = Place::Output;
                self.body(text, offset, sink);
            }
        }
    }

    fn stars(&mut self, offset: Range<u64>, sink: &mut dyn FnMut(Event<'_>)) {
        self.place = match self.place {
            Place::Block(_) => Place::Output,
            Place::Output => Place::Stars(offset),
            Place::Stars(_) => {
                self.stars_are_output(sink);
                Place::Stars(offset)
            }
        };
    }

    fn first_of_block(&mut self, text: String, offset: Range<u64>, sink: &mut dyn FnMut(Event<'_>)) {
        let ends = text.ends_with("transcript end");
        if ends || text.ends_with("transcript start") || text.starts_with("Command start time: ") {
            self.place = Place::Block(0);
            self.ended = ends;
            // Only a session that the agent replayed has its id in the text.
            if ends && self.session.id.is_some() && self.held.as_ref().is_some_and(|(line, _)| is_exit(line)) {
                self.held = None;
            }
        } else {
            self.stars_are_output(sink);
            self.body(text, offset, sink);
        }
    }

    fn stars_are_output(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        if let Place::Stars(offset) = std::mem::replace(&mut self.place, Place::Output) {
            self.output(String::from_utf8_lossy(STARS).into_owned(), offset, sink);
        }
    }

    /// Keeps what a line of the header block says of the session.
    fn note(&mut self, text: &str) {
        let Some((key, value)) = field(text) else { return };
        let user = value.rsplit('\\').next().unwrap_or(value);
        // The agent's hidden shell runs as the system; that says nothing of the session.
        let system = user.is_empty() || user.eq_ignore_ascii_case("SYSTEM") || user.ends_with('$');
        if !self.begun && !system && (key == "RunAs User" || (key == "Username" && self.session.run_as.is_none())) {
            self.session.run_as = Some(value.to_owned());
        }
    }

    fn body(&mut self, text: String, offset: Range<u64>, sink: &mut dyn FnMut(Event<'_>)) {
        if self.framed && !self.begun {
            if text.starts_with("Transcript started, output file is ") {
                return;
            }
            if text.contains("ssm-session-logger")
                && let Some(named) = header::identity(&text)
            {
                let run_as = self.session.run_as.take();
                self.session = Session { run_as, platform: self.session.platform, ..named };
                return;
            }
        }
        self.output(text, offset, sink);
    }

    fn output(&mut self, text: String, offset: Range<u64>, sink: &mut dyn FnMut(Event<'_>)) {
        self.identify(offset.start, sink);
        self.flush(sink);
        self.held = Some((text, offset));
    }

    fn identify(&mut self, end: u64, sink: &mut dyn FnMut(Event<'_>)) {
        if !std::mem::replace(&mut self.begun, true) {
            emit(0..end, What::Identity(Box::new(self.session.clone())), sink);
        }
    }

    fn flush(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        if let Some((text, offset)) = self.held.take() {
            emit(offset, What::Line(&text), sink);
        }
    }
}

/// Key and value of a line of a block.
fn field(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.split_once(':')?;
    KEYS.contains(&key).then(|| (key, value.trim()))
}

/// Whether the line is `exit` typed at a PowerShell prompt.
fn is_exit(line: &str) -> bool {
    is_prompt(line) && line.rsplit_once("> ").is_some_and(|(_, typed)| typed.trim() == "exit")
}

/// Whether the line begins with the prompt `PS X:\…>`.
pub(crate) fn is_prompt(line: &str) -> bool {
    let drive = line.strip_prefix("PS ").map(str::as_bytes);
    matches!(drive, Some([letter, b':', b'\\', ..]) if letter.is_ascii_alphabetic()) && line.contains('>')
}

/// Whether the head is the cleaned copy of an old Windows host: PowerShell's prompt and not one control.
pub(super) fn is_cleaned(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    !head.contains(&0x1b) && text.lines().any(is_prompt)
}

/// Whether the head is such a copy from its first line on: PowerShell's banner or prompt.
pub(crate) fn is_cleaned_from_start(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let first = text.lines().map(str::trim_end).find(|line| !line.is_empty()).unwrap_or_default();
    (is_prompt(first) || first == "Windows PowerShell") && is_cleaned(head)
}

/// Whether the head is the frame of `Start-Transcript`, in any encoding.
pub(crate) fn is_framed(head: &[u8]) -> bool {
    let (encoding, mark) = Encoding::sniff(head);
    let (text, _) = text::decode(head.get(mark..).unwrap_or_default(), encoding);
    let mut lines = text.lines();
    let stars = lines.next().is_some_and(|line| line.as_bytes() == STARS);
    stars && lines.next().is_some_and(|line| line.contains("PowerShell") || line.ends_with("transcript start"))
}
