//! Recordings of a terminal, by what they begin with.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The format of a recording. A typescript of `script` looks like a transcript: only its timing file makes it a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordingFormat {
    /// asciicast version 2 or 3 (asciinema): a header line, then one event a line.
    Asciicast,
    /// ttyrec: frames of seconds, microseconds and length, 32 bits little-endian each, and output.
    Ttyrec,
}

/// The format of a recording from its first bytes (decompressed); `None` if it is none, or if more must be seen: `all` says
/// that there are no more.
///
/// ```
/// use warden_session::kind::{RecordingFormat, recording_format};
/// let head = b"{\"version\": 2, \"width\": 80, \"height\": 24}\n";
/// assert_eq!(recording_format(head, true), Some(RecordingFormat::Asciicast));
/// ```
pub fn recording_format(head: &[u8], all: bool) -> Option<RecordingFormat> {
    if is_asciicast(head) {
        return Some(RecordingFormat::Asciicast);
    }
    is_ttyrec(head, all).then_some(RecordingFormat::Ttyrec)
}

#[derive(Deserialize)]
struct Header {
    version: u64,
    width: Option<IgnoredAny>,
    term: Option<IgnoredAny>,
}

fn is_asciicast(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let line = text.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty() && !line.starts_with(b"#"));
    let header: Option<Header> =
        line.filter(|line| line.starts_with(b"{")).and_then(|l| serde_json::from_slice(l).ok());
    header.is_some_and(|header| match header.version {
        2 => header.width.is_some(),
        3 => header.term.is_some(),
        _ => false,
    })
}

/// Frames that must fit if there are that many.
const FRAMES: usize = 16;
/// Largest frame that tells a format: programs write what they read at once.
const LIKELY_FRAME: u32 = 1 << 20;
/// Most seconds between two frames that are looked at.
const LIKELY_PAUSE: u32 = 30 * 24 * 3600;

/// Three fitting frames are no chance; nor is a whole file that fits and holds a terminal's output.
fn is_ttyrec(head: &[u8], all: bool) -> bool {
    let (mut rest, mut before, mut frames) = (head, None, 0);
    let mut terminal = false;
    while frames < FRAMES && !rest.is_empty() {
        let Some((frame, tail)) = rest.split_first_chunk::<12>() else { break };
        let [seconds, micros, len] = [0, 4, 8].map(|at| word(frame, at));
        let begun = before.is_none_or(|before| seconds >= before && seconds - before <= LIKELY_PAUSE);
        if !begun || micros >= 1_000_000 || len == 0 || len > LIKELY_FRAME {
            // Damage behind whole frames does not make them another format.
            return frames >= 3 || (frames >= 2 && terminal);
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let body = tail.get(..len.min(tail.len())).unwrap_or_default();
        terminal |= body.contains(&0x1b) || body.windows(2).any(|two| two == b"\r\n");
        before = Some(seconds);
        (rest, frames) = (tail.get(len..).unwrap_or_default(), frames + 1);
    }
    frames >= 3 || (frames > 0 && terminal && (all || frames >= 2))
}

fn word(frame: &[u8; 12], at: usize) -> u32 {
    frame.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_told_by_their_beginning() {
        let frame = |seconds: u32, body: &[u8]| {
            let words = [seconds, 5, u32::try_from(body.len()).unwrap()].map(u32::to_le_bytes);
            [words.as_flattened(), body].concat()
        };
        let whole = frame(1_700_000_000, b"\x1b[H$ ");
        let plain = [frame(1, b"$ "), frame(2, b"ls"), frame(2, b"x")].concat();
        let back = [frame(9, b"$ "), frame(2, b"ls"), frame(2, b"x")].concat();
        let rows: &[(&str, &[u8], Option<RecordingFormat>)] = &[
            ("v3", br#"{"version":3,"term":{"cols":80,"rows":24}}"#, Some(RecordingFormat::Asciicast)),
            (
                "v3 behind a comment",
                b"# x\n{\"version\":3,\"term\":{}}\n[0.1,\"o\",\"x\"]",
                Some(RecordingFormat::Asciicast),
            ),
            ("v1", br#"{"version":1,"width":80,"height":24,"stdout":[]}"#, None),
            ("other JSON", br#"{"version":2,"resources":[]}"#, None),
            ("one frame", &whole, Some(RecordingFormat::Ttyrec)),
            ("three frames", &plain, Some(RecordingFormat::Ttyrec)),
            ("time runs back", &back, None),
            ("zeros", &[0; 64], None),
            ("text", b"hello, world and more\n", None),
            ("nothing", b"", None),
        ];
        for (name, head, wanted) in rows {
            assert_eq!(recording_format(head, true), *wanted, "{name}");
        }
    }
}
