//! The shipped rules: they load, their cases hold, and they tell attacks from ordinary work.
//!
//! `WARDEN_DATA` names the folder with the recorded sessions and corpora; `WARDEN_SHOW` a list whose wrongly told lines
//! are printed.
#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::unwrap_used, reason = "reads data, prints figures")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;
use warden_rules::detect::{self, Detector};
use warden_rules::finding::Source;
use warden_rules::{CaseInput, Level, RuleSet, library};
use warden_session::Session;
use warden_session::session::Platform;

#[test]
fn every_rule_loads_without_a_word() {
    let loaded = library::load();
    let found: Vec<String> = loaded.errors.iter().chain(&loaded.warnings).map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(loaded.set.rules().len() >= 60);
}

#[test]
fn every_rule_has_two_matching_and_two_near_miss_cases_that_hold() {
    let set = library::load().set;
    let mut wrong = Vec::new();
    for rule in set.rules() {
        let matching = rule.cases.iter().filter(|case| case.expected).count();
        if matching < 2 || rule.cases.len() - matching < 2 {
            wrong.push(format!("{}: too few cases", rule.path));
        }
        for case in &rule.cases {
            if !set.run_case(rule, case, |rule, line| detect::run_command_case(&set, rule, line)) {
                wrong.push(format!("{}:{}: {:?}", rule.path, case.line, case.input));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The Lambdas load the library as a pack.
#[test]
fn the_packed_library_judges_every_case_alike() {
    let set = library::load().set;
    let packed = RuleSet::from_pack(&set.to_pack()).unwrap();
    assert_eq!(packed.version(), set.version());
    for (rule, again) in set.rules().iter().zip(packed.rules()) {
        assert_eq!((&rule.id, rule.level, &rule.tags), (&again.id, again.level, &again.tags));
        for case in &rule.cases {
            let holds = packed.run_case(again, case, |rule, line| detect::run_command_case(&packed, rule, line));
            assert!(holds, "{}:{}", rule.path, case.line);
        }
    }
}

#[test]
fn every_rule_says_what_it_is() {
    for rule in library::load().set.rules() {
        assert!(rule.tags.iter().any(|tag| tag.starts_with("attack.t1")), "{}: technique", rule.path);
        assert!(rule.tags.iter().any(|tag| !tag.starts_with("attack.t1")), "{}: tactic", rule.path);
        assert!(rule.description.as_deref().is_some_and(|text| text.len() > 40), "{}: description", rule.path);
        assert!(rule.cases.iter().all(|case| !matches!(&case.input, CaseInput::Command(line) if line.is_empty())));
    }
}

/// A command line and where it comes from.
struct Line {
    text: String,
    platform: Platform,
}

/// What the library says of a list of lines.
#[derive(Default)]
struct Tally {
    lines: usize,
    any: usize,
    medium: usize,
    /// Lines on the wrong side, with the rules that matched at medium or above.
    wrong: Vec<String>,
    rules: BTreeMap<String, usize>,
}

impl Tally {
    fn of(set: &RuleSet, lines: Vec<Line>, wrong: impl Fn(Option<Level>) -> bool) -> Self {
        let source = Source { kind: "transcript", path: "x".to_owned(), trust: "host" };
        let mut tally = Self::default();
        for Line { text, platform } in lines {
            let session = Session { platform, ..Session::default() };
            let command = detect::typed(&text, platform);
            let findings = Detector::new(set).command_findings(&session, &source, &command);
            let level = findings.iter().filter_map(|finding| Level::parse(&finding.rule.level)).max();
            tally.lines += 1;
            tally.any += usize::from(level.is_some());
            tally.medium += usize::from(level >= Some(Level::Medium));
            let names = findings.iter().filter(|finding| Level::parse(&finding.rule.level) >= Some(Level::Medium));
            let names: Vec<String> = names.map(|finding| finding.rule.title.clone()).collect();
            if wrong(level) {
                tally.wrong.push(format!("{level:?} {text:?} {names:?}"));
            }
            for name in names {
                *tally.rules.entry(name).or_default() += 1;
            }
        }
        tally
    }

    #[allow(clippy::cast_precision_loss, reason = "a percentage of some thousands")]
    fn print(&self, name: &str) {
        let percent = |part: usize| 100.0 * part as f64 / self.lines.max(1) as f64;
        println!(
            "{name}: {} lines, any {:.2} %, medium or higher {:.2} %",
            self.lines,
            percent(self.any),
            percent(self.medium)
        );
        if env::var("WARDEN_SHOW").is_ok_and(|show| name.contains(&show)) {
            self.wrong.iter().for_each(|line| println!("    {line}"));
            println!("    {:?}", self.rules);
        }
    }

    fn at_least(&self, part: usize, percent: usize) -> bool {
        part * 100 >= self.lines * percent
    }
}

fn data() -> Option<PathBuf> {
    let data = env::var_os("WARDEN_DATA").map(PathBuf::from);
    if data.is_none() {
        println!("skipped: WARDEN_DATA does not name the folder with made/ and public/");
    }
    data
}

fn transcripts(data: &Path, label: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut folders: Vec<PathBuf> =
        fs::read_dir(data.join("made/transcripts")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    for file in folders.iter().map(|folder| folder.join("truth.json")).filter(|file| file.exists()) {
        let truth: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        for command in truth["commands"].as_array().unwrap() {
            if command["label"] == label && command["technique"] != "T1027" {
                lines.push(Line { text: command["line"].as_str().unwrap().to_owned(), platform: Platform::Linux });
            }
        }
    }
    lines
}

#[test]
fn tells_attacks_from_ordinary_work_in_recorded_sessions() {
    let Some(data) = data() else { return };
    let set = library::load().set;
    let attack = Tally::of(&set, transcripts(&data, "attack"), |level| level < Some(Level::Medium));
    attack.print("sessions, attack");
    let benign = Tally::of(&set, transcripts(&data, "benign"), |level| level >= Some(Level::Medium));
    benign.print("sessions, benign");
    assert!(attack.at_least(attack.any, 97));
    assert!(!benign.at_least(benign.medium, 1));
}

#[test]
fn sees_through_obfuscated_commands() {
    let Some(data) = data() else { return };
    let set = library::load().set;
    let text = fs::read_to_string(data.join("made/obfuscated/obfuscated.jsonl")).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (key, name) in [("base", "obfuscated, clear"), ("obf", "obfuscated")] {
        let line = |row: &Value| Line { text: row[key].as_str().unwrap().to_owned(), platform: Platform::Linux };
        let tally = Tally::of(&set, rows.iter().map(line).collect(), |level| level < Some(Level::Medium));
        tally.print(name);
        assert!(tally.at_least(tally.any, 70), "{name}");
    }
}

fn corpus(data: &Path, name: &str, platform: Platform, keep: impl Fn(&Value) -> bool) -> Vec<Line> {
    let text = fs::read_to_string(data.join("public/corpora").join(name)).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut lines: Vec<String> = rows.filter(keep).map(|row| row["cmd"].as_str().unwrap().to_owned()).collect();
    lines.sort();
    lines.dedup();
    lines.into_iter().map(|text| Line { text, platform }).collect()
}

#[test]
fn tells_attacks_from_ordinary_work_in_public_corpora() {
    let Some(data) = data() else { return };
    let set = library::load().set;
    let windows = |row: &Value| {
        let shell = row["executor"].as_str().unwrap_or_default();
        matches!(shell, "powershell" | "command_prompt")
    };
    let foreign = |row: &Value| row["platforms"].as_array().is_some_and(|list| list.iter().any(|one| one == "windows"));
    let attack = |row: &Value| row["label"] == "attack";
    for (name, file, platform, any) in [
        ("atomic, unix", "atomic-red-team.jsonl", Platform::Linux, 85),
        ("atomic, windows", "atomic-red-team.jsonl", Platform::Windows, 60),
        ("gtfobins", "gtfobins.jsonl", Platform::Linux, 45),
    ] {
        let keep = |row: &Value| attack(row) && windows(row) == (platform == Platform::Windows);
        let tally = Tally::of(&set, corpus(&data, file, platform, keep), |level| level.is_none());
        tally.print(name);
        assert!(tally.at_least(tally.any, any), "{name}");
    }
    let real = corpus(&data, "gtfobins.jsonl", Platform::Linux, |_| true).into_iter().map(|line| Line {
        text: line
            .text
            .replace("/path/to/input-file", "/etc/shadow")
            .replace("/path/to/output-file", "/etc/cron.d/x")
            .replace("attacker.com", "203.0.113.66"),
        ..line
    });
    let tally = Tally::of(&set, real.collect(), |level| level.is_none());
    tally.print("gtfobins with secret files");
    assert!(tally.at_least(tally.any, 75));
    for (name, file) in [("tldr", "tldr.jsonl"), ("nl2bash", "nl2bash.jsonl")] {
        let lines = corpus(&data, file, Platform::Linux, |row| !foreign(row));
        let tally = Tally::of(&set, lines, |level| level >= Some(Level::Medium));
        tally.print(name);
        assert!(!tally.at_least(tally.medium, 4), "{name}");
    }
}
