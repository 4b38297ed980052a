use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Seal;
use super::report::{ClockSkew, StreamReport, Summary};
use crate::flow::Flow;
use crate::frame::Frame;
use crate::payload::Acknowledge;
use crate::reorder::{Missing, Ordered, Place, REORDER_WINDOW, Reorder};
use crate::seal::{Nonce, NonceJump, NonceWatch};
use crate::wire::{MessageId, PayloadType, Sha256};

/// From this many copies on, repeats of one message are a retransmission storm.
pub const STORM_COPIES: u32 = 10;
/// Most storms that are listed for one side.
pub const MAX_STORMS: usize = 256;
/// Most payload types of one side whose bytes are counted and hashed; upstream knows 13.
pub const MAX_STREAMS: usize = 64;
/// Most acknowledges of one side that wait for the message they acknowledge.
pub const MAX_PENDING_ACKNOWLEDGES: usize = 1024;

/// A stream message on its way to its place.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) n: u64,
    pub(super) at: Timestamp,
    pub(super) frame: Frame,
    pub(super) seal: Seal,
}

/// One direction of a channel.
#[derive(Debug, Default)]
pub(super) struct Stream {
    order: Reorder<Item>,
    flows: BTreeMap<PayloadType, Flow>,
    storms: BTreeMap<i64, u32>,
    pending: BTreeMap<i64, (u64, Timestamp)>,
    nonces: NonceWatch,
    missing_since_nonce: u64,
    pub(super) report: StreamReport,
}

/// What an acknowledge acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acknowledged {
    Message,
    OtherMessage,
    /// Nothing so far; it is told at the end if the message never comes.
    Nothing,
    /// Nothing, and too many others wait.
    NothingToWaitFor,
}

impl Stream {
    pub(super) fn with_window(items: usize, bytes: usize) -> Self {
        Self { order: Reorder::with_window(items, bytes), ..Self::default() }
    }

    /// Puts a message in its place; what is in order now goes to `ready`.
    pub(super) fn offer(&mut self, fingerprint: Sha256, item: Item, ready: &mut Vec<Ordered<Item>>) -> Place {
        let (sequence, size) = (item.frame.sequence_number, item.frame.payload.len());
        let message_id = item.frame.message_id;
        let place = self.order.offer(sequence, fingerprint, message_id, size, item, &mut |ordered| ready.push(ordered));
        let report = &mut self.report;
        match place {
            Place::InOrder => report.unique += 1,
            Place::Ahead => (report.unique, report.reordered) = (report.unique + 1, report.reordered + 1),
            Place::Late => (report.unique, report.late) = (report.unique + 1, report.late + 1),
            Place::Duplicate { copies } => {
                report.duplicates += 1;
                if copies >= STORM_COPIES && (self.storms.len() < MAX_STORMS || self.storms.contains_key(&sequence)) {
                    self.storms.insert(sequence, copies);
                }
            }
            Place::Conflicting => report.conflicting += 1,
            Place::TooLate => report.late += 1,
        }
        self.pending.remove(&sequence);
        place
    }

    pub(super) fn finish(&mut self, ready: &mut Vec<Ordered<Item>>) {
        self.order.finish(&mut |ordered| ready.push(ordered));
        // A number far beyond what a sender keeps unacknowledged is no word of a receiver's.
        let highest = self.order.highest().unwrap_or(-1);
        let plausible = highest.saturating_add(i64::try_from(REORDER_WINDOW).unwrap_or(i64::MAX));
        if let Some((last, _)) = self.pending.range(..=plausible).next_back() {
            self.order.sent_up_to(*last, &mut |ordered| ready.push(ordered));
        }
    }

    /// Acknowledges whose message never came: sequence number, frame number and time of the acknowledge.
    pub(super) fn take_pending(&mut self) -> impl Iterator<Item = (i64, (u64, Timestamp))> + use<> {
        std::mem::take(&mut self.pending).into_iter()
    }

    pub(super) fn acknowledge(&mut self, n: u64, at: Timestamp, acknowledge: &Acknowledge) -> Acknowledged {
        let sequence = acknowledge.sequence_number;
        if let Some(seen) = self.order.seen(sequence) {
            let named = acknowledge.message_id.parse().map(MessageId);
            return if named == Ok(seen.message_id) { Acknowledged::Message } else { Acknowledged::OtherMessage };
        }
        let is_missing = self.order.missing().iter().any(|gap| (gap.from..=gap.to).contains(&sequence));
        if (0..self.order.next()).contains(&sequence) && !is_missing {
            // Delivered so long ago that it is not remembered.
            return Acknowledged::Message;
        }
        if self.pending.len() >= MAX_PENDING_ACKNOWLEDGES || sequence < 0 {
            return Acknowledged::NothingToWaitFor;
        }
        self.pending.entry(sequence).or_insert((n, at));
        Acknowledged::Nothing
    }

    pub(super) fn missed(&mut self, missing: Missing) {
        self.missing_since_nonce = self.missing_since_nonce.saturating_add(missing.count());
    }

    /// Follows the nonces of what this side sealed, in order.
    pub(super) fn follow_nonce(&mut self, sealed: &[u8]) -> Option<NonceJump> {
        let (nonce, _) = Nonce::of(sealed)?;
        self.nonces.follow(nonce, std::mem::take(&mut self.missing_since_nonce))
    }

    pub(super) fn count_bytes(&mut self, payload_type: PayloadType, bytes: &[u8]) {
        if self.flows.len() < MAX_STREAMS || self.flows.contains_key(&payload_type) {
            self.flows.entry(payload_type).or_default().take(bytes);
        }
    }

    pub(super) fn keep_time(&mut self, at: Timestamp, created_ms: u64) {
        ClockSkew::widen(&mut self.report.clock, at, created_ms);
    }

    pub(super) fn report(&self) -> StreamReport {
        let summary = |flow: &Flow| Summary { bytes: flow.bytes(), sha256: flow.sha256() };
        StreamReport {
            missing: self.order.missing().to_vec(),
            unlisted_missing: self.order.unlisted(),
            storms: self.storms.iter().map(|(sequence, copies)| (*sequence, *copies)).collect(),
            streams: self.flows.iter().map(|(payload_type, flow)| (*payload_type, summary(flow))).collect(),
            ..self.report.clone()
        }
    }

    /// How many messages wait for their predecessor.
    pub(super) fn held(&self) -> usize {
        self.order.held()
    }
}
