//! S3 transcripts: what the terminal printed, as the agent stored it at the end of the session.
//!
//! The agent replays its copy of the terminal's output (`ipcTempFile.log`) through `script` (Linux, macOS) or
//! `Start-Transcript` (Windows) and uploads the result: amazon-ssm-agent `agent/session/shell/shell_unix.go` and
//! `shell_windows.go`, `generateLogData`, at commit 1c217c89b42d.

mod body;
mod header;
mod legacy;
mod text;
pub(crate) mod windows;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::session::{Platform, Session};
use crate::timeline::{Deviation, Event, Fidelity, What};
use body::{Body, LineEnds};
use windows::Windows;

/// Bytes at the start of a transcript that may be looked at (and held) before its form is decided.
pub const HEAD_LIMIT: usize = 64 * 1024;

/// Reads an S3 transcript of any form: every `script` header, none, agents before March 2020, Windows.
///
/// Events: at most one or two [`What::Identity`] first, then [`What::Output`] in the order of the file. `script` ran on
/// a terminal that turned every `\n` into `\r\n`; that is undone, so the output is what the session's own terminal
/// printed, and each event's range holds exactly its bytes. Header, footer and the lines that old agents typed
/// themselves come out as nothing. Windows transcripts come out as [`What::Line`].
///
/// ```
/// use warden_session::transcript::TranscriptReader;
/// use warden_session::timeline::What;
/// let file = b"Script started on 2020-05-27 23:00:48+0000\nsh-4.2$ id\r\r\n\nScript done on 2020-05-27 23:01:53+0000\n";
/// let mut output = Vec::new();
/// let mut reader = TranscriptReader::new();
/// let mut sink = |event: warden_session::Event<'_>| {
///     if let What::Output(bytes) = event.what {
///         output.extend_from_slice(bytes);
///     }
/// };
/// reader.feed(file, &mut sink);
/// reader.finish(&mut sink);
/// assert_eq!(output, b"sh-4.2$ id\r\n");
/// ```
#[derive(Debug, Serialize, Deserialize)]
pub struct TranscriptReader {
    state: State,
    copy: Copy,
}

#[derive(Debug, Serialize, Deserialize)]
enum State {
    Head(#[serde(with = "crate::saved::base64")] Vec<u8>),
    Body(Body),
    Windows(Box<Windows>),
}

/// Which copy of the transcript is read: it decides what happened to the line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Copy {
    /// The object in S3: `\n` became `\r\n`.
    Stored,
    /// Upload to CloudWatch at the end of the session: `\r\n` became `\n` again, the last line end is gone.
    Uploaded,
}

impl Default for TranscriptReader {
    fn default() -> Self {
        Self::new()
    }
}

impl TranscriptReader {
    /// A reader at the start of an S3 object.
    pub fn new() -> Self {
        Self::of(Copy::Stored)
    }

    /// A reader of the text that the agent uploads to CloudWatch at the end of a session.
    pub(crate) fn uploaded() -> Self {
        Self::of(Copy::Uploaded)
    }

    fn of(copy: Copy) -> Self {
        Self { state: State::Head(Vec::new()), copy }
    }

    /// [`Fidelity::Rendered`] once the transcript is known to be a Windows one, else [`Fidelity::Exact`].
    pub fn fidelity(&self) -> Fidelity {
        match self.state {
            State::Windows(_) => Fidelity::Rendered,
            State::Head(_) | State::Body(_) => Fidelity::Exact,
        }
    }

    /// Whether the bytes read so far end in a footer, so that nothing more of this transcript can come.
    pub(crate) fn is_complete(&self) -> bool {
        match &self.state {
            State::Head(head) => body::ends_in_footer(head),
            State::Body(body) => body.is_complete(),
            State::Windows(windows) => windows.is_complete(),
        }
    }

    /// Reads the next bytes of the transcript.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        let mut rest = bytes;
        if let State::Head(head) = &mut self.state {
            let room = HEAD_LIMIT.saturating_sub(head.len()).min(rest.len());
            let (start, after) = rest.split_at(room);
            head.extend_from_slice(start);
            rest = after;
            let at_end = head.len() >= HEAD_LIMIT;
            self.decide(at_end, sink);
        }
        match &mut self.state {
            State::Head(_) => {}
            State::Body(body) => body.feed(rest, sink),
            State::Windows(windows) => windows.feed(rest, sink),
        }
    }

    /// The transcript ends here: what is still held comes out, and [`Deviation::Truncated`] if its footer is missing.
    pub fn finish(mut self, sink: &mut dyn FnMut(Event<'_>)) {
        self.decide(true, sink);
        match self.state {
            State::Head(_) => {}
            State::Body(body) => body.finish(sink),
            State::Windows(windows) => windows.finish(sink),
        }
    }

    /// Leaves the head as soon as it shows the transcript's form; `all` says that no more of it will come.
    fn decide(&mut self, all: bool, sink: &mut dyn FnMut(Event<'_>)) {
        let State::Head(head) = &mut self.state else { return };
        if head.is_empty() {
            return;
        }
        let Some(form) = Form::of(head, self.copy, all) else { return };
        let head = std::mem::take(head);
        self.state = form.start(&head, sink);
    }
}

/// What the head of a transcript shows.
enum Form {
    Script { session: Box<Session>, body: Body, at: usize },
    Windows { encoding: text::Encoding, framed: bool, at: usize },
}

impl Form {
    /// The form, or `None` if more bytes are needed (never when `all`).
    fn of(head: &[u8], copy: Copy, all: bool) -> Option<Self> {
        if !all && (text::may_grow_mark(head) || may_grow(head, header::MAGIC) || may_grow(head, windows::STARS)) {
            return None;
        }
        let (encoding, mark) = text::Encoding::sniff(head);
        let after_mark = head.get(mark..).unwrap_or_default();
        if after_mark.starts_with(header::MAGIC) {
            return Self::script(head, mark, copy, all);
        }
        if mark > 0 || encoding != text::Encoding::Utf8 || head.starts_with(windows::STARS) {
            return Some(Self::Windows { encoding, framed: true, at: mark });
        }
        if !all {
            return None;
        }
        if windows::is_cleaned(head) {
            return Some(Self::Windows { encoding, framed: false, at: 0 });
        }
        let ends = if copy == Copy::Uploaded { LineEnds::Uploaded } else { LineEnds::of_headerless(head) };
        Some(Self::Script { session: Box::default(), body: Body::headerless(ends), at: 0 })
    }

    fn script(head: &[u8], mark: usize, copy: Copy, all: bool) -> Option<Self> {
        let Some(header) = header::Header::parse(head, mark) else { return all.then(|| Self::without_header(head)) };
        let ends = if copy == Copy::Uploaded { LineEnds::Uploaded } else { LineEnds::Doubled };
        if header.from_agent {
            let body = Body::new(ends, header.end as u64);
            return Some(Self::Script { session: Box::new(header.session), body, at: header.end });
        }
        if !all {
            return None;
        }
        let after = head.get(header.end..).unwrap_or_default();
        if let Some(preamble) = legacy::Preamble::parse(after) {
            let at = header.end + preamble.end;
            let session = Session { ended: header.session.ended, ..preamble.session };
            return Some(Self::Script {
                session: Box::new(session),
                body: Body::new(ends, at as u64).with_prompt(preamble.prompt),
                at,
            });
        }
        let ends = if copy == Copy::Stored { LineEnds::of_headed(after) } else { ends };
        Some(Self::Script {
            session: Box::new(header.session),
            body: Body::new(ends, header.end as u64),
            at: header.end,
        })
    }

    /// A header whose line does not end: the record stops inside it, or it is text that imitates one.
    fn without_header(head: &[u8]) -> Self {
        let cut = head.len() < header::LIMIT && memchr::memchr(b'\n', head).is_none();
        let (body, at) = if cut {
            (Body::new(LineEnds::Kept, head.len() as u64), head.len())
        } else {
            (Body::headerless(LineEnds::of_headerless(head)), 0)
        };
        Self::Script { session: Box::default(), body, at }
    }

    fn start(self, head: &[u8], sink: &mut dyn FnMut(Event<'_>)) -> State {
        match self {
            Self::Script { session, mut body, at } => {
                if *session != Session::default() {
                    emit(0..at as u64, What::Identity(session), sink);
                }
                body.feed(head.get(at..).unwrap_or_default(), sink);
                State::Body(body)
            }
            Self::Windows { encoding, framed, at } => {
                let session = Session { platform: Platform::Windows, ..Session::default() };
                let mut windows = Box::new(Windows::new(encoding, framed, at as u64, session));
                windows.feed(head.get(at..).unwrap_or_default(), sink);
                State::Windows(windows)
            }
        }
    }
}

/// Whether a text begins like a transcript of any form.
pub(crate) fn begins(text: &[u8]) -> bool {
    let (_, mark) = text::Encoding::sniff(text);
    mark > 0 || text.starts_with(header::MAGIC) || text.starts_with(windows::STARS)
}

/// Whether a file begins with a header of `script`.
pub(crate) fn is_headed(head: &[u8]) -> bool {
    let (_, mark) = text::Encoding::sniff(head);
    head.get(mark..).unwrap_or_default().starts_with(header::MAGIC)
}

/// Whether more bytes could still make `head` start with `magic`.
fn may_grow(head: &[u8], magic: &[u8]) -> bool {
    head.len() < magic.len() && magic.starts_with(head)
}

fn emit(offset: Range<u64>, what: What<'_>, sink: &mut dyn FnMut(Event<'_>)) {
    sink(Event { offset, at: None, what });
}

fn deviate(at: u64, deviation: Deviation, sink: &mut dyn FnMut(Event<'_>)) {
    emit(at..at, What::Deviation(deviation), sink);
}
