//! A transcript that was uploaded as the text of several log events.

use std::collections::VecDeque;
use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::stream::{Arrival, CUT_LENGTHS};
use crate::timeline::{Event, What};
use crate::transcript::TranscriptReader;

/// Most log events that may be waiting for their text to come out; beyond it their offsets are joined.
const WAITING_LIMIT: usize = 1024;

/// Reads the text and gives its events the offsets of the log events.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Upload {
    reader: TranscriptReader,
    waiting: Waiting,
    /// Whether the last text was cut in the middle of a line.
    cut: bool,
}

/// Log events whose text is in the reader.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Waiting {
    /// Length of all texts so far.
    length: u64,
    /// Where in the text each event starts, its offset in the input, its time.
    events: VecDeque<(u64, Range<u64>, Option<Timestamp>)>,
}

impl Default for Upload {
    fn default() -> Self {
        Self { reader: TranscriptReader::uploaded(), waiting: Waiting::default(), cut: true }
    }
}

impl Upload {
    /// Whether the text so far ends in a footer.
    pub(super) fn is_complete(&self) -> bool {
        self.reader.is_complete()
    }

    pub(super) fn feed(&mut self, arrival: &Arrival<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        // The agent takes the last line end off each text, unless the text is a piece of a line longer than its buffer.
        if !std::mem::replace(&mut self.cut, is_cut(arrival.text)) {
            self.waiting.length += 1;
            let waiting = &mut self.waiting;
            self.reader.feed(b"\n", &mut |event| waiting.place(event, sink));
        }
        self.waiting.push(arrival);
        let waiting = &mut self.waiting;
        self.reader.feed(arrival.text, &mut |event| waiting.place(event, sink));
    }

    pub(super) fn finish(self, sink: &mut dyn FnMut(Event<'_>)) {
        let mut waiting = self.waiting;
        self.reader.finish(&mut |event| waiting.place(event, sink));
    }
}

impl Waiting {
    fn push(&mut self, arrival: &Arrival<'_>) {
        let full = self.events.len() >= WAITING_LIMIT;
        match self.events.back_mut() {
            Some((_, offset, _)) if full => offset.end = arrival.offset.end,
            _ => self.events.push_back((self.length, arrival.offset.clone(), arrival.at)),
        }
        self.length += arrival.text.len() as u64;
    }

    /// Replaces the event's offset in the text by that of the log events that hold it.
    fn place(&mut self, event: Event<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        // Only the events of an identity reach back.
        while self.events.get(1).is_some_and(|(start, ..)| *start <= event.offset.start)
            && !matches!(event.what, What::Identity(_))
        {
            self.events.pop_front();
        }
        let Some((_, first, at)) = self.events.front() else { return };
        let inside = self.events.iter().take_while(|(start, ..)| *start < event.offset.end.max(event.offset.start + 1));
        let end = inside.last().map_or(first.end, |(_, last, _)| last.end);
        sink(Event { offset: first.start..end.max(first.end), at: *at, what: event.what });
    }
}

/// Whether the text is one piece of a line that has no end yet.
fn is_cut(text: &[u8]) -> bool {
    CUT_LENGTHS.contains(&text.len()) && memchr::memchr(b'\n', text).is_none()
}
