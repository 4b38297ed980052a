//! The bytes of one direction, counted and hashed as they pass.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

use crate::wire::Sha256;

/// The bytes of one direction of a connection or stream.
#[derive(Clone, Default)]
pub struct Flow {
    bytes: u64,
    closed: bool,
    digest: Digest,
}

#[derive(Clone, Default)]
enum Digest {
    /// Nothing came yet: no hash state is held.
    #[default]
    Empty,
    Running(Context),
    Done(Sha256),
}

impl Flow {
    /// How many bytes came.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the sender said that no more will come.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// SHA-256 of the bytes so far.
    pub fn sha256(&self) -> Sha256 {
        match &self.digest {
            Digest::Empty => Sha256::of(b""),
            Digest::Running(context) => Sha256::from_digest(&context.clone().finish()),
            Digest::Done(digest) => *digest,
        }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.is_finished() {
            return;
        }
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        match &mut self.digest {
            Digest::Empty => {
                let mut context = Context::new(&SHA256);
                context.update(bytes);
                self.digest = Digest::Running(context);
            }
            Digest::Running(context) => context.update(bytes),
            Digest::Done(_) => {}
        }
    }

    /// Whether the digest is final: nothing is taken any more.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.digest, Digest::Done(_))
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Frees the hash state.
    pub(crate) fn finish(&mut self) {
        self.digest = Digest::Done(self.sha256());
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Flow");
        debug.field("bytes", &self.bytes).field("closed", &self.closed).field("digest", &self.sha256()).finish()
    }
}
