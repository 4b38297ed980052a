//! Frames: one binary WebSocket message of a data or control channel, which AWS's client calls ClientMessage and AWS's
//! agent AgentMessage. The bytes of both are identical.
//!
//! All integers are big-endian (`P: src/message/{clientmessage,messageparser}.go` @ 61cf1288,
//! `A: agent/session/contracts/agentmessage.go` @ 1c217c89):
//!
//! | offset | size | field | type | notes |
//! |---|---|---|---|---|
//! | 0 | 4 | HeaderLength | u32 | 116 on write: the offset of PayloadLength, whose 4 bytes it excludes |
//! | 4 | 32 | MessageType | bytes | UTF-8, padded with spaces |
//! | 36 | 4 | SchemaVersion | u32 | 1 |
//! | 40 | 8 | CreatedDate | u64 | milliseconds since 1970 by the sender's clock; a retransmission keeps it |
//! | 48 | 8 | SequenceNumber | i64 | per direction, stream messages only; 0 otherwise |
//! | 56 | 8 | Flags | u64 | bit 0 SYN, bit 1 FIN |
//! | 64 | 16 | MessageId | UUID | low half first |
//! | 80 | 32 | PayloadDigest | bytes | SHA-256 of the payload as on the wire (of the ciphertext when encrypted) |
//! | 112 | 4 | PayloadType | u32 | see [`PayloadType`] |
//! | 116 | 4 | PayloadLength | u32 | advisory: no reader cuts by it |
//! | 120 | n | Payload | bytes | in truth everything from HeaderLength + 4 (in u32 arithmetic) to the end |
//!
//! Both ends read PayloadLength at the fixed offset 116 and take the payload from `HeaderLength + 4` to the end of the
//! message, whatever PayloadLength says. Decoding does the same and lists next to the frame in what it deviates from the
//! strict form ([`Deviation`]). Where the upstream readers panic (HeaderLength past the end, 116 to 119 bytes) there is
//! an error instead. An empty payload, which neither upstream writer can produce, is read as both upstream readers do.
//!
//! ```
//! use bytes::Bytes;
//! use warden_protocol::frame::{Frame, decode};
//! use warden_protocol::wire::{MessageType, PayloadType};
//!
//! let frame = Frame {
//!     created_date: 1_732_279_474_123,
//!     ..Frame::stream(MessageType::OUTPUT_STREAM_DATA, 7, PayloadType::OUTPUT, Bytes::from_static(b"sh-5.2$ "))
//! };
//! let message = frame.encode();
//! let decoded = decode(message.clone())?;
//! assert_eq!(decoded.frame.sequence_number, 7);
//! assert_eq!(decoded.frame.payload, b"sh-5.2$ "[..]);
//! assert!(decoded.deviations.is_empty());
//!
//! // Cut in the header: a value that says where, not a panic.
//! let error = decode(message.slice(..100)).unwrap_err();
//! assert_eq!(error.offset(), 80);
//! # Ok::<(), warden_protocol::frame::DecodeError>(())
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{Flags, MessageId, MessageType, PayloadType, Sha256};

mod decode;
mod deviation;

pub use decode::{DecodeError, Decoded, decode, decode_unverified};
pub use deviation::{Deviation, Deviations};

/// The only HeaderLength that upstream writes.
pub const HEADER_LENGTH: u32 = 116;
/// Bytes before the payload of a frame in strict form.
pub const PAYLOAD_OFFSET: usize = 120;
/// Longest message that is decoded, in bytes. Stream messages carry at most 1052 payload bytes; the largest known
/// others are documents of some 100 KiB on the control channel.
pub const MAX_MESSAGE_LENGTH: usize = 4 << 20;

/// One frame, every field as on the wire. Payload and extension share the message's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Offset of PayloadLength by the sender's claim.
    pub header_length: u32,
    /// What kind of message it is.
    pub message_type: MessageType,
    /// Version of the layout; 1.
    pub schema_version: u32,
    /// Milliseconds since 1970-01-01 UTC by the sender's clock.
    pub created_date: u64,
    /// Position in the sender's stream; 0 if the frame is no stream message. Negative numbers decode.
    pub sequence_number: i64,
    /// SYN and FIN.
    pub flags: Flags,
    /// Identity of the message; a retransmission keeps it.
    pub message_id: MessageId,
    /// The digest that the sender wrote.
    pub payload_digest: Sha256,
    /// What the payload is.
    pub payload_type: PayloadType,
    /// The length that the sender wrote; the payload's own length may differ.
    pub payload_length: u32,
    /// Bytes between offset 120 and the payload when HeaderLength is above 116; empty otherwise.
    pub extension: Bytes,
    /// Everything from `header_length + 4` to the end; overlaps the header when HeaderLength is below 116.
    pub payload: Bytes,
}

impl Frame {
    /// A stream message whose header fits its payload. CreatedDate, Flags and MessageId are zero: the caller knows time and identity.
    pub fn stream(message_type: MessageType, sequence_number: i64, payload_type: PayloadType, payload: Bytes) -> Self {
        Self {
            header_length: HEADER_LENGTH,
            message_type,
            schema_version: 1,
            created_date: 0,
            sequence_number,
            flags: Flags::default(),
            message_id: MessageId::default(),
            payload_digest: Sha256::of(&payload),
            payload_type,
            payload_length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            extension: Bytes::new(),
            payload,
        }
    }

    /// The message as on the wire.
    ///
    /// For every frame that [`decode()`] returns, however it deviates, these are the bytes that were decoded. For a frame
    /// put together by hand the fields are written as they are, consistent or not.
    pub fn encode(&self) -> Bytes {
        let mut message = BytesMut::with_capacity(PAYLOAD_OFFSET + self.extension.len() + self.payload.len());
        message.put_u32(self.header_length);
        message.put_slice(&self.message_type.to_wire());
        message.put_u32(self.schema_version);
        message.put_u64(self.created_date);
        message.put_i64(self.sequence_number);
        message.put_u64(self.flags.0);
        message.put_slice(&self.message_id.to_wire());
        message.put_slice(&self.payload_digest.0);
        message.put_u32(self.payload_type.0);
        message.put_u32(self.payload_length);
        message.put_slice(&self.extension);
        // A payload that starts inside the header repeats header bytes, which are written already.
        let overlap = PAYLOAD_OFFSET.saturating_sub(payload_start(self.header_length));
        message.put_slice(self.payload.get(overlap..).unwrap_or_default());
        message.freeze()
    }

    /// How the payload stands to the digest that the sender wrote.
    pub fn digest_state(&self) -> DigestState {
        if self.payload_length == 0 {
            return DigestState::NotJudged;
        }
        match (self.payload_digest.is_absent(), self.message_type.is_publication()) {
            (true, true) => DigestState::NotJudged,
            _ if self.payload_digest.is_of(&self.payload) => DigestState::Good,
            _ => DigestState::Bad,
        }
    }
}

/// Result of comparing a payload with its PayloadDigest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestState {
    /// The digest is that of the payload.
    Good,
    /// The digest is another: AWS's client drops such a frame, AWS's agent never looks.
    Bad,
    /// PayloadLength is 0, or a publication message has no digest: AWS's client does not look either.
    NotJudged,
}

/// Where the payload starts, in the u32 arithmetic of both upstream readers: 0xffffffff wraps to byte 3.
fn payload_start(header_length: u32) -> usize {
    header_length.wrapping_add(4) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_length_that_finds_a_payload_is_given_back() {
        let message = Frame::stream(MessageType::ACKNOWLEDGE, -3, PayloadType(99), Bytes::from_static(b"0123456789"));
        for header_length in [0, 1, 96, 115, 116, 117, 126, u32::MAX, u32::MAX - 3] {
            let mut bytes = BytesMut::from(&message.encode()[..]);
            bytes[..4].copy_from_slice(&header_length.to_be_bytes());
            let bytes = bytes.freeze();
            let decoded = decode(bytes.clone()).unwrap();
            assert_eq!(decoded.frame.encode(), bytes, "{header_length}");
            assert_eq!(decoded.deviations.contains(Deviation::HeaderLength), header_length != 116);
        }
    }
}
