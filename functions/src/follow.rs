//! A log stream that comes in batches: what the ledger keeps of it, and how the next batch is read. No I/O.
//!
//! Batches come at least once, late, twice and sometimes in the wrong order. Each event is known by its time and text, so what was
//! read is passed over. Events that are older than what was read show that the reading went past them: the stream is read again
//! from its start, which changes nothing that was found before, for findings keep their ids. A silence may be a delivery that
//! never came: what lies in it is asked for.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use warden_rules::detect::Counts;
use warden_session::{Kind, Reader};

use crate::source::{LogBatch, LogEvent};

/// A silence longer than this may be a delivery that was skipped: CloudWatch Logs skips them for up to ten minutes when the function
/// cannot be invoked. The agent of a busy session sends something every second.
pub const SILENCE: SignedDuration = SignedDuration::from_secs(60);

/// Events of one stream that are remembered. What is repeated later than that is taken for late, and changes nothing.
pub const REMEMBERED_LIMIT: usize = 256;

/// How often a stream is read again from its start because events came late. Beyond it they are read in the order in which they
/// come, so that nobody can make us read on and on by sending events with old times.
pub const AGAIN_LIMIT: u32 = 8;

/// Where the reading of a stream stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Following {
    /// Milliseconds since 1970 of the latest event that was read.
    pub last: Option<i64>,
    /// The latest events, by time and text.
    seen: VecDeque<String>,
    /// The saved [`Reader`], as text.
    reader: String,
    /// The saved [`Counts`].
    counts: String,
    /// How often it was read again.
    pub again: u32,
    /// Commands that came out so far.
    pub commands: u64,
    /// Findings so far, whatever their level.
    pub findings: u64,
    /// Bytes of messages so far.
    pub bytes: u64,
    /// Whether something is missing.
    pub incomplete: bool,
    /// Whether a gap could not be read when it was met: the stream is read again as soon as it can be.
    #[serde(default)]
    pub hole: bool,
    /// Hash of the sessions whose claims are noted.
    pub claimed: String,
    /// Whether the session is over and what was held came out.
    pub finished: bool,
}

/// How a batch is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Everything in it was read before.
    Nothing,
    /// These events go on where the reading stands.
    Next(Vec<LogEvent>),
    /// These events do, if nothing lies between.
    After(Gap, Vec<LogEvent>),
    /// Some events are older than what was read, or a gap could not be read before: the stream is to be read from its start up to these.
    Again(Gap, Vec<LogEvent>),
}

/// A part of a stream, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// From then on; `None` = from the stream's start.
    pub from: Option<i64>,
    /// Before then.
    pub until: i64,
}

impl Following {
    /// What the ledger keeps; `None` for a text of another version, after which the stream is read as if it were new.
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// For the ledger.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// How a batch is read.
    pub fn plan(&self, batch: &LogBatch) -> Plan {
        let fresh: Vec<LogEvent> = batch.events.iter().filter(|event| !self.knows(event)).cloned().collect();
        let times = fresh.iter().filter_map(|event| event.at.map(Timestamp::as_millisecond));
        if self.hole && self.again < AGAIN_LIMIT {
            let last = times.max().max(self.last).unwrap_or_default();
            return Plan::Again(Gap { from: None, until: last.saturating_add(1) }, fresh);
        }
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else {
            return if fresh.is_empty() { Plan::Nothing } else { Plan::Next(fresh) };
        };
        match self.last {
            Some(known) if first < known && self.again < AGAIN_LIMIT => {
                Plan::Again(Gap { from: None, until: last.max(known).saturating_add(1) }, fresh)
            }
            Some(known) if first.saturating_sub(known) > millis(SILENCE) => {
                Plan::After(Gap { from: Some(known.saturating_add(1)), until: first }, fresh)
            }
            // A stream met for the first time may have begun before anybody listened.
            None if !fresh.first().is_some_and(|event| begins_transcript(&event.message)) => {
                Plan::After(Gap { from: None, until: first }, fresh)
            }
            _ => Plan::Next(fresh),
        }
    }

    /// The reader and the counts with which the reading goes on; new ones if these cannot be read.
    pub fn resume(&self) -> (Reader, Counts) {
        let reader = BASE64_STANDARD.decode(&self.reader).ok().and_then(|bytes| Reader::resume(&bytes).ok());
        match (reader, Counts::from_text(&self.counts)) {
            (Some(reader), Some(counts)) => (reader, counts),
            _ => (Reader::new(Kind::LogStream), Counts::default()),
        }
    }

    /// Notes where the reading stands now. Whether something had to be left out to keep the row small.
    pub fn save(&mut self, reader: &Reader, counts: &Counts) -> bool {
        self.counts = counts.to_text();
        let saved = reader.save();
        let whole = saved.as_ref().is_some_and(|saved| !saved.reduced);
        self.reader = saved.map(|saved| BASE64_STANDARD.encode(saved.bytes)).unwrap_or_default();
        !whole
    }

    /// Notes that an event was read.
    pub fn read(&mut self, event: &LogEvent) {
        self.last = self.last.max(event.at.map(Timestamp::as_millisecond));
        self.seen.push_back(print(event));
        while self.seen.len() > REMEMBERED_LIMIT {
            self.seen.pop_front();
        }
    }

    /// A reading that begins anew, for the same stream.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self { again: self.again.saturating_add(1), claimed: self.claimed.clone(), ..Self::default() }
    }

    /// The same reading, which goes on with events that are too old for it.
    #[must_use]
    pub fn out_of_order(&self) -> Self {
        Self { again: self.again.saturating_add(1), ..self.clone() }
    }

    /// The same reading, with a gap that is to be read later, or without one.
    #[must_use]
    pub fn with_hole(self, hole: bool) -> Self {
        Self { hole, ..self }
    }

    /// Whether an event was read before.
    pub fn knows(&self, event: &LogEvent) -> bool {
        let print = print(event);
        self.seen.iter().any(|seen| *seen == print)
    }
}

/// A log event as the [`Reader`] takes it: one line of JSON.
pub fn line(batch: &LogBatch, event: &LogEvent) -> String {
    let line = json!({
        "owner": batch.account,
        "logGroup": batch.log_group,
        "logStream": batch.log_stream,
        "timestamp": event.at.map(Timestamp::as_millisecond),
        "message": event.message,
    });
    format!("{line}\n")
}

fn print(event: &LogEvent) -> String {
    let at = event.at.map_or(0, Timestamp::as_millisecond);
    let digest = Sha256::new().chain_update(at.to_be_bytes()).chain_update(&event.message).finalize();
    BASE64_STANDARD.encode(digest.get(..9).unwrap_or_default())
}

fn begins_transcript(message: &str) -> bool {
    message.starts_with("Script started on ") || message.trim_start_matches('\u{feff}').starts_with("**********")
}

fn millis(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: i64, message: &str) -> LogEvent {
        LogEvent { id: String::new(), at: Timestamp::from_millisecond(at).ok(), message: message.to_owned() }
    }

    fn batch(events: &[LogEvent]) -> LogBatch {
        LogBatch { events: events.to_vec(), ..LogBatch::default() }
    }

    #[test]
    fn a_batch_is_read_by_what_was_read_before() {
        let (a, b, c) = (event(1_000, "a"), event(2_000, "b"), event(3_000, "c"));
        let late = event(200_000, "late");
        let script = event(1_000, "Script started on 2026-11-22");
        let mut read = Following::default();
        read.read(&a);
        read.read(&c);
        let mut tired = read.clone();
        tired.again = AGAIN_LIMIT;
        let start = Gap { from: None, until: 1_000 };
        let rows: &[(&str, &Following, &[&LogEvent], Plan)] = &[
            ("first", &Following::default(), &[&a, &b], Plan::After(start, vec![a.clone(), b.clone()])),
            ("first of an upload", &Following::default(), &[&script], Plan::Next(vec![script.clone()])),
            ("redelivered", &read, &[&a, &c], Plan::Nothing),
            ("empty", &read, &[], Plan::Nothing),
            ("overlapping", &read, &[&c, &event(3_000, "d")], Plan::Next(vec![event(3_000, "d")])),
            (
                "after a silence",
                &read,
                &[&late],
                Plan::After(Gap { from: Some(3_001), until: 200_000 }, vec![late.clone()]),
            ),
            ("late", &read, &[&b], Plan::Again(Gap { from: None, until: 3_001 }, vec![b.clone()])),
            ("late again and again", &tired, &[&b], Plan::Next(vec![b.clone()])),
        ];
        for (name, following, events, expected) in rows {
            let events: Vec<LogEvent> = events.iter().map(|event| (*event).clone()).collect();
            assert_eq!(following.plan(&batch(&events)), *expected, "{name}");
        }
    }

    #[test]
    fn what_the_ledger_keeps_is_read_again() {
        let mut following = Following::default();
        for at in 0..1_000 {
            following.read(&event(at, "x"));
        }
        let (reader, counts) = following.resume();
        assert!(!following.save(&reader, &counts));
        let text = following.to_text();
        assert!(text.len() < 8_000, "{}", text.len());
        assert_eq!(Following::from_text(&text), Some(following));
        assert_eq!(Following::from_text("{}"), None);
    }
}
