//! Command text -> the programs that it starts.

use serde::Serialize;

/// One program that a command line starts, with its wrappers taken off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invocation {
    /// Program and arguments after quote removal; never empty.
    pub argv: Vec<String>,
    /// Wrappers that were taken off, outermost first: `sudo`, `env`, `bash -c`, `eval`, ….
    pub via: Vec<String>,
    /// Whether quotes, escapes or an inner shell had to be undone to know it, so that the raw text differs.
    pub decoded: bool,
}

impl Invocation {
    /// The normalised command line: words joined by one blank, as rules see it in `CommandLine`.
    pub fn command_line(&self) -> String {
        self.argv.join(" ")
    }
}

/// stub
#[derive(Clone, Copy, Debug)]
pub enum Dialect {
    /// a
    Posix,
    /// b
    PowerShell,
}
/// stub
#[derive(Debug)]
pub struct Parsed {
    /// a
    pub invocations: Vec<Invocation>,
    /// b
    pub marks: std::collections::BTreeSet<crate::command::Mark>,
}
/// stub
pub fn parse(_: &str, _: Dialect) -> Parsed {
    Parsed { invocations: Vec::new(), marks: std::collections::BTreeSet::new() }
}
/// stub
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// a
    Backslash,
    /// b
    Quote,
}
/// stub
pub fn unfinished(text: &str) -> Option<Unfinished> {
    if text.ends_with('\\') {
        Some(Unfinished::Backslash)
    } else if text.matches('"').count() % 2 == 1 {
        Some(Unfinished::Quote)
    } else {
        None
    }
}
