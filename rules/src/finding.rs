//! A finding: a rule matched a command or an API call.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use warden_session::Kind;
use warden_session::command::Command;

use crate::rule::Level;

/// One match of one rule, ready to print; secrets in every text are masked.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Hex SHA-256 over length-prefixed (rule id, session or event id, normalised argv, k-th occurrence): the same command
    /// seen in two sources has one id.
    pub finding_id: String,
    /// The rule that matched.
    pub rule: RuleRef,
    /// Hash over all loaded rules.
    pub rules_version: String,
    /// Session id.
    pub session: Option<String>,
    /// ARN of the principal that started the session or made the call.
    pub principal: Option<String>,
    /// Managed node or ECS target.
    pub target: Option<String>,
    /// AWS account.
    pub account: Option<String>,
    /// AWS region.
    pub region: Option<String>,
    /// Operating-system user of the session.
    pub run_as: Option<String>,
    /// Where it was read.
    pub source: Source,
    /// The command, secrets masked.
    pub command: Option<Command>,
    /// The API call, in short.
    pub api_call: Option<ApiCallRef>,
    /// Fields and values that made the rule match.
    pub matched: Vec<Matched>,
    /// What the command becomes when it runs, where that differs from its text.
    pub decoded: Vec<String>,
}

impl Finding {
    /// One line of `warden scan --format json`: an object with `"type":"finding"` and the fields of this struct; `null`
    /// where something is not known.
    pub fn to_json(&self) -> Value {
        json!({
            "type": "finding",
            "finding_id": self.finding_id,
            "rule": self.rule,
            "rules_version": self.rules_version,
            "session": self.session,
            "principal": self.principal,
            "target": self.target,
            "account": self.account,
            "region": self.region,
            "run_as": self.run_as,
            "source": self.source,
            "command": self.command,
            "api_call": self.api_call,
            "matched": self.matched,
            "decoded": self.decoded,
        })
    }

    /// The level of its rule.
    pub fn level(&self) -> Level {
        Level::parse(&self.rule.level).unwrap_or(Level::Medium)
    }
}

/// What a finding says of its rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleRef {
    /// Rule id, a UUID.
    pub id: String,
    /// Title.
    pub title: String,
    /// Level: `informational`, `low`, `medium`, `high`, `critical`.
    pub level: String,
    /// Tags such as `attack.t1548.003`.
    pub tags: Vec<String>,
    /// Hex SHA-256 of the rule's text.
    pub hash: String,
}

/// Where a finding was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// `transcript`, `log-stream`, `api-call`, `capture` or `recording`.
    pub kind: &'static str,
    /// Path as the user gave it.
    pub path: String,
    /// Who wrote the record: `service` (AWS) or `host` (which a hostile operator with root owns).
    pub trust: &'static str,
}

impl Source {
    /// A source of this kind. What the host writes a hostile operator with root can forge; CloudTrail nobody
    /// can, and a capture is made away from the host. Where a recording was made is not known.
    pub fn new(kind: Kind, path: &str) -> Self {
        let (kind, trust) = match kind {
            Kind::Transcript => ("transcript", "host"),
            Kind::LogStream => ("log-stream", "host"),
            Kind::ApiCall => ("api-call", "service"),
            Kind::Capture => ("capture", "service"),
            Kind::Recording => ("recording", "host"),
        };
        Self { kind, path: path.to_owned(), trust }
    }
}

/// What a finding says of an API call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ApiCallRef {
    /// `eventID`.
    pub event_id: Option<String>,
    /// `eventName`.
    pub event_name: String,
    /// `eventTime`.
    #[serde(serialize_with = "warden_session::timestamp::serialize")]
    pub event_time: Option<Timestamp>,
    /// `sourceIPAddress`.
    pub source_ip: Option<String>,
    /// `userAgent`.
    pub user_agent: Option<String>,
    /// `errorCode`.
    pub error_code: Option<String>,
}

/// One field whose value made a rule match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matched {
    /// Field name as the rule writes it; empty for keyword selections.
    pub field: String,
    /// The event's value, secrets masked.
    pub value: String,
    /// Byte range of `value` that matched, if the pattern has one.
    pub span: Option<(usize, usize)>,
}
