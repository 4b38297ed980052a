//! What a screen shows, cell by cell, and how it differs from the screen before.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Value, json};
use warden_session::screen::{self, Changes, Color, Screen};

use crate::report::{Lines, escape};

/// How a cell looks. The colours are CSS, so that the viewer needs no palette of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Style {
    /// Colour of the text; `None` is the terminal's own.
    pub(super) front: Option<String>,
    /// Colour behind it.
    pub(super) back: Option<String>,
    /// Names that the style sheet knows: `bold`, `dim`, `italic`, `underline`, `inverse`, `concealed`.
    pub(super) names: Vec<&'static str>,
}

impl Style {
    fn of(style: screen::Style) -> Self {
        let names = [
            (style.bold, "bold"),
            (style.dim, "dim"),
            (style.italic, "italic"),
            (style.underline, "underline"),
            (style.inverse, "inverse"),
            (style.concealed, "concealed"),
        ];
        let names = names.into_iter().filter(|(on, _)| *on).map(|(_, name)| name).collect();
        Self { front: css(style.fg), back: css(style.bg), names }
    }

    fn to_json(&self) -> Value {
        let mut style = json!({});
        if let Some(front) = &self.front {
            style["f"] = json!(front);
        }
        if let Some(back) = &self.back {
            style["b"] = json!(back);
        }
        for name in &self.names {
            style[*name] = json!(1);
        }
        style
    }
}

/// Every style that a session used, by number; 0 is the terminal's own.
#[derive(Debug)]
pub(super) struct Styles {
    numbers: HashMap<Style, u32>,
    all: Vec<Style>,
}

/// Styles told apart; true-colour gradients could ask for any number.
const MAX_STYLES: usize = 4096;

impl Default for Styles {
    fn default() -> Self {
        Self { numbers: HashMap::from([(Style::default(), 0)]), all: vec![Style::default()] }
    }
}

impl Styles {
    /// The number of a style. Beyond [`MAX_STYLES`] a new one is shown as plain text.
    pub(super) fn number(&mut self, style: Style) -> u32 {
        if let Some(number) = self.numbers.get(&style) {
            return *number;
        }
        if self.all.len() >= MAX_STYLES {
            return 0;
        }
        let number = u32::try_from(self.all.len()).unwrap_or(0);
        self.all.push(style.clone());
        self.numbers.insert(style, number);
        number
    }

    /// The table that the viewer reads.
    pub(super) fn to_json(&self) -> Value {
        self.all.iter().map(Style::to_json).collect()
    }
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// Its character; a blank in the right half of a wide one.
    pub(super) first: char,
    /// Character and combining characters, if it has any.
    pub(super) all: Option<Box<str>>,
    /// Number of its style.
    pub(super) style: u32,
    /// Columns: 0 for the right half of a wide character.
    pub(super) width: u8,
}

impl Cell {
    fn blank() -> Self {
        Self { first: ' ', all: None, style: 0, width: 1 }
    }

    fn is_blank(&self) -> bool {
        self.style == 0 && self.width == 1 && self.first == ' ' && self.all.is_none()
    }
}

/// A screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grid {
    /// Width.
    pub(super) cols: u16,
    /// Rows of `cols` cells; screens share those that stay as they are.
    pub(super) rows: Vec<Rc<[Cell]>>,
    /// Row and column of the cursor, and whether it shows.
    pub(super) cursor: (u16, u16, bool),
    /// Window title.
    pub(super) title: String,
}

impl Grid {
    /// What a screen shows now, which changed so since it showed `before`.
    pub(super) fn of(screen: &Screen, styles: &mut Styles, before: &Self, changes: &Changes) -> Self {
        let (rows, cols) = screen.size();
        let cursor = screen.cursor();
        let kept = |row: u16| {
            let is_kept = before.cols == cols && before.rows.len() == usize::from(rows) && !changes.rows.contains(&row);
            before.rows.get(usize::from(row) + usize::from(changes.scrolled)).filter(|_| is_kept).cloned()
        };
        let mut last = (screen::Style::default(), 0);
        let mut row = |row| kept(row).unwrap_or_else(|| cells(screen, row, styles, &mut last));
        let rows = (0..rows).map(&mut row).collect();
        let col = cursor.col.min(cols.saturating_sub(1));
        Self { cols, rows, cursor: (cursor.row, col, cursor.visible), title: escape(screen.title(), Lines::Show) }
    }

    /// Operations that lead from `before` to this screen, as the viewer reads them (`screen.js` says how).
    pub(super) fn changes(&self, before: &Self) -> Vec<Value> {
        let mut out = Vec::new();
        if before.cols != self.cols || before.rows.len() != self.rows.len() {
            return self.whole();
        }
        let mut known = before.rows.clone();
        if let Some((top, bottom, count)) = self.scrolled(&known) {
            out.push(json!([1, top, bottom, count]));
            if let Some(region) = known.get_mut(top..=bottom) {
                region.rotate_left(count);
                let blank = Rc::from(vec![Cell::blank(); usize::from(self.cols)]);
                region.iter_mut().rev().take(count).for_each(|row| row.clone_from(&blank));
            }
        }
        for (at, (row, before)) in self.rows.iter().zip(&known).enumerate() {
            row_changes(at, row, before, &mut out);
        }
        self.push_state(before.cursor, &before.title, &mut out);
        out
    }

    /// Operations that paint this screen whatever was there before.
    pub(super) fn whole(&self) -> Vec<Value> {
        let mut out = vec![json!([0, self.cols, self.rows.len()])];
        let blank = vec![Cell::blank(); usize::from(self.cols)];
        for (at, row) in self.rows.iter().enumerate() {
            row_changes(at, row, &blank, &mut out);
        }
        out.push(json!([5, self.title]));
        self.push_state((u16::MAX, 0, false), &self.title, &mut out);
        out
    }

    fn push_state(&self, cursor: (u16, u16, bool), title: &str, out: &mut Vec<Value>) {
        if self.cursor != cursor {
            let (row, col, shown) = self.cursor;
            out.push(json!([4, row, col, u8::from(shown)]));
        }
        if self.title != title {
            out.push(json!([5, self.title]));
        }
    }

    /// The move that explains most rows: top, bottom and how far up, if it explains more than leaving them in place.
    fn scrolled(&self, before: &[Rc<[Cell]>]) -> Option<(usize, usize, usize)> {
        let same = |at: usize, from: usize| self.rows.get(at).is_some_and(|row| Some(row) == before.get(from));
        let differs: Vec<usize> = (0..self.rows.len()).filter(|at| !same(*at, *at)).collect();
        let (top, bottom) = (*differs.first()?, *differs.last()?);
        let worth = |count: usize| (top..=bottom - count).filter(|at| same(*at, at + count) && !same(*at, *at)).count();
        let best = (1..=bottom - top)
            .map(|count| (worth(count), count))
            .max_by_key(|(worth, count)| (*worth, usize::MAX - count))?;
        (best.0 >= 2).then_some((top, bottom, best.1))
    }
}

/// The cells of a row. `last` is the style met last, and its number.
fn cells(screen: &Screen, row: u16, styles: &mut Styles, last: &mut (screen::Style, u32)) -> Rc<[Cell]> {
    let mut left = 0;
    let cell = |col| {
        let Some(cell) = screen.cell(row, col) else { return Cell::blank() };
        if cell.style != last.0 {
            *last = (cell.style, styles.number(Style::of(cell.style)));
        }
        let mut characters = cell.text.chars();
        let first = characters.next().unwrap_or(' ');
        let all = characters.next().map(|_| Box::from(cell.text));
        let width = if cell.continuation { 0 } else { 1 + u8::from(cell.wide) };
        // The right half of a wide character looks like its left half, whatever was there before.
        left = if cell.continuation { left } else { last.1 };
        Cell { first, all, style: left, width }
    };
    (0..screen.size().1).map(cell).collect()
}

/// Paints the cells between the first and the last that differ.
fn row_changes(at: usize, row: &[Cell], before: &[Cell], out: &mut Vec<Value>) {
    let differs = |col: &usize| row.get(*col) != before.get(*col);
    let Some(mut first) = (0..row.len()).find(differs) else { return };
    // A wide character is painted from its left half on.
    while first > 0 && row.get(first).is_some_and(|cell| cell.width == 0) {
        first -= 1;
    }
    let last = (0..row.len()).rev().find(differs).unwrap_or(first);
    let end = row.iter().rposition(|cell| !cell.is_blank()).map_or(0, |col| col + 1);
    if last >= end && first < end || end <= first {
        let clear = json!([3, at, end.max(first)]);
        if end > first {
            out.push(put(at, first, row.get(first..end).unwrap_or_default()));
        }
        out.push(clear);
    } else {
        out.push(put(at, first, row.get(first..=last).unwrap_or_default()));
    }
}

fn put(row: usize, col: usize, cells: &[Cell]) -> Value {
    let mut op = vec![json!(2), json!(row), json!(col)];
    let mut run: Option<(String, u32)> = None;
    let flush = |run: &mut Option<(String, u32)>, op: &mut Vec<Value>| {
        if let Some((text, style)) = run.take() {
            op.extend([json!(text), json!(style)]);
        }
    };
    for cell in cells.iter().filter(|cell| cell.width > 0) {
        if cell.width > 1 || cell.all.is_some() {
            flush(&mut run, &mut op);
            let text = cell.all.as_deref().map_or_else(|| cell.first.to_string(), ToOwned::to_owned);
            op.extend([json!([cell.width, text]), json!(cell.style)]);
        } else if let Some((text, _)) = run.as_mut().filter(|(_, style)| *style == cell.style) {
            text.push(cell.first);
        } else {
            flush(&mut run, &mut op);
            run = Some((cell.first.to_string(), cell.style));
        }
    }
    flush(&mut run, &mut op);
    Value::Array(op)
}

/// A colour as the style sheet's palette names it, or as it is.
fn css(color: Color) -> Option<String> {
    match color {
        Color::Default => None,
        Color::Rgb(red, green, blue) => Some(format!("#{red:02x}{green:02x}{blue:02x}")),
        Color::Indexed(index) => Some(match index {
            0..=15 => PALETTE.get(usize::from(index)).copied().unwrap_or_default().to_owned(),
            16..=231 => {
                let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
                let step = index - 16;
                format!("#{:02x}{:02x}{:02x}", level(step / 36), level(step / 6 % 6), level(step % 6))
            }
            _ => {
                let grey = 8 + 10 * (index - 232);
                format!("#{grey:02x}{grey:02x}{grey:02x}")
            }
        }),
    }
}

/// The sixteen colours, chosen to be read on a dark screen.
const PALETTE: [&str; 16] = [
    "#2e3440", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d8dee9", "#6b7689", "#ff7b86",
    "#b5e890", "#ffd98a", "#82c4ff", "#dd95f5", "#7fdbe6", "#ffffff",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the viewer makes of operations: `screen.js` in Rust.
    fn apply(cells: &mut Vec<Vec<(String, u64, u64)>>, cols: &mut usize, cursor: &mut (u64, u64, bool), ops: &[Value]) {
        let blank = || (" ".to_owned(), 0, 1);
        let number = |op: &Value, at: usize| op[at].as_u64().unwrap();
        let place = |op: &Value, at: usize| usize::try_from(op[at].as_u64().unwrap()).unwrap();
        for op in ops {
            match number(op, 0) {
                0 => {
                    *cols = place(op, 1);
                    *cells = vec![vec![blank(); *cols]; place(op, 2)];
                    *cursor = (0, 0, false);
                }
                1 => {
                    let region = &mut cells[place(op, 1)..=place(op, 2)];
                    region.rotate_left(place(op, 3));
                    region.iter_mut().rev().take(place(op, 3)).for_each(|row| *row = vec![blank(); *cols]);
                }
                2 => {
                    let (row, mut col) = (place(op, 1), place(op, 2));
                    for pair in op.as_array().unwrap()[3..].chunks(2) {
                        let style = pair[1].as_u64().unwrap();
                        let parts: Vec<(String, u64)> = match &pair[0] {
                            Value::Array(parts) => {
                                let width = parts[0].as_u64().unwrap();
                                parts[1..].iter().map(|part| (part.as_str().unwrap().to_owned(), width)).collect()
                            }
                            text => text.as_str().unwrap().chars().map(|c| (c.to_string(), 1)).collect(),
                        };
                        for (text, width) in parts {
                            cells[row][col] = (text, style, width);
                            if width == 2 {
                                cells[row][col + 1] = (String::new(), style, 0);
                            }
                            col += usize::try_from(width).unwrap();
                        }
                    }
                }
                3 => cells[place(op, 1)][place(op, 2)..].fill(blank()),
                4 => *cursor = (number(op, 1), number(op, 2), number(op, 3) == 1),
                _ => {}
            }
        }
    }

    fn seen(grid: &Grid) -> Vec<Vec<(String, u64, u64)>> {
        let cell = |cell: &Cell| {
            let text = cell.all.as_deref().map_or_else(|| cell.first.to_string(), ToOwned::to_owned);
            (if cell.width == 0 { String::new() } else { text }, u64::from(cell.style), u64::from(cell.width))
        };
        grid.rows.iter().map(|row| row.iter().map(cell).collect()).collect()
    }

    fn output() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[a-c ]{1,12}",
            2 => prop::sample::select(vec!["日", "😀本", "e\u{301}", "日\u{8}x", "\u{8}日"]).prop_map(str::to_owned),
            2 => prop::sample::select(vec!["\r\n", "\n", "\r", "\u{1b}[K", "\u{1b}[1K", "\u{1b}[2J", "\u{1b}[H", "\u{1b}M", "\u{1b}[2;4r", "\u{1b}[3L", "\u{1b}[2M", "\u{1b}[3P", "\u{1b}[2@"]).prop_map(str::to_owned),
            1 => (0u8..48).prop_map(|sgr| format!("\u{1b}[{sgr}m")),
            1 => (1u8..8, 1u8..12).prop_map(|(row, col)| format!("\u{1b}[{row};{col}H")),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn changes_lead_to_the_screen(outputs in prop::collection::vec(output(), 1..8), cols in 2u16..14, rows in 1u16..7) {
            let (mut screen, mut styles, mut before) = (Screen::new(rows, cols), Styles::default(), Grid::default());
            let (mut cells, mut width, mut cursor) = (Vec::new(), 0, (0, 0, false));
            for output in outputs {
                screen.feed(output.as_bytes(), &mut |_| {});
                let changes = screen.take_changes();
                let grid = Grid::of(&screen, &mut styles, &before, &changes);
                prop_assert_eq!(&grid, &Grid::of(&screen, &mut styles, &Grid::default(), &Changes::default()));
                apply(&mut cells, &mut width, &mut cursor, &grid.changes(&before));
                prop_assert_eq!(&cells, &seen(&grid));
                prop_assert_eq!(cursor, (u64::from(grid.cursor.0), u64::from(grid.cursor.1), grid.cursor.2));
                before = grid;
            }
        }
    }
}
