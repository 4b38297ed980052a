//! Rules from files, folders, or the shipped library.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use warden_rules::set::is_pack;
use warden_rules::{Loaded, RuleSet, library};

use crate::report::complain;

/// Loads rules from these paths, or the shipped library if there are none; errors and warnings go to stderr.
///
/// # Errors
/// A path that cannot be read or holds no rules, or any error in any rule: nothing is left out in silence.
pub(crate) fn load(paths: &[PathBuf]) -> anyhow::Result<RuleSet> {
    let loaded = load_all(paths)?;
    say(&loaded);
    match loaded.errors.len() {
        0 => Ok(loaded.set),
        1 => bail!("1 error in the rules; nothing was run"),
        errors => bail!("{errors} errors in the rules; nothing was run"),
    }
}

/// Loads rules from these paths, or the shipped library if there are none.
///
/// # Errors
/// A path that cannot be read, or holds no rule files.
pub(crate) fn load_all(paths: &[PathBuf]) -> anyhow::Result<Loaded> {
    if paths.is_empty() {
        return Ok(library::load());
    }
    if let Some(set) = pack(paths)? {
        return Ok(Loaded { set, errors: Vec::new(), warnings: Vec::new() });
    }
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        collect(path, &mut files)?;
        if files.len() == before {
            bail!("{}: no rule files (*.yml, *.yaml) in this folder", path.display());
        }
    }
    Ok(RuleSet::load(files))
}

/// Loads the good rules of these paths, or the shipped library; the set, and how many errors went to stderr.
///
/// # Errors
/// A path that cannot be read, or holds no rule files.
pub(crate) fn load_good(paths: &[PathBuf]) -> anyhow::Result<(RuleSet, usize)> {
    let loaded = load_all(paths)?;
    say(&loaded);
    let errors = loaded.errors.len();
    Ok((loaded.set, errors))
}

/// Says all errors and warnings on stderr.
pub(crate) fn say(loaded: &Loaded) {
    for error in loaded.errors.iter().chain(&loaded.warnings) {
        complain(&error.render());
    }
}

/// The set of a pack, if that is what the paths name.
fn pack(paths: &[PathBuf]) -> anyhow::Result<Option<RuleSet>> {
    for path in paths.iter().filter(|path| path.is_file()) {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        if is_pack(&bytes) {
            if paths.len() > 1 {
                bail!("{}: a pack is a whole set of rules and stands alone", path.display());
            }
            return RuleSet::from_pack(&bytes).map(Some).with_context(|| path.display().to_string());
        }
    }
    Ok(None)
}

fn collect(path: &Path, files: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    for entry in walkdir::WalkDir::new(path).sort_by_file_name() {
        let entry = entry?;
        let named = entry.depth() == 0;
        let yaml = entry.path().extension().is_some_and(|ending| ending == "yml" || ending == "yaml");
        if entry.file_type().is_file() && (named || yaml) {
            let shown = entry.path().display().to_string();
            let text = fs::read(entry.path()).with_context(|| shown.clone())?;
            let text = String::from_utf8(text).with_context(|| format!("{shown}: not UTF-8, so no rule file"))?;
            files.push((shown, text));
        }
    }
    Ok(())
}
