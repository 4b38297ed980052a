//! Packs: a set of rules compiled beforehand, which loads without reading YAML or regular expressions.
//!
//! A pack is one line of text (`warden rules pack`, the format's number, a line feed), the SHA-256 of what follows, and
//! the set in [postcard](https://postcard.jamesmunns.com)'s format. Test cases are left out. The digest finds damage; it
//! says nothing of who made the pack.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{RuleSet, Shard, version};
use crate::detection::{Detection, Fields};
use crate::prefilter::Prefilter;
use crate::rule::{Dedup, Level, Logsource, Response, Rule, Status};

/// Number of the format that this version writes, the only one that it reads.
pub const PACK_FORMAT: u32 = 1;

const MAGIC: &[u8] = b"warden rules pack ";
const DIGEST: usize = 32;

/// Why a pack cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PackError {
    /// It does not begin as a pack does.
    #[error("not a pack of rules")]
    NotAPack,
    /// Another version of Session Warden made it.
    #[error(
        "a pack of another version (this one reads format {PACK_FORMAT}): make it again from its rules with `warden rules pack`"
    )]
    OtherFormat,
    /// Its content is not what it was when it was made.
    #[error("the pack is damaged: its SHA-256 is another")]
    Damaged,
    /// Its content makes no set of rules.
    #[error("the pack's content makes no set of rules")]
    Malformed,
}

/// Whether bytes begin as a pack does.
pub fn is_pack(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

#[derive(Serialize, Deserialize)]
struct Stored<'s> {
    #[serde(borrow)]
    fields: Vec<&'s str>,
    rules: Vec<StoredRule>,
    shards: Vec<StoredShard>,
}

#[derive(Serialize, Deserialize)]
struct StoredRule {
    id: String,
    title: String,
    level: Level,
    status: Option<Status>,
    logsource: [Option<String>; 3],
    tags: Vec<String>,
    description: Option<String>,
    path: String,
    line: usize,
    hash: String,
    response: Response,
    dedup: Option<Dedup>,
    owner: Option<String>,
    runbook: Option<String>,
    detection: Detection,
}

#[derive(Serialize, Deserialize)]
struct StoredShard {
    logsource: [Option<String>; 3],
    rules: Vec<usize>,
    prefilter: Prefilter,
}

impl RuleSet {
    /// The set as a pack: equal sets give equal bytes. Test cases are left out.
    ///
    /// ```
    /// use warden_rules::{RuleSet, library};
    /// let set = library::load().set;
    /// let again = RuleSet::from_pack(&set.to_pack())?;
    /// assert_eq!(again.version(), set.version());
    /// # Ok::<(), warden_rules::PackError>(())
    /// ```
    pub fn to_pack(&self) -> Vec<u8> {
        let stored = Stored {
            fields: self.fields.names(),
            rules: self.rules.iter().map(StoredRule::of).collect(),
            shards: self.shards.iter().map(StoredShard::of).collect(),
        };
        // Nothing in a set is of a kind that the format cannot hold.
        let body = postcard::to_allocvec(&stored).unwrap_or_default();
        let mut pack = format!("{}{PACK_FORMAT}\n", String::from_utf8_lossy(MAGIC)).into_bytes();
        pack.extend_from_slice(&Sha256::digest(&body));
        pack.extend_from_slice(&body);
        pack
    }

    /// Loads a pack.
    ///
    /// # Errors
    /// [`PackError`]; a pack is loaded whole or not at all.
    pub fn from_pack(pack: &[u8]) -> Result<Self, PackError> {
        let rest = pack.strip_prefix(MAGIC).ok_or(PackError::NotAPack)?;
        let rest = rest.strip_prefix(format!("{PACK_FORMAT}\n").as_bytes()).ok_or(PackError::OtherFormat)?;
        let (digest, body) = rest.split_at_checked(DIGEST).ok_or(PackError::Damaged)?;
        if *Sha256::digest(body) != *digest {
            return Err(PackError::Damaged);
        }
        let stored: Stored<'_> = postcard::from_bytes(body).map_err(|_| PackError::Malformed)?;
        let rules: Vec<Rule> = stored.rules.into_iter().map(StoredRule::into_rule).collect();
        // A selection that leads to selections could lead to itself.
        let sound = |rule: &Rule| rule.detection.selections.iter().all(crate::condition::Expr::is_of_items);
        if !rules.iter().all(sound) || !stored.shards.iter().all(|shard| shard.prefilter.is_for(shard.rules.len())) {
            return Err(PackError::Malformed);
        }
        let fields = Fields::of(stored.fields.into_iter().map(ToOwned::to_owned).collect());
        let shards = stored.shards.into_iter().map(StoredShard::into_shard).collect();
        let keywords = rules.iter().any(|rule| rule.detection.has_keywords());
        let version = version(&rules);
        Ok(Self { rules, fields, shards, keywords, version })
    }
}

impl StoredRule {
    fn of(rule: &Rule) -> Self {
        let rule = rule.clone();
        Self {
            id: rule.id,
            title: rule.title,
            level: rule.level,
            status: rule.status,
            logsource: parts(rule.logsource),
            tags: rule.tags,
            description: rule.description,
            path: rule.path,
            line: rule.line,
            hash: rule.hash,
            response: rule.response,
            dedup: rule.dedup,
            owner: rule.owner,
            runbook: rule.runbook,
            detection: rule.detection,
        }
    }

    fn into_rule(self) -> Rule {
        Rule {
            id: self.id,
            title: self.title,
            level: self.level,
            status: self.status,
            logsource: logsource(self.logsource),
            tags: self.tags,
            description: self.description,
            path: self.path,
            line: self.line,
            hash: self.hash,
            response: self.response,
            dedup: self.dedup,
            owner: self.owner,
            runbook: self.runbook,
            cases: Vec::new(),
            detection: self.detection,
        }
    }
}

impl StoredShard {
    fn of(shard: &Shard) -> Self {
        Self {
            logsource: parts(shard.logsource.clone()),
            rules: shard.rules.clone(),
            prefilter: shard.prefilter.clone(),
        }
    }

    fn into_shard(self) -> Shard {
        Shard { logsource: logsource(self.logsource), rules: self.rules, prefilter: self.prefilter }
    }
}

fn parts(logsource: Logsource) -> [Option<String>; 3] {
    [logsource.product, logsource.category, logsource.service]
}

fn logsource([product, category, service]: [Option<String>; 3]) -> Logsource {
    Logsource { product, category, service }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;

    #[test]
    fn a_pack_is_refused_in_words_or_loaded_whole() {
        let pack = library::load().set.to_pack();
        let header = MAGIC.len() + 2;
        let mut cases: Vec<(&str, Vec<u8>, PackError)> = vec![
            ("empty", Vec::new(), PackError::NotAPack),
            ("yaml", b"title: x".to_vec(), PackError::NotAPack),
            ("another format", b"warden rules pack 2\n".to_vec(), PackError::OtherFormat),
            ("header alone", pack[..header].to_vec(), PackError::Damaged),
            ("cut", pack[..pack.len() - 1].to_vec(), PackError::Damaged),
        ];
        let mut flipped = pack.clone();
        flipped[header + DIGEST + 1000] ^= 1;
        cases.push(("flipped", flipped, PackError::Damaged));
        for (name, bytes, wanted) in cases {
            assert_eq!(RuleSet::from_pack(&bytes).err(), Some(wanted), "{name}");
        }
        assert!(RuleSet::from_pack(&pack).is_ok());
    }

    /// Whoever makes a pack can give it the right digest.
    #[test]
    fn no_content_makes_loading_panic() {
        let pack = library::load().set.to_pack();
        let header = MAGIC.len() + 2;
        let body = &pack[header + DIGEST..];
        let mut seed = 1_u64;
        for _ in 0..300 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut body = body.to_vec();
            let at = usize::try_from(seed >> 33).unwrap() % body.len();
            body[at] = u8::try_from(seed >> 24 & 0xff).unwrap();
            body.truncate(body.len() - usize::try_from(seed >> 60).unwrap());
            let mut bytes = pack[..header].to_vec();
            bytes.extend_from_slice(&Sha256::digest(&body));
            bytes.extend_from_slice(&body);
            if let Ok(set) = RuleSet::from_pack(&bytes) {
                let mut event = crate::Event::new();
                event.push("CommandLine", "sudo cat /etc/shadow | base64 -d");
                let _ = set.matches(None, &event);
            }
        }
    }
}
