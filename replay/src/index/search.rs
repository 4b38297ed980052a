use std::io;
use std::ops::Range;

use regex::Regex;

use super::Index;

/// A line that was shown, such as a search finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Byte of the output that began the line.
    pub(crate) first: u64,
    /// Byte of the output at which it left the screen.
    pub(crate) last: u64,
    /// The line, of a search cut around the match: escape it before it is shown.
    pub(crate) text: String,
    /// Whether the text was erased or overwritten.
    pub(crate) hidden: bool,
}

/// Hits of one search that are kept.
pub(crate) const MAX_HITS: usize = 10_000;
/// Characters of a line that a hit keeps.
const WIDTH: usize = 160;
/// Bytes read at once.
const PIECE: u64 = 1 << 20;

/// One line as it lies in the spool: `first last hidden length text`, little-endian.
pub(super) fn encode(out: &mut Vec<u8>, shown: &Range<u64>, hidden: bool, text: &str) {
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&shown.start.to_le_bytes());
    out.extend_from_slice(&shown.end.to_le_bytes());
    out.push(u8::from(hidden));
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

const HEAD: usize = 8 + 8 + 1 + 4;

impl Index {
    /// Lines that the session ever showed and that match, in the order in which they began; at most [`MAX_HITS`].
    ///
    /// # Errors
    /// What the file system says of the spool.
    pub(crate) fn search(&self, pattern: &Regex) -> io::Result<Vec<Hit>> {
        let mut hits = Vec::new();
        self.each_line(&mut |line| {
            if let Some(found) = pattern.find(&line.text).filter(|_| hits.len() < MAX_HITS) {
                let text = around(&line.text, found.start());
                hits.push(Hit { text, ..line });
            }
            Ok(())
        })?;
        hits.sort_by_key(|hit| hit.first);
        Ok(hits)
    }

    /// Hands out the lines that the session ever showed, in the order in which they left the screen.
    ///
    /// # Errors
    /// What the sink, or the file system of the spool, says.
    pub(crate) fn each_line(&self, sink: &mut dyn FnMut(Hit) -> io::Result<()>) -> io::Result<()> {
        let (mut rest, mut at) = (Vec::new(), 0);
        while at < self.lines.len {
            let piece = self.lines.read(at, at + PIECE)?;
            at += piece.len() as u64;
            rest.extend_from_slice(&piece);
            let mut from = 0;
            while let Some((line, len)) = rest.get(from..).and_then(decode) {
                sink(line)?;
                from += len;
            }
            rest.drain(..from);
        }
        Ok(())
    }
}

/// The first line of these bytes, and its length; `None` if it is not whole.
fn decode(bytes: &[u8]) -> Option<(Hit, usize)> {
    let (first, rest) = bytes.split_first_chunk::<8>()?;
    let (last, rest) = rest.split_first_chunk::<8>()?;
    let (&hidden, rest) = rest.split_first()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let len = u32::from_le_bytes(*len) as usize;
    let text = String::from_utf8_lossy(rest.get(..len)?).into_owned();
    let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    Some((Hit { first, last, text, hidden: hidden == 1 }, HEAD + len))
}

/// The part of a line in which a match can be seen.
fn around(text: &str, start: usize) -> String {
    let before = text.get(..start).map_or(0, |before| before.chars().count());
    text.chars().skip(before.saturating_sub(WIDTH / 4)).take(WIDTH).collect()
}
