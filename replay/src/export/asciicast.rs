//! `--to asciicast`: asciicast version 3, or 2 with `--v2` (<https://docs.asciinema.org/manual/asciicast/v3/>).
//!
//! Output, resizes, markers (commands, findings with their level, gaps, hidden input, notes), and the exit code (version 3).
//! Input is left out. The format holds text, so that bytes which are not UTF-8 become U+FFFD: `--to json` and `--to streams`
//! keep them. A character whose bytes come in several messages is written when it is whole.

use std::io::{self, Write};

use serde_json::{Value, json};
use warden_session::screen::USUAL_COLS;

use super::html::in_words;
use super::survey::{Marked, Survey};
use super::telling::{Teller, Telling, Told};
use crate::report::{Lines, escape};

/// Which version to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Times since the beginning.
    V2,
    /// Times since the event before, exit events.
    V3,
}

/// Longest label of a marker, in characters.
const MAX_LABEL: usize = 1000;

/// Writes the recording. Whether bytes were lost because they are not UTF-8.
///
/// # Errors
/// What the file system or the output says.
pub(crate) fn write(teller: &Teller<'_>, version: Version, out: &mut dyn Write) -> io::Result<bool> {
    writeln!(out, "{}", header(teller.survey, version))?;
    let mut cast = Cast { version, before: 0, held: Vec::new(), lossy: false, sized: false };
    teller.tell(&mut |told| cast.take(teller, told, out))?;
    cast.finish(teller.survey.duration(), out)
}

fn header(survey: &Survey, version: Version) -> Value {
    let (cols, rows) = survey.window(USUAL_COLS);
    let title = survey.session.id.as_ref().map(|id| format!("Session {id}"));
    let timestamp = survey.dates().map(|(first, _)| first.as_second());
    let mut header = match version {
        Version::V2 => json!({"version": 2, "width": cols, "height": rows}),
        Version::V3 => json!({"version": 3, "term": {"cols": cols, "rows": rows, "type": "xterm-256color"}}),
    };
    if let Some(timestamp) = timestamp {
        header["timestamp"] = json!(timestamp);
    }
    if let Some(title) = title {
        header["title"] = json!(title);
    }
    header
}

struct Cast {
    version: Version,
    before: u64,
    held: Vec<u8>,
    lossy: bool,
    sized: bool,
}

impl Cast {
    fn take(&mut self, teller: &Teller<'_>, told: &Told<'_>, out: &mut dyn Write) -> io::Result<()> {
        match &told.what {
            Telling::Output(bytes) => {
                let text = self.text(&teller.on_screen(bytes));
                if text.is_empty() { Ok(()) } else { self.event(told.ms, "o", &text, out) }
            }
            Telling::Input(_) | Telling::Typed(_) => Ok(()),
            Telling::Command(command) => self.marker(told.ms, &command.text, out),
            Telling::Redaction(cut) => {
                let label = format!("removed: {} characters, HMAC-SHA-256 {}", cut.characters, cut.digest);
                self.marker(told.ms, &label, out)
            }
            Telling::Mark(Marked::Resize { cols, rows }) => {
                // The first size is the header's.
                if !std::mem::replace(&mut self.sized, true) {
                    return Ok(());
                }
                self.event(told.ms, "r", &format!("{cols}x{rows}"), out)
            }
            Telling::Mark(Marked::Finding(finding)) => {
                self.marker(told.ms, &format!("[{}] {}", finding.rule.level, finding.rule.title), out)
            }
            Telling::Mark(Marked::Exit(code)) if self.version == Version::V3 => {
                self.event(told.ms, "x", &code.to_string(), out)
            }
            Telling::Mark(mark) => self.marker(told.ms, &in_words(mark).1, out),
        }
    }

    /// The text that is whole; the bytes of an unfinished character wait.
    fn text(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let mut text = String::new();
        for chunk in held.utf8_chunks() {
            text.push_str(chunk.valid());
            let rest = chunk.invalid();
            let is_last = held.ends_with(rest);
            let unfinished = is_last && std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none());
            if unfinished {
                self.held = rest.to_vec();
            } else if !rest.is_empty() {
                self.lossy = true;
                text.push('\u{fffd}');
            }
        }
        text
    }

    fn marker(&mut self, ms: u64, label: &str, out: &mut dyn Write) -> io::Result<()> {
        let label: String = escape(label, Lines::Show).chars().take(MAX_LABEL).collect();
        self.event(ms, "m", &label, out)
    }

    fn event(&mut self, ms: u64, code: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
        let time = match self.version {
            Version::V2 => ms,
            Version::V3 => ms.saturating_sub(self.before),
        };
        self.before = ms;
        writeln!(out, "[{}.{:03}, {}, {}]", time / 1000, time % 1000, json!(code), json!(text))
    }

    fn finish(mut self, ms: u64, out: &mut dyn Write) -> io::Result<bool> {
        if !self.held.is_empty() {
            self.lossy = true;
            self.event(ms.max(self.before), "o", "\u{fffd}", out)?;
        }
        Ok(self.lossy)
    }
}
