//! One source, audited: items in, what is to be alerted about out. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use warden_rules::detect::{CallContext, Counts, Detector};
use warden_rules::finding::{Finding, Source};
use warden_rules::mask::Masker;
use warden_rules::{Level, RuleSet};
use warden_session::join::Sessions;
use warden_session::timeline::Deviation;
use warden_session::{ApiCall, Command, Item, Kind, Session, SessionId};

use crate::dedup::{Observed, command_hash, dedup_key, digest, scope, scope_before};
use crate::draft::{Draft, DraftKind};
use crate::ledger::{Claim, Facts, finding};

pub mod identity;

/// What every audit of an invocation shares.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// Rules.
    pub rules: &'a RuleSet,
    /// Masks secrets.
    pub masker: &'a Masker,
    /// Least level that is alerted about.
    pub level: Level,
    /// Window of rules that name none.
    pub window: SignedDuration,
    /// Guarded targets.
    pub targets: Option<&'a BTreeSet<String>>,
}

/// Where a record comes from, in the words of whoever delivered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Kind of the record.
    pub kind: Kind,
    /// Path as `warden` takes it.
    pub path: String,
    /// Version of the S3 object.
    pub version: Option<String>,
    /// Session that its place is named after.
    pub named: Option<SessionId>,
    /// Managed node that stored it.
    pub uploader: Option<String>,
    /// Account that it comes from, if the delivery says so.
    pub account: Option<String>,
    /// When it was stored.
    pub stored: Option<Timestamp>,
}

/// What an audit came to so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// What the record says of each session in it.
    pub claims: BTreeMap<String, Facts>,
    /// Commands read.
    pub commands: u64,
    /// API calls read.
    pub calls: u64,
    /// Findings, whatever their level.
    pub findings: u64,
    /// Findings by rule.
    pub by_rule: BTreeMap<String, u64>,
    /// What is missing or contradictory, each once.
    pub deviations: Vec<Deviation>,
    /// Findings that were not held, because there were too many at once.
    pub dropped: u64,
}

/// Most bytes of what is to be alerted about that wait to be taken. Beyond it findings are counted only.
pub const WAITING_LIMIT: usize = 8 * 1024 * 1024;
/// How often a command is handed on under one key for one source; beyond it it is counted only.
pub const REPEATS_LIMIT: u32 = 1000;
/// Commands that are remembered to count their repetitions.
const REMEMBERED: usize = 20_000;

/// Audits one source: feed its items, take what was observed. Memory is bounded as long as it is taken between pieces.
#[derive(Debug)]
pub struct Audit<'a> {
    policy: Policy<'a>,
    origin: Origin,
    source: Source,
    /// Facts of the sessions that were looked up beforehand.
    known: Sessions,
    started: BTreeMap<String, Facts>,
    detector: Detector<'a>,
    /// The session as it was last read, and completed.
    last: Option<(Arc<Session>, Arc<Session>)>,
    conflicting: BTreeSet<String>,
    repeats: BTreeMap<String, u32>,
    waiting: Vec<Observed>,
    bytes: usize,
    summary: Summary,
}

impl<'a> Audit<'a> {
    /// An audit at the start of a source.
    pub fn new(policy: Policy<'a>, origin: Origin) -> Self {
        Self {
            policy,
            source: Source::new(origin.kind, &origin.path),
            origin,
            known: Sessions::default(),
            started: BTreeMap::new(),
            detector: Detector::new(policy.rules),
            last: None,
            conflicting: BTreeSet::new(),
            repeats: BTreeMap::new(),
            waiting: Vec::new(),
            bytes: 0,
            summary: Summary::default(),
        }
    }

    /// Goes on with what was counted of the same source before.
    pub fn resume(&mut self, counts: Counts) {
        self.detector = Detector::resume(self.policy.rules, counts);
    }

    /// What was counted so far, for the ids of findings.
    pub fn counts(&self) -> &Counts {
        self.detector.counts()
    }

    /// What StartSession said of a session: completes the session's commands from now on.
    pub fn remember(&mut self, facts: &Facts) {
        self.known.remember(&facts.to_session());
        if let Some(session) = &facts.session {
            self.started.insert(session.clone(), facts.clone());
        }
        self.last = None;
    }

    /// Audits one item.
    pub fn item(&mut self, item: Item) {
        match item {
            Item::Session(session) => drop(self.session(&session)),
            Item::Command(session, command) => self.command(&session, &command),
            Item::ApiCall(call) => self.call(&call),
            Item::Deviation(_, deviation) => self.deviation(deviation),
        }
    }

    /// Takes what is to be alerted about, in the order of the source.
    pub fn take(&mut self) -> Vec<Observed> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// What it came to so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Whether the record's identity of a session disagrees with what is known of it.
    pub fn is_conflicting(&self, session: &str) -> bool {
        self.conflicting.contains(session)
    }

    /// What the record claims of its sessions, for whoever hears of StartSession later.
    pub fn claims(&self) -> impl Iterator<Item = (&str, Claim)> {
        self.summary.claims.iter().map(|(session, facts)| (session.as_str(), self.claim(facts)))
    }

    /// Notes something that the items do not say, such as a limit that the reading reached.
    pub fn deviation(&mut self, deviation: Deviation) {
        if !self.summary.deviations.contains(&deviation) {
            self.summary.deviations.push(deviation);
        }
    }

    /// Kind of the record.
    pub fn kind(&self) -> Kind {
        self.origin.kind
    }

    /// Kind of the record, as findings name it.
    pub fn source_kind(&self) -> &'static str {
        self.source.kind
    }

    /// Adds something to be alerted about the record itself: with its session and place.
    pub fn tell(&mut self, draft: Draft) {
        let claimed = self.summary.claims.values().next().cloned().unwrap_or_default();
        let named = self.origin.named.as_ref().map(ToString::to_string);
        let facts = Facts { principal: None, session: claimed.session.clone().or(named), ..claimed };
        let (evidence, evidence_version) = (evidence(&self.origin.path), self.origin.version.clone());
        self.notice(Draft { facts, evidence, evidence_version, ..draft });
    }

    /// Adds what is wrong with the record, as a high alert.
    pub fn complain(&mut self, kind: DraftKind, title: &str, note: String) {
        self.tell(Draft { notes: vec![note], ..Draft::new(kind, Level::High, title) });
    }

    /// Adds what could not be read and what was not held: whoever makes noise must not hide in it.
    pub fn complain_of_unread(&mut self) {
        let hides =
            |deviation: &&Deviation| matches!(deviation, Deviation::LimitReached(_) | Deviation::BadCompression);
        if let Some(deviation) = self.summary.deviations.iter().find(hides).copied() {
            self.complain(DraftKind::Audit, "A record could not be read to its end", format!("{deviation}."));
        }
        if self.summary.dropped > 0 {
            let note = "Some findings are counted only: scan the evidence itself.".to_owned();
            self.complain(DraftKind::Audit, "A record holds more findings than can be told", note);
        }
    }

    /// Adds something to be alerted about that no rule found.
    pub fn notice(&mut self, draft: Draft) {
        self.waiting.push(notice(draft, &self.origin.path));
    }

    fn claim(&self, facts: &Facts) -> Claim {
        Claim {
            kind: self.source.kind.to_owned(),
            path: self.origin.path.clone(),
            facts: facts.clone(),
            named: self.origin.named.as_ref().map(ToString::to_string),
            uploader: self.origin.uploader.clone(),
            account: self.origin.account.clone(),
        }
    }

    /// A session of the record, completed. On the first sight of it, its identity is compared.
    fn session(&mut self, session: &Arc<Session>) -> Arc<Session> {
        if let Some((read, completed)) = &self.last
            && Arc::ptr_eq(read, session)
        {
            return completed.clone();
        }
        let mut own = Session::clone(session);
        own.id = own.id.or_else(|| self.origin.named.clone());
        own.account = own.account.or_else(|| self.origin.account.clone());
        // Only a file that names itself takes part; what CloudTrail says is what others are compared with.
        if self.origin.kind != Kind::ApiCall {
            self.compare(&own);
        }
        let completed = Arc::new(self.known.complete(&own).session);
        self.last = Some((session.clone(), completed.clone()));
        completed
    }

    fn compare(&mut self, own: &Session) {
        let facts = Facts::of_session(own);
        let session = facts.session.clone().unwrap_or_default();
        let claim = self.claim(&facts);
        let is_new = self.summary.claims.insert(session.clone(), facts).as_ref() != Some(&claim.facts);
        if !is_new {
            return;
        }
        let conflicts = identity::conflicts(&claim, self.started.get(&session));
        if conflicts.is_empty() {
            return;
        }
        self.conflicting.insert(session);
        let draft = identity::draft(&claim, &conflicts, self.origin.version.as_deref());
        self.notice(draft);
    }

    fn command(&mut self, session: &Arc<Session>, command: &Command) {
        self.summary.commands += 1;
        let session = self.session(session);
        let findings = self.detector.command_findings(&session, &self.source, command);
        for finding in findings {
            self.keep(&session, finding, None);
        }
    }

    fn call(&mut self, call: &ApiCall) {
        self.summary.calls += 1;
        let owner = call.session.as_ref().and_then(|id| self.started.get(id.as_str()));
        let context = CallContext {
            session_owner: owner.and_then(|facts| facts.principal.clone()),
            target_in_list: self
                .policy
                .targets
                .map(|targets| call.targets.iter().any(|target| targets.contains(target))),
        };
        for finding in self.detector.api_call_findings(&self.source, call, &context) {
            self.keep(&call.facts, finding, Some(call));
        }
    }

    fn keep(&mut self, session: &Session, mut found: Finding, call: Option<&ApiCall>) {
        self.summary.findings += 1;
        *self.summary.by_rule.entry(found.rule.id.clone()).or_default() += 1;
        if found.level() < self.policy.level {
            return;
        }
        self.policy.masker.finding(&mut found);
        // Of the whole: what is cut from an alert may be all that differs.
        let command = command_hash(&found, call);
        finding::bound(&mut found);
        let observed = self.observed(session, &found, command, call);
        let repeats = self.repeats.entry(digest([observed.key.as_str(), &observed.command])).or_default();
        *repeats += 1;
        if *repeats > REPEATS_LIMIT {
            return;
        }
        if self.repeats.len() > REMEMBERED {
            self.repeats.clear();
        }
        let length = observed.draft.finding.as_ref().map_or(0, |finding| finding.to_string().len());
        if self.bytes + length > WAITING_LIMIT {
            self.summary.dropped += 1;
            return;
        }
        self.bytes += length;
        self.waiting.push(observed);
    }

    fn observed(&self, session: &Session, finding: &Finding, command: String, call: Option<&ApiCall>) -> Observed {
        let rule = self.policy.rules.rule(&finding.rule.id);
        let dedup = rule.and_then(|rule| rule.dedup.as_ref());
        let key = dedup_key(&finding.rule.id, &scope(dedup, finding));
        let before = dedup_key(&finding.rule.id, &scope_before(dedup, finding));
        let window = dedup.and_then(|dedup| i64::try_from(dedup.window).ok()).map(SignedDuration::from_secs);
        let facts = call.map_or_else(|| Facts::of_session(session), Facts::of_call);
        let conflict = finding.session.as_deref().is_some_and(|session| self.is_conflicting(session));
        let doubt = "The record's identity disagrees with StartSession: nothing is done on its word.";
        let draft = Draft {
            facts: Facts { session: finding.session.clone(), ..facts },
            finding: Some(finding.to_json()),
            notes: conflict.then(|| doubt.to_owned()).into_iter().collect(),
            evidence: evidence(&self.origin.path),
            evidence_version: self.origin.version.clone(),
            runbook: rule.and_then(|rule| rule.runbook.clone()),
            owner: rule.and_then(|rule| rule.owner.clone()),
            ..Draft::new(DraftKind::Finding, finding.level(), &finding.rule.title)
        };
        Observed {
            before: (before != key).then_some(before),
            key,
            window: window.unwrap_or(self.policy.window),
            finding_id: finding.finding_id.clone(),
            command,
            source: finding.source.kind.to_owned(),
            draft,
        }
    }
}

/// Something to be alerted about that no rule found, about this subject (a path, a session): once for equal words.
pub fn notice(draft: Draft, subject: &str) -> Observed {
    let notes = digest(draft.notes.iter().map(String::as_str));
    let key = dedup_key(&draft.title, &[subject.to_owned()]);
    Observed {
        finding_id: digest([key.as_str(), &notes]),
        key,
        before: None,
        window: NOTICE_WINDOW,
        command: notes,
        source: "notice".to_owned(),
        draft,
    }
}

/// How long equal notices about one subject are gathered.
const NOTICE_WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// The path, if `warden` can read it again.
fn evidence(path: &str) -> Option<String> {
    (path.starts_with("s3://") || path.starts_with("cloudwatch://")).then(|| path.to_owned())
}
