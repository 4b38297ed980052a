//! One direction of a TCP connection: segments -> bytes in order (RFC 9293).
//!
//! The first copy of a byte counts. What never comes is given up when it can come no more: the capture ends, the peer
//! has acknowledged it and traffic went on for [`PATIENCE`] segments, or the buffer is full.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Segments that wait for their predecessor.
pub(super) const MAX_HELD: usize = 8192;
/// Their bytes.
pub(super) const MAX_HELD_BYTES: usize = 4 << 20;
/// Segments behind a gap after which what was acknowledged counts as lost to the capture.
const PATIENCE: usize = 16;

/// Bytes in order, or the lack of them.
#[derive(Debug, PartialEq)]
pub(super) enum Delivery<'a> {
    /// The next bytes.
    Bytes {
        /// When the receiver could have them.
        at: Timestamp,
        /// Offset of their packet in the capture.
        offset: u64,
        bytes: &'a [u8],
    },
    /// This many bytes are missing here.
    Lost {
        /// Offset of the packet behind them in the capture.
        offset: u64,
        bytes: u64,
    },
}

/// Puts the segments of one direction in order.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// Sequence number of the next byte; `None` before the first segment.
    next: Option<u32>,
    /// Sequence number of the first byte.
    start: Option<u32>,
    /// How many bytes were delivered or given up.
    position: u64,
    held: BTreeMap<u64, Held>,
    held_bytes: usize,
}

#[derive(Debug)]
struct Held {
    at: Timestamp,
    offset: u64,
    bytes: Vec<u8>,
}

type Sink<'s> = &'s mut dyn FnMut(Delivery<'_>);

impl Assembler {
    /// Whether this segment opens the direction anew: a SYN with another number than the one that was seen.
    pub(super) fn restarts(&self, sequence: u32) -> bool {
        self.start.is_some_and(|start| start != sequence.wrapping_add(1))
    }

    /// Takes a segment; `sequence` is that of its first payload byte.
    pub(super) fn segment(&mut self, sequence: u32, at: Timestamp, offset: u64, payload: &[u8], sink: Sink<'_>) {
        let next = *self.next.get_or_insert(sequence);
        self.start.get_or_insert(sequence);
        let distance = sequence.wrapping_sub(next).cast_signed();
        let skip = usize::try_from(-i64::from(distance)).unwrap_or(0);
        if distance <= 0 {
            let fresh = payload.get(skip..).unwrap_or_default();
            if !fresh.is_empty() {
                self.deliver(at, offset, fresh, sink);
                self.drain(Some(at), sink);
            }
        } else if !payload.is_empty() {
            self.hold(self.position + u64::from(distance.unsigned_abs()), at, offset, payload);
            while self.held.len() > MAX_HELD || self.held_bytes > MAX_HELD_BYTES {
                self.give_up(sink);
            }
        }
    }

    /// The peer has acknowledged up to this number.
    pub(super) fn acknowledged(&mut self, acknowledgment: u32, sink: Sink<'_>) {
        let (Some(next), Some((first, _))) = (self.next, self.held.first_key_value()) else { return };
        let distance = acknowledgment.wrapping_sub(next).cast_signed();
        let reached = u64::try_from(distance).is_ok_and(|distance| self.position + distance >= *first);
        if reached && self.held.len() >= PATIENCE {
            self.give_up(sink);
        }
    }

    /// No more segments come.
    pub(super) fn finish(&mut self, sink: Sink<'_>) {
        while !self.held.is_empty() {
            self.give_up(sink);
        }
    }

    fn hold(&mut self, position: u64, at: Timestamp, offset: u64, payload: &[u8]) {
        let longer = self.held.get(&position).is_none_or(|held| held.bytes.len() < payload.len());
        if longer {
            let before = self.held.insert(position, Held { at, offset, bytes: payload.to_vec() });
            self.held_bytes += payload.len() - before.map_or(0, |held| held.bytes.len());
        }
    }

    fn deliver(&mut self, at: Timestamp, offset: u64, bytes: &[u8], sink: Sink<'_>) {
        self.advance(bytes.len() as u64);
        sink(Delivery::Bytes { at, offset, bytes });
    }

    /// Delivers what waits and is due. The receiver has it when the gap before it is filled.
    fn drain(&mut self, filled: Option<Timestamp>, sink: Sink<'_>) {
        while let Some(entry) = self.held.first_entry().filter(|entry| *entry.key() <= self.position) {
            let (position, held) = entry.remove_entry();
            self.held_bytes -= held.bytes.len();
            let skip = usize::try_from(self.position - position).unwrap_or(usize::MAX);
            let fresh = held.bytes.get(skip..).unwrap_or_default();
            if !fresh.is_empty() {
                self.deliver(filled.map_or(held.at, |at| at.max(held.at)), held.offset, fresh, sink);
            }
        }
    }

    /// Gives up the first gap.
    fn give_up(&mut self, sink: Sink<'_>) {
        let Some((position, held)) = self.held.first_key_value() else { return };
        let (bytes, offset) = (position - self.position, held.offset);
        self.advance(bytes);
        sink(Delivery::Lost { offset, bytes });
        self.drain(None, sink);
    }

    fn advance(&mut self, bytes: u64) {
        self.position += bytes;
        // Sequence numbers wrap.
        let low = u32::try_from(bytes & u64::from(u32::MAX)).unwrap_or_default();
        self.next = self.next.map(|next| next.wrapping_add(low));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(segments: &[(u32, &[u8])]) -> (Vec<u8>, u64) {
        let (mut bytes, mut lost) = (Vec::new(), 0);
        let mut assembler = Assembler::default();
        let mut sink = |delivery: Delivery<'_>| match delivery {
            Delivery::Bytes { bytes: more, .. } => bytes.extend_from_slice(more),
            Delivery::Lost { bytes, .. } => lost += bytes,
        };
        for (sequence, payload) in segments {
            assembler.segment(*sequence, Timestamp::UNIX_EPOCH, 0, payload, &mut sink);
        }
        assembler.finish(&mut sink);
        (bytes, lost)
    }

    #[test]
    fn segments_come_in_any_way() {
        type Row<'a> = (&'a str, &'a [(u32, &'a [u8])], &'a [u8], u64);
        let table: &[Row<'_>] = &[
            ("in order", &[(5, b"ab"), (7, b"cd")], b"abcd", 0),
            ("swapped", &[(5, b""), (7, b"cd"), (5, b"ab")], b"abcd", 0),
            ("again", &[(5, b"ab"), (5, b"ab"), (7, b"cd")], b"abcd", 0),
            ("overlapping", &[(5, b"abc"), (6, b"bcd")], b"abcd", 0),
            ("overlapping while held", &[(5, b""), (7, b"cd"), (7, b"cdef"), (5, b"abcd")], b"abcdef", 0),
            ("keep alive", &[(5, b"ab"), (6, b"x"), (7, b"cd")], b"abcd", 0),
            ("lost", &[(5, b"ab"), (9, b"ef")], b"abef", 2),
            ("around zero", &[(u32::MAX, b"ab"), (1, b"cd"), (3, b"e")], b"abcde", 0),
        ];
        for (name, segments, expected, lost) in table {
            assert_eq!(run(segments), (expected.to_vec(), *lost), "{name}");
        }
    }

    proptest! {
        /// Any segmentation, order and duplication gives the same bytes.
        #[test]
        fn order_and_overlap_do_not_matter(
            bytes in prop::collection::vec(any::<u8>(), 1..400),
            cuts in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..60), 1..30),
            start in any::<u32>(),
            seed in any::<u64>(),
        ) {
            let mut pieces: Vec<(usize, usize)> =
                cuts.iter().map(|(at, length)| (at.index(bytes.len()), *length)).collect();
            pieces.extend((0..bytes.len()).step_by(37).map(|at| (at, 37)));
            // A cheap shuffle; the first segment tells where the stream starts.
            pieces.sort_by_key(|(at, length)| (*at as u64 * 31 + *length as u64).wrapping_mul(seed | 1));
            let mut segments: Vec<(u32, &[u8])> = vec![(start, &[])];
            segments.extend(pieces.iter().map(|(at, length)| {
                let number = start.wrapping_add(u32::try_from(*at).unwrap());
                (number, &bytes[*at..(at + length).min(bytes.len())])
            }));
            prop_assert_eq!(run(&segments), (bytes.clone(), 0));
        }
    }
}
