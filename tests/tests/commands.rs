//! How many of the commands that shells really ran are read from the records of their sessions.
//!
//! Data: `made/transcripts` under `WARDEN_DATA` (64 recorded sessions with ground truth). `cargo test -p warden-tests
//! --test commands -- --nocapture` prints the table; `WARDEN_MISSES=1` adds every line that was missed or invented.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that prints its score")]

use std::fs;
use std::path::{Path, PathBuf};

use warden_session::{Item, Kind, Reader};
use warden_tests::{ground_truth, recorded_sessions};

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

#[derive(Debug, Default)]
struct Score {
    wanted: usize,
    found: usize,
    right: usize,
}

impl Score {
    fn recall(&self) -> f64 {
        ratio(self.right, self.wanted)
    }

    fn precision(&self) -> f64 {
        ratio(self.right, self.found)
    }
}

#[allow(clippy::cast_precision_loss, reason = "a few thousand lines")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

fn table(title: &str, sessions: &[PathBuf], read: impl Fn(&Path) -> Vec<String>) -> Score {
    let mut total = Score::default();
    println!("{title}\n{:<50} {:>6} {:>6} {:>6}", "session", "truth", "found", "right");
    for dir in sessions {
        let truth = truth(dir);
        let found: Vec<String> = read(dir).iter().flat_map(|text| in_truth_form(text, &truth)).collect();
        let pairs = common(&truth, &found);
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        println!("{name:<50} {:>6} {:>6} {:>6}", truth.len(), found.len(), pairs.len());
        if std::env::var_os("WARDEN_MISSES").is_some() {
            show_misses(&truth, &found, &pairs);
        }
        total.wanted += truth.len();
        total.found += found.len();
        total.right += pairs.len();
    }
    println!(
        "{title}: recall {:.3}, precision {:.3} over {} commands\n",
        total.recall(),
        total.precision(),
        total.wanted
    );
    total
}

fn truth(dir: &Path) -> Vec<String> {
    let truth = ground_truth(dir);
    truth["commands"].as_array().unwrap().iter().map(|command| normal(command["line"].as_str().unwrap())).collect()
}

/// dash's ground truth lists continuation and here-document lines one by one.
fn in_truth_form(text: &str, truth: &[String]) -> Vec<String> {
    let whole = normal(text);
    if truth.contains(&whole) || !text.contains('\n') {
        return vec![whole];
    }
    let lines: Vec<String> = text.split('\n').map(normal).collect();
    if lines.iter().all(|line| truth.contains(line)) { lines } else { vec![whole] }
}

/// A screen shows neither tabs nor how many blanks stand at a line's end.
fn normal(text: &str) -> String {
    text.split('\n')
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_owned()
}

/// Longest common subsequence: pairs of places.
fn common(a: &[String], b: &[String]) -> Vec<(usize, usize)> {
    let mut len = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            len[i][j] = if a[i] == b[j] { len[i + 1][j + 1] + 1 } else { len[i + 1][j].max(len[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if len[i + 1][j] >= len[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

fn show_misses(truth: &[String], found: &[String], pairs: &[(usize, usize)]) {
    for (at, line) in truth.iter().enumerate().filter(|(at, _)| !pairs.iter().any(|(i, _)| i == at)) {
        println!("    missed   {at:>3} {line:?}");
    }
    for (at, line) in found.iter().enumerate().filter(|(at, _)| !pairs.iter().any(|(_, j)| j == at)) {
        println!("    invented {at:>3} {line:?}");
    }
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
