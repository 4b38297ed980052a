use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, PoisonError, RwLockWriteGuard};

use jiff::Timestamp;
use warden_session::screen::{self, LineEnd, NoteKind, Screen};

use super::marks::Unechoed;
use super::stage::{COLS, ROWS};
use super::{Hidden, IDLE, Index, Mark, MarkKind, Moment, MomentKind, PAUSE, Progress, Shared, Spool, search};

/// Output between two keyframes, at least: a screen is never further away than this.
pub(crate) const KEYFRAME_BYTES: u64 = 256 * 1024;
/// Cells of all keyframes; when there are more, every other keyframe goes, and the next ones come half as often.
const MAX_KEYFRAME_CELLS: usize = 2 << 20;
/// Output and moments that are handed on at once.
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_MOMENTS: usize = 1024;
/// Output between two looks at the rows of a full-screen program.
const LOOK_BYTES: u64 = 2 * 1024;
/// Lines of full-screen programs that are remembered, so that a row that stays is kept once.
const MAX_RECENT: usize = 1024;

/// Something that happened, on its way into the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    /// Time of the record.
    pub(crate) at: Timestamp,
    /// `CreatedDate`: milliseconds since 1970.
    pub(crate) created: Option<u64>,
    /// Place in the input.
    pub(crate) offset: u64,
    /// Number of the WebSocket message.
    pub(crate) n: u64,
    /// What happened.
    pub(crate) act: Act<'a>,
}

/// What a [`Step`] is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act<'a> {
    /// The terminal shows this.
    Output(&'a [u8]),
    /// The client sent this.
    Input(&'a [u8]),
    /// The window's size.
    Resize { rows: u16, cols: u16 },
    /// Something to mark.
    Mark(MarkKind, &'a str),
}

/// Where something ended that is to be marked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spot {
    /// Behind this byte of the input.
    Offset(u64),
    /// At this time.
    Time(Timestamp),
}

/// Takes steps and makes the index of them.
#[derive(Debug)]
pub(crate) struct Builder {
    shared: Shared,
    screen: Screen,
    moments: Vec<Moment>,
    marks: Vec<Mark>,
    hidden: Vec<Hidden>,
    output: Vec<u8>,
    lines: Vec<u8>,
    keyframes: Vec<(usize, Arc<Screen>)>,
    /// What has been handed on.
    moments_before: usize,
    last: Option<Moment>,
    numbers: HashMap<&'static str, u64>,
    unechoed: Unechoed,
    keyframe_bytes: u64,
    keyframe_at: u64,
    looked_at: u64,
    recent: VecDeque<String>,
}

impl Builder {
    /// A builder for an empty index that gets a keyframe every so many bytes of output.
    ///
    /// # Errors
    /// When no temporary file can be made.
    pub(crate) fn new(shared: &Shared, keyframe_bytes: u64) -> io::Result<Self> {
        let (output, lines) = (Spool::new()?, Spool::new()?);
        {
            let mut index = shared.write().unwrap_or_else(PoisonError::into_inner);
            (index.output, index.lines, index.progress) = (output, lines, Progress::Reading(0));
        }
        Ok(Self {
            shared: shared.clone(),
            screen: Screen::new(ROWS, COLS),
            moments: Vec::new(),
            marks: Vec::new(),
            hidden: Vec::new(),
            output: Vec::new(),
            lines: Vec::new(),
            keyframes: Vec::new(),
            moments_before: 0,
            last: None,
            numbers: HashMap::new(),
            unechoed: Unechoed::default(),
            keyframe_bytes,
            keyframe_at: 0,
            looked_at: 0,
            recent: VecDeque::new(),
        })
    }

    /// Takes the next step.
    ///
    /// # Errors
    /// What the file system says of the spools.
    pub(crate) fn step(&mut self, step: &Step<'_>) -> io::Result<()> {
        let (what, len) = match step.act {
            Act::Output(bytes) => (MomentKind::Output, bytes.len()),
            Act::Input(bytes) => (MomentKind::Input, bytes.len()),
            Act::Resize { rows, cols } => (MomentKind::Resize(rows, cols), 0),
            Act::Mark(..) => (MomentKind::Other, 0),
        };
        self.push_moment(step, what, len);
        match step.act {
            Act::Output(bytes) => self.show(step, bytes),
            Act::Input(bytes) => {
                let length = self.unechoed.input(bytes);
                self.note_unechoed(length, step.offset);
            }
            Act::Resize { rows, cols } => self.resize(rows, cols),
            Act::Mark(kind, text) => self.mark(kind, text.to_owned()),
        }
        if self.output.len() >= BATCH_BYTES || self.moments.len() >= BATCH_MOMENTS {
            self.hand_on()?;
        }
        Ok(())
    }

    /// Tells how far the reading is, in thousandths.
    pub(crate) fn progress(&self, thousandths: u16) {
        self.index().progress = Progress::Reading(thousandths);
    }

    /// Marks what ends at this byte of the input, which has been read: where its last character is shown, before the line
    /// end, with which the answer may come. What is not in the output is marked by its time.
    pub(crate) fn mark_at(&mut self, place: Spot, kind: MarkKind, number: u64, text: String) -> io::Result<()> {
        self.hand_on()?;
        let mut index = self.index();
        let pos = match place {
            Spot::Offset(end) => index.at_offset(index.last_character(end)?),
            Spot::Time(at) => index.at_time(at.as_microsecond()),
        };
        index.insert(Mark { pos, kind, number, text });
        Ok(())
    }

    /// Names the session, unless it has a name.
    pub(crate) fn name(&self, id: Option<String>) {
        let mut index = self.index();
        index.session = index.session.take().or(id);
    }

    /// The next number of a kind of marks.
    pub(crate) fn number(&mut self, kind: &'static str) -> u64 {
        let number = self.numbers.entry(kind).or_default();
        *number += 1;
        *number
    }

    /// The record ends.
    ///
    /// # Errors
    /// What the file system says of the spools.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let mut lines = std::mem::take(&mut self.lines);
        self.screen.clone().finish(&mut |event| keep_line(&mut lines, event));
        self.lines = lines;
        self.hand_on()?;
        self.index().progress = Progress::Done;
        Ok(())
    }

    fn index(&self) -> RwLockWriteGuard<'_, Index> {
        self.shared.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn pos(&self) -> usize {
        self.moments_before + self.moments.len()
    }

    fn push_moment(&mut self, step: &Step<'_>, what: MomentKind, len: usize) {
        let last = self.last;
        let at = last.map_or(i64::MIN, |last| last.at).max(step.at.as_microsecond());
        let wait = last.map_or(0, |last| at.saturating_sub(last.at));
        let moment = Moment {
            at,
            active: last.map_or(0, |last| last.active + wait.min(IDLE)),
            created: step.created.and_then(|created| i64::try_from(created).ok()),
            offset: step.offset,
            n: step.n,
            spool: self.screen.offset(),
            len: u32::try_from(len).unwrap_or(u32::MAX),
            what,
        };
        if wait > PAUSE {
            self.mark(MarkKind::Pause, format!("nothing for {}", super::marks::duration(wait)));
        }
        self.moments.push(moment);
        self.last = Some(moment);
    }

    fn mark(&mut self, kind: MarkKind, text: String) {
        let (pos, number) = (self.pos(), self.number(kind.as_str()));
        self.marks.push(Mark { pos, kind, number, text });
    }

    fn resize(&mut self, rows: u16, cols: u16) {
        let lines = &mut self.lines;
        self.screen.resize(rows, cols, &mut |event| keep_line(lines, event));
        self.mark(MarkKind::Resize, format!("{cols} x {rows}"));
    }

    fn show(&mut self, step: &Step<'_>, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
        let (pos, spool, offset) = (self.pos(), self.screen.offset(), step.offset);
        let length = self.unechoed.output(bytes);
        self.note_unechoed(length, offset);
        let (lines, hidden) = (&mut self.lines, &mut self.hidden);
        self.screen.feed(bytes, &mut |event| {
            if let screen::Event::Note(note) = &event
                && !is_keystroke(note)
            {
                let offset = offset + note.offset.start.saturating_sub(spool);
                hidden.push(Hidden { pos, offset, word: note.kind.as_str(), text: note.text.clone() });
            }
            keep_line(lines, event);
        });
        if self.screen.is_alternate() && self.screen.offset() - self.looked_at >= LOOK_BYTES {
            self.look();
        }
        if self.screen.offset() - self.keyframe_at >= self.keyframe_bytes {
            self.keyframe_at = self.screen.offset();
            self.keyframes.push((pos, Arc::new(self.screen.clone())));
        }
    }

    fn note_unechoed(&mut self, length: Option<u64>, offset: u64) {
        if let Some(length) = length {
            let (pos, text) = (self.pos(), format!("{length} bytes typed without echo"));
            self.hidden.push(Hidden { pos, offset, word: "input", text });
        }
    }

    /// Keeps the rows that a full-screen program shows and that have not been seen lately.
    fn look(&mut self) {
        self.looked_at = self.screen.offset();
        for (row, text) in self.screen.text().into_iter().enumerate() {
            if text.trim().is_empty() || self.recent.contains(&text) {
                continue;
            }
            let begun = self.screen.row_begun(u16::try_from(row).unwrap_or(0)).unwrap_or(self.looked_at);
            search::encode(&mut self.lines, &(begun..self.looked_at), false, &text);
            self.recent.push_back(text);
            if self.recent.len() > MAX_RECENT {
                self.recent.pop_front();
            }
        }
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let (output, lines) = (std::mem::take(&mut self.output), std::mem::take(&mut self.lines));
        self.moments_before += self.moments.len();
        let (moments, marks) = (std::mem::take(&mut self.moments), std::mem::take(&mut self.marks));
        let (mut hidden, mut keyframes) = (std::mem::take(&mut self.hidden), std::mem::take(&mut self.keyframes));
        let mut index = self.index();
        index.output.write(&output)?;
        index.lines.write(&lines)?;
        index.moments.extend(moments);
        for mark in marks {
            index.insert(mark);
        }
        hidden.truncate(super::marks::MAX_HIDDEN.saturating_sub(index.hidden.len()));
        index.hidden.append(&mut hidden);
        index.keyframes.append(&mut keyframes);
        let thinned = index.thin();
        drop(index);
        self.keyframe_bytes <<= u32::from(thinned);
        Ok(())
    }
}

/// Keeps what search is to find: lines that left the screen, and text that was taken away before they did.
fn keep_line(out: &mut Vec<u8>, event: screen::Event) {
    match event {
        screen::Event::Line(line) if line.text.trim().is_empty() => {}
        screen::Event::Line(line) => {
            let shown = line.shown.start..line.shown.end + u64::from(line.end == LineEnd::Last);
            search::encode(out, &shown, false, line.text.trim_end());
        }
        screen::Event::Note(note) => {
            if matches!(note.kind, NoteKind::Erased | NoteKind::Overwritten | NoteKind::Title) {
                for text in note.text.lines().filter(|text| !text.trim().is_empty() && !is_keystroke(&note)) {
                    search::encode(out, &note.offset, true, text.trim());
                }
            }
        }
    }
}

/// Whether a note is of one character that was taken back, as line editing does all the time.
fn is_keystroke(note: &screen::Note) -> bool {
    let taken_back = matches!(note.kind, NoteKind::Erased | NoteKind::Overwritten);
    taken_back && note.text.trim().chars().nth(1).is_none()
}

impl Index {
    fn insert(&mut self, mark: Mark) {
        if self.marks.len() < super::marks::MAX_MARKS {
            let at = self.marks.partition_point(|known| known.pos <= mark.pos);
            self.marks.insert(at, mark);
        }
    }

    /// Drops every other keyframe if they take too much; whether they did.
    fn thin(&mut self) -> bool {
        let cells = |(_, screen): &(usize, Arc<Screen>)| {
            let (rows, cols) = screen.size();
            usize::from(rows) * usize::from(cols)
        };
        let is_too_much = self.keyframes.iter().map(cells).sum::<usize>() > MAX_KEYFRAME_CELLS;
        if is_too_much {
            let mut at = 0_usize;
            self.keyframes.retain(|_| {
                at += 1;
                at % 2 == 1
            });
        }
        is_too_much
    }
}
