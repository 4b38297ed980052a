//! One way in: bytes of any recognised kind -> sessions, commands, API calls.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api_call::{ApiCall, ApiCallReader, Found};
use crate::command::extract::Extractor;
use crate::command::{Command, Origin};
use crate::join::fill;
use crate::log_stream::LogStreamReader;
use crate::session::Session;
use crate::timeline::{Deviation, Event, Fidelity, What};
use crate::transcript::TranscriptReader;

/// The kind of an input, recognised from its content, never from its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The terminal's output that the agent stored in S3.
    Transcript,
    /// CloudWatch log events of the agent.
    LogStream,
    /// CloudTrail records.
    ApiCall,
    /// WebSocket messages of a data channel, made at one of its ends. [`Reader`] does not read it: `warden` does.
    Capture,
    /// What a terminal recorder wrote: asciicast, typescript with timing, ttyrec. [`Reader`] does not read it.
    Recording,
}

/// One thing read from an input, in the input's order.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A session of which the input is (or holds) a record; comes before the session's commands.
    Session(Arc<Session>),
    /// A command of that session.
    Command(Arc<Session>, Box<Command>),
    /// An API call.
    ApiCall(Box<ApiCall>),
    /// Something is missing, damaged or contradictory at this offset.
    Deviation(u64, Deviation),
}

/// Where items go.
pub type ItemSink<'a> = dyn FnMut(Item) + 'a;

/// Reads an input of one kind: bytes in through [`feed`](Self::feed) in pieces of any size, items out, memory bounded.
///
/// ```
/// use warden_session::{Item, Kind, Reader};
/// let mut commands = Vec::new();
/// let mut sink = |item| {
///     if let Item::Command(_, command) = item {
///         commands.push(command.text);
///     }
/// };
/// let mut reader = Reader::new(Kind::Transcript);
/// reader.feed(b"Script started on 2020-05-27 23:00:48+0000\nsh-4.2$ sudo ix\x08\x1b[Kd\r\r\nuid=0(root)\r\r\n", &mut sink);
/// reader.finish(&mut sink);
/// assert_eq!(commands, ["sudo id"]);
/// ```
#[derive(Debug)]
pub struct Reader {
    pub(crate) source: Source,
    pub(crate) timeline: Timeline,
}

#[derive(Debug)]
pub(crate) enum Source {
    Transcript(Box<TranscriptReader>),
    LogStream(Box<LogStreamReader>),
    ApiCall(Box<ApiCallReader>),
    /// What is read elsewhere.
    Foreign,
}

impl Reader {
    /// A reader for an input of this kind.
    pub fn new(kind: Kind) -> Self {
        let source = match kind {
            Kind::Transcript => Source::Transcript(Box::default()),
            Kind::LogStream => Source::LogStream(Box::default()),
            Kind::ApiCall => Source::ApiCall(Box::default()),
            Kind::Capture | Kind::Recording => Source::Foreign,
        };
        Self { source, timeline: Timeline::new(Fidelity::Cleaned) }
    }

    /// Reads the next bytes of the input.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut ItemSink<'_>) {
        let timeline = &mut self.timeline;
        match &mut self.source {
            Source::Transcript(reader) => {
                reader.feed(bytes, &mut |event| timeline.event(&event, sink));
                timeline.fidelity = reader.fidelity();
            }
            Source::LogStream(reader) => reader.feed(bytes, &mut |event| timeline.event(&event, sink)),
            Source::ApiCall(reader) => reader.feed(bytes, &mut |found| hand_on(found, sink)),
            Source::Foreign => {}
        }
    }

    /// The input ends here: what is still held comes out.
    pub fn finish(self, sink: &mut ItemSink<'_>) {
        let Self { source, mut timeline } = self;
        match source {
            Source::Transcript(reader) => reader.finish(&mut |event| timeline.event(&event, sink)),
            Source::LogStream(reader) => reader.finish(&mut |event| timeline.event(&event, sink)),
            Source::ApiCall(reader) => reader.finish(&mut |found| hand_on(found, sink)),
            Source::Foreign => sink(Item::Deviation(0, Deviation::Undecodable)),
        }
        timeline.finish(sink);
    }
}

/// An API call, and the command that it alone holds.
fn hand_on(found: Found, sink: &mut ItemSink<'_>) {
    match found {
        Found::Deviation(offset, deviation) => sink(Item::Deviation(offset, deviation)),
        Found::Call(call) => {
            let command = call.command.as_deref().map(|text| Command {
                at: call.event_time,
                offset: call.offset.clone(),
                ..Command::of_text(text, call.facts.platform, Origin::Api)
            });
            let session = Session { id: call.session.clone(), ..call.facts.clone() };
            sink(Item::ApiCall(call));
            if let Some(command) = command {
                sink(Item::Command(Arc::new(session), Box::new(command)));
            }
        }
    }
}

/// Events in, items out: the sessions that a record tells of, and their commands. Memory is bounded.
///
/// This is the way in for whoever decodes a record itself, as `warden` does with captures. Where the events hold what the
/// client sent ([`What::Input`]), commands are read from both directions and have origin [`Origin::Keys`].
///
/// ```
/// use warden_session::timeline::{Event, Fidelity, What};
/// use warden_session::{Item, Timeline};
/// let mut commands = Vec::new();
/// let mut sink = |item| {
///     if let Item::Command(_, command) = item {
///         commands.push(command.text);
///     }
/// };
/// let mut timeline = Timeline::new(Fidelity::Exact);
/// let (mut typed, mut shown) = (0, 0);
/// let moments: &[(bool, &[u8])] = &[(false, b"sh-5.2$ "), (true, b"id\r"), (false, b"id\r\nuid=0(root)\r\n")];
/// for (is_input, bytes) in moments {
///     let at = if *is_input { &mut typed } else { &mut shown };
///     let offset = *at..*at + bytes.len() as u64;
///     *at = offset.end;
///     let what = if *is_input { What::Input(bytes) } else { What::Output(bytes) };
///     timeline.event(&Event { offset, at: None, what }, &mut sink);
/// }
/// timeline.finish(&mut sink);
/// assert_eq!(commands, ["id"]);
/// ```
#[derive(Debug, Serialize, Deserialize)]
pub struct Timeline {
    /// The sessions that the record is in the middle of; the last one is the current one.
    open: Vec<Stream>,
    /// What lines are that no emulator can be asked about.
    fidelity: Fidelity,
}

/// Sessions read side by side in one input; the one idle for longest is ended first.
const MAX_OPEN: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
struct Stream {
    #[serde(with = "crate::saved::shared")]
    session: Arc<Session>,
    announced: bool,
    extractor: Option<Extractor>,
    end: u64,
}

impl Timeline {
    /// A machine for a record of this fidelity: [`Fidelity::Exact`] for captures and recordings.
    pub fn new(fidelity: Fidelity) -> Self {
        Self { open: Vec::new(), fidelity }
    }

    /// Takes the next event of the record.
    pub fn event(&mut self, event: &Event<'_>, sink: &mut ItemSink<'_>) {
        match &event.what {
            What::Identity(session) => self.identify(session, sink),
            What::Deviation(deviation) => sink(Item::Deviation(event.offset.start, *deviation)),
            What::Output(bytes) => {
                let (session, extractor) = self.current(Fidelity::Exact, Some(event.offset.end), sink);
                let mut sink = |command| sink(Item::Command(session.clone(), Box::new(command)));
                extractor.output(bytes, &event.offset, event.at, &mut sink);
            }
            What::Line(text) => {
                let fidelity = if self.fidelity == Fidelity::Exact { Fidelity::Cleaned } else { self.fidelity };
                let (session, extractor) = self.current(fidelity, Some(event.offset.end), sink);
                let mut sink = |command| sink(Item::Command(session.clone(), Box::new(command)));
                extractor.line(text, &event.offset, event.at, &mut sink);
            }
            What::Input(bytes) => {
                let (session, extractor) = self.current(Fidelity::Exact, None, sink);
                let mut sink = |command| sink(Item::Command(session.clone(), Box::new(command)));
                extractor.input(bytes, event.at, &mut sink);
            }
            What::Resize { cols, .. } => self.current(Fidelity::Exact, None, sink).1.resize(*cols),
            What::Gap { direction, .. } => {
                sink(Item::Deviation(event.offset.start, Deviation::Missing(*direction)));
                self.current(Fidelity::Exact, None, sink).1.gap(*direction);
            }
            What::Program(text) => {
                let (session, extractor) = self.current(Fidelity::Exact, None, sink);
                let mut sink = |command| sink(Item::Command(session.clone(), Box::new(command)));
                extractor.program(text, event, &mut sink);
            }
        }
    }

    /// A record names its session: it becomes the current one. Before any output, a second name only adds to the first.
    fn identify(&mut self, session: &Session, sink: &mut ItemSink<'_>) {
        if let Some(at) = self.open.iter().position(|stream| stream.session.id == session.id) {
            let mut stream = self.open.remove(at);
            let mut known = Session::clone(&stream.session);
            fill(&mut known, session);
            if known != *stream.session {
                stream.session = Arc::new(known);
            }
            self.open.push(stream);
            return;
        }
        if let Some(current) = self.open.last_mut().filter(|stream| stream.session.id.is_none() && !stream.announced) {
            current.session = Arc::new(session.clone());
            return;
        }
        if self.open.len() >= MAX_OPEN {
            self.open.remove(0).finish(sink);
        }
        self.open.push(Stream::new(session.clone()));
    }

    /// The session that output up to `end` of the input, or something else, belongs to.
    fn current(
        &mut self,
        fidelity: Fidelity,
        end: Option<u64>,
        sink: &mut ItemSink<'_>,
    ) -> (Arc<Session>, &mut Extractor) {
        let stream = self.open.pop().unwrap_or_else(|| Stream::new(Session::default()));
        let stream = self.open.push_mut(stream);
        stream.end = end.unwrap_or(stream.end);
        stream.announce(sink);
        let platform = stream.session.platform;
        let extractor = stream.extractor.get_or_insert_with(|| Extractor::new(fidelity, platform));
        (stream.session.clone(), extractor)
    }

    /// The record ends here: what is still held comes out.
    pub fn finish(mut self, sink: &mut ItemSink<'_>) {
        for stream in self.open.drain(..) {
            stream.finish(sink);
        }
    }

    fn extractors(&mut self) -> impl Iterator<Item = &mut Extractor> {
        self.open.iter_mut().filter_map(|stream| stream.extractor.as_mut())
    }

    /// Makes again what is not saved because it follows from the rest.
    pub(crate) fn restore(&mut self) {
        self.extractors().for_each(Extractor::restore);
    }

    pub(crate) fn forget_suspects(&mut self) {
        self.extractors().for_each(Extractor::forget_suspects);
    }

    pub(crate) fn forget_history(&mut self) {
        self.extractors().for_each(Extractor::forget_history);
    }

    pub(crate) fn forget_unresolved(&mut self) {
        self.extractors().for_each(Extractor::forget_unresolved);
    }

    /// The commands that wait for the next prompt although nothing should change them.
    pub(crate) fn settled(&self) -> Vec<(Arc<Session>, Command)> {
        let settled = |stream: &Stream| Some((stream.session.clone(), stream.extractor.as_ref()?.settled()?));
        self.open.iter().filter_map(settled).collect()
    }
}

impl Stream {
    fn new(session: Session) -> Self {
        Self { session: Arc::new(session), announced: false, extractor: None, end: 0 }
    }

    fn announce(&mut self, sink: &mut ItemSink<'_>) {
        if !std::mem::replace(&mut self.announced, true) {
            sink(Item::Session(self.session.clone()));
        }
    }

    fn finish(mut self, sink: &mut ItemSink<'_>) {
        self.announce(sink);
        if let Some(mut extractor) = self.extractor {
            let session = self.session;
            extractor.finish(self.end, &mut |command| sink(Item::Command(session.clone(), Box::new(command))));
        }
    }
}
