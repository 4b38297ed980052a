//! Forwarded TCP connections as packets that Wireshark follows.
//!
//! The data channel carries what connections said, not their packets: these are made up around the bytes, with the times
//! at which the capture saw them. Each connection has a handshake, every byte is acknowledged, and it ends as it ended:
//! with FIN from each side, with RST if it was refused or cut off, or not at all if the capture ends first. Addresses are
//! those of RFC 5737, except that a destination that the session names by number is kept: the client is 192.0.2.x with a
//! port of its own for each connection, the destination 198.51.100.1 with the session's port.
//!
//! The file is a pcap with nanoseconds and link type 101: IPv4 without more (draft-ietf-opsawg-pcap).

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::Ipv4Addr;

use jiff::Timestamp;
use warden_protocol::channel;
use warden_protocol::connection::{ConnectionEnd, ConnectionEvent, ConnectionWhat};
use warden_protocol::port::{Carriage, Forwarding};
use warden_protocol::wire::Side;

use crate::capture::Secrets;
use crate::input::Input;
use crate::reconstruct::{self, Moment};

/// Most payload of a packet.
const SEGMENT: usize = 1460;
/// First port of clients, and how many there are: the dynamic ports of RFC 6335.
const PORTS: (u16, u32) = (49152, 16384);
/// The port of a destination that the capture does not name.
const UNKNOWN_PORT: u16 = 1;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    /// Connections.
    pub(crate) connections: u32,
    /// Bytes that belong to no open connection.
    pub(crate) left_out: u64,
    /// Whether something is missing or stayed encrypted.
    pub(crate) is_incomplete: bool,
}

/// Writes the forwarded connections of a capture.
///
/// # Errors
/// A capture that cannot be read, `out` that cannot be written to.
pub(crate) fn write(input: &Input, secrets: &Secrets, out: &mut dyn Write) -> io::Result<Written> {
    // Magic of nanoseconds, version 2.4, no zone, no accuracy, packets of any length.
    let header = [0xa1b2_3c4d_u32, 0x0002_0004, 0, 0, 0x0004_0000, 101];
    header.iter().try_for_each(|field| out.write_all(&field.to_be_bytes()))?;
    let mut written = Written::default();
    let mut sessions: Vec<Forwarded> = Vec::new();
    let read = reconstruct::read(input, secrets, &mut |moment| {
        while moment.session >= sessions.len() {
            sessions.push(Forwarded::default());
        }
        let Some(session) = sessions.get_mut(moment.session) else { return Ok(()) };
        session.moment(&moment, out, &mut written)
    })?;
    sessions.iter_mut().try_for_each(|session| session.finish(out, &mut written))?;
    written.is_incomplete = read.is_empty() || read.iter().any(reconstruct::Session::is_incomplete);
    Ok(written)
}

/// The connections of one session.
#[derive(Debug, Default)]
struct Forwarded {
    forwarding: Forwarding,
    destination: Option<(Ipv4Addr, u16)>,
    open: HashMap<u32, Connection>,
    latest: Timestamp,
}

/// One connection as packets.
#[derive(Debug)]
struct Connection {
    client: (Ipv4Addr, u16),
    server: (Ipv4Addr, u16),
    /// Sequence numbers of the next byte: the client's, the server's.
    next: [u32; 2],
    /// Whether each side has sent its FIN.
    ended: [bool; 2],
    is_reset: bool,
}

impl Forwarded {
    fn moment(&mut self, moment: &Moment, out: &mut dyn Write, written: &mut Written) -> io::Result<()> {
        let Some(event) = moment.event() else { return Ok(()) };
        self.latest = event.at;
        if let channel::What::HandshakeRequest(request) = &event.what {
            self.destination = destination(request);
        }
        let mut met = Vec::new();
        self.forwarding.feed(&event, &mut |event| met.push(event));
        met.into_iter().try_for_each(|event| self.connection(&event, out, written))
    }

    fn finish(&mut self, out: &mut dyn Write, written: &mut Written) -> io::Result<()> {
        let mut met = Vec::new();
        self.forwarding.finish(&mut |event| met.push(event));
        let latest = self.latest;
        met.into_iter()
            .try_for_each(|event| self.connection(&ConnectionEvent { at: latest, ..event }, out, written))?;
        let mut open: Vec<(u32, Connection)> = self.open.drain().collect();
        open.sort_by_key(|(id, _)| *id);
        open.into_iter().try_for_each(|(_, mut connection)| connection.settle(latest, out))
    }

    fn connection(&mut self, event: &ConnectionEvent, out: &mut dyn Write, written: &mut Written) -> io::Result<()> {
        let (at, id) = (event.at, event.id);
        let side = usize::from(event.side == Side::Agent);
        match &event.what {
            ConnectionWhat::Opened => {
                self.settle_all(at, out)?;
                let mut connection = Connection::new(written.connections, self.destination);
                written.connections += 1;
                connection.handshake(at, out)?;
                self.open.insert(id, connection);
                Ok(())
            }
            ConnectionWhat::Data(bytes) => {
                let destination = self.destination;
                let connection = self.open.entry(id).or_insert_with(|| {
                    written.connections += 1;
                    Connection::new(written.connections - 1, destination)
                });
                if connection.is_reset || connection.ended.get(side) == Some(&true) {
                    written.left_out += bytes.len() as u64;
                    return Ok(());
                }
                bytes.chunks(SEGMENT).try_for_each(|bytes| connection.data(at, side, bytes, out))
            }
            ConnectionWhat::HalfClosed => self.open.get_mut(&id).map_or(Ok(()), |it| it.end(at, side, out)),
            ConnectionWhat::Closed(end) => {
                let Some(connection) = self.open.get_mut(&id) else { return Ok(()) };
                match end {
                    ConnectionEnd::Refused => connection.reset(at, 1, out),
                    ConnectionEnd::Reset => connection.reset(at, side, out),
                    // What the other side had under way still comes.
                    ConnectionEnd::Closed => connection.end(at, side, out),
                    ConnectionEnd::Open => Ok(()),
                }
            }
            ConnectionWhat::Stray(bytes) | ConnectionWhat::Unparsed(bytes) => {
                written.left_out += bytes.len() as u64;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Without a mux one connection follows another: the one before is over.
    fn settle_all(&mut self, at: Timestamp, out: &mut dyn Write) -> io::Result<()> {
        if self.forwarding.carriage() == Carriage::Mux {
            return Ok(());
        }
        self.open.drain().try_for_each(|(_, mut connection)| connection.settle(at, out))
    }
}

impl Connection {
    fn new(number: u32, destination: Option<(Ipv4Addr, u16)>) -> Self {
        let (first, ports) = PORTS;
        let host = u8::try_from(1 + number / ports % 254).unwrap_or(1);
        let port = first + u16::try_from(number % ports).unwrap_or_default();
        let server = destination.unwrap_or((Ipv4Addr::new(198, 51, 100, 1), UNKNOWN_PORT));
        let client = (Ipv4Addr::new(192, 0, 2, host), port);
        Self { client, server, next: [0, 0], ended: [false, false], is_reset: false }
    }

    fn handshake(&mut self, at: Timestamp, out: &mut dyn Write) -> io::Result<()> {
        self.packet(at, 0, SYN, b"", out)?;
        self.packet(at, 1, SYN | ACK, b"", out)?;
        self.packet(at, 0, ACK, b"", out)
    }

    fn data(&mut self, at: Timestamp, side: usize, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        self.packet(at, side, PSH | ACK, bytes, out)?;
        self.packet(at, 1 - side, ACK, b"", out)
    }

    fn end(&mut self, at: Timestamp, side: usize, out: &mut dyn Write) -> io::Result<()> {
        let has_ended = self.ended.get_mut(side).is_none_or(|ended| std::mem::replace(ended, true));
        if has_ended || self.is_reset {
            return Ok(());
        }
        self.packet(at, side, FIN | ACK, b"", out)?;
        self.packet(at, 1 - side, ACK, b"", out)
    }

    fn reset(&mut self, at: Timestamp, side: usize, out: &mut dyn Write) -> io::Result<()> {
        let is_over = self.ended == [true, true] || std::mem::replace(&mut self.is_reset, true);
        if is_over { Ok(()) } else { self.packet(at, side, RST | ACK, b"", out) }
    }

    /// A connection that one side has closed is closed by the other.
    fn settle(&mut self, at: Timestamp, out: &mut dyn Write) -> io::Result<()> {
        match self.ended {
            [true, false] => self.end(at, 1, out),
            [false, true] => self.end(at, 0, out),
            _ => Ok(()),
        }
    }

    fn packet(&mut self, at: Timestamp, side: usize, flags: u8, payload: &[u8], out: &mut dyn Write) -> io::Result<()> {
        let [client, server] = self.next;
        let (from, to, sequence, acknowledged) = match side {
            0 => (self.client, self.server, client, server),
            _ => (self.server, self.client, server, client),
        };
        let acknowledged = if flags & ACK == 0 { 0 } else { acknowledged };
        let tcp = tcp(from, to, (sequence, acknowledged), flags, payload);
        let ip = ip(from.0, to.0, tcp.len());
        let length = u32::try_from(ip.len() + tcp.len()).unwrap_or(u32::MAX);
        let seconds = u32::try_from(at.as_second()).unwrap_or_default();
        let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or_default();
        [seconds, nanos, length, length].iter().try_for_each(|field| out.write_all(&field.to_be_bytes()))?;
        out.write_all(&ip)?;
        out.write_all(&tcp)?;
        let taken = u32::try_from(payload.len()).unwrap_or_default() + u32::from(flags & (SYN | FIN) != 0);
        if let Some(next) = self.next.get_mut(side) {
            *next = next.wrapping_add(taken);
        }
        Ok(())
    }
}

/// Where the session forwards to, as its handshake says.
fn destination(request: &warden_protocol::payload::HandshakeRequest) -> Option<(Ipv4Addr, u16)> {
    let properties = request.session_type()?.value.properties;
    let text = |key: &str| properties.get(key).and_then(|value| value.as_str());
    let port = text("portNumber").and_then(|port| port.parse().ok()).unwrap_or(UNKNOWN_PORT);
    let host = text("host").and_then(|host| host.parse().ok()).unwrap_or(Ipv4Addr::new(198, 51, 100, 1));
    Some((host, port))
}

/// An IPv4 header without options (RFC 791) for this many bytes of TCP.
fn ip(from: Ipv4Addr, to: Ipv4Addr, length: usize) -> Vec<u8> {
    let total = u16::try_from(20 + length).unwrap_or(u16::MAX);
    // Version and length, total length, do not fragment, time to live 64, TCP.
    let mut header = vec![0x45, 0];
    header.extend(total.to_be_bytes());
    header.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = checksum(&[&header]);
    header.splice(10..12, sum.to_be_bytes());
    header
}

/// A TCP header without options and its payload (RFC 9293).
fn tcp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), numbers: (u32, u32), flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::with_capacity(20 + payload.len());
    segment.extend(from.1.to_be_bytes());
    segment.extend(to.1.to_be_bytes());
    segment.extend(numbers.0.to_be_bytes());
    segment.extend(numbers.1.to_be_bytes());
    // Header length, flags, window, checksum, no urgent data.
    segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend_from_slice(payload);
    let length = u16::try_from(segment.len()).unwrap_or(u16::MAX).to_be_bytes();
    let pseudo = [&from.0.octets()[..], &to.0.octets(), &[0, 6], &length].concat();
    let sum = checksum(&[&pseudo, &segment]);
    segment.splice(16..18, sum.to_be_bytes());
    segment
}

/// The checksum of RFC 1071. Every part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        let (pairs, rest) = part.as_chunks::<2>();
        sum += pairs.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum::<u32>();
        sum += rest.first().map_or(0, |byte| u32::from(*byte) << 8);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}
