//! Paths -> inputs: walked, opened, decompressed, recognised.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use aws_lc_rs::digest::{Context, SHA256};
use warden_session::inflate::{Inflate, Limits};
use warden_session::kind::{self, HEAD_LIMIT};
use warden_session::timeline::Deviation;
use warden_session::{Item, Kind, Reader};

use crate::cli::Inputs;
use crate::report::{complain, warn};

/// One file to read.
#[derive(Debug)]
pub(crate) struct Input {
    /// The path as it is shown: as the user gave it, and what a folder holds behind it.
    pub(crate) path: String,
    place: Place,
    /// What it was recognised as.
    pub(crate) kind: Kind,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    /// A copy of standard input, for inputs are read more than once.
    Spooled(File),
}

/// What the paths of a command line came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The inputs, in the order in which they are reported.
    pub(crate) inputs: Vec<Input>,
    /// Named paths that cannot be read, or are no kind of input.
    pub(crate) unreadable: usize,
}

/// Finds the inputs of a command line: files as named, folders walked in the order of their names. What cannot be read is
/// said on stderr; of unrecognised files in folders only their number.
pub(crate) fn find(inputs: &Inputs) -> anyhow::Result<Found> {
    let forced = inputs.kind.map(Kind::from);
    let mut found = Found::default();
    let mut passed = 0_usize;
    for path in &inputs.paths {
        if path == Path::new("-") {
            found.add(spool()?, "-".to_owned(), forced);
        } else if path.is_dir() {
            passed += found.walk(path, forced);
        } else {
            found.add(Place::File(path.clone()), path.display().to_string(), forced);
        }
    }
    if passed > 0 {
        warn(&format!(
            "{passed} files in folders are neither transcripts, log streams nor CloudTrail records: passed over"
        ));
    }
    Ok(found)
}

impl Found {
    fn add(&mut self, place: Place, path: String, forced: Option<Kind>) {
        let kind = match place.recognise() {
            Ok(kind) => forced.or(kind),
            Err(error) => return self.refuse(&format!("{path}: {error}")),
        };
        match kind {
            Some(kind) => self.inputs.push(Input { path, place, kind }),
            None => self.refuse(&format!(
                "{path}: neither a transcript, a log stream nor CloudTrail records; if it is one, say which with --kind"
            )),
        }
    }

    /// Adds what a folder holds; the number of files that are no kind of input.
    fn walk(&mut self, folder: &Path, forced: Option<Kind>) -> usize {
        let mut passed = 0;
        for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
            match entry {
                Ok(entry) if entry.file_type().is_file() => {
                    let (place, path) = (Place::File(entry.path().to_owned()), entry.path().display().to_string());
                    match place.recognise() {
                        Ok(kind) => match kind.and(forced).or(kind) {
                            Some(kind) => self.inputs.push(Input { path, place, kind }),
                            None => passed += 1,
                        },
                        Err(error) => self.refuse(&format!("{path}: {error}")),
                    }
                }
                Ok(_) => {}
                Err(error) => self.refuse(&error.to_string()),
            }
        }
        passed
    }

    fn refuse(&mut self, why: &str) {
        self.unreadable += 1;
        complain(&format!("error: {why}"));
    }
}

impl Place {
    fn open(&self) -> io::Result<File> {
        match self {
            Self::File(path) => File::open(path),
            Self::Spooled(file) => {
                let mut copy = file.try_clone()?;
                copy.rewind()?;
                Ok(copy)
            }
        }
    }

    /// The kind of input, from what it begins with.
    fn recognise(&self) -> io::Result<Option<Kind>> {
        let (head, ended) = self.head(HEAD_LIMIT)?;
        Ok(kind::recognise(&head, ended))
    }

    /// The first bytes, decompressed, and whether they are all.
    fn head(&self, limit: usize) -> io::Result<(Vec<u8>, bool)> {
        let mut head = Vec::new();
        let mut ended = true;
        inflate(self.open()?, &mut |bytes| {
            head.extend_from_slice(bytes);
            ended = head.len() <= limit;
            ended
        })?;
        head.truncate(limit);
        Ok((head, ended))
    }
}

impl Input {
    /// The one input of a verb that takes one; `-` is standard input.
    ///
    /// # Errors
    /// When it cannot be read, or is of no kind.
    pub(crate) fn one(path: &Path) -> anyhow::Result<Self> {
        let place = if path == Path::new("-") { spool()? } else { Place::File(path.to_owned()) };
        let path = path.display().to_string();
        let kind = place.recognise().with_context(|| path.clone())?;
        let Some(kind) = kind else { anyhow::bail!("{path}: nothing that warden reads") };
        Ok(Self { path, place, kind })
    }

    /// Bytes of the file as it lies there; 0 if they cannot be told.
    pub(crate) fn size(&self) -> u64 {
        self.place.open().and_then(|file| file.metadata()).map_or(0, |metadata| metadata.len())
    }

    /// The first bytes, decompressed, and whether they are all.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn head(&self, limit: usize) -> io::Result<(Vec<u8>, bool)> {
        self.place.head(limit)
    }

    /// SHA-256 of the input as it is stored, compression and all.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn sha256(&self) -> io::Result<[u8; 32]> {
        let (mut file, mut digest, mut buffer) = (self.place.open()?, Context::new(&SHA256), vec![0; PIECE]);
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => digest.update(buffer.get(..read).unwrap_or_default()),
            }
        }
        let mut sha256 = [0; 32];
        sha256.iter_mut().zip(digest.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Ok(sha256)
    }

    /// Hands out the bytes from the beginning, decompressed, until the sink has had enough; what is wrong with the
    /// compression.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn bytes(&self, sink: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<Option<Deviation>> {
        inflate(self.place.open()?, sink)
    }

    /// Reads the input from its beginning.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn read(&self, sink: &mut dyn FnMut(Item)) -> io::Result<()> {
        let mut reader = Reader::new(self.kind);
        let mut length = 0_u64;
        let deviation = inflate(self.place.open()?, &mut |bytes| {
            length += bytes.len() as u64;
            reader.feed(bytes, sink);
            true
        })?;
        reader.finish(sink);
        if let Some(deviation) = deviation {
            sink(Item::Deviation(length, deviation));
        }
        Ok(())
    }
}

/// Decompresses a file piece by piece until the sink has had enough.
fn inflate(mut file: File, sink: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<Option<Deviation>> {
    let mut inflate = Inflate::new(Limits::default());
    let mut buffer = vec![0; PIECE];
    loop {
        let read = file.read(&mut buffer)?;
        let mut wants = true;
        let mut pass = |bytes: &[u8]| wants = wants && sink(bytes);
        if read == 0 {
            return Ok(inflate.finish(&mut pass));
        }
        let deviation = inflate.feed(buffer.get(..read).unwrap_or_default(), &mut pass);
        if deviation.is_some() || !wants {
            return Ok(deviation);
        }
    }
}

/// Bytes read at a time.
const PIECE: usize = 128 * 1024;

fn spool() -> io::Result<Place> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut io::stdin().lock(), &mut file)?;
    file.flush()?;
    Ok(Place::Spooled(file))
}
