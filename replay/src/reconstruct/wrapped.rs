//! The data key of a sealed session, as it is on the wire: only KMS can open it.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use warden_protocol::channel;

use super::{What, read};
use crate::capture::Secrets;
use crate::input::Input;

/// What KMS has to be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wrapped {
    /// The session's id, which is part of the encryption context.
    pub(crate) session: Option<String>,
    /// The data key, encrypted.
    pub(crate) key: Vec<u8>,
    /// The agent's challenge in base64, if client and agent agreed to make it part of the encryption context.
    pub(crate) challenge: Option<String>,
}

/// Finds the wrapped key of the first sealed session of a capture; `None` if no handshake holds one.
///
/// # Errors
/// What the file system says, and that the input is no capture.
pub(crate) fn find(input: &Input, secrets: &Secrets) -> io::Result<Option<Wrapped>> {
    let (mut found, mut offered) = (None::<Wrapped>, None);
    let sessions = read(input, secrets, &mut |moment| {
        match moment.what {
            What::Channel(channel::What::HandshakeRequest(request)) => {
                offered = request.kms().map(|parsed| STANDARD.encode(&parsed.value.challenge));
            }
            What::Channel(channel::What::HandshakeResponse(response)) if found.is_none() => {
                found = response.kms().map(|(_, parsed)| Wrapped {
                    session: None,
                    challenge: offered.take().filter(|_| parsed.value.challenge_acknowledgement == Some(true)),
                    key: parsed.value.cipher_text_key,
                });
            }
            _ => {}
        }
        Ok(())
    })?;
    if let Some(found) = &mut found {
        found.session = sessions.into_iter().next().and_then(|session| session.id);
    }
    Ok(found)
}
