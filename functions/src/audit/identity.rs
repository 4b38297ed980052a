//! Whether a record is what it says: its identity against its place, its uploader and StartSession.
//!
//! Transcripts and log streams are written by the host, which an operator with root owns: a host role that may store one
//! object may store any. What disagrees is reported, and nothing is done on the record's word.

use jiff::{SignedDuration, Timestamp};
use warden_rules::Level;
use warden_session::Session;
use warden_session::join::Sessions;

use crate::draft::{Draft, DraftKind};
use crate::ledger::{Claim, Facts, Receipt};

/// A disagreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// What is disagreed on: `session`, `target`, `principal`, `account`, `uploader`.
    pub on: &'static str,
    /// What the record says.
    pub claimed: String,
    /// What is known, and by whom.
    pub known: String,
}

/// How long after the end of its session a transcript may be stored.
pub const LATE_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Where a record disagrees with its place, its uploader, or what StartSession said.
pub fn conflicts(claim: &Claim, started: Option<&Facts>) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let mut differ = |on, claimed: Option<&String>, known: Option<&String>, who: &str| {
        if let (Some(claimed), Some(known)) = (claimed, known)
            && claimed != known
        {
            conflicts.push(Conflict { on, claimed: claimed.clone(), known: format!("{who} {known}") });
        }
    };
    let said = &claim.facts;
    differ("session", said.session.as_ref(), claim.named.as_ref(), "its place is named after");
    let node = said.target.as_ref().filter(|target| is_node(target));
    differ("target", node, claim.uploader.as_ref(), "it was stored by");
    let Some(started) = started else { return conflicts };
    let uploader = claim.uploader.as_ref().filter(|_| started.target.as_deref().is_some_and(is_node));
    differ("uploader", uploader, started.target.as_ref(), "StartSession names");
    differ("principal", said.principal.as_ref(), started.principal.as_ref(), "StartSession names");
    differ("account", said.account.as_ref(), started.account.as_ref(), "StartSession names");
    if !agrees(said, started) && said.target != started.target {
        differ("target", said.target.as_ref(), started.target.as_ref(), "StartSession names");
    }
    conflicts
}

/// Whether targets agree, by the join's rules: an ECS task has longer and shorter names.
fn agrees(said: &Facts, started: &Facts) -> bool {
    let only = |facts: &Facts| Session { principal: None, ..facts.to_session() };
    let mut sessions = Sessions::default();
    // Both are about the session that StartSession made, whatever the record calls it.
    sessions.remember(&only(started));
    let said = Session { id: started.to_session().id, ..only(said) };
    !sessions.complete(&said).conflict
}

fn is_node(target: &str) -> bool {
    target.starts_with("i-") || target.starts_with("mi-")
}

/// Managed node in an uploader's principal id (`AWS:AROA…:i-0123…`), if the uploader is one.
pub fn uploading_node(principal: &str) -> Option<String> {
    principal.rsplit(':').next().filter(|name| is_node(name)).map(str::to_owned)
}

/// The alert about conflicts.
pub fn draft(claim: &Claim, conflicts: &[Conflict], version: Option<&str>) -> Draft {
    let sentence = |conflict: &Conflict| {
        let Conflict { on, claimed, known } = conflict;
        format!("{on}: the record says {claimed}, but {known}")
    };
    let title = "A record's identity disagrees with what is known of its session";
    Draft {
        facts: Facts { principal: None, ..claim.facts.clone() },
        notes: conflicts.iter().map(sentence).collect(),
        evidence: Some(claim.path.clone()),
        evidence_version: version.map(str::to_owned),
        ..Draft::new(DraftKind::IdentityConflict, Level::High, title)
    }
}

/// The alert about a second StartSession of the same session that says something else. AWS makes an id once.
pub fn two_starts(new: &Facts, known: &Facts) -> Option<Draft> {
    let (Some(event), Some(other)) = (&new.event_id, &known.event_id) else { return None };
    let said = |facts: &Facts| {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "nobody".to_owned());
        format!("{} to {}, in account {}", text(&facts.principal), text(&facts.target), text(&facts.account))
    };
    let (one, two) = (said(new), said(known));
    if event == other || one == two {
        return None;
    }
    // The words are the same whichever of the two comes first.
    let mut both = [one, two];
    both.sort();
    let title = "Two StartSession calls name the same session";
    Some(Draft {
        facts: Facts { session: new.session.clone(), ..Facts::default() },
        notes: both.into_iter().collect(),
        ..Draft::new(DraftKind::IdentityConflict, Level::High, title)
    })
}

/// Why an object was stored too late to be the agent's own upload, if it was: by the end that it names, or the one that Systems
/// Manager knows. A session may last for days, so its start says nothing.
pub fn lateness(stored: Option<Timestamp>, named: Option<Timestamp>, known: Option<Timestamp>) -> Option<&'static str> {
    let late = |ended: Timestamp| stored.is_some_and(|stored| stored.duration_since(ended) > LATE_AFTER);
    if named.is_some_and(late) {
        return Some("It was stored more than an hour after the end that it names.");
    }
    known.is_some_and(late).then_some("It was stored more than an hour after the end that Systems Manager knows.")
}

/// A receipt of the same object with other content: the object was replaced.
pub fn replaced<'r>(receipts: &'r [Receipt], new: &Receipt) -> Option<&'r Receipt> {
    receipts.iter().find(|old| {
        let other = match (&old.version, &new.version, &old.sha256, &new.sha256) {
            // A version never changes: what differs is only how much of it was read.
            (Some(old), Some(new), ..) if old == new => false,
            (_, _, Some(old), Some(new)) => old != new,
            (old, new, ..) => old != new,
        };
        old.path == new.path && old.kind == new.kind && other
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(rows: &[(&str, &str)]) -> Facts {
        let value = |name: &str| rows.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Facts {
            session: value("session"),
            principal: value("principal"),
            target: value("target"),
            account: value("account"),
            ..Facts::default()
        }
    }

    type Row<'a> = (&'a str, Facts, Option<&'a str>, Option<&'a str>, Option<&'a Facts>, &'a [&'a str]);

    #[test]
    fn forgeries_are_conflicts() {
        const SESSION: &str = "alice-052afb0c93508ea82";
        let started = facts(&[("session", SESSION), ("principal", "arn:alice"), ("target", "i-1"), ("account", "1")]);
        let ecs = facts(&[("session", SESSION), ("target", "ecs:web_0123")]);
        let rows: &[Row<'_>] = &[
            (
                "agrees",
                facts(&[("session", SESSION), ("target", "i-1")]),
                Some(SESSION),
                Some("i-1"),
                Some(&started),
                &[],
            ),
            (
                "another session",
                facts(&[("session", "bob-052afb0c93508ea82")]),
                Some(SESSION),
                None,
                None,
                &["session"],
            ),
            ("another principal", facts(&[("principal", "arn:bob")]), None, None, Some(&started), &["principal"]),
            ("another instance", facts(&[("target", "i-2")]), None, None, Some(&started), &["target"]),
            ("another uploader", facts(&[]), None, Some("i-2"), Some(&started), &["uploader"]),
            ("uploader and header", facts(&[("target", "i-1")]), None, Some("i-2"), None, &["target"]),
            ("another account", facts(&[("account", "2")]), None, None, Some(&started), &["account"]),
            ("container of the task", facts(&[("target", "ecs:web_0123_runtime")]), None, None, Some(&ecs), &[]),
            ("nothing known", facts(&[("session", SESSION), ("target", "i-9")]), None, None, None, &[]),
        ];
        for (name, said, named, uploader, started, expected) in rows {
            let claim = Claim {
                kind: "transcript".to_owned(),
                path: "s3://logs/x".to_owned(),
                facts: said.clone(),
                named: named.map(str::to_owned),
                uploader: uploader.map(str::to_owned),
                account: None,
            };
            let found: Vec<_> = conflicts(&claim, *started).iter().map(|conflict| conflict.on).collect();
            assert_eq!(found, *expected, "{name}");
        }
    }

    #[test]
    fn lateness_needs_a_time() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let noon = at("2026-01-01T12:00:00Z");
        assert_eq!(lateness(noon, None, None), None);
        assert_eq!(lateness(noon, at("2026-01-01T11:58:00Z"), at("2026-01-01T11:59:00Z")), None);
        assert!(lateness(noon, at("2026-01-01T10:00:00Z"), None).is_some());
        assert!(lateness(noon, at("2026-01-01T11:58:00Z"), at("2025-12-30T12:00:00Z")).is_some());
    }

    #[test]
    fn uploaders_are_nodes_or_unknown() {
        assert_eq!(uploading_node("AWS:AROAEXAMPLE:i-0123456789abcdef0").as_deref(), Some("i-0123456789abcdef0"));
        assert_eq!(uploading_node("AWS:AIDAEXAMPLE"), None);
    }
}
