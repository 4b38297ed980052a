//! `reconcile`: every five minutes what is due and what is missing; every night once more over two days.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use warden_rules::Level;

use crate::app::{App, Invocation};
use crate::audit::notice;
use crate::dedup::Observed;
use crate::draft::{Draft, DraftKind};
use crate::error::{Failure, caught};
use crate::handler::logs;
use crate::ledger::table::Expect;
use crate::ledger::{Claim, Facts, Loaded, QUERY_LIMIT, Receipt};
use crate::metrics::Metric;
use crate::outbox::{Outbox, Raised};
use crate::preferences::{DOCUMENT, Preferences};
use crate::reconcile::{Held, RECORD_GRACE, Standard, changed, judge, unknown_session};
use crate::ssm::{Known, SsmError, Which};

/// How far back sessions are looked at that began then: for the frequent run, and for the nightly one.
pub const FREQUENT_SPAN: SignedDuration = SignedDuration::from_hours(3);
/// See [`FREQUENT_SPAN`].
pub const NIGHTLY_SPAN: SignedDuration = SignedDuration::from_hours(50);

/// Sessions that have run for longer are remembered: no run may look back on their start when they end. Without
/// `maxSessionDuration` in the preferences a session has no end.
const LONG: SignedDuration = SignedDuration::from_hours(2);

/// How old the first record of a session must be before it is asked whether there is such a session.
const RECORD_AGE: SignedDuration = SignedDuration::from_hours(1);

/// Which run it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Run {
    /// Every five minutes.
    #[default]
    Frequent,
    /// Every night.
    Nightly,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Input {
    run: Run,
}

/// When this deployment ran first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Since {
    at: Timestamp,
}

/// The preferences at the last look, and how often they had changed: the same change may come again, and is told again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Looked {
    changes: u64,
    preferences: Preferences,
}

/// Handles a schedule's event: `{"run":"frequent"}` or `{"run":"nightly"}`; any other object is a frequent run. Answers with
/// what it did.
///
/// # Errors
/// What ledger, sinks and Systems Manager answer, after everything was tried: one failure keeps nothing from the rest.
pub async fn handle(app: &App, invocation: &Invocation, event: &[u8]) -> Result<Value, Failure> {
    let input: Input = serde_json::from_slice(event).unwrap_or_default();
    let outbox = app.outbox(invocation);
    let now = invocation.now();
    app.learn_mask_key(now).await?;
    app.refresh_rules(&outbox, now).await?;
    // Whatever is due, half of the time is for the sessions.
    let half = invocation.deadline.duration_since(now) / 2;
    let sent = outbox.send_due(now, &|| invocation.now().duration_since(now) > half).await;
    let mut run = Reconciler { app, invocation, outbox: &outbox, now, judged: 0, failure: None };
    run.note_failure(sent.as_ref().err().cloned().map_or(Ok(()), |error| Err(error.into())));
    let judged = Box::pin(run.sessions(input.run)).await;
    run.note_failure(judged);
    run.note_failure(outbox.flush(invocation.now()).await.map_err(Failure::from));
    match run.failure {
        Some(failure) => Err(failure),
        None => Ok(json!({ "sent": sent.unwrap_or_default(), "sessions": run.judged })),
    }
}

struct Reconciler<'a> {
    app: &'a App,
    invocation: &'a Invocation,
    outbox: &'a Outbox<'a>,
    now: Timestamp,
    judged: usize,
    /// The first failure: everything else is tried all the same.
    failure: Option<Failure>,
}

impl Reconciler<'_> {
    fn note_failure(&mut self, result: Result<(), Failure>) {
        if let Err(failure) = result {
            tracing::error!(error_type = failure.error_type(), error = %failure, "a part of the run was not done");
            self.failure.get_or_insert(failure);
        }
    }

    /// Holds sessions against their records.
    async fn sessions(&mut self, run: Run) -> Result<(), Failure> {
        let since = self.since().await?;
        let preferences = match self.preferences().await {
            Ok(preferences) => preferences,
            Err(failure) => {
                self.note_failure(Err(failure));
                None
            }
        };
        let standard = Standard { now: self.now, since, preferences };
        let span = if run == Run::Nightly { NIGHTLY_SPAN } else { FREQUENT_SPAN };
        let began = self.now.saturating_sub(span).unwrap_or(self.now);
        let mut met = BTreeSet::new();
        for which in [Which::Active, Which::EndedSince(began)] {
            let Some(described) = self.described(&which).await else { continue };
            met.extend(described.iter().filter_map(|known| known.facts.session.clone()));
            for known in described {
                self.judged(&known, &standard).await?;
            }
        }
        Box::pin(self.long_lived(&met, &standard)).await?;
        self.records(run, since).await
    }

    /// Judges a session. One that cannot be judged keeps nothing from the others.
    async fn judged(&mut self, known: &Known, standard: &Standard) -> Result<(), Failure> {
        if self.invocation.is_over() {
            return Err(Failure::OutOfTime);
        }
        let result = Box::pin(caught(self.session(known, standard))).await;
        self.note_failure(result);
        self.judged += 1;
        Ok(())
    }

    /// Sessions that began before what a run looks back on: their end is asked for one by one.
    async fn long_lived(&mut self, met: &BTreeSet<String>, standard: &Standard) -> Result<(), Failure> {
        let rows = self.app.ledger.list::<String>("LONG", "", "", self.now).await?;
        for (key, session) in rows.into_iter().filter(|(_, session)| !met.contains(session)) {
            let Some(described) = self.described(&Which::Id(session)).await else { continue };
            let long_over = |ended: Timestamp| self.now.duration_since(ended) > RECORD_GRACE;
            let over = described.iter().all(|known| known.facts.ended.is_some_and(long_over));
            for known in described {
                self.judged(&known, standard).await?;
            }
            if over {
                self.app.ledger.remove(&key, Expect::Any).await?;
            }
        }
        Ok(())
    }

    async fn described(&mut self, which: &Which) -> Option<Vec<Known>> {
        let answer = self.app.sessions.describe(which).await;
        let described = self.answered(answer)?;
        if described.cut {
            let title = "Systems Manager knows more sessions than are looked at";
            let draft = Draft::new(DraftKind::Operator, Level::High, title);
            let told = self.raise(&notice(draft, "sessions")).await;
            self.note_failure(told);
        }
        Some(described.sessions)
    }

    /// What Systems Manager answers. That it does not is a failure of the run, for somebody may have seen to it; but when it is
    /// asked too much the next run asks again.
    fn answered<T>(&mut self, answer: Result<T, SsmError>) -> Option<T> {
        match &answer {
            Ok(_) => {}
            Err(error) if error.code.starts_with("Throttl") => {
                self.app.count(Metric::RecordsFailed, 1);
                tracing::warn!(error_type = "Warden.SystemsManagerThrottled", "Systems Manager is asked too much");
            }
            Err(error) => {
                self.app.count(Metric::RecordsFailed, 1);
                self.note_failure(Err(error.clone().into()));
            }
        }
        answer.ok()
    }

    async fn session(&self, known: &Known, standard: &Standard) -> Result<(), Failure> {
        let Some(session) = known.facts.session.as_deref() else { return Ok(()) };
        let (held, claims) = self.held(session).await?;
        for observed in judge(known, &held, standard) {
            self.raise(&observed).await?;
        }
        let named = held.facts.as_ref().is_some_and(|facts| facts.principal.is_some());
        if held
            .facts
            .as_ref()
            .is_none_or(|facts| facts.principal.is_none() || (facts.ended.is_none() && known.facts.ended.is_some()))
        {
            self.app.ledger.put_facts(&known.facts, self.now).await?;
        }
        if !named && known.facts.principal.is_some() {
            self.outbox.principal_known(session, self.now).await?;
        }
        let age = known.facts.started.map_or(SignedDuration::ZERO, |started| self.now.duration_since(started));
        if known.facts.ended.is_none() && age > LONG {
            self.app.ledger.store(self.app.ledger.key("LONG", "", session), &session, Expect::Any, self.now).await?;
        }
        if known.facts.ended.is_some() {
            for path in claims.iter().filter(|claim| claim.kind == "log-stream").map(|claim| &claim.path) {
                logs::finish(self.app, self.invocation, self.outbox, path).await?;
            }
        }
        Ok(())
    }

    /// All that is known here of a session, with one question.
    async fn held(&self, session: &str) -> Result<(Held, Vec<Claim>), Failure> {
        let rows = self.app.ledger.list::<Value>("S", session, "", self.now).await?;
        let (mut held, mut claims) = (Held::default(), Vec::new());
        for (key, row) in rows {
            if key.sk.starts_with("FACTS#") {
                let facts: Option<Facts> = serde_json::from_value(row).ok();
                let delivered = facts.as_ref().is_some_and(|facts| facts.event_id.is_some());
                if delivered || held.facts.is_none() {
                    held.facts = facts;
                }
            } else if key.sk.starts_with("RECEIPT#") {
                held.receipts.extend(serde_json::from_value::<Receipt>(row));
            } else if key.sk.starts_with("CLAIM#") {
                claims.extend(serde_json::from_value::<Claim>(row));
            }
        }
        Ok((held, claims))
    }

    /// Records without a session, by the hour in which they were first read.
    async fn records(&mut self, run: Run, since: Timestamp) -> Result<(), Failure> {
        let hours = if run == Run::Nightly { 48 } else { 2 };
        for hour in 0..hours {
            let age = RECORD_AGE.saturating_add(SignedDuration::from_hours(hour));
            let at = self.now.saturating_sub(age).unwrap_or(self.now);
            let mut after = None;
            loop {
                let sessions = self.app.ledger.recorded(at, after.take(), self.now).await?;
                for session in &sessions {
                    if self.invocation.is_over() {
                        return Err(Failure::OutOfTime);
                    }
                    let result = self.record(session, since).await;
                    self.note_failure(result);
                }
                if sessions.len() < QUERY_LIMIT as usize {
                    break;
                }
                after = sessions.last().cloned();
            }
        }
        Ok(())
    }

    async fn record(&mut self, session: &str, since: Timestamp) -> Result<(), Failure> {
        let (held, claims) = self.held(session).await?;
        let own = |claim: &Claim| claim.account.as_deref().is_none_or(|account| account == self.app.config.account);
        // Whether the session began before this deployment is not known: of the first day nothing can be said.
        let young = self.now.duration_since(since) < NIGHTLY_SPAN / 2;
        if held.facts.is_some() || young || !claims.iter().all(own) {
            return Ok(());
        }
        let which = Which::Id(session.to_owned());
        let Some(described) = self.described(&which).await else { return Ok(()) };
        if described.is_empty() {
            self.raise(&unknown_session(session, claims.first().map(|claim| claim.path.as_str()))).await?;
        }
        Ok(())
    }

    /// Since when this deployment runs: the first run notes it.
    async fn since(&self) -> Result<Timestamp, Failure> {
        let key = self.app.ledger.key("R", "", "SINCE");
        self.app.ledger.store_new(key.clone(), &Since { at: self.now }, self.now).await?;
        let since: Loaded<Since> = self.app.ledger.load(&key, self.now).await?;
        Ok(since.value.map_or(self.now, |since| since.at))
    }

    /// The session preferences now; what changed since the last look is told.
    async fn preferences(&mut self) -> Result<Option<Preferences>, Failure> {
        let answer = self.app.sessions.document(DOCUMENT).await;
        let Some(content) = self.answered(answer) else { return Ok(None) };
        let preferences = match content {
            None => Some(Preferences::default()),
            Some(content) => Preferences::parse(&content),
        };
        let Some(now) = preferences else {
            let title = "The session preferences cannot be read";
            let note = "What the agents make of the document is not known: they may record sessions nowhere.";
            let draft = Draft::new(DraftKind::Audit, Level::High, title);
            self.raise(&notice(Draft { notes: vec![note.to_owned()], ..draft }, DOCUMENT)).await?;
            return Ok(None);
        };
        let key = self.app.ledger.key("R", "", "PREFERENCES");
        let before: Loaded<Looked> = self.app.ledger.load(&key, self.now).await?;
        let changes = before.value.as_ref().map_or(0, |looked| looked.changes + 1);
        let known = before.value.as_ref().map(|looked| &looked.preferences);
        if let Some(observed) = changed(known, &now, changes) {
            self.raise(&observed).await?;
        }
        if known != Some(&now) {
            let looked = Looked { changes, preferences: now.clone() };
            self.app.ledger.store(key, &looked, Expect::Any, self.now).await?;
        }
        Ok(Some(now))
    }

    async fn raise(&self, observed: &Observed) -> Result<(), Failure> {
        if self.outbox.raise(observed, self.now).await? == Raised::Sent {
            self.app.count(Metric::AlertsSent, 1);
        }
        Ok(())
    }
}
