//! What is sent at once, what is listed later, what is merged: pure decisions.
//!
//! Everything that is found has a *dedup key*: a rule and what repeated matches share. Under each key there is one
//! *window* at a time, which begins with its *initial alert*, sent at once. Until the window closes
//!
//! | what comes under the key | what happens |
//! |---|---|
//! | a finding that was seen before, from whichever source | nothing: it counts for that source |
//! | another finding whose normalised command is equal to one in the window | it counts |
//! | a different command | it is listed in the follow-up |
//! | a higher level than any before in the window | it is sent at once |
//!
//! so that no harmless decoy hides what comes after it. A finding that was seen before never opens a window again, however
//! late its second source arrives. An initial alert is *claimed* before it is published, and confirmed after: whoever dies
//! in between leaves a claim that expires, and the next who comes by sends the alert. It may then be sent twice, with
//! the same id: only then.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use warden_rules::finding::Finding;
use warden_rules::{Dedup, Level, Scope};
use warden_session::ApiCall;

use crate::draft::Draft;

/// A window of one dedup key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// When it began; names it.
    pub opened: Timestamp,
    /// When it closes.
    pub closes: Timestamp,
    /// The highest level that was sent at once, as a word.
    pub level: String,
    /// The finding that began it.
    pub finding_id: String,
    /// Its normalised command, hashed.
    pub command: String,
    /// What its initial alert says.
    pub first: Draft,
    /// Whether the initial alert was sent.
    pub initial: Sending,
}

/// How far the sending of an alert is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sending {
    /// Somebody is at it.
    Claimed {
        /// Who: the id of an invocation.
        by: String,
        /// From then on somebody else may be.
        until: Timestamp,
        /// Sinks that have taken it.
        done: Vec<String>,
    },
    /// Every sink has taken it.
    Sent {
        /// When.
        at: Timestamp,
    },
    /// A cap was reached: it is in a digest.
    Withheld {
        /// When.
        at: Timestamp,
    },
}

/// A finding that was seen: under which window it counts, and where it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// When the window was opened.
    pub opened: Timestamp,
    /// Kinds of sources that showed it: `transcript`, `log-stream`, `api-call`.
    pub sources: Vec<String>,
}

/// Something to alert about.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// Dedup key.
    pub key: String,
    /// The key while the principal or target was not known, if that is another one: what was seen under it counts there.
    pub before: Option<String>,
    /// Length of a window of this key.
    pub window: SignedDuration,
    /// Names the finding, whichever source shows it.
    pub finding_id: String,
    /// Its normalised command, hashed.
    pub command: String,
    /// Kind of its source.
    pub source: String,
    /// What the alert says.
    pub draft: Draft,
}

/// What to do next about something observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// No window is open: claim one, and send the initial alert.
    Open,
    /// The initial alert of the window was claimed and not confirmed: claim it anew and send it, then look again.
    Resume,
    /// It is the first finding of the window, or was seen before.
    Merge,
    /// It is another finding of the window. If its command is a different one, it is listed, or sent at once.
    Add {
        /// Whether its level is higher than what was sent.
        at_once: bool,
    },
}

/// What to do about something observed, given the key's latest window and what is known of the finding.
pub fn step(window: Option<&Window>, seen: Option<&Seen>, observed: &Observed, by: &str, now: Timestamp) -> Step {
    let Some(window) = window else { return if seen.is_some() { Step::Merge } else { Step::Open } };
    let elsewhere = seen.is_some_and(|seen| seen.opened != window.opened);
    if elsewhere {
        return Step::Merge;
    }
    if let Sending::Claimed { by: holder, until, .. } = &window.initial
        && (*until <= now || holder == by)
    {
        return Step::Resume;
    }
    if seen.is_some() || window.finding_id == observed.finding_id {
        return Step::Merge;
    }
    if window.closes <= now && !matches!(window.initial, Sending::Claimed { .. }) {
        return Step::Open;
    }
    let sent = Level::parse(&window.level).unwrap_or(Level::Medium);
    Step::Add { at_once: observed.draft.level() > sent }
}

impl Window {
    /// A window that this finding opens, its initial alert claimed by an invocation.
    pub fn open(observed: &Observed, by: &str, now: Timestamp, until: Timestamp) -> Self {
        // Rows hold milliseconds.
        let opened = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        Self {
            opened,
            closes: opened.saturating_add(observed.window).unwrap_or(Timestamp::MAX),
            level: observed.draft.level.clone(),
            finding_id: observed.finding_id.clone(),
            command: observed.command.clone(),
            first: observed.draft.clone(),
            initial: Sending::Claimed { by: by.to_owned(), until, done: Vec::new() },
        }
    }
}

/// Hex SHA-256 over length-prefixed (rule id, scope values).
///
/// ```
/// use warden_functions::dedup::dedup_key;
/// assert_eq!(dedup_key("rule", &["a".to_owned()]).len(), 64);
/// assert_ne!(dedup_key("rule", &["ab".to_owned(), "c".to_owned()]), dedup_key("rule", &["a".to_owned(), "bc".to_owned()]));
/// ```
pub fn dedup_key(rule: &str, scope: &[String]) -> String {
    digest(std::iter::once(rule).chain(scope.iter().map(String::as_str)))
}

/// Values of what the rule's repetitions share, as far as they are known. A value that is not known yet must not throw
/// strangers together: the session stands in for it, or the event.
pub fn scope(dedup: Option<&Dedup>, finding: &Finding) -> Vec<String> {
    let by = dedup.map_or(&[Scope::Session][..], |dedup| &dedup.by);
    let own = own(finding);
    let values = by.iter().map(|scope| match scope {
        Scope::Session => own.clone(),
        Scope::Principal => finding.principal.clone().unwrap_or_else(|| own.clone()),
        Scope::Target => finding.target.clone().unwrap_or_else(|| own.clone()),
    });
    values.collect()
}

/// The scope as it is while nothing is known but the session: what is found under it counts as seen.
pub fn scope_before(dedup: Option<&Dedup>, finding: &Finding) -> Vec<String> {
    let unknown = Finding { principal: None, target: None, ..finding.clone() };
    scope(dedup, &unknown)
}

/// The session; else the event; else where it was read.
fn own(finding: &Finding) -> String {
    let event = finding.api_call.as_ref().and_then(|call| call.event_id.as_ref());
    finding.session.as_ref().or(event).unwrap_or(&finding.source.path).clone()
}

/// Hash of what a finding is about, equal for repetitions: the command's words and the programs that it starts, and where it
/// was typed; or the call with what it asks for.
///
/// The programs alone would not do: redirections, here-documents and assignments are none of their arguments.
pub fn command_hash(finding: &Finding, call: Option<&ApiCall>) -> String {
    let Some(command) = &finding.command else {
        let Some(call) = call else { return digest(["nothing"]) };
        let session = call.session.as_ref().map_or("", |session| session.as_str());
        let error = call.error_code.as_deref().unwrap_or_default();
        return digest(["call", &call.event_name, error, session, &asked(&call.record)]);
    };
    let words = digest(command.text.split_whitespace());
    let programs = command.invocations.iter().map(|invocation| digest(invocation.argv.iter().map(String::as_str)));
    let programs: Vec<String> = programs.collect();
    let place = command.cwd.as_deref().unwrap_or_default();
    digest(["command", place, &words].into_iter().chain(programs.iter().map(String::as_str)))
}

/// What a call asks for, without what only tells its attempts apart.
fn asked(record: &Value) -> String {
    let Some(Value::Object(parameters)) = record.get("requestParameters") else { return String::new() };
    let mut parameters = parameters.clone();
    parameters.retain(|name, _| name != "clientToken" && name != "clientRequestToken");
    Value::Object(parameters).to_string()
}

/// Id of an alert: equal for every attempt to send it.
pub fn alert_id(key: &str, opened: Timestamp, what: &str, n: u32) -> String {
    digest([key, &opened.as_millisecond().to_string(), what, &n.to_string()])
}

/// Hex SHA-256 over parts, each with its length in bytes before it (eight bytes, big-endian).
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex(&digest.finalize())
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::DraftKind;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + second).unwrap()
    }

    fn observed(finding: &str, command: &str, level: Level) -> Observed {
        Observed {
            key: "key".to_owned(),
            before: None,
            window: SignedDuration::from_hours(1),
            finding_id: finding.to_owned(),
            command: command.to_owned(),
            source: "transcript".to_owned(),
            draft: Draft::new(DraftKind::Finding, level, "title"),
        }
    }

    fn window(initial: Sending) -> Window {
        let first = observed("first", "id", Level::Medium);
        Window { initial, ..Window::open(&first, "a", at(0), at(60)) }
    }

    fn claimed(by: &str, until: i64) -> Sending {
        Sending::Claimed { by: by.to_owned(), until: at(until), done: Vec::new() }
    }

    /// Name, initial alert of the window, where the finding was seen before, finding, level, time, step.
    type Row = (&'static str, Option<Sending>, Option<Timestamp>, &'static str, Level, i64, Step);

    #[test]
    fn every_case_has_its_step() {
        let sent = Sending::Sent { at: at(1) };
        let held = Sending::Withheld { at: at(1) };
        let here = Some(at(0));
        let elsewhere = Some(at(-9000));
        let add = Step::Add { at_once: false };
        let rows: Vec<Row> = vec![
            ("no window", None, None, "f", Level::Medium, 10, Step::Open),
            ("no window, but seen", None, here, "f", Level::Medium, 10, Step::Merge),
            ("sent, seen", Some(sent.clone()), here, "f", Level::Critical, 10, Step::Merge),
            ("sent, seen under an older window", Some(sent.clone()), elsewhere, "f", Level::Critical, 10, Step::Merge),
            ("sent, the first itself", Some(sent.clone()), None, "first", Level::Medium, 10, Step::Merge),
            ("sent, the first itself, late", Some(sent.clone()), None, "first", Level::Medium, 9999, Step::Merge),
            ("sent, another", Some(sent.clone()), None, "f", Level::Medium, 10, add),
            ("sent, another, lower", Some(sent.clone()), None, "f", Level::Low, 10, add),
            ("sent, another, higher", Some(sent.clone()), None, "f", Level::High, 10, Step::Add { at_once: true }),
            ("closed, another", Some(sent.clone()), None, "f", Level::Medium, 3600, Step::Open),
            ("closed, seen", Some(sent), here, "f", Level::Medium, 3600, Step::Merge),
            ("withheld, another", Some(held.clone()), None, "f", Level::Medium, 10, add),
            ("withheld, closed", Some(held), None, "f", Level::Medium, 3600, Step::Open),
            ("claimed by another, first again", Some(claimed("b", 60)), None, "first", Level::Medium, 10, Step::Merge),
            ("claimed by another, another", Some(claimed("b", 60)), None, "f", Level::Medium, 10, add),
            ("claim expired, first again", Some(claimed("b", 60)), None, "first", Level::Medium, 60, Step::Resume),
            ("claim expired, another", Some(claimed("b", 60)), None, "f", Level::Medium, 60, Step::Resume),
            ("claim expired, seen", Some(claimed("b", 60)), here, "f", Level::Medium, 60, Step::Resume),
            ("claim expired, seen elsewhere", Some(claimed("b", 60)), elsewhere, "f", Level::Medium, 60, Step::Merge),
            ("claim expired, closed", Some(claimed("b", 60)), None, "f", Level::Medium, 9999, Step::Resume),
            ("claimed by us before", Some(claimed("me", 60)), None, "first", Level::Medium, 10, Step::Resume),
            ("claimed by another, closed", Some(claimed("b", 9999)), None, "f", Level::Medium, 5000, add),
        ];
        for (name, initial, seen, finding, level, now, expected) in rows {
            let window = initial.map(window);
            let seen = seen.map(|opened| Seen { opened, sources: vec!["log-stream".to_owned()] });
            let step = step(window.as_ref(), seen.as_ref(), &observed(finding, "other", level), "me", at(now));
            assert_eq!(step, expected, "{name}");
        }
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
        assert_ne!(digest(["a"]), digest(["a", ""]));
        assert_eq!(digest(["a"]).len(), 64);
        assert_ne!(alert_id("k", at(0), "initial", 0), alert_id("k", at(0), "update", 0));
        assert_ne!(alert_id("k", at(0), "follow-up", 0), alert_id("k", at(0), "follow-up", 1));
    }
}
