//! CloudWatch log streams of the agent.
//!
//! With streaming on, the agent sends a JSON message with cleaned lines every second; with streaming off, the text of
//! the finished transcript at the end of the session. Which of the two a log event holds is decided event by event.

mod message;
mod stream;
mod upload;

use std::ops::Range;

use crate::envelope;
use crate::json_split::{JsonSplit, List, Piece};
use crate::timeline::{Deviation, Event, Fidelity, What};
use message::{LogEvent, Message, Origin};
use stream::Arrival;

/// Longest message; CloudWatch Logs takes at most 1 MiB for one event.
pub const MESSAGE_LIMIT: usize = 2 * 1024 * 1024;

pub(crate) use stream::Streams;
pub use stream::{DUPLICATES_LIMIT, LINE_LIMIT, STREAMS_LIMIT};

/// Reads log events in any arrangement: the output of `aws logs get-log-events` and `filter-log-events`, JSON Lines of
/// log events (`message`, and if known `timestamp`, `logGroup` or `logGroupName`, `logStream` or `logStreamName`), the
/// agent's messages alone, Lambda subscription, Kinesis and Firehose envelopes.
///
/// Several sessions may be interleaved: whenever the session changes, a [`What::Identity`] with all that is known of
/// it comes before the next event. Streamed messages become [`What::Line`]s, one for each entry of `sessionData` (a
/// line that the agent had to cut is joined where its length proves the cut); uploaded text becomes [`What::Output`],
/// as exact as the transcript itself. Within a stream the order is that of arrival. An event that is there twice, by
/// its id or by time and text, comes out once.
///
/// Offsets are those of the log event's JSON record in the input (of the envelope, if it is wrapped in one), so the
/// range of an output is not as long as its bytes.
#[derive(Debug)]
pub struct LogStreamReader {
    split: JsonSplit,
    streams: Streams,
}

impl Default for LogStreamReader {
    fn default() -> Self {
        Self::new()
    }
}

impl LogStreamReader {
    /// A reader at the start of an input.
    pub fn new() -> Self {
        Self { split: JsonSplit::new(envelope::LOG_EVENTS), streams: Streams::default() }
    }

    /// That of streamed messages. An uploaded text, which comes out as [`What::Output`], is [`Fidelity::Exact`].
    #[allow(clippy::unused_self, reason = "all readers have it")]
    pub fn fidelity(&self) -> Fidelity {
        Fidelity::Cleaned
    }

    /// Reads the next bytes.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        let streams = &mut self.streams;
        self.split.feed(bytes, &mut |offset, piece| read(streams, &offset, &piece, sink));
    }

    /// A reader that goes on at this offset, between two records.
    pub(crate) fn resumed(at: u64, streams: Streams) -> Self {
        Self { split: JsonSplit::resumed(envelope::LOG_EVENTS, at), streams }
    }

    /// The offset, and what is known of the streams; `None` in the middle of a record.
    pub(crate) fn between_records(&self) -> Option<(u64, &Streams)> {
        self.split.between_records().map(|at| (at, &self.streams))
    }

    /// Whether a transcript was uploaded of which the last text is here.
    pub(crate) fn holds_whole_upload(&self) -> bool {
        self.streams.hold_whole_upload()
    }

    /// The input ends here: what the streams still hold comes out.
    pub fn finish(self, sink: &mut dyn FnMut(Event<'_>)) {
        let Self { split, mut streams } = self;
        split.finish(&mut |offset, piece| read(&mut streams, &offset, &piece, sink));
        streams.finish(sink);
    }
}

fn read(streams: &mut Streams, offset: &Range<u64>, piece: &Piece<'_>, sink: &mut dyn FnMut(Event<'_>)) {
    match piece {
        Piece::Record { bytes, .. } if envelope::is_wrapped(bytes) => {
            envelope::unwrap(bytes, envelope::LOG_EVENTS, &mut |wrapped| match wrapped {
                Ok(wrapped) => record(streams, wrapped.bytes, &Origin::of_head(wrapped.head), offset, sink),
                Err(deviation) => deviate(offset, deviation, sink),
            });
        }
        Piece::Record { bytes, head } => record(streams, bytes, &Origin::of_head(head), offset, sink),
        Piece::Oversized => deviate(offset, Deviation::LimitReached("record"), sink),
        Piece::Broken => deviate(offset, Deviation::Undecodable, sink),
        Piece::Cut => deviate(offset, Deviation::Truncated, sink),
    }
}

/// One log event, message or batch.
fn record(streams: &mut Streams, bytes: &[u8], outer: &Origin, offset: &Range<u64>, sink: &mut dyn FnMut(Event<'_>)) {
    let Ok(event) = serde_json::from_slice::<LogEvent<'_>>(bytes) else {
        return deviate(offset, Deviation::Undecodable, sink);
    };
    let origin = event.origin(outer);
    if event.log_events.is_some() {
        return batch(streams, bytes, &origin, offset, sink);
    }
    single(streams, bytes, &event, &origin, offset, sink);
}

/// One log event or message.
fn single(
    streams: &mut Streams,
    bytes: &[u8],
    event: &LogEvent<'_>,
    origin: &Origin,
    offset: &Range<u64>,
    sink: &mut dyn FnMut(Event<'_>),
) {
    let text = match &event.message {
        Some(message) => message.as_bytes(),
        None if event.is_message() => bytes,
        None => return deviate(offset, Deviation::Undecodable, sink),
    };
    if text.starts_with(envelope::CONTROL.as_bytes()) {
        return;
    }
    if text.len() > MESSAGE_LIMIT {
        return deviate(offset, Deviation::LimitReached("message"), sink);
    }
    let message = if text.trim_ascii_start().starts_with(b"{") { Message::parse(text) } else { None };
    let arrival = Arrival { id: event.id(), at: event.timestamp, text, message, offset: offset.clone() };
    streams.take(origin, &arrival, sink);
}

/// A batch whose events come before the name of their log stream.
fn batch(streams: &mut Streams, bytes: &[u8], origin: &Origin, offset: &Range<u64>, sink: &mut dyn FnMut(Event<'_>)) {
    const EVENTS: &[List] = &[List { key: "logEvents", needs: "" }];
    let mut events = |_: Range<u64>, piece: Piece<'_>| {
        let Piece::Record { bytes, .. } = piece else { return deviate(offset, Deviation::Undecodable, sink) };
        match serde_json::from_slice::<LogEvent<'_>>(bytes) {
            Ok(event) => single(streams, bytes, &event, &event.origin(origin), offset, sink),
            Err(_) => deviate(offset, Deviation::Undecodable, sink),
        }
    };
    let mut split = JsonSplit::new(EVENTS);
    split.feed(bytes, &mut events);
    split.finish(&mut events);
}

fn deviate(offset: &Range<u64>, deviation: Deviation, sink: &mut dyn FnMut(Event<'_>)) {
    sink(Event { offset: offset.clone(), at: None, what: What::Deviation(deviation) });
}
