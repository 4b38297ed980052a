use std::collections::BTreeMap;

use jiff::Timestamp;

use super::session_type::{Evidence, SessionType};
use crate::reorder::Missing;
use crate::wire::{MessageType, PayloadType, Sha256, Side};

/// Most kinds of frames that are counted one by one; further ones are counted together.
pub const MAX_KINDS: usize = 256;

/// What a channel amounts to, so far or at the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The session's type and how it is known.
    pub session_type: Option<(SessionType, Evidence)>,
    /// Version of the agent, from the handshake.
    pub agent_version: Option<String>,
    /// Version of the client, from its opening text or the handshake.
    pub client_version: Option<String>,
    /// The KMS key that encrypts the session.
    pub kms_key_id: Option<String>,
    /// WebSocket messages in all.
    pub frames: u64,
    /// Texts that open a socket, or any others.
    pub texts: u64,
    /// Frames by maker, message type and payload type.
    pub counts: BTreeMap<(Side, MessageType, PayloadType), u64>,
    /// Frames of kinds beyond [`MAX_KINDS`].
    pub uncounted: u64,
    /// What the client sent.
    pub client: StreamReport,
    /// What the agent sent.
    pub agent: StreamReport,
    /// Sockets beyond each side's first.
    pub reconnects: u64,
    /// `pause_publication` messages.
    pub pauses: u64,
    /// Frames whose digest is wrong.
    pub bad_digests: u64,
    /// WebSocket messages that are neither a frame nor a text.
    pub undecodable: u64,
    /// Acknowledges of nothing that the capture holds, or of another message.
    pub bad_acknowledges: u64,
    /// Exit code of the command.
    pub exit_code: Option<i64>,
    /// Why the service ended the channel: empty after a normal end; `None` if it did not.
    pub closed_reason: Option<String>,
}

/// One direction of a channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamReport {
    /// Sequence numbers that came.
    pub unique: u64,
    /// Frames that came again, byte for byte.
    pub duplicates: u64,
    /// Frames with other bytes under a known number.
    pub conflicting: u64,
    /// Frames that came after their successor.
    pub late: u64,
    /// Frames that came before their predecessor.
    pub reordered: u64,
    /// Numbers that never came, in order.
    pub missing: Vec<Missing>,
    /// How many more never came, beyond what is listed.
    pub unlisted_missing: u64,
    /// Sealed messages that were opened.
    pub decrypted: u64,
    /// Sealed messages that stay so.
    pub encrypted: u64,
    /// Messages that came very often: sequence number and copies.
    pub storms: Vec<(i64, u32)>,
    /// The streams by payload type, in plaintext. What stays encrypted is in none.
    pub streams: BTreeMap<PayloadType, Summary>,
    /// How the sender's clock stands to the capture's.
    pub clock: Option<ClockSkew>,
}

/// Length and digest of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Bytes.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: Sha256,
}

/// A sender's clock against the capture's, in milliseconds; positive when the sender's is ahead. Delay on the way makes
/// the sender's look behind, so that the most is closest to the truth. Retransmissions, which keep their date, are left
/// out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSkew {
    /// Of the frame that came soonest after it was made.
    pub most_ms: i64,
    /// Of the frame that came latest.
    pub least_ms: i64,
}

impl ClockSkew {
    /// Takes one frame in.
    pub(super) fn widen(skew: &mut Option<Self>, at: Timestamp, created_ms: u64) {
        // A zero CreatedDate is none, and one beyond the calendar says nothing.
        let created = i64::try_from(created_ms).ok().filter(|created| *created > 0);
        let Some(created) = created.and_then(|created| Timestamp::from_millisecond(created).ok()) else { return };
        let ms = created.as_millisecond() - at.as_millisecond();
        let before = skew.unwrap_or(Self { most_ms: ms, least_ms: ms });
        *skew = Some(Self { most_ms: before.most_ms.max(ms), least_ms: before.least_ms.min(ms) });
    }
}

impl Report {
    /// Whether something is missing or stayed encrypted.
    pub fn is_incomplete(&self) -> bool {
        let lacks = |side: &StreamReport| !side.missing.is_empty() || side.encrypted > 0;
        lacks(&self.client) || lacks(&self.agent)
    }

    /// Whether a digest is wrong or frames contradict each other.
    pub fn is_contradictory(&self) -> bool {
        self.bad_digests > 0 || self.client.conflicting > 0 || self.agent.conflicting > 0
    }
}
