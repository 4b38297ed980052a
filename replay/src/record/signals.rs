//! Signals that reach `warden` because it stands between a terminal and the programs it started.
//!
//! Keys (ctrl-C, ctrl-\, ctrl-Z) signal every program of the terminal's foreground: the plugin sends them to the remote
//! shell, and nobody else may die or stop of them. What is meant for `warden` itself goes to its child.

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::signal::unix::{self, SignalKind};

/// The signals, from the moment on when this is made.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: unix::Signal,
    hang_up: unix::Signal,
    /// Nobody waits for these; that they are handled keeps them from ending or stopping this process. A handler, unlike
    /// ignoring, is not handed on to the child.
    _passed_over: Vec<unix::Signal>,
}

impl Signals {
    /// # Errors
    /// What the operating system says.
    pub(super) fn new() -> std::io::Result<Self> {
        // A file beyond the limit of its size is to be an error of the write.
        let passed_over = [Signal::INT, Signal::QUIT, Signal::TSTP, Signal::XFSZ];
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            hang_up: unix::signal(SignalKind::hangup())?,
            _passed_over: passed_over
                .into_iter()
                .map(|signal| unix::signal(SignalKind::from_raw(signal.as_raw())))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The next signal that is to go to the child.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hang_up.recv() => Signal::HUP,
        }
    }
}

/// Sends a signal to a child that was not waited for yet.
pub(super) fn send(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        // It may have ended in this moment.
        let _ = kill_process(pid, signal);
    }
}
