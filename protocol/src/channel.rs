//! One session's channel: WebSocket messages in capture order in, ordered events and a report out.
//!
//! Messages of both directions and of all sockets of a session (a client that lost its connection goes on over a new one)
//! go into one [`Channel`]. It works on the client's leg and on the agent's leg of a capture alike, needs no handshake (a
//! plain shell has none) and never waits for one. The first copy of a sequence number counts; an acknowledge is used only
//! to find out what is missing.
//!
//! ```
//! use bytes::Bytes;
//! use jiff::Timestamp;
//! use warden_protocol::channel::{Channel, Opcode, What};
//! use warden_protocol::frame::Frame;
//! use warden_protocol::wire::{Direction, MessageType, PayloadType};
//!
//! let mut channel = Channel::new(None);
//! let mut screen = Vec::new();
//! let mut missing = 0;
//! let at = Timestamp::UNIX_EPOCH;
//! // The second message overtakes the first, the fourth never comes.
//! for (sequence, text) in [(1, "world"), (0, "hello "), (0, "hello "), (2, "!"), (4, "?")] {
//!     let text = Bytes::from_static(text.as_bytes());
//!     let frame = Frame::stream(MessageType::OUTPUT_STREAM_DATA, sequence, PayloadType::OUTPUT, text);
//!     channel.feed(at, Direction::ServiceToClient, Opcode::Binary, &frame.encode(), &mut |event| {
//!         if let What::Output(bytes) = event.what {
//!             screen.extend_from_slice(&bytes);
//!         }
//!     });
//! }
//! channel.finish(&mut |event| missing += u64::from(matches!(event.what, What::Missing(_))));
//! assert_eq!(screen, b"hello world!");
//! assert_eq!(missing, 1);
//! let agent = channel.report().agent;
//! assert_eq!((agent.unique, agent.duplicates, agent.late, agent.missing[0].from), (4, 1, 1, 3));
//! ```

use bytes::Bytes;
use jiff::Timestamp;

use crate::frame::{Decoded, Deviation, Frame, decode};
use crate::payload::{Acknowledge, EncryptionChallenge, OpenDataChannel, Payload};
use crate::reorder::{Place, REORDER_BYTES, REORDER_WINDOW};
use crate::seal::{OpenFrameError, SealError, SessionKey};
use crate::wire::{Direction, MessageType, PayloadType, Sha256, Side};

mod deliver;
mod event;
mod report;
mod session_type;
mod stream;

pub use event::{Anomaly, Content, Event, Seal, Status, Verdict, What};
pub use report::{ClockSkew, MAX_KINDS, Report, StreamReport, Summary};
pub use session_type::{Evidence, SessionType};
use stream::{Acknowledged, Item, Stream};
pub use stream::{MAX_PENDING_ACKNOWLEDGES, MAX_STORMS, MAX_STREAMS, STORM_COPIES};

/// Kind of a WebSocket message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// Opcode 1: the first message of a socket.
    Text,
    /// Opcode 2: a frame.
    Binary,
}

/// Whether the stream messages of a session are sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Encryption {
    /// The capture has not shown it yet.
    #[default]
    Unknown,
    Off,
    On,
}

/// Takes the messages of one session.
#[derive(Debug, Default)]
pub struct Channel {
    key: Option<SessionKey>,
    encryption: Encryption,
    challenge: Option<EncryptionChallenge>,
    client: Stream,
    agent: Stream,
    client_sockets: u64,
    agent_sockets: u64,
    /// Number and time of the latest message.
    now: (u64, Timestamp),
    report: Report,
}

impl Channel {
    /// A channel without a message. With a key, sealed payloads are opened, even if the handshake is not in the capture.
    pub fn new(key: Option<SessionKey>) -> Self {
        Self::with_window(key, REORDER_WINDOW, REORDER_BYTES)
    }

    /// As [`Channel::new`], with room for `items` messages and `bytes` of payload that wait for a predecessor, per side.
    pub fn with_window(key: Option<SessionKey>, items: usize, bytes: usize) -> Self {
        let (client, agent) = (Stream::with_window(items, bytes), Stream::with_window(items, bytes));
        Self { key, client, agent, ..Self::default() }
    }

    /// Takes the next WebSocket message of the capture. What happened goes to `sink`; the verdict is on the message itself.
    pub fn feed(
        &mut self,
        at: Timestamp,
        direction: Direction,
        opcode: Opcode,
        message: &Bytes,
        sink: &mut dyn FnMut(Event),
    ) -> Verdict {
        self.now = (self.report.frames, at);
        self.report.frames += 1;
        let decoded = decode(message.clone());
        match (opcode, decoded) {
            (Opcode::Binary, Ok(decoded)) => self.frame(direction, message, decoded, sink),
            // The receivers do not look at the opcode: a frame in a text message counts.
            (Opcode::Text, Ok(decoded)) if decoded.frame.message_type.is_known() => {
                self.frame(direction, message, decoded, sink)
            }
            (Opcode::Text, _) => self.text(direction, message, sink),
            (Opcode::Binary, Err(error)) => {
                let side = direction.sender(&MessageType::ACKNOWLEDGE);
                self.report.undecodable += 1;
                self.event(side, None, What::Anomaly(Anomaly::Undecodable(error)), sink);
                Verdict { side, content: Content::Undecodable(error), place: None, seal: Seal::Clear }
            }
        }
    }

    /// The capture ends: gaps are given up, what waited is handed out.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Event)) {
        for side in [Side::Client, Side::Agent] {
            let mut ready = Vec::new();
            self.stream(side).finish(&mut ready);
            self.deliver(side, ready, sink);
            let acknowledger = side.opposite().unwrap_or(side);
            for (sequence, (n, at)) in self.stream(side).take_pending() {
                self.report.bad_acknowledges += 1;
                let what = What::Anomaly(Anomaly::AcknowledgesNothing { sequence });
                sink(Event { n, at, created: None, side: acknowledger, sequence: None, what });
            }
        }
    }

    /// What the channel amounts to so far. Gaps count as missing when they were given up, at the latest by
    /// [`Channel::finish`].
    pub fn report(&self) -> Report {
        Report { client: self.client.report(), agent: self.agent.report(), ..self.report.clone() }
    }

    /// How many messages of both sides wait for their predecessor.
    pub fn held(&self) -> usize {
        self.client.held() + self.agent.held()
    }

    fn stream(&mut self, side: Side) -> &mut Stream {
        if side == Side::Client { &mut self.client } else { &mut self.agent }
    }

    fn event(&self, side: Side, frame: Option<&Frame>, what: What, sink: &mut dyn FnMut(Event)) {
        let (n, at) = self.now;
        let created = frame.map(|frame| frame.created_date);
        let sequence = frame.filter(|frame| frame.message_type.is_stream()).map(|frame| frame.sequence_number);
        sink(Event { n, at, created, side, sequence, what });
    }

    fn text(&mut self, direction: Direction, message: &Bytes, sink: &mut dyn FnMut(Event)) -> Verdict {
        self.report.texts += 1;
        let side = match direction {
            Direction::ClientToService => Side::Client,
            Direction::AgentToService => Side::Agent,
            Direction::ServiceToClient | Direction::ServiceToAgent => Side::Service,
        };
        let open = OpenDataChannel::parse(message).ok().map(|parsed| Box::new(parsed.value));
        // A capture may come without its tokens.
        let is_open = |open: &OpenDataChannel| !open.token.reveal().is_empty() || !open.client_id.is_empty();
        let open = open.filter(|open| side != Side::Service && is_open(open));
        if let Some(open) = &open {
            if let Some(version) = open.client_version.clone() {
                self.report.client_version.get_or_insert(version);
            }
            let sockets = if side == Side::Client { &mut self.client_sockets } else { &mut self.agent_sockets };
            *sockets += 1;
            let is_first = *sockets == 1;
            self.report.reconnects += u64::from(!is_first);
            let what = if is_first { What::Opened(open.clone()) } else { What::Reconnected(open.clone()) };
            self.event(side, None, what, sink);
        }
        Verdict { side, content: Content::Text(open), place: None, seal: Seal::Clear }
    }

    fn frame(
        &mut self,
        direction: Direction,
        message: &Bytes,
        decoded: Decoded,
        sink: &mut dyn FnMut(Event),
    ) -> Verdict {
        let frame = &decoded.frame;
        let side = direction.sender(&frame.message_type);
        self.count(side, frame);
        if decoded.deviations.contains(Deviation::BadDigest) {
            self.report.bad_digests += 1;
            self.event(side, Some(frame), What::Anomaly(Anomaly::BadDigest), sink);
        }
        let mut seal = Seal::Clear;
        let place = if frame.message_type.is_stream() {
            self.settle_encryption(side, frame);
            seal = self.seal_of(side, frame);
            self.stream_message(side, message, frame, seal.clone(), sink)
        } else {
            self.service_message(side, frame, sink);
            None
        };
        if side != Side::Service && !matches!(place, Some(Place::Duplicate { .. } | Place::Conflicting)) {
            let created = frame.created_date;
            let (_, at) = self.now;
            self.stream(side).keep_time(at, created);
        }
        Verdict { side, content: Content::Frame(Box::new(decoded)), place, seal }
    }

    fn count(&mut self, side: Side, frame: &Frame) {
        let kind = (side, frame.message_type, frame.payload_type);
        if self.report.counts.len() < MAX_KINDS || self.report.counts.contains_key(&kind) {
            *self.report.counts.entry(kind).or_default() += 1;
        } else {
            self.report.uncounted += 1;
        }
    }

    fn stream_message(
        &mut self,
        side: Side,
        message: &Bytes,
        frame: &Frame,
        seal: Seal,
        sink: &mut dyn FnMut(Event),
    ) -> Option<Place> {
        if side != stream_sender(&frame.message_type) {
            self.event(side, Some(frame), What::Anomaly(Anomaly::WrongSender), sink);
            return None;
        }
        let (n, at) = self.now;
        let mut ready = Vec::new();
        let item = Item { n, at, frame: frame.clone(), seal };
        let place = self.stream(side).offer(Sha256::of(message), item, &mut ready);
        let anomaly = match place {
            Place::Conflicting => Some(Anomaly::Conflicting),
            Place::TooLate => Some(Anomaly::TooLate),
            Place::Duplicate { copies: STORM_COPIES } => Some(Anomaly::RetransmissionStorm),
            _ => None,
        };
        if let Some(anomaly) = anomaly {
            self.event(side, Some(frame), What::Anomaly(anomaly), sink);
        }
        self.deliver(side, ready, sink);
        Some(place)
    }

    /// Messages that have no place in a sequence.
    fn service_message(&mut self, side: Side, frame: &Frame, sink: &mut dyn FnMut(Event)) {
        let Some(payload) = self.service_payload(side, frame, sink) else { return };
        let is_from_service = side == Side::Service;
        let is_of_service = frame.message_type.is_publication() || frame.message_type == MessageType::CHANNEL_CLOSED;
        if is_of_service && !is_from_service {
            self.event(side, Some(frame), What::Anomaly(Anomaly::WrongSender), sink);
        }
        let what = match payload {
            Payload::Acknowledge(acknowledge) => return self.acknowledge(side, frame, &acknowledge, sink),
            Payload::ChannelClosed(closed) => {
                if is_from_service {
                    self.report.closed_reason.get_or_insert_with(|| closed.output.clone());
                }
                What::Closed(closed)
            }
            Payload::PausePublication => {
                self.report.pauses += u64::from(is_from_service);
                What::Paused
            }
            Payload::StartPublication => What::Resumed,
            Payload::AgentSessionState(state) => What::SessionState(state),
            Payload::Other(bytes) => What::Other { payload_type: frame.payload_type, bytes },
            control => What::Control(control),
        };
        self.event(side, Some(frame), what, sink);
    }

    fn service_payload(&self, side: Side, frame: &Frame, sink: &mut dyn FnMut(Event)) -> Option<Payload> {
        match Payload::parse(frame) {
            Ok(parsed) => {
                if !parsed.faults.is_empty() {
                    self.event(side, Some(frame), What::Anomaly(Anomaly::Refused(parsed.faults)), sink);
                }
                Some(parsed.value)
            }
            Err(error) => {
                self.event(side, Some(frame), What::Anomaly(Anomaly::Unreadable(error)), sink);
                // AWS's client closes on any message of this name, whatever is in it.
                let closes = frame.message_type == MessageType::CHANNEL_CLOSED;
                closes.then(|| Payload::ChannelClosed(Box::default()))
            }
        }
    }

    fn acknowledge(&mut self, side: Side, frame: &Frame, acknowledge: &Acknowledge, sink: &mut dyn FnMut(Event)) {
        let (n, at) = self.now;
        let sequence = acknowledge.sequence_number;
        let named = MessageType::named(&acknowledge.message_type);
        let expected = match side {
            Side::Agent => MessageType::INPUT_STREAM_DATA,
            Side::Client | Side::Service => MessageType::OUTPUT_STREAM_DATA,
        };
        let acknowledged = match side.opposite() {
            Some(sender) if named == Some(expected) => self.stream(sender).acknowledge(n, at, acknowledge),
            _ => Acknowledged::NothingToWaitFor,
        };
        let anomaly = match acknowledged {
            Acknowledged::Message | Acknowledged::Nothing => return,
            Acknowledged::OtherMessage => Anomaly::AcknowledgesOther { sequence },
            Acknowledged::NothingToWaitFor => Anomaly::AcknowledgesNothing { sequence },
        };
        self.report.bad_acknowledges += 1;
        self.event(side, Some(frame), What::Anomaly(anomaly), sink);
    }

    /// Opens a payload as soon as it comes, because the tag proves by itself that it is sealed.
    fn seal_of(&self, side: Side, frame: &Frame) -> Seal {
        if !frame.payload_type.is_sealed_by(side) {
            return Seal::Clear;
        }
        match (self.encryption, &self.key) {
            (Encryption::Off, _) | (Encryption::Unknown, None) => Seal::Clear,
            (Encryption::On, None) => Seal::Closed(None),
            (_, Some(key)) => match key.open_frame(side, frame) {
                Ok(Some(plaintext)) => Seal::Opened(plaintext),
                Ok(None) => Seal::Clear,
                // What is too short to be sealed is in the clear, unless the handshake says otherwise.
                Err(OpenFrameError { reason: SealError::TooShort { .. }, .. })
                    if self.encryption == Encryption::Unknown =>
                {
                    Seal::Clear
                }
                Err(error) => Seal::Closed(Some(error)),
            },
        }
    }

    /// Each side's first message says whether there is a handshake, and without one nothing is sealed. Either is enough,
    /// so that neither direction of a capture has to wait for the other.
    fn settle_encryption(&mut self, side: Side, frame: &Frame) {
        let handshake = match side {
            Side::Agent => PayloadType::HANDSHAKE_REQUEST,
            Side::Client | Side::Service => PayloadType::HANDSHAKE_RESPONSE,
        };
        let is_first = frame.sequence_number == 0 && stream_sender(&frame.message_type) == side;
        let has_none = is_first && frame.payload_type != handshake;
        if has_none && self.encryption == Encryption::Unknown {
            self.encryption = Encryption::Off;
        }
    }
}

/// The end that may send stream messages of this type.
fn stream_sender(message_type: &MessageType) -> Side {
    if *message_type == MessageType::INPUT_STREAM_DATA { Side::Client } else { Side::Agent }
}
