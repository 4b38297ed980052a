//! `warden play`: a session replayed on the terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;

use anyhow::bail;
use jiff::Timestamp;
use warden_protocol::frame::{Frame, decode};
use warden_session::Kind;

use crate::cli::Play;
use crate::exit::Exit;
use crate::index::{self, Index, Job, KEYFRAME_BYTES, MarkKind, Progress, Shared, look};
use crate::input::{Input, Opening};
use crate::paint::Paint;
use crate::player::view::Raw;
use crate::player::{Place, Player};
use crate::report::{Lines, escape, warn_incomplete};
use crate::{ruleset, tty};

/// Plays a session: on the terminal if there is one, else as lines.
///
/// # Errors
/// Bad usage, an input that cannot be read, a terminal or an output that cannot be written to.
pub(crate) fn run(args: &Play, paint: Paint) -> anyhow::Result<Exit> {
    let wanted = wanted(args)?;
    let opening = Opening::of(&args.reading)?;
    let input = Input::opened(&args.path, &opening)?;
    if input.kind == Kind::ApiCall {
        bail!("{}: CloudTrail records hold no session that could be played", input.path);
    }
    let path = input.path.clone();
    let job = Job {
        input,
        secrets: opening.secrets,
        session: args.session,
        rules: ruleset::load(&args.rules)?,
        keyframe_bytes: KEYFRAME_BYTES,
    };
    let shared: Shared = Arc::new(RwLock::new(Index::default()));
    if args.no_tui || !io::stdout().is_terminal() {
        index::read(&job, &shared)?;
        return stream(&path, &look(&shared));
    }
    let builder = build(job, &shared)?;
    tty::run(Player::new(wanted, args.speed), &shared, paint.is_on(), &raw)?;
    // A builder that is not done ends with the process.
    if builder.is_finished() { failure(&path, &look(&shared)) } else { Ok(Exit::Clean) }
}

fn wanted(args: &Play) -> anyhow::Result<Option<Place>> {
    let at = args.at.as_deref().map(Place::parse).transpose().map_err(|why| anyhow::anyhow!("--at: {why}"))?;
    Ok(at.or(args.command.map(Place::Command)).or(args.finding.map(Place::Finding)))
}

/// Builds the index in a thread of its own.
fn build(job: Job, shared: &Shared) -> io::Result<thread::JoinHandle<()>> {
    let shared = shared.clone();
    thread::Builder::new().name("index".to_owned()).spawn(move || {
        if let Err(error) = index::read(&job, &shared) {
            shared.write().unwrap_or_else(PoisonError::into_inner).progress = Progress::Failed(error.to_string());
        }
    })
}

fn failure(path: &str, index: &Index) -> anyhow::Result<Exit> {
    match &index.progress {
        Progress::Failed(why) => bail!("{why}"),
        _ if index.marks.iter().any(|mark| mark.kind == MarkKind::Gap) => {
            warn_incomplete(path);
            Ok(Exit::Incomplete)
        }
        _ => Ok(Exit::Clean),
    }
}

/// Prints the lines that the session showed, each with the time at which it began, as fast as they can be read.
fn stream(path: &str, index: &Index) -> anyhow::Result<Exit> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    index.each_line(&mut |line| {
        let time = match index.moment_of(line.first) {
            Some(moment) if !index.made_up && !index.undated => {
                let at = Timestamp::from_microsecond(moment.at).unwrap_or_default();
                format!("{at:.3}  ")
            }
            _ => String::new(),
        };
        let taken_back = if line.hidden { "[erased, overwritten or a title] " } else { "" };
        writeln!(out, "{time}{taken_back}{}", escape(&line.text, Lines::Show))
    })?;
    out.flush()?;
    failure(path, index)
}

/// The message that brought forth the latest moment, for the raw view.
fn raw(index: &Index, pos: usize) -> io::Result<Raw> {
    let Some(moment) = pos.checked_sub(1).and_then(|last| index.moments.get(last)) else { return Ok(Raw::default()) };
    let Some((frame, bytes)) = index.frames.read(moment.n)? else {
        let head = vec![format!(" output at byte {}, {} bytes", moment.offset, moment.len), String::new()];
        return Ok(Raw { head, bytes: index.output_of(moment)? });
    };
    let text = |opcode| opcode == warden_protocol::channel::Opcode::Text;
    let mut head = vec![format!(
        " message {} of {}  {}  {}  {}  {} bytes",
        moment.n,
        index.frames.len(),
        frame.direction.as_str(),
        frame.at,
        frame.status.as_str(),
        bytes.len()
    )];
    if text(frame.opcode) {
        let shown = warden_protocol::payload::redact(&bytes);
        head.push(" text, its token replaced by its SHA-256".to_owned());
        return Ok(Raw { head, bytes: shown.into_bytes() });
    }
    if let Ok(decoded) = decode(bytes.clone().into()) {
        head.extend(header(&decoded.frame));
    }
    head.push(String::new());
    Ok(Raw { head, bytes })
}

fn header(frame: &Frame) -> [String; 2] {
    [
        format!(
            " {}  sequence {}  flags {}  payload type {}, {} bytes",
            frame.message_type,
            frame.sequence_number,
            frame.flags.0,
            frame.payload_type.0,
            frame.payload.len()
        ),
        format!(" created {} ms  id {}  digest {}", frame.created_date, frame.message_id, frame.payload_digest),
    ]
}
