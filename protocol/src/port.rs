//! Port sessions: the forwarded TCP connections of a channel, in whichever of three ways it carries them
//! (`P: src/sessionmanagerplugin/session/portsession/` @ 61cf1288, `A: agent/session/plugins/port/` @ 1c217c89).
//!
//! | way | properties | carries |
//! |---|---|---|
//! | mux | type `LocalPortForwarding`, agent after 3.0.196.0, client from 1.1.70 | connections over [smux](crate::mux) |
//! | basic | type `LocalPortForwarding`, otherwise | one connection at a time; flag 1 ends it, the next input opens another |
//! | standard stream | any other type: SSH | one connection |
//!
//! The two ends choose between mux and basic by different rules, so here the first payload decides; the versions decide
//! only when messages before it are missing.

use bytes::Bytes;
use jiff::Timestamp;

use crate::channel::{Event, What};
use crate::connection::{Connection, ConnectionEnd, ConnectionEvent, ConnectionWhat};
use crate::mux::{MAX_CONNECTIONS, Mux, starts_mux};
use crate::payload::{FlagValue, HandshakeRequest};
use crate::wire::Side;

/// How a port session carries its connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Carriage {
    /// Not known: no port session, or no payload yet.
    #[default]
    Unknown,
    /// Several connections over smux.
    Mux,
    /// One connection at a time.
    Basic,
    /// One connection: SSH.
    StandardStream,
}

/// What the handshake says about the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Announced {
    /// Nothing, or that it is no port session.
    #[default]
    NoPort,
    LocalPortForwarding,
    OtherPort,
}

/// The connections of a port session, from the events of its channel. Other sessions have none.
#[derive(Debug, Default)]
pub struct Forwarding {
    carriage: Carriage,
    announced: Announced,
    agent_version: String,
    has_gap: bool,
    mux: Mux,
    plain: Vec<Connection>,
    is_connected: bool,
    unrecorded: u64,
    ended: Option<(Timestamp, Side)>,
}

impl Forwarding {
    /// Takes the next event of the channel.
    pub fn feed(&mut self, event: &Event, sink: &mut dyn FnMut(ConnectionEvent)) {
        let (at, side) = (event.at, event.side);
        match &event.what {
            What::HandshakeRequest(request) => self.announce(request),
            What::Input(bytes) | What::Output(bytes) => self.bytes(at, side, bytes, sink),
            What::Flag(FlagValue::DISCONNECT_TO_PORT) => self.disconnect(at, side, sink),
            What::Flag(FlagValue::CONNECT_TO_PORT_ERROR) => self.refuse(at, side, sink),
            // Bytes that wait behind a gap may still come: what is open is cut off at the end of the capture.
            What::Flag(FlagValue::TERMINATE_SESSION) | What::Closed(_) => {
                self.ended.get_or_insert((at, side));
            }
            What::Missing(_) => {
                self.has_gap = true;
                if self.carriage == Carriage::Mux {
                    self.mux.lose(at, side, sink);
                }
            }
            _ => {}
        }
    }

    /// The channel was finished: if the session ended, the connections that are still open were cut off with it.
    pub fn finish(&mut self, sink: &mut dyn FnMut(ConnectionEvent)) {
        if let Some((at, side)) = self.ended {
            self.mux.reset(at, side, sink);
            self.end(at, side, ConnectionEnd::Reset, sink);
        }
    }

    /// How the session carries its connections.
    pub fn carriage(&self) -> Carriage {
        self.carriage
    }

    /// The recorded connections.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.mux.connections().chain(&self.plain)
    }

    /// Connections beyond [`MAX_CONNECTIONS`], which are not recorded.
    pub fn unrecorded(&self) -> u64 {
        self.mux.unrecorded() + self.unrecorded
    }

    fn announce(&mut self, request: &HandshakeRequest) {
        let Some(announced) = request.session_type() else { return };
        let kind = announced.value.properties.get("type").and_then(|kind| kind.as_str());
        self.announced = match (announced.value.session_type.as_str(), kind) {
            ("Port", Some("LocalPortForwarding")) => Announced::LocalPortForwarding,
            ("Port", _) => Announced::OtherPort,
            _ => Announced::NoPort,
        };
        self.agent_version.clone_from(&request.agent_version);
    }

    fn bytes(&mut self, at: Timestamp, side: Side, bytes: &Bytes, sink: &mut dyn FnMut(ConnectionEvent)) {
        if self.carriage == Carriage::Unknown {
            self.decide(at, side, bytes, sink);
        }
        match self.carriage {
            Carriage::Unknown => {}
            Carriage::Mux => self.mux.feed(at, side, bytes, sink),
            Carriage::Basic | Carriage::StandardStream => self.plain_bytes(at, side, bytes, sink),
        }
    }

    fn decide(&mut self, at: Timestamp, side: Side, bytes: &Bytes, sink: &mut dyn FnMut(ConnectionEvent)) {
        let is_mux = starts_mux(bytes);
        let has_lost_start = self.has_gap && is_newer(&self.agent_version, "3.0.196.0");
        self.carriage = match self.announced {
            // Without a handshake in the capture only mux can be told from a terminal.
            Announced::NoPort if is_mux && side == Side::Client => Carriage::Mux,
            Announced::NoPort => return,
            Announced::OtherPort => Carriage::StandardStream,
            Announced::LocalPortForwarding if is_mux || has_lost_start => Carriage::Mux,
            Announced::LocalPortForwarding => Carriage::Basic,
        };
        if self.carriage == Carriage::Mux && !is_mux {
            self.mux.lose(at, Side::Client, sink);
            self.mux.lose(at, Side::Agent, sink);
        }
    }

    fn plain_bytes(&mut self, at: Timestamp, side: Side, bytes: &Bytes, sink: &mut dyn FnMut(ConnectionEvent)) {
        // What the agent sends behind a disconnect was on its way already: only the client opens another connection.
        if !self.is_connected && (side == Side::Client || self.plain.is_empty()) {
            self.connect(at, sink);
        }
        let id = self.number();
        if let Some(flow) = self.plain.last_mut().and_then(|connection| connection.flow_mut(side)) {
            flow.take(bytes);
        }
        sink(ConnectionEvent { at, side, id, what: ConnectionWhat::Data(bytes.clone()) });
    }

    fn connect(&mut self, at: Timestamp, sink: &mut dyn FnMut(ConnectionEvent)) {
        self.is_connected = true;
        if self.plain.len() >= MAX_CONNECTIONS {
            self.unrecorded += 1;
        } else {
            let id = self.number() + 1;
            self.plain.push(Connection::new(id, Some(at)));
        }
        sink(ConnectionEvent { at, side: Side::Client, id: self.number(), what: ConnectionWhat::Opened });
    }

    fn disconnect(&mut self, at: Timestamp, side: Side, sink: &mut dyn FnMut(ConnectionEvent)) {
        self.end(at, side, ConnectionEnd::Closed, sink);
    }

    fn refuse(&mut self, at: Timestamp, side: Side, sink: &mut dyn FnMut(ConnectionEvent)) {
        if self.carriage == Carriage::Mux {
            self.mux.refuse();
        } else if self.announced != Announced::NoPort {
            if !self.is_connected {
                self.connect(at, sink);
            }
            self.end(at, side, ConnectionEnd::Refused, sink);
        }
    }

    /// Ends the one plain connection; its bytes are counted on, see [`Self::plain_bytes`].
    fn end(&mut self, at: Timestamp, side: Side, end: ConnectionEnd, sink: &mut dyn FnMut(ConnectionEvent)) {
        if !std::mem::take(&mut self.is_connected) {
            return;
        }
        if let Some(connection) = self.plain.last_mut() {
            (connection.closed, connection.end) = (Some(at), end);
        }
        sink(ConnectionEvent { at, side, id: self.number(), what: ConnectionWhat::Closed(end) });
    }

    fn number(&self) -> u32 {
        u32::try_from(self.plain.len()).unwrap_or(u32::MAX)
    }
}

/// AWS's client's rule: part by part; another number of parts is not newer (`P: src/version/versionutil.go`).
fn is_newer(version: &str, than: &str) -> bool {
    let parts = |text: &str| text.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>();
    match (parts(version), parts(than)) {
        (Ok(version), Ok(than)) => version.len() == than.len() && version > than,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(forwarding: &mut Forwarding, side: Side, what: What) {
        let event = Event { n: 0, at: Timestamp::UNIX_EPOCH, created: None, side, sequence: None, what };
        forwarding.feed(&event, &mut |_| {});
    }

    #[test]
    fn bytes_behind_a_gap_count_although_the_session_has_ended() {
        let text =
            br#"{"RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"Port"}}]}"#;
        let request = Box::new(HandshakeRequest::parse(text).unwrap().value);
        let mut forwarding = Forwarding::default();
        feed(&mut forwarding, Side::Agent, What::HandshakeRequest(request));
        feed(&mut forwarding, Side::Client, What::Input(Bytes::from_static(b"SSH-2.0-")));
        feed(&mut forwarding, Side::Service, What::Closed(Box::default()));
        feed(&mut forwarding, Side::Agent, What::Output(Bytes::from_static(b"late")));
        forwarding.finish(&mut |_| {});
        assert_eq!(forwarding.carriage(), Carriage::StandardStream);
        let connection = forwarding.connections().next().unwrap();
        assert_eq!((connection.agent.bytes(), connection.end), (4, ConnectionEnd::Reset));
    }

    #[test]
    fn versions_are_compared_as_the_client_does() {
        assert!(is_newer("3.3.0.0", "3.0.196.0"));
        assert!(!is_newer("3.0.196.0", "3.0.196.0"));
        assert!(!is_newer("3.3", "3.0.196.0"));
    }
}
