//! Recorded sessions and verified obfuscations: how much of what ran does a static reading find?
//!
//! Skipped without `WARDEN_DATA`, the folder that holds `made/`.

#![allow(clippy::print_stdout, reason = "the measurement is the result")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use warden_session::shell::{Dialect, parse};

#[allow(clippy::disallowed_methods, reason = "the data lies outside the repository")]
fn made() -> Option<PathBuf> {
    let data = std::env::var_os("WARDEN_DATA").map(|data| Path::new(&data).join("made")).filter(|made| made.is_dir());
    if data.is_none() {
        println!("skipped: WARDEN_DATA names no folder with made/");
    }
    data
}

#[allow(clippy::disallowed_methods, reason = "the data lies outside the repository")]
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

#[test]
fn obfuscated_commands_are_decoded() {
    let Some(made) = made() else { return };
    let mut classes: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
    for row in lines(&made.join("obfuscated/obfuscated.jsonl")) {
        let argv = strings(&row["argv"]);
        let parsed = parse(row["obf"].as_str().unwrap(), Dialect::Posix);
        let found = parsed.invocations.iter().any(|invocation| invocation.argv == argv);
        let key = (row["tool"].to_string(), row["cls"].to_string());
        let count = classes.entry(key).or_default();
        count.0 += usize::from(found);
        count.1 += 1;
        if !found {
            println!(
                "missed {} {:?}\n   {}",
                row["cls"],
                argv,
                row["obf"].as_str().unwrap().chars().take(300).collect::<String>()
            );
            println!(
                "   {:?}",
                parsed
                    .invocations
                    .iter()
                    .map(|i| i.command_line().chars().take(80).collect::<String>())
                    .collect::<Vec<_>>()
            );
        }
    }
    let mut totals: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for ((tool, class), (found, all)) in &classes {
        println!("{found:4} of {all:4}  {tool} {class}");
        let total = totals.entry(tool).or_default();
        total.0 += found;
        total.1 += all;
    }
    println!("{totals:?}");
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the data lies outside the repository")]
fn executed_programs_are_found() {
    let Some(made) = made() else { return };
    let (mut found, mut all) = (0, 0);
    let mut missed = BTreeSet::new();
    for folder in std::fs::read_dir(made.join("transcripts")).unwrap().flatten() {
        let Ok(text) = std::fs::read_to_string(folder.path().join("truth.json")) else { continue };
        let truth: Value = serde_json::from_str(&text).unwrap();
        let lines_typed: Vec<&str> =
            truth["commands"].as_array().unwrap().iter().filter_map(|command| command["line"].as_str()).collect();
        let known: BTreeSet<Vec<String>> = lines_typed
            .iter()
            .flat_map(|line| parse(line, Dialect::Posix).invocations)
            .map(|invocation| invocation.argv)
            .collect();
        // A simple command as bash shows it is shell text: it is split the same way.
        for simple in truth["simple_commands"].as_array().into_iter().flatten() {
            let text = simple["cmd"].as_str().unwrap_or_default();
            let Some(wanted) = parse(text, Dialect::Posix).invocations.into_iter().next_back() else { continue };
            if simple["t"].as_f64().unwrap_or(-1.0) < 0.0 || text.contains("\\033]0;") {
                continue;
            }
            all += 1;
            if known.contains(&wanted.argv) {
                found += 1;
            } else {
                missed.insert(format!("{:?} <- {text}", wanted.argv));
            }
        }
    }
    for line in &missed {
        println!("missed {line}");
    }
    println!("simple commands found: {found} of {all}");
}
