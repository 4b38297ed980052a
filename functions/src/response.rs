//! `response: terminate`: whether a session is ended, and the call that ends it.
//!
//! To end somebody's session is the one thing done here that cannot be undone, so every doubt speaks against it: the deployment
//! has to allow it, the source has to be live (a transcript comes when the session is over), the command has to be read well, and
//! what the source says of its session has to be what StartSession said. Whoever forges a record can make an alert, but
//! not end a session.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use warden_rules::Response as Asked;
use warden_rules::finding::Finding;
use warden_session::command::{Command, Confidence, Mark};
use warden_session::{Session, join};

use crate::app::{App, Invocation};
use crate::config::Response as Allowed;
use crate::dedup::Observed;
use crate::ledger::finding;
use crate::ledger::table::TableError;
use crate::outbox::LEASE_MARGIN;

/// What speaks for and against ending a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// What the rule asks for.
    pub asked: Asked,
    /// What the deployment allows.
    pub allowed: Allowed,
    /// Where the finding was read.
    pub source: Source,
    /// How sure the reading is; `None` for an API call, of which nothing is guessed.
    pub confidence: Option<Confidence>,
    /// Whether the prompt may be printed by a program.
    pub spoof_suspect: bool,
    /// Whether the source's identity is that of StartSession.
    pub identity: Identity,
}

/// Sources, by whether the session can still be running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// CloudTrail, delivered as it happened.
    CloudTrail,
    /// A log stream, delivered as it was written.
    LogStream,
    /// A record that is stored when the session is over, or was stored long ago.
    Stored,
}

/// How what a record says of its session compares with what StartSession said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The same session and target, and no other principal.
    Agrees,
    /// Another session, principal or target.
    Disagrees,
    /// StartSession is not known (yet).
    NotKnown,
    /// The record does not name its session and target.
    NotNamed,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing was asked for.
    NotAsked,
    /// The session is to be ended.
    Terminate,
    /// It would be ended, if the deployment allowed it.
    WouldTerminate,
    /// It is left alone, for this reason.
    Withheld(Doubt),
}

/// What speaks against ending a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The deployment does not allow it.
    Off,
    /// The source is not live.
    NotLive,
    /// The reading is not sure.
    LowConfidence,
    /// The prompt may be forged.
    SpoofSuspect,
    /// The record contradicts StartSession.
    Disagrees,
    /// StartSession is not known.
    NotKnown,
    /// The record does not name its session and target.
    NotNamed,
}

/// Decides. What is wrong with the record is said rather than that the deployment forbids it, for dry runs are read to learn
/// what `on` would do.
///
/// ```
/// use warden_functions::config::Response as Allowed;
/// use warden_functions::response::{Case, Decision, Doubt, Identity, Source, decide};
/// use warden_session::command::Confidence;
/// let case = Case {
///     asked: warden_rules::Response::Terminate,
///     allowed: Allowed::On,
///     source: Source::LogStream,
///     confidence: Some(Confidence::Medium),
///     spoof_suspect: false,
///     identity: Identity::Agrees,
/// };
/// assert_eq!(decide(case), Decision::Terminate);
/// assert_eq!(decide(Case { source: Source::Stored, ..case }), Decision::Withheld(Doubt::NotLive));
/// ```
pub fn decide(case: Case) -> Decision {
    let doubt = match case {
        Case { asked: Asked::Alert, .. } => return Decision::NotAsked,
        Case { allowed: Allowed::Off, .. } => Doubt::Off,
        Case { source: Source::Stored, .. } => Doubt::NotLive,
        Case { identity: Identity::Disagrees, .. } => Doubt::Disagrees,
        Case { identity: Identity::NotKnown, .. } => Doubt::NotKnown,
        Case { identity: Identity::NotNamed, .. } => Doubt::NotNamed,
        Case { spoof_suspect: true, .. } => Doubt::SpoofSuspect,
        Case { confidence: Some(Confidence::Low), .. } => Doubt::LowConfidence,
        Case { allowed: Allowed::DryRun, .. } => return Decision::WouldTerminate,
        Case { allowed: Allowed::On, .. } => return Decision::Terminate,
    };
    Decision::Withheld(doubt)
}

impl Case {
    /// The case of a finding, and of the rule that made it.
    pub fn of(finding: &Finding, asked: Asked, allowed: Allowed, source: Source, identity: Identity) -> Self {
        let command = finding.command.as_ref();
        let suspect = |command: &Command| command.marks.contains(&Mark::SpoofSuspect);
        Self {
            asked,
            allowed,
            source,
            confidence: command.map(|command| command.confidence),
            spoof_suspect: command.is_some_and(suspect),
            identity,
        }
    }
}

impl Identity {
    /// Compares what a record claims with what StartSession said.
    pub fn of(claimed: &Session, started: Option<&Session>) -> Self {
        let Some(started) = started.filter(|started| started.principal.is_some() && started.target.is_some()) else {
            return Self::NotKnown;
        };
        match (&claimed.id, &claimed.target) {
            (None, _) | (_, None) => Self::NotNamed,
            (id, _) if *id != started.id => Self::Disagrees,
            _ if join::contradicts(claimed, started) => Self::Disagrees,
            _ => Self::Agrees,
        }
    }
}

impl Decision {
    /// What the alert says of it, before anything was tried; `None` if nothing was asked for.
    pub fn sentence(self) -> Option<&'static str> {
        Some(match self {
            Self::NotAsked => return None,
            Self::Terminate => "The session is to be ended.",
            Self::WouldTerminate => "Dry run: with WARDEN_RESPONSE=on the session would have been ended.",
            Self::Withheld(doubt) => doubt.sentence(),
        })
    }
}

impl Doubt {
    fn sentence(self) -> &'static str {
        match self {
            Self::Off => {
                "Not ended, although the rule asks for it: this deployment does not allow it (WARDEN_RESPONSE=off)."
            }
            Self::NotLive => "Not ended: this record is stored when a session is over.",
            Self::LowConfidence => "Not ended: it is not sure that exactly this was run.",
            Self::SpoofSuspect => "Not ended: the prompt may be printed by a program to fake this command.",
            Self::Disagrees => "Not ended: the record contradicts what StartSession said of the session.",
            Self::NotKnown => "Not ended: StartSession has not been heard of, so nothing proves whose session this is.",
            Self::NotNamed => "Not ended: the record does not name its session and target.",
        }
    }
}

/// How far the end of a session is, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ending {
    by: String,
    until: Timestamp,
    done: bool,
}

/// Does what the rule of a finding asks for, and writes into its alert what was done or why not.
///
/// One session is ended once, whatever is found in it: the others say that it was.
///
/// # Errors
/// What the ledger answers, before anything was done.
pub async fn respond(
    app: &App,
    invocation: &Invocation,
    observed: &mut Observed,
    asked: Asked,
    source: Source,
    identity: Identity,
) -> Result<(), TableError> {
    let Some(finding) = observed.draft.finding.as_ref().and_then(finding::parse) else { return Ok(()) };
    let decision = decide(Case::of(&finding, asked, app.config.response, source, identity));
    observed.draft.response = decision.sentence().map(str::to_owned);
    if let (Decision::Terminate, Some(session)) = (decision, &finding.session) {
        observed.draft.response = Some(end(app, invocation, session).await?);
    }
    Ok(())
}

/// Ends a session, if nobody else did; what the alert says of it.
async fn end(app: &App, invocation: &Invocation, session: &str) -> Result<String, TableError> {
    let now = invocation.now();
    let place = app.ledger.key("S", session, "ENDED");
    let until = invocation.deadline.saturating_add(LEASE_MARGIN).unwrap_or(invocation.deadline);
    let mut done = false;
    let claim = |ending: Option<Ending>| {
        done = ending.as_ref().is_some_and(|ending| ending.done);
        let free = ending.is_none_or(|ending| !ending.done && (ending.until <= now || ending.by == invocation.id));
        free.then(|| Ending { by: invocation.id.clone(), until, done: false })
    };
    if !app.ledger.change(&place, now, claim).await? {
        let sentence = if done {
            "The session was ended on an earlier finding."
        } else {
            "The session is being ended on another finding."
        };
        return Ok(sentence.to_owned());
    }
    let answer = app.sessions.terminate(session).await;
    tracing::warn!(session, accepted = answer.as_ref().is_ok_and(|known| *known), "ssm:TerminateSession");
    let settle = |ending: Option<Ending>| {
        let until = if answer.is_ok() { until } else { now };
        ending.map(|ending| Ending { done: answer.is_ok(), until, ..ending })
    };
    // If this is not written, the session is ended once more, which changes nothing.
    if let Err(error) = app.ledger.change(&place, now, settle).await {
        tracing::warn!(session, error = %error, "the end of the session is not noted");
    }
    Ok(match answer {
        Ok(true) => "The session was ended (ssm:TerminateSession).".to_owned(),
        Ok(false) => "Not ended: the service knows no such session.".to_owned(),
        Err(error) => format!("NOT ended: ssm:TerminateSession failed ({}). End it by hand.", error.code),
    })
}

#[cfg(test)]
mod tests {
    use warden_session::SessionId;

    use super::*;

    const SOURCES: [Source; 3] = [Source::CloudTrail, Source::LogStream, Source::Stored];
    const IDENTITIES: [Identity; 4] = [Identity::Agrees, Identity::Disagrees, Identity::NotKnown, Identity::NotNamed];
    const CONFIDENCES: [Option<Confidence>; 4] =
        [None, Some(Confidence::Low), Some(Confidence::Medium), Some(Confidence::High)];

    fn all() -> Vec<Case> {
        let mut all = Vec::new();
        for asked in [Asked::Alert, Asked::Terminate] {
            for allowed in [Allowed::Off, Allowed::DryRun, Allowed::On] {
                for source in SOURCES {
                    for confidence in CONFIDENCES {
                        for spoof_suspect in [false, true] {
                            all.extend(IDENTITIES.map(|identity| Case {
                                asked,
                                allowed,
                                source,
                                confidence,
                                spoof_suspect,
                                identity,
                            }));
                        }
                    }
                }
            }
        }
        all
    }

    #[test]
    fn a_session_is_ended_only_if_nothing_speaks_against_it() {
        let cases = all();
        assert_eq!(cases.len(), 2 * 3 * 3 * 4 * 2 * 4);
        for case in cases {
            let sure = case.source != Source::Stored
                && case.confidence != Some(Confidence::Low)
                && !case.spoof_suspect
                && case.identity == Identity::Agrees;
            let decision = decide(case);
            let asked = case.asked == Asked::Terminate;
            assert_eq!(decision == Decision::Terminate, asked && sure && case.allowed == Allowed::On, "{case:?}");
            let would = asked && sure && case.allowed == Allowed::DryRun;
            assert_eq!(decision == Decision::WouldTerminate, would, "{case:?}");
            assert_eq!(decision == Decision::NotAsked, !asked, "{case:?}");
            assert_eq!(decision.sentence().is_some(), asked, "{case:?}");
        }
    }

    #[test]
    fn identities_agree_on_session_target_and_principal() {
        let id = |text: &str| SessionId::parse(text);
        let alice = Session {
            id: id("alice-052afb0c93508ea82"),
            principal: Some("arn:aws:iam::111122223333:user/alice".to_owned()),
            target: Some("i-0123456789abcdef0".to_owned()),
            ..Session::default()
        };
        let other = |change: &dyn Fn(&mut Session)| {
            let mut session = alice.clone();
            change(&mut session);
            session
        };
        let rows: &[(&str, Session, Option<Session>, Identity)] = &[
            ("the same", alice.clone(), Some(alice.clone()), Identity::Agrees),
            ("no principal", other(&|s| s.principal = None), Some(alice.clone()), Identity::Agrees),
            ("no target", other(&|s| s.target = None), Some(alice.clone()), Identity::NotNamed),
            ("no session", other(&|s| s.id = None), Some(alice.clone()), Identity::NotNamed),
            ("other session", other(&|s| s.id = id("eva-052afb0c93508ea82")), Some(alice.clone()), Identity::Disagrees),
            ("other principal", other(&|s| s.principal = Some("x".into())), Some(alice.clone()), Identity::Disagrees),
            ("other target", other(&|s| s.target = Some("i-1".into())), Some(alice.clone()), Identity::Disagrees),
            ("not started", alice.clone(), None, Identity::NotKnown),
            ("started by nobody", alice.clone(), Some(other(&|s| s.principal = None)), Identity::NotKnown),
        ];
        for (name, claimed, started, expected) in rows {
            assert_eq!(Identity::of(claimed, started.as_ref()), *expected, "{name}");
        }
    }
}
