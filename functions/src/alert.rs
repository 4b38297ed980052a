//! What people and programs are told.

use jiff::Timestamp;
use warden_rules::Level;
use warden_rules::finding::Finding;
use warden_session::Session;

/// One alert, before it takes one of its forms. Its texts are masked, but not yet made inert: each form does that.
#[derive(Clone, Debug)]
pub struct Alert {
    /// What it is.
    pub kind: Kind,
    /// Names this alert: equal for every attempt to send it.
    pub alert_id: String,
    /// The alert that this one adds to.
    pub update_of: Option<String>,
    /// Hex SHA-256 over length-prefixed (rule id, scope values); `None` for what no rule found.
    pub dedup_key: Option<String>,
    /// Level.
    pub level: Level,
    /// What happened, in our words.
    pub title: String,
    /// When it was noticed.
    pub at: Timestamp,
    /// The session, with what StartSession said of it.
    pub session: Session,
    /// Where StartSession came from.
    pub source_ip: Option<String>,
    /// What StartSession was made with.
    pub user_agent: Option<String>,
    /// The finding; of a follow-up the one that began it.
    pub finding: Option<Finding>,
    /// Findings under the same key whose commands are different.
    pub others: Vec<Finding>,
    /// How often the same was seen, the maximum over sources.
    pub count: u64,
    /// What a reader has to know: sentences of ours, which may hold names from outside.
    pub notes: Vec<String>,
    /// Where the evidence lies, as a path that `warden` takes: `s3://BUCKET/KEY`, `cloudwatch://GROUP/STREAM`.
    pub evidence: Option<String>,
    /// Version of the S3 object.
    pub evidence_version: Option<String>,
    /// What was done about the session, or why nothing was; in our words.
    pub response: Option<String>,
    /// Runbook of the rule.
    pub runbook: Option<String>,
    /// Owner of the rule.
    pub owner: Option<String>,
}

/// Kinds of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first of a key in its window.
    Initial,
    /// What was not known when the initial alert was sent.
    Update,
    /// What came under the same key since.
    FollowUp,
    /// Too many alerts: their number instead.
    Digest,
    /// A record's identity disagrees with StartSession.
    IdentityConflict,
    /// Sessions that nobody sees: no record, kinds that are never logged, settings.
    Audit,
    /// About Session Warden itself: rules, limits, failures.
    Operator,
}
