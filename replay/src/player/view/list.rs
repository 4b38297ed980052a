use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::{BOLD, DIM, REVERSED, View, fill, put, put_at};
use crate::index::{Mark, MarkKind, duration};
use crate::player::Search;

/// Draws the list of marks, or the hits of a search.
pub(super) fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    fill(buffer, area, Style::default());
    for row in 0..area.height {
        put(buffer, area, row, "│", DIM);
    }
    let area = Rect { x: area.x + 1, width: area.width - 1, ..area };
    match view.player.search.as_ref().filter(|search| search.open) {
        Some(search) => hits(view, search, area, buffer),
        None => marks(view, area, buffer),
    }
}

fn marks(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let listed = view.player.listed(view.index);
    let row = view.player.row(&listed);
    let place = row.map_or(0, |row| row + 1);
    let title = format!(" {} {place}/{}", view.player.list.title(), listed.len());
    put(buffer, area, 0, &title, BOLD);
    let tab = "Tab ";
    put_at(buffer, area, (area.width.saturating_sub(4), 0), tab, DIM);
    if listed.is_empty() {
        put(buffer, area, 1, " nothing", DIM);
    }
    let room = usize::from(area.height.saturating_sub(1));
    let first = first_row(row.unwrap_or(0), listed.len(), room);
    for (at, mark) in listed.iter().enumerate().skip(first).take(room) {
        let line = u16::try_from(at - first + 1).unwrap_or(u16::MAX);
        let is_ahead = mark.pos > view.player.pos;
        let mut style = style_of(view, mark);
        if is_ahead {
            style = style.add_modifier(Modifier::DIM);
        }
        if Some(at) == row {
            style = style.add_modifier(Modifier::REVERSED);
        }
        let time = time_of(view, mark.pos);
        put(buffer, area, line, &" ".repeat(usize::from(area.width)), if Some(at) == row { REVERSED } else { DIM });
        put(buffer, area, line, &format!("{time:>7} {}", sign(mark)), style);
        put_at(buffer, area, (10, line), &mark.text, style);
    }
}

fn hits(view: &View<'_>, search: &Search, area: Rect, buffer: &mut Buffer) {
    put(buffer, area, 0, &format!(" /{}  {}/{}", search.pattern, search.at + 1, search.hits.len()), BOLD);
    let room = usize::from(area.height.saturating_sub(1));
    let first = first_row(search.at, search.hits.len(), room);
    for (at, hit) in search.hits.iter().enumerate().skip(first).take(room) {
        let line = u16::try_from(at - first + 1).unwrap_or(u16::MAX);
        let time = time_of(view, view.index.at_spool(hit.first));
        let style = if at == search.at { REVERSED } else { Style::default() };
        put(buffer, area, line, &" ".repeat(usize::from(area.width)), style);
        let sign = if hit.hidden { '~' } else { ' ' };
        put(buffer, area, line, &format!("{time:>7} {sign}"), style);
        put_at(buffer, area, (10, line), hit.text.trim_start(), style);
    }
}

/// The first row that is shown, so that the chosen one is among them with some before it.
fn first_row(row: usize, rows: usize, room: usize) -> usize {
    row.saturating_sub(room / 3).min(rows.saturating_sub(room))
}

/// Time since the session began.
fn time_of(view: &View<'_>, pos: usize) -> String {
    let at = pos.checked_sub(1).map_or(0, |last| view.index.axis(last, false));
    duration(at)
}

fn sign(mark: &Mark) -> char {
    match mark.kind {
        MarkKind::Command => '$',
        MarkKind::Finding(_) => '▲',
        MarkKind::Resize => '□',
        MarkKind::Gap => '✂',
        MarkKind::Pause => '…',
        MarkKind::BadDigest => '≠',
        MarkKind::Anomaly => '!',
        MarkKind::Session => '·',
    }
}

fn style_of(view: &View<'_>, mark: &Mark) -> Style {
    match mark.kind {
        MarkKind::Finding(level) => view.level(level),
        MarkKind::Gap | MarkKind::BadDigest | MarkKind::Anomaly => view.paint(Color::LightMagenta, Modifier::BOLD),
        MarkKind::Command => Style::default(),
        MarkKind::Resize | MarkKind::Pause | MarkKind::Session => DIM,
    }
}
