//! What is left behind when an object was read, or could not be: receipts, and alerts about the record itself.

use std::collections::BTreeSet;

use warden_rules::Level;
use warden_session::{Kind, SessionId};

use super::Reading;
use super::feed::{Ended, Feed};
use crate::audit::identity::{lateness, replaced};
use crate::audit::{Origin, Summary, notice};
use crate::dedup::Observed;
use crate::draft::{Draft, DraftKind};
use crate::error::Failure;
use crate::ledger::{Claim, Facts, Receipt, Scan};
use crate::metrics::Metric;
use crate::object::Opened;

impl Reading<'_> {
    /// Time is up within an object. What was found is kept, so that the next attempt gets further; that there is
    /// more is told, for the last attempt looks no different from this one.
    pub(super) async fn out_of_time(
        &self,
        origin: &Origin,
        feed: &mut Feed<'_>,
        opened: &Opened,
    ) -> Result<(), Failure> {
        let now = self.invocation.now();
        self.outbox.flush(now).await?;
        let bytes = feed.bytes();
        let (mut summary, mut kind, mut sessions) = (Summary::default(), "transcript", BTreeSet::new());
        if let Some(audit) = feed.audit() {
            (summary, kind) = (audit.summary().clone(), audit.source_kind());
            sessions.extend(summary.claims.keys().filter(|session| !session.is_empty()).cloned());
        }
        sessions.extend(origin.named.as_ref().map(ToString::to_string));
        self.app.count(Metric::Incomplete, 1);
        self.app.count(Metric::BytesRead, bytes);
        let draft = Draft {
            facts: Facts { session: sessions.first().cloned(), ..Facts::default() },
            evidence: Some(origin.path.clone()),
            evidence_version: origin.version.clone(),
            // The same words for every attempt: they are told once.
            notes: vec![format!("The object has {} bytes. It is tried again; what was found is kept.", opened.length)],
            ..Draft::new(DraftKind::Audit, Level::High, "A record could not be read in the function's time")
        };
        self.outbox.raise(&notice(draft, &origin.path), now).await?;
        // Of a part there is no digest that could be compared with that of the whole.
        let part = self.receipt(kind, origin, opened, feed, &summary, Ended::Whole);
        let part = Receipt { sha256: None, result: Scan::Incomplete, ..part };
        for session in &sessions {
            self.app.ledger.put_receipt(session, &part, now).await?;
        }
        tracing::warn!(read = bytes, of = opened.length, "no time was left within an object");
        Err(Failure::OutOfTime)
    }

    /// What CloudTrail would say is not believed where hosts may write, and is told once for a bucket.
    pub(super) async fn misplaced(&self, origin: &Origin, kind: Kind) -> Result<(), Failure> {
        self.app.count(Metric::Incomplete, 1);
        let name = match kind {
            Kind::ApiCall => "records of API calls",
            Kind::Transcript | Kind::LogStream => "a session's record",
            _ => "a capture or recording",
        };
        tracing::warn!(what = name, "an object does not belong where it lies: it is not read");
        let note =
            format!("It holds {name}. Whoever may store objects there can make them up: nothing is done on its word.");
        let draft = Draft {
            notes: vec![note],
            evidence: Some(origin.path.clone()),
            evidence_version: origin.version.clone(),
            ..Draft::new(DraftKind::IdentityConflict, Level::Medium, "An object does not belong where it lies")
        };
        let bucket = origin.path.strip_prefix("s3://").and_then(|path| path.split('/').next()).unwrap_or_default();
        self.raise(vec![notice(draft, bucket)]).await
    }

    /// What cannot be read is told if it has the name of a session's record.
    pub(super) async fn unrecognised(&self, origin: &Origin, feed: &Feed<'_>, opened: &Opened) -> Result<(), Failure> {
        let now = self.invocation.now();
        self.app.count(Metric::Incomplete, 1);
        let Some(session) = &origin.named else {
            tracing::warn!(bytes = opened.length, "an object is no record of a session");
            return Ok(());
        };
        let draft = Draft {
            facts: Facts { session: Some(session.to_string()), ..Facts::default() },
            evidence: Some(origin.path.clone()),
            evidence_version: origin.version.clone(),
            notes: vec![format!(
                "The object has {} bytes, and is no record of any kind that is known here.",
                opened.length
            )],
            ..Draft::new(DraftKind::Audit, Level::Medium, "A session's record cannot be read")
        };
        self.raise(vec![notice(draft, &origin.path)]).await?;
        let summary = Summary::default();
        let receipt = self.receipt("transcript", origin, opened, feed, &summary, Ended::Unrecognised);
        Ok(self.app.ledger.put_receipt(session.as_str(), &receipt, now).await?)
    }

    /// Compares with what is known, and leaves receipts.
    pub(super) async fn settle(
        &self,
        origin: &Origin,
        claims: &[(String, Claim)],
        started: Option<&Facts>,
        receipt: &Receipt,
    ) -> Result<(), Failure> {
        let now = self.invocation.now();
        let mut sessions: Vec<&str> = claims.iter().map(|(session, _)| session.as_str()).collect();
        sessions.extend(origin.named.as_ref().map(SessionId::as_str));
        sessions.sort_unstable();
        sessions.dedup();
        if receipt.result != Scan::Whole {
            self.app.count(Metric::Incomplete, 1);
        }
        for session in sessions.into_iter().filter(|session| !session.is_empty()) {
            let claim = claims.iter().find(|(claimed, _)| claimed == session).map(|(_, claim)| claim);
            let receipts = self.app.ledger.receipts(session, now).await?;
            if let Some(old) = replaced(&receipts, receipt) {
                self.raise(vec![replacement(origin, session, old, receipt)]).await?;
            }
            let ended = claim.and_then(|claim| claim.facts.ended);
            let known = started.filter(|facts| facts.session.as_deref() == Some(session)).and_then(|facts| facts.ended);
            if let Some(why) = lateness(origin.stored, ended, known) {
                let title = "A record was stored too late to be the agent's own";
                self.raise(vec![about(origin, Some(session), title, vec![why.to_owned()])]).await?;
            }
            if let Some(claim) = claim {
                self.app.ledger.put_claim(session, claim, now).await?;
                // StartSession may have been heard of since: whoever comes second compares.
                let known = self.app.ledger.facts(session, None, now).await?;
                self.compare(claim, known.as_ref()).await?;
            }
            if receipts.is_empty() {
                self.app.ledger.note_record(session, now).await?;
            }
            self.app.ledger.put_receipt(session, receipt, now).await?;
            tracing::info!(session, commands = receipt.commands, findings = receipt.findings, "a record was read");
        }
        Ok(())
    }

    pub(super) fn receipt(
        &self,
        kind: &str,
        origin: &Origin,
        opened: &Opened,
        feed: &Feed<'_>,
        summary: &Summary,
        ended: Ended,
    ) -> Receipt {
        let incomplete = summary.dropped > 0 || summary.deviations.iter().any(|deviation| deviation.is_incomplete());
        Receipt {
            kind: kind.to_owned(),
            path: origin.path.clone(),
            version: opened.version.clone(),
            etag: opened.etag.clone(),
            sha256: Some(feed.sha256()),
            rules_version: self.rules.version().to_owned(),
            result: match ended {
                Ended::AtCap { .. } => Scan::SizeCap,
                Ended::Unrecognised | Ended::Misplaced(_) => Scan::Unrecognised,
                Ended::Whole if incomplete => Scan::Incomplete,
                Ended::Whole => Scan::Whole,
            },
            bytes: feed.bytes(),
            commands: summary.commands,
            findings: summary.findings,
            deviations: summary.deviations.iter().map(ToString::to_string).collect(),
            at: self.invocation.now(),
        }
    }
}

/// Something about the record of a session.
pub(super) fn about(origin: &Origin, session: Option<&str>, title: &str, notes: Vec<String>) -> Observed {
    let draft = Draft {
        facts: Facts { session: session.map(str::to_owned), ..Facts::default() },
        evidence: Some(origin.path.clone()),
        evidence_version: origin.version.clone(),
        notes,
        ..Draft::new(DraftKind::IdentityConflict, Level::High, title)
    };
    notice(draft, &origin.path)
}

/// An object was read before, with other content. The words are the same whichever of the two comes first.
fn replacement(origin: &Origin, session: &str, old: &Receipt, new: &Receipt) -> Observed {
    let name = |receipt: &Receipt| {
        let version = receipt.version.as_deref().unwrap_or("not known");
        format!(
            "version {version}: {} bytes, SHA-256 {}",
            receipt.bytes,
            receipt.sha256.as_deref().unwrap_or("not known")
        )
    };
    let mut both = vec![name(old), name(new)];
    both.sort();
    let title = "A session's record was stored a second time, with other content";
    about(origin, Some(session), title, both)
}
