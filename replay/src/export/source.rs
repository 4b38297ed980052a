//! A session as exports read it: one stream of events, whatever kind of record holds it.

use std::io;

use jiff::Timestamp;
use warden_protocol::channel::{self, Anomaly};
use warden_protocol::wire::Side;
use warden_session::log_stream::LogStreamReader;
use warden_session::timeline::{self, Direction, What};
use warden_session::transcript::TranscriptReader;
use warden_session::{Item, Kind, Session, SessionId};

use crate::capture::own::Chain;
use crate::capture::{self, Secrets};
use crate::input::Input;
use crate::items;
use crate::reconstruct::{self, Moment};
use crate::recording;

/// One record of a session, which can be read as often as needed.
#[derive(Debug)]
pub(crate) struct Source {
    /// The file.
    pub(crate) input: Input,
    secrets: Secrets,
}

/// One thing that a record says, in the record's order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event<'a> {
    /// Time that the record gives it.
    pub(crate) at: Option<Timestamp>,
    /// Its place: bytes of terminal output before it in captures and recordings, bytes of the file in other records.
    pub(crate) place: u64,
    /// What it is.
    pub(crate) what: Happened<'a>,
}

/// What an [`Event`] is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Happened<'a> {
    /// What [`timeline::What`] knows.
    Timeline(What<'a>),
    /// The command or shell ended with this code.
    Exit(i64),
    /// Something that a reader of the evidence has to know, in words of ours: a new socket, a pause, an anomaly.
    Note(String),
}

/// What a record amounts to, known when all of it was read.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// Of a capture: what its channel amounts to.
    pub(crate) capture: Option<Box<reconstruct::Session>>,
    /// Of a capture whose format has one: the chain of hashes through its records.
    pub(crate) chain: Option<Chain>,
    /// Ids of further sessions in the record, which are not exported.
    pub(crate) others: Vec<String>,
    /// Times count from the beginning: when that was is not known.
    pub(crate) undated: bool,
}

impl Ending {
    /// What a capture says of who and where, which is known when all of it was read.
    pub(crate) fn identity(&self) -> Option<Session> {
        self.capture.as_deref().map(reconstruct::Session::identity)
    }
}

/// Where events go. An error ends the reading and is handed on.
pub(crate) type Sink<'a> = dyn FnMut(&Event<'_>) -> io::Result<()> + 'a;

impl Source {
    /// A source for an input, with what opens it.
    pub(crate) fn new(input: Input, secrets: Secrets) -> Self {
        Self { input, secrets }
    }

    /// Reads the record from its beginning. Of several sessions in one record the first is told.
    ///
    /// # Errors
    /// What the file system or the sink says, and kinds that hold no terminal.
    pub(crate) fn read(&self, sink: &mut Sink<'_>) -> io::Result<Ending> {
        match self.input.kind {
            Kind::Capture => self.capture(sink),
            Kind::Transcript => self.stored(Reader::Transcript(Box::default()), sink),
            Kind::LogStream => self.stored(Reader::LogStream(Box::default()), sink),
            Kind::Recording => self.recording(sink),
            other @ Kind::ApiCall => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{}: nothing of this kind ({other:?}) is exported", self.input.path),
            )),
        }
    }

    /// The chain of hashes through a capture's records; `None` if the format has none.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn chain(&self) -> io::Result<Option<Chain>> {
        if self.input.kind != Kind::Capture {
            return Ok(None);
        }
        Ok(capture::read(&self.input, &self.secrets, &mut |_| Ok(()))?.chain)
    }

    /// Reads the record's sessions and their commands.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn items(&self, sink: &mut dyn FnMut(Item)) -> io::Result<()> {
        match self.input.kind {
            Kind::Capture => items::of_capture(&self.input, &self.secrets, sink),
            _ => self.input.read(sink),
        }
    }

    fn recording(&self, sink: &mut Sink<'_>) -> io::Result<Ending> {
        let (mut printed, mut dated) = (0, true);
        recording::read(&self.input, &mut |recorded| {
            dated &= recorded.at.is_some();
            let place = printed;
            let what = match &recorded.what {
                recording::What::Exit(code) => Happened::Exit(*code),
                recording::What::Marker(text) => Happened::Note(format!("marker: {text}")),
                recording::What::Timeline(what) => {
                    if let What::Output(bytes) = what {
                        printed += bytes.len() as u64;
                    }
                    Happened::Timeline(what.clone())
                }
            };
            // A recording that does not say when it began still tells how much time went by.
            let since = || Timestamp::UNIX_EPOCH.checked_add(recorded.elapsed).ok();
            sink(&Event { at: recorded.at.or_else(since), place, what })
        })?;
        Ok(Ending { undated: !dated, ..Ending::default() })
    }

    fn capture(&self, sink: &mut Sink<'_>) -> io::Result<Ending> {
        let mut printed = 0;
        let mut sessions = reconstruct::read(&self.input, &self.secrets, &mut |moment| {
            if moment.session == 0 { tell(&moment, &mut printed, sink) } else { Ok(()) }
        })?
        .into_iter();
        let first = sessions.next();
        let others = sessions.map(|session| session.id.unwrap_or_else(|| "without an id".to_owned())).collect();
        Ok(Ending { capture: first.map(Box::new), others, ..Ending::default() })
    }

    fn stored(&self, mut reader: Reader, sink: &mut Sink<'_>) -> io::Result<Ending> {
        let mut only = Only::default();
        let mut outcome = Ok(());
        let mut length = 0;
        let mut pass = |event: timeline::Event<'_>| {
            if outcome.is_ok() && only.admits(&event.what) {
                let event = Event { at: event.at, place: event.offset.start, what: Happened::Timeline(event.what) };
                outcome = sink(&event);
            }
        };
        let deviation = self.input.bytes(&mut |bytes| {
            length += bytes.len() as u64;
            reader.feed(bytes, &mut pass);
            true
        })?;
        reader.finish(&mut pass);
        if let Some(deviation) = deviation {
            pass(timeline::Event { offset: length..length, at: None, what: What::Deviation(deviation) });
        }
        outcome?;
        Ok(Ending { others: only.others, ..Ending::default() })
    }
}

enum Reader {
    Transcript(Box<TranscriptReader>),
    LogStream(Box<LogStreamReader>),
}

impl Reader {
    fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(timeline::Event<'_>)) {
        match self {
            Self::Transcript(reader) => reader.feed(bytes, sink),
            Self::LogStream(reader) => reader.feed(bytes, sink),
        }
    }

    fn finish(self, sink: &mut dyn FnMut(timeline::Event<'_>)) {
        match self {
            Self::Transcript(reader) => reader.finish(sink),
            Self::LogStream(reader) => reader.finish(sink),
        }
    }
}

/// Lets the first session of a record pass.
#[derive(Debug, Default)]
struct Only {
    first: Option<SessionId>,
    elsewhere: bool,
    others: Vec<String>,
}

/// Other sessions whose ids are told.
const MAX_OTHERS: usize = 64;

impl Only {
    fn admits(&mut self, what: &What<'_>) -> bool {
        if let What::Identity(session) = what
            && let Some(id) = &session.id
        {
            let first = self.first.get_or_insert_with(|| id.clone());
            self.elsewhere = first != id;
            let id = id.to_string();
            if self.elsewhere && self.others.len() < MAX_OTHERS && !self.others.contains(&id) {
                self.others.push(id);
            }
        }
        !self.elsewhere
    }
}

/// Tells one moment of a capture. `printed` counts output of both sorts, which share one screen.
fn tell(moment: &Moment, printed: &mut u64, sink: &mut Sink<'_>) -> io::Result<()> {
    let place = *printed;
    let mut pass = |what| sink(&Event { at: Some(moment.at), place, what });
    let what = match &moment.what {
        reconstruct::What::Damage { damage, .. } => return pass(Happened::Note(damage.to_string())),
        reconstruct::What::Channel(what) => what,
    };
    match what {
        channel::What::Output(bytes) | channel::What::StdErr(bytes) => {
            *printed += bytes.len() as u64;
            pass(Happened::Timeline(What::Output(bytes)))
        }
        channel::What::Input(bytes) => pass(Happened::Timeline(What::Input(bytes))),
        channel::What::Resize(size) => {
            let held = |cells: u32| u16::try_from(cells).unwrap_or(u16::MAX);
            let (cols, rows) = (held(size.cols), held(size.rows));
            if cols == 0 || rows == 0 {
                return Ok(());
            }
            pass(Happened::Timeline(What::Resize { cols, rows }))
        }
        channel::What::Missing(missing) => {
            let direction = if moment.side == Side::Client { Direction::Input } else { Direction::Output };
            pass(Happened::Timeline(What::Gap { direction, messages: missing.count() }))
        }
        channel::What::ExitCode(code) => pass(Happened::Exit(code.0)),
        channel::What::Reconnected(_) => {
            pass(Happened::Note(format!("the {} opened a further socket", name(moment.side))))
        }
        channel::What::Paused => pass(Happened::Note("the service asked to stop sending".to_owned())),
        channel::What::Resumed => pass(Happened::Note("the service let sending go on".to_owned())),
        channel::What::Closed(closed) if closed.output.is_empty() => {
            pass(Happened::Note("the service closed the channel".to_owned()))
        }
        channel::What::Closed(closed) => {
            pass(Happened::Note(format!("the service closed the channel: {}", closed.output)))
        }
        channel::What::Sealed { bytes, .. } => {
            pass(Happened::Note(format!("an encrypted message of {} bytes was not opened", bytes.len())))
        }
        channel::What::Anomaly(anomaly) => pass(Happened::Note(anomaly_text(anomaly, moment.side))),
        _ => Ok(()),
    }
}

fn name(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Agent => "agent",
        Side::Service => "service",
    }
}

fn anomaly_text(anomaly: &Anomaly, side: Side) -> String {
    let from = name(side);
    match anomaly {
        Anomaly::Undecodable(error) => format!("a message of the {from} that is no frame: {error}"),
        Anomaly::BadDigest => format!("a frame of the {from} whose digest is wrong"),
        Anomaly::Conflicting => format!("the {from} sent other bytes under a number that came before"),
        Anomaly::TooLate => format!("a message of the {from} came after its gap was given up"),
        Anomaly::RetransmissionStorm => format!("the {from} sent one message very often"),
        Anomaly::WrongSender => format!("the {from} sent what it cannot send"),
        Anomaly::AcknowledgesNothing { sequence } => {
            format!("the {from} acknowledges message {sequence}, which is not here")
        }
        Anomaly::AcknowledgesOther { sequence } => {
            format!("the {from} acknowledges another message {sequence} than is here")
        }
        Anomaly::NonceJump(_) => format!("nonces of the {from} are not consecutive"),
        Anomaly::DoesNotOpen(_) => format!("an encrypted message of the {from} does not open with the key"),
        Anomaly::Unreadable(_) => format!("a payload of the {from} is not what its type says"),
        Anomaly::Refused(_) => format!("a payload of the {from} has fields that AWS's programs refuse"),
        _ => format!("an anomaly of the {from}"),
    }
}
