//! `warden scan`: rules over inputs, findings out.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufWriter, Write};

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::json;
use warden_rules::detect::{CallContext, Detector};
use warden_rules::finding::{Finding, Source};
use warden_rules::mask::Masker;
use warden_rules::{Level, RuleSet, ocsf, sarif};
use warden_session::timeline::Deviation;
use warden_session::{ApiCall, Item, SessionId};

use crate::cli::{Scan, ScanFormat};
use crate::exit::Exit;
use crate::input::{self, Input};
use crate::paint::Paint;
use crate::pipeline::{Completed, EventIds, Known, Wholeness, in_order};
use crate::ruleset;

mod text;

/// What one input came to.
#[derive(Default)]
struct Outcome {
    path: String,
    findings: Vec<Finding>,
    sessions: Vec<Option<SessionId>>,
    commands: usize,
    wholeness: Wholeness,
}

/// What all inputs came to.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// Inputs that were read.
    pub(crate) inputs: usize,
    /// Sessions of which they are records.
    pub(crate) sessions: usize,
    /// Commands read.
    pub(crate) commands: usize,
    /// Findings reported.
    pub(crate) findings: usize,
    /// Findings by level, from informational to critical.
    pub(crate) levels: [usize; Level::ALL.len()],
    /// Inputs that could not be read.
    pub(crate) unreadable: usize,
    /// Inputs of which something is missing.
    pub(crate) incomplete: usize,
}

/// Scans the inputs.
///
/// # Errors
/// Rules with errors, a list of targets that cannot be read, standard output that cannot be written to.
pub(crate) fn run(args: &Scan, paint: Paint) -> anyhow::Result<Exit> {
    let rules = ruleset::load(&args.rules)?;
    let targets = targets(args)?;
    let found = input::find(&args.inputs)?;
    let known = Known::of(&found.inputs);
    let job = Job {
        rules: &rules,
        known: &known,
        targets: targets.as_ref(),
        calls: EventIds::default(),
        least: args.min_level.into(),
        masker: Masker::new(&mask_key()),
    };
    let mut summary = Summary { inputs: found.inputs.len(), unreadable: found.unreadable, ..Summary::default() };
    let mut printer = Printer::new(args.format, paint, &rules);
    let mut sessions = HashSet::new();
    in_order(
        &found.inputs,
        "scanning",
        |input| job.scan(input),
        |outcome| {
            summary.add(&outcome, &mut sessions);
            printer.print(&outcome)?;
            outcome.wholeness.say(&outcome.path);
            io::Result::Ok(())
        },
    )?;
    printer.finish(&summary)?;
    Ok(summary.exit())
}

/// A key for the digests of masked secrets: equal secrets of one run look equal, and nobody can try passwords on them later.
fn mask_key() -> [u8; 16] {
    let halves = [0, 1].map(|half| RandomState::new().hash_one(half).to_be_bytes());
    let mut key = [0; 16];
    key.iter_mut().zip(halves.as_flattened()).for_each(|(byte, random)| *byte = *random);
    key
}

fn targets(args: &Scan) -> anyhow::Result<Option<BTreeSet<String>>> {
    let Some(path) = &args.targets else { return Ok(None) };
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(Some(lines.map(ToOwned::to_owned).collect()))
}

/// What every input is scanned with.
struct Job<'a> {
    rules: &'a RuleSet,
    known: &'a Known,
    targets: Option<&'a BTreeSet<String>>,
    calls: EventIds,
    least: Level,
    masker: Masker,
}

impl Job<'_> {
    fn scan(&self, input: &Input) -> Outcome {
        let mut outcome = Outcome { path: input.path.clone(), ..Outcome::default() };
        let mut detector = Detector::new(self.rules);
        let mut completed = Completed::new(self.known);
        let source = Source::new(input.kind, &input.path);
        let mut repeated = false;
        let read = input.read(&mut |item| match item {
            Item::Session(session) => drop(completed.session(&session)),
            Item::Command(_, _) if repeated => {}
            Item::Command(session, command) => {
                outcome.commands += 1;
                let session = completed.session(&session);
                self.keep(&mut outcome.findings, detector.command_findings(&session, &source, &command));
            }
            Item::ApiCall(call) => {
                repeated = !self.calls.is_new(&call);
                if !repeated {
                    self.keep(&mut outcome.findings, detector.api_call_findings(&source, &call, &self.context(&call)));
                }
            }
            Item::Deviation(offset, deviation) => outcome.wholeness.note(offset, deviation),
        });
        if completed.conflict {
            outcome.wholeness.note(0, Deviation::IdentityConflict);
        }
        outcome.wholeness.error = read.err().map(|error| error.to_string());
        outcome.sessions = completed.ids().cloned().collect();
        outcome
    }

    /// Keeps what is to be reported, its secrets masked.
    fn keep(&self, kept: &mut Vec<Finding>, findings: Vec<Finding>) {
        for mut finding in findings.into_iter().filter(|finding| finding.level() >= self.least) {
            self.masker.finding(&mut finding);
            kept.push(finding);
        }
    }

    fn context(&self, call: &ApiCall) -> CallContext {
        let listed = |targets: &BTreeSet<String>| call.targets.iter().any(|target| targets.contains(target));
        CallContext { session_owner: self.known.owner(call), target_in_list: self.targets.map(listed) }
    }
}

impl Summary {
    fn add(&mut self, outcome: &Outcome, sessions: &mut HashSet<SessionId>) {
        for id in &outcome.sessions {
            self.sessions += usize::from(id.as_ref().is_none_or(|id| sessions.insert(id.clone())));
        }
        self.commands += outcome.commands;
        self.findings += outcome.findings.len();
        for finding in &outcome.findings {
            if let Some(count) = self.levels.get_mut(finding.level() as usize) {
                *count += 1;
            }
        }
        self.unreadable += usize::from(outcome.wholeness.error.is_some());
        self.incomplete += usize::from(outcome.wholeness.is_incomplete());
    }

    fn exit(&self) -> Exit {
        let findings = Exit::Findings.when(self.findings > 0);
        findings.max(Exit::Unreadable.when(self.unreadable > 0)).max(Exit::Incomplete.when(self.incomplete > 0))
    }
}

/// Prints findings as they come, or at the end where the format is one document.
struct Printer<'a> {
    format: ScanFormat,
    paint: Paint,
    rules: &'a RuleSet,
    out: BufWriter<io::StdoutLock<'static>>,
    begun: Timestamp,
    kept: Vec<Finding>,
    text: text::Report,
}

impl<'a> Printer<'a> {
    fn new(format: ScanFormat, paint: Paint, rules: &'a RuleSet) -> Self {
        Self {
            format,
            paint,
            rules,
            out: BufWriter::new(io::stdout().lock()),
            begun: Timestamp::now(),
            kept: Vec::new(),
            text: text::Report::default(),
        }
    }

    fn print(&mut self, outcome: &Outcome) -> io::Result<()> {
        match self.format {
            ScanFormat::Text => self.text.print(&mut self.out, &outcome.findings, self.paint)?,
            ScanFormat::Json => {
                for finding in &outcome.findings {
                    writeln!(self.out, "{}", finding.to_json())?;
                }
            }
            ScanFormat::Ocsf => {
                for finding in &outcome.findings {
                    writeln!(self.out, "{}", ocsf::detection_finding(finding, self.begun))?;
                }
            }
            ScanFormat::Sarif => self.kept.extend_from_slice(&outcome.findings),
        }
        self.out.flush()
    }

    fn finish(mut self, summary: &Summary) -> io::Result<()> {
        match self.format {
            ScanFormat::Text => {
                self.text.print_summary(&mut self.out, summary, self.rules.rules().len(), self.paint)?;
            }
            ScanFormat::Json => writeln!(self.out, "{}", summary_json(summary))?,
            ScanFormat::Ocsf => {}
            ScanFormat::Sarif => writeln!(self.out, "{}", sarif::log(&self.kept))?,
        }
        self.out.flush()
    }
}

fn summary_json(summary: &Summary) -> serde_json::Value {
    json!({
        "type": "summary", "inputs": summary.inputs, "sessions": summary.sessions, "commands": summary.commands,
        "findings": summary.findings, "unreadable": summary.unreadable, "incomplete": summary.incomplete,
    })
}
