//! The forms, by what they say of one recorded session.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::recorded::{PASSWORD, SECRET, session};

const FORMS: [&str; 5] = ["text", "json", "asciicast", "html", "timesketch"];

fn warden(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_warden")).current_dir(folder).args(args).output().unwrap()
}

/// What an export says; of HTML the packed screens are unpacked as well.
fn exported(folder: &Path, form: &str, more: &[&str]) -> String {
    let done = warden(folder, &[&["export", "capture.jsonl", "--to", form], more].concat());
    assert!(done.status.success(), "{form}: {}", String::from_utf8_lossy(&done.stderr));
    let mut text = String::from_utf8(done.stdout).unwrap();
    if form == "html" {
        let packed = text.split("id=\"screens\">").nth(1).unwrap().split('<').next().unwrap();
        let packed = base64::engine::general_purpose::STANDARD.decode(packed).unwrap();
        let mut screens = String::new();
        flate2::read::DeflateDecoder::new(packed.as_slice()).read_to_string(&mut screens).unwrap();
        text.push_str(&screens);
    }
    text
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The keys that an export in JSON tells, one behind the other.
fn keys(text: &str) -> String {
    let objects = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let inputs = objects.filter(|object| object["type"] == "input");
    inputs.filter_map(|object| object["text"].as_str().map(ToOwned::to_owned)).collect()
}

fn recorded() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("capture.jsonl"), session()).unwrap();
    folder
}

#[test]
fn what_was_typed_without_an_echo_is_in_no_form() {
    let folder = recorded();
    for form in FORMS {
        let text = exported(folder.path(), form, &[]);
        assert!(!text.contains(SECRET), "{form}");
        assert!(!text.contains("S3cret 1234"), "{form}: a program that prints it does not tell it either");
    }
    let json = exported(folder.path(), "json", &[]);
    assert!(keys(&json).contains("sudo true\r") && !keys(&json).contains(SECRET), "{}", keys(&json));
    let json = lines(&json);
    let hidden: Vec<&Value> = json.iter().filter(|object| object["type"] == "hidden_input").collect();
    assert_eq!(hidden.len(), 1);
    assert_eq!(hidden[0]["bytes"], json!(SECRET.len()));
    let removed = json.iter().find(|object| object["type"] == "redaction").unwrap();
    assert_eq!(removed["characters"], json!(SECRET.len()));
    assert_eq!(removed["hmac_sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn redaction_removes_secrets_of_commands_and_patterns_everywhere() {
    let folder = recorded();
    assert!(exported(folder.path(), "text", &[]).contains(PASSWORD), "it is there unless it is removed");
    for form in FORMS {
        let text = exported(folder.path(), form, &["--redact", "--redact-pattern", "[0-9]{4}-[0-9]{4}"]);
        // Prefixes of it appear while it is typed on no screen either.
        assert!(!text.contains(PASSWORD) && !text.contains("S3cretP"), "{form}");
        assert!(!text.contains("1234-") && !text.contains("5678"), "{form}");
        assert!(!keys(&text).contains(PASSWORD), "{form}: nor does it stand in the keys");
    }
    let text = exported(folder.path(), "text", &["--redact"]);
    assert!(text.contains("mysql -uroot -p████████ shop\naccess denied for ████████\n"), "{text}");
}

#[test]
fn equal_keys_prove_what_was_removed() {
    let folder = recorded();
    std::fs::write(folder.path().join("key"), [7; 32]).unwrap();
    std::fs::write(folder.path().join("short"), [7; 3]).unwrap();
    let with = |key: &str| exported(folder.path(), "text", &["--redact", "--redact-key", key]);
    assert_eq!(with("key"), with("key"));
    assert_ne!(
        with("key"),
        exported(folder.path(), "text", &["--redact"]),
        "without one the digests are of a random key"
    );
    let refused = warden(folder.path(), &["export", "capture.jsonl", "--to", "text", "--redact-key", "short"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn text_is_what_a_reader_saw() {
    let folder = recorded();
    let wanted = include_str!("session.txt");
    let text = exported(folder.path(), "text", &[]);
    let shown = text.lines().filter(|line| !line.starts_with("-- removed")).collect::<Vec<_>>().join("\n");
    assert_eq!(shown, wanted.trim_end_matches('\n'));
}

#[test]
fn casts_read_back_as_they_were() {
    let folder = recorded();
    let text = exported(folder.path(), "text", &[]);
    let shown = |text: &str| text.lines().filter(|line| !line.starts_with("-- removed")).collect::<Vec<_>>().join("\n");
    let mut ends = Vec::new();
    for (file, version) in [("three.cast", &[][..]), ("two.cast", &["--v2"][..])] {
        let cast = exported(folder.path(), "asciicast", version);
        std::fs::write(folder.path().join(file), &cast).unwrap();
        let back = warden(folder.path(), &["export", file, "--to", "text"]);
        assert_eq!(shown(&String::from_utf8(back.stdout).unwrap()), shown(&text), "{file}");
        let events = lines(&cast).split_off(1);
        let labels: Vec<&str> =
            events.iter().filter(|event| event[1] == "m").map(|event| event[2].as_str().unwrap()).collect();
        assert!(labels.contains(&"cat /etc/shadow") && labels.contains(&"[high] Password hashes read"), "{labels:?}");
        let times = events.iter().map(|event| event[0].as_f64().unwrap());
        ends.push(if version.is_empty() { times.sum::<f64>() } else { times.fold(0.0, f64::max) });
    }
    assert!((ends[0] - ends[1]).abs() < 0.001, "intervals and times agree: {ends:?}");
}

#[test]
fn characters_in_pieces_are_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let rows: &[(&str, &[&[u8]], &str)] = &[
        ("in two messages", &[b"caf\xc3", b"\xa9!"], "café!"),
        ("in four", &[b"\xf0", b"\x9f", b"\x98", b"\x80."], "😀."),
        ("never whole", &[b"a\xc3", b"b"], "a\u{fffd}b"),
        ("cut at the end", &[b"a\xe6\x97"], "a\u{fffd}"),
    ];
    for (name, pieces, wanted) in rows {
        std::fs::write(folder.path().join("capture.jsonl"), crate::recorded::printed(pieces)).unwrap();
        let cast = lines(&exported(folder.path(), "asciicast", &[]));
        let output: String =
            cast[1..].iter().filter(|event| event[1] == "o").map(|event| event[2].as_str().unwrap()).collect();
        assert_eq!(output, *wanted, "{name}");
    }
}

#[test]
fn objects_are_those_of_scan_and_commands() {
    let folder = recorded();
    let json = lines(&exported(folder.path(), "json", &[]));
    let of = |kind: &str| json.iter().filter(|object| object["type"] == kind).cloned().collect::<Vec<_>>();
    let commands = lines(
        &String::from_utf8(warden(folder.path(), &["commands", "capture.jsonl", "--format", "json"]).stdout).unwrap(),
    );
    let texts = |objects: &[Value]| objects.iter().map(|object| object["text"].clone()).collect::<Vec<_>>();
    assert_eq!(texts(&of("command")).len(), commands.len());
    // The password that was typed at a prompt by mistake is told by no export.
    for (ours, theirs) in of("command").iter().zip(&commands).filter(|(_, theirs)| theirs["text"] != SECRET) {
        for (key, value) in theirs.as_object().unwrap() {
            assert_eq!(&ours[key], value, "{key}");
        }
    }
    let scan = lines(
        &String::from_utf8(warden(folder.path(), &["scan", "capture.jsonl", "--format", "json"]).stdout).unwrap(),
    );
    let ids = |objects: &[Value]| {
        objects.iter().filter_map(|object| object["finding_id"].as_str().map(ToOwned::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(ids(&of("finding")), ids(&scan));
    assert_eq!(json.first().unwrap()["type"], "session");
    assert_eq!(json.last().unwrap()["type"], "summary");
}

#[test]
fn timesketch_lines_have_what_it_needs() {
    let folder = recorded();
    let events = lines(&exported(folder.path(), "timesketch", &[]));
    for event in &events {
        assert!(event["message"].is_string() && event["timestamp_desc"].is_string(), "{event}");
        let datetime = event["datetime"].as_str().unwrap();
        assert!(datetime.starts_with("2026-11-22T13:06:4") && datetime.ends_with("+00:00"), "{datetime}");
        assert_eq!(event["source_sha256"].as_str().unwrap().len(), 64);
        assert_eq!(event["time_is"], "recorded");
    }
    let finding = events.iter().find(|event| event["timestamp_desc"] == "Finding").unwrap();
    assert!(finding["level"].is_string() && finding["rule_id"].is_string(), "{finding}");
}

#[test]
fn what_is_missing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let session = session();
    let lost: Vec<&str> = session.lines().enumerate().filter(|(n, _)| *n != 20).map(|(_, line)| line).collect();
    std::fs::write(folder.path().join("capture.jsonl"), lost.join("\n")).unwrap();
    let done = warden(folder.path(), &["export", "capture.jsonl", "--to", "json"]);
    assert_eq!(done.status.code(), Some(3));
    let json = lines(&String::from_utf8(done.stdout).unwrap());
    assert!(json.iter().any(|object| object["type"] == "gap" && object["messages"] == json!(1)));
    assert_eq!(json.last().unwrap()["incomplete"], json!(true));
}

#[test]
fn records_without_times_are_told_at_a_made_up_pace() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("capture.jsonl"),
        "Script started on 2020-05-27 23:00:48+0000\nsh-4.2$ id\r\r\nuid=0(root)\r\r\nsh-4.2$ ",
    )
    .unwrap();
    let done = warden(folder.path(), &["export", "capture.jsonl", "--to", "json"]);
    let json = lines(&String::from_utf8(done.stdout).unwrap());
    assert_eq!(json[0]["timed"], json!(false));
    assert!(
        json.iter().any(|object| object["type"] == "command" && object["text"] == "id" && object["at"] == Value::Null)
    );
    let times: Vec<u64> = json.iter().filter_map(|object| object["ms"].as_u64()).collect();
    assert!(times.is_sorted() && times.last().unwrap() > &0, "{times:?}");
}
