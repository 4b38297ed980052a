//! `scan` and `commands` over recordings and captures.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    fn objects(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn texts(&self) -> Vec<String> {
        self.objects().iter().map(|command| command["text"].as_str().unwrap().to_owned()).collect()
    }
}

fn warden(args: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_warden")).args(args).env("NO_COLOR", "1").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn commands(path: &Path, more: &[&str]) -> Run {
    warden(&[&["commands", "--format", "json", path.to_str().unwrap()], more].concat())
}

fn file(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// A session with a password, with and without what was typed.
const SHOWN: [&str; 7] = [
    "$ ",
    "sudo id",
    "\r\n[sudo] password for x: ",
    "\r\nuid=0(root)\r\n$ ",
    "cat /etc/shadow",
    "\r\nroot:*\r\n$ ",
    "exit\r\n",
];
const TYPED: [(usize, &str); 6] =
    [(1, "sudo id"), (2, "\r"), (3, "hunter2\r"), (4, "cat /etc/shadow"), (5, "\r"), (6, "exit\r")];
const RAN: [&str; 3] = ["sudo id", "cat /etc/shadow", "exit"];

/// Output and input in order, each half a second after the one before.
fn moments() -> Vec<(char, &'static str)> {
    let typed = |n| TYPED.iter().filter(move |(before, _)| *before == n).map(|(_, keys)| ('i', *keys));
    SHOWN.iter().enumerate().flat_map(|(n, shown)| typed(n).chain([('o', *shown)])).collect()
}

fn asciicast(version: u64, input: bool) -> String {
    let header = match version {
        2 => r#"{"version":2,"width":80,"height":24,"timestamp":1700000000}"#,
        _ => r#"{"version":3,"term":{"cols":80,"rows":24},"timestamp":1700000000}"#,
    };
    let mut lines = vec![header.to_owned()];
    for (n, (code, data)) in moments().into_iter().enumerate().filter(|(_, (code, _))| input || *code == 'o') {
        // The third version counts from the line before: without input lines the pauses add up all the same.
        let seconds = if version == 2 { format!("{}.{}", n / 2, n % 2 * 5) } else { "0.5".to_owned() };
        lines.push(serde_json::json!([0, code, data]).to_string().replacen('0', &seconds, 1));
    }
    if version == 3 {
        lines.insert(1, "# made by hand".to_owned());
        lines.push(r#"[0.1,"r","100x30"]"#.to_owned());
        lines.push(r#"[0.1,"m","the end"]"#.to_owned());
        lines.push(r#"[0.1,"?","later versions"]"#.to_owned());
        lines.push(r#"[0.1,"x","0"]"#.to_owned());
    }
    lines.join("\n") + "\n"
}

const HEAD: &str = "Script started on 2023-11-14 22:13:20+00:00 [TERM=\"xterm\"]\n";
const DONE: &str = "\nScript done on 2023-11-14 22:14:20+00:00 [COMMAND_EXIT_CODE=\"0\"]\n";

/// The files of a typescript: output, input, timing.
fn typescript(form: &str) -> (String, String, String) {
    let (mut log, mut input, mut timing) = (HEAD.to_owned(), HEAD.to_owned(), String::new());
    if form != "classic" {
        let own = if form == "own" { "in.log" } else { "io.log" };
        timing
            .push_str("H 0.000000 START_TIME 2023-11-14 22:13:20+00:00\nH 0.000000 COLUMNS 80\nH 0.000000 LINES 24\n");
        writeln!(
            timing,
            "H 0.000000 OUTPUT_LOG io.log\nH 0.000000 INPUT_LOG {own}\nS 0.000000 SIGWINCH ROWS=24 COLS=80"
        )
        .unwrap();
    }
    for (code, data) in moments() {
        match (form, code) {
            ("classic", 'i') => continue,
            ("classic", _) => writeln!(timing, "0.5 {}", data.len()).unwrap(),
            _ => writeln!(timing, "{} 0.5 {}", code.to_ascii_uppercase(), data.len()).unwrap(),
        }
        if form == "own" && code == 'i' { input.push_str(data) } else { log.push_str(data) }
    }
    (log + DONE, input + DONE, timing)
}

fn ttyrec() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (n, shown) in (0..).zip(SHOWN) {
        for word in [1_700_000_000 + n, 500_000, u32::try_from(shown.len()).unwrap()] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(shown.as_bytes());
    }
    bytes
}

#[test]
fn recordings_give_their_commands() {
    let folder = tempfile::tempdir().unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(asciicast(2, true).as_bytes()).unwrap();
    let (classic, _, classic_timing) = typescript("classic");
    let (same, _, same_timing) = typescript("same");
    let (own, own_input, own_timing) = typescript("own");
    for (name, text) in [("io.log", &own), ("in.log", &own_input), ("own.tm", &own_timing), ("same.tm", &same_timing)] {
        file(&folder, name, text);
    }
    file(&folder, "typescript.timing", &classic_timing);
    let (same_timing, own_timing) = (folder.path().join("same.tm"), folder.path().join("own.tm"));
    let rows: Vec<(&str, PathBuf, Vec<&str>, &str)> = vec![
        ("v2", file(&folder, "two", asciicast(2, true)), vec![], "keys"),
        ("v2, output alone", file(&folder, "out", asciicast(2, false)), vec![], "screen"),
        ("v3", file(&folder, "three", asciicast(3, true)), vec![], "keys"),
        ("compressed", file(&folder, "gz", gz.finish().unwrap()), vec![], "keys"),
        ("timing beside", file(&folder, "typescript", &classic), vec![], "screen"),
        (
            "input in the same file",
            file(&folder, "same", &same),
            vec!["--timing", same_timing.to_str().unwrap()],
            "keys",
        ),
        ("input in its own file", folder.path().join("io.log"), vec!["--timing", own_timing.to_str().unwrap()], "keys"),
        ("ttyrec", file(&folder, "tty", ttyrec()), vec![], "screen"),
    ];
    for (name, path, more, origin) in rows {
        let run = commands(&path, &more);
        assert_eq!(
            (run.code, run.texts().as_slice()),
            (0, RAN.map(ToOwned::to_owned).as_slice()),
            "{name}: {}",
            run.err
        );
        assert!(run.objects().iter().all(|command| command["origin"] == origin), "{name}");
        let at = run.objects()[0]["at"].as_str().unwrap().to_owned();
        assert!(at.starts_with("2023-11-14T22:13:2"), "{name}: {at}");
        assert!(!run.out.contains("hunter2"), "{name}");
        let hidden = &run.objects()[0]["hidden_input"];
        assert_eq!(hidden.as_array().unwrap().len(), usize::from(origin == "keys"), "{name}: {hidden}");
    }
}

/// The other verbs read them as well.
#[test]
fn recordings_are_exported_and_played() {
    let folder = tempfile::tempdir().unwrap();
    let (same, _, timing) = typescript("same");
    let timing = file(&folder, "same.tm", timing);
    let timed = ["--timing", timing.to_str().unwrap()];
    let rows: [(&str, PathBuf, &[&str]); 3] = [
        ("asciicast", file(&folder, "cast", asciicast(3, true)), &[]),
        ("typescript", file(&folder, "same", same), &timed),
        ("ttyrec", file(&folder, "tty", ttyrec()), &[]),
    ];
    for (name, path, more) in rows {
        for verb in [&["play", "--no-tui"][..], &["export", "--to", "text"], &["export", "--to", "asciicast"]] {
            let run = warden(&[verb, &[path.to_str().unwrap()], more].concat());
            assert_eq!(run.code, 0, "{name}: {verb:?}: {}", run.err);
            assert!(run.out.contains("cat /etc/shadow") && run.out.contains("root:*"), "{name}: {verb:?}: {}", run.out);
            assert!(!run.out.contains("hunter2"), "{name}: {verb:?}");
        }
    }
    let refused = warden(&["export", "--to", "pcap", "-o", folder.path().join("p").to_str().unwrap(), "cast"]);
    assert_eq!(refused.code, 2);
    assert!(!folder.path().join("p").exists(), "what cannot be exported leaves no file");
}

/// A window of which a recording says nothing is as wide as the line editor found it.
#[test]
fn the_width_of_a_window_is_read_off_how_lines_wrap() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    let long = "echo ".to_owned() + &"x".repeat(120);
    let prompted = format!("sh-5.2$ {long}");
    // A line editor wraps a line by a blank and CR at the margin.
    let wrapped = format!("{} \r{}", &prompted[..100], &prompted[100..]);
    for shown in [wrapped.as_str(), "\r\n", "y\r\n"] {
        for word in [1_700_000_000, 0, u32::try_from(shown.len()).unwrap()] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(shown.as_bytes());
    }
    let path = file(&folder, "tty", bytes);
    for verb in [&["play", "--no-tui"][..], &["export", "--to", "text"]] {
        let run = warden(&[verb, &[path.to_str().unwrap()]].concat());
        assert!(run.out.contains(&prompted), "{verb:?}: {}", run.out);
    }
    let cast = warden(&["export", "--to", "asciicast", path.to_str().unwrap()]);
    assert!(cast.out.starts_with(r#"{"version":3,"term":{"cols":100,"#), "{}", cast.out);
}

#[test]
fn one_input_is_named_by_its_kind_and_is_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let bare = file(&folder, "bare", "sh-5.2$ cat /etc/shadow\nroot:*\n");
    let bare = bare.to_str().unwrap();
    for verb in [&["play", "--no-tui"][..], &["export", "--to", "text"]] {
        let unknown = warden(&[verb, &[bare]].concat());
        assert_eq!(unknown.code, 2);
        assert!(unknown.err.contains("neither a transcript"), "{}", unknown.err);
        let named = warden(&[verb, &[bare, "--kind", "transcript"]].concat());
        assert!(named.out.contains("cat /etc/shadow"), "{verb:?}: {}", named.err);
        let walked = warden(&[verb, &[folder.path().to_str().unwrap()]].concat());
        assert_eq!(walked.code, 2);
        assert!(walked.err.contains("one file is wanted"), "{}", walked.err);
    }
}

#[test]
fn hidden_input_is_shown_by_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let cast = file(&folder, "cast", asciicast(2, true));
    let run = warden(&["commands", cast.to_str().unwrap()]);
    assert!(run.out.contains("hidden input, 7 bytes") && !run.out.contains("hunter2"), "{}", run.out);
}

#[test]
fn damage_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let cast = asciicast(2, true);
    let at = cast.find("[1.0").unwrap();
    let broken = format!("{}{{\n{}", &cast[..at], &cast[at..]);
    let mut bad_header = ttyrec();
    let fourth: usize = SHOWN.iter().take(3).map(|shown| 12 + shown.len()).sum();
    bad_header[fourth + 7] = 0xff;
    let (same, _, timing) = typescript("same");
    let (own, _, own_timing) = typescript("own");
    let timing = file(&folder, "io.tm", timing);
    let lone = tempfile::tempdir().unwrap();
    let own_timing = file(&lone, "own.tm", own_timing);
    let rows: Vec<(&str, PathBuf, Vec<&str>, String)> = vec![
        ("a broken line", file(&folder, "a", &broken), vec![], format!("at byte {at}: a piece that does not parse")),
        ("a cut line", file(&folder, "b", &cast[..cast.len() - 4]), vec![], "ends before it should".to_owned()),
        ("a cut frame", file(&folder, "c", &ttyrec()[..160]), vec![], "at byte 160: the record ends".to_owned()),
        ("no header", file(&folder, "d", &bad_header), vec![], "at byte 70: a piece that does not parse".to_owned()),
        (
            "a cut typescript",
            file(&folder, "e", &same[..150]),
            vec!["--timing", timing.to_str().unwrap()],
            "ends before".to_owned(),
        ),
        (
            "no input file",
            file(&lone, "f", &own),
            vec!["--timing", own_timing.to_str().unwrap()],
            "keystrokes are lost".to_owned(),
        ),
    ];
    for (name, path, more, told) in rows {
        let run = commands(&path, &more);
        assert_eq!(run.code, 3, "{name}: {}", run.err);
        assert!(run.err.contains(&told), "{name}: {}", run.err);
        assert!(!run.out.contains("hunter2"), "{name}");
    }
    let none = file(&folder, "none", "0.5 10\n0.5 20\n");
    assert_eq!(commands(&none, &[]).code, 2, "a timing file is no recording");
}

#[test]
fn findings_say_how_far_their_record_is_to_be_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let cast = file(&folder, "cast", asciicast(3, true));
    let run = warden(&["scan", "--format", "json", cast.to_str().unwrap()]);
    assert_eq!(run.code, 1, "{}", run.err);
    let finding = run.objects().into_iter().find(|object| object["type"] == "finding").unwrap();
    assert_eq!((&finding["source"]["kind"], &finding["source"]["trust"]), (&"recording".into(), &"host".into()));
    assert!(!run.out.contains("hunter2"));

    let Some(captures) = std::env::var_os("WARDEN_DATA").map(|data| Path::new(&data).join("made/captures")) else {
        println!("skipped: WARDEN_DATA names no folder with made/captures");
        return;
    };
    let capture = captures.join("j-forbidden/frames.jsonl");
    let run = warden(&["scan", "--format", "json", capture.to_str().unwrap()]);
    assert_eq!(run.code, 1, "{}", run.err);
    let finding = run.objects().into_iter().find(|object| object["type"] == "finding").unwrap();
    assert_eq!((&finding["source"]["kind"], &finding["source"]["trust"]), (&"capture".into(), &"service".into()));
    let origin = |object: &Value| object["command"]["origin"] == "keys";
    assert!(run.objects().iter().filter(|object| origin(object)).count() > 10);
    assert!(finding["session"].as_str().unwrap().starts_with("alice-"));
    assert!(!run.out.contains("hunter2-S3cret"));
}

#[test]
fn captures_need_their_keys() {
    let Some(captures) = std::env::var_os("WARDEN_DATA").map(|data| Path::new(&data).join("made/captures")) else {
        println!("skipped: WARDEN_DATA names no folder with made/captures");
        return;
    };
    let capture = captures.join("h-kms-shell/frames.jsonl");
    let truth: Value =
        serde_json::from_slice(&fs::read(captures.join("h-kms-shell/ground-truth.json")).unwrap()).unwrap();
    let sealed = commands(&capture, &[]);
    assert_eq!((sealed.code, sealed.out.as_str()), (3, ""), "{}", sealed.err);
    let all = "0".repeat(128);
    for verb in [&["frames"][..], &["play", "--no-tui"], &["export", "--to", "text"]] {
        let run = warden(&[verb, &[capture.to_str().unwrap(), "--key", &all]].concat());
        assert_eq!(run.code, 3, "{verb:?}");
        assert!(run.err.contains("stay encrypted"), "{verb:?} says why: {}", run.err);
    }
    let wrong = warden(&["verify", capture.to_str().unwrap(), "--key", &all]);
    assert!(wrong.out.contains("opens none") && !wrong.out.contains("does-not-open"), "{}", wrong.out);
    let opened = commands(&capture, &["--key", truth["kms"]["data_key_hex"].as_str().unwrap()]);
    assert_eq!((opened.code, opened.texts().len()), (0, 5), "{}", opened.err);
    let output = commands(&captures.join("e2-noninteractive-prefixed/frames.jsonl"), &[]);
    assert_eq!((output.code, output.out.as_str()), (0, ""), "nobody types where there is no terminal");
    let gap = commands(&captures.join("i1b-lost-client-ack-stall/frames.jsonl"), &[]);
    assert_eq!(gap.code, 3, "{}", gap.err);
    assert!(gap.err.contains("output is lost"), "{}", gap.err);
    let tls = commands(&captures.join("a2-simple-shell-tls/tls-raw.pcap"), &[]);
    assert_eq!(tls.code, 3);
    assert!(tls.err.contains("--keylog") && !tls.err.contains("parse"), "{}", tls.err);
}
