use bytes::{Buf, Bytes};
use thiserror::Error;

use super::{
    Deviation, Deviations, DigestState, Frame, HEADER_LENGTH, MAX_MESSAGE_LENGTH, PAYLOAD_OFFSET, payload_start,
};
use crate::wire::{Flags, MessageId, MessageType, PayloadType, Sha256};

/// A frame and everything that is odd about its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The frame.
    pub frame: Frame,
    /// In what it departs from the strict form.
    pub deviations: Deviations,
}

/// Why no payload could be found in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The message ends inside the header.
    #[error("{field} at offset {offset} needs {size} bytes, the message has {length}")]
    Truncated {
        /// Name of the first field that does not fit.
        field: &'static str,
        /// Where the field starts.
        offset: usize,
        /// Bytes that the field takes.
        size: usize,
        /// Bytes of the whole message.
        length: usize,
    },
    /// HeaderLength points past the end; both upstream readers panic here.
    #[error("HeaderLength {header_length} puts the payload at {start}, the message has {length} bytes")]
    PayloadBeyondEnd {
        /// The value on the wire.
        header_length: u32,
        /// Where the payload would start.
        start: usize,
        /// Bytes of the whole message.
        length: usize,
    },
    /// Longer than [`MAX_MESSAGE_LENGTH`].
    #[error("the message has {length} bytes, more than {MAX_MESSAGE_LENGTH}")]
    TooLong {
        /// Bytes of the whole message.
        length: usize,
    },
}

impl DecodeError {
    /// Offset in the message of the field that is wrong.
    pub fn offset(&self) -> usize {
        match self {
            Self::Truncated { offset, .. } => *offset,
            Self::PayloadBeyondEnd { .. } => 0,
            Self::TooLong { .. } => MAX_MESSAGE_LENGTH,
        }
    }
}

/// Reads one message and checks its digest. The payload shares the message's memory; nothing is allocated.
///
/// # Errors
/// Only when no payload can be found: [`DecodeError`] names the field and its offset.
pub fn decode(message: Bytes) -> Result<Decoded, DecodeError> {
    read::<true>(message)
}

/// Like [`decode`] without computing a digest, for callers that judge it elsewhere ([`Frame::digest_state`]).
///
/// # Errors
/// As [`decode`].
pub fn decode_unverified(message: Bytes) -> Result<Decoded, DecodeError> {
    read::<false>(message)
}

/// One function for both, so that a frame is built once.
#[inline]
fn read<const VERIFY: bool>(mut message: Bytes) -> Result<Decoded, DecodeError> {
    let length = message.len();
    let fields = Fields::read(message.first_chunk().ok_or_else(|| truncated(length))?);
    let start = payload_in(fields.header_length, length)?;
    let extension = if start > PAYLOAD_OFFSET { message.slice(PAYLOAD_OFFSET..start) } else { Bytes::new() };
    // The message itself becomes the payload, so that its reference count is not touched.
    message.advance(start);
    let mut decoded = Decoded { frame: fields.with(extension, message), deviations: Deviations::default() };
    form(&decoded.frame, &mut decoded.deviations);
    if VERIFY {
        digest(&decoded.frame, &mut decoded.deviations);
    }
    Ok(decoded)
}

fn payload_in(header_length: u32, length: usize) -> Result<usize, DecodeError> {
    if length > MAX_MESSAGE_LENGTH {
        return Err(DecodeError::TooLong { length });
    }
    let start = payload_start(header_length);
    if start > length {
        return Err(DecodeError::PayloadBeyondEnd { header_length, start, length });
    }
    Ok(start)
}

/// The fixed fields, taken out of the message while it is only borrowed.
struct Fields {
    header_length: u32,
    message_type: MessageType,
    schema_version: u32,
    created_date: u64,
    sequence_number: i64,
    flags: Flags,
    message_id: MessageId,
    payload_digest: Sha256,
    payload_type: PayloadType,
    payload_length: u32,
}

impl Fields {
    #[inline]
    fn read(header: &[u8; PAYLOAD_OFFSET]) -> Self {
        let mut reader = Reader { rest: header };
        Self {
            header_length: u32::from_be_bytes(reader.take()),
            message_type: MessageType::from_wire(reader.take()),
            schema_version: u32::from_be_bytes(reader.take()),
            created_date: u64::from_be_bytes(reader.take()),
            sequence_number: i64::from_be_bytes(reader.take()),
            flags: Flags(u64::from_be_bytes(reader.take())),
            message_id: MessageId::from_wire(reader.take()),
            payload_digest: Sha256(reader.take()),
            payload_type: PayloadType(u32::from_be_bytes(reader.take())),
            payload_length: u32::from_be_bytes(reader.take()),
        }
    }

    #[inline]
    fn with(self, extension: Bytes, payload: Bytes) -> Frame {
        Frame {
            header_length: self.header_length,
            message_type: self.message_type,
            schema_version: self.schema_version,
            created_date: self.created_date,
            sequence_number: self.sequence_number,
            flags: self.flags,
            message_id: self.message_id,
            payload_digest: self.payload_digest,
            payload_type: self.payload_type,
            payload_length: self.payload_length,
            extension,
            payload,
        }
    }
}

fn digest(frame: &Frame, deviations: &mut Deviations) {
    match frame.digest_state() {
        DigestState::Good => {}
        DigestState::Bad => deviations.note(Deviation::BadDigest, true),
        DigestState::NotJudged => {
            let is_judged_by_nobody = !frame.payload.is_empty() && !frame.message_type.is_publication();
            let hides = is_judged_by_nobody && !frame.payload_digest.is_of(&frame.payload);
            deviations.note(Deviation::UncheckedDigest, hides);
        }
    }
}

/// Takes the header apart from the front. The header is a fixed array that holds exactly the fields asked for.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.rest.split_first_chunk() else { return [0; N] };
        self.rest = rest;
        *field
    }
}

fn form(frame: &Frame, deviations: &mut Deviations) {
    let name = &frame.message_type;
    let publication = name.is_publication();
    deviations.note(Deviation::HeaderLength, frame.header_length != HEADER_LENGTH);
    deviations.note(Deviation::PayloadInsideHeader, payload_start(frame.header_length) < PAYLOAD_OFFSET);
    deviations.note(Deviation::ZeroHeader, publication && has_zero_header(frame));
    deviations.note(Deviation::PayloadLengthMismatch, u32::try_from(frame.payload.len()) != Ok(frame.payload_length));
    deviations.note(Deviation::AbsentDigest, frame.payload_digest.is_absent());
    deviations.note(Deviation::ZeroCreatedDate, frame.created_date == 0);
    if !is_usual(name) {
        padding(name, deviations);
    }
}

fn has_zero_header(frame: &Frame) -> bool {
    frame.header_length == 0
        && frame.schema_version == 0
        && frame.created_date == 0
        && frame.message_id == MessageId::default()
}

/// Whether the field is that of one of the names that nearly every frame has, so that there is nothing to look for.
fn is_usual(name: &MessageType) -> bool {
    const USUAL: [[u8; 32]; 3] = [
        MessageType::OUTPUT_STREAM_DATA.to_wire(),
        MessageType::INPUT_STREAM_DATA.to_wire(),
        MessageType::ACKNOWLEDGE.to_wire(),
    ];
    USUAL.contains(&name.to_wire())
}

fn padding(name: &MessageType, deviations: &mut Deviations) {
    let field = name.to_wire();
    let bytes = name.as_bytes();
    let behind = field.strip_prefix(bytes).unwrap_or(&field);
    let odd = field.first() != bytes.first() || behind.iter().any(|byte| !matches!(byte, b' ' | 0));
    deviations.note(Deviation::NulPadding, field.contains(&0));
    deviations.note(Deviation::OddPadding, odd && !bytes.is_empty());
    deviations.note(Deviation::EmptyMessageType, bytes.is_empty());
    deviations.note(Deviation::MessageTypeNotUtf8, std::str::from_utf8(bytes).is_err());
}

/// The first field that does not fit into a message shorter than a header.
fn truncated(length: usize) -> DecodeError {
    let fields = [
        ("HeaderLength", 0, 4),
        ("MessageType", 4, 32),
        ("SchemaVersion", 36, 4),
        ("CreatedDate", 40, 8),
        ("SequenceNumber", 48, 8),
        ("Flags", 56, 8),
        ("MessageId", 64, 16),
        ("PayloadDigest", 80, 32),
        ("PayloadType", 112, 4),
    ];
    let (field, offset, size) = fields.into_iter().find(|(_, offset, size)| offset + size > length).unwrap_or((
        "PayloadLength",
        HEADER_LENGTH as usize,
        4,
    ));
    DecodeError::Truncated { field, offset, size, length }
}
