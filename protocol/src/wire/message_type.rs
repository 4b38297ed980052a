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
    /// Where the name lies in the field; found once, because names are compared for every frame.
    start: u8,
    end: u8,
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
        Some(Self::from_wire(field))
    }

    /// The 32 bytes of the header field, padding included.
    #[inline]
    pub fn from_wire(field: [u8; 32]) -> Self {
        let (start, end) = usual_name(&field).unwrap_or_else(|| trimmed_name(&field));
        Self { field, start, end }
    }

    /// The 32 bytes of the header field, padding included.
    pub const fn to_wire(self) -> [u8; 32] {
        self.field
    }

    /// The name without its padding; not always UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        self.field.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
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
        #[allow(clippy::cast_possible_truncation, reason = "a name that did not fit would not compile")]
        Self { field, start: 0, end: name.len() as u8 }
    }
}

impl PartialEq for MessageType {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
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

/// The name of a field that starts and ends with a printable ASCII character before its padding of spaces: all of the
/// padding is then a run at the end, which two comparisons find.
fn usual_name(field: &[u8; 32]) -> Option<(u8, u8)> {
    const SPACES: u128 = u128::from_be_bytes([b' '; 16]);
    let (front, back) = field.split_first_chunk::<16>()?;
    let differing = |half: &[u8; 16]| u128::from_be_bytes(*half) ^ SPACES;
    let (front, back) = (differing(front), differing(back.first_chunk()?));
    let padding = if back == 0 { 16 + front.trailing_zeros() / 8 } else { back.trailing_zeros() / 8 };
    let end = 32_u32.checked_sub(padding)?;
    let last = field.get(usize::try_from(end).ok()?.checked_sub(1)?)?;
    let is_usual = field.first()?.is_ascii_graphic() && last.is_ascii_graphic();
    is_usual.then_some((0, u8::try_from(end).ok()?))
}

/// The name of any field: NUL off both ends, then white space.
fn trimmed_name(field: &[u8; 32]) -> (u8, u8) {
    let mut name = &field[..];
    let mut start = 0;
    while let [0, rest @ ..] = name {
        (name, start) = (rest, start + 1);
    }
    while let [rest @ .., 0] = name {
        name = rest;
    }
    let (leading, trailing) = white_space(name);
    let index = |index: usize| u8::try_from(index).unwrap_or(0);
    (index(start + leading), index((start + name.len() - trailing).max(start + leading)))
}

/// Bytes of Unicode white space at both ends, as Go's `strings.TrimSpace` finds it; bytes that are not UTF-8 are none.
fn white_space(name: &[u8]) -> (usize, usize) {
    let mut chunks = name.utf8_chunks();
    let Some(first) = chunks.next() else { return (0, 0) };
    let leading = first.valid().len() - first.valid().trim_start().len();
    let last = chunks.last().unwrap_or(first);
    let trailing = if last.invalid().is_empty() { last.valid().len() - last.valid().trim_end().len() } else { 0 };
    (leading, trailing)
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
    fn the_short_way_finds_what_the_long_way_finds() {
        for name in
            ["a", "acknowledge", "output_stream_data", "a b", "exactly_32_bytes_exactly_32_byte", "sixteen_bytes_ab"]
        {
            let field = MessageType::named(name).unwrap().to_wire();
            assert_eq!(usual_name(&field), Some(trimmed_name(&field)), "{name}");
        }
        assert_eq!(usual_name(&[b' '; 32]), None);
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
