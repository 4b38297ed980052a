//! What the tables of the readers share.

use std::ops::Range;
use std::path::PathBuf;

use warden_session::timeline::{Deviation, Event, What};
use warden_session::transcript::TranscriptReader;
use warden_session::{Session, timestamp};

/// What a reader said, with neighbouring outputs joined, so that it can be compared whatever the pieces were.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) sessions: Vec<Session>,
    pub(crate) output: Vec<u8>,
    pub(crate) lines: Vec<String>,
    pub(crate) times: Vec<Option<String>>,
    pub(crate) deviations: Vec<Deviation>,
    /// Offset of every byte of output.
    pub(crate) offsets: Vec<u64>,
    pub(crate) line_offsets: Vec<Range<u64>>,
    /// Identities, lines and deviations in order, for interleaved sessions.
    pub(crate) order: Vec<String>,
}

impl Said {
    pub(crate) fn take(&mut self, event: Event<'_>) {
        match event.what {
            What::Identity(session) => {
                self.order.push(format!("session {}", session.id.as_ref().map_or("-", |id| id.as_str())));
                self.sessions.push(*session);
            }
            What::Output(bytes) => {
                self.output.extend_from_slice(bytes);
                self.offsets.extend(event.offset);
            }
            What::Line(line) => {
                self.order.push(format!("line {line}"));
                self.lines.push(line.to_owned());
                self.times.push(event.at.map(timestamp::to_rfc3339));
                self.line_offsets.push(event.offset);
            }
            What::Deviation(deviation) => {
                self.order.push(format!("{deviation:?}"));
                self.deviations.push(deviation);
            }
            other => unreachable!("no record of AWS's holds {other:?}"),
        }
    }

    pub(crate) fn ids(&self) -> Vec<&str> {
        self.sessions.iter().map(|s| s.id.as_ref().map_or("", |id| id.as_str())).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }
}

/// Reads a transcript in pieces of `piece` bytes.
pub(crate) fn transcript(bytes: &[u8], piece: usize) -> Said {
    let mut said = Said::default();
    let mut reader = TranscriptReader::new();
    for bytes in bytes.chunks(piece.max(1)) {
        reader.feed(bytes, &mut |event| said.take(event));
    }
    reader.finish(&mut |event| said.take(event));
    said
}

/// The folder with `made/` and `public/`, if the environment names it.
pub(crate) fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("WARDEN_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: WARDEN_DATA does not name the folder that holds made/ and public/");
    }
    folder
}

/// The folders of the recorded sessions: one that is here, and those of `WARDEN_DATA`.
pub(crate) fn recorded_sessions() -> Vec<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let there = data().map(|data| data.join("made/transcripts"));
    let folders = [Some(here), there].into_iter().flatten().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}
