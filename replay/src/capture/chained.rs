//! `warden`'s own captures, as every capture is read: sockets, messages, damage. The format is [`own`]'s.

use super::own::{self, Item, NotRecorded};
use super::{Damage, Found, Socket};

/// Most sockets that are told apart.
const MAX_SOCKETS: u32 = 4096;

/// Reads the own format.
#[derive(Debug)]
pub(super) struct ChainedReader {
    reader: own::Reader,
    pass: Pass,
}

#[derive(Debug, Default)]
struct Pass {
    /// What the header says of every socket.
    named: Socket,
    /// Sockets told so far.
    told: u32,
    /// End of the last record that was read.
    offset: u64,
}

impl Default for ChainedReader {
    fn default() -> Self {
        Self { reader: own::Reader::new(), pass: Pass::default() }
    }
}

impl ChainedReader {
    pub(super) fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Found)) {
        let Self { reader, pass } = self;
        reader.feed(bytes, &mut |item| pass.item(item, sink));
    }

    pub(super) fn finish(self, sink: &mut dyn FnMut(Found)) -> own::Chain {
        let Self { reader, mut pass } = self;
        reader.finish(&mut |item| pass.item(item, sink))
    }
}

impl Pass {
    fn item(&mut self, item: Item, sink: &mut dyn FnMut(Found)) {
        match item {
            Item::Header(header) => self.named = Socket { session: header.session, host: header.host },
            Item::Message { offset, socket, masked, message, .. } => {
                self.offset = offset;
                while self.told <= socket.min(MAX_SOCKETS) {
                    sink(Found::Socket { socket: self.told, named: self.named.clone() });
                    self.told += 1;
                }
                sink(Found::Message { socket, offset, masked, message });
            }
            Item::NotRecorded(NotRecorded { messages, .. }) => {
                sink(Found::Damage { offset: self.offset, damage: Damage::NotRecorded { messages } });
            }
            Item::Damage(damage) => {
                let offset = place(&damage).unwrap_or(self.offset);
                sink(Found::Damage { offset, damage: Damage::Record(damage) });
            }
            Item::Control { .. } | Item::Closing(_) => {}
        }
    }
}

/// Where a damage is.
fn place(damage: &own::Damage) -> Option<u64> {
    use own::Damage as D;
    match damage {
        D::Preamble | D::Version { .. } => Some(0),
        D::Altered { offset, .. }
        | D::Unreadable { offset, .. }
        | D::Inserted { offset, .. }
        | D::Missing { offset, .. }
        | D::Repeated { offset, .. }
        | D::Displaced { offset, .. }
        | D::Unlinked { offset, .. }
        | D::AfterClosing { offset, .. }
        | D::Malformed { offset, .. }
        | D::Cut { offset, .. } => Some(*offset),
        D::NotClosed { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;
    use warden_protocol::wire::Direction;

    use super::*;

    fn capture() -> Vec<u8> {
        let at = Timestamp::UNIX_EPOCH;
        let header = own::Header {
            created: at,
            tool: "warden".to_owned(),
            session: Some("alice-1".to_owned()),
            target: None,
            region: None,
            host: None,
            document: None,
            masked: Vec::new(),
        };
        let mut writer = own::Writer::begin(Vec::new(), *b"12345678", &header).unwrap();
        for socket in [0, 0, 1] {
            let bytes = Bytes::from_static(b"{}");
            let direction = Direction::ClientToService;
            writer.message(&own::Passed { socket, at, direction, opcode: 1, bytes }).unwrap();
        }
        writer.close(at).unwrap();
        writer.into_out()
    }

    fn read(bytes: &[u8]) -> (Vec<Found>, own::Chain) {
        let mut all = Vec::new();
        let mut reader = ChainedReader::default();
        reader.feed(bytes, &mut |found| all.push(found));
        let chain = reader.finish(&mut |found| all.push(found));
        (all, chain)
    }

    #[test]
    fn sockets_are_named_and_damage_has_its_place() {
        let whole = capture();
        let (found, chain) = read(&whole);
        let is_named = |found: &&Found| matches!(found, Found::Socket { named, .. } if named.session.as_deref() == Some("alice-1"));
        let messages: Vec<(u32, u64)> = found
            .iter()
            .filter_map(|found| match found {
                Found::Message { socket, offset, .. } => Some((*socket, *offset)),
                _ => None,
            })
            .collect();
        assert_eq!((found.iter().filter(is_named).count(), messages.len(), chain.broken_at), (2, 3, None));
        let mut altered = whole;
        let (_, second) = messages[1];
        altered[usize::try_from(second).unwrap() + 60] ^= 1;
        let (found, chain) = read(&altered);
        let damage = found.iter().find_map(|found| match found {
            Found::Damage { offset, damage } => Some((*offset, damage.is_contradiction())),
            _ => None,
        });
        assert_eq!((damage, chain.broken_at), (Some((second, true)), Some(2)));
    }
}
