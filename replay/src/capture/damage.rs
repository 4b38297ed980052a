//! What is wrong with a capture itself, below the data channel.

use thiserror::Error;
use warden_session::timeline::Deviation;

use super::own;

/// A way in which a capture is damaged or less than whole. Never holds bytes of a session.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Damage {
    /// The compression around the capture is damaged, or its limit reached.
    #[error("{0}")]
    Container(Deviation),
    /// A record that is none of the format's; it was skipped.
    #[error("a record that cannot be read was skipped ({0})")]
    BadRecord(&'static str),
    /// A record longer than any message can be; it was skipped.
    #[error("a record of more than {limit} bytes was skipped")]
    LongRecord {
        /// Most bytes of a record.
        limit: usize,
    },
    /// The capture ends in the middle of a record.
    #[error("the capture ends in the middle of a record")]
    Cut,
    /// Bytes of a connection were not captured.
    #[error("{bytes} bytes of the connection were not captured")]
    LostBytes {
        /// How many.
        bytes: u64,
    },
    /// A WebSocket that does not keep to its protocol.
    #[error("the WebSocket is broken: {0}")]
    WebSocket(&'static str),
    /// TLS that cannot be opened.
    #[error("TLS: {0}")]
    Tls(&'static str),
    /// TLS without its secrets.
    #[error("TLS to {} is not decrypted: its secrets are neither in the capture nor in --keylog", shown(.host.as_deref()))]
    NoTlsSecrets {
        /// The server, as the client asked for it.
        host: Option<String>,
    },
    /// A record of `warden`'s own format is not what was written, or not where it was.
    #[error(transparent)]
    Record(#[from] own::Damage),
    /// The recorder could not write these messages.
    #[error("{messages} messages passed here that could not be recorded")]
    NotRecorded {
        /// How many.
        messages: u64,
    },
    /// The record before this one is later.
    #[error("the clock goes back by {ms} ms")]
    ClockBack {
        /// Milliseconds.
        ms: i64,
    },
    /// The capture holds no data channel.
    #[error("no message of a data channel is in the capture")]
    NoChannel,
    /// Messages of another session, in a format that cannot tell sessions apart.
    #[error("messages of another session are mixed in")]
    OtherSession,
}

fn shown(host: Option<&str>) -> String {
    // A host name is hostile text: what is none of one is left out.
    let is_legal = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    host.map_or_else(|| "an unnamed server".to_owned(), |host| host.chars().filter(is_legal).take(253).collect())
}

impl Damage {
    /// Whether it is about AWS's message gateway, whatever else was captured.
    pub(super) fn is_of_gateway(&self) -> bool {
        matches!(self, Self::NoTlsSecrets { host: Some(host) } if host.starts_with("ssmmessages"))
    }

    /// Whether messages may be missing (exit code 3).
    pub(crate) fn is_incomplete(&self) -> bool {
        match self {
            Self::OtherSession | Self::ClockBack { .. } => false,
            // An altered record may still be read; one that was taken out, or is none, cannot.
            Self::Record(damage) => {
                use own::Damage as D;
                matches!(
                    damage,
                    D::Unreadable { .. } | D::Missing { .. } | D::Cut { .. } | D::NotClosed { .. } | D::Version { .. }
                )
            }
            _ => true,
        }
    }

    /// Whether the capture contradicts itself (exit code 1).
    pub(crate) fn is_contradiction(&self) -> bool {
        match self {
            Self::OtherSession => true,
            Self::Record(damage) => damage.breaks_at().is_some(),
            _ => false,
        }
    }
}
