//! Records as bytes.

use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;
use warden_protocol::frame::{MAX_MESSAGE_LENGTH, PAYLOAD_OFFSET, decode_unverified};
use warden_protocol::wire::{Direction, Sha256};

use super::Passed;

/// Longest message that is stored, in bytes: what the protocol decodes.
pub(crate) const MAX_MESSAGE: usize = MAX_MESSAGE_LENGTH;
/// Longest body, in bytes: a message and the room for what stands before it.
pub(crate) const MAX_BODY: usize = MAX_MESSAGE + 64;
/// Bytes of a record before its body.
pub(super) const HEAD: usize = 57;
/// Bytes of a record that are not its body.
pub(super) const OVERHEAD: usize = HEAD + 32;
/// Random bytes that every record begins with.
pub(super) type Marker = [u8; 8];

/// What the body of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Header = 0,
    Message = 1,
    Masked = 2,
    NotRecorded = 3,
    Closing = 4,
    Padding = 5,
}

impl Kind {
    fn from_code(code: u8) -> Option<Self> {
        [Self::Header, Self::Message, Self::Masked, Self::NotRecorded, Self::Closing, Self::Padding]
            .into_iter()
            .find(|kind| *kind as u8 == code)
    }
}

/// The fields before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) marker: Marker,
    /// `None` if the two lengths contradict each other or are beyond [`MAX_BODY`].
    pub(super) length: Option<usize>,
    pub(super) number: u64,
    pub(super) previous: Sha256,
    pub(super) kind: Option<Kind>,
}

impl Head {
    /// Reads the first [`HEAD`] bytes of a record; `None` if there are fewer.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (marker, rest) = bytes.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (inverted, rest) = rest.split_first_chunk::<4>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (previous, rest) = rest.split_first_chunk::<32>()?;
        let length = u32::from_be_bytes(*length);
        let agrees = length == !u32::from_be_bytes(*inverted);
        Some(Self {
            marker: *marker,
            length: usize::try_from(length).ok().filter(|&length| agrees && length <= MAX_BODY),
            number: u64::from_be_bytes(*number),
            previous: Sha256(*previous),
            kind: Kind::from_code(*rest.first()?),
        })
    }
}

/// A whole record, and its hash.
pub(super) fn record(marker: Marker, number: u64, previous: Sha256, kind: Kind, body: &[&[u8]]) -> (Bytes, Sha256) {
    let length: usize = body.iter().map(|part| part.len()).sum();
    // The writer refuses longer bodies.
    let length32 = u32::try_from(length).unwrap_or(u32::MAX);
    let mut out = BytesMut::with_capacity(OVERHEAD + length);
    out.put_slice(&marker);
    out.put_u32(length32);
    out.put_u32(!length32);
    out.put_u64(number);
    out.put_slice(&previous.0);
    out.put_u8(kind as u8);
    for part in body {
        out.put_slice(part);
    }
    let hash = Sha256::of(&out);
    out.put_slice(&hash.0);
    (out.freeze(), hash)
}

/// What stands before a message in a body.
pub(super) fn message_head(passed: &Passed, masked: Option<u32>) -> Bytes {
    let mut out = BytesMut::with_capacity(18);
    // Until the year 2262 the nanoseconds fit.
    out.put_i64(i64::try_from(passed.at.as_nanosecond()).unwrap_or(i64::MAX));
    out.put_u8(direction_code(passed.direction));
    out.put_u8(passed.opcode);
    out.put_u32(passed.socket);
    if let Some(masked) = masked {
        out.put_u32(masked);
    }
    out.freeze()
}

/// The message in a body of kind 1 (`masked` false) or 2, and how many bytes of it are masked; `None` if it is none.
pub(super) fn read_message(body: &Bytes, masked: bool) -> Option<(Passed, u32)> {
    let (at, rest) = body.split_first_chunk::<8>()?;
    let (&[direction, opcode], rest) = rest.split_first_chunk::<2>()?;
    let (socket, mut rest) = rest.split_first_chunk::<4>()?;
    let mut count = 0;
    if masked {
        let (masked, behind) = rest.split_first_chunk::<4>()?;
        count = u32::from_be_bytes(*masked);
        rest = behind;
    }
    let bytes = body.slice_ref(rest);
    let passed = Passed {
        socket: u32::from_be_bytes(*socket),
        at: Timestamp::from_nanosecond(i64::from_be_bytes(*at).into()).ok()?,
        direction: direction_of(direction)?,
        opcode: Some(opcode).filter(|opcode| matches!(opcode, 1 | 2 | 8 | 9 | 10))?,
        bytes: if masked { with_digest(&bytes) } else { bytes },
    };
    Some((passed, count))
}

/// The frame with the digest that its payload has now. What is no frame stays as it is.
fn with_digest(message: &Bytes) -> Bytes {
    match decode_unverified(message.clone()) {
        Ok(mut decoded) => {
            decoded.frame.payload_digest = Sha256::of(&decoded.frame.payload);
            decoded.frame.encode()
        }
        Err(_) => message.clone(),
    }
}

/// The frame with the bytes of its payload in `ranges` masked and without its digest, and how many bytes that are; `None`
/// if it is not the plain form whose payload starts at byte 120, in which no byte could be named for certain.
pub(super) fn mask(message: &Bytes, is_masked: &dyn Fn(usize) -> bool) -> Option<(Bytes, u32)> {
    let mut decoded = decode_unverified(message.clone()).ok()?;
    if message.len() - decoded.frame.payload.len() != PAYLOAD_OFFSET {
        return None;
    }
    let mut payload = BytesMut::from(&decoded.frame.payload[..]);
    let mut count = 0_u32;
    for (index, byte) in payload.iter_mut().enumerate() {
        if is_masked(index) {
            *byte = super::MASK;
            count += 1;
        }
    }
    decoded.frame.payload = payload.freeze();
    decoded.frame.payload_digest = Sha256::default();
    Some((decoded.frame.encode(), count))
}

fn direction_code(direction: Direction) -> u8 {
    match direction {
        Direction::ClientToService => 1,
        Direction::ServiceToClient => 2,
        Direction::AgentToService => 3,
        Direction::ServiceToAgent => 4,
    }
}

fn direction_of(code: u8) -> Option<Direction> {
    [Direction::ClientToService, Direction::ServiceToClient, Direction::AgentToService, Direction::ServiceToAgent]
        .into_iter()
        .find(|direction| direction_code(*direction) == code)
}
