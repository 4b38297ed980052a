use std::fmt;

use bytes::Bytes;

use crate::mux::starts_mux;
use crate::payload::FlagValue;
use crate::wire::{PayloadType, Side};

/// What kind of session a channel carries.
///
/// The agent announces it only in a handshake, and holds a handshake only for `Port` and `NonInteractiveCommands` or
/// when a KMS key encrypts the session (`A: agent/session/plugins/sessionplugin/sessionplugin.go` @ 1c217c89). A plain
/// shell has none: its type is inferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionType {
    /// A shell.
    StandardStream,
    /// A command on a terminal.
    InteractiveCommands,
    /// A command without a terminal.
    NonInteractiveCommands,
    /// Forwarded TCP connections.
    Port,
    /// A name that is not known here.
    Other(String),
}

impl SessionType {
    /// The type with this name.
    pub fn named(name: &str) -> Self {
        match name {
            "Standard_Stream" => Self::StandardStream,
            "InteractiveCommands" => Self::InteractiveCommands,
            "NonInteractiveCommands" => Self::NonInteractiveCommands,
            "Port" => Self::Port,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The name that AWS gives it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::StandardStream => "Standard_Stream",
            Self::InteractiveCommands => "InteractiveCommands",
            Self::NonInteractiveCommands => "NonInteractiveCommands",
            Self::Port => "Port",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for SessionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a session type is known; a later one replaces an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// Output, input or a terminal size: a shell, or a command on a terminal, which look alike.
    Terminal,
    /// A payload that only one kind of session has.
    Payload,
    /// The handshake says so.
    Handshake,
}

/// What a stream message says about its session's type.
pub(super) fn infer(side: Side, payload_type: PayloadType, payload: &Bytes) -> Option<(SessionType, Evidence)> {
    match (payload_type, side) {
        (PayloadType::STDERR | PayloadType::EXIT_CODE, Side::Agent) => {
            Some((SessionType::NonInteractiveCommands, Evidence::Payload))
        }
        (PayloadType::FLAG, _) => {
            // TerminateSession ends sessions of every kind.
            let flag = FlagValue::parse(payload).ok()?;
            let is_port = matches!(flag, FlagValue::DISCONNECT_TO_PORT | FlagValue::CONNECT_TO_PORT_ERROR);
            is_port.then_some((SessionType::Port, Evidence::Payload))
        }
        (PayloadType::OUTPUT, Side::Client) if starts_mux(payload) => Some((SessionType::Port, Evidence::Payload)),
        (PayloadType::OUTPUT | PayloadType::SIZE, _) => Some((SessionType::StandardStream, Evidence::Terminal)),
        _ => None,
    }
}
