//! Whole paths of Session Warden, end to end; here is what their tests share.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stdout,
    reason = "only tests call this"
)]

pub mod aws;
pub mod bootstrap;
pub mod faults;
pub mod http;
pub mod ministack;
pub mod runtime;
pub mod sessions;

pub mod score;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Folders of the recorded sessions with ground truth, in the order of their names: `made/transcripts` under the folder that
/// `WARDEN_DATA` names. Without it `None`, and a line that says what was skipped.
pub fn recorded_sessions() -> Option<Vec<PathBuf>> {
    folders("made/transcripts")
}

/// Folders of the recorded data channels with ground truth, in the order of their names: `made/captures`.
pub fn recorded_captures() -> Option<Vec<PathBuf>> {
    folders("made/captures")
}

fn folders(place: &str) -> Option<Vec<PathBuf>> {
    let Some(data) = std::env::var_os("WARDEN_DATA") else {
        println!("skipped: WARDEN_DATA names no folder with {place}");
        return None;
    };
    let entries = fs::read_dir(Path::new(&data).join(place)).unwrap();
    let mut dirs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    dirs.sort();
    Some(dirs)
}

/// What truly happened in a recorded session.
pub fn ground_truth(session: &Path) -> Value {
    serde_json::from_slice(&fs::read(session.join("truth.json")).unwrap()).unwrap()
}

/// Asks again and again until there is an answer, for four minutes at most: machines are slow when they are busy.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < Duration::from_mins(4), "waited for {what} in vain");
        thread::sleep(Duration::from_millis(50));
    }
}
