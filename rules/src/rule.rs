//! Rules: Sigma 2.1, with a few keys of our own.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::detection::Detection;

mod ours;
pub(crate) mod parse;

/// One rule, checked and compiled.
///
/// Matching needs the set's table of fields: see [`RuleSet`](crate::RuleSet).
#[derive(Clone, Debug)]
pub struct Rule {
    /// Id, a UUID in SigmaHQ's rules.
    pub id: String,
    /// Title.
    pub title: String,
    /// How much it matters; `medium` if the rule does not say.
    pub level: Level,
    /// How mature it is.
    pub status: Option<Status>,
    /// Which events it is tried on.
    pub logsource: Logsource,
    /// Tags such as `attack.t1548.003`.
    pub tags: Vec<String>,
    /// What it means when it matches.
    pub description: Option<String>,
    /// Path of its file, as it was given.
    pub path: String,
    /// Line of the file at which its document begins, from 1.
    pub line: usize,
    /// Hex SHA-256 of its document's text.
    pub hash: String,
    /// What is done when it matches.
    pub response: Response,
    /// What repeated matches share, if the rule says.
    pub dedup: Option<Dedup>,
    /// Who answers for the rule.
    pub owner: Option<String>,
    /// Where it is written what to do.
    pub runbook: Option<String>,
    /// Its test cases.
    pub cases: Vec<Case>,
    pub(crate) detection: Detection,
}

/// How much a rule's match matters, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Not worth a look by itself.
    Informational,
    /// Worth a look among others.
    Low,
    /// Worth a look.
    Medium,
    /// Worth an alert.
    High,
    /// Worth waking somebody.
    Critical,
}

/// How mature a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Few false positives over a long time.
    Stable,
    /// Being tried.
    Test,
    /// New.
    Experimental,
    /// Replaced by another rule.
    Deprecated,
    /// Cannot be used.
    Unsupported,
}

/// What kind of events a rule is for, or what kind an event is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Logsource {
    /// `linux`, `windows`, `macos`, `aws`, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// `process_creation`, `command`, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// `cloudtrail`, `session-manager`, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// What is done when a rule matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// People are told.
    #[default]
    Alert,
    /// People are told, and the session is ended.
    Terminate,
}

/// Which matches count as repetitions of one another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dedup {
    /// What they have in common beside the rule.
    pub by: Vec<Scope>,
    /// How long after the first, in seconds.
    pub window: u64,
}

/// What repeated matches have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The session.
    Session,
    /// The principal.
    Principal,
    /// The target.
    Target,
}

/// A test case inside a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Name, if it has one.
    pub name: Option<String>,
    /// Whether the rule must match.
    pub expected: bool,
    /// What the rule is tried on.
    pub input: CaseInput,
    /// Line of the file, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// What a case tries its rule on.
#[derive(Clone, Debug, PartialEq)]
pub enum CaseInput {
    /// A command line, as typed.
    Command(String),
    /// An event.
    Event(Json),
}

impl Level {
    /// From the least to the most.
    pub const ALL: [Self; 5] = [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word that rules use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The level of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

impl Status {
    /// From the most to the least mature.
    pub const ALL: [Self; 5] = [Self::Stable, Self::Test, Self::Experimental, Self::Deprecated, Self::Unsupported];

    /// The word that rules use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Test => "test",
            Self::Experimental => "experimental",
            Self::Deprecated => "deprecated",
            Self::Unsupported => "unsupported",
        }
    }

    /// The status of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

impl Logsource {
    /// A log source from its parts; an empty part is none.
    ///
    /// ```
    /// use warden_rules::Logsource;
    /// let rule = Logsource::new("linux", "process_creation", "");
    /// assert!(rule.covers(&Logsource::new("Linux", "process_creation", "auditd")));
    /// assert!(!rule.covers(&Logsource::new("linux", "", "")));
    /// ```
    pub fn new(product: &str, category: &str, service: &str) -> Self {
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self { product: part(product), category: part(category), service: part(service) }
    }

    /// Whether every key of this (a rule's) log source equals the event's, without regard to case.
    pub fn covers(&self, event: &Self) -> bool {
        let equal = |rule: &Option<String>, event: &Option<String>| match (rule, event) {
            (None, _) => true,
            (Some(rule), Some(event)) => crate::pattern::equal_folded(rule, event),
            (Some(_), None) => false,
        };
        equal(&self.product, &event.product)
            && equal(&self.category, &event.category)
            && equal(&self.service, &event.service)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `product=linux category=process_creation`.
impl fmt::Display for Logsource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("product", &self.product), ("category", &self.category), ("service", &self.service)];
        let mut separator = "";
        for (key, value) in parts {
            if let Some(value) = value {
                write!(f, "{separator}{key}={value}")?;
                separator = " ";
            }
        }
        Ok(())
    }
}
