use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use clap::Parser as _;
use regex::Regex;
use serde_json::Value;
use warden_rules::RuleSet;
use warden_session::screen::Screen;

use super::{Index, Job, MarkKind, MomentKind, Shared, Stage, look, read};
use crate::capture::Secrets;
use crate::cli::{Cli, Verb};
use crate::input::Input;

/// Folders of recorded sessions, if there are any on this machine.
fn recorded(what: &str) -> Vec<PathBuf> {
    let Some(data) = std::env::var_os("WARDEN_DATA") else {
        println!("skipped: WARDEN_DATA is not set, there are no recorded sessions");
        return Vec::new();
    };
    let folder = Path::new(&data).join("made").join(what);
    let mut found: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

fn index(path: &Path, key: Option<&str>) -> Shared {
    let mut arguments = vec!["warden", "play", path.to_str().unwrap()];
    arguments.extend(key.map(|key| ["--key", key]).into_iter().flatten());
    let Verb::Play(play) = Cli::parse_from(arguments).verb else { unreachable!() };
    let shared: Shared = Arc::new(RwLock::new(Index::default()));
    let secrets = Secrets::of(&play.reading.keys).unwrap();
    let job =
        Job { input: Input::one(path).unwrap(), secrets, session: 0, rules: RuleSet::default(), keyframe_bytes: 500 };
    read(&job, &shared).unwrap();
    shared
}

fn ground_truth(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("ground-truth.json")).unwrap()).unwrap()
}

/// The session's own data key, as `--key` takes it.
fn key_of(truth: &Value) -> Option<String> {
    truth["kms"]["data_key_hex"].as_str().map(str::to_owned)
}

/// A screen to which everything up to a position was fed, one moment after the other.
fn linear(index: &Index, before: &[u8], pos: usize) -> Screen {
    let mut screen = Screen::new(24, 80);
    screen.feed(before, &mut |_| {});
    for moment in &index.moments[..pos] {
        match moment.what {
            MomentKind::Output => screen.feed(&index.output_of(moment).unwrap(), &mut |_| {}),
            MomentKind::Resize(rows, cols) => screen.resize(rows, cols, &mut |_| {}),
            MomentKind::Input | MomentKind::Other => {}
        }
    }
    screen
}

/// A generator of places that is the same in every run.
fn places(length: usize) -> impl Iterator<Item = usize> {
    let mut state = 0x9e37_79b9_u64 ^ length as u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % (length + 1)
    })
}

mod large;

#[test]
fn a_screen_after_seeking_is_the_screen_after_playing() {
    let captures = recorded("captures").into_iter().map(|folder| folder.join("frames.jsonl"));
    let transcripts = recorded("transcripts").into_iter().step_by(7).map(|folder| folder.join("transcript.log"));
    let mut compared = 0;
    for path in captures.chain(transcripts) {
        let shared = index(&path, None);
        let mut stage = Stage::new(&shared);
        let index = look(&shared);
        let mut wanted: Vec<usize> = places(index.moments.len()).take(8).collect();
        wanted.extend([0, index.moments.len()]);
        for pos in wanted {
            let (seen, played) = (stage.show(pos).unwrap(), linear(&index, b"", pos));
            assert_eq!(seen.text(), played.text(), "{} at {pos}", path.display());
            assert!(*seen == played, "{} at {pos}", path.display());
            compared += 1;
        }
        let output: u64 = index.moments.iter().map(super::Moment::output_len).sum();
        assert!(output < 1500 || !index.keyframes.is_empty(), "{}: no keyframe", path.display());
    }
    println!("{compared} places compared");
}

/// Rows without the blanks at their ends and without empty rows at the end.
fn rows(rows: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    let mut rows: Vec<String> = rows.into_iter().map(|row| row.as_ref().trim_end().to_owned()).collect();
    rows.truncate(rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1));
    rows
}

/// The ground truth was made by pyte 0.8 from what the user's terminal received. Two differences are its own:
/// - what AWS's plugin prints by itself is in no frame, so its first and last words are taken from `terminal.cast`; a
///   forwarded port shows nothing else;
/// - pyte has no alternate screen: what a full-screen program drew stays there, so only the rows below it are compared.
///
/// And AWS's client shows nothing that follows a gap, which it waits for until the session ends: there, the screen at the
/// gap is the last one.
#[test]
fn final_screens_are_those_of_the_ground_truth() {
    for folder in recorded("captures") {
        let truth = ground_truth(&folder);
        if truth["plugin_type"] == "Port" {
            continue;
        }
        let cast = std::fs::read_to_string(folder.join("terminal.cast")).unwrap();
        let events: Vec<Value> = cast.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut printed = events.iter().filter(|event| event[1] == "o").map(|event| event[2].as_str().unwrap());
        let (banner, farewell) = (printed.next().unwrap(), printed.next_back().unwrap());
        let shared = index(&folder.join("frames.jsonl"), key_of(&truth).as_deref());
        let index = look(&shared);
        let gap = index.marks.iter().find(|mark| mark.kind == MarkKind::Gap && mark.text.contains("agent"));
        let last = gap.map_or(index.moments.len(), |gap| gap.pos);
        let mut screen = linear(&index, banner.as_bytes(), last);
        screen.feed(farewell.as_bytes(), &mut |_| {});
        let mut wanted = rows(truth["final_screen"].as_array().unwrap().iter().map(|row| row.as_str().unwrap()));
        let mut seen = rows(screen.text());
        let output: Vec<u8> = index.moments.iter().flat_map(|moment| index.output_of(moment).unwrap()).collect();
        if output.windows(8).any(|bytes| bytes == b"\x1b[?1049h") {
            let common = seen.iter().rev().zip(wanted.iter().rev()).take_while(|(seen, wanted)| seen == wanted).count();
            assert!(common >= 6, "{}: {seen:#?}", folder.display());
            seen.drain(..seen.len() - common);
            wanted.drain(..wanted.len() - common);
        }
        assert_eq!(seen, wanted, "{}", folder.display());
    }
}

#[test]
fn everything_that_was_shown_is_found() {
    let Some(folder) = recorded("captures").into_iter().find(|folder| folder.ends_with("j-forbidden")) else { return };
    let shared = index(&folder.join("frames.jsonl"), None);
    let mut stage = Stage::new(&shared);
    let pattern = Regex::new(r"root:x:0:0").unwrap();
    let hits = look(&shared).search(&pattern).unwrap();
    assert!(!hits.is_empty());
    for hit in hits.iter().take(1) {
        let pos = stage.reveal(hit, &pattern).unwrap();
        assert!(stage.show(pos).unwrap().text().iter().any(|row| pattern.is_match(row)), "seen at {pos}");
        assert!(!stage.show(pos - 1).unwrap().text().iter().any(|row| pattern.is_match(row)), "first seen at {pos}");
    }
}

#[test]
fn typed_secrets_are_told_by_their_length() {
    let Some(folder) = recorded("captures").into_iter().find(|folder| folder.ends_with("j-forbidden")) else { return };
    let index = index(&folder.join("frames.jsonl"), None);
    let index = look(&index);
    let unechoed: Vec<&str> =
        index.hidden.iter().filter(|hidden| hidden.word == "input").map(|hidden| &*hidden.text).collect();
    // `read -s`, and what was typed behind `stty -echo`; `exit` is not there, for bash says that word itself.
    let wanted = [14, 6, 9].map(|length| format!("{length} bytes typed without echo"));
    assert_eq!(unechoed, wanted);
    let secret = Regex::new("hunter2").unwrap();
    assert!(index.search(&secret).unwrap().is_empty(), "a typed secret is in the text");
    let debug = format!("{:?}", *index);
    assert!(!debug.contains("hunter2"), "a typed secret is in the index");
}
