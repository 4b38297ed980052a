//! The list of a folder's rule files: `manifest.json`.

use std::collections::BTreeSet;

use serde::Deserialize;

/// Longest manifest, in bytes.
pub const MANIFEST_LIMIT: u64 = 1024 * 1024;

/// Most files of a set.
pub const FILES_LIMIT: usize = 2000;

/// Most bytes of all files of a set together.
pub const SET_LIMIT: u64 = 16 * 1024 * 1024;

/// The files that make a set, each with its digest: a set is taken whole or not at all.
///
/// ```
/// use warden_functions::rule_store::Manifest;
/// let text = br#"{"version":1,"files":[{"path":"linux/own.yml","sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}],
///     "without":["5e1b0f4e-4d5f-4a0e-9b0e-0f3f1f3b8c12"]}"#;
/// assert_eq!(Manifest::parse(text).unwrap().files[0].path, "linux/own.yml");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    /// Version of this form: 1.
    pub version: u32,
    /// A pack that `warden rules pack` made: the whole set, in place of library and files. Files are read only if it is of
    /// another version's format.
    #[serde(default)]
    pub pack: Option<File>,
    /// Rule files beside the shipped library.
    #[serde(default)]
    pub files: Vec<File>,
    /// Ids of shipped rules that are not wanted. A rule in `files` with the id of a shipped one replaces it.
    #[serde(default)]
    pub without: BTreeSet<String>,
}

/// A rule file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct File {
    /// Path below the folder.
    pub path: String,
    /// Hex SHA-256 of its bytes, in small letters.
    pub sha256: String,
}

/// What is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is no JSON of that shape.
    #[error("manifest.json is not understood (line {line})")]
    Malformed {
        /// Line, from 1.
        line: usize,
    },
    /// It has a form that this version does not know.
    #[error("manifest.json has version {version}; this version of Session Warden reads 1")]
    Version {
        /// Its version.
        version: u32,
    },
    /// Too many files.
    #[error("manifest.json lists {files} files; at most {FILES_LIMIT} are read")]
    TooMany {
        /// How many.
        files: usize,
    },
    /// A path that leaves the folder, or is there twice.
    #[error("manifest.json lists a path that is absolute, climbs, or was listed before (entry {entry})")]
    Path {
        /// Which one, from 1.
        entry: usize,
    },
    /// A digest that is none.
    #[error("manifest.json has a digest that is no SHA-256 in small hexadecimal digits (entry {entry})")]
    Digest {
        /// Which one, from 1.
        entry: usize,
    },
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let malformed = |error: serde_json::Error| ManifestError::Malformed { line: error.line() };
        let manifest: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        if manifest.version != 1 {
            return Err(ManifestError::Version { version: manifest.version });
        }
        if manifest.files.len() > FILES_LIMIT {
            return Err(ManifestError::TooMany { files: manifest.files.len() });
        }
        let mut paths = BTreeSet::new();
        for (at, file) in manifest.files.iter().chain(&manifest.pack).enumerate() {
            let inside = file.path.split('/').all(|part| !matches!(part, "" | "." | ".."));
            if !inside || !paths.insert(&file.path) {
                return Err(ManifestError::Path { entry: at + 1 });
            }
            let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            if file.sha256.len() != 64 || !file.sha256.bytes().all(hex) {
                return Err(ManifestError::Digest { entry: at + 1 });
            }
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_taken_whole_or_not_at_all() {
        let digest = "0".repeat(64);
        let one = |path: &str, digest: &str| {
            format!(
                r#"{{"version":1,"files":[{{"path":"a.yml","sha256":"{}"}},{{"path":"{path}","sha256":"{digest}"}}]}}"#,
                "1".repeat(64)
            )
        };
        let rows: &[(&str, String, Option<ManifestError>)] = &[
            ("good", one("b/c.yml", &digest), None),
            ("no files", r#"{"version":1,"files":[]}"#.to_owned(), None),
            ("no JSON", "{\n\n".to_owned(), Some(ManifestError::Malformed { line: 3 })),
            ("later", r#"{"version":2,"files":[]}"#.to_owned(), Some(ManifestError::Version { version: 2 })),
            ("climbs", one("../b.yml", &digest), Some(ManifestError::Path { entry: 2 })),
            ("absolute", one("/b.yml", &digest), Some(ManifestError::Path { entry: 2 })),
            ("twice", one("a.yml", &digest), Some(ManifestError::Path { entry: 2 })),
            ("short digest", one("b.yml", "00"), Some(ManifestError::Digest { entry: 2 })),
            ("large letters", one("b.yml", &"A".repeat(64)), Some(ManifestError::Digest { entry: 2 })),
        ];
        for (name, text, expected) in rows {
            assert_eq!(Manifest::parse(text.as_bytes()).err(), *expected, "{name}");
        }
    }
}
