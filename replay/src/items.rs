//! Captures and recordings -> sessions and their commands, for the verbs that read every kind of input.

use std::io;
use std::sync::Arc;

use warden_protocol::channel::{SessionType, What as Message};
use warden_protocol::payload::HandshakeRequest;
use warden_protocol::wire::Side;
use warden_session::timeline::{Deviation, Direction, Event, Fidelity, What};
use warden_session::{Item, Timeline};

use crate::capture::{Damage, Secrets};
use crate::input::Input;
use crate::reconstruct::{self, Moment};
use crate::recording::{self, Recorded};

/// Items of one session that are held until its capture has said which session it is: its last message does.
const MAX_HELD: usize = 1 << 16;

/// Reads a capture; items come session by session. Times are those of the capture, offsets those of the output stream.
///
/// # Errors
/// What the file system says, and that the input is no capture.
pub(crate) fn of_capture(input: &Input, secrets: &Secrets, sink: &mut dyn FnMut(Item)) -> io::Result<()> {
    let mut open: Vec<Open> = Vec::new();
    let sessions = reconstruct::read(input, secrets, &mut |moment| {
        while open.len() <= moment.session {
            open.push(Open::new());
        }
        if let Some(open) = open.get_mut(moment.session) {
            open.moment(&moment);
            open.relieve(sink);
        }
        Ok(())
    })?;
    for (open, session) in open.into_iter().zip(&sessions) {
        open.finish(session, sink);
    }
    Ok(())
}

/// Reads a recording: one session without a name.
///
/// # Errors
/// What the file system says, and that the input is no recording.
pub(crate) fn of_recording(input: &Input, sink: &mut dyn FnMut(Item)) -> io::Result<()> {
    let mut timeline = Timeline::new(Fidelity::Exact);
    recording::read(input, &mut |recorded| {
        if let Recorded { at, offset, what: recording::What::Timeline(what), .. } = recorded {
            timeline.event(&Event { offset: offset.clone(), at: *at, what: what.clone() }, sink);
        }
        Ok(())
    })?;
    timeline.finish(sink);
    Ok(())
}

/// A session that is being read.
struct Open {
    timeline: Timeline,
    held: Vec<Item>,
    typed: u64,
    /// Nobody types at a shell here: connections are forwarded, or a command runs without a terminal.
    shell_less: bool,
}

impl Open {
    fn new() -> Self {
        Self { timeline: Timeline::new(Fidelity::Exact), held: Vec::new(), typed: 0, shell_less: false }
    }

    fn moment(&mut self, moment: &Moment) {
        match &moment.what {
            reconstruct::What::Damage { offset, damage } => {
                self.held.extend(deviation(damage).map(|deviation| Item::Deviation(*offset, deviation)));
            }
            reconstruct::What::Channel(Message::HandshakeRequest(request)) => self.handshake(request, moment),
            reconstruct::What::Channel(message) => {
                if let Some(what) = happened(message, moment.side, self.shell_less) {
                    self.event(moment, what);
                }
            }
        }
    }

    /// The handshake tells whether there is a terminal at all, and perhaps which command runs on it.
    fn handshake(&mut self, request: &HandshakeRequest, moment: &Moment) {
        let Some(asked) = request.session_type() else { return };
        let kind = SessionType::named(&asked.value.session_type);
        self.shell_less = matches!(kind, SessionType::Port | SessionType::NonInteractiveCommands);
        if let Some(command) = program(&asked.value.properties) {
            self.event(moment, What::Program(&command));
        }
    }

    fn event(&mut self, moment: &Moment, what: What<'_>) {
        let place = moment.offset;
        let offset = match &what {
            What::Output(bytes) => place..place + bytes.len() as u64,
            What::Input(bytes) => {
                let from = self.typed;
                self.typed += bytes.len() as u64;
                from..self.typed
            }
            _ => place..place,
        };
        let held = &mut self.held;
        self.timeline.event(&Event { offset, at: Some(moment.at), what }, &mut |item| held.push(item));
    }

    /// Hands on what is held before it becomes too much, with a session that has no name yet.
    fn relieve(&mut self, sink: &mut dyn FnMut(Item)) {
        if self.held.len() >= MAX_HELD {
            self.held.drain(..).for_each(sink);
        }
    }

    fn finish(self, session: &reconstruct::Session, sink: &mut dyn FnMut(Item)) {
        let Self { timeline, mut held, .. } = self;
        timeline.finish(&mut |item| held.push(item));
        let who = Arc::new(session.identity());
        if !held.iter().any(|item| matches!(item, Item::Session(_))) {
            sink(Item::Session(who.clone()));
        }
        for item in held {
            sink(match item {
                Item::Session(_) => Item::Session(who.clone()),
                Item::Command(_, command) => Item::Command(who.clone(), command),
                other => other,
            });
        }
    }
}

/// What a message of the channel means on a timeline. The separate error stream of a command without a terminal is no part
/// of it: nobody types there.
fn happened(message: &Message, from: Side, shell_less: bool) -> Option<What<'_>> {
    let cells = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
    Some(match message {
        Message::Output(bytes) if !shell_less => What::Output(bytes),
        Message::Input(bytes) if !shell_less => What::Input(bytes),
        Message::Resize(window) => What::Resize { cols: cells(window.cols), rows: cells(window.rows) },
        Message::Missing(missing) => What::Gap {
            direction: if from == Side::Client { Direction::Input } else { Direction::Output },
            messages: missing.count(),
        },
        Message::Sealed { .. } => What::Deviation(Deviation::Encrypted),
        _ => return None,
    })
}

/// The command that a session document names: `{"linux":{"commands":"…"},"windows":…,"macos":…}`. The platforms that the
/// session does not run on have none.
pub(crate) fn program(properties: &serde_json::Value) -> Option<String> {
    let commands = |platform: &str| properties.get(platform)?.get("commands")?.as_str();
    let command =
        ["linux", "macos", "windows"].iter().find_map(|platform| commands(platform).filter(|c| !c.is_empty()));
    command.map(ToOwned::to_owned)
}

fn deviation(damage: &Damage) -> Option<Deviation> {
    match damage {
        Damage::Container(deviation) => Some(*deviation),
        Damage::Cut => Some(Deviation::Truncated),
        Damage::OtherSession => Some(Deviation::IdentityConflict),
        Damage::NoChannel => Some(Deviation::Missing(Direction::Output)),
        Damage::NoTlsSecrets { .. } => Some(Deviation::Encrypted),
        damage if damage.is_incomplete() => Some(Deviation::Undecodable),
        _ => None,
    }
}
