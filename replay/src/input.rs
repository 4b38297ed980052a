//! Paths -> inputs: walked, opened, decompressed, recognised.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use aws_lc_rs::digest::{Context, SHA256};
use warden_session::inflate::{Inflate, Limits};
use warden_session::kind::{self, HEAD_LIMIT};
use warden_session::timeline::Deviation;
use warden_session::{Item, Kind, Reader};

use crate::capture::Secrets;
use crate::capture::own::sealed::{self, AGE_MAGIC, Opened};
use crate::cli::{Inputs, Reading};
use crate::items;
use crate::recording;
#[cfg(feature = "aws")]
use crate::remote;
use crate::report::{complain, warn};

/// One file to read.
#[derive(Debug)]
pub(crate) struct Input {
    /// The path as it is shown: as the user gave it, and what a folder holds behind it.
    pub(crate) path: String,
    place: Place,
    /// What it was recognised as.
    pub(crate) kind: Kind,
    /// What opens it.
    opening: Arc<Opening>,
}

/// What the command line gives to open inputs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opening {
    /// What the named inputs are, whatever they look like.
    pub(crate) kind: Option<Kind>,
    /// Keys of captures.
    pub(crate) secrets: Secrets,
    /// The timing file of a typescript.
    pub(crate) timing: Option<PathBuf>,
}

impl Opening {
    /// Takes what the command line gives.
    ///
    /// # Errors
    /// As [`Secrets::of`].
    pub(crate) fn of(reading: &Reading) -> anyhow::Result<Self> {
        let kind = reading.kind.map(Kind::from);
        Ok(Self { kind, secrets: Secrets::of(&reading.keys)?, timing: reading.timing.clone() })
    }
}

impl From<Secrets> for Opening {
    fn from(secrets: Secrets) -> Self {
        Self { secrets, ..Self::default() }
    }
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    /// A copy of standard input, or of what one path of AWS names: inputs are read more than once.
    Spooled(File),
    /// Fetched each time it is read: a prefix may stand for more than a disk holds.
    #[cfg(feature = "aws")]
    Remote(Arc<remote::Remote>, remote::Item),
}

/// What the paths of a command line came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The inputs, in the order in which they are reported.
    pub(crate) inputs: Vec<Input>,
    /// Named paths that cannot be read, or are no kind of input.
    pub(crate) unreadable: usize,
    opening: Arc<Opening>,
    #[cfg(feature = "aws")]
    connection: remote::Connection,
}

/// Whether a path lies in AWS.
fn is_remote(path: &str) -> bool {
    path.starts_with("s3://") || path.starts_with("cloudwatch://")
}

/// What is said of such a path where nothing can fetch it.
#[cfg(not(feature = "aws"))]
const WITHOUT_AWS: &str = "this warden was built without AWS; build it with `--features aws`";

/// Finds the inputs of a command line: files as named, folders walked in the order of their names. What cannot be read is
/// said on stderr; of unrecognised files in folders only their number.
pub(crate) fn find(inputs: &Inputs) -> anyhow::Result<Found> {
    let opening = Opening::of(&inputs.reading)?;
    let forced = opening.kind;
    let mut found = Found { opening: Arc::new(opening), ..Found::default() };
    let mut passed = 0_usize;
    for path in &inputs.paths {
        if path == Path::new("-") {
            found.add(spool()?, "-".to_owned(), forced);
        } else if let Some(path) = path.to_str().filter(|path| is_remote(path)) {
            passed += found.remote(path, forced);
        } else if path.is_dir() {
            passed += found.walk(path, forced);
        } else {
            found.add(Place::File(path.clone()), path.display().to_string(), forced);
        }
    }
    if passed > 0 {
        warn(&format!(
            "{passed} files in folders are no transcripts, log streams, CloudTrail records, captures or recordings: passed over"
        ));
    }
    Ok(found)
}

impl Found {
    fn add(&mut self, place: Place, path: String, forced: Option<Kind>) {
        let kind = match place.recognise(&self.opening) {
            Ok(kind) => forced.or(kind),
            Err(error) => return self.refuse(&format!("{path}: {error}")),
        };
        match kind {
            Some(kind) => self.push(path, place, kind),
            None => self.refuse(&format!("{path}: {UNRECOGNISED}; if it is one, say which with --kind")),
        }
    }

    /// Adds what a folder holds; the number of files that are no kind of input.
    fn walk(&mut self, folder: &Path, forced: Option<Kind>) -> usize {
        let mut passed = 0;
        for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
            match entry {
                Ok(entry) if entry.file_type().is_file() => {
                    let (place, path) = (Place::File(entry.path().to_owned()), entry.path().display().to_string());
                    match place.recognise(&self.opening) {
                        Ok(kind) => match kind.and(forced).or(kind) {
                            Some(kind) => self.push(path, place, kind),
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

    /// Adds what a path of AWS stands for; the number of things that are no kind of input.
    #[cfg(feature = "aws")]
    fn remote(&mut self, path: &str, forced: Option<Kind>) -> usize {
        let listed = self.connection.open().and_then(|remote| {
            let uri = remote::Uri::parse(path).ok_or(io::ErrorKind::InvalidInput)?;
            Ok((remote.list(uri)?, remote))
        });
        let (listed, remote) = match listed {
            Ok(listed) => listed,
            Err(error) => {
                self.refuse(&format!("{path}: {error}"));
                return 0;
            }
        };
        if listed.items.is_empty() {
            self.refuse(&format!("{path}: nothing there"));
        }
        if listed.cut {
            self.refuse(&format!(
                "{path}: more than {} objects: read them with the backfill function",
                listed.items.len()
            ));
        }
        let mut passed = 0;
        for (path, item) in listed.items {
            let place = Place::Remote(remote.clone(), item);
            if listed.is_one {
                self.add(place, path, forced);
                continue;
            }
            match place.recognise(&self.opening) {
                Ok(Some(kind)) => self.push(path, place, forced.unwrap_or(kind)),
                Ok(None) => passed += 1,
                Err(error) => self.refuse(&format!("{path}: {error}")),
            }
        }
        passed
    }

    #[cfg(not(feature = "aws"))]
    fn remote(&mut self, path: &str, _: Option<Kind>) -> usize {
        self.refuse(&format!("{path}: {WITHOUT_AWS}"));
        0
    }

    fn push(&mut self, path: String, place: Place, kind: Kind) {
        self.inputs.push(Input { path, place, kind, opening: self.opening.clone() });
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
            #[cfg(feature = "aws")]
            Self::Remote(remote, item) => remote.fetch(item, None).map(|(file, _)| file),
        }
    }

    /// The first bytes, and whether they are all: of what is fetched no more than that.
    fn open_head(&self) -> io::Result<(File, bool)> {
        match self {
            #[cfg(feature = "aws")]
            Self::Remote(remote, item) => remote.fetch(item, Some(HEAD_FETCHED)),
            _ => self.open().map(|file| (file, true)),
        }
    }

    /// The kind of input, from what it begins with; a typescript with timing is a recording.
    fn recognise(&self, opening: &Opening) -> io::Result<Option<Kind>> {
        let (head, ended) = self.head(HEAD_LIMIT, opening)?;
        let kind = kind::recognise(&head, ended);
        let timed = kind.is_none_or(|kind| kind == Kind::Transcript) && self.timing(opening).is_some();
        Ok(if timed { Some(Kind::Recording) } else { kind })
    }

    fn timing(&self, opening: &Opening) -> Option<PathBuf> {
        let (head, _) = self.head(SCRIPT.len(), opening).ok()?;
        if head != SCRIPT {
            return None;
        }
        let Self::File(path) = self else { return opening.timing.clone() };
        opening.timing.clone().or_else(|| recording::beside(path))
    }

    /// The first bytes, decompressed, and whether they are all.
    fn head(&self, limit: usize, opening: &Opening) -> io::Result<(Vec<u8>, bool)> {
        let mut head = Vec::new();
        let mut ended = true;
        let (file, whole) = self.open_head()?;
        inflate(decrypted(file, opening)?, &mut |bytes| {
            head.extend_from_slice(bytes);
            ended = head.len() <= limit;
            ended
        })?;
        head.truncate(limit);
        Ok((head, ended && whole))
    }
}

impl Input {
    /// As [`Input::opened`], as it looks.
    #[cfg(test)]
    pub(crate) fn one(path: &Path) -> anyhow::Result<Self> {
        Self::opened(path, &Opening::default())
    }

    /// The one input of a verb that takes one; `-` is standard input.
    ///
    /// # Errors
    /// When it cannot be read, is of no kind, or is encrypted and cannot be decrypted.
    pub(crate) fn opened(path: &Path, opening: &Opening) -> anyhow::Result<Self> {
        let place = match path.to_str() {
            Some("-") => spool()?,
            Some(path) if is_remote(path) => fetched(path)?,
            _ if path.is_dir() => anyhow::bail!("{}: a folder, and one file is wanted", path.display()),
            _ => Place::File(path.to_owned()),
        };
        let path = path.display().to_string();
        let kind = place.recognise(opening).with_context(|| path.clone())?;
        let Some(kind) = opening.kind.or(kind) else { anyhow::bail!("{path}: {UNRECOGNISED}") };
        let input = Self { path, place, kind, opening: Arc::new(opening.clone()) };
        #[cfg(feature = "aws")]
        if kind == Kind::Capture {
            opening.secrets.ask_kms(&input)?;
        }
        Ok(input)
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
        self.place.head(limit, &self.opening)
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

    /// The timing file of a typescript: the one that was named, else the one beside it. `None` for all else.
    pub(crate) fn timing(&self) -> Option<PathBuf> {
        self.place.timing(&self.opening)
    }

    /// Hands out the bytes from the beginning, decompressed, until the sink has had enough; what is wrong with the
    /// compression.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn bytes(&self, sink: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<Option<Deviation>> {
        inflate(decrypted(self.place.open()?, &self.opening)?, sink)
    }

    /// Reads the input from its beginning.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn read(&self, sink: &mut dyn FnMut(Item)) -> io::Result<()> {
        match self.kind {
            Kind::Capture => {
                let secrets = self.opening.secrets.for_another();
                #[cfg(feature = "aws")]
                secrets.ask_kms(self)?;
                items::of_capture(self, &secrets, sink)
            }
            Kind::Recording => items::of_recording(self, sink),
            Kind::Transcript | Kind::LogStream | Kind::ApiCall => self.stored(sink),
        }
    }

    /// Reads a record that AWS stored.
    fn stored(&self, sink: &mut dyn FnMut(Item)) -> io::Result<()> {
        let mut reader = Reader::new(self.kind);
        let mut length = 0_u64;
        let deviation = inflate(decrypted(self.place.open()?, &self.opening)?, &mut |bytes| {
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
fn inflate(mut file: impl Read, sink: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<Option<Deviation>> {
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

/// Bytes fetched to recognise a thing: some chunks of an age file, of which only whole ones decrypt.
#[cfg(feature = "aws")]
const HEAD_FETCHED: u64 = 4 * HEAD_LIMIT as u64;

/// What is said of an input that is of no kind.
const UNRECOGNISED: &str = "neither a transcript, a log stream, CloudTrail records, a capture nor a recording";

/// How a typescript begins.
const SCRIPT: &[u8] = b"Script started on ";
/// Bytes read at a time.
const PIECE: usize = 128 * 1024;

/// The one thing that a path of AWS names.
#[cfg(feature = "aws")]
fn fetched(path: &str) -> anyhow::Result<Place> {
    let uri = remote::Uri::parse(path).with_context(|| format!("{path}: not a path of AWS"))?;
    let remote = remote::Remote::connect()?;
    let listed = remote.list(uri).with_context(|| path.to_owned())?;
    let [(_, item)] = listed.items.as_slice() else {
        anyhow::bail!("{path}: {} objects or streams begin so, and one is wanted", listed.items.len());
    };
    Ok(Place::Spooled(remote.fetch(item, None).with_context(|| path.to_owned())?.0))
}

#[cfg(not(feature = "aws"))]
fn fetched(path: &str) -> anyhow::Result<Place> {
    anyhow::bail!("{path}: {WITHOUT_AWS}")
}

/// The bytes of a file, decrypted if it is an age file.
fn decrypted(mut file: File, opening: &Opening) -> io::Result<Box<dyn Read>> {
    let mut start = Vec::new();
    Read::by_ref(&mut file).take(AGE_MAGIC.len() as u64).read_to_end(&mut start)?;
    file.rewind()?;
    if start != AGE_MAGIC {
        return Ok(Box::new(file));
    }
    let Some(path) = &opening.secrets.identity else {
        return Err(io::Error::other("encrypted with age: open it with --identity FILE"));
    };
    let identities = sealed::identities(path).map_err(io::Error::other)?;
    Ok(Box::new(Opened::new(file, &identities).map_err(io::Error::other)?))
}

fn spool() -> io::Result<Place> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut io::stdin().lock(), &mut file)?;
    file.flush()?;
    Ok(Place::Spooled(file))
}
