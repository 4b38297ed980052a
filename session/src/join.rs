//! Joining what several records say of one session.

use crate::session::Session;

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
