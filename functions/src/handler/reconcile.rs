//! `reconcile`: every five minutes what is due and what is missing; every night once more over two days.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::{App, Invocation};
use crate::dedup::Observed;
use crate::error::Failure;
use crate::handler::logs;
use crate::ledger::table::Expect;
use crate::ledger::{Claim, Facts, Loaded, QUERY_LIMIT, Receipt};
use crate::metrics::Metric;
use crate::outbox::{Outbox, Raised};
use crate::preferences::{DOCUMENT, Preferences};
use crate::reconcile::{Held, Standard, changed, judge, unknown_session};
use crate::ssm::{Known, SsmError, Which};

/// How far back sessions are looked at that began then: for the frequent run, and for the nightly one.
pub const FREQUENT_SPAN: SignedDuration = SignedDuration::from_hours(3);
/// See [`FREQUENT_SPAN`]. The longest session that AWS allows is 24 hours.
pub const NIGHTLY_SPAN: SignedDuration = SignedDuration::from_hours(50);

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
/// What ledger and sinks answer, after everything was tried. What Systems Manager refuses is logged, counted and tried again
/// by the next run: follow-ups do not wait for it.
pub async fn handle(app: &App, invocation: &Invocation, event: &[u8]) -> Result<Value, Failure> {
    let input: Input = serde_json::from_slice(event).unwrap_or_default();
    let outbox = app.outbox(invocation);
    let now = invocation.now();
    app.learn_mask_key(now).await?;
    app.refresh_rules(&outbox, now).await?;
    let due = outbox.send_due(now).await;
    let run = Reconciler { app, invocation, outbox: &outbox, now };
    let judged = Box::pin(run.sessions(input.run)).await;
    outbox.flush(invocation.now()).await?;
    let (sent, judged) = (due?, judged?);
    Ok(json!({ "sent": sent, "sessions": judged }))
}

struct Reconciler<'a> {
    app: &'a App,
    invocation: &'a Invocation,
    outbox: &'a Outbox<'a>,
    now: Timestamp,
}

impl Reconciler<'_> {
    /// Holds sessions against their records; how many.
    async fn sessions(&self, run: Run) -> Result<usize, Failure> {
        let since = self.since().await?;
        let preferences = self.preferences().await?;
        let standard = Standard { now: self.now, since, preferences };
        let span = if run == Run::Nightly { NIGHTLY_SPAN } else { FREQUENT_SPAN };
        let began = self.now.saturating_sub(span).unwrap_or(self.now);
        let mut judged = 0;
        for which in [Which::Active, Which::EndedSince(began)] {
            let Some(described) = self.described(&which).await else { continue };
            for known in described {
                if self.invocation.is_over() {
                    tracing::warn!(judged, "no time is left for the other sessions");
                    return Ok(judged);
                }
                self.session(&known, &standard).await?;
                judged += 1;
            }
        }
        self.records(run, since).await?;
        Ok(judged)
    }

    async fn described(&self, which: &Which) -> Option<Vec<Known>> {
        let described = self.answered(self.app.sessions.describe(which).await)?;
        if described.cut {
            tracing::warn!(sessions = described.sessions.len(), "there are more sessions than are looked at");
        }
        Some(described.sessions)
    }

    fn answered<T>(&self, answer: Result<T, SsmError>) -> Option<T> {
        if let Err(error) = &answer {
            self.app.count(Metric::RecordsFailed, 1);
            tracing::error!(error_type = "Warden.SystemsManagerFailed", error = %error, "Systems Manager does not answer");
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
    async fn records(&self, run: Run, since: Timestamp) -> Result<(), Failure> {
        let hours = if run == Run::Nightly { 48 } else { 2 };
        for hour in 0..hours {
            let age = RECORD_AGE.saturating_add(SignedDuration::from_hours(hour));
            let at = self.now.saturating_sub(age).unwrap_or(self.now);
            let mut after = None;
            loop {
                let sessions = self.app.ledger.recorded(at, after.take(), self.now).await?;
                for session in &sessions {
                    if self.invocation.is_over() {
                        return Ok(());
                    }
                    self.record(session, since).await?;
                }
                if sessions.len() < QUERY_LIMIT as usize {
                    break;
                }
                after = sessions.last().cloned();
            }
        }
        Ok(())
    }

    async fn record(&self, session: &str, since: Timestamp) -> Result<(), Failure> {
        let (held, claims) = self.held(session).await?;
        let own =
            |claim: &Claim| claim.facts.account.as_deref().is_none_or(|account| account == self.app.config.account);
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
    async fn preferences(&self) -> Result<Option<Preferences>, Failure> {
        let Some(content) = self.answered(self.app.sessions.document(DOCUMENT).await) else { return Ok(None) };
        let preferences = match content {
            None => Some(Preferences::default()),
            Some(content) => Preferences::parse(&content),
        };
        let Some(now) = preferences else {
            tracing::error!(error_type = "Warden.PreferencesMalformed", "the session preferences cannot be read");
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
