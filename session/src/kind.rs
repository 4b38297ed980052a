//! What kind of record an input is, judged by its first bytes.

mod capture;
mod json;
mod recording;

use crate::reader::Kind;
use crate::transcript::{self, windows};

pub use capture::{CaptureFormat, capture_format};
pub use recording::{RecordingFormat, recording_format};

/// Bytes of an input that are looked at.
pub const HEAD_LIMIT: usize = 64 * 1024;

/// The kind of an input from its first bytes (decompressed); `None` if it is none of ours, or if more must be seen:
/// with `at_end` false the answer may still come with more bytes, up to [`HEAD_LIMIT`].
///
/// A transcript without a header is recognised by an escape or a `\r\r\n`, which only a terminal's output has; binary
/// data and other text are not. An empty input is of no kind: it is a transcript of nothing only to who says so.
///
/// ```
/// use warden_session::{Kind, kind};
/// assert_eq!(kind::recognise(b"Script started on 2020-05-27 23:00:48+0000\n", false), Some(Kind::Transcript));
/// assert_eq!(kind::recognise(b"hello, world\n", true), None);
/// ```
pub fn recognise(head: &[u8], at_end: bool) -> Option<Kind> {
    let head = head.get(..HEAD_LIMIT).unwrap_or(head);
    let all = at_end || head.len() >= HEAD_LIMIT;
    if transcript::begins(head) && (windows::is_framed(head) || transcript::is_headed(head)) {
        return Some(Kind::Transcript);
    }
    if capture_format(head, all).is_some() {
        return Some(Kind::Capture);
    }
    if recording_format(head, all).is_some() {
        return Some(Kind::Recording);
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    if text.starts_with(b"{") || text.starts_with(b"[{") || text.starts_with(b"[\n") || text.starts_with(b"[ ") {
        return json::recognise(text, all);
    }
    let bare = all && (is_terminal_output(head) || windows::is_cleaned_from_start(head));
    bare.then_some(Kind::Transcript)
}

/// Whether bytes are what a terminal printed: a control of a terminal, and little that no terminal shows.
fn is_terminal_output(head: &[u8]) -> bool {
    let control = head.contains(&0x1b) || memchr::memmem::find(head, b"\r\r\n").is_some();
    let packet_capture = head.starts_with(b"\x0a\x0d\x0d\x0a");
    let zero_first = head.get(..head.len().min(16)).is_some_and(|start| start.contains(&0));
    control && !packet_capture && !zero_first && binary(head) * 8 <= head.len()
}

/// Bytes that are neither text nor controls of a terminal.
fn binary(head: &[u8]) -> usize {
    let controls = head.iter().filter(|&&b| b < b' ' && !matches!(b, 7..=15 | 0x1b)).count();
    let invalid: usize = head.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    controls + invalid
}
