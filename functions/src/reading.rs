//! Records are read: S3 objects and API calls, from their first byte to their receipt.

use serde_json::Value;
use warden_aws::FetchError;
use warden_rules::RuleSet;
use warden_session::timeline::Deviation;
use warden_session::{ApiCall, Item, Kind, Reader, SessionId};

use crate::app::{App, Invocation};
use crate::audit::identity::{self, conflicts, uploading_node};
use crate::audit::{Audit, Origin, Summary, notice};
use crate::dedup::Observed;
use crate::draft::DraftKind;
use crate::error::Failure;
use crate::ledger::{Claim, Facts, Receipt, Scan};
use crate::metrics::Metric;
use crate::object::{Opened, named_session};
use crate::outbox::Outbox;
use crate::response::{Identity, Source, respond};
use crate::source::{LogBatch, ObjectRef};

mod feed;
mod settle;

pub use feed::Belongs;
use feed::{Ended, Feed};

/// Bytes of an object that are read between two looks at what was found.
const SLICE: usize = 4 * 1024;

/// Reads records in the course of one invocation.
#[derive(Debug)]
pub struct Reading<'a> {
    /// What outlives the invocation.
    pub app: &'a App,
    /// The invocation.
    pub invocation: &'a Invocation,
    /// Sends alerts.
    pub outbox: &'a Outbox<'a>,
    /// Rules.
    pub rules: &'a RuleSet,
}

impl Reading<'_> {
    /// Reads an object of any kind, with constant memory, up to the size cap.
    ///
    /// # Errors
    /// An object that cannot be read to its end, what ledger and sinks answer. What was found until then is settled.
    pub async fn object(&self, object: &ObjectRef, belongs: Belongs) -> Result<(), Failure> {
        let mut origin = origin_of(object);
        if self.app.is_refused(&origin) {
            self.app.count(Metric::RecordsRefused, 1);
            tracing::warn!("an object of our own output was delivered: it is not read");
            return Ok(());
        }
        if belongs == Belongs::ApiCalls && is_sibling(&object.key) {
            return Ok(());
        }
        let mut opened = self.app.store.open(object).await?;
        if let Some(length) = object.size.filter(|size| *size > opened.length && object.etag == opened.etag) {
            // An answer that promises too little looks whole when it ends.
            return Err(FetchError::Truncated { at: opened.length, length }.into());
        }
        if opened.version.is_none() && object.etag.is_some() && object.etag != opened.etag {
            let title = "A session's record was replaced before it was read";
            let note = "The bucket keeps no versions: what its notification was about is gone.";
            let session = origin.named.as_ref().map(SessionId::as_str);
            self.raise(vec![settle::about(&origin, session, title, vec![note.to_owned()])]).await?;
        }
        origin.version.clone_from(&opened.version);
        origin.stored = object.at.or(opened.stored);
        let started = self.started(origin.named.as_ref()).await?;
        let policy = self.app.policy(self.rules);
        let mut feed = Feed::new(policy, belongs, origin.clone(), started.clone(), self.app.config.size_cap);
        match self.feed(&mut feed, &mut opened).await {
            Ok(()) => {}
            Err(Failure::OutOfTime) => {
                return Box::pin(self.out_of_time(&origin, &mut feed, &opened)).await;
            }
            Err(failure) => {
                // What was found so far is not lost with it.
                self.outbox.flush(self.invocation.now()).await?;
                return Err(failure);
            }
        }
        let ended = feed.finish();
        match self.drain(&mut feed, false).await {
            Err(Failure::OutOfTime) => {
                return Box::pin(self.out_of_time(&origin, &mut feed, &opened)).await;
            }
            drained => drained?,
        }
        self.app.count(Metric::BytesRead, feed.bytes());
        if let Ended::Misplaced(kind) = ended {
            return self.misplaced(&origin, kind).await;
        }
        let Some(audit) = feed.audit() else { return self.unrecognised(&origin, &feed, &opened).await };
        complain(audit, ended, &opened);
        let observed = audit.take();
        self.gather(observed, Some(Source::Stored)).await?;
        self.outbox.flush(self.invocation.now()).await?;
        let (summary, claims) = (audit.summary().clone(), audit.claims().map(owned).collect::<Vec<_>>());
        self.count(&summary);
        if audit.kind() != Kind::ApiCall {
            let receipt = self.receipt(audit.source_kind(), &origin, &opened, &feed, &summary, ended);
            self.settle(&origin, &claims, started.as_ref(), &receipt).await?;
        }
        Ok(())
    }

    /// Reads a record of CloudTrail that was delivered by itself.
    ///
    /// # Errors
    /// What ledger and sinks answer.
    pub async fn api_call(&self, record: &Value) -> Result<(), Failure> {
        let id = record.get("eventID").and_then(Value::as_str).unwrap_or("-");
        self.api_calls(&format!("cloudtrail:{id}"), &record.to_string()).await
    }

    /// Reads records of CloudTrail that came through a log group.
    ///
    /// # Errors
    /// What ledger and sinks answer.
    pub async fn api_call_log(&self, batch: &LogBatch, records: &[Value]) -> Result<(), Failure> {
        let path = format!("cloudwatch://{}/{}", batch.log_group, batch.log_stream);
        for record in records {
            self.api_calls(&path, &record.to_string()).await?;
        }
        Ok(())
    }

    async fn api_calls(&self, path: &str, text: &str) -> Result<(), Failure> {
        let origin = Origin {
            kind: Kind::ApiCall,
            path: path.to_owned(),
            version: None,
            named: None,
            uploader: None,
            account: None,
            stored: None,
        };
        if self.app.is_refused(&origin) {
            self.app.count(Metric::RecordsRefused, 1);
            return Ok(());
        }
        let mut audit = Audit::new(self.app.policy(self.rules), origin);
        let (mut reader, mut items) = (Reader::new(Kind::ApiCall), Vec::new());
        reader.feed(text.as_bytes(), &mut |item| items.push(item));
        reader.finish(&mut |item| items.push(item));
        self.items(&mut audit, items, true).await?;
        self.outbox.flush(self.invocation.now()).await?;
        self.count(audit.summary());
        Ok(())
    }

    /// Feeds the object's bytes, and settles what is found on the way.
    async fn feed(&self, feed: &mut Feed<'_>, opened: &mut Opened) -> Result<(), Failure> {
        loop {
            let piece = match opened.next(self.invocation.left()).await {
                Err(_) if self.invocation.is_over() => return Err(Failure::OutOfTime),
                piece => piece?,
            };
            let Some(piece) = piece else { return Ok(()) };
            for slice in piece.chunks(SLICE) {
                feed.feed(slice);
                self.drain(feed, false).await?;
                if feed.is_over() {
                    return Ok(());
                }
                if self.invocation.is_over() {
                    return Err(Failure::OutOfTime);
                }
            }
        }
    }

    async fn drain(&self, feed: &mut Feed<'_>, live: bool) -> Result<(), Failure> {
        let items = feed.take_items();
        let Some(audit) = feed.audit() else { return Ok(()) };
        if !items.is_empty() {
            return self.items(audit, items, live).await;
        }
        let observed = audit.take();
        self.gather(observed, Some(Source::Stored)).await
    }

    /// Audits the items of API calls, each of which may tell who started a session.
    async fn items(&self, audit: &mut Audit<'_>, items: Vec<Item>, live: bool) -> Result<(), Failure> {
        for item in items {
            if let Item::ApiCall(call) = &item {
                self.learn(audit, call).await?;
            }
            audit.item(item);
            let observed = audit.take();
            let source = if live { Source::CloudTrail } else { Source::Stored };
            self.gather(observed, Some(source)).await?;
        }
        Ok(())
    }

    /// What a call says of a session's start goes to the ledger; of a call about a session it is asked who started that.
    async fn learn(&self, audit: &mut Audit<'_>, call: &ApiCall) -> Result<(), Failure> {
        let Some(session) = &call.session else { return Ok(()) };
        match (call.event_source.as_str(), call.event_name.as_str()) {
            ("ssm.amazonaws.com", "StartSession") | ("ecs.amazonaws.com", "ExecuteCommand")
                if call.error_code.is_none() =>
            {
                let facts = Facts::of_call(call);
                self.start(session, &facts).await?;
                audit.remember(&facts);
            }
            ("ssm.amazonaws.com", "ResumeSession" | "TerminateSession") => {
                if let Some(facts) = self.started(Some(session)).await? {
                    audit.remember(&facts);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A session was started: what was claimed of it before is compared, alerts without a principal get their update.
    async fn start(&self, session: &SessionId, facts: &Facts) -> Result<(), Failure> {
        let now = self.invocation.now();
        for other in self.app.ledger.all_facts(session.as_str(), now).await? {
            if let Some(conflict) = identity::two_starts(facts, &other) {
                self.raise(vec![notice(conflict, session.as_str())]).await?;
            }
        }
        self.app.ledger.put_facts(facts, now).await?;
        for claim in self.app.ledger.claims(session.as_str(), now).await? {
            self.compare(&claim, Some(facts)).await?;
        }
        let updates = Box::pin(self.outbox.principal_known(session.as_str(), now)).await?;
        self.app.count(Metric::AlertsSent, u64::from(updates));
        self.app.count(Metric::Sessions, 1);
        let path = format!("cloudtrail:{}", facts.event_id.as_deref().unwrap_or("-"));
        let receipt = Receipt {
            kind: "api-call".to_owned(),
            path,
            version: None,
            etag: None,
            sha256: None,
            rules_version: self.rules.version().to_owned(),
            result: Scan::Whole,
            bytes: 0,
            commands: 0,
            findings: 0,
            deviations: Vec::new(),
            at: now,
        };
        self.app.ledger.put_receipt(session.as_str(), &receipt, now).await?;
        tracing::info!(session = session.as_str(), "a session was started");
        Ok(())
    }

    /// Tells where a record disagrees with StartSession.
    pub(crate) async fn compare(&self, claim: &Claim, started: Option<&Facts>) -> Result<(), Failure> {
        let conflicts = conflicts(claim, started);
        if conflicts.is_empty() {
            return Ok(());
        }
        let observed = notice(identity::draft(claim, &conflicts, None), &claim.path);
        self.raise(vec![observed]).await
    }

    /// What StartSession said of a session.
    async fn started(&self, session: Option<&SessionId>) -> Result<Option<Facts>, Failure> {
        let Some(session) = session else { return Ok(None) };
        Ok(self.app.ledger.facts(session.as_str(), None, self.invocation.now()).await?)
    }

    /// Settles what was observed, and everything that was gathered before.
    pub(crate) async fn raise(&self, observed: Vec<Observed>) -> Result<(), Failure> {
        self.gather(observed, None).await?;
        Ok(self.outbox.flush(self.invocation.now()).await?)
    }

    /// Gathers what was observed, for a later [`Outbox::flush`]; alerts are sent at once. With a source, what a rule asks for
    /// is considered first.
    async fn gather(&self, observed: Vec<Observed>, source: Option<Source>) -> Result<(), Failure> {
        for mut observed in observed {
            if self.invocation.is_over() {
                return Err(Failure::OutOfTime);
            }
            let now = self.invocation.now();
            if observed.draft.kind == DraftKind::IdentityConflict {
                self.app.count(Metric::IdentityConflicts, 1);
            }
            if let Some(source) = source {
                self.consider(&mut observed, source).await?;
            }
            // On the heap: the calls behind it make a large future.
            self.app.count_raised(Box::pin(self.outbox.gather(&observed, now)).await?);
        }
        Ok(())
    }

    /// Whether the session is ended, where the rule asks for it.
    async fn consider(&self, observed: &mut Observed, source: Source) -> Result<(), Failure> {
        let Some(rule) = observed.draft.rule().and_then(|id| self.rules.rule(id)) else { return Ok(()) };
        let mut identity = Identity::NotKnown;
        if source != Source::Stored {
            let facts = &observed.draft.facts;
            let session = facts.session.as_deref().and_then(SessionId::parse);
            let started = self.started(session.as_ref()).await?.map(|facts| facts.to_session());
            identity = Identity::of(&facts.to_session(), started.as_ref());
        }
        Ok(Box::pin(respond(self.app, self.invocation, observed, rule.response, source, identity)).await?)
    }

    pub(crate) fn count(&self, summary: &Summary) {
        self.app.count(Metric::Commands, summary.commands);
        self.app.count(Metric::ApiCalls, summary.calls);
        self.app.count(Metric::Sessions, summary.claims.len() as u64);
        for (rule, count) in &summary.by_rule {
            self.app.count_findings(rule, *count);
        }
    }
}

/// What an object did not let us read is told: whoever pads a record must not hide behind the cap.
fn complain(audit: &mut Audit<'_>, ended: Ended, opened: &Opened) {
    if let Ended::AtCap { read } = ended {
        let note = format!("{read} bytes of {} were read (WARDEN_SIZE_CAP): what follows was not.", opened.length);
        audit.complain(DraftKind::Audit, "A record is larger than the size cap", note);
    }
    audit.complain_of_unread();
    if audit.summary().deviations.contains(&Deviation::IdentityConflict) {
        let note = "Two parts of the record name different sessions, principals or targets.".to_owned();
        audit.complain(DraftKind::IdentityConflict, "A record contradicts itself", note);
    }
}

fn owned((session, claim): (&str, Claim)) -> (String, Claim) {
    (session.to_owned(), claim)
}

/// The origin of an object, as its notification names it.
fn origin_of(object: &ObjectRef) -> Origin {
    Origin {
        kind: Kind::Transcript,
        path: format!("s3://{}/{}", object.bucket, object.key),
        version: object.version.clone(),
        named: named_session(&object.key),
        uploader: object.uploader.as_deref().and_then(uploading_node),
        // Whose bucket it is does not say whose session it was.
        account: None,
        stored: object.at,
    }
}

/// CloudTrail's digest and Insights files lie beside its records.
fn is_sibling(key: &str) -> bool {
    let within = |folder: &str| key.starts_with(&folder[1..]) || key.contains(folder);
    within("/CloudTrail-Digest/") || within("/CloudTrail-Insight/")
}
