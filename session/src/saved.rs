//! A log stream read in instalments: what a [`Reader`] knows between two deliveries, as bounded bytes.
//!
//! A Lambda is handed a stream piece by piece, each time in another process. The state of the reading is saved behind each piece
//! and resumed before the next one, so that the commands are those of the whole stream read at once: prompts learned, an
//! unfinished line or here-document, what `!!` refers to, and the command that the next line may still add to.

use std::sync::Arc;

use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};
use serde::{Deserialize, Serialize};
use std::io::Read as _;

use crate::command::Command;
use crate::log_stream::{LogStreamReader, Streams as LogStreams};
use crate::reader::{Item, Reader, Source, Timeline};
use crate::session::Session;

/// Most bytes of a saved reading: an item of DynamoDB holds 400 KB, and text takes a third more.
pub const SAVED_LIMIT: usize = 128 * 1024;

/// Most bytes that a saved reading may unpack to.
pub const UNPACKED_LIMIT: u64 = 16 * 1024 * 1024;

/// Number of the form in which readings are saved.
const FORM: u32 = 1;

/// A reading, saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// For [`Reader::resume`]; at most [`SAVED_LIMIT`] bytes.
    pub bytes: Vec<u8>,
    /// Whether something had to be left out to stay below the limit, so that a command may be read less well.
    pub reduced: bool,
}

/// Why a saved reading cannot be resumed: the stream has to be read again from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The bytes do not unpack.
    #[error("a saved reading of {length} bytes does not unpack")]
    Packed {
        /// How many bytes there are.
        length: usize,
    },
    /// It was saved in another form, by another version.
    #[error("a saved reading has another form than {FORM}")]
    Form,
}

#[derive(Serialize)]
struct StateRef<'r> {
    form: u32,
    at: u64,
    logs: &'r LogStreams,
    timeline: &'r Timeline,
}

#[derive(Deserialize)]
struct State {
    form: u32,
    at: u64,
    logs: LogStreams,
    timeline: Timeline,
}

impl Reader {
    /// What this reader of a log stream knows between two log events; `None` for a reader of another kind, or in the middle
    /// of a record.
    ///
    /// ```
    /// use warden_session::{Item, Kind, Reader};
    /// let mut texts = Vec::new();
    /// let mut sink = |item| {
    ///     if let Item::Command(_, command) = item {
    ///         texts.push(command.text);
    ///     }
    /// };
    /// let event = |time: u8, lines: &str| {
    ///     format!(r#"{{"eventTime":"2026-11-22T13:08:0{time}Z","sessionId":"eva-0123456789abcdef0","sessionData":[{lines}]}}"#)
    /// };
    /// let mut reader = Reader::new(Kind::LogStream);
    /// reader.feed(event(1, r#""sh-5.2$ cat <<EOF""#).as_bytes(), &mut sink);
    /// assert!(reader.settled().is_empty());
    /// let saved = reader.save().unwrap();
    /// let mut reader = Reader::resume(&saved.bytes).unwrap();
    /// reader.feed(event(2, r#""> hello","> EOF","hello""#).as_bytes(), &mut sink);
    /// assert_eq!(reader.settled()[0].1.text, "cat <<EOF\nhello\nEOF");
    /// ```
    pub fn save(&self) -> Option<Saved> {
        let bytes = self.pack()?;
        if bytes.len() <= SAVED_LIMIT {
            return Some(Saved { bytes, reduced: false });
        }
        let mut copy = Self::resume(&bytes).ok()?;
        for reduce in [Timeline::forget_suspects, Timeline::forget_history, Timeline::forget_unresolved] {
            reduce(&mut copy.timeline);
            let bytes = copy.pack()?;
            if bytes.len() <= SAVED_LIMIT {
                return Some(Saved { bytes, reduced: true });
            }
        }
        // What is left are one row and one command of which hardly a byte repeats.
        let bytes = Self::new(crate::Kind::LogStream).pack()?;
        Some(Saved { bytes, reduced: true })
    }

    fn pack(&self) -> Option<Vec<u8>> {
        let Source::LogStream(reader) = &self.source else { return None };
        let (at, logs) = reader.between_records()?;
        let json = serde_json::to_vec(&StateRef { form: FORM, at, logs, timeline: &self.timeline }).ok()?;
        let mut bytes = Vec::new();
        DeflateEncoder::new(&*json, Compression::default()).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// A reader that goes on where another one was [saved](Self::save).
    ///
    /// # Errors
    /// The bytes are damaged, or were saved by a version that kept something else.
    pub fn resume(bytes: &[u8]) -> Result<Self, ResumeError> {
        let mut json = Vec::new();
        let mut unpacked = DeflateDecoder::new(bytes).take(UNPACKED_LIMIT);
        unpacked.read_to_end(&mut json).map_err(|_| ResumeError::Packed { length: bytes.len() })?;
        let state: State = serde_json::from_slice(&json).map_err(|_| ResumeError::Form)?;
        if state.form != FORM {
            return Err(ResumeError::Form);
        }
        let mut timeline = state.timeline;
        timeline.restore();
        let source = Source::LogStream(Box::new(LogStreamReader::resumed(state.at, state.logs)));
        Ok(Self { source, timeline })
    }

    /// Commands of a log stream that were read whole and that nothing read later should change, though they have not come out: each
    /// waits for the next prompt to prove that. They come out again, with the same number, when more is fed or the reader
    /// is finished.
    ///
    /// Left out is what may still grow or vanish: a command that wants more lines, one that a bell ended (perhaps a
    /// completion), one with a history designator, which the shell replaces.
    pub fn settled(&self) -> Vec<(Arc<Session>, Command)> {
        if let Source::LogStream(reader) = &self.source
            && reader.holds_whole_upload()
            && let Some(copy) = self.pack().and_then(|bytes| Self::resume(&bytes).ok())
        {
            let mut commands = Vec::new();
            copy.finish(&mut |item| {
                if let Item::Command(session, command) = item {
                    commands.push((session, *command));
                }
            });
            return commands;
        }
        self.timeline.settled()
    }
}

/// Bytes in a saved reading, as text.
pub(crate) mod base64 {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

/// A session that several owners share.
pub(crate) mod shared {
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::session::Session;

    pub(crate) fn serialize<S: Serializer>(session: &Arc<Session>, serializer: S) -> Result<S::Ok, S::Error> {
        Session::serialize(session, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Session>, D::Error> {
        Session::deserialize(deserializer).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    /// Text that hardly packs.
    fn noise(length: usize, mut seed: u64) -> String {
        let mut text = String::new();
        while text.len() < length {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push(char::from(b'!' + u8::try_from((seed >> 33) % 90).unwrap()));
        }
        text.replace(['"', '\\'], "x")
    }

    #[test]
    fn a_saved_reading_never_exceeds_the_limit() {
        let mut reader = Reader::new(Kind::LogStream);
        for n in 0..225 {
            let line = if n < 220 { format!("$ {}", noise(4_000, n)) } else { noise(60_000, n) };
            let event = format!(
                r#"{{"sessionId":"eva-0123456789abcdef0","eventTime":"2026-11-22T13:08:33Z","sessionData":["{line}"]}}"#
            );
            reader.feed(event.as_bytes(), &mut drop);
        }
        reader.feed(br#"{"sessionId":"eva-0123456789abcdef0","sessionData":["$ cat <<EOF"]}"#, &mut drop);
        for n in 0..5 {
            let event = format!(r#"{{"sessionId":"eva-0123456789abcdef0","sessionData":["> {}"]}}"#, noise(50_000, n));
            reader.feed(event.as_bytes(), &mut drop);
        }
        let saved = reader.save().unwrap();
        assert!(saved.reduced && saved.bytes.len() <= SAVED_LIMIT, "{}", saved.bytes.len());
        Reader::resume(&saved.bytes).unwrap();
    }

    #[test]
    fn what_was_not_saved_here_is_not_resumed() {
        assert_eq!(Reader::resume(b"no").err(), Some(ResumeError::Packed { length: 2 }));
        let mut bytes = Vec::new();
        DeflateEncoder::new(&b"{\"form\":1}"[..], Compression::fast()).read_to_end(&mut bytes).unwrap();
        assert_eq!(Reader::resume(&bytes).err(), Some(ResumeError::Form));
        assert!(Reader::new(Kind::Transcript).save().is_none());
        let mut reader = Reader::new(Kind::LogStream);
        reader.feed(b"{\"sessionId\":", &mut drop);
        assert!(reader.save().is_none());
    }
}
