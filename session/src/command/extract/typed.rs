//! What the client typed, joined with what the terminal printed.

use jiff::Timestamp;

use super::{Extractor, Sink};
use crate::command::{Command, Origin};
use crate::timeline::{Direction, Event};

impl Extractor {
    /// Takes the next bytes that the client sent.
    pub(crate) fn input(&mut self, _bytes: &[u8], at: Option<Timestamp>, _sink: &mut Sink<'_>) {
        self.at = at;
    }

    /// The window is this wide from here on.
    pub(crate) fn resize(&mut self, _cols: u16) {}

    /// Messages of one direction are missing here.
    pub(crate) fn gap(&mut self, _direction: Direction) {}

    /// The session runs this command instead of a login shell.
    pub(crate) fn program(&mut self, text: &str, event: &Event<'_>, sink: &mut Sink<'_>) {
        let command = Command::of_text(text, self.platform, Origin::Api);
        sink(Command { n: self.n, at: event.at, offset: event.offset.clone(), ..command });
        self.n += 1;
    }
}
