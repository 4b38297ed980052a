//! `warden frames`: every WebSocket message of a capture.

use crate::cli::Frames;
use crate::exit::Exit;
use crate::paint::Paint;

/// Not built yet.
pub(crate) fn run(_args: &Frames, _paint: Paint) -> anyhow::Result<Exit> {
    anyhow::bail!("`warden frames` is not built yet")
}
