//! `warden`'s own capture format: what `warden record` writes.
//!
//! A capture is a preamble and then records, each of which holds the hash of the one before. It is written record by
//! record, so that after a crash everything up to the last whole record can be read. All integers are big-endian.
//!
//! # Preamble, 20 bytes
//!
//! | offset | size | field | |
//! |---|---|---|---|
//! | 0 | 8 | [`MAGIC`] | `89 57 41 52 44 45 4e 0a`: not text, and damaged by every conversion of line ends |
//! | 8 | 4 | version | 1 |
//! | 12 | 8 | marker | random, drawn when the capture was begun; every record begins with it |
//!
//! # Record, 89 bytes and its body
//!
//! | offset | size | field | |
//! |---|---|---|---|
//! | 0 | 8 | marker | the preamble's. A reader that lost its place looks for it; a session cannot know and forge it |
//! | 8 | 4 | length | of the body, at most [`layout::MAX_BODY`] |
//! | 12 | 4 | length again | every bit inverted: a damaged length is noticed before it leads anywhere |
//! | 16 | 8 | number | 0, 1, 2, … |
//! | 24 | 32 | previous | hash of the record before; of record 0: SHA-256 of the preamble |
//! | 56 | 1 | kind | below |
//! | 57 | n | body | |
//! | 57 + n | 32 | hash | SHA-256 of the record as stored, from the marker to the end of the body |
//!
//! As `previous` is inside what is hashed, each hash stands for everything before it. As it is stored as well, a record
//! that was altered, one that was taken out and two that changed places are told apart, and damage in one place does not
//! hide what is whole behind it.
//!
//! | kind | name | body |
//! |---|---|---|
//! | 0 | header | JSON, see [`Header`]; always record 0 |
//! | 1 | message | time i64 in nanoseconds since 1970 UTC, direction u8 (1 c2s, 2 s2c, 3 a2s, 4 s2a), opcode u8 (RFC 6455: 1 text, 2 binary, 8 close, 9 ping, 10 pong), socket u32 (0, 1, … in the order of connecting), then the message: put together from its fragments, without WebSocket masking |
//! | 2 | masked | as 1, after the socket a u32: how many payload bytes are masked. See below |
//! | 3 | not recorded | JSON, see [`NotRecorded`]: here messages passed that could not be written |
//! | 4 | closing | JSON, see [`Closing`]; the last record |
//! | 5 | padding | zeros, to be ignored (they push an encrypted capture to the disk, see [`sealed`]) |
//!
//! A record of another kind is skipped by a reader that does not know it; it counts in the chain.
//!
//! # What is not stored as it was sent
//!
//! * Text messages: every `TokenValue` is replaced by its SHA-256 ([`warden_protocol::payload::redact`], which also
//!   writes the JSON anew). The token is a long random bearer secret, so its digest gives nothing away.
//! * Input that the remote side did not echo, unless the capture was made with `--keep-input`: in records of kind
//!   *masked* each such byte of the payload is `*` ([`MASK`]) and the frame's own payload digest is zero. Withholding it is
//!   the point: an unkeyed digest of a few typed characters is as good as the characters. No other digest of them is kept.
//!   A reader gives the frame the digest of the masked payload, so that it reads as the consistent frame it now is,
//!   and says that it is masked ([`Item::Message`]).
//!
//! The chain covers what is stored.
//!
//! # What an unsigned chain proves
//!
//! That the capture is, bit for bit, the one whose last hash you have from elsewhere: nobody can change, remove, add or
//! reorder a record and keep that hash. `warden record` prints the last hash when it ends and `warden verify` prints it
//! again; keep it where whoever holds the file cannot write: in the ticket, in a signed mail, in another account's log.
//!
//! Without a hash from elsewhere the chain proves only that the file was not damaged by accident or by somebody who did not
//! know what he did. Whoever can write the file can change it and compute all hashes anew. It never proves who made the
//! capture, that its times are right, or that the recorder saw everything. A capture cut between two records has a good
//! chain; only the missing closing record tells.
//!
//! # Limits
//!
//! [`layout::MAX_BODY`] bytes a body, [`chain::MAX_DAMAGES`] places of damage are listed, the others counted. A reader holds one record
//! at a time.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use warden_protocol::channel::Opcode;
use warden_protocol::wire::{Direction, Sha256};

use super::Message;

mod chain;
mod layout;
mod reader;
pub(crate) mod sealed;
mod writer;

pub(crate) use chain::{Chain, Damage};
pub(crate) use layout::MAX_MESSAGE;
pub(crate) use reader::Reader;
pub(crate) use writer::{Writer, create};

/// What every capture begins with.
pub(crate) const MAGIC: [u8; 8] = *b"\x89WARDEN\n";
/// The version that is written, and the only one that is read.
pub(crate) const VERSION: u32 = 1;
/// Bytes before the first record.
pub(crate) const PREAMBLE: usize = 20;
/// What stands in the place of a masked byte.
pub(crate) const MASK: u8 = b'*';

/// Body of record 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// When the capture was begun, by the recorder's clock.
    pub(crate) created: Timestamp,
    /// Program and version that made it.
    pub(crate) tool: String,
    /// Id of the session.
    pub(crate) session: Option<String>,
    /// What the session was started for: a managed node or an ECS task.
    pub(crate) target: Option<String>,
    /// Region of the session.
    pub(crate) region: Option<String>,
    /// Host that the data channel was connected to.
    pub(crate) host: Option<String>,
    /// Document of the session.
    pub(crate) document: Option<String>,
    /// What is masked.
    pub(crate) masked: Vec<Masked>,
}

/// Something that a capture holds in another form than it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Masked {
    /// `TokenValue` in text messages: always.
    Token,
    /// Input that was not echoed: unless `--keep-input`.
    NoEchoInput,
}

/// Body of a record of kind 3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotRecorded {
    /// How many messages.
    pub(crate) messages: u64,
    /// Time of the first.
    pub(crate) from: Timestamp,
    /// Time of the last.
    pub(crate) to: Timestamp,
    /// What kept them out, in the words of the operating system.
    pub(crate) reason: String,
}

/// Body of the closing record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Closing {
    /// When the capture was closed.
    pub(crate) closed: Timestamp,
    /// Records before this one.
    pub(crate) records: u64,
    /// Text and binary messages among them, masked ones included.
    pub(crate) messages: u64,
    /// Masked ones among them.
    pub(crate) masked: u64,
    /// Messages that passed and are not in the capture.
    pub(crate) not_recorded: u64,
}

/// What a [`Reader`] finds, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// The header.
    Header(Header),
    /// A text or binary message.
    Message {
        /// Number of its record.
        number: u64,
        /// Offset of its record in the (decrypted) capture.
        offset: u64,
        /// The socket that carried it.
        socket: u32,
        /// How many bytes of its payload are masked; 0 if it is as it was sent. If not 0, its payload digest is that of
        /// the masked payload.
        masked: u32,
        /// The message.
        message: Message,
    },
    /// A ping, a pong or a close.
    Control {
        /// The socket that carried it.
        socket: u32,
        /// The message.
        message: Control,
    },
    /// Messages passed here that could not be written.
    NotRecorded(NotRecorded),
    /// The record in which the capture is damaged is the next item, if it can be read.
    Damage(Damage),
    /// The closing record.
    Closing(Closing),
}

/// A control message of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    /// Time of the capture's clock.
    pub(crate) at: Timestamp,
    /// Which leg, which way.
    pub(crate) direction: Direction,
    /// 8 close, 9 ping, 10 pong.
    pub(crate) opcode: u8,
    /// At most 125 bytes.
    pub(crate) bytes: Bytes,
}

/// What a writer is given and a reader gives back: a message of any opcode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// The socket that carried it.
    pub(crate) socket: u32,
    /// Time of the capture's clock.
    pub(crate) at: Timestamp,
    /// Which leg, which way.
    pub(crate) direction: Direction,
    /// RFC 6455, section 5.2: 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub(crate) opcode: u8,
    /// The message.
    pub(crate) bytes: Bytes,
}

impl Passed {
    /// As an item; `masked` says how many bytes of it are.
    fn into_item(self, number: u64, offset: u64, masked: u32) -> Item {
        let opcode = match self.opcode {
            1 => Opcode::Text,
            2 => Opcode::Binary,
            opcode => {
                let message = Control { at: self.at, direction: self.direction, opcode, bytes: self.bytes };
                return Item::Control { socket: self.socket, message };
            }
        };
        let message = Message { at: self.at, direction: self.direction, opcode, bytes: self.bytes };
        Item::Message { number, offset, socket: self.socket, masked, message }
    }
}

/// The hash that record 0 names as the one before it.
fn seed(preamble: &[u8]) -> Sha256 {
    Sha256::of(preamble)
}

#[cfg(test)]
mod tests;
