use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::{DIM, View, put_at};
use crate::index::{Mark, MarkKind, part_of};

const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Draws how much was shown when, with a tick for each finding, gap and command, and the place of the player.
pub(super) fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let clamp = view.player.clamp;
    let density = view.index.density(width, clamp);
    let (bars, ticks) = if area.height > 1 { (area.height - 2, area.height - 2) } else { (1, 0) };
    for (col, bytes) in density.iter().enumerate() {
        bar(view, area, bars, (u16::try_from(col).unwrap_or(0), height(*bytes, bars)), buffer);
    }
    let length = view.index.length(clamp).max(1);
    let column = |mark: &Mark| {
        let place = mark.pos.checked_sub(1).map_or(0, |last| view.index.axis(last, clamp));
        u16::try_from(part_of(place, length, width)).unwrap_or(0)
    };
    for rank in [0, 1, 2] {
        for mark in view.index.marks.iter().filter(|mark| rank_of(mark.kind) == Some(rank)) {
            let (sign, style) = tick(view, mark.kind);
            // In one row, commands would hide the density.
            if area.height > 1 || rank > 0 {
                put_at(buffer, area, (column(mark), ticks), sign, style);
            }
        }
    }
    place(view, area, u16::try_from(part_of(view.player.now, length, width)).unwrap_or(0), buffer);
}

/// Marks the player's place.
fn place(view: &View<'_>, area: Rect, col: u16, buffer: &mut Buffer) {
    for row in 0..area.height {
        if let Some(cell) = buffer.cell_mut((area.x + col, area.y + row)) {
            cell.modifier.remove(Modifier::DIM);
            cell.modifier.toggle(Modifier::REVERSED);
        }
    }
    if area.height > 1 {
        let last = area.height - 1;
        let style = view.paint(Color::Green, Modifier::BOLD);
        for before in 0..area.width {
            put_at(
                buffer,
                area,
                (before, last),
                if before < col { "━" } else { "─" },
                if before < col { style } else { DIM },
            );
        }
        put_at(buffer, area, (col, last), "●", style);
    }
}

/// Eighths of a row, of `rows` rows: logarithmic, for a screenful beside a megabyte is still something.
fn height(bytes: u64, rows: u16) -> u16 {
    if bytes == 0 {
        return 0;
    }
    let scale = u64::BITS - bytes.leading_zeros();
    u16::try_from(scale).unwrap_or(0).saturating_mul(8 * rows).div_ceil(24).min(8 * rows)
}

fn bar(view: &View<'_>, area: Rect, rows: u16, (col, eighths): (u16, u16), buffer: &mut Buffer) {
    let style = view.paint(Color::Blue, Modifier::DIM);
    for row in 0..rows {
        let here = eighths.saturating_sub(8 * (rows - 1 - row)).min(8);
        if let Some(bar) = usize::from(here).checked_sub(1).and_then(|at| BARS.get(at)) {
            put_at(buffer, area, (col, row), bar, style);
        }
    }
}

fn rank_of(kind: MarkKind) -> Option<u8> {
    match kind {
        MarkKind::Command => Some(0),
        MarkKind::Gap | MarkKind::BadDigest | MarkKind::Anomaly => Some(1),
        MarkKind::Finding(_) => Some(2),
        MarkKind::Resize | MarkKind::Pause | MarkKind::Session => None,
    }
}

fn tick(view: &View<'_>, kind: MarkKind) -> (&'static str, Style) {
    match kind {
        MarkKind::Finding(level) => ("▲", view.level(level)),
        MarkKind::Command => ("╵", DIM),
        _ => ("!", view.paint(Color::LightMagenta, Modifier::BOLD)),
    }
}
