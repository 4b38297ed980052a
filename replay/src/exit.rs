//! Exit codes, the same for every verb.

use std::io;
use std::process::ExitCode;

use crate::report::complain;

/// How a run ended. If several hold, the highest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Nothing was found.
    Clean,
    /// There are findings.
    Findings,
    /// Bad usage, or an input that cannot be read.
    Unreadable,
    /// Done, but something is missing.
    Incomplete,
    /// `record`: the exit code of the command that was run.
    Passed(u8),
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

    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Findings => 1,
            Self::Unreadable => 2,
            Self::Incomplete => 3,
            Self::Passed(code) => code,
        }
    }

    /// This exit if the condition holds, else a clean one.
    pub(crate) fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::Clean }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
