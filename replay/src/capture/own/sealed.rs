//! Captures encrypted at rest: an ordinary age file (<https://age-encryption.org/v1>) around an ordinary capture.
//!
//! The `age` program opens it as well. age encrypts in chunks of [`CHUNK`] bytes and a chunk is written when the next one
//! begins, so that what a killed recorder had in its last chunk is lost; `warden record` therefore fills the chunk with a
//! padding record when something has waited for half a minute. Age authenticates every chunk and the end of the file, which
//! says who could read it, not who wrote it: anybody who knows the recipient can make such a file.

use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::path::PathBuf;

use age::stream::{StreamReader, StreamWriter};
use age::x25519::Recipient;
use age::{DecryptError, Decryptor, Encryptor, Identity, IdentityFile};
use thiserror::Error;

/// What an age file begins with.
pub(crate) const AGE_MAGIC: &[u8] = b"age-encryption.org/v1\n";
/// Plaintext bytes of a chunk (age, section "Payload").
pub(crate) const CHUNK: usize = 64 * 1024;
/// Longest file of recipients, in bytes.
const MAX_RECIPIENTS: u64 = 1 << 20;

/// What opens captures.
pub(crate) type Identities = Vec<Box<dyn Identity + Send + Sync>>;

/// Why a capture cannot be sealed or opened. Holds no key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum SealedError {
    /// Not an age recipient.
    #[error("{place}: not an age recipient (`age1…`)")]
    Recipient {
        /// Which one.
        place: String,
    },
    /// A file that cannot be read.
    #[error("{path}: {error}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Not an age file, or none of the identities opens it.
    #[error("the capture is encrypted: {0}; name the file that opens it with --identity")]
    Open(#[from] DecryptError),
}

/// The recipients of the command line: `age1…` and files with one a line, `#` before comments.
///
/// # Errors
/// Names what is no recipient and files that cannot be read.
pub(crate) fn recipients(given: &[String], files: &[PathBuf]) -> Result<Vec<Recipient>, SealedError> {
    let parse = |place: String, text: &str| text.parse().map_err(|_| SealedError::Recipient { place });
    let mut all = given.iter().map(|text| parse(text.clone(), text)).collect::<Result<Vec<_>, _>>()?;
    for path in files {
        let failed = |error| SealedError::File { path: path.clone(), error };
        let mut text = String::new();
        std::fs::File::open(path).map_err(failed)?.take(MAX_RECIPIENTS).read_to_string(&mut text).map_err(failed)?;
        for (n, line) in text.lines().enumerate() {
            if !line.trim().is_empty() && !line.starts_with('#') {
                all.push(parse(format!("{}:{}", path.display(), n + 1), line.trim())?);
            }
        }
    }
    Ok(all)
}

/// The identities (`AGE-SECRET-KEY-1…`) of a file, as `age-keygen` writes it.
///
/// # Errors
/// When the file cannot be read or holds none.
pub(crate) fn identities(path: &PathBuf) -> Result<Identities, SealedError> {
    let failed = |error| SealedError::File { path: path.clone(), error };
    let file = std::fs::File::open(path).map_err(failed)?;
    Ok(IdentityFile::from_buffer(BufReader::new(file)).map_err(failed)?.into_identities()?)
}

/// Begins an age file. [`StreamWriter::finish`] ends it.
///
/// # Errors
/// What `out` says, or that there is no recipient.
pub(crate) fn seal<W: Write>(recipients: &[Recipient], out: W) -> io::Result<StreamWriter<W>> {
    let all = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
    Encryptor::with_recipients(all).map_err(io::Error::other)?.wrap_output(out)
}

/// The plaintext of an age file.
///
/// A file that was cut or altered ends early: what is whole before that comes, then the end, and [`Opened::failure`] says why.
pub(crate) struct Opened<R: Read> {
    plain: StreamReader<BufReader<R>>,
    failure: Option<io::Error>,
}

impl<R: Read> Opened<R> {
    /// Opens an age file.
    ///
    /// # Errors
    /// When it is none, or none of the identities opens it.
    pub(crate) fn new(input: R, identities: &Identities) -> Result<Self, SealedError> {
        let decryptor = Decryptor::new_buffered(BufReader::new(input))?;
        let plain = decryptor.decrypt(identities.iter().map(|identity| &**identity as &dyn Identity))?;
        Ok(Self { plain, failure: None })
    }

    /// What ended the file before its end, which its chain tells as well (there is no closing record): it was cut, or the chunk behind the last byte was altered.
    #[cfg(test)]
    pub(crate) fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failure.is_some() {
            return Ok(0);
        }
        let read = self.plain.read(buffer);
        match read {
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
                self.failure = Some(error);
                Ok(0)
            }
            read => read,
        }
    }
}

impl<R: Read> fmt::Debug for Opened<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("failure", &self.failure).finish_non_exhaustive()
    }
}
