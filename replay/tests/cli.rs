//! The `warden` command as a user runs it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
const TRANSCRIPT: &str = "Script started on 2020-05-27 23:00:48+0000\nsh-4.2$ cat /etc/shadow\r\r\nsh-4.2$ ls\r\r\n\nScript done on 2020-05-27 23:01:53+0000\n";

/// What a run printed and how it ended.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn warden(args: &[&str]) -> Run {
    finish(command(args).output().unwrap())
}

fn warden_fed(args: &[&str], input: &[u8]) -> Run {
    let mut child = command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    finish(child.wait_with_output().unwrap())
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warden"));
    command.args(args).env_remove("NO_COLOR");
    command
}

fn finish(output: Output) -> Run {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn examples_give_findings_that_name_the_principal() {
    let run = warden(&["scan", EXAMPLES, "--format", "json"]);
    let lines = run.lines();
    let (summary, findings) = lines.split_last().unwrap();
    assert_eq!((run.code, run.err.as_str()), (1, ""));
    assert_eq!((summary["type"].as_str(), summary["unreadable"].as_u64()), (Some("summary"), Some(0)));
    assert_eq!(summary["findings"].as_u64().unwrap(), findings.len() as u64);
    assert!(findings.len() > 40, "{summary}");
    // No API call beside the captures started their sessions.
    for finding in findings.iter().filter(|finding| finding["source"]["kind"] != "capture") {
        assert_eq!(finding["type"], "finding");
        let principal = finding["principal"].as_str().unwrap_or_default();
        assert!(principal.starts_with("arn:aws:sts::123456789012:assumed-role/Admin/"), "{finding}");
        assert_eq!(finding["finding_id"].as_str().unwrap().len(), 64);
    }
}

#[test]
fn a_command_seen_in_two_records_has_one_finding_id() {
    let session = "bob.smith-9t6rlz74nyaqcoj39xvza1eqzf";
    let ids = |path: String| -> Vec<String> {
        let run = warden(&["scan", &path, "--format", "json"]);
        let findings =
            run.lines().into_iter().filter(|line| line["type"] == "finding" && line["rule"]["level"] == "high");
        findings.map(|finding| finding["finding_id"].as_str().unwrap().to_owned()).collect()
    };
    let transcript = ids(format!("{EXAMPLES}/transcripts/{session}.log"));
    assert!(!transcript.is_empty());
    assert_eq!(transcript, ids(format!("{EXAMPLES}/log-streams/{session}.jsonl")));
}

#[test]
fn commands_have_the_promised_shape() {
    let folder = folder(&[("t.log", TRANSCRIPT.as_bytes())]);
    let run = warden(&["commands", &path(&folder, "t.log"), "--format", "json"]);
    let lines = run.lines();
    assert_eq!((run.code, lines.len()), (0, 2));
    let offset = lines[0]["offset"].as_array().unwrap();
    let range =
        usize::try_from(offset[0].as_u64().unwrap()).unwrap()..usize::try_from(offset[1].as_u64().unwrap()).unwrap();
    assert!(TRANSCRIPT[range].contains("cat /etc/shadow"));
    for (field, wanted) in
        [("type", "command"), ("text", "cat /etc/shadow"), ("origin", "screen"), ("prompt", "sh-4.2$ ")]
    {
        assert_eq!(lines[0][field], wanted, "{field}");
    }
    assert_eq!(lines[0]["invocations"][0]["argv"], serde_json::json!(["cat", "/etc/shadow"]));
    assert!(lines[0]["session"].is_null() && lines[0]["at"].is_null() && lines[1]["n"] == 1);
}

#[test]
fn exit_codes_say_how_it_ended() {
    let bomb = gzip(&[TRANSCRIPT.as_bytes(), &vec![0; 80 << 20]].concat());
    let folder = folder(&[
        ("clean.log", b"Script started on 2020-05-27 23:00:48+0000\nsh-4.2$ true\r\r\n\nScript done on 2020-05-27 23:01:53+0000\n"),
        ("findings.log", TRANSCRIPT.as_bytes()),
        ("cut.log", &TRANSCRIPT.as_bytes()[..70]),
        ("empty", b""),
        ("random", &[0xfe, 0, 1, 0x90, 7, 0xff].repeat(1000)),
        ("bomb.gz", &bomb),
    ]);
    for (name, code, says) in [
        ("clean.log", 0, ""),
        ("findings.log", 1, ""),
        ("empty", 2, "neither a transcript"),
        ("random", 2, "neither a transcript"),
        ("missing", 2, "No such file"),
        ("cut.log", 3, "ends before it should"),
        ("bomb.gz", 3, "inflated size"),
    ] {
        let run = warden(&["scan", &path(&folder, name)]);
        assert_eq!(run.code, code, "{name}: {}", run.err);
        assert!(run.err.contains(says), "{name}: {}", run.err);
    }
}

#[test]
fn one_bad_input_takes_nothing_else_away() {
    let folder = folder(&[("a.log", TRANSCRIPT.as_bytes()), ("b", b""), ("c.log", &gzip(TRANSCRIPT.as_bytes()))]);
    let [a, b, c] = ["a.log", "b", "c.log"].map(|name| path(&folder, name));
    let run = warden(&["scan", &a, &b, &c, "--format", "json"]);
    let summary = run.lines().pop().unwrap();
    assert_eq!((run.code, summary["inputs"].as_u64(), summary["unreadable"].as_u64()), (2, Some(2), Some(1)));
    assert_eq!(summary["commands"], 4);
}

#[test]
fn unrecognised_files_in_folders_are_counted_not_refused() {
    let folder = folder(&[("a.log", TRANSCRIPT.as_bytes()), ("notes.txt", b"hello\n"), ("b.bin", &[0, 1, 2])]);
    let run = warden(&["commands", &folder.path().display().to_string()]);
    assert_eq!(run.code, 0);
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    assert!(run.err.contains("2 files in folders"), "{}", run.err);
}

#[test]
fn standard_input_is_an_input() {
    let run = warden_fed(&["commands", "-", "--format", "json"], TRANSCRIPT.as_bytes());
    assert_eq!((run.code, run.lines().len()), (0, 2));
    let bare = warden_fed(&["commands", "-", "--kind", "transcript", "--format", "json"], b"$ id\nuid=0\n$ ls\n");
    assert_eq!(bare.lines().len(), 2);
}

#[test]
fn recorded_escapes_never_reach_the_terminal() {
    let hostile = "Script started on 2020-05-27 23:00:48+0000\nsh-4.2$ cat /etc/shadow \u{202e}gnp.x\u{7}\r\r\n\nScript done on x\n";
    let folder = folder(&[("t.log", hostile.as_bytes())]);
    for args in [["scan", &path(&folder, "t.log")], ["commands", &path(&folder, "t.log")]] {
        let run = warden(&args);
        assert!(run.out.contains("\\u{202e}"), "{}", run.out);
        assert!(!run.out.contains(['\u{1b}', '\u{202e}', '\u{7}']));
    }
}

#[test]
fn colour_is_used_only_where_it_is_wanted() {
    let folder = folder(&[("t.log", TRANSCRIPT.as_bytes())]);
    let log = path(&folder, "t.log");
    assert!(!warden(&["scan", &log]).out.contains('\u{1b}'), "not on a pipe");
    assert!(warden(&["--color", "always", "scan", &log]).out.contains("\u{1b}[1;31m"));
}

#[test]
fn a_closed_pipe_is_success() {
    let mut child = command(&["rules", "list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

const GOOD_RULE: &str = "title: Shadow read\nid: 0a9a7a5e-0000-4000-8000-000000000001\nlevel: high\nlogsource: {product: aws, service: session-manager, category: command}\ndetection:\n    path:\n        CommandLine|contains: /etc/shadow\n    condition: path\ntests:\n    - {match: true, command: cat /etc/shadow}\n    - {match: false, command: cat /etc/hosts}\n";

#[test]
fn a_broken_rule_stops_the_scan_and_every_error_is_listed() {
    let misspelt = GOOD_RULE.replace("CommandLine|contains", "CommandLin|contain").replace("0001", "0002");
    let broken = GOOD_RULE.replace("condition: path", "condition: pth").replace("0001", "0003");
    let rules =
        folder(&[("a.yml", GOOD_RULE.as_bytes()), ("b.yml", misspelt.as_bytes()), ("c.yml", broken.as_bytes())]);
    let logs = folder(&[("t.log", TRANSCRIPT.as_bytes())]);
    let dir = rules.path().display().to_string();
    for args in [vec!["scan", "--rules", &dir, &path(&logs, "t.log")], vec!["rules", "check", &dir]] {
        let run = warden(&args);
        assert_eq!(run.code, 2, "{}", run.err);
        for says in ["b.yml:7:", "contains", "c.yml:8:", "pth", "condition: pth"] {
            assert!(run.err.contains(says), "{says}: {}", run.err);
        }
    }
}

#[test]
fn rules_run_instead_of_the_shipped_ones() {
    let rules = folder(&[("a.yml", GOOD_RULE.as_bytes())]);
    let logs = folder(&[("t.log", TRANSCRIPT.as_bytes())]);
    let run = warden(&["scan", "--rules", &path(&rules, "a.yml"), &path(&logs, "t.log"), "--format", "json"]);
    let lines = run.lines();
    assert_eq!((run.code, lines.len()), (1, 2));
    assert_eq!(
        (lines[0]["rule"]["title"].as_str(), lines[0]["source"]["trust"].as_str()),
        (Some("Shadow read"), Some("host"))
    );
}

#[test]
fn rule_cases_are_run() {
    let wrong = GOOD_RULE.replace("command: cat /etc/hosts", "command: cat /etc/shadow");
    let rules = folder(&[("good.yml", GOOD_RULE.as_bytes()), ("wrong.yml", wrong.replace("0001", "0002").as_bytes())]);
    assert_eq!(warden(&["rules", "test", &path(&rules, "good.yml")]).code, 0);
    let run = warden(&["rules", "test", &rules.path().display().to_string()]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("wrong.yml:11:"), "{}", run.out);
}

#[test]
fn the_shipped_rules_pass_their_cases() {
    let run = warden(&["rules", "test"]);
    assert_eq!(run.code, 0, "{}", run.out);
    let listed = warden(&["rules", "list", "--format", "json"]).lines();
    assert!(listed.len() >= 60);
    assert!(
        listed.iter().all(|rule| rule["level"].is_string() && rule["tags"].is_array() && rule["logsource"].is_object())
    );
}

#[test]
fn events_are_matched_line_by_line() {
    let rules = folder(&[("a.yml", GOOD_RULE.as_bytes())]);
    let events = concat!(
        r#"{"logsource":{"product":"aws","service":"session-manager","category":"command"},"event":{"CommandLine":"cat /ETC/shadow"}}"#,
        "\n",
        r#"{"logsource":{"product":"linux"},"event":{"CommandLine":"cat /etc/shadow"}}"#,
        "\n",
        r#"{"event":{"CommandLine":"cat /etc/shadow"}}"#,
        "\n",
    );
    let run = warden_fed(
        &["rules", "match", "--rules", &path(&rules, "a.yml"), "--events", "-", "--stats"],
        events.as_bytes(),
    );
    let matches: Vec<usize> = run.lines().iter().map(|line| line["match"].as_array().unwrap().len()).collect();
    assert_eq!((run.code, matches), (0, vec![1, 0, 1]));
    assert!(run.err.starts_with("rules: 1 load_ms: "), "{}", run.err);
}

#[test]
fn matching_goes_on_with_the_good_rules() {
    let broken = GOOD_RULE.replace("condition: path", "condition: pth").replace("0001", "0003");
    let rules = folder(&[("a.yml", GOOD_RULE.as_bytes()), ("c.yml", broken.as_bytes())]);
    let events = r#"{"event":{"CommandLine":"cat /etc/shadow"}}"#;
    let run = warden_fed(
        &["rules", "match", "--rules", &rules.path().display().to_string(), "--events", "-"],
        events.as_bytes(),
    );
    assert_eq!((run.code, run.lines()[0]["match"].as_array().unwrap().len()), (2, 1));
    assert!(run.err.contains("c.yml:8:"), "{}", run.err);
}

#[cfg(unix)]
#[test]
fn a_folder_without_permission_is_said() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder(&[("a.log", TRANSCRIPT.as_bytes())]);
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let forbidden = fs::read_dir(&locked).is_err();
    let run = warden(&["commands", &folder.path().display().to_string()]);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
    if forbidden {
        assert_eq!(run.code, 2);
        assert!(run.err.contains("locked"), "{}", run.err);
    }
    assert!(run.out.contains("cat /etc/shadow") && Path::new(EXAMPLES).exists());
}

#[test]
fn a_pack_of_the_library_finds_what_the_library_finds() {
    let folder = folder(&[("t.log", TRANSCRIPT.as_bytes())]);
    let (pack, transcript) = (path(&folder, "library.pack"), path(&folder, "t.log"));
    let made = warden(&["rules", "pack", "-o", &pack]);
    assert!(made.code == 0 && made.out.contains(" rules, "), "{} {}", made.out, made.err);
    let [plain, packed] =
        [&["scan", "--format", "json", &transcript][..], &["scan", "--format", "json", "--rules", &pack, &transcript]]
            .map(warden);
    assert_eq!((plain.code, &plain.out), (1, &packed.out));
    let mixed = warden(&["rules", "list", &pack, &transcript]);
    assert!(mixed.code == 2 && mixed.err.contains("stands alone"), "{}", mixed.err);
}
