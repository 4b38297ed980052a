//! Captures: files that hold the WebSocket messages of a data channel.

#[allow(dead_code, unused_imports)] // Until `record` and `verify` use all of it.
pub(crate) mod own;

use bytes::Bytes;
use jiff::Timestamp;
use warden_protocol::channel::Opcode;
use warden_protocol::wire::Direction;

/// One WebSocket message as a capture holds it, in capture order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Time of the capture's clock.
    pub(crate) at: Timestamp,
    /// Which leg, which way.
    pub(crate) direction: Direction,
    /// Text or binary.
    pub(crate) opcode: Opcode,
    /// The message, unmasked and put together from its fragments.
    pub(crate) bytes: Bytes,
}
