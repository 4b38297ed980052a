//! The one file that owns the terminal: raw mode, alternate screen, keys, and putting everything back however the process
//! ends.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use rustix::event::{PollFd, PollFlags, poll};

use crate::index::{Index, Shared, Stage, look};
use crate::player::view::{Raw, View};
use crate::player::{Ask, Cover, Key, Player};

/// Time between two pictures.
const FRAME: Duration = Duration::from_millis(33);
/// Time between two looks at an index that is being built.
const IDLE_FRAME: Duration = Duration::from_millis(120);

/// Exit code of a process whose terminal was taken away: what a shell reports for SIGHUP.
const HUNG_UP: i32 = 128 + signal_hook::consts::SIGHUP;

/// Plays until the user ends it.
///
/// # Errors
/// What the terminal or the index's spools say. The terminal is restored in every case.
pub(crate) fn run(
    player: Player,
    shared: &Shared,
    color: bool,
    raw: &dyn Fn(&Index, usize) -> io::Result<Raw>,
) -> io::Result<()> {
    let ended = Arc::new(AtomicBool::new(false));
    let mut signals = Vec::new();
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signals.push(signal_hook::flag::register(signal, ended.clone())?);
    }
    // A terminal that is gone needs no restoring, and reading keys from it would never return.
    signals.push(signal_hook::flag::register_conditional_shutdown(
        signal_hook::consts::SIGHUP,
        HUNG_UP,
        Arc::new(AtomicBool::new(true)),
    )?);
    watch_for_hang_up()?;
    // A panic puts the terminal back before it speaks.
    let terminal = ratatui::try_init()?;
    let outcome = Tty { terminal, player, stage: Stage::new(shared), shared: shared.clone(), color }.play(&ended, raw);
    let restored = ratatui::try_restore();
    for signal in signals {
        signal_hook::low_level::unregister(signal);
    }
    outcome.and(restored)
}

/// Makes a SIGHUP of a terminal that goes away without one: it is not this process's own, or the signal was not sent on.
/// The terminal's library would read its end over and over.
fn watch_for_hang_up() -> io::Result<()> {
    let stdin = io::stdin();
    let terminal: OwnedFd =
        if stdin.is_terminal() { stdin.as_fd().try_clone_to_owned()? } else { File::open("/dev/tty")?.into() };
    thread::Builder::new().name("hang-up".to_owned()).spawn(move || {
        let mut watched = [PollFd::new(&terminal, PollFlags::empty())];
        loop {
            // Without a flag to wait for, what comes is the end.
            match poll(&mut watched, None) {
                Ok(_) => break signal_hook::low_level::raise(signal_hook::consts::SIGHUP),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break Ok(()),
            }
        }
    })?;
    Ok(())
}

struct Tty {
    terminal: DefaultTerminal,
    player: Player,
    stage: Stage,
    shared: Shared,
    color: bool,
}

impl Tty {
    fn play(mut self, ended: &AtomicBool, raw: &dyn Fn(&Index, usize) -> io::Result<Raw>) -> io::Result<()> {
        let mut last = Instant::now();
        while !self.player.quit && !ended.load(Ordering::Relaxed) {
            let now = Instant::now();
            let elapsed = i64::try_from((now - last).as_micros()).unwrap_or(i64::MAX);
            last = now;
            self.player.tick(elapsed, &look(&self.shared));
            self.draw(raw)?;
            let wait = if self.player.playing { FRAME } else { IDLE_FRAME };
            if event::poll(wait)? {
                self.keys()?;
            }
        }
        Ok(())
    }

    /// Takes all keys that have come.
    fn keys(&mut self) -> io::Result<()> {
        loop {
            if let Event::Key(key) = event::read()? {
                let is_end =
                    key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c' | 'd'));
                self.player.quit |= is_end;
                if let Some(key) = key_of(key.code).filter(|_| key.kind != KeyEventKind::Release && !is_end) {
                    let ask = self.player.key(key, &look(&self.shared));
                    self.answer(ask)?;
                }
            }
            if !event::poll(Duration::ZERO)? {
                return Ok(());
            }
        }
    }

    fn answer(&mut self, ask: Option<Ask>) -> io::Result<()> {
        let mut ask = ask;
        while let Some(asked) = ask.take() {
            match asked {
                Ask::Search(pattern) => {
                    let index = look(&self.shared);
                    let hits = index.search(&pattern)?;
                    ask = self.player.found(pattern, hits, &index);
                }
                Ask::Reveal(hit, pattern) => {
                    let pos = self.stage.reveal(&hit, &pattern)?;
                    self.player.seek(pos, &look(&self.shared));
                }
            }
        }
        Ok(())
    }

    fn draw(&mut self, raw: &dyn Fn(&Index, usize) -> io::Result<Raw>) -> io::Result<()> {
        let Self { terminal, player, stage, shared, color } = self;
        let screen = stage.show(player.pos)?;
        let index = look(shared);
        let raw = if matches!(player.cover, Cover::Raw(_)) { Some(raw(&index, player.pos)?) } else { None };
        let view = View { player, index: &index, screen, raw: raw.as_ref(), color: *color };
        terminal.draw(|frame| {
            if let Some(cursor) = view.draw(frame.buffer_mut()) {
                frame.set_cursor_position(cursor);
            }
        })?;
        Ok(())
    }
}

fn key_of(code: KeyCode) -> Option<Key> {
    Some(match code {
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Tab => Key::Tab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}
