use warden_rules::Level;

use super::MarkKind;

/// Marks of one session.
pub(super) const MAX_MARKS: usize = 200_000;
/// Hidden texts of one session.
pub(super) const MAX_HIDDEN: usize = 50_000;

impl MarkKind {
    /// The kind in a word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Finding(_) => "finding",
            Self::Resize => "resize",
            Self::Gap => "gap",
            Self::Pause => "pause",
            Self::BadDigest => "bad digest",
            Self::Anomaly => "anomaly",
            Self::Session => "session",
        }
    }

    /// The level of a finding.
    pub(crate) fn level(self) -> Option<Level> {
        if let Self::Finding(level) = self { Some(level) } else { None }
    }
}

/// A length of time in words that are short: `0.3s`, `12s`, `3m05s`, `2h07m`, `3d02h`.
pub(crate) fn duration(micros: i64) -> String {
    let seconds = micros.max(0) / 1_000_000;
    match seconds {
        0..10 => format!("{}.{}s", seconds, micros.max(0) % 1_000_000 / 100_000),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// Finds input that the terminal did not show. What was typed is held until it is entered, and never handed on.
#[derive(Default)]
pub(super) struct Unechoed {
    typed: Vec<u8>,
    bytes: u64,
    entered: bool,
    echoed: bool,
}

impl std::fmt::Debug for Unechoed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unechoed").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Bytes of a line of input that are compared with what is shown.
const MAX_TYPED: usize = 256;

impl Unechoed {
    /// The client sent this.
    pub(super) fn input(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.entered {
                *self = Self::default();
            }
            match byte {
                b'\r' | b'\n' => self.entered = true,
                0x03 | 0x15 => *self = Self::default(),
                0x20.. => {
                    self.bytes += 1;
                    if self.typed.len() < MAX_TYPED {
                        self.typed.push(byte);
                    }
                }
                // Keys that a program answers in its own way: nothing can be said.
                _ => self.echoed = true,
            }
        }
    }

    /// The terminal shows this: the length of a line that was entered without being shown.
    pub(super) fn output(&mut self, bytes: &[u8]) -> Option<u64> {
        if self.bytes == 0 {
            *self = if self.entered { Self::default() } else { std::mem::take(self) };
            return None;
        }
        let line = if self.entered { bytes.split(|byte| *byte == b'\n').next().unwrap_or_default() } else { bytes };
        self.echoed |= line.iter().any(|byte| *byte > 0x20 && self.typed.contains(byte));
        if !self.entered {
            return None;
        }
        let Self { bytes, echoed, .. } = std::mem::take(self);
        (!echoed).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_that_is_not_shown_is_found() {
        type Turn = (bool, &'static str);
        let rows: &[(&str, &[Turn], Option<u64>)] = &[
            ("echoed", &[(true, "l"), (false, "l"), (true, "\r"), (false, "\r\nx")], None),
            ("echoed late", &[(true, "ls\r"), (false, "ls\r\nx")], None),
            ("password", &[(true, "pw1"), (true, "\r"), (false, "\r\nok")], Some(3)),
            ("password, output meanwhile", &[(true, "zq"), (false, "- -"), (true, "\r"), (false, "\r\n")], Some(2)),
            ("given up", &[(true, "zq\x03"), (false, "^C\r\n")], None),
            ("Enter alone", &[(true, "\r"), (false, "\r\n$ ")], None),
            ("completion", &[(true, "c\t"), (true, "\r"), (false, "\r\n")], None),
        ];
        for (name, turns, wanted) in rows {
            let mut unechoed = Unechoed::default();
            let mut found = None;
            for (is_input, text) in *turns {
                if *is_input {
                    unechoed.input(text.as_bytes());
                } else {
                    found = unechoed.output(text.as_bytes()).or(found);
                }
            }
            assert_eq!(found, *wanted, "{name}");
        }
    }

    #[test]
    fn durations_are_short() {
        let rows =
            [(300_000, "0.3s"), (12_000_000, "12s"), (185_000_000, "3m05s"), (7_620_000_000, "2h07m"), (-1, "0.0s")];
        for (micros, wanted) in rows {
            assert_eq!(duration(micros), wanted);
        }
    }
}
