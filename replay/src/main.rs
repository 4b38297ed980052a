//! The `warden` command: what was done inside Session Manager sessions.

mod capture;
mod cli;
mod command;
mod exit;
mod export;
mod index;
mod input;
mod items;
mod paint;
mod pipeline;
mod player;
mod progress;
mod reconstruct;
mod record;
mod recording;
#[cfg(feature = "aws")]
mod remote;
mod report;
mod ruleset;
mod tty;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if let Some(code) = record::answer() {
        return code;
    }
    let cli = cli::Cli::parse();
    match command::run(&cli) {
        Ok(exit) => exit.into(),
        Err(error) => exit::Exit::of_error(&error).into(),
    }
}
