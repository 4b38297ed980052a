//! What is known of each log stream while events of several arrive.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use super::message::{Message, Origin};
use super::upload::Upload;
use crate::join;
use crate::session::{Platform, Session};
use crate::timeline::{Deviation, Event, What};
use crate::transcript::{self, windows};

/// Most log streams that are kept apart at a time; beyond it the one that was silent longest is taken as ended.
pub const STREAMS_LIMIT: usize = 64;

/// Longest line that is joined from the pieces in which it was sent.
pub const LINE_LIMIT: usize = 512 * 1024;

/// Log events of one stream that are remembered to drop their duplicates.
pub const DUPLICATES_LIMIT: usize = 1024;

/// Lengths at which agents cut a line: `MessageLengthThresholdInBytes`, now and before 2025.
pub(super) const CUT_LENGTHS: [usize; 2] = [33_000, 200_000];

/// One log event, as it arrived.
pub(super) struct Arrival<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) at: Option<Timestamp>,
    pub(super) text: &'a [u8],
    /// The text parsed, if it is a message of the agent.
    pub(super) message: Option<Message<'a>>,
    pub(super) offset: Range<u64>,
}

/// All log streams of an input.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Streams {
    all: Vec<Stream>,
    /// Counts events; the number of its last one tells how long a stream was silent.
    clock: u64,
    voice: Voice,
}

/// Hands out events and names the session whenever it changes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Voice {
    /// Key of the stream whose identity was told last, unless it has learned something since.
    told: Option<String>,
}

/// One log stream.
#[derive(Debug, Serialize, Deserialize)]
struct Stream {
    key: String,
    last: u64,
    session: Session,
    conflict: bool,
    /// Fingerprints of the latest events.
    #[serde(serialize_with = "latest")]
    seen: VecDeque<u64>,
    upload: Option<Upload>,
    /// A line of which the next event may hold the rest.
    line: Option<Pending>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    text: String,
    offset: Range<u64>,
    at: Option<Timestamp>,
}

impl Streams {
    /// Takes a log event of the stream that `origin` names.
    pub(super) fn take(&mut self, origin: &Origin, arrival: &Arrival<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        let id = arrival.message.as_ref().and_then(|message| message.session_id.as_deref());
        let name = origin.stream.as_deref().or(id).unwrap_or_default();
        let key = format!("{}\n{name}", origin.group.as_deref().unwrap_or_default());
        self.clock += 1;
        let clock = self.clock;
        let Self { all, voice, .. } = self;
        let known = all.iter().position(|stream| stream.key == key);
        let index = known.unwrap_or_else(|| {
            if all.len() >= STREAMS_LIMIT {
                let silent = all.iter().enumerate().min_by_key(|(_, stream)| stream.last).map_or(0, |(index, _)| index);
                all.swap_remove(silent).finish(voice, sink);
            }
            all.push(Stream::new(key, origin.session()));
            all.len() - 1
        });
        if let Some(stream) = all.get_mut(index) {
            stream.last = clock;
            stream.take(arrival, voice, sink);
        }
    }

    pub(super) fn hold_whole_upload(&self) -> bool {
        self.all.iter().any(|stream| stream.upload.as_ref().is_some_and(Upload::is_complete))
    }

    pub(super) fn finish(self, sink: &mut dyn FnMut(Event<'_>)) {
        let Self { all, mut voice, .. } = self;
        for stream in all {
            stream.finish(&mut voice, sink);
        }
    }
}

impl Stream {
    fn new(key: String, session: Session) -> Self {
        Self { key, last: 0, session, conflict: false, seen: VecDeque::new(), upload: None, line: None }
    }

    fn take(&mut self, arrival: &Arrival<'_>, voice: &mut Voice, sink: &mut dyn FnMut(Event<'_>)) {
        if self.is_duplicate(arrival) {
            return;
        }
        if let Some(message) = &arrival.message {
            self.message(message, arrival, voice, sink);
        } else if transcript::begins(arrival.text) || self.upload.is_some() || self.session.id.is_some() {
            self.text(arrival, voice, sink);
        } else {
            let what = What::Deviation(Deviation::Undecodable);
            sink(Event { offset: arrival.offset.clone(), at: None, what });
        }
    }

    fn message(
        &mut self,
        message: &Message<'_>,
        arrival: &Arrival<'_>,
        voice: &mut Voice,
        sink: &mut dyn FnMut(Event<'_>),
    ) {
        let at = message.at().or(arrival.at);
        let mut named = message.session();
        let windows = |line: &str| windows::is_prompt(line) || line.ends_with("PowerShell transcript start");
        if self.session.platform != Platform::Windows && message.lines().any(windows) {
            named.platform = Platform::Windows;
        }
        self.learn(&named, &arrival.offset, voice, sink);
        self.introduce(&arrival.offset, at, voice, sink);
        let mut lines = message.lines().peekable();
        let first = lines.next();
        let alone = lines.peek().is_none();
        if let Some(line) = first {
            self.first_line(line, alone, at, &arrival.offset, voice, sink);
        }
        for line in lines {
            self.say(&arrival.offset, at, What::Line(line), voice, sink);
        }
    }

    /// The first line of a message may go on with a cut one, and, if it is its only line, be cut itself.
    fn first_line(
        &mut self,
        line: &str,
        alone: bool,
        at: Option<Timestamp>,
        offset: &Range<u64>,
        voice: &mut Voice,
        sink: &mut dyn FnMut(Event<'_>),
    ) {
        let cut = alone && CUT_LENGTHS.contains(&line.len());
        if self.line.as_ref().is_some_and(|pending| pending.text.len() + line.len() > LINE_LIMIT) {
            self.flush_line(voice, sink);
            self.say(offset, at, What::Deviation(Deviation::LimitReached("line")), voice, sink);
        }
        if let Some(pending) = &mut self.line {
            pending.text.push_str(line);
            pending.offset.end = pending.offset.end.max(offset.end);
        } else if cut {
            self.line = Some(Pending { text: line.to_owned(), offset: offset.clone(), at });
        } else {
            self.say(offset, at, What::Line(line), voice, sink);
        }
        if !cut {
            self.flush_line(voice, sink);
        }
    }

    fn flush_line(&mut self, voice: &mut Voice, sink: &mut dyn FnMut(Event<'_>)) {
        if let Some(Pending { text, offset, at }) = self.line.take() {
            self.say(&offset, at, What::Line(&text), voice, sink);
        }
    }

    /// Text of a transcript: the start of one, or more of the one that is being read.
    fn text(&mut self, arrival: &Arrival<'_>, voice: &mut Voice, sink: &mut dyn FnMut(Event<'_>)) {
        self.flush_line(voice, sink);
        let begins = transcript::begins(arrival.text);
        let over = self.upload.as_ref().is_some_and(|upload| begins && upload.is_complete());
        let old = if over { self.upload.take() } else { None };
        if let Some(old) = old {
            old.finish(&mut |event| self.uploaded(event, voice, sink));
            if self.key.ends_with('\n') {
                self.session = Session::default(); // No log stream is named: another session may follow.
                voice.told = None;
            }
        }
        let mut upload = self.upload.take().unwrap_or_default();
        upload.feed(arrival, &mut |event| self.uploaded(event, voice, sink));
        self.upload = Some(upload);
        if self.session != Session::default() {
            self.introduce(&arrival.offset, arrival.at, voice, sink);
        }
    }

    /// An event of an uploaded text, its offset being that of the log event.
    fn uploaded(&mut self, event: Event<'_>, voice: &mut Voice, sink: &mut dyn FnMut(Event<'_>)) {
        match event.what {
            What::Identity(named) => self.learn(&named, &event.offset, voice, sink),
            what => self.say(&event.offset, event.at, what, voice, sink),
        }
    }

    /// Adds what an event says of the session.
    fn learn(&mut self, named: &Session, offset: &Range<u64>, voice: &mut Voice, sink: &mut dyn FnMut(Event<'_>)) {
        let before = self.session.clone();
        let conflict = join::fill(&mut self.session, named);
        if self.session != before && voice.told.as_ref() == Some(&self.key) {
            voice.told = None;
        }
        if conflict && !std::mem::replace(&mut self.conflict, true) {
            self.say(offset, None, What::Deviation(Deviation::IdentityConflict), voice, sink);
        }
    }

    fn say(
        &self,
        offset: &Range<u64>,
        at: Option<Timestamp>,
        what: What<'_>,
        voice: &mut Voice,
        sink: &mut dyn FnMut(Event<'_>),
    ) {
        self.introduce(offset, at, voice, sink);
        sink(Event { offset: offset.clone(), at, what });
    }

    /// Names the session unless its name, as it is known now, was the last one told.
    fn introduce(
        &self,
        offset: &Range<u64>,
        at: Option<Timestamp>,
        voice: &mut Voice,
        sink: &mut dyn FnMut(Event<'_>),
    ) {
        if voice.told.as_ref() != Some(&self.key) {
            voice.told = Some(self.key.clone());
            let what = What::Identity(Box::new(self.session.clone()));
            sink(Event { offset: offset.clone(), at, what });
        }
    }

    /// Whether the event was there before: the same id, or the same text at the same time. The agent builds at most
    /// one message of the same lines a second; sending it again keeps its time.
    fn is_duplicate(&mut self, arrival: &Arrival<'_>) -> bool {
        let id = arrival.id.map(|id| fingerprint(&("id", id)));
        let timed = arrival.at.is_some() || arrival.message.as_ref().is_some_and(|message| message.at().is_some());
        let text = timed.then(|| fingerprint(&("text", arrival.at, arrival.text)));
        let mut known = false;
        for print in [id, text].into_iter().flatten() {
            if self.seen.contains(&print) {
                known = true;
            } else {
                self.seen.push_back(print);
            }
        }
        while self.seen.len() > DUPLICATES_LIMIT {
            self.seen.pop_front();
        }
        known
    }

    fn finish(mut self, voice: &mut Voice, sink: &mut dyn FnMut(Event<'_>)) {
        self.flush_line(voice, sink);
        if let Some(upload) = self.upload.take() {
            upload.finish(&mut |event| self.uploaded(event, voice, sink));
        }
    }
}

/// Fingerprints that are saved: an event that is sent again comes soon.
const SAVED_DUPLICATES: usize = 256;

fn latest<S: Serializer>(seen: &VecDeque<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(seen.iter().skip(seen.len().saturating_sub(SAVED_DUPLICATES)))
}

fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
