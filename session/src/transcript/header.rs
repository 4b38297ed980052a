//! The first line of a transcript, which `script` wrote.

use jiff::Timestamp;

use crate::session::{Platform, Session, SessionId};

/// What every header of `script` begins with.
pub(super) const MAGIC: &[u8] = b"Script started on ";

/// Longest header: beyond it the line is no header.
pub(super) const LIMIT: usize = 4096;

/// A header that was read.
pub(super) struct Header {
    /// Who, where and when, as far as the header says it.
    pub(super) session: Session,
    /// Offset of the first byte after it.
    pub(super) end: usize,
    /// Whether it names the agent's own file: what follows went through the agent's `script`.
    pub(super) from_agent: bool,
}

impl Header {
    /// Reads the header at `start` of `head`; `None` if its line has no end within [`LIMIT`].
    ///
    /// Forms: util-linux 2.35 and later (`DATE [COMMAND="cat …/ipcTempFile.log" <not executed on terminal>]`), 2.30
    /// (`DATE`), 2.23 (a date in the locale's words), BSD and macOS (a second line `Command: cat …`).
    pub(super) fn parse(head: &[u8], start: usize) -> Option<Self> {
        let window = head.get(start..head.len().min(start + LIMIT))?;
        let mut end = memchr::memchr(b'\n', window)?;
        let line = window.get(..end)?;
        if line.ends_with(b"\r") {
            return None; // Printed through a terminal: text that imitates a header.
        }
        let text = String::from_utf8_lossy(line);
        let mut session = identity(&text).unwrap_or_default();
        let second = window.get(end + 1..).unwrap_or_default();
        if let Some(length) = command_line(second) {
            session = second.get(..length).and_then(|l| identity(&String::from_utf8_lossy(l))).unwrap_or_default();
            session.platform = Platform::Macos;
            end += 1 + length;
        }
        session.ended = text.get(MAGIC.len()..).and_then(date);
        Some(Self { from_agent: session.id.is_some(), session, end: start + end + 1 })
    }
}

/// Length of the line `Command: …` that BSD's `script` writes below its header.
fn command_line(after: &[u8]) -> Option<usize> {
    let length = memchr::memchr(b'\n', after)?;
    let line = after.get(..length)?;
    (line.starts_with(b"Command: ") && !line.ends_with(b"\r")).then_some(length)
}

/// Target, session id and plugin from the path `…/TARGET/session/orchestration/ID/PLUGIN/ipcTempFile.log` of the
/// agent's file (`agent/appconfig`), with slashes or, on Windows, backslashes.
pub(super) fn identity(text: &str) -> Option<Session> {
    let text = text.replace('\\', "/");
    let (before, after) = text.split_once("/session/orchestration/")?;
    let target = before.rsplit(['/', '"', ' ']).next().filter(|target| !target.is_empty());
    let mut parts = after.split('/');
    let id = SessionId::parse(parts.next()?)?;
    let plugin = parts.next().filter(|plugin| plugin.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    let macos = before.contains("/opt/aws/ssm/");
    Some(Session {
        id: Some(id),
        target: target.map(str::to_owned),
        plugin: plugin.map(str::to_owned),
        platform: if macos { Platform::Macos } else { Platform::Linux },
        ..Session::default()
    })
}

/// The date of a header, if it is in the one form that says its offset from UTC.
fn date(text: &str) -> Option<Timestamp> {
    let date = text.split(" [").next()?.trim();
    ["%Y-%m-%d %H:%M:%S%:z", "%Y-%m-%d %H:%M:%S%z"].iter().find_map(|form| Timestamp::strptime(form, date).ok())
}
