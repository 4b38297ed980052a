//! Rule files -> a set beside the shipped library, and what a new set takes away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use warden_rules::{Level, Loaded, PackError, Response, RuleSet};

use super::manifest::{File, Manifest};
use crate::dedup::hex;
use crate::shipped;

/// Why a set is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// A file is not the one that the manifest means.
    #[error("{path} is not the file that manifest.json means: its digest is another")]
    Digest {
        /// Path below the folder.
        path: String,
    },
    /// A file is no text.
    #[error("{path} is not UTF-8")]
    Text {
        /// Path below the folder.
        path: String,
    },
    /// A pack that cannot be loaded, and no files beside it.
    #[error("{path}: {error}")]
    Pack {
        /// Path below the folder.
        path: String,
        /// Why.
        error: PackError,
    },
    /// Rules that are not understood.
    #[error("{count} errors in the rules, the first in {path}, line {line}")]
    Rules {
        /// Path of the first.
        path: String,
        /// Line of the first, from 1.
        line: usize,
        /// How many.
        count: usize,
    },
}

/// What the next set is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strength {
    /// Title.
    pub title: String,
    /// Level, as a word.
    pub level: String,
    /// Whether its match ends the session.
    pub terminates: bool,
}

/// Something that a new set takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakening {
    /// Rule id.
    pub id: String,
    /// Title.
    pub title: String,
    /// What.
    pub what: Weaker,
}

/// How a rule became weaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weaker {
    /// It is not in the set any more.
    Removed,
    /// Its level is lower.
    Lowered {
        /// Before.
        from: Level,
        /// Now.
        to: Level,
    },
    /// It does not ask for the session's end any more.
    NoLongerTerminates,
}

impl std::fmt::Display for Weakening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, title, what } = self;
        match what {
            Weaker::Removed => write!(f, "removed: {title} ({id})"),
            Weaker::Lowered { from, to } => {
                write!(f, "lowered from {} to {}: {title} ({id})", from.as_str(), to.as_str())
            }
            Weaker::NoLongerTerminates => write!(f, "no longer ends the session: {title} ({id})"),
        }
    }
}

/// Whether a file is the one that the manifest means.
///
/// # Errors
/// [`SetError::Digest`].
pub(super) fn checked(file: &File, bytes: Vec<u8>) -> Result<Vec<u8>, SetError> {
    let same = hex(&Sha256::digest(&bytes)) == file.sha256;
    if same { Ok(bytes) } else { Err(SetError::Digest { path: file.path.clone() }) }
}

/// A file's text.
///
/// # Errors
/// [`SetError::Text`].
pub(super) fn text(file: &File, bytes: Vec<u8>) -> Result<String, SetError> {
    String::from_utf8(bytes).map_err(|_| SetError::Text { path: file.path.clone() })
}

/// The set that these files make beside the shipped library.
///
/// # Errors
/// [`SetError::Rules`]: one rule that is not understood, and the set is not taken.
pub fn assemble(manifest: &Manifest, files: &[(String, String)]) -> Result<RuleSet, SetError> {
    let files = files.iter().map(|(path, text)| (path, text));
    let Loaded { set, errors, .. } = shipped::rules_or_none().load_beside(files, |id| manifest.without.contains(id));
    match errors.first() {
        Some(first) => Err(SetError::Rules { path: first.path.clone(), line: first.line, count: errors.len() }),
        None => Ok(set),
    }
}

/// What the next set is compared with.
pub fn strengths(set: &RuleSet) -> BTreeMap<String, Strength> {
    let strength = |rule: &warden_rules::Rule| Strength {
        title: rule.title.clone(),
        level: rule.level.as_str().to_owned(),
        terminates: rule.response == Response::Terminate,
    };
    set.rules().iter().map(|rule| (rule.id.clone(), strength(rule))).collect()
}

/// What a new set takes away, by rule id.
pub fn weakened(before: &BTreeMap<String, Strength>, after: &RuleSet) -> Vec<Weakening> {
    let after: BTreeMap<&str, &warden_rules::Rule> =
        after.rules().iter().map(|rule| (rule.id.as_str(), rule)).collect();
    let mut found = Vec::new();
    for (id, strength) in before {
        let mut note = |what| found.push(Weakening { id: id.clone(), title: strength.title.clone(), what });
        let Some(rule) = after.get(id.as_str()) else {
            note(Weaker::Removed);
            continue;
        };
        let from = Level::parse(&strength.level).unwrap_or(Level::Medium);
        if rule.level < from {
            note(Weaker::Lowered { from, to: rule.level });
        }
        if strength.terminates && rule.response != Response::Terminate {
            note(Weaker::NoLongerTerminates);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str, level: &str, more: &str) -> String {
        format!(
            "title: Rule {id}\nid: 5e1b0f4e-4d5f-4a0e-9b0e-0f3f1f3b8c{id}\nlevel: {level}\n\
             logsource: {{product: aws, service: session-manager, category: command}}\n{more}\
             detection:\n    one:\n        Invocation|contains: word{id}\n    condition: one\n"
        )
    }

    fn set(rules: &[String]) -> RuleSet {
        let files = rules.iter().enumerate().map(|(at, text)| (format!("{at}.yml"), text.clone()));
        let loaded = RuleSet::load(files);
        assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
        loaded.set
    }

    #[test]
    fn what_a_set_takes_away_is_named() {
        let before = strengths(&set(&[
            rule("11", "high", ""),
            rule("12", "high", ""),
            rule("13", "low", "response: terminate\n"),
            rule("14", "low", ""),
        ]));
        let after = set(&[rule("12", "low", ""), rule("13", "low", ""), rule("14", "high", ""), rule("15", "low", "")]);
        let lines: Vec<String> = weakened(&before, &after).iter().map(ToString::to_string).collect();
        let id = "5e1b0f4e-4d5f-4a0e-9b0e-0f3f1f3b8c";
        assert_eq!(
            lines,
            [
                format!("removed: Rule 11 ({id}11)"),
                format!("lowered from high to low: Rule 12 ({id}12)"),
                format!("no longer ends the session: Rule 13 ({id}13)"),
            ]
        );
        assert!(
            weakened(
                &before,
                &set(&[
                    rule("11", "critical", ""),
                    rule("12", "high", ""),
                    rule("13", "low", "response: terminate\n"),
                    rule("14", "low", "")
                ])
            )
            .is_empty()
        );
    }

    #[test]
    fn own_rules_stand_beside_the_library_or_replace_it() {
        let shipped = warden_rules::library::load().set;
        let first = shipped.rules()[0].id.clone();
        let second = shipped.rules()[1].id.clone();
        let alone = assemble(&Manifest::default(), &[]).unwrap();
        assert_eq!(alone.version(), shipped.version());
        let own = [("own.yml".to_owned(), rule("11", "high", ""))];
        let more = assemble(&Manifest::default(), &own).unwrap();
        assert_eq!(more.rules().len(), shipped.rules().len() + 1);
        let replacing = rule("11", "low", "").replace("5e1b0f4e-4d5f-4a0e-9b0e-0f3f1f3b8c11", &first);
        let manifest = Manifest { without: [second.clone()].into(), ..Manifest::default() };
        let changed = assemble(&manifest, &[("own.yml".to_owned(), replacing)]).unwrap();
        assert_eq!(changed.rules().len(), shipped.rules().len() - 1);
        assert_eq!(changed.rule(&first).unwrap().title, "Rule 11");
        assert!(changed.rule(&second).is_none());
    }

    #[test]
    fn a_set_with_one_error_is_not_taken() {
        let files = [("good.yml".to_owned(), rule("11", "high", "")), ("bad.yml".to_owned(), "title: x\n".to_owned())];
        let error = assemble(&Manifest::default(), &files).err().unwrap();
        assert!(matches!(error, SetError::Rules { ref path, .. } if path == "bad.yml"), "{error}");
        let file = File { path: "a".to_owned(), sha256: "0".repeat(64) };
        assert_eq!(checked(&file, b"x".to_vec()), Err(SetError::Digest { path: "a".to_owned() }));
        assert_eq!(text(&file, vec![0xff]), Err(SetError::Text { path: "a".to_owned() }));
    }
}
