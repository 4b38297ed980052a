//! The player on a real terminal: tmux types the keys and says what is on the screen.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use warden_protocol::frame::Frame;
use warden_protocol::wire::{MessageType, PayloadType};

/// How long something may take to appear.
const DEADLINE: Duration = Duration::from_secs(30);

/// A capture of a shell session in frames JSON Lines.
struct Capture {
    text: String,
    millis: u64,
    sent: i64,
    received: i64,
}

impl Capture {
    fn new() -> Self {
        let mut capture = Self { text: String::new(), millis: 1_795_352_400_000, sent: 0, received: 0 };
        let size = br#"{"cols":80,"rows":24}"#;
        capture.frame("c2s", MessageType::INPUT_STREAM_DATA, PayloadType::SIZE, size);
        capture.output(b"sh-5.2$ ");
        capture
    }

    fn frame(&mut self, direction: &str, message_type: MessageType, payload_type: PayloadType, payload: &[u8]) {
        let number = if direction == "c2s" { &mut self.sent } else { &mut self.received };
        let mut frame = Frame::stream(message_type, *number, payload_type, Bytes::copy_from_slice(payload));
        *number += 1;
        frame.created_date = self.millis - 7;
        let (seconds, millis) = (self.millis / 1000, self.millis % 1000);
        let b64 = STANDARD.encode(frame.encode());
        let _ = writeln!(self.text, r#"{{"t":{seconds}.{millis:03},"dir":"{direction}","opcode":2,"b64":"{b64}"}}"#);
        self.millis += 20;
    }

    fn output(&mut self, bytes: &[u8]) {
        self.frame("s2c", MessageType::OUTPUT_STREAM_DATA, PayloadType::OUTPUT, bytes);
    }

    /// Types a command, key by key, and prints what it answers.
    fn command(&mut self, text: &str, answer: &str) {
        for key in text.bytes() {
            self.frame("c2s", MessageType::INPUT_STREAM_DATA, PayloadType::OUTPUT, &[key]);
            self.output(&[key]);
        }
        self.frame("c2s", MessageType::INPUT_STREAM_DATA, PayloadType::OUTPUT, b"\r");
        self.output(format!("\r\n{answer}sh-5.2$ ").as_bytes());
        self.millis += 400;
    }

    fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("session.jsonl");
        std::fs::write(&path, &self.text).unwrap();
        path
    }
}

fn capture(folder: &Path) -> PathBuf {
    let mut capture = Capture::new();
    capture.command("whoami", "ssm-user\r\n");
    let numbers = (1..=60).map(|n| format!("row {n} of many\r\n")).collect::<Vec<_>>().concat();
    capture.command("cat rows", &numbers);
    capture.millis += 60_000;
    capture.command("cat /etc/shadow", "root:*:19500::::::\r\n");
    capture.command("printf x", "\x1b]0;title\x07\x1b[31mred\x1b[0m\r\n");
    capture.write(folder)
}

/// A terminal of its own, ended with the test.
struct Tmux {
    socket: String,
}

impl Tmux {
    /// Starts a command in a window of this size; `None` where there is no tmux.
    fn start(test: &str, (cols, rows): (u16, u16), command: &str) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            println!("skipped: there is no tmux on this machine");
            return None;
        }
        let tmux = Self { socket: format!("warden-{test}-{}", std::process::id()) };
        let (cols, rows) = (cols.to_string(), rows.to_string());
        let command = format!("{command}; echo ended $?; exec cat");
        let arguments = ["-f", "/dev/null", "new-session", "-d", "-x", &cols, "-y", &rows, "sh", "-c", &command];
        let started = tmux.run(&arguments);
        assert!(started.status.success(), "{started:?}");
        Some(tmux)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut tmux = Command::new("tmux");
        tmux.args(["-L", &self.socket]).args(arguments).env("TERM", "xterm-256color").output().unwrap()
    }

    fn keys(&self, keys: &[&str]) {
        let arguments: Vec<&str> = ["send-keys"].iter().chain(keys).copied().collect();
        assert!(self.run(&arguments).status.success());
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.run(&["capture-pane", "-p"]).stdout).into_owned()
    }

    /// Waits until the screen is as it should be.
    fn wait(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let text = self.text();
            if is(&text) {
                return text;
            }
            assert!(begun.elapsed() < DEADLINE, "no {what} within {DEADLINE:?}:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_for(&self, wanted: &str) -> String {
        self.wait(wanted, |text| text.contains(wanted))
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

fn warden(arguments: &str) -> String {
    format!("{} play {arguments}", env!("CARGO_BIN_EXE_warden"))
}

#[test]
fn a_session_is_played_searched_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path());
    let Some(tmux) = Tmux::start("play", (80, 24), &warden(&format!("{} --speed 16", path.display()))) else { return };
    let screen = tmux.wait_for("digests ok");
    assert!(screen.lines().count() >= 23, "all rows are used:\n{screen}");
    // It plays by itself, and idle time is cut: a minute does not take one.
    tmux.wait_for("end of the session");
    tmux.wait_for("red");
    assert!(tmux.text().contains("title: title"));

    tmux.keys(&["Home"]);
    tmux.wait("first moment", |text| text.contains("0:00.0/"));
    tmux.keys(&["n"]);
    tmux.wait("first command", |text| text.contains("$ whoami") && !text.contains("ssm-user"));
    tmux.keys(&["n", "n"]);
    tmux.wait("third command", |text| text.contains("$ cat /etc/shadow") && !text.contains("19500"));
    tmux.keys(&["p"]);
    tmux.wait("second command", |text| text.contains("$ cat rows") && !text.contains("row 60"));
    tmux.keys(&["f"]);
    tmux.wait("finding", |text| text.contains("$ cat /etc/shadow"));

    tmux.keys(&["/", "row 7 ", "Enter"]);
    let screen = tmux.wait_for("hit 1/1");
    assert!(screen.contains("row 7 of many"), "{screen}");
    tmux.keys(&["Escape"]);
    tmux.wait("no hits", |text| !text.contains("hit 1/1"));

    tmux.keys(&[":", "@0", "Enter"]);
    tmux.wait("first byte", |text| text.contains("sh-5.2$") && !text.contains("whoami") && text.contains("@0 "));
    tmux.keys(&["i"]);
    tmux.wait_for("idle full");
    tmux.keys(&["+"]);
    tmux.wait_for("32x");
    tmux.keys(&["x"]);
    tmux.wait_for("output_stream_data");
    tmux.keys(&["x", "?"]);
    tmux.wait_for("next, previous command");
    tmux.keys(&["?", "Tab"]);
    tmux.wait_for("Commands");
    tmux.keys(&["q"]);
    tmux.wait_for("ended 0");
}

#[test]
fn it_opens_where_an_alert_points() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path());
    let Some(tmux) = Tmux::start("open", (160, 50), &warden(&format!("{} --finding 1", path.display()))) else {
        return;
    };
    let screen = tmux.wait("place of the finding", |text| text.contains("$ cat /etc/shadow") && text.contains("▲"));
    assert!(!screen.contains("19500"), "it waits before the command's output:\n{screen}");
    assert!(screen.contains("Everything"), "a wide window has the list beside the screen:\n{screen}");
    tmux.keys(&["q"]);
    tmux.wait_for("ended 0");
}

#[test]
fn a_signal_puts_the_terminal_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path());
    let pid = folder.path().join("pid");
    let command = format!("sh -c 'echo $$ >{}; exec {}'", pid.display(), warden(&path.display().to_string()));
    let Some(tmux) = Tmux::start("signal", (80, 24), &command) else { return };
    tmux.wait_for("digests ok");
    let pid = std::fs::read_to_string(pid).unwrap();
    assert!(Command::new("kill").args(["-TERM", pid.trim()]).status().unwrap().success());
    let screen = tmux.wait_for("ended");
    assert!(!screen.contains("digests ok"), "the screen from before is back:\n{screen}");
}

/// A terminal that goes away ends the player, whether or not a signal says so: a process of another session gets none.
#[test]
fn a_terminal_that_is_gone_ends_the_player() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path());
    for (n, detached) in ["exec", "trap '' HUP; exec setsid -w"].iter().enumerate() {
        let pid = folder.path().join(format!("pid{n}"));
        let command = format!(
            "sh -c '{detached} sh -c \"echo \\$\\$ >{}; exec {}\"'",
            pid.display(),
            warden(&path.display().to_string())
        );
        let Some(tmux) = Tmux::start(&format!("gone{n}"), (80, 24), &command) else { return };
        tmux.wait_for("digests ok");
        let process = Path::new("/proc").join(std::fs::read_to_string(pid).unwrap().trim());
        assert!(process.exists());
        drop(tmux);
        let begun = Instant::now();
        while process.exists() {
            assert!(begun.elapsed() < DEADLINE, "{detached}: it goes on without a terminal");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_pipe_gets_lines_without_controls() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path());
    let played = Command::new(env!("CARGO_BIN_EXE_warden")).arg("play").arg(path).output().unwrap();
    let text = String::from_utf8(played.stdout).unwrap();
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    assert!(
        text.contains("Z  sh-5.2$ whoami\n") && text.contains("row 60 of many\n") && text.contains("Z  red\n"),
        "{text}"
    );
    assert!(!text.contains('\x1b'));
}
