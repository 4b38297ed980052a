//! Joining what several records say of one session.

use std::collections::BTreeMap;

use crate::api_call::ApiCall;
use crate::session::{Session, SessionId};

/// Sessions that are remembered; those that come after are not joined.
pub const SESSIONS_LIMIT: usize = 1 << 20;

/// What the API calls of a run say of its sessions: who started them, where, with which document and reason.
///
/// Transcripts name neither the principal nor the account, and what they and log streams do name is written by the host.
/// StartSession's answer holds the session id that joins them with CloudTrail, whose word counts.
///
/// ```
/// use warden_session::{ApiCall, Session, SessionId, join::Sessions};
/// let record = serde_json::json!({
///     "eventSource": "ssm.amazonaws.com", "eventName": "StartSession", "eventTime": "2024-08-01T12:19:17Z",
///     "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/alice"},
///     "requestParameters": {"target": "i-0123456789abcdef0"},
///     "responseElements": {"sessionId": "alice-052afb0c93508ea82"},
/// });
/// let mut sessions = Sessions::default();
/// sessions.absorb(&ApiCall::from_record(record, 0..0).unwrap());
/// let transcript = Session { id: SessionId::parse("alice-052afb0c93508ea82"), ..Session::default() };
/// let joined = sessions.complete(&transcript);
/// assert_eq!(joined.session.principal.as_deref(), Some("arn:aws:iam::111122223333:user/alice"));
/// assert!(!joined.conflict);
/// ```
#[derive(Debug, Default)]
pub struct Sessions {
    known: BTreeMap<SessionId, Session>,
}

/// A session with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The session: the service's word where it is known, else the record's own.
    pub session: Session,
    /// The record names another principal or target than the service.
    pub conflict: bool,
}

impl Sessions {
    /// Remembers what a call says of the session that it started. Other calls on a session say who made them, not who
    /// owns it.
    pub fn absorb(&mut self, call: &ApiCall) {
        let starts = matches!(call.event_name.as_str(), "StartSession" | "ExecuteCommand");
        let Some(id) = call.session.clone().filter(|_| starts && call.error_code.is_none()) else { return };
        if self.known.len() >= SESSIONS_LIMIT && !self.known.contains_key(&id) {
            return;
        }
        let facts = Session { id: Some(id.clone()), ..call.facts.clone() };
        fill(self.known.entry(id).or_default(), &facts);
    }

    /// What is known of the session of this id.
    pub fn known(&self, id: &SessionId) -> Option<&Session> {
        self.known.get(id)
    }

    /// Completes what a record says of its session.
    pub fn complete(&self, session: &Session) -> Joined {
        let Some(known) = session.id.as_ref().and_then(|id| self.known.get(id)) else {
            return Joined { session: session.clone(), conflict: false };
        };
        let mut joined = known.clone();
        let conflict = fill(&mut joined, session);
        Joined { session: joined, conflict }
    }
}

/// Fills what `session` does not know from `other`; whether the two name different sessions, principals or targets.
pub(crate) fn fill(session: &mut Session, other: &Session) -> bool {
    let conflict = differ(session.id.as_ref(), other.id.as_ref())
        || differ(session.principal.as_ref(), other.principal.as_ref())
        || differ(session.target.as_ref(), other.target.as_ref());
    if session.platform == crate::session::Platform::default() {
        session.platform = other.platform;
    }
    own(&mut session.id, other.id.as_ref());
    own(&mut session.principal, other.principal.as_ref());
    own(&mut session.target, other.target.as_ref());
    own(&mut session.account, other.account.as_ref());
    own(&mut session.region, other.region.as_ref());
    own(&mut session.run_as, other.run_as.as_ref());
    own(&mut session.document, other.document.as_ref());
    own(&mut session.reason, other.reason.as_ref());
    own(&mut session.started, other.started.as_ref());
    own(&mut session.ended, other.ended.as_ref());
    own(&mut session.plugin, other.plugin.as_ref());
    conflict
}

fn differ<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

fn own<T: Clone>(field: &mut Option<T>, other: Option<&T>) {
    if field.is_none() {
        *field = other.cloned();
    }
}
