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
            Item::Message { offset, socket, message, .. } => {
                self.offset = offset;
                while self.told <= socket.min(MAX_SOCKETS) {
                    sink(Found::Socket { socket: self.told, named: self.named.clone() });
                    self.told += 1;
                }
                sink(Found::Message { socket, offset, message });
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
