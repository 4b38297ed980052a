//! `warden export`: a session in another form.

use crate::cli::Export;
use crate::exit::Exit;
use crate::paint::Paint;

/// Not built yet.
pub(crate) fn run(_args: &Export, _paint: Paint) -> anyhow::Result<Exit> {
    anyhow::bail!("`warden export` is not built yet")
}
