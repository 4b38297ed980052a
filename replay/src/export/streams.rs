//! Each reassembled stream as a file `SIDE.typeN.bin`, each forwarded connection as `mux-ID.SIDE.bin`.
//!
//! Payload types 1 and 11 are written as they are put in order; all others (handshake, sizes, flags, exit codes) are few and
//! are held until the end. An id that was opened again has the number of the opening behind it (`mux-3-2.client.bin`).
//! Where a capture holds several sessions, each has a folder.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use warden_protocol::channel::{self, Content, Seal, Verdict};
use warden_protocol::connection::{ConnectionEvent, ConnectionWhat};
use warden_protocol::port::Forwarding;
use warden_protocol::reorder::Place;
use warden_protocol::wire::{PayloadType, Side};

use super::hidden::Watch;
use crate::capture::{self, Found, Secrets};
use crate::input::Input;
use crate::reconstruct::{self, Moment, Sessions, What};

/// Files that are kept open.
const MAX_OPEN: usize = 128;
/// Bytes of the small streams of a session.
const MAX_SMALL: usize = 16 << 20;
/// Hidden lines that are remembered.
const MAX_HIDDEN: usize = 100_000;
/// What stands in the place of a byte that was typed without an echo.
const MASK: u8 = b'*';

/// What was written.
#[derive(Debug)]
pub(crate) struct Written {
    /// The files, relative to the folder.
    pub(crate) files: Vec<PathBuf>,
    /// Whether something is missing or stayed encrypted.
    pub(crate) is_incomplete: bool,
}

/// Writes the streams of a capture into a folder, which is made if need be. With `redact`, input that was typed without an
/// echo is masked in the client's stream; a forwarded connection is never masked.
///
/// # Errors
/// A capture that cannot be read, a folder that cannot be written to.
pub(crate) fn write(input: &Input, secrets: &Secrets, folder: &Path, redact: bool) -> anyhow::Result<Written> {
    let hidden = if redact { hidden(input, secrets)? } else { Vec::new() };
    let several = reconstruct::read(input, secrets, &mut |_| Ok(()))?.len() > 1;
    let mut folders = Folders { files: Files::new(folder)?, open: Vec::new(), hidden, several };
    let mut sessions = Sessions::new(secrets);
    capture::read(input, secrets, &mut |found| match found {
        Found::Socket { socket, named } => {
            sessions.name(socket, named);
            Ok(())
        }
        Found::Damage { .. } => Ok(()),
        Found::Message { socket, offset, message, .. } => {
            let mut moments = Vec::new();
            let (at, verdict) = sessions.message(socket, offset, &message, &mut |moment| {
                moments.push(moment);
                Ok(())
            })?;
            folders.small(at, sessions.id(at), &verdict);
            moments.into_iter().try_for_each(|moment| folders.moment(&moment))
        }
    })
    .and_then(|_| {
        let sessions = sessions.finish(&mut |moment| folders.moment(&moment))?;
        let is_incomplete = sessions.is_empty() || sessions.iter().any(reconstruct::Session::is_incomplete);
        Ok(Written { files: folders.finish()?, is_incomplete })
    })
    .with_context(|| folder.display().to_string())
}

/// Lines that were typed without an echo: per session, bytes of the client's input.
fn hidden(input: &Input, secrets: &Secrets) -> io::Result<Vec<Vec<Range<u64>>>> {
    let mut all: Vec<(Watch, Vec<Range<u64>>)> = Vec::new();
    reconstruct::read(input, secrets, &mut |moment| {
        if moment.session >= all.len() {
            all.resize_with(moment.session + 1, Default::default);
        }
        let Some((watch, hidden)) = all.get_mut(moment.session) else { return Ok(()) };
        let mut keep = |typed: super::hidden::Typed| {
            if typed.hidden && hidden.len() < MAX_HIDDEN {
                hidden.push(typed.input);
            }
        };
        match &moment.what {
            What::Channel(channel::What::Input(bytes)) => watch.input(bytes, moment.offset, Some(moment.at), &mut keep),
            What::Channel(channel::What::Output(bytes)) => watch.output(bytes, &mut keep),
            _ => {}
        }
        Ok(())
    })?;
    Ok(all
        .into_iter()
        .map(|(watch, mut hidden)| {
            watch.finish(&mut |typed| {
                if typed.hidden {
                    hidden.push(typed.input);
                }
            });
            hidden
        })
        .collect())
}

/// The sessions that are being written.
#[derive(Debug)]
struct Folders {
    files: Files,
    open: Vec<Folder>,
    hidden: Vec<Vec<Range<u64>>>,
    several: bool,
}

#[derive(Debug, Default)]
struct Folder {
    name: PathBuf,
    /// Streams that are held: by side and type, by sequence number.
    small: BTreeMap<(Side, PayloadType), BTreeMap<i64, Bytes>>,
    small_bytes: usize,
    forwarding: Forwarding,
    /// How often an id was opened.
    openings: HashMap<u32, u32>,
    /// Bytes of input so far.
    input: u64,
}

impl Folders {
    /// Keeps the payload of a message of a type that is not streamed.
    fn small(&mut self, session: usize, id: Option<&str>, verdict: &Verdict) {
        let Some(folder) = self.folder(session) else { return };
        if folder.name.as_os_str().is_empty() && id.is_some() {
            folder.name = PathBuf::new();
        }
        let Content::Frame(decoded) = &verdict.content else { return };
        let is_first = matches!(verdict.place, Some(Place::InOrder | Place::Ahead | Place::Late));
        let kind = decoded.frame.payload_type;
        let is_streamed = matches!(kind, PayloadType::OUTPUT | PayloadType::STDERR);
        if !is_first || is_streamed || matches!(verdict.seal, Seal::Closed(_)) {
            return;
        }
        let payload = verdict.payload().cloned().unwrap_or_default();
        if folder.small_bytes + payload.len() <= MAX_SMALL {
            folder.small_bytes += payload.len();
            let stream = folder.small.entry((verdict.side, kind)).or_default();
            stream.entry(decoded.frame.sequence_number).or_insert(payload);
        }
    }

    fn folder(&mut self, session: usize) -> Option<&mut Folder> {
        while session >= self.open.len() {
            // Ids are hostile text, and not known at once: folders are numbered.
            let name = if self.several { format!("session-{}", self.open.len()) } else { String::new() };
            self.open.push(Folder { name: name.into(), ..Folder::default() });
        }
        self.open.get_mut(session)
    }

    fn moment(&mut self, moment: &Moment) -> io::Result<()> {
        let Some(event) = moment.event() else { return Ok(()) };
        let hidden = self.hidden.get(moment.session).cloned().unwrap_or_default();
        let Self { files, open, .. } = self;
        let Some(folder) = open.get_mut(moment.session) else { return Ok(()) };
        match &event.what {
            channel::What::Output(bytes) => files.append(&folder.stream(Side::Agent, PayloadType::OUTPUT), bytes)?,
            channel::What::StdErr(bytes) => files.append(&folder.stream(Side::Agent, PayloadType::STDERR), bytes)?,
            channel::What::Input(bytes) => {
                let bytes = masked(bytes, folder.input, &hidden);
                folder.input += bytes.len() as u64;
                files.append(&folder.stream(Side::Client, PayloadType::OUTPUT), &bytes)?;
            }
            _ => {}
        }
        let mut met = Vec::new();
        folder.forwarding.feed(&event, &mut |event| met.push(event));
        met.iter().try_for_each(|event| folder.connection(event, files))
    }

    fn finish(mut self) -> io::Result<Vec<PathBuf>> {
        for folder in &self.open {
            for ((side, kind), stream) in &folder.small {
                for bytes in stream.values() {
                    self.files.append(&folder.stream(*side, *kind), bytes)?;
                }
            }
        }
        self.files.finish()
    }
}

impl Folder {
    fn stream(&self, side: Side, kind: PayloadType) -> PathBuf {
        self.name.join(format!("{side}.type{}.bin", kind.0))
    }

    fn connection(&mut self, event: &ConnectionEvent, files: &mut Files) -> io::Result<()> {
        match &event.what {
            ConnectionWhat::Opened => {
                *self.openings.entry(event.id).or_default() += 1;
                // Both directions have a file, empty or not.
                files.append(&self.of(event.id, Side::Client), b"")?;
                files.append(&self.of(event.id, Side::Agent), b"")
            }
            ConnectionWhat::Data(bytes) => files.append(&self.of(event.id, event.side), bytes),
            ConnectionWhat::Unparsed(bytes) => {
                files.append(&self.name.join(format!("mux-unparsed.{}.bin", event.side)), bytes)
            }
            _ => Ok(()),
        }
    }

    fn of(&self, id: u32, side: Side) -> PathBuf {
        let again = self.openings.get(&id).filter(|times| **times > 1);
        let again = again.map(|times| format!("-{times}")).unwrap_or_default();
        self.name.join(format!("mux-{id}{again}.{side}.bin"))
    }
}

fn masked(bytes: &Bytes, start: u64, hidden: &[Range<u64>]) -> Vec<u8> {
    let end = start + bytes.len() as u64;
    let near: Vec<&Range<u64>> = hidden.iter().filter(|range| range.start < end && range.end > start).collect();
    let at = |n: u64| near.iter().any(|range| range.contains(&n));
    bytes.iter().zip(start..).map(|(byte, n)| if at(n) { MASK } else { *byte }).collect()
}

/// Files of a folder, for their owner alone.
#[derive(Debug)]
struct Files {
    root: PathBuf,
    open: HashMap<PathBuf, File>,
    /// Files that this run has begun.
    begun: HashSet<PathBuf>,
    names: Vec<PathBuf>,
}

impl Files {
    fn new(root: &Path) -> anyhow::Result<Self> {
        make(root).with_context(|| root.display().to_string())?;
        Ok(Self { root: root.to_owned(), open: HashMap::new(), begun: HashSet::new(), names: Vec::new() })
    }

    fn append(&mut self, name: &Path, bytes: &[u8]) -> io::Result<()> {
        if let Some(file) = self.open.get_mut(name) {
            return file.write_all(bytes);
        }
        if self.open.len() >= MAX_OPEN {
            self.open.clear();
        }
        let is_new = self.begun.insert(name.to_owned());
        let path = self.root.join(name);
        if is_new {
            self.names.push(name.to_owned());
            path.parent().map_or(Ok(()), make)?;
        }
        let mut options = OpenOptions::new();
        // What an earlier run left is replaced.
        options.create(true).mode(0o600);
        let options = if is_new { options.write(true).truncate(true) } else { options.append(true) };
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        self.open.insert(name.to_owned(), file);
        Ok(())
    }

    fn finish(mut self) -> io::Result<Vec<PathBuf>> {
        self.open.values_mut().try_for_each(Write::flush)?;
        self.names.sort();
        Ok(self.names)
    }
}

fn make(folder: &Path) -> io::Result<()> {
    if fs::metadata(folder).is_ok_and(|it| it.is_dir()) {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
