//! How many attacks give findings, and how many harmless commands do, over sessions with ground truth.
//!
//! Data: `made/transcripts` under `WARDEN_DATA`. `WARDEN_MISSES=1` with `-- --nocapture` lists what was missed and what was
//! found in vain.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that prints its score")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use warden_rules::detect::Detector;
use warden_rules::finding::{Finding, Source};
use warden_rules::{Level, RuleSet, library};
use warden_session::{Item, Kind, Reader};
use warden_tests::{ground_truth, recorded_sessions};

/// A command that ran, and what was found in it.
struct Judged {
    attack: bool,
    line: String,
    found: Vec<(Level, String)>,
}

#[test]
fn attacks_give_findings_and_harmless_commands_do_not() {
    let Some(sessions) = recorded_sessions() else { return };
    let rules = library::load().set;
    let judged: Vec<Judged> = sessions.iter().flat_map(|dir| judge(&rules, dir)).collect();
    let (attacks, benign): (Vec<&Judged>, Vec<&Judged>) = judged.iter().partition(|judged| judged.attack);
    let missed: Vec<&&Judged> = attacks.iter().filter(|judged| judged.found.is_empty()).collect();
    let raised = |judged: &&&Judged| judged.found.iter().any(|(level, _)| *level >= Level::Medium);
    let vain: Vec<&&Judged> = benign.iter().filter(raised).collect();
    if std::env::var_os("WARDEN_MISSES").is_some() {
        for judged in &missed {
            println!("missed  {:?}", judged.line);
        }
        for judged in &vain {
            println!("in vain {:?} {:?}", judged.line, judged.found);
        }
    }
    println!("attacks found: {} of {}", attacks.len() - missed.len(), attacks.len());
    println!("harmless commands with a finding of medium or higher: {} of {}", vain.len(), benign.len());
    assert!(missed.len() * 10 <= attacks.len(), "fewer than 90 % of attacks found");
    assert!(vain.len() * 100 <= benign.len() * 3, "more than 3 % of harmless commands found");
}

/// What was typed without an echo stands in no record, so it must stand in no output either.
#[test]
fn typed_secrets_appear_nowhere() {
    let Some(sessions) = recorded_sessions() else { return };
    let rules = library::load().set;
    let mut secrets = 0;
    for dir in sessions {
        let truth = ground_truth(&dir);
        let typed: Vec<&str> =
            truth["secrets_typed"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        secrets += typed.len();
        for (file, kind) in RECORDS {
            let Ok(bytes) = fs::read(dir.join(file)) else { continue };
            let (commands, findings) = scan(&rules, &bytes, *kind);
            let output = format!(
                "{} {:?}",
                serde_json::to_string(&commands).unwrap(),
                findings.iter().map(Finding::to_json).collect::<Vec<_>>()
            );
            for secret in &typed {
                assert!(!output.contains(secret), "{}: a typed secret", dir.join(file).display());
            }
        }
    }
    println!("{secrets} typed secrets appear in no output");
}

const RECORDS: &[(&str, Kind)] = &[
    ("transcript.log", Kind::Transcript),
    ("transcript-legacy.log", Kind::Transcript),
    ("cloudwatch-stream.jsonl", Kind::LogStream),
    ("cloudwatch-upload.jsonl", Kind::LogStream),
];

fn judge(rules: &RuleSet, dir: &Path) -> Vec<Judged> {
    let (_, findings) = scan(rules, &fs::read(dir.join("transcript.log")).unwrap(), Kind::Transcript);
    let mut by_text: BTreeMap<String, Vec<(Level, String)>> = BTreeMap::new();
    for finding in &findings {
        let text = normal(&finding.command.as_ref().unwrap().text);
        by_text.entry(text).or_default().push((finding.level(), finding.rule.title.clone()));
    }
    let truth = ground_truth(dir);
    let shown = truth["commands"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|command| command["visible_pyte"] == true && command["technique"] != "T1027");
    let judge = |command: &Value| {
        let line = command["line"].as_str().unwrap().to_owned();
        Judged {
            attack: command["label"] == "attack",
            found: by_text.get(&normal(&line)).cloned().unwrap_or_default(),
            line,
        }
    };
    shown.map(judge).collect()
}

fn scan(rules: &RuleSet, bytes: &[u8], kind: Kind) -> (Vec<warden_session::Command>, Vec<Finding>) {
    let mut detector = Detector::new(rules);
    let source = Source::new(kind, "session");
    let (mut commands, mut findings) = (Vec::new(), Vec::new());
    let mut sink = |item| {
        if let Item::Command(session, command) = item {
            findings.extend(detector.command_findings(&session, &source, &command));
            commands.push(*command);
        }
    };
    let mut reader = Reader::new(kind);
    reader.feed(bytes, &mut sink);
    reader.finish(&mut sink);
    (commands, findings)
}

/// A screen shows neither tabs nor how many blanks stand at a line's end; masked secrets have other lengths.
fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
