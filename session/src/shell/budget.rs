//! What reading one text may cost.

/// Counts down steps and depth; every part of the reading draws on the same one.
#[derive(Debug)]
pub(super) struct Budget {
    steps: usize,
    /// Steps that repetition may not touch, so that a loop never keeps what follows it from being read.
    reserve: usize,
    depth: usize,
    /// A limit was reached and something was left out.
    pub(super) cut: bool,
}

impl Budget {
    pub(super) fn new(steps: usize, depth: usize) -> Self {
        Self { steps, reserve: steps / 2, depth, cut: false }
    }

    /// Pays for work; false once nothing is left.
    pub(super) fn spend(&mut self, steps: usize) -> bool {
        self.steps = self.steps.saturating_sub(steps);
        self.cut |= self.steps == 0;
        self.steps > 0
    }

    /// Pays for work beyond one reading of the text (another round of a loop, a long value); false at the reserve.
    pub(super) fn burn(&mut self, steps: usize) -> bool {
        let left = self.steps.saturating_sub(steps);
        if left < self.reserve {
            self.cut = true;
            return false;
        }
        self.steps = left;
        true
    }

    /// Goes one level deeper; false (and nothing to leave) at the limit.
    pub(super) fn enter(&mut self) -> bool {
        self.cut |= self.depth == 0;
        let deeper = self.depth.checked_sub(1);
        self.depth = deeper.unwrap_or(0);
        deeper.is_some()
    }

    pub(super) fn leave(&mut self) {
        self.depth += 1;
    }

    /// Where in the text after `((` the closing `))` stands, if it does and the parentheses between are balanced.
    pub(super) fn arithmetic_end(&mut self, inside: &str) -> Option<usize> {
        let mut open = 0_usize;
        let bytes = inside.as_bytes();
        for (at, byte) in bytes.iter().enumerate().take(MAX_ARITHMETIC) {
            match byte {
                b'(' => open += 1,
                b')' if open > 0 => open -= 1,
                b')' => {
                    self.spend(at);
                    return (bytes.get(at + 1) == Some(&b')')).then_some(at);
                }
                _ => {}
            }
        }
        self.spend(MAX_ARITHMETIC.min(bytes.len()));
        None
    }
}

/// Longest arithmetic expression that is read, in bytes.
const MAX_ARITHMETIC: usize = 4096;
