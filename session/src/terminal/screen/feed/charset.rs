/// Which of a terminal's two character sets are DEC line drawing, and which one is in use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Charsets {
    draws: (bool, bool),
    shifted: bool,
}

impl Charsets {
    /// `ESC ( x` and `ESC ) x`; `0` is line drawing.
    pub(super) fn designate(&mut self, second: bool, set: u8) {
        let slot = if second { &mut self.draws.1 } else { &mut self.draws.0 };
        *slot = set == b'0';
    }

    /// SO and SI.
    pub(super) fn shift(&mut self, out: bool) {
        self.shifted = out;
    }

    /// Whether what is printed now is line drawing.
    pub(super) fn draws_lines(self) -> bool {
        if self.shifted { self.draws.1 } else { self.draws.0 }
    }
}

/// DEC Special Graphics (VT100 User Guide, table 3-9).
pub(super) fn line_drawing(c: char) -> char {
    let at = u32::from(c).wrapping_sub(0x60) as usize;
    LINE_DRAWING.get(at).copied().unwrap_or(c)
}

const LINE_DRAWING: [char; 31] = [
    '◆', '▒', '␉', '␌', '␍', '␊', '°', '±', '␤', '␋', '┘', '┐', '┌', '└', '┼', '⎺', '⎻', '─', '⎼', '⎽', '├', '┤', '┴',
    '┬', '│', '≤', '≥', 'π', '≠', '£', '·',
];
