//! Messages of the relay in, a capture out, and what to do when it cannot be written.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use anyhow::Context as _;
use bytes::Bytes;
use jiff::Timestamp;
use warden_protocol::frame::{Frame, decode_unverified};
use warden_protocol::payload::{HandshakeRequest, redact};
use warden_protocol::wire::{Direction, MessageType, PayloadType};

use super::echo::{ClearUntil, ECHO_WAIT, Echo, maskable};
use super::settings::{OnError, Report};
use super::store::Store;
use super::websocket::Seen;
use crate::capture::own::{Header, NotRecorded, Passed, Writer};
use crate::report::complain;

/// Opcodes (RFC 6455, section 5.2).
const TEXT: u8 = 1;
const BINARY: u8 = 2;
/// Bytes of messages that may wait for the judgement of one before them; beyond that it is masked.
const MAX_HELD: usize = 1 << 20;
/// How long records of an encrypted capture wait for more, in milliseconds, before padding pushes them to the file.
const SEAL_WAIT: i64 = 30_000;

/// The capture cannot be written and the session is to end. It was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop;

/// Writes one capture.
///
/// Each message is written before it is passed on, except while typed characters wait for their echo (see
/// [`super::echo`]): they and what follows are written as soon as it is known whether they are to be masked, at the latest
/// after [`ECHO_WAIT`].
pub(super) struct Recorder {
    /// `None` once nothing more can be written.
    writer: Option<Writer<Store>>,
    /// The file, for bringing it to the disk.
    file: File,
    is_dirty: bool,
    /// When the oldest record was written that may still wait in a chunk.
    sealed_since: Option<i64>,
    on_error: OnError,
    /// `None` with `--keep-input`.
    echo: Option<Echo>,
    held: VecDeque<Held>,
    held_bytes: usize,
    next: u64,
    /// Messages that were lost since the last record.
    lost: Option<NotRecorded>,
    report: Report,
}

/// A message whose turn to be written has not come.
struct Held {
    id: u64,
    passed: Passed,
    /// `None` while it is not judged.
    clear: Option<ClearUntil>,
}

impl Recorder {
    /// Begins a capture in an empty file.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn begin(
        (path, file): (PathBuf, File),
        recipients: &[age::x25519::Recipient],
        header: &Header,
        on_error: OnError,
        keep_input: bool,
    ) -> anyhow::Result<Self> {
        let mut marker = [0; 8];
        aws_lc_rs::rand::fill(&mut marker).ok().context("the system gives no random numbers")?;
        let store = Store::new(file.try_clone()?, recipients)?;
        let mut writer = Writer::begin(store, marker, header)?;
        writer.out().keep();
        file.sync_all()?;
        let report = Report {
            path: Some(path),
            session: header.session.clone(),
            closed: None,
            messages: 0,
            masked: 0,
            not_recorded: 0,
            last: Some(writer.last().to_string()),
            error: None,
        };
        Ok(Self {
            writer: Some(writer),
            file,
            is_dirty: false,
            sealed_since: Some(header.created.as_millisecond()),
            on_error,
            echo: (!keep_input).then(Echo::default),
            held: VecDeque::new(),
            held_bytes: 0,
            next: 0,
            lost: None,
            report,
        })
    }

    /// Takes a message that is about to be passed on.
    ///
    /// # Errors
    /// When it cannot be written and that is to end the session.
    pub(super) fn see(&mut self, socket: u32, direction: Direction, at: Timestamp, seen: Seen) -> Result<(), Stop> {
        let Seen { opcode, bytes } = seen;
        let Some(bytes) = bytes else { return self.fail(at, "a message was longer than a capture holds") };
        let frame = (opcode < 8).then(|| decode_unverified(bytes.clone()).ok()).flatten().map(|decoded| decoded.frame);
        let frame = frame.filter(|frame| opcode == BINARY || frame.message_type.is_known());
        let bytes = if opcode == TEXT && frame.is_none() { Bytes::from(redact(&bytes)) } else { bytes };
        let passed = Passed { socket, at, direction, opcode, bytes };
        let id = self.next;
        self.next += 1;
        self.held_bytes += passed.bytes.len();
        self.held.push_back(Held { id, passed, clear: None });
        let clear = frame.map_or(Some(usize::MAX), |frame| self.judge(id, direction, at, &frame));
        self.judged(id, clear);
        if self.held_bytes > MAX_HELD {
            self.give_up(i64::MAX);
        }
        self.drain()
    }

    /// The bytes of a socket cannot be read any more.
    ///
    /// # Errors
    /// When that is to end the session.
    pub(super) fn unreadable(&mut self, at: Timestamp, reason: &str) -> Result<(), Stop> {
        self.fail(at, reason)
    }

    /// Time passes: what waited long enough is written.
    ///
    /// # Errors
    /// When it cannot be written and that is to end the session.
    pub(super) fn tick(&mut self, now: Timestamp) -> Result<(), Stop> {
        self.give_up(now.as_millisecond() - ECHO_WAIT);
        self.drain()?;
        let waited = self.sealed_since.is_some_and(|since| now.as_millisecond() - since > SEAL_WAIT);
        let waiting = self.writer.as_mut().and_then(|writer| writer.out().waiting()).filter(|_| waited);
        if let Some(bytes) = waiting {
            self.write(now, &mut |writer| writer.padding(bytes))?;
            self.sealed_since = None;
        }
        Ok(())
    }

    /// The file, if something was written that may not be on the disk yet.
    pub(super) fn unsynced(&mut self) -> Option<File> {
        std::mem::take(&mut self.is_dirty).then(|| self.file.try_clone().ok()).flatten()
    }

    /// The disk did not take what was written.
    ///
    /// # Errors
    /// When that is to end the session.
    pub(super) fn sync_failed(&mut self, at: Timestamp, error: &io::Error) -> Result<(), Stop> {
        self.fail(at, &error.to_string())
    }

    /// What became of it so far.
    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    /// Closes the capture. What became of it.
    pub(super) fn close(mut self, now: Timestamp) -> Report {
        self.give_up(i64::MAX);
        // What is to be said was said; the report holds it.
        let _ = self.drain();
        if let Some(mut writer) = self.writer.take() {
            let lost = self.lost.take();
            let closed = lost.map_or(Ok(()), |lost| writer.not_recorded(&lost)).and_then(|()| writer.close(now));
            let closed = closed.and_then(|closing| {
                writer.out().end()?;
                self.file.sync_all()?;
                Ok(closing)
            });
            self.report.last = Some(writer.last().to_string());
            match closed {
                Ok(closing) => self.report.closed = Some(closing.closed),
                Err(error) => {
                    writer.out().take_back();
                    self.report.error.get_or_insert_with(|| error.to_string());
                }
            }
        }
        self.report
    }

    /// How much of an input frame is kept; `None` if it must wait. Output may settle what waited.
    fn judge(&mut self, id: u64, direction: Direction, at: Timestamp, frame: &Frame) -> Option<ClearUntil> {
        let whole = Some(usize::MAX);
        let Some(echo) = &mut self.echo else { return whole };
        let is_from = |sender, kind| direction == sender && frame.message_type == kind;
        let mut judged = Vec::new();
        let mut keep = |id, clear| judged.push((id, clear));
        let mut clear = whole;
        if is_from(Direction::ClientToService, MessageType::INPUT_STREAM_DATA) {
            if frame.payload_type == PayloadType::OUTPUT {
                clear = echo.input(id, frame.sequence_number, at.as_millisecond(), &frame.payload);
            }
        } else if is_from(Direction::ServiceToClient, MessageType::OUTPUT_STREAM_DATA) {
            if frame.payload_type == PayloadType::HANDSHAKE_REQUEST && !has_open_terminal(&frame.payload) {
                echo.turn_off(&mut keep);
            }
            let printed = if frame.payload_type == PayloadType::OUTPUT { &frame.payload[..] } else { &[] };
            echo.output(frame.sequence_number, printed, &mut keep);
        }
        for (id, clear) in judged {
            self.judged(id, Some(clear));
        }
        clear
    }

    fn judged(&mut self, id: u64, clear: Option<ClearUntil>) {
        let first = self.held.front().map_or(id, |held| held.id);
        let index = usize::try_from(id.saturating_sub(first)).unwrap_or(usize::MAX);
        if let Some(held) = self.held.get_mut(index) {
            held.clear = held.clear.or(clear);
        }
    }

    fn give_up(&mut self, until: i64) {
        let mut judged = Vec::new();
        if let Some(echo) = &mut self.echo {
            echo.give_up(until, &mut |id, clear| judged.push((id, clear)));
        }
        for (id, clear) in judged {
            self.judged(id, Some(clear));
        }
    }

    fn drain(&mut self) -> Result<(), Stop> {
        while let Some(clear) = self.held.front().and_then(|held| held.clear) {
            let Some(Held { passed, .. }) = self.held.pop_front() else { break };
            self.held_bytes = self.held_bytes.saturating_sub(passed.bytes.len());
            self.put(&passed, clear)?;
        }
        Ok(())
    }

    fn put(&mut self, passed: &Passed, clear: ClearUntil) -> Result<(), Stop> {
        let masked = mask(passed, clear);
        let is_masked = |index: usize| masked.as_ref().and_then(|masked| masked.get(index)).copied().unwrap_or(false);
        self.write(passed.at, &mut |writer| {
            if masked.is_some() { writer.masked(passed, &is_masked) } else { writer.message(passed) }
        })?;
        Ok(())
    }

    /// Writes a record, and before it what is missing.
    fn write(&mut self, at: Timestamp, put: &mut dyn FnMut(&mut Writer<Store>) -> io::Result<()>) -> Result<(), Stop> {
        let Some(writer) = &mut self.writer else { return self.fail(at, "the capture has ended") };
        let mut told = Ok(());
        if let Some(lost) = &self.lost {
            told = writer.not_recorded(lost).map(|()| {
                writer.out().keep();
                self.lost = None;
            });
        }
        match told.and_then(|()| put(writer)) {
            Ok(()) => {
                writer.out().keep();
                self.report.last = Some(writer.last().to_string());
                (self.report.messages, self.report.masked) = writer.counts();
                self.is_dirty = true;
                self.sealed_since.get_or_insert(at.as_millisecond());
                Ok(())
            }
            Err(error) => {
                if !writer.out().take_back() {
                    self.writer = None;
                }
                self.fail(at, &error.to_string())
            }
        }
    }

    /// A message is not in the capture.
    fn fail(&mut self, at: Timestamp, reason: &str) -> Result<(), Stop> {
        let is_first = self.lost.is_none();
        self.report.not_recorded += 1;
        self.report.error.get_or_insert_with(|| reason.to_owned());
        let lost =
            self.lost.get_or_insert_with(|| NotRecorded { messages: 0, from: at, to: at, reason: reason.to_owned() });
        lost.messages += 1;
        lost.to = at;
        let path = self.report.path.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
        match self.on_error {
            OnError::Stop => {
                if is_first {
                    complain(&format!(
                        "\nwarden: THE SESSION IS ENDED: the capture {path} cannot be written: {reason}"
                    ));
                }
                Err(Stop)
            }
            OnError::Warn => {
                if is_first {
                    complain(&format!("\nwarden: THIS SESSION IS NOT RECORDED ANY MORE: {path}: {reason}"));
                }
                Ok(())
            }
        }
    }
}

/// Which bytes of the payload are masked; `None` if none is.
fn mask(passed: &Passed, clear: ClearUntil) -> Option<Vec<bool>> {
    if clear == usize::MAX {
        return None;
    }
    let payload = decode_unverified(passed.bytes.clone()).ok()?.frame.payload;
    let mut masked = maskable(&payload);
    masked.iter_mut().take(clear).for_each(|it| *it = false);
    masked.contains(&true).then_some(masked)
}

/// Whether a handshake opens a session that has a terminal and whose bytes are in the clear.
fn has_open_terminal(payload: &[u8]) -> bool {
    let Ok(request) = HandshakeRequest::parse(payload) else { return true };
    let is_port = request.value.session_type().is_some_and(|it| it.value.session_type == "Port");
    !is_port && !request.value.actions.iter().any(|action| action.action_type == "KMSEncryption")
}
