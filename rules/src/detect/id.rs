//! Ids of findings.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::rule::parse::hex;

/// Hex SHA-256 over, each with its length in bytes before it (eight bytes, big-endian): the rule's id, the session's or
/// event's id, the number of words and the words, and which occurrence of all that it is, from 0. `seen` counts.
pub(super) fn finding_id(seen: &mut BTreeMap<[u8; 32], u64>, rule: &str, scope: &str, argv: &[String]) -> String {
    let mut digest = Sha256::new();
    part(&mut digest, rule.as_bytes());
    part(&mut digest, scope.as_bytes());
    part(&mut digest, &(argv.len() as u64).to_be_bytes());
    for word in argv {
        part(&mut digest, word.as_bytes());
    }
    let occurrence = seen.entry(digest.clone().finalize().into()).or_default();
    part(&mut digest, &occurrence.to_be_bytes());
    *occurrence += 1;
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
            let mut seen = BTreeMap::new();
            commands.iter().map(|text| finding_id(&mut seen, "rule", "session", &argv(text))).collect::<Vec<_>>()
        };
        let once = ids(&["id", "rm -rf /x", "id"]);
        assert_eq!(once, ids(&["id", "rm -rf /x", "id"]));
        assert_ne!(once[0], once[2]);
        assert_ne!(ids(&["a b"]), ids(&["ab"]));
        assert_eq!(once[0].len(), 64);
    }
}
