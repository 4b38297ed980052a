//! The first reading: what is known of a session as a whole, and what marks it.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use jiff::Timestamp;
use warden_protocol::channel::Report;
use warden_rules::RuleSet;
use warden_rules::detect::Detector;
use warden_rules::finding::{Finding, Source as FoundIn};
use warden_rules::mask::Masker;
use warden_session::command::Mark as CommandMark;
use warden_session::timeline::{Deviation, Direction, What};
use warden_session::{Command, Item, Session, screen};

use super::clock::Clock;
use super::hex;
use super::hidden::{Typed, Watch};
use super::redact::Redactor;
use super::source::{Ending, Event, Happened, Source};

/// Something that marks a place of a session.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    /// Time, if the record gives any.
    pub(crate) at: Option<Timestamp>,
    /// Its place: it comes before output that begins there.
    pub(crate) place: u64,
    /// What it is.
    pub(crate) what: Marked,
}

/// What a [`Mark`] is.
#[derive(Clone, Debug)]
pub(crate) enum Marked {
    /// A command that was run.
    Command(Box<Command>),
    /// A rule that matched it; secrets are masked.
    Finding(Box<Finding>),
    /// The window has another size from here on.
    Resize {
        /// Width.
        cols: u16,
        /// Height.
        rows: u16,
    },
    /// Messages are missing.
    Gap {
        /// Of which direction.
        direction: Direction,
        /// How many; 0 if it is not known.
        messages: u64,
    },
    /// Input that was not echoed.
    Hidden {
        /// How many bytes were typed.
        bytes: u64,
    },
    /// The session ended with this code.
    Exit(i64),
    /// What a reader of the evidence has to know.
    Note(String),
}

/// Marks that are kept; further ones are counted.
pub(crate) const MAX_MARKS: usize = 200_000;

/// What is known of a session as a whole.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Who and where.
    pub(crate) session: Session,
    /// The record.
    pub(crate) found_in: FoundIn,
    /// Hex SHA-256 of the file.
    pub(crate) sha256: String,
    /// Time of the first and last event, if the record gives times.
    pub(crate) times: Option<(Timestamp, Timestamp)>,
    /// Places of the first and behind the last output.
    pub(crate) places: Range<u64>,
    /// Bytes of output.
    pub(crate) output: u64,
    /// Columns and rows at the beginning; `None` if the record does not say.
    pub(crate) size: Option<(u16, u16)>,
    /// The size that the window seems to have had where the record does not say it: columns, if anything tells them, and rows.
    fitted: (Option<u16>, u16),
    /// What marks the session, in the order of places.
    pub(crate) marks: Vec<Mark>,
    /// Marks beyond [`MAX_MARKS`].
    pub(crate) unlisted: u64,
    /// Parts of the input that were not echoed, in order.
    pub(crate) hidden: Vec<Range<u64>>,
    /// What is missing or damaged.
    pub(crate) deviations: Vec<(u64, Deviation)>,
    /// What the capture amounts to.
    pub(crate) ending: Ending,
}

/// Deviations that are kept, the first of each sort.
const MAX_DEVIATIONS: usize = 32;

impl Survey {
    /// Reads the record. What has to be removed is learnt by the redactor.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn of(source: &Source, rules: &RuleSet, masker: &Masker, redactor: &mut Redactor) -> io::Result<Self> {
        let sha256 = hex(&source.input.sha256()?);
        let mut surveyor = Surveyor::new(source, sha256);
        let ending = source.read(&mut |event| {
            surveyor.event(event);
            Ok(())
        })?;
        let Surveyor { mut survey, typed, steps, .. } = surveyor.finish();
        survey.ending = Ending { chain: source.chain()?, ..ending };
        survey.session = survey.ending.identity().unwrap_or_default();
        // What a forwarded connection carries is neither shown nor typed.
        let (commands, typed) = if survey.has_no_terminal() {
            (Vec::new(), Vec::new())
        } else {
            (Items::new(source, rules, masker).read(source, &mut survey)?, typed)
        };
        hide(&mut survey, typed, &commands, redactor);
        for (command, findings) in commands {
            redactor.learn_command(&command);
            let place = if command.offset.is_empty() { steps.place(command.at) } else { command.offset.end };
            let at = command.at;
            survey.mark(Mark { at, place, what: Marked::Command(Box::new(command)) });
            for finding in findings {
                survey.mark(Mark { at, place, what: Marked::Finding(Box::new(finding)) });
            }
        }
        survey.marks.sort_by_key(|mark| mark.place);
        Ok(survey)
    }

    /// Columns and rows at the beginning: as the record says or as the output looks, else `cols` columns.
    pub(crate) fn window(&self, cols: u16) -> (u16, u16) {
        self.size.unwrap_or((self.fitted.0.unwrap_or(cols), self.fitted.1))
    }

    /// How times become milliseconds.
    pub(crate) fn clock(&self) -> Clock {
        Clock::of(self.times.map(|(first, _)| first), self.places.start, self.places.end)
    }

    /// Time of the first and last event, if it is known when they were.
    pub(crate) fn dates(&self) -> Option<(Timestamp, Timestamp)> {
        self.times.filter(|_| !self.ending.undated)
    }

    /// What the channel of a capture amounts to.
    pub(crate) fn report(&self) -> Option<&Report> {
        self.ending.capture.as_ref().map(|session| &session.report)
    }

    /// Milliseconds from the first to the last event.
    pub(crate) fn duration(&self) -> u64 {
        self.clock().ms(self.times.map(|(_, last)| last), self.places.end)
    }

    /// Whether the session forwarded connections, so that its bytes are no terminal's.
    pub(crate) fn has_no_terminal(&self) -> bool {
        self.session.plugin.as_deref() == Some("Port")
    }

    /// Whether something that should be there is not.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.deviations.iter().any(|(_, deviation)| deviation.is_incomplete())
            || self.ending.capture.as_ref().is_some_and(|session| session.is_incomplete())
    }

    fn mark(&mut self, mark: Mark) {
        if self.marks.len() < MAX_MARKS {
            self.marks.push(mark);
        } else {
            self.unlisted += 1;
        }
    }

    fn note(&mut self, place: u64, deviation: Deviation) {
        if self.deviations.len() < MAX_DEVIATIONS && !self.deviations.iter().any(|(_, known)| *known == deviation) {
            self.deviations.push((place, deviation));
        }
    }
}

/// Notes what each event says by itself.
struct Surveyor {
    survey: Survey,
    watch: Watch,
    typed: Vec<Typed>,
    steps: Steps,
    begun: bool,
    /// The beginning of the output, as long as the window's size is not known.
    head: Vec<u8>,
}

/// Output from whose look the size of an unknown window is inferred.
const FIT_BYTES: usize = 256 * 1024;

/// Typed lines that are kept until it is known which of them are secrets.
const MAX_TYPED: usize = 100_000;

/// Which place the output had reached when.
#[derive(Debug, Default)]
struct Steps(Vec<(Timestamp, u64)>);

impl Steps {
    /// Most steps that are kept, and their least distance.
    const MAX: usize = 1 << 20;
    const MS: i64 = 20;

    fn note(&mut self, at: Timestamp, place: u64) {
        let far = |last: &(Timestamp, u64)| at.as_millisecond() - last.0.as_millisecond() >= Self::MS;
        if self.0.len() < Self::MAX && self.0.last().is_none_or(far) {
            self.0.push((at, place));
        }
    }

    fn place(&self, at: Option<Timestamp>) -> u64 {
        let next = at.map_or(0, |at| self.0.partition_point(|(step, _)| *step <= at));
        next.checked_sub(1).and_then(|last| self.0.get(last)).map_or(0, |(_, place)| *place)
    }
}

impl Surveyor {
    fn new(source: &Source, sha256: String) -> Self {
        let survey = Survey {
            session: Session::default(),
            found_in: FoundIn::new(source.input.kind, &source.input.path),
            sha256,
            times: None,
            places: 0..0,
            output: 0,
            size: None,
            fitted: (None, 0),
            marks: Vec::new(),
            unlisted: 0,
            hidden: Vec::new(),
            deviations: Vec::new(),
            ending: Ending::default(),
        };
        let (watch, steps) = (Watch::default(), Steps::default());
        Self { survey, watch, typed: Vec::new(), steps, begun: false, head: Vec::new() }
    }

    fn event(&mut self, event: &Event<'_>) {
        let Self { survey, watch, typed, .. } = self;
        let mut keep = |line: Typed| {
            if typed.len() < MAX_TYPED || line.hidden {
                typed.push(line);
            }
        };
        if let Some(at) = event.at {
            self.steps.note(at, event.place);
            let (first, last) = survey.times.unwrap_or((at, at));
            survey.times = Some((first.min(at), last.max(at)));
        }
        let place = event.place;
        let what = match &event.what {
            Happened::Exit(code) => Marked::Exit(*code),
            Happened::Note(text) => Marked::Note(text.clone()),
            Happened::Timeline(What::Output(bytes)) => {
                watch.output(bytes, &mut keep);
                if survey.size.is_none() && self.head.len() < FIT_BYTES {
                    self.head.extend_from_slice(bytes);
                }
                return self.output(place, bytes.len());
            }
            Happened::Timeline(What::Line(text)) => return self.output(place, text.len() + 2),
            Happened::Timeline(What::Input(bytes)) => {
                return watch.input(bytes, place, event.at, &mut keep);
            }
            Happened::Timeline(What::Resize { cols, rows }) => {
                survey.size.get_or_insert((*cols, *rows));
                Marked::Resize { cols: *cols, rows: *rows }
            }
            Happened::Timeline(What::Gap { direction, messages }) => {
                Marked::Gap { direction: *direction, messages: *messages }
            }
            Happened::Timeline(What::Deviation(deviation)) => {
                survey.note(place, *deviation);
                Marked::Note(deviation.to_string())
            }
            Happened::Timeline(What::Identity(_) | What::Program(_)) => return,
        };
        survey.mark(Mark { at: event.at, place, what });
    }

    fn output(&mut self, place: u64, bytes: usize) {
        let survey = &mut self.survey;
        if !std::mem::replace(&mut self.begun, true) {
            survey.places.start = place;
        }
        survey.places.end = survey.places.end.max(place + bytes as u64);
        survey.output += bytes as u64;
    }

    fn finish(mut self) -> Self {
        let typed = &mut self.typed;
        std::mem::take(&mut self.watch).finish(&mut |line| typed.push(line));
        let (rows, cols) = screen::fit(&self.head);
        self.survey.fitted = (cols, rows);
        self
    }
}

/// Takes what was typed without an echo for secrets, but for commands that a shell read so.
fn hide(survey: &mut Survey, typed: Vec<Typed>, commands: &[(Command, Vec<Finding>)], redactor: &mut Redactor) {
    let commands = || commands.iter().map(|(command, _)| command);
    let unseen = commands().filter(|command| command.marks.contains(&CommandMark::NoEcho));
    let unseen: BTreeSet<&str> = unseen.map(|command| command.text.trim()).collect();
    let entered = commands().flat_map(|command| &command.hidden_input).filter_map(|hidden| hidden.at);
    let entered: BTreeSet<Timestamp> = entered.collect();
    for line in typed {
        let hidden = line.hidden || line.at.is_some_and(|at| entered.contains(&at));
        if hidden && !unseen.contains(line.text.trim()) {
            redactor.learn_hidden(&line.text);
            let bytes = line.input.end - line.input.start;
            survey.hidden.push(line.input);
            survey.mark(Mark { at: line.at, place: line.output, what: Marked::Hidden { bytes } });
        }
    }
    survey.hidden.sort_by_key(|range| range.start);
}

/// Reads commands, and what the rules make of them.
struct Items<'a> {
    detector: Detector<'a>,
    masker: &'a Masker,
    found_in: FoundIn,
    session: Option<Session>,
    commands: Vec<(Command, Vec<Finding>)>,
}

impl<'a> Items<'a> {
    fn new(source: &Source, rules: &'a RuleSet, masker: &'a Masker) -> Self {
        let found_in = FoundIn::new(source.input.kind, &source.input.path);
        Self { detector: Detector::new(rules), masker, found_in, session: None, commands: Vec::new() }
    }

    fn read(mut self, source: &Source, survey: &mut Survey) -> io::Result<Vec<(Command, Vec<Finding>)>> {
        source.items(&mut |item| self.take(item))?;
        survey.session = self.session.unwrap_or_else(|| std::mem::take(&mut survey.session));
        Ok(self.commands)
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Session(session) => self.meet(&session),
            Item::Command(session, command) => {
                self.meet(&session);
                if self.session.as_ref().is_some_and(|first| first.id == session.id) && self.commands.len() < MAX_MARKS
                {
                    let mut findings = self.detector.command_findings(&session, &self.found_in, &command);
                    for finding in &mut findings {
                        self.masker.finding(finding);
                    }
                    self.commands.push((*command, findings));
                }
            }
            Item::ApiCall(_) | Item::Deviation(_, _) => {}
        }
    }

    fn meet(&mut self, session: &Session) {
        let first = self.session.get_or_insert_with(|| session.clone());
        if first.id.is_none() || first.id == session.id {
            *first = session.clone();
        }
    }
}
