//! What is remembered of a session.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use warden_session::{ApiCall, Session, SessionId};

/// Longest text that is kept of one fact, in bytes: an ARN has at most 2048 characters.
pub const FACT_LIMIT: usize = 2048;

/// Who, where, when: a session as it is stored. `None` = not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Session id.
    pub session: Option<String>,
    /// ARN of the principal that started it.
    pub principal: Option<String>,
    /// Managed node or ECS target.
    pub target: Option<String>,
    /// Account.
    pub account: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Operating-system user.
    pub run_as: Option<String>,
    /// Session document.
    pub document: Option<String>,
    /// Reason given to StartSession: free, hostile text.
    pub reason: Option<String>,
    /// Time of StartSession.
    pub started: Option<Timestamp>,
    /// End of the session.
    pub ended: Option<Timestamp>,
    /// The agent's plugin.
    pub plugin: Option<String>,
    /// Source address of StartSession.
    pub source_ip: Option<String>,
    /// User agent of StartSession: free, hostile text.
    pub user_agent: Option<String>,
    /// `eventID` of StartSession; `None` if CloudTrail did not deliver it.
    pub event_id: Option<String>,
}

impl Facts {
    /// What a call that started a session says.
    pub fn of_call(call: &ApiCall) -> Self {
        Self {
            source_ip: call.source_ip.as_deref().map(bounded),
            user_agent: call.user_agent.as_deref().map(bounded),
            event_id: call.event_id.as_deref().map(bounded),
            session: call.session.as_ref().map(ToString::to_string),
            ..Self::of_session(&call.facts)
        }
    }

    /// What a record says of its session.
    pub fn of_session(session: &Session) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(bounded);
        Self {
            session: session.id.as_ref().map(ToString::to_string),
            principal: text(&session.principal),
            target: text(&session.target),
            account: text(&session.account),
            region: text(&session.region),
            run_as: text(&session.run_as),
            document: text(&session.document),
            reason: text(&session.reason),
            started: session.started,
            ended: session.ended,
            plugin: text(&session.plugin),
            ..Self::default()
        }
    }

    /// As a session.
    pub fn to_session(&self) -> Session {
        Session {
            id: self.session.as_deref().and_then(SessionId::parse),
            principal: self.principal.clone(),
            target: self.target.clone(),
            account: self.account.clone(),
            region: self.region.clone(),
            run_as: self.run_as.clone(),
            document: self.document.clone(),
            reason: self.reason.clone(),
            started: self.started,
            ended: self.ended,
            plugin: self.plugin.clone(),
            ..Session::default()
        }
    }

    /// Fills what is not known from `other`.
    pub fn fill(&mut self, other: &Self) {
        let fields = [
            (&mut self.session, &other.session),
            (&mut self.principal, &other.principal),
            (&mut self.target, &other.target),
            (&mut self.account, &other.account),
            (&mut self.region, &other.region),
            (&mut self.run_as, &other.run_as),
            (&mut self.document, &other.document),
            (&mut self.reason, &other.reason),
            (&mut self.plugin, &other.plugin),
            (&mut self.source_ip, &other.source_ip),
            (&mut self.user_agent, &other.user_agent),
            (&mut self.event_id, &other.event_id),
        ];
        for (field, other) in fields {
            if field.is_none() {
                field.clone_from(other);
            }
        }
        self.started = self.started.or(other.started);
        self.ended = self.ended.or(other.ended);
    }
}

/// The text, cut at [`FACT_LIMIT`].
pub fn bounded(text: &str) -> String {
    cut(text, FACT_LIMIT).to_owned()
}

/// The beginning of a text, of at most this many bytes.
pub fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}
