//! What the rows hold that is nobody else's.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Facts;
use crate::draft::Draft;

/// What a record says of itself: worth a comparison when StartSession is heard of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Kind of the record: `transcript` or `log-stream`.
    pub kind: String,
    /// Its path.
    pub path: String,
    /// What it says.
    pub facts: Facts,
    /// Session that its place is named after: the key of an object, the name of a log stream.
    pub named: Option<String>,
    /// Managed node that stored it, where the notification names it.
    pub uploader: Option<String>,
    /// Account that it was delivered from, which is not the record's own word.
    #[serde(default)]
    pub account: Option<String>,
}

/// What was read of a session, and what came of it: "no alert" is not "not scanned".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Kind of the source: `transcript`, `log-stream`, `api-call`.
    pub kind: String,
    /// Its path.
    pub path: String,
    /// Version of the S3 object.
    pub version: Option<String>,
    /// `ETag` of the S3 object.
    pub etag: Option<String>,
    /// Hex SHA-256 of the bytes that were read, as they are stored.
    pub sha256: Option<String>,
    /// Version of the rules.
    pub rules_version: String,
    /// How it ended.
    pub result: Scan,
    /// Bytes read.
    pub bytes: u64,
    /// Commands read.
    pub commands: u64,
    /// Findings.
    pub findings: u64,
    /// What is missing or contradictory, in our words.
    pub deviations: Vec<String>,
    /// When it was read.
    pub at: Timestamp,
}

/// How a reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scan {
    /// Everything was read.
    Whole,
    /// Something is missing in the record, or could not be read.
    Incomplete,
    /// The size cap was reached.
    SizeCap,
    /// The object is no record that is known here.
    Unrecognised,
}

/// A command of a window beside its first one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Other {
    /// What it is about.
    pub draft: Draft,
    /// Names the finding.
    pub finding_id: String,
    /// When it was found.
    pub at: Timestamp,
    /// Whether an alert has listed it.
    pub listed: bool,
    /// Until then somebody is sending it at once.
    pub claimed_until: Option<Timestamp>,
}

/// Follow-ups of one window, or digests of one cap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FollowUps {
    /// How many were sent.
    pub sent: u32,
    /// Different commands that no row was made for, because there were too many.
    pub unlisted: u64,
    /// Of those, how many a follow-up has told.
    pub told: u64,
    /// Different commands that got rows.
    #[serde(default)]
    pub others: u64,
    /// Until then somebody is sending one.
    pub claimed_until: Option<Timestamp>,
    /// One that not every sink has taken: it is sent again, as it was, to the others.
    #[serde(default)]
    pub attempt: Option<Attempt>,
}

/// A follow-up or digest that some sinks have taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Sort keys of the rows in it.
    pub rows: Vec<String>,
    /// Sinks that have taken it.
    pub done: Vec<String>,
}

/// Something that is to be sent at its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Due {
    /// The follow-up of a window.
    FollowUp {
        /// Dedup key.
        key: String,
        /// When the window was opened.
        opened: Timestamp,
    },
    /// The digest of a cap.
    Digest {
        /// What the cap is on.
        scope: String,
    },
}
