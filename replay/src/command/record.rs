//! `warden record`: a live session captured.

use crate::cli::Record;
use crate::exit::Exit;

/// Runs the command and captures the sessions that it starts.
pub(crate) fn run(args: &Record) -> anyhow::Result<Exit> {
    crate::record::run(args)
}
