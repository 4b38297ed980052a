//! What should be there and is not: sessions, their records, CloudTrail's word. Pure decisions.
//!
//! Systems Manager knows every session for 30 days; it is the only source of ends and a second one of starts. What it says is held
//! against what CloudTrail delivered and against the records that were read. Everything is told once: its words hold nothing that
//! changes, so the second time it is merged.

use jiff::{SignedDuration, Timestamp};
use warden_rules::Level;

use crate::audit::notice;
use crate::dedup::Observed;
use crate::draft::{Draft, DraftKind};
use crate::ledger::{Facts, Receipt};
use crate::preferences::{self, Preferences};
use crate::ssm::Known;

/// How long CloudTrail may take to deliver a start. It is minutes, and not promised.
pub const START_GRACE: SignedDuration = SignedDuration::from_mins(30);

/// How long after the end of a session its record may be missing: the agent uploads it, and we have to read it.
pub const RECORD_GRACE: SignedDuration = SignedDuration::from_mins(30);

/// What is known here of a session that Systems Manager knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// What StartSession said, or, without an event id, what Systems Manager said before.
    pub facts: Option<Facts>,
    /// What was read of it.
    pub receipts: Vec<Receipt>,
}

/// What every comparison goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Standard {
    /// The time.
    pub now: Timestamp,
    /// Since when this deployment runs: of what began before it nothing can be said.
    pub since: Timestamp,
    /// Session preferences, if they could be read.
    pub preferences: Option<Preferences>,
}

/// Whether the agent records sessions of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// As the preferences say.
    ByPreferences,
    /// As the document itself says, which is not known here.
    ByDocument,
    /// What the command prints, as the preferences say; the command itself is only in CloudTrail.
    OutputOnly,
    /// Never, whatever the preferences say.
    Never,
}

impl Recorded {
    /// Of the document with this name or ARN; StartSession without one means the preferences document.
    ///
    /// Source: user guide, "Logging session activity": port forwarding and SSH sessions are not recorded.
    pub fn of(document: Option<&str>) -> Self {
        let name = document.unwrap_or(preferences::DOCUMENT);
        let name = name.rsplit_once("document/").map_or(name, |(_, name)| name);
        match name {
            preferences::DOCUMENT => Self::ByPreferences,
            "AWS-StartSSHSession" => Self::Never,
            _ if name.starts_with("AWS-StartPortForwardingSession") => Self::Never,
            "AWS-StartInteractiveCommand" | "AWS-StartNonInteractiveCommand" => Self::OutputOnly,
            _ => Self::ByDocument,
        }
    }
}

/// What is wrong with a session that Systems Manager knows.
pub fn judge(known: &Known, held: &Held, standard: &Standard) -> Vec<Observed> {
    let facts = &known.facts;
    let (Some(session), Some(started)) = (&facts.session, facts.started) else { return Vec::new() };
    if known.failed || started < standard.since {
        return Vec::new();
    }
    let mut observed = Vec::new();
    let mut tell = |level, title: &str, note: String| {
        let draft = Draft { facts: facts.clone(), notes: vec![note], ..Draft::new(DraftKind::Audit, level, title) };
        observed.push(notice(draft, session));
    };
    let delivered = held.facts.as_ref().is_some_and(|facts| facts.event_id.is_some());
    if !delivered && standard.now.duration_since(started) > START_GRACE {
        let note = "Systems Manager knows this session, but CloudTrail has not delivered its StartSession: check the trail, the rule, and who could stop them.";
        tell(Level::High, "A session that CloudTrail never delivered", note.to_owned());
    }
    let recorded = Recorded::of(facts.document.as_deref());
    if recorded == Recorded::Never {
        let document = facts.document.as_deref().unwrap_or_default();
        let note =
            format!("Sessions of {document} are never recorded: what passes through them is not seen by anybody.");
        tell(Level::Low, "A session of a kind that is never recorded", note);
        return observed;
    }
    let over = facts.ended.is_some_and(|ended| standard.now.duration_since(ended) > RECORD_GRACE);
    if over && let Some((level, title, note)) = missing(recorded, held, standard) {
        tell(level, title, note.to_owned());
    }
    observed
}

/// Which record of a session that is over is missing.
fn missing(recorded: Recorded, held: &Held, standard: &Standard) -> Option<(Level, &'static str, &'static str)> {
    let kept = |kind: &str| held.receipts.iter().any(|receipt| receipt.kind == kind);
    let preferences = standard.preferences.as_ref();
    if !kept("transcript") && !kept("log-stream") {
        let note = match (recorded, preferences) {
            (Recorded::ByDocument, _) => {
                "Its document is not the preferences': it says itself where it is recorded, if anywhere."
            }
            (_, Some(preferences)) if preferences.records_nothing() => {
                "The preferences name neither a bucket nor a log group."
            }
            _ => {
                "The agent stores it at the end; it does not if the host dies, its role may not, or somebody with root prevents it."
            }
        };
        return Some((Level::High, "A session without a record", note));
    }
    let stores =
        recorded == Recorded::ByPreferences && preferences.is_some_and(|preferences| !preferences.bucket.is_empty());
    (stores && !kept("transcript")).then_some((
        Level::Medium,
        "A session without a transcript",
        "Its log stream was read, but the transcript that the preferences ask for is not there: the stream loses line edits.",
    ))
}

/// A record of a session that neither CloudTrail nor Systems Manager knows: somebody with write access made it up, or the session
/// is of another account.
pub fn unknown_session(session: &str, evidence: Option<&str>) -> Observed {
    let facts = Facts { session: Some(session.to_owned()), ..Facts::default() };
    let note = "Neither CloudTrail nor Systems Manager knows this session: the record is of another account or region, or made up.";
    let draft = Draft {
        facts,
        notes: vec![note.to_owned()],
        evidence: evidence.map(str::to_owned),
        ..Draft::new(DraftKind::Audit, Level::High, "A record without a session")
    };
    notice(draft, session)
}

/// What the n-th change of the preferences takes away or adds, as one alert; of the first look at them only that nothing is
/// recorded.
pub fn changed(before: Option<&Preferences>, now: &Preferences, n: u64) -> Option<Observed> {
    let tell = |level, title: &str, notes: Vec<String>| {
        let draft = Draft { notes, ..Draft::new(DraftKind::Audit, level, title) };
        notice(draft, &format!("{} {n}", preferences::DOCUMENT))
    };
    let Some(before) = before else {
        let note = if now.exists {
            "The preferences name neither a bucket nor a log group."
        } else {
            "There is no preferences document in this region: Systems Manager records sessions nowhere."
        };
        let title = "Sessions are recorded nowhere";
        return now.records_nothing().then(|| tell(Level::High, title, vec![note.to_owned()]));
    };
    let changes = now.changes(before);
    let level = changes.first()?.level;
    let title = if now.records_nothing() {
        "Sessions are recorded nowhere any more"
    } else {
        "The session preferences were changed"
    };
    Some(tell(level, title, changes.into_iter().map(|change| change.sentence).collect()))
}

#[cfg(test)]
mod tests;
