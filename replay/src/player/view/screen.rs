use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use warden_session::screen::{self, Cell};

use super::{DIM, View, put_at};

/// Draws the session's screen, as much of it as there is room for: the part that the cursor is in.
pub(super) fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let (rows, cols) = view.screen.size();
    let cursor = view.screen.cursor();
    let (top, left) = corner(view, area);
    for row in 0..area.height.min(rows - top) {
        for col in 0..area.width.min(cols - left) {
            let Some(cell) = view.screen.cell(top + row, left + col) else { continue };
            if let Some(target) = buffer.cell_mut((area.x + col, area.y + row)) {
                paint(view, cell, target, col + 1 >= area.width);
            }
        }
    }
    if cursor.visible && cursor.row >= top {
        let at = (area.x + cursor.col.min(cols - 1).saturating_sub(left), area.y + cursor.row - top);
        let is_inside = at.0 < area.right() && at.1 < area.bottom();
        if let Some(target) = buffer.cell_mut(at).filter(|_| is_inside) {
            target.modifier.toggle(Modifier::REVERSED);
        }
    }
    highlight(view, area, (top, left), buffer);
    frame(view, area, buffer);
}

/// The last row in which there is something.
fn last_used(view: &View<'_>) -> u16 {
    (0..view.screen.size().0).rev().find(|row| !view.screen.row(*row).is_empty()).unwrap_or(0)
}

/// Shows where the screen ends.
fn frame(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let (rows, cols) = view.screen.size();
    if cols < area.width {
        for row in 0..rows.min(area.height) {
            put_at(buffer, area, (cols, row), "│", DIM);
        }
    }
    if rows < area.height {
        put_at(buffer, area, (0, rows), &"─".repeat(usize::from(cols.min(area.width))), DIM);
        if cols < area.width {
            put_at(buffer, area, (cols, rows), "┘", DIM);
        }
        put_at(buffer, area, (1, rows), &format!(" {cols}x{rows} "), DIM);
    }
}

/// Which part of the screen there is room for; nothing if it is all of it.
pub(super) fn cut(view: &View<'_>, area: Rect) -> String {
    let (rows, cols) = view.screen.size();
    let (top, left) = corner(view, area);
    let of_rows = (rows > area.height).then(|| format!(" rows {}-{}", top + 1, top + area.height));
    let of_cols = (cols > area.width).then(|| format!(" columns {}-{}", left + 1, left + area.width));
    let parts = of_rows.unwrap_or_default() + &of_cols.unwrap_or_default();
    if parts.is_empty() { parts } else { format!(" {parts} of") }
}

/// The first row and column that are shown.
fn corner(view: &View<'_>, area: Rect) -> (u16, u16) {
    let (rows, cols) = view.screen.size();
    let cursor = view.screen.cursor();
    let first =
        |side: u16, room: u16, at: u16| at.saturating_add(1).saturating_sub(room).min(side.saturating_sub(room));
    let row = last_used(view).max(cursor.row).min(cursor.row.saturating_add(area.height / 2));
    (first(rows, area.height, row), first(cols, area.width, cursor.col.min(cols.saturating_sub(1))))
}

/// Marks what a search found.
fn highlight(view: &View<'_>, area: Rect, (top, left): (u16, u16), buffer: &mut Buffer) {
    let Some(search) = &view.player.search else { return };
    for row in 0..area.height.min(view.screen.size().0.saturating_sub(top)) {
        let text = view.screen.row(top + row);
        for found in search.pattern.find_iter(&text).filter(|found| !found.is_empty()) {
            let columns = |end: usize| text.get(..end).map_or(0, |text| u16::try_from(width(text)).unwrap_or(u16::MAX));
            for col in columns(found.start())..columns(found.end()) {
                let col = col.wrapping_sub(left);
                if let Some(cell) =
                    buffer.cell_mut((area.x.saturating_add(col), area.y + row)).filter(|_| col < area.width)
                {
                    let found =
                        if view.color { Style::new().fg(Color::Black).bg(Color::Yellow) } else { super::REVERSED };
                    cell.set_style(found);
                }
            }
        }
    }
}

fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

fn paint(view: &View<'_>, cell: Cell<'_>, target: &mut ratatui::buffer::Cell, is_last: bool) {
    if cell.continuation {
        // The character before covers it.
        target.set_symbol("");
        return;
    }
    let concealed = cell.style.concealed && !view.player.hidden;
    let (mut shown, mut dropped) = (String::new(), false);
    for c in cell.text.chars().filter(|_| !concealed) {
        if is_plain(c) {
            shown.push(c);
        } else {
            dropped = true;
        }
    }
    // Half of a wide character has no room at the edge.
    if shown.is_empty() || (cell.wide && is_last) {
        shown = String::from(" ");
    }
    target.set_symbol(&shown);
    target.set_style(style(view, &cell.style));
    if dropped || (cell.style.concealed && view.player.hidden) {
        target.set_style(view.paint(Color::LightMagenta, Modifier::UNDERLINED).add_modifier(Modifier::REVERSED));
    }
}

/// Whether a character may stand on the analyst's terminal: no control, and nothing that reorders or hides text.
fn is_plain(c: char) -> bool {
    let mut buffer = [0; 4];
    let text = c.encode_utf8(&mut buffer);
    crate::report::escape(text, crate::report::Lines::Show) == *text
}

fn style(view: &View<'_>, from: &screen::Style) -> Style {
    let mut style = Style::default();
    if view.color {
        style = style.fg(color(from.fg)).bg(color(from.bg));
    }
    let modifiers = [
        (from.bold, Modifier::BOLD),
        (from.dim, Modifier::DIM),
        (from.italic, Modifier::ITALIC),
        (from.underline, Modifier::UNDERLINED),
        (from.inverse, Modifier::REVERSED),
    ];
    modifiers.into_iter().filter(|(on, _)| *on).fold(style, |style, (_, modifier)| style.add_modifier(modifier))
}

fn color(color: screen::Color) -> Color {
    match color {
        screen::Color::Default => Color::Reset,
        screen::Color::Indexed(index) => Color::Indexed(index),
        screen::Color::Rgb(red, green, blue) => Color::Rgb(red, green, blue),
    }
}
