//! The verbs, one file each.

mod commands;
mod export;
mod frames;
mod play;
mod record;
mod rules;
mod scan;
mod verify;

use crate::cli::{Cli, Verb};
use crate::exit::Exit;
use crate::paint::Paint;

/// Does what the command line says.
///
/// # Errors
/// Bad usage, or what keeps the whole run from being done; what goes wrong with one input is said and counted.
pub(crate) fn run(cli: &Cli) -> anyhow::Result<Exit> {
    let paint = Paint::new(cli.color);
    match &cli.verb {
        Verb::Scan(args) => scan::run(args, paint),
        Verb::Commands(args) => commands::run(args, paint),
        Verb::Frames(args) => frames::run(args, paint),
        Verb::Verify(args) => verify::run(args, paint),
        Verb::Export(args) => export::run(args),
        Verb::Play(args) => play::run(args, paint),
        Verb::Record(args) => record::run(args),
        Verb::Rules(verb) => rules::run(verb, paint),
    }
}
