//! Bytes of a capture in, what it holds and where it is damaged out.

use bytes::{Buf, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use warden_protocol::wire::Sha256;

use super::chain::{Chain, Damage};
use super::layout::{HEAD, Head, Kind, Marker, OVERHEAD, read_message};
use super::{Item, MAGIC, PREAMBLE, VERSION, seed};

/// Reads a capture in pieces of any size and holds at most one record.
#[derive(Debug)]
pub(crate) struct Reader {
    buffer: BytesMut,
    /// Offset in the capture of the first byte in the buffer.
    offset: u64,
    /// Known once the preamble was read.
    marker: Option<Marker>,
    /// Where bytes that are no record begin.
    lost_at: Option<u64>,
    /// Number that the next record must have.
    expected: u64,
    /// What the next record may name as the one before it: the hash of that record as stored, and as computed if that
    /// is another. None are known behind a record that is missing.
    links: Vec<Sha256>,
    chain: Chain,
}

impl Reader {
    /// A reader at the beginning of a capture.
    pub(crate) fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            offset: 0,
            marker: None,
            lost_at: None,
            expected: 0,
            links: Vec::new(),
            chain: Chain::new(),
        }
    }

    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Item)) {
        self.buffer.extend_from_slice(bytes);
        while self.step(false, sink) {}
    }

    /// The capture ends. What the chain amounts to.
    pub(crate) fn finish(mut self, sink: &mut dyn FnMut(Item)) -> Chain {
        while self.step(true, sink) {}
        let (number, offset, bytes) = (self.expected, self.offset, self.buffer.len() as u64);
        if let Some(lost_at) = self.lost_at {
            let bytes = self.offset + bytes - lost_at;
            self.damage(Damage::Unreadable { from: number, to: number, offset: lost_at, bytes }, sink);
        } else if bytes > 0 || self.marker.is_none() {
            self.damage(Damage::Cut { number, offset, bytes }, sink);
        }
        if !self.chain.is_closed {
            self.damage(Damage::NotClosed { number: number.checked_sub(1) }, sink);
        }
        self.chain
    }

    /// Reads one thing; whether there may be another.
    fn step(&mut self, ended: bool, sink: &mut dyn FnMut(Item)) -> bool {
        let Some(marker) = self.marker else { return self.preamble(sink) };
        if self.lost_at.is_some() && !self.find(marker) {
            return false;
        }
        let Some(head) = Head::read(&self.buffer) else { return false };
        let Some(length) = head.length else {
            self.lose();
            return true;
        };
        if self.buffer.len() >= OVERHEAD + length {
            let record = self.buffer.split_to(OVERHEAD + length).freeze();
            self.record(&head, &record, sink);
            self.offset += record.len() as u64;
            return true;
        }
        // Behind the last whole record there may be others if this one claims more than it has.
        if ended && self.later(marker) {
            self.lose();
            return true;
        }
        false
    }

    fn preamble(&mut self, sink: &mut dyn FnMut(Item)) -> bool {
        // The marker of the first record is at hand as well: damage to the preamble must not hide what follows.
        let Some((preamble, first)) = self.buffer.split_at_checked(PREAMBLE).filter(|(_, first)| first.len() >= HEAD)
        else {
            return false;
        };
        let [_, _, _, _, _, _, _, _, v0, v1, v2, v3, m0, m1, m2, m3, m4, m5, m6, m7] = *preamble else { return false };
        let (version, marker) = (u32::from_be_bytes([v0, v1, v2, v3]), [m0, m1, m2, m3, m4, m5, m6, m7]);
        let seed = seed(preamble);
        let head = Head::read(first).filter(|head| head.number == 0 && head.length.is_some());
        let is_altered = !preamble.starts_with(&MAGIC)
            || head.is_some_and(|head| head.previous != seed && head.marker != marker)
            || (version != VERSION && head.is_some_and(|head| head.previous != seed));
        if is_altered {
            self.damage(Damage::Preamble, sink);
        } else if version != VERSION {
            self.damage(Damage::Version { version }, sink);
        }
        // Two of the three places that tell the marker agree, or it is the preamble's word.
        self.marker = Some(head.filter(|_| is_altered).map_or(marker, |head| head.marker));
        self.links = if is_altered { head.map(|head| head.previous).into_iter().collect() } else { vec![seed] };
        self.skip(PREAMBLE);
        true
    }

    fn record(&mut self, head: &Head, record: &Bytes, sink: &mut dyn FnMut(Item)) {
        let (hashed, stored) = record.split_at(record.len() - 32);
        let stored = stored.try_into().map(Sha256).unwrap_or_default();
        let computed = Sha256::of(hashed);
        let is_altered = stored != computed;
        let follows = self.links.contains(&head.previous);
        // An altered record that follows the one before it has its place, whatever number it bears now.
        let number = if is_altered && (follows || head.number < self.expected) { self.expected } else { head.number };
        let offset = self.offset;
        self.found(number, sink);
        self.chain.records += 1;
        if number < self.expected {
            let again = number + 1 == self.expected && self.links.contains(&computed);
            let damage = if again { Damage::Repeated { number, offset } } else { Damage::Displaced { number, offset } };
            self.damage(damage, sink);
        } else {
            if self.chain.is_closed {
                self.damage(Damage::AfterClosing { number, offset }, sink);
            }
            if is_altered {
                self.damage(Damage::Altered { number, offset }, sink);
            } else if !follows && !self.links.is_empty() {
                self.damage(Damage::Unlinked { number, offset }, sink);
            }
            self.expected = number.saturating_add(1);
            self.chain.last = stored;
            self.links.clear();
            self.links.extend([stored, computed]);
            self.chain.is_closed = head.kind == Some(Kind::Closing);
        }
        self.body(head, number, is_altered, record, sink);
    }

    /// Settles what lies between the last record and one of this number.
    fn found(&mut self, number: u64, sink: &mut dyn FnMut(Item)) {
        let (from, offset) = (self.expected, self.offset);
        let to = number.saturating_sub(1);
        if let Some(lost_at) = self.lost_at.take() {
            let bytes = offset - lost_at;
            let damage = if number > from {
                Damage::Unreadable { from, to, offset: lost_at, bytes }
            } else {
                Damage::Inserted { number, offset: lost_at, bytes }
            };
            self.damage(damage, sink);
        } else if number > from {
            self.damage(Damage::Missing { from, to, offset }, sink);
        }
        if number > from {
            self.links.clear();
        }
    }

    fn body(&mut self, head: &Head, number: u64, is_altered: bool, record: &Bytes, sink: &mut dyn FnMut(Item)) {
        let body = record.slice(HEAD..record.len() - 32);
        let item = match head.kind {
            None | Some(Kind::Padding) => return,
            Some(Kind::Header) => json(&body).map(Item::Header),
            Some(Kind::NotRecorded) => json(&body).map(Item::NotRecorded),
            Some(Kind::Closing) => json(&body).map(Item::Closing),
            Some(kind) => read_message(&body, kind == Kind::Masked)
                .map(|(passed, masked)| passed.into_item(number, self.offset, masked)),
        };
        self.chain.masked += u64::from(matches!(item, Some(Item::Message { masked: 1.., .. })));
        match item {
            Some(item) => sink(item),
            None if is_altered => {}
            None => self.damage(Damage::Malformed { number, offset: self.offset }, sink),
        }
    }

    /// What stands here is no record.
    fn lose(&mut self) {
        self.lost_at.get_or_insert(self.offset);
        self.skip(1);
    }

    /// Goes to the next record; whether there is one in the buffer. What cannot begin one is dropped.
    fn find(&mut self, marker: Marker) -> bool {
        let found = next(&self.buffer, marker);
        let keep = self.buffer.len().saturating_sub(HEAD - 1);
        self.skip(found.unwrap_or(keep));
        found.is_some()
    }

    /// Whether another record begins in what is left.
    fn later(&self, marker: Marker) -> bool {
        self.buffer.get(1..).is_some_and(|rest| next(rest, marker).is_some())
    }

    fn skip(&mut self, bytes: usize) {
        self.buffer.advance(bytes);
        self.offset += bytes as u64;
    }

    fn damage(&mut self, damage: Damage, sink: &mut dyn FnMut(Item)) {
        self.chain.add(damage.clone());
        sink(Item::Damage(damage));
    }
}

/// Where the next record with this marker and a believable length begins.
fn next(bytes: &[u8], marker: Marker) -> Option<usize> {
    bytes
        .windows(HEAD)
        .position(|window| window.starts_with(&marker) && Head::read(window).is_some_and(|head| head.length.is_some()))
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}
