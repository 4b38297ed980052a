//! Agreement with reference engines over SigmaHQ's rules, which are read in place and never copied here.

#![allow(clippy::disallowed_methods, reason = "the corpus is read from disk")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use warden_rules::{Event, RuleSet};

/// Rules of each group agree with every expected pair: what must fire does, nothing else of the group does.
#[test]
fn agrees_with_every_expected_pair() {
    let Some(folder) = corpus() else { return };
    let unloadable: BTreeSet<String> = read_json(&folder.join("unloadable_rules.json"));
    let mut files: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for row in read_lines(&folder.join("index.jsonl")) {
        let path = row["file"].as_str().unwrap().to_owned();
        let text = fs::read_to_string(folder.join(&path)).unwrap();
        files.entry(row["group"].as_str().unwrap().to_owned()).or_default().push((path, text));
    }
    let mut sets = BTreeMap::new();
    for (group, files) in files {
        let loaded = RuleSet::load(files);
        for error in &loaded.errors {
            let expected = unloadable.iter().any(|id| is_rule(&folder, &error.path, id));
            assert!(expected, "a valid rule does not load:\n{}", error.render());
        }
        let packed = RuleSet::from_pack(&loaded.set.to_pack()).unwrap();
        sets.insert(group, (loaded.set, packed));
    }
    let (mut events, mut pairs) = (0, 0);
    let mut wrong = Vec::new();
    for row in read_lines(&folder.join("expected.jsonl")) {
        let (set, packed) = &sets[row["group"].as_str().unwrap()];
        let expected = ids(&row["match"]);
        let aside: BTreeSet<&str> =
            ids(&row["undecided"]).union(&unloadable.iter().map(String::as_str).collect()).copied().collect();
        let event = Event::from_json(&row["event"]);
        let found: BTreeSet<&str> = set.match_ids(None, &event).into_iter().collect();
        assert_eq!(packed.match_ids(None, &event), set.match_ids(None, &event), "event {}: packed", row["eid"]);
        let missed: Vec<&str> = expected.difference(&found).filter(|id| !aside.contains(*id)).copied().collect();
        let extra: Vec<&str> = found.difference(&expected).filter(|id| !aside.contains(*id)).copied().collect();
        if !missed.is_empty() || !extra.is_empty() {
            wrong.push(format!("event {}: missed {missed:?}, extra {extra:?}", row["eid"]));
        }
        events += 1;
        pairs += expected.len();
    }
    assert!(wrong.is_empty(), "{} of {events} events differ:\n{}", wrong.len(), wrong.join("\n"));
    println!("{events} events, {pairs} matches agree");
}

fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("WARDEN_DATA").map(|folder| Path::new(&folder).join("public/sigma"));
    let found = folder.filter(|folder| folder.is_dir());
    if found.is_none() {
        println!("skipped: WARDEN_DATA names no folder with public/sigma");
    }
    found
}

fn is_rule(folder: &Path, path: &str, id: &str) -> bool {
    fs::read_to_string(folder.join(path)).unwrap().contains(id)
}

fn read_json<T: for<'de> serde::Deserialize<'de>>(path: &Path) -> T {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn read_lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect()
}
