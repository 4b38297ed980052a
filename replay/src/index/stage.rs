use std::io;

use regex::Regex;
use warden_session::screen::Screen;

use super::{Hit, Index, MomentKind, Shared, look};

/// The screen as it stood at one position, and the way to any other.
#[derive(Debug)]
pub(crate) struct Stage {
    shared: Shared,
    pos: usize,
    screen: Screen,
}

/// Bytes of output that are fed at once.
const PIECE: u64 = 256 * 1024;

/// Moments after the beginning of a line in which the match of a search is looked for.
const REVEAL: usize = 512;

impl Stage {
    /// At the beginning.
    pub(crate) fn new(shared: &Shared) -> Self {
        Self { shared: shared.clone(), pos: 0, screen: Screen::new(ROWS, COLS) }
    }

    /// The screen when this many moments have happened: from the nearest keyframe, or from where it stands if that is near.
    ///
    /// # Errors
    /// What the file system says of the spool.
    pub(crate) fn show(&mut self, pos: usize) -> io::Result<&Screen> {
        let shared = self.shared.clone();
        let index = look(&shared);
        let pos = pos.min(index.moments.len());
        let keyframe = index.keyframe(pos);
        let stays = self.pos <= pos && keyframe.is_none_or(|(at, _)| *at <= self.pos);
        if !stays {
            (self.pos, self.screen) = match keyframe {
                Some((at, screen)) => (*at, Screen::clone(screen)),
                None => (0, Screen::new(ROWS, COLS)),
            };
        }
        let moments = |from: usize| index.moments.get(from..pos).unwrap_or_default();
        while self.pos < pos {
            let run = moments(self.pos).iter().position(|moment| matches!(moment.what, MomentKind::Resize(..)));
            let end = run.map_or(pos, |at| self.pos + at);
            self.feed(&index, end)?;
            if let Some(MomentKind::Resize(rows, cols)) = moments(self.pos).first().map(|moment| moment.what) {
                self.screen.resize(rows, cols, &mut |_| {});
                self.pos += 1;
            }
        }
        Ok(&self.screen)
    }

    /// Feeds the output of the moments up to `end`, none of which is a resize.
    fn feed(&mut self, index: &Index, end: usize) -> io::Result<()> {
        let Some(last) = end.checked_sub(1).and_then(|last| index.moments.get(last)) else { return Ok(()) };
        let to = last.spool + last.output_len();
        let mut from = self.screen.offset();
        while from < to {
            let bytes = index.output(from, to.min(from + PIECE))?;
            if bytes.is_empty() {
                break;
            }
            from += bytes.len() as u64;
            self.screen.feed(&bytes, &mut |_| {});
        }
        self.pos = end;
        Ok(())
    }

    /// The first position at which a hit can be seen: its line may take many moments to come.
    ///
    /// # Errors
    /// What the file system says of the spool.
    pub(crate) fn reveal(&mut self, hit: &Hit, pattern: &Regex) -> io::Result<usize> {
        let (first, last) = {
            let index = look(&self.shared);
            (index.at_spool(hit.first), index.at_spool(hit.last).min(index.moments.len()))
        };
        for pos in first..last.min(first.saturating_add(REVEAL)) {
            let screen = self.show(pos)?;
            if screen.text().iter().any(|row| pattern.is_match(row)) {
                return Ok(pos);
            }
        }
        Ok(first)
    }
}

/// Size of a window whose size is not known.
pub(super) const ROWS: u16 = 24;
pub(super) const COLS: u16 = 80;
