//! What the player looks like. Pure: state in, cells out. Everything that comes from a session is escaped here, so that no
//! recorded control or bidi character ever reaches the analyst's terminal.

mod bar;
mod cover;
mod list;
mod screen;
mod timeline;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthChar as _;
use warden_rules::Level;
use warden_session::screen::Screen;

use super::{Cover, Player};
use crate::index::Index;
use crate::report::{Lines, escape};

/// What is drawn.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// The player.
    pub(crate) player: &'a Player,
    /// The index.
    pub(crate) index: &'a Index,
    /// The screen at the player's position.
    pub(crate) screen: &'a Screen,
    /// The message at the position, if the raw view shows it: what it is, and its bytes.
    pub(crate) raw: Option<&'a Raw>,
    /// Whether colours are wanted.
    pub(crate) color: bool,
}

/// A message for the raw view.
#[derive(Clone, Debug, Default)]
pub(crate) struct Raw {
    /// What it is, in lines.
    pub(crate) head: Vec<String>,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

/// Columns of a list beside the screen.
const LIST: u16 = 34;
/// Rows below which the timeline has one row.
const TALL: u16 = 30;

impl View<'_> {
    /// Draws everything; where the user's cursor belongs, if anywhere.
    pub(crate) fn draw(&self, buffer: &mut Buffer) -> Option<(u16, u16)> {
        let area = *buffer.area();
        if area.width < 20 || area.height < 6 {
            put(buffer, area, 0, "too small a window", Style::default());
            return None;
        }
        if self.player.zoom && self.player.cover == Cover::None {
            let (main, status) = split_bottom(area, 1);
            screen::draw(self, main, buffer);
            return bar::status(self, status, buffer);
        }
        let (title, rest) = split_top(area, 1);
        let (rest, status) = split_bottom(rest, 2);
        let (main, timeline) = split_bottom(rest, if area.height >= TALL { 4 } else { 1 });
        timeline::draw(self, timeline, buffer);
        let shown = self.draw_main(main, buffer);
        bar::title(self, title, &screen::cut(self, shown), buffer);
        bar::status(self, status, buffer)
    }

    /// Draws what is between the bars; the area that the session's screen got.
    fn draw_main(&self, area: Rect, buffer: &mut Buffer) -> Rect {
        match self.player.cover {
            Cover::Help => cover::help(area, buffer),
            Cover::Raw(row) => cover::raw(self, row, area, buffer),
            Cover::None => return self.draw_screen(area, buffer),
        }
        area
    }

    fn draw_screen(&self, area: Rect, buffer: &mut Buffer) -> Rect {
        let hidden = if self.player.hidden { area.height.min(16) / 2 } else { 0 };
        let (area, hidden) = split_bottom(area, hidden);
        let cols = self.screen.size().1;
        let hits = self.player.search.as_ref().is_some_and(|search| search.open);
        let list = match (area.width >= cols.saturating_add(LIST).min(130), hits || self.player.list_open) {
            (true, _) => area.width.saturating_sub(cols).clamp(LIST, 72),
            (false, true) => LIST.min(area.width / 2),
            (false, false) => 0,
        };
        let (area, list) = split_right(area, list);
        screen::draw(self, area, buffer);
        if list.width > 0 {
            list::draw(self, list, buffer);
        }
        if hidden.height > 0 {
            cover::hidden(self, hidden, buffer);
        }
        area
    }

    /// A style with a foreground where colours are wanted, else with what stands for it.
    fn paint(&self, color: Color, instead: Modifier) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new().add_modifier(instead) }
    }

    fn level(&self, level: Level) -> Style {
        match level {
            Level::Critical => {
                self.paint(Color::LightRed, Modifier::BOLD | Modifier::UNDERLINED).add_modifier(Modifier::BOLD)
            }
            Level::High => self.paint(Color::LightRed, Modifier::BOLD),
            Level::Medium => self.paint(Color::Yellow, Modifier::BOLD),
            Level::Low => self.paint(Color::Cyan, Modifier::empty()),
            Level::Informational => self.paint(Color::Gray, Modifier::empty()),
        }
    }
}

/// What matters less.
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
/// What stands out.
const REVERSED: Style = Style::new().add_modifier(Modifier::REVERSED);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

fn split_top(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    let rest = Rect { y: area.y + rows, height: area.height - rows, ..area };
    (Rect { height: rows, ..area }, rest)
}

fn split_bottom(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    split_top(area, area.height - rows)
}

fn split_right(area: Rect, cols: u16) -> (Rect, Rect) {
    let cols = cols.min(area.width);
    let right = Rect { x: area.x + area.width - cols, width: cols, ..area };
    (Rect { width: area.width - cols, ..area }, right)
}

/// Writes text into one row of an area, controls escaped, cut where the area ends; the columns it took.
fn put(buffer: &mut Buffer, area: Rect, row: u16, text: &str, style: Style) -> u16 {
    put_at(buffer, area, (0, row), text, style)
}

/// Writes text at a column and row of an area.
fn put_at(buffer: &mut Buffer, area: Rect, (col, row): (u16, u16), text: &str, style: Style) -> u16 {
    if row >= area.height || col >= area.width {
        return 0;
    }
    let room = area.width - col;
    let mut width = 0;
    let text: String = escape(text, Lines::Show)
        .chars()
        .take_while(|c| {
            width += c.width().unwrap_or(0);
            width <= usize::from(room)
        })
        .collect();
    let (end, _) = buffer.set_stringn(area.x + col, area.y + row, &text, usize::from(room), style);
    end - area.x - col
}

/// Fills an area with blanks of one style.
fn fill(buffer: &mut Buffer, area: Rect, style: Style) {
    for row in area.top()..area.bottom() {
        for col in area.left()..area.right() {
            if let Some(cell) = buffer.cell_mut((col, row)) {
                cell.reset();
                cell.set_style(style);
            }
        }
    }
}
