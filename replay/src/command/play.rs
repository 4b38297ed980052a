//! `warden play`: a session replayed on the terminal.

use crate::cli::Play;
use crate::exit::Exit;
use crate::paint::Paint;

/// Not built yet.
pub(crate) fn run(_args: &Play, _paint: Paint) -> anyhow::Result<Exit> {
    anyhow::bail!("`warden play` is not built yet")
}
