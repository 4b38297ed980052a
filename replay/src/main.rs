//! The `warden` command: what was done inside Session Manager sessions.

mod capture;
mod cli;
mod command;
mod exit;
mod index;
mod export;
mod input;
mod items;
mod paint;
mod pipeline;
mod player;
mod progress;
mod reconstruct;
mod recording;
#[allow(dead_code, unused_imports)]
mod record;
mod report;
mod ruleset;
mod tty;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match command::run(&cli) {
        Ok(exit) => exit.into(),
        Err(error) => exit::Exit::of_error(&error).into(),
    }
}
