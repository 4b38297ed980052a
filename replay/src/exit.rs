//! Exit codes, the same for every verb.

use std::io;
use std::process::ExitCode;

use crate::report::complain;

/// How a run ended. If several hold, the highest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Nothing was found.
    Clean = 0,
    /// There are findings.
    Findings = 1,
    /// Bad usage, or an input that cannot be read.
    Unreadable = 2,
    /// Done, but something is missing.
    Incomplete = 3,
}

impl Exit {
    /// The end of a run that failed: says why on stderr. A reader that closed our output is no failure.
    pub(crate) fn of_error(error: &anyhow::Error) -> Self {
        let broken_pipe = |io: &io::Error| io.kind() == io::ErrorKind::BrokenPipe;
        if error.downcast_ref::<io::Error>().is_some_and(broken_pipe) {
            return Self::Clean;
        }
        complain(&format!("error: {error:#}"));
        Self::Unreadable
    }

    /// This exit if the condition holds, else a clean one.
    pub(crate) fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::Clean }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
