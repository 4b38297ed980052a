//! Rules at run time: the shipped library, and a folder in S3 that is read again whenever its manifest changes.
//!
//! A set is taken whole or not at all: every file must have the digest that `manifest.json` gives and every rule must be
//! understood. If not, the last good set stays in use, also by processes that start later (the ledger keeps it), and the
//! operators are told. They are told too which rules a new set removed or lowered, for that is what an intruder would do.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use warden_rules::{Level, RuleSet, library};

mod folder;
mod manifest;
mod set;

pub use folder::{File, Folder, FolderError, MemoryFolder, Pending, S3Folder};
pub use manifest::{FILES_LIMIT, MANIFEST_LIMIT, Manifest, ManifestError, SET_LIMIT};
pub use set::{SetError, Strength, Weakening, Weaker, assemble, strengths, weakened};

use crate::audit::notice;
use crate::dedup::Observed;
use crate::draft::{Draft, DraftKind};
use crate::ledger::table::{BODY_LIMIT, TableError};
use crate::ledger::{Ledger, Loaded};

/// How long a set is used before its manifest is looked at again.
pub const CHECK_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// Rules that one alert names; of more it gives the number.
pub const NAMED_LIMIT: usize = 40;

/// Where the rules come from.
#[derive(Debug)]
pub struct RuleStore {
    folder: Option<Arc<dyn Folder>>,
    ledger: Option<Ledger>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Option<Arc<RuleSet>>,
    /// `ETag` of the manifest in use.
    etag: Option<String>,
    /// `ETag` of a manifest whose set was not taken, about which the operators were told.
    refused: Option<String>,
    checked: Option<Timestamp>,
}

/// Why the folder's set is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// A file could not be read.
    #[error("{name}: {error}")]
    Read {
        /// Path below the folder.
        name: String,
        /// Why.
        error: FolderError,
    },
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The files.
    #[error(transparent)]
    Set(#[from] SetError),
}

/// The last good set, as the ledger keeps it.
#[derive(Debug, Serialize, Deserialize)]
struct Good {
    /// How many sets came before it: the same set may come again, and what it takes away is told again.
    n: u64,
    etag: String,
    version: String,
    rules: BTreeMap<String, Strength>,
    /// Files, packed; `None` if they are too many for a row.
    files: Option<String>,
    without: Vec<String>,
}

impl RuleStore {
    /// A store; without a folder it gives the shipped library. The ledger keeps the last good set.
    pub fn new(folder: Option<Arc<dyn Folder>>, ledger: Option<Ledger>) -> Self {
        Self { folder, ledger, state: Mutex::default() }
    }

    /// The rules to use now, and what is to be told. Never fails: the last good set stays, or else the shipped library.
    pub async fn rules(&self, now: Timestamp) -> (Arc<RuleSet>, Vec<Observed>) {
        let mut state = self.state.lock().await;
        let mut notices = Vec::new();
        let due = state.checked.is_none_or(|checked| now.duration_since(checked) >= CHECK_AFTER);
        if let Some(folder) = self.folder.as_deref().filter(|_| due) {
            state.checked = Some(now);
            self.check(folder, &mut state, now, &mut notices).await;
        }
        let rules = state.rules.get_or_insert_with(|| Arc::new(shipped())).clone();
        (rules, notices)
    }

    async fn check(&self, folder: &dyn Folder, state: &mut State, now: Timestamp, notices: &mut Vec<Observed>) {
        // A set that was refused is read again: its files may have been on their way.
        let known = state.etag.clone();
        match read(folder, known.as_deref()).await {
            Ok(None) => {}
            Ok(Some(fresh)) => {
                let good = self.good(now).await;
                notices.extend(good.value.as_ref().and_then(|good| weaker(good, &fresh)));
                self.keep(&fresh, good, now).await;
                *state = State { rules: Some(Arc::new(fresh.rules)), etag: Some(fresh.etag), ..State::default() };
                state.checked = Some(now);
            }
            Err((etag, error)) => {
                tracing::warn!(error = %error, "the rules in the folder are not taken");
                if state.rules.is_none() {
                    state.rules = self.good(now).await.value.and_then(|good| good.rules()).map(Arc::new);
                }
                let changed = etag.is_none() || state.refused != etag;
                // What is read again in a minute is worth an alert only if that will not help.
                let lasting = !matches!(&error, RulesError::Read { error: FolderError::Fetch(error), .. } if !error.is_permanent());
                if changed && lasting {
                    let kept = state.rules.is_some();
                    notices.push(refused(&error, etag.as_deref(), kept));
                }
                if lasting {
                    state.refused = etag;
                    state.etag = None;
                }
            }
        }
    }

    async fn good(&self, now: Timestamp) -> Loaded<Good> {
        let nothing = Loaded { value: None, expect: crate::ledger::table::Expect::Any };
        let Some(ledger) = &self.ledger else { return nothing };
        ledger.load(&ledger.key("R", "", "GOOD"), now).await.unwrap_or(nothing)
    }

    async fn keep(&self, fresh: &Fresh, before: Loaded<Good>, now: Timestamp) {
        let Some(ledger) = &self.ledger else { return };
        if before.value.as_ref().is_some_and(|good| good.etag == fresh.etag && good.version == fresh.rules.version()) {
            return;
        }
        let mut good = fresh.good(before.value.map_or(0, |good| good.n + 1));
        if good.files.as_ref().is_some_and(|files| files.len() > BODY_LIMIT / 2) {
            good.files = None;
        }
        let stored: Result<bool, TableError> =
            ledger.store(ledger.key("R", "", "GOOD"), &good, before.expect, now).await;
        if let Err(error) = stored {
            tracing::warn!(error = %error, "the ledger does not keep the rules");
        }
    }
}

fn shipped() -> RuleSet {
    crate::shipped::rules().unwrap_or_else(|_| library::load().set)
}

/// A set that was read and is good.
struct Fresh {
    etag: String,
    manifest: Manifest,
    files: Vec<(String, String)>,
    rules: RuleSet,
}

impl Fresh {
    fn good(&self, n: u64) -> Good {
        Good {
            n,
            etag: self.etag.clone(),
            version: self.rules.version().to_owned(),
            rules: strengths(&self.rules),
            files: pack(&self.files),
            without: self.manifest.without.iter().cloned().collect(),
        }
    }
}

impl Good {
    fn rules(&self) -> Option<RuleSet> {
        let files = unpack(self.files.as_ref()?)?;
        let manifest = Manifest { without: self.without.iter().cloned().collect(), ..Manifest::default() };
        assemble(&manifest, &files).ok()
    }
}

/// Reads the folder's set, unless its manifest is the known one. An error comes with the `ETag` of the manifest, if that could be read.
async fn read(folder: &dyn Folder, known: Option<&str>) -> Result<Option<Fresh>, (Option<String>, RulesError)> {
    let failed = |name: &str, error| RulesError::Read { name: name.to_owned(), error };
    let manifest = folder.read("manifest.json", MANIFEST_LIMIT, known).await;
    let Some(File { etag, bytes }) = manifest.map_err(|error| (None, failed("manifest.json", error)))? else {
        return Ok(None);
    };
    let with_etag = |error: RulesError| (Some(etag.clone()), error);
    let manifest = Manifest::parse(&bytes).map_err(|error| with_etag(error.into()))?;
    let (mut files, mut room) = (Vec::new(), SET_LIMIT);
    for file in &manifest.files {
        let read = folder.read(&file.path, room, None).await.map_err(|error| with_etag(failed(&file.path, error)))?;
        let bytes = read.map(|read| read.bytes).unwrap_or_default();
        room = room.saturating_sub(bytes.len() as u64);
        let text = set::checked(&file.path, &file.sha256, bytes).map_err(|error| with_etag(error.into()))?;
        files.push((file.path.clone(), text));
    }
    let rules = assemble(&manifest, &files).map_err(|error| with_etag(error.into()))?;
    Ok(Some(Fresh { etag, manifest, files, rules }))
}

fn weaker(before: &Good, fresh: &Fresh) -> Option<Observed> {
    let found = weakened(&before.rules, &fresh.rules);
    if found.is_empty() {
        return None;
    }
    let mut draft = Draft::new(DraftKind::Operator, Level::High, "A new set of rules removes or lowers rules");
    draft.notes.extend(found.iter().take(NAMED_LIMIT).map(ToString::to_string));
    if let Some(more) = found.len().checked_sub(NAMED_LIMIT).filter(|more| *more > 0) {
        draft.notes.push(format!("and {more} more"));
    }
    Some(notice(draft, &format!("{} {}", before.n, fresh.rules.version())))
}

fn refused(error: &RulesError, etag: Option<&str>, kept: bool) -> Observed {
    let mut draft = Draft::new(DraftKind::Operator, Level::High, "The rules in the folder are not taken");
    draft.notes.push(error.to_string());
    let used = if kept { "The last good set stays in use." } else { "The shipped library is in use." };
    draft.notes.push(used.to_owned());
    notice(draft, etag.unwrap_or("manifest.json"))
}

fn pack(files: &[(String, String)]) -> Option<String> {
    let json = serde_json::to_vec(files).ok()?;
    let mut packed = Vec::new();
    DeflateEncoder::new(&*json, Compression::default()).read_to_end(&mut packed).ok()?;
    Some(BASE64_STANDARD.encode(packed))
}

fn unpack(text: &str) -> Option<Vec<(String, String)>> {
    let packed = BASE64_STANDARD.decode(text).ok()?;
    let mut json = Vec::new();
    DeflateDecoder::new(&*packed).take(2 * SET_LIMIT).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests;
