//! `--to text`: the lines that a reader of the terminal saw, in order, scrollback included, wraps joined.
//!
//! A line is written when it leaves the screen (scrolled off, erased) or when the session ends. What full-screen programs
//! drew is written as it stood when it left. Lines hold no escapes and no controls; text that the terminal
//! concealed (SGR 8) is in them.

use std::io::{self, Write};

use warden_session::screen::{self, Screen};

use super::survey::Marked;
use super::telling::{Teller, Telling};

/// Columns where nothing tells them: so many that nothing wraps that was not wrapped.
const UNKNOWN_COLS: u16 = screen::MAX_SIDE;

/// Writes the lines.
///
/// # Errors
/// What the file system or the output says.
pub(crate) fn write(teller: &Teller<'_>, out: &mut dyn Write) -> io::Result<()> {
    let (cols, rows) = teller.survey.window(UNKNOWN_COLS);
    let mut screen = Screen::new(rows, cols);
    let mut outcome = Ok(());
    teller.tell(&mut |told| {
        match &told.what {
            Telling::Output(bytes) => {
                screen.feed(&teller.on_screen(bytes), &mut |event| line(event, &mut outcome, out));
            }
            Telling::Mark(Marked::Resize { cols, rows }) => {
                screen.resize(*rows, *cols, &mut |event| line(event, &mut outcome, out));
            }
            _ => {}
        }
        std::mem::replace(&mut outcome, Ok(()))
    })?;
    screen.finish(&mut |event| line(event, &mut outcome, out));
    outcome?;
    for cut in &teller.cuts.all {
        writeln!(
            out,
            "-- removed at byte {}: {} characters, HMAC-SHA-256 {}",
            cut.place.start, cut.characters, cut.digest
        )?;
    }
    Ok(())
}

fn line(event: screen::Event, outcome: &mut io::Result<()>, out: &mut dyn Write) {
    if let screen::Event::Line(line) = event
        && outcome.is_ok()
    {
        *outcome = writeln!(out, "{}", line.text);
    }
}
