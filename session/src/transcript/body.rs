//! What lies between header and footer.

use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::{deviate, emit, legacy};
use crate::timeline::{Deviation, Event, What};

/// Bytes at the end that are held back until it is known whether they are the footer.
const TAIL_LIMIT: usize = 1024;

/// Longest date and exit code that a footer may hold.
const FOOTER_LIMIT: usize = 256;

const FOOTER: &[u8] = b"\nScript done on ";
const EXIT_STATUS: &[u8] = b"\nCommand exit status: ";

/// What happened to the line ends of the terminal's output on the way into the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LineEnds {
    /// Every `\n` became `\r\n` (the terminal of the agent's `script`): undone here.
    Doubled,
    /// Nothing.
    Kept,
    /// Doubled by `script` and undone by the agent when it uploaded the text to CloudWatch.
    Uploaded,
}

impl LineEnds {
    /// Judges by the head of a body that a header precedes which does not name the agent.
    pub(super) fn of_headed(body: &[u8]) -> Self {
        let count = Count::of(body);
        if count.bare <= count.doubled && (count.doubled > 0 || count.single == 0) { Self::Doubled } else { Self::Kept }
    }

    /// Judges by the head of a body without a header, which may as well be a copy from before `script`.
    pub(super) fn of_headerless(body: &[u8]) -> Self {
        let count = Count::of(body);
        if count.doubled > 0 && count.doubled >= count.single.max(count.bare) { Self::Doubled } else { Self::Kept }
    }
}

/// Line ends of a sample: `\r\r\n`, `\r\n` and `\n`.
#[derive(Default)]
struct Count {
    doubled: usize,
    single: usize,
    bare: usize,
}

impl Count {
    fn of(sample: &[u8]) -> Self {
        let mut count = Self::default();
        // The footer's own two line ends are bare.
        let sample = footer_start(sample, true).and_then(|end| sample.get(..end)).unwrap_or(sample);
        for at in memchr::memchr_iter(b'\n', sample) {
            match sample.get(..at) {
                Some(before) if before.ends_with(b"\r\r") => count.doubled += 1,
                Some(before) if before.ends_with(b"\r") => count.single += 1,
                _ => count.bare += 1,
            }
        }
        count
    }
}

/// The output between header and footer; holds [`TAIL_LIMIT`] bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Body {
    ends: LineEnds,
    headed: bool,
    /// The root prompt of an agent that typed its commands, for its last lines.
    prompt: Option<Vec<u8>>,
    #[serde(with = "crate::saved::base64")]
    held: Vec<u8>,
    /// Offset of the first held byte.
    at: u64,
    /// A `\r` at `at - 1` that is left out if `\n` follows.
    carriage_return: bool,
}

impl Body {
    /// A body that starts at `at`, below a header.
    pub(super) fn new(ends: LineEnds, at: u64) -> Self {
        Self { ends, headed: true, prompt: None, held: Vec::new(), at, carriage_return: false }
    }

    /// A body that starts at offset 0 of the file.
    pub(super) fn headerless(ends: LineEnds) -> Self {
        Self { headed: false, ..Self::new(ends, 0) }
    }

    /// The agent typed its commands at this prompt.
    pub(super) fn with_prompt(mut self, prompt: Vec<u8>) -> Self {
        self.prompt = Some(prompt);
        self
    }

    pub(super) fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        let surplus = (self.held.len() + bytes.len()).saturating_sub(TAIL_LIMIT);
        let mut held = std::mem::take(&mut self.held);
        let (old, kept) = held.split_at(surplus.min(held.len()));
        self.release(old, sink);
        let kept = kept.len();
        let (new, rest) = bytes.split_at(surplus.saturating_sub(held.len()).min(bytes.len()));
        let drop = held.len() - kept;
        held.drain(..drop);
        self.release(new, sink);
        held.extend_from_slice(rest);
        self.held = held;
    }

    pub(super) fn is_complete(&self) -> bool {
        ends_in_footer(&self.held)
    }

    pub(super) fn finish(mut self, sink: &mut dyn FnMut(Event<'_>)) {
        let held = std::mem::take(&mut self.held);
        let footer = footer_start(&held, self.ends == LineEnds::Uploaded);
        let truncated = footer.is_none() && self.headed;
        let mut end = footer.unwrap_or(held.len());
        if truncated && self.ends == LineEnds::Doubled {
            end = cut_footer_start(&held).unwrap_or(end);
        }
        let mut output = held.get(..end).unwrap_or_default();
        if let Some(prompt) = &self.prompt {
            output = legacy::without_exit(output, prompt);
        }
        self.release(output, sink);
        self.flush(sink);
        if truncated {
            deviate(self.at + (held.len() - output.len()) as u64, Deviation::Truncated, sink);
        }
    }

    /// Hands out bytes that start at `self.at`, line ends as the session's terminal printed them.
    fn release(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        let Some(&first) = bytes.first() else { return };
        if self.carriage_return && first == b'\n' {
            self.carriage_return = false;
        }
        self.flush(sink);
        let origin = self.at;
        self.at += bytes.len() as u64;
        let mut start = 0;
        if self.ends == LineEnds::Doubled {
            for newline in memchr::memchr_iter(b'\n', bytes) {
                let Some(piece) = bytes.get(start..newline).and_then(|p| p.strip_suffix(b"\r")) else { continue };
                output(piece, origin + start as u64, sink);
                start = newline;
            }
        }
        let mut piece = bytes.get(start..).unwrap_or_default();
        if self.ends == LineEnds::Doubled && piece.ends_with(b"\r") {
            self.carriage_return = true;
            piece = piece.strip_suffix(b"\r").unwrap_or_default();
        }
        output(piece, origin + start as u64, sink);
    }

    fn flush(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        if std::mem::take(&mut self.carriage_return) {
            output(b"\r", self.at - 1, sink);
        }
    }
}

fn output(bytes: &[u8], at: u64, sink: &mut dyn FnMut(Event<'_>)) {
    if !bytes.is_empty() {
        emit(at..at + bytes.len() as u64, What::Output(bytes), sink);
    }
}

/// Where the footer at the very end of `tail` starts, its leading line end included.
///
/// Whatever the session printed has `\r` before every `\n`, so a line of output that imitates the footer does not end
/// in a bare `\n`, or does not begin after one. An upload lost the last line end (`uploaded`).
fn footer_start(tail: &[u8], uploaded: bool) -> Option<usize> {
    let start = memmem::rfind(tail, FOOTER)?;
    let rest = tail.get(start + FOOTER.len()..)?;
    let line = rest.strip_suffix(b"\n");
    let bare_start = !tail.get(..start)?.ends_with(b"\r");
    if line.is_none() && !bare_start && !uploaded {
        return None;
    }
    let line = line.unwrap_or(rest);
    let printable = line.iter().all(|&b| b >= b' ' && b != 0x7f);
    if line.is_empty() || line.len() > FOOTER_LIMIT || !printable {
        return None;
    }
    let before = tail.get(..start)?;
    let status =
        memmem::rfind(before, EXIT_STATUS).filter(|&at| before.get(at + EXIT_STATUS.len()..).is_some_and(is_number));
    Some(status.unwrap_or(start))
}

/// Whether an uploaded text ends in a footer.
pub(super) fn ends_in_footer(tail: &[u8]) -> bool {
    footer_start(tail, true).is_some()
}

/// Where a footer starts that the end of the file cuts off: only a bare `\n` can begin one.
fn cut_footer_start(tail: &[u8]) -> Option<usize> {
    let start = memchr::memrchr(b'\n', tail).filter(|&at| tail.get(..at).is_some_and(|t| !t.ends_with(b"\r")))?;
    let rest = tail.get(start..)?;
    (FOOTER.starts_with(rest) || rest.starts_with(FOOTER) || EXIT_STATUS.starts_with(rest)).then_some(start)
}

fn is_number(text: &[u8]) -> bool {
    text.len() < 8 && text.iter().all(|b| b.is_ascii_digit() || *b == b'-')
}
