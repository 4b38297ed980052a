//! pcap and pcapng: packets -> TCP connections -> TLS -> HTTP upgrade -> WebSocket messages.
//!
//! Only connections that upgrade to a WebSocket are followed, and of these only data channels. What is lost is said with
//! its length; behind it the next TLS record and the next WebSocket frame are searched where packets start.

mod connection;
mod file;
mod link;
mod tcp;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::tls::KeyLog;
use super::{Damage, Found, Secrets};
use connection::{Connection, Output};
use file::{File, RECORD_LIMIT, Record, Taken};
use link::{End, Link, Segment};

/// Most connections that are followed at once; the one that was silent for longest is given up first.
const MAX_CONNECTIONS: usize = 4096;
/// Connections without secrets that are remembered until it is known whether they matter.
const MAX_SEALED: usize = 64;

/// Reads pcap and pcapng.
#[derive(Debug)]
pub(super) struct PacketReader {
    file: File,
    buffer: Vec<u8>,
    /// Offset of the buffer.
    start: u64,
    keylog: Arc<KeyLog>,
    table: Table,
}

/// The connections.
#[derive(Debug, Default)]
struct Table {
    open: HashMap<(End, End), Entry>,
    /// Packets so far.
    clock: u64,
    latest: Timestamp,
    sockets: u32,
    messages: u64,
    sealed: Vec<(u64, Damage)>,
    /// Whether TLS to AWS's message gateway stayed closed.
    is_gateway_sealed: bool,
    unknown_link: bool,
}

#[derive(Debug)]
struct Entry {
    connection: Connection,
    /// The end that opened it.
    client: End,
    /// When it was heard last.
    heard: u64,
}

type Sink<'s> = &'s mut dyn FnMut(Found);

impl PacketReader {
    pub(super) fn pcap(keylog: KeyLog) -> Self {
        Self::new(File::pcap(), keylog)
    }

    pub(super) fn pcapng(keylog: KeyLog) -> Self {
        Self::new(File::pcapng(), keylog)
    }

    fn new(file: File, keylog: KeyLog) -> Self {
        Self { file, buffer: Vec::new(), start: 0, keylog: Arc::new(keylog), table: Table::default() }
    }

    /// The secrets on the command line, and those inside a pcapng, wherever they are in it.
    pub(super) fn keylog(secrets: &Secrets) -> KeyLog {
        let mut keylog = KeyLog::default();
        keylog.add(&secrets.keylog);
        keylog
    }

    /// The pass that looks for secrets inside a pcapng: from bytes in pieces.
    pub(super) fn scan_secrets(&mut self, bytes: &[u8], keylog: &mut KeyLog) {
        self.records(bytes, &mut |_, record| {
            if let Record::Secrets(secrets) = record {
                keylog.add(secrets);
            }
        });
    }

    pub(super) fn feed(&mut self, bytes: &[u8], sink: Sink<'_>) {
        let mut table = std::mem::take(&mut self.table);
        let keylog = self.keylog.clone();
        let mut damaged = Vec::new();
        self.records_and_damage(bytes, &mut |offset, taken| match taken {
            Ok(Record::Packet { at, link, bytes }) => {
                damaged.drain(..).for_each(&mut *sink);
                table.packet(at, offset, link, bytes, &keylog, sink);
            }
            Ok(Record::Secrets(_)) => {}
            Err(damage) => damaged.push(Found::Damage { offset, damage }),
        });
        damaged.into_iter().for_each(&mut *sink);
        self.table = table;
    }

    pub(super) fn finish(mut self, sink: Sink<'_>) {
        if !self.buffer.is_empty() {
            sink(Found::Damage { offset: self.start, damage: Damage::Cut });
        }
        let mut entries: Vec<Entry> = self.table.open.drain().map(|(_, entry)| entry).collect();
        entries.sort_by_key(|entry| entry.heard);
        for mut entry in entries {
            entry.connection.finish(&mut |output| self.table.hand_out(output, sink));
        }
        if self.table.messages == 0 && !self.table.is_gateway_sealed {
            for (offset, damage) in std::mem::take(&mut self.table.sealed) {
                sink(Found::Damage { offset, damage });
            }
        }
    }

    fn records(&mut self, bytes: &[u8], sink: &mut dyn FnMut(u64, Record<'_>)) {
        self.records_and_damage(bytes, &mut |offset, taken| {
            if let Ok(record) = taken {
                sink(offset, record);
            }
        });
    }

    fn records_and_damage(&mut self, bytes: &[u8], sink: &mut dyn FnMut(u64, Result<Record<'_>, Damage>)) {
        self.buffer.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(rest) = self.buffer.get(at..).filter(|rest| !rest.is_empty()) {
            let offset = self.start + at as u64;
            match self.file.take(rest) {
                Taken::More if rest.len() > RECORD_LIMIT => at += 1,
                Taken::More => break,
                Taken::Record(length, record) => {
                    if let Some(record) = record {
                        sink(offset, Ok(record));
                    }
                    at += length;
                }
                Taken::Damaged(length, damage) => {
                    sink(offset, Err(damage));
                    at += length;
                }
            }
        }
        self.start += at as u64;
        self.buffer.drain(..at.min(self.buffer.len()));
    }
}

impl Table {
    fn packet(
        &mut self,
        at: Option<Timestamp>,
        offset: u64,
        link: Link,
        bytes: &[u8],
        keylog: &Arc<KeyLog>,
        sink: Sink<'_>,
    ) {
        self.clock += 1;
        let at = at.unwrap_or(self.latest);
        self.latest = at;
        if link == Link::Unknown && !std::mem::replace(&mut self.unknown_link, true) {
            sink(Found::Damage { offset, damage: Damage::BadRecord("packets of a link type that is not read") });
        }
        let Some(segment) = link.segment(bytes) else { return };
        let key = (segment.from.min(segment.to), segment.from.max(segment.to));
        let anew = self.open.get(&key).is_some_and(|entry| entry.restarts(&segment));
        if anew && let Some(mut before) = self.open.remove(&key) {
            before.connection.finish(&mut |output| self.hand_out(output, sink));
        }
        if !self.open.contains_key(&key) && self.open.len() >= MAX_CONNECTIONS {
            self.give_up_one(sink);
        }
        let clock = self.clock;
        let mut entry = self.open.remove(&key).unwrap_or_else(|| Entry {
            connection: Connection::new(keylog.clone()),
            client: client_of(&segment),
            heard: clock,
        });
        entry.heard = clock;
        let from_client = segment.from == entry.client;
        entry.connection.segment(from_client, at, offset, &segment, &mut |output| self.hand_out(output, sink));
        if segment.rst {
            entry.connection.finish(&mut |output| self.hand_out(output, sink));
        } else {
            self.open.insert(key, entry);
        }
    }

    fn give_up_one(&mut self, sink: Sink<'_>) {
        let oldest = self.open.iter().min_by_key(|(_, entry)| entry.heard).map(|(key, _)| *key);
        if let Some(mut entry) = oldest.and_then(|key| self.open.remove(&key)) {
            entry.connection.finish(&mut |output| self.hand_out(output, sink));
        }
    }

    fn hand_out(&mut self, output: Output<'_>, sink: Sink<'_>) {
        match output {
            Output::Socket { number, named } => {
                self.sockets += 1;
                *number = self.sockets;
                sink(Found::Socket { socket: self.sockets, named });
            }
            Output::Message { socket, offset, message } => {
                self.messages += 1;
                sink(Found::Message { socket, offset, masked: 0, message });
            }
            // Most TLS in a packet capture is somebody else's.
            Output::Damage(offset, damage @ Damage::NoTlsSecrets { .. }) if !damage.is_of_gateway() => {
                if self.sealed.len() < MAX_SEALED {
                    self.sealed.push((offset, damage));
                }
            }
            Output::Damage(offset, damage @ Damage::NoTlsSecrets { .. }) => {
                self.is_gateway_sealed = true;
                sink(Found::Damage { offset, damage });
            }
            Output::Damage(offset, damage) => sink(Found::Damage { offset, damage }),
        }
    }
}

impl Entry {
    fn restarts(&self, segment: &Segment<'_>) -> bool {
        segment.syn && self.connection.restarts(segment.from == self.client, segment.sequence)
    }
}

/// The end that opened the connection; where its start is not in the capture, the one with the higher port.
fn client_of(segment: &Segment<'_>) -> End {
    let opens = match (segment.syn, segment.acknowledgment) {
        (true, acknowledgment) => acknowledgment.is_none(),
        (false, _) => segment.from.1 >= segment.to.1,
    };
    if opens { segment.from } else { segment.to }
}
