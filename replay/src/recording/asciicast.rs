//! asciicast 2 and 3 (`doc/asciicast-v2.md` and `doc/asciicast-v3.md` of asciinema): a header line, then events.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use warden_session::timeline::Deviation;

use super::{Tape, What};

/// Longest line, in bytes.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// Takes an asciicast in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct AsciicastReader {
    line: Vec<u8>,
    /// The line is too long: the rest of it is passed over.
    skipping: bool,
    /// Offset of the line.
    at: u64,
    version: Option<u64>,
}

impl AsciicastReader {
    pub(super) fn feed(&mut self, bytes: &[u8], tape: &mut Tape<'_, '_>) {
        let offset = tape.length;
        let mut at = 0;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            at += piece.len() as u64;
            if !self.skipping && self.line.len() + piece.len() > MAX_LINE {
                tape.damage(self.at, Deviation::LimitReached("the length of a line"));
                self.skipping = true;
                self.line.clear();
            }
            if !self.skipping {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                if !std::mem::take(&mut self.skipping) && self.line(&line, tape).is_none() {
                    tape.damage(self.at, Deviation::Undecodable);
                }
                self.line = line;
                self.line.clear();
                self.at = offset + at;
            }
        }
    }

    pub(super) fn finish(mut self, tape: &mut Tape<'_, '_>) {
        let line = std::mem::take(&mut self.line);
        if self.line(&line, tape).is_none() {
            tape.damage(self.at, Deviation::Truncated);
        }
    }

    /// Reads a line; `None` if it is none of the format's.
    fn line(&mut self, line: &[u8], tape: &mut Tape<'_, '_>) -> Option<()> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return Some(());
        }
        let value: Value = serde_json::from_slice(line).ok()?;
        match self.version {
            None => self.header(&value, tape),
            Some(version) => event(version, &value, tape),
        }
    }

    fn header(&mut self, header: &Value, tape: &mut Tape<'_, '_>) -> Option<()> {
        self.version = Some(header.get("version")?.as_u64()?);
        let seconds = header.get("timestamp").and_then(Value::as_f64);
        let since = seconds.and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok());
        tape.start(since.and_then(|since| Timestamp::UNIX_EPOCH.checked_add(since).ok()));
        let cells = |name: &str, short: &str| {
            let cells = header.get(name).or_else(|| header.get("term")?.get(short))?;
            u16::try_from(cells.as_u64()?).ok()
        };
        if let (Some(cols), Some(rows)) = (cells("width", "cols"), cells("height", "rows")) {
            tape.resize(cols, rows);
        }
        Some(())
    }
}

fn event(version: u64, event: &Value, tape: &mut Tape<'_, '_>) -> Option<()> {
    let [time, code, data] = event.as_array()?.as_slice() else { return None };
    let (seconds, code, data) = (time.as_f64()?, code.as_str()?, data.as_str()?);
    if version >= 3 {
        tape.pause(seconds);
    } else {
        tape.wind_to(SignedDuration::try_from_secs_f64(seconds).ok()?);
    }
    match code {
        "o" => tape.output(data.as_bytes()),
        "i" => tape.input(data.as_bytes()),
        "r" => {
            let (cols, rows) = data.split_once('x')?;
            tape.resize(cols.parse().ok()?, rows.parse().ok()?);
        }
        "m" => tape.here(What::Marker(data)),
        "x" => tape.here(What::Exit(data.parse().ok()?)),
        // Readers pass over codes that they do not know, says the format.
        _ => {}
    }
    Some(())
}
