//! One direction's sequence numbers put in order: what came twice is told apart, what is missing is named.
//!
//! Upstream receivers hold what comes early and deliver it when the gap closes, up to 10,000 messages in AWS's client and
//! 100,000 in AWS's agent; senders send the first unacknowledged message again, byte for byte the same, as long as the
//! session lasts (`P: src/datachannel/streaming.go` @ 61cf1288, `A: agent/session/datachannel/datachannel.go` @ 1c217c89).
//! Two frames of one direction with one sequence number and other bytes cannot come from these programs.
//!
//! A capture may begin in the middle of a session: everything then waits behind the gap at the front until the window is
//! full or the capture ends, and the gap is named first.

use std::collections::BTreeMap;

use crate::wire::{MessageId, Sha256};

/// Most items that wait for a gap to close; the gap is given up when there would be more.
pub const REORDER_WINDOW: usize = 100_000;
/// Most bytes that wait for a gap to close.
pub const REORDER_BYTES: usize = 64 << 20;
/// Most gaps that are listed one by one.
pub const MAX_MISSING: usize = 4096;
/// Most sequence numbers below the window that are remembered because they came more than once: a sender that never
/// learns of an acknowledge repeats one message until the session ends.
const MAX_REPEATED: usize = 1024;

/// What became of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The next one in order, or next to one that waits.
    InOrder,
    /// Came before its predecessor: it opens a gap.
    Ahead,
    /// Came after its successor: it closes a gap, or part of it.
    Late,
    /// Byte for byte what came before under this number.
    Duplicate {
        /// How often the number has come, this time included.
        copies: u32,
    },
    /// Other bytes under a number that has come before; the first ones stay.
    Conflicting,
    /// Below everything that can still be placed: its gap was given up, or it is too old to compare, or negative.
    TooLate,
}

/// What comes out, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordered<T> {
    /// The next item.
    Item(T),
    /// These sequence numbers never came.
    Missing(Missing),
}

/// Sequence numbers that are missing, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Missing {
    /// The first.
    pub from: i64,
    /// The last.
    pub to: i64,
}

impl Missing {
    /// How many numbers are missing.
    pub fn count(self) -> u64 {
        self.from.abs_diff(self.to).saturating_add(1)
    }
}

/// What is known of a sequence number that came.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Digest of the whole message.
    pub fingerprint: Sha256,
    /// Its identity.
    pub message_id: MessageId,
    copies: u32,
}

/// Puts the items of one direction in order. Sequence numbers start at 0.
///
/// ```
/// use warden_protocol::reorder::{Ordered, Place, Reorder};
/// use warden_protocol::wire::{MessageId, Sha256};
///
/// let mut reorder = Reorder::default();
/// let mut out = String::new();
/// let mut offer = |sequence, letter| {
///     let fingerprint = Sha256::of(&[letter as u8]);
///     reorder.offer(sequence, fingerprint, MessageId::default(), 1, letter, &mut |ordered| match ordered {
///         Ordered::Item(letter) => out.push(letter),
///         Ordered::Missing(_) => out.push('?'),
///     })
/// };
/// assert_eq!(offer(0, 'a'), Place::InOrder);
/// assert_eq!(offer(2, 'c'), Place::Ahead);
/// assert_eq!(offer(2, 'c'), Place::Duplicate { copies: 2 });
/// assert_eq!(offer(1, 'b'), Place::Late);
/// assert_eq!(offer(1, 'x'), Place::Conflicting);
/// assert_eq!(out, "abc");
/// ```
#[derive(Debug)]
pub struct Reorder<T> {
    next: i64,
    highest: Option<i64>,
    held: BTreeMap<i64, (usize, T)>,
    held_bytes: usize,
    seen: BTreeMap<i64, Seen>,
    repeated: BTreeMap<i64, Seen>,
    missing: Vec<Missing>,
    unlisted: u64,
    window: usize,
    window_bytes: usize,
}

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        Self::with_window(REORDER_WINDOW, REORDER_BYTES)
    }
}

impl<T> Reorder<T> {
    /// With a window of `items` and `bytes`.
    pub fn with_window(items: usize, bytes: usize) -> Self {
        Self {
            next: 0,
            highest: None,
            held: BTreeMap::new(),
            held_bytes: 0,
            seen: BTreeMap::new(),
            repeated: BTreeMap::new(),
            missing: Vec::new(),
            unlisted: 0,
            window: items,
            window_bytes: bytes,
        }
    }

    /// Takes one item of `size` bytes and hands out what is in order now.
    pub fn offer(
        &mut self,
        sequence: i64,
        fingerprint: Sha256,
        message_id: MessageId,
        size: usize,
        item: T,
        deliver: &mut dyn FnMut(Ordered<T>),
    ) -> Place {
        if let Some(seen) = self.seen.get_mut(&sequence).or_else(|| self.repeated.get_mut(&sequence)) {
            if seen.fingerprint != fingerprint {
                return Place::Conflicting;
            }
            seen.copies = seen.copies.saturating_add(1);
            return Place::Duplicate { copies: seen.copies };
        }
        if sequence < self.next {
            return Place::TooLate;
        }
        let place = match self.highest {
            Some(highest) if sequence < highest => Place::Late,
            Some(highest) if sequence > highest.saturating_add(1) => Place::Ahead,
            None if sequence > 0 => Place::Ahead,
            _ => Place::InOrder,
        };
        self.highest = self.highest.max(Some(sequence));
        self.remember(sequence, Seen { fingerprint, message_id, copies: 1 });
        self.held.insert(sequence, (size, item));
        self.held_bytes = self.held_bytes.saturating_add(size);
        self.deliver_ready(deliver);
        while self.held.len() > self.window || self.held_bytes > self.window_bytes {
            self.give_up_gap(deliver);
        }
        place
    }

    /// The capture ends: every gap is given up, and what waits is handed out.
    pub fn finish(&mut self, deliver: &mut dyn FnMut(Ordered<T>)) {
        while !self.held.is_empty() {
            self.give_up_gap(deliver);
        }
    }

    /// Says that everything up to `last` was sent, by the word of the receiver. Numbers behind the highest that came are
    /// missing at the end. For use after [`Reorder::finish`].
    pub fn sent_up_to(&mut self, last: i64, deliver: &mut dyn FnMut(Ordered<T>)) {
        if last >= self.next {
            let missing = Missing { from: self.next, to: last };
            self.next = last.saturating_add(1);
            self.miss(missing, deliver);
        }
    }

    /// What came under a sequence number, if it is remembered.
    pub fn seen(&self, sequence: i64) -> Option<&Seen> {
        self.seen.get(&sequence).or_else(|| self.repeated.get(&sequence))
    }

    /// The highest number that came.
    pub fn highest(&self) -> Option<i64> {
        self.highest
    }

    /// The number that is delivered next.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// How many items wait.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// What was given up so far, in order; at most [`MAX_MISSING`] gaps.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Numbers in gaps beyond [`MAX_MISSING`].
    pub fn unlisted(&self) -> u64 {
        self.unlisted
    }

    fn deliver_ready(&mut self, deliver: &mut dyn FnMut(Ordered<T>)) {
        while let Some((size, item)) = self.held.remove(&self.next) {
            self.held_bytes -= size.min(self.held_bytes);
            self.next = self.next.saturating_add(1);
            deliver(Ordered::Item(item));
        }
    }

    fn give_up_gap(&mut self, deliver: &mut dyn FnMut(Ordered<T>)) {
        let Some((&first, _)) = self.held.first_key_value() else { return };
        if first > self.next {
            let missing = Missing { from: self.next, to: first - 1 };
            self.next = first;
            self.miss(missing, deliver);
        }
        self.deliver_ready(deliver);
    }

    fn miss(&mut self, missing: Missing, deliver: &mut dyn FnMut(Ordered<T>)) {
        if self.missing.len() < MAX_MISSING {
            self.missing.push(missing);
        } else {
            self.unlisted = self.unlisted.saturating_add(missing.count());
        }
        deliver(Ordered::Missing(missing));
    }

    /// Twice the window is remembered: what waits, and as much again of what was delivered.
    fn remember(&mut self, sequence: i64, seen: Seen) {
        self.seen.insert(sequence, seen);
        if self.seen.len() <= self.window.saturating_mul(2).saturating_add(1) {
            return;
        }
        let Some((oldest, seen)) = self.seen.pop_first() else { return };
        if seen.copies > 1 && self.repeated.len() < MAX_REPEATED {
            self.repeated.insert(oldest, seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(reorder: &mut Reorder<i64>, sequence: i64, out: &mut Vec<Ordered<i64>>) -> Place {
        let fingerprint = Sha256::of(&sequence.to_be_bytes());
        reorder.offer(sequence, fingerprint, MessageId::default(), 1, sequence, &mut |ordered| out.push(ordered))
    }

    #[test]
    fn a_gap_is_given_up_when_the_window_is_full() {
        let (mut reorder, mut out) = (Reorder::with_window(2, 100), Vec::new());
        for sequence in [0, 2, 3, 4] {
            offer(&mut reorder, sequence, &mut out);
        }
        let missing = Missing { from: 1, to: 1 };
        let items = [Ordered::Item(0), Ordered::Missing(missing), Ordered::Item(2), Ordered::Item(3), Ordered::Item(4)];
        assert_eq!(out, items);
        assert_eq!(offer(&mut reorder, 1, &mut out), Place::TooLate);
        assert_eq!(reorder.missing(), [missing]);
    }

    #[test]
    fn the_ends_of_the_number_range_are_no_trap() {
        let (mut reorder, mut out) = (Reorder::default(), Vec::new());
        assert_eq!(offer(&mut reorder, i64::MIN, &mut out), Place::TooLate);
        assert_eq!(offer(&mut reorder, i64::MAX, &mut out), Place::Ahead);
        assert_eq!(offer(&mut reorder, i64::MAX, &mut out), Place::Duplicate { copies: 2 });
        assert_eq!(offer(&mut reorder, 0, &mut out), Place::Late);
        reorder.finish(&mut |ordered| out.push(ordered));
        let missing = Missing { from: 1, to: i64::MAX - 1 };
        assert_eq!(out, [Ordered::Item(0), Ordered::Missing(missing), Ordered::Item(i64::MAX)]);
        assert_eq!(offer(&mut reorder, i64::MAX, &mut out), Place::Duplicate { copies: 3 });
    }

    #[test]
    fn a_message_that_is_repeated_for_ever_stays_known() {
        let (mut reorder, mut out) = (Reorder::with_window(2, 100), Vec::new());
        offer(&mut reorder, 0, &mut out);
        offer(&mut reorder, 0, &mut out);
        for sequence in 1..50 {
            assert_eq!(offer(&mut reorder, sequence, &mut out), Place::InOrder);
        }
        assert_eq!(offer(&mut reorder, 0, &mut out), Place::Duplicate { copies: 3 });
        assert_eq!(offer(&mut reorder, 1, &mut out), Place::TooLate);
    }

    #[test]
    fn what_was_acknowledged_and_never_came_is_missing_at_the_end() {
        let (mut reorder, mut out) = (Reorder::default(), Vec::new());
        offer(&mut reorder, 0, &mut out);
        reorder.finish(&mut |_| {});
        reorder.sent_up_to(2, &mut |_| {});
        assert_eq!(reorder.missing(), [Missing { from: 1, to: 2 }]);
    }
}
