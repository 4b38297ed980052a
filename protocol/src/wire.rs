//! The numbers and names of a frame's header. Every one is a newtype over what is on the wire, so that a value nobody
//! has seen yet survives decoding and encoding unchanged.
//!
//! Sources, at fixed commits: `P:` = aws/session-manager-plugin @ 61cf1288, `A:` = aws/amazon-ssm-agent @ 1c217c89.

use std::fmt;

use uuid::Uuid;

mod message_type;

pub use message_type::MessageType;

/// Who made a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The operator's end: AWS's session-manager-plugin.
    Client,
    /// The managed node's end: AWS's amazon-ssm-agent.
    Agent,
    /// The message gateway between them, for what it makes itself.
    Service,
}

impl Side {
    /// `client`, `agent` or `service`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Agent => "agent",
            Self::Service => "service",
        }
    }

    /// The end that stream messages of this side go to; the service has no opposite.
    pub fn opposite(self) -> Option<Self> {
        match self {
            Self::Client => Some(Self::Agent),
            Self::Agent => Some(Self::Client),
            Self::Service => None,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which way a WebSocket message went, on which of the two legs of a session.
///
/// The client holds one socket to the service and the agent another; the service relays. A capture usually holds one leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Client leg, from the client: `c2s`.
    ClientToService,
    /// Client leg, to the client: `s2c`.
    ServiceToClient,
    /// Agent leg, from the agent: `a2s`.
    AgentToService,
    /// Agent leg, to the agent: `s2a`.
    ServiceToAgent,
}

impl Direction {
    /// `c2s`, `s2c`, `a2s` or `s2a`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientToService => "c2s",
            Self::ServiceToClient => "s2c",
            Self::AgentToService => "a2s",
            Self::ServiceToAgent => "s2a",
        }
    }

    /// The direction that `name` names.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::ClientToService, Self::ServiceToClient, Self::AgentToService, Self::ServiceToAgent]
            .into_iter()
            .find(|direction| direction.as_str() == name)
    }

    /// Who made a message of this type that goes this way: of what the service relays the other end, of what the service
    /// makes itself the service.
    pub fn sender(self, message_type: &MessageType) -> Side {
        match self {
            Self::ClientToService => Side::Client,
            Self::AgentToService => Side::Agent,
            _ if message_type.is_publication() || *message_type == MessageType::CHANNEL_CLOSED => Side::Service,
            Self::ServiceToClient => Side::Agent,
            Self::ServiceToAgent if message_type.is_known() && !message_type.is_relayed() => Side::Service,
            Self::ServiceToAgent => Side::Client,
        }
    }
}

/// What a payload is: the u32 at offset 112 (`P: src/message/clientmessage.go`, `A: agent/session/contracts/model.go`).
///
/// | value | name | from | content |
/// |---|---|---|---|
/// | 0 | none | both | acknowledges and service messages |
/// | 1 | output | both | terminal output, keystrokes, forwarded TCP bytes; at most 1024 plaintext bytes |
/// | 2 | error | nobody | declared by both ends, used by neither |
/// | 3 | size | client | JSON `{"cols":u32,"rows":u32}` |
/// | 4 | parameter | nobody | declared by both ends, used by neither |
/// | 5 | handshake-request | agent | JSON |
/// | 6 | handshake-response | client | JSON |
/// | 7 | handshake-complete | agent | JSON |
/// | 8 | encryption-challenge-request | agent | JSON |
/// | 9 | encryption-challenge-response | client | JSON |
/// | 10 | flag | both | 4 bytes, a big-endian u32 |
/// | 11 | stderr | agent | like 1 |
/// | 12 | exit-code | agent | ASCII text `EXIT_CODE: <n>` |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadType(pub u32);

impl PayloadType {
    /// Not a stream message.
    pub const NONE: Self = Self(0);
    /// Terminal output from the agent, keystrokes from the client, TCP bytes from both.
    pub const OUTPUT: Self = Self(1);
    /// Declared upstream and never used.
    pub const ERROR: Self = Self(2);
    /// Size of the client's terminal.
    pub const SIZE: Self = Self(3);
    /// Declared upstream and never used.
    pub const PARAMETER: Self = Self(4);
    /// The agent opens the handshake.
    pub const HANDSHAKE_REQUEST: Self = Self(5);
    /// The client answers it.
    pub const HANDSHAKE_RESPONSE: Self = Self(6);
    /// The agent ends it.
    pub const HANDSHAKE_COMPLETE: Self = Self(7);
    /// The agent asks the client to prove that it holds the data key.
    pub const ENCRYPTION_CHALLENGE_REQUEST: Self = Self(8);
    /// The client proves it.
    pub const ENCRYPTION_CHALLENGE_RESPONSE: Self = Self(9);
    /// A control number, see [`crate::payload::FlagValue`].
    pub const FLAG: Self = Self(10);
    /// Standard error of a NonInteractiveCommands session.
    pub const STDERR: Self = Self(11);
    /// Exit code of a NonInteractiveCommands session, as text.
    pub const EXIT_CODE: Self = Self(12);

    /// The name in the table above; `None` for a value that upstream does not know.
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "none",
            1 => "output",
            2 => "error",
            3 => "size",
            4 => "parameter",
            5 => "handshake-request",
            6 => "handshake-response",
            7 => "handshake-complete",
            8 => "encryption-challenge-request",
            9 => "encryption-challenge-response",
            10 => "flag",
            11 => "stderr",
            12 => "exit-code",
            _ => return None,
        })
    }

    /// Whether `side` encrypts this payload type once a session key exists: the agent 1, 11 and 12, the client only 1
    /// (`A: agent/session/datachannel/datachannel.go`, `P: src/datachannel/streaming.go`).
    pub fn is_sealed_by(self, side: Side) -> bool {
        match side {
            Side::Agent => matches!(self, Self::OUTPUT | Self::STDERR | Self::EXIT_CODE),
            Side::Client => self == Self::OUTPUT,
            Side::Service => false,
        }
    }
}

/// The u64 at offset 56: bit 0 SYN, bit 1 FIN.
///
/// Nobody reads it upstream. The agent sets 1 on its output sequence 0 and 0 afterwards, the client 0 on all input, every
/// acknowledge and `agent_session_state` carries 3 (seen on the wire). FIN does not mark the end of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flags(pub u64);

impl Flags {
    /// Bit 0.
    pub const SYN: Self = Self(1);
    /// Bit 1.
    pub const FIN: Self = Self(2);
    /// Both bits, as acknowledges carry them.
    pub const SYN_FIN: Self = Self(3);

    /// Whether every bit of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The 16 bytes at offset 64, in the normal order of a UUID.
///
/// On the wire the halves are swapped: bytes 8..16 of the UUID come first (`P: src/message/messageparser.go`, putUuid).
/// UUID 00112233-4455-6677-8899-aabbccddeeff is on the wire `8899aabbccddeeff0011223344556677`. An acknowledge names
/// the message by the text form of the normal order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub Uuid);

impl MessageId {
    /// From the order on the wire.
    pub fn from_wire(wire: [u8; 16]) -> Self {
        Self(Uuid::from_u128(u128::from_be_bytes(wire).rotate_left(64)))
    }

    /// To the order on the wire.
    pub fn to_wire(self) -> [u8; 16] {
        self.0.as_u128().rotate_left(64).to_be_bytes()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.as_hyphenated(), f)
    }
}

/// A SHA-256 value: of a payload as on the wire (offset 80 of a frame), or of a whole stream. Displays as lower-case hex.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(&aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
    }

    /// Takes a digest that was computed in pieces.
    pub(crate) fn from_digest(digest: &aws_lc_rs::digest::Digest) -> Self {
        // A SHA-256 digest has 32 bytes.
        Self(digest.as_ref().try_into().unwrap_or_default())
    }

    /// Whether this is the digest of `bytes`.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref() == self.0
    }

    /// Whether all bytes are zero: a digest that was never written.
    pub fn is_absent(&self) -> bool {
        self.0 == [0; 32]
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_message_id_are_swapped_on_the_wire() {
        let uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        let wire = MessageId(uuid).to_wire();
        assert_eq!(wire[..4], [0x88, 0x99, 0xaa, 0xbb]);
        assert_eq!(MessageId::from_wire(wire).to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn digest_of_nothing_is_the_known_one() {
        assert_eq!(Sha256::of(b"").to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
