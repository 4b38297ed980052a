//! Loading and matching speed over SigmaHQ's rules; run with
//! `WARDEN_DATA=… cargo test --release -p warden-rules --test speed -- --ignored --nocapture`.

#![allow(clippy::disallowed_methods, reason = "the corpus is read from disk, and time is what is measured")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use warden_rules::{Event, RuleSet};

#[test]
#[ignore = "a measurement, not a check"]
fn events_per_second() {
    let Some(folder) = std::env::var_os("WARDEN_DATA").map(|folder| Path::new(&folder).join("public/sigma")) else {
        return println!("skipped: WARDEN_DATA is not set");
    };
    let lines = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (index, rows) = (lines("index.jsonl"), lines("expected.jsonl"));
    for groups in [
        vec!["linux/process_creation"],
        vec!["windows/process_creation"],
        vec!["windows/powershell"],
        vec![
            "linux/process_creation",
            "windows/process_creation",
            "windows/powershell",
            "linux/other",
            "aws/cloudtrail",
        ],
    ] {
        let in_groups = |row: &&Value| groups.contains(&row["group"].as_str().unwrap());
        let files: Vec<(&str, String)> = index
            .iter()
            .filter(in_groups)
            .map(|row| row["file"].as_str().unwrap())
            .map(|file| (file, fs::read_to_string(folder.join(file)).unwrap()))
            .collect();
        let started = Instant::now();
        let set = RuleSet::load(files.iter().map(|(path, text)| (path, text))).set;
        let loaded = started.elapsed();
        let events: Vec<&Value> = rows.iter().filter(in_groups).map(|row| &row["event"]).collect();
        let started = Instant::now();
        let mut done = 0;
        while done < 3 || started.elapsed().as_millis() < 1_000 {
            for event in &events {
                black_box(set.match_ids(None, &Event::from_json(event)));
            }
            done += 1;
        }
        let rate = f64::from(done) * f64::from(u32::try_from(events.len()).unwrap()) / started.elapsed().as_secs_f64();
        println!(
            "{} rules of {}: load {} ms, {} events, {rate:.0} events/s",
            set.rules().len(),
            groups.join(" + "),
            loaded.as_millis(),
            events.len(),
        );
    }
}
