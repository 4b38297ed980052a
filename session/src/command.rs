//! What was run: commands, as the shell accepted them.

pub(crate) mod cleaned;
pub(crate) mod draft;
pub(crate) mod extract;
pub(crate) mod history;
pub(crate) mod prompt;
pub(crate) mod row;
pub(crate) mod typed;

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::session::Platform;
use crate::shell::{Dialect, Invocation, parse};
use crate::timestamp;

/// One command line that a shell (or an interpreter at its own prompt) accepted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Command {
    /// Place in the session, from 0.
    pub n: u64,
    /// The exact line that the shell accepted; continuation and here-document lines are joined by `\n`.
    pub text: String,
    /// When Enter was pressed, of its first line, where keystrokes are known; otherwise the time of the record that holds it,
    /// an upper bound. `None` for transcripts.
    #[serde(serialize_with = "timestamp::serialize")]
    pub at: Option<Timestamp>,
    /// The prompt it was typed at, as shown, without escapes.
    pub prompt: Option<String>,
    /// How it is known.
    pub origin: Origin,
    /// How sure we are that exactly this was run.
    pub confidence: Confidence,
    /// Byte range of the input that shows it.
    #[serde(serialize_with = "pair")]
    pub offset: Range<u64>,
    /// What is remarkable about it.
    pub marks: BTreeSet<Mark>,
    /// Lines that were typed without echo while it ran, such as passwords: their lengths, never their text.
    pub hidden_input: Vec<HiddenInput>,
    /// Effective operating-system user, if the prompt shows one.
    pub user: Option<String>,
    /// Working directory, if the prompt or a title shows one.
    pub cwd: Option<String>,
    /// The programs that the text starts, wrappers taken off.
    pub invocations: Vec<Invocation>,
}

impl Command {
    /// A command of which nothing is known but its text: no prompt, time or place.
    pub fn of_text(text: &str, platform: Platform, origin: Origin) -> Self {
        let parsed = parse(text, Dialect::of(platform));
        Self {
            n: 0,
            text: text.to_owned(),
            at: None,
            prompt: None,
            origin,
            confidence: Confidence::High,
            offset: 0..0,
            marks: parsed.marks,
            hidden_input: Vec::new(),
            user: None,
            cwd: None,
            invocations: parsed.invocations,
        }
    }
}

/// A line that was typed and shown nowhere, and that no shell took as a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HiddenInput {
    /// When it was entered.
    #[serde(serialize_with = "timestamp::serialize")]
    pub at: Option<Timestamp>,
    /// Its length in bytes, Enter left out.
    pub length: u64,
}

/// How a command is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Read from the screen between a prompt and Enter.
    Screen,
    /// Keystrokes joined with the screen (captures).
    Keys,
    /// Marks that a shell integration printed (OSC 133/633): a claim by the host.
    Marker,
    /// A parameter of an API call: the command is in no transcript. So is the command of a session document that a capture's
    /// handshake repeats.
    Api,
}

/// How sure a reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Guessed from lossy or contradictory records.
    Low,
    /// Read from a documented but lossy form.
    Medium,
    /// Read from every byte that the terminal printed.
    High,
}

/// Something remarkable about a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Mark {
    /// Typed differently first: erased, inserted or recalled text.
    Edited,
    /// Hidden from whoever watched: concealed, overwritten or erased text.
    Hidden,
    /// The prompt may be printed by a program to fake a command or to hide one.
    SpoofSuspect,
    /// The record ends before the line does.
    Unterminated,
    /// Written so that its text does not show what it runs.
    Obfuscated,
    /// Given to an interpreter's own prompt (python, sqlite, …).
    Repl,
    /// The agent's echoed shellProfile, which no user typed.
    Profile,
    /// The terminal was sent controls that the emulator does not know inside the command's region.
    UnknownControl,
    /// The line was longer than the named limit and is cut.
    Cut,
    /// Typed with echo off at a shell's prompt: the screen never showed it, the keys alone tell it.
    NoEcho,
    /// What was typed and what the screen showed are not the same text; the text is what the screen showed.
    Mismatch,
}

impl Mark {
    /// The word that findings and commands use.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Hidden => "hidden",
            Self::SpoofSuspect => "spoof-suspect",
            Self::Unterminated => "unterminated",
            Self::Obfuscated => "obfuscated",
            Self::Repl => "repl",
            Self::Profile => "profile",
            Self::UnknownControl => "unknown-control",
            Self::Cut => "cut",
            Self::NoEcho => "no-echo",
            Self::Mismatch => "mismatch",
        }
    }
}

fn pair<S: Serializer>(range: &Range<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    [range.start, range.end].serialize(serializer)
}
