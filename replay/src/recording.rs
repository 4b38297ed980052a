//! Recordings of a terminal that other programs made.
//!
//! [`read`] is the one way in. It holds one line or frame at a time, hands out output, input and sizes in the recording's
//! order, and says what is damaged or missing instead of failing. Offsets of damage are those of the (decompressed) file.
//!
//! | format | module | one record is |
//! |---|---|---|
//! | asciicast 2 and 3 | [`asciicast`] | a line `[seconds, code, data]`, seconds since the start (2) or since the line before (3) |
//! | typescript of `script`, with timing | [`typescript`] | a line of the timing file: a pause and how many bytes follow |
//! | ttyrec | [`ttyrec`] | a header of 12 bytes and output |

mod asciicast;
mod timing;
mod ttyrec;
mod typescript;

use std::io;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use warden_session::kind::{self, HEAD_LIMIT, RecordingFormat};
use warden_session::timeline;

use crate::input::Input;

pub(crate) use timing::beside;

/// One thing that a recording holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recorded<'a> {
    /// Time since the recording began; never less than that of the one before.
    pub(crate) elapsed: SignedDuration,
    /// The same as a point in time, if the recording says when it began.
    pub(crate) at: Option<Timestamp>,
    /// As in [`timeline::Event::offset`]: of the output stream, for input of the input stream, for deviations of the file.
    pub(crate) offset: Range<u64>,
    /// What it is.
    pub(crate) what: What<'a>,
}

/// What a [`Recorded`] is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What<'a> {
    /// Output, input, a size, a deviation.
    Timeline(timeline::What<'a>),
    /// Somebody marked this place.
    Marker(&'a str),
    /// The recorded command ended with this code.
    Exit(i64),
}

/// Where what is recorded goes. An error ends the reading and is handed on.
pub(crate) type Sink<'a> = dyn FnMut(&Recorded<'_>) -> io::Result<()> + 'a;

/// Reads a recording from its beginning; memory is bounded.
///
/// # Errors
/// What the file system or the sink says, and that the input is no recording.
pub(crate) fn read(input: &Input, sink: &mut Sink<'_>) -> io::Result<()> {
    let mut reader = Reader::new(input)?;
    let mut tape = Tape { clock: Clock::default(), sink, outcome: Ok(()), length: 0 };
    let deviation = input.bytes(&mut |bytes| {
        reader.feed(bytes, &mut tape);
        tape.length += bytes.len() as u64;
        tape.outcome.is_ok()
    })?;
    reader.finish(&mut tape);
    if let Some(deviation) = deviation {
        tape.damage(tape.length, deviation);
    }
    tape.outcome
}

/// The push machine of one format.
enum Reader {
    Asciicast(asciicast::AsciicastReader),
    Ttyrec(ttyrec::TtyrecReader),
    Typescript(Box<typescript::TypescriptReader>),
}

impl Reader {
    fn new(input: &Input) -> io::Result<Self> {
        let (head, ended) = input.head(HEAD_LIMIT)?;
        if let Some(timing) = input.timing() {
            return Ok(Self::Typescript(Box::new(typescript::TypescriptReader::new(&timing)?)));
        }
        match kind::recording_format(&head, ended) {
            Some(RecordingFormat::Asciicast) => Ok(Self::Asciicast(asciicast::AsciicastReader::default())),
            Some(RecordingFormat::Ttyrec) => Ok(Self::Ttyrec(ttyrec::TtyrecReader::default())),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: not a recording; a typescript needs its timing file (--timing)", input.path),
            )),
        }
    }

    fn feed(&mut self, bytes: &[u8], tape: &mut Tape<'_, '_>) {
        match self {
            Self::Asciicast(reader) => reader.feed(bytes, tape),
            Self::Ttyrec(reader) => reader.feed(bytes, tape),
            Self::Typescript(reader) => reader.feed(bytes, tape),
        }
    }

    fn finish(self, tape: &mut Tape<'_, '_>) {
        match self {
            Self::Asciicast(reader) => reader.finish(tape),
            Self::Ttyrec(reader) => reader.finish(tape),
            Self::Typescript(reader) => reader.finish(tape),
        }
    }
}

/// Where a recording has got to.
#[derive(Debug, Default)]
struct Clock {
    start: Option<Timestamp>,
    elapsed: SignedDuration,
    shown: u64,
    typed: u64,
}

/// Hands out what the readers find, with its time and place.
struct Tape<'t, 's> {
    clock: Clock,
    sink: &'t mut Sink<'s>,
    outcome: io::Result<()>,
    /// Bytes of the file before those being fed.
    length: u64,
}

impl Tape<'_, '_> {
    /// The recording began then.
    fn start(&mut self, at: Option<Timestamp>) {
        self.clock.start = at.or(self.clock.start);
    }

    /// It is this long since the recording began. A time before one that has passed is taken for that one.
    fn wind_to(&mut self, elapsed: SignedDuration) {
        self.clock.elapsed = self.clock.elapsed.max(elapsed);
    }

    /// A pause, in seconds.
    fn pause(&mut self, seconds: f64) {
        let pause = SignedDuration::try_from_secs_f64(seconds).unwrap_or_default();
        self.wind_to(self.clock.elapsed.saturating_add(pause));
    }

    fn output(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let from = self.clock.shown;
            self.clock.shown += bytes.len() as u64;
            self.tell(from..self.clock.shown, What::Timeline(timeline::What::Output(bytes)));
        }
    }

    fn input(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let from = self.clock.typed;
            self.clock.typed += bytes.len() as u64;
            self.tell(from..self.clock.typed, What::Timeline(timeline::What::Input(bytes)));
        }
    }

    fn resize(&mut self, cols: u16, rows: u16) {
        if cols > 0 && rows > 0 {
            self.here(What::Timeline(timeline::What::Resize { cols, rows }));
        }
    }

    fn here(&mut self, what: What<'_>) {
        self.tell(self.clock.shown..self.clock.shown, what);
    }

    fn damage(&mut self, offset: u64, deviation: timeline::Deviation) {
        self.tell(offset..offset, What::Timeline(timeline::What::Deviation(deviation)));
    }

    fn tell(&mut self, offset: Range<u64>, what: What<'_>) {
        let Clock { start, elapsed, .. } = self.clock;
        let at = start.and_then(|start| start.checked_add(elapsed).ok());
        if self.outcome.is_ok() {
            self.outcome = (self.sink)(&Recorded { elapsed, at, offset, what });
        }
    }
}
