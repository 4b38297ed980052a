use bytes::Bytes;
use jiff::Timestamp;

use crate::frame::{DecodeError, Decoded};
use crate::payload::{
    AgentSessionState, ChannelClosed, EncryptionChallenge, ExitCode, Fault, FlagValue, HandshakeComplete,
    HandshakeRequest, HandshakeResponse, OpenDataChannel, Payload, PayloadError, Size,
};
use crate::reorder::{Missing, Place};
use crate::seal::{NonceJump, OpenFrameError};
use crate::wire::{PayloadType, Side};

/// One thing that happened on a channel. Events of stream messages come in the order of their side's sequence numbers,
/// all others when their frame comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Number of the frame in the capture, from 0. Missing messages have that of the frame at which the gap was given up.
    pub n: u64,
    /// Time of that frame in the capture. A message that waited for its predecessor keeps its own time, which is then
    /// before that of the event in front of it.
    pub at: Timestamp,
    /// CreatedDate: milliseconds since 1970 by the sender's clock; `None` for texts, gaps and undecodable frames.
    pub created: Option<u64>,
    /// Who made the frame.
    pub side: Side,
    /// Sequence number of a stream message.
    pub sequence: Option<i64>,
    /// What happened.
    pub what: What,
}

/// What an [`Event`] is about.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum What {
    /// A side opened its socket.
    Opened(Box<OpenDataChannel>),
    /// A side opened a further socket and goes on.
    Reconnected(Box<OpenDataChannel>),
    /// Payload type 1 of the agent: terminal output, or bytes of a forwarded connection.
    Output(Bytes),
    /// Payload type 1 of the client: keystrokes, or bytes of a forwarded connection.
    Input(Bytes),
    /// Payload type 11.
    StdErr(Bytes),
    /// The client's terminal has this size now.
    Resize(Size),
    /// The command ended.
    ExitCode(ExitCode),
    /// A control number.
    Flag(FlagValue),
    /// The agent opened the handshake.
    HandshakeRequest(Box<HandshakeRequest>),
    /// The client answered it.
    HandshakeResponse(Box<HandshakeResponse>),
    /// The agent ended it.
    HandshakeComplete(HandshakeComplete),
    /// The agent asked for proof of the data key.
    ChallengeRequest(EncryptionChallenge),
    /// The client gave it. `answers` says whether it is right; `None` without a key or a request.
    ChallengeResponse {
        /// The answer, sealed.
        challenge: EncryptionChallenge,
        /// Whether it holds the agent's random bytes.
        answers: Option<bool>,
    },
    /// The agent told the service whether the session runs.
    SessionState(AgentSessionState),
    /// The service ended the channel.
    Closed(Box<ChannelClosed>),
    /// The service asked one end to stop sending.
    Paused,
    /// The service let one end send.
    Resumed,
    /// A message of the control channel.
    Control(Payload),
    /// A stream message of a payload type that upstream does not use.
    Other {
        /// The type.
        payload_type: PayloadType,
        /// The payload.
        bytes: Bytes,
    },
    /// A stream message that stays encrypted.
    Sealed {
        /// The type.
        payload_type: PayloadType,
        /// Nonce, ciphertext and tag.
        bytes: Bytes,
    },
    /// Messages of this side are missing here.
    Missing(Missing),
    /// Something is wrong with a frame or with the channel.
    Anomaly(Anomaly),
}

/// Something that AWS's programs do not do, or that says that evidence is lost or changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Anomaly {
    /// No payload could be found.
    Undecodable(DecodeError),
    /// The digest is not that of the payload.
    BadDigest,
    /// Other bytes under a sequence number that came before; the first ones count.
    Conflicting,
    /// Came when its gap had been given up, or is too old to compare: it is in no stream.
    TooLate,
    /// One message came [`super::STORM_COPIES`] times.
    RetransmissionStorm,
    /// A message from an end that cannot send it. A stream message is in no stream then; another is an event all the same,
    /// but the report does not rest on it.
    WrongSender,
    /// An acknowledge of something that the capture does not hold.
    AcknowledgesNothing {
        /// The acknowledged sequence number.
        sequence: i64,
    },
    /// An acknowledge whose MessageId is not that of the message with its sequence number.
    AcknowledgesOther {
        /// The acknowledged sequence number.
        sequence: i64,
    },
    /// The agent's nonces are not consecutive.
    NonceJump(NonceJump),
    /// A sealed payload that does not open with the key.
    DoesNotOpen(OpenFrameError),
    /// A payload that is not what its type says. Its bytes are in their stream all the same.
    Unreadable(PayloadError),
    /// A JSON payload with fields that upstream refuses.
    Refused(Vec<Fault>),
}

/// What a frame turned out to be when it came.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Who made it.
    pub side: Side,
    /// What is in it.
    pub content: Content,
    /// Where a stream message stands in its sequence; `None` for all others.
    pub place: Option<Place>,
    /// Whether it is sealed.
    pub seal: Seal,
}

/// What is in a WebSocket message.
#[derive(Clone, Debug)]
pub enum Content {
    /// A frame.
    Frame(Box<Decoded>),
    /// The first text of a socket; `None` if it is something else, show it with [`crate::payload::redact`].
    Text(Option<Box<OpenDataChannel>>),
    /// Neither.
    Undecodable(DecodeError),
}

/// Whether a payload is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seal {
    /// It is not, as far as is known when the frame comes.
    Clear,
    /// It was: the plaintext.
    Opened(Bytes),
    /// It is; there is no key, or the key does not fit.
    Closed(Option<OpenFrameError>),
}

/// A frame's standing in one word; if several hold, the first in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// No payload could be found.
    Undecodable,
    /// Other bytes under a known sequence number.
    Conflicting,
    /// The digest is wrong.
    BadDigest,
    /// Came before, byte for byte.
    Duplicate,
    /// Came after its successor.
    Late,
    /// Came before its predecessor.
    Reordered,
    /// Nothing of these.
    Ok,
}

impl Status {
    /// `undecodable`, `conflicting`, `bad-digest`, `duplicate`, `late`, `reordered` or `ok`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::Conflicting => "conflicting",
            Self::BadDigest => "bad-digest",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::Reordered => "reordered",
            Self::Ok => "ok",
        }
    }
}

impl Verdict {
    /// The frame's standing.
    pub fn status(&self) -> Status {
        let place = match self.place {
            Some(Place::Conflicting) => Status::Conflicting,
            Some(Place::Duplicate { .. }) => Status::Duplicate,
            Some(Place::Late | Place::TooLate) => Status::Late,
            Some(Place::Ahead) => Status::Reordered,
            Some(Place::InOrder) | None => Status::Ok,
        };
        let form = match &self.content {
            Content::Undecodable(_) => Status::Undecodable,
            Content::Frame(decoded) if decoded.deviations.contains(crate::frame::Deviation::BadDigest) => {
                Status::BadDigest
            }
            _ => Status::Ok,
        };
        place.min(form)
    }

    /// The payload of a frame, in plaintext if it could be opened.
    pub fn payload(&self) -> Option<&Bytes> {
        match (&self.seal, &self.content) {
            (Seal::Opened(plaintext), _) => Some(plaintext),
            (_, Content::Frame(decoded)) => Some(&decoded.frame.payload),
            _ => None,
        }
    }
}
