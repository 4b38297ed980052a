//! The screens of a session, one after the other, packed.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};
use warden_session::screen::{self, Note, NoteKind, Screen};

use super::grid::{Grid, Styles};
use crate::report::{Lines, escape};

/// Screens that follow one another faster than this are shown as one: 30 a second.
const FRAME_MS: u64 = 33;
/// Bytes of changes between keyframes.
const KEY_BYTES: usize = 64 * 1024;
/// Packed bytes of an hour: what fits well under 3 MB in base64 beside commands and the viewer.
const PACKED_PER_HOUR: u64 = 1_800_000;
/// Packed bytes of any session, however long.
const PACKED_LIMIT: u64 = 16_000_000;
/// Bytes before packing, which the viewer has to hold, for each packed one.
const RAW_PER_PACKED: u64 = 12;
/// Part of the room that may be used at once.
const BURST: u64 = 8;
/// Hidden texts between two screens, and the characters of each that are kept.
const MAX_HIDDEN: usize = 64;
const MAX_HIDDEN_TEXT: usize = 200;
const HOUR_MS: u64 = 3_600_000;

/// Takes output, keeps the screens worth showing.
pub(super) struct Film {
    screen: Screen,
    shown: Grid,
    pub(super) styles: Styles,
    packed: DeflateEncoder<Vec<u8>>,
    raw: u64,
    since_key: usize,
    /// Time of the last change that was written.
    last: u64,
    /// Hidden text met since.
    hidden: Vec<String>,
    /// Since when the screen differs from what was written, and its time.
    dirty: Option<(u64, u64)>,
    duration: u64,
    room: u64,
    /// Screens that were passed over because there was no room for them.
    pub(super) passed_over: u64,
    /// Screens that were kept.
    pub(super) kept: u64,
}

impl Film {
    /// For a session of this length, in milliseconds, that begins at this size.
    pub(super) fn new(cols: u16, rows: u16, duration: u64) -> Self {
        let room = (PACKED_PER_HOUR.saturating_mul(duration.max(HOUR_MS)) / HOUR_MS).min(PACKED_LIMIT);
        Self {
            screen: Screen::new(rows, cols),
            shown: Grid::default(),
            styles: Styles::default(),
            packed: DeflateEncoder::new(Vec::new(), Compression::best()),
            raw: 0,
            since_key: usize::MAX,
            last: 0,
            hidden: Vec::new(),
            dirty: Some((0, 0)),
            duration: duration.max(1),
            room,
            passed_over: 0,
            kept: 0,
        }
    }

    /// Takes output printed at this time.
    ///
    /// # Errors
    /// None that memory does not give.
    pub(super) fn output(&mut self, ms: u64, bytes: &[u8]) -> io::Result<()> {
        self.settle(ms)?;
        let hidden = &mut self.hidden;
        self.screen.feed(bytes, &mut |event| keep(event, hidden));
        self.touch(ms);
        Ok(())
    }

    /// The window has another size.
    ///
    /// # Errors
    /// None that memory does not give.
    pub(super) fn resize(&mut self, ms: u64, cols: u16, rows: u16) -> io::Result<()> {
        self.settle(ms)?;
        let hidden = &mut self.hidden;
        self.screen.resize(rows, cols, &mut |event| keep(event, hidden));
        self.touch(ms);
        Ok(())
    }

    /// Something marks this place: what stood on the screen is kept, if there is room. How many screens are kept so far: the
    /// last of them is what the mark is about.
    ///
    /// # Errors
    /// None that memory does not give.
    pub(super) fn mark(&mut self) -> io::Result<u64> {
        if let Some((_, at)) = self.dirty.filter(|(_, at)| self.has_room(*at)) {
            self.write(at)?;
        }
        Ok(self.kept)
    }

    /// Adds to what the overlay of hidden text shows from this time on.
    pub(super) fn hide(&mut self, ms: u64, text: String) {
        self.hidden.push(text);
        self.touch(ms);
    }

    fn touch(&mut self, ms: u64) {
        let (since, _) = self.dirty.unwrap_or((ms, ms));
        self.dirty = Some((since, ms));
    }

    /// Writes what has stood long enough.
    fn settle(&mut self, ms: u64) -> io::Result<()> {
        match self.dirty {
            Some((since, at)) if ms.saturating_sub(since) >= FRAME_MS => {
                if self.has_room(at) {
                    self.write(at)
                } else {
                    self.passed_over += 1;
                    self.dirty = Some((ms, at));
                    Ok(())
                }
            }
            _ => Ok(()),
        }
    }

    fn has_room(&self, at: u64) -> bool {
        let due = |room: u64| {
            let share = u128::from(room) * u128::from(at.min(self.duration)) / u128::from(self.duration);
            room / BURST + u64::try_from(share).unwrap_or(u64::MAX) / BURST * (BURST - 1)
        };
        self.packed.total_out() < due(self.room) && self.raw < due(self.room * RAW_PER_PACKED)
    }

    fn write(&mut self, at: u64) -> io::Result<()> {
        self.dirty = None;
        let changes = self.screen.take_changes();
        let grid = Grid::of(&self.screen, &mut self.styles, &self.shown, &changes);
        if grid == self.shown && self.hidden.is_empty() {
            return Ok(());
        }
        let is_key = self.since_key >= KEY_BYTES;
        let changes = if is_key { grid.whole() } else { grid.changes(&self.shown) };
        let mut line = vec![json!(at - self.last), json!(u8::from(is_key))];
        line.extend(changes);
        line.extend(self.hidden.drain(..).map(|text| json!([6, text])));
        let mut line = Value::Array(line).to_string();
        line.push('\n');
        self.since_key = if is_key { line.len() } else { self.since_key + line.len() };
        self.raw += line.len() as u64;
        self.packed.write_all(line.as_bytes())?;
        (self.last, self.shown) = (at, grid);
        self.kept += 1;
        Ok(())
    }

    /// The session ends: the last screen is written whatever room there is. The packed screens.
    ///
    /// # Errors
    /// None that memory does not give.
    pub(super) fn finish(mut self) -> io::Result<(Vec<u8>, Styles)> {
        if let Some((_, at)) = self.dirty {
            self.write(at)?;
        }
        Ok((self.packed.finish()?, self.styles))
    }
}

fn keep(event: screen::Event, hidden: &mut Vec<String>) {
    let screen::Event::Note(Note { kind, text, .. }) = event else { return };
    // Titles are in plain sight; erased and overwritten blanks say nothing.
    let says_nothing = text.trim().is_empty() && kind != NoteKind::Invisible;
    if kind != NoteKind::Title && !says_nothing && hidden.len() < MAX_HIDDEN {
        let text: String = escape(&text, Lines::Show).chars().take(MAX_HIDDEN_TEXT).collect();
        hidden.push(format!("{}: {text}", kind.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_nobody_could_read_is_passed_over() {
        let (mut film, mut seed) = (Film::new(80, 24, 60_000), 1_u32);
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from_u32(0x21 + (seed >> 16) % 0x5e).unwrap()
        };
        for ms in (0..60_000).step_by(34) {
            let screen: String = std::iter::repeat_with(&mut noise).take(80 * 24).collect();
            film.output(ms, screen.as_bytes()).unwrap();
        }
        film.output(60_000, b"\x1b[2J\x1b[1;1H").unwrap();
        film.output(60_000, b"the end").unwrap();
        let passed_over = film.passed_over;
        let (packed, _) = film.finish().unwrap();
        assert!(passed_over > 100, "{passed_over}");
        assert!(packed.len() as u64 <= PACKED_PER_HOUR + PACKED_PER_HOUR / 10, "{}", packed.len());
        let mut raw = String::new();
        let mut inflated = flate2::read::DeflateDecoder::new(packed.as_slice());
        inflated.read_to_string(&mut raw).unwrap();
        assert!(raw.lines().last().unwrap().contains("the end"), "the last screen is always kept");
    }
}
