//! `warden record`: a live session captured.

use crate::cli::Record;
use crate::exit::Exit;

/// Not built yet.
pub(crate) fn run(_args: &Record) -> anyhow::Result<Exit> {
    anyhow::bail!("`warden record` is not built yet")
}
