//! What is sent later: follow-ups and digests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use warden_rules::Level;

use super::cap::Held;
use super::{Outbox, OutboxError};
use crate::alert::{Alert, Kind};
use crate::dedup::{Seen, Window, alert_id, digest};
use crate::draft::{Draft, DraftKind};
use crate::ledger::table::{Expect, Key, Range};
use crate::ledger::{Attempt, Due, FollowUps, Other, QUERY_LIMIT, finding};

/// Most findings of one follow-up or digest.
const FINDINGS_PER_ALERT: usize = 20;
/// Most bytes of the findings of one follow-up or digest: an alert must fit into 256 KiB in every form.
const BYTES_PER_ALERT: usize = 96 * 1024;
/// Most rows that say what is due, for one run.
const DUE_LIMIT: u32 = 100;

/// What the follow-ups of one window have in common.
#[derive(Clone, Copy, Debug)]
struct Listing<'a> {
    key: &'a str,
    opened: Timestamp,
    /// What they come after, if that is known.
    first: Option<&'a Draft>,
    count: u64,
}

/// What is due: a follow-up of a window, or the digest of a cap.
type What = (String, Option<Timestamp>);

impl Outbox<'_> {
    /// Sends what is due by now, until `is_over`; how many alerts were sent. What fails stays due, and keeps nothing from the
    /// rest.
    ///
    /// # Errors
    /// The first failure of ledger or sinks.
    pub async fn send_due(&self, now: Timestamp, is_over: &dyn Fn() -> bool) -> Result<u32, OutboxError> {
        let (mut sent, mut failure, mut after) = (0, None, None);
        let mut done: BTreeMap<What, bool> = BTreeMap::new();
        loop {
            let rows = self.ledger.due(DUE_LIMIT, after, now).await?;
            after = rows.last().map(|(place, _)| place.sk.clone());
            let full = rows.len() >= DUE_LIMIT as usize;
            for (place, due) in rows {
                if is_over() {
                    tracing::warn!("no time is left for what else is due");
                    return failure.map_or(Ok(sent), Err);
                }
                let what = match &due {
                    Due::FollowUp { key, opened } => (key.clone(), Some(*opened)),
                    Due::Digest { scope } => (scope.clone(), None),
                };
                // The same window may be due for many minutes: it is looked at once.
                let settled = match done.get(&what) {
                    Some(settled) => *settled,
                    None => match self.send_one(&due, now, &mut sent).await {
                        Ok(settled) => settled,
                        Err(error) => {
                            failure = failure.or(Some(error));
                            false
                        }
                    },
                };
                done.insert(what, settled);
                if settled {
                    self.ledger.remove(&place, Expect::Any).await?;
                }
            }
            if !full {
                return failure.map_or(Ok(sent), Err);
            }
        }
    }

    /// Sends what is due under one claim; `false` if somebody else is at it: whether they succeed will be seen.
    async fn send_one(&self, due: &Due, now: Timestamp, sent: &mut u32) -> Result<bool, OutboxError> {
        let place = match due {
            Due::FollowUp { key, opened } => self.follow_ups(key, *opened),
            Due::Digest { scope } => self.ledger.key("CAP", scope, "DIGEST"),
        };
        let mut state = FollowUps::default();
        let claim = |current: Option<FollowUps>| {
            state = current.unwrap_or_default();
            let free = state.claimed_until.is_none_or(|until| until <= now);
            free.then(|| FollowUps { claimed_until: Some(self.lease), ..state.clone() })
        };
        if !self.ledger.change(&place, now, claim).await? {
            return Ok(false);
        }
        let mut teller = Teller { outbox: self, place: &place, state, sent: 0, now };
        let result = match due {
            Due::FollowUp { key, opened } => teller.follow_up(key, *opened).await,
            Due::Digest { scope } => teller.digest(scope).await,
        };
        *sent += teller.sent;
        let release = |state: Option<FollowUps>| state.map(|state| FollowUps { claimed_until: None, ..state });
        self.ledger.change(&place, now, release).await?;
        result.map(|()| true)
    }

    /// How often what a window is about was seen: the maximum over kinds of sources.
    async fn count_seen(&self, key: &str, opened: Timestamp, now: Timestamp) -> Result<u64, OutboxError> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let pk = self.ledger.key("K", key, "").pk;
        let mut after = None;
        loop {
            let range = Range { pk: pk.clone(), prefix: "F#".to_owned(), after, until: None, limit: QUERY_LIMIT };
            let rows = self.ledger.rows::<Seen>(range, now).await?;
            after = rows.last().map(|(place, _)| place.sk.clone());
            let full = rows.len() >= QUERY_LIMIT as usize;
            for source in rows.into_iter().filter(|(_, seen)| seen.opened == opened).flat_map(|(_, seen)| seen.sources)
            {
                *counts.entry(source).or_default() += 1;
            }
            if !full {
                return Ok(counts.into_values().max().unwrap_or_default());
            }
        }
    }
}

/// Sends the alerts that are due under one claim, and notes how far it is.
struct Teller<'a, 'o> {
    outbox: &'a Outbox<'o>,
    /// Where `state` is kept.
    place: &'a Key,
    state: FollowUps,
    sent: u32,
    now: Timestamp,
}

impl Teller<'_, '_> {
    /// Sends the different commands of a window that no alert has listed.
    async fn follow_up(&mut self, key: &str, opened: Timestamp) -> Result<(), OutboxError> {
        let Outbox { ledger, limits, .. } = self.outbox;
        let (mut after, mut waits, now) = (None, false, self.now);
        let window = ledger.window(key, now).await?.value.filter(|window| window.opened == opened);
        let count = self.outbox.count_seen(key, opened, now).await?;
        let first = window.as_ref().map(|window: &Window| &window.first);
        let about = Listing { key, opened, first, count };
        loop {
            let prefix = format!("C#{}#", opened.as_millisecond());
            let pk = ledger.key("K", key, "").pk;
            let range = Range { pk, prefix, after, until: None, limit: QUERY_LIMIT };
            let mut rows = ledger.rows::<Other>(range, now).await?;
            let full = rows.len() >= QUERY_LIMIT as usize;
            after = rows.last().map(|(place, _)| place.sk.clone());
            rows.retain(|(_, other)| !other.listed);
            let all = rows.len();
            rows.retain(|(_, other)| other.claimed_until.is_none_or(|until| until <= now));
            waits |= rows.len() < all;
            rows.sort_by(|(_, one), (_, two)| (one.at, &one.finding_id).cmp(&(two.at, &two.finding_id)));
            for chunk in chunks(rows, self.state.attempt.as_ref(), |other| &other.draft) {
                self.tell(&about, &chunk).await?;
                for (place, _) in chunk {
                    let listed = |other: Option<Other>| other.map(|other| Other { listed: true, ..other });
                    ledger.change(&place, now, listed).await?;
                }
            }
            if !full {
                break;
            }
        }
        if let Some(first) = first.filter(|_| self.state.unlisted > self.state.told) {
            // Nothing is left to list, but there was more than was listed.
            self.tell_drafts(&Listing { first: None, ..about }, &[first], Vec::new()).await?;
        }
        if waits {
            // Somebody is sending one at once; if they fail, it is listed next time.
            let at = now.saturating_add(limits.follow_up).unwrap_or(now);
            ledger.put_due(at, &Due::FollowUp { key: key.to_owned(), opened }, now).await?;
        }
        Ok(())
    }

    /// Sends one follow-up.
    async fn tell(&mut self, about: &Listing<'_>, rows: &[(Key, Other)]) -> Result<(), OutboxError> {
        let drafts: Vec<&Draft> = rows.iter().map(|(_, other)| &other.draft).collect();
        self.tell_drafts(about, &drafts, names(rows)).await
    }

    async fn tell_drafts(
        &mut self,
        about: &Listing<'_>,
        drafts: &[&Draft],
        rows: Vec<String>,
    ) -> Result<(), OutboxError> {
        let Listing { key, opened, first, count } = *about;
        let Some(newest) = drafts.last() else { return Ok(()) };
        let known = self.outbox.known(newest, self.now).await?;
        let id = alert_id(key, opened, "follow-up", self.state.sent);
        let Some(mut alert) = gathered(first, drafts, known.as_ref(), id, key, self.now) else { return Ok(()) };
        alert.kind = Kind::FollowUp;
        alert.update_of = Some(alert_id(key, opened, "initial", 0));
        alert.count = count;
        let told = self.state.told.max(self.state.unlisted);
        let more = told - self.state.told;
        if more > 0 {
            alert.notes.push(format!("{more} further commands are not listed: the evidence has them"));
        }
        self.send(&alert, rows).await?;
        self.state.told = told;
        self.note().await
    }

    /// Sends what a cap withheld.
    async fn digest(&mut self, scope: &str) -> Result<(), OutboxError> {
        let ledger = self.outbox.ledger;
        loop {
            let rows = ledger.list::<Held>("DIGEST", scope, "", self.now).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for chunk in chunks(rows, self.state.attempt.as_ref(), |held| &held.draft) {
                let drafts: Vec<&Draft> = chunk.iter().map(|(_, held)| &held.draft).collect();
                let id = digest(["digest", scope].into_iter().chain(chunk.iter().map(|(place, _)| place.sk.as_str())));
                let Some(mut alert) = gathered(None, &drafts, None, id, "", self.now) else { continue };
                alert.kind = Kind::Digest;
                alert.dedup_key = None;
                alert.title = format!("{} alerts that a cap withheld", chunk.len());
                alert.count = chunk.len() as u64;
                alert.notes = vec![format!("The cap on {scope} is reached: alerts are gathered in digests.")];
                alert.notes.extend(drafts.iter().filter(|draft| draft.finding.is_none()).map(|draft| told_of(draft)));
                self.send(&alert, names(&chunk)).await?;
                self.note().await?;
                for (place, _) in chunk {
                    ledger.remove(&place, Expect::Any).await?;
                }
            }
        }
    }

    /// Sends an alert to the sinks that do not have it yet. If one fails, the next attempt is about the same rows.
    async fn send(&mut self, alert: &Alert, rows: Vec<String>) -> Result<(), OutboxError> {
        let mut done = self.state.attempt.take().filter(|attempt| attempt.rows == rows).unwrap_or_default().done;
        if let Err(error) = self.outbox.sinks.send(alert, &mut done).await {
            self.state.attempt = Some(Attempt { rows, done });
            self.note().await?;
            return Err(error.into());
        }
        self.state.sent += 1;
        self.sent += 1;
        Ok(())
    }

    /// Notes how far it is.
    async fn note(&self) -> Result<(), OutboxError> {
        let FollowUps { sent, told, attempt, .. } = self.state.clone();
        let note = |state: Option<FollowUps>| {
            let state = state.unwrap_or_default();
            Some(FollowUps { sent, told, attempt: attempt.clone(), ..state })
        };
        self.outbox.ledger.change(self.place, self.now, note).await?;
        Ok(())
    }
}

/// What a draft without a finding says, in one line: about which session, where, and where to look.
fn told_of(draft: &Draft) -> String {
    let Draft { facts, evidence, .. } = draft;
    let about = [("session", &facts.session), ("on", &facts.target), ("by", &facts.principal), ("in", evidence)];
    let about: Vec<String> =
        about.into_iter().filter_map(|(word, value)| value.as_ref().map(|value| format!("{word} {value}"))).collect();
    format!("{} ({}): {}", draft.title, about.join(" "), draft.notes.join("; "))
}

fn names<T>(rows: &[(Key, T)]) -> Vec<String> {
    rows.iter().map(|(place, _)| place.sk.clone()).collect()
}

/// One alert over several drafts, as high as the highest of them. `first` is what they come after, if that is known.
fn gathered(
    first: Option<&Draft>,
    drafts: &[&Draft],
    known: Option<&crate::ledger::Facts>,
    id: String,
    key: &str,
    now: Timestamp,
) -> Option<Alert> {
    let (begins, rest) = match first {
        Some(first) => (first, drafts),
        None => (*drafts.first()?, drafts.get(1..).unwrap_or_default()),
    };
    let newest = drafts.last()?;
    let mut alert = begins.alert(known, id, key, now);
    alert.level = drafts.iter().map(|draft| draft.level()).max().unwrap_or(Level::Medium);
    alert.others = rest.iter().filter_map(|draft| draft.finding.as_ref().and_then(finding::parse)).collect();
    alert.evidence.clone_from(&newest.evidence);
    alert.evidence_version.clone_from(&newest.evidence_version);
    if newest.kind != DraftKind::Finding {
        alert.notes.extend(rest.iter().flat_map(|draft| draft.notes.iter().cloned()));
    }
    Some(alert)
}

/// Rows in pieces that fit into one alert each; first those of an attempt that not every sink has taken.
fn chunks<T>(mut rows: Vec<(Key, T)>, attempt: Option<&Attempt>, draft: impl Fn(&T) -> &Draft) -> Vec<Vec<(Key, T)>> {
    let mut chunks = Vec::new();
    if let Some(attempt) = attempt {
        let (again, others): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|(place, _)| attempt.rows.contains(&place.sk));
        rows = others;
        chunks.extend(Some(again).filter(|again| !again.is_empty()));
    }
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let length = draft(&row.1).finding.as_ref().map_or(0, |finding| finding.to_string().len());
        if chunk.len() >= FINDINGS_PER_ALERT || (bytes + length > BYTES_PER_ALERT && !chunk.is_empty()) {
            chunks.push(std::mem::take(&mut chunk));
            bytes = 0;
        }
        bytes += length;
        chunk.push(row);
    }
    chunks.extend(Some(chunk).filter(|chunk| !chunk.is_empty()));
    chunks
}
