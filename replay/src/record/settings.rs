//! What `warden record` tells the plugin in its place, and what that reports back: JSON files in a folder that only the
//! caller can read.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::ValueEnum;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Environment variable that names the folder.
pub(super) const FOLDER: &str = "WARDEN_RECORD";
/// Name of the program that the AWS CLI starts.
pub(super) const PLUGIN: &str = "session-manager-plugin";
/// Name of the settings in the folder.
const SETTINGS: &str = "settings.json";

/// What to do when the capture cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum OnError {
    /// End the session
    Stop,
    /// Go on, and say so at once and at the end
    Warn,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    /// The file to write; without it one is named after the session.
    pub(super) output: Option<PathBuf>,
    /// Where a file named after the session goes.
    pub(super) folder: PathBuf,
    pub(super) on_error: OnError,
    pub(super) keep_input: bool,
    /// Age recipients.
    pub(super) recipients: Vec<String>,
    /// Root certificates to trust besides the system's.
    pub(super) ca: Option<PathBuf>,
    /// The real plugin.
    pub(super) plugin: PathBuf,
}

/// What became of one capture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    /// The file; `None` if none could be created.
    pub(super) path: Option<PathBuf>,
    pub(super) session: Option<String>,
    /// When it was closed; `None` while it is open, and for ever if its recorder was killed.
    pub(super) closed: Option<Timestamp>,
    /// Text and binary messages in it.
    pub(super) messages: u64,
    /// Messages in it of which something is masked.
    pub(super) masked: u64,
    /// Messages that passed and are not in it.
    pub(super) not_recorded: u64,
    /// Hash of its last record, in hex.
    pub(super) last: Option<String>,
    /// What went wrong.
    pub(super) error: Option<String>,
}

impl Settings {
    /// # Errors
    /// What the file system says.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join(SETTINGS), serde_json::to_vec(self)?)
    }

    /// # Errors
    /// What the file system says.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(folder.join(SETTINGS))?)?)
    }
}

impl Report {
    /// Writes or replaces the report of this process.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let path = folder.join(format!("report-{}.json", std::process::id()));
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, path)
    }

    /// The reports in a folder, by the names of their files.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn read_all(folder: &Path) -> io::Result<Vec<Self>> {
        let mut paths: Vec<_> = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("report-") && path.extension().is_some_and(|extension| extension == "json")
        });
        paths.sort();
        paths.iter().map(|path| Ok(serde_json::from_slice(&fs::read(path)?)?)).collect()
    }
}
