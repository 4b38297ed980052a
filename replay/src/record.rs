//! `warden record`: a session captured while it goes on.
//!
//! The command is run with a folder first on PATH in which `session-manager-plugin` is a link to this program. Called under
//! that name ([`plugin`]) it starts the real plugin with a `StreamUrl` on the loopback, and stands between it and the
//! service ([`relay`]).
//!
//! ```text
//!     warden record ── aws ssm start-session ── session-manager-plugin (warden) ── session-manager-plugin (AWS's)
//!                                                          │  ▲                          │
//!                                               capture ◄──┤  └────── ws://127.0.0.1 ◄───┘
//!                                                          └── wss://ssmmessages… (signed again if the plugin signs)
//! ```

mod call;
mod dial;
mod echo;
mod plugin;
mod proxy;
mod recorder;
mod relay;
mod settings;
mod sign;
mod signals;
mod store;
mod upgrade;
mod websocket;

use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::{env, fs};

use anyhow::{Context as _, bail};
use tokio::process::Command;

use crate::capture::own::sealed;
use crate::cli::Record;
use crate::exit::Exit;
use crate::report::{complain, warn};

pub(crate) use plugin::answer;
pub(crate) use settings::OnError;
use settings::{FOLDER, PLUGIN, Report, Settings};
use signals::Signals;

/// Runs a command and captures the sessions that it starts. Its exit code is the command's; 3 if that is 0 and something is
/// not recorded.
///
/// # Errors
/// What is wrong with the arguments, and when the command cannot be run.
pub(crate) fn run(args: &Record) -> anyhow::Result<Exit> {
    let settings = settings(args)?;
    let folder = tempfile::Builder::new()
        .prefix("warden-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir()
        .context("a folder for temporary files")?;
    settings.write(folder.path())?;
    symlink(env::current_exe()?, folder.path().join(PLUGIN))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(command(&args.command, folder.path()))?;
    let reports = Report::read_all(folder.path()).context("reports of the recorder")?;
    let is_whole = tell(&reports);
    let code = match plugin::code(status) {
        0 if !is_whole => Exit::Incomplete.code(),
        code => code,
    };
    Ok(Exit::Passed(code))
}

fn settings(args: &Record) -> anyhow::Result<Settings> {
    let mut recipients: Vec<String> = args.recipient.clone();
    let all = sealed::recipients(&args.recipient, &args.recipients_file)?;
    recipients.extend(all.iter().skip(args.recipient.len()).map(ToString::to_string));
    let output = args.output.as_ref().map(std::path::absolute).transpose()?;
    if let Some(path) = output.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
        bail!("{}: exists; a capture is never written over another file", path.display());
    }
    if let Some(folder) = output.as_ref().and_then(|path| path.parent()).filter(|folder| !folder.is_dir()) {
        bail!("{}: no such folder", folder.display());
    }
    Ok(Settings {
        output,
        folder: env::current_dir()?,
        on_error: args.on_error,
        keep_input: args.keep_input,
        recipients,
        ca: args.ca.as_ref().map(std::path::absolute).transpose()?,
        plugin: real_plugin()?,
    })
}

/// The plugin that the AWS CLI would start.
fn real_plugin() -> anyhow::Result<PathBuf> {
    let is_program = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join(PLUGIN))
        .find(is_program)
        .context("AWS's session-manager-plugin is not on PATH")
}

async fn command(command: &[String], folder: &Path) -> anyhow::Result<ExitStatus> {
    let mut signals = Signals::new()?;
    let [program, args @ ..] = command else { bail!("no command") };
    let path = env::var_os("PATH").unwrap_or_default();
    let path: OsString = env::join_paths([folder.to_owned()].into_iter().chain(env::split_paths(&path)))?;
    let mut child = Command::new(program)
        .args(args)
        .env("PATH", path)
        .env(FOLDER, folder)
        .spawn()
        .with_context(|| program.clone())?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            signal = signals.next() => signals::send(&child, signal),
        }
    }
}

/// Says what was recorded; whether that is everything.
fn tell(reports: &[Report]) -> bool {
    if reports.is_empty() {
        warn("the command started no session: nothing is recorded");
        return false;
    }
    for report in reports {
        let session = report.session.as_deref().unwrap_or("a session");
        let Some(path) = &report.path else {
            let error = report.error.as_deref().unwrap_or_default();
            warn(&format!("{session} IS NOT RECORDED: {error}"));
            continue;
        };
        let (path, messages, masked) = (path.display(), report.messages, report.masked);
        complain(&format!("warden: {session} is recorded in {path}: {messages} messages, {masked} with masked input"));
        match (&report.closed, &report.last) {
            (Some(_), Some(last)) => complain(&format!(
                "warden: its last hash is {last}\nwarden: keep that where nobody who holds the file can change it; `warden verify` prints it again"
            )),
            _ => warn("the capture is not closed: it can be read up to where its recorder was stopped"),
        }
        if let Some(error) = &report.error {
            warn(&format!("{} MESSAGES ARE NOT IN THE CAPTURE: {error}", report.not_recorded));
        }
    }
    reports.iter().all(|report| report.closed.is_some() && report.error.is_none())
}
