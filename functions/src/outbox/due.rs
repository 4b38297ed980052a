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
use crate::ledger::{Due, FollowUps, Other, QUERY_LIMIT, finding};

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
    /// Where it stands how many were sent.
    place: &'a Key,
    /// What they come after, if that is known.
    first: Option<&'a Draft>,
    count: u64,
}

impl Outbox<'_> {
    /// Sends what is due by now; how many alerts were sent. What fails stays due, and keeps nothing from the rest.
    ///
    /// # Errors
    /// The first failure of ledger or sinks.
    pub async fn send_due(&self, now: Timestamp) -> Result<u32, OutboxError> {
        let (mut sent, mut failure) = (0, None);
        for (place, due) in self.ledger.due(DUE_LIMIT, now).await? {
            let done = match &due {
                Due::FollowUp { key, opened } => self.follow_up(key, *opened, now).await,
                Due::Digest { scope } => self.digest(scope, now).await,
            };
            match done {
                Ok(Some(alerts)) => {
                    sent += alerts;
                    self.ledger.remove(&place, Expect::Any).await?;
                }
                // Somebody else is sending it: whether they succeed will be seen.
                Ok(None) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(sent), Err)
    }

    /// Sends the different commands of a window that no alert has listed; `None` if somebody else is at it.
    async fn follow_up(&self, key: &str, opened: Timestamp, now: Timestamp) -> Result<Option<u32>, OutboxError> {
        let place = self.ledger.key("K", key, format!("FU#{}", opened.as_millisecond()));
        let mut state = FollowUps::default();
        let claim = |current: Option<FollowUps>| {
            state = current.unwrap_or_default();
            let free = state.claimed_until.is_none_or(|until| until <= now);
            free.then(|| FollowUps { claimed_until: Some(self.lease), ..state.clone() })
        };
        if !self.ledger.change(&place, now, claim).await? {
            return Ok(None);
        }
        let result = self.send_follow_ups(key, opened, &place, state, now).await;
        let release = |state: Option<FollowUps>| state.map(|state| FollowUps { claimed_until: None, ..state });
        self.ledger.change(&place, now, release).await?;
        result.map(Some)
    }

    async fn send_follow_ups(
        &self,
        key: &str,
        opened: Timestamp,
        place: &Key,
        mut state: FollowUps,
        now: Timestamp,
    ) -> Result<u32, OutboxError> {
        let (mut sent, mut after, mut waits) = (0, None, false);
        let window = self.ledger.window(key, now).await?.value.filter(|window| window.opened == opened);
        let count = self.count_seen(key, opened, now).await?;
        let first = window.as_ref().map(|window: &Window| &window.first);
        let about = Listing { key, opened, place, first, count };
        loop {
            let prefix = format!("C#{}#", opened.as_millisecond());
            let pk = self.ledger.key("K", key, "").pk;
            let range = Range { pk, prefix, after, until: None, limit: QUERY_LIMIT };
            let mut rows = self.ledger.rows::<Other>(range, now).await?;
            let full = rows.len() >= QUERY_LIMIT as usize;
            after = rows.last().map(|(place, _)| place.sk.clone());
            rows.retain(|(_, other)| !other.listed);
            let all = rows.len();
            rows.retain(|(_, other)| other.claimed_until.is_none_or(|until| until <= now));
            waits |= rows.len() < all;
            rows.sort_by(|(_, one), (_, two)| (one.at, &one.finding_id).cmp(&(two.at, &two.finding_id)));
            for chunk in chunks(&rows, |(_, other)| &other.draft) {
                let drafts: Vec<&Draft> = chunk.iter().map(|(_, other)| &other.draft).collect();
                self.tell(&about, &mut state, &drafts, now).await?;
                for (place, _) in chunk {
                    let listed = |other: Option<Other>| other.map(|other| Other { listed: true, ..other });
                    self.ledger.change(place, now, listed).await?;
                }
                sent += 1;
            }
            if !full {
                break;
            }
        }
        if let Some(first) = first.filter(|_| state.unlisted > state.told) {
            // Nothing is left to list, but there was more than was listed.
            self.tell(&Listing { first: None, ..about }, &mut state, &[first], now).await?;
            sent += 1;
        }
        if waits {
            // Somebody is sending one at once; if they fail, it is listed next time.
            let at = now.saturating_add(self.limits.follow_up).unwrap_or(now);
            self.ledger.put_due(at, &Due::FollowUp { key: key.to_owned(), opened }, now).await?;
        }
        Ok(sent)
    }

    /// Sends one follow-up, and notes that it was sent.
    async fn tell(
        &self,
        about: &Listing<'_>,
        state: &mut FollowUps,
        drafts: &[&Draft],
        now: Timestamp,
    ) -> Result<(), OutboxError> {
        let Listing { key, opened, place, first, count } = *about;
        let Some(newest) = drafts.last() else { return Ok(()) };
        let known = self.known(newest, now).await?;
        let id = alert_id(key, opened, "follow-up", state.sent);
        let Some(mut alert) = gathered(first, drafts, known.as_ref(), id, key, now) else { return Ok(()) };
        alert.kind = Kind::FollowUp;
        alert.update_of = Some(alert_id(key, opened, "initial", 0));
        alert.count = count;
        if state.unlisted > state.told {
            let more = state.unlisted - state.told;
            alert.notes.push(format!("{more} further commands are not listed: the evidence has them"));
        }
        self.sinks.send(&alert, &mut Vec::new()).await?;
        state.sent += 1;
        state.told = state.told.max(state.unlisted);
        let (count, told) = (state.sent, state.told);
        let tell = |state: Option<FollowUps>| state.map(|state| FollowUps { sent: count, told, ..state });
        self.ledger.change(place, now, tell).await?;
        Ok(())
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

    /// Sends what a cap withheld.
    async fn digest(&self, scope: &str, now: Timestamp) -> Result<Option<u32>, OutboxError> {
        let mut sent = 0;
        loop {
            let rows = self.ledger.list::<Held>("DIGEST", scope, "", now).await?;
            if rows.is_empty() {
                return Ok(Some(sent));
            }
            for chunk in chunks(&rows, |(_, held)| &held.draft) {
                let drafts: Vec<&Draft> = chunk.iter().map(|(_, held)| &held.draft).collect();
                let id = digest(["digest", scope].into_iter().chain(chunk.iter().map(|(place, _)| place.sk.as_str())));
                let Some(mut alert) = gathered(None, &drafts, None, id, "", now) else { continue };
                alert.kind = Kind::Digest;
                alert.dedup_key = None;
                alert.title = format!("{} alerts that a cap withheld", chunk.len());
                alert.count = chunk.len() as u64;
                alert.notes = vec![format!("The cap on {scope} is reached: alerts are gathered in digests.")];
                let titles = drafts.iter().filter(|draft| draft.finding.is_none());
                alert.notes.extend(titles.map(|draft| format!("{}: {}", draft.title, draft.notes.join("; "))));
                self.sinks.send(&alert, &mut Vec::new()).await?;
                for (place, _) in chunk {
                    self.ledger.remove(place, Expect::Any).await?;
                }
                sent += 1;
            }
        }
    }
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

/// Rows in pieces that fit into one alert each.
fn chunks<T>(rows: &[T], draft: impl Fn(&T) -> &Draft) -> Vec<&[T]> {
    let (mut chunks, mut rest) = (Vec::new(), rows);
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take(FINDINGS_PER_ALERT).take_while(|row| {
            bytes += draft(row).finding.as_ref().map_or(0, |finding| finding.to_string().len());
            bytes <= BYTES_PER_ALERT
        });
        let (chunk, after) = rest.split_at(fitting.count().max(1).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}
