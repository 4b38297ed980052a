//! Concealed text (SGR 8), which the emulator knows no attribute for.

use super::Machine;
use crate::scan::Params;

impl Machine {
    /// The emulator has no attribute for concealed text: such text is given a colour that stands for it.
    pub(super) fn graphics(&mut self, params: &Params, raw: &[u8]) {
        if self.concealed && !resets(params) {
            // Its real foreground comes back when it is shown again.
            self.emulator.process(b"\x1b[39m");
        }
        self.emulator.process(raw);
        self.concealed = conceals(params.as_slice()).unwrap_or(self.concealed);
        if self.concealed {
            self.emulator.process(CONCEALED_SGR);
        } else if self.screen().fgcolor() == CONCEALED {
            self.emulator.process(b"\x1b[39m");
        }
    }

    /// A cursor that was restored brings its attributes with it.
    pub(super) fn settle_concealed(&mut self) {
        self.concealed = self.screen().fgcolor() == CONCEALED;
    }
}

fn resets(params: &Params) -> bool {
    params.as_slice().first().is_none_or(|first| *first == 0)
}

/// What an SGR says about concealment, if anything.
fn conceals(params: &[u16]) -> Option<bool> {
    let mut said = if params.is_empty() { Some(false) } else { None };
    let mut rest = params.iter();
    while let Some(param) = rest.next() {
        match param {
            0 | 28 => said = Some(false),
            8 => said = Some(true),
            // A colour's own parameters.
            38 | 48 | 58 => match rest.next() {
                Some(5) => drop(rest.next()),
                Some(2) => drop(rest.by_ref().nth(2)),
                _ => {}
            },
            _ => {}
        }
    }
    said
}

/// The foreground that stands for concealed text: a dark that nobody can read either.
pub(super) const CONCEALED: vt100::Color = vt100::Color::Rgb(1, 0, 2);
const CONCEALED_SGR: &[u8] = b"\x1b[38;2;1;0;2m";
