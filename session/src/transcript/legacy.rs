//! Agents before March 2020, which typed their commands into a root shell under `script`.
//!
//! Such a transcript begins with that shell's prompt, the command `ssm-session-logger FILE false` and a few lines of
//! its logger, and ends with `exit` (amazon-ssm-agent before commit afb538ac). They are the agent's, not the user's.

use memchr::memmem;

use super::header;
use crate::session::Session;

const PROGRAM: &[u8] = b"ssm-session-logger ";

/// What the command prints before it replays the session.
const CHATTER: [&[u8]; 3] = [
    b"Error occurred fetching the seelog config file path:",
    b"Initializing new seelog logger",
    b"New Seelog Logger Creation Complete",
];

/// Longest command line or line of chatter, and most of them.
const LINE_LIMIT: usize = 4096;
const LINES_LIMIT: usize = 12;

const PASTE_OFF: &[u8] = b"\x1b[?2004l\r";

/// The agent's lines above the session.
pub(super) struct Preamble {
    /// Length of them.
    pub(super) end: usize,
    /// The prompt at which the agent typed.
    pub(super) prompt: Vec<u8>,
    /// Identity from the path in the command.
    pub(super) session: Session,
}

impl Preamble {
    /// Reads the agent's lines at the start of `body`; `None` if it does not begin with the agent's command.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let (line, mut end) = line(body, 0)?;
        let command = joined(line);
        let program = memmem::find(&command, PROGRAM)?;
        if !command.ends_with(b" false") && !command.ends_with(b" true") {
            return None;
        }
        let word = command.get(..program)?.iter().rposition(|&b| b == b' ').map_or(0, |at| at + 1);
        let prompt = command.get(..word)?.to_vec();
        let session = header::identity(&String::from_utf8_lossy(&command)).unwrap_or_default();
        for _ in 0..LINES_LIMIT {
            let rest = body.get(end..)?;
            end += if rest.starts_with(PASTE_OFF) { PASTE_OFF.len() } else { 0 };
            match self::line(body, end) {
                Some((line, next)) if is_chatter(line) => end = next,
                _ => break,
            }
        }
        Some(Self { end, prompt, session })
    }
}

/// `output` without the agent's last `exit` at this prompt.
pub(super) fn without_exit<'o>(output: &'o [u8], prompt: &[u8]) -> &'o [u8] {
    let typed = [prompt, b"exit"].concat();
    let Some(at) = memmem::rfind(output, &typed).filter(|_| !prompt.is_empty()) else { return output };
    let rest = output.get(at + typed.len()..).unwrap_or_default();
    let answer: Vec<u8> = rest.iter().copied().filter(|b| !b"\r\n".contains(b)).collect();
    let expected: [&[u8]; 4] = [b"", b"exit", b"\x1b[?2004l", b"\x1b[?2004lexit"];
    if expected.contains(&answer.as_slice()) { output.get(..at).unwrap_or(output) } else { output }
}

/// The line at `start` without its end, and where the next begins. Lines of the replayed session end in `\r\r\n`: those
/// are never the agent's own.
fn line(body: &[u8], start: usize) -> Option<(&[u8], usize)> {
    let rest = body.get(start..)?;
    let length = memchr::memchr(b'\n', rest.get(..rest.len().min(LINE_LIMIT))?)?;
    let line = rest.get(..length)?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    (!line.ends_with(b"\r")).then_some((line, start + length + 1))
}

fn is_chatter(line: &[u8]) -> bool {
    let dated = line.get(4) == Some(&b'-') && line.get(..4).is_some_and(|y| y.iter().all(u8::is_ascii_digit));
    let logged = [&b" INFO "[..], b" WARN ", b" ERROR "].iter().any(|level| memmem::find(line, level) == Some(19));
    CHATTER.iter().any(|start| line.starts_with(start)) || (dated && logged)
}

/// A command line as it was typed: a line editor marks the wrap at the window's edge with blank and carriage return.
fn joined(line: &[u8]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = memmem::find(rest, b" \r") {
        joined.extend_from_slice(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    joined.extend_from_slice(rest);
    joined
}
