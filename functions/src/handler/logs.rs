//! `logs`: what is typed in sessions, seconds later, from the log streams that agents write.

use jiff::Timestamp;
use serde_json::Value;
use warden_aws::FetchError;
use warden_rules::Level;
use warden_session::timeline::Deviation;
use warden_session::{Item, Kind, Session, SessionId};

use super::records;
use crate::app::{App, Invocation};
use crate::audit::{Audit, Origin, Summary};
use crate::dedup::{Observed, digest};
use crate::draft::{Draft, DraftKind};
use crate::error::Failure;
use crate::follow::{Following, Gap, Plan, line};
use crate::history::Past;
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
        // One message that looks like a record of CloudTrail is text of a session like any other.
        Work::Logs(batch) if batch.api_calls().len() < batch.events.len() || batch.events.is_empty() => {
            Follower { reading, batch: &batch }.follow().await
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
    let batch = LogBatch { log_group: group.to_owned(), log_stream: stream.to_owned(), ..LogBatch::default() };
    let rules = app.rules();
    let reading = Reading { app, invocation, outbox, rules: &rules };
    let follower = Follower { reading: &reading, batch: &batch };
    let running = |text: String| Following::from_text(&text).filter(|next| !next.finished);
    let mut loaded = app.ledger.stream(group, stream, now).await?;
    if loaded.value.clone().and_then(running).is_some_and(|next| next.hole) {
        follower.follow().await?;
        loaded = app.ledger.stream(group, stream, now).await?;
    }
    let Some(mut next) = loaded.value.and_then(running) else { return Ok(()) };
    let mut audit = Audit::new(app.policy(&rules), follower.origin());
    let (reader, counts) = next.resume();
    audit.resume(counts);
    if let Some(facts) = follower.started(now).await? {
        audit.remember(&facts);
    }
    reader.finish(&mut |item| audit.item(item));
    reading.raise(audit.take()).await?;
    next.finished = true;
    // If another batch came in between, it is finished by the next run.
    app.ledger.put_stream(group, stream, &next.to_text(), loaded.expect, now).await?;
    Ok(())
}

/// Reads one batch of one stream.
struct Follower<'a> {
    reading: &'a Reading<'a>,
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
        let Reading { app, invocation, .. } = self.reading;
        if app.is_refused(&self.origin()) {
            app.count(Metric::RecordsRefused, 1);
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            let now = invocation.now();
            let loaded = app.ledger.stream(log_group, log_stream, now).await?;
            let following = loaded.value.as_deref().and_then(Following::from_text).unwrap_or_default();
            let Some(mut followed) = self.read(&following, now).await? else { return Ok(()) };
            // First what was found, then where the reading stands: whoever dies in between reads the batch once more.
            self.reading.raise(std::mem::take(&mut followed.observed)).await?;
            if self.keep(followed, loaded.expect, now).await? {
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
            Plan::After(gap, events) => match self.past(gap).await {
                Ok(past) => {
                    let unknown = past.events.into_iter().filter(|event| !following.knows(event)).collect();
                    (following.clone(), merged(unknown, events), past.cut)
                }
                Err(error) => (following.clone().with_hole(!error.is_permanent()), events, true),
            },
            Plan::Again(gap, events) => match self.past(gap).await {
                Ok(past) if !past.cut => (following.afresh(), merged(past.events, events), false),
                Ok(_) => (following.out_of_order().with_hole(false), events, true),
                Err(error) => (following.out_of_order().with_hole(!error.is_permanent()), events, true),
            },
        };
        let started = self.started(now).await?;
        Ok(Some(self.audit(from, &events, started.as_ref(), incomplete).await?))
    }

    /// What lies in a gap. Without it the events are read all the same: no alert waits for the past.
    async fn past(&self, gap: Gap) -> Result<Past, FetchError> {
        let LogBatch { log_group, log_stream, .. } = self.batch;
        if log_group.is_empty() {
            return Err(FetchError::Missing);
        }
        let past = self.reading.app.history.between(log_group, log_stream, gap).await;
        past.inspect_err(
            |error| tracing::warn!(stream = log_stream, error = %error, "a gap in the stream cannot be read"),
        )
    }

    async fn started(&self, now: Timestamp) -> Result<Option<Facts>, Failure> {
        let Some(session) = self.origin().named else { return Ok(None) };
        Ok(self.reading.app.ledger.facts(session.as_str(), None, now).await?)
    }

    async fn audit(
        &self,
        mut next: Following,
        events: &[LogEvent],
        started: Option<&Facts>,
        incomplete: bool,
    ) -> Result<Followed, Failure> {
        let policy = self.reading.app.policy(self.reading.rules);
        let (mut reader, counts) = next.resume();
        let mut audit = Audit::new(policy, self.origin());
        audit.resume(counts);
        if let Some(facts) = started {
            audit.remember(facts);
        }
        for event in events {
            reader.feed(line(self.batch, event).as_bytes(), &mut |item| audit.item(item));
            next.read(event);
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
        let reduced = next.save(&reader, audit.counts());
        let contradicts = audit.summary().deviations.contains(&Deviation::IdentityConflict);
        early.complain_of_unread();
        audit.complain_of_unread();
        let mut observed = audit.take();
        observed.append(&mut early.take());
        if contradicts {
            observed.push(self.contradiction());
        }
        let mut summary = audit.summary().clone();
        summary.dropped += early.summary().dropped;
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
        let Reading { app, invocation, rules, .. } = *self.reading;
        // What the agent uploads at the end is text, and comes when nothing can be ended any more.
        let events = &self.batch.events;
        let live = !events.is_empty() && events.iter().all(|event| event.message.starts_with('{'));
        let source = if live { Source::LogStream } else { Source::Stored };
        for observed in observed {
            let Some(rule) = observed.draft.rule().and_then(|id| rules.rule(id)) else { continue };
            let session = observed.draft.facts.session.clone().unwrap_or_default();
            let claimed = summary.claims.get(&session).map(Facts::to_session).unwrap_or_default();
            let started: Option<Session> = started.map(Facts::to_session);
            let identity = if contradicts { Identity::Disagrees } else { Identity::of(&claimed, started.as_ref()) };
            respond(app, invocation, observed, rule.response, source, identity).await?;
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
            ..Draft::new(DraftKind::IdentityConflict, Level::High, title)
        };
        crate::audit::notice(draft, &origin.path)
    }

    /// Notes that the session was read, and where the reading stands; `false` if somebody else was faster. In this order:
    /// whoever dies in between writes the same once more.
    async fn keep(&self, followed: Followed, expect: Expect, now: Timestamp) -> Result<bool, Failure> {
        let Followed { mut next, claims, summary, incomplete, .. } = followed;
        let LogBatch { log_group, log_stream, events, .. } = self.batch;
        let ledger = &self.reading.app.ledger;
        next.finished = false;
        next.commands += summary.commands;
        next.findings += summary.findings;
        next.bytes += events.iter().map(|event| event.message.len() as u64).sum::<u64>();
        let lost = summary.dropped > 0 || summary.deviations.iter().any(|deviation| deviation.is_incomplete());
        next.incomplete |= incomplete || lost;
        let claimed = digest(claims.iter().map(|(session, _)| session.as_str()));
        let is_new = !claims.is_empty() && std::mem::replace(&mut next.claimed, claimed.clone()) != claimed;
        if is_new {
            for (session, claim) in &claims {
                ledger.put_claim(session, claim, now).await?;
                // StartSession may have been heard of since: whoever comes second compares.
                let known = ledger.facts(session, None, now).await?;
                self.reading.compare(claim, known.as_ref()).await?;
            }
        }
        if let Some(session) = self.origin().named {
            if is_new {
                ledger.note_record(session.as_str(), now).await?;
            }
            ledger.put_receipt(session.as_str(), &self.receipt(&next, &summary, now), now).await?;
        }
        if !ledger.put_stream(log_group, log_stream, &next.to_text(), expect, now).await? {
            return Ok(false);
        }
        self.reading.count(&summary);
        Ok(true)
    }

    fn receipt(&self, next: &Following, summary: &Summary, now: Timestamp) -> Receipt {
        Receipt {
            kind: "log-stream".to_owned(),
            path: self.origin().path,
            version: None,
            etag: None,
            sha256: None,
            rules_version: self.reading.rules.version().to_owned(),
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

/// Events of a gap, and those of them that are not in it yet, by time.
fn merged(mut past: Vec<LogEvent>, events: Vec<LogEvent>) -> Vec<LogEvent> {
    let known = past.len();
    for event in events {
        let is_known = |past: &LogEvent| past.at == event.at && past.message == event.message;
        if !past.iter().take(known).any(is_known) {
            past.push(event);
        }
    }
    past.sort_by_key(|event| event.at);
    past
}
