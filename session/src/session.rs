//! Who, where and when: the identity of one session.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the inputs say of one session. `None` means that no input said it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The session id, the key that joins all records of a session.
    pub id: Option<SessionId>,
    /// ARN of the principal that started the session.
    pub principal: Option<String>,
    /// Managed node (`i-…`, `mi-…`) or ECS target (`ecs:CLUSTER_TASK_RUNTIME`).
    pub target: Option<String>,
    /// The twelve digits of the AWS account.
    pub account: Option<String>,
    /// AWS region, such as `eu-central-1`.
    pub region: Option<String>,
    /// Operating-system user that the agent started the shell as.
    pub run_as: Option<String>,
    /// Session document; `SSM-SessionManagerRunShell` when StartSession named none.
    pub document: Option<String>,
    /// The reason that the principal gave to StartSession: free, hostile text.
    pub reason: Option<String>,
    /// Time of StartSession.
    pub started: Option<Timestamp>,
    /// Time at which the agent wrote the transcript: the end of the session, as header and footer of a transcript say.
    pub ended: Option<Timestamp>,
    /// The agent's plugin, which names the kind of session: `Standard_Stream` (a shell), `InteractiveCommands` or
    /// `NonInteractiveCommands` (one command, whose text is in no transcript).
    pub plugin: Option<String>,
    /// Operating system of the target, as its prompt or transcript shows it.
    pub platform: Platform,
}

/// Operating system of a target, which chooses the rules that typed commands meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Linux: the default, for nothing in a Linux record names it.
    #[default]
    Linux,
    /// macOS.
    Macos,
    /// Windows with PowerShell.
    Windows,
}

/// A session id: `NAME-SUFFIX`, where the suffix is 17 hexadecimal digits beginning with `0` (until about 2024) or 26 of
/// `[a-z0-9]`, and the name (an IAM user, a role session name or `ecs-execute-command`) may itself hold `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(String);

impl SessionId {
    /// Longest session id that the API allows.
    pub const MAX_LEN: usize = 96;

    /// Reads a session id; `None` if the text cannot be one.
    ///
    /// ```
    /// use warden_session::SessionId;
    /// let id = SessionId::parse("grace.stone.temp-0e34861185201706f").unwrap();
    /// assert_eq!(id.name(), "grace.stone.temp");
    /// assert!(SessionId::parse("not a session").is_none());
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let (name, suffix) = text.rsplit_once('-')?;
        let legal_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"@=,._+-".contains(&b));
        let old = suffix.len() == 17 && suffix.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let new = suffix.len() == 26 && suffix.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        (legal_name && (old || new) && text.len() <= Self::MAX_LEN).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the last `-`: an IAM user name, a role session name or `ecs-execute-command`.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('-').map_or("", |(name, _)| name)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
