//! ttyrec: frames of a header (seconds, microseconds, length, 32 bits little-endian each) and as much output.

use jiff::{SignedDuration, Timestamp};
use warden_session::timeline::Deviation;

use super::Tape;

/// Largest frame; a header that claims more is none.
const MAX_FRAME: u32 = 16 * 1024 * 1024;
/// Seconds since 1970 from which a time is one of a calendar, and not since a start of its own.
const CALENDAR: u32 = 100_000_000;

/// Takes a ttyrec in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct TtyrecReader {
    header: Vec<u8>,
    /// Bytes that the frame still lacks.
    left: usize,
    /// Time of the first frame.
    began: Option<SignedDuration>,
    /// A header was none: where the next one is cannot be known.
    lost: bool,
}

impl TtyrecReader {
    pub(super) fn feed(&mut self, bytes: &[u8], tape: &mut Tape<'_, '_>) {
        let (mut rest, mut at) = (bytes, tape.length);
        while !rest.is_empty() && !self.lost {
            let wanted = if self.left > 0 { self.left } else { HEADER - self.header.len() };
            let (piece, tail) = rest.split_at(wanted.min(rest.len()));
            (rest, at) = (tail, at + piece.len() as u64);
            if self.left > 0 {
                self.left -= piece.len();
                if let Some((cols, rows)) = size(piece) {
                    tape.resize(cols, rows);
                }
                tape.output(piece);
                continue;
            }
            self.header.extend_from_slice(piece);
            if let Some(header) = self.header.first_chunk::<HEADER>().copied() {
                self.header.clear();
                if self.begin(header, tape).is_none() {
                    self.lost = true;
                    tape.damage(at - HEADER as u64, Deviation::Undecodable);
                }
            }
        }
    }

    pub(super) fn finish(self, tape: &mut Tape<'_, '_>) {
        if !self.lost && (self.left > 0 || !self.header.is_empty()) {
            tape.damage(tape.length, Deviation::Truncated);
        }
    }

    fn begin(&mut self, header: [u8; HEADER], tape: &mut Tape<'_, '_>) -> Option<()> {
        let word = |at: usize| Some(u32::from_le_bytes(*header.get(at..)?.first_chunk()?));
        let (seconds, micros, len) = (word(0)?, word(4)?, word(8)?);
        if micros >= 1_000_000 || len > MAX_FRAME {
            return None;
        }
        let time = SignedDuration::from_secs(i64::from(seconds)) + SignedDuration::from_micros(i64::from(micros));
        if self.began.is_none() && seconds >= CALENDAR {
            tape.start(Timestamp::UNIX_EPOCH.checked_add(time).ok());
        }
        tape.wind_to(time - *self.began.get_or_insert(time));
        self.left = usize::try_from(len).ok()?;
        Some(())
    }
}

/// Bytes of a header.
const HEADER: usize = 12;

/// The window's size, which recorders that know it write first as `CSI 8 ; rows ; cols t`.
fn size(output: &[u8]) -> Option<(u16, u16)> {
    let text = std::str::from_utf8(output.get(..output.len().min(64))?).ok()?;
    let (body, _) = text.split_once("\x1b[8;")?.1.split_once('t')?;
    let (rows, cols) = body.split_once(';')?;
    Some((cols.parse().ok()?, rows.parse().ok()?))
}
