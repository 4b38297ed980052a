//! Records out.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use warden_protocol::wire::Sha256;

use super::layout::{Kind, MAX_MESSAGE, Marker, mask, message_head, record};
use super::{Closing, Header, MAGIC, NotRecorded, Passed, VERSION, seed};

/// Creates the file of a capture: readable by its owner alone (0600), and never in the place of one that exists.
///
/// # Errors
/// What the file system says; [`io::ErrorKind::AlreadyExists`] among it.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a capture. Each record goes out in one write and is not buffered here: when the process is killed, every record
/// whose method returned is with the operating system. Bringing it to the disk (`fsync`) is the caller's: `warden record`
/// does it after the header, about every second while messages come, and at the end.
///
/// After an error nothing has changed: the same record can be written again, if what a short write left behind was taken
/// away.
#[derive(Debug)]
pub(crate) struct Writer<W> {
    out: W,
    marker: Marker,
    last: Sha256,
    records: u64,
    messages: u64,
    masked: u64,
    not_recorded: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a capture: preamble and header. The marker is drawn at random.
    ///
    /// # Errors
    /// What `out` says.
    pub(crate) fn begin(mut out: W, marker: [u8; 8], header: &Header) -> io::Result<Self> {
        let mut preamble = MAGIC.to_vec();
        preamble.extend_from_slice(&VERSION.to_be_bytes());
        preamble.extend_from_slice(&marker);
        out.write_all(&preamble)?;
        let last = seed(&preamble);
        let mut writer = Self { out, marker, last, records: 0, messages: 0, masked: 0, not_recorded: 0 };
        writer.json(Kind::Header, header)?;
        Ok(writer)
    }

    /// Writes a message as it is. The caller has taken the token out of text messages.
    ///
    /// # Errors
    /// What the file says; [`io::ErrorKind::InvalidInput`] for a message longer than [`MAX_MESSAGE`].
    pub(crate) fn message(&mut self, passed: &Passed) -> io::Result<()> {
        self.put(passed, &passed.bytes, None)
    }

    /// Writes an input frame of which the payload bytes that `is_masked` names by their index are masked and the digest is
    /// withheld.
    ///
    /// # Errors
    /// As [`Writer::message`]; `InvalidInput` also for what is no frame in plain form.
    pub(crate) fn masked(&mut self, passed: &Passed, is_masked: &dyn Fn(usize) -> bool) -> io::Result<()> {
        let (bytes, masked) = mask(&passed.bytes, is_masked).ok_or_else(|| invalid("not a frame in plain form"))?;
        self.put(passed, &bytes, Some(masked))?;
        self.masked += 1;
        Ok(())
    }

    /// Says that messages passed that are not in the capture.
    ///
    /// # Errors
    /// What the file says.
    pub(crate) fn not_recorded(&mut self, gap: &NotRecorded) -> io::Result<()> {
        self.json(Kind::NotRecorded, gap)?;
        self.not_recorded += gap.messages;
        Ok(())
    }

    /// Writes this many bytes, the record around them not counted, that mean nothing.
    ///
    /// # Errors
    /// What the file says.
    pub(crate) fn padding(&mut self, bytes: usize) -> io::Result<()> {
        self.append(Kind::Padding, &[&vec![0; bytes.min(MAX_MESSAGE)]])
    }

    /// Closes the capture.
    ///
    /// # Errors
    /// What the file says.
    pub(crate) fn close(&mut self, closed: Timestamp) -> io::Result<Closing> {
        let closing = Closing {
            closed,
            records: self.records,
            messages: self.messages,
            masked: self.masked,
            not_recorded: self.not_recorded,
        };
        self.json(Kind::Closing, &closing)?;
        Ok(closing)
    }

    /// Text and binary messages written, and how many of them are masked.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.messages, self.masked)
    }

    /// Hash of the last record.
    pub(crate) fn last(&self) -> Sha256 {
        self.last
    }

    /// What the records go to.
    pub(crate) fn out(&mut self) -> &mut W {
        &mut self.out
    }

    /// What the records went to.
    #[cfg(test)]
    pub(crate) fn into_out(self) -> W {
        self.out
    }

    fn put(&mut self, passed: &Passed, bytes: &Bytes, masked: Option<u32>) -> io::Result<()> {
        if bytes.len() > MAX_MESSAGE {
            return Err(invalid("longer than a message can be"));
        }
        let kind = if masked.is_some() { Kind::Masked } else { Kind::Message };
        self.append(kind, &[&message_head(passed, masked), bytes])?;
        self.messages += u64::from(matches!(passed.opcode, 1 | 2));
        Ok(())
    }

    fn json(&mut self, kind: Kind, body: &impl Serialize) -> io::Result<()> {
        self.append(kind, &[&serde_json::to_vec(body)?])
    }

    fn append(&mut self, kind: Kind, body: &[&[u8]]) -> io::Result<()> {
        let (bytes, hash) = record(self.marker, self.records, self.last, kind, body);
        self.out.write_all(&bytes)?;
        self.records += 1;
        self.last = hash;
        Ok(())
    }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
