use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The name of a frame: 32 bytes at offset 4, UTF-8, padded on the right with spaces.
///
/// The padding is kept, so that encoding gives the bytes back; equality, order and hash look at the name alone. The name
/// is read as upstream reads it: leading and trailing NUL bytes go first, then Unicode white space, so a NUL behind which
/// spaces follow stays in the name (`P: src/message/messageparser.go`, getString). A name of exactly 32 bytes is legal.
///
/// | name | direction on a data channel | payload |
/// |---|---|---|
/// | `input_stream_data` | client to agent | stream |
/// | `output_stream_data` | agent to client | stream |
/// | `acknowledge` | both | JSON |
/// | `channel_closed` | service to either | JSON |
/// | `start_publication`, `pause_publication` | service to either | ignored |
/// | `agent_session_state` | agent to service | JSON |
/// | `interactive_shell`, `agent_task_reply`, `agent_task_complete`, `agent_task_acknowledge`, `agent_job`, `agent_job_ack`, `agent_job_reply`, `agent_job_reply_ack` | control channel | JSON |
#[derive(Clone, Copy)]
pub struct MessageType {
    field: [u8; 32],
}

impl MessageType {
    /// Stream message of the client.
    pub const INPUT_STREAM_DATA: Self = Self::padded(b"input_stream_data");
    /// Stream message of the agent.
    pub const OUTPUT_STREAM_DATA: Self = Self::padded(b"output_stream_data");
    /// Receipt of one stream message.
    pub const ACKNOWLEDGE: Self = Self::padded(b"acknowledge");
    /// The service ends the channel.
    pub const CHANNEL_CLOSED: Self = Self::padded(b"channel_closed");
    /// The service lets an end send again.
    pub const START_PUBLICATION: Self = Self::padded(b"start_publication");
    /// The service asks an end to stop sending.
    pub const PAUSE_PUBLICATION: Self = Self::padded(b"pause_publication");
    /// The agent tells the service whether the session runs.
    pub const AGENT_SESSION_STATE: Self = Self::padded(b"agent_session_state");
    /// Control channel: the service asks the agent to start a session.
    pub const INTERACTIVE_SHELL: Self = Self::padded(b"interactive_shell");
    /// Control channel: progress of a task.
    pub const AGENT_TASK_REPLY: Self = Self::padded(b"agent_task_reply");
    /// Control channel: end of a task.
    pub const AGENT_TASK_COMPLETE: Self = Self::padded(b"agent_task_complete");
    /// Control channel: receipt of a task message.
    pub const AGENT_TASK_ACKNOWLEDGE: Self = Self::padded(b"agent_task_acknowledge");
    /// Control channel: a Run Command document.
    pub const AGENT_JOB: Self = Self::padded(b"agent_job");
    /// Control channel: receipt of a job.
    pub const AGENT_JOB_ACK: Self = Self::padded(b"agent_job_ack");
    /// Control channel: result of a job.
    pub const AGENT_JOB_REPLY: Self = Self::padded(b"agent_job_reply");
    /// Control channel: receipt of a result.
    pub const AGENT_JOB_REPLY_ACK: Self = Self::padded(b"agent_job_reply_ack");

    const KNOWN: [Self; 15] = [
        Self::INPUT_STREAM_DATA,
        Self::OUTPUT_STREAM_DATA,
        Self::ACKNOWLEDGE,
        Self::CHANNEL_CLOSED,
        Self::START_PUBLICATION,
        Self::PAUSE_PUBLICATION,
        Self::AGENT_SESSION_STATE,
        Self::INTERACTIVE_SHELL,
        Self::AGENT_TASK_REPLY,
        Self::AGENT_TASK_COMPLETE,
        Self::AGENT_TASK_ACKNOWLEDGE,
        Self::AGENT_JOB,
        Self::AGENT_JOB_ACK,
        Self::AGENT_JOB_REPLY,
        Self::AGENT_JOB_REPLY_ACK,
    ];

    /// A name of at most 32 bytes, padded with spaces; `None` if it is longer (upstream refuses it too).
    pub fn named(name: &str) -> Option<Self> {
        let mut field = [b' '; 32];
        field.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self { field })
    }

    /// The 32 bytes of the header field, padding included.
    pub fn from_wire(field: [u8; 32]) -> Self {
        Self { field }
    }

    /// The 32 bytes of the header field, padding included.
    pub fn to_wire(self) -> [u8; 32] {
        self.field
    }

    /// The name without its padding; not always UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        trim_space(trim_nul(&self.field))
    }

    /// The name, with U+FFFD in place of what is not UTF-8.
    pub fn to_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.as_bytes())
    }

    /// Whether the name is one of the table above.
    pub fn is_known(&self) -> bool {
        Self::KNOWN.contains(self)
    }

    /// Whether frames of this name carry a sequence number.
    pub fn is_stream(&self) -> bool {
        *self == Self::INPUT_STREAM_DATA || *self == Self::OUTPUT_STREAM_DATA
    }

    /// Whether the service passes frames of this name from one end to the other.
    pub fn is_relayed(&self) -> bool {
        self.is_stream() || *self == Self::ACKNOWLEDGE
    }

    /// Whether AWS's client skips every check for frames of this name (`P: src/message/clientmessage.go`, Validate).
    pub fn is_publication(&self) -> bool {
        *self == Self::START_PUBLICATION || *self == Self::PAUSE_PUBLICATION
    }

    const fn padded(name: &[u8]) -> Self {
        let mut field = [b' '; 32];
        let (to, _) = field.split_at_mut(name.len());
        to.copy_from_slice(name);
        Self { field }
    }
}

impl PartialEq for MessageType {
    fn eq(&self, other: &Self) -> bool {
        self.field == other.field || self.as_bytes() == other.as_bytes()
    }
}

impl Eq for MessageType {}

impl PartialOrd for MessageType {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MessageType {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for MessageType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageType({:?})", self.to_text())
    }
}

fn trim_nul(mut name: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = name {
        name = rest;
    }
    while let [rest @ .., 0] = name {
        name = rest;
    }
    name
}

/// Unicode white space off both ends, as Go's `strings.TrimSpace` does; bytes that are not UTF-8 are no white space.
fn trim_space(name: &[u8]) -> &[u8] {
    let mut chunks = name.utf8_chunks();
    let Some(first) = chunks.next() else { return name };
    let start = first.valid().len() - first.valid().trim_start().len();
    let last = chunks.last().unwrap_or(first);
    let end = if last.invalid().is_empty() { last.valid().len() - last.valid().trim_end().len() } else { 0 };
    name.get(start..name.len() - end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(field: &[u8]) -> Vec<u8> {
        let mut wire = [b' '; 32];
        wire[..field.len()].copy_from_slice(field);
        MessageType::from_wire(wire).as_bytes().to_vec()
    }

    #[test]
    fn padding_is_trimmed_as_upstream_does() {
        let cases: [(&str, &[u8], &[u8]); 8] = [
            ("spaces", b"acknowledge", b"acknowledge"),
            ("leading spaces", b"  acknowledge", b"acknowledge"),
            ("nul before spaces stays", b"acknowledge\0", b"acknowledge\0"),
            ("nul to the end", b"acknowledge\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", b"acknowledge"),
            ("no-break space", "acknowledge\u{a0}".as_bytes(), b"acknowledge"),
            ("lone 0xa0 is no white space", b"ack\xa0", b"ack\xa0"),
            ("nothing", b"", b""),
            ("invalid in the middle", b" a\xffb ", b"a\xffb"),
        ];
        for (case, field, expected) in cases {
            assert_eq!(name(field), expected, "{case}");
        }
    }

    #[test]
    fn padding_does_not_matter_for_equality() {
        let mut wire = [0; 32];
        wire[..11].copy_from_slice(b"acknowledge");
        assert_eq!(MessageType::from_wire(wire), MessageType::ACKNOWLEDGE);
        assert_ne!(MessageType::from_wire(wire).to_wire(), MessageType::ACKNOWLEDGE.to_wire());
    }

    #[test]
    fn a_name_of_33_bytes_is_refused() {
        assert!(MessageType::named(&"t".repeat(32)).is_some());
        assert!(MessageType::named(&"t".repeat(33)).is_none());
    }
}
