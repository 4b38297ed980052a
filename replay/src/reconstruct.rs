//! Messages of a capture -> sessions, and what happened in each as an ordered stream of moments.
//!
//! Players, exports and command extraction read a capture through [`read`]: moments of one session come in the order in
//! which its terminal could show them, with times that never run backwards. Messages that came early wait for their
//! predecessors; meanwhile everything else of the session waits with them, so that both directions stay in order. All
//! waiting is bounded by the window of [`warden_protocol::reorder`].
//!
//! One capture may hold several sessions. Sockets whose upgrade names the same session are one session (a client that lost
//! its connection goes on over a new one); so are all sockets of a capture that names none.

mod order;
mod sessions;
#[cfg(feature = "aws")]
pub(crate) mod wrapped;

use std::io;

use jiff::Timestamp;
use warden_protocol::channel;
use warden_protocol::wire::Side;

use crate::capture::{self, Damage, Found, Secrets};
use crate::input::Input;

pub(crate) use sessions::{Session, Sessions};

/// One thing that happened in a session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moment {
    /// Which session of the capture, from 0: an index into what [`read`] returns.
    pub(crate) session: usize,
    /// Number of the message in its session, from 0; that of the message before, for damage.
    pub(crate) n: u64,
    /// Time of the capture at which the terminal could show it. Never before that of an earlier moment of the session.
    pub(crate) at: Timestamp,
    /// Sequence number of a stream message.
    pub(crate) sequence: Option<i64>,
    /// `CreatedDate`: milliseconds since 1970 by the sender's clock.
    pub(crate) created: Option<u64>,
    /// Bytes of terminal output (payload type 1 of the agent, in plaintext) before this moment: its place in the
    /// reassembled output stream. For output the first byte is here.
    pub(crate) offset: u64,
    /// Who did it.
    pub(crate) side: Side,
    /// What happened.
    pub(crate) what: What,
}

impl Moment {
    /// As the event of the channel that it was, for readers of these; `None` for damage.
    pub(crate) fn event(&self) -> Option<channel::Event> {
        let What::Channel(what) = &self.what else { return None };
        let Self { n, at, created, side, sequence, .. } = *self;
        Some(channel::Event { n, at, created, side, sequence, what: what.clone() })
    }
}

/// What a [`Moment`] is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// Something on the channel: output, input, a size, a gap, an anomaly, the end.
    Channel(channel::What),
    /// The capture itself is damaged here. A damage that belongs to no session is told to every session.
    Damage {
        /// Offset in the capture.
        offset: u64,
        /// What it is.
        damage: Damage,
    },
}

/// Where moments go. An error ends the reading and is handed on.
pub(crate) type Sink<'a> = dyn FnMut(Moment) -> io::Result<()> + 'a;

/// Reads a capture whole; its sessions in the order of their first message, with their reports.
///
/// # Errors
/// What the file system or the sink says, and that the input is no capture.
pub(crate) fn read(input: &Input, secrets: &Secrets, sink: &mut Sink<'_>) -> io::Result<Vec<Session>> {
    let mut sessions = Sessions::new(secrets);
    capture::read(input, secrets, &mut |found| match found {
        Found::Socket { socket, named } => {
            sessions.name(socket, named);
            Ok(())
        }
        Found::Message { socket, offset, message, .. } => sessions.message(socket, offset, &message, sink).map(drop),
        Found::Damage { offset, damage } => sessions.damage(offset, &damage, sink),
    })?;
    sessions.finish(sink)
}
