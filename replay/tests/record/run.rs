//! Runs of `warden`, with stand-ins for the AWS CLI and its plugin.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::plugin;
use crate::service::{PATIENCE, Service};
use crate::session::{SESSION, TOKEN};
use crate::wire::{Step, to_lines};

/// A run of `warden record`: where its files are and how it is called.
pub(crate) struct Run {
    pub(crate) folder: TempDir,
    pub(crate) command: Command,
}

impl Run {
    /// Of a session with a service at this URL.
    pub(crate) fn new(url: &str, options: &[&str]) -> Self {
        let cli = "session-manager-plugin --version >/dev/null || exit 9\n\
            session-manager-plugin AWS_SSM_START_SESSION_RESPONSE eu-central-1 StartSession \"$PROFILE\" \
            '{\"Target\":\"i-0123456789abcdef0\",\"DocumentName\":\"SSM-SessionManagerRunShell\"}' https://ssm.example\n";
        let mut run = Self::of(options, &["sh", "-c", cli]);
        let response = json!({"SessionId": SESSION, "TokenValue": TOKEN, "StreamUrl": url});
        run.command.env("AWS_SSM_START_SESSION_RESPONSE", response.to_string()).env("PROFILE", "");
        run
    }

    /// Of any command.
    pub(crate) fn of(options: &[&str], cli: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        program(&folder.path().join("session-manager-plugin"), plugin::SCRIPT);
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_warden"));
        command.arg("record").args(options).arg("--").args(cli);
        command.current_dir(folder.path()).env("PATH", path).env("STAND_IN", std::env::current_exe().unwrap());
        command.env("STAND_IN_FOLDER", folder.path()).stdin(Stdio::null());
        for name in ["AWS_PROFILE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "SSL_CERT_FILE"] {
            command.env_remove(name);
        }
        Self { folder, command }
    }

    pub(crate) fn steps(mut self, steps: &[Step]) -> Self {
        fs::write(self.path("steps"), to_lines(steps)).unwrap();
        self.command.env("STAND_IN_STEPS", self.path("steps"));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn finish(&mut self) -> (i32, String) {
        let Output { status, stderr, stdout } = self.command.output().unwrap();
        let said = String::from_utf8_lossy(&stderr).into_owned() + &String::from_utf8_lossy(&stdout);
        (status.code().unwrap(), said)
    }

    pub(crate) fn capture(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }
}

pub(crate) fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub(crate) fn plain(service: &Service) -> String {
    format!("ws://127.0.0.1:{}/v1/data-channel/{SESSION}?role=publish_subscribe", service.port)
}

/// Polls until a file is there.
pub(crate) fn wait_for(path: &Path) -> String {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match fs::read_to_string(path) {
            Ok(text) => return text,
            Err(_) => sleep(Duration::from_millis(20)),
        }
    }
    panic!("{} does not come", path.display());
}

pub(crate) fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

pub(crate) fn limited(run: &mut Run) {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 16; exec \"$@\"", "sh"]).arg(run.command.get_program()).args(run.command.get_args());
    limited.current_dir(run.folder.path()).stdin(Stdio::null());
    for (name, value) in run.command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    run.command = limited;
}

/// What `warden verify` says of a capture: its exit code, its one report.
pub(crate) fn verify(run: &Run, args: &[&str]) -> (i32, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_warden"))
        .args(["verify", "--format", "json"])
        .args(args)
        .current_dir(run.folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let report = serde_json::from_str(said.lines().next().unwrap_or_default());
    (output.status.code().unwrap(), report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}
