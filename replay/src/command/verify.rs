//! `warden verify`: is a capture whole, and what does it hold.

mod report;
mod text;

use std::io::{self, Write as _};

use jiff::Timestamp;
use warden_protocol::channel::{Anomaly, What};
use warden_protocol::wire::Side;

use crate::capture::{self, Facts, Found, Secrets};
use crate::cli::{Format, Verify};
use crate::exit::Exit;
use crate::input::Input;
use crate::paint::Paint;
use crate::reconstruct::{self, Moment, Session, Sessions};

/// What a capture came to.
#[derive(Debug)]
struct Verified {
    path: String,
    facts: Facts,
    sessions: Vec<Session>,
    spans: Vec<Span>,
    problems: Vec<Problem>,
    /// Problems beyond [`MAX_PROBLEMS`].
    unlisted: u64,
}

/// Something that is wrong with one message.
#[derive(Clone, Debug)]
struct Problem {
    /// Which session.
    session: usize,
    /// Number of the message in its session, from 0.
    n: u64,
    /// Offset of its record in the capture, if the message itself shows the problem.
    offset: Option<u64>,
    at: Timestamp,
    side: Side,
    sequence: Option<i64>,
    anomaly: Anomaly,
}

/// Problems that are listed of one capture; the counts hold all.
const MAX_PROBLEMS: usize = 1000;

/// When a session was, by the capture's clock.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: Timestamp,
    last: Timestamp,
    messages: u64,
}

/// Prints one report for each session of the capture.
///
/// # Errors
/// A capture that cannot be read, keys that are none, standard output that cannot be written to.
pub(crate) fn run(args: &Verify, paint: Paint) -> anyhow::Result<Exit> {
    let secrets = Secrets::of(&args.keys)?;
    let input = Input::opened(&args.path, &secrets.clone().into())?;
    let verified = verify(&input, &secrets)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    match args.format {
        Format::Json => report::print(&mut out, &verified)?,
        Format::Text => text::print(&mut out, &verified, paint)?,
    }
    out.flush()?;
    Ok(verified.exit())
}

fn verify(input: &Input, secrets: &Secrets) -> io::Result<Verified> {
    let mut sessions = Sessions::new(secrets);
    let mut spans = Vec::new();
    let mut list = List::default();
    let facts = capture::read(input, secrets, &mut |found| match found {
        Found::Socket { socket, named } => {
            sessions.name(socket, named);
            Ok(())
        }
        Found::Damage { offset, damage } => sessions.damage(offset, &damage, &mut |_| Ok(())),
        Found::Message { socket, offset, message, .. } => {
            let start = list.problems.len();
            let (session, _) = sessions.message(socket, offset, &message, &mut |moment| list.note(moment))?;
            let n = Span::widen(&mut spans, session, message.at);
            // What a message shows of itself is told at once, unless its order is not settled.
            for problem in list.problems.iter_mut().skip(start) {
                if (problem.session, problem.n) == (session, n) {
                    problem.offset = Some(offset);
                }
            }
            Ok(())
        }
    })?;
    let sessions = sessions.finish(&mut |moment| list.note(moment))?;
    let List { problems, unlisted } = list;
    Ok(Verified { path: input.path.clone(), facts, sessions, spans, problems, unlisted })
}

/// The problems met so far.
#[derive(Debug, Default)]
struct List {
    problems: Vec<Problem>,
    unlisted: u64,
}

impl List {
    #[allow(clippy::unnecessary_wraps, reason = "it is a sink")]
    fn note(&mut self, moment: Moment) -> io::Result<()> {
        let Moment { session, n, at, side, sequence, what, .. } = moment;
        if let reconstruct::What::Channel(What::Anomaly(anomaly)) = what {
            if self.problems.len() < MAX_PROBLEMS {
                self.problems.push(Problem { session, n, offset: None, at, side, sequence, anomaly });
            } else {
                self.unlisted += 1;
            }
        }
        Ok(())
    }
}

impl Span {
    /// Takes the next message of a session: its number in the session.
    fn widen(spans: &mut Vec<Self>, session: usize, at: Timestamp) -> u64 {
        if session >= spans.len() {
            spans.resize(session + 1, Self { first: at, last: at, messages: 0 });
        }
        spans.get_mut(session).map_or(0, |span| {
            span.first = span.first.min(at);
            span.last = span.last.max(at);
            span.messages += 1;
            span.messages - 1
        })
    }
}

impl Verified {
    fn exit(&self) -> Exit {
        let none = Exit::Incomplete.when(self.sessions.is_empty());
        self.sessions.iter().map(|session| self.exit_of(session)).fold(none, Exit::max)
    }

    /// 3 if something is missing or stayed encrypted, 1 if something is contradictory.
    fn exit_of(&self, session: &Session) -> Exit {
        let broken = self.facts.chain.as_ref().is_some_and(|chain| chain.broken_at.is_some());
        let contradictory = Exit::Findings.when(session.is_contradictory() || broken);
        contradictory.max(Exit::Incomplete.when(session.is_incomplete() || session.report.undecodable > 0))
    }
}
