//! The last reading: everything in the order of time, secrets removed, for a form to write.

use std::borrow::Cow;
use std::io;

use jiff::Timestamp;
use warden_rules::finding::Finding;
use warden_session::Command;
use warden_session::timeline::What;

use super::clock::Clock;
use super::redact::{Cut, Cuts, Finder, Redactor};
use super::source::{Event, Happened, Source};
use super::survey::{Mark, Marked, Survey};

/// One thing, ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Told<'a> {
    /// Milliseconds since the session began. Never less than before.
    pub(crate) ms: u64,
    /// Time, if the record gives any.
    pub(crate) at: Option<Timestamp>,
    /// Its place in the record, see [`super::source::Event`].
    pub(crate) place: u64,
    /// What it is.
    pub(crate) what: Telling<'a>,
}

/// What is told.
#[derive(Clone, Debug)]
pub(crate) enum Telling<'a> {
    /// Output of the terminal.
    Output(&'a [u8]),
    /// Input that the terminal echoed.
    Input(&'a [u8]),
    /// Bytes of input that may not be shown.
    Typed(usize),
    /// A command, as it may be shown.
    Command(&'a Command),
    /// Something that was removed from the output.
    Redaction(&'a Cut),
    /// Any other mark.
    Mark(&'a Marked),
}

/// Where things are told. An error ends the reading and is handed on.
pub(crate) type Sink<'a> = dyn FnMut(&Told<'_>) -> io::Result<()> + 'a;

/// A session, ready to be told.
#[derive(Debug)]
pub(crate) struct Teller<'s> {
    /// The record.
    source: &'s Source,
    /// What is known of it.
    pub(crate) survey: &'s Survey,
    redactor: &'s Redactor,
    finder: Finder<'s>,
    /// What is removed from the output.
    pub(crate) cuts: Cuts,
    /// What is removed from the input.
    typed: Cuts,
}

impl<'s> Teller<'s> {
    /// Finds what has to be removed.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn new(source: &'s Source, survey: &'s Survey, redactor: &'s Redactor) -> io::Result<Self> {
        let finder = redactor.finder();
        let (cuts, typed) = if redactor.is_idle() { Default::default() } else { search(source, survey, &finder)? };
        Ok(Self { source, survey, redactor, finder, cuts, typed })
    }

    /// Output as the user's terminal got it: a command without a terminal ends its lines with LF alone, to which the user's
    /// own terminal added CR.
    pub(crate) fn on_screen<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let has_own = self.survey.session.plugin.as_deref() != Some("NonInteractiveCommands");
        if has_own || !bytes.contains(&b'\n') {
            return Cow::Borrowed(bytes);
        }
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        Cow::Owned(
            lines
                .flat_map(|line| match line.strip_suffix(b"\n") {
                    Some(line) => [line, b"\r\n"].concat(),
                    None => line.to_vec(),
                })
                .collect(),
        )
    }

    /// A text as it may be shown.
    pub(crate) fn text(&self, text: &str) -> String {
        self.finder.text(text).into_owned()
    }

    /// A finding as it may be shown; its secrets are masked already.
    pub(crate) fn finding(&self, finding: &Finding) -> Finding {
        let mut shown = finding.clone();
        shown.command = shown.command.map(|command| self.redactor.command(&self.finder, &command));
        shown.matched.iter_mut().for_each(|matched| {
            let value = self.text(&matched.value);
            // A span points into the text that is not shown.
            matched.span = matched.span.filter(|_| value == matched.value);
            matched.value = value;
        });
        shown.decoded.iter_mut().for_each(|line| *line = self.text(line));
        shown
    }

    /// Tells everything.
    ///
    /// # Errors
    /// What the file system or the sink says.
    pub(crate) fn tell(&self, sink: &mut Sink<'_>) -> io::Result<()> {
        let mut course = Course {
            teller: self,
            clock: self.survey.clock(),
            now: 0,
            typed: 0,
            marks: self.survey.marks.as_slice(),
            removed: self.cuts.all.as_slice(),
        };
        self.source.read(&mut |event| course.event(event, sink))?;
        course.until(u64::MAX, sink)
    }
}

/// Finds what has to be removed from output and input.
fn search(source: &Source, survey: &Survey, finder: &Finder<'_>) -> io::Result<(Cuts, Cuts)> {
    let mut search = finder.search(survey.size.map(|(cols, _)| cols));
    let (mut keys, mut typed) = (finder.search(None), 0);
    source.read(&mut |event| {
        match &event.what {
            Happened::Timeline(What::Output(bytes)) => search.feed(bytes, event.place),
            Happened::Timeline(What::Resize { cols, .. }) => search.resize(*cols),
            Happened::Timeline(What::Input(bytes)) => {
                keys.feed(&as_line(bytes), typed);
                typed += bytes.len() as u64;
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok((search.finish(), keys.finish()))
}

/// Keys as what they do to a line: Enter ends it, DEL goes back.
fn as_line(keys: &[u8]) -> Vec<u8> {
    let effect = |key: &u8| match key {
        b'\r' => b'\n',
        0x7f => 0x08,
        other => *other,
    };
    keys.iter().map(effect).collect()
}

/// How far the telling has come.
struct Course<'t, 's> {
    teller: &'t Teller<'s>,
    clock: Clock,
    now: u64,
    typed: u64,
    marks: &'t [Mark],
    removed: &'t [Cut],
}

impl Course<'_, '_> {
    fn event(&mut self, event: &Event<'_>, sink: &mut Sink<'_>) -> io::Result<()> {
        let Happened::Timeline(what) = &event.what else { return Ok(()) };
        match what {
            What::Output(_) | What::Line(_) | What::Input(_) if self.teller.survey.has_no_terminal() => {
                self.until(event.place, sink)
            }
            What::Output(bytes) => {
                self.until(event.place, sink)?;
                self.output(event, bytes, sink)
            }
            What::Line(text) => {
                self.until(event.place, sink)?;
                let line = format!("{}\r\n", self.teller.finder.text(text));
                self.told(event.at, event.place, Telling::Output(line.as_bytes()), sink)
            }
            What::Input(bytes) => self.input(event, bytes, sink),
            _ => Ok(()),
        }
    }

    /// Output, cut where a mark stands inside it.
    fn output(&mut self, event: &Event<'_>, bytes: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
        let shown = |bytes, place| self.teller.cuts.apply(bytes, place);
        let end = event.place + bytes.len() as u64;
        let inside = self.marks.first().map(|mark| mark.place).filter(|place| (event.place + 1..end).contains(place));
        let Some(place) = inside.and_then(|place| usize::try_from(place - event.place).ok()) else {
            let shown = shown(bytes, event.place);
            return self.told(event.at, event.place, Telling::Output(&shown), sink);
        };
        let (before, behind) = bytes.split_at_checked(place).unwrap_or((bytes, &[]));
        let shown = shown(before, event.place);
        self.told(event.at, event.place, Telling::Output(&shown), sink)?;
        let place = event.place + place as u64;
        self.until(place, sink)?;
        let rest = Event { at: event.at, place, what: Happened::Timeline(What::Output(behind)) };
        self.output(&rest, behind, sink)
    }

    /// Input without the parts that were not echoed.
    fn input(&mut self, event: &Event<'_>, bytes: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
        let from = self.typed;
        self.typed += bytes.len() as u64;
        if self.teller.redactor.is_asked() {
            return self.told(event.at, event.place, Telling::Typed(bytes.len()), sink);
        }
        let hidden = &self.teller.survey.hidden;
        let is_hidden = |at: u64| {
            let next = hidden.partition_point(|range| range.end <= at);
            hidden.get(next).is_some_and(|range| range.contains(&at))
        };
        let mut kept = Vec::with_capacity(bytes.len());
        for (at, byte) in (from..).zip(bytes).filter(|(at, _)| !is_hidden(*at)) {
            kept.extend_from_slice(&self.teller.typed.apply(std::slice::from_ref(byte), at));
        }
        if kept.is_empty() { Ok(()) } else { self.told(event.at, event.place, Telling::Input(&kept), sink) }
    }

    /// Tells the marks up to a place.
    fn until(&mut self, place: u64, sink: &mut Sink<'_>) -> io::Result<()> {
        while let Some((cut, rest)) = self.removed.split_first().filter(|(cut, _)| cut.place.start < place) {
            self.removed = rest;
            self.told(None, cut.place.start, Telling::Redaction(cut), sink)?;
        }
        while let Some((mark, rest)) = self.marks.split_first().filter(|(mark, _)| mark.place <= place) {
            self.marks = rest;
            match &mark.what {
                Marked::Command(command) => {
                    let shown = self.teller.redactor.command(&self.teller.finder, command);
                    self.told(mark.at, mark.place, Telling::Command(&shown), sink)?;
                }
                Marked::Note(text) => {
                    let shown = Marked::Note(self.teller.text(text));
                    self.told(mark.at, mark.place, Telling::Mark(&shown), sink)?;
                }
                other => self.told(mark.at, mark.place, Telling::Mark(other), sink)?,
            }
        }
        Ok(())
    }

    fn told(&mut self, at: Option<Timestamp>, place: u64, what: Telling<'_>, sink: &mut Sink<'_>) -> io::Result<()> {
        // What was read out of the output stands where it stands, however late it was understood.
        let derived = matches!(what, Telling::Command(_) | Telling::Redaction(_) | Telling::Mark(Marked::Finding(_)));
        let known = !derived && (at.is_some() || matches!(self.clock, Clock::MadeUp { .. }));
        self.now = if known { self.clock.ms(at, place).max(self.now) } else { self.now };
        let at = at.filter(|_| !self.teller.survey.ending.undated);
        sink(&Told { ms: self.now, at, place, what })
    }
}
