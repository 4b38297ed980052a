//! What is inside a frame: stream bytes, numbers, and JSON messages read as leniently as AWS's own programs read them.
//!
//! Upstream decodes with Go's `encoding/json`: keys match without regard to case, unknown keys are ignored, missing keys
//! and `null` leave the zero value, `[]byte` is padded standard base64. Here unknown keys are kept as well, and where
//! upstream would refuse a value of the wrong type the rest is still read and the refusal is listed as a [`Fault`].
//!
//! | message type | payload type | type here |
//! |---|---|---|
//! | stream | 1, 11 | [`Payload::Output`], [`Payload::StdErr`] |
//! | stream | 3 | [`Size`] |
//! | stream | 5, 6, 7 | [`HandshakeRequest`], [`HandshakeResponse`], [`HandshakeComplete`] |
//! | stream | 8, 9 | [`EncryptionChallenge`] |
//! | stream | 10 | [`FlagValue`] |
//! | stream | 12 | [`ExitCode`] |
//! | `acknowledge` | | [`Acknowledge`] |
//! | `channel_closed` | | [`ChannelClosed`] |
//! | `agent_session_state` | | [`AgentSessionState`] |
//! | `interactive_shell`, `agent_task_…`, `agent_job…` | | [`InteractiveShell`], [`control`] |
//!
//! Sources: `P: src/message/{clientmessage,handshakemessage}.go` @ 61cf1288,
//! `A: agent/session/contracts/model.go` @ 1c217c89.

use bytes::Bytes;
use serde_json::Value;
use thiserror::Error;

use crate::frame::Frame;
use crate::wire::{MessageType, PayloadType};

pub mod control;
mod field;
mod handshake;
mod json;
mod message;
mod open;
mod scalar;

pub use control::{AgentSessionState, InteractiveShell};
pub use field::{Fault, Field, MAX_FAULTS, Parsed};
pub use handshake::{
    ActionStatus, EncryptionChallenge, HandshakeComplete, HandshakeRequest, HandshakeResponse, KmsRequest, KmsResult,
    ProcessedAction, RequestedAction, SessionTypeRequest,
};
pub use json::{JsonError, MAX_JSON_DEPTH, MAX_JSON_LENGTH, parse as parse_json, write as write_json};
pub use message::{Acknowledge, ChannelClosed};
pub use open::{OpenDataChannel, Token, redact};
pub use scalar::{ExitCode, FlagValue, Size};

/// The content of one frame.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Payload {
    /// Terminal output, keystrokes or forwarded bytes.
    Output(Bytes),
    /// Standard error.
    StdErr(Bytes),
    /// Size of the client's terminal.
    Size(Size),
    /// The agent opens the handshake.
    HandshakeRequest(Box<HandshakeRequest>),
    /// The client answers it.
    HandshakeResponse(Box<HandshakeResponse>),
    /// The agent ends it.
    HandshakeComplete(HandshakeComplete),
    /// The agent's challenge, still sealed.
    ChallengeRequest(EncryptionChallenge),
    /// The client's answer, still sealed.
    ChallengeResponse(EncryptionChallenge),
    /// A control number.
    Flag(FlagValue),
    /// Exit code of the command.
    ExitCode(ExitCode),
    /// Receipt of a stream message.
    Acknowledge(Box<Acknowledge>),
    /// The service ends the channel.
    ChannelClosed(Box<ChannelClosed>),
    /// Sending may go on.
    StartPublication,
    /// Sending must stop.
    PausePublication,
    /// The agent's word to the service.
    AgentSessionState(AgentSessionState),
    /// The service asks the agent for a session.
    InteractiveShell(InteractiveShell),
    /// Any other message of the control channel.
    Control(Box<control::Message>),
    /// A message or payload type that upstream does not use: the bytes.
    Other(Bytes),
}

/// Why a payload could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Not the JSON that the type asks for.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A flag has not exactly four bytes.
    #[error("a flag has 4 bytes, this one {length}")]
    FlagLength {
        /// Bytes of the payload.
        length: usize,
    },
    /// Payload type 12 without `EXIT_CODE: ` and a number.
    #[error("no exit code in {length} bytes")]
    ExitCode {
        /// Bytes of the payload.
        length: usize,
    },
}

impl Payload {
    /// Reads the payload of a frame. A sealed payload ([`crate::seal`]) is opened first and read with [`Payload::read`].
    ///
    /// # Errors
    /// When the bytes cannot be what the frame's types say; the bytes stay available in the frame.
    pub fn parse(frame: &Frame) -> Result<Parsed<Self>, PayloadError> {
        Self::read(&frame.message_type, frame.payload_type, frame.payload.clone())
    }

    /// Reads `bytes` as the payload of a frame of these types.
    ///
    /// # Errors
    /// As [`Payload::parse`].
    pub fn read(
        message_type: &MessageType,
        payload_type: PayloadType,
        bytes: Bytes,
    ) -> Result<Parsed<Self>, PayloadError> {
        Ok(match *message_type {
            _ if message_type.is_stream() => return read_stream(payload_type, bytes),
            it if it == MessageType::ACKNOWLEDGE => {
                Acknowledge::parse(&bytes)?.map(|it| Self::Acknowledge(Box::new(it)))
            }
            it if it == MessageType::CHANNEL_CLOSED => {
                ChannelClosed::parse(&bytes)?.map(|it| Self::ChannelClosed(Box::new(it)))
            }
            it if it == MessageType::START_PUBLICATION => Parsed::clean(Self::StartPublication),
            it if it == MessageType::PAUSE_PUBLICATION => Parsed::clean(Self::PausePublication),
            it if it == MessageType::AGENT_SESSION_STATE => {
                AgentSessionState::parse(&bytes)?.map(Self::AgentSessionState)
            }
            it if it == MessageType::INTERACTIVE_SHELL => InteractiveShell::parse(&bytes)?.map(Self::InteractiveShell),
            _ => match control::Message::read(message_type, &bytes)? {
                Some(message) => message.map(|it| Self::Control(Box::new(it))),
                None => Parsed::clean(Self::Other(bytes)),
            },
        })
    }
}

/// The payload of a frame as a JSON value with its own keys, for frames whose payload is JSON; `None` otherwise.
pub fn json(message_type: &MessageType, payload_type: PayloadType, bytes: &[u8]) -> Option<Result<Value, JsonError>> {
    let is_json = match *message_type {
        _ if message_type.is_stream() => matches!(payload_type.0, 3 | 5..=9),
        _ => message_type.is_known() && !message_type.is_publication(),
    };
    is_json.then(|| parse_json(bytes))
}

fn read_stream(payload_type: PayloadType, bytes: Bytes) -> Result<Parsed<Payload>, PayloadError> {
    Ok(match payload_type {
        PayloadType::OUTPUT => Parsed::clean(Payload::Output(bytes)),
        PayloadType::STDERR => Parsed::clean(Payload::StdErr(bytes)),
        PayloadType::SIZE => Size::parse(&bytes)?.map(Payload::Size),
        PayloadType::HANDSHAKE_REQUEST => {
            HandshakeRequest::parse(&bytes)?.map(|it| Payload::HandshakeRequest(Box::new(it)))
        }
        PayloadType::HANDSHAKE_RESPONSE => {
            HandshakeResponse::parse(&bytes)?.map(|it| Payload::HandshakeResponse(Box::new(it)))
        }
        PayloadType::HANDSHAKE_COMPLETE => HandshakeComplete::parse(&bytes)?.map(Payload::HandshakeComplete),
        PayloadType::ENCRYPTION_CHALLENGE_REQUEST => EncryptionChallenge::parse(&bytes)?.map(Payload::ChallengeRequest),
        PayloadType::ENCRYPTION_CHALLENGE_RESPONSE => {
            EncryptionChallenge::parse(&bytes)?.map(Payload::ChallengeResponse)
        }
        PayloadType::FLAG => Parsed::clean(Payload::Flag(FlagValue::parse(&bytes)?)),
        PayloadType::EXIT_CODE => Parsed::clean(Payload::ExitCode(ExitCode::parse(&bytes)?)),
        _ => Parsed::clean(Payload::Other(bytes)),
    })
}
