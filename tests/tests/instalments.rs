//! A log stream read in instalments gives what it gives when it is read at once: the same commands, the same finding ids.
//!
//! Data: `made/transcripts` under `WARDEN_DATA`. `WARDEN_SEEDS` sets how many ways each stream is cut.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that prints its score")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use warden_rules::detect::{Counts, Detector};
use warden_rules::finding::Source;
use warden_rules::{RuleSet, library};
use warden_session::saved::SAVED_LIMIT;
use warden_session::{Command, Item, Kind, Reader, Session};
use warden_tests::recorded_sessions;

/// What a reading gave.
#[derive(Debug, Default, PartialEq)]
struct Read {
    commands: Vec<Command>,
    findings: BTreeSet<String>,
}

/// Where the reading of a stream stands between two deliveries.
struct Place {
    reader: Vec<u8>,
    counts: String,
}

#[derive(Debug, Default)]
struct Score {
    splits: usize,
    batches: usize,
    commands: usize,
    findings: usize,
    before_the_end: usize,
    largest: usize,
}

#[test]
fn batches_give_what_the_whole_stream_gives() {
    let Some(sessions) = recorded_sessions() else { return };
    let rules = library::load().set;
    let seeds = std::env::var("WARDEN_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    for dir in sessions {
        for (name, events) in streams(&dir) {
            let score = scores.entry(name).or_default();
            let whole = read_whole(&rules, &events);
            for seed in 0..seeds {
                compare(&rules, &events, &whole, seed, score, &dir);
            }
        }
    }
    for (name, score) in &scores {
        println!("{name}: {score:?}");
        assert!(score.before_the_end * 100 >= score.commands * 90, "{name}: commands known before the stream ends");
    }
}

/// Both records of a session give its findings the same ids. Streaming loses line edits, so a few commands read otherwise.
#[test]
fn a_stream_gives_the_ids_of_the_transcript() {
    let Some(sessions) = recorded_sessions() else { return };
    let rules = library::load().set;
    let (mut all, mut uploaded, mut streamed) = (0, 0, 0);
    for dir in sessions {
        let transcript = read_all(&rules, Kind::Transcript, &fs::read(dir.join("transcript.log")).unwrap()).findings;
        let shared = |name: &str| {
            let read = read_all(&rules, Kind::LogStream, &fs::read(dir.join(name)).unwrap());
            read.findings.intersection(&transcript).count()
        };
        all += transcript.len();
        uploaded += shared("cloudwatch-upload.jsonl");
        streamed += shared("cloudwatch-stream.jsonl");
    }
    println!("finding ids of transcripts: {all}; {uploaded} in uploaded and {streamed} in streamed log events");
    assert_eq!(uploaded, all);
    assert!(streamed * 100 >= all * 70);
}

fn compare(rules: &RuleSet, events: &[String], whole: &Read, seed: u64, score: &mut Score, dir: &Path) {
    let mut read = Read::default();
    let mut early: BTreeSet<u64> = BTreeSet::new();
    let mut place: Option<Place> = None;
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut rest = events;
    while !rest.is_empty() {
        // The first way of cutting is one event at a time.
        let length = if seed == 0 { 1 } else { 1 + random.below(rest.len().min(12)) };
        let (batch, after) = rest.split_at(length);
        rest = after;
        let (reader, settled, next) = deliver(rules, place.as_ref(), batch, &mut read);
        early.extend(settled);
        early.extend(read.commands.iter().map(|command| command.n));
        score.batches += 1;
        score.largest = score.largest.max(next.reader.len());
        if rest.is_empty() {
            let mut detector = Detector::resume(rules, Counts::from_text(&next.counts).unwrap());
            reader.finish(&mut |item| note(&mut detector, item, &mut read));
        }
        place = Some(next);
    }
    let what = format!("{} cut by seed {seed}", dir.display());
    assert_eq!(read.commands, whole.commands, "{what}: commands");
    assert_eq!(read.findings, whole.findings, "{what}: findings");
    score.splits += 1;
    score.commands += whole.commands.len();
    score.findings += whole.findings.len();
    score.before_the_end += early.len();
}

/// One delivery; the reader goes on from bytes alone. Gives the numbers of the commands that are settled.
fn deliver(rules: &RuleSet, place: Option<&Place>, batch: &[String], read: &mut Read) -> (Reader, Vec<u64>, Place) {
    let mut reader = place.map_or_else(|| Reader::new(Kind::LogStream), |place| Reader::resume(&place.reader).unwrap());
    let counts = place.map_or_else(Counts::default, |place| Counts::from_text(&place.counts).unwrap());
    let mut detector = Detector::resume(rules, counts);
    for event in batch {
        reader.feed(event.as_bytes(), &mut |item| note(&mut detector, item, read));
    }
    let counts = detector.counts().to_text();
    let settled = reader.settled();
    for (session, command) in &settled {
        // Told early, under the ids that they will have when they come out: none that the whole stream does not give.
        findings(&mut detector, session, command, read);
    }
    let saved = reader.save().unwrap();
    assert!(!saved.reduced && saved.bytes.len() <= SAVED_LIMIT);
    (reader, settled.iter().map(|(_, command)| command.n).collect(), Place { reader: saved.bytes, counts })
}

fn read_whole(rules: &RuleSet, events: &[String]) -> Read {
    read_all(rules, Kind::LogStream, events.concat().as_bytes())
}

fn read_all(rules: &RuleSet, kind: Kind, bytes: &[u8]) -> Read {
    let (mut read, mut detector, mut reader) = (Read::default(), Detector::new(rules), Reader::new(kind));
    reader.feed(bytes, &mut |item| note(&mut detector, item, &mut read));
    reader.finish(&mut |item| note(&mut detector, item, &mut read));
    read
}

fn note(detector: &mut Detector<'_>, item: Item, read: &mut Read) {
    if let Item::Command(session, command) = item {
        findings(detector, &session, &command, read);
        read.commands.push(*command);
    }
}

fn findings(detector: &mut Detector<'_>, session: &Session, command: &Command, read: &mut Read) {
    let found = detector.command_findings(session, &Source::new(Kind::LogStream, "stream"), command);
    read.findings.extend(found.into_iter().map(|finding| finding.finding_id));
}

/// The log events of a session as they were sent, and as an agent would have sent them had the output come more slowly.
fn streams(dir: &Path) -> Vec<(&'static str, Vec<String>)> {
    let read = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(dir.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (streamed, uploaded) = (read("cloudwatch-stream.jsonl"), read("cloudwatch-upload.jsonl"));
    let lines = |events: Vec<Value>| events.iter().map(|event| format!("{event}\n")).collect::<Vec<_>>();
    vec![
        ("streamed", lines(streamed.clone())),
        ("streamed a few lines at a time", lines(slowly_streamed(&streamed))),
        ("uploaded", lines(uploaded.clone())),
        ("uploaded in short texts", lines(uploaded_in_pieces(&uploaded))),
    ]
}

/// At most three lines a message, a message a second.
fn slowly_streamed(events: &[Value]) -> Vec<Value> {
    let mut messages = Vec::new();
    let mut random = Random(7);
    for event in events {
        let message: Value = serde_json::from_str(event["message"].as_str().unwrap()).unwrap();
        let all = message["sessionData"].as_array().unwrap().clone();
        // A cut line goes on in the next event.
        let cut = all.len() == 1;
        let mut lines = &all[..];
        while !lines.is_empty() {
            let (some, rest) = lines.split_at(if cut { 1 } else { (1 + random.below(3)).min(lines.len()) });
            lines = rest;
            let mut message = message.clone();
            message["sessionData"] = json!(some);
            messages.push((event.clone(), message));
        }
    }
    let timed = messages.into_iter().enumerate().map(|(second, (mut event, mut message))| {
        let at = format!("2026-11-22T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60);
        message["eventTime"] = json!(at);
        event["message"] = json!(message.to_string());
        event["timestamp"] = json!(1_795_352_913_448_u64 + second as u64 * 1000);
        event
    });
    timed.collect()
}

/// The uploaded text, cut at line ends into pieces without their last line end.
fn uploaded_in_pieces(events: &[Value]) -> Vec<Value> {
    let mut out = Vec::new();
    let mut random = Random(11);
    let texts: Vec<&str> = events.iter().map(|event| event["message"].as_str().unwrap()).collect();
    let whole = texts.join("\n");
    let mut lines = whole.split('\n').peekable();
    while lines.peek().is_some() {
        let piece: Vec<&str> = lines.by_ref().take(1 + random.below(9)).collect();
        let mut event = events[0].clone();
        event["message"] = json!(piece.join("\n"));
        event["timestamp"] = json!(1_795_352_913_448_u64 + out.len() as u64);
        out.push(event);
    }
    out
}

/// Xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }
}
