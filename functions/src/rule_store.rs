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
use warden_rules::{Level, PackError, RuleSet};

mod folder;
mod manifest;
mod set;

pub use folder::{File, Folder, FolderError, MemoryFolder, Pending, S3Folder};
pub use manifest::File as ManifestFile;
pub use manifest::{FILES_LIMIT, MANIFEST_LIMIT, Manifest, ManifestError, SET_LIMIT};
pub use set::{SetError, Strength, Weakening, Weaker, assemble, strengths, weakened};

use crate::audit::notice;
use crate::dedup::Observed;
use crate::draft::{Draft, DraftKind};
use crate::ledger::table::{BODY_LIMIT, Expect, TableError};
use crate::ledger::{Ledger, Loaded};
use crate::shipped::rules_or_none;

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
    /// What is to be told.
    untold: Vec<Observed>,
    /// What the ledger keeps once it was told.
    pending: Option<(Good, Expect)>,
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
    /// What it is made of; `None` if that is too large for a row.
    made_of: Option<String>,
}

/// What a set is made of.
#[derive(Debug, Serialize, Deserialize)]
enum MadeOf {
    /// A pack, as base64.
    Pack(String),
    /// Files beside the shipped library, without some of its rules.
    Files(Vec<(String, String)>, Vec<String>),
}

/// Longest text of what a set is made of, in the ledger's row.
const KEPT_LIMIT: usize = BODY_LIMIT * 3 / 4;

impl RuleStore {
    /// A store; without a folder it gives the shipped library. The ledger keeps the last good set.
    pub fn new(folder: Option<Arc<dyn Folder>>, ledger: Option<Ledger>) -> Self {
        Self { folder, ledger, state: Mutex::default() }
    }

    /// The rules to use now, and what is to be told, again until it is [confirmed](Self::confirm). Never fails: the last good
    /// set stays, or else the shipped library.
    pub async fn rules(&self, now: Timestamp) -> (Arc<RuleSet>, Vec<Observed>) {
        let mut state = self.state.lock().await;
        let due = state.checked.is_none_or(|checked| now.duration_since(checked) >= CHECK_AFTER);
        if let Some(folder) = self.folder.as_deref().filter(|_| due) {
            state.checked = Some(now);
            self.check(folder, &mut state, now).await;
        }
        let rules = state.rules.get_or_insert_with(|| Arc::new(rules_or_none())).clone();
        (rules, state.untold.clone())
    }

    /// Everything was told: only now is the new set what the next one is compared with, so that whoever dies before loses
    /// nothing.
    pub async fn confirm(&self, now: Timestamp) {
        let mut state = self.state.lock().await;
        state.untold.clear();
        let (Some(ledger), Some((good, expect))) = (&self.ledger, state.pending.take()) else { return };
        let stored: Result<bool, TableError> = ledger.store(ledger.key("R", "", "GOOD"), &good, expect, now).await;
        if let Err(error) = stored {
            tracing::warn!(error = %error, "the ledger does not keep the rules");
        }
    }

    async fn check(&self, folder: &dyn Folder, state: &mut State, now: Timestamp) {
        // A set that was refused is read again: its files may have been on their way.
        let known = state.etag.clone();
        // Who starts takes the set from the ledger if it is still the folder's: that is one question, not one for each file.
        let kept = if state.rules.is_none() { self.good(now).await.and_then(|good| good.value) } else { None };
        match read(folder, known.as_deref(), kept.as_ref()).await {
            Ok(Read::Known) => {}
            Ok(Read::Kept(rules, etag)) => state.take(rules, etag),
            Ok(Read::Fresh(fresh)) => {
                if let Some(good) = self.good(now).await {
                    state.compare(&fresh, good);
                }
                state.take(fresh.rules, fresh.etag);
            }
            Err((etag, error)) => {
                tracing::warn!(error = %error, "the rules in the folder are not taken");
                if state.rules.is_none() {
                    state.rules = kept.and_then(|good| good.rules()).map(Arc::new);
                }
                state.refuse(&error, etag, now);
            }
        }
    }

    /// The last good set; `None` if the ledger cannot say.
    async fn good(&self, now: Timestamp) -> Option<Loaded<Good>> {
        let ledger = self.ledger.as_ref()?;
        ledger.load(&ledger.key("R", "", "GOOD"), now).await.ok()
    }
}

impl State {
    fn take(&mut self, rules: RuleSet, etag: String) {
        (self.rules, self.etag, self.refused) = (Some(Arc::new(rules)), Some(etag), None);
    }

    /// Holds a new set against the last good one, or against the shipped library if it is the first.
    fn compare(&mut self, fresh: &Fresh, good: Loaded<Good>) {
        let Loaded { value, expect } = good;
        if value.as_ref().is_some_and(|good| good.etag == fresh.etag && good.version == fresh.rules.version()) {
            return;
        }
        let (n, before) = value.map_or_else(|| (0, strengths(&rules_or_none())), |good| (good.n + 1, good.rules));
        self.untold.extend(weaker(&before, fresh, n));
        self.pending = Some((fresh.good(n), expect));
    }

    fn refuse(&mut self, error: &RulesError, etag: Option<String>, now: Timestamp) {
        // What is read again in a minute is worth an alert only if that will not help.
        if matches!(error, RulesError::Read { error: FolderError::Fetch(error), .. } if !error.is_permanent()) {
            return;
        }
        if etag.is_none() || self.refused != etag {
            self.untold.push(refused(error, etag.as_deref(), self.rules.is_some(), now));
        }
        (self.refused, self.etag) = (etag, None);
    }
}

/// A set that was read and is good.
struct Fresh {
    etag: String,
    made_of: MadeOf,
    rules: RuleSet,
}

/// What a look at the folder gave.
enum Read {
    /// The manifest is the one whose set is in use.
    Known,
    /// It is the one whose set the ledger keeps.
    Kept(RuleSet, String),
    /// It is another one.
    Fresh(Fresh),
}

impl Fresh {
    fn good(&self, n: u64) -> Good {
        Good {
            n,
            etag: self.etag.clone(),
            version: self.rules.version().to_owned(),
            rules: strengths(&self.rules),
            made_of: pack(&self.made_of).filter(|text| text.len() <= KEPT_LIMIT),
        }
    }
}

impl Good {
    fn rules(&self) -> Option<RuleSet> {
        match unpack(self.made_of.as_ref()?)? {
            MadeOf::Pack(pack) => RuleSet::from_pack(&BASE64_STANDARD.decode(pack).ok()?).ok(),
            MadeOf::Files(files, without) => {
                let without = without.into_iter().collect();
                assemble(&Manifest { without, ..Manifest::default() }, &files).ok()
            }
        }
    }
}

/// Reads the folder's set, unless its manifest is known. An error comes with the `ETag` of the manifest, if that could be read.
async fn read(
    folder: &dyn Folder,
    known: Option<&str>,
    kept: Option<&Good>,
) -> Result<Read, (Option<String>, RulesError)> {
    let failed = |error| RulesError::Read { name: "manifest.json".to_owned(), error };
    let manifest = folder.read("manifest.json", MANIFEST_LIMIT, known).await;
    let Some(File { etag, bytes }) = manifest.map_err(|error| (None, failed(error)))? else {
        return Ok(Read::Known);
    };
    if let Some(rules) = kept.filter(|good| good.etag == etag).and_then(Good::rules) {
        return Ok(Read::Kept(rules, etag));
    }
    let set = read_set(folder, &bytes).await;
    let (made_of, rules) = set.map_err(|error| (Some(etag.clone()), error))?;
    Ok(Read::Fresh(Fresh { etag, made_of, rules }))
}

async fn read_set(folder: &dyn Folder, manifest: &[u8]) -> Result<(MadeOf, RuleSet), RulesError> {
    let manifest = Manifest::parse(manifest)?;
    let mut room = SET_LIMIT;
    if let Some(file) = &manifest.pack {
        let bytes = read_file(folder, file, &mut room).await?;
        match RuleSet::from_pack(&bytes) {
            Ok(rules) => return Ok((MadeOf::Pack(BASE64_STANDARD.encode(bytes)), rules)),
            Err(PackError::OtherFormat) if !manifest.files.is_empty() => {}
            Err(error) => return Err(SetError::Pack { path: file.path.clone(), error }.into()),
        }
    }
    let mut files = Vec::new();
    for file in &manifest.files {
        let bytes = read_file(folder, file, &mut room).await?;
        files.push((file.path.clone(), set::text(file, bytes)?));
    }
    let rules = assemble(&manifest, &files)?;
    Ok((MadeOf::Files(files, manifest.without.into_iter().collect()), rules))
}

async fn read_file(folder: &dyn Folder, file: &manifest::File, room: &mut u64) -> Result<Vec<u8>, RulesError> {
    let failed = |error| RulesError::Read { name: file.path.clone(), error };
    let bytes = folder.read(&file.path, *room, None).await.map_err(failed)?.map(|read| read.bytes).unwrap_or_default();
    *room = room.saturating_sub(bytes.len() as u64);
    Ok(set::checked(file, bytes)?)
}

fn weaker(before: &BTreeMap<String, Strength>, fresh: &Fresh, n: u64) -> Option<Observed> {
    let found = weakened(before, &fresh.rules);
    if found.is_empty() {
        return None;
    }
    let mut draft = Draft::new(DraftKind::Operator, Level::High, "A new set of rules removes or lowers rules");
    draft.notes.extend(found.iter().take(NAMED_LIMIT).map(ToString::to_string));
    if let Some(more) = found.len().checked_sub(NAMED_LIMIT).filter(|more| *more > 0) {
        draft.notes.push(format!("and {more} more"));
    }
    Some(notice(draft, &format!("{n} {}", fresh.rules.version())))
}

fn refused(error: &RulesError, etag: Option<&str>, kept: bool, now: Timestamp) -> Observed {
    let mut draft = Draft::new(DraftKind::Operator, Level::High, "The rules in the folder are not taken");
    draft.notes.push(error.to_string());
    let used = if kept { "The last good set stays in use." } else { "The shipped library is in use." };
    draft.notes.push(used.to_owned());
    // What breaks again on another day is told again.
    let day = now.as_second().div_euclid(24 * 3600);
    notice(draft, &format!("{} on day {day}", etag.unwrap_or("manifest.json")))
}

fn pack(made_of: &MadeOf) -> Option<String> {
    let json = serde_json::to_vec(made_of).ok()?;
    let mut packed = Vec::new();
    DeflateEncoder::new(&*json, Compression::default()).read_to_end(&mut packed).ok()?;
    Some(BASE64_STANDARD.encode(packed))
}

fn unpack(text: &str) -> Option<MadeOf> {
    let packed = BASE64_STANDARD.decode(text).ok()?;
    let mut json = Vec::new();
    DeflateDecoder::new(&*packed).take(2 * SET_LIMIT).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests;
