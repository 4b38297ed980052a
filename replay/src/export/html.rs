//! `--to html`: one file that plays offline.
//!
//! The screens are computed here, by the emulator that the rest of `warden` uses; the viewer (`viewer.js`, `screen.js`)
//! paints keyframes and changes and interprets no escape. Nothing in the file comes from third parties and nothing is loaded:
//! its content security policy allows its own script and style sheet by their hashes, and nothing else.
//!
//! The file holds, beside the viewer:
//! - `view`, a JSON object: `title`, `facts`, `verify` (`state` whole, incomplete, bad or unproven; `rows`), `notices`, `start`
//!   (epoch ms or null), `duration` (ms), `marks` (`time` ms, `change` number of screens up to it, `kind`, `text`, `level`, `note`),
//!   `density` (bytes of output in equal parts of the duration), `styles`;
//! - `screens`, base64 of raw deflate of JSON lines, which `screen.js` describes.
//!
//! Its size is bounded: screens that would not fit (bulk output faster than anybody reads) are passed over, the last one of
//! a burst stays, and a notice says how many were.

mod facts;
mod film;
mod grid;

use std::fmt::Write as _;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use warden_session::screen::USUAL_COLS;

use super::survey::Marked;
use super::telling::{Teller, Telling, Told};
use crate::report::{Lines, escape};
use film::Film;

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/viewer.css");
const SCREEN_SCRIPT: &str = include_str!("html/screen.js");
const VIEWER_SCRIPT: &str = include_str!("html/viewer.js");

/// Parts of the density timeline.
const DENSITY: usize = 240;
/// Entries of the side panel; further ones are counted.
const MAX_ENTRIES: usize = 20_000;
/// Characters of one entry's text.
const MAX_TEXT: usize = 4_000;
/// Wider and taller windows are cut by no browser, but nobody could read them.
const MAX_SIDE: u16 = 1000;

/// Writes the page.
///
/// # Errors
/// What the file system or the output says.
pub(crate) fn write(teller: &Teller<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(teller);
    teller.tell(&mut |told| page.take(told))?;
    page.write(out)
}

struct Page<'t, 's> {
    teller: &'t Teller<'s>,
    film: Film,
    duration: u64,
    density: Vec<u64>,
    marks: Vec<Value>,
    left_out: u64,
}

impl<'t, 's> Page<'t, 's> {
    fn new(teller: &'t Teller<'s>) -> Self {
        let duration = teller.survey.duration();
        let (cols, rows) = teller.survey.window(USUAL_COLS);
        let film = Film::new(cols.min(MAX_SIDE), rows.min(MAX_SIDE), duration);
        Self { teller, film, duration, density: vec![0; DENSITY], marks: Vec::new(), left_out: teller.survey.unlisted }
    }

    fn take(&mut self, told: &Told<'_>) -> io::Result<()> {
        let ms = told.ms;
        match &told.what {
            Telling::Output(bytes) => {
                self.count(ms, bytes.len());
                self.film.output(ms, &self.teller.on_screen(bytes))
            }
            Telling::Input(_) | Telling::Typed(_) => Ok(()),
            Telling::Command(command) => {
                let prompt = command.prompt.as_deref().unwrap_or_default().trim();
                let marks: Vec<&str> = command.marks.iter().map(warden_session::command::Mark::as_str).collect();
                let note = join([prompt, &marks.join(", ")], "  ·  ");
                self.mark(ms, "command", &command.text, &note, None)
            }
            Telling::Redaction(cut) => {
                let text = format!("{} characters removed from the output", cut.characters);
                self.mark(ms, "note", &text, &format!("HMAC-SHA-256 {}", cut.digest), None)
            }
            Telling::Mark(mark) => self.take_mark(ms, mark),
        }
    }

    fn take_mark(&mut self, ms: u64, mark: &Marked) -> io::Result<()> {
        match mark {
            Marked::Resize { cols, rows } => {
                self.film.resize(ms, (*cols).min(MAX_SIDE), (*rows).min(MAX_SIDE))?;
                self.mark(ms, "resize", &format!("{cols} × {rows}"), "", None)
            }
            Marked::Finding(finding) => {
                let text = finding.command.as_ref().map(|command| self.teller.text(&command.text)).unwrap_or_default();
                let note = join([&text, &techniques(&finding.rule.tags)], "\n");
                self.mark(ms, "finding", &finding.rule.title, &note, Some(&finding.rule.level))
            }
            Marked::Hidden { bytes } => {
                let text = format!("{bytes} bytes typed that the terminal did not echo");
                self.film.hide(ms, format!("hidden input: {bytes} bytes"));
                self.mark(ms, "input", &text, "", None)
            }
            other => {
                let (kind, text) = in_words(other);
                self.mark(ms, kind, &text, "", None)
            }
        }
    }

    fn count(&mut self, ms: u64, bytes: usize) {
        let part = u128::from(ms) * DENSITY as u128 / u128::from(self.duration + 1);
        if let Some(count) = usize::try_from(part).ok().and_then(|part| self.density.get_mut(part)) {
            *count += bytes as u64;
        }
    }

    fn mark(&mut self, ms: u64, kind: &str, text: &str, note: &str, level: Option<&str>) -> io::Result<()> {
        if self.marks.len() >= MAX_ENTRIES {
            self.left_out += 1;
            return Ok(());
        }
        let mut mark = json!({"time": ms, "change": self.film.mark()?, "kind": kind, "text": shown(text)});
        if !note.is_empty() {
            mark["note"] = json!(shown(note));
        }
        if let Some(level) = level {
            mark["level"] = json!(level);
        }
        self.marks.push(mark);
        Ok(())
    }

    fn write(self, out: &mut dyn Write) -> io::Result<()> {
        let survey = self.teller.survey;
        let mut notices = facts::notices(self.teller);
        if self.film.passed_over > 0 {
            notices.push(format!(
                "Output came faster than anybody reads: {} screens between those shown are left out; the text export has every line.",
                self.film.passed_over
            ));
        }
        if self.left_out > 0 {
            notices.push(format!("{} entries beyond the first {MAX_ENTRIES} are left out.", self.left_out));
        }
        let (packed, styles) = self.film.finish()?;
        let title = facts::title(survey);
        let view = json!({
            "title": title,
            "facts": facts::facts(self.teller),
            "verify": facts::verify(self.teller),
            "notices": notices,
            "start": survey.dates().map(|(first, _)| first.as_millisecond()),
            "duration": self.duration,
            "marks": self.marks,
            "density": self.density,
            "styles": styles.to_json(),
        });
        let script = format!("{SCREEN_SCRIPT}{VIEWER_SCRIPT}");
        let policy = policy(&script);
        let (title, view, screens) = (in_markup(&title), in_script(&view), STANDARD.encode(packed));
        fill(
            out,
            &[
                ("csp", &policy),
                ("title", &title),
                ("css", STYLE),
                ("view", &view),
                ("screens", &screens),
                ("js", &script),
            ],
        )
    }
}

/// The ATT&CK techniques among a rule's tags.
fn techniques(tags: &[String]) -> String {
    let ids = tags
        .iter()
        .filter_map(|tag| tag.strip_prefix("attack.t").filter(|id| id.starts_with(|c: char| c.is_ascii_digit())));
    ids.map(|id| format!("T{id}")).collect::<Vec<_>>().join("  ")
}

/// Two texts with something between, unless one is empty.
fn join([one, other]: [&str; 2], between: &str) -> String {
    let between = if one.is_empty() || other.is_empty() { "" } else { between };
    format!("{one}{between}{other}")
}

/// Kind and words of a mark that has no more to it.
pub(super) fn in_words(mark: &Marked) -> (&'static str, String) {
    use warden_session::timeline::Direction;
    match mark {
        Marked::Gap { direction, messages } => {
            let whose = match direction {
                Direction::Input => "client (keystrokes)",
                Direction::Output => "agent (output)",
            };
            let count = if *messages == 0 { "messages".to_owned() } else { format!("{messages} messages") };
            ("gap", format!("{count} of the {whose} are missing"))
        }
        Marked::Exit(code) => ("note", format!("ended with exit code {code}")),
        Marked::Note(text) => ("note", text.clone()),
        Marked::Hidden { bytes } => ("note", format!("{bytes} bytes typed without an echo")),
        Marked::Command(_) | Marked::Finding(_) | Marked::Resize { .. } => ("note", String::new()),
    }
}

/// Text from a session, cut and made visible.
fn shown(text: &str) -> String {
    let mut shown = escape(text, Lines::Keep);
    if let Some((at, _)) = shown.char_indices().nth(MAX_TEXT) {
        shown.truncate(at);
        shown.push('…');
    }
    shown
}

/// JSON that can end no script element and no comment in it.
fn in_script(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out
}

fn in_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn policy(script: &str) -> String {
    let hash =
        |text: &str| STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref());
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(script),
        hash(STYLE)
    )
}

/// Puts the parts in their places, in the order of the page; what a part holds is never taken for a place.
fn fill(out: &mut dyn Write, parts: &[(&str, &str)]) -> io::Result<()> {
    let mut rest = PAGE;
    for (name, part) in parts {
        let place = format!("{{{name}}}");
        if let Some((before, behind)) = rest.split_once(&place) {
            out.write_all(before.as_bytes())?;
            out.write_all(part.as_bytes())?;
            rest = behind;
        }
    }
    out.write_all(rest.as_bytes())
}
