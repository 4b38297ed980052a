//! `warden` in the place of AWS's session-manager-plugin.
//!
//! The AWS CLI finds it first on PATH and calls it with what StartSession answered (`P: src/sessionmanagerplugin/session/session.go`,
//! and `awscli/customizations/sessionmanager.py`):
//!
//! ```text
//! session-manager-plugin RESPONSE|VARIABLE REGION StartSession PROFILE PARAMETERS ENDPOINT
//! ```
//!
//! The real plugin is called with the same arguments and a `StreamUrl` on the loopback. Every other call (`--version`) is
//! the real plugin's.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use rustix::process::Signal;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::call::Call;
use super::dial::{Service, trust};
use super::recorder::Recorder;
use super::relay::Relay;
use super::settings::{FOLDER, OnError, PLUGIN, Report, Settings};
use super::signals::{self, Signals};
use crate::capture::own::{self, Header, Masked, sealed};
use crate::report::complain;

/// How often what waits is looked after.
const TICK: Duration = Duration::from_millis(250);
/// Ticks between two times that the file is brought to the disk.
const TICKS_TO_SYNC: u32 = 4;
/// How long connections may go on when the plugin has ended.
const LINGER: Duration = Duration::from_secs(5);
/// How long a plugin that is to end may take.
const END_TIME: Duration = Duration::from_secs(3);
/// Captures of one run that get names of their own.
const MAX_NAMES: u32 = 1000;

/// Answers a call under the plugin's name; `None` if this is no such call.
pub(crate) fn answer() -> Option<ExitCode> {
    let mut args = std::env::args_os();
    let name = args.next()?;
    if Path::new(&name).file_name()? != PLUGIN {
        return None;
    }
    Some(run(args.collect()).unwrap_or_else(|error| {
        complain(&format!("warden: {error:#}"));
        ExitCode::from(2)
    }))
}

fn run(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let folder = std::env::var_os(FOLDER).map(PathBuf::from).context("this is `warden`, not the plugin itself")?;
    let settings = Settings::read(&folder).context("settings of `warden record`")?;
    let Some(call) = Call::parse(&args) else {
        return Err(std::process::Command::new(&settings.plugin).args(args).exec()).context(PLUGIN);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = tokio::task::LocalSet::new().block_on(&runtime, record(&folder, &settings, &call))?;
    // A thread that still waits for a slow disk is not waited for.
    runtime.shutdown_background();
    Ok(code)
}

async fn record(folder: &Path, settings: &Settings, call: &Call) -> anyhow::Result<ExitCode> {
    let signals = Signals::new()?;
    let service = Service::parse(&call.stream_url)?;
    let trust = if service.is_tls { Some(trust(settings.ca.as_deref())?) } else { None };
    let recorder = recorder(folder, settings, call, &service)?;
    let relay = Rc::new(Relay {
        service,
        trust,
        region: call.region.clone(),
        profile: call.profile.clone(),
        secret: secret()?,
        recorder: RefCell::new(recorder),
        sockets: Cell::new(0),
        stop: Notify::new(),
    });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("the loopback")?;
    let url = relay.url(listener.local_addr()?.port());
    let terminal = Terminal::save().await;
    let mut command = call.command(&settings.plugin, &url)?;
    let child = command.env_remove(FOLDER).env("PATH", path_without(folder)).spawn().context(PLUGIN)?;
    let status = attend(child, &relay, &listener, signals, &call.left_behind()).await?;
    if !status.success() {
        terminal.restore().await;
    }
    let recorder = relay.recorder.borrow_mut().take();
    if let Some(recorder) = recorder {
        let report = recorder.close(Timestamp::now());
        if let Err(error) = report.write(folder) {
            complain(&format!("warden: {error}; the capture ends with hash {:?}", report.last));
        }
    }
    Ok(exit_code(status))
}

/// Begins the capture; `None` if that fails and the session is to go on all the same.
fn recorder(folder: &Path, settings: &Settings, call: &Call, service: &Service) -> anyhow::Result<Option<Recorder>> {
    match begin(settings, call, service) {
        Ok(recorder) => {
            recorder.report().write(folder)?;
            Ok(Some(recorder))
        }
        Err(error) => {
            report_failure(folder, call, &error)?;
            if settings.on_error == OnError::Stop {
                return Err(error.context(call.left_behind()));
            }
            complain(&format!("warden: THIS SESSION IS NOT RECORDED: {error:#}"));
            Ok(None)
        }
    }
}

fn secret() -> anyhow::Result<String> {
    let mut secret = [0; 16];
    aws_lc_rs::rand::fill(&mut secret).ok().context("the system gives no random numbers")?;
    Ok(format!("{:032x}", u128::from_be_bytes(secret)))
}

/// Serves the plugin until it has ended.
async fn attend(
    mut child: Child,
    relay: &Rc<Relay>,
    listener: &TcpListener,
    mut signals: Signals,
    left_behind: &str,
) -> io::Result<ExitStatus> {
    let mut connections = JoinSet::new();
    let mut ticks = interval(TICK);
    let mut ticked = 0_u32;
    let mut sync = None;
    let status = loop {
        tokio::select! {
            // In this order: a plugin whose connection was ended here often ends before anything else is looked at.
            biased;
            () = relay.stop.notified() => {
                complain(&format!("warden: {left_behind}"));
                break end(&mut child, &mut connections).await?;
            }
            status = child.wait() => break status?,
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    connections.spawn_local(Rc::clone(relay).serve(client));
                }
            }
            Some(_) = connections.join_next() => {}
            signal = signals.next() => signals::send(&child, signal),
            _ = ticks.tick() => {
                ticked = ticked.wrapping_add(1);
                tick(relay, ticked, &mut sync).await;
            }
        }
    };
    // The plugin's last messages may still be on their way.
    let _ = timeout(LINGER, async { while connections.join_next().await.is_some() {} }).await;
    Ok(status)
}

/// Ends the session from this side.
async fn end(child: &mut Child, connections: &mut JoinSet<()>) -> io::Result<ExitStatus> {
    connections.shutdown().await;
    signals::send(child, Signal::TERM);
    if let Ok(status) = timeout(END_TIME, child.wait()).await {
        return status;
    }
    child.kill().await?;
    child.wait().await
}

type Sync = Option<tokio::task::JoinHandle<io::Result<()>>>;

async fn tick(relay: &Relay, ticked: u32, sync: &mut Sync) {
    let now = Timestamp::now();
    let done = if sync.as_ref().is_some_and(tokio::task::JoinHandle::is_finished) { sync.take() } else { None };
    let synced = match done {
        Some(done) => done.await.unwrap_or(Ok(())),
        None => Ok(()),
    };
    let mut recorder = relay.recorder.borrow_mut();
    let Some(recorder) = recorder.as_mut() else { return };
    let synced = synced.map_or_else(|error| recorder.sync_failed(now, &error), Ok);
    if synced.and(recorder.tick(now)).is_err() {
        relay.stop.notify_one();
    }
    if sync.is_none() && ticked.is_multiple_of(TICKS_TO_SYNC) {
        *sync = recorder.unsynced().map(|file| tokio::task::spawn_blocking(move || file.sync_data()));
    }
}

fn begin(settings: &Settings, call: &Call, service: &Service) -> anyhow::Result<Recorder> {
    let recipients = sealed::recipients(&settings.recipients, &[])?;
    let mut masked = vec![Masked::Token];
    masked.extend((!settings.keep_input).then_some(Masked::NoEchoInput));
    let header = Header {
        created: Timestamp::now(),
        tool: concat!("warden ", env!("CARGO_PKG_VERSION")).to_owned(),
        session: call.session.clone(),
        target: call.target.clone(),
        region: Some(call.region.clone()).filter(|region| !region.is_empty()),
        host: Some(service.host.clone()),
        document: call.document.clone(),
        masked,
    };
    let file = create(settings, call.session.as_deref())?;
    Recorder::begin(file, &recipients, &header, settings.on_error, settings.keep_input)
}

/// Creates the file: under the name that was asked for or the session's, and for further sessions of one run, or if there is such a
/// file already, with a number.
fn create(settings: &Settings, session: Option<&str>) -> anyhow::Result<(PathBuf, File)> {
    let suffix = if settings.recipients.is_empty() { "warden" } else { "warden.age" };
    let first = settings.output.clone().unwrap_or_else(|| {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '=');
        let name: String = session.unwrap_or("session").chars().filter(is_plain).collect();
        settings.folder.join(format!("{}.{suffix}", name.trim_start_matches('.')))
    });
    for n in 1..=MAX_NAMES {
        let path = if n == 1 { first.clone() } else { numbered(&first, n) };
        match own::create(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
    Err(anyhow!("{}: exists", first.display()))
}

/// `a.warden` -> `a-2.warden`.
fn numbered(path: &Path, n: u32) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (stem, extension) = name.split_once(".warden").map_or((&*name, ""), |(stem, _)| (stem, &name[stem.len()..]));
    path.with_file_name(format!("{stem}-{n}{extension}"))
}

fn report_failure(folder: &Path, call: &Call, error: &anyhow::Error) -> io::Result<()> {
    let report = Report {
        path: None,
        session: call.session.clone(),
        closed: None,
        messages: 0,
        masked: 0,
        not_recorded: 0,
        last: None,
        error: Some(format!("{error:#}")),
    };
    report.write(folder)
}

fn path_without(folder: &Path) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::env::split_paths(&path).filter(|entry| entry != folder)).unwrap_or(path)
}

/// A program that was ended by a signal has the code that shells give it.
pub(super) fn exit_code(status: ExitStatus) -> ExitCode {
    ExitCode::from(code(status))
}

/// The code of [`exit_code`].
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(1));
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// The terminal's settings: a plugin that is ended by force leaves it without echo.
struct Terminal(Option<String>);

impl Terminal {
    async fn save() -> Self {
        use std::io::IsTerminal as _;
        if !io::stdin().is_terminal() {
            return Self(None);
        }
        let saved = Command::new("stty").arg("-g").stdin(Stdio::inherit()).stderr(Stdio::null()).output().await;
        Self(saved.ok().and_then(|output| String::from_utf8(output.stdout).ok()).map(|text| text.trim().to_owned()))
    }

    async fn restore(self) {
        if let Some(saved) = self.0.filter(|saved| !saved.is_empty()) {
            // Nothing more can be done if this fails.
            let _ = Command::new("stty").arg(saved).stdin(Stdio::inherit()).status().await;
        }
    }
}
