//! `warden verify`: is a capture whole, and what does it hold.

use crate::cli::Verify;
use crate::exit::Exit;
use crate::paint::Paint;

/// Not built yet.
pub(crate) fn run(_args: &Verify, _paint: Paint) -> anyhow::Result<Exit> {
    anyhow::bail!("`warden verify` is not built yet")
}
