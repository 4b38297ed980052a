//! What opens a capture: the session's data key, TLS secrets.

use std::fmt;
use std::fs;
#[cfg(feature = "aws")]
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use warden_protocol::seal::SessionKey;

use crate::cli::Keys;
#[cfg(feature = "aws")]
use crate::{input::Input, reconstruct::wrapped, remote::Remote};

/// Secrets given on the command line.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    /// The data key in hex, checked.
    key: Option<String>,
    /// Lines of an `SSLKEYLOGFILE`.
    pub(super) keylog: Vec<u8>,
    /// The target of the session whose data key KMS is asked for.
    #[cfg(feature = "aws")]
    kms: Option<String>,
    /// The data key in hex that KMS gave.
    asked: Arc<OnceLock<String>>,
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
        #[cfg(not(feature = "aws"))]
        if keys.kms {
            anyhow::bail!("--kms: this warden was built without AWS; build it with `--features aws`");
        }
        #[cfg(feature = "aws")]
        let kms = if keys.kms {
            Some(keys.target.clone().context("--kms needs --target, the session's target")?)
        } else {
            None
        };
        let keylog = match &keys.keylog {
            Some(path) => fs::read(path).with_context(|| format!("--keylog {}", path.display()))?,
            None => Vec::new(),
        };
        Ok(Self {
            key: keys.key.clone(),
            #[cfg(feature = "aws")]
            kms,
            asked: Arc::default(),
            keylog,
            identity: keys.identity.clone(),
        })
    }

    /// The same for another capture: what KMS said of one session opens no other.
    #[must_use]
    pub(crate) fn for_another(&self) -> Self {
        Self { asked: Arc::default(), ..self.clone() }
    }

    /// Asks KMS for the data key of a capture's session, if the command line says so and a handshake holds one.
    ///
    /// # Errors
    /// What the file system or KMS says.
    #[cfg(feature = "aws")]
    pub(crate) fn ask_kms(&self, input: &Input) -> io::Result<()> {
        let Some(target) = &self.kms else { return Ok(()) };
        let Some(wrapped) = wrapped::find(input, self)? else { return Ok(()) };
        let mut context = vec![("aws:ssm:TargetId", target.as_str())];
        context.extend(wrapped.session.as_deref().map(|session| ("aws:ssm:SessionId", session)));
        context.extend(wrapped.challenge.as_deref().map(|challenge| ("aws:ssm:RandomChallenge", challenge)));
        let key = Remote::connect()?.decrypt(wrapped.key.clone(), &context)?;
        let digits = key.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let hex: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
        SessionKey::from_hex(&hex).map_err(|_| io::Error::other("what KMS gave is no data key of a session"))?;
        let _ = self.asked.set(hex);
        Ok(())
    }

    /// The session's data key, if it was given.
    pub(crate) fn data_key(&self) -> Option<SessionKey> {
        SessionKey::from_hex(self.key.as_ref().or_else(|| self.asked.get())?).ok()
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
