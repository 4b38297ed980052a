//! smux version 1: several TCP connections over one port session
//! (`P: src/sessionmanagerplugin/session/portsession/muxportforwarding.go` and the vendored `xtaci/smux` @ 61cf1288,
//! `A: agent/session/plugins/port/port_mux.go` @ 1c217c89).
//!
//! The payloads of type 1 of each side, in sequence order, are one byte stream; smux frames lie in it back to back and
//! straddle messages (a PSH of up to 32,768 bytes is cut at 1024). Numbers are **little-endian**:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | version: 1 |
//! | 1 | 1 | command: 0 SYN, 1 FIN, 2 PSH, 3 NOP (4 UPD exists in version 2 only) |
//! | 2 | 2 | length of the data that follows |
//! | 4 | 4 | stream id |
//!
//! The client opens streams 3, 5, 7, …; the agent opens none. FIN closes one direction. NOP on stream 0 keeps alive. There
//! is no reset on the wire: a connection is cut off when the session ends.
//!
//! Data passes through in the pieces in which it came; only a header that straddles messages is held, so that a stream
//! takes at most 8 bytes of memory besides its record.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use crate::connection::{Connection, ConnectionEnd, ConnectionEvent, ConnectionWhat};
use crate::wire::Side;

mod parser;

pub use parser::{Command, FrameHeader, HEADER_LENGTH};
use parser::{Parser, Piece};

/// Most connections that are recorded in one session. Events of further ones are still yielded.
pub const MAX_CONNECTIONS: usize = 1 << 16;

/// The connections of one mux port session.
///
/// ```
/// use bytes::Bytes;
/// use jiff::Timestamp;
/// use warden_protocol::connection::ConnectionWhat;
/// use warden_protocol::mux::Mux;
/// use warden_protocol::wire::Side;
///
/// let mut mux = Mux::default();
/// let mut data = Vec::new();
/// // SYN of stream 3, then a PSH of 4 bytes whose header is cut in two.
/// for message in [&b"\x01\x00\x00\x00\x03\x00\x00\x00\x01\x02\x04"[..], b"\x00\x03\x00\x00\x00ping"] {
///     mux.feed(Timestamp::UNIX_EPOCH, Side::Client, &Bytes::from_static(message), &mut |event| {
///         if let ConnectionWhat::Data(bytes) = event.what {
///             data.extend_from_slice(&bytes);
///         }
///     });
/// }
/// assert_eq!(data, b"ping");
/// assert_eq!(mux.connections().next().unwrap().client.bytes(), 4);
/// ```
#[derive(Debug, Default)]
pub struct Mux {
    client: Parser,
    agent: Parser,
    table: Table,
}

impl Mux {
    /// Takes the next payload of a side.
    pub fn feed(&mut self, at: Timestamp, side: Side, bytes: &Bytes, sink: &mut dyn FnMut(ConnectionEvent)) {
        let Self { client, agent, table } = self;
        let parser = match side {
            Side::Client => client,
            Side::Agent => agent,
            Side::Service => return,
        };
        let mut sink = |id, what| sink(ConnectionEvent { at, side, id, what });
        if let Some(offset) = parser.resume(bytes, |id| table.current.contains_key(&id)) {
            sink(0, ConnectionWhat::Resynchronised { offset });
        }
        let mut bytes = bytes.clone();
        while let Some(piece) = parser.next(&mut bytes) {
            match piece {
                Piece::Header(header) => table.header(at, side, header, &mut sink),
                Piece::Data { stream_id, bytes } => table.data(side, stream_id, bytes, &mut sink),
                Piece::Lost { offset, header } => {
                    sink(0, ConnectionWhat::Desynchronised { offset });
                    sink(0, ConnectionWhat::Unparsed(Bytes::copy_from_slice(&header)));
                }
                Piece::Unparsed(bytes) => sink(0, ConnectionWhat::Unparsed(bytes)),
            }
        }
    }

    /// Says that messages of a side are missing here: the stream is followed again from the next message that starts
    /// with a header.
    pub fn lose(&mut self, at: Timestamp, side: Side, sink: &mut dyn FnMut(ConnectionEvent)) {
        let parser = match side {
            Side::Client => &mut self.client,
            Side::Agent => &mut self.agent,
            Side::Service => return,
        };
        if let Some(offset) = parser.lose() {
            sink(ConnectionEvent { at, side, id: 0, what: ConnectionWhat::Desynchronised { offset } });
        }
    }

    /// Says that the agent could not connect: it ends the stream with FIN next.
    pub fn refuse(&mut self) {
        self.table.refusals = self.table.refusals.saturating_add(1);
    }

    /// Ends the session: every connection that is open is cut off.
    pub fn reset(&mut self, at: Timestamp, side: Side, sink: &mut dyn FnMut(ConnectionEvent)) {
        for (id, connection) in &mut self.table.current {
            if connection.end == ConnectionEnd::Open {
                connection.finish(at, ConnectionEnd::Reset);
                sink(ConnectionEvent { at, side, id: *id, what: ConnectionWhat::Closed(ConnectionEnd::Reset) });
            }
        }
    }

    /// The recorded connections; those whose id was opened again come first.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.table.earlier.iter().chain(self.table.current.values())
    }

    /// Connections beyond [`MAX_CONNECTIONS`], which are not recorded.
    pub fn unrecorded(&self) -> u64 {
        self.table.unrecorded
    }
}

/// Whether a payload starts as an end starts its mux stream: the client with the SYN of an odd stream, both with a NOP.
/// No terminal and no usual TCP protocol starts with these bytes.
pub fn starts_mux(payload: &[u8]) -> bool {
    payload.split_first_chunk().is_some_and(|(header, _)| {
        let header = FrameHeader::decode(*header);
        header.is_valid()
            && match header.command {
                Command::SYN => header.stream_id % 2 == 1,
                Command::NOP => header.stream_id == 0,
                _ => false,
            }
    })
}

/// Streams by id.
#[derive(Debug, Default)]
struct Table {
    current: BTreeMap<u32, Connection>,
    /// What an id was before it was opened again.
    earlier: Vec<Connection>,
    unrecorded: u64,
    refusals: u32,
}

impl Table {
    fn header(&mut self, at: Timestamp, side: Side, header: FrameHeader, sink: &mut dyn FnMut(u32, ConnectionWhat)) {
        let id = header.stream_id;
        match header.command {
            Command::NOP => sink(id, ConnectionWhat::Keepalive),
            Command::SYN => self.open(at, id, sink),
            Command::FIN => self.close(at, side, id, sink),
            _ => {}
        }
    }

    fn open(&mut self, at: Timestamp, id: u32, sink: &mut dyn FnMut(u32, ConnectionWhat)) {
        if let Some(mut before) = self.current.remove(&id) {
            if before.end == ConnectionEnd::Open {
                before.finish(at, ConnectionEnd::Reset);
                sink(id, ConnectionWhat::Closed(ConnectionEnd::Reset));
            }
            self.earlier.push(before);
        }
        sink(id, ConnectionWhat::Opened);
        self.record(id, Some(at));
    }

    fn data(&mut self, side: Side, id: u32, bytes: Bytes, sink: &mut dyn FnMut(u32, ConnectionWhat)) {
        // A stream whose opening is not in the capture is recorded from its first data on.
        if !self.current.contains_key(&id) {
            self.record(id, None);
        }
        match self.current.get_mut(&id).and_then(|connection| connection.flow_mut(side)) {
            Some(flow) if flow.is_closed() || flow.is_finished() => sink(id, ConnectionWhat::Stray(bytes)),
            Some(flow) => {
                flow.take(&bytes);
                sink(id, ConnectionWhat::Data(bytes));
            }
            None => sink(id, ConnectionWhat::Data(bytes)),
        }
    }

    fn close(&mut self, at: Timestamp, side: Side, id: u32, sink: &mut dyn FnMut(u32, ConnectionWhat)) {
        sink(id, ConnectionWhat::HalfClosed);
        let Some(connection) = self.current.get_mut(&id) else { return };
        if side == Side::Agent && self.refusals > 0 && connection.agent.bytes() == 0 {
            self.refusals -= 1;
            connection.end = ConnectionEnd::Refused;
        }
        if let Some(flow) = connection.flow_mut(side) {
            flow.close();
        }
        if connection.client.is_closed() && connection.agent.is_closed() && connection.closed.is_none() {
            let refused = connection.end == ConnectionEnd::Refused;
            let end = if refused { ConnectionEnd::Refused } else { ConnectionEnd::Closed };
            connection.finish(at, end);
            sink(id, ConnectionWhat::Closed(end));
        }
    }

    fn record(&mut self, id: u32, opened: Option<Timestamp>) {
        if self.current.len() + self.earlier.len() < MAX_CONNECTIONS {
            self.current.insert(id, Connection::new(id, opened));
        } else {
            self.unrecorded += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(command: Command, stream_id: u32, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        [&FrameHeader { version: 1, command, length, stream_id }.encode()[..], data].concat()
    }

    fn run(mux: &mut Mux, side: Side, bytes: Vec<u8>) -> Vec<(u32, ConnectionWhat)> {
        let mut events = Vec::new();
        mux.feed(Timestamp::UNIX_EPOCH, side, &bytes.into(), &mut |event| events.push((event.id, event.what)));
        events
    }

    #[test]
    fn a_stream_is_followed_again_after_missing_messages() {
        let mut mux = Mux::default();
        run(&mut mux, Side::Client, [frame(Command::SYN, 3, b""), frame(Command::PSH, 3, b"cut")].concat());
        mux.lose(Timestamp::UNIX_EPOCH, Side::Client, &mut |_| {});
        assert!(matches!(
            run(&mut mux, Side::Client, b"middle of data".to_vec())[..],
            [(0, ConnectionWhat::Unparsed(_))]
        ));
        let events = run(&mut mux, Side::Client, frame(Command::PSH, 3, b"on"));
        assert_eq!(events[0], (0, ConnectionWhat::Resynchronised { offset: 33 }));
        assert_eq!(events[1], (3, ConnectionWhat::Data(Bytes::from_static(b"on"))));
    }

    #[test]
    fn a_refused_connection_is_told_from_a_closed_one() {
        let mut mux = Mux::default();
        run(&mut mux, Side::Client, [frame(Command::SYN, 3, b""), frame(Command::SYN, 5, b"")].concat());
        mux.refuse();
        run(&mut mux, Side::Agent, [frame(Command::FIN, 3, b""), frame(Command::PSH, 5, b"x")].concat());
        run(&mut mux, Side::Client, [frame(Command::FIN, 3, b""), frame(Command::FIN, 5, b"")].concat());
        mux.reset(Timestamp::UNIX_EPOCH, Side::Client, &mut |_| {});
        let ends: Vec<_> = mux.connections().map(|connection| connection.end).collect();
        assert_eq!(ends, [ConnectionEnd::Refused, ConnectionEnd::Reset]);
    }

    #[test]
    fn an_id_that_is_opened_again_resets_the_connection_before() {
        let mut mux = Mux::default();
        let events = run(&mut mux, Side::Client, [frame(Command::SYN, 3, b""), frame(Command::SYN, 3, b"")].concat());
        assert_eq!(events[1], (3, ConnectionWhat::Closed(ConnectionEnd::Reset)));
        assert_eq!(mux.connections().count(), 2);
    }

    #[test]
    fn another_version_is_not_followed() {
        let events = run(&mut Mux::default(), Side::Agent, b"SSH-2.0-OpenSSH_9.2".to_vec());
        assert_eq!(events[0], (0, ConnectionWhat::Desynchronised { offset: 0 }));
        let unparsed: usize = events
            .iter()
            .map(|(_, what)| if let ConnectionWhat::Unparsed(bytes) = what { bytes.len() } else { 0 })
            .sum();
        assert_eq!(unparsed, 19);
    }
}
