//! The sessions of one capture.

use std::collections::HashMap;
use std::io;

use warden_protocol::channel::{Channel, Content, Event, Opcode, Report, Verdict, What};
use warden_protocol::payload::OpenDataChannel;
use warden_protocol::port::Forwarding;
use warden_protocol::wire::{Direction, Side};

use super::Sink;
use super::order::Order;
use crate::capture::{Damage, Message, Secrets, Socket};

/// Most sessions that are told apart in one capture; further ones count to the last.
const MAX_SESSIONS: usize = 64;
/// Most sockets whose names are remembered.
const MAX_SOCKETS: usize = 4096;

/// One session of a capture.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its id: from the upgrade request or the capture's header, else from the channel's own messages.
    pub(crate) id: Option<String>,
    /// Host of the message gateway.
    pub(crate) host: Option<String>,
    /// What its channel amounts to.
    pub(crate) report: Report,
    /// Its forwarded connections.
    pub(crate) forwarding: Forwarding,
    /// Damage of the capture, the first of it, with offsets.
    pub(crate) damage: Vec<(u64, Damage)>,
}

/// Damage that is kept for the report; all of it is handed out.
const MAX_DAMAGE: usize = 64;

/// Takes the messages of a capture apart into sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    secrets: Secrets,
    sockets: HashMap<u32, Socket>,
    open: Vec<Open>,
    /// Damage met before the first message.
    early: Vec<(u64, Damage)>,
}

#[derive(Debug)]
struct Open {
    /// Name of the session by its sockets; `None` if they have none.
    named: Option<String>,
    session: Session,
    channel: Channel,
    order: Order,
    /// `ClientId` of each side's first opening text: all sockets of a session repeat it.
    client_id: Option<String>,
    agent_id: Option<String>,
}

impl Sessions {
    /// No session yet.
    pub(crate) fn new(secrets: &Secrets) -> Self {
        Self { secrets: secrets.clone(), sockets: HashMap::new(), open: Vec::new(), early: Vec::new() }
    }

    /// Says what is known of a socket, before its messages.
    pub(crate) fn name(&mut self, socket: u32, named: Socket) {
        if self.sockets.len() < MAX_SOCKETS || self.sockets.contains_key(&socket) {
            self.sockets.insert(socket, named);
        }
    }

    /// Takes the next message: which session it belongs to, and the verdict on it.
    pub(crate) fn message(
        &mut self,
        socket: u32,
        offset: u64,
        message: &Message,
        sink: &mut Sink<'_>,
    ) -> io::Result<(usize, Verdict)> {
        let at = self.session_of(socket);
        let (at, mixed) = self.split(at, message);
        let fresh = at >= self.open.len();
        if fresh {
            self.begin(socket);
        }
        let at = at.min(self.open.len().saturating_sub(1));
        let early = std::mem::take(&mut self.early);
        let Some(open) = self.open.get_mut(at) else { return Err(io::ErrorKind::OutOfMemory.into()) };
        for (offset, damage) in early {
            open.note(offset, damage, sink)?;
        }
        if mixed {
            open.note(offset, Damage::OtherSession, sink)?;
        }
        let verdict = open.feed(message);
        open.order.settle(open.channel.held(), sink)?;
        Ok((at, verdict))
    }

    /// Takes damage of the capture.
    pub(crate) fn damage(&mut self, offset: u64, damage: &Damage, sink: &mut Sink<'_>) -> io::Result<()> {
        if self.open.is_empty() && self.early.len() < MAX_DAMAGE {
            self.early.push((offset, damage.clone()));
        }
        self.open.iter_mut().try_for_each(|open| open.note(offset, damage.clone(), sink))
    }

    /// The id of a session, as far as it is known by now.
    pub(crate) fn id(&self, session: usize) -> Option<&str> {
        self.open.get(session)?.session.id.as_deref()
    }

    /// The capture ends: gaps are given up, what waited is handed out.
    pub(crate) fn finish(mut self, sink: &mut Sink<'_>) -> io::Result<Vec<Session>> {
        // What was captured in vain is a session of which nothing is known.
        if self.open.is_empty() {
            self.begin(0);
            self.early.push((0, Damage::NoChannel));
            for (offset, damage) in std::mem::take(&mut self.early) {
                self.damage(offset, &damage, sink)?;
            }
        }
        self.open.into_iter().map(|open| open.finish(sink)).collect()
    }

    /// The session of a socket; one behind the last if it is new.
    fn session_of(&self, socket: u32) -> usize {
        let named = self.sockets.get(&socket).and_then(|socket| socket.session.as_deref());
        self.open.iter().rposition(|open| open.named.as_deref() == named).unwrap_or(self.open.len())
    }

    /// Formats that do not name sessions may hold several all the same: another `ClientId` opens another session if the one
    /// before has ended, and is mixed into it otherwise.
    fn split(&self, at: usize, message: &Message) -> (usize, bool) {
        let Some(open) = self.open.get(at) else { return (at, false) };
        let Some((side, id)) = opening(message) else { return (at, false) };
        let known = if side == Side::Client { &open.client_id } else { &open.agent_id };
        if known.as_ref().is_none_or(|known| *known == id) {
            return (at, false);
        }
        // The agent makes a new ClientId for each of its sockets, and a named socket belongs to its session.
        if side == Side::Agent || open.named.is_some() {
            return (at, false);
        }
        let ended = open.channel.report().closed_reason.is_some();
        if ended { (self.open.len(), false) } else { (at, true) }
    }

    fn begin(&mut self, socket: u32) {
        if self.open.len() >= MAX_SESSIONS {
            return;
        }
        let socket = self.sockets.get(&socket).cloned().unwrap_or_default();
        let session = Session {
            id: socket.session.clone(),
            host: socket.host,
            report: Report::default(),
            forwarding: Forwarding::default(),
            damage: Vec::new(),
        };
        self.open.push(Open {
            named: socket.session,
            session,
            channel: Channel::new(self.secrets.data_key()),
            order: Order::new(self.open.len()),
            client_id: None,
            agent_id: None,
        });
    }
}

impl Open {
    fn feed(&mut self, message: &Message) -> Verdict {
        let Self { session, channel, order, client_id, agent_id, .. } = self;
        let verdict = channel.feed(message.at, message.direction, message.opcode, &message.bytes, &mut |event| {
            session.learn(&event);
            session.forwarding.feed(&event, &mut |_| {});
            order.push(event);
        });
        if let Content::Text(Some(open)) = &verdict.content {
            let known = if verdict.side == Side::Client { client_id } else { agent_id };
            known.get_or_insert_with(|| open.client_id.clone());
        }
        verdict
    }

    fn note(&mut self, offset: u64, damage: Damage, sink: &mut Sink<'_>) -> io::Result<()> {
        if self.session.damage.len() < MAX_DAMAGE {
            self.session.damage.push((offset, damage.clone()));
        }
        self.order.damage(offset, damage, sink)
    }

    fn finish(mut self, sink: &mut Sink<'_>) -> io::Result<Session> {
        let Self { session, channel, order, .. } = &mut self;
        channel.finish(&mut |event| {
            session.learn(&event);
            session.forwarding.feed(&event, &mut |_| {});
            order.push(event);
        });
        session.forwarding.finish(&mut |_| {});
        order.flush(sink)?;
        self.session.report = self.channel.report();
        Ok(self.session)
    }
}

impl Session {
    /// What the channel's own messages say of the session.
    fn learn(&mut self, event: &Event) {
        let id = match &event.what {
            What::Closed(closed) => &closed.session_id,
            What::SessionState(state) => &state.session_id,
            _ => return,
        };
        if self.id.is_none() && !id.is_empty() {
            self.id = Some(id.clone());
        }
    }

    /// What the capture says of who and where.
    pub(crate) fn identity(&self) -> warden_session::Session {
        let region = self.host.as_deref().and_then(|host| host.split('.').nth(1)).map(ToOwned::to_owned);
        warden_session::Session {
            id: self.id.as_deref().and_then(warden_session::SessionId::parse),
            region,
            plugin: self.report.session_type.as_ref().map(|(kind, _)| kind.as_str().to_owned()),
            ..warden_session::Session::default()
        }
    }

    /// Whether digests are wrong, frames contradict each other, or the capture contradicts itself.
    pub(crate) fn is_contradictory(&self) -> bool {
        self.report.is_contradictory() || self.damage.iter().any(|(_, damage)| damage.is_contradiction())
    }

    /// Whether something is missing or stayed encrypted.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.report.is_incomplete() || self.damage.iter().any(|(_, damage)| damage.is_incomplete())
    }
}

/// The sender and `ClientId` of an opening text.
fn opening(message: &Message) -> Option<(Side, String)> {
    let side = match (message.opcode, message.direction) {
        (Opcode::Text, Direction::ClientToService) => Side::Client,
        (Opcode::Text, Direction::AgentToService) => Side::Agent,
        _ => return None,
    };
    let open = OpenDataChannel::parse(&message.bytes).ok()?.value;
    (!open.client_id.is_empty()).then_some((side, open.client_id))
}
