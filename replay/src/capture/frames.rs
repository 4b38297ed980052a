//! Frames JSON Lines: `{"t":epoch seconds,"dir":"c2s|s2c|a2s|s2a","opcode":1|2,"b64":"…"}`, one message a line. Further
//! keys are ignored, WebSocket control frames (opcodes 8 to 10) passed over.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use warden_protocol::channel::Opcode;
use warden_protocol::frame::MAX_MESSAGE_LENGTH;
use warden_protocol::wire::Direction;

use super::{Damage, Found, Message};

/// Longest line: the longest message in base64, and room for the rest.
pub(super) const LINE_LIMIT: usize = MAX_MESSAGE_LENGTH.div_ceil(3) * 4 + 4096;

/// Base64 as other tools write it, padded or not.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Reads frames JSON Lines; holds one line.
#[derive(Debug, Default)]
pub(super) struct FramesReader {
    line: Vec<u8>,
    /// Offset of the line.
    start: u64,
    /// Bytes of the line that were dropped because it is too long.
    dropped: u64,
    /// Time of the message before.
    latest: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Record<'a> {
    t: f64,
    #[serde(borrow)]
    dir: Cow<'a, str>,
    #[serde(default = "binary")]
    opcode: u8,
    #[serde(borrow)]
    b64: Cow<'a, str>,
}

fn binary() -> u8 {
    2
}

impl FramesReader {
    pub(super) fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Found)) {
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(at);
            rest = after.get(1..).unwrap_or_default();
            if self.line.is_empty() && self.dropped == 0 {
                self.line_ends(line, sink);
            } else {
                self.keep(line);
                let whole = std::mem::take(&mut self.line);
                self.line_ends(&whole, sink);
            }
        }
        self.keep(rest);
    }

    pub(super) fn finish(mut self, sink: &mut dyn FnMut(Found)) {
        let line = std::mem::take(&mut self.line);
        if self.dropped == 0 && line.trim_ascii().is_empty() {
            return;
        }
        match self.read(&line) {
            // The last line may lack its end, but a line that does not parse was cut.
            Ok(found) => found.into_iter().for_each(sink),
            Err(_) => sink(Found::Damage { offset: self.start, damage: Damage::Cut }),
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.line.len() + bytes.len() > LINE_LIMIT || self.dropped > 0 {
            self.dropped += (self.line.len() + bytes.len()) as u64;
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    fn line_ends(&mut self, line: &[u8], sink: &mut dyn FnMut(Found)) {
        match self.read(line) {
            Ok(None) => {}
            Ok(Some(found)) => {
                self.watch_clock(&found, sink);
                sink(found);
            }
            Err(damage) => sink(Found::Damage { offset: self.start, damage }),
        }
        self.start += line.len() as u64 + self.dropped + 1;
        self.dropped = 0;
    }

    /// The records of one clock are in its order, unless somebody moved them.
    fn watch_clock(&mut self, found: &Found, sink: &mut dyn FnMut(Found)) {
        let Found::Message { offset, message, .. } = found else { return };
        let latest = self.latest.replace(message.at).unwrap_or(message.at);
        let ms = latest.duration_since(message.at).as_millis();
        if latest > message.at {
            let ms = i64::try_from(ms).unwrap_or(i64::MAX);
            sink(Found::Damage { offset: *offset, damage: Damage::ClockBack { ms } });
        }
    }

    fn read(&self, line: &[u8]) -> Result<Option<Found>, Damage> {
        if self.dropped > 0 || line.len() > LINE_LIMIT {
            return Err(Damage::LongRecord { limit: LINE_LIMIT });
        }
        let line = if self.start == 0 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let record: Record<'_> = serde_json::from_slice(line).map_err(|_| Damage::BadRecord("no frame in JSON"))?;
        let opcode = match record.opcode {
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8..=10 => return Ok(None),
            _ => return Err(Damage::BadRecord("unknown opcode")),
        };
        let direction = Direction::parse(&record.dir).ok_or(Damage::BadRecord("unknown direction"))?;
        let at = seconds(record.t).ok_or(Damage::BadRecord("no time"))?;
        let bytes = BASE64.decode(record.b64.as_bytes()).map_err(|_| Damage::BadRecord("bad base64"))?;
        let message = Message { at, direction, opcode, bytes: Bytes::from(bytes) };
        Ok(Some(Found::Message { socket: 0, offset: self.start, masked: 0, message }))
    }
}

/// Seconds since 1970 to a time, to the microsecond: more is not in a double.
pub(super) fn seconds(seconds: f64) -> Option<Timestamp> {
    let duration = SignedDuration::try_from_secs_f64(seconds).ok()?;
    let micros = (duration.as_nanos() + 500).div_euclid(1000);
    Timestamp::from_microsecond(i64::try_from(micros).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, piece: usize) -> Vec<Found> {
        let mut all = Vec::new();
        let mut reader = FramesReader::default();
        text.as_bytes().chunks(piece).for_each(|piece| reader.feed(piece, &mut |found| all.push(found)));
        reader.finish(&mut |found| all.push(found));
        all
    }

    #[test]
    fn bad_lines_are_skipped_alone_with_their_offset() {
        let good = r#"{"t":1.5,"dir":"s2c","opcode":2,"b64":"aGk="}"#;
        let text =
            format!("{good}\nnonsense\n\n{{\"t\":1,\"dir\":\"x\",\"opcode\":2,\"b64\":\"\"}}\n{good}\r\n{{\"t\":1,");
        for piece in [1, 7, 4096] {
            let found = read(&text, piece);
            let offsets: Vec<u64> = found
                .iter()
                .map(|found| match found {
                    Found::Message { offset, .. } | Found::Damage { offset, .. } => *offset,
                    Found::Socket { .. } => 0,
                })
                .collect();
            assert_eq!(offsets, [0, 46, 56, 94, 141], "{piece}");
            assert!(matches!(found[4], Found::Damage { damage: Damage::Cut, .. }));
            let Found::Message { message, .. } = &found[0] else { panic!("{found:?}") };
            assert_eq!((message.bytes.as_ref(), message.at.as_millisecond()), (b"hi".as_ref(), 1500));
        }
    }

    #[test]
    fn a_line_beyond_the_limit_is_skipped_alone() {
        let good = r#"{"t":1.5,"dir":"s2c","b64":"aGk"}"#;
        let text = format!("{}\n{good}\n", "x".repeat(LINE_LIMIT + 1));
        let found = read(&text, 100_000);
        assert!(matches!(found[0], Found::Damage { offset: 0, damage: Damage::LongRecord { .. } }));
        assert!(matches!(found[1], Found::Message { offset, .. } if offset == LINE_LIMIT as u64 + 2));
    }
}
