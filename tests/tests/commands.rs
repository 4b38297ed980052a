//! How many of the commands that shells really ran are read from the records of their sessions.
//!
//! Data: `made/transcripts` under `WARDEN_DATA` (64 recorded sessions with ground truth). `cargo test -p warden-tests
//! --test commands -- --nocapture` prints the table; `WARDEN_MISSES=1` adds every line that was missed or invented.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that prints its score")]

use std::fs;
use std::path::{Path, PathBuf};

use warden_session::{Item, Kind, Reader};
use warden_tests::recorded_sessions;
use warden_tests::score::table;

#[test]
fn transcripts_give_the_commands_that_ran() {
    let Some(sessions) = recorded_sessions() else { return };
    let score = table("transcript.log", &sessions, |dir| read(&dir.join("transcript.log"), Kind::Transcript));
    assert!(score.recall() >= 0.93 && score.precision() >= 0.93, "{score:?}");
}

#[test]
fn legacy_transcripts_give_the_commands_that_ran() {
    let Some(sessions) = recorded_sessions() else { return };
    let legacy: Vec<PathBuf> = sessions.into_iter().filter(|dir| dir.join("transcript-legacy.log").exists()).collect();
    let score =
        table("transcript-legacy.log", &legacy, |dir| read(&dir.join("transcript-legacy.log"), Kind::Transcript));
    assert!(score.recall() >= 0.93 && score.precision() >= 0.93, "{score:?}");
}

/// Uploaded at the end of a session, log events hold the transcript itself.
#[test]
fn uploaded_log_streams_give_the_commands_that_ran() {
    let Some(sessions) = recorded_sessions() else { return };
    let score =
        table("cloudwatch-upload.jsonl", &sessions, |dir| read(&dir.join("cloudwatch-upload.jsonl"), Kind::LogStream));
    assert!(score.recall() >= 0.93 && score.precision() >= 0.93, "{score:?}");
}

/// Streamed lines have lost cursor motion, erasures and the line editor's marks: as far as the format allows.
#[test]
fn streamed_lines_give_most_commands() {
    let Some(sessions) = recorded_sessions() else { return };
    let score =
        table("cloudwatch-stream.jsonl", &sessions, |dir| read(&dir.join("cloudwatch-stream.jsonl"), Kind::LogStream));
    assert!(score.recall() >= 0.70 && score.precision() >= 0.75, "{score:?}");
}

fn read(path: &Path, kind: Kind) -> Vec<String> {
    let mut commands = Vec::new();
    let mut sink = |item| {
        if let Item::Command(_, command) = item {
            commands.push(command.text);
        }
    };
    let mut reader = Reader::new(kind);
    reader.feed(&fs::read(path).unwrap(), &mut sink);
    reader.finish(&mut sink);
    commands
}
