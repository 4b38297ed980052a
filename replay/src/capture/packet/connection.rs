//! One TCP connection: from segments to the messages of the WebSocket that it carries.

use std::sync::Arc;

use jiff::Timestamp;
use warden_protocol::channel::Opcode;
use warden_protocol::frame;
use warden_protocol::payload::{Acknowledge, OpenDataChannel};
use warden_protocol::wire::{Direction, MessageType};

use super::link::Segment;
use super::tcp::{Assembler, Delivery};
use crate::capture::http::{self, HEAD_LIMIT, Request, Response};
use crate::capture::tls::{KeyLog, Opened, Tls};
use crate::capture::websocket::{Decoded, Decoder};
use crate::capture::{Damage, Message, Socket};

/// What a connection yields.
#[derive(Debug)]
pub(super) enum Output<'a> {
    /// A WebSocket of a data channel; it is given its number.
    Socket { number: &'a mut u32, named: Socket },
    /// A message.
    Message { socket: u32, offset: u64, message: Message },
    /// Something is damaged or missing.
    Damage(u64, Damage),
}

type Sink<'s> = &'s mut dyn FnMut(Output<'_>);

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    keylog: Arc<KeyLog>,
    client: Assembler,
    server: Assembler,
    carrier: Carrier,
    stream: Stream,
}

/// What carries the stream.
#[derive(Debug)]
enum Carrier {
    /// The first bytes decide.
    Unknown,
    Plain,
    Tls(Box<Tls>),
    /// Nothing that matters here.
    Other,
}

/// The stream inside: HTTP, then a WebSocket.
#[derive(Debug)]
struct Stream {
    state: State,
    /// Heads that are not whole yet, and what came behind them.
    request: Vec<u8>,
    response: Vec<u8>,
    asked: Option<Request>,
    from_client: Decoder,
    from_server: Decoder,
    socket: Option<u32>,
    /// Whether the ends are the agent and the service.
    is_agent_leg: Option<bool>,
    named: Option<Socket>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    WebSocket,
    /// A proxy grants a tunnel: everything begins anew.
    Tunnel,
    Other,
}

impl Connection {
    pub(super) fn new(keylog: Arc<KeyLog>) -> Self {
        let (client, server) = (Assembler::default(), Assembler::default());
        Self { keylog, client, server, carrier: Carrier::Unknown, stream: Stream::new() }
    }

    /// Whether a SYN with this number opens another connection between the same ends.
    pub(super) fn restarts(&self, from_client: bool, sequence: u32) -> bool {
        if from_client { self.client.restarts(sequence) } else { self.server.restarts(sequence) }
    }

    pub(super) fn segment(
        &mut self,
        from_client: bool,
        at: Timestamp,
        offset: u64,
        segment: &Segment<'_>,
        sink: Sink<'_>,
    ) {
        if matches!(self.carrier, Carrier::Other) {
            return;
        }
        let sequence = segment.sequence.wrapping_add(u32::from(segment.syn));
        let Self { keylog, client, server, carrier, stream } = self;
        let (own, peer) = if from_client { (client, server) } else { (server, client) };
        let mut upper = Upper { keylog, carrier, stream };
        own.segment(sequence, at, offset, segment.payload, &mut |delivery| upper.deliver(from_client, &delivery, sink));
        if let Some(acknowledgment) = segment.acknowledgment {
            peer.acknowledged(acknowledgment, &mut |delivery| upper.deliver(!from_client, &delivery, sink));
        }
    }

    /// No more segments come.
    pub(super) fn finish(&mut self, sink: Sink<'_>) {
        let Self { keylog, client, server, carrier, stream } = self;
        let mut upper = Upper { keylog, carrier, stream };
        client.finish(&mut |delivery| upper.deliver(true, &delivery, sink));
        server.finish(&mut |delivery| upper.deliver(false, &delivery, sink));
    }
}

/// Everything above TCP.
struct Upper<'c> {
    keylog: &'c Arc<KeyLog>,
    carrier: &'c mut Carrier,
    stream: &'c mut Stream,
}

impl Upper<'_> {
    fn deliver(&mut self, from_client: bool, delivery: &Delivery<'_>, sink: Sink<'_>) {
        match *delivery {
            Delivery::Bytes { at, offset, bytes } => self.bytes(from_client, at, offset, bytes, sink),
            Delivery::Lost { offset, bytes } => {
                match self.carrier {
                    Carrier::Tls(tls) => tls.lose(from_client),
                    Carrier::Plain => {}
                    Carrier::Unknown | Carrier::Other => return,
                }
                self.stream.lose(from_client);
                if self.stream.state == State::WebSocket {
                    sink(Output::Damage(offset, Damage::LostBytes { bytes }));
                }
            }
        }
    }

    fn bytes(&mut self, from_client: bool, at: Timestamp, offset: u64, bytes: &[u8], sink: Sink<'_>) {
        if matches!(self.carrier, Carrier::Unknown) {
            *self.carrier = self.stream.carrier(from_client, bytes, self.keylog);
        }
        match self.carrier {
            Carrier::Plain => self.stream.bytes(from_client, at, offset, bytes, sink),
            Carrier::Tls(tls) => {
                let stream = &mut *self.stream;
                tls.feed(from_client, at, offset, bytes, &mut |opened| match opened {
                    Opened::Bytes { at, offset, bytes } => stream.bytes(from_client, at, offset, bytes, sink),
                    Opened::Lost => stream.lose(from_client),
                    Opened::Damage(offset, damage) => sink(Output::Damage(offset, damage)),
                });
            }
            Carrier::Unknown | Carrier::Other => {}
        }
        match self.stream.state {
            State::Other => *self.carrier = Carrier::Other,
            State::Tunnel => {
                let (request, response) = (self.stream.request.split_off(0), self.stream.response.split_off(0));
                (*self.carrier, *self.stream) = (Carrier::Unknown, Stream::new());
                for (from_client, bytes) in [(true, request), (false, response)] {
                    if !bytes.is_empty() {
                        self.bytes(from_client, at, offset, &bytes, sink);
                    }
                }
            }
            State::Head | State::WebSocket => {}
        }
    }
}

impl Stream {
    fn new() -> Self {
        Self {
            state: State::Head,
            request: Vec::new(),
            response: Vec::new(),
            asked: None,
            from_client: Decoder::new(true),
            from_server: Decoder::new(false),
            socket: None,
            is_agent_leg: None,
            named: None,
        }
    }

    /// What the first bytes of a connection say that it carries.
    fn carrier(&mut self, from_client: bool, bytes: &[u8], keylog: &Arc<KeyLog>) -> Carrier {
        let decoder = if from_client { &self.from_client } else { &self.from_server };
        if Tls::is_start(bytes) {
            Carrier::Tls(Box::new(Tls::new(keylog.clone())))
        } else if http::is_request(bytes) || bytes.starts_with(b"HTTP/1.") {
            Carrier::Plain
        } else if decoder.is_start(bytes) {
            // The capture begins inside the connection.
            self.state = State::WebSocket;
            Carrier::Plain
        } else {
            Carrier::Other
        }
    }

    fn lose(&mut self, from_client: bool) {
        if self.state == State::WebSocket {
            if from_client { self.from_client.lose() } else { self.from_server.lose() }
        }
    }

    fn bytes(&mut self, from_client: bool, at: Timestamp, offset: u64, bytes: &[u8], sink: Sink<'_>) {
        match self.state {
            State::Head if self.is_past_upgrade(from_client, bytes) => {
                self.skip_upgrade(at, offset, sink);
                self.messages(from_client, at, offset, bytes, sink);
            }
            State::Head => {
                let head = if from_client { &mut self.request } else { &mut self.response };
                head.extend_from_slice(bytes);
                self.heads(at, offset, sink);
            }
            State::WebSocket => self.messages(from_client, at, offset, bytes, sink),
            State::Tunnel | State::Other => {}
        }
    }

    /// Whether a direction is at its frames already: its part of the upgrade is not in the capture.
    fn is_past_upgrade(&self, from_client: bool, bytes: &[u8]) -> bool {
        let (head, decoder) =
            if from_client { (&self.request, &self.from_client) } else { (&self.response, &self.from_server) };
        let may_upgrade = !matches!(self.asked, Some(Request::Connect | Request::Other));
        may_upgrade && head.is_empty() && decoder.is_start(bytes)
    }

    /// Goes on to the frames with what is known of the upgrade.
    fn skip_upgrade(&mut self, at: Timestamp, offset: u64, sink: Sink<'_>) {
        if let Some(Request::Upgrade(named)) = self.asked.take() {
            self.named = named;
        }
        self.state = State::WebSocket;
        let mut response = std::mem::take(&mut self.response);
        if let Some(length) = http::head_length(&response) {
            let rest = response.split_off(length);
            if let Response::Switched { extensions } = http::response(&response) {
                self.from_client.inflate(&extensions);
                self.from_server.inflate(&extensions);
            }
            self.messages(false, at, offset, &rest, sink);
        }
    }

    fn heads(&mut self, at: Timestamp, offset: u64, sink: Sink<'_>) {
        if self.request.len() > HEAD_LIMIT || self.response.len() > HEAD_LIMIT {
            self.state = State::Other;
            return;
        }
        if self.asked.is_none()
            && let Some(length) = http::head_length(&self.request)
        {
            let rest = self.request.split_off(length);
            let head = std::mem::replace(&mut self.request, rest);
            self.asked = Some(http::request(&head));
        }
        match &self.asked {
            Some(Request::Other) => self.state = State::Other,
            Some(Request::Upgrade(_) | Request::Connect) => self.answer(at, offset, sink),
            None => {}
        }
    }

    fn answer(&mut self, at: Timestamp, offset: u64, sink: Sink<'_>) {
        let Some(length) = http::head_length(&self.response) else { return };
        let rest = self.response.split_off(length);
        let head = std::mem::replace(&mut self.response, rest);
        match (self.asked.take(), http::response(&head)) {
            (Some(Request::Upgrade(named)), Response::Switched { extensions }) => {
                self.named = named;
                self.state = State::WebSocket;
                self.from_client.inflate(&extensions);
                self.from_server.inflate(&extensions);
                let (request, response) = (std::mem::take(&mut self.request), std::mem::take(&mut self.response));
                self.messages(true, at, offset, &request, sink);
                self.messages(false, at, offset, &response, sink);
            }
            (Some(Request::Connect), Response::Done) => self.state = State::Tunnel,
            _ => self.state = State::Other,
        }
    }

    fn messages(&mut self, from_client: bool, at: Timestamp, offset: u64, bytes: &[u8], sink: Sink<'_>) {
        let decoder = if from_client { &mut self.from_client } else { &mut self.from_server };
        let mut all = Vec::new();
        decoder.feed(at, offset, bytes, &mut |decoded| all.push(decoded));
        for decoded in all {
            match decoded {
                Decoded::Damage(offset, damage) => sink(Output::Damage(offset, damage)),
                Decoded::Message { at, offset, opcode, bytes } => {
                    let is_agent_leg =
                        *self.is_agent_leg.get_or_insert_with(|| is_agent_leg(from_client, opcode, &bytes));
                    if self.socket.is_none() && !self.open(opcode, &bytes, sink) {
                        self.state = State::Other;
                        return;
                    }
                    let direction = match (is_agent_leg, from_client) {
                        (false, true) => Direction::ClientToService,
                        (false, false) => Direction::ServiceToClient,
                        (true, true) => Direction::AgentToService,
                        (true, false) => Direction::ServiceToAgent,
                    };
                    let (socket, message) = (self.socket.unwrap_or(0), Message { at, direction, opcode, bytes });
                    sink(Output::Message { socket, offset, message });
                }
            }
        }
    }

    /// Opens the socket with its first message, unless it is not that of a data channel. A URL of another form may be a
    /// relay's: then the message decides.
    fn open(&mut self, opcode: Opcode, bytes: &bytes::Bytes, sink: Sink<'_>) -> bool {
        let is_opening = || OpenDataChannel::parse(bytes).is_ok_and(|open| !open.value.token.reveal().is_empty());
        let is_frame = || frame::decode_unverified(bytes.clone()).is_ok_and(|it| it.frame.message_type.is_known());
        let is_ours = match opcode {
            _ if self.named.is_some() => true,
            Opcode::Text => is_opening(),
            Opcode::Binary => is_frame(),
        };
        if is_ours {
            let mut number = 0;
            sink(Output::Socket { number: &mut number, named: self.named.clone().unwrap_or_default() });
            self.socket = Some(number);
        }
        is_ours
    }
}

/// Whether the first message of a socket shows the agent at the end that dialled.
fn is_agent_leg(from_client: bool, opcode: Opcode, bytes: &bytes::Bytes) -> bool {
    if opcode == Opcode::Text {
        let open = OpenDataChannel::parse(bytes).ok();
        return from_client && open.is_some_and(|open| open.value.client_instance_id.is_some());
    }
    let Ok(decoded) = frame::decode_unverified(bytes.clone()) else { return false };
    let frame = decoded.frame;
    let acknowledged = (frame.message_type == MessageType::ACKNOWLEDGE)
        .then(|| Acknowledge::parse(&frame.payload).ok())
        .flatten()
        .and_then(|acknowledge| MessageType::named(&acknowledge.value.message_type));
    let (input, output) = (MessageType::INPUT_STREAM_DATA, MessageType::OUTPUT_STREAM_DATA);
    let by_agent = frame.message_type == output || acknowledged == Some(input);
    let by_client = frame.message_type == input || acknowledged == Some(output);
    if from_client {
        by_agent || frame.message_type == MessageType::AGENT_SESSION_STATE
    } else {
        by_client || frame.message_type == MessageType::INTERACTIVE_SHELL
    }
}
