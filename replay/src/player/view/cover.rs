use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::{BOLD, DIM, View, fill, put, put_at};

const KEYS: [(&str, &str); 24] = [
    ("space", "play, pause"),
    ("n  p", "next, previous command"),
    ("f  F", "next, previous finding"),
    ("g  G", "next, previous gap or damage"),
    (".  ,", "one moment on, back"),
    ("← →", "5 seconds back, on"),
    ("Home End", "beginning, end"),
    ("+  -", "faster, slower (0.25x to 64x)"),
    ("i", "waits in full, or cut to 2 s"),
    ("", ""),
    ("/", "search all that was ever shown"),
    ("n  N", "next, previous hit; Esc ends"),
    (":12.5  :1:02", "go to a time since the start"),
    (":13:02:11", "go to a time of day (UTC)"),
    (":@1234", "go to a byte of the output"),
    ("", ""),
    ("Tab", "list: commands, findings, …"),
    ("↑ ↓ Enter", "choose in the list, go there"),
    ("l", "list on, off (narrow windows)"),
    ("h", "hidden and overwritten text"),
    ("x", "message in hexadecimal (secrets!)"),
    ("z", "screen without the rest"),
    ("?", "this help"),
    ("q", "quit"),
];

/// Draws the keys.
pub(super) fn help(area: Rect, buffer: &mut Buffer) {
    fill(buffer, area, Style::default());
    put(buffer, area, 0, " Keys", BOLD);
    let rows = KEYS.len().div_ceil(if usize::from(area.height) > KEYS.len() { 1 } else { 2 });
    for (at, (keys, what)) in KEYS.iter().enumerate() {
        let col = u16::try_from(at / rows).unwrap_or(0) * 40;
        let row = u16::try_from(at % rows + 2).unwrap_or(u16::MAX);
        let right = format!("{keys:>13}");
        put_at(buffer, area, (col, row), &right, BOLD);
        put_at(
            buffer,
            area,
            (col + 1 + u16::try_from(right.chars().count()).unwrap_or(9), row),
            what,
            Style::default(),
        );
    }
}

/// Draws a message in hexadecimal.
pub(super) fn raw(view: &View<'_>, first: usize, area: Rect, buffer: &mut Buffer) {
    fill(buffer, area, Style::default());
    let Some(raw) = view.raw else {
        put(buffer, area, 0, " nothing here", DIM);
        return;
    };
    let hex = raw.bytes.chunks(16).enumerate().map(|(at, chunk)| hex_row(at * 16, chunk));
    let head = raw.head.iter().cloned();
    for (row, (at, line)) in head.chain(hex).enumerate().skip(first).take(usize::from(area.height)).enumerate() {
        let style = if at < raw.head.len() { BOLD } else { Style::default() };
        put(buffer, area, u16::try_from(row).unwrap_or(u16::MAX), &line, style);
    }
}

fn hex_row(at: usize, bytes: &[u8]) -> String {
    let mut row = format!(" {at:06x} ");
    for column in 0..16 {
        let gap = if column == 8 { " " } else { "" };
        let _ = match bytes.get(column) {
            Some(byte) => write!(row, "{gap} {byte:02x}"),
            None => write!(row, "{gap}   "),
        };
    }
    row.push_str("  ");
    row.extend(bytes.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '·' }));
    row
}

/// Draws what was hidden up to the place, the latest last.
pub(super) fn hidden(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    fill(buffer, area, Style::default());
    let before = view.index.hidden.partition_point(|hidden| hidden.pos <= view.player.pos);
    let title =
        format!("── hidden, overwritten or not echoed: {before} up to here, {} in all ", view.index.hidden.len());
    put(buffer, area, 0, &"─".repeat(usize::from(area.width)), DIM);
    put(buffer, area, 0, &title, view.paint(Color::LightMagenta, Modifier::BOLD));
    let room = usize::from(area.height.saturating_sub(1));
    let shown = view.index.hidden.get(before.saturating_sub(room)..before).unwrap_or_default();
    for (row, hidden) in shown.iter().enumerate() {
        let row = u16::try_from(row + 1).unwrap_or(u16::MAX);
        let text = format!(" @{:<9} {:<11} {}", hidden.offset, hidden.word, hidden.text);
        let here = hidden.pos == view.player.pos;
        put(buffer, area, row, &text, if here { view.paint(Color::LightMagenta, Modifier::BOLD) } else { DIM });
    }
}
