//! Colour, where it is wanted.

use std::io::IsTerminal as _;

use warden_rules::Level;

use crate::cli::Color;

/// Paints text, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// For standard output, as the user wants it: on a terminal unless `NO_COLOR` is set.
    pub(crate) fn new(color: Color) -> Self {
        let unset = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let on = match color {
            Color::Auto => unset && std::io::stdout().is_terminal(),
            Color::Always => true,
            Color::Never => false,
        };
        Self { on }
    }

    /// Whether colours are wanted.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// What names things.
    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// What is wrong.
    pub(crate) fn wrong(self, text: &str) -> String {
        self.with("1;31", text)
    }

    /// A level, in its colour.
    pub(crate) fn level(self, level: Level, text: &str) -> String {
        match level {
            Level::Critical => self.with("1;97;41", text),
            Level::High => self.with("1;31", text),
            Level::Medium => self.with("33", text),
            Level::Low => self.with("36", text),
            Level::Informational => self.dim(text),
        }
    }

    fn with(self, sgr: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{sgr}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
