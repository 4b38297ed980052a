//! Holds the table of imports: which workspace crate may import which, and what the core may depend on at all.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that prints its score")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Imports point down only (`ARCHITECTURE.md`). `warden-tests` may import all, and nothing imports it.
const IMPORTS: &[(&str, &[&str])] = &[
    ("warden-protocol", &[]),
    ("warden-session", &[]),
    ("warden-rules", &["warden-session"]),
    ("warden-aws", &[]),
    ("warden-functions", &["warden-aws", "warden-protocol", "warden-rules", "warden-session"]),
    ("warden", &["warden-aws", "warden-protocol", "warden-rules", "warden-session"]),
];

/// The core does no I/O: whatever it comes to depend on is looked at before it is added here.
const CORE: &[(&str, &[&str])] = &[
    ("warden-protocol", &["aws-lc-rs", "base64", "bytes", "jiff", "serde", "serde_json", "sha2", "thiserror", "uuid"]),
    (
        "warden-session",
        &[
            "base64",
            "flate2",
            "jiff",
            "memchr",
            "regex",
            "serde",
            "serde_json",
            "thiserror",
            "unicode-width",
            "vt100",
            "vte",
            "zstd",
        ],
    ),
    (
        "warden-rules",
        &[
            "aho-corasick",
            "base64",
            "hmac",
            "jiff",
            "memchr",
            "postcard",
            "regex",
            "regex-syntax",
            "saphyr-parser",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
        ],
    ),
];

#[test]
fn imports_point_down() {
    let packages = packages();
    for (name, allowed) in IMPORTS {
        let imported: BTreeSet<&str> =
            packages[*name].iter().map(String::as_str).filter(|name| name.starts_with("warden")).collect();
        let forbidden: Vec<_> = imported.iter().filter(|name| !allowed.contains(name)).collect();
        assert!(forbidden.is_empty(), "{name} imports {forbidden:?}");
    }
    let known: BTreeSet<&str> = IMPORTS.iter().map(|(name, _)| *name).chain(["warden-tests"]).collect();
    assert_eq!(packages.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
}

#[test]
fn the_core_depends_on_nothing_that_does_io() {
    let packages = packages();
    for (name, allowed) in CORE {
        let outside = packages[*name].iter().filter(|name| !name.starts_with("warden"));
        let unknown: Vec<_> = outside.filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(unknown.is_empty(), "{name} depends on {unknown:?}, which the table does not know");
    }
}

/// Names of the workspace's packages, each with what it depends on outside of its tests.
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.map(|package| (package["name"].as_str().unwrap().to_owned(), dependencies(package))).collect()
}

fn dependencies(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().unwrap().iter();
    let normal = all.filter(|dependency| dependency["kind"] != "dev");
    normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
}
