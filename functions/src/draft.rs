//! Alerts before they are sent, as rows hold them: a crash between claim and publish loses nothing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use warden_rules::Level;

use crate::alert::{Alert, Kind};
use crate::ledger::facts::Facts;
use crate::ledger::finding;

/// What an alert will say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// What it is, if it is the first of its window.
    pub kind: DraftKind,
    /// Level, as a word.
    pub level: String,
    /// What happened, in our words.
    pub title: String,
    /// What the record says of its session, completed with what was known.
    pub facts: Facts,
    /// The finding as JSON, masked and bounded.
    pub finding: Option<Value>,
    /// Sentences of ours.
    pub notes: Vec<String>,
    /// Path of the evidence.
    pub evidence: Option<String>,
    /// Version of the S3 object.
    pub evidence_version: Option<String>,
    /// What was done about the session, or why not.
    pub response: Option<String>,
    /// Runbook of the rule.
    pub runbook: Option<String>,
    /// Owner of the rule.
    pub owner: Option<String>,
}

/// Kinds of drafts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DraftKind {
    /// A rule matched.
    Finding,
    /// A record's identity disagrees with StartSession.
    IdentityConflict,
    /// Sessions that nobody sees.
    Audit,
    /// About Session Warden itself.
    Operator,
}

impl Draft {
    /// A draft that says only this.
    pub fn new(kind: DraftKind, level: Level, title: &str) -> Self {
        Self {
            kind,
            level: level.as_str().to_owned(),
            title: title.to_owned(),
            facts: Facts::default(),
            finding: None,
            notes: Vec::new(),
            evidence: None,
            evidence_version: None,
            response: None,
            runbook: None,
            owner: None,
        }
    }

    /// The level.
    pub fn level(&self) -> Level {
        Level::parse(&self.level).unwrap_or(Level::Medium)
    }

    /// The rule's id, if a rule found it.
    pub fn rule(&self) -> Option<&str> {
        self.finding.as_ref()?.pointer("/rule/id")?.as_str()
    }

    /// The alert: its session completed from what StartSession said, whose word wins.
    pub fn alert(&self, known: Option<&Facts>, alert_id: String, dedup_key: &str, at: Timestamp) -> Alert {
        let mut facts = known.cloned().unwrap_or_default();
        facts.fill(&self.facts);
        let mut finding = self.finding.as_ref().and_then(finding::parse);
        if let Some(finding) = &mut finding {
            complete(finding, &facts);
        }
        Alert {
            kind: match self.kind {
                DraftKind::Finding => Kind::Initial,
                DraftKind::IdentityConflict => Kind::IdentityConflict,
                DraftKind::Audit => Kind::Audit,
                DraftKind::Operator => Kind::Operator,
            },
            alert_id,
            update_of: None,
            dedup_key: self.finding.is_some().then(|| dedup_key.to_owned()),
            level: self.level(),
            title: self.title.clone(),
            at,
            session: facts.to_session(),
            source_ip: facts.source_ip,
            user_agent: facts.user_agent,
            finding,
            others: Vec::new(),
            count: 1,
            notes: self.notes.clone(),
            evidence: self.evidence.clone(),
            evidence_version: self.evidence_version.clone(),
            response: self.response.clone(),
            runbook: self.runbook.clone(),
            owner: self.owner.clone(),
        }
    }
}

/// Fills what a finding did not know of its session when it was made. An API call names its caller itself.
fn complete(finding: &mut warden_rules::finding::Finding, facts: &Facts) {
    if finding.session.is_none() || finding.session != facts.session || finding.api_call.is_some() {
        return;
    }
    let fields = [
        (&mut finding.principal, &facts.principal),
        (&mut finding.target, &facts.target),
        (&mut finding.account, &facts.account),
        (&mut finding.region, &facts.region),
    ];
    for (field, fact) in fields {
        if fact.is_some() {
            field.clone_from(fact);
        }
    }
}
