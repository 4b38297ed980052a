//! What was observed -> claimed -> sent -> confirmed.
//!
//! An alert is claimed in the ledger before it is published and confirmed after it was. Whoever dies in between leaves a
//! claim that expires with the invocation's own time (and five seconds), which is before its event comes again; the next
//! attempt takes the claim over. Only then can an alert be published twice, with the same id.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::Kind;
use crate::dedup::{Observed, Seen, Sending, Step, Window, alert_id, step};
use crate::draft::{Draft, DraftKind};
use crate::ledger::table::{Expect, Key, TableError};
use crate::ledger::{ATTEMPTS, Due, Facts, FollowUps, Ledger, Loaded, Other};
use crate::sink::{SinkError, Sinks};

use gathered::Gathered;

mod cap;
mod due;
mod gathered;

/// Different commands of one window that get rows of their own; of what comes after them only the number is told.
pub const OTHERS_LIMIT: u64 = 500;

/// How long a claim outlives the invocation that made it.
pub const LEASE_MARGIN: SignedDuration = SignedDuration::from_secs(5);

/// Sends alerts in the course of one invocation.
#[derive(Debug)]
pub struct Outbox<'a> {
    /// What was sent before.
    pub ledger: &'a Ledger,
    /// Where alerts go.
    pub sinks: &'a Sinks,
    /// Caps and times.
    pub limits: Limits,
    /// Id of the invocation.
    pub by: String,
    /// Until when its claims hold.
    pub lease: Timestamp,
    /// Windows that were met, whose initial alerts are settled.
    met: Mutex<BTreeMap<String, Met>>,
    /// What is still to be written.
    gathered: Mutex<Gathered>,
}

/// Caps and times of an [`Outbox`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long different commands are gathered.
    pub follow_up: SignedDuration,
    /// Alerts of one rule in an hour.
    pub rule_cap: u64,
    /// Alerts about one session.
    pub session_cap: u64,
}

#[derive(Clone, Debug)]
struct Met {
    window: Window,
    /// Minute for which a follow-up was noted.
    due: Option<i64>,
    /// Rows that others made for different commands, once it is known.
    known: Option<u64>,
    /// Rows made here for different commands.
    others: u64,
    /// Different commands that got none, not written yet.
    unlisted: u64,
}

/// What became of something observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    /// It was sent.
    Sent,
    /// It was seen before, or its command was: it counts.
    Merged,
    /// The follow-up will list it.
    Listed,
    /// A cap was reached: the digest will list it.
    Withheld,
}

/// Why something could not be settled. It will come again with its event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// The ledger.
    #[error("ledger: {0}")]
    Table(#[from] TableError),
    /// A sink.
    #[error("sink {0}")]
    Sink(#[from] SinkError),
}

/// An alert that was sent without the principal.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Awaiting {
    key: String,
    opened: Timestamp,
    draft: Draft,
    claimed_until: Option<Timestamp>,
    /// Sinks that have taken the update.
    #[serde(default)]
    done: Vec<String>,
}

impl<'a> Outbox<'a> {
    /// An outbox for an invocation that ends at `deadline` at the latest.
    pub fn new(ledger: &'a Ledger, sinks: &'a Sinks, limits: Limits, by: &str, deadline: Timestamp) -> Self {
        let lease = deadline.saturating_add(LEASE_MARGIN).unwrap_or(deadline);
        Self { ledger, sinks, limits, by: by.to_owned(), lease, met: Mutex::default(), gathered: Mutex::default() }
    }

    /// Settles something observed: its alert is sent, or it counts under one that was.
    ///
    /// # Errors
    /// What ledger and sinks answer. Nothing is lost if the same is observed again.
    pub async fn raise(&self, observed: &Observed, now: Timestamp) -> Result<Raised, OutboxError> {
        let raised = self.gather(observed, now).await?;
        self.flush(now).await?;
        Ok(raised)
    }

    /// The same for one of many: what is to be sent is sent, what is only to be remembered is written in pieces, and
    /// settled with the next [`Outbox::flush`].
    ///
    /// # Errors
    /// What ledger and sinks answer. Nothing is lost if everything since the last flush is observed again.
    pub async fn gather(&self, observed: &Observed, now: Timestamp) -> Result<Raised, OutboxError> {
        let raised = self.settle_any(observed, now).await?;
        if self.is_plenty() {
            self.flush(now).await?;
        }
        Ok(raised)
    }

    async fn settle_any(&self, observed: &Observed, now: Timestamp) -> Result<Raised, OutboxError> {
        if let Some(before) = &observed.before {
            let seen = self.seen(before, &observed.finding_id, now).await?;
            if seen.value.is_some() {
                let observed = Observed { key: before.clone(), before: None, ..observed.clone() };
                return self.settle_one(&observed, &seen, now).await;
            }
        }
        let seen = self.seen(&observed.key, &observed.finding_id, now).await?;
        self.settle_one(observed, &seen, now).await
    }

    async fn settle_one(
        &self,
        observed: &Observed,
        before: &Loaded<Seen>,
        now: Timestamp,
    ) -> Result<Raised, OutboxError> {
        let seen = before.value.as_ref();
        let mut raised = Raised::Merged;
        for _ in 0..ATTEMPTS {
            let (window, expect) = self.window(&observed.key, now).await?;
            match (step(window.as_ref(), seen, observed, &self.by, now), window) {
                (Step::Open, _) => {
                    let window = Window::open(observed, &self.by, now, self.lease);
                    if self.ledger.put_window(&observed.key, &window, expect, now).await? {
                        let opened = window.opened;
                        raised = self.deliver(&observed.key, window, true, now).await?;
                        self.mark(observed, before, opened);
                        return Ok(raised);
                    }
                }
                (Step::Resume, Some(mut window)) => {
                    let done = match &window.initial {
                        Sending::Claimed { done, .. } => done.clone(),
                        Sending::Sent { .. } | Sending::Withheld { .. } => Vec::new(),
                    };
                    window.initial = Sending::Claimed { by: self.by.clone(), until: self.lease, done };
                    if self.ledger.put_window(&observed.key, &window, expect, now).await? {
                        raised = self.deliver(&observed.key, window, false, now).await?;
                    }
                }
                (Step::Add { at_once }, Some(window)) => {
                    return self.add(observed, before, &window, at_once, now).await;
                }
                (Step::Merge | Step::Resume | Step::Add { .. }, window) => {
                    let known = seen.map(|seen| seen.opened);
                    if let Some(opened) = known.or(window.map(|window| window.opened)) {
                        self.mark(observed, before, opened);
                    }
                    return Ok(raised);
                }
            }
        }
        Err(TableError::Contended.into())
    }

    /// The latest window of a key; one whose initial alert is settled and that is still open is read once.
    async fn window(&self, key: &str, now: Timestamp) -> Result<(Option<Window>, Expect), OutboxError> {
        if let Some(met) = self.met(key)
            && met.window.closes > now
        {
            return Ok((Some(met.window), Expect::Absent));
        }
        let loaded = self.ledger.window(key, now).await?;
        if let Some(window) = loaded.value.as_ref().filter(|window| !matches!(window.initial, Sending::Claimed { .. }))
        {
            self.meet(key, window);
        }
        Ok((loaded.value, loaded.expect))
    }

    fn met(&self, key: &str) -> Option<Met> {
        self.mets().get(key).cloned()
    }

    fn meet(&self, key: &str, window: &Window) {
        let mut met = self.mets();
        if met.len() >= MET_LIMIT {
            // What was counted and is not written yet stays.
            met.retain(|_, met| met.unlisted > 0 || met.others > 0);
        }
        let new = Met { window: window.clone(), due: None, known: None, others: 0, unlisted: 0 };
        let known = met.entry(key.to_owned()).or_insert_with(|| new.clone());
        if known.window.opened == window.opened {
            known.window = window.clone();
        } else {
            *known = new;
        }
    }

    fn mets(&self) -> MutexGuard<'_, BTreeMap<String, Met>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a window's initial alert, which this invocation has claimed, and confirms it.
    async fn deliver(
        &self,
        key: &str,
        mut window: Window,
        counts: bool,
        now: Timestamp,
    ) -> Result<Raised, OutboxError> {
        let Sending::Claimed { mut done, .. } = window.initial.clone() else { return Ok(Raised::Merged) };
        if counts && let Some(scope) = self.exceeded(&window.first, now).await? {
            self.withhold(key, &window, &scope, now).await?;
            window.initial = Sending::Withheld { at: now };
            self.settle(key, &window, now).await?;
            return Ok(Raised::Withheld);
        }
        let session = window.first.facts.session.clone();
        let known = self.known(&window.first, now).await?;
        let id = alert_id(key, window.opened, "initial", 0);
        let alert = window.first.alert(known.as_ref(), id, key, now);
        if let Err(error) = self.sinks.send(&alert, &mut done).await {
            // The next attempt begins at once, with the sinks that are still missing.
            window.initial = Sending::Claimed { by: self.by.clone(), until: now, done };
            self.settle(key, &window, now).await?;
            return Err(error.into());
        }
        // Only what a rule found: a record whose identity is in doubt gets no principal later either.
        let finding = window.first.kind == DraftKind::Finding;
        let awaits = session.filter(|_| finding && alert.session.principal.is_none());
        if let Some(session) = &awaits {
            let awaiting = Awaiting {
                key: key.to_owned(),
                opened: window.opened,
                draft: window.first.clone(),
                claimed_until: None,
                done: Vec::new(),
            };
            let sk = format!("AWAITS#{key}#{}", window.opened.as_millisecond());
            self.ledger.store(self.ledger.key("S", session, sk), &awaiting, Expect::Any, now).await?;
        }
        window.initial = Sending::Sent { at: now };
        self.settle(key, &window, now).await?;
        if let Some(session) = &awaits {
            // StartSession may have been heard of since.
            self.principal_known(session, now).await?;
        }
        Ok(Raised::Sent)
    }

    /// Writes how far the initial alert is, if the window is still the one that was claimed.
    async fn settle(&self, key: &str, window: &Window, now: Timestamp) -> Result<(), OutboxError> {
        let place = self.ledger.key("K", key, "WINDOW");
        let (opened, initial) = (window.opened, window.initial.clone());
        self.ledger
            .change(&place, now, |current: Option<Window>| {
                let mut current = current.filter(|current| current.opened == opened)?;
                if matches!(current.initial, Sending::Sent { .. } | Sending::Withheld { .. }) {
                    return None;
                }
                current.initial = initial.clone();
                Some(current)
            })
            .await?;
        if !matches!(window.initial, Sending::Claimed { .. }) {
            self.meet(key, window);
        }
        Ok(())
    }

    /// What is known of the session that a draft is about.
    async fn known(&self, draft: &Draft, now: Timestamp) -> Result<Option<Facts>, OutboxError> {
        let Some(session) = &draft.facts.session else { return Ok(None) };
        // A record whose identity is in doubt gets no principal from elsewhere.
        if draft.kind == DraftKind::IdentityConflict {
            return Ok(None);
        }
        Ok(self.ledger.facts(session, draft.facts.account.as_deref(), now).await?)
    }

    /// Another finding of a window.
    async fn add(
        &self,
        observed: &Observed,
        before: &Loaded<Seen>,
        window: &Window,
        at_once: bool,
        now: Timestamp,
    ) -> Result<Raised, OutboxError> {
        if observed.command == window.command && !at_once {
            self.mark(observed, before, window.opened);
            return Ok(Raised::Merged);
        }
        let opened = window.opened;
        let sk = format!("C#{}#{}", opened.as_millisecond(), observed.command);
        let place = self.ledger.key("K", &observed.key, sk);
        let claimed_until = at_once.then_some(self.lease);
        let other = Other {
            draft: observed.draft.clone(),
            finding_id: observed.finding_id.clone(),
            at: now,
            listed: false,
            claimed_until,
        };
        let raised = if at_once {
            if self.ledger.store_new(place, &other, now).await? {
                self.note_follow_up(&observed.key, opened, now).await?;
                self.escalate(observed, window, now).await?;
                Raised::Sent
            } else {
                Raised::Merged
            }
        } else if self.is_full(&observed.key, opened, now).await? {
            self.met_mut(&observed.key, |met| met.unlisted += 1);
            Raised::Listed
        } else if self.list(place, other) {
            self.met_mut(&observed.key, |met| met.others += 1);
            Raised::Listed
        } else {
            Raised::Merged
        };
        self.mark(observed, before, opened);
        Ok(raised)
    }

    /// Sends at once what has a higher level than anything before it in its window.
    async fn escalate(&self, observed: &Observed, window: &Window, now: Timestamp) -> Result<(), OutboxError> {
        let key = &observed.key;
        let known = self.known(&observed.draft, now).await?;
        let id = alert_id(key, window.opened, &observed.finding_id, 0);
        let mut alert = observed.draft.alert(known.as_ref(), id, key, now);
        alert.kind = Kind::FollowUp;
        alert.update_of = Some(alert_id(key, window.opened, "initial", 0));
        // If this fails, the follow-up lists it.
        self.sinks.send(&alert, &mut Vec::new()).await?;
        let sk = format!("C#{}#{}", window.opened.as_millisecond(), observed.command);
        let listed = |other: Option<Other>| other.map(|other| Other { listed: true, ..other });
        self.ledger.change(&self.ledger.key("K", key, sk), now, listed).await?;
        let level = observed.draft.level.clone();
        let raise = |current: Option<Window>| current.map(|current| Window { level: level.clone(), ..current });
        self.ledger.change(&self.ledger.key("K", key, "WINDOW"), now, raise).await?;
        self.meet(key, &Window { level: observed.draft.level.clone(), ..window.clone() });
        Ok(())
    }

    /// Notes that a window has a follow-up, once in each minute.
    async fn note_follow_up(&self, key: &str, opened: Timestamp, now: Timestamp) -> Result<(), OutboxError> {
        let at = now.saturating_add(self.limits.follow_up).unwrap_or(now);
        let minute = at.as_second().div_euclid(60);
        if self.met(key).is_some_and(|met| met.due == Some(minute)) {
            return Ok(());
        }
        self.ledger.put_due(at, &Due::FollowUp { key: key.to_owned(), opened }, now).await?;
        self.met_mut(key, |met| met.due = Some(minute));
        Ok(())
    }

    /// Whether a window has as many rows for different commands as it may have, whoever made them.
    async fn is_full(&self, key: &str, opened: Timestamp, now: Timestamp) -> Result<bool, OutboxError> {
        let Some(met) = self.met(key) else { return Ok(false) };
        let mut known = met.known;
        if known.is_none() {
            let state: Loaded<FollowUps> = self.ledger.load(&self.follow_ups(key, opened), now).await?;
            known = Some(state.value.map_or(0, |state| state.others));
            self.met_mut(key, |met| met.known = known);
        }
        Ok(known.unwrap_or_default() + met.others >= OTHERS_LIMIT)
    }

    /// Where it stands how many follow-ups a window had.
    fn follow_ups(&self, key: &str, opened: Timestamp) -> Key {
        self.ledger.key("K", key, format!("FU#{}", opened.as_millisecond()))
    }

    fn met_mut(&self, key: &str, change: impl FnOnce(&mut Met)) {
        if let Some(met) = self.mets().get_mut(key) {
            change(met);
        }
    }

    /// The principal of a session has become known: alerts that were sent without it get their update.
    ///
    /// # Errors
    /// What ledger and sinks answer; what is not updated yet stays noted.
    pub async fn principal_known(&self, session: &str, now: Timestamp) -> Result<u32, OutboxError> {
        let Some(facts) = self.ledger.facts(session, None, now).await?.filter(|facts| facts.principal.is_some()) else {
            return Ok(0);
        };
        let mut sent = 0;
        for (place, _) in self.ledger.list::<Awaiting>("S", session, "AWAITS#", now).await? {
            let mut claimed = None;
            let claim = |awaiting: Option<Awaiting>| {
                claimed = awaiting.filter(|row| row.claimed_until.is_none_or(|until| until <= now));
                claimed.clone().map(|row| Awaiting { claimed_until: Some(self.lease), ..row })
            };
            if !self.ledger.change(&place, now, claim).await? {
                continue;
            }
            let Some(Awaiting { key, opened, draft, mut done, .. }) = claimed else { continue };
            let mut alert = draft.alert(Some(&facts), alert_id(&key, opened, "update", 0), &key, now);
            alert.kind = Kind::Update;
            alert.update_of = Some(alert_id(&key, opened, "initial", 0));
            if let Err(error) = self.sinks.send(&alert, &mut done).await {
                let release =
                    |row: Option<Awaiting>| row.map(|row| Awaiting { claimed_until: None, done: done.clone(), ..row });
                self.ledger.change(&place, now, release).await?;
                return Err(error.into());
            }
            self.ledger.remove(&place, Expect::Any).await?;
            sent += 1;
        }
        Ok(sent)
    }
}

/// Windows that one invocation remembers.
const MET_LIMIT: usize = 1024;
