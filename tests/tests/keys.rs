//! How many of the commands that shells really ran are read from keystrokes and screen together.
//!
//! Data under `WARDEN_DATA`: `made/transcripts` as captures (64 sessions: the terminal's output and the keystrokes, with times), and
//! `made/captures` (real data channels). `cargo test -p warden-tests --test keys -- --nocapture` prints the tables;
//! `WARDEN_MISSES=1` adds every line that was missed or invented.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that prints its score")]
#![allow(clippy::cast_precision_loss, reason = "microseconds of this century")]

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use warden_protocol::channel::{Channel, Opcode, What as Message};
use warden_protocol::seal::SessionKey;
use warden_protocol::wire::{Direction as Leg, Side};
use warden_session::command::Origin;
use warden_session::timeline::{Direction, Event, Fidelity, What};
use warden_session::{Command, Item, Timeline};
use warden_tests::score::{Score, compare, normal, table};
use warden_tests::{ground_truth, recorded_captures, recorded_sessions};

/// How long output takes to the client after the agent sent it, in seconds: on a loopback, over a slow line.
const DELAYS: [f64; 3] = [0.0, 0.05, 0.3];

#[test]
fn sessions_give_the_commands_that_ran() {
    let Some(sessions) = recorded_sessions() else { return };
    for delay in DELAYS {
        let score = table(&format!("keys and screen, output {delay} s late"), &sessions, |dir| {
            texts(&session_commands(dir, delay))
        });
        // On a slow line the next command is entered before the screen has caught up with the last.
        let least = if delay > 0.1 { 0.97 } else { 0.99 };
        assert!(score.recall() >= least && score.precision() >= least, "{score:?}");
    }
}

#[test]
fn captures_give_the_commands_that_ran() {
    let Some(captures) = recorded_captures() else { return };
    let (mut total, mut listed) = (Score::default(), Score::default());
    for dir in captures.iter().filter(|dir| history(dir).is_some()) {
        let truth = sorted(&history(dir).unwrap());
        let found = texts(&capture_commands(dir));
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        total.add(compare(&name, &truth, &sorted(&found)));
        // Shells that keep no history (root's, one behind `unset HISTFILE`) ran what was typed all the same.
        let truth = ground_truth_of(dir);
        let typed = truth["commands"].as_array().unwrap().iter().map(|row| row["command"].as_str());
        let typed = typed.chain([truth["shell_profile"].as_str()]).flatten().map(ToOwned::to_owned).collect::<Vec<_>>();
        listed.add(compare(&format!("{name} (all)"), &sorted(&typed), &sorted(&found)));
    }
    println!("captures: recall {:.3} over {} in histories", total.recall(), total.wanted);
    println!("captures: recall {:.3}, precision {:.3} over {}", listed.recall(), listed.precision(), listed.wanted);
    assert!(total.recall() >= 0.97 && listed.recall() >= 0.97 && listed.precision() >= 0.97, "{total:?} {listed:?}");
}

/// What was typed without echo at no shell's prompt is in no command.
#[test]
fn secrets_typed_appear_nowhere() {
    let Some(sessions) = recorded_sessions() else { return };
    let mut hidden = 0;
    for dir in &sessions {
        let secrets = ground_truth(dir)["secrets_typed"].as_array().unwrap().clone();
        for delay in DELAYS {
            let commands = session_commands(dir, delay);
            for secret in secrets.iter().map(|secret| secret.as_str().unwrap()) {
                assert!(!format!("{commands:?}").contains(secret), "{}", dir.display());
                hidden +=
                    commands.iter().flat_map(|c| &c.hidden_input).filter(|h| h.length == secret.len() as u64).count();
            }
        }
    }
    assert!(hidden >= 2 * DELAYS.len(), "the lengths are told: {hidden}");
    let Some(captures) = recorded_captures() else { return };
    for dir in &captures {
        assert!(!format!("{:?}", capture_commands(dir)).contains("hunter2-S3cret"), "{}", dir.display());
    }
}

/// A command was entered when its Enter was sent, not when the shell answered.
#[test]
fn commands_bear_the_time_of_enter() {
    let Some(captures) = recorded_captures() else { return };
    let mut compared = 0;
    for dir in captures.iter().filter(|dir| history(dir).is_some()) {
        let truth = ground_truth_of(dir);
        let keys: Vec<f64> = truth["keys"].as_array().unwrap().iter().map(|key| key["t"].as_f64().unwrap()).collect();
        for command in capture_commands(dir).iter().filter(|command| command.origin == Origin::Keys) {
            let at = command.at.unwrap().as_microsecond() as f64 / 1e6;
            // The frame follows its key after what the client took to send it.
            assert!(keys.iter().any(|key| (-0.01..0.25).contains(&(at - key))), "{} {:?}", dir.display(), command.text);
            compared += 1;
        }
    }
    assert!(compared > 80, "{compared}");
}

fn texts(commands: &[Command]) -> Vec<String> {
    commands.iter().map(|command| command.text.clone()).collect()
}

/// In the order of their texts: every shell writes its own history when it ends.
fn sorted(lines: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = lines.iter().map(|line| canonical(line)).collect();
    lines.sort();
    lines
}

/// bash's history joins the lines of a compound command with semicolons.
fn canonical(text: &str) -> String {
    normal(&text.replace(['\n', ';'], " "))
}

/// A recorded session as a capture at the client shows it: keys when they are sent, output when it comes.
fn session_commands(dir: &Path, delay: f64) -> Vec<Command> {
    let json = |name: &str| -> Vec<Value> { serde_json::from_slice(&fs::read(dir.join(name)).unwrap()).unwrap() };
    let (raw, input) = (fs::read(dir.join("raw.bin")).unwrap(), fs::read(dir.join("input.bin")).unwrap());
    let mut moments: Vec<(f64, bool, &[u8])> = Vec::new();
    let mut at = 0;
    for chunk in json("chunks.json") {
        let len = usize::try_from(chunk["Len"].as_u64().unwrap()).unwrap();
        moments.push((chunk["T"].as_f64().unwrap() + delay, true, &raw[at..at + len]));
        at += len;
    }
    for write in json("input.json") {
        let at = usize::try_from(write["off"].as_u64().unwrap()).unwrap();
        let len = usize::try_from(write["len"].as_u64().unwrap()).unwrap();
        moments.push((write["t"].as_f64().unwrap(), false, &input[at..at + len]));
    }
    // Times are rounded: keys come before what they cause.
    moments.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let cols = u16::try_from(ground_truth(dir)["cols"].as_u64().unwrap()).unwrap();
    let mut commands = Feed::default();
    commands.feed(0.0, What::Resize { cols, rows: 24 });
    for (t, is_output, bytes) in moments {
        commands.feed(t, if is_output { What::Output(bytes) } else { What::Input(bytes) });
    }
    commands.finish()
}

fn capture_commands(dir: &Path) -> Vec<Command> {
    let key = ground_truth_of(dir)["kms"]["data_key_hex"].as_str().map(|key| SessionKey::from_hex(key).unwrap());
    let mut channel = Channel::new(key);
    let mut events = Vec::new();
    for line in fs::read_to_string(dir.join("frames.jsonl")).unwrap().lines() {
        let frame: Value = serde_json::from_str(line).unwrap();
        let message = Bytes::from(STANDARD.decode(frame["b64"].as_str().unwrap()).unwrap());
        let opcode = if frame["opcode"] == 1 { Opcode::Text } else { Opcode::Binary };
        let at = Timestamp::UNIX_EPOCH + SignedDuration::try_from_secs_f64(frame["t"].as_f64().unwrap()).unwrap();
        let leg = Leg::parse(frame["dir"].as_str().unwrap()).unwrap();
        channel.feed(at, leg, opcode, &message, &mut |event| events.push(event));
    }
    channel.finish(&mut |event| events.push(event));
    let cells = |cells: u32| u16::try_from(cells).unwrap();
    let mut commands = Feed::default();
    for event in &events {
        let direction = if event.side == Side::Client { Direction::Input } else { Direction::Output };
        let t = event.at.as_microsecond() as f64 / 1e6;
        match &event.what {
            Message::Output(bytes) => commands.feed(t, What::Output(bytes)),
            Message::Input(bytes) => commands.feed(t, What::Input(bytes)),
            Message::Resize(size) => commands.feed(t, What::Resize { cols: cells(size.cols), rows: cells(size.rows) }),
            Message::Missing(_) => commands.feed(t, What::Gap { direction, messages: 0 }),
            _ => {}
        }
    }
    commands.finish()
}

/// Feeds events and keeps the commands.
struct Feed {
    timeline: Timeline,
    shown: u64,
    typed: u64,
    commands: Vec<Command>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { timeline: Timeline::new(Fidelity::Exact), shown: 0, typed: 0, commands: Vec::new() }
    }
}

impl Feed {
    fn feed(&mut self, t: f64, what: What<'_>) {
        let offset = match &what {
            What::Output(bytes) => self.shown..self.shown + bytes.len() as u64,
            What::Input(bytes) => self.typed..self.typed + bytes.len() as u64,
            _ => self.shown..self.shown,
        };
        match &what {
            What::Output(_) => self.shown = offset.end,
            What::Input(_) => self.typed = offset.end,
            _ => {}
        }
        let at = Some(Timestamp::UNIX_EPOCH + SignedDuration::try_from_secs_f64(t).unwrap());
        self.timeline.event(&Event { offset, at, what }, &mut |item| keep(&mut self.commands, item));
    }

    fn finish(mut self) -> Vec<Command> {
        self.timeline.finish(&mut |item| keep(&mut self.commands, item));
        self.commands
    }
}

fn keep(commands: &mut Vec<Command>, item: Item) {
    if let Item::Command(_, command) = item {
        commands.push(*command);
    }
}

fn ground_truth_of(capture: &Path) -> Value {
    serde_json::from_slice(&fs::read(capture.join("ground-truth.json")).unwrap()).unwrap()
}

/// What bash wrote to its history, for shell captures.
fn history(capture: &Path) -> Option<Vec<String>> {
    let truth = ground_truth_of(capture);
    let rows = truth["shell_history"].as_array()?;
    Some(rows.iter().map(|row| row[1].as_str().unwrap().to_owned()).collect())
}
