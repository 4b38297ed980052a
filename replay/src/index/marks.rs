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

/// Finds input that the terminal did not show. What was typed is held until that is known, and never handed on.
///
/// A line was shown if what the terminal printed, from its first key to the line end behind Enter, has its characters in
/// order.
#[derive(Default)]
pub(super) struct Unechoed {
    typed: Vec<u8>,
    bytes: u64,
    shown: Vec<u8>,
    entered: bool,
    /// A key was pressed that programs answer in ways of their own: nothing can be said of this line.
    unsure: bool,
}

impl std::fmt::Debug for Unechoed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unechoed").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Bytes of a line of input, and of what is printed meanwhile, that are compared.
const MAX_TYPED: usize = 256;
const MAX_SHOWN: usize = 4096;

impl Unechoed {
    /// The client sent this: the length of the line before, if it was not shown.
    pub(super) fn input(&mut self, bytes: &[u8]) -> Option<u64> {
        let mut found = None;
        for &byte in bytes {
            if self.entered {
                found = self.settle().or(found);
            }
            match byte {
                b'\r' | b'\n' => self.entered = true,
                0x03 | 0x15 => *self = Self::default(),
                0x08 | 0x7f => {
                    self.bytes -= u64::from(self.typed.pop().is_some());
                }
                0x20.. => {
                    self.bytes += 1;
                    self.unsure |= self.typed.len() >= MAX_TYPED;
                    self.typed.push(byte);
                    self.typed.truncate(MAX_TYPED);
                }
                _ => self.unsure = true,
            }
        }
        found
    }

    /// The terminal shows this: the length of the line that was entered, if it was not shown.
    pub(super) fn output(&mut self, bytes: &[u8]) -> Option<u64> {
        if self.bytes > 0 {
            let room = MAX_SHOWN.saturating_sub(self.shown.len());
            self.shown.extend(bytes.iter().take(room));
            self.unsure |= room == 0 && !self.entered;
        }
        let ends = self.entered && (bytes.contains(&b'\n') || self.shown.len() >= MAX_SHOWN);
        if ends { self.settle() } else { None }
    }

    fn settle(&mut self) -> Option<u64> {
        let Self { typed, bytes, shown, unsure, .. } = std::mem::take(self);
        let mut rest = shown.iter();
        let is_shown = typed.iter().all(|byte| rest.any(|shown| shown == byte));
        (bytes > 0 && !unsure && !shown.is_empty() && !is_shown).then_some(bytes)
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
            (
                "password without a new line",
                &[(true, "hunter"), (true, "\r"), (false, "ip-10$ "), (true, "l")],
                Some(6),
            ),
            ("password taken back", &[(true, "px\x7fw"), (true, "\r"), (false, "\r\n")], Some(2)),
            ("echoed key by key", &[(true, "l"), (true, "s\r"), (false, "l"), (false, "s"), (false, "\r\nx")], None),
            ("Enter alone", &[(true, "\r"), (false, "\r\n$ ")], None),
            ("completion", &[(true, "c\t"), (true, "\r"), (false, "\r\n")], None),
        ];
        for (name, turns, wanted) in rows {
            let mut unechoed = Unechoed::default();
            let mut found = None;
            for (is_input, text) in *turns {
                let bytes = text.as_bytes();
                let now = if *is_input { unechoed.input(bytes) } else { unechoed.output(bytes) };
                found = now.or(found);
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
