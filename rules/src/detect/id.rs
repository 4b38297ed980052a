//! Ids of findings.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::rule::parse::hex;

/// Distinct commands of which repetitions are counted; of more, every one counts as the first.
pub const COUNTED_LIMIT: usize = 8192;

/// Bytes of a count in text: the key's, then the number's.
const KEY: usize = 8;
const ENTRY: usize = KEY + 4;

/// How often each rule found each command, as far as an input was read: makes the occurrence in the ids of findings.
///
/// [`to_text`](Self::to_text) and [`from_text`](Self::from_text) carry it over to a reading that goes on later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<[u8; KEY], u32>);

impl Counts {
    /// As text; at most 128 KiB.
    pub fn to_text(&self) -> String {
        let bytes: Vec<u8> =
            self.0.iter().flat_map(|(key, count)| key.iter().copied().chain(count.to_be_bytes())).collect();
        BASE64_STANDARD.encode(bytes)
    }

    /// What [`to_text`](Self::to_text) gave; `None` for any other text.
    ///
    /// ```
    /// use warden_rules::detect::Counts;
    /// assert_eq!(Counts::from_text(&Counts::default().to_text()), Some(Counts::default()));
    /// assert_eq!(Counts::from_text("AAAA"), None);
    /// ```
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text).ok()?;
        let (entries, rest) = bytes.as_chunks::<ENTRY>();
        if !rest.is_empty() || entries.len() > COUNTED_LIMIT {
            return None;
        }
        let split = |entry: &[u8; ENTRY]| {
            let (key, count) = entry.split_first_chunk::<KEY>()?;
            Some((*key, u32::from_be_bytes(count.try_into().ok()?)))
        };
        entries.iter().map(split).collect::<Option<_>>().map(Self)
    }

    /// Which occurrence this is, from 0. Eight bytes of a SHA-256 are enough to tell the commands of one session apart.
    fn count(&mut self, digest: &[u8]) -> u64 {
        let Some(key) = digest.first_chunk::<KEY>() else { return 0 };
        if self.0.len() >= COUNTED_LIMIT && !self.0.contains_key(key) {
            return 0;
        }
        let count = self.0.entry(*key).or_default();
        let occurrence = u64::from(*count);
        *count = count.saturating_add(1);
        occurrence
    }
}

/// Hex SHA-256 over, each with its length in bytes before it (eight bytes, big-endian): the rule's id, the session's or
/// event's id, the number of words and the words, and which occurrence of all that it is, from 0. `seen` counts.
pub(super) fn finding_id(seen: &mut Counts, rule: &str, scope: &str, argv: &[String]) -> String {
    let mut digest = Sha256::new();
    part(&mut digest, rule.as_bytes());
    part(&mut digest, scope.as_bytes());
    part(&mut digest, &(argv.len() as u64).to_be_bytes());
    for word in argv {
        part(&mut digest, word.as_bytes());
    }
    let occurrence = seen.count(&digest.clone().finalize());
    part(&mut digest, &occurrence.to_be_bytes());
    hex(&digest.finalize())
}

fn part(digest: &mut Sha256, bytes: &[u8]) {
    digest.update((bytes.len() as u64).to_be_bytes());
    digest.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_commands_differ_by_occurrence_alone() {
        let argv = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let ids = |commands: &[&str]| {
            let mut seen = Counts::default();
            commands.iter().map(|text| finding_id(&mut seen, "rule", "session", &argv(text))).collect::<Vec<_>>()
        };
        let once = ids(&["id", "rm -rf /x", "id"]);
        assert_eq!(once, ids(&["id", "rm -rf /x", "id"]));
        assert_ne!(once[0], once[2]);
        assert_ne!(ids(&["a b"]), ids(&["ab"]));
        assert_eq!(once[0].len(), 64);
    }
}
