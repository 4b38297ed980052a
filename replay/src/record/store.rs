//! Where the records of a capture go: a file, encrypted or not.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use age::stream::StreamWriter;
use age::x25519::Recipient;

use crate::capture::own::sealed::{self, CHUNK};

/// The file of a capture.
pub(super) enum Store {
    /// As it is.
    Plain(Disk),
    /// Inside an age file.
    Sealed {
        /// The age file; `None` once it was ended.
        out: Option<Box<StreamWriter<Disk>>>,
        /// Bytes of plaintext written.
        written: u64,
    },
}

/// A file that can take back what was written last.
pub(super) struct Disk {
    file: File,
    written: u64,
    /// What stays in any case.
    kept: u64,
}

impl Store {
    /// Begins in an empty file; without recipients as it is.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn new(file: File, recipients: &[Recipient]) -> io::Result<Self> {
        let disk = Disk { file, written: 0, kept: 0 };
        if recipients.is_empty() {
            return Ok(Self::Plain(disk));
        }
        Ok(Self::Sealed { out: Some(Box::new(sealed::seal(recipients, disk)?)), written: 0 })
    }

    /// A record was written whole.
    pub(super) fn keep(&mut self) {
        if let Self::Plain(disk) = self {
            disk.kept = disk.written;
        }
    }

    /// Takes back what a failed write left behind the last whole record; whether more can be written.
    pub(super) fn take_back(&mut self) -> bool {
        match self {
            Self::Plain(disk) => {
                let taken = disk.file.set_len(disk.kept).and_then(|()| disk.file.seek(SeekFrom::Start(disk.kept)));
                disk.written = disk.kept;
                taken.is_ok()
            }
            // A chunk that was written in part cannot be followed by another.
            Self::Sealed { .. } => false,
        }
    }

    /// How long a padding record must be so that all of what waits is written: none if nothing waits.
    pub(super) fn waiting(&self) -> Option<usize> {
        match self {
            Self::Sealed { written, .. } if *written > 0 => {
                let chunk = CHUNK as u64;
                let in_chunk = (*written - 1) % chunk + 1;
                usize::try_from(chunk - in_chunk + 1).ok()
            }
            _ => None,
        }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Sealed { out, .. } => out.take().map_or(Ok(()), |out| out.finish().map(drop)),
        }
    }
}

impl Write for Store {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(disk) => disk.write(bytes),
            Self::Sealed { out: Some(out), written } => {
                let count = out.write(bytes)?;
                *written += count as u64;
                Ok(count)
            }
            Self::Sealed { out: None, .. } => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn padding_brings_what_waits_into_the_file() {
        let identity = age::x25519::Identity::generate();
        let recipients = [identity.to_public()];
        for written in [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let path = tempfile::NamedTempFile::new().unwrap();
            let mut store = Store::new(path.reopen().unwrap(), &recipients).unwrap();
            assert_eq!(store.waiting(), None);
            store.write_all(&vec![7; written]).unwrap();
            let padding = store.waiting().unwrap();
            store.write_all(&vec![0; padding]).unwrap();
            // The recorder is killed here.
            drop(store);
            let identities: sealed::Identities = vec![Box::new(identity.clone())];
            let mut plain = Vec::new();
            sealed::Opened::new(path.reopen().unwrap(), &identities).unwrap().read_to_end(&mut plain).unwrap();
            assert!(plain.len() >= written, "{written} bytes written, {} there", plain.len());
        }
    }

    #[test]
    fn what_a_failed_write_left_is_taken_back() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let mut store = Store::new(path.reopen().unwrap(), &[]).unwrap();
        store.write_all(b"whole").unwrap();
        store.keep();
        store.write_all(b"half").unwrap();
        assert!(store.take_back());
        store.write_all(b", again").unwrap();
        assert_eq!(std::fs::read(path.path()).unwrap(), b"whole, again");
    }
}
