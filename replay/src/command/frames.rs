//! `warden frames`: every WebSocket message of a capture.

mod json;
mod text;

use std::io::{self, Write as _};

use jiff::Timestamp;
use warden_protocol::channel::{Content, Seal, Verdict};
use warden_protocol::payload::{self, Payload};
use warden_protocol::wire::Direction;

use crate::capture::{self, Found, Message, Secrets};
use crate::cli::{Format, Frames};
use crate::exit::Exit;
use crate::input::Input;
use crate::paint::Paint;
use crate::reconstruct::Sessions;
use crate::report::{complain, warn_incomplete};

/// One message with the verdict on it.
#[derive(Debug)]
struct Row<'a> {
    /// Number in the capture, from 0.
    n: u64,
    /// Offset of its record in the capture.
    offset: u64,
    at: Timestamp,
    direction: Direction,
    /// Id of the session, as far as it is known by now.
    session: Option<&'a str>,
    /// Bytes of its payload that the recorder masked.
    masked: u32,
    message: &'a Message,
    verdict: &'a Verdict,
}

/// Prints the messages of a capture in its order.
///
/// # Errors
/// A capture that cannot be read, keys that are none, standard output that cannot be written to.
pub(crate) fn run(args: &Frames, paint: Paint) -> anyhow::Result<Exit> {
    let secrets = Secrets::of(&args.keys)?;
    let input = Input::opened(&args.path, &secrets.clone().into())?;
    let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut sessions = Sessions::new(&secrets);
    let mut n = 0;
    let mut printer = text::Printer::new(paint);
    capture::read(&input, &secrets, &mut |found| match found {
        Found::Socket { socket, named } => {
            sessions.name(socket, named);
            Ok(())
        }
        Found::Damage { offset, damage } => {
            complain(&format!("warning: {}: at byte {offset}: {damage}", input.path));
            sessions.damage(offset, &damage, &mut |_| Ok(()))
        }
        Found::Message { socket, offset, masked, message } => {
            let (session, verdict) = sessions.message(socket, offset, &message, &mut |_| Ok(()))?;
            let (at, direction) = (message.at, message.direction);
            let session = sessions.id(session);
            let row = Row { n, offset, at, direction, session, masked, message: &message, verdict: &verdict };
            n += 1;
            match args.format {
                Format::Json => json::print(&mut out, &row),
                Format::Text => printer.print(&mut out, &row),
            }
        }
    })?;
    let sessions = sessions.finish(&mut |_| Ok(()))?;
    out.flush()?;
    let lacks = |session: &crate::reconstruct::Session| session.is_incomplete() || session.report.undecodable > 0;
    let incomplete = sessions.is_empty() || sessions.iter().any(lacks);
    if incomplete {
        warn_incomplete(&input.path);
    }
    Ok(Exit::Incomplete.when(incomplete))
}

/// Why a message, or its payload, could not be read; never holds session text.
fn error(verdict: &Verdict) -> Option<String> {
    match (&verdict.content, &verdict.seal) {
        (Content::Undecodable(error), _) => Some(error.to_string()),
        (_, Seal::Closed(Some(error))) => Some(error.to_string()),
        (_, Seal::Closed(None)) => Some("encrypted: the data key was not given".to_owned()),
        (Content::Frame(decoded), _) => {
            let (frame, bytes) = (&decoded.frame, verdict.payload().cloned().unwrap_or_default());
            Payload::read(&frame.message_type, frame.payload_type, bytes).err().map(|error| error.to_string())
        }
        (Content::Text(_), _) => None,
    }
}

/// The payload as a JSON value with AWS's own keys, if it is JSON.
fn decoded(verdict: &Verdict) -> Option<serde_json::Value> {
    let Content::Frame(decoded) = &verdict.content else { return None };
    let (frame, bytes) = (&decoded.frame, verdict.payload()?);
    payload::json(&frame.message_type, frame.payload_type, bytes)?.ok()
}
