//! The player: a state that keys and ticks change. It has no clock, no terminal and no file; whoever owns those draws it
//! ([`view`]) and does what it asks for ([`Ask`]).

mod place;
mod search;
pub(crate) mod view;

use regex::Regex;

use crate::index::{Hit, Index, Mark, MarkKind, Progress};

pub(crate) use place::Place;
pub(crate) use search::Search;

/// A key, as far as the player knows any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Enter,
    Esc,
    Backspace,
    Tab,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
}

/// What the player needs done.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// Look for this in everything that was shown, and give the hits to [`Player::found`].
    Search(Regex),
    /// Find out where this hit can be seen, and give the position to [`Player::seek`].
    Reveal(Hit, Regex),
}

/// What the list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// Everything.
    All,
    /// Commands.
    Commands,
    /// Findings.
    Findings,
    /// What is missing or wrong.
    Damage,
    /// Sizes of the window, the session's own events.
    Session,
    /// Pauses.
    Pauses,
}

/// A line that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prompt {
    /// `/`
    Search(String),
    /// `:`
    Go(String),
}

/// What covers the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cover {
    /// Nothing.
    None,
    /// The keys.
    Help,
    /// The message at the place in hexadecimal, from this row on.
    Raw(usize),
}

/// The player.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches that the user sets one by one")]
pub(crate) struct Player {
    /// How many moments have happened.
    pub(crate) pos: usize,
    /// Place on the axis: microseconds since the first moment.
    pub(crate) now: i64,
    /// Whether time goes on.
    pub(crate) playing: bool,
    speed: usize,
    /// Whether waits are cut to [`crate::index::IDLE`].
    pub(crate) clamp: bool,
    /// What the list shows.
    pub(crate) list: List,
    /// Whether the list is shown where there is little room.
    pub(crate) list_open: bool,
    /// The row of the list that was chosen, if it is not the current one.
    pub(crate) chosen: Option<usize>,
    /// Whether hidden text is shown.
    pub(crate) hidden: bool,
    /// Whether the screen has all the room.
    pub(crate) zoom: bool,
    /// What covers the screen.
    pub(crate) cover: Cover,
    /// A line that is being typed.
    pub(crate) prompt: Option<Prompt>,
    /// The latest search.
    pub(crate) search: Option<Search>,
    /// What to tell the user until the next key.
    pub(crate) message: Option<String>,
    /// Where to go as soon as the index is there.
    pub(crate) wanted: Option<Place>,
    /// Whether to end.
    pub(crate) quit: bool,
}

/// Speeds, as multiples of the session's own.
const SPEEDS: [f64; 9] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
const NORMAL: usize = 2;

/// How far the arrow keys go: five seconds of the axis.
const LEAP: i64 = 5_000_000;
/// Rows of a page.
const PAGE: usize = 16;

impl Player {
    /// A player at the beginning, or on its way to a place.
    pub(crate) fn new(wanted: Option<Place>, speed: f64) -> Self {
        let nearest =
            |(_, a): &(usize, &f64), (_, b): &(usize, &f64)| (*a - speed).abs().total_cmp(&(*b - speed).abs());
        Self {
            pos: 0,
            now: 0,
            playing: wanted.is_none(),
            speed: SPEEDS.iter().enumerate().min_by(nearest).map_or(NORMAL, |(at, _)| at),
            clamp: true,
            list: List::All,
            list_open: false,
            chosen: None,
            hidden: false,
            zoom: false,
            cover: Cover::None,
            prompt: None,
            search: None,
            message: None,
            wanted,
            quit: false,
        }
    }

    /// How fast it plays.
    pub(crate) fn speed(&self) -> f64 {
        SPEEDS.get(self.speed).copied().unwrap_or(1.0)
    }

    /// Time goes on by this many microseconds; what there is of the index may have grown.
    pub(crate) fn tick(&mut self, elapsed: i64, index: &Index) {
        self.arrive(index);
        if !self.playing {
            return;
        }
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a tick is far below 2^53")]
        let step = (elapsed as f64 * self.speed()) as i64;
        self.now = self.now.saturating_add(step);
        self.pos = self.pos.max(index.at_axis(self.now, self.clamp));
        if self.pos >= index.moments.len() {
            self.now = index.length(self.clamp);
            if !matches!(index.progress, Progress::Reading(_)) {
                self.playing = false;
                self.message = Some("end of the session".to_owned());
            }
        }
    }

    /// Goes where it wants to, if the index holds the place by now.
    fn arrive(&mut self, index: &Index) {
        let Some(wanted) = &self.wanted else { return };
        match wanted.find(index) {
            Some(Ok(pos)) => {
                self.wanted = None;
                self.seek(pos, index);
            }
            Some(Err(why)) => {
                self.wanted = None;
                self.message = Some(why);
            }
            None => {}
        }
    }

    /// Goes to a position.
    pub(crate) fn seek(&mut self, pos: usize, index: &Index) {
        self.pos = pos.min(index.moments.len());
        self.now = self.pos.checked_sub(1).map_or(0, |last| index.axis(last, self.clamp));
        self.chosen = None;
        self.wanted = None;
    }

    /// The hits of a search.
    pub(crate) fn found(&mut self, pattern: Regex, hits: Vec<Hit>, index: &Index) -> Option<Ask> {
        if hits.is_empty() {
            let reading = matches!(index.progress, Progress::Reading(_));
            let so_far = if reading { " in what is indexed so far" } else { "" };
            self.message = Some(format!("nothing matches{so_far}"));
            self.search = None;
            return None;
        }
        self.playing = false;
        let at = self.pos.checked_sub(1).and_then(|last| index.moments.get(last)).map_or(0, |moment| moment.spool);
        let search = self.search.insert(Search::new(pattern, hits, at));
        Some(search.reveal())
    }

    /// A key was pressed.
    pub(crate) fn key(&mut self, key: Key, index: &Index) -> Option<Ask> {
        self.message = None;
        if self.prompt.is_some() {
            return self.prompt_key(key, index);
        }
        if let Cover::Raw(row) = self.cover
            && let Some(row) = scroll(key, row)
        {
            self.cover = Cover::Raw(row);
            return None;
        }
        if let Some(search) = &mut self.search {
            match key {
                Key::Char('n') | Key::Down => return Some(search.next()),
                Key::Char('N' | 'p') | Key::Up => return Some(search.previous()),
                Key::Enter => search.open = !search.open,
                Key::Esc if self.cover == Cover::None => self.search = None,
                _ => return self.command_key(key, index),
            }
            return None;
        }
        self.command_key(key, index)
    }

    fn command_key(&mut self, key: Key, index: &Index) -> Option<Ask> {
        match key {
            Key::Char('q') => self.quit = true,
            Key::Char(' ') => self.toggle(index),
            Key::Char('n') => self.next(index, |kind| kind == MarkKind::Command, "command"),
            Key::Char('p') => self.previous(index, |kind| kind == MarkKind::Command, "command"),
            Key::Char('f') => self.next(index, |kind| kind.level().is_some(), "finding"),
            Key::Char('F') => self.previous(index, |kind| kind.level().is_some(), "finding"),
            Key::Char('g') => self.next(index, is_damage, "gap"),
            Key::Char('G') => self.previous(index, is_damage, "gap"),
            Key::Char('.') => self.step(1, index),
            Key::Char(',') => self.step(-1, index),
            Key::Char('+' | '=') => self.speed = (self.speed + 1).min(SPEEDS.len() - 1),
            Key::Char('-') => self.speed = self.speed.saturating_sub(1),
            Key::Char('i') => self.toggle_idle(index),
            Key::Char('h') => self.hidden = !self.hidden,
            Key::Char('z') => self.zoom = !self.zoom,
            Key::Char('l') => self.list_open = !self.list_open,
            Key::Char('x') => self.cover_with(Cover::Raw(0)),
            Key::Char('?') => self.cover_with(Cover::Help),
            Key::Char('/') => self.prompt = Some(Prompt::Search(String::new())),
            Key::Char(':') => self.prompt = Some(Prompt::Go(String::new())),
            Key::Tab => (self.list, self.list_open, self.chosen) = (self.list.next(), true, None),
            Key::Up => self.choose(index, -1),
            Key::Down => self.choose(index, 1),
            Key::PageUp => self.choose(index, -PAGE.cast_signed()),
            Key::PageDown => self.choose(index, PAGE.cast_signed()),
            Key::Left => self.leap(-LEAP, index),
            Key::Right => self.leap(LEAP, index),
            Key::Home => self.seek(0, index),
            Key::End => self.seek(index.moments.len(), index),
            Key::Enter => self.go_to_chosen(index),
            Key::Esc => self.close(),
            Key::Char(_) | Key::Backspace => {}
        }
        None
    }

    fn prompt_key(&mut self, key: Key, index: &Index) -> Option<Ask> {
        let Some(Prompt::Search(text) | Prompt::Go(text)) = &mut self.prompt else { return None };
        match key {
            Key::Char(c) => text.push(c),
            Key::Backspace if text.pop().is_none() => self.prompt = None,
            Key::Esc => self.prompt = None,
            Key::Enter => return self.enter(index),
            _ => {}
        }
        None
    }

    fn enter(&mut self, index: &Index) -> Option<Ask> {
        match self.prompt.take()? {
            Prompt::Search(text) if text.is_empty() => None,
            Prompt::Search(text) => match search::pattern(&text) {
                Ok(pattern) => Some(Ask::Search(pattern)),
                Err(why) => {
                    self.message = Some(why);
                    None
                }
            },
            Prompt::Go(text) => {
                match Place::parse(&text) {
                    Ok(place) => {
                        self.wanted = Some(place);
                        self.arrive(index);
                    }
                    Err(why) => self.message = Some(why),
                }
                None
            }
        }
    }

    fn toggle(&mut self, index: &Index) {
        if !self.playing && self.pos >= index.moments.len() && index.progress == Progress::Done {
            self.seek(0, index);
        }
        self.playing = !self.playing;
    }

    fn toggle_idle(&mut self, index: &Index) {
        self.clamp = !self.clamp;
        self.now = self.pos.checked_sub(1).map_or(0, |last| index.axis(last, self.clamp));
    }

    fn step(&mut self, by: isize, index: &Index) {
        self.playing = false;
        self.seek(self.pos.saturating_add_signed(by), index);
    }

    fn leap(&mut self, by: i64, index: &Index) {
        let now = self.now.saturating_add(by).clamp(0, index.length(self.clamp));
        self.seek(index.at_axis(now, self.clamp), index);
        self.now = now;
    }

    fn next(&mut self, index: &Index, is: impl Fn(MarkKind) -> bool, word: &str) {
        match index.marks.iter().find(|mark| mark.pos > self.pos && is(mark.kind)) {
            Some(mark) => self.seek(mark.pos, index),
            None => self.message = Some(format!("no further {word}")),
        }
    }

    fn previous(&mut self, index: &Index, is: impl Fn(MarkKind) -> bool, word: &str) {
        match index.marks.iter().rfind(|mark| mark.pos < self.pos && is(mark.kind)) {
            Some(mark) => self.seek(mark.pos, index),
            None => self.message = Some(format!("no earlier {word}")),
        }
    }

    /// The marks that the list shows.
    pub(crate) fn listed<'i>(&self, index: &'i Index) -> Vec<&'i Mark> {
        index.marks.iter().filter(|mark| self.list.shows(mark.kind)).collect()
    }

    /// The row of the list that is chosen, or that the session has reached.
    pub(crate) fn row(&self, listed: &[&Mark]) -> Option<usize> {
        let reached = listed.partition_point(|mark| mark.pos <= self.pos).checked_sub(1);
        self.chosen.map(|row| row.min(listed.len().saturating_sub(1))).or(reached)
    }

    fn choose(&mut self, index: &Index, by: isize) {
        let listed = self.listed(index);
        if let Some(last) = listed.len().checked_sub(1) {
            let row = self.row(&listed).map_or(0, |row| row.saturating_add_signed(by));
            (self.chosen, self.list_open) = (Some(row.min(last)), true);
        }
    }

    fn go_to_chosen(&mut self, index: &Index) {
        let listed = self.listed(index);
        let pos = self.row(&listed).and_then(|row| listed.get(row)).map(|mark| mark.pos);
        if let Some(pos) = pos {
            self.seek(pos, index);
        }
    }

    fn cover_with(&mut self, cover: Cover) {
        let same = std::mem::discriminant(&self.cover) == std::mem::discriminant(&cover);
        self.cover = if same { Cover::None } else { cover };
        self.playing &= self.cover == Cover::None;
    }

    fn close(&mut self) {
        if self.cover == Cover::None {
            (self.list_open, self.hidden, self.zoom, self.chosen) = (false, false, false, None);
        }
        self.cover = Cover::None;
    }
}

/// Where a key scrolls to.
fn scroll(key: Key, row: usize) -> Option<usize> {
    Some(match key {
        Key::Up => row.saturating_sub(1),
        Key::Down => row + 1,
        Key::PageUp => row.saturating_sub(PAGE),
        Key::PageDown => row + PAGE,
        _ => return None,
    })
}

fn is_damage(kind: MarkKind) -> bool {
    matches!(kind, MarkKind::Gap | MarkKind::BadDigest | MarkKind::Anomaly)
}

impl List {
    fn next(self) -> Self {
        match self {
            Self::All => Self::Commands,
            Self::Commands => Self::Findings,
            Self::Findings => Self::Damage,
            Self::Damage => Self::Session,
            Self::Session => Self::Pauses,
            Self::Pauses => Self::All,
        }
    }

    fn shows(self, kind: MarkKind) -> bool {
        match self {
            Self::All => true,
            Self::Commands => kind == MarkKind::Command,
            Self::Findings => kind.level().is_some(),
            Self::Damage => is_damage(kind),
            Self::Session => matches!(kind, MarkKind::Resize | MarkKind::Session),
            Self::Pauses => kind == MarkKind::Pause,
        }
    }

    /// Its title.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::All => "Everything",
            Self::Commands => "Commands",
            Self::Findings => "Findings",
            Self::Damage => "Gaps and damage",
            Self::Session => "Sizes and session",
            Self::Pauses => "Pauses",
        }
    }
}

#[cfg(test)]
mod tests;
