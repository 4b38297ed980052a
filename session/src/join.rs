//! Joining what several records say of one session, by its session id.
//!
//! CloudTrail's records are written by the service; transcripts and log streams by the host, which an operator with
//! root owns. Where the two disagree, CloudTrail's word wins, and the disagreement is worth an alert.

use std::collections::{BTreeMap, VecDeque};

use crate::api_call::ApiCall;
use crate::session::{Platform, Session, SessionId};

/// Most sessions that are remembered; beyond it the one heard of first is forgotten.
pub const SESSIONS_LIMIT: usize = 100_000;

/// What all inputs of a run say of its sessions.
///
/// ```
/// use warden_session::{ApiCall, Session, SessionId, join::Sessions};
/// let record = serde_json::json!({
///     "eventSource": "ssm.amazonaws.com", "eventName": "StartSession",
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
    known: BTreeMap<SessionId, Known>,
    /// Ids in the order in which they were first heard of.
    order: VecDeque<SessionId>,
}

/// A session with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The session: CloudTrail's word where it is known, then the record's own, then what other records claim.
    pub session: Session,
    /// The record names another principal or target than the call that started the session.
    pub conflict: bool,
}

/// What is known of one session, by who says it.
#[derive(Debug, Default)]
struct Known {
    /// StartSession, or `ExecuteCommand` of ECS.
    started: Option<Session>,
    /// What other calls about the session show: account and region.
    mentioned: Session,
    /// What transcripts and log streams claim.
    claimed: Session,
}

impl Sessions {
    /// Takes what an API call says. A call that failed started no session, and only the call that started one names
    /// its principal; another may resume or end it.
    pub fn absorb(&mut self, call: &ApiCall) {
        let Some(id) = call.session.as_ref().filter(|_| call.error_code.is_none()) else { return };
        let known = self.entry(id);
        match call.event_name.as_str() {
            "StartSession" | "ExecuteCommand" => {
                known.started.get_or_insert_with(|| call.facts.clone());
            }
            "ResumeSession" | "TerminateSession" => {
                let Session { account, region, .. } = call.facts.clone();
                fill(&mut known.mentioned, &Session { account, region, ..Session::default() });
            }
            _ => {}
        }
    }

    /// Takes what StartSession said of a session, as it was remembered elsewhere.
    pub fn remember(&mut self, started: &Session) {
        if let Some(id) = &started.id {
            self.entry(id).started.get_or_insert_with(|| started.clone());
        }
    }

    /// Takes what a transcript or log stream claims of itself. Whether it contradicts what is known so far: CloudTrail,
    /// or, before that, another claim ([`Deviation::IdentityConflict`](crate::timeline::Deviation::IdentityConflict)).
    pub fn claim(&mut self, session: &Session) -> bool {
        let Some(id) = &session.id else { return false };
        let known = self.entry(id);
        let conflict = match &known.started {
            Some(started) => contradicts(session, started),
            None => contradicts(session, &known.claimed),
        };
        fill(&mut known.claimed, session);
        conflict
    }

    /// The session as the call that started it describes it.
    pub fn known(&self, id: &SessionId) -> Option<&Session> {
        self.known.get(id)?.started.as_ref()
    }

    /// Completes what a record says of its session.
    #[must_use]
    pub fn complete(&self, session: &Session) -> Joined {
        let Some(known) = session.id.as_ref().and_then(|id| self.known.get(id)) else {
            return Joined { session: session.clone(), conflict: false };
        };
        let conflict = known.started.as_ref().is_some_and(|started| contradicts(session, started));
        let mut whole = known.started.clone().unwrap_or_default();
        fill(&mut whole, &known.mentioned);
        // The host knows the container in which an ECS session runs.
        if let (Some(target), Some(longer)) = (&mut whole.target, &session.target)
            && longer.strip_prefix(target.as_str()).is_some_and(|rest| rest.starts_with('_'))
        {
            target.clone_from(longer);
        }
        fill(&mut whole, session);
        fill(&mut whole, &known.claimed);
        Joined { session: whole, conflict }
    }

    /// How many sessions are remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn entry(&mut self, id: &SessionId) -> &mut Known {
        if !self.known.contains_key(id) {
            if self.order.len() >= SESSIONS_LIMIT
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(id.clone());
        }
        self.known.entry(id.clone()).or_default()
    }
}

/// Whether a claim names another principal or target than the call that started the session does.
pub fn contradicts(claim: &Session, call: &Session) -> bool {
    let target = match (claim.target.as_deref(), call.target.as_deref()) {
        (Some(claimed), Some(called)) => claimed != called && !is_same_task(claimed, called),
        _ => false,
    };
    target || differ(claim.principal.as_ref(), call.principal.as_ref())
}

/// ECS: the call names cluster and task, the host the container too, or its own name for the task.
fn is_same_task(claimed: &str, called: &str) -> bool {
    let node = claimed.starts_with("i-") || claimed.starts_with("mi-");
    let longer = claimed.strip_prefix(called).is_some_and(|rest| rest.starts_with('_'));
    called.starts_with("ecs:") && !node && (longer || !claimed.starts_with("ecs:"))
}

/// Fills what `session` does not know from `other`; whether the two name different sessions, principals or targets.
pub(crate) fn fill(session: &mut Session, other: &Session) -> bool {
    let conflict = differ(session.id.as_ref(), other.id.as_ref())
        || differ(session.principal.as_ref(), other.principal.as_ref())
        || differ(session.target.as_ref(), other.target.as_ref());
    if session.platform == Platform::default() {
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
