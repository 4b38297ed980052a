//! What people and programs are told: one [`Alert`], four forms.
//!
//! | form | method | for |
//! |---|---|---|
//! | machine | [`Alert::machine_json`], [`Alert::attributes`] | programs: String JSON with message attributes |
//! | OCSF | [`Alert::ocsf`] | programs that read OCSF Detection Findings (class 2004) |
//! | human | [`Alert::subject`], [`Alert::human_text`] | mail |
//! | chat | [`Alert::chat_json`] | Amazon Q Developer in chat applications, custom notification |
//!
//! Whatever came from a session, from `reason`, `userAgent` or a role session name is hostile. Every form is inert: no
//! control or bidi character, no link that a program would make clickable, no mention, no markup; every text and every
//! list has a limit ([`inert`] has them all), and a form that is still too long is cut with a word that says so.

use jiff::Timestamp;
use warden_rules::Level;
use warden_rules::finding::Finding;
use warden_session::Session;

mod chat;
mod human;
pub mod inert;
mod machine;
mod quote;

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

impl Kind {
    /// `initial`, `update`, `follow-up`, `digest`, `identity-conflict`, `audit` or `operator`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Update => "update",
            Self::FollowUp => "follow-up",
            Self::Digest => "digest",
            Self::IdentityConflict => "identity-conflict",
            Self::Audit => "audit",
            Self::Operator => "operator",
        }
    }
}

impl Alert {
    /// An alert of which only this is known; the rest is filled in by who knows more.
    pub fn new(kind: Kind, level: Level, title: &str, alert_id: &str, at: Timestamp) -> Self {
        Self {
            kind,
            alert_id: alert_id.to_owned(),
            update_of: None,
            dedup_key: None,
            level,
            title: title.to_owned(),
            at,
            session: Session::default(),
            source_ip: None,
            user_agent: None,
            finding: None,
            others: Vec::new(),
            count: 1,
            notes: Vec::new(),
            evidence: None,
            evidence_version: None,
            response: None,
            runbook: None,
            owner: None,
        }
    }

    /// The same alert with pointers only: no text that was typed, and none that came with StartSession.
    #[must_use]
    pub fn without_content(mut self) -> Self {
        for finding in self.finding.iter_mut().chain(&mut self.others) {
            finding.matched.clear();
            finding.decoded.clear();
            if let Some(command) = &mut finding.command {
                WITHHELD.clone_into(&mut command.text);
                (command.prompt, command.cwd) = (None, None);
                command.invocations.clear();
            }
            if let Some(call) = &mut finding.api_call {
                call.user_agent = None;
            }
        }
        (self.session.reason, self.user_agent) = (None, None);
        self
    }

    /// How to look: a command line whose arguments are quoted for a POSIX shell, in ASCII.
    pub fn look(&self) -> Option<String> {
        if let Some(event) = self.finding.as_ref().and_then(|finding| finding.api_call.as_ref()?.event_id.as_deref()) {
            let attribute = quote::for_shell(&format!("AttributeKey=EventId,AttributeValue={event}"));
            return Some(format!("aws cloudtrail lookup-events --lookup-attributes {attribute}"));
        }
        let path = quote::for_shell(self.evidence.as_deref()?);
        let command = self.finding.as_ref().and_then(|finding| finding.command.as_ref());
        match command {
            Some(command) if self.evidence.as_deref()?.starts_with("s3:") => {
                Some(format!("warden play --at @{} {path}", command.offset.start))
            }
            _ => Some(format!("warden commands {path}")),
        }
    }

    /// `Who on where`, as far as it is known.
    fn who_where(&self) -> Option<String> {
        let principal = self.session.principal.as_deref().map(|arn| arn.rsplit('/').next().unwrap_or(arn));
        match (principal, self.session.target.as_deref()) {
            (Some(who), Some(target)) => Some(format!("{who} on {target}")),
            (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
            (None, None) => None,
        }
    }

    /// Where the alert rests: the record's kind.
    fn source_kind(&self) -> &'static str {
        match (&self.finding, self.kind) {
            (Some(finding), _) => finding.source.kind,
            (None, Kind::Operator) => "session-warden",
            (None, _) => "audit",
        }
    }
}

/// What stands for a command where `content: none` sends pointers only.
const WITHHELD: &str = "[withheld: see the evidence]";
