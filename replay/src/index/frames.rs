use std::io;
use std::sync::PoisonError;

use jiff::Timestamp;
use warden_protocol::channel::{Opcode, Status};
use warden_protocol::wire::Direction;

use super::{Shared, Spool};
use crate::capture::Message;

/// One WebSocket message as it was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Time of the capture's clock.
    pub(crate) at: Timestamp,
    /// Which leg, which way.
    pub(crate) direction: Direction,
    /// Text or binary.
    pub(crate) opcode: Opcode,
    /// Its standing.
    pub(crate) status: Status,
    start: u64,
    len: u32,
}

/// Messages of a session, for the raw view: the only place that holds what the client typed.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    list: Vec<Frame>,
    spool: Spool,
    waiting: Vec<u8>,
}

/// Messages and bytes that are handed on at once.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 1 << 20;

impl Frames {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { list: Vec::new(), spool: Spool::new()?, waiting: Vec::new() })
    }

    /// Takes the next message; whether it is time to hand them on.
    pub(super) fn push(&mut self, message: &Message, status: Status) -> io::Result<bool> {
        let start = self.spool.len + self.waiting.len() as u64;
        let len = u32::try_from(message.bytes.len()).map_err(io::Error::other)?;
        self.waiting.extend_from_slice(&message.bytes);
        let Message { at, direction, opcode, .. } = *message;
        self.list.push(Frame { at, direction, opcode, status, start, len });
        Ok(self.list.len() >= BATCH || self.waiting.len() >= BATCH_BYTES)
    }

    /// Puts what came into the index.
    pub(super) fn hand_on(&mut self, shared: &Shared) -> io::Result<()> {
        self.spool.write(&std::mem::take(&mut self.waiting))?;
        let mut index = shared.write().unwrap_or_else(PoisonError::into_inner);
        index.frames.list.append(&mut self.list);
        index.frames.spool = self.spool.clone();
        Ok(())
    }

    /// A message by its number, and its bytes.
    ///
    /// # Errors
    /// What the file system says of the spool.
    pub(crate) fn read(&self, n: u64) -> io::Result<Option<(Frame, Vec<u8>)>> {
        let Some(frame) = usize::try_from(n).ok().and_then(|n| self.list.get(n)) else { return Ok(None) };
        let bytes = self.spool.read(frame.start, frame.start + u64::from(frame.len))?;
        Ok(Some((*frame, bytes)))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
}
