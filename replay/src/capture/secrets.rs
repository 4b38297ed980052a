//! What opens a capture: the session's data key, TLS secrets.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use warden_protocol::seal::SessionKey;

use crate::cli::Keys;

/// Secrets given on the command line.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    /// The data key in hex, checked.
    key: Option<String>,
    /// Lines of an `SSLKEYLOGFILE`.
    pub(super) keylog: Vec<u8>,
    /// A file of age identities.
    pub(crate) identity: Option<PathBuf>,
}

impl Secrets {
    /// Takes what the command line gives.
    ///
    /// # Errors
    /// When the key is none, or the key log cannot be read.
    pub(crate) fn of(keys: &Keys) -> anyhow::Result<Self> {
        if let Some(key) = &keys.key {
            SessionKey::from_hex(key).context("--key")?;
        }
        let keylog = match &keys.keylog {
            Some(path) => fs::read(path).with_context(|| format!("--keylog {}", path.display()))?,
            None => Vec::new(),
        };
        Ok(Self { key: keys.key.clone(), keylog, identity: keys.identity.clone() })
    }

    /// The session's data key, if it was given.
    pub(crate) fn data_key(&self) -> Option<SessionKey> {
        SessionKey::from_hex(self.key.as_deref()?).ok()
    }
}

/// Says only what there is.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("key", &self.key.is_some())
            .field("keylog_bytes", &self.keylog.len())
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
