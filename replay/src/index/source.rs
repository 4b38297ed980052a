use std::io;
use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};
use warden_protocol::channel::{Anomaly, SessionType, What};
use warden_protocol::wire::Side;
use warden_rules::RuleSet;
use warden_rules::detect::Detector;
use warden_rules::finding::Source;
use warden_session::log_stream::LogStreamReader;
use warden_session::screen;
use warden_session::timeline::{self, Event, Fidelity};
use warden_session::transcript::TranscriptReader;
use warden_session::{Item, Kind, Timeline};

use super::build::{Act, Spot, Step};
use super::{Builder, Frames, MarkKind, Shared};
use crate::capture::{self, Found, Secrets};
use crate::input::Input;
use crate::items;
use crate::reconstruct::{self, Moment, Sessions};
use crate::recording;

/// What is to be indexed.
#[derive(Debug)]
pub(crate) struct Job {
    /// A capture, a recording, a transcript or a log stream.
    pub(crate) input: Input,
    /// What opens it.
    pub(crate) secrets: Secrets,
    /// Which session of a capture.
    pub(crate) session: usize,
    /// Rules to find things with.
    pub(crate) rules: RuleSet,
    /// Output between two keyframes.
    pub(crate) keyframe_bytes: u64,
}

/// Reads an input and builds its index.
///
/// # Errors
/// What the file system says; what has been read stays in the index.
pub(crate) fn read(job: &Job, shared: &Shared) -> io::Result<()> {
    let mut reading = Reading::new(job, shared)?;
    match job.input.kind {
        Kind::Capture => reading.capture(job, shared)?,
        Kind::Transcript => reading.transcript(job, shared)?,
        Kind::LogStream => reading.log_stream(job, shared)?,
        Kind::Recording => reading.recording(job, shared)?,
        Kind::ApiCall => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "holds no session that could be played"));
        }
    }
    reading.finish()
}

/// The index being built, and the commands and findings that go into it.
struct Reading<'j> {
    builder: Builder,
    timeline: Option<Timeline>,
    detector: Detector<'j>,
    source: Source,
    found: Vec<Item>,
    /// Time made up so far, for records that have none.
    made_up: SignedDuration,
    /// Bytes of input that the timeline was given.
    typed: u64,
    /// Where the output ends that was read, in records that are no captures.
    place: u64,
    forwards: bool,
    /// Whether a message stayed encrypted.
    sealed: bool,
    /// Whether no terminal at the agent's end ends lines with a carriage return: the client's does.
    bare: bool,
}

/// Output of a record without times comes in pieces of this size, cut at a line end, one piece in each [`BEAT`].
const PIECE: usize = 256;
const BEAT: SignedDuration = SignedDuration::from_millis(200);
/// Most pieces of a record without times; longer records come in larger pieces.
const MAX_PIECES: u64 = 200_000;
/// Output from whose look the size of an unknown window is inferred.
const FIT_BYTES: usize = 256 * 1024;

impl<'j> Reading<'j> {
    fn new(job: &'j Job, shared: &Shared) -> io::Result<Self> {
        let fidelity = if job.input.kind == Kind::LogStream { Fidelity::Cleaned } else { Fidelity::Exact };
        Ok(Self {
            builder: Builder::new(shared, job.keyframe_bytes)?,
            timeline: Some(Timeline::new(fidelity)),
            detector: Detector::new(&job.rules),
            source: Source::new(job.input.kind, &job.input.path),
            found: Vec::new(),
            made_up: SignedDuration::ZERO,
            typed: 0,
            place: 0,
            forwards: false,
            bare: false,
            sealed: false,
        })
    }

    fn capture(&mut self, job: &Job, shared: &Shared) -> io::Result<()> {
        {
            let mut index = shared.write().unwrap_or_else(PoisonError::into_inner);
            (index.record, index.has_digests) = ("capture", true);
        }
        let size = job.input.size().max(1);
        let mut sessions = Sessions::new(&job.secrets);
        let mut frames = Frames::new()?;
        capture::read(&job.input, &job.secrets, &mut |found| {
            let mut sink = |moment: Moment| self.moment(job.session, &moment);
            match found {
                Found::Socket { socket, named } => sessions.name(socket, named),
                Found::Message { socket, offset, message, .. } => {
                    let (session, verdict) = sessions.message(socket, offset, &message, &mut sink)?;
                    if session == job.session && frames.push(&message, verdict.status())? {
                        frames.hand_on(shared)?;
                        self.builder
                            .progress(u16::try_from(offset.saturating_mul(1000) / size).unwrap_or(1000).min(999));
                    }
                }
                Found::Damage { offset, damage } => sessions.damage(offset, &damage, &mut sink)?,
            }
            Ok(())
        })?;
        let sessions = sessions.finish(&mut |moment| self.moment(job.session, &moment))?;
        frames.hand_on(shared)?;
        let mut index = shared.write().unwrap_or_else(PoisonError::into_inner);
        index.session = sessions.get(job.session).and_then(|session| session.id.clone());
        index.sessions = sessions.len();
        Ok(())
    }

    fn moment(&mut self, session: usize, moment: &Moment) -> io::Result<()> {
        if moment.session != session {
            return Ok(());
        }
        let Moment { at, created, offset, n, .. } = *moment;
        let step = Step { at, created, offset, n, act: Act::Output(b"") };
        match &moment.what {
            reconstruct::What::Channel(what) => self.channel(moment.side, what, step),
            reconstruct::What::Damage { damage, .. } => {
                let kind = if damage.is_incomplete() { MarkKind::Gap } else { MarkKind::Anomaly };
                self.mark(step, kind, &damage.to_string())
            }
        }
    }

    fn channel(&mut self, side: Side, what: &What, step: Step<'_>) -> io::Result<()> {
        match what {
            What::Output(bytes) | What::Input(bytes) if self.forwards => self.forwarded(side, bytes.len(), step),
            What::Output(bytes) => {
                self.show(bytes, step)?;
                if self.bare {
                    return Ok(());
                }
                self.tell(step, step.offset..step.offset + bytes.len() as u64, timeline::What::Output(bytes))
            }
            What::StdErr(bytes) => self.show(bytes, step),
            What::Input(bytes) => {
                self.builder.step(&Step { act: Act::Input(bytes), ..step })?;
                let offset = self.typed..self.typed + bytes.len() as u64;
                self.typed = offset.end;
                self.tell(step, offset, timeline::What::Input(bytes))
            }
            What::Resize(window) => {
                let cells = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
                let (rows, cols) = (cells(window.rows), cells(window.cols));
                self.builder.step(&Step { act: Act::Resize { rows, cols }, ..step })?;
                self.tell(step, step.offset..step.offset, timeline::What::Resize { cols, rows })
            }
            What::Missing(missing) => {
                let messages = missing.count();
                self.mark(step, MarkKind::Gap, &lost(messages, side.as_str()))?;
                let direction =
                    if side == Side::Client { timeline::Direction::Input } else { timeline::Direction::Output };
                self.tell(step, step.offset..step.offset, timeline::What::Gap { direction, messages })
            }
            // AWS's plugin prints it.
            What::ExitCode(code) => {
                self.builder.step(&Step { act: Act::Output(format!("EXIT_CODE: {}", code.0).as_bytes()), ..step })?;
                self.mark(step, MarkKind::Session, &format!("exit code {}", code.0))
            }
            What::Anomaly(Anomaly::BadDigest) => self.mark(step, MarkKind::BadDigest, &format!("wrong digest, {side}")),
            What::Anomaly(anomaly) => self.mark(step, MarkKind::Anomaly, &format!("{side}: {}", name_of(anomaly))),
            other => self.session(side, other, step),
        }
    }

    fn show(&mut self, bytes: &[u8], step: Step<'_>) -> io::Result<()> {
        if self.bare && bytes.contains(&b'\n') {
            let lines = bytes.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(b"\r\n".as_slice());
            return self.builder.step(&Step { act: Act::Output(&lines), ..step });
        }
        self.builder.step(&Step { act: Act::Output(bytes), ..step })
    }

    fn session(&mut self, side: Side, what: &What, step: Step<'_>) -> io::Result<()> {
        let text = match what {
            What::Opened(_) => format!("{side} connected"),
            What::Reconnected(_) => format!("{side} connected again"),
            What::HandshakeRequest(request) => {
                let asked = request.session_type().map(|parsed| parsed.value);
                if let Some(command) = asked.as_ref().and_then(|asked| items::program(&asked.properties)) {
                    self.tell(step, step.offset..step.offset, timeline::What::Program(&command))?;
                }
                let wanted = asked.map(|asked| asked.session_type);
                let kind = wanted.as_deref().map(SessionType::named);
                self.forwards |= kind == Some(SessionType::Port);
                self.bare |= kind == Some(SessionType::NonInteractiveCommands);
                format!("handshake: {}", wanted.as_deref().unwrap_or("no session type"))
            }
            What::HandshakeComplete(complete) if !complete.customer_message.is_empty() => {
                let message = complete.customer_message.replace('\n', "\r\n");
                self.builder.step(&Step { act: Act::Output(format!("{message}\r\n").as_bytes()), ..step })?;
                "handshake complete".to_owned()
            }
            What::Closed(closed) if closed.output.is_empty() => "closed by the service".to_owned(),
            What::Closed(closed) => format!("closed by the service: {}", closed.output),
            What::Paused => "the service stops the sender".to_owned(),
            What::Resumed => "the service lets the sender go on".to_owned(),
            What::Flag(flag) => format!("{side}: flag {}", flag.name().unwrap_or("unknown")),
            What::Sealed { .. } if !std::mem::replace(&mut self.sealed, true) => {
                return self.mark(step, MarkKind::Gap, "from here on messages stay encrypted (--key)");
            }
            _ => return Ok(()),
        };
        self.mark(step, MarkKind::Session, &text)
    }

    /// A forwarded connection has no screen: its lengths are listed.
    fn forwarded(&mut self, side: Side, length: usize, step: Step<'_>) -> io::Result<()> {
        let arrow = if side == Side::Client { "client -> agent " } else { "agent  -> client" };
        self.builder.step(&Step { act: Act::Output(format!("{arrow}  {length:>8} bytes\r\n").as_bytes()), ..step })
    }

    fn mark(&mut self, step: Step<'_>, kind: MarkKind, text: &str) -> io::Result<()> {
        self.builder.step(&Step { act: Act::Mark(kind, text), ..step })
    }

    fn transcript(&mut self, job: &Job, shared: &Shared) -> io::Result<()> {
        {
            let mut index = shared.write().unwrap_or_else(PoisonError::into_inner);
            (index.record, index.made_up) = ("transcript", true);
        }
        let (rows, cols) = window(&job.input)?;
        let act = Act::Resize { rows, cols };
        self.builder.step(&Step { at: Timestamp::UNIX_EPOCH, created: None, offset: 0, n: 0, act })?;
        let size = job.input.size().max(1);
        let piece = PIECE.max(usize::try_from(size / MAX_PIECES).unwrap_or(PIECE));
        let mut reader = TranscriptReader::new();
        let mut outcome = Ok(());
        let mut done = 0;
        job.input.bytes(&mut |bytes| {
            done += bytes.len() as u64;
            reader.feed(bytes, &mut |event| {
                if outcome.is_ok() {
                    outcome = self.event(&event, piece);
                }
            });
            self.builder.progress(u16::try_from(done.saturating_mul(1000) / size).unwrap_or(1000).min(999));
            outcome.is_ok()
        })?;
        reader.finish(&mut |event| {
            if outcome.is_ok() {
                outcome = self.event(&event, piece);
            }
        });
        outcome
    }

    fn recording(&mut self, job: &Job, shared: &Shared) -> io::Result<()> {
        shared.write().unwrap_or_else(PoisonError::into_inner).record = "recording";
        let mut dated = true;
        let mut window = unsaid_window(&job.input);
        recording::read(&job.input, &mut |recorded| {
            let since = || Timestamp::UNIX_EPOCH.saturating_add(recorded.elapsed).unwrap_or(Timestamp::MAX);
            dated &= recorded.at.is_some();
            let at = recorded.at.unwrap_or_else(since);
            let step = Step { at, created: None, offset: recorded.offset.start, n: 0, act: Act::Output(b"") };
            if let Some((rows, cols)) = window.take() {
                self.builder.step(&Step { act: Act::Resize { rows, cols }, ..step })?;
            }
            match &recorded.what {
                recording::What::Timeline(what) => {
                    self.event(&Event { offset: recorded.offset.clone(), at: Some(at), what: what.clone() }, PIECE)
                }
                recording::What::Marker(text) => self.mark(step, MarkKind::Session, text),
                recording::What::Exit(code) => self.mark(step, MarkKind::Session, &format!("exit code {code}")),
            }
        })?;
        shared.write().unwrap_or_else(PoisonError::into_inner).undated = !dated;
        Ok(())
    }

    fn log_stream(&mut self, job: &Job, shared: &Shared) -> io::Result<()> {
        shared.write().unwrap_or_else(PoisonError::into_inner).record = "log stream";
        let mut reader = LogStreamReader::new();
        let mut outcome = Ok(());
        let mut sink = |event: Event<'_>| {
            if outcome.is_ok() {
                outcome = self.event(&event, PIECE);
            }
        };
        job.input.bytes(&mut |bytes| {
            reader.feed(bytes, &mut sink);
            true
        })?;
        reader.finish(&mut sink);
        outcome
    }

    /// Takes an event of a record that is no capture.
    fn event(&mut self, event: &Event<'_>, piece: usize) -> io::Result<()> {
        let is_output = matches!(event.what, timeline::What::Output(_) | timeline::What::Line(_));
        let offset = if is_output { event.offset.start } else { self.place };
        self.place = if is_output { event.offset.end } else { self.place };
        let step =
            Step { at: event.at.unwrap_or_else(|| self.clock()), created: None, offset, n: 0, act: Act::Output(b"") };
        match &event.what {
            timeline::What::Output(bytes) if event.at.is_some() => {
                self.builder.step(&Step { act: Act::Output(bytes), ..step })?;
            }
            timeline::What::Output(bytes) => self.pieces(bytes, piece, step)?,
            timeline::What::Line(text) => {
                self.builder.step(&Step { act: Act::Output(format!("{text}\r\n").as_bytes()), ..step })?;
            }
            timeline::What::Input(bytes) => self.builder.step(&Step { act: Act::Input(bytes), ..step })?,
            timeline::What::Resize { cols, rows } => {
                self.builder.step(&Step { act: Act::Resize { rows: *rows, cols: *cols }, ..step })?;
            }
            timeline::What::Gap { messages, .. } => {
                self.mark(step, MarkKind::Gap, &lost(*messages, "record"))?;
            }
            timeline::What::Deviation(deviation) => self.mark(step, MarkKind::Anomaly, &deviation.to_string())?,
            timeline::What::Identity(_) | timeline::What::Program(_) => {}
        }
        self.tell_event(event)
    }

    /// Output without times, piece by piece in even steps.
    fn pieces(&mut self, bytes: &[u8], piece: usize, step: Step<'_>) -> io::Result<()> {
        let (mut rest, mut offset) = (bytes, step.offset);
        while !rest.is_empty() {
            let end = rest
                .get(..piece)
                .map_or(rest.len(), |head| head.iter().position(|byte| *byte == b'\n').map_or(piece, |at| at + 1));
            let end = if piece > PIECE { piece.min(rest.len()) } else { end };
            let (now, later) = rest.split_at(end);
            self.builder.step(&Step { at: self.clock(), offset, act: Act::Output(now), ..step })?;
            self.made_up += BEAT;
            offset += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    fn clock(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH.saturating_add(self.made_up).unwrap_or(Timestamp::MAX)
    }

    fn tell(&mut self, step: Step<'_>, offset: std::ops::Range<u64>, what: timeline::What<'_>) -> io::Result<()> {
        self.tell_event(&Event { offset, at: Some(step.at), what })
    }

    /// Tells the timeline what happened, and marks the commands and findings that come of it.
    fn tell_event(&mut self, event: &Event<'_>) -> io::Result<()> {
        let found = &mut self.found;
        if let Some(timeline) = &mut self.timeline {
            timeline.event(event, &mut |item| found.push(item));
        }
        self.mark_found()
    }

    fn mark_found(&mut self) -> io::Result<()> {
        for item in std::mem::take(&mut self.found) {
            match item {
                Item::Session(session) => self.builder.name(session.id.as_ref().map(ToString::to_string)),
                Item::Command(session, command) => {
                    let spot = match command.at {
                        Some(at) if command.offset.is_empty() => Spot::Time(at),
                        _ => Spot::Offset(command.offset.end),
                    };
                    self.builder.mark_at(spot, MarkKind::Command, command.n, command.text.clone())?;
                    for finding in self.detector.command_findings(&session, &self.source, &command) {
                        let number = self.builder.number("finding");
                        let text = format!("{}: {}", finding.rule.title, command.text);
                        self.builder.mark_at(spot, MarkKind::Finding(finding.level()), number, text)?;
                    }
                }
                Item::ApiCall(_) | Item::Deviation(..) => {}
            }
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        let found = &mut self.found;
        if let Some(timeline) = self.timeline.take() {
            timeline.finish(&mut |item| found.push(item));
        }
        self.mark_found()?;
        self.builder.finish()
    }
}

/// The size of the window that a transcript seems to have had.
fn window(input: &Input) -> io::Result<(u16, u16)> {
    let mut output = Vec::new();
    let mut reader = TranscriptReader::new();
    input.bytes(&mut |bytes| {
        reader.feed(bytes, &mut |event| {
            if let timeline::What::Output(bytes) = event.what {
                output.extend_from_slice(bytes);
            }
        });
        output.len() < FIT_BYTES
    })?;
    Ok(fitting(&output))
}

fn fitting(output: &[u8]) -> (u16, u16) {
    let (rows, cols) = screen::fit(output);
    (rows, cols.unwrap_or(screen::USUAL_COLS))
}

/// The same of a recording; `None` if it says what the size was.
fn unsaid_window(input: &Input) -> Option<(u16, u16)> {
    let (mut output, mut said) = (Vec::new(), false);
    // It is read no further than needed; what is wrong with it is told when it is read for good.
    let _ = recording::read(input, &mut |recorded| match &recorded.what {
        recording::What::Timeline(timeline::What::Resize { .. }) => {
            said = output.is_empty();
            Err(io::ErrorKind::Interrupted.into())
        }
        recording::What::Timeline(timeline::What::Output(bytes)) if output.len() < FIT_BYTES => {
            output.extend_from_slice(bytes);
            Ok(())
        }
        _ if output.len() >= FIT_BYTES => Err(io::ErrorKind::Interrupted.into()),
        _ => Ok(()),
    });
    (!said).then(|| fitting(&output))
}

fn lost(messages: u64, of: &str) -> String {
    let word = if messages == 1 { "message" } else { "messages" };
    format!("{messages} {word} of the {of} missing")
}

/// An anomaly in words.
fn name_of(anomaly: &Anomaly) -> &'static str {
    match anomaly {
        Anomaly::Undecodable(_) => "a message that is no frame",
        Anomaly::BadDigest => "wrong digest",
        Anomaly::Conflicting => "two messages with one number",
        Anomaly::TooLate => "a message that came too late",
        Anomaly::RetransmissionStorm => "one message over and over",
        Anomaly::WrongSender => "a message that this end cannot send",
        Anomaly::AcknowledgesNothing { .. } => "acknowledges what is not here",
        Anomaly::AcknowledgesOther { .. } => "acknowledges another message",
        Anomaly::NonceJump(_) => "nonces are not consecutive",
        Anomaly::DoesNotOpen(_) => "does not open with the key",
        Anomaly::Unreadable(_) => "a payload that is not what its type says",
        Anomaly::Refused(_) => "fields that AWS's programs refuse",
        _ => "something else is wrong",
    }
}
