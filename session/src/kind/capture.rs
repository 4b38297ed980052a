//! Captures of a data channel, by what they begin with.

use memchr::memmem;
use serde::Deserialize;

/// The format of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CaptureFormat {
    /// What `warden record` writes: records in a chain of hashes.
    Own,
    /// One JSON object a message: `{"t":…,"dir":"c2s|s2c|a2s|s2a","opcode":1|2,"b64":"…"}`.
    Frames,
    /// HAR 1.2 of a browser's developer tools, with `_webSocketMessages`.
    Har,
    /// pcap: microseconds or nanoseconds, either byte order (draft-ietf-opsawg-pcap).
    Pcap,
    /// pcapng (draft-ietf-opsawg-pcapng).
    PcapNg,
}

impl CaptureFormat {
    /// `warden`, `frames`, `har`, `pcap` or `pcapng`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "warden",
            Self::Frames => "frames",
            Self::Har => "har",
            Self::Pcap => "pcap",
            Self::PcapNg => "pcapng",
        }
    }
}

/// What `warden`'s own captures begin with.
const OWN_MAGIC: &[u8] = b"\x89WARDEN\n";

/// The format of a capture from its first bytes (decompressed); `None` if it is none, or if more must be seen: `all` says
/// that there are no more.
///
/// ```
/// use warden_session::kind::{CaptureFormat, capture_format};
/// let line = b"{\"t\":1.5,\"dir\":\"c2s\",\"opcode\":1,\"b64\":\"e30=\"}\n";
/// assert_eq!(capture_format(line, true), Some(CaptureFormat::Frames));
/// ```
pub fn capture_format(head: &[u8], all: bool) -> Option<CaptureFormat> {
    if head.starts_with(OWN_MAGIC) {
        return Some(CaptureFormat::Own);
    }
    match head.first_chunk::<4>()? {
        [0xa1, 0xb2, 0xc3, 0xd4] | [0xd4, 0xc3, 0xb2, 0xa1] | [0xa1, 0xb2, 0x3c, 0x4d] | [0x4d, 0x3c, 0xb2, 0xa1] => {
            return (head.len() >= 24).then_some(CaptureFormat::Pcap);
        }
        [0x0a, 0x0d, 0x0d, 0x0a] => {
            let order = head.get(8..12)?;
            let known = order == [0x1a, 0x2b, 0x3c, 0x4d] || order == [0x4d, 0x3c, 0x2b, 0x1a];
            return known.then_some(CaptureFormat::PcapNg);
        }
        _ => {}
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    if !text.starts_with(b"{") {
        return None;
    }
    if is_har(text) {
        return Some(CaptureFormat::Har);
    }
    // A damaged line does not hide that the others are frames.
    let mut lines = text.split(|&byte| byte == b'\n').take(LINES);
    lines.any(is_frame).then_some(()).or_else(|| (all && is_cut_frame(text)).then_some(()))?;
    Some(CaptureFormat::Frames)
}

/// Lines that are looked at.
const LINES: usize = 8;

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    dir: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    b64: std::borrow::Cow<'a, str>,
}

fn is_frame(line: &[u8]) -> bool {
    let frame: Option<Frame<'_>> = serde_json::from_slice(line).ok();
    frame.is_some_and(|frame| matches!(&*frame.dir, "c2s" | "s2c" | "a2s" | "s2a") && !frame.b64.contains('{'))
}

/// Whether the first line is a frame whose message is longer than what is looked at.
fn is_cut_frame(text: &[u8]) -> bool {
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let has = |key: &str| memmem::find(line, key.as_bytes()).is_some();
    let way = ["c2s", "s2c", "a2s", "s2a"].into_iter().any(|way| has(&format!("\"{way}\"")));
    has("\"dir\"") && has("\"b64\"") && way
}

/// Whether an object holds a `log` of HAR, which has a creator or entries (HAR 1.2).
fn is_har(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start) else { return false };
    let Some(rest) = rest.strip_prefix(b"\"log\"").map(<[u8]>::trim_ascii_start) else { return false };
    let is_object = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start).is_some_and(|rest| rest.starts_with(b"{"));
    is_object && ["\"entries\"", "\"creator\""].iter().any(|key| memmem::find(rest, key.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_beginning() {
        let frame = r#"{"t":1,"dir":"s2c","opcode":2,"b64":"aGk="}"#;
        let pcap = [&[0xd4, 0xc3, 0xb2, 0xa1][..], &[0; 20]].concat();
        let ng = [&[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a][..], &[0; 16]].concat();
        let rows: &[(&str, &[u8], Option<CaptureFormat>)] = &[
            ("own", b"\x89WARDEN\n\0\0\0\x01", Some(CaptureFormat::Own)),
            ("frames", frame.as_bytes(), Some(CaptureFormat::Frames)),
            ("frames behind a damaged line", &[b"{\"t\":1,\n", frame.as_bytes()].concat(), Some(CaptureFormat::Frames)),
            ("frames, cut", &frame.as_bytes()[..40], Some(CaptureFormat::Frames)),
            ("har", br#"{ "log" : {"version":"1.2","creator":{},"entries":[]}}"#, Some(CaptureFormat::Har)),
            ("some log", br#"{"log":"entries","creator":1}"#, None),
            ("log event", br#"{"message":"{\"dir\":\"c2s\"}"}"#, None),
            ("pcap", &pcap, Some(CaptureFormat::Pcap)),
            ("pcap, cut in its header", &pcap[..20], None),
            ("pcapng", &ng, Some(CaptureFormat::PcapNg)),
            ("line ends", b"\n\r\r\nabcdefghijklmnop", None),
            ("nothing", b"", None),
        ];
        for (name, head, expected) in rows {
            assert_eq!(capture_format(head, true), *expected, "{name}");
        }
    }
}
