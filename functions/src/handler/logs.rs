//! `logs`: what is typed in sessions, seconds later, from the log streams that agents write.

use jiff::Timestamp;
use serde_json::Value;
use warden_rules::RuleSet;
use warden_session::timeline::Deviation;
use warden_session::{Item, Kind, Session, SessionId};

use super::records;
use crate::app::{App, Invocation};
use crate::audit::{Audit, Origin, Summary};
use crate::dedup::{Observed, digest};
use crate::draft::{Draft, DraftKind};
use crate::error::Failure;
use crate::follow::{Following, Gap, Plan, line};
use crate::ledger::table::{Expect, TableError};
use crate::ledger::{ATTEMPTS, Claim, Facts, Receipt, Scan};
use crate::metrics::Metric;
use crate::outbox::Outbox;
use crate::reading::Reading;
use crate::response::{Identity, Source, respond};
use crate::source::{LogBatch, LogEvent, Work};

/// Handles an event: batches of log events, from a subscription, Kinesis or Firehose.
///
/// The answer is what the carrier takes: `batchItemFailures` for Kinesis, every record with its result for Firehose (to which the
/// records go back as they came), nothing for a subscription.
///
/// # Errors
/// A subscription's event fails as a whole, and comes again. So does one of Firehose, unless the record itself is at fault.
pub async fn handle(app: &App, invocation: &Invocation, event: &[u8]) -> Result<Value, Failure> {
    records::handle(app, invocation, event, async |reading: &Reading<'_>, work| match work {
        Work::Logs(batch) if batch.api_calls().is_none() => {
            let Reading { app, invocation, outbox, rules } = *reading;
            Follower { app, invocation, outbox, rules, batch: &batch }.follow().await
        }
        _ => Err(Failure::Misdirected),
    })
    .await
}

/// The session of a stream is over: what was held until the next prompt comes out.
///
/// # Errors
/// What ledger and sinks answer.
pub async fn finish(app: &App, invocation: &Invocation, outbox: &Outbox<'_>, path: &str) -> Result<(), Failure> {
    let Some((group, stream)) = path.strip_prefix("cloudwatch://").and_then(|path| path.rsplit_once('/')) else {
        return Ok(());
    };
    let now = invocation.now();
    let loaded = app.ledger.stream(group, stream, now).await?;
    let Some(mut next) = loaded.value.as_deref().and_then(Following::from_text).filter(|next| !next.finished) else {
        return Ok(());
    };
    let batch = LogBatch { log_group: group.to_owned(), log_stream: stream.to_owned(), ..LogBatch::default() };
    let rules = app.rules();
    let follower = Follower { app, invocation, outbox, rules: &rules, batch: &batch };
    let mut audit = Audit::new(app.policy(&rules), follower.origin());
    let (reader, counts) = next.resume();
    audit.resume(counts);
    if let Some(facts) = follower.started(now).await? {
        audit.remember(&facts);
    }
    reader.finish(&mut |item| audit.item(item));
    follower.raise(&audit.take(), now).await?;
    next.finished = true;
    // If another batch came in between, it is finished by the next run.
    app.ledger.put_stream(group, stream, &next.to_text(), loaded.expect, now).await?;
    Ok(())
}

/// Reads one batch of one stream.
struct Follower<'a> {
    app: &'a App,
    invocation: &'a Invocation,
    outbox: &'a Outbox<'a>,
    rules: &'a RuleSet,
    batch: &'a LogBatch,
}

/// What a batch came to.
struct Followed {
    next: Following,
    observed: Vec<Observed>,
    claims: Vec<(String, Claim)>,
    summary: Summary,
    /// Whether something is missing, or had to be left out.
    incomplete: bool,
}

impl Follower<'_> {
    async fn follow(&self) -> Result<(), Failure> {
        let LogBatch { log_group, log_stream, .. } = self.batch;
        if self.app.is_refused(&self.origin()) {
            self.app.count(Metric::RecordsRefused, 1);
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            let now = self.invocation.now();
            let loaded = self.app.ledger.stream(log_group, log_stream, now).await?;
            let following = loaded.value.as_deref().and_then(Following::from_text).unwrap_or_default();
            let Some(reading) = self.read(&following, now).await? else { return Ok(()) };
            // First what was found, then where the reading stands: whoever dies in between reads the batch once more.
            self.raise(&reading.observed, now).await?;
            if self.keep(reading, loaded.expect, now).await? {
                return Ok(());
            }
            // Another batch of the stream was read meanwhile: this one is read again behind it.
        }
        Err(TableError::Contended.into())
    }

    /// Reads what is new in the batch; `None` if nothing is.
    async fn read(&self, following: &Following, now: Timestamp) -> Result<Option<Followed>, Failure> {
        let (from, events, incomplete) = match following.plan(self.batch) {
            Plan::Nothing => return Ok(None),
            Plan::Next(events) => (following.clone(), events, false),
            Plan::After(gap, events) => {
                let (mut all, cut) = self.past(gap).await.unwrap_or_default();
                all.retain(|event| !following.knows(event));
                all.extend(events);
                (following.clone(), all, cut)
            }
            Plan::Again(gap, events) => match self.past(gap).await {
                // What came late may not be in what can be asked for yet.
                Some((mut all, false)) => {
                    all.extend(
                        events
                            .into_iter()
                            .filter(|event| !all.iter().any(|known| same(known, event)))
                            .collect::<Vec<_>>(),
                    );
                    (following.afresh(), all, false)
                }
                _ => (following.out_of_order(), events, true),
            },
        };
        let started = self.started(now).await?;
        Ok(Some(self.audit(from, &events, started.as_ref(), incomplete).await?))
    }

    /// What lies in a gap, and whether it is only a part of it; `None` if nothing can be learned.
    async fn past(&self, gap: Gap) -> Option<(Vec<LogEvent>, bool)> {
        let LogBatch { log_group, log_stream, .. } = self.batch;
        if log_group.is_empty() {
            return None;
        }
        match self.app.history.between(log_group, log_stream, gap).await {
            Ok(past) => Some((past.events, past.cut)),
            Err(error) => {
                tracing::warn!(stream = log_stream, error = %error, "a gap in the stream cannot be read");
                None
            }
        }
    }

    async fn started(&self, now: Timestamp) -> Result<Option<Facts>, Failure> {
        let Some(session) = self.origin().named else { return Ok(None) };
        Ok(self.app.ledger.facts(session.as_str(), None, now).await?)
    }

    async fn audit(
        &self,
        mut next: Following,
        events: &[LogEvent],
        started: Option<&Facts>,
        incomplete: bool,
    ) -> Result<Followed, Failure> {
        let policy = self.app.policy(self.rules);
        let (mut reader, counts) = next.resume();
        let mut audit = Audit::new(policy, self.origin());
        audit.resume(counts);
        if let Some(facts) = started {
            audit.remember(facts);
        }
        let mut observed = Vec::new();
        for event in events {
            reader.feed(line(self.batch, event).as_bytes(), &mut |item| audit.item(item));
            next.read(event);
            observed.append(&mut audit.take());
        }
        // Commands that are whole though the next prompt is missing: told now, counted when they come out.
        let mut early = Audit::new(policy, self.origin());
        early.resume(audit.counts().clone());
        if let Some(facts) = started {
            early.remember(facts);
        }
        reader
            .settled()
            .into_iter()
            .for_each(|(session, command)| early.item(Item::Command(session, Box::new(command))));
        observed.append(&mut early.take());
        let reduced = next.save(&reader, audit.counts());
        let contradicts = audit.summary().deviations.contains(&Deviation::IdentityConflict);
        if contradicts {
            observed.push(self.contradiction());
        }
        let mut summary = audit.summary().clone();
        summary.claims.extend(early.summary().claims.clone());
        let claims = audit.claims().chain(early.claims()).map(|(session, claim)| (session.to_owned(), claim)).collect();
        self.respond(&mut observed, &summary, started, contradicts).await?;
        Ok(Followed { next, observed, claims, summary, incomplete: incomplete || reduced })
    }

    /// Ends sessions where rules ask for it and nothing speaks against it.
    async fn respond(
        &self,
        observed: &mut [Observed],
        summary: &Summary,
        started: Option<&Facts>,
        contradicts: bool,
    ) -> Result<(), Failure> {
        for observed in observed {
            let Some(rule) = observed.draft.rule().and_then(|id| self.rules.rule(id)) else { continue };
            let session = observed.draft.facts.session.clone().unwrap_or_default();
            let claimed = summary.claims.get(&session).map(Facts::to_session).unwrap_or_default();
            let started: Option<Session> = started.map(Facts::to_session);
            let identity = if contradicts { Identity::Disagrees } else { Identity::of(&claimed, started.as_ref()) };
            respond(self.app, self.invocation, observed, rule.response, Source::LogStream, identity).await?;
        }
        Ok(())
    }

    fn contradiction(&self) -> Observed {
        let title = "A log stream names several sessions, principals or targets";
        let origin = self.origin();
        let draft = Draft {
            facts: Facts { session: origin.named.map(|id| id.to_string()), ..Facts::default() },
            notes: vec!["Whoever can write to the log group can forge events in it. Nothing is done on the word of this stream.".to_owned()],
            evidence: Some(origin.path.clone()),
            ..Draft::new(DraftKind::IdentityConflict, warden_rules::Level::High, title)
        };
        crate::audit::notice(draft, &origin.path)
    }

    async fn raise(&self, observed: &[Observed], now: Timestamp) -> Result<(), Failure> {
        for observed in observed {
            if self.invocation.is_over() {
                return Err(Failure::OutOfTime);
            }
            self.app.count_raised(Box::pin(self.outbox.gather(observed, now)).await?);
        }
        Ok(self.outbox.flush(now).await?)
    }

    /// Notes where the reading stands, and that the session was read; `false` if somebody else was faster.
    async fn keep(&self, followed: Followed, expect: Expect, now: Timestamp) -> Result<bool, Failure> {
        let Followed { mut next, claims, summary, incomplete, .. } = followed;
        let LogBatch { log_group, log_stream, events, .. } = self.batch;
        next.finished = false;
        next.commands += summary.commands;
        next.findings += summary.findings;
        next.bytes += events.iter().map(|event| event.message.len() as u64).sum::<u64>();
        next.incomplete |= incomplete || summary.deviations.iter().any(|deviation| deviation.is_incomplete());
        let claimed = digest(claims.iter().map(|(session, _)| session.as_str()));
        let is_new = !claims.is_empty() && std::mem::replace(&mut next.claimed, claimed.clone()) != claimed;
        if !self.app.ledger.put_stream(log_group, log_stream, &next.to_text(), expect, now).await? {
            return Ok(false);
        }
        self.count(&summary);
        if is_new {
            for (session, claim) in &claims {
                self.app.ledger.put_claim(session, claim, now).await?;
            }
        }
        if let Some(session) = self.origin().named {
            self.app.ledger.put_receipt(session.as_str(), &self.receipt(&next, &summary, now), now).await?;
            if is_new {
                self.app.ledger.note_record(session.as_str(), now).await?;
            }
        }
        Ok(true)
    }

    fn count(&self, summary: &Summary) {
        self.app.count(Metric::Commands, summary.commands);
        for (rule, count) in &summary.by_rule {
            self.app.count_findings(rule, *count);
        }
    }

    fn receipt(&self, next: &Following, summary: &Summary, now: Timestamp) -> Receipt {
        Receipt {
            kind: "log-stream".to_owned(),
            path: self.origin().path,
            version: None,
            etag: None,
            sha256: None,
            rules_version: self.rules.version().to_owned(),
            result: if next.incomplete { Scan::Incomplete } else { Scan::Whole },
            bytes: next.bytes,
            commands: next.commands,
            findings: next.findings,
            deviations: summary.deviations.iter().map(ToString::to_string).collect(),
            at: now,
        }
    }

    fn origin(&self) -> Origin {
        let LogBatch { account, log_group, log_stream, .. } = self.batch;
        Origin {
            kind: Kind::LogStream,
            path: format!("cloudwatch://{log_group}/{log_stream}"),
            version: None,
            named: SessionId::parse(log_stream),
            uploader: None,
            account: Some(account.clone()).filter(|account| !account.is_empty()),
            stored: None,
        }
    }
}

fn same(one: &LogEvent, other: &LogEvent) -> bool {
    one.at == other.at && one.message == other.message
}
