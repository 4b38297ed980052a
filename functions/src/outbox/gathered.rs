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
    /// Rows by their places, so that a window's commands come before the findings that mention them.
    waiting: BTreeMap<Key, Waiting>,
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
enum Waiting {
    Other(Box<Other>),
    Seen { key: String, finding: String, seen: Seen, expect: Expect },
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
        if let Some(Waiting::Seen { expect: first, .. }) = gathered.waiting.get(&place) {
            expect = *first;
        }
        let waiting = Waiting::Seen { key: key.clone(), finding: finding_id.clone(), seen, expect };
        gathered.waiting.insert(place, waiting);
    }

    /// A command of a window that is not its first; whether none like it waits already.
    pub(super) fn list(&self, place: Key, other: Other) -> bool {
        let mut gathered = self.gathered();
        if gathered.waiting.contains_key(&place) {
            return false;
        }
        gathered.bytes += other.draft.finding.as_ref().map_or(0, |finding| finding.to_string().len());
        gathered.waiting.insert(place, Waiting::Other(Box::new(other)));
        true
    }

    /// Whether there is enough for a piece.
    pub(super) fn is_plenty(&self) -> bool {
        let gathered = self.gathered();
        gathered.waiting.len() >= TOGETHER_LIMIT || gathered.bytes >= TOGETHER_BYTES
    }

    /// Writes the rows that wait: what was gathered until now is settled.
    ///
    /// # Errors
    /// What the ledger answers. What could not be written is forgotten, and has to be observed again.
    pub async fn flush(&self, now: Timestamp) -> Result<(), OutboxError> {
        // Counted before it is marked as seen: a crash in between counts twice rather than never.
        self.write_unlisted(now).await?;
        let waiting = {
            let mut gathered = self.gathered();
            gathered.bytes = 0;
            std::mem::take(&mut gathered.waiting)
        };
        let written = self.write_all(waiting, now).await;
        if written.is_err() {
            *self.gathered() = Gathered::default();
        }
        written
    }

    async fn write_all(&self, waiting: BTreeMap<Key, Waiting>, now: Timestamp) -> Result<(), OutboxError> {
        let (mut piece, mut bytes) = (Vec::new(), 0);
        for (place, waiting) in waiting {
            let row = match &waiting {
                Waiting::Other(other) => (self.ledger.row(place, other.as_ref(), now)?, Expect::Absent),
                Waiting::Seen { seen, expect, .. } => (self.ledger.row(place, seen, now)?, *expect),
            };
            let length = row.0.body.len();
            if piece.len() >= TOGETHER_LIMIT || bytes + length > TOGETHER_BYTES {
                self.write_piece(std::mem::take(&mut piece), now).await?;
                bytes = 0;
            }
            bytes += length;
            piece.push((waiting, row));
        }
        self.write_piece(piece, now).await
    }

    async fn write_piece(&self, piece: Vec<(Waiting, (Row, Expect))>, now: Timestamp) -> Result<(), OutboxError> {
        let together = piece.len() >= FEW;
        if together && self.ledger.store_together(piece.iter().map(|(_, row)| row.clone()).collect()).await? {
            return Ok(());
        }
        // Somebody else was faster with one of them: each for itself.
        for (waiting, (row, _)) in piece {
            match waiting {
                Waiting::Other(other) => drop(self.ledger.store_new(row.key, other.as_ref(), now).await?),
                Waiting::Seen { key, finding, seen, expect } => {
                    self.ledger.mark_seen(&key, &finding, &seen, expect, now).await?;
                }
            }
        }
        Ok(())
    }

    /// Writes how many commands got no row.
    async fn write_unlisted(&self, now: Timestamp) -> Result<(), OutboxError> {
        let mut counted = Vec::new();
        for (key, met) in self.mets().iter_mut() {
            let unlisted = std::mem::take(&mut met.unlisted);
            if unlisted > 0 {
                counted.push((key.clone(), met.window.opened, unlisted));
            }
        }
        for (key, opened, unlisted) in counted {
            let place = self.ledger.key("K", &key, format!("FU#{}", opened.as_millisecond()));
            let count = |state: Option<FollowUps>| {
                let state = state.unwrap_or_default();
                Some(FollowUps { unlisted: state.unlisted.saturating_add(unlisted), ..state })
            };
            self.ledger.change(&place, now, count).await?;
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
