//! One forwarded TCP connection, however a port session carried it: its bytes by side, and how it ended.

use bytes::Bytes;
use jiff::Timestamp;

use crate::flow::Flow;
use crate::wire::Side;

/// One thing that happened to a forwarded connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionEvent {
    /// Time in the capture.
    pub at: Timestamp,
    /// The end that did it.
    pub side: Side,
    /// The connection: its smux stream id, or its number from 1 where there is no mux.
    pub id: u32,
    /// What it was.
    pub what: ConnectionWhat,
}

/// What an event of a connection is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionWhat {
    /// The client opened it.
    Opened,
    /// Bytes from this side.
    Data(Bytes),
    /// This side sends no more.
    HalfClosed,
    /// Both sides are done.
    Closed(ConnectionEnd),
    /// Bytes for a connection that this side has closed: the reader drops them.
    Stray(Bytes),
    /// The mux says that it is alive; the id is 0.
    Keepalive,
    /// The mux stream of this side cannot be followed from here on; the id is 0.
    Desynchronised {
        /// Offset in the side's mux stream.
        offset: u64,
    },
    /// The mux stream of this side is followed again; the id is 0.
    Resynchronised {
        /// Offset in the side's mux stream.
        offset: u64,
    },
    /// Bytes of the mux stream that belong to no connection, because the stream is not followed; the id is 0.
    Unparsed(Bytes),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionEnd {
    /// The capture ends before it does.
    Open,
    /// Both sides closed.
    Closed,
    /// The agent could not connect to the destination.
    Refused,
    /// Cut off: the session ended, or its id was opened again.
    Reset,
}

impl ConnectionEnd {
    /// `open`, `closed`, `refused` or `reset`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Refused => "refused",
            Self::Reset => "reset",
        }
    }
}

/// One forwarded connection. Bytes are counted and hashed, not kept.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its smux stream id, or its number from 1 where there is no mux.
    pub id: u32,
    /// When it was opened; `None` if the capture does not hold that.
    pub opened: Option<Timestamp>,
    /// When it ended.
    pub closed: Option<Timestamp>,
    /// How it ended.
    pub end: ConnectionEnd,
    /// What the client sent.
    pub client: Flow,
    /// What the agent sent.
    pub agent: Flow,
}

impl Connection {
    pub(crate) fn new(id: u32, opened: Option<Timestamp>) -> Self {
        let (client, agent) = (Flow::default(), Flow::default());
        Self { id, opened, closed: None, end: ConnectionEnd::Open, client, agent }
    }

    /// One direction; the service has none.
    pub fn flow(&self, side: Side) -> Option<&Flow> {
        match side {
            Side::Client => Some(&self.client),
            Side::Agent => Some(&self.agent),
            Side::Service => None,
        }
    }

    pub(crate) fn flow_mut(&mut self, side: Side) -> Option<&mut Flow> {
        match side {
            Side::Client => Some(&mut self.client),
            Side::Agent => Some(&mut self.agent),
            Side::Service => None,
        }
    }

    pub(crate) fn finish(&mut self, at: Timestamp, end: ConnectionEnd) {
        self.closed = Some(at);
        self.end = end;
        self.client.finish();
        self.agent.finish();
    }
}
