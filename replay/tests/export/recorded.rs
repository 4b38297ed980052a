//! A session with hostile content, as a capture.

use base64::Engine as _;
use bytes::Bytes;
use serde_json::json;
use warden_protocol::frame::Frame;
use warden_protocol::wire::{MessageType, PayloadType};

/// Typed at a password prompt.
pub(crate) const SECRET: &str = "hunter2-S3cret";

/// Part of a command.
pub(crate) const PASSWORD: &str = "S3cretPw";

/// A capture in frames JSON Lines: commands typed key by key, a password, hostile titles and output, wide characters.
pub(crate) fn session() -> String {
    let mut session = Session::default();
    session.input(PayloadType::SIZE, r#"{"cols":80,"rows":24}"#);
    session.output("\u{1b}[?2004hsh-5.2$ ");
    session.command("id", "uid=1000(ssm-user) gid=1000(ssm-user)\r\n");
    session.command("echo '</script><script>window.owned=1</script>'", "</script><script>window.owned=1</script>\r\n");
    session.command("cat /etc/shadow", "\u{1b}[31mcat: /etc/shadow: Permission denied\u{1b}[0m\r\n");
    session.command("echo 日本語😀", "日本語😀\r\n");
    session.command(": \u{202e}txt.exe", "a\u{2028}b \u{1b}[8mconcealed\u{1b}[0m\r\n");
    session.type_line("sudo true");
    session.output("\r\n\u{1b}[?2004l\rPassword: ");
    for key in SECRET.chars() {
        session.input(PayloadType::OUTPUT, &key.to_string());
    }
    session.input(PayloadType::OUTPUT, "\r");
    session.output("\r\n\u{1b}[?2004hsh-5.2$ ");
    session.command(SECRET, "sh: command not found\r\n");
    session.command("mysql -uroot -pS3cretPw shop", "access denied for S3cretPw\r\n");
    session.type_line("./print");
    for piece in ["\r\n\u{1b}[?2004l\rhunter2-", "S3c", "ret 1234-", "5678\r\n", "\u{1b}[?2004hsh-5.2$ "] {
        session.output(piece);
    }
    session.command("printf img", "<img src=http://leak.test/output onerror=window.owned=1>\r\n");
    session.output("\u{1b}]0;<img src=http://leak.test/title onerror=window.owned=1>\u{7}");
    session.lines
}

/// A capture of output in these messages.
pub(crate) fn printed(pieces: &[&[u8]]) -> String {
    let mut session = Session::default();
    for piece in pieces {
        session.print(piece);
    }
    session.lines
}

#[derive(Default)]
struct Session {
    lines: String,
    ms: u32,
    sent: i64,
    printed: i64,
}

impl Session {
    fn command(&mut self, text: &str, output: &str) {
        self.type_line(text);
        self.output(&format!("\r\n\u{1b}[?2004l\r{output}\u{1b}[?2004hsh-5.2$ "));
    }

    fn type_line(&mut self, text: &str) {
        for key in text.chars() {
            self.input(PayloadType::OUTPUT, &key.to_string());
            self.output(&key.to_string());
        }
        self.input(PayloadType::OUTPUT, "\r");
    }

    fn output(&mut self, text: &str) {
        self.print(text.as_bytes());
    }

    fn print(&mut self, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        let frame = Frame::stream(MessageType::OUTPUT_STREAM_DATA, self.printed, PayloadType::OUTPUT, bytes);
        self.printed += 1;
        self.push("s2c", &frame);
    }

    fn input(&mut self, payload_type: PayloadType, text: &str) {
        let text = Bytes::copy_from_slice(text.as_bytes());
        let frame = Frame::stream(MessageType::INPUT_STREAM_DATA, self.sent, payload_type, text);
        self.sent += 1;
        self.push("c2s", &frame);
    }

    fn push(&mut self, direction: &str, frame: &Frame) {
        self.ms += 20;
        let bytes = base64::engine::general_purpose::STANDARD.encode(frame.encode());
        let time = 1_795_352_800.0 + f64::from(self.ms) / 1000.0;
        self.lines.push_str(&json!({"t": time, "dir": direction, "opcode": 2, "b64": bytes}).to_string());
        self.lines.push('\n');
    }
}
