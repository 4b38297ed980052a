//! Rows that are written behind: what is sent never waits, what is only remembered goes to the ledger in pieces.
//!
//! A session may hold ten thousand findings under one key. The first of them is claimed and sent at once; the others
//! become rows that a later run lists. Nothing is lost with rows that were not written yet: a record counts as done only
//! when they are ([`Outbox::flush`]), and until then it comes again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{MutexGuard, PoisonError};

use jiff::Timestamp;

use super::{Outbox, OutboxError};
use crate::dedup::{Observed, Seen};
use crate::ledger::table::{Expect, Key, Row, TOGETHER_BYTES, TOGETHER_LIMIT};
use crate::ledger::{FollowUps, Loaded, Other, QUERY_LIMIT};

/// Findings of one key that are looked up one by one; who asks for more gets all that were seen under it.
const LOOKED_UP: u32 = 8;

/// Findings that one invocation remembers as seen.
const SEEN_LIMIT: usize = 40_000;

/// Fewer rows than this are written one by one: a transaction costs twice as much.
const FEW: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// What was seen under each key, as far as it is known here.
    keys: BTreeMap<String, Known>,
    /// Findings in them.
    held: usize,
    /// Commands of windows that are not their first, by their places.
    others: BTreeMap<Key, Other>,
    /// Findings that were seen, by their places.
    seen: BTreeMap<Key, Waiting>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Known {
    seen: HashMap<String, Loaded<Seen>>,
    looked_up: u32,
    /// Whether what is not here was not seen.
    whole: bool,
}

#[derive(Clone, Debug)]
struct Waiting {
    key: String,
    finding: String,
    seen: Seen,
    expect: Expect,
}

impl Outbox<'_> {
    /// Whether a finding was seen under a key.
    pub(super) async fn seen(&self, key: &str, finding: &str, now: Timestamp) -> Result<Loaded<Seen>, OutboxError> {
        let many = {
            let mut gathered = self.gathered();
            let known = gathered.keys.entry(key.to_owned()).or_default();
            if let Some(seen) = known.seen.get(finding) {
                return Ok(seen.clone());
            }
            if known.whole {
                return Ok(Loaded { value: None, expect: Expect::Absent });
            }
            known.looked_up = known.looked_up.saturating_add(1);
            known.looked_up == LOOKED_UP
        };
        if many && self.look_up_all(key, now).await? {
            let gathered = self.gathered();
            let seen = gathered.keys.get(key).and_then(|known| known.seen.get(finding)).cloned();
            return Ok(seen.unwrap_or(Loaded { value: None, expect: Expect::Absent }));
        }
        Ok(self.ledger.seen(key, finding, now).await?)
    }

    /// Reads everything that was seen under a key; whether it fits.
    async fn look_up_all(&self, key: &str, now: Timestamp) -> Result<bool, OutboxError> {
        let mut after: Option<String> = None;
        loop {
            let rows = self.ledger.all_seen(key, after.as_deref(), now).await?;
            let full = rows.len() >= QUERY_LIMIT as usize;
            after = rows.last().map(|(finding, _)| finding.clone());
            let mut gathered = self.gathered();
            if gathered.held.saturating_add(rows.len()) > SEEN_LIMIT {
                return Ok(false);
            }
            for (finding, seen) in rows {
                // What waits to be written is newer.
                gathered.remember(key, &finding, seen, false);
            }
            if !full {
                gathered.keys.entry(key.to_owned()).or_default().whole = true;
                return Ok(true);
            }
        }
    }

    /// A source showed a finding; it counts under the window under which it was seen first.
    pub(super) fn mark(&self, observed: &Observed, before: &Loaded<Seen>, opened: Timestamp) {
        let Observed { key, finding_id, source, .. } = observed;
        let mut seen = before.value.clone().unwrap_or(Seen { opened, sources: Vec::new() });
        if seen.sources.iter().any(|known| known == source) {
            return;
        }
        seen.sources.push(source.clone());
        let place = self.ledger.key("K", key, format!("F#{finding_id}"));
        let mut gathered = self.gathered();
        let after = match before.expect {
            Expect::Version(version) => Expect::Version(version.saturating_add(1)),
            Expect::Absent | Expect::Any => Expect::Version(1),
        };
        gathered.remember(key, finding_id, Loaded { value: Some(seen.clone()), expect: after }, true);
        let mut expect = before.expect;
        if let Some(first) = gathered.seen.get(&place) {
            expect = first.expect;
        }
        gathered.seen.insert(place, Waiting { key: key.clone(), finding: finding_id.clone(), seen, expect });
    }

    /// A command of a window that is not its first; whether none like it waits already.
    pub(super) fn list(&self, place: Key, other: Other) -> bool {
        let mut gathered = self.gathered();
        if gathered.others.contains_key(&place) {
            return false;
        }
        gathered.bytes += other.draft.finding.as_ref().map_or(0, |finding| finding.to_string().len());
        gathered.others.insert(place, other);
        true
    }

    /// Whether there is enough for a piece.
    pub(super) fn is_plenty(&self) -> bool {
        let gathered = self.gathered();
        gathered.others.len() + gathered.seen.len() >= TOGETHER_LIMIT || gathered.bytes >= TOGETHER_BYTES
    }

    /// Writes the rows that wait: what was gathered until now is settled.
    ///
    /// # Errors
    /// What the ledger answers. What could not be written is forgotten, and has to be observed again.
    pub async fn flush(&self, now: Timestamp) -> Result<(), OutboxError> {
        let (others, seen) = {
            let mut gathered = self.gathered();
            gathered.bytes = 0;
            (std::mem::take(&mut gathered.others), std::mem::take(&mut gathered.seen))
        };
        let written = self.write_all(others, seen, now).await;
        if written.is_err() {
            *self.gathered() = Gathered::default();
        }
        written
    }

    /// Commands before the note that they are to be listed, that note before the findings that mention them: whoever dies in
    /// between tells twice rather than never.
    async fn write_all(
        &self,
        others: BTreeMap<Key, Other>,
        seen: BTreeMap<Key, Waiting>,
        now: Timestamp,
    ) -> Result<(), OutboxError> {
        let rows =
            others.iter().map(|(place, other)| Ok((self.ledger.row(place.clone(), other, now)?, Expect::Absent)));
        for piece in pieces(rows.collect::<Result<_, OutboxError>>()?) {
            if !self.write_together(&piece).await? {
                for (row, _) in piece {
                    if let Some(other) = others.get(&row.key) {
                        self.ledger.store_new(row.key, other, now).await?;
                    }
                }
            }
        }
        self.write_follow_ups(now).await?;
        let rows = seen.iter().map(|(place, at)| Ok((self.ledger.row(place.clone(), &at.seen, now)?, at.expect)));
        for piece in pieces(rows.collect::<Result<_, OutboxError>>()?) {
            if !self.write_together(&piece).await? {
                for Waiting { key, finding, seen, expect } in piece.iter().filter_map(|(row, _)| seen.get(&row.key)) {
                    self.ledger.mark_seen(key, finding, seen, *expect, now).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether these rows were written at once; if not, each is to be written for itself.
    async fn write_together(&self, piece: &[(Row, Expect)]) -> Result<bool, OutboxError> {
        // If somebody else was faster with one of them, none is written.
        Ok(piece.len() >= FEW && self.ledger.store_together(piece.to_vec()).await?)
    }

    /// Notes which windows have different commands to be listed: how many got rows, how many got none.
    async fn write_follow_ups(&self, now: Timestamp) -> Result<(), OutboxError> {
        let mut counted = Vec::new();
        for (key, met) in self.mets().iter_mut() {
            let (others, unlisted) = (std::mem::take(&mut met.others), std::mem::take(&mut met.unlisted));
            met.known = met.known.map(|known| known + others);
            if others + unlisted > 0 {
                counted.push((key.clone(), met.window.opened, others, unlisted));
            }
        }
        for (key, opened, others, unlisted) in counted {
            let count = |state: Option<FollowUps>| {
                let mut state = state.unwrap_or_default();
                state.others = state.others.saturating_add(others);
                state.unlisted = state.unlisted.saturating_add(unlisted);
                Some(state)
            };
            self.ledger.change(&self.follow_ups(&key, opened), now, count).await?;
            self.note_follow_up(&key, opened, now).await?;
        }
        Ok(())
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    fn remember(&mut self, key: &str, finding: &str, seen: Loaded<Seen>, is_newer: bool) {
        if self.held >= SEEN_LIMIT {
            // What was seen is looked up again.
            self.keys.clear();
            self.held = 0;
        }
        let known = self.keys.entry(key.to_owned()).or_default();
        if is_newer || !known.seen.contains_key(finding) {
            let is_new = known.seen.insert(finding.to_owned(), seen).is_none();
            self.held += usize::from(is_new);
        }
    }
}

/// Rows in pieces that one transaction takes.
fn pieces(rows: Vec<(Row, Expect)>) -> Vec<Vec<(Row, Expect)>> {
    let (mut pieces, mut bytes) = (vec![Vec::new()], 0);
    for row in rows {
        let length = row.0.body.len();
        if pieces.last().is_some_and(|piece| piece.len() >= TOGETHER_LIMIT) || bytes + length > TOGETHER_BYTES {
            pieces.push(Vec::new());
            bytes = 0;
        }
        bytes += length;
        if let Some(piece) = pieces.last_mut() {
            piece.push(row);
        }
    }
    pieces
}
