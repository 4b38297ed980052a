//! `backfill`: today's rules over old records. It publishes no alert and ends no session: it is given neither.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use warden_aws::FetchError;
use warden_rules::RuleSet;
use warden_rules::detect::{CallContext, Detector};
use warden_rules::finding::{Finding, Source};
use warden_rules::mask::Masker;
use warden_session::inflate::{Inflate, Limits, RATIO_LIMIT};
use warden_session::join::Sessions;
use warden_session::timeline::Deviation;
use warden_session::{Item, Kind, Reader, Session, SessionId, kind};

use crate::app::{App, Invocation};
use crate::backfill::{Asked, Code, Engine, Outcome, Task, results_key};
use crate::clients::Clients;
use crate::config::Place;
use crate::error::{Failure, caught};
use crate::metrics::Metric;
use crate::object::{Opened, named_session};

/// Most bytes of the results of one object. Beyond it findings are counted only.
pub const RESULTS_LIMIT: usize = 32 * 1024 * 1024;

/// An answer that is still to come.
pub type Putting<'a> = Pin<Box<dyn Future<Output = Result<(), FetchError>> + Send + 'a>>;

/// Where results are stored.
pub trait Results: std::fmt::Debug + Send + Sync {
    /// Stores the results of an object, in place of those that lie there.
    fn put<'a>(&'a self, bucket: &'a str, key: &'a str, lines: Vec<u8>) -> Putting<'a>;
}

/// Results in S3.
#[derive(Debug)]
pub struct S3Results(pub Arc<Clients>);

impl Results for S3Results {
    fn put<'a>(&'a self, bucket: &'a str, key: &'a str, lines: Vec<u8>) -> Putting<'a> {
        Box::pin(async move { self.0.objects().await.put(bucket, key, lines, "application/x-ndjson").await })
    }
}

/// Results in memory, for tests. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryResults(Arc<Mutex<Vec<(String, String)>>>);

impl MemoryResults {
    /// What was stored: `BUCKET/KEY` and content, in order.
    pub fn stored(&self) -> Vec<(String, String)> {
        self.state().clone()
    }

    fn state(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Results for MemoryResults {
    fn put<'a>(&'a self, bucket: &'a str, key: &'a str, lines: Vec<u8>) -> Putting<'a> {
        Box::pin(async move {
            self.state().push((format!("{bucket}/{key}"), String::from_utf8_lossy(&lines).into_owned()));
            Ok(())
        })
    }
}

/// Handles tasks of S3 Batch Operations or a batch of a distributed Map, each for itself. The results of an object are JSON
/// Lines, as `warden scan --format json` prints findings, and a last line of `"type":"summary"`; their key depends on the run and the
/// object alone, so that an attempt replaces the one before.
///
/// # Errors
/// An event of no engine. A batch of a Map also when one of its objects is worth another attempt: the state machine makes it.
pub async fn handle(app: &App, invocation: &Invocation, event: &[u8]) -> Result<Value, Failure> {
    let asked = Asked::parse(event)?;
    let Some(place) = &app.config.output else { return Err(Failure::Misdirected) };
    // What is wrong with the rules is told by the functions that watch.
    let rules = if app.config.rules.is_some() { app.rule_store.rules(invocation.now()).await.0 } else { app.rules() };
    // Without the ledger's key its digests have one of their own.
    let _ = app.learn_mask_key(invocation.now()).await;
    let (mut outcomes, mut again) = (Vec::new(), None);
    for task in &asked.tasks {
        app.count(Metric::Records, 1);
        let outcome = if invocation.is_over() {
            again = again.or(Some(Failure::OutOfTime));
            Outcome::failed(Code::TemporaryFailure, "no time was left")
        } else {
            let backfill = Backfill { app, invocation, rules: &rules, place, run: &asked.run };
            let done = caught(async { Ok(Box::pin(backfill.task(task, &mut again)).await) }).await;
            done.unwrap_or_else(|_| Outcome::failed(Code::PermanentFailure, "a fault of the program"))
        };
        if outcome.code != Code::Succeeded {
            app.count(Metric::RecordsFailed, 1);
            tracing::warn!(code = ?outcome.code, reason = outcome.text, "an object was not read");
        }
        outcomes.push(outcome);
    }
    match again {
        Some(failure) if asked.engine == Engine::Map => Err(failure),
        _ => Ok(asked.answer(&outcomes)),
    }
}

struct Backfill<'a> {
    app: &'a App,
    invocation: &'a Invocation,
    rules: &'a RuleSet,
    place: &'a Place,
    run: &'a str,
}

impl Backfill<'_> {
    async fn task(&self, task: &Task, again: &mut Option<Failure>) -> Outcome {
        let object = &task.object;
        if self.app.config.refused.is_object(&object.bucket, &object.key) {
            return Outcome::failed(Code::PermanentFailure, "the object is one of Session Warden's own outputs");
        }
        let mut fail = |error: FetchError, doing: &str| {
            let outcome = Outcome::of_error(&error, doing);
            if outcome.code == Code::TemporaryFailure && again.is_none() {
                *again = Some(error.into());
            }
            outcome
        };
        let opened = match self.app.store.open(object).await {
            Ok(opened) => opened,
            Err(error) => return fail(error, "the object cannot be read"),
        };
        if opened.length > self.app.config.size_cap {
            return Outcome::failed(Code::PermanentFailure, "the object is larger than WARDEN_SIZE_CAP");
        }
        let path = format!("s3://{}/{}", object.bucket, object.key);
        let mut scan = self.scan(&object.key, path).await;
        if let Err(error) = scan.read(opened, self.app.config.size_cap, self.invocation).await {
            return fail(error, "the object cannot be read");
        }
        let Some(done) = scan.finish() else {
            return Outcome::failed(Code::PermanentFailure, "the object is no record that is known");
        };
        self.app.count(Metric::Commands, done.commands);
        let key = results_key(self.place, self.run, object);
        let lines = done.lines(self.rules, object.version.as_deref());
        if let Err(error) = self.app.results.put(&self.place.bucket, &key, lines).await {
            return fail(error, "the results cannot be stored");
        }
        done.outcome(format!("s3://{}/{key}", self.place.bucket))
    }

    async fn scan(&self, key: &str, path: String) -> Scan<'_> {
        let mut known = Sessions::default();
        let named = named_session(key);
        // Who it was is known as long as the ledger keeps it; what was done is in the record.
        if let Some(session) = named.as_ref().filter(|_| !self.app.config.table.is_empty())
            && let Ok(Some(facts)) = self.app.ledger.facts(session.as_str(), None, self.invocation.now()).await
        {
            known.remember(&facts.to_session());
        }
        Scan {
            rules: self.rules,
            masker: self.app.masker(),
            path,
            named,
            known,
            head: Vec::new(),
            reading: None,
            done: Done::default(),
        }
    }
}

/// One object, being read.
struct Scan<'a> {
    rules: &'a RuleSet,
    masker: &'a Masker,
    path: String,
    named: Option<SessionId>,
    known: Sessions,
    head: Vec<u8>,
    reading: Option<Reading<'a>>,
    done: Done,
}

struct Reading<'a> {
    reader: Reader,
    detector: Detector<'a>,
    source: Source,
}

/// What an object came to.
#[derive(Debug, Default)]
struct Done {
    findings: Vec<u8>,
    count: u64,
    commands: u64,
    calls: u64,
    bytes: u64,
    sessions: BTreeSet<String>,
    deviations: Vec<Deviation>,
}

impl Scan<'_> {
    async fn read(&mut self, mut opened: Opened, cap: u64, invocation: &Invocation) -> Result<(), FetchError> {
        let mut inflate = Inflate::new(Limits { output: cap, ratio: RATIO_LIMIT });
        while let Some(piece) = opened.next(invocation.left()).await? {
            self.done.bytes += piece.len() as u64;
            let wrong = inflate.feed(&piece, &mut |bytes| self.feed(bytes));
            if let Some(deviation) = wrong {
                self.done.deviate(deviation);
                return Ok(());
            }
        }
        if let Some(deviation) = inflate.finish(&mut |bytes| self.feed(bytes)) {
            self.done.deviate(deviation);
        }
        Ok(())
    }

    /// Bytes of the record: held until they show what it is.
    fn feed(&mut self, bytes: &[u8]) {
        if self.reading.is_none() && self.head.len() < kind::HEAD_LIMIT {
            self.head.extend_from_slice(bytes);
            self.begin(false);
        } else {
            self.pass(bytes);
        }
    }

    fn begin(&mut self, all: bool) {
        // What lies in a session's place is its transcript, however little it looks like one.
        let named = || (all && self.named.is_some() && !self.head.is_empty()).then_some(Kind::Transcript);
        let recognised = kind::recognise(&self.head, all).filter(|kind| is_record(*kind));
        let Some(kind) = recognised.or_else(named) else { return };
        let source = Source::new(kind, &self.path);
        self.reading = Some(Reading { reader: Reader::new(kind), detector: Detector::new(self.rules), source });
        let head = std::mem::take(&mut self.head);
        self.pass(&head);
    }

    fn pass(&mut self, bytes: &[u8]) {
        let Self { reading, done, known, masker, named, .. } = self;
        let Some(Reading { reader, detector, source }) = reading else { return };
        reader.feed(bytes, &mut |item| done.item(item, &mut Judge { detector, source, known, masker, named }));
    }

    /// `None` if the object is no record that is known.
    fn finish(mut self) -> Option<Done> {
        if self.reading.is_none() {
            self.begin(true);
        }
        let Self { reading, mut done, known, masker, named, .. } = self;
        let Reading { reader, mut detector, source } = reading?;
        let mut judge = Judge { detector: &mut detector, source: &source, known: &known, masker, named: &named };
        reader.finish(&mut |item| done.item(item, &mut judge));
        Some(done)
    }
}

/// What findings are made with.
struct Judge<'j, 'r> {
    detector: &'j mut Detector<'r>,
    source: &'j Source,
    known: &'j Sessions,
    masker: &'j Masker,
    named: &'j Option<SessionId>,
}

impl Judge<'_, '_> {
    fn complete(&self, session: &Session) -> Session {
        let mut session = session.clone();
        session.id = session.id.or_else(|| self.named.clone());
        self.known.complete(&session).session
    }
}

impl Done {
    fn item(&mut self, item: Item, judge: &mut Judge<'_, '_>) {
        match item {
            Item::Session(session) => {
                self.sessions.extend(judge.complete(&session).id.map(|id| id.to_string()));
            }
            Item::Command(session, command) => {
                self.commands += 1;
                let session = judge.complete(&session);
                let found = judge.detector.command_findings(&session, judge.source, &command);
                self.keep(found, judge.masker);
            }
            Item::ApiCall(call) => {
                self.calls += 1;
                let found = judge.detector.api_call_findings(judge.source, &call, &CallContext::default());
                self.keep(found, judge.masker);
            }
            Item::Deviation(_, deviation) => self.deviate(deviation),
        }
    }

    fn keep(&mut self, found: Vec<Finding>, masker: &Masker) {
        for mut finding in found {
            self.count += 1;
            masker.finding(&mut finding);
            let line = finding.to_json().to_string();
            if self.findings.len() + line.len() > RESULTS_LIMIT {
                self.deviate(Deviation::LimitReached("results"));
            } else {
                self.findings.extend_from_slice(line.as_bytes());
                self.findings.push(b'\n');
            }
        }
    }

    fn deviate(&mut self, deviation: Deviation) {
        if !self.deviations.contains(&deviation) {
            self.deviations.push(deviation);
        }
    }

    fn is_incomplete(&self) -> bool {
        self.deviations.iter().any(|deviation| deviation.is_incomplete())
    }

    fn lines(&self, rules: &RuleSet, version: Option<&str>) -> Vec<u8> {
        let summary = json!({
            "type": "summary",
            "version": version,
            "sessions": self.sessions,
            "commands": self.commands,
            "api_calls": self.calls,
            "findings": self.count,
            "bytes": self.bytes,
            "incomplete": self.is_incomplete(),
            "deviations": self.deviations.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "rules_version": rules.version(),
        });
        let mut lines = self.findings.clone();
        lines.extend_from_slice(summary.to_string().as_bytes());
        lines.push(b'\n');
        lines
    }

    fn outcome(self, results: String) -> Outcome {
        // Batch Operations' report shows this text: it has what a reader looks for first.
        let whole = if self.is_incomplete() { "; incomplete" } else { "" };
        let text = format!("{} findings in {} commands and {} calls{whole}", self.count, self.commands, self.calls);
        let capped = self.deviations.iter().any(|deviation| matches!(deviation, Deviation::LimitReached(_)));
        let code = if capped { Code::PermanentFailure } else { Code::Succeeded };
        Outcome { code, text, findings: self.count, results: Some(results) }
    }
}

fn is_record(kind: Kind) -> bool {
    matches!(kind, Kind::Transcript | Kind::LogStream | Kind::ApiCall)
}
